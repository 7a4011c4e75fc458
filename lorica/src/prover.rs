//! Inference proofs of batches against one loaded base.

use std::sync::Arc;
use std::time::Duration;

use lorica_cells::watch::{Cancelled, Watch};
use lorica_circuits::bn254::Fr;
use lorica_circuits::error::CircuitError;
use lorica_circuits::region::Region;
use lorica_circuits::shape::OutputKind;
use lorica_prover::cells::{Placed, tables};
use lorica_prover::prove::{Batch, Blinded, ProveError, prove_watched};
use lorica_quant::index::{IndexCells, attribute};
use lorica_quant::integer::{
    AdapterModel, BatchInput, ExecuteError, Executor, ModelError, RequestInput, RequestOutput,
};
use lorica_verifier::protocol::key::{AdapterCommitments, IndexCommitments};
use lorica_verifier::protocol::proof::{Attribution, InferenceProof, Output, RequestStatement, Share, Statement};
use lorica_verifier::protocol::verify::{Keys, VerifyError, verify};

use crate::datanet::blinded;
use crate::files::{AdapterFile, AdapterKey, BaseFile, BaseKey, DatanetFile};
use crate::input::Salt;
use crate::kind::Kind;
use crate::registration::layout;
use crate::srs::{AcceptedSrs, SrsPolicyError};
use crate::steps::Steps;

/// Names of the steps, in their order, as a [`Watch`] hears them; a batch that attributes has `attribute` behind `execute`.
pub const STEPS: [&str; 9] =
    ["execute", "witness", "commit", "lookups", "relations", "reduction", "combine tiles", "opening", "self-check"];

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProverError {
    /// A batch has one kind of output.
    #[error(
        "a batch has one kind of output, but the adapters of {heads} of {requests} requests have a classification head"
    )]
    Mixture {
        /// Requests whose adapter classifies.
        heads: usize,
        /// All requests.
        requests: usize,
    },
    /// A request's adapter is of another base.
    #[error("request {request}: its adapter was loaded for another base")]
    OtherBase {
        /// Index in the batch.
        request: usize,
    },
    /// No request uses the index' adapter.
    #[error(
        "no request has the adapter that the datanet's index is of: `datanet build` wrote it beside the datanet (.adapter.lorica)"
    )]
    IndexOfNoRequest,
    /// Embeddings are not attributed.
    #[error("answers are attributed if they are labels: an embedding has none, and its adapter no index")]
    EmbeddingAttributed,
    /// The index was loaded for another base.
    #[error("the datanet's index is of another base")]
    IndexOfOtherBase,
    /// The index is another adapter's.
    #[error("the datanet's index is of another adapter, or of another datanet version than this one names")]
    IndexOfOtherAdapter,
    /// A row that the datanet does not have.
    #[error("there is no row {row}: the datanet has {records} records, numbered from 0")]
    NoSuchRow {
        /// The row.
        row: usize,
        /// Records of the datanet.
        records: usize,
    },
    /// A row of the index that is not its record's.
    #[error("row {row}: its features are not those of its text under the adapter, so that it has no proof")]
    FeaturesOfRow {
        /// The row.
        row: usize,
    },
    /// The shape is not offered, or columns do not fit it.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The base's integers are out of bounds.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The batch could not be executed.
    #[error(transparent)]
    Execute(ExecuteError),
    /// The execution could not be proven.
    #[error("proving: {0}")]
    Prove(ProveError),
    /// The proof that was made does not verify: its inputs contradict each other.
    #[error("the proof that was just made does not verify ({0}): base, adapter and key files do not belong together")]
    OwnProof(VerifyError),
    /// The SRS is not the base's.
    #[error(transparent)]
    Srs(#[from] SrsPolicyError),
    /// The computation was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<ExecuteError> for ProverError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Cancelled(cancelled) => cancelled.into(),
            error => Self::Execute(error),
        }
    }
}

impl From<ProveError> for ProverError {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::Cancelled(cancelled) => cancelled.into(),
            error => Self::Prove(error),
        }
    }
}

impl ProverError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Prove(ProveError::Randomness(_)) => Kind::Environment,
            Self::Srs(error) => error.kind(),
            Self::Cancelled(_) => Kind::Cancelled,
            Self::Mixture { .. }
            | Self::OtherBase { .. }
            | Self::IndexOfNoRequest
            | Self::EmbeddingAttributed
            | Self::IndexOfOtherBase
            | Self::IndexOfOtherAdapter
            | Self::NoSuchRow { .. }
            | Self::FeaturesOfRow { .. }
            | Self::Circuit(_)
            | Self::Model(_)
            | Self::Execute(_)
            | Self::Prove(_)
            | Self::OwnProof(_) => Kind::Input,
        }
    }
}

/// An adapter that is ready to be used in proofs.
#[derive(Debug)]
pub struct LoadedAdapter {
    pub(crate) key: AdapterKey,
    pub(crate) id: Fr,
    pub(crate) model: Arc<AdapterModel>,
    pub(crate) cells: Arc<Placed>,
}

