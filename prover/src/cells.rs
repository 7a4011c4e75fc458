//! The committed integers of one statement, by address.

use lorica_circuits::architecture::Architecture;
use lorica_circuits::column::{Column, Region};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use std::collections::BTreeMap;

/// The cells of each region, in the order of its addresses. A slice may be shorter than its tiles: the rest is zero.
#[derive(Clone, Debug)]
pub struct Cells<'c> {
    /// Base weights.
    pub base: &'c [i64],
    /// Lookup tables.
    pub tables: &'c [i64],
    /// One adapter for each request of the shape; empty for the null adapter.
    pub adapters: Vec<&'c [i64]>,
    /// The witness.
    pub witness: &'c [i64],
}

impl<'c> Cells<'c> {
    /// All cells of a region (of a request's adapter).
    #[must_use]
    pub fn region(&self, region: Region, request: usize) -> &'c [i64] {
        match region {
            Region::Base => self.base,
            Region::Table => self.tables,
            Region::Adapter => self.adapters.get(request).copied().unwrap_or(&[]),
            Region::Witness => self.witness,
        }
    }

    /// A column's cells in logical order; empty if they are all zero.
    ///
    /// # Errors
    /// If the layout lacks the column.
    pub fn column(&self, layout: &Layout, column: Column, request: usize) -> Result<&'c [i64], CircuitError> {
        let placement = layout.placement(column)?;
        let region = self.region(placement.spec.region, request);
        let start = placement.offset as usize;
        Ok(region.get(start..start + placement.spec.len()).unwrap_or(&[]))
    }
}

/// Places columns (in logical order) into the cells of a region.
///
/// # Errors
/// [`CircuitError::Compile`] if a column is missing or has another length.
pub fn place(layout: &Layout, region: Region, columns: &BTreeMap<Column, Vec<i64>>) -> Result<Vec<i64>, CircuitError> {
    let mut length = 0usize;
    for placement in layout.placements().filter(|p| p.spec.region == region) {
        length = length.max(placement.offset as usize + placement.spec.len());
    }
    let mut cells = vec![0i64; length];
    for placement in layout.placements().filter(|p| p.spec.region == region) {
        let column = placement.spec.column;
        let values = columns
            .get(&column)
            .ok_or_else(|| CircuitError::Compile { what: format!("column {column:?} is missing") })?;
        if values.len() != placement.spec.len() {
            return Err(CircuitError::Compile {
                what: format!("column {column:?} has {} cells instead of {}", values.len(), placement.spec.len()),
            });
        }
        let start = placement.offset as usize;
        cells[start..start + values.len()].copy_from_slice(values);
    }
    Ok(cells)
}

/// The cells of the table region.
///
/// # Errors
/// As [`place`].
pub fn tables(layout: &Layout, architecture: &Architecture) -> Result<Vec<i64>, CircuitError> {
    let columns = layout
        .placements()
        .filter_map(|p| {
            let column = p.spec.column;
            lorica_circuits::table::values(column, architecture).map(|values| (column, values))
        })
        .collect();
    place(layout, Region::Table, &columns)
}
