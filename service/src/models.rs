//! The models that are served: what is asked of them is executed here, at once, before anything is queued. The model is
//! integers, so the answer is exactly the one that is proven later, and a text that cannot be proven never becomes a job.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorica::answer::{Answer, kind_of};
use lorica::check::{CheckError, ExpectedRequest, check_inference, check_settlement, expect_requests};
use lorica::circuits::shape::OutputKind;
use lorica::files::{AdapterFile, AdapterKey, BaseFile, BaseKey, DatanetFile, Description, FileError, IndexKey};
use lorica::input::{InputError, Salt, encode, input_word, random_salt, tokenizer};
use lorica::prover::published;
use lorica::quant::import::Tokenizer;
use lorica::quant::index::IndexCells;
use lorica::quant::integer::{AdapterModel, Executor, ModelError, RequestOutput};
use lorica::settlement::key::VerifyingKey;
use lorica::signed_request::{RequestError, SignedRequest};
use lorica::srs::{SrsPolicy, SrsPolicyError};
use lorica::verifier::protocol::keccak::{decode_scalar, encode_scalar};
use lorica::verifier::protocol::key::KeyError;
use lorica::verifier::protocol::proof::{Output, Share, shares_of};
use lorica::{Fr, check::Accepted};
use prost::Message;

use crate::config::ModelsConfig;
use crate::error::{Reason, Refusal};
use crate::proto;
use crate::store::{Lease, ProvenShape, Word};
use crate::target::Target;

/// Why the models cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A base's integers are out of bounds.
    #[error("{path}: {source}", path = .path.display())]
    Model {
        /// The base.
        path: PathBuf,
        /// Which ones.
        source: ModelError,
    },
    /// A base's tokenizer cannot be used.
    #[error("{path}: {source}", path = .path.display())]
    Tokenizer {
        /// The base.
        path: PathBuf,
        /// Why.
        source: InputError,
    },
    /// The development SRS without permission.
    #[error("{path}: {source}", path = .path.display())]
    Srs {
        /// The base.
        path: PathBuf,
        /// Why.
        source: SrsPolicyError,
    },
    /// An adapter of no base that is served.
    #[error("{path}: it is an adapter of none of the bases that are served", path = .0.display())]
    NoBase(PathBuf),
    /// A datanet of no adapter that is served.
    #[error("{path}: it is a datanet of none of the adapters that are served", path = .0.display())]
    NoAdapter(PathBuf),
    /// A datanet's index that is not its adapter's.
    #[error("{path}: {source}", path = .path.display())]
    Index {
        /// The datanet.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// Two files with one id.
    #[error("{path}: it has the id of another file that is served", path = .0.display())]
    Twice(PathBuf),
}

/// A base that is served.
#[derive(Debug)]
pub struct ServedBase {
    /// Its key.
    pub key: BaseKey,
    id: Fr,
    tokenizer: Tokenizer,
    executor: Executor,
}

/// An adapter that is served.
#[derive(Debug)]
pub struct ServedAdapter {
    /// Where the worker finds it.
    pub path: PathBuf,
    /// Its key.
    pub key: AdapterKey,
    /// Its base's id.
    pub base: Word,
    id: Fr,
    model: AdapterModel,
}

/// A datanet that is served: its index. Its texts are not kept.
#[derive(Debug)]
pub struct ServedDatanet {
    /// Where the worker finds it.
    pub path: PathBuf,
    /// Its key, with the version's record and the contributors.
    pub key: IndexKey,
    /// Its base's id.
    pub base: Word,
    /// Its adapter's id.
    pub adapter: Word,
    /// Contributors.
    pub contributors: usize,
    id: Fr,
    cells: IndexCells,
}

/// All of them, by id.
#[derive(Debug)]
pub struct Models {
    policy: SrsPolicy,
    /// Bases.
    pub bases: BTreeMap<Word, ServedBase>,
    /// Adapters.
    pub adapters: BTreeMap<Word, ServedAdapter>,
    /// Datanets, by the ids of their indexes.
    pub datanets: BTreeMap<Word, ServedDatanet>,
}

