//! Checks for auditors: what a proof or a settlement says, and whether it is about what was asked.

use lorica_circuits::bn254::Fr;
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::settlement::{IndexSettlement, Settlement, SettlementError};
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::key::{AdapterCommitments, IndexCommitments};
use lorica_verifier::protocol::verify::Keys;
use lorica_verifier::{
    IndexProof, InferenceProof, RequestWords, RowProof, RowWords, VerifyError, verify_attributed, verify_index,
    verify_rows,
};

use crate::datanet::Version;
use crate::files::{AdapterKey, BaseKey, IndexKey};
use crate::input::Salt;
use crate::kind::Kind;
use crate::srs::{SrsPolicy, SrsPolicyError};

/// Why a proof or settlement is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The keys were made with an SRS that the policy forbids.
    #[error(transparent)]
    Srs(#[from] SrsPolicyError),
    /// The bytes are no proof.
    #[error("the proof file is malformed: {0}")]
    MalformedProof(CodecError),
    /// The bytes are no settlement.
    #[error("the settlement file is malformed: {0}")]
    MalformedSettlement(CodecError),
    /// The proof does not hold.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The proof holds, but not for what the caller named.
    #[error("the proof is not about this input: {0}")]
    Mismatch(#[from] Mismatch),
    /// The settlement does not hold.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
    /// The settlement is of another circuit than the one that was named.
    #[error("the settlement is of circuit 0x{own}, not of 0x{meant}", own = hex::encode(.own), meant = hex::encode(.meant))]
    OtherCircuit {
        /// Its circuit.
        own: [u8; 32],
        /// The circuit that was named.
        meant: [u8; 32],
    },
}

impl CheckError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Srs(error) => error.kind(),
            Self::MalformedProof(_)
            | Self::MalformedSettlement(_)
            | Self::Verify(_)
            | Self::Mismatch(_)
            | Self::Settlement(_)
            | Self::OtherCircuit { .. } => Kind::Rejected,
        }
    }
}

/// What a proof states otherwise than was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Its requests use none of the adapters that were named.
    #[error("it uses none of the adapters given")]
    NoneOfTheAdapters,
    /// It attributes by none of the indexes that were named.
    #[error("it attributes its answers by none of the datanets given")]
    NoneOfTheIndexes,
    /// It has another number of requests.
    #[error("it has {got} requests, {expected} were expected")]
    Requests {
        /// Requests of the proof.
        got: usize,
        /// Requests that were named.
        expected: usize,
    },
    /// A text's token ids differ.
    #[error("request {request} has another text")]
    Text {
        /// Index in the batch.
        request: usize,
    },
    /// An adapter differs.
    #[error("request {request} has another adapter")]
    Adapter {
        /// Index in the batch.
        request: usize,
    },
    /// An input salt differs.
    #[error("request {request} has another salt")]
    Salt {
        /// Index in the batch.
        request: usize,
    },
    /// A row is not the record of that number.
    #[error("row {row} is proven with another {what} than the record of that number has in the datanet's version")]
    Record {
        /// The row.
        row: usize,
        /// What differs.
        what: &'static str,
    },
}

/// What a request of a proof must be.
#[derive(Clone, Debug)]
pub struct ExpectedRequest {
    /// Token ids of its text.
    pub ids: Vec<u32>,
    /// Its adapter's id, zero for none; `None` if any will do.
    pub adapter: Option<Fr>,
    /// Its input salt; `None` if any will do.
    pub salt: Option<Salt>,
}

/// A proof that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The proof; its statement is what was proven.
    pub proof: InferenceProof,
    /// Each request's public words.
    pub words: Vec<RequestWords<Fr>>,
}

