//! The models that are served: what is asked of them is executed here, at once, before anything is queued. The model is
//! integers, so the answer is exactly the one that is proven later, and a text that cannot be proven never becomes a job.

mod checks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorica::Fr;
use lorica::answer::{Answer, kind_of};
use lorica::circuits::shape::OutputKind;
use lorica::files::{AdapterFile, AdapterKey, BaseFile, BaseKey, DatanetFile, Description, FileError, IndexKey};
use lorica::input::{InputError, Salt, encode, random_salt, tokenizer};
use lorica::prover::published;
use lorica::quant::import::Tokenizer;
use lorica::quant::index::IndexCells;
use lorica::quant::integer::{AdapterModel, Executor, ModelError, RequestOutput};
use lorica::signed_request::{RequestError, SignedRequest};
use lorica::srs::{SrsPolicy, SrsPolicyError};
use lorica::verifier::protocol::keccak::encode_scalar;
use lorica::verifier::protocol::key::KeyError;
use lorica::verifier::protocol::proof::{Output, Share};

use crate::config::ModelsConfig;
use crate::error::{Reason, Refusal};
use crate::proto;
use crate::store::{Lease, Word};

pub use checks::{Made, Verdict, Verified};

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
    /// Where the worker finds it.
    pub path: PathBuf,
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
        let base = ServedBase { path: path.into(), key, id, tokenizer, executor };
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

    /// Whether all that a batch needs is served.
    pub fn serves(&self, lease: &Lease) -> bool {
        let mut adapters = lease.members.iter().filter_map(|member| member.adapter);
        self.bases.contains_key(&lease.base)
            && adapters.all(|id| self.adapters.contains_key(&id))
            && lease.datanet.is_none_or(|id| self.datanets.contains_key(&id))
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

    /// That a signed request is for a base and adapter that are served, and its text the one that was signed.
    pub fn expect_request(&self, request: &SignedRequest) -> Result<(), RequestError> {
        let other = || RequestError::OtherBase { id: request.id };
        let id: Word = request.terms.base.to_be_bytes();
        let base = self.bases.get(&id).ok_or_else(other)?;
        request.check_input(&base.key, &base.tokenizer)
    }
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