/// What a call asks of a model.
pub struct Asked {
    /// `bases/{hex}`.
    pub base: String,
    /// `adapters/{hex}`, or empty.
    pub adapter: String,
    /// `datanets/{hex}`, or empty: the answer is not attributed.
    pub datanet: String,
    /// Text or ids, and salt.
    pub input: Option<proto::Input>,
    /// Number of the output kind.
    pub kind: i32,
}

/// A request that was executed.
pub struct Executed {
    /// The base's id.
    pub base: Word,
    /// The adapter's id.
    pub adapter: Option<Word>,
    /// The id of the index by which the answer is attributed.
    pub datanet: Option<Word>,
    /// What was asked for.
    pub kind: OutputKind,
    /// Token ids.
    pub ids: Vec<u32>,
    /// The salt, given or drawn.
    pub salt: Salt,
    /// The answer.
    pub answer: proto::Answer,
}

/// `bases/{hex}`, `adapters/{hex}` or `datanets/{hex}`.
pub fn name(collection: &str, id: &Word) -> String {
    format!("{collection}/{}", hex::encode(id))
}

/// The id in a name.
pub fn id_of(collection: &str, name: &str) -> Option<Word> {
    let digits = name.strip_prefix(collection)?.strip_prefix('/')?;
    let mut id = [0; 32];
    hex::decode_to_slice(digits, &mut id).ok()?;
    (digits == hex::encode(id)).then_some(id)
}

impl ServedBase {
    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

impl Models {
    /// Loads and validates all of them.
    pub fn load(config: &ModelsConfig) -> Result<Self, ModelsError> {
        let policy = policy(config);
        let mut models = Self { policy, bases: BTreeMap::new(), adapters: BTreeMap::new(), datanets: BTreeMap::new() };
        for path in &config.bases {
            models.add_base(path)?;
        }
        for path in &config.adapters {
            models.add_adapter(path)?;
        }
        for path in &config.datanets {
            models.add_datanet(path)?;
        }
        Ok(models)
    }

    fn add_base(&mut self, path: &Path) -> Result<(), ModelsError> {
        let BaseFile { key, model, .. } = BaseFile::load(path)?;
        self.policy
            .permit(key.verifier_key().is_insecure(), || "the SRS of the base".into())
            .map_err(|source| ModelsError::Srs { path: path.into(), source })?;
        let tokenizer = tokenizer(&key).map_err(|source| ModelsError::Tokenizer { path: path.into(), source })?;
        let executor =
            Executor::new(Arc::new(model)).map_err(|source| ModelsError::Model { path: path.into(), source })?;
        let id = key.commitments.id();
        let base = ServedBase { key, id, tokenizer, executor };
        match self.bases.insert(encode_scalar(&id), base) {
            Some(_) => Err(ModelsError::Twice(path.into())),
            None => Ok(()),
        }
    }

    fn add_adapter(&mut self, path: &Path) -> Result<(), ModelsError> {
        let bytes = lorica::files::store::read(path, lorica::files::MAX_ADAPTER_BYTES)?;
        let key = AdapterFile::decode(&bytes).map_err(FileError::malformed(path))?.key;
        let base_id = encode_scalar(&key.commitments.base);
        let base = self.bases.get(&base_id).ok_or_else(|| ModelsError::NoBase(path.into()))?;
        let AdapterFile { key, model } = AdapterFile::load(path, &base.key)?;
        let id = key.commitments.id();
        let adapter = ServedAdapter { path: path.into(), key, base: base_id, id, model };
        match self.adapters.insert(encode_scalar(&id), adapter) {
            Some(_) => Err(ModelsError::Twice(path.into())),
            None => Ok(()),
        }
    }

