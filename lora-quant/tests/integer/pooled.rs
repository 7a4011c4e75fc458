//! Pooled vectors alone are those of the trace.

use std::sync::Arc;

use lorica_circuits::families::encoder::columns;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::integer::synthetic::{SMALL, Sizes, Synthetic};
use lorica_quant::integer::{BatchInput, ExecuteError, Executor, RequestInput, RequestOutput};

#[test]
fn pooled_vectors_are_the_column_and_labels_the_answers() {
    let synthetic = Synthetic::new(Sizes { hidden: 256, ..SMALL }, 5).unwrap();
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    let adapter = Arc::new(synthetic.adapter(9, 7).unwrap());
    let texts: Vec<Vec<u32>> = [2, 9, 16, 5].iter().map(|&tokens| synthetic.ids(tokens as u64, tokens)).collect();
    let shape = Shape { requests: 4, tokens: 16, log_tile: 20, output: OutputKind::Classify, records: 0 };
    let requests = texts.iter().map(|ids| RequestInput { ids: ids.clone(), adapter: Some(adapter.clone()) }).collect();
    let trace = executor.execute(&BatchInput { requests, shape }).unwrap();
    let column = trace.columns[columns::POOLED].to_vec();
    let (width, blocks) = (BLOCK, column.len() / (4 * BLOCK));
    assert_eq!(blocks, 2);

    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let pooled = executor.pooled(&texts, &adapter).unwrap();
    assert_eq!(pooled.len(), 4);
    for (request, pooled) in pooled.iter().enumerate() {
        let own = (0..blocks).flat_map(|block| &column[(block * 4 + request) * width..][..width]);
        assert_eq!(pooled.values.iter().map(|&v| i64::from(v)).collect::<Vec<_>>(), own.copied().collect::<Vec<_>>());
        assert!(pooled.values.iter().any(|&v| v != 0));
        let RequestOutput::Classify { label, .. } = trace.outputs[request] else { panic!("no classification") };
        assert_eq!(pooled.label, label);
        // One by one they are the same.
        assert_eq!(&executor.pooled(&texts[request..=request], &adapter).unwrap()[0], pooled);
    }
    assert!(executor.pooled(&texts.repeat(4), &adapter).is_ok());
    let most = executor.pooled(&texts.repeat(5), &adapter);
    assert_eq!(most, Err(ExecuteError::Requests { most: 16, got: 20 }));
    let headless = synthetic.adapter(9, 0).unwrap();
    assert_eq!(executor.pooled(&texts, &headless), Err(ExecuteError::NoHead { request: 0 }));
}

/// Channels of a block of the small model.
const BLOCK: usize = 128;
