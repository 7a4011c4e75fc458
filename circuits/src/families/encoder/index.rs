//! Index proofs: every cell of a datanet's index is in its range (docs/protocol/index-proof.md).
//!
//! ```text
//! H, G, bias, corner in -2^15..2^15    C in 0..2^8    Slot in 0..2^10
//! V_i = Σ_l C[i,l] in 0..2^8, and V_i = 0 for i >= count
//! ```
//! A program without texts: its statement is an index, how many records it has, and nothing of a base but the architecture.
//! The tables are ranges, without values, so that no table is committed.

use super::Architecture;
use super::columns as c;
use crate::axis::{Axis, AxisSpec};
use crate::column::{ColumnSpec, Lookup, Table, TableSpec};
use crate::error::CircuitError;
use crate::form::LowWeight;
use crate::layout::Layout;
use crate::program::{OutputSpec, Program};
use crate::read::{Columns, form};
use crate::region::{Region, RegionSpec};
use crate::relation::Relation;
use crate::shape::{CONTRIBUTORS, LABEL_BITS, Shape};

// A slot is a number below those of the contributors, whatever the table is called.
const _: () = assert!(CONTRIBUTORS == 1 << 10);

impl Architecture {
    /// The program of a proof that the cells of an index are in their ranges. Of the shape only τ and records count.
    ///
    /// # Errors
    /// If architecture or shape is outside the supported family, or the shape has no records.
    pub fn index_program(&self, shape: &Shape) -> Result<Program, CircuitError> {
        self.validate()?;
        shape.validate()?;
        let Some(records) = shape.record_bits() else {
            return Err(CircuitError::Shape { what: "an index has 2048, 16384 or 65536 records", got: shape.records });
        };
        self.expect_attributed()?;
        let axes = vec![
            AxisSpec::bits(Axis::ENTRY, Table::RANGE16.bits()),
            AxisSpec::counted(Axis::HIDDEN_BLOCK, self.hidden_blocks()),
            AxisSpec::counted(Axis::HIDDEN_BLOCK_IN, self.hidden_blocks()),
            AxisSpec::bits(Axis::CHANNEL, self.block_bits()),
            AxisSpec::bits(Axis::CHANNEL_IN, self.block_bits()),
            AxisSpec::bits(Axis::LABEL, LABEL_BITS),
            AxisSpec::bits(Axis::RECORD, records),
        ];
        let columns = columns(self, records);
        let relations = relations(&Columns::new(&axes, &columns))?;
        Ok(Program {
            axes,
            outer: vec![Axis::RECORD],
            regions: vec![RegionSpec::once(Region::INDEX), RegionSpec::once(Region::WITNESS)],
            columns,
            tables: tables(),
            scales: 0,
            text: None,
            counted: Some(Axis::RECORD),
            output: OutputSpec::default(),
            relations,
        })
    }

    /// The layout of an index proof.
    ///
    /// # Errors
    /// As [`Self::index_program`], or [`CircuitError::Bound`] for an index that is too large.
    pub fn index_layout(&self, shape: &Shape) -> Result<Layout, CircuitError> {
        Layout::of(self.index_program(shape)?, shape)
    }
}

fn tables() -> Vec<TableSpec> {
    [(Table::RANGE16, c::MULT_RANGE16), (Table::RANGE10, c::MULT_RANGE10), (Table::RANGE8, c::MULT_RANGE8)]
        .map(|(table, multiplicities)| TableSpec { table, values: None, multiplicities })
        .into()
}

/// The index' columns, each looked up, and the witness.
fn columns(architecture: &Architecture, records: u32) -> Vec<ColumnSpec> {
    let ranged = |spec: ColumnSpec| {
        let lookup = match spec.column {
            c::INDEX_CLASS => Lookup::U8,
            c::INDEX_SLOT => Lookup::U10,
            _ => Lookup::S16,
        };
        spec.looked_up(lookup)
    };
    let mut all: Vec<ColumnSpec> = c::index(architecture, records).into_iter().map(ranged).collect();
    let own = |column, lows: &[(Axis, u32)]| ColumnSpec::new(column, Region::WITNESS, &[], vec![], lows.to_vec());
    all.push(own(c::RECORD_WEIGHT, &[(Axis::RECORD, records)]).looked_up(Lookup::U8));
    all.extend(tables().into_iter().map(|spec| own(spec.multiplicities, &[(Axis::ENTRY, spec.table.bits())])));
    all
}

fn relations(columns: &Columns<'_>) -> Result<Vec<Relation>, CircuitError> {
    let linear = |name, form| Relation { name, products: vec![], form, constants: vec![], public: None };
    Ok(vec![
        // Σ_l C[i,l] = V_i: with V in its table, all classes of a record have at most one whole weight.
        linear(
            "weight of a record",
            form([
                columns.read(c::INDEX_CLASS)?.low(Axis::LABEL, LowWeight::Ones)?,
                columns.read(c::RECORD_WEIGHT)?.times(-1),
            ]),
        ),
        // V_i = 0 for i >= count: with classes that are not negative, a row without a record counts for nothing.
        linear(
            "no weight beyond the records",
            form([columns.read(c::RECORD_WEIGHT)?.low(Axis::RECORD, LowWeight::Beyond(Axis::RECORD))?]),
        ),
    ])
}
