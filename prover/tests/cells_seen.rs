//! Models of odd shapes: their own traces satisfy every relation and claim, and a witness cell that is changed, one of each
//! block of each column, is seen by a relation.

use super::support;

use std::collections::BTreeMap;

use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::integer::synthetic::{Random, SMALL, Sizes};
use support::{LOG_TILE, Run, World};

const fn sizes(hidden: usize, layers: usize, heads: usize, intermediate: usize, vocab: usize, r_max: usize) -> Sizes {
    Sizes { hidden, layers, heads, intermediate, vocab, r_max, ..SMALL }
}

/// Heads of 16 and of 128 channels, blocks and layers that are no powers of two, feed-forward layers above and below, blocks
/// of 64 channels that are half a row of the reduction.
const MODELS: [Sizes; 4] = [
    sizes(128, 1, 8, 640, 33, 1),
    sizes(384, 2, 3, 128, 40, 2),
    sizes(192, 3, 3, 64, 40, 4),
    sizes(640, 3, 40, 384, 40, 4),
];

fn run(world: &World, output: OutputKind, tokens: usize, requests: &[(usize, Option<usize>)]) -> Run {
    let texts: Vec<_> =
        (70..).zip(requests).map(|(seed, &(length, adapter))| (world.synthetic.ids(seed, length), adapter)).collect();
    let shape = Shape { requests: texts.len().next_power_of_two(), tokens, log_tile: LOG_TILE, output, records: 0 };
    world.run_shape(shape, &texts)
}

#[test]
fn odd_models_satisfy_their_relations() {
    for (sizes, seed) in MODELS.into_iter().zip(11..) {
        let world = World::new(sizes, seed, 2);
        for run in [
            run(&world, OutputKind::Embed, 16, &[(2, None), (16, Some(1)), (7, Some(0))]),
            run(&world, OutputKind::Classify, 16, &[(9, Some(0)), (2, Some(1))]),
            run(&world, OutputKind::Classify, 32, &[(20, Some(0))]),
        ] {
            assert_eq!(world.broken(&run), Vec::<&str>::new(), "{sizes:?}");
            assert_eq!(world.broken_claims(&run), Vec::<String>::new(), "{sizes:?}");
        }
    }
}

#[test]
fn every_block_of_the_witness_is_seen() {
    // The last two have so many blocks that they take minutes.
    for (sizes, seed) in MODELS.into_iter().zip(11..).take(2) {
        let world = World::new(sizes, seed, 2);
        for run in [
            run(&world, OutputKind::Embed, 16, &[(2, None), (16, Some(1)), (7, Some(0))]),
            run(&world, OutputKind::Classify, 16, &[(9, Some(0)), (2, Some(1))]),
        ] {
            let layout = world.key.architecture.layout(&run.statement.shape).expect("a layout");
            let mut random = Random::new(seed);
            let mut unseen: BTreeMap<Column, Vec<usize>> = BTreeMap::new();
            for placement in layout.placements() {
                let spec = &placement.spec;
                // Multiplicities are the lookup argument's.
                if spec.region != Region::WITNESS || spec.column >= columns::MULT_RANGE16 {
                    continue;
                }
                for block in 0..spec.blocks() {
                    let at = (block << spec.block_bits()) + random.below(1 << spec.block_bits());
                    let mut bad = run.clone();
                    bad.columns.get_mut(&spec.column).expect("a column")[at] += 1;
                    if world.broken(&bad).is_empty() {
                        unseen.entry(spec.column).or_default().push(at);
                    }
                }
            }
            assert_eq!(unseen, BTreeMap::new(), "{sizes:?}, {:?}", run.statement.shape);
        }
    }
}
