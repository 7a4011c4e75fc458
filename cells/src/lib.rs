//! The integers of columns, each column in the narrowest type that holds it.
//!
//! Weights, tables and witness are held once: [`Columns`] shares each column by reference count, the executor reads it,
//! and the prover places the same memory in the address space.
//!
//! A reader gets a [`Slice`], an enum of slices, and matches it once, outside its loop: [`typed!`](crate::typed) compiles
//! the loop for every width.
//!
//! ```
//! use lorica_cells::{Cells, Width, typed};
//! let cells = Cells::narrowest(&[-3, 200]);
//! assert_eq!((cells.width(), cells.bytes()), (Width::I16, 4));
//! let sum: i64 = typed!(cells.as_slice(), |cells| cells.iter().map(|&cell| i64::from(cell)).sum());
//! assert_eq!(sum, 197);
//! ```

#![forbid(unsafe_code)]

mod cell;
mod columns;
pub mod watch;

use std::ops::Range;

pub use cell::{Beyond, Cell, Width, narrow};
pub use columns::Columns;

/// Integers of one width.
#[derive(Clone, Debug)]
pub enum Cells {
    /// -2^7 to 2^7 - 1.
    I8(Vec<i8>),
    /// -2^15 to 2^15 - 1.
    I16(Vec<i16>),
    /// 0 to 2^16 - 1: remainders of 16 bits are most of a witness.
    U16(Vec<u16>),
    /// -2^31 to 2^31 - 1.
    I32(Vec<i32>),
    /// All others.
    I64(Vec<i64>),
}

