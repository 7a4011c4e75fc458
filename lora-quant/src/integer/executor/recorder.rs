//! The one way by which values enter the witness: checked against the column's declared range.
//!
//! Stages compute the distinct rows only (real tokens of the requests given) and hand them over packed by request; the
//! recorder checks every value and, where a trace is wanted, copies row 0 to padding rows and request 0 to absent
//! requests.

use std::collections::BTreeMap;
use std::ops::Range;

use lorica_cells::{Cell, Cells, Columns, Width, narrow, typed, typed_cells};
use lorica_circuits::axis::Axis;
use lorica_circuits::column::{Column, ColumnSpec, Lookup, Table, TableSpec};
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::region::Region;
use lorica_circuits::shape::Shape;
use rayon::prelude::*;

use crate::integer::error::RangeError;

/// Values of the keys beyond the real tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// Those of key 0.
    Repeat,
    /// Zero: the column reads the mask.
    Zero,
}

/// Checks values and keeps them as columns.
pub struct Recorder {
    specs: BTreeMap<Column, ColumnSpec>,
    lengths: Vec<usize>,
    requests: usize,
    tables: Vec<TableSpec>,
    columns: Option<BTreeMap<Column, Cells>>,
}

impl Recorder {
    /// For requests of these lengths; keeps columns only if `record`.
    pub fn new(architecture: &Architecture, shape: &Shape, lengths: Vec<usize>, record: bool) -> Self {
        // What an attribution adds comes after the trace, from the index (`crate::index`).
        let plain = Shape { records: 0, ..*shape };
        let specs: BTreeMap<_, _> = columns::columns(architecture, &plain)
            .into_iter()
            .filter(|spec| spec.region == Region::WITNESS)
            .map(|spec| (spec.column, spec))
            .collect();
        // A column that is looked up has the width of its declared range. The others start narrow and are widened by the
        // first values that need it.
        let width = |spec: &ColumnSpec| spec.lookup.bounds().map_or(Width::I8, |(low, high)| Width::holding(low, high));
        let columns = record.then(|| specs.values().map(|s| (s.column, Cells::zeros(width(s), s.len()))).collect());
        Self { specs, lengths, requests: shape.requests, tables: columns::tables(shape.output), columns }
    }

    /// Whether columns are kept; if not, columns that carry no range error (remainders) need not be computed.
    pub fn records(&self) -> bool {
        self.columns.is_some()
    }

    /// Stores the blocks `first..` of a column, given by digits in logical order.
    pub fn store_blocks(&mut self, column: Column, first: usize, blocks: &[Vec<i64>]) -> Result<(), RangeError> {
        blocks.iter().enumerate().try_for_each(|(i, values)| self.store(column, first + i, values))
    }

    /// Stores one block of a column: the packed cells of all requests.
    pub fn store(&mut self, column: Column, block: usize, values: &[i64]) -> Result<(), RangeError> {
        let spec = &self.specs[&column];
        if let Some((low, high)) = spec.lookup.bounds()
            && let Some(index) = values.iter().position(|v| !(low..=high).contains(v))
        {
            return Err(self.range_error(spec, block, index, values[index], (low, high)));
        }
        let Some(columns) = &mut self.columns else { return Ok(()) };
        let Some(target) = columns.get_mut(&column) else { return Ok(()) };
        let cells = 1usize << spec.block_bits();
        let place = Place {
            cells: block * cells..(block + 1) * cells,
            axes: spec.lows[1..].iter().map(|&(axis, bits)| (axis, 1 << bits)).collect(),
            padding: if column == columns::ATTAIN { Padding::Zero } else { Padding::Repeat },
            lengths: &self.lengths,
            requests: self.requests,
        };
        if !typed_cells!(&mut *target, |cells| place.fill(cells, values)) {
            target.hold(values);
            let fits = typed_cells!(target, |cells| place.fill(cells, values));
            assert!(fits, "the width was chosen to hold the values");
        }
        Ok(())
    }

