//! A request for an inference on chain: its terms, signed by the requester, and the text for the prover.
//!
//! ```json
//! { "schema": "lorica.request/2", "chain_id": 31337, "escrow": "0x…", "id": "0x…", "signature": "0x…",
//!   "terms": { "requester": "0x…", "base": "0x…", "adapter": "0x…", "input_digest": "0x…", "kind": "classify",
//!              "routes": "0x…", "max_fee": "…", "min_fee": "…", "ramp_start": 0, "ramp_time": 0, "token": "0x…",
//!              "deadline": 1790000000, "prover": "0x…", "accept_time": 0, "stake": "…", "consumer": "0x…",
//!              "consumer_gas": 0, "salt": "0x…" },
//!   "input": { "text": "…", "salt": "31 bytes" } }
//! ```
//! `escrow` is the escrow, or that of prepaid requests: the request is signed under its domain.
//! Only the terms go on chain; whoever has the file knows the text. Amounts are in the token's smallest unit.

use std::path::{Path, PathBuf};

use lorica_chain::abi;
use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::alloy_primitives::aliases::U96;
use lorica_chain::alloy_primitives::ruint::UintTryFrom;
use lorica_chain::alloy_primitives::{Address, B256, Bytes, Signature, SignatureError, U256};
use lorica_chain::chain::Chain;
use lorica_chain::contracts::escrow::{Escrow, Funding};
use lorica_chain::contracts::market::Market;
use lorica_chain::error::ChainError;
use lorica_circuits::error::CircuitError;
use lorica_circuits::shape::OutputKind;
use lorica_quant::import::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::files::{BaseKey, FileError, store};
use crate::input::{InputError, Salt, WordError, encode, input_word, parse_salt};
use crate::kind::Kind as ErrorKind;

/// What embeddings were before their kind was withdrawn.
const WITHDRAWN_EMBEDDING: u8 = 0;

/// Largest request file.
const MAX_BYTES: u64 = 1 << 20;
const SCHEMA: &str = "lorica.request/2";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    chain_id: u64,
    escrow: Address,
    id: B256,
    signature: Bytes,
    terms: Terms,
    input: Input,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    requester: Address,
    base: B256,
    adapter: B256,
    input_digest: B256,
    kind: Kind,
    routes: B256,
    /// Decimal.
    max_fee: String,
    /// Decimal.
    min_fee: String,
    ramp_start: u64,
    ramp_time: u32,
    token: Address,
    deadline: u64,
    prover: Address,
    accept_time: u32,
    /// Decimal.
    stake: String,
    consumer: Address,
    consumer_gas: u32,
    salt: B256,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Embed,
    Classify,
}

impl From<Kind> for OutputKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Embed => Self::Embed,
            Kind::Classify => Self::Classify,
        }
    }
}

