//! Linear functionals on the address space, as data.
//!
//! A [`Form`] is `Σ_terms coefficient · Π factors · ⟨weights, column⟩`; each index of the column is weighted by `eq` with
//! the point of a *logical* axis, or by a short public vector. Evaluated at the points of a relation it is one claim
//! (`docs/protocol/README.md`). Prover and verifier read the same forms.

use crate::axis::Axis;
use crate::column::{Column, ColumnSpec};

/// A public number: a constant, or one of the base model's scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coefficient {
    /// A constant of the protocol.
    Integer(i64),
    /// A scale of the base model.
    Scale(Scale),
    /// A power of two: `2^n`, of any size below the field's.
    Power(u32),
}

/// A scale of the base model: its place among the scales that are hashed to the scales word. A family names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale(pub usize);

/// Index `point` of the logical axis selects `digit` of the column, times a coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitEntry {
    /// Index on the logical axis; ignored if there is none.
    pub point: usize,
    /// Digit of the column.
    pub digit: usize,
    /// Weight.
    pub coefficient: Coefficient,
}

/// How one digit axis of a column is weighted: digit `d` gets `Σ_{entries with d} coefficient·eq(axis point, point)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigitWeight {
    /// The logical axis; `None` for a fixed vector.
    pub axis: Option<Axis>,
    /// The 0/1 (or scaled) matrix from logical index to digit.
    pub entries: Vec<DigitEntry>,
}

/// log2 of the sums in one packed word of an embedding.
pub const PACKED_BITS: u32 = 3;
/// Sums in one packed word of an embedding.
pub const PACKED_SUMS: usize = 1 << PACKED_BITS;
/// Bits of a sum in its packed word: with its offset `2^23` a sum of at most 256 cells of 16 bits fits them.
pub const PACKED_SUM_BITS: u32 = 24;

/// How one low axis of a column is weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowWeight {
    /// `eq` with the point of a logical axis.
    Axis(Axis),
    /// All ones: a sum.
    Ones,
    /// Index 0 only.
    First,
    /// 1 for indices below the request's length. Makes the term a sum over requests.
    Masked,
    /// `eq` with the point of a logical axis for indices from the request's length on. Likewise.
    Unmasked(Axis),
    /// The axis in its upper bits, and in its lower [`PACKED_BITS`] bits powers of two: index `8·u + j` has the weight
    /// `eq(upper bits of the point, u)·2^(24·j)`. A sum of cells becomes a packed word.
    Packed(Axis),
    /// Index = word id of the (request, token) at the points of those axes.
    WordOf,
    /// Index = position of the (request, token) at the points of those axes.
    PositionOf,
    /// Index = label of the request at its axis' point, if the request attributes: else no index.
    LabelOf,
    /// Index = row of the index that the request at its axis' point names.
    RowOf,
    /// `eq` with the point of a logical axis for indices from the statement's count on, in a program that counts that axis.
    Beyond(Axis),
}

/// A factor `Σ_entries coefficient·eq(axis point, index)`, for columns that lack the axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The logical axis.
    pub axis: Axis,
    /// Index and coefficient.
    pub entries: Vec<(usize, Coefficient)>,
}

/// One column's part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormTerm {
    /// The column.
    pub column: Column,
    /// Overall coefficient.
    pub coefficient: Coefficient,
    /// One per digit axis of the column.
    pub digits: Vec<DigitWeight>,
    /// One per low axis of the column.
    pub lows: Vec<LowWeight>,
    /// Further factors.
    pub factors: Vec<Factor>,
}

/// A linear functional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Its terms.
    pub terms: Vec<FormTerm>,
}

/// A public constant spread over the real indices of some axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstantTerm {
    /// Overall coefficient.
    pub coefficient: Coefficient,
    /// Indicators of real indices, possibly scaled.
    pub factors: Vec<Factor>,
    /// An axis whose index is a further factor, if there is one; all its indices are real.
    pub ramp: Option<Axis>,
}

impl FormTerm {
    /// The column with every axis weighted by the logical axis of the same name.
    #[must_use]
    pub fn read(spec: &ColumnSpec) -> Self {
        let digits = spec
            .digits
            .iter()
            .map(|&(axis, count)| DigitWeight {
                axis: Some(axis),
                entries: (0..count)
                    .map(|d| DigitEntry { point: d, digit: d, coefficient: Coefficient::Integer(1) })
                    .collect(),
            })
            .collect();
        let lows = spec.lows.iter().map(|&(axis, _)| LowWeight::Axis(axis)).collect();
        Self { column: spec.column, coefficient: Coefficient::Integer(1), digits, lows, factors: Vec::new() }
    }
}