impl LoadedAdapter {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &AdapterKey {
        &self.key
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Fr {
        self.id
    }
}

/// A datanet's index that is ready to be used in proofs.
#[derive(Debug)]
pub struct LoadedIndex {
    pub(crate) id: Fr,
    pub(crate) key: IndexCommitments,
    pub(crate) cells: IndexCells,
    pub(crate) region: Arc<Blinded>,
}

impl LoadedIndex {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Fr {
        self.id
    }

    /// Adapter, datanet version, size and commitments.
    #[must_use]
    pub fn key(&self) -> &IndexCommitments {
        &self.key
    }
}

/// A base that is ready to be used in proofs, and the SRS that it was registered with.
#[derive(Debug)]
pub struct Prover {
    pub(crate) srs: Arc<AcceptedSrs>,
    pub(crate) key: BaseKey,
    pub(crate) id: Fr,
    pub(crate) executor: Executor,
    pub(crate) cells: Arc<Placed>,
    pub(crate) tables: Arc<Placed>,
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

/// The least size of a proof's shape. A batch that is smaller is padded to it, so that the shape is one for which there is a
/// settlement key. The default pads nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct MinimumShape {
    /// The least number of requests.
    pub requests: usize,
    /// The least number of tokens of a text.
    pub tokens: usize,
    /// Proves embeddings even if all adapters classify.
    pub embed: bool,
}

/// A proof and the time of each step.
#[derive(Debug)]
pub struct Proven {
    /// The proof.
    pub proof: InferenceProof,
    /// The steps in their order.
    pub phases: Vec<(String, Duration)>,
}

/// `classify` when every request's adapter has a head, `embed` when none has.
///
/// # Errors
/// [`ProverError::Mixture`].
pub fn output_kind(heads: impl IntoIterator<Item = bool>) -> Result<OutputKind, ProverError> {
    let all: Vec<bool> = heads.into_iter().collect();
    match all.iter().filter(|&&head| head).count() {
        0 => Ok(OutputKind::Embed),
        heads if heads == all.len() => Ok(OutputKind::Classify),
        heads => Err(ProverError::Mixture { heads, requests: all.len() }),
    }
}

impl Prover {
    /// Validates a base and lays out its cells.
    ///
    /// # Errors
    /// [`ProverError`] if its integers are out of bounds or the SRS is not the base's.
    pub fn new(srs: Arc<AcceptedSrs>, base: BaseFile) -> Result<Self, ProverError> {
        let BaseFile { key, model, .. } = base;
        srs.expect_of(&key.commitments)?;
        let executor = Executor::new(Arc::new(model))?;
        let layout = layout(&key.commitments.architecture, key.commitments.log_tile)?;
        let cells = Arc::new(Placed::new(&layout, Region::BASE, &executor.base().columns)?);
        let tables = Arc::new(tables(&layout, &key.commitments.architecture)?);
        let id = key.commitments.id();
        Ok(Self { srs, key, id, executor, cells, tables })
    }

    /// The base's key.
    #[must_use]
    pub fn key(&self) -> &BaseKey {
        &self.key
    }

    /// The base's id.
    #[must_use]
    pub fn id(&self) -> Fr {
        self.id
    }

    /// The SRS.
    #[must_use]
    pub fn srs(&self) -> &Arc<AcceptedSrs> {
        &self.srs
    }

    /// The executor of the base.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Lays out an adapter's cells.
    ///
    /// # Errors
    /// [`ProverError`] if the columns do not fit.
    pub fn load_adapter(&self, file: AdapterFile) -> Result<LoadedAdapter, ProverError> {
        let layout = layout(&self.key.commitments.architecture, self.key.commitments.log_tile)?;
        let cells = Arc::new(Placed::new(&layout, Region::ADAPTER, &file.model.columns)?);
        let id = file.key.commitments.id();
        Ok(LoadedAdapter { id, key: file.key, model: Arc::new(file.model), cells })
    }

    /// Lays out the cells of a datanet's index.
    ///
    /// # Errors
    /// [`ProverError`] if it is another base's, or its cells do not fit.
    pub fn load_index(&self, file: DatanetFile) -> Result<LoadedIndex, ProverError> {
        let DatanetFile { base, key, blinding, cells, .. } = file;
        if base != self.id {
            return Err(ProverError::IndexOfOtherBase);
        }
        let region = Arc::new(blinded(&self.key.commitments, key.records, &cells, Some(&blinding))?);
        Ok(LoadedIndex { id: key.id(), key, cells, region })
    }

