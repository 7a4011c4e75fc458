//! Both executors on all fixture texts, with the base and the three fixture adapters, twenty of them as full proofs of the
//! real model at τ = 18. Run by name:
//!
//! ```text
//! cargo test --release -p lorica-prover --test all agreement:: -- --ignored --nocapture
//! ```
//! `LORICA_AGREEMENT_LIMIT=n` stops after n cases; `LORICA_AGREEMENT_DONE=FILE` notes finished cases there and skips them
//! the next time (only of use while the code is the same).

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::cells::{Placed, tables};
use lorica_prover::prove::{Batch, commit_region, prove};
use lorica_prover::srs::Srs;
use lorica_quant::import::{EncodeError, FloatAdapter, FloatEncoder};
use lorica_quant::integer::{
    AdapterModel, BatchInput, Executor, RequestInput, RequestOutput, Trace, calibrate, naive, quantise_adapter,
};
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};
use lorica_verifier::protocol::proof::{InferenceProof, Output, RequestStatement, Statement};
use lorica_verifier::protocol::verify::verify;

const LOG_TILE: u32 = 18;
const ADAPTERS: [&str; 3] = ["debian-qv-r8", "debian-attn-r4", "debian-ffn-r16"];
const PROOFS: usize = 20;
const THREADS: usize = 2;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path)
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn encoder() -> FloatEncoder {
    let cache = variable("LORICA_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("lorica")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/lorica")))
        .expect("a cache folder");
    FloatEncoder::load(&cache.join("models/minilm"))
        .unwrap_or_else(|error| panic!("run `lorica model fetch minilm` first: {error}"))
}

/// Every fixture text with its stated number of tokens.
fn texts() -> Vec<(String, usize)> {
    let lines = std::fs::read_to_string(fixture("texts.jsonl")).expect("texts");
    lines
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let tokens = value["tokens"].as_u64().expect("a number") as usize;
            (value["text"].as_str().expect("a text").to_owned(), tokens)
        })
        .collect()
}

#[test]
fn odd_texts_have_ids_or_a_typed_error() {
    let tokenizer = encoder().tokenizer().expect("a tokenizer");
    let mut lengths = BTreeSet::new();
    for (text, tokens) in texts() {
        match tokenizer.encode(&text) {
            Ok(ids) => assert_eq!((ids.len(), tokens <= 128), (tokens, true), "{text:?}"),
            Err(EncodeError::TooLong { tokens: got, max: 128 }) => assert_eq!(got, tokens),
            Err(error) => panic!("{text:?}: {error}"),
        }
        lengths.insert(tokens);
    }
    assert!([2, 3, 16, 32, 64, 128, 129].iter().all(|n| lengths.contains(n)), "{lengths:?}");
    assert_eq!(tokenizer.encode("").expect("no words"), tokenizer.encode(" \0\n").expect("no words either"));
    let megabyte = "word ".repeat(1 << 18);
    for text in [megabyte.as_str(), &"[PAD]".repeat(200_000), &"é, 🦀\0".repeat(1 << 17)] {
        assert!(text.len() > 900_000);
        let error = tokenizer.encode(text).expect_err("a megabyte");
        assert!(matches!(error, EncodeError::TooLong { max: 128, .. }), "{error}");
    }
    // One word of a megabyte is one unknown word.
    assert_eq!(tokenizer.encode(&"x".repeat(1 << 20)).expect("one word"), [101, 100, 102]);
}

struct Adapter {
    model: Arc<AdapterModel>,
    cells: Arc<Placed>,
    key: AdapterCommitments,
}

/// Everything that a proof needs.
struct Registered {
    srs: Srs,
    executor: Executor,
    base: Arc<Placed>,
    tables: Arc<Placed>,
    key: BaseCommitments,
    adapters: Vec<Adapter>,
}

