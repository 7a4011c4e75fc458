//! Columns of integers: each with its width (2, 4 or 8 bytes), its number of cells, and the cells, little-endian.

use lorica_cells::{Cell, Cells, Columns, typed};
use lorica_circuits::families::encoder::column_names;
use lorica_circuits::region::Region;
use lorica_verifier::files::codec::{CodecError, Reader, Writer};

/// Bytes that hold every cell.
fn width(cells: &Cells) -> u8 {
    let (low, high) = cells.bounds();
    let fits = |bits: u32| low >= -(1i64 << (bits - 1)) && high < 1i64 << (bits - 1);
    if fits(16) {
        2
    } else if fits(32) {
        4
    } else {
        8
    }
}

/// Writes a region's columns; an absent column is empty.
pub fn write_columns(writer: &mut Writer, region: Region, columns: &Columns) {
    for column in column_names(region) {
        let cells = columns.get(column).cloned().unwrap_or_default();
        let width = width(&cells);
        writer.u8(width);
        writer.u64(cells.len() as u64);
        writer.bytes(&typed!(cells.as_slice(), |cells| to_bytes(cells, width.into())));
    }
}

fn to_bytes<T: Cell>(cells: &[T], width: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(cells.len() * width);
    for cell in cells {
        let cell: i64 = (*cell).into();
        bytes.extend_from_slice(&cell.to_le_bytes()[..width]);
    }
    bytes
}

/// Reads a region's columns. Their lengths and bounds are the integer model's to check.
///
/// # Errors
/// [`CodecError`].
pub fn read_columns(reader: &mut Reader<'_>, region: Region) -> Result<Columns, CodecError> {
    column_names(region).into_iter().map(|column| Ok((column, read_cells(reader)?))).collect()
}

/// Cells in the width of the file, or in a narrower one that holds them all.
fn read_cells(reader: &mut Reader<'_>) -> Result<Cells, CodecError> {
    let width = reader.u8("width of a column")?;
    let count = reader.u64("cells of a column")?;
    let length = count.checked_mul(width.into()).and_then(|length| usize::try_from(length).ok());
    let bytes = reader.bytes(length.unwrap_or(usize::MAX), "cells of a column")?;
    let cells = match width {
        2 => Cells::I16(cells(bytes, i16::from_le_bytes)),
        4 => Cells::I32(cells(bytes, i32::from_le_bytes)),
        8 => Cells::I64(cells(bytes, i64::from_le_bytes)),
        got => return Err(CodecError::Value { what: "width of a column", got: got.into() }),
    };
    Ok(cells.narrowed())
}

fn cells<T, const N: usize>(bytes: &[u8], cell: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|chunk| cell(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_return_at_every_width() {
        let extremes =
            [vec![], vec![-32768, 32767], vec![32768], vec![-32769], vec![1 << 31], vec![i64::MIN, i64::MAX]];
        for cells in extremes {
            let columns: Columns =
                column_names(Region::ADAPTER).into_iter().map(|column| (column, cells.clone())).collect();
            let mut writer = Writer::new(b"LORICAte", 1);
            write_columns(&mut writer, Region::ADAPTER, &columns);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes, "test", b"LORICAte", 1).expect("written just now");
            assert_eq!(read_columns(&mut reader, Region::ADAPTER), Ok(columns));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn impossible_widths_and_lengths_are_refused() {
        for (width, count, expected) in [
            (3, 0, CodecError::Value { what: "width of a column", got: 3 }),
            (2, u64::MAX, truncated()),
            (8, 1, truncated()),
        ] {
            let mut writer = Writer::new(b"LORICAte", 1);
            writer.u8(width);
            writer.u64(count);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes, "test", b"LORICAte", 1).expect("written just now");
            assert_eq!(read_columns(&mut reader, Region::ADAPTER), Err(expected));
        }
    }

    fn truncated() -> CodecError {
        CodecError::Truncated { what: "cells of a column" }
    }
}
