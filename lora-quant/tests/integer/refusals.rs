//! What is refused, and that nothing panics: hostile adapters, broken models, inputs that do not fit.

use std::sync::Arc;

use lorica_circuits::axis::Axis;
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::import::{LayerSite, Site};
use lorica_quant::integer::synthetic::{Random, SMALL, Sizes, Synthetic};
use lorica_quant::integer::{
    AdapterModel, BatchInput, ExecuteError, Executor, ModelError, QuantiseError, RequestInput, calibrate, naive,
    quantise_adapter, synthetic,
};

fn shape(requests: usize, output: OutputKind) -> Shape {
    Shape { requests, tokens: 16, log_tile: 20, output, records: 0 }
}

fn small() -> (Synthetic, Executor) {
    let synthetic = Synthetic::new(Sizes { layers: 2, ..SMALL }, 9).unwrap();
    let executor = Executor::new(Arc::new(synthetic.base.clone())).unwrap();
    (synthetic, executor)
}

fn batch(requests: Vec<(Vec<u32>, Option<AdapterModel>)>, shape: Shape) -> BatchInput {
    let request = |(ids, adapter): (_, Option<AdapterModel>)| RequestInput { ids, adapter: adapter.map(Arc::new) };
    BatchInput { requests: requests.into_iter().map(request).collect(), shape }
}

#[test]
fn inputs_that_do_not_fit() {
    let (synthetic, executor) = small();
    let embed = shape(2, OutputKind::Embed);
    let ids = |n| synthetic.ids(1, n);
    let refuse = |requests, shape| executor.execute(&batch(requests, shape)).unwrap_err();
    assert_eq!(refuse(vec![], embed), ExecuteError::Requests { most: 2, got: 0 });
    assert_eq!(refuse(vec![(ids(3), None); 3], embed), ExecuteError::Requests { most: 2, got: 3 });
    for n in [0, 1, 17] {
        let expected = ExecuteError::Length { request: 1, most: 16, got: n };
        assert_eq!(refuse(vec![(ids(3), None), (ids(n), None)], embed), expected);
    }
    let expected = ExecuteError::Vocabulary { request: 0, position: 2, id: 40, vocab: 40 };
    assert_eq!(refuse(vec![(vec![0, 39, 40], None)], embed), expected);
    let classify = shape(1, OutputKind::Classify);
    assert_eq!(refuse(vec![(ids(3), None)], classify), ExecuteError::NoHead { request: 0 });
    let headless = synthetic.adapter(1, 0).unwrap();
    assert_eq!(refuse(vec![(ids(3), Some(headless))], classify), ExecuteError::NoHead { request: 0 });
    // Positions beyond the model's are another block's cells.
    let long = Shape { tokens: 256, ..embed };
    let expected = ExecuteError::Circuit(CircuitError::Tokens { most: 128, got: 256 });
    assert_eq!(refuse(vec![(ids(3), None)], long), expected);
    assert_eq!(naive::execute(&synthetic.base, &batch(vec![(ids(3), None)], long)).unwrap_err(), expected);
    let expected = ExecuteError::Length { request: 0, most: 128, got: 129 };
    assert_eq!(executor.infer(&ids(129), None, OutputKind::Embed), Err(expected));
    let broken = Shape { tokens: 20, ..embed };
    assert!(matches!(refuse(vec![(ids(3), None)], broken), ExecuteError::Circuit(_)));
}

#[test]
fn without_pooler_no_classification() {
    let mut encoder = synthetic::encoder(SMALL, 3);
    encoder.pooler = None;
    let base = calibrate(&encoder, &[vec![1, 2, 3]], 4).unwrap();
    assert!([columns::WEIGHT_POOLER, columns::BIAS_POOLER].iter().all(|&c| base.columns[c].as_slice().is_zero()));
    let with_head = Synthetic::new(SMALL, 3).unwrap().float_adapter(1, 2);
    assert!(matches!(quantise_adapter(&base, &with_head), Err(QuantiseError::Adapter { .. })));
    let executor = Executor::new(Arc::new(base)).unwrap();
    assert_eq!(executor.infer(&[1, 2], None, OutputKind::Classify), Err(ExecuteError::NoPooler));
}

/// A hostile adapter file: any cells at all. Either it runs as the reference does, or there is a typed error.
#[test]
fn hostile_adapters() {
    let (synthetic, executor) = small();
    let honest = synthetic.adapter(4, 3).unwrap();
    let random = &mut Random::new(8);
    for magnitude in [1i64 << 8, 1 << 16, (1 << 31) - 1, 1 << 31, i64::MAX, i64::MIN] {
        for column in honest.columns.names() {
            let mut adapter = honest.clone();
            adapter.columns.edit(column, |cells| {
                for cell in cells {
                    *cell = if random.below(2) == 0 { magnitude } else { magnitude.wrapping_neg() };
                }
            });
            let input = batch(vec![(synthetic.ids(2, 5), Some(adapter))], shape(1, OutputKind::Classify));
            match (executor.execute(&input), naive::execute(&synthetic.base, &input)) {
                (Ok(fast), Ok(reference)) => assert_eq!(fast, reference),
                (Err(ExecuteError::Range(a)), Err(ExecuteError::Range(b))) => assert_eq!(a.column, b.column),
                (Err(a), Err(b)) => {
                    assert_eq!(a, b);
                    assert!(matches!(a, ExecuteError::Adapter { request: 0, source: ModelError::Bound { .. } }));
                }
                (a, b) => panic!("{column:?} {magnitude}: {:?} but {:?}", a.err(), b.err()),
            }
        }
    }
}

