//! Columns: vectors of small integers, declared once for executor, prover and verifier.
//!
//! A column is a list of blocks of 2^b cells. A block is selected by **digits** (small public indices such as layer or
//! channel block, of any count); inside a block the **low axes** are groups of address bits, most significant first.
//! The logical order of a column's cells is row-major: digits, then low axes.
//!
//! One digit may be **stacked**: its blocks lie together in groups of falling powers of two (30 layers as 16 + 8 + 4 + 2), so
//! that inside a group it is a low axis too. A claim then costs the verifier one short sum over the stacked digit and, per
//! group, one over the other digits, instead of one over both.
//!
//! The lookup of a column is its declared range. The executor refuses a value outside it with a typed error, which is
//! exactly the case in which the circuit is unsatisfiable.

use crate::axis::Axis;
use crate::region::Region;

/// The id of a column. Two columns of one program have different numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column {
    number: u16,
    name: &'static str,
}

impl Column {
    /// A column of a family.
    #[must_use]
    pub const fn new(number: u16, name: &'static str) -> Self {
        Self { number, name }
    }
    /// The name, as errors say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl core::fmt::Debug for Column {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

/// A lookup table. The identifier enters every leaf, so tables cannot be crossed (`docs/protocol/soundness.md`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    id: u8,
    bits: u8,
    name: &'static str,
}

impl Table {
    /// A table of 2^bits entries; `id` is not zero and no other table of the program has it.
    #[must_use]
    pub const fn new(id: u8, bits: u8, name: &'static str) -> Self {
        Self { id, bits, name }
    }
    /// 0 to 65535.
    pub const RANGE16: Self = Self::new(1, 16, "range of 16 bits");
    /// 0 to 3.
    pub const RANGE2: Self = Self::new(2, 2, "range of 2 bits");
    /// `gap -> round(2^15·exp(-gap / 2^score_bits))`, keys 0 to 65535.
    pub const EXP: Self = Self::new(3, 16, "exp");
    /// `y + 2^15 -> activation(y)`, keys 0 to 65535.
    pub const ACTIVATION: Self = Self::new(4, 16, "activation");
    /// `y + 2^15 -> tanh(y)`, keys 0 to 65535.
    pub const TANH: Self = Self::new(5, 16, "tanh");
    /// 0 to 1023: slots of contributors.
    pub const RANGE10: Self = Self::new(7, 10, "range of 10 bits");
    /// 0 to 255: weights of records.
    pub const RANGE8: Self = Self::new(8, 8, "range of 8 bits");

    /// The identifier in a leaf; never zero.
    #[must_use]
    pub fn id(self) -> u64 {
        self.id.into()
    }
    /// log2 of the entries.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.bits.into()
    }
}

impl core::fmt::Debug for Table {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

/// A table's columns in one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// The table.
    pub table: Table,
    /// The committed column of values, absent for ranges.
    pub values: Option<Column>,
    /// The witness column of multiplicities.
    pub multiplicities: Column,
}

/// The lookup that a column takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Not looked up: determined by a relation.
    None,
    /// Cell (plus half the table's size if signed) is a key of the table; if the table has values, `value` is the column that holds
    /// them cell by cell.
    Key {
        /// The table.
        table: Table,
        /// Whether half the table's size (2^15, or 2 for [`Table::RANGE2`]) is added to the cell first.
        signed: bool,
        /// The column of values.
        value: Option<Column>,
    },
    /// A leaf of sums by group; the cell is in no range by it.
    Group(GroupLeaf),
}

/// Leaves of sums by group, in the fraction tree of the lookups (docs/protocol/attribution.md). A group is a number below the
/// size of the lowest axis of the columns of sums; sums of other requests are other groups. Each column has the request
/// as its first low axis.
///
/// Summands and sums have the poles `X - (group + b·request + b²·6)`: for each group of each request the sum over its
/// summands is the cell of [`Self::Sum`], whatever the cells are. Choices and counts have `X - (group + b·sum + b²·(16 +
/// request))`: each choice names a group with its sum, and a count is how often its group is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupLeaf {
    /// A summand: numerator `-cell`. The group is the cell of a registered column with the same axes but the request.
    Summand {
        /// The column of groups.
        group: Column,
    },
    /// The sum of a group: numerator `cell`.
    Sum,
    /// A choice: numerator 1, the cell is the group.
    Choice {
        /// The column of the chosen group's sum, of the same shape.
        sum: Column,
    },
    /// How often a group is chosen: numerator `-cell`.
    Count {
        /// The column of sums, of the same shape.
        sum: Column,
    },
}

