//! Programs: all that layout, prover and verifier may know of what is proven.
//!
//! A family ([`crate::families`]) turns an architecture and a shape into a program. Nothing below a program knows of which
//! model it speaks.

pub mod reading;

use crate::axis::{Axis, AxisSpec};
use crate::column::{CHOICE_ID, ColumnSpec, GroupLeaf, Lookup, SUM_ID, TableSpec};
use crate::error::CircuitError;
use crate::region::{Copies, Region, RegionSpec};
use crate::relation::Relation;
use crate::shape::Shape;

/// What a program reads of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSpec {
    /// Ids are below it.
    pub vocabulary: usize,
    /// Ids in an input digest, whatever the batch's padded length; those beyond a text's length are zero.
    pub limit: usize,
}

impl TextSpec {
    /// Bits of an id.
    #[must_use]
    pub fn id_bits(&self) -> u32 {
        self.vocabulary.next_power_of_two().trailing_zeros()
    }
}

/// What a program publishes for each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputSpec {
    /// Scalars in the output digest.
    pub scalars: usize,
    /// Whether the scalars are logits, and the lowest index of the largest is published as the label.
    pub labelled: bool,
    /// Words of shares; with any, a statement says by a word which requests attribute.
    pub shares: usize,
    /// Bits of the row of an index that each request names; zero in a program that reads none.
    pub row_bits: u32,
}

/// A program: axes, regions, columns, tables, scales, relations, outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Every axis, each once.
    pub axes: Vec<AxisSpec>,
    /// Axes for which the transcript draws one point each, shared by all relations.
    pub outer: Vec<Axis>,
    /// Regions in the order of the address space.
    pub regions: Vec<RegionSpec>,
    /// Columns.
    pub columns: Vec<ColumnSpec>,
    /// Tables that are looked up.
    pub tables: Vec<TableSpec>,
    /// Numbers that the base model fixes, hashed to the scales word: how many.
    pub scales: usize,
    /// Texts; a program without any has no requests and no tokens, and its statement is of its own kind.
    pub text: Option<TextSpec>,
    /// In a program without texts, the axis of which a statement says how many indices are real.
    pub counted: Option<Axis>,
    /// Published scalars.
    pub output: OutputSpec,
    /// Relations, in the order in which the transcript meets them.
    pub relations: Vec<Relation>,
}