/// The same for base models: whatever passes validation runs without a panic.
#[test]
fn hostile_base_models() {
    let (synthetic, _) = small();
    let random = &mut Random::new(8);
    for magnitude in [1i64 << 12, 1 << 20, (1 << 31) - 1, (1 << 46) - 1, i64::MIN] {
        for column in synthetic.base.columns.names() {
            let mut base = synthetic.base.clone();
            base.columns.edit(column, |cells| {
                for cell in cells {
                    *cell = if random.below(2) == 0 { magnitude } else { magnitude.wrapping_neg() };
                }
            });
            let Ok(executor) = Executor::new(Arc::new(base.clone())) else {
                assert!(magnitude != 1 << 12, "{column:?}");
                continue;
            };
            let adapter = synthetic.adapter(4, 3).unwrap();
            let input = batch(vec![(synthetic.ids(2, 5), Some(adapter))], shape(1, OutputKind::Classify));
            match (executor.execute(&input), naive::execute(&base, &input)) {
                (Ok(fast), Ok(reference)) => assert_eq!(fast, reference),
                (Err(ExecuteError::Range(_)), Err(ExecuteError::Range(_))) => {}
                (a, b) => panic!("{column:?} {magnitude}: {:?} but {:?}", a.err(), b.err()),
            }
        }
    }
}

#[test]
fn scales_at_their_limits() {
    let (synthetic, _) = small();
    let random = &mut Random::new(3);
    for _ in 0..40 {
        let mut base = synthetic.base.clone();
        let norm = random.below(base.scales.norms.len());
        let scale = &mut base.scales.norms[norm];
        match random.below(4) {
            0 => scale.root = [0, 34, 60, 79][random.below(4)],
            1 => scale.shift = [17, 20, 32][random.below(3)],
            2 => scale.epsilon = (1 << 32) - 1,
            _ => (scale.stream, scale.branch) = (random.below(5) as u32, random.below(13) as u32),
        }
        base.scales.scores[0] = random.below(17) as u32;
        let Ok(executor) = Executor::new(Arc::new(base.clone())) else { continue };
        let input = batch(vec![(synthetic.ids(2, 5), None)], shape(1, OutputKind::Embed));
        match (executor.execute(&input), naive::execute(&base, &input)) {
            (Ok(fast), Ok(reference)) => assert_eq!(fast, reference),
            (Err(ExecuteError::Range(_)), Err(ExecuteError::Range(_))) => {}
            (a, b) => panic!("{:?} but {:?}", a.err(), b.err()),
        }
    }
}

#[test]
fn range_errors_name_the_place() {
    let (synthetic, _) = small();
    let mut base = synthetic.base.clone();
    // Channel 130 - 128 = 2 of block 1 of the feed-forward layer of layer 1.
    base.columns.edit(columns::BIAS_INTERMEDIATE, |bias| bias[256 + 130] = 1 << 40);
    let executor = Executor::new(Arc::new(base.clone())).unwrap();
    let requests = vec![(synthetic.ids(2, 5), None), (synthetic.ids(3, 4), None)];
    let input = batch(requests, shape(2, OutputKind::Embed));
    for result in [executor.execute(&input), naive::execute(&base, &input)] {
        let Err(ExecuteError::Range(error)) = result else { panic!("{:?}", result.err()) };
        assert_eq!((error.column, error.request, error.bounds), (columns::INTERMEDIATE, 0, (-32768, 32767)));
        let place = vec![(Axis::LAYER, 1), (Axis::FFN_BLOCK, 1), (Axis::TOKEN, 0), (Axis::CHANNEL, 2)];
        assert_eq!(error.place, place);
        assert!(error.value > 1 << 23);
        assert!(
            error
                .to_string()
                .starts_with("request 0: Intermediate layer 1 feed-forward block 1 token 0 channel 2 is 16")
        );
    }
}

