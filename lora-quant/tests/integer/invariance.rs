//! Property: an answer depends neither on the length class nor on the rest of the batch.

use std::sync::Arc;

use lorica_circuits::families::encoder::columns;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::float::forward;
use lorica_quant::import::Site;
use lorica_quant::integer::model::LOGIT_EXPONENT;
use lorica_quant::integer::synthetic::{SMALL, Sizes, Synthetic};
use lorica_quant::integer::{BatchInput, Executor, RequestInput, RequestOutput, compare, quantise_adapter};

#[test]
fn answers_do_not_depend_on_shape_or_batch() {
    let synthetic = Synthetic::new(Sizes { layers: 2, ..SMALL }, 5).unwrap();
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    let requests: Vec<_> = [2usize, 3, 7, 15, 16, 11, 2, 9, 16]
        .into_iter()
        .enumerate()
        .map(|(i, tokens)| RequestInput {
            ids: synthetic.ids(i as u64, tokens),
            adapter: Some(Arc::new(synthetic.adapter(i as u64, 5).unwrap())),
        })
        .collect();
    for output in [OutputKind::Embed, OutputKind::Classify] {
        let alone: Vec<_> =
            requests.iter().map(|r| executor.infer(&r.ids, r.adapter.as_deref(), output).unwrap()).collect();
        for (padded, count, tokens) in [(16, 9, 16), (8, 5, 16), (4, 3, 32), (2, 2, 64), (2, 1, 16), (1, 1, 128)] {
            let shape = Shape { requests: padded, tokens, log_tile: 20, output, records: 0 };
            for first in [0, requests.len() - count] {
                let own = first..first + count;
                let input = BatchInput { requests: requests[own.clone()].to_vec(), shape };
                assert_eq!(executor.execute(&input).unwrap().outputs, alone[own], "{shape:?}");
            }
        }
    }
}

/// An adapter whose cells are all zero is the null adapter, and padding words do not matter to real ones.
#[test]
fn null_adapter_is_no_adapter() {
    let synthetic = Synthetic::new(SMALL, 6).unwrap();
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    let null = lorica_quant::integer::AdapterModel::null(&synthetic.base.architecture);
    let shape = Shape { requests: 1, tokens: 16, log_tile: 20, output: OutputKind::Embed, records: 0 };
    let run = |adapter| {
        let requests = vec![RequestInput { ids: synthetic.ids(1, 9), adapter }];
        executor.execute(&BatchInput { requests, shape }).unwrap()
    };
    assert_eq!(run(None), run(Some(Arc::new(null))));
}

/// The pooler's pair is in the adapter's cells, moves labels and no embedding, and follows the float model.
#[test]
fn the_pooler_is_a_site() {
    let synthetic = Synthetic::new(SMALL, 11).unwrap();
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    let own = synthetic.float_adapter(3, 4);
    let mut without = own.clone();
    without.sites.remove(&Site::Pooler).unwrap();
    let [with, bare] = [&own, &without].map(|adapter| quantise_adapter(&synthetic.base, adapter).unwrap());
    for column in with.columns.names() {
        let pooler = [columns::LORA_A_POOLER, columns::LORA_B_POOLER].contains(&column);
        assert_eq!(with.columns[column] != bare.columns[column], pooler, "{column:?}");
        assert!(!pooler || bare.columns[column].as_slice().is_zero());
    }
    let ids = synthetic.ids(5, 20);
    let infer = |adapter, kind| executor.infer(&ids, Some(adapter), kind).unwrap();
    assert_eq!(infer(&with, OutputKind::Embed), infer(&bare, OutputKind::Embed));
    for (float, integer) in [(&own, &with), (&without, &bare)] {
        let expected = forward(&synthetic.encoder, Some(float), &ids).unwrap().logits.unwrap();
        let RequestOutput::Classify { logits, .. } = infer(integer, OutputKind::Classify) else { panic!("labels") };
        for (expected, got) in expected.iter().zip(logits) {
            let got = got as f32 / f32::powi(2.0, LOGIT_EXPONENT);
            assert!((expected - got).abs() < 0.02, "{expected} and {got}");
        }
    }
    let logits = |adapter| forward(&synthetic.encoder, Some(adapter), &ids).unwrap().logits.unwrap();
    let moved = logits(&own).iter().zip(logits(&without)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(moved > 0.1, "{moved}");
}

/// Pairs of different ranks and factors: the cells are those of the pairs padded with zeros to `r_max`, and the integer
/// model follows the float model.
#[test]
fn ranks_and_factors_belong_to_the_pair() {
    let sizes = Sizes { layers: 2, ..SMALL };
    let synthetic = Synthetic::new(sizes, 7).unwrap();
    let mut own = synthetic.float_adapter(3, 4);
    for (place, pair) in own.sites.values_mut().enumerate() {
        let rank = 1 + place % pair.rank;
        pair.a.truncate(rank * pair.a.len() / pair.rank);
        pair.b = pair.b.chunks_exact(pair.rank).flat_map(|row| &row[..rank]).copied().collect();
        (pair.rank, pair.scaling) = (rank, 0.5 + place as f32 / 2.0);
    }
    let mut padded = own.clone();
    for pair in padded.sites.values_mut() {
        pair.a.resize(sizes.r_max * pair.a.len() / pair.rank, 0.0);
        let zeros = vec![0.0; sizes.r_max - pair.rank];
        pair.b = pair.b.chunks_exact(pair.rank).flat_map(|row| row.iter().chain(&zeros)).copied().collect();
        pair.rank = sizes.r_max;
    }
    let mut ranks: Vec<_> = own.sites.values().map(|pair| pair.rank).collect();
    ranks.sort_unstable();
    assert!(ranks.first() < ranks.last() && ranks[0] < sizes.r_max, "{ranks:?}");
    let model = quantise_adapter(&synthetic.base, &own).unwrap();
    assert_eq!(model, quantise_adapter(&synthetic.base, &padded).unwrap());
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    let texts: Vec<_> = (0..6).map(|i| synthetic.ids(i, 5 + i as usize)).collect();
    let against = |adapter| compare(&executor, &synthetic.encoder, Some((&own, adapter)), &texts).unwrap();
    let quality = against(&model);
    assert!(quality.range_errors.is_empty() && quality.cosine_worst > 0.999, "{quality:?}");
    let full = against(&synthetic.adapter(3, 4).unwrap());
    assert!(full.cosine_mean < quality.cosine_mean, "ranks and factors must matter");
}
