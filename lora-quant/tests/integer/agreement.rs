//! Property: the executor and the naive reference compute the same columns.

use std::sync::Arc;

use lorica_circuits::architecture::{OutputKind, Shape};
use lorica_circuits::column::{Column, Region};
use lorica_quant::import::Activation;
use lorica_quant::integer::synthetic::{Random, Sizes, Synthetic};
use lorica_quant::integer::{BatchInput, Executor, RequestInput, naive};

/// A random architecture: odd block counts, all head widths, ranks and activations.
fn sizes(random: &mut Random) -> Sizes {
    let hidden = 128 * (1 + random.below(3));
    let head = 16 << random.below(4);
    Sizes {
        hidden,
        layers: 1 + random.below(3),
        heads: hidden / head,
        intermediate: 128 * (1 + random.below(4)),
        vocab: 2 + random.below(60),
        r_max: 1 << random.below(5),
        activation: [Activation::Gelu, Activation::GeluNew, Activation::Relu][random.below(3)],
    }
}

/// Requests of all lengths, with different adapters and without; 2 and T occur.
fn batch(random: &mut Random, synthetic: &Synthetic, shape: Shape) -> BatchInput {
    let count = 1 + random.below(shape.requests);
    let requests = (0..count)
        .map(|i| {
            let tokens = match random.below(4) {
                0 => 2,
                1 => shape.tokens,
                _ => 2 + random.below(shape.tokens - 1),
            };
            let with_head = shape.output == OutputKind::Classify;
            let adapter = (with_head || random.below(3) > 0).then(|| {
                Arc::new(synthetic.adapter(random.bits(), if with_head { 1 + random.below(16) } else { 0 }).unwrap())
            });
            RequestInput { ids: synthetic.ids(random.bits() ^ i as u64, tokens), adapter }
        })
        .collect();
    BatchInput { requests, shape }
}

fn agree(seed: u64) {
    let random = &mut Random::new(seed);
    let sizes = sizes(random);
    let synthetic = Synthetic::new(sizes, seed).unwrap();
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    for output in [OutputKind::Embed, OutputKind::Classify] {
        let shape = Shape { requests: 1 << random.below(3), tokens: 16 << random.below(2), log_tile: 20, output };
        let input = batch(random, &synthetic, shape);
        let fast = executor.execute(&input).unwrap_or_else(|e| panic!("seed {seed}, {sizes:?}: {e}"));
        let reference = naive::execute(&synthetic.base, &input).unwrap();
        assert_eq!(fast.outputs, reference.outputs, "seed {seed}");
        assert_eq!(fast.columns.len(), Column::all(Region::Witness, output).len());
        for (column, cells) in &fast.columns {
            let expected = &reference.columns[column];
            let first = cells.iter().zip(expected).position(|(a, b)| a != b);
            assert!(
                cells.len() == expected.len() && first.is_none(),
                "seed {seed}, {sizes:?}, {column:?}: first difference at {first:?}"
            );
        }
        for (request, output) in input.requests.iter().zip(&fast.outputs) {
            let inferred = executor.infer(&request.ids, request.adapter.as_deref(), shape.output).unwrap();
            assert_eq!(inferred, *output, "seed {seed}");
        }
    }
}

#[test]
fn both_executors_agree() {
    (0..6).for_each(agree);
}

#[test]
fn both_executors_agree_on_more_models() {
    (100..106).for_each(agree);
}
