//! What somebody made is judged by the models that are served: a worker's proof or settlement of a batch, anybody's proof.

use std::collections::BTreeMap;

use lorica::Fr;
use lorica::check::{Accepted, CheckError, ExpectedRequest, check_inference, check_settlement, expect_requests};
use lorica::circuits::shape::SHARE_WORDS;
use lorica::files::{AdapterKey, IndexKey};
use lorica::input::input_word;
use lorica::settlement::key::VerifyingKey;
use lorica::verifier::protocol::keccak::{decode_scalar, encode_scalar};
use lorica::verifier::protocol::proof::shares_of;
use prost::Message;

use super::{Models, ServedDatanet, answer, listed, name};
use crate::error::{Reason, Refusal};
use crate::proto;
use crate::store::{Lease, ProvenShape, Word};
use crate::target::Target;

/// What a proof says.
pub struct Verified {
    /// The base's id.
    pub base: Word,
    /// The id of the index by which the answers are attributed.
    pub datanet: Option<Word>,
    /// What was proven.
    pub requests: Vec<proto::ProvenRequest>,
}

/// What a worker made of a batch.
pub enum Made {
    /// A proof.
    Proof(Vec<u8>),
    /// A settlement, and the key that checks it.
    Settlement {
        /// The settlement.
        bytes: Vec<u8>,
        /// Of its circuit.
        key: Vec<u8>,
    },
}

/// Why a proof is not accepted.
pub enum Verdict {
    /// It does not hold.
    Rejected(String),
    /// It cannot be judged here.
    Refused(Refusal),
}

impl Models {
    /// The datanet by whose index a batch attributes.
    fn index_of(&self, lease: &Lease) -> Result<Option<&ServedDatanet>, String> {
        let find = |id| self.datanets.get(id).ok_or_else(|| "the datanet is served no more".to_owned());
        lease.datanet.as_ref().map(find).transpose()
    }

    /// Whether what was made is of exactly this batch, and what was wanted of it. A worker is not believed.
    pub fn expect_made_of(&self, lease: &Lease, made: &Made) -> Result<ProvenShape, String> {
        match (made, &lease.binding) {
            (Made::Proof(bytes), None) => self.expect_proof_of(lease, bytes),
            (Made::Settlement { bytes, key }, Some(_)) => self.expect_settlement_of(lease, bytes, key),
            (Made::Proof(_), Some(_)) => Err("a settlement is wanted, and a proof was made".into()),
            (Made::Settlement { .. }, None) => Err("a proof is wanted, and a settlement was made".into()),
        }
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
        let index = self.index_of(lease)?;
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
        // As many words for each answer, or none at all: the check has compared.
        let mut words = settled.shares.chunks(SHARE_WORDS);
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
            let shares = shares_of(words.next().unwrap_or_default()).ok_or("words of shares that have no meaning")?;
            if listed(&shares) != given.shares {
                return Err(format!("request {place} has other shares than were given"));
            }
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(ProvenShape { requests: number(shape.requests), tokens: number(shape.tokens), log_tile: shape.log_tile })
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
        let index = self.index_of(lease)?;
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
