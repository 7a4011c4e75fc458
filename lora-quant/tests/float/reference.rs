//! Agreement with `transformers`, whose outputs are committed in `fixtures/reference`.
//!
//! The tests with all-MiniLM-L6-v2 read it from Lorica's cache, where `lorica model fetch minilm` puts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lorica_quant::float::{LayerTap, NormPart, Tap, forward, forward_observed};
use lorica_quant::import::{EncodeError, FloatAdapter, FloatEncoder, LayerSite, Site, Tokenizer};
use serde_json::Value;

use crate::folders::{Adapter, Model};

const TOLERANCE: f32 = 1e-4;
const ADAPTERS: [&str; 3] = ["debian-qv-r8", "debian-attn-r4", "debian-ffn-r16"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(fixtures().join(path)).unwrap_or_else(|error| panic!("fixtures/{path}: {error}"))
}

fn reference(name: &str) -> Value {
    serde_json::from_str(&read(&format!("reference/{name}.json"))).expect("valid JSON")
}

fn minilm() -> &'static (FloatEncoder, Tokenizer) {
    static MINILM: OnceLock<(FloatEncoder, Tokenizer)> = OnceLock::new();
    MINILM.get_or_init(|| {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("LORICA_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("lorica")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/lorica")))
            .expect("a cache folder");
        let encoder = FloatEncoder::load(&cache.join("models/minilm"))
            .unwrap_or_else(|error| panic!("run `lorica model fetch minilm` first: {error}"));
        let tokenizer = encoder.tokenizer().expect("checked at load");
        (encoder, tokenizer)
    })
}

fn adapter(name: &str) -> FloatAdapter {
    let folder = fixtures().join("adapters").join(name);
    FloatAdapter::load(&folder, &minilm().0.config, 16).expect("a committed adapter")
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number") as f32).collect()
}

fn assert_close(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < TOLERANCE, "{what}: off by {worst}");
}

fn mean(sum: &[f32], tokens: usize) -> Vec<f32> {
    sum.iter().map(|value| value / tokens as f32).collect()
}

#[test]
fn other_sizes_and_activations_agree() {
    for case in reference("synthetic")["models"].as_array().expect("a list") {
        let encoder = FloatEncoder::load(Model::new(case["config"].clone()).write().path()).expect("valid");
        let ids: Vec<u32> = numbers(&case["ids"]).iter().map(|id| *id as u32).collect();
        let output = forward(&encoder, None, &ids).expect("valid ids");
        let got = mean(&output.embedding_sum, output.tokens());
        assert_close(&got, &numbers(&case["embedding"]), &case["config"].to_string());
    }
}

#[test]
fn embeddings_agree() {
    let (encoder, tokenizer) = minilm();
    for case in reference("base")["texts"].as_array().expect("a list") {
        let text = case["text"].as_str().expect("a text");
        let ids = tokenizer.encode(text).expect("at most 128 tokens");
        let expected: Vec<u32> = numbers(&case["ids"]).iter().map(|id| *id as u32).collect();
        assert_eq!(ids, expected, "{text:?}");
        let output = forward(encoder, None, &ids).expect("valid ids");
        assert_eq!(output.tokens(), ids.len());
        assert!(output.logits.is_none());
        assert_close(&mean(&output.embedding_sum, ids.len()), &numbers(&case["embedding"]), text);
        let norm: f32 = output.embedding.iter().map(|value| value * value).sum();
        assert!((norm - 1.0).abs() < 1e-5);
    }
}

#[test]
fn logits_of_the_adapters_agree() {
    let (encoder, tokenizer) = minilm();
    for name in ADAPTERS {
        let adapter = adapter(name);
        for case in reference(name)["texts"].as_array().expect("a list") {
            let text = case["text"].as_str().expect("a text");
            let ids = tokenizer.encode(text).expect("at most 128 tokens");
            let output = forward(encoder, Some(&adapter), &ids).expect("valid ids");
            let logits = output.logits.as_deref().expect("a head");
            assert_close(logits, &numbers(&case["logits"]), &format!("{name}: {text}"));
            let start = mean(&output.embedding_sum[..8], ids.len());
            assert_close(&start, &numbers(&case["embedding_start"]), &format!("{name}: {text}"));
        }
    }
}

