//! Columns of integers: each with its width (2, 4 or 8 bytes), its number of cells, and the cells, little-endian.

use std::collections::BTreeMap;

use lorica_circuits::architecture::OutputKind;
use lorica_circuits::column::{Column, Region};
use lorica_verifier::codec::{CodecError, Reader, Writer};

/// Columns of a region in the order of the file.
fn order(region: Region) -> Vec<Column> {
    Column::all(region, OutputKind::Classify)
}

/// Bytes that hold every cell.
fn width(cells: &[i64]) -> u8 {
    let (low, high) = cells.iter().fold((0, 0), |(low, high), &x| (x.min(low), x.max(high)));
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
pub fn write_columns(writer: &mut Writer, region: Region, columns: &BTreeMap<Column, Vec<i64>>) {
    for column in order(region) {
        let cells = columns.get(&column).map_or(&[][..], Vec::as_slice);
        let width = width(cells);
        writer.u8(width);
        writer.u64(cells.len() as u64);
        let mut bytes = Vec::with_capacity(cells.len() * usize::from(width));
        for cell in cells {
            bytes.extend_from_slice(&cell.to_le_bytes()[..usize::from(width)]);
        }
        writer.bytes(&bytes);
    }
}

/// Reads a region's columns. Their lengths and bounds are the integer model's to check.
///
/// # Errors
/// [`CodecError`].
pub fn read_columns(reader: &mut Reader<'_>, region: Region) -> Result<BTreeMap<Column, Vec<i64>>, CodecError> {
    order(region).into_iter().map(|column| Ok((column, read_cells(reader)?))).collect()
}

fn read_cells(reader: &mut Reader<'_>) -> Result<Vec<i64>, CodecError> {
    let width = reader.u8("width of a column")?;
    let count = reader.u64("cells of a column")?;
    let length = count.checked_mul(width.into()).and_then(|length| usize::try_from(length).ok());
    let bytes = reader.bytes(length.unwrap_or(usize::MAX), "cells of a column")?;
    Ok(match width {
        2 => cells(bytes, |cell| i16::from_le_bytes(cell).into()),
        4 => cells(bytes, |cell| i32::from_le_bytes(cell).into()),
        8 => cells(bytes, i64::from_le_bytes),
        got => return Err(CodecError::Value { what: "width of a column", got: got.into() }),
    })
}

fn cells<const N: usize>(bytes: &[u8], cell: impl Fn([u8; N]) -> i64) -> Vec<i64> {
    bytes.chunks_exact(N).filter_map(|chunk| chunk.try_into().ok()).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_return_at_every_width() {
        let extremes =
            [vec![], vec![-32768, 32767], vec![32768], vec![-32769], vec![1 << 31], vec![i64::MIN, i64::MAX]];
        for cells in extremes {
            let columns: BTreeMap<Column, Vec<i64>> =
                order(Region::Adapter).into_iter().map(|column| (column, cells.clone())).collect();
            let mut writer = Writer::new(b"LORICAte", 1);
            write_columns(&mut writer, Region::Adapter, &columns);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes, "test", b"LORICAte", 1).expect("written just now");
            assert_eq!(read_columns(&mut reader, Region::Adapter), Ok(columns));
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
            assert_eq!(read_columns(&mut reader, Region::Adapter), Err(expected));
        }
    }

    fn truncated() -> CodecError {
        CodecError::Truncated { what: "cells of a column" }
    }
}
