//! The real model, all-MiniLM-L6-v2 from Lorica's cache with the fixture adapters: full proofs, with their cost printed
//! (`--nocapture`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::cells::{Placed, tables};
use lorica_prover::prove::{Batch, broken_relations, commit_region, prove};
use lorica_prover::srs::Srs;
use lorica_quant::import::{FloatAdapter, FloatEncoder};
use lorica_quant::integer::{
    AdapterModel, BatchInput, Executor, RequestInput, RequestOutput, calibrate, quantise_adapter,
};
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};
use lorica_verifier::protocol::proof::{Output, RequestStatement, Statement};
use lorica_verifier::protocol::verify::verify;

const LOG_TILE: u32 = 18;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path)
}

fn cache() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("LORICA_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("lorica")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/lorica")))
        .expect("a cache folder")
}

struct Adapter {
    model: Arc<AdapterModel>,
    cells: Arc<Placed>,
    key: AdapterCommitments,
}

#[test]
fn real_texts_are_proven() {
    let encoder = FloatEncoder::load(&cache().join("models/minilm"))
        .unwrap_or_else(|error| panic!("run `lorica model fetch minilm` first: {error}"));
    let tokenizer = encoder.tokenizer().expect("a tokenizer");
    let calibration = std::fs::read_to_string(fixture("calibration.txt")).expect("calibration texts");
    let texts: Vec<_> = calibration.lines().map(|line| tokenizer.encode(line).expect("a short text")).collect();
    let base = Arc::new(calibrate(&encoder, &texts, 16).expect("an integer model"));
    let clock = Instant::now();
    let srs = Srs::dev(LOG_TILE).expect("an SRS");
    println!("SRS {:?}", clock.elapsed());

    let shape = |requests, tokens, output| Shape { requests, tokens, log_tile: LOG_TILE, output, records: 0 };
    let layout = base.architecture.layout(&shape(1, 32, OutputKind::Classify)).expect("a layout");
    let clock = Instant::now();
    let base_cells = Arc::new(Placed::new(&layout, Region::BASE, &base.columns).expect("base columns"));
    let table_cells = Arc::new(tables(&layout, &base.architecture).expect("tables"));
    let key = BaseCommitments {
        architecture: base.architecture.clone(),
        scales: base.scales.clone(),
        log_tile: LOG_TILE,
        srs: srs.digest_word(),
        tau_g2: *srs.tau_g2(),
        tables: commit_region(&srs, &layout, Region::TABLE, &table_cells).expect("commitments"),
        tiles: commit_region(&srs, &layout, Region::BASE, &base_cells).expect("commitments"),
    };
    key.validate().expect("a valid key");
    println!("base registered in {:?}: {} tiles", clock.elapsed(), key.tiles.len());
    let adapters: Vec<Adapter> = ["debian-qv-r8", "debian-attn-r4", "debian-ffn-r16"]
        .iter()
        .map(|name| {
            let float = FloatAdapter::load(&fixture("adapters").join(name), &encoder.config, 16).expect("an adapter");
            let model = quantise_adapter(&base, &float).expect("an integer adapter");
            let clock = Instant::now();
            let cells = Arc::new(Placed::new(&layout, Region::ADAPTER, &model.columns).expect("columns"));
            let tiles = commit_region(&srs, &layout, Region::ADAPTER, &cells).expect("commitments");
            println!("{name} registered in {:?}: {} tiles", clock.elapsed(), tiles.len());
            Adapter { model: Arc::new(model), cells, key: AdapterCommitments { base: key.id(), version: None, tiles } }
        })
        .collect();
    let keys: Vec<AdapterCommitments> = adapters.iter().map(|a| a.key.clone()).collect();
    let executor = Executor::new(base.clone()).expect("an executor");
    let verifier_key = srs.verifier_key();

    let held_out = std::fs::read_to_string(fixture("debian/heldout.jsonl")).expect("held-out texts");
    let texts: Vec<Vec<u32>> = held_out
        .lines()
        .filter_map(|line| {
            let start = line.find("\"text\": \"")? + 9;
            let end = start + line[start..].find('"')?;
            tokenizer.encode(&line[start..end]).ok()
        })
        .collect();
    let of_class = |tokens: usize| {
        texts.iter().filter(move |ids| ids.len() <= tokens && ids.len() > tokens / 2).cloned().collect::<Vec<_>>()
    };
    let (short, long) = (of_class(32), of_class(128));
    let cases: Vec<(OutputKind, Vec<(Vec<u32>, Option<usize>)>)> = vec![
        (OutputKind::Embed, vec![(short[0].clone(), None)]),
        (OutputKind::Classify, vec![(short[1].clone(), Some(0))]),
        (OutputKind::Classify, vec![(long[0].clone(), Some(1))]),
        (OutputKind::Classify, (0..4).map(|i| (short[2 + i].clone(), Some(i % 3))).collect()),
    ];
    for (kind, requests) in cases {
        let longest = requests.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let shape = Shape::fitting(requests.len(), longest, LOG_TILE, kind).expect("a shape");
        let clock = Instant::now();
        let trace = executor
            .execute(&BatchInput {
                requests: requests
                    .iter()
                    .map(|(ids, adapter)| RequestInput {
                        ids: ids.clone(),
                        adapter: adapter.map(|i| adapters[i].model.clone()),
                    })
                    .collect(),
                shape,
            })
            .expect("a trace");
        let executed = clock.elapsed();
        let statement = Statement {
            shape,
            architecture: key.architecture_digest(),
            srs: key.srs,
            base: key.id(),
            context: Fr::ZERO,
            attribution: None,
            requests: requests
                .iter()
                .zip(&trace.outputs)
                .map(|((ids, adapter), output)| RequestStatement {
                    adapter: adapter.map_or(Fr::ZERO, |i| adapters[i].key.id()),
                    salt: [7; 31],
                    ids: ids.clone(),
                    output: match output {
                        RequestOutput::Embed { sums, .. } => Output::Embed { sums: sums.clone() },
                        RequestOutput::Classify { logits, label } => {
                            Output::Classify { logits: logits.to_vec(), label: *label as u8 }
                        }
                    },
                    shares: Vec::new(),
                })
                .collect(),
        };
        let batch = Batch {
            base: base_cells.clone(),
            tables: table_cells.clone(),
            adapters: requests.iter().map(|(_, a)| a.map(|i| adapters[i].cells.clone())).collect(),
            index: None,
            columns: trace.columns.clone(),
        };
        assert_eq!(broken_relations(&key, &batch, &statement).expect("relations"), Vec::<&str>::new());
        let clock = Instant::now();
        let (proof, phases) = prove(&srs, &key, &batch, &statement).expect("a proof");
        let proven = clock.elapsed();
        let clock = Instant::now();
        let outcome = verify(&verifier_key, &key, &keys, &Fr::ZERO, &proof);
        println!(
            "{shape:?}: execute {executed:?}, prove {proven:?} {phases:?}, verify {:?}, {} bytes",
            clock.elapsed(),
            proof.encode().len()
        );
        outcome.expect("accepted");
    }
}