#[test]
fn texts_have_their_committed_lengths() {
    let (_, tokenizer) = minilm();
    let texts = read("texts.jsonl");
    assert_eq!(texts.lines().count(), 200);
    for line in texts.lines() {
        let case: Value = serde_json::from_str(line).expect("valid JSON");
        let tokens = case["tokens"].as_u64().expect("a number") as usize;
        match tokenizer.encode(case["text"].as_str().expect("a text")) {
            Ok(ids) => assert_eq!(ids.len(), tokens),
            Err(error) => {
                assert!(tokens > 128);
                assert_eq!(error, EncodeError::TooLong { tokens, max: 128 });
            }
        }
    }
    for line in read("calibration.txt").lines() {
        tokenizer.encode(line).expect("calibration texts fit");
    }
}

/// Each adapter on the first 60 held-out records. Too slow without optimisation.
#[test]
#[cfg_attr(debug_assertions, ignore = "run in release")]
fn adapters_reach_their_accuracy() {
    let (encoder, tokenizer) = minilm();
    let records: Vec<Value> = read("debian/heldout.jsonl")
        .lines()
        .take(60)
        .map(|line| serde_json::from_str(line).expect("valid JSON"))
        .collect();
    for name in ADAPTERS {
        let adapter = adapter(name);
        let labels = &adapter.head.as_ref().expect("a head").labels;
        let right = records.iter().filter(|record| {
            let ids = tokenizer.encode(record["text"].as_str().expect("a text")).expect("fits");
            let label = forward(encoder, Some(&adapter), &ids).expect("valid ids").label();
            labels[label.expect("a head")] == record["label"].as_str().expect("a label")
        });
        let accuracy = right.count() as f32 / records.len() as f32;
        assert!(accuracy >= 0.6, "{name}: {accuracy}");
    }
}

/// The observer sees every value once, with its documented shape, and they fit together.
#[test]
fn taps_have_their_shapes() {
    let encoder = FloatEncoder::load(Model::small().write().path()).expect("valid");
    let adapter = FloatAdapter::load(Adapter::with_pooler().write().path(), &encoder.config, 16).expect("valid");
    let ids = [2, 4, 5, 0, 3];
    let (n, hidden, middle, heads) = (ids.len(), 128, 256, 4);
    let mut seen: BTreeMap<Tap, Vec<f32>> = BTreeMap::new();
    let output = forward_observed(&encoder, Some(&adapter), &ids, |tap, values| {
        assert!(seen.insert(tap, values.to_vec()).is_none(), "{tap:?} twice");
    })
    .expect("valid ids");
    let expected = |tap: &Tap| match *tap {
        Tap::EmbeddingSum => n * hidden,
        Tap::EmbeddingNorm(part) | Tap::Layer(_, LayerTap::AttentionNorm(part) | LayerTap::OutputNorm(part)) => {
            match part {
                NormPart::Mean | NormPart::Variance => n,
                NormPart::Normalised | NormPart::Output => n * hidden,
            }
        }
        Tap::Layer(_, LayerTap::Scores | LayerTap::Probabilities) => heads * n * n,
        Tap::Layer(_, LayerTap::Intermediate | LayerTap::Activation) => n * middle,
        Tap::Layer(..) => n * hidden,
        Tap::LoraHidden(Site::Pooler) => 4,
        Tap::LoraUpdate(Site::Pooler) => hidden,
        Tap::LoraHidden(site) => {
            assert!(matches!(site, Site::Layer(_, LayerSite::Query | LayerSite::Value)));
            n * 4
        }
        Tap::LoraUpdate(..) => n * hidden,
        Tap::PoolerPreactivation | Tap::PoolerOutput => hidden,
        Tap::Logits => 3,
    };
    for (tap, values) in &seen {
        assert_eq!(values.len(), expected(tap), "{tap:?}");
        assert!(values.iter().all(|value| value.is_finite()), "{tap:?}");
    }
    // 1 + 4 for the embedding, 20 per layer, a pair of taps per adapted site, 3 for the head.
    assert_eq!(seen.len(), 5 + 2 * 20 + 2 * 5 + 3);
    assert_eq!(seen[&Tap::Layer(1, LayerTap::OutputNorm(NormPart::Output))], output.hidden_states);
    assert_eq!(Some(&seen[&Tap::Logits]), output.logits.as_ref());
    let rows = &seen[&Tap::Layer(0, LayerTap::Probabilities)];
    assert!(rows.chunks_exact(n).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    let middle = &seen[&Tap::Layer(0, LayerTap::AttentionNorm(NormPart::Output))];
    let sum: Vec<f32> = seen[&Tap::Layer(0, LayerTap::Output)].iter().zip(middle).map(|(a, b)| a + b).collect();
    assert_eq!(sum, seen[&Tap::Layer(0, LayerTap::OutputResidual)]);
}
