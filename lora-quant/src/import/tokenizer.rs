//! Text to token ids, by the model's own `tokenizer.json`.
//!
//! Nothing is truncated: a text is either encoded whole or refused. The limit is the model's in integers, or what the file would
//! truncate to if that is less. The file's padding is switched off. An id 0 that comes from a literal `[PAD]` in the text is a token like any other; what is
//! padding follows from the length alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lorica_circuits::shape::MAX_TOKENS;
use tokenizers::Tokenizer as Inner;

/// A `tokenizer.json` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file is not a tokenizer that the `tokenizers` library can read.
    #[error("not a readable tokenizer: {0}")]
    Malformed(String),
    /// The tokenizer can produce ids without an embedding.
    #[error("token {token:?} has id {id}, but the model's vocabulary has {vocab} rows")]
    VocabularyTooLarge {
        /// A token with such an id.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the word embedding.
        vocab: usize,
    },
    /// BPE dropout gives another result on every run.
    #[error("the tokenizer drops merges at random (`dropout` is {0}): its result is not determined by the text")]
    Random(String),
}

/// A text that cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The text has more tokens than a request may have.
    #[error("the text has {tokens} tokens with the special ones, more than the {max} that fit")]
    TooLong {
        /// Tokens of the text, special tokens included.
        tokens: usize,
        /// The limit.
        max: usize,
    },
    /// The tokenizer adds no special tokens and the text has none of its own.
    #[error("the text has no tokens")]
    NoTokens,
    /// The tokenizer asks for a token type other than 0.
    #[error("token {index} has token type {token_type}; a single text has type 0 only")]
    TokenType {
        /// Position of the token.
        index: usize,
        /// Its type.
        token_type: u32,
    },
    /// The tokenizer gave an id without an embedding.
    #[error("token {index} has id {id}, but the model's vocabulary has {vocab} rows")]
    IdOutOfRange {
        /// Position of the token.
        index: usize,
        /// Its id.
        id: u32,
        /// Rows of the word embedding.
        vocab: usize,
    },
    /// The tokenizer failed.
    #[error("the tokenizer failed: {0}")]
    Failed(String),
}

/// The model's tokenizer with a fixed vocabulary size and length limit.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Inner,
    vocab: usize,
    max_tokens: usize,
    importable: usize,
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json` for a model with `vocab` word embeddings. Texts may have up to `max_tokens`
    /// tokens, or the file's `truncation.max_length` if that is less.
    pub fn from_bytes(bytes: &[u8], vocab: usize, max_tokens: usize) -> Result<Self, TokenizerError> {
        let malformed = |error: &dyn std::fmt::Display| TokenizerError::Malformed(error.to_string());
        let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        if let Some(dropout) = json.pointer("/model/dropout").filter(|value| value.as_f64().is_some_and(|p| p != 0.0)) {
            return Err(TokenizerError::Random(dropout.to_string()));
        }
        let mut inner = guarded(|| Inner::from_bytes(bytes)).map_err(TokenizerError::Malformed)?;
        inner.with_truncation(None).map_err(|error| malformed(&error))?;
        inner.with_padding(None);
        if let Some((token, id)) = inner.get_vocab(true).into_iter().max_by_key(|(_, id)| *id)
            && usize::try_from(id).is_ok_and(|row| row >= vocab)
        {
            return Err(TokenizerError::VocabularyTooLarge { token, id, vocab });
        }
        let own = truncation(&json);
        Ok(Self { inner, vocab, max_tokens: own.min(max_tokens), importable: own.min(MAX_TOKENS) })
    }

    /// Tokens that a text might have if the model were imported with the largest limit that there is.
    pub fn importable(&self) -> usize {
        self.importable
    }

    /// The token ids of a text with the special tokens around it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let encoding = guarded(|| self.inner.encode_fast(text, true)).map_err(EncodeError::Failed)?;
        let ids = encoding.get_ids();
        if ids.len() > self.max_tokens {
            return Err(EncodeError::TooLong { tokens: ids.len(), max: self.max_tokens });
        }
        if ids.is_empty() {
            return Err(EncodeError::NoTokens);
        }
        for (index, (&id, &token_type)) in ids.iter().zip(encoding.get_type_ids()).enumerate() {
            if usize::try_from(id).map_or(true, |row| row >= self.vocab) {
                return Err(EncodeError::IdOutOfRange { index, id, vocab: self.vocab });
            }
            if token_type != 0 {
                return Err(EncodeError::TokenType { index, token_type });
            }
        }
        Ok(ids.to_vec())
    }
}

/// Tokens to which this `tokenizer.json` truncates a text.
pub(super) fn truncation(json: &serde_json::Value) -> usize {
    let truncated = json.pointer("/truncation/max_length").and_then(serde_json::Value::as_u64);
    truncated.and_then(|tokens| usize::try_from(tokens).ok()).unwrap_or(usize::MAX)
}

/// The library unwraps in places on files that contradict themselves (a template with an undeclared special token).
/// Tokenizers come from strangers, so that is an error here. Nothing of a failed call is used afterwards.
fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the file contradicts itself".into()),
    }
}
