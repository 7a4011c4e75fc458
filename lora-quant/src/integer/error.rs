//! What the integer model refuses: models out of bounds, inputs that no batch can carry, values out of range.

use std::fmt;

use lorica_cells::watch::Cancelled;
use lorica_circuits::axis::Axis;
use lorica_circuits::column::Column;
use lorica_circuits::error::CircuitError;

/// A base model or adapter whose columns do not fit its architecture or the static bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Architecture or scales outside the supported family.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// A column of the region is absent.
    #[error("column {column:?} is missing")]
    Missing {
        /// The absent column.
        column: Column,
    },
    /// A column that belongs to another region.
    #[error("column {column:?} does not belong to this model")]
    Foreign {
        /// The column that is too many.
        column: Column,
    },
    /// A column of the wrong length.
    #[error("column {column:?} has {got} cells, expected {expected}")]
    Length {
        /// The column.
        column: Column,
        /// Cells that the architecture demands.
        expected: usize,
        /// Cells present.
        got: usize,
    },
    /// A weight or bias beyond its static bound.
    #[error("column {column:?}: cell {index} is {value}, the bound is |x| < 2^{bits}")]
    Bound {
        /// The column.
        column: Column,
        /// Logical index of the cell.
        index: usize,
        /// Its value.
        value: i64,
        /// log2 of the exclusive bound.
        bits: u32,
    },
    /// Sums of a LayerNorm could exceed 63 bits.
    #[error("LayerNorm {norm}: the variance of residuals up to {residual} could overflow 63 bits")]
    NormOverflow {
        /// The norm, in norm order.
        norm: usize,
        /// Largest residual that the columns' ranges allow.
        residual: i64,
    },
    /// The model's meta data do not fit its architecture.
    #[error("meta data: {what}")]
    Meta {
        /// The rule.
        what: &'static str,
    },
}

/// A float model that has no integer form.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuantiseError {
    /// Architecture or scales outside the supported family.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The integer columns break a static bound.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nothing to calibrate on.
    #[error("calibration needs at least one text of two tokens")]
    NoTexts,
    /// A calibration text that the encoder cannot run.
    #[error("calibration text {text}: {reason}")]
    Text {
        /// Its index.
        text: usize,
        /// Why.
        reason: String,
    },
    /// A tensor of the wrong shape.
    #[error("tensor {tensor}: {got} values, expected {expected}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Values that the configuration demands.
        expected: usize,
        /// Values present.
        got: usize,
    },
    /// A weight that needs more bits than the integer model has.
    #[error("tensor {tensor}: value {value:e} at scale 2^{exponent} exceeds {bits} bits")]
    TooLarge {
        /// The tensor.
        tensor: String,
        /// The float value.
        value: f64,
        /// Scale exponent.
        exponent: f64,
        /// Bits of the bound.
        bits: u32,
    },
    /// Activations whose range has no admissible scale.
    #[error("tensor {tensor}: {reason}")]
    Scale {
        /// The tensor.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
    /// An adapter that the base model has no room for.
    #[error("adapter: {reason}")]
    Adapter {
        /// What does not fit.
        reason: String,
    },
}

/// A value outside the range that its column declares: the case in which the circuit has no witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request {request}: {column:?}{} is {value}, outside {}..={}", Place(.place), .bounds.0, .bounds.1)]
pub struct RangeError {
    /// The column.
    pub column: Column,
    /// The request within the batch.
    pub request: usize,
    /// The cell's other indices: digits, then low axes.
    pub place: Vec<(Axis, usize)>,
    /// The value.
    pub value: i64,
    /// Inclusive bounds.
    pub bounds: (i64, i64),
}

struct Place<'a>(&'a [(Axis, usize)]);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(axis, index)| write!(f, " {axis:?} {index}"))
    }
}

/// Why a batch has no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// It was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A value left its range.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The shape is not offered.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The base model is not valid.
    #[error("base model: {0}")]
    Base(ModelError),
    /// No request, or more than the shape holds.
    #[error("a batch of this shape holds 1 to {most} requests, got {got}")]
    Requests {
        /// Requests that the shape holds.
        most: usize,
        /// Requests given.
        got: usize,
    },
    /// A text too short or too long for the shape.
    #[error("request {request} has {got} tokens, expected 2 to {most}")]
    Length {
        /// The request.
        request: usize,
        /// Tokens that the shape holds.
        most: usize,
        /// Tokens given.
        got: usize,
    },
    /// A token id outside the vocabulary.
    #[error("request {request}: token {position} has id {id}, the vocabulary has {vocab} entries")]
    Vocabulary {
        /// The request.
        request: usize,
        /// Position of the token.
        position: usize,
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// An adapter that is not valid for the base model.
    #[error("request {request}: adapter: {source}")]
    Adapter {
        /// The request.
        request: usize,
        /// What is wrong.
        source: ModelError,
    },
    /// Classification without a head.
    #[error("request {request}: its adapter has no classification head")]
    NoHead {
        /// The request.
        request: usize,
    },
    /// Classification on a base model without a pooler.
    #[error("the base model has no pooler: it cannot classify")]
    NoPooler,
}