#[test]
fn broken_models() {
    let (synthetic, _) = small();
    let refuse = |change: &dyn Fn(&mut lorica_quant::integer::BaseModel)| {
        let mut base = synthetic.base.clone();
        change(&mut base);
        Executor::new(Arc::new(base)).unwrap_err()
    };
    assert_eq!(refuse(&|b| drop(b.columns.remove(columns::GAMMA))), ModelError::Missing { column: columns::GAMMA });
    assert_eq!(
        refuse(&|b| drop(b.columns.insert(columns::RESIDUAL, vec![]))),
        ModelError::Foreign { column: columns::RESIDUAL }
    );
    assert_eq!(
        refuse(&|b| drop(b.columns.insert(columns::BIAS_POOLER, vec![0; 7]))),
        ModelError::Length { column: columns::BIAS_POOLER, expected: 128, got: 7 }
    );
    assert!(matches!(
        refuse(&|b| b.columns.edit(columns::WORD, |cells| cells[5] = 1 << 30)),
        ModelError::NormOverflow { norm: 0, .. }
    ));
    assert!(matches!(refuse(&|b| b.scales.norms[1].shift = 16), ModelError::Circuit(_)));
    assert!(matches!(refuse(&|b| b.meta.exponents.mid.clear()), ModelError::Meta { .. }));
    assert!(matches!(refuse(&|b| b.meta.input_peaks[3].clear()), ModelError::Meta { .. }));
    // The pooler's, which are the last.
    assert!(matches!(refuse(&|b| b.meta.input_peaks[8].truncate(127)), ModelError::Meta { .. }));
    assert!(matches!(refuse(&|b| drop(b.meta.input_peaks.pop())), ModelError::Meta { .. }));
}

#[test]
fn float_models_without_an_integer_form() {
    let encoder = synthetic::encoder(SMALL, 3);
    let texts = [vec![1, 2, 3]];
    assert_eq!(calibrate(&encoder, &[], 4), Err(QuantiseError::NoTexts));
    assert!(matches!(calibrate(&encoder, &[vec![1]], 4), Err(QuantiseError::Text { text: 0, .. })));
    assert!(matches!(calibrate(&encoder, &[vec![1, 2], vec![1, 40]], 4), Err(QuantiseError::Text { text: 1, .. })));
    assert!(matches!(calibrate(&encoder, &texts, 5), Err(QuantiseError::Circuit(_))));
    let long = calibrate(&encoder, &[vec![1; 129]], 4).unwrap_err().to_string();
    assert!(long.contains("129 tokens, expected 2 to 128"), "{long}");
    let refuse = |change: &dyn Fn(&mut lorica_quant::import::FloatEncoder)| {
        let mut encoder = encoder.clone();
        change(&mut encoder);
        calibrate(&encoder, &texts, 4).unwrap_err().to_string()
    };
    let huge = refuse(&|e| e.layers[0].output.weight[7] = 1e30);
    assert!(huge.contains("encoder.layer.0") || huge.contains("LayerNorm"), "{huge}");
    let short = refuse(&|e| e.layers[0].key.bias.truncate(127));
    assert!(short.contains("encoder.layer.0.attention.self.key.bias"), "{short}");
    let infinite = refuse(&|e| e.layers[0].value.bias.fill(3e38));
    assert!(infinite.contains("not finite"), "{infinite}");
    let limit = refuse(&|e| e.config.max_tokens = 256);
    assert!(limit.contains("128 values, expected 256"), "{limit}");
    let odd = refuse(&|e| e.config.max_tokens = 100);
    assert!(odd.contains("128 or 256, got 100"), "{odd}");
    let eps = refuse(&|e| e.config.layer_norm_eps = 1e6);
    assert!(eps.contains("LayerNorm 0"), "{eps}");
}

#[test]
fn adapters_without_an_integer_form() {
    let synthetic = Synthetic::new(SMALL, 3).unwrap();
    let refuse = |change: &dyn Fn(&mut lorica_quant::import::FloatAdapter)| {
        let mut adapter = synthetic.float_adapter(1, 3);
        change(&mut adapter);
        quantise_adapter(&synthetic.base, &adapter).unwrap_err().to_string()
    };
    for rank in [0, 5] {
        let message = refuse(&|a| a.sites.values_mut().for_each(|p| p.rank = rank));
        assert!(
            message.contains(&format!("rank {rank} of encoder.layer.0")) && message.contains("r_max 4"),
            "{message}"
        );
    }
    assert!(refuse(&|a| a.sites.values_mut().for_each(|p| p.b[0] = f32::NAN)).contains("lora_B"));
    assert!(refuse(&|a| a.sites.values_mut().for_each(|p| p.a.truncate(7))).contains("lora_A"));
    assert!(refuse(&|a| a.sites.values_mut().for_each(|p| p.scaling = 1e20)).contains("lora_B"));
    let pooler = refuse(&|a| a.sites.get_mut(&Site::Pooler).unwrap().scaling = 1e20);
    assert!(pooler.contains("pooler.dense.lora_B.weight"), "{pooler}");
    assert!(refuse(&|a| a.head.as_mut().unwrap().weight[3] = 1e5).contains("classifier"));
    assert!(refuse(&|a| a.head.as_mut().unwrap().bias.truncate(2)).contains("classifier.bias"));
    let pair = synthetic.float_adapter(1, 3).sites.into_values().next().unwrap();
    assert!(refuse(&|a| drop(a.sites.insert(Site::Layer(1, LayerSite::Key), pair.clone()))).contains("layer 1"));
}
