//! The committed integers of one statement, by address.
//!
//! Cells are not copied here: a region is its columns, each shared and in its own width, and where they start. The
//! reduction reads the address space by rows of [`ROW`] cells; a row that columns share is put together once, when the
//! region is placed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use lorica_cells::{Columns, Slice};
use lorica_circuits::bn254::Fr;
use lorica_circuits::column::Column;
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::{Architecture, table_values};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;

use crate::row_sums::ROW;

/// Cells of a column that lie together.
#[derive(Clone, Debug)]
struct Part {
    /// Address of the first cell, relative to the region.
    start: usize,
    /// The first cell in the column.
    first: usize,
    length: usize,
    cells: Arc<lorica_cells::Cells>,
}

impl Part {
    fn end(&self) -> usize {
        self.start + self.length
    }
    /// The cells at addresses relative to the region, which are this part's.
    fn range(&self, addresses: Range<usize>) -> Slice<'_> {
        let own = addresses.start - self.start + self.first..addresses.end - self.start + self.first;
        self.cells.as_slice().range(own)
    }
}

/// The columns of one region, in the order of its addresses. Addresses that no column owns are zero. A copy shares the
/// cells.
#[derive(Clone, Debug)]
pub struct Placed {
    columns: BTreeMap<Column, Arc<lorica_cells::Cells>>,
    /// By address.
    parts: Vec<Part>,
    /// Rows that are read whole: parts, and rows that were put together. The first is of rows without cells.
    runs: Vec<Part>,
    /// For each row of the region, its run.
    rows: Vec<u32>,
}

impl Placed {
    /// Places columns into a region.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if a column is missing or has another length.
    pub fn new(layout: &Layout, region: Region, columns: &Columns) -> Result<Self, CircuitError> {
        let mut own = BTreeMap::new();
        let mut parts = Vec::new();
        for placement in layout.placements().filter(|p| p.spec.region == region) {
            let column = placement.spec.column;
            let cells = columns
                .get(column)
                .ok_or_else(|| CircuitError::Compile { what: format!("column {column:?} is missing") })?;
            if cells.len() != placement.spec.len() {
                return Err(CircuitError::Compile {
                    what: format!("column {column:?} has {} cells instead of {}", cells.len(), placement.spec.len()),
                });
            }
            let runs = placement.runs().into_iter();
            parts.extend(runs.map(|(first, start, length)| Part {
                start: start as usize,
                first,
                length,
                cells: cells.clone(),
            }));
            own.insert(column, cells.clone());
        }
        parts.sort_by_key(|part| part.start);
        Ok(Self::of_parts(own, parts))
    }

    /// Finds the run of each row: of the one part that has cells in it, or of rows that were put together.
    fn of_parts(columns: BTreeMap<Column, Arc<lorica_cells::Cells>>, parts: Vec<Part>) -> Self {
        let count = parts.iter().map(Part::end).max().unwrap_or(0).div_ceil(ROW);
        let mut runs = vec![Part { start: 0, first: 0, length: 0, cells: Arc::default() }];
        let mut rows = vec![0u32; count];
        let mut next = 0;
        for (index, part) in parts.iter().enumerate() {
            // A last row that the part does not fill is its own if the next part starts after it.
            let next_start = parts.get(index + 1).map_or(usize::MAX, |next| next.start);
            let own_rows = part.start.div_ceil(ROW).max(next)..match part.end().div_ceil(ROW) {
                last if last * ROW <= next_start => last,
                _ => part.end() / ROW,
            };
            if !own_rows.is_empty() {
                next = own_rows.end;
                rows[own_rows].fill(runs.len() as u32);
                runs.push(part.clone());
            }
        }
        let mut placed = Self { columns, parts, runs, rows };
        let shared = |placed: &Self, row: usize| {
            placed.rows.get(row) == Some(&0) && placed.parts_within(row * ROW..(row + 1) * ROW).next().is_some()
        };
        let mut row = 0;
        while row < count {
            let end = (row..).find(|row| !shared(&placed, *row)).unwrap_or(row);
            if end > row {
                let length = (end - row) * ROW;
                let mut cells = vec![0; length];
                for (start, own) in placed.parts_within(row * ROW..end * ROW) {
                    own.copy_to(&mut cells[start..]);
                }
                placed.rows[row..end].fill(placed.runs.len() as u32);
                placed.runs.push(Part { start: row * ROW, first: 0, length, cells: Arc::new(cells.into()) });
            }
            row = end + 1;
        }
        placed
    }

