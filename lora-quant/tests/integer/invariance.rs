//! Property: an answer depends neither on the length class nor on the rest of the batch.

use std::sync::Arc;

use lorica_circuits::architecture::{OutputKind, Shape};
use lorica_quant::integer::synthetic::{SMALL, Sizes, Synthetic};
use lorica_quant::integer::{BatchInput, Executor, RequestInput};

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
            let shape = Shape { requests: padded, tokens, log_tile: 20, output };
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
    let shape = Shape { requests: 1, tokens: 16, log_tile: 20, output: OutputKind::Embed };
    let run = |adapter| {
        let requests = vec![RequestInput { ids: synthetic.ids(1, 9), adapter }];
        executor.execute(&BatchInput { requests, shape }).unwrap()
    };
    assert_eq!(run(None), run(Some(Arc::new(null))));
}