/// Checks an inference proof against a base's key and the keys of the adapters and datanet indexes that it may use: that it
/// holds, and is bound to `context`. What its requests are is for [`expect_requests`].
///
/// # Soundness
/// The caller vouches that the keys are the registered ones. Texts, label names and the tokenizer are not part of the proof:
/// it is about token ids and label numbers.
///
/// # Errors
/// [`CheckError`]; of kind [`Kind::Rejected`] if the proof does not hold.
pub fn check_inference(
    base: &BaseKey,
    adapters: &[AdapterKey],
    indexes: &[IndexKey],
    context: Fr,
    bytes: &[u8],
    policy: SrsPolicy,
) -> Result<Accepted, CheckError> {
    permit(base, policy)?;
    let proof = InferenceProof::decode(bytes).map_err(CheckError::MalformedProof)?;
    let words = verify_attributed(base, adapters, indexes, &context, &proof)?;
    Ok(Accepted { proof, words })
}

/// Checks a proof that a datanet's index is in range, bound to `context`.
///
/// # Soundness
/// The caller vouches that the keys are the registered ones.
///
/// # Errors
/// [`CheckError`]; of kind [`Kind::Rejected`] if the proof does not hold, or is another index'.
pub fn check_index(
    base: &BaseKey,
    adapter: &AdapterKey,
    index: &IndexKey,
    context: Fr,
    bytes: &[u8],
    policy: SrsPolicy,
) -> Result<IndexProof, CheckError> {
    permit(base, policy)?;
    let proof = IndexProof::decode(bytes).map_err(CheckError::MalformedProof)?;
    verify_index(base, adapter, index, &context, &proof)?;
    Ok(proof)
}

/// Checks a settlement of an index proof as the contract does.
///
/// # Soundness
/// As [`check_settlement`].
///
/// # Errors
/// As [`check_settlement`].
pub fn check_index_settlement(
    (base, adapter, index): (&BaseKey, &AdapterKey, &IndexKey),
    key: &VerifyingKey,
    circuit: Option<[u8; 32]>,
    bytes: &[u8],
    policy: SrsPolicy,
) -> Result<IndexSettlement, CheckError> {
    permit(base, policy)?;
    let settled = IndexSettlement::decode(bytes).map_err(CheckError::MalformedSettlement)?;
    if let Some(meant) = circuit.filter(|circuit| *circuit != settled.circuit) {
        return Err(CheckError::OtherCircuit { own: settled.circuit, meant });
    }
    settled.check(key, &base.commitments, &adapter.commitments, &index.commitments)?;
    Ok(settled)
}

/// Rows whose proof was accepted.
#[derive(Debug)]
pub struct AcceptedRows {
    /// The proof; its statement is what was proven.
    pub proof: RowProof,
    /// Each row's record digest and word.
    pub words: Vec<RowWords<Fr>>,
}

/// Checks a proof that rows of a datanet's index are the features of texts, bound to `context`. Whether the texts are the
/// version's records is for [`expect_records`].
///
/// # Soundness
/// The caller vouches that the keys are the registered ones.
///
/// # Errors
/// [`CheckError`]; of kind [`Kind::Rejected`] if the proof does not hold, or is another index'.
pub fn check_rows(
    base: &BaseKey,
    adapter: &AdapterKey,
    index: &IndexKey,
    context: Fr,
    bytes: &[u8],
    policy: SrsPolicy,
) -> Result<AcceptedRows, CheckError> {
    permit(base, policy)?;
    let proof = RowProof::decode(bytes).map_err(CheckError::MalformedProof)?;
    let words = verify_rows(base, adapter, index, &context, &proof)?;
    Ok(AcceptedRows { proof, words })
}

/// Whether each proven row is the record of its number: digest, label, weight and slot, which the version's id binds.
///
/// # Errors
/// [`Mismatch::Record`] names the first difference.
pub fn expect_records(accepted: &AcceptedRows, version: &Version) -> Result<(), Mismatch> {
    for (stated, words) in accepted.proof.statement.rows.iter().zip(&accepted.words) {
        let (own, row) = (stated.row, usize::from(stated.row.row));
        let Some(record) = version.records.get(row) else { return Err(Mismatch::Record { row, what: "number" }) };
        let same = [
            ("digest", words.record_digest == record.digest),
            ("label", own.label == record.label),
            ("weight", own.weight == record.weight),
            ("slot", own.slot == record.slot),
        ];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(Mismatch::Record { row, what });
        }
    }
    Ok(())
}

