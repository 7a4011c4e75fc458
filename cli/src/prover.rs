//! Proving batches against one loaded base.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lorica_circuits::bn254::Fr;
use lorica_circuits::region::Region;
use lorica_circuits::shape::OutputKind;
use lorica_prover::cells::{Placed, tables};
use lorica_prover::prove::{Batch, prove};
use lorica_prover::srs::Srs;
use lorica_quant::integer::{AdapterModel, BatchInput, Executor, RequestInput, RequestOutput};
use lorica_verifier::key::AdapterCommitments;
use lorica_verifier::proof::{InferenceProof, Output, RequestStatement, Statement};

use crate::error::Error;
use crate::files::{AdapterFile, AdapterKey, BaseFile, BaseKey};
use crate::registration::layout;
use crate::requests::Salt;

/// An adapter that is ready to be used in proofs.
#[derive(Debug)]
pub struct LoadedAdapter {
    /// Its key.
    pub key: AdapterKey,
    /// Its id.
    pub id: Fr,
    model: Arc<AdapterModel>,
    cells: Arc<Placed>,
}

/// A base that is ready to be used in proofs.
#[derive(Debug)]
pub struct Prover {
    /// Its key.
    pub key: BaseKey,
    /// Its id.
    pub id: Fr,
    executor: Executor,
    cells: Arc<Placed>,
    tables: Arc<Placed>,
}

/// One request to be proven.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The adapter; `None` is the null adapter.
    pub adapter: Option<&'a LoadedAdapter>,
    /// The input salt.
    pub salt: Salt,
}

/// `classify` when every request's adapter has a head, `embed` when none has.
///
/// # Errors
/// [`Error::Batch`] for a mixture.
pub fn output_kind(heads: impl IntoIterator<Item = bool>) -> Result<OutputKind, Error> {
    let heads: Vec<bool> = heads.into_iter().collect();
    match heads.iter().filter(|&&head| head).count() {
        0 => Ok(OutputKind::Embed),
        count if count == heads.len() => Ok(OutputKind::Classify),
        count => Err(Error::Batch(format!(
            "a batch has one kind of output, but the adapters of {count} of {} requests have a classification head",
            heads.len()
        ))),
    }
}

impl Prover {
    /// Validates a base and lays out its cells.
    ///
    /// # Errors
    /// If the integers are out of bounds.
    pub fn new(base: BaseFile) -> Result<Self, Error> {
        let BaseFile { key, model, .. } = base;
        let executor = Executor::new(Arc::new(model))?;
        let layout = layout(&key.commitments.architecture, key.commitments.log_tile)?;
        let cells = Arc::new(Placed::new(&layout, Region::BASE, &executor.base().columns)?);
        let tables = Arc::new(tables(&layout, &key.commitments.architecture)?);
        let id = key.commitments.id();
        Ok(Self { key, id, executor, cells, tables })
    }

    /// The executor of the base.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Lays out an adapter's cells.
    ///
    /// # Errors
    /// If the columns do not fit.
    pub fn load_adapter(&self, file: AdapterFile) -> Result<LoadedAdapter, Error> {
        let layout = layout(&self.key.commitments.architecture, self.key.commitments.log_tile)?;
        let cells = Arc::new(Placed::new(&layout, Region::ADAPTER, &file.model.columns)?);
        let id = file.key.commitments.id();
        Ok(LoadedAdapter { id, key: file.key, model: Arc::new(file.model), cells })
    }

    /// Executes a batch and proves the execution. The proof is checked before it is returned.
    ///
    /// # Errors
    /// If a text does not fit, a value leaves its range, or base and adapters do not belong together.
    pub fn prove(&self, srs: &Srs, jobs: &[Job<'_>], room: Room, context: Fr) -> Result<Proven, Error> {
        let mut phases = Vec::new();
        let start = Instant::now();
        let output = match room.embed {
            true => OutputKind::Embed,
            false => output_kind(jobs.iter().map(|job| job.adapter.is_some_and(|adapter| adapter.key.has_head)))?,
        };
        let longest = jobs.iter().map(|job| job.ids.len()).max().unwrap_or(0).max(room.tokens);
        let requests = jobs.len().max(room.requests);
        let shape =
            self.key.commitments.architecture.shape(requests, longest, self.key.commitments.log_tile, output)?;
        let input = BatchInput {
            requests: jobs
                .iter()
                .map(|job| RequestInput {
                    ids: job.ids.clone(),
                    adapter: job.adapter.map(|adapter| adapter.model.clone()),
                })
                .collect(),
            shape,
        };
        let trace = self.executor.execute(&input)?;
        let requests = jobs.iter().zip(&trace.outputs).map(|(job, output)| RequestStatement {
            adapter: job.adapter.map_or(Fr::zero(), |adapter| adapter.id),
            salt: job.salt,
            ids: job.ids.clone(),
            output: published(output),
        });
        let statement = Statement {
            shape,
            architecture: self.key.commitments.architecture_digest(),
            srs: self.key.commitments.srs,
            base: self.id,
            context,
            requests: requests.collect(),
        };
        phases.push(("execute".to_owned(), start.elapsed()));

        let batch = Batch {
            base: self.cells.clone(),
            tables: self.tables.clone(),
            adapters: jobs.iter().map(|job| job.adapter.map(|adapter| adapter.cells.clone())).collect(),
            columns: trace.columns,
        };
        let (proof, own) = prove(srs, &self.key.commitments, &batch, &statement)?;
        phases.extend(own.into_iter().map(|(name, time)| (name.to_owned(), time)));

        let start = Instant::now();
        let keys: Vec<AdapterCommitments> =
            jobs.iter().filter_map(|job| job.adapter).map(|adapter| adapter.key.commitments.clone()).collect();
        lorica_verifier::verify::verify(&self.key.verifier_key(), &self.key.commitments, &keys, &context, &proof)
            .map_err(Error::OwnProof)?;
        phases.push(("self-check".to_owned(), start.elapsed()));
        Ok(Proven { proof, phases })
    }
}

/// The least size of a proof's shape. A batch that is smaller is padded to it, so that the shape is one for which there is a
/// settlement key. The default pads nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// The least number of requests.
    pub requests: usize,
    /// The least number of tokens of a text.
    pub tokens: usize,
    /// Proves embeddings even if all adapters classify.
    pub embed: bool,
}

/// A proof and the time of each phase.
#[derive(Debug)]
pub struct Proven {
    /// The proof.
    pub proof: InferenceProof,
    /// Phases in their order.
    pub phases: Vec<(String, Duration)>,
}

/// An executor's output as a statement publishes it.
fn published(output: &RequestOutput) -> Output {
    match output {
        RequestOutput::Embed { sums, .. } => Output::Embed { sums: sums.clone() },
        RequestOutput::Classify { logits, label } => {
            Output::Classify { logits: logits.to_vec(), label: u8::try_from(*label).unwrap_or(u8::MAX) }
        }
    }
}
