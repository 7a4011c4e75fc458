//! Columns by name.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;

use lorica_circuits::column::Column;

use super::Cells;

/// The columns of a base model, an adapter or a witness, in the logical order of their specifications. A copy shares the
/// cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns(BTreeMap<Column, Arc<Cells>>);

impl Columns {
    /// The cells of a column.
    #[must_use]
    pub fn get(&self, column: Column) -> Option<&Arc<Cells>> {
        self.0.get(&column)
    }

    /// Puts a column in; returns the one that had its name.
    pub fn insert(&mut self, column: Column, cells: impl Into<Cells>) -> Option<Arc<Cells>> {
        self.0.insert(column, Arc::new(cells.into()))
    }

    /// Takes a column out.
    pub fn remove(&mut self, column: Column) -> Option<Arc<Cells>> {
        self.0.remove(&column)
    }

    /// Changes a column's values, as 64-bit integers; the new ones are held in the narrowest width. Does nothing where the
    /// column is absent.
    pub fn edit(&mut self, column: Column, edit: impl FnOnce(&mut Vec<i64>)) {
        if let Some(cells) = self.0.get_mut(&column) {
            let mut values = cells.to_vec();
            edit(&mut values);
            *cells = Arc::new(Cells::narrowest(&values));
        }
    }

    /// All columns, in column order.
    pub fn iter(&self) -> impl Iterator<Item = (Column, &Arc<Cells>)> {
        self.0.iter().map(|(column, cells)| (*column, cells))
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = Column> {
        self.0.keys().copied()
    }

    /// Number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cells of all columns.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.0.values().map(|cells| cells.len()).sum()
    }

    /// Size in memory of the cells of all columns.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.values().map(|cells| cells.bytes()).sum()
    }

    /// Copies with 64 bits a cell.
    #[must_use]
    pub fn to_vecs(&self) -> BTreeMap<Column, Vec<i64>> {
        self.0.iter().map(|(column, cells)| (*column, cells.to_vec())).collect()
    }
}

impl Index<Column> for Columns {
    type Output = Cells;

    /// # Panics
    /// If the column is absent.
    fn index(&self, column: Column) -> &Cells {
        &self.0[&column]
    }
}

impl<C: Into<Cells>> FromIterator<(Column, C)> for Columns {
    fn from_iter<I: IntoIterator<Item = (Column, C)>>(columns: I) -> Self {
        Self(columns.into_iter().map(|(column, cells)| (column, Arc::new(cells.into()))).collect())
    }
}
