//! What goes in: texts, their salts and token ids, and files of requests as JSON lines.

use std::path::{Path, PathBuf};

use lorica_chain::alloy_primitives::B256;
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::{MAX_REQUESTS, MAX_TOKENS};
use lorica_quant::import::{EncodeError, Tokenizer, TokenizerError};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::keccak::decode_scalar;
use lorica_verifier::protocol::statement::input_digest;
use lorica_verifier::protocol::verify::salt_scalar;
use serde::Deserialize;

use crate::files::{BaseKey, FileError, store};
use crate::kind::Kind;
pub use crate::salt::Salt;

/// Largest file of texts or requests.
pub const MAX_TEXT_BYTES: u64 = 256 << 20;

/// Why an input is refused.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A text that the tokenizer refuses.
    #[error("request {request}: {source}")]
    Text {
        /// Index in the batch.
        request: usize,
        /// Why.
        source: EncodeError,
    },
    /// A text that fits where the model is imported for longer texts.
    #[error("request {request}: {source}; the model takes it when it is imported for texts of {MAX_TOKENS} tokens")]
    LongText {
        /// Index in the batch.
        request: usize,
        /// Both numbers.
        source: EncodeError,
    },
    /// The tokenizer inside a key is none.
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// A batch has 1 to 16 requests.
    #[error("a batch has 1 to {MAX_REQUESTS} requests, {path} has {got}", path = .path.display())]
    Count {
        /// The file of requests.
        path: PathBuf,
        /// Its requests.
        got: usize,
    },
    /// The file of requests.
    #[error(transparent)]
    File(#[from] FileError),
    /// No randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

impl InputError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Randomness(_) => Kind::Environment,
            Self::Text { .. } | Self::LongText { .. } | Self::Tokenizer(_) | Self::Count { .. } => Kind::Input,
        }
    }
}

/// Why digits are no word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Something else than hexadecimal digits.
    #[error("hexadecimal is expected")]
    Digits,
    /// A salt has 31 bytes.
    #[error("31 bytes are expected, got {0}")]
    SaltBytes(usize),
    /// A word has up to 32 bytes.
    #[error("1 to 64 hexadecimal digits are expected, got {0}")]
    WordDigits(usize),
    /// A word is below the modulus.
    #[error("the context must be below the BN254 scalar field's modulus")]
    Modulus,
}

/// The tokenizer of a base.
///
/// # Errors
/// [`InputError::Tokenizer`] if the key holds none.
pub fn tokenizer(base: &BaseKey) -> Result<Tokenizer, InputError> {
    let architecture = &base.commitments.architecture;
    Ok(Tokenizer::from_bytes(&base.tokenizer_json, architecture.vocab, architecture.max_tokens)?)
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The text.
    pub text: String,
    /// The adapter's file; `None` is the null adapter (for `verify`: not stated).
    pub adapter: Option<PathBuf>,
    /// The input salt; `None` is random (for `verify`: not stated).
    pub salt: Option<Salt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
    #[serde(default)]
    adapter: Option<PathBuf>,
    #[serde(default)]
    salt: Option<String>,
}

/// Reads a requests file: `text`, optional `adapter`, optional `salt` per line. Empty lines are skipped. Paths of
/// adapters are relative to the current folder.
///
/// # Errors
/// [`FileError::Line`] names the line; [`InputError::Count`] if there are none or too many.
pub fn read_requests(path: &Path) -> Result<Vec<Request>, InputError> {
    let mut requests = Vec::new();
    for (line, content) in lines(path)? {
        let refuse = |reason: String| FileError::Line { path: path.into(), line, reason };
        let record: Line = serde_json::from_str(&content).map_err(|error| refuse(describe(&error)))?;
        let salt = record.salt.as_deref().map(parse_salt).transpose();
        let salt = salt.map_err(|error| refuse(format!("salt: {error}")))?;
        requests.push(Request { text: record.text, adapter: record.adapter, salt });
    }
    if requests.is_empty() || requests.len() > MAX_REQUESTS {
        return Err(InputError::Count { path: path.into(), got: requests.len() });
    }
    Ok(requests)
}

/// A labelled text of `adapter import --texts`; other keys are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct LabelledText {
    /// The text.
    pub text: String,
    /// The name of the right label.
    #[serde(default)]
    pub label: Option<String>,
}

/// Reads a file of labelled texts, one JSON object per line.
///
/// # Errors
/// [`FileError::Line`] names the line.
pub fn read_labelled(path: &Path) -> Result<Vec<LabelledText>, FileError> {
    lines(path)?
        .into_iter()
        .map(|(line, content)| {
            serde_json::from_str(&content).map_err(|error| FileError::Line {
                path: path.into(),
                line,
                reason: describe(&error),
            })
        })
        .collect()
}

