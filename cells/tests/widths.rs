//! Each width holds its extremes and refuses what is beyond them; widening changes no value.

use lorica_cells::{Beyond, Cells, Columns, Slice, Width, narrow, typed};
use lorica_circuits::families::encoder::columns;
use proptest::collection::vec;
use proptest::prelude::*;

const WIDTHS: [Width; 5] = [Width::I8, Width::I16, Width::U16, Width::I32, Width::I64];

#[test]
fn every_width_holds_its_extremes_and_no_more() {
    for width in WIDTHS {
        let (low, high) = width.bounds();
        let cells = Cells::with_width(width, &[low, 0, high]).expect("its own bounds");
        assert_eq!((cells.width(), cells.bytes(), cells.to_vec()), (width, 3 * width.bytes(), vec![low, 0, high]));
        assert_eq!(cells.bounds(), (low, high));
        assert_eq!(Cells::narrowest(&[low, 0, high]), cells);
        for value in [low.checked_sub(1), high.checked_add(1)].into_iter().flatten() {
            let error = Cells::with_width(width, &[0, high, value, value]).expect_err("beyond the bounds");
            assert_eq!(error, Beyond { index: 2, value, width });
            assert!(error.to_string().contains(&value.to_string()), "{error}");
            let mut wider = cells.clone();
            wider.append(&[value]);
            assert_eq!(wider.to_vec(), [low, 0, high, value]);
            assert!(wider.width().bytes() > width.bytes() || width == Width::I16 || width == Width::U16);
        }
    }
    assert_eq!(narrow::<u16>(&[1, -1]), Err(Beyond { index: 1, value: -1, width: Width::U16 }));
}

#[test]
fn the_narrowest_width_is_chosen() {
    for (values, width) in [
        (vec![], Width::I8),
        (vec![0, 0], Width::I8),
        (vec![-128, 127], Width::I8),
        (vec![128], Width::I16),
        (vec![-129], Width::I16),
        (vec![32_768], Width::U16),
        (vec![65_535, 0], Width::U16),
        (vec![65_535, -1], Width::I32),
        (vec![65_536], Width::I32),
        (vec![-32_769], Width::I32),
        (vec![1 << 31], Width::I64),
        (vec![-(1 << 31)], Width::I32),
        (vec![i64::MIN], Width::I64),
    ] {
        let cells = Cells::narrowest(&values);
        assert_eq!((cells.width(), cells.to_vec()), (width, values.clone()));
        for wider in WIDTHS {
            if let Ok(cells) = Cells::with_width(wider, &values) {
                assert_eq!(cells.narrowed().width().bytes(), width.bytes());
            }
        }
    }
}

#[test]
fn edited_columns_are_narrow_and_shared_ones_unchanged() {
    let mut columns: Columns = [(columns::WORD, vec![1, 2, 3]), (columns::GAMMA, vec![70_000])].into_iter().collect();
    let copy = columns.clone();
    columns.edit(columns::WORD, |cells| cells[1] = -300);
    assert_eq!(columns[columns::WORD].width(), Width::I16);
    assert_eq!(copy[columns::WORD].to_vec(), [1, 2, 3]);
    assert!(std::ptr::eq(&raw const copy[columns::GAMMA], &raw const columns[columns::GAMMA]));
    assert_eq!((columns.cells(), columns.bytes()), (4, 3 * 2 + 4));
    assert_ne!(columns, copy);
}

/// Values of all lengths in bits, near the borders of widths among them.
fn value() -> impl Strategy<Value = i64> {
    (any::<i64>(), 0u32..64, any::<bool>()).prop_map(|(bits, shift, edge)| {
        let value = bits >> shift;
        if edge { (1i64 << (shift % 63)).wrapping_add(bits % 2) } else { value }
    })
}

proptest! {
    #[test]
    fn cells_are_their_values(values in vec(value(), 0..50), parts in vec(0usize..20, 0..6)) {
        let cells = Cells::narrowest(&values);
        prop_assert_eq!(cells.to_vec(), values.clone());
        prop_assert_eq!(Cells::from(values.clone()), cells.clone());
        // Appended in parts, from the narrowest width on.
        let mut grown = Cells::default();
        let mut rest = values.as_slice();
        for part in parts {
            let (own, others) = rest.split_at(part.min(rest.len()));
            grown.append(own);
            rest = others;
        }
        grown.append(rest);
        prop_assert_eq!(&grown, &cells);
        prop_assert_eq!(grown.narrowed().width().bytes(), cells.width().bytes());
        for (index, value) in values.iter().enumerate() {
            prop_assert_eq!(cells.at(index), *value);
            let mut other = values.clone();
            other[index] = value.wrapping_add(1);
            prop_assert_ne!(&Cells::narrowest(&other), &cells);
        }
        let slice = cells.as_slice();
        let sum: i64 = typed!(slice, |cells| cells.iter().fold(0i64, |sum, &cell| sum.wrapping_add(cell.into())));
        prop_assert_eq!(sum, values.iter().fold(0i64, |sum, &value| sum.wrapping_add(value)));
        prop_assert_eq!(slice.is_zero(), values.iter().all(|&value| value == 0));
        prop_assert!(slice.get(0..values.len() + 1).is_none());
        let half = values.len() / 2;
        prop_assert_eq!(slice.range(half..values.len()), Slice::I64(&values[half..]));
        let mut copy = vec![7; values.len() + 1];
        slice.copy_to(&mut copy);
        prop_assert_eq!(&copy[..values.len()], values.as_slice());
        prop_assert_eq!(copy[values.len()], 7);
    }
}