/// Borrowed integers of one width.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'c> {
    /// As [`Cells::I8`].
    I8(&'c [i8]),
    /// As [`Cells::I16`].
    I16(&'c [i16]),
    /// As [`Cells::U16`].
    U16(&'c [u16]),
    /// As [`Cells::I32`].
    I32(&'c [i32]),
    /// As [`Cells::I64`].
    I64(&'c [i64]),
}

/// Runs an expression on the typed slice in a [`Slice`], compiled once for each width.
#[macro_export]
macro_rules! typed {
    ($slice:expr, |$cells:ident| $body:expr) => {
        match $slice {
            $crate::Slice::I8($cells) => $body,
            $crate::Slice::I16($cells) => $body,
            $crate::Slice::U16($cells) => $body,
            $crate::Slice::I32($cells) => $body,
            #[allow(clippy::useless_conversion, reason = "it is one for the other widths")]
            $crate::Slice::I64($cells) => $body,
        }
    };
}

/// Runs an expression on the vector in some [`Cells`] (by value or by reference), compiled once for each width.
#[macro_export]
macro_rules! typed_cells {
    ($owned:expr, |$cells:ident| $body:expr) => {
        match $owned {
            $crate::Cells::I8($cells) => $body,
            $crate::Cells::I16($cells) => $body,
            $crate::Cells::U16($cells) => $body,
            $crate::Cells::I32($cells) => $body,
            #[allow(clippy::useless_conversion, reason = "it is one for the other widths")]
            $crate::Cells::I64($cells) => $body,
        }
    };
}

/// Smallest and largest value, 0 among them.
fn bounds<T: Cell>(cells: &[T]) -> (i64, i64) {
    cells.iter().fold((0, 0), |(low, high), &cell| {
        let value = cell.into();
        (value.min(low), value.max(high))
    })
}

impl Cells {
    /// Zeros.
    #[must_use]
    pub fn zeros(width: Width, length: usize) -> Self {
        match width {
            Width::I8 => Self::I8(vec![0; length]),
            Width::I16 => Self::I16(vec![0; length]),
            Width::U16 => Self::U16(vec![0; length]),
            Width::I32 => Self::I32(vec![0; length]),
            Width::I64 => Self::I64(vec![0; length]),
        }
    }

    /// The values in the narrowest width that holds them.
    #[must_use]
    pub fn narrowest(values: &[i64]) -> Self {
        let (low, high) = bounds(values);
        Slice::I64(values).at_width(Width::holding(low, high))
    }

    /// The values in this width.
    ///
    /// # Errors
    /// [`Beyond`] names the first value that the width does not hold.
    pub fn with_width(width: Width, values: &[i64]) -> Result<Self, Beyond> {
        Ok(match width {
            Width::I8 => Self::I8(narrow(values)?),
            Width::I16 => Self::I16(narrow(values)?),
            Width::U16 => Self::U16(narrow(values)?),
            Width::I32 => Self::I32(narrow(values)?),
            Width::I64 => Self::I64(values.to_vec()),
        })
    }

    /// The same values, in the narrowest width that holds them.
    #[must_use]
    pub fn narrowed(self) -> Self {
        let (low, high) = self.bounds();
        let width = Width::holding(low, high);
        if width.bytes() == self.width().bytes() { self } else { self.as_slice().at_width(width) }
    }

    /// Smallest and largest value, 0 among them.
    #[must_use]
    pub fn bounds(&self) -> (i64, i64) {
        typed_cells!(self, |cells| bounds(cells))
    }

    /// Widens the type, if need be, so that it holds these values too.
    pub fn hold(&mut self, values: &[i64]) {
        let (low, high) = bounds(values);
        let own = self.width();
        if own.holds(low) && own.holds(high) {
            return;
        }
        let (own_low, own_high) = self.bounds();
        *self = self.as_slice().at_width(Width::holding(low.min(own_low), high.max(own_high)));
    }

    /// Appends values, widening the type if need be.
    pub fn append(&mut self, values: &[i64]) {
        fn extended<T: Cell>(cells: &mut Vec<T>, values: &[i64]) -> bool {
            narrow::<T>(values).map(|own| cells.extend(own)).is_ok()
        }
        if !typed_cells!(&mut *self, |cells| extended(cells, values)) {
            self.hold(values);
            let fits = typed_cells!(self, |cells| extended(cells, values));
            assert!(fits, "the width was chosen to hold the values");
        }
    }

    /// Cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the cells.
    #[must_use]
    pub fn width(&self) -> Width {
        self.as_slice().width()
    }

    /// Size in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len() * self.width().bytes()
    }

    /// All cells.
    #[must_use]
    pub fn as_slice(&self) -> Slice<'_> {
        typed_cells!(self, |cells| Cell::slice(cells))
    }

    /// One cell.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn at(&self, index: usize) -> i64 {
        self.as_slice().at(index)
    }

    /// A copy with 64 bits a cell.
    #[must_use]
    pub fn to_vec(&self) -> Vec<i64> {
        self.as_slice().to_vec()
    }
}

impl Default for Cells {
    fn default() -> Self {
        Self::I8(Vec::new())
    }
}

/// Equal values; the widths may differ.
impl PartialEq for Cells {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Cells {}

impl From<Vec<i64>> for Cells {
    fn from(values: Vec<i64>) -> Self {
        Self::narrowest(&values)
    }
}

impl<'c> Slice<'c> {
    /// No cells.
    pub const EMPTY: Self = Self::I8(&[]);

    /// Cells.
    #[must_use]
    pub fn len(self) -> usize {
        typed!(self, |cells| cells.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The type of the cells.
    #[must_use]
    pub fn width(self) -> Width {
        fn of<T: Cell>(_: &[T]) -> Width {
            T::WIDTH
        }
        typed!(self, |cells| of(cells))
    }

    /// Some of the cells, if there are so many.
    #[must_use]
    pub fn get(self, range: Range<usize>) -> Option<Self> {
        typed!(self, |cells| cells.get(range).map(Cell::slice))
    }

    /// Some of the cells.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn range(self, range: Range<usize>) -> Self {
        typed!(self, |cells| Cell::slice(&cells[range]))
    }

    /// One cell: for single values, as each call matches the width.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn at(self, index: usize) -> i64 {
        typed!(self, |cells| cells[index].into())
    }

    /// Whether all cells are zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        typed!(self, |cells| cells.iter().all(|&cell| cell == 0))
    }

    /// A copy with 64 bits a cell.
    #[must_use]
    pub fn to_vec(self) -> Vec<i64> {
        typed!(self, |cells| cells.iter().map(|&cell| cell.into()).collect())
    }

    /// Copies the first cells, as many as the target has room for.
    #[inline(always)]
    pub fn copy_to(self, target: &mut [i64]) {
        typed!(self, |cells| for (target, &cell) in target.iter_mut().zip(cells) {
            *target = cell.into();
        });
    }

    /// Adds the first cells to the target's, as many as it has.
    ///
    /// # Panics
    /// If a sum is beyond 64 bits, where overflow is checked.
    pub fn add_to(self, target: &mut [i64]) {
        typed!(self, |cells| for (target, &cell) in target.iter_mut().zip(cells) {
            *target += i64::from(cell);
        });
    }

    /// A copy in a width that has been found to hold the values.
    fn at_width(self, width: Width) -> Cells {
        fn cast<T: Cell, U: Cell>(cells: &[T]) -> Vec<U> {
            let cast = |&cell: &T| {
                let value: i64 = cell.into();
                debug_assert!(U::WIDTH.holds(value));
                U::low_bits(value)
            };
            cells.iter().map(cast).collect()
        }
        typed!(self, |cells| match width {
            Width::I8 => Cells::I8(cast(cells)),
            Width::I16 => Cells::I16(cast(cells)),
            Width::U16 => Cells::U16(cast(cells)),
            Width::I32 => Cells::I32(cast(cells)),
            Width::I64 => Cells::I64(cast(cells)),
        })
    }
}

/// Equal values; the widths may differ.
impl PartialEq for Slice<'_> {
    fn eq(&self, other: &Self) -> bool {
        fn equal<T: Cell, U: Cell>(left: &[T], right: &[U]) -> bool {
            left.len() == right.len() && left.iter().zip(right).all(|(&l, &r)| Into::<i64>::into(l) == r.into())
        }
        typed!(*self, |left| typed!(*other, |right| equal(left, right)))
    }
}

impl Eq for Slice<'_> {}

impl<'c, T: Cell> From<&'c [T]> for Slice<'c> {
    fn from(cells: &'c [T]) -> Self {
        T::slice(cells)
    }
}

impl<'c, T: Cell> From<&'c Vec<T>> for Slice<'c> {
    fn from(cells: &'c Vec<T>) -> Self {
        T::slice(cells)
    }
}
