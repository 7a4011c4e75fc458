//! Why no datanet is built, and why single rows are left out.

use std::path::{Path, PathBuf};

use lorica_cells::watch::Cancelled;
use lorica_circuits::bn254::Fr;
use lorica_prover::prove::ProveError;
use lorica_quant::index::inverse::InverseError;
use lorica_quant::index::{IndexError, MAX_RECORDS, SLOTS};
use lorica_quant::integer::{ExecuteError, ModelError};
use serde::Serialize;

use crate::files::FileError;
use crate::input::InputError;
use crate::kind::Kind;
use crate::srs::SrsPolicyError;

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It has no end within the limit.
    #[error("the row is longer than {most} bytes")]
    TooLong {
        /// The limit.
        most: usize,
    },
    /// A field that every row has is absent.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A label that the adapter does not have.
    #[error("no label of the adapter is called {label:?}; it has {known}")]
    UnknownLabel {
        /// The name.
        label: String,
        /// The names that there are.
        known: String,
    },
    /// Quotes that do not pair: nobody knows where the next row begins.
    #[error("the quoting is broken: {0}")]
    Quoting(&'static str),
    /// The first row of a table names no usable columns.
    #[error("the first row must name the columns: {0}")]
    Header(String),
    /// A contributor that begins as an address or digest and is none.
    #[error("the contributor {0}")]
    Contributor(&'static str),
}

/// Why no datanet is built.
#[derive(Debug, thiserror::Error)]
pub enum DatanetError {
    /// A file that cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A row that must be mended first.
    #[error("{path}, line {line}: {error}", path = .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        error: RowError,
    },
    /// A folder that is no list of files.
    #[error("{path}: {reason}", path = .path.display())]
    Folder {
        /// The folder, or what lies in it.
        path: PathBuf,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Nothing is left to build from.
    #[error("{path}: no row is left: {rejected} rows were rejected{first}", path = .path.display(), first = beginning(.first))]
    NoRow {
        /// The file or folder.
        path: PathBuf,
        /// Rows that were rejected.
        rejected: usize,
        /// The first of them.
        first: Option<Box<Rejection>>,
    },
    /// The adapter was trained on another version than these rows make.
    #[error("the adapter names datanet version {named:?}, these rows make {built:?}: another file, rule or salt")]
    OtherVersion {
        /// The version that the adapter names.
        named: Fr,
        /// The version of the rows.
        built: Fr,
    },
    /// The SRS is not the base's.
    #[error(transparent)]
    Srs(#[from] SrsPolicyError),
    /// The index could not be committed to.
    #[error("committing to the index: {0}")]
    Commit(#[from] ProveError),
    /// More rows than are ever read.
    #[error("{path}: more than {most} rows; a datanet has up to {MAX_RECORDS} records", path = .path.display())]
    Rows {
        /// The file or folder.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// More records than an index has.
    #[error("{path}: {got} records, a datanet has up to {MAX_RECORDS}", path = .path.display())]
    Records {
        /// The file or folder.
        path: PathBuf,
        /// Records that are left of the rows.
        got: usize,
    },
    /// More contributors than an index has slots.
    #[error("{path}: {got} contributors, a datanet has up to {SLOTS}", path = .path.display())]
    Contributors {
        /// The file or folder.
        path: PathBuf,
        /// Contributors of the records.
        got: usize,
    },
    /// The adapter does not classify.
    #[error("a datanet needs an adapter with a classification head: attribution is between records and labels")]
    NoHead,
    /// The adapter belongs to another base.
    #[error("the adapter was imported for another base")]
    OtherBase,
    /// The ridge is out of range.
    #[error("the ridge must be from 0.001 to {most}", most = crate::datanet_version::MAX_RIDGE / lorica_quant::index::inverse::RIDGE_UNIT)]
    Ridge,
    /// A text about the datanet is too long.
    #[error("{what}: {got} bytes, at most {most}")]
    Text {
        /// Which text.
        what: &'static str,
        /// The limit.
        most: usize,
        /// Its bytes.
        got: usize,
    },
    /// The tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] InputError),
    /// The integer model.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The base.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The matrix of the index.
    #[error(transparent)]
    Inverse(#[from] InverseError),
    /// The cells of the index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The build was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

fn beginning(rejection: &Option<Box<Rejection>>) -> String {
    rejection.as_ref().map_or_else(String::new, |first| format!(", the first: {first}"))
}

impl DatanetError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Tokenizer(error) => error.kind(),
            Self::Srs(error) => error.kind(),
            Self::Commit(ProveError::Randomness(_)) => Kind::Environment,
            Self::Cancelled(_) | Self::Execute(ExecuteError::Cancelled(_)) | Self::Commit(ProveError::Cancelled(_)) => {
                Kind::Cancelled
            }
            Self::Row { .. }
            | Self::Folder { .. }
            | Self::NoRow { .. }
            | Self::Rows { .. }
            | Self::Records { .. }
            | Self::Contributors { .. }
            | Self::NoHead
            | Self::OtherBase
            | Self::OtherVersion { .. }
            | Self::Commit(_)
            | Self::Ridge
            | Self::Text { .. }
            | Self::Execute(_)
            | Self::Model(_)
            | Self::Inverse(_)
            | Self::Index(_) => Kind::Input,
        }
    }

    /// A closure that names the row.
    pub(super) fn row(path: &Path, line: usize) -> impl FnOnce(RowError) -> Self {
        move |error| Self::Row { path: path.into(), line, error }
    }
}

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    #[serde(serialize_with = "shown")]
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

/// A name that is no UTF-8 is shown as far as it is.
fn shown<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.line)
    }
}

/// Why a row is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// It cannot be read.
    #[error("malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// It has no text.
    #[error("no text")]
    Empty,
    /// Its text, contributor or licence has a character that is not seen, or turns the direction of others.
    #[error("character {character} is not allowed in the {field}")]
    Character {
        /// The character as `U+200B`.
        character: String,
        /// Where it stands.
        field: &'static str,
    },
    /// Its text has more tokens than the base takes.
    #[error("longer than {most} tokens")]
    TooManyTokens {
        /// The limit.
        most: usize,
    },
    /// The tokenizer makes nothing of it.
    #[error("no tokens: {what}")]
    Tokens {
        /// Why.
        what: String,
    },
    /// An earlier row says the same to the model.
    #[error("the same text as {of}{label}", label = if *.other_label { ", under another label" } else { "" })]
    Duplicate {
        /// The row that is kept.
        of: Place,
        /// Whether the two have different labels.
        other_label: bool,
    },
    /// So many rows are near-duplicates of one that the weight of each would be less than 1.
    #[error("one of more than {most} near-duplicates of {of}", most = crate::datanet_version::WHOLE_WEIGHT)]
    Crowded {
        /// The first of them.
        of: Place,
    },
    /// The integer model has a value out of range for it.
    #[error("the integer model cannot run it: {what}")]
    Range {
        /// Where.
        what: String,
    },
}

impl Reason {
    /// Its name in counts.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Empty => "empty",
            Self::Character { .. } => "character",
            Self::TooManyTokens { .. } => "too_many_tokens",
            Self::Tokens { .. } => "tokens",
            Self::Duplicate { .. } => "duplicate",
            Self::Crowded { .. } => "crowded",
            Self::Range { .. } => "range",
        }
    }
}

/// A row that is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}
