//! Why a model, tokenizer or adapter was refused.

use std::path::{Path, PathBuf};

/// An input that could not be imported. Every variant names the file and, where there is one, the key or tensor.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file could not be read.
    #[error("{file}: cannot be read: {source}", file = .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("{file}: {bytes} bytes, more than the {max} that such a file may have", file = .file.display())]
    FileTooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A file is not the JSON that it should be.
    #[error("{file}: not valid JSON for this file: {source}", file = .file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// A required key is absent.
    #[error("{file}: key `{key}` is missing", file = .file.display())]
    MissingKey {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
    },
    /// A key has a value that is not supported.
    #[error("{file}: `{key}` is {value}, which is not supported: {supported}", file = .file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// The key.
        key: String,
        /// The value found, as JSON, shortened.
        value: String,
        /// What would be accepted.
        supported: String,
    },
    /// A file is not a well-formed safetensors file.
    #[error("{file}: malformed or truncated safetensors file: {reason}", file = .file.display())]
    Safetensors {
        /// The file.
        file: PathBuf,
        /// The parser's reason.
        reason: String,
    },
    /// What is needed is there, but in a format that is not read.
    #[error("{file}: this format is not read; {remedy}", file = .file.display())]
    OtherFormat {
        /// The file.
        file: PathBuf,
        /// How to convert it.
        remedy: &'static str,
    },
    /// A tensor is absent.
    #[error("{file}: tensor `{tensor}` is missing", file = .file.display())]
    MissingTensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor that has no place in the model.
    #[error("{file}: tensor `{tensor}` is not supported: {reason}", file = .file.display())]
    UnsupportedTensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Why it is refused.
        reason: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("{file}: tensor `{tensor}` has shape {got:?}, expected {expected:?}", file = .file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        got: Vec<usize>,
    },
    /// A tensor has an element type that is not read.
    #[error("{file}: tensor `{tensor}` has element type {got}, expected F32, F16 or BF16", file = .file.display())]
    ElementType {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The element type in the file.
        got: String,
    },
    /// A tensor holds NaN or an infinity.
    #[error("{file}: tensor `{tensor}` holds {value} at index {index}", file = .file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// Row-major index of the first such value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// `tokenizer.json` could not be used.
    #[error("{file}: {source}", file = .file.display())]
    Tokenizer {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: super::tokenizer::TokenizerError,
    },
    /// Settings, labels and tensors of an adapter contradict each other.
    #[error("{file}: {reason}", file = .file.display())]
    Inconsistent {
        /// The file.
        file: PathBuf,
        /// The contradiction.
        reason: String,
    },
    /// An adapter with a classification head meets a base without a pooler.
    #[error("the adapter has a classification head, but the base model has no tensor `pooler.dense.weight`")]
    NoPooler,
}

/// A JSON value for an error message: at most 80 characters of it.
pub(super) fn shorten(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 80 { text } else { text.chars().take(77).chain("...".chars()).collect() }
}

impl ImportError {
    pub(super) fn missing_key(file: &Path, key: &str) -> Self {
        Self::MissingKey { file: file.into(), key: key.into() }
    }

    pub(super) fn unsupported(file: &Path, key: &str, value: &serde_json::Value, supported: impl Into<String>) -> Self {
        Self::Unsupported { file: file.into(), key: key.into(), value: shorten(value), supported: supported.into() }
    }

    pub(super) fn inconsistent(file: &Path, reason: impl Into<String>) -> Self {
        Self::Inconsistent { file: file.into(), reason: reason.into() }
    }
}