    fn range_error(
        &self,
        spec: &ColumnSpec,
        mut block: usize,
        mut index: usize,
        value: i64,
        bounds: (i64, i64),
    ) -> RangeError {
        let axes: Vec<(Axis, usize)> = spec.lows[1..].iter().map(|&(axis, bits)| (axis, 1 << bits)).collect();
        let mut request = 0;
        for &n in &self.lengths {
            let size = packed(&axes, n);
            if index < size {
                break;
            }
            index -= size;
            request += 1;
        }
        let n = self.lengths.get(request).copied().unwrap_or(1);
        let mut place = Vec::new();
        for &(axis, full) in axes.iter().rev() {
            let count = count(axis, full, n);
            place.push((axis, index % count));
            index /= count;
        }
        for &(axis, count) in spec.digits.iter().rev() {
            place.push((axis, block % count));
            block /= count;
        }
        place.reverse();
        RangeError { column: spec.column, request, place, value, bounds }
    }

    /// The finished columns, with the multiplicities of every table.
    pub fn finish(self) -> Columns {
        let Some(mut columns) = self.columns else { return Columns::default() };
        let counted: Vec<(Table, Vec<u32>)> = columns
            .par_iter()
            .filter_map(|(column, cells)| match self.specs[column].lookup {
                Lookup::None | Lookup::Group(_) => None,
                Lookup::Key { table, .. } => {
                    let mut counts = vec![0u32; 1 << table.bits()];
                    let offset = self.specs[column].lookup.offset();
                    typed!(cells.as_slice(), |cells| tally(cells, offset, &mut counts));
                    Some((table, counts))
                }
            })
            .collect();
        for TableSpec { table, multiplicities, .. } in self.tables {
            let mut total = vec![0; 1 << table.bits()];
            for (_, counts) in counted.iter().filter(|(own, _)| *own == table) {
                total.iter_mut().zip(counts).for_each(|(t, &c)| *t += i64::from(c));
            }
            columns.insert(multiplicities, Cells::narrowest(&total));
        }
        columns.into_iter().collect()
    }
}

/// Counts how often each entry of a table is looked up.
fn tally<T: Cell>(cells: &[T], offset: i64, counts: &mut [u32]) {
    for &cell in cells {
        // In range: every cell was checked by `store`, or is a zero that no stage has written.
        if let Some(count) = usize::try_from(cell.into() + offset).ok().and_then(|k| counts.get_mut(k)) {
            *count += 1;
        }
    }
}

/// Where the packed cells of a block go.
struct Place<'p> {
    cells: Range<usize>,
    axes: Vec<(Axis, usize)>,
    padding: Padding,
    lengths: &'p [usize],
    requests: usize,
}

impl Place<'_> {
    /// Writes a block of a column; `false`, and nothing written, if its type does not hold the values.
    fn fill<T: Cell>(&self, column: &mut [T], values: &[i64]) -> bool {
        let Ok(packed_cells) = narrow::<T>(values) else { return false };
        let target = &mut column[self.cells.clone()];
        let per_request = target.len() / self.requests;
        let mut rest = packed_cells.as_slice();
        for (request, &n) in self.lengths.iter().enumerate() {
            let (own, others) = rest.split_at(packed(&self.axes, n));
            let target = &mut target[request * per_request..(request + 1) * per_request];
            expand(&self.axes, n, self.padding, own, target);
            rest = others;
        }
        for request in self.lengths.len()..self.requests {
            target.copy_within(..per_request, request * per_request);
        }
        true
    }
}

/// Packed size of an axis: positions have only the real tokens.
fn count(axis: Axis, full: usize, n: usize) -> usize {
    if matches!(axis, Axis::TOKEN | Axis::KEY) { n } else { full }
}

fn packed(axes: &[(Axis, usize)], n: usize) -> usize {
    axes.iter().map(|&(axis, full)| count(axis, full, n)).product()
}

/// Copies packed cells of one request to their places, and padding rows.
fn expand<T: Cell>(axes: &[(Axis, usize)], n: usize, padding: Padding, source: &[T], target: &mut [T]) {
    let Some((&(axis, full), rest)) = axes.split_first() else {
        target.copy_from_slice(source);
        return;
    };
    let real = count(axis, full, n);
    if rest.is_empty() {
        target[..real].copy_from_slice(source);
        target[real..].fill(if padding == Padding::Zero { T::default() } else { source[0] });
        return;
    }
    let (from, to) = (source.len() / real, target.len() / full);
    for (s, t) in source.chunks_exact(from).zip(target.chunks_exact_mut(to)) {
        expand(rest, n, padding, s, t);
    }
    // Query rows beyond the text repeat row 0 whatever the padding of keys.
    for i in real..full {
        target.copy_within(..to, i * to);
    }
}
