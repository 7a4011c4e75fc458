//! The real model: all-MiniLM-L6-v2 from Lorica's cache, where `lorica model fetch minilm` puts it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use lorica_circuits::shape::{OutputKind, Shape};
use lorica_quant::import::{FloatAdapter, FloatEncoder, Tokenizer};
use lorica_quant::integer::quantise_adapter;
use lorica_quant::integer::{AdapterModel, BatchInput, Executor, Quality, RequestInput, calibrate, compare, naive};

struct MiniLm {
    encoder: FloatEncoder,
    tokenizer: Tokenizer,
    executor: Executor,
}

fn fixture(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn minilm() -> &'static MiniLm {
    static MINILM: OnceLock<MiniLm> = OnceLock::new();
    MINILM.get_or_init(|| {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("LORICA_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("lorica")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/lorica")))
            .expect("a cache folder");
        let encoder = FloatEncoder::load(&cache.join("models/minilm"))
            .unwrap_or_else(|error| panic!("run `lorica model fetch minilm` first: {error}"));
        let tokenizer = encoder.tokenizer().expect("checked at load");
        let texts: Vec<_> =
            fixture("calibration.txt").lines().map(|line| tokenizer.encode(line).expect("a short text")).collect();
        let start = Instant::now();
        let base = calibrate(&encoder, &texts, 16).expect("a model with an integer form");
        println!(
            "calibrated in {:?}: {:?} {:?} {:?}",
            start.elapsed(),
            base.architecture,
            base.scales,
            base.meta.exponents
        );
        let start = Instant::now();
        let executor = Executor::new(Arc::new(base)).expect("valid");
        println!("validated in {:?}", start.elapsed());
        MiniLm { encoder, tokenizer, executor }
    })
}

/// The texts of a fixture that have 2 to 128 tokens.
fn texts(path: &str) -> Vec<Vec<u32>> {
    let line =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["text"].as_str().map(str::to_owned);
    let encode = |text: String| minilm().tokenizer.encode(&text).ok().filter(|ids| ids.len() >= 2);
    fixture(path).lines().filter_map(line).filter_map(encode).collect()
}

fn adapters() -> Vec<(String, FloatAdapter, AdapterModel)> {
    ["debian-qv-r8", "debian-attn-r4", "debian-ffn-r16"]
        .into_iter()
        .map(|name| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/adapters").join(name);
            let float = FloatAdapter::load(&folder, &minilm().encoder.config, 16).expect("a committed adapter");
            let integer = quantise_adapter(minilm().executor.base(), &float).expect("an adapter with an integer form");
            (name.to_owned(), float, integer)
        })
        .collect()
}

fn check(name: &str, quality: &Quality) {
    println!("{name}: {quality}");
    assert_eq!(quality.range_errors, [], "{name}");
    assert!(quality.cosine_worst > 0.9999, "{name}: {quality}");
}

#[test]
fn embeddings_are_close_to_float() {
    let MiniLm { encoder, executor, .. } = minilm();
    let texts = texts("texts.jsonl");
    assert_eq!(texts.len(), 199);
    check("base", &compare(executor, encoder, None, &texts).unwrap());
}

#[test]
fn labels_agree_with_float() {
    let MiniLm { encoder, executor, .. } = minilm();
    let texts: Vec<_> = texts("texts.jsonl").into_iter().step_by(2).collect();
    for (name, float, integer) in adapters() {
        let quality = compare(executor, encoder, Some((&float, &integer)), &texts).unwrap();
        println!("{name}: {quality}");
        assert_eq!(quality.range_errors, [], "{name}");
        let agree = quality.labels_agree.expect("a head");
        assert!(agree * 100 >= texts.len() * 99, "{name}: {quality}");
        assert!(quality.cosine_mean > 0.999 && quality.cosine_worst > 0.995, "{name}: {quality}");
    }
}

#[test]
fn both_executors_agree_on_the_real_model() {
    let MiniLm { executor, tokenizer, .. } = minilm();
    let (_, _, adapter) = adapters().remove(0);
    let request = |text: &str, adapter: Option<&AdapterModel>| RequestInput {
        ids: tokenizer.encode(text).expect("a short text"),
        adapter: adapter.cloned().map(Arc::new),
    };
    let shape = Shape { requests: 2, tokens: 16, log_tile: 20, output: OutputKind::Embed, records: 0 };
    let requests = vec![request("what was proven?", None), request("a [PAD] is a word", Some(&adapter))];
    let input = BatchInput { requests, shape };
    assert!(executor.execute(&input).unwrap() == naive::execute(executor.base(), &input).unwrap());
}

/// Prints times; only meaningful with `--release`.
#[test]
#[ignore = "a measurement: run with --release --nocapture"]
fn speed() {
    let MiniLm { executor, .. } = minilm();
    let texts = texts("debian/heldout.jsonl");
    let adapters: Vec<_> = adapters().into_iter().map(|a| Arc::new(a.2)).collect();
    for (requests, tokens) in [(1, 16), (1, 32), (1, 64), (1, 128), (16, 32)] {
        let ids: Vec<u32> = texts.iter().flatten().copied().take(tokens).collect();
        let request = |i: usize| RequestInput { ids: ids.clone(), adapter: Some(adapters[i % adapters.len()].clone()) };
        let shape = Shape { requests, tokens, log_tile: 20, output: OutputKind::Classify, records: 0 };
        let input = BatchInput { requests: (0..requests).map(request).collect(), shape };
        let time = |f: &dyn Fn()| {
            let once = || {
                let start = Instant::now();
                f();
                start.elapsed()
            };
            (0..5).map(|_| once()).min().unwrap()
        };
        let execute = time(&|| drop(executor.execute(&input).unwrap()));
        let infer = time(&|| drop(executor.infer(&ids, Some(&adapters[0]), shape.output).unwrap()));
        println!("{requests} requests of {tokens} tokens: execute {execute:?}, infer one {infer:?}");
    }
    let ids = &texts[0];
    let start = Instant::now();
    let shape = Shape { requests: 1, tokens: 32, log_tile: 20, output: OutputKind::Classify, records: 0 };
    let requests = vec![RequestInput { ids: ids[..ids.len().min(32)].to_vec(), adapter: Some(adapters[0].clone()) }];
    naive::execute(executor.base(), &BatchInput { requests, shape }).unwrap();
    println!("naive, 32 tokens: {:?}", start.elapsed());
}
