//! Row proofs: rows of a datanet's index are the features of these texts (docs/protocol/row-proof.md).
//!
//! ```text
//! H[row_m, k] = Pooled_m[k] for all channels k    C[row_m, l] = weight_m·[l = label_m] for all labels l    Slot[row_m] = slot_m
//! ```
//! of requests m that are the texts of records. A classification without classifier, label and outputs, by the one adapter
//! that the index is of: its region stands once, so that no request can have another.

use super::columns as c;
use super::output::pooler;
use super::{Architecture, OUTER, Scales};
use crate::axis::{Axis, AxisSpec};
use crate::column::ColumnSpec;
use crate::error::CircuitError;
use crate::form::LowWeight;
use crate::layout::Layout;
use crate::program::{OutputSpec, Program, TextSpec};
use crate::read::{Columns, Read, form};
use crate::region::{Region, RegionSpec};
use crate::relation::{Public, Published, Relation};
use crate::shape::{OutputKind, Shape};

impl Architecture {
    /// The program of a proof of rows. The shape is that of a batch of classifications that attributes, whose records are
    /// the index'.
    ///
    /// # Errors
    /// If architecture or shape is outside the supported family, or the shape has no records.
    pub fn row_program(&self, shape: &Shape) -> Result<Program, CircuitError> {
        self.validate()?;
        shape.validate()?;
        let Some(records) = shape.record_bits() else {
            return Err(CircuitError::Shape { what: "an index has 2048, 16384 or 65536 records", got: shape.records });
        };
        if shape.tokens > self.max_tokens {
            return Err(CircuitError::Tokens { most: self.max_tokens, got: shape.tokens });
        }
        self.expect_attributed()?;
        let plain = Shape { records: 0, ..*shape };
        let mut axes = self.axes(&plain);
        axes.push(AxisSpec::bits(Axis::RECORD, records));
        let mut columns: Vec<ColumnSpec> = c::columns(self, &plain);
        columns.extend(c::index(self, records));
        let own = Columns::new(&axes, &columns);
        let mut relations = self.body(&own)?;
        relations.extend(pooler(&own, self.layers)?);
        relations.extend(rows(&own)?);
        Ok(Program {
            axes,
            outer: OUTER.into(),
            regions: [Region::BASE, Region::TABLE, Region::ADAPTER, Region::INDEX, Region::WITNESS]
                .map(RegionSpec::once)
                .into(),
            columns,
            tables: c::tables(OutputKind::Classify),
            scales: Scales::count(self),
            text: Some(TextSpec { vocabulary: self.vocab, limit: self.max_tokens }),
            counted: None,
            output: OutputSpec { row_bits: records, ..OutputSpec::default() },
            relations,
        })
    }

    /// The layout of a proof of rows.
    ///
    /// # Errors
    /// As [`Self::row_program`], or [`CircuitError::Bound`] for a batch that is too large.
    pub fn row_layout(&self, shape: &Shape) -> Result<Layout, CircuitError> {
        Layout::of(self.row_program(shape)?, shape)
    }
}

fn rows(columns: &Columns<'_>) -> Result<[Relation; 3], CircuitError> {
    use Axis as A;
    let own = |column| columns.read(column)?.low(A::RECORD, LowWeight::RowOf);
    let linear = |name, reads: Vec<Read<'_>>, public| Relation {
        name,
        products: vec![],
        form: form(reads),
        constants: vec![],
        public,
    };
    let published = |axes, values| Some(Public { axes, values });
    Ok([
        // H[row_m, k] = Pooled_m[k]
        linear("features of a row", vec![own(c::INDEX_FEATURE)?, columns.read(c::POOLED)?.times(-1)], None),
        // C[row_m, l] = weight_m·[l = label_m], for every label
        linear("classes of a row", vec![own(c::INDEX_CLASS)?.times(-1)], published(vec![A::LABEL], Published::Classes)),
        // Slot[row_m] = slot_m
        linear("slot of a row", vec![own(c::INDEX_SLOT)?.times(-1)], published(vec![], Published::Slot)),
    ])
}
