//! Why no proof could be made.

use lorica_cells::watch::Cancelled;
use lorica_circuits::column::Column;
use lorica_circuits::error::CircuitError;
use lorica_verifier::protocol::statement::StatementError;
use lorica_verifier::protocol::verify::VerifyError;

use crate::mercury::MercuryError;
use crate::srs::SrsError;

/// Why no proof could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The columns do not fit the layout.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The statement is one that the verifier refuses.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The statement is one that the field part refuses.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// An index with cells that no index proof is made for.
    #[error(transparent)]
    IndexRange(#[from] IndexRangeError),
    /// The SRS is too small.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// The opening.
    #[error(transparent)]
    Opening(MercuryError),
    /// No randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// It was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<MercuryError> for ProveError {
    fn from(error: MercuryError) -> Self {
        match error {
            MercuryError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Opening(error),
        }
    }
}

/// A cell that no index proof is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexRangeError {
    /// A cell beyond its range.
    #[error("the index is out of range: {column:?} has {value} at {cell}, its range is {least} to {most}")]
    Cell {
        /// The column.
        column: Column,
        /// The cell's number in it.
        cell: usize,
        /// Its value.
        value: i64,
        /// The least that is allowed.
        least: i64,
        /// The most that is allowed.
        most: i64,
    },
    /// A record with more weight than one record has, or a row beyond the records with any.
    #[error("the index is out of range: row {row} has the weight {weight}, the most is {most}")]
    Weight {
        /// The row.
        row: usize,
        /// The sum of its classes.
        weight: i64,
        /// The most that is allowed: zero beyond the records.
        most: i64,
    },
}