impl Registered {
    fn new() -> Self {
        let encoder = encoder();
        let tokenizer = encoder.tokenizer().expect("a tokenizer");
        let calibration = std::fs::read_to_string(fixture("calibration.txt")).expect("calibration texts");
        let texts: Vec<_> = calibration.lines().map(|line| tokenizer.encode(line).expect("a short text")).collect();
        let base = Arc::new(calibrate(&encoder, &texts, 16).expect("an integer model"));
        let srs = Srs::dev(LOG_TILE).expect("an SRS");
        let shape = Shape { requests: 1, tokens: 32, log_tile: LOG_TILE, output: OutputKind::Classify, records: 0 };
        let layout = base.architecture.layout(&shape).expect("a layout");
        let base_cells = Arc::new(Placed::new(&layout, Region::BASE, &base.columns).expect("base columns"));
        let table_cells = Arc::new(tables(&layout, &base.architecture).expect("tables"));
        let commit = |region, cells: &Placed| commit_region(&srs, &layout, region, cells).expect("commitments");
        let key = BaseCommitments {
            architecture: base.architecture.clone(),
            scales: base.scales.clone(),
            log_tile: LOG_TILE,
            srs: srs.digest_word(),
            tau_g2: *srs.tau_g2(),
            tables: commit(Region::TABLE, &table_cells),
            tiles: commit(Region::BASE, &base_cells),
        };
        let adapters = ADAPTERS
            .iter()
            .map(|name| {
                let folder = fixture("adapters").join(name);
                let float = FloatAdapter::load(&folder, &encoder.config, 16).expect("an adapter");
                let model = quantise_adapter(&base, &float).expect("an integer adapter");
                let cells = Arc::new(Placed::new(&layout, Region::ADAPTER, &model.columns).expect("columns"));
                let key = AdapterCommitments { base: key.id(), version: None, tiles: commit(Region::ADAPTER, &cells) };
                Adapter { model: Arc::new(model), cells, key }
            })
            .collect();
        let executor = Executor::new(base).expect("an executor");
        Self { srs, executor, base: base_cells, tables: table_cells, key, adapters }
    }

    fn input(&self, ids: &[u32], adapter: Option<usize>) -> BatchInput {
        let kind = if adapter.is_some() { OutputKind::Classify } else { OutputKind::Embed };
        let shape = Shape::fitting(1, ids.len(), LOG_TILE, kind).expect("a shape");
        let adapter = adapter.map(|i| self.adapters[i].model.clone());
        BatchInput { requests: vec![RequestInput { ids: ids.to_vec(), adapter }], shape }
    }

    fn prove(&self, input: &BatchInput, trace: &Trace, adapter: Option<usize>) -> InferenceProof {
        let output = match &trace.outputs[0] {
            RequestOutput::Embed { sums, .. } => Output::Embed { sums: sums.clone() },
            RequestOutput::Classify { logits, label } => {
                Output::Classify { logits: logits.to_vec(), label: *label as u8 }
            }
        };
        let statement = Statement {
            shape: input.shape,
            architecture: self.key.architecture_digest(),
            srs: self.key.srs,
            base: self.key.id(),
            context: Fr::ZERO,
            attribution: None,
            requests: vec![RequestStatement {
                adapter: adapter.map_or(Fr::ZERO, |i| self.adapters[i].key.id()),
                salt: [9; 31],
                ids: input.requests[0].ids.clone(),
                output,
                shares: Vec::new(),
            }],
        };
        let batch = Batch {
            base: self.base.clone(),
            tables: self.tables.clone(),
            adapters: vec![adapter.map(|i| self.adapters[i].cells.clone())],
            index: None,
            columns: trace.columns.clone(),
        };
        prove(&self.srs, &self.key, &batch, &statement).expect("a proof").0
    }

    fn check(&self, proof: &InferenceProof) {
        let keys: Vec<_> = self.adapters.iter().map(|a| a.key.clone()).collect();
        let bytes = proof.encode();
        let decoded = InferenceProof::decode(&bytes).expect("its own bytes");
        verify(&self.srs.verifier_key(), &self.key, &keys, &Fr::ZERO, &decoded).expect("accepted");
    }
}