/// Lines that are not empty, with their numbers from 1.
///
/// # Errors
/// If the file cannot be read or is not UTF-8.
pub fn lines(path: &Path) -> Result<Vec<(usize, String)>, FileError> {
    let bytes = store::read(path, MAX_TEXT_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| FileError::content(path, "the file is not UTF-8"))?;
    let numbered = (1..).zip(text.split('\n')).map(|(line, content)| (line, content.trim_end_matches('\r').to_owned()));
    Ok(numbered.filter(|(_, content)| !content.trim().is_empty()).collect())
}

/// serde's message without the line and column inside of the line, and without the line's content.
fn describe(error: &serde_json::Error) -> String {
    format!("not a request: {error}")
}

/// 31 bytes in hexadecimal, with or without `0x`.
///
/// # Errors
/// [`WordError`].
pub fn parse_salt(text: &str) -> Result<Salt, WordError> {
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| WordError::Digits)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| WordError::SaltBytes(length))
}

/// Up to 32 bytes in hexadecimal as a big-endian integer below r.
///
/// # Errors
/// [`WordError`].
pub fn parse_context(text: &str) -> Result<Context, WordError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 64 {
        return Err(WordError::WordDigits(digits.len()));
    }
    let mut bytes = [0u8; 32];
    hex::decode_to_slice(format!("{digits:0>64}"), &mut bytes).map_err(|_| WordError::Digits)?;
    decode_scalar(&bytes).map(Context).map_err(|_| WordError::Modulus)
}

/// The word that binds a proof to its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context(pub Fr);

/// The context that was given, or zero.
#[must_use]
pub fn context_word(context: Option<Context>) -> Fr {
    context.map_or(Fr::zero(), |context| context.0)
}

/// A fresh input salt.
///
/// # Errors
/// [`InputError::Randomness`].
pub fn random_salt() -> Result<Salt, InputError> {
    let mut salt = [0; 31];
    getrandom::fill(&mut salt).map_err(InputError::Randomness)?;
    Ok(salt)
}

/// A random word of the chain: the salt of a request or a reservation.
///
/// # Errors
/// [`InputError::Randomness`].
pub fn random_word() -> Result<B256, InputError> {
    let mut word = [0; 32];
    getrandom::fill(&mut word).map_err(InputError::Randomness)?;
    Ok(word.into())
}

/// Token ids of a request's text.
///
/// # Errors
/// [`InputError::Text`], or [`InputError::LongText`] for one that the model takes when it is imported for longer texts.
pub fn encode(tokenizer: &Tokenizer, request: usize, text: &str) -> Result<Vec<u32>, InputError> {
    tokenizer.encode(text).map_err(|source| match source {
        EncodeError::TooLong { tokens, .. } if tokens <= tokenizer.importable() => {
            InputError::LongText { request, source }
        }
        source => InputError::Text { request, source },
    })
}

/// Digest of a text's salt, length and token ids, for a base whose texts have up to `limit` tokens: the word that settlements
/// publish and requests on chain name.
#[must_use]
pub fn input_word(salt: &Salt, ids: &[u32], limit: usize) -> Fr {
    let number = |n: usize| Fr::from(u64::try_from(n).unwrap_or(u64::MAX));
    let mut padded: Vec<Fr> = ids.iter().map(|&id| Fr::from(u64::from(id))).collect();
    padded.resize(limit, Fr::zero());
    input_digest(&mut Native, &salt_scalar(salt), &number(ids.len()), &padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_big_endian_and_below_the_modulus() {
        assert_eq!(parse_context("0x01"), Ok(Context(Fr::one())));
        assert_eq!(parse_context("1"), Ok(Context(Fr::one())));
        assert_eq!(parse_context(&format!("{:0>64}", "0102")), Ok(Context(Fr::from(258))));
        let modulus = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
        assert!(parse_context(modulus).is_err());
        assert_eq!(parse_context(&modulus.replace("0001", "0000")), Ok(Context(-Fr::one())));
        for wrong in ["", "0x", "g", &"1".repeat(65)] {
            assert!(parse_context(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn salts_have_31_bytes() {
        assert_eq!(parse_salt(&"0a".repeat(31)), Ok([10; 31]));
        assert_eq!(parse_salt(&"0a".repeat(32)), Err(WordError::SaltBytes(32)));
        assert!(parse_salt("zz").is_err());
    }

    #[test]
    fn lines_are_checked_and_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("r.jsonl");
        let refusal = |content: &str| {
            std::fs::write(&path, content).expect("writable");
            read_requests(&path).expect_err("a refusal").to_string()
        };
        assert!(refusal("{\"text\": \"a\"}\n{\"text\": \"b\", \"adaptor\": \"x\"}\n").contains("line 2"));
        assert!(refusal("{\"text\": \"a\", \"salt\": \"00\"}").contains("31 bytes"));
        assert!(refusal("{}").contains("missing field `text`"));
        assert!(refusal("").contains("1 to 16"));
        assert!(refusal(&"{\"text\": \"a\"}\n".repeat(17)).contains("1 to 16"));
        std::fs::write(&path, "{\"text\": \"\\u0000\"}\r\n\n").expect("writable");
        assert_eq!(read_requests(&path).expect("one request")[0].text, "\0");
    }
}
