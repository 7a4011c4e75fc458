//! Files in, JSON out.

use lorica_circuits::bn254::Fr;
use lorica_settlement_check::{Settlement, VerifyingKey};
use lorica_verifier::files::magic::{
    ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, BASE_KEY_MAGIC, BASE_MAGIC, PROOF_MAGIC, SETTLEMENT_KEY_MAGIC, SETTLEMENT_MAGIC,
};
use lorica_verifier::protocol::keccak::decode_scalar;
use lorica_verifier::{AdapterKey, BaseKey, InferenceProof, verify};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::report::{proof_report, settlement_report, word};

/// What the person at the page expects; each is `0x` and 64 hexadecimal digits, or empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// The base's id.
    pub base: String,
    /// The word that an inference proof is bound to; zero if absent, as for `lorica verify`.
    pub context: String,
    /// The circuit of a settlement.
    pub circuit: String,
}

/// Why there is nothing to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who has to act.
    pub kind: Kind,
    /// A sentence.
    pub message: String,
}

/// Kinds of failures, as those of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The proof does not hold, or says something else than was asked.
    Rejected,
    /// A file is missing, or one is too many.
    Usage,
    /// A key was refused.
    Input,
}

impl Kind {
    /// Its name and the command's exit code.
    #[must_use]
    pub fn name(self) -> (&'static str, u8) {
        match self {
            Self::Rejected => ("rejected", 1),
            Self::Usage => ("usage", 2),
            Self::Input => ("input", 3),
        }
    }

    fn error(self, message: impl ToString) -> Failure {
        Failure { kind: self, message: message.to_string() }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Proof,
    Settlement,
    Base,
    Adapter,
    SettlementKey,
    Other,
}

impl FileKind {
    fn of(bytes: &[u8]) -> Self {
        match bytes.first_chunk::<8>() {
            Some(PROOF_MAGIC) => Self::Proof,
            Some(SETTLEMENT_MAGIC) => Self::Settlement,
            Some(BASE_KEY_MAGIC | BASE_MAGIC) => Self::Base,
            Some(ADAPTER_KEY_MAGIC | ADAPTER_MAGIC) => Self::Adapter,
            Some(SETTLEMENT_KEY_MAGIC) => Self::SettlementKey,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Settlement => "settlement",
            Self::Base => "base key",
            Self::Adapter => "adapter key",
            Self::SettlementKey => "settlement key",
            Self::Other => "none of Lorica's files",
        }
    }
}

/// A word that a person has entered; none if the field is empty.
fn entered(name: &str, text: &str) -> Result<Option<[u8; 32]>, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()).and_then(|b| b.try_into().ok());
    bytes.map(Some).ok_or_else(|| Kind::Usage.error(format!("{name}: 0x and 64 hexadecimal digits are needed")))
}

fn entered_scalar(name: &str, text: &str) -> Result<Option<Fr>, Failure> {
    entered(name, text)?
        .map(|bytes| decode_scalar(&bytes).map_err(|error| Kind::Usage.error(format!("{name}: {error}"))))
        .transpose()
}

/// The only file of a kind.
fn only<'f>(files: &[(FileKind, &'f [u8])], kind: FileKind) -> Result<Option<&'f [u8]>, Failure> {
    let mut own = files.iter().filter(|(own, _)| *own == kind).map(|(_, bytes)| *bytes);
    match (own.next(), own.next()) {
        (first, None) => Ok(first),
        _ => Err(Kind::Usage.error(format!("there is more than one {}", kind.name()))),
    }
}

fn wanted<'f>(files: &[(FileKind, &'f [u8])], kind: FileKind) -> Result<&'f [u8], Failure> {
    only(files, kind)?.ok_or_else(|| Kind::Usage.error(format!("a {} is needed", kind.name())))
}

fn keys(files: &[(FileKind, &[u8])], expected: &Expected) -> Result<(BaseKey, Vec<AdapterKey>), Failure> {
    let refuse = |error: &dyn ToString| Kind::Input.error(format!("base key: {}", error.to_string()));
    let base = BaseKey::decode(wanted(files, FileKind::Base)?).map_err(|error| refuse(&error))?;
    base.commitments.validate().map_err(|error| refuse(&error))?;
    let id = base.id();
    if let Some(meant) = entered_scalar("base", &expected.base)?.filter(|meant| *meant != id) {
        return Err(Kind::Rejected.error(format!("the base is {}, not {}", word(&id), word(&meant))));
    }
    let mut adapters = Vec::new();
    for (_, bytes) in files.iter().filter(|(kind, _)| *kind == FileKind::Adapter) {
        let refuse = |error: &dyn ToString| Kind::Input.error(format!("adapter key: {}", error.to_string()));
        let key = AdapterKey::decode(bytes).map_err(|error| refuse(&error))?;
        if key.commitments.base != id {
            return Err(refuse(&"the adapter was imported for another base"));
        }
        key.commitments.validate(&base.commitments).map_err(|error| refuse(&error))?;
        adapters.push(key);
    }
    Ok((base, adapters))
}