/// Texts that are proven in full: odd ones, one of each full length class, and others spread over the rest.
fn proven(texts: &[(String, usize)]) -> BTreeSet<usize> {
    let find = |f: &dyn Fn(&str, usize) -> bool| texts.iter().position(|(text, tokens)| f(text, *tokens));
    let mut chosen: BTreeSet<usize> = [
        find(&|t, _| t.is_empty()),
        find(&|t, _| t == "\0"),
        find(&|t, _| t == "[PAD]"),
        find(&|t, _| t.contains("with [PAD]")),
        find(&|t, _| t.contains('東')),
        find(&|t, _| t.contains('🦀')),
        find(&|_, n| n == 16),
        find(&|_, n| n == 32),
        find(&|_, n| n == 64),
        find(&|_, n| n == 128),
    ]
    .into_iter()
    .map(|at| at.expect("a fixture text"))
    .collect();
    let rest: Vec<usize> = (0..texts.len()).filter(|i| texts[*i].1 <= 128 && !chosen.contains(i)).collect();
    let missing = PROOFS - chosen.len();
    chosen.extend((0..missing).map(|i| rest[i * rest.len() / missing]));
    assert_eq!(chosen.len(), PROOFS);
    chosen
}

#[test]
#[ignore = "takes ten minutes on two idle cores: run by name, with --release"]
fn executors_agree_on_all_texts_and_adapters() {
    let registered = Registered::new();
    let tokenizer = encoder().tokenizer().expect("a tokenizer");
    let texts = texts();
    let proven = proven(&texts);
    let done_file = variable("LORICA_AGREEMENT_DONE");
    let done: BTreeSet<String> = done_file
        .as_ref()
        .and_then(|path| std::fs::read_to_string(path).ok())
        .map(|lines| lines.lines().map(str::to_owned).collect())
        .unwrap_or_default();
    // All models of a text one after the other; of a proven text, the proof under one of them in turn.
    let proven: Vec<usize> = proven.into_iter().collect();
    let cases: Vec<(usize, usize)> = (0..texts.len())
        .filter(|i| texts[*i].1 <= 128)
        .flat_map(|i| (0..=ADAPTERS.len()).map(move |k| (i, k)))
        .collect();
    let limit = variable("LORICA_AGREEMENT_LIMIT").map_or(cases.len(), |n| n.to_str().unwrap().parse().unwrap());
    println!("{} cases, {} noted as done, at most {limit} now", cases.len(), done.len());
    let todo: Vec<_> = cases.into_iter().filter(|(i, k)| !done.contains(&format!("{i} {k}"))).take(limit).collect();
    let next = AtomicUsize::new(0);
    let (proofs, log) = (AtomicUsize::new(0), Mutex::new(()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(&(i, k)) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ids = tokenizer.encode(&texts[i].0).expect("a short text");
                    let adapter = k.checked_sub(1);
                    let input = registered.input(&ids, adapter);
                    let trace = registered.executor.execute(&input).unwrap_or_else(|e| panic!("text {i}, {k}: {e}"));
                    let reference = naive::execute(registered.executor.base(), &input).expect("the reference");
                    assert!(trace == reference, "text {i}, model {k}: the executors differ");
                    let position = proven.iter().position(|p| *p == i).filter(|at| at % (ADAPTERS.len() + 1) == k);
                    let _log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if position.is_some() {
                        registered.check(&registered.prove(&input, &trace, adapter));
                        proofs.fetch_add(1, Ordering::Relaxed);
                    }
                    println!("text {i}, model {k}: {} tokens, proven {}", ids.len(), position.is_some());
                    if let Some(path) = &done_file {
                        let mut file =
                            std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a writable file");
                        writeln!(file, "{i} {k}").expect("a writable file");
                    }
                }
            });
        }
    });
    let proofs = proofs.into_inner();
    println!("{} cases agree, {proofs} of them proven", todo.len());
    if todo.len() == 4 * 199 {
        assert_eq!(proofs, PROOFS);
    }
}
