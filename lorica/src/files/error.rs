//! What is wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

use lorica_quant::integer::ModelError;
use lorica_verifier::files::codec::CodecError;
use lorica_verifier::protocol::key::KeyError;

use crate::kind::Kind;

/// A file that cannot be used; each error names it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It could not be written.
    #[error("{path}: cannot be written: {source}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that would be replaced is of another kind.
    #[error("{path} exists and is {what}: name another file", path = .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file and the key beside it would have one name.
    #[error("{path}: its key would have the same name: let the file's name not end in .vk", path = .path.display())]
    OwnKey {
        /// The file.
        path: PathBuf,
    },
    /// The folder of a file that is to be written is not there.
    #[error("{path}: there is no folder {folder}", path = .path.display(), folder = .folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// It is larger than any of its kind.
    #[error("{path}: larger than the {max} bytes that such a file may have", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// It is malformed, or of another kind.
    #[error("{path}: {source}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CodecError,
    },
    /// Its key does not fit its architecture.
    #[error("{path}: {source}", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: KeyError,
    },
    /// Its integers are out of bounds.
    #[error("{path}: {source}", path = .path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Which ones.
        source: ModelError,
    },
    /// It is an adapter of another base.
    #[error("{path}: the adapter was imported for another base", path = .path.display())]
    OtherBase {
        /// The file.
        path: PathBuf,
    },
    /// It is a text file, and says something else than is expected.
    #[error("{path}: {reason}", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why it is refused.
        reason: String,
    },
    /// One of its lines is wrong.
    #[error("{path}, line {line}: {reason}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why it is refused.
        reason: String,
    },
}

impl FileError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => Kind::of_io(source),
            Self::Write { .. } | Self::NoFolder { .. } => Kind::Environment,
            Self::Exists { .. }
            | Self::OwnKey { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Key { .. }
            | Self::Model { .. }
            | Self::OtherBase { .. }
            | Self::Content { .. }
            | Self::Line { .. } => Kind::Input,
        }
    }

    /// A closure that names the file that could not be read.
    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.into(), source }
    }

    /// A closure that names the file or folder that could not be written.
    pub fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.into(), source }
    }

    /// A closure that names the malformed file.
    pub fn malformed(path: &Path) -> impl Fn(CodecError) -> Self {
        move |source| Self::Malformed { path: path.into(), source }
    }

    /// A text file that says something else than is expected.
    pub fn content(path: &Path, reason: impl ToString) -> Self {
        Self::Content { path: path.into(), reason: reason.to_string() }
    }
}
