//! The types of cells, and the checked way into them.

use std::ops::BitOr;

use super::{Cells, Slice};

/// A type of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// 8 bits and a sign among them.
    I8,
    /// 16 bits and a sign among them.
    I16,
    /// 16 bits without a sign.
    U16,
    /// 32 bits and a sign among them.
    I32,
    /// 64 bits and a sign among them.
    I64,
}

impl Width {
    /// Inclusive bounds.
    #[must_use]
    pub const fn bounds(self) -> (i64, i64) {
        match self {
            Self::I8 => (-(1 << 7), (1 << 7) - 1),
            Self::I16 => (-(1 << 15), (1 << 15) - 1),
            Self::U16 => (0, (1 << 16) - 1),
            Self::I32 => (-(1 << 31), (1 << 31) - 1),
            Self::I64 => (i64::MIN, i64::MAX),
        }
    }

    /// Bytes of a cell.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// Whether a value is within the bounds.
    #[must_use]
    pub const fn holds(self, value: i64) -> bool {
        let (low, high) = self.bounds();
        low <= value && value <= high
    }

    /// The narrowest type for values from `low` to `high`.
    #[must_use]
    pub fn holding(low: i64, high: i64) -> Self {
        [Self::I8, Self::I16, Self::U16, Self::I32]
            .into_iter()
            .find(|width| width.holds(low) && width.holds(high))
            .unwrap_or(Self::I64)
    }
}

/// A value that the type of its column does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cell {index} is {value}, outside {}..={} of {width:?}", .width.bounds().0, .width.bounds().1)]
pub struct Beyond {
    /// Index among the given values.
    pub index: usize,
    /// The value.
    pub value: i64,
    /// The type.
    pub width: Width,
}

mod sealed {
    pub trait Sealed {}
}

/// One of the types in which cells are held.
pub trait Cell:
    Copy + Default + PartialEq + BitOr<Output = Self> + Into<i64> + Send + Sync + 'static + sealed::Sealed
{
    /// Its name.
    const WIDTH: Width;
    /// The cells with their type as a value.
    fn slice(cells: &[Self]) -> Slice<'_>;
    /// The cells with their type as a value.
    fn cells(cells: Vec<Self>) -> Cells;
    /// The low bits of a value, which are the value if the type holds it: see [`narrow`].
    fn low_bits(value: i64) -> Self;
}

macro_rules! cell {
    ($type:ty, $name:ident) => {
        impl sealed::Sealed for $type {}
        impl Cell for $type {
            const WIDTH: Width = Width::$name;
            #[inline(always)]
            fn slice(cells: &[Self]) -> Slice<'_> {
                Slice::$name(cells)
            }
            fn cells(cells: Vec<Self>) -> Cells {
                Cells::$name(cells)
            }
            #[inline(always)]
            fn low_bits(value: i64) -> Self {
                value as Self
            }
        }
    };
}

cell!(i8, I8);
cell!(i16, I16);
cell!(u16, U16);
cell!(i32, I32);
cell!(i64, I64);

/// The values as cells of one type.
///
/// # Errors
/// [`Beyond`] names the first value that the type does not hold.
pub fn narrow<T: Cell>(values: &[i64]) -> Result<Vec<T>, Beyond> {
    // No early exit: the loop has no branch.
    let mut exact = true;
    let cells = values
        .iter()
        .map(|&value| {
            let cell = T::low_bits(value);
            exact &= Into::<i64>::into(cell) == value;
            cell
        })
        .collect();
    if exact {
        return Ok(cells);
    }
    let index = values.iter().position(|value| !T::WIDTH.holds(*value)).unwrap_or(0);
    Err(Beyond { index, value: values[index], width: T::WIDTH })
}
