//! Property: the executor and the naive reference compute the same columns.

use std::sync::Arc;

use lorica_circuits::families::encoder::{Architecture, columns};
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::import::Activation;
use lorica_quant::integer::synthetic::{Random, SMALL, Sizes, Synthetic};
use lorica_quant::integer::{BatchInput, Executor, RequestInput, RequestOutput, compare, naive};

/// A random architecture: odd block counts, all head widths, ranks and activations, of both block sizes.
fn sizes(random: &mut Random, block: usize) -> Sizes {
    // An odd number of small blocks: the large ones do not fit.
    let blocks = if block == 64 { 1 + 2 * random.below(3) } else { 1 + random.below(3) };
    let hidden = block * blocks;
    let head = (16 << random.below(4)).min(block);
    Sizes {
        hidden,
        layers: 1 + random.below(3),
        heads: hidden / head,
        intermediate: block * (1 + random.below(4)),
        vocab: 2 + random.below(60),
        max_tokens: Architecture::TOKEN_LIMITS[random.below(2)],
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
    let sizes = sizes(random, Architecture::BLOCKS[usize::from(seed.is_multiple_of(2))]);
    let synthetic = Synthetic::new(sizes, seed).unwrap();
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    for output in [OutputKind::Embed, OutputKind::Classify] {
        let shape =
            Shape { requests: 1 << random.below(3), tokens: 16 << random.below(2), log_tile: 20, output, records: 0 };
        let input = batch(random, &synthetic, shape);
        let fast = executor.execute(&input).unwrap_or_else(|e| panic!("seed {seed}, {sizes:?}: {e}"));
        let reference = naive::execute(&synthetic.base, &input).unwrap();
        assert_eq!(fast.outputs, reference.outputs, "seed {seed}");
        let witness = columns::columns(&synthetic.base.architecture, &shape)
            .into_iter()
            .filter(|spec| spec.region == Region::WITNESS);
        assert_eq!(fast.columns.len(), witness.count());
        for (column, cells) in fast.columns.iter() {
            let (cells, expected) = (cells.to_vec(), reference.columns[column].to_vec());
            let first = cells.iter().zip(&expected).position(|(a, b)| a != b);
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

/// A text beyond 128 tokens in a batch, every position being one of its own.
#[test]
fn both_executors_agree_on_long_texts() {
    let synthetic = Synthetic::new(Sizes { max_tokens: 256, ..SMALL }, 21).unwrap();
    assert_eq!(synthetic.base.architecture.max_tokens, 256);
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    let adapter = Arc::new(synthetic.adapter(1, 3).unwrap());
    let request = |tokens| RequestInput { ids: vec![7; tokens], adapter: Some(adapter.clone()) };
    let shape = Shape { requests: 2, tokens: 256, log_tile: 20, output: OutputKind::Classify, records: 0 };
    let input = BatchInput { requests: vec![request(200), request(9)], shape };
    let fast = executor.execute(&input).unwrap();
    assert!(fast == naive::execute(&synthetic.base, &input).unwrap());
    for (request, output) in input.requests.iter().zip(&fast.outputs) {
        assert_eq!(executor.infer(&request.ids, request.adapter.as_deref(), shape.output).unwrap(), *output);
    }
    let full = synthetic.ids(2, 256);
    assert!(matches!(executor.infer(&full, None, OutputKind::Embed), Ok(RequestOutput::Embed { length: 256, .. })));
    let texts: Vec<_> = [130, 200, 256].map(|tokens| synthetic.ids(tokens as u64, tokens)).into();
    let float = synthetic.float_adapter(1, 3);
    let quality = compare(&executor, &synthetic.encoder, Some((&float, &adapter)), &texts).unwrap();
    assert!(quality.range_errors.is_empty() && quality.cosine_worst > 0.999, "{quality}");
}

#[test]
fn both_executors_agree() {
    (0..6).for_each(agree);
}

#[test]
fn both_executors_agree_on_more_models() {
    (100..106).for_each(agree);
}