    fn add_datanet(&mut self, path: &Path) -> Result<(), ModelsError> {
        let file = DatanetFile::load(path)?;
        let adapter_id = encode_scalar(&file.key.adapter);
        let none = || ModelsError::NoAdapter(path.into());
        let adapter = self.adapters.get(&adapter_id).ok_or_else(none)?;
        let base = self.bases.get(&adapter.base).ok_or_else(none)?;
        if file.base != base.id {
            return Err(none());
        }
        file.key
            .validate(&base.key.commitments, &adapter.key.commitments)
            .map_err(|source| ModelsError::Index { path: path.into(), source })?;
        let (key, contributors) = (file.index_key(), Description::of(&file.version).contributors.len());
        let (id, cells, base) = (key.id(), file.cells, adapter.base);
        let datanet = ServedDatanet { path: path.into(), key, base, adapter: adapter_id, contributors, id, cells };
        match self.datanets.insert(encode_scalar(&id), datanet) {
            Some(_) => Err(ModelsError::Twice(path.into())),
            None => Ok(()),
        }
    }

    /// Whether any base was made with the development SRS.
    pub fn is_insecure(&self) -> bool {
        self.bases.values().any(|base| base.key.verifier_key().is_insecure())
    }

    /// A base by its name.
    pub fn base(&self, name: &str) -> Result<(Word, &ServedBase), Refusal> {
        let id = id_of("bases", name)
            .ok_or_else(|| Refusal::field("base", "`bases/` and 64 hexadecimal digits are expected"))?;
        let base = self.bases.get(&id).ok_or_else(|| Refusal::new(Reason::BaseUnknown, "no such base is served"))?;
        Ok((id, base))
    }

    /// An adapter by its name.
    pub fn adapter(&self, name: &str) -> Result<(Word, &ServedAdapter), Refusal> {
        let id = id_of("adapters", name)
            .ok_or_else(|| Refusal::field("adapter", "`adapters/` and 64 hexadecimal digits are expected"))?;
        let adapter =
            self.adapters.get(&id).ok_or_else(|| Refusal::new(Reason::AdapterUnknown, "no such adapter is served"))?;
        Ok((id, adapter))
    }

    /// A datanet by its name.
    pub fn datanet(&self, name: &str) -> Result<(Word, &ServedDatanet), Refusal> {
        let id = id_of("datanets", name)
            .ok_or_else(|| Refusal::field("datanet", "`datanets/` and 64 hexadecimal digits are expected"))?;
        let datanet =
            self.datanets.get(&id).ok_or_else(|| Refusal::new(Reason::DatanetUnknown, "no such datanet is served"))?;
        Ok((id, datanet))
    }

    /// Where a datanet's file is.
    pub fn datanet_path(&self, id: &Word) -> Option<String> {
        self.datanets.get(id).map(|own| own.path.display().to_string())
    }

    /// Executes a request: tens of milliseconds of processor.
    pub fn execute(&self, asked: &Asked) -> Result<Executed, Refusal> {
        let (base_id, base) = self.base(&asked.base)?;
        let adapter = match asked.adapter.as_str() {
            "" => None,
            name => Some(self.adapter(name)?),
        };
        if adapter.is_some_and(|(_, adapter)| adapter.base != base_id) {
            return Err(Refusal::of(Reason::AdapterOtherBase, "adapter", "the adapter is of another base"));
        }
        let has_head = adapter.is_some_and(|(_, adapter)| adapter.key.has_head);
        let kind = match proto::OutputKind::try_from(asked.kind) {
            Ok(proto::OutputKind::Unspecified) => kind_of(has_head),
            Ok(proto::OutputKind::Embed) => OutputKind::Embed,
            Ok(proto::OutputKind::Classify) if has_head => OutputKind::Classify,
            Ok(proto::OutputKind::Classify) => {
                let message = "no adapter with a classification head is asked for";
                return Err(Refusal::of(Reason::OutputKindUnsupported, "kind", message));
            }
            Ok(proto::OutputKind::Row | proto::OutputKind::Generate) => {
                return Err(Refusal::of(Reason::OutputKindUnsupported, "kind", "no model here has this output"));
            }
            Err(_) => return Err(Refusal::field("kind", "no such output kind")),
        };
        let datanet = match asked.datanet.as_str() {
            "" => None,
            name => Some(self.datanet(name)?),
        };
        if let Some((_, own)) = datanet {
            if adapter.is_none_or(|(id, _)| id != own.adapter) {
                return Err(Refusal::of(Reason::DatanetOther, "datanet", "it is a datanet of another adapter"));
            }
            if kind != OutputKind::Classify {
                return Err(Refusal::of(Reason::OutputKindUnsupported, "kind", "an embedding is not attributed"));
            }
        }
        let input = asked.input.as_ref();
        let ids = match input.and_then(|input| input.input.as_ref()) {
            Some(proto::input::Input::Text(text)) => encode(&base.tokenizer, 0, text)?,
            Some(proto::input::Input::TokenIds(ids)) => ids.ids.clone(),
            None => return Err(Refusal::field("input", "a text or token ids are expected")),
        };
        let salt = match input.map(|input| input.salt.as_slice()).unwrap_or_default() {
            [] => random_salt()?,
            given => given
                .try_into()
                .map_err(|_| Refusal::field("input.salt", format!("31 bytes are expected, got {}", given.len())))?,
        };
        let model = adapter.map(|(_, adapter)| &adapter.model);
        let (output, shares) = match datanet.zip(model) {
            Some(((_, datanet), model)) => attributed(base, model, datanet, &ids)?,
            None => (base.executor.infer(&ids, model, kind)?, Vec::new()),
        };
        let labels = adapter.map_or(&[][..], |(_, adapter)| &adapter.key.labels);
        let answer = answer(&published(&output), &shares, labels, ids.len(), base.key.output_exponent);
        let (adapter, datanet) = (adapter.map(|(id, _)| id), datanet.map(|(id, _)| id));
        Ok(Executed { base: base_id, adapter, datanet, kind, ids, salt, answer })
    }