/// Checks an inference proof, as `lorica verify --proof` does without a text.
fn check_proof(bytes: &[u8], files: &[(FileKind, &[u8])], expected: &Expected) -> Result<Value, Failure> {
    let (base, adapters) = keys(files, expected)?;
    let context = entered_scalar("context", &expected.context)?.unwrap_or(Fr::zero());
    let proof = InferenceProof::decode(bytes)
        .map_err(|error| Kind::Rejected.error(format!("the proof file is malformed: {error}")))?;
    let words = verify(&base, &adapters, &context, &proof).map_err(|error| Kind::Rejected.error(error))?;
    let used = |key: &AdapterKey| proof.statement.requests.iter().any(|request| request.adapter == key.id());
    if !adapters.is_empty() && !adapters.iter().any(used) {
        return Err(Kind::Rejected.error("the proof is not about this input: it uses none of the adapters given"));
    }
    let base_compared = !expected.base.trim().is_empty();
    Ok(proof_report(&base, &adapters, &proof, &words, base_compared, bytes.len()))
}

/// Checks a settlement, as `lorica verify --settlement` does.
fn check_settlement(bytes: &[u8], files: &[(FileKind, &[u8])], expected: &Expected) -> Result<Value, Failure> {
    let key =
        VerifyingKey::decode(wanted(files, FileKind::SettlementKey)?).map_err(|error| Kind::Input.error(error))?;
    let (base, adapters) = keys(files, expected)?;
    let settlement = Settlement::decode(bytes)
        .map_err(|error| Kind::Rejected.error(format!("the settlement file is malformed: {error}")))?;
    let circuit = entered("circuit", &expected.circuit)?;
    if let Some(meant) = circuit.filter(|meant| *meant != settlement.circuit) {
        let [own, meant] = [settlement.circuit, meant].map(hex::encode);
        return Err(Kind::Rejected.error(format!("the settlement is of circuit 0x{own}, not of 0x{meant}")));
    }
    let commitments: Vec<_> = adapters.iter().map(|key| key.commitments.clone()).collect();
    settlement.check(&key, &base.commitments, &commitments).map_err(|error| Kind::Rejected.error(error))?;
    let compared = (!expected.base.trim().is_empty(), circuit.is_some());
    Ok(settlement_report(&key, &base, &adapters, &settlement, compared, bytes.len()))
}

/// Checks what is among the files.
///
/// # Soundness
/// As [`verify`] and [`Settlement::check`]: the report's `not_checked` lists what the reader still owes.
///
/// # Errors
/// [`Failure`], of kind [`Kind::Rejected`] if the proof does not hold or is about something else.
pub fn check(files: &[&[u8]], expected: &Expected) -> Result<Value, Failure> {
    let files: Vec<(FileKind, &[u8])> = files.iter().map(|bytes| (FileKind::of(bytes), *bytes)).collect();
    if files.iter().any(|(kind, _)| *kind == FileKind::Other) {
        return Err(Kind::Input.error("a file is none of Lorica's: a proof, a settlement, or a key is needed"));
    }
    match (only(&files, FileKind::Proof)?, only(&files, FileKind::Settlement)?) {
        (Some(bytes), None) => check_proof(bytes, &files, expected),
        (None, Some(bytes)) => check_settlement(bytes, &files, expected),
        (None, None) => Err(Kind::Usage.error("a proof or a settlement is needed")),
        (Some(_), Some(_)) => Err(Kind::Usage.error("a proof or a settlement is needed, not both")),
    }
}

/// [`check`] of one input: parts, each with its length before it in four bytes, little-endian. The first is [`Expected`] as
/// JSON, the others are files. The answer also names the kinds of the files, in their order.
#[must_use]
pub fn run(input: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut rest = input;
    let whole = loop {
        if rest.is_empty() {
            break true;
        }
        let Some((length, others)) = rest.split_first_chunk::<4>() else { break false };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((part, others)) = others.split_at_checked(length) else { break false };
        parts.push(part);
        rest = others;
    };
    let (first, files) = parts.split_first().map_or((&b""[..], &[][..]), |(first, files)| (*first, files));
    let result = match serde_json::from_slice::<Expected>(first) {
        Ok(expected) if whole => check(files, &expected),
        _ => Err(Kind::Usage.error("the input is not made of parts")),
    };
    let mut answer = result.unwrap_or_else(|Failure { kind, message }| {
        let (kind, exit_code) = kind.name();
        json!({ "schema": "lorica.error/1", "kind": kind, "exit_code": exit_code, "message": message })
    });
    if let Value::Object(answer) = &mut answer {
        let kinds: Vec<&str> = files.iter().map(|bytes| FileKind::of(bytes).name()).collect();
        answer.insert("files".into(), json!(kinds));
    }
    answer.to_string()
}
