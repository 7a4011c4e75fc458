//! A registered synthetic model, batches on it, and their proofs.

#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../../../verifier/tests/support/hooked.rs"]
pub mod hooked;
pub mod naive;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use lorica_circuits::architecture::{OutputKind, Shape};
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::column::{Column, Region};
use lorica_circuits::layout::Layout;
use lorica_prover::cells::{place, tables};
use lorica_prover::prove::{Batch, ProveError, broken_claims, broken_relations, commit_region, prove};
use lorica_prover::srs::Srs;
use lorica_quant::integer::synthetic::{Sizes, Synthetic};
use lorica_quant::integer::{AdapterModel, BatchInput, Executor, RequestInput, RequestOutput};
use lorica_verifier::field::Outcome;
use lorica_verifier::key::{AdapterCommitments, BaseCommitments};
use lorica_verifier::proof::{InferenceProof, Output, RequestStatement, Statement};
use lorica_verifier::verify::{VerifyError, verify};

/// τ of the tests.
pub const LOG_TILE: u32 = 14;

pub static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(LOG_TILE).expect("a small development SRS"));

/// An adapter with its commitments.
#[derive(Clone)]
pub struct Adapter {
    pub model: Arc<AdapterModel>,
    pub cells: Vec<i64>,
    pub key: AdapterCommitments,
}

/// A registered base model.
pub struct World {
    pub synthetic: Synthetic,
    pub key: BaseCommitments,
    pub base: Vec<i64>,
    pub tables: Vec<i64>,
    pub adapters: Vec<Adapter>,
}

/// A batch that was executed.
#[derive(Clone)]
pub struct Run {
    pub columns: BTreeMap<Column, Vec<i64>>,
    pub statement: Statement,
    /// Index of each request's adapter.
    pub adapters: Vec<Option<usize>>,
}

impl World {
    pub fn new(sizes: Sizes, seed: u64, adapters: usize) -> Self {
        Self::of(Synthetic::new(sizes, seed).expect("a synthetic model"), seed, adapters)
    }

    /// Registers a model that a test has edited.
    pub fn of(synthetic: Synthetic, seed: u64, adapters: usize) -> Self {
        let architecture = synthetic.base.architecture.clone();
        let shape = Shape { requests: 1, tokens: 16, log_tile: LOG_TILE, output: OutputKind::Classify };
        let layout = Layout::new(&architecture, &shape).expect("a layout");
        let base = place(&layout, Region::Base, &synthetic.base.columns).expect("base columns");
        let tables = tables(&layout, &architecture).expect("tables");
        let key = BaseCommitments {
            architecture,
            scales: synthetic.base.scales.clone(),
            log_tile: LOG_TILE,
            srs: SRS.digest_word(),
            tau_g2: *SRS.tau_g2(),
            tables: commit_region(&SRS, &layout, Region::Table, &tables).expect("commitments"),
            tiles: commit_region(&SRS, &layout, Region::Base, &base).expect("commitments"),
        };
        key.validate().expect("a valid key");
        let adapters = (0..adapters as u64)
            .map(|i| {
                let model = synthetic.adapter(seed + 100 + i, 3 + i as usize).expect("an adapter");
                let cells = place(&layout, Region::Adapter, &model.columns).expect("adapter columns");
                let tiles = commit_region(&SRS, &layout, Region::Adapter, &cells).expect("commitments");
                let key = AdapterCommitments { base: key.id(), tiles };
                Adapter { model: Arc::new(model), cells, key }
            })
            .collect();
        Self { synthetic, key, base, tables, adapters }
    }

    pub fn keys(&self) -> Vec<AdapterCommitments> {
        self.adapters.iter().map(|a| a.key.clone()).collect()
    }

    /// Executes texts of random ids, each with its length and adapter.
    pub fn run(&self, kind: OutputKind, requests: &[(usize, Option<usize>)]) -> Run {
        let texts: Vec<(Vec<u32>, Option<usize>)> = requests
            .iter()
            .enumerate()
            .map(|(i, &(tokens, adapter))| (self.synthetic.ids(7 + i as u64, tokens), adapter))
            .collect();
        self.run_ids(kind, &texts)
    }

    pub fn run_ids(&self, kind: OutputKind, texts: &[(Vec<u32>, Option<usize>)]) -> Run {
        let longest = texts.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let shape = Shape::fitting(texts.len(), longest, LOG_TILE, kind).expect("a shape");
        self.run_shape(shape, texts)
    }

    pub fn run_shape(&self, shape: Shape, texts: &[(Vec<u32>, Option<usize>)]) -> Run {
        let kind = shape.output;
        let adapter = |index: &Option<usize>| index.map(|i| self.adapters[i].model.clone());
        let input = BatchInput {
            requests: texts
                .iter()
                .map(|(ids, index)| RequestInput { ids: ids.clone(), adapter: adapter(index) })
                .collect(),
            shape,
        };
        let executor = Executor::new(Arc::new(self.synthetic.base.clone())).expect("an executor");
        let trace = executor.execute(&input).expect("an execution");
        let requests = texts
            .iter()
            .zip(&trace.outputs)
            .enumerate()
            .map(|(i, ((ids, index), output))| RequestStatement {
                adapter: index.map_or(Fr::ZERO, |i| self.adapters[i].key.id()),
                salt: [i as u8 + 1; 31],
                ids: ids.clone(),
                output: match output {
                    RequestOutput::Embed { sums, .. } => Output::Embed { sums: sums.clone() },
                    RequestOutput::Classify { logits, label } => {
                        Output::Classify { logits: logits.to_vec(), label: *label as u8 }
                    }
                },
            })
            .collect();
        assert!(texts.iter().all(|(_, a)| kind == OutputKind::Embed || a.is_some()));
        let statement = Statement {
            shape,
            architecture: self.key.architecture_digest(),
            srs: self.key.srs,
            base: self.key.id(),
            context: Fr::ZERO,
            requests,
        };
        Run { columns: trace.columns, statement, adapters: texts.iter().map(|(_, a)| *a).collect() }
    }

    pub fn batch<'b>(&'b self, run: &'b Run) -> Batch<'b> {
        Batch {
            base: &self.base,
            tables: &self.tables,
            adapters: run.adapters.iter().map(|a| a.map_or(&[][..], |i| &self.adapters[i].cells)).collect(),
            columns: &run.columns,
        }
    }

    pub fn broken(&self, run: &Run) -> Vec<&'static str> {
        broken_relations(&self.key, &self.batch(run), &run.statement).expect("relations")
    }

    pub fn broken_claims(&self, run: &Run) -> Vec<String> {
        broken_claims(&self.key, &self.batch(run), &run.statement).expect("claims")
    }

    pub fn prove(&self, run: &Run) -> Result<InferenceProof, ProveError> {
        prove(&SRS, &self.key, &self.batch(run), &run.statement).map(|(proof, _)| proof)
    }

    pub fn verify(&self, proof: &InferenceProof) -> Result<Outcome<Fr>, VerifyError> {
        verify(&SRS.verifier_key(), &self.key, &self.keys(), &Fr::ZERO, proof)
    }
}