impl Program {
    /// The spec of an axis.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if the program lacks it.
    pub fn axis(&self, axis: Axis) -> Result<&AxisSpec, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("no axis {axis:?}") };
        self.axes.iter().find(|spec| spec.axis == axis).ok_or_else(missing)
    }

    /// Registered regions whose commitments neither the base's id, nor the adapters' word, nor the architecture's id holds:
    /// a statement has a word for each.
    pub fn further_regions(&self) -> impl Iterator<Item = Region> {
        const NAMED: [Region; 4] = [Region::BASE, Region::TABLE, Region::ADAPTER, Region::WITNESS];
        self.regions.iter().map(|spec| spec.region).filter(|region| !NAMED.contains(region))
    }

    /// Checks what the engine takes for granted of a program: ids name one thing each, every axis and region that a column
    /// names exists, the witness is the last region and stands once, leaves are cells of the witness or of a region that stands once, a table's columns and a key's values have its shape,
    /// requests and tokens are those of the shape, the relations read their columns as [`reading`] says.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] names the rule, [`CircuitError::Tokens`] a shape beyond the program's texts.
    pub fn validate(&self, shape: &Shape) -> Result<(), CircuitError> {
        let fail = |what: String| Err(CircuitError::Compile { what });
        self.expect_texts(shape)?;
        for (at, spec) in self.regions.iter().enumerate() {
            if self.regions.iter().skip(at + 1).any(|other| other.region == spec.region) {
                return fail(format!("two regions {:?}", spec.region));
            }
        }
        if self.regions.last() != Some(&RegionSpec::once(Region::WITNESS)) {
            return fail("the witness is not the last region, once".into());
        }
        for (at, spec) in self.axes.iter().enumerate() {
            if self.axes.iter().skip(at + 1).any(|other| other.axis == spec.axis) {
                return fail(format!("two axes {:?}", spec.axis));
            }
            if spec.count > 1 << spec.bits {
                return fail(format!("axis {:?} has more indices than its bits", spec.axis));
            }
            // A point of parts is the parts' points side by side: one level, so that binding a part is seen.
            let mut bits = 0;
            for part in &spec.parts {
                let part = self.axis(*part)?;
                if !part.parts.is_empty() {
                    return fail(format!("axis {:?} is a part and has parts", part.axis));
                }
                bits += part.bits;
            }
            if !spec.parts.is_empty() && bits != spec.bits {
                return fail(format!("axis {:?} has other bits than its parts", spec.axis));
            }
        }
        for axis in &self.outer {
            self.axis(*axis)?;
        }
        for (at, spec) in self.columns.iter().enumerate() {
            let column = spec.column;
            if self.columns.iter().skip(at + 1).any(|other| other.column == column) {
                return fail(format!("two columns {column:?}"));
            }
            if !self.regions.iter().any(|region| region.region == spec.region) {
                return fail(format!("column {column:?} lies in no region of the program"));
            }
            for &(axis, count) in &spec.digits {
                if count > self.axis(axis)?.count {
                    return fail(format!("column {column:?} has more digits than {axis:?} has indices"));
                }
            }
            for &(axis, bits) in &spec.lows {
                // A table's entries are counted by the table.
                if axis != Axis::ENTRY && bits != self.axis(axis)?.bits {
                    return fail(format!("column {column:?} has other bits than {axis:?}"));
                }
            }
            // A leaf is one cell: of the witness, or of a region that stands once.
            let once = self.regions.iter().any(|own| own.region == spec.region && own.copies == Copies::Once);
            let keyed = matches!(spec.lookup, Lookup::Key { value: None, .. }) && once;
            if spec.lookup.is_leaf() && spec.region != Region::WITNESS && !keyed {
                return fail(format!("column {column:?} is looked up but not in the witness"));
            }
            self.expect_groups(spec)?;
            if let Lookup::Key { table, value, .. } = spec.lookup {
                let Some(own) = self.tables.iter().find(|other| other.table == table) else {
                    return fail(format!(
                        "column {column:?} is looked up in a table that the program lacks: {table:?}"
                    ));
                };
                if own.values.is_some() != value.is_some() {
                    return fail(format!("column {column:?} and table {table:?} do not both have values"));
                }
                if let Some(value) = value {
                    let values = self.column(value)?;
                    if (&values.digits, &values.lows, values.stacked) != (&spec.digits, &spec.lows, spec.stacked) {
                        return fail(format!("column {value:?} has another shape than its keys {column:?}"));
                    }
                }
            }
        }
        for (at, own) in self.tables.iter().enumerate() {
            let id = own.table.id();
            if id == SUM_ID || id >= CHOICE_ID {
                return fail(format!("the id of table {:?} is one of sums or choices", own.table));
            }
            if id == 0 || self.tables.iter().skip(at + 1).any(|other| other.table.id() == id) {
                return fail(format!("the id of table {:?} is zero or another's", own.table));
            }
            let counts = self.column(own.multiplicities)?;
            for spec in [Some(counts), own.values.map(|column| self.column(column)).transpose()?].into_iter().flatten()
            {
                if spec.len() != 1 << own.table.bits() || !spec.digits.is_empty() {
                    return fail(format!("column {:?} has another length than table {:?}", spec.column, own.table));
                }
            }
            if counts.region != Region::WITNESS || counts.lookup != Lookup::None {
                return fail(format!("the multiplicities of table {:?} are no witness column", own.table));
            }
        }
        self.expect_readable()
    }

    /// Checks that requests and tokens are those of the shape, or that there are none.
    fn expect_texts(&self, shape: &Shape) -> Result<(), CircuitError> {
        let fail = |what: String| Err(CircuitError::Compile { what });
        let Some(text) = &self.text else {
            let per_request = self.regions.iter().any(|spec| spec.copies == Copies::PerRequest);
            let axes = [Axis::REQUEST, Axis::TOKEN].iter().any(|axis| self.axis(*axis).is_ok());
            if axes || per_request || self.output != OutputSpec::default() {
                return fail("a program without texts has requests, tokens or outputs".into());
            }
            return self.counted.map_or(Ok(()), |axis| self.axis(axis).map(drop));
        };
        if self.counted.is_some() {
            return fail("a program of texts counts another axis".into());
        }
        if shape.tokens > text.limit {
            return Err(CircuitError::Tokens { most: text.limit, got: shape.tokens });
        }
        for (axis, bits) in [(Axis::REQUEST, shape.request_bits()), (Axis::TOKEN, shape.token_bits())] {
            if self.axis(axis)?.bits != bits {
                return fail(format!("axis {axis:?} has other bits than the shape"));
            }
        }
        Ok(())
    }

    /// Checks the shapes that leaves of sums by group take for granted. Two columns of summands would share their poles.
    fn expect_groups(&self, spec: &ColumnSpec) -> Result<(), CircuitError> {
        let Lookup::Group(leaf) = spec.lookup else { return Ok(()) };
        let fail = |what: &str| Err(CircuitError::Compile { what: format!("column {:?} {what}", spec.column) });
        let like = |other: &ColumnSpec| {
            core::mem::discriminant(&leaf)
                == match other.lookup {
                    Lookup::Group(other) => core::mem::discriminant(&other),
                    _ => return false,
                }
        };
        if self.columns.iter().filter(|other| like(other)).count() != 1 {
            return fail("is not the only one of its leaves");
        }
        if spec.lows.first().map(|&(axis, _)| axis) != Some(Axis::REQUEST) {
            return fail("has leaves of groups, and not the request as its first axis");
        }
        let same = |other: &ColumnSpec| {
            (&other.digits, &other.lows, other.stacked) == (&spec.digits, &spec.lows, spec.stacked)
        };
        match leaf {
            GroupLeaf::Summand { group } => {
                let groups = self.column(group)?;
                let axes = spec.lows.get(1..).unwrap_or(&[]);
                let registered = self.regions.iter().any(|own| {
                    own.region == groups.region && own.region != Region::WITNESS && own.copies == Copies::Once
                });
                if !registered || !groups.digits.is_empty() || !spec.digits.is_empty() || groups.lows != axes {
                    return fail("has groups of another shape, or that are not registered once");
                }
            }
            GroupLeaf::Sum if !spec.digits.is_empty() || spec.lows.len() != 2 => {
                return fail("has other axes than request and group");
            }
            GroupLeaf::Count { sum } => {
                let own = self.column(sum)?;
                if !same(own) || own.lookup != Lookup::Group(GroupLeaf::Sum) {
                    return fail("counts other groups than those of its sums");
                }
            }
            // The request is the whole of a block, its choices lie side by side.
            GroupLeaf::Choice { sum }
                if !same(self.column(sum)?) || spec.lows.len() != 1 || spec.stacked != Some(0) =>
            {
                return fail("has sums of another shape, or other axes than stacked choices and the request");
            }
            GroupLeaf::Sum | GroupLeaf::Choice { .. } => {}
        }
        Ok(())
    }

    /// The spec of a column.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if the program lacks it.
    pub fn column(&self, column: crate::column::Column) -> Result<&ColumnSpec, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("no column {column:?}") };
        self.columns.iter().find(|spec| spec.column == column).ok_or_else(missing)
    }
}