fn permit(base: &BaseKey, policy: SrsPolicy) -> Result<(), SrsPolicyError> {
    policy.permit(base.verifier_key().is_insecure(), || "the base's SRS".to_owned())
}

/// Whether a proof is about these requests.
///
/// # Errors
/// [`Mismatch`] names the first difference.
pub fn expect_requests(proof: &InferenceProof, expected: &[ExpectedRequest]) -> Result<(), Mismatch> {
    let stated = &proof.statement.requests;
    if stated.len() != expected.len() {
        return Err(Mismatch::Requests { got: stated.len(), expected: expected.len() });
    }
    for (request, (stated, expected)) in stated.iter().zip(expected).enumerate() {
        if stated.ids != expected.ids {
            return Err(Mismatch::Text { request });
        }
        if expected.adapter.is_some_and(|id| id != stated.adapter) {
            return Err(Mismatch::Adapter { request });
        }
        if expected.salt.is_some_and(|salt| salt != stated.salt) {
            return Err(Mismatch::Salt { request });
        }
    }
    Ok(())
}

/// Whether a proof attributes by one of these indexes.
///
/// # Errors
/// [`Mismatch::NoneOfTheIndexes`].
pub fn expect_some_index(proof: &InferenceProof, indexes: &[IndexKey]) -> Result<(), Mismatch> {
    let used = |key: &IndexKey| proof.statement.attribution.is_some_and(|own| own.index == key.id());
    if indexes.is_empty() || indexes.iter().any(used) { Ok(()) } else { Err(Mismatch::NoneOfTheIndexes) }
}

/// Whether a proof uses at least one of these adapters.
///
/// # Errors
/// [`Mismatch::NoneOfTheAdapters`].
pub fn expect_some_adapter(proof: &InferenceProof, adapters: &[AdapterKey]) -> Result<(), Mismatch> {
    let used = |id: Fr| adapters.iter().any(|key| key.commitments.id() == id);
    if adapters.is_empty() || proof.statement.requests.iter().any(|request| used(request.adapter)) {
        return Ok(());
    }
    Err(Mismatch::NoneOfTheAdapters)
}

/// Checks a settlement as the contract does. Which binding it has, the caller compares with the one that it means.
///
/// # Soundness
/// The caller vouches that the keys are the registered ones. A settlement key can lie: pass `circuit`, an id from somebody
/// that you trust or of a key that you made yourself.
///
/// # Errors
/// [`CheckError`]; of kind [`Kind::Rejected`] if the settlement does not hold.
pub fn check_settlement(
    base: &BaseKey,
    adapters: &[AdapterKey],
    indexes: &[IndexKey],
    key: &VerifyingKey,
    circuit: Option<[u8; 32]>,
    bytes: &[u8],
    policy: SrsPolicy,
) -> Result<Settlement, CheckError> {
    permit(base, policy)?;
    let settled = Settlement::decode(bytes).map_err(CheckError::MalformedSettlement)?;
    if let Some(meant) = circuit.filter(|circuit| *circuit != settled.circuit) {
        return Err(CheckError::OtherCircuit { own: settled.circuit, meant });
    }
    let adapters: Vec<AdapterCommitments> = adapters.iter().map(|key| key.commitments.clone()).collect();
    let indexes: Vec<IndexCommitments> = indexes.iter().map(|key| key.commitments.clone()).collect();
    settled.check(key, &base.commitments, Keys { adapters: &adapters, indexes: &indexes })?;
    Ok(settled)
}