impl From<OutputKind> for Kind {
    fn from(kind: OutputKind) -> Self {
        match kind {
            OutputKind::Embed => Self::Embed,
            OutputKind::Classify => Self::Classify,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    text: String,
    salt: String,
}

/// A request with its signature and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// What is signed.
    pub terms: InferenceRequest,
    /// Which escrow pays for it.
    pub funding: Funding,
    /// The id on chain.
    pub id: B256,
    /// By the requester.
    pub signature: Bytes,
    /// For the prover.
    pub text: String,
    /// Of the input digest.
    pub salt: Salt,
}

/// Why a signed request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is wrong in a file.
    #[error("{path}: {source}", path = .path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<RequestError>,
    },
    /// It is no JSON of this form.
    #[error("not a request: {0}")]
    Json(serde_json::Error),
    /// It is of another version.
    #[error("its schema is {got:?}, not {SCHEMA:?}: sign the request again")]
    Schema {
        /// What the file says.
        got: String,
    },
    /// It is for another escrow or chain.
    #[error("for the escrow {escrow} on chain {chain_id}, not {own_escrow} on chain {own_chain_id}")]
    OtherEscrow {
        /// The escrow that the file names.
        escrow: Address,
        /// Its chain.
        chain_id: u64,
        /// The escrow that is meant.
        own_escrow: Address,
        /// Its chain.
        own_chain_id: u64,
    },
    /// An amount is no number.
    #[error("{name} is no number that a request has a place for")]
    Amount {
        /// The field.
        name: &'static str,
    },
    /// The id is not that of the terms.
    #[error("the id is {id}, that of its terms is {expected}")]
    Id {
        /// What the file says.
        id: B256,
        /// The terms' own.
        expected: B256,
    },
    /// Somebody else than the requester signed it.
    #[error("signed by {signer}, the requester is {requester}")]
    Signer {
        /// Who signed.
        signer: Address,
        /// Who had to.
        requester: Address,
    },
    /// The signature is none.
    #[error("its signature, {bytes} bytes long, is none: {reason}")]
    Signature {
        /// Its length.
        bytes: usize,
        /// Why.
        reason: SignatureError,
    },
    /// The input salt is none.
    #[error("salt: {0}")]
    Salt(WordError),
    /// Its kind of output is withdrawn.
    #[error("{0}; sign the request again")]
    Withdrawn(CircuitError),
    /// One request is there twice.
    #[error("the request {id} is there twice")]
    Twice {
        /// Its id.
        id: B256,
    },
    /// It is for another base.
    #[error("the request {id} is for another base")]
    OtherBase {
        /// Its id.
        id: B256,
    },
    /// Its text is not the one that was signed.
    #[error("the text of the request {id} is not what its digest says")]
    OtherText {
        /// Its id.
        id: B256,
    },
    /// Its text has no token ids.
    #[error(transparent)]
    Text(#[from] InputError),
    /// The chain does not say whether the requester is a contract.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl RequestError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::File(error) => error.kind(),
            Self::In { source, .. } => source.kind(),
            Self::Text(error) => error.kind(),
            Self::Chain(error) => ErrorKind::of_chain(error),
            Self::Json(_)
            | Self::Schema { .. }
            | Self::OtherEscrow { .. }
            | Self::Amount { .. }
            | Self::Id { .. }
            | Self::Signer { .. }
            | Self::Signature { .. }
            | Self::Salt(_)
            | Self::Withdrawn(_)
            | Self::Twice { .. }
            | Self::OtherBase { .. }
            | Self::OtherText { .. } => ErrorKind::Input,
        }
    }

    fn at(path: &Path) -> impl FnOnce(Self) -> Self {
        move |source| match source {
            // What a chain or a disk says is not about the file.
            Self::Chain(_) | Self::File(_) => source,
            source => Self::In { path: path.into(), source: Box::new(source) },
        }
    }
}

fn escrow_of(market: &Market, funding: Funding) -> Escrow {
    match funding {
        Funding::Locked => market.escrow(),
        Funding::Prepaid => market.prepaid().0,
    }
}

fn funding_of(market: &Market, chain_id: u64, escrow: Address) -> Result<Funding, RequestError> {
    let (own_escrow, own_chain_id) = (market.escrow, market.contracts.chain_id);
    match escrow {
        _ if chain_id != own_chain_id => {}
        escrow if escrow == market.escrow => return Ok(Funding::Locked),
        escrow if escrow == market.prepaid => return Ok(Funding::Prepaid),
        _ => {}
    }
    Err(RequestError::OtherEscrow { escrow, chain_id, own_escrow, own_chain_id })
}

impl SignedRequest {
    /// Reads a request and checks that the id is the terms' under this escrow, and that the requester signed it. What a
    /// contract wallet says of its signature is left to the escrow.
    ///
    /// # Errors
    /// [`RequestError`] says what is wrong.
    pub fn parse(json: &[u8], market: &Market, chain: &mut impl Chain) -> Result<Self, RequestError> {
        let request = Self::parse_even_withdrawn(json, market, chain)?;
        OutputKind::from_number(request.terms.kind).map_err(RequestError::Withdrawn)?;
        Ok(request)
    }