    /// A column's cells in logical order; none if the region lacks the column.
    #[must_use]
    pub fn column(&self, column: Column) -> Slice<'_> {
        self.columns.get(&column).map_or(Slice::EMPTY, |cells| cells.as_slice())
    }

    /// The cells within a range of the region's addresses, column by column, each with its start relative to the range's.
    /// Addresses that no column owns are left out: they are zero.
    pub fn parts_within(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Slice<'_>)> {
        let first = self.parts.partition_point(|part| part.end() <= range.start);
        self.parts[first..].iter().take_while(move |part| part.start < range.end).map(move |part| {
            let start = part.start.max(range.start);
            let end = part.end().min(range.end);
            (start - range.start, part.range(start..end))
        })
    }

    /// The cells of a row of [`ROW`] addresses; fewer, or none, if the others are zero.
    #[must_use]
    pub fn row(&self, index: usize) -> Slice<'_> {
        let Some(run) = self.rows.get(index).and_then(|run| self.runs.get(*run as usize)) else {
            return Slice::EMPTY;
        };
        let start = index * ROW;
        let end = (start + ROW).min(run.end());
        if start < end { run.range(start..end) } else { Slice::EMPTY }
    }

    /// All cells by address, with 64 bits each, up to the last one that a column owns: for tests.
    #[must_use]
    pub fn to_vec(&self) -> Vec<i64> {
        let length = self.parts.last().map_or(0, Part::end);
        let mut cells = vec![0; length];
        for (start, own) in self.parts_within(0..length) {
            own.copy_to(&mut cells[start..]);
        }
        cells
    }
}

/// The cells of each region.
#[derive(Clone, Debug)]
pub struct Cells {
    /// Registered regions: one entry, or one for each request of the shape; `None` for a copy that is zero everywhere.
    pub registered: BTreeMap<Region, Vec<Option<Arc<Placed>>>>,
    /// The witness.
    pub witness: Placed,
    /// Blinding coefficients of registered regions whose tiles have one, beyond their cells.
    pub blinding: BTreeMap<Region, Vec<Fr>>,
}

impl Cells {
    /// All cells of a region (of a request's copy, where each request has one), if they are not all zero by absence.
    #[must_use]
    pub fn region(&self, region: Region, request: usize) -> Option<&Placed> {
        if region == Region::WITNESS {
            return Some(&self.witness);
        }
        self.registered.get(&region)?.get(request)?.as_deref()
    }

    /// A column's cells in logical order; empty if they are all zero.
    ///
    /// # Errors
    /// If the layout lacks the column.
    pub fn column(&self, layout: &Layout, column: Column, request: usize) -> Result<Slice<'_>, CircuitError> {
        let region = self.region(layout.placement(column)?.spec.region, request);
        Ok(region.map_or(Slice::EMPTY, |placed| placed.column(column)))
    }
}

/// The table region.
///
/// # Errors
/// As [`Placed::new`].
pub fn tables(layout: &Layout, architecture: &Architecture) -> Result<Placed, CircuitError> {
    let columns = layout
        .placements()
        .filter_map(|p| {
            let column = p.spec.column;
            table_values(column, architecture).map(|values| (column, values))
        })
        .collect();
    Placed::new(layout, Region::TABLE, &columns)
}

#[cfg(test)]
mod tests;