/// The identifier of summands and sums in a leaf.
pub const SUM_ID: u64 = 6;
/// The identifier of choices and counts in a leaf, plus the request: up to 31.
pub const CHOICE_ID: u64 = 16;

impl Lookup {
    /// Whether the column's cells are leaves.
    #[must_use]
    pub fn is_leaf(self) -> bool {
        self != Self::None
    }
    /// Unsigned 16 bits.
    pub const U16: Self = Self::Key { table: Table::RANGE16, signed: false, value: None };
    /// Unsigned 10 bits.
    pub const U10: Self = Self::Key { table: Table::RANGE10, signed: false, value: None };
    /// Unsigned 8 bits.
    pub const U8: Self = Self::Key { table: Table::RANGE8, signed: false, value: None };
    /// Signed 16 bits.
    pub const S16: Self = Self::Key { table: Table::RANGE16, signed: true, value: None };

    /// What is added to a cell to make it a key of its table.
    #[must_use]
    pub fn offset(self) -> i64 {
        match self {
            Self::Key { table, signed: true, .. } => 1 << (table.bits() - 1),
            _ => 0,
        }
    }

    /// Inclusive bounds of a cell, if it is looked up.
    #[must_use]
    pub fn bounds(self) -> Option<(i64, i64)> {
        match self {
            Self::None | Self::Group(_) => None,
            Self::Key { table, .. } => Some((-self.offset(), (1i64 << table.bits()) - 1 - self.offset())),
        }
    }
}

/// Axes, region and lookup of one column under one architecture and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Which column.
    pub column: Column,
    /// Where it is committed.
    pub region: Region,
    /// Axes that select a block, with their counts.
    pub digits: Vec<(Axis, usize)>,
    /// The digit whose blocks lie together, if one does: an index of `digits`.
    pub stacked: Option<usize>,
    /// Axes inside a block, with their bits, most significant first.
    pub lows: Vec<(Axis, u32)>,
    /// Cells of a block that can differ from zero, from the first one on; the others are zero for every model.
    pub used: u64,
    /// Declared range.
    pub lookup: Lookup,
}

impl ColumnSpec {
    /// A column without lookup whose cells are all used. A digit over one of `stacked` is the stacked one.
    #[must_use]
    pub fn new(
        column: Column,
        region: Region,
        stacked: &[Axis],
        digits: Vec<(Axis, usize)>,
        lows: Vec<(Axis, u32)>,
    ) -> Self {
        let stacked = digits.iter().position(|(axis, _)| stacked.contains(axis));
        let bits: u32 = lows.iter().map(|&(_, b)| b).sum();
        Self { column, region, digits, stacked, lows, used: 1 << bits, lookup: Lookup::None }
    }
    /// The same column with a lookup.
    #[must_use]
    pub fn looked_up(mut self, lookup: Lookup) -> Self {
        self.lookup = lookup;
        self
    }
    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.digits.iter().map(|&(_, n)| n).product()
    }
    /// log2 of the cells of a block.
    #[must_use]
    pub fn block_bits(&self) -> u32 {
        self.lows.iter().map(|&(_, b)| b).sum()
    }
    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks() << self.block_bits()
    }
    /// Whether the column has no cell (never, but clippy asks).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Splits a block's row-major index into that of the stacked digit and the row-major one of the others.
    #[must_use]
    pub fn split(&self, index: usize) -> (usize, usize) {
        let (mut rest, mut stride, mut left) = (0, 1, index);
        let mut stacked = 0;
        for (at, &(_, count)) in self.digits.iter().enumerate().rev() {
            let own = left % count;
            left /= count;
            if self.stacked == Some(at) {
                stacked = own;
            } else {
                rest += own * stride;
                stride *= count;
            }
        }
        (stacked, rest)
    }
}
