//! Placed columns against cells that were copied one by one to their addresses.

use lorica_circuits::families::encoder::Activation;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::integer::synthetic::Random;

use super::*;

/// Cells by address.
fn flat(parts: &[Part], length: usize) -> Vec<i64> {
    let mut cells = vec![0; length];
    for part in parts {
        cells[part.start..part.end()].copy_from_slice(&part.range(part.start..part.end()).to_vec());
    }
    cells
}

fn check(placed: &Placed, random: &mut Random) {
    let length = placed.parts.iter().map(Part::end).max().unwrap_or(0);
    let expected = flat(&placed.parts, length.next_multiple_of(ROW) + 2 * ROW);
    assert_eq!(placed.to_vec(), expected[..length]);
    for (row, expected) in expected.chunks(ROW).enumerate() {
        let mut cells = placed.row(row).to_vec();
        assert!(cells.len() <= ROW);
        cells.resize(ROW, 0);
        assert_eq!(cells, expected, "row {row}");
    }
    assert!(placed.row(usize::MAX >> 8).is_empty());
    for _ in 0..20 {
        let start = random.below(length + 10);
        let end = start + random.below(length + 10);
        let mut cells = vec![0; end - start];
        for (at, own) in placed.parts_within(start..end) {
            assert!(at + own.len() <= cells.len());
            own.copy_to(&mut cells[at..]);
        }
        let padded = |index: usize| expected.get(index).copied().unwrap_or(0);
        assert!(cells.iter().enumerate().all(|(at, cell)| *cell == padded(start + at)), "{start}..{end}");
    }
}

/// Values that need a random width, its extremes among them.
fn values(random: &mut Random, length: usize) -> Vec<i64> {
    let bits = [0, 7, 15, 16, 31, 63][random.below(6)];
    let value = |random: &mut Random| match (bits, random.below(5)) {
        (0, _) | (_, 0) => 0,
        (16, _) => random.below(1 << 16) as i64,
        (63, 1) => i64::MIN,
        (bits, 1) => -(1 << bits),
        (63, 2) => i64::MAX,
        (bits, 2) => (1 << bits) - 1,
        (bits, _) => random.bits().cast_signed() >> (63 - bits),
    };
    (0..length).map(|_| value(random)).collect()
}

/// Any sizes and gaps: blocks of a row, of half a row, of single cells.
#[test]
fn rows_and_ranges_are_those_of_the_columns() {
    let random = &mut Random::new(5);
    for _ in 0..300 {
        let mut at = 0;
        let parts = (0..random.below(12))
            .map(|_| {
                let unit = [1, 2, 16, 64, 128, 256][random.below(6)];
                let length = unit * (1 + random.below(5));
                let start = if random.below(3) == 0 { at + random.below(400) } else { at };
                let start = start.next_multiple_of(unit);
                at = start + length;
                // A part of a longer column.
                let first = random.below(3) * 5;
                let behind = random.below(9);
                let cells = Arc::new(values(random, first + length + behind).into());
                Part { start, first, length, cells }
            })
            .collect();
        check(&Placed::of_parts(BTreeMap::new(), parts), random);
    }
}

fn architecture(hidden: usize, layers: usize, heads: usize, intermediate: usize, r_max: usize) -> Architecture {
    Architecture {
        block: if hidden.is_multiple_of(128) { 128 } else { 64 },
        max_tokens: 128,
        hidden,
        layers,
        heads,
        intermediate,
        vocab: 37,
        activation: Activation::Gelu,
        r_max,
        score_bits: 11,
        activation_bits: 11,
        tanh_bits: 12,
    }
}

#[test]
fn placed_columns_are_at_their_addresses() {
    let random = &mut Random::new(6);
    for (architecture, requests, tokens, output) in [
        (architecture(128, 1, 8, 128, 1), 1, 16, OutputKind::Embed),
        (architecture(384, 2, 3, 128, 2), 1, 16, OutputKind::Classify),
        (architecture(640, 1, 5, 384, 16), 2, 32, OutputKind::Classify),
        (architecture(256, 3, 2, 640, 4), 4, 16, OutputKind::Embed),
        (architecture(192, 7, 3, 320, 4), 2, 16, OutputKind::Classify),
    ] {
        let layout =
            architecture.layout(&Shape { requests, tokens, log_tile: 14, output, records: 0 }).expect("a layout");
        for region in [Region::TABLE, Region::BASE, Region::ADAPTER, Region::WITNESS] {
            let own: Vec<_> = layout.placements().filter(|p| p.spec.region == region).collect();
            let columns: Columns = own.iter().map(|p| (p.spec.column, values(random, p.spec.len()))).collect();
            let placed = Placed::new(&layout, region, &columns).expect("its columns");
            check(&placed, random);
            for placement in own {
                let (column, length) = (placement.spec.column, placement.spec.len());
                assert_eq!(placed.column(column), columns[column].as_slice());
                for index in 0..placement.spec.blocks() {
                    let (start, size) = (placement.start(index) as usize, 1 << placement.spec.block_bits());
                    let found: Vec<_> = placed.parts_within(start..start + size).collect();
                    let expected = columns[column].as_slice().range(index * size..(index + 1) * size);
                    assert!(matches!(found.as_slice(), [(0, cells)] if *cells == expected), "{column:?} {index}");
                }
                let mut short = columns.clone();
                short.edit(column, |cells| cells.truncate(length - 1));
                let refused = Placed::new(&layout, region, &short).expect_err("a cell less").to_string();
                assert!(refused.contains(&format!("{column:?} has {} cells instead of {length}", length - 1)));
                short.remove(column);
                let refused = Placed::new(&layout, region, &short).expect_err("a column less").to_string();
                assert!(refused.contains("missing"), "{refused}");
            }
        }
    }
}