    /// [`Self::prove_attributed`] without an index: the proof says nothing of whose records an answer rests on.
    ///
    /// # Errors
    /// [`ProverError`] if a text does not fit, a value leaves its range, or base and adapters do not belong together.
    pub fn prove(
        &self,
        jobs: &[Job<'_>],
        least: MinimumShape,
        context: Fr,
        watch: &dyn Watch,
    ) -> Result<Proven, ProverError> {
        self.prove_attributed(jobs, None, least, context, watch)
    }

    /// Executes a batch and proves the execution, bound to `context`; with an index, also the shares of the contributors
    /// whose records shaped each answer of the index' adapter. The proof is checked before it is returned. The watch
    /// hears each of [`STEPS`] and can stop the work between layers, sumcheck rounds and commitments.
    ///
    /// # Errors
    /// [`ProverError`] if a text does not fit, a value leaves its range, or base and adapters do not belong together.
    pub fn prove_attributed(
        &self,
        jobs: &[Job<'_>],
        index: Option<&LoadedIndex>,
        least: MinimumShape,
        context: Fr,
        watch: &dyn Watch,
    ) -> Result<Proven, ProverError> {
        let adapters = || jobs.iter().map(|job| job.adapter);
        let foreign = |adapter: Option<&LoadedAdapter>| adapter.is_some_and(|own| own.key.commitments.base != self.id);
        if let Some(request) = adapters().position(foreign) {
            return Err(ProverError::OtherBase { request });
        }
        let output = match least.embed {
            true => OutputKind::Embed,
            false => output_kind(adapters().map(|adapter| adapter.is_some_and(|own| own.key.has_head)))?,
        };
        let tokens = jobs.iter().map(|job| job.ids.len()).max().unwrap_or(0).max(least.tokens);
        let requests = jobs.len().max(least.requests);
        let base = &self.key.commitments;
        let attributes = |job: &Job<'_>| {
            let own = job.adapter.map(|adapter| adapter.id);
            index.is_some_and(|index| own == Some(index.key.adapter))
        };
        if index.is_some() && output == OutputKind::Embed {
            return Err(ProverError::EmbeddingAttributed);
        }
        if index.is_some() && !jobs.iter().any(attributes) {
            return Err(ProverError::IndexOfNoRequest);
        }
        let mut shape = base.architecture.shape(requests, tokens, base.log_tile, output)?;
        if let Some(index) = index {
            shape = shape.attributing(index.key.records)?;
        }
        let input = |job: &Job<'_>| RequestInput {
            ids: job.ids.clone(),
            adapter: job.adapter.map(|adapter| adapter.model.clone()),
        };
        let input = BatchInput { requests: jobs.iter().map(input).collect(), shape };
        let mut steps = Steps::new(watch);
        let execute = || Ok::<_, ProverError>(self.executor.execute_watched(&input, watch)?);
        let mut trace = steps.run("execute", execute)?;
        let shares = match index {
            Some(index) => steps.run("attribute", || {
                let label = |(job, output): (&Job<'_>, &RequestOutput)| match output {
                    RequestOutput::Classify { label, .. } if attributes(job) => Some(*label),
                    _ => None,
                };
                let labels: Vec<Option<usize>> = jobs.iter().zip(&trace.outputs).map(label).collect();
                let shares = attribute(&index.cells, &base.architecture, &shape, &labels, &mut trace.columns)?;
                Ok::<_, ProverError>(shares)
            })?,
            None => Vec::new(),
        };
        let shares_of = |request: usize| -> Vec<Share> {
            let own = shares.get(request).into_iter().flat_map(|shares| &shares.entries);
            own.map(|own| Share { slot: own.slot, share: own.share }).collect()
        };
        let requests = jobs.iter().zip(&trace.outputs).enumerate().map(|(at, (job, output))| RequestStatement {
            adapter: job.adapter.map_or(Fr::zero(), |adapter| adapter.id),
            salt: job.salt,
            ids: job.ids.clone(),
            output: published(output),
            shares: shares_of(at),
        });
        let statement = Statement {
            shape,
            architecture: base.architecture_digest(),
            srs: base.srs,
            base: self.id,
            context,
            attribution: index.map(|index| Attribution { index: index.id, adapter: index.key.adapter }),
            requests: requests.collect(),
        };

        let batch = Batch {
            base: self.cells.clone(),
            tables: self.tables.clone(),
            adapters: adapters().map(|adapter| adapter.map(|own| own.cells.clone())).collect(),
            index: index.map(|index| index.region.clone()),
            columns: trace.columns,
        };
        let (proof, own) = prove_watched(&self.srs, base, &batch, &statement, watch)?;
        steps.phases.extend(own.into_iter().map(|(name, time)| (name.to_owned(), time)));

        let keys: Vec<AdapterCommitments> =
            adapters().flatten().map(|adapter| adapter.key.commitments.clone()).collect();
        steps.run("self-check", || {
            let indexes: Vec<IndexCommitments> = index.iter().map(|index| index.key.clone()).collect();
            let keys = Keys { adapters: &keys, indexes: &indexes };
            verify(&self.key.verifier_key(), base, keys, &context, &proof).map_err(ProverError::OwnProof)
        })?;
        Ok(Proven { proof, phases: steps.phases })
    }
}

/// An executor's output as a statement publishes it.
#[must_use]
pub fn published(output: &RequestOutput) -> Output {
    match output {
        RequestOutput::Embed { sums, .. } => Output::Embed { sums: sums.clone() },
        RequestOutput::Classify { logits, label } => {
            Output::Classify { logits: logits.to_vec(), label: u8::try_from(*label).unwrap_or(u8::MAX) }
        }
    }
}