    /// [`parse`](Self::parse), also of an embedding that was signed before its kind was withdrawn: its fee may be locked, and
    /// can be taken back.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_even_withdrawn(json: &[u8], market: &Market, chain: &mut impl Chain) -> Result<Self, RequestError> {
        let request = Self::decode(json, market)?;
        request.expect_signed(chain)?;
        Ok(request)
    }

    /// Reads a request and checks all but who signed it: needs no chain.
    ///
    /// # Errors
    /// [`RequestError`] says what is wrong.
    pub fn decode(json: &[u8], market: &Market) -> Result<Self, RequestError> {
        let file: File = serde_json::from_slice(json).map_err(RequestError::Json)?;
        let File { schema, chain_id, escrow, id, signature, terms, input } = file;
        if schema != SCHEMA {
            return Err(RequestError::Schema { got: schema });
        }
        let funding = funding_of(market, chain_id, escrow)?;
        let own = escrow_of(market, funding);
        let amount = |text: &str, name| U256::from_str_radix(text, 10).map_err(|_| RequestError::Amount { name });
        let mut terms = InferenceRequest {
            requester: terms.requester,
            base: terms.base.into(),
            adapter: terms.adapter.into(),
            inputDigest: terms.input_digest.into(),
            kind: OutputKind::from(terms.kind).number(),
            routes: terms.routes.into(),
            maxFee: amount(&terms.max_fee, "max_fee")?,
            minFee: amount(&terms.min_fee, "min_fee")?,
            rampStart: terms.ramp_start,
            rampTime: terms.ramp_time,
            token: terms.token,
            deadline: terms.deadline,
            prover: terms.prover,
            acceptTime: terms.accept_time,
            stake: U96::uint_try_from(amount(&terms.stake, "stake")?)
                .map_err(|_| RequestError::Amount { name: "stake" })?,
            consumer: terms.consumer,
            consumerGas: terms.consumer_gas,
            salt: terms.salt.into(),
        };
        let expected = own.request_id(&terms);
        if expected != id {
            // Both are "embed" in a file: which one it is, its id says.
            let withdrawn = InferenceRequest { kind: WITHDRAWN_EMBEDDING, ..terms.clone() };
            if terms.kind != OutputKind::Embed.number() || own.request_id(&withdrawn) != id {
                return Err(RequestError::Id { id, expected });
            }
            terms = withdrawn;
        }
        let salt = parse_salt(&input.salt).map_err(RequestError::Salt)?;
        Ok(Self { terms, funding, id, signature, text: input.text, salt })
    }

    /// A request from its parts, for an escrow by its address. Who signed it is for [`expect_signed`](Self::expect_signed).
    ///
    /// # Errors
    /// [`RequestError::OtherEscrow`], [`RequestError::Withdrawn`].
    pub fn from_parts(
        market: &Market,
        (chain_id, escrow): (u64, Address),
        terms: InferenceRequest,
        signature: Bytes,
        text: String,
        salt: Salt,
    ) -> Result<Self, RequestError> {
        let funding = funding_of(market, chain_id, escrow)?;
        OutputKind::from_number(terms.kind).map_err(RequestError::Withdrawn)?;
        let id = escrow_of(market, funding).request_id(&terms);
        Ok(Self { terms, funding, id, signature, text, salt })
    }

    /// That the requester signed it. What a contract wallet says of its signature is left to the escrow; the chain is asked only
    /// if somebody else signed, or nobody.
    ///
    /// # Errors
    /// [`RequestError::Signer`], [`RequestError::Signature`], [`RequestError::Chain`].
    pub fn expect_signed(&self, chain: &mut impl Chain) -> Result<(), RequestError> {
        let (requester, signature) = (self.terms.requester, &self.signature);
        let signer = Signature::try_from(signature.as_ref());
        let signer = signer.and_then(|known| known.recover_address_from_prehash(&self.id));
        if signer.as_ref().ok() != Some(&requester) && chain.code(requester)?.is_empty() {
            return Err(match signer {
                Ok(signer) => RequestError::Signer { signer, requester },
                Err(reason) => RequestError::Signature { bytes: signature.len(), reason },
            });
        }
        Ok(())
    }

    /// [`parse`](Self::parse) of a file.
    ///
    /// # Errors
    /// [`RequestError`] names the file.
    pub fn read(path: &Path, market: &Market, chain: &mut impl Chain) -> Result<Self, RequestError> {
        Self::parse(&store::read(path, MAX_BYTES)?, market, chain).map_err(RequestError::at(path))
    }

    /// [`parse_even_withdrawn`](Self::parse_even_withdrawn) of a file.
    ///
    /// # Errors
    /// [`RequestError`] names the file.
    pub fn read_even_withdrawn(path: &Path, market: &Market, chain: &mut impl Chain) -> Result<Self, RequestError> {
        let bytes = store::read(path, MAX_BYTES)?;
        Self::parse_even_withdrawn(&bytes, market, chain).map_err(RequestError::at(path))
    }

    /// Reads several files, in the order of their ids, as a batch needs them.
    ///
    /// # Errors
    /// [`RequestError`], also for one request twice.
    pub fn read_all(
        paths: &[impl AsRef<Path>],
        market: &Market,
        chain: &mut impl Chain,
    ) -> Result<Vec<Self>, RequestError> {
        let mut all: Vec<Self> =
            paths.iter().map(|path| Self::read(path.as_ref(), market, chain)).collect::<Result<_, _>>()?;
        all.sort_by_key(|request| request.id);
        match all.array_windows().find(|[a, b]| a.id == b.id) {
            Some([_, twice]) => Err(RequestError::Twice { id: twice.id }),
            None => Ok(all),
        }
    }

    /// The file's content.
    ///
    /// # Errors
    /// [`RequestError::Withdrawn`] for a kind of output that is not signed any more.
    pub fn to_json(&self, market: &Market) -> Result<String, RequestError> {
        let terms = &self.terms;
        let file = File {
            schema: SCHEMA.into(),
            chain_id: market.contracts.chain_id,
            escrow: self.escrow(market).address(),
            id: self.id,
            signature: self.signature.clone(),
            terms: Terms {
                requester: terms.requester,
                base: terms.base.into(),
                adapter: terms.adapter.into(),
                input_digest: terms.inputDigest.into(),
                kind: OutputKind::from_number(terms.kind).map_err(RequestError::Withdrawn)?.into(),
                routes: terms.routes.into(),
                max_fee: terms.maxFee.to_string(),
                min_fee: terms.minFee.to_string(),
                ramp_start: terms.rampStart,
                ramp_time: terms.rampTime,
                token: terms.token,
                deadline: terms.deadline,
                prover: terms.prover,
                accept_time: terms.acceptTime,
                stake: terms.stake.to_string(),
                consumer: terms.consumer,
                consumer_gas: terms.consumerGas,
                salt: terms.salt.into(),
            },
            input: Input { text: self.text.clone(), salt: hex::encode(self.salt) },
        };
        serde_json::to_string_pretty(&file).map(|content| format!("{content}\n")).map_err(RequestError::Json)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`RequestError`] names the file.
    pub fn write(&self, path: &Path, market: &Market) -> Result<(), RequestError> {
        let content = self.to_json(market).map_err(RequestError::at(path))?;
        Ok(store::write(path, content.as_bytes())?)
    }

    /// The escrow that pays for it.
    #[must_use]
    pub fn escrow(&self, market: &Market) -> Escrow {
        escrow_of(market, self.funding)
    }

    /// That the request is for this base, and its digest the text's under the base's tokenizer.
    ///
    /// # Errors
    /// [`RequestError`] names the request.
    pub fn check_input(&self, base: &BaseKey, tokenizer: &Tokenizer) -> Result<(), RequestError> {
        if self.terms.base != abi::word(&base.commitments.id()) {
            return Err(RequestError::OtherBase { id: self.id });
        }
        let ids = encode(tokenizer, 0, &self.text)?;
        let digest = input_word(&self.salt, &ids, base.commitments.architecture.max_tokens);
        if abi::word(&digest) != self.terms.inputDigest {
            return Err(RequestError::OtherText { id: self.id });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