    /// Whether a settlement is of exactly this batch, which is to be settled: it holds by its key, and has the batch's binding,
    /// circuit, base, kind, adapters, inputs, labels and shares.
    pub fn expect_settlement_of(&self, lease: &Lease, bytes: &[u8], key: &[u8]) -> Result<ProvenShape, String> {
        let base = self.bases.get(&lease.base).ok_or("the base is served no more")?;
        let key = VerifyingKey::decode(key).map_err(|error| error.to_string())?;
        let mut keys: BTreeMap<Word, AdapterKey> = BTreeMap::new();
        for id in lease.members.iter().filter_map(|member| member.adapter) {
            keys.insert(id, self.adapters.get(&id).ok_or("an adapter is served no more")?.key.clone());
        }
        let keys: Vec<AdapterKey> = keys.into_values().collect();
        let meant = Target::decode(lease.binding.as_deref().ok_or("nothing is to be settled")?)?;
        if key.circuit_id() != meant.circuit {
            return Err("its key is of another circuit".into());
        }
        let index = match &lease.datanet {
            None => None,
            Some(id) => Some(self.datanets.get(id).ok_or("the datanet is served no more")?),
        };
        let indexes: Vec<IndexKey> = index.iter().map(|index| index.key.clone()).collect();
        let settled = check_settlement(&base.key, &keys, &indexes, &key, Some(meant.circuit), bytes, self.policy)
            .map_err(|error| error.to_string())?;
        if settled.binding != meant.binding {
            return Err("it has another binding".into());
        }
        let shape = key.circuit_shape().shape;
        if settled.base != base.id
            || shape.output.number() != lease.kind
            || settled.index != index.map_or(Fr::zero(), |own| own.id)
        {
            return Err("it is of another base or kind, or attributes by another datanet or none".into());
        }
        if settled.answers.len() != lease.members.len() {
            return Err("it has another number of answers".into());
        }
        for (place, (stated, member)) in settled.answers.iter().zip(&lease.members).enumerate() {
            let adapter = member.adapter.and_then(|id| self.adapters.get(&id)).map_or(Fr::zero(), |own| own.id);
            let most = base.key.commitments.architecture.max_tokens;
            let input = input_word(&member.salt, &member.token_ids, most);
            let given = proto::Answer::decode(member.answer.as_slice()).map_err(|error| error.to_string())?;
            let label = match given.output {
                Some(proto::answer::Output::Classification(own)) => Some(own.label),
                _ => None,
            };
            let other_label = label.is_some_and(|label| label != u32::from(stated.label()));
            if stated.adapter != adapter || stated.words.input_digest != input || other_label {
                return Err(format!("request {place} has another adapter, input or label"));
            }
            let shares = shares_of(&stated.words.shares).ok_or("words of shares that have no meaning")?;
            if listed(&shares) != given.shares {
                return Err(format!("request {place} has other shares than were given"));
            }
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(ProvenShape { requests: number(shape.requests), tokens: number(shape.tokens), log_tile: shape.log_tile })
    }

    /// That a signed request is for a base and adapter that are served, and its text the one that was signed.
    pub fn expect_request(&self, request: &SignedRequest) -> Result<(), RequestError> {
        let other = || RequestError::OtherBase { id: request.id };
        let id: Word = request.terms.base.to_be_bytes();
        let base = self.bases.get(&id).ok_or_else(other)?;
        request.check_input(&base.key, &base.tokenizer)
    }

    /// Whether a proof is of exactly this batch: it holds, under these models, context, inputs, salts and adapters, and states
    /// the answers that were given. A worker is not believed.
    pub fn expect_proof_of(&self, lease: &Lease, bytes: &[u8]) -> Result<ProvenShape, String> {
        let base = self.bases.get(&lease.base).ok_or("the base is served no more")?;
        let mut keys: BTreeMap<Word, AdapterKey> = BTreeMap::new();
        let mut expected = Vec::with_capacity(lease.members.len());
        for member in &lease.members {
            let adapter = match &member.adapter {
                None => Fr::zero(),
                Some(id) => {
                    let adapter = self.adapters.get(id).ok_or("an adapter is served no more")?;
                    keys.insert(*id, adapter.key.clone());
                    adapter.id
                }
            };
            let ids = member.token_ids.clone();
            expected.push(ExpectedRequest { ids, adapter: Some(adapter), salt: Some(member.salt) });
        }
        let context = decode_scalar(&lease.context).map_err(|_| "the context is no word")?;
        let keys: Vec<AdapterKey> = keys.into_values().collect();
        let index = match &lease.datanet {
            None => None,
            Some(id) => Some(self.datanets.get(id).ok_or("the datanet is served no more")?),
        };
        let indexes: Vec<IndexKey> = index.iter().map(|index| index.key.clone()).collect();
        let accepted =
            check_inference(&base.key, &keys, &indexes, context, bytes, self.policy).map_err(|e| e.to_string())?;
        expect_requests(&accepted.proof, &expected).map_err(|mismatch| mismatch.to_string())?;
        let statement = &accepted.proof.statement;
        let attributes = statement.attribution.as_ref().map(|own| own.index);
        if statement.base != base.id || attributes != index.map(|index| index.id) {
            return Err("it states another base, or attributes by another datanet or none".into());
        }
        for (place, (request, member)) in statement.requests.iter().zip(&lease.members).enumerate() {
            let labels = member.adapter.and_then(|id| self.adapters.get(&id)).map_or(&[][..], |own| &own.key.labels);
            let own = answer(&request.output, &request.shares, labels, request.ids.len(), base.key.output_exponent);
            if own.encode_to_vec() != member.answer {
                return Err(format!("request {place} has another answer than was given"));
            }
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let shape = &statement.shape;
        let (requests, tokens) = (number(shape.requests), number(shape.tokens));
        Ok(ProvenShape { requests, tokens, log_tile: shape.log_tile })
    }

    /// Checks anybody's proof. What was proven, or why it does not hold.
    pub fn verify(&self, bytes: &[u8], context: Fr) -> Result<Verified, Verdict> {
        let proof = lorica::verifier::InferenceProof::decode(bytes).map_err(|e| Verdict::Rejected(e.to_string()))?;
        let base_id = encode_scalar(&proof.statement.base);
        let unknown = |what| Verdict::Refused(Refusal::new(Reason::BaseUnknown, what));
        let base = self.bases.get(&base_id).ok_or_else(|| unknown("the proof's base is not served here"))?;
        let mut keys: BTreeMap<Word, AdapterKey> = BTreeMap::new();
        for request in &proof.statement.requests {
            let id = encode_scalar(&request.adapter);
            if request.adapter != Fr::zero() {
                let adapter = self.adapters.get(&id).ok_or_else(|| {
                    Verdict::Refused(Refusal::new(Reason::AdapterUnknown, "an adapter of the proof is not served here"))
                })?;
                keys.insert(id, adapter.key.clone());
            }
        }
        let keys: Vec<AdapterKey> = keys.into_values().collect();
        let index = proof.statement.attribution.as_ref().map(|own| encode_scalar(&own.index));
        let indexes: Vec<IndexKey> = match &index {
            None => Vec::new(),
            Some(id) => match self.datanets.get(id) {
                Some(own) => vec![own.key.clone()],
                None => {
                    let message = "the datanet of the proof is not served here";
                    return Err(Verdict::Refused(Refusal::new(Reason::DatanetUnknown, message)));
                }
            },
        };
        let Accepted { proof, words } = check_inference(&base.key, &keys, &indexes, context, bytes, self.policy)
            .map_err(|error: CheckError| Verdict::Rejected(error.to_string()))?;
        let requests = proof.statement.requests.iter().zip(&words).map(|(request, words)| {
            let id = encode_scalar(&request.adapter);
            let labels = self.adapters.get(&id).map_or(&[][..], |own| &own.key.labels);
            let output_digest = encode_scalar(&words.output_digest).to_vec();
            let answer = answer(&request.output, &request.shares, labels, request.ids.len(), base.key.output_exponent);
            proto::ProvenRequest {
                adapter: if request.adapter == Fr::zero() { String::new() } else { name("adapters", &id) },
                token_ids: Some(proto::TokenIds { ids: request.ids.clone() }),
                salt: request.salt.to_vec(),
                answer: Some(proto::Answer { output_digest, ..answer }),
            }
        });
        Ok(Verified { base: base_id, datanet: index, requests: requests.collect() })
    }
}

/// What a proof says.
pub struct Verified {
    /// The base's id.
    pub base: Word,
    /// The id of the index by which the answers are attributed.
    pub datanet: Option<Word>,
    /// What was proven.
    pub requests: Vec<proto::ProvenRequest>,
}

/// Why a proof is not accepted.
pub enum Verdict {
    /// It does not hold.
    Rejected(String),
    /// It cannot be judged here.
    Refused(Refusal),
}

/// The policy of a configuration.
pub fn policy(config: &ModelsConfig) -> SrsPolicy {
    if config.insecure_dev_srs { SrsPolicy::DevelopmentForTests } else { SrsPolicy::Ceremony }
}

/// The answer to a text, and the shares that its proof will state.
fn attributed(
    base: &ServedBase,
    model: &AdapterModel,
    datanet: &ServedDatanet,
    ids: &[u32],
) -> Result<(RequestOutput, Vec<Share>), Refusal> {
    let pooled = base.executor.pooled(&[ids], model)?.pop();
    let pooled = pooled.ok_or_else(|| Refusal::new(Reason::Internal, "a text without an answer"))?;
    let shares = datanet.cells.shares(&datanet.cells.scores(&pooled.values, pooled.label));
    let shares = shares.entries.iter().map(|own| Share { slot: own.slot, share: own.share });
    Ok((RequestOutput::Classify { logits: pooled.logits, label: pooled.label }, shares.collect()))
}

fn answer(output: &Output, shares: &[Share], labels: &[String], tokens: usize, exponent: i32) -> proto::Answer {
    use proto::answer::Output as Message;
    let output = match Answer::new(output, labels, tokens, exponent) {
        Answer::Embed { sums, exponent, .. } => Message::Embedding(proto::Embedding { sums, exponent }),
        Answer::Classify { label, name, logits } => Message::Classification(proto::Classification {
            label: u32::try_from(label).unwrap_or(u32::MAX),
            name: name.unwrap_or_default(),
            logits: logits.into_iter().map(|(_, logit)| logit).collect(),
        }),
    };
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    proto::Answer { output: Some(output), tokens, output_digest: Vec::new(), shares: listed(shares) }
}

/// Shares as an answer lists them: those of contributors who have one.
fn listed(shares: &[Share]) -> Vec<proto::Share> {
    let shares = shares.iter().filter(|own| own.share > 0);
    shares.map(|own| proto::Share { slot: own.slot.into(), parts: own.share.into() }).collect()
}
