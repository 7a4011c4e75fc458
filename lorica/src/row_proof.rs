//! Proofs that rows of a datanet's index are the features of its records' texts.

use std::sync::Arc;
use std::time::Duration;

use lorica_cells::Columns;
use lorica_cells::watch::Watch;
use lorica_circuits::bn254::Fr;
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::shape::{MAX_REQUESTS, Shape};
use lorica_prover::rows::{RowBatch, prove_rows};
use lorica_quant::integer::{BatchInput, RequestInput};
use lorica_verifier::protocol::key::KeyError;
use lorica_verifier::protocol::rows::{row_shape, verify_rows};

pub use lorica_verifier::{Row, RowProof, RowStatement, RowText, RowWords};

use crate::datanet::{Record, Version};
use crate::files::DatanetFile;
use crate::prover::{LoadedAdapter, LoadedIndex, Prover, ProverError};
use crate::steps::Steps;

/// Names of the steps, in their order, as a [`Watch`] hears them.
pub const STEPS: [&str; 9] =
    ["execute", "witness", "commit", "lookups", "relations", "reduction", "combine tiles", "opening", "self-check"];

/// Most rows in one proof.
pub const MAX_ROWS: usize = MAX_REQUESTS;

/// A datanet that is ready to be proven row by row.
#[derive(Debug)]
pub struct LoadedDatanet {
    version: Version,
    index: LoadedIndex,
}

impl LoadedDatanet {
    /// Its version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Its index.
    #[must_use]
    pub fn index(&self) -> &LoadedIndex {
        &self.index
    }
}

/// A proof and the time of each step.
#[derive(Debug)]
pub struct ProvenRows {
    /// The proof.
    pub proof: RowProof,
    /// The steps in their order.
    pub phases: Vec<(String, Duration)>,
}

/// The row that a record has in an index of its version.
///
/// # Errors
/// [`ProverError::NoSuchRow`] for a number that no row has.
pub fn row_of(row: usize, record: &Record) -> Result<Row, ProverError> {
    let number = u16::try_from(row).map_err(|_| ProverError::NoSuchRow { row, records: usize::from(u16::MAX) + 1 })?;
    Ok(Row { row: number, label: record.label, weight: record.weight, slot: record.slot })
}

impl Prover {
    /// Lays out the cells of a datanet's index, and keeps its records.
    ///
    /// # Errors
    /// As [`Prover::load_index`].
    pub fn load_datanet(&self, file: DatanetFile) -> Result<LoadedDatanet, ProverError> {
        let version = file.version.clone();
        Ok(LoadedDatanet { version, index: self.load_index(file)? })
    }

    /// Proves that these rows of a datanet's index are the features of their records' texts under the index' adapter, with the
    /// records' labels, weights and slots, bound to `context`. The proof is checked before it is returned. The watch hears each of
    /// [`STEPS`] and can stop the work.
    ///
    /// # Errors
    /// [`ProverError`] if a row's features are not its text's, which is named, or if base, adapter and datanet do not belong
    /// together.
    pub fn prove_rows(
        &self,
        adapter: &LoadedAdapter,
        datanet: &LoadedDatanet,
        rows: &[usize],
        context: Fr,
        watch: &dyn Watch,
    ) -> Result<ProvenRows, ProverError> {
        let (base, key, own) = (&self.key.commitments, &adapter.key.commitments, &datanet.index.key);
        if key.base != self.id {
            return Err(ProverError::OtherBase { request: 0 });
        }
        own.validate(base, key).map_err(|error| match error {
            KeyError::IndexOf => ProverError::IndexOfOtherAdapter,
            error => ProverError::OwnProof(error.into()),
        })?;
        let stated = |&row: &usize| {
            let record = datanet.version.records.get(row);
            let record = record.ok_or(ProverError::NoSuchRow { row, records: datanet.version.records.len() })?;
            Ok(RowText { salt: datanet.version.salt, ids: record.ids.clone(), row: row_of(row, record)? })
        };
        let texts: Vec<RowText> = rows.iter().map(stated).collect::<Result<_, ProverError>>()?;
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        if longest > base.architecture.max_tokens {
            return Err(CircuitError::Tokens { most: base.architecture.max_tokens, got: longest }.into());
        }
        let shape = row_shape(rows.len(), longest, base.log_tile, own.records)?;

        let mut steps = Steps::new(watch);
        // The trace is that of a classification; what it answers is not published.
        let requests = texts
            .iter()
            .map(|text| RequestInput { ids: text.ids.clone(), adapter: Some(adapter.model.clone()) })
            .collect();
        let input = BatchInput { requests, shape: Shape { records: 0, ..shape } };
        let columns = steps.run("execute", || {
            let trace = self.executor.execute_watched(&input, watch)?;
            self.expect_features(datanet, rows, &shape, &trace.columns)?;
            Ok::<_, ProverError>(trace.columns)
        })?;
        let statement = RowStatement {
            shape,
            architecture: base.architecture_digest(),
            srs: base.srs,
            base: self.id,
            adapter: adapter.id,
            index: datanet.index.id,
            records: own.count,
            context,
            rows: texts,
        };
        let batch = RowBatch {
            base: Arc::clone(&self.cells),
            tables: Arc::clone(&self.tables),
            adapter: Arc::clone(&adapter.cells),
            index: Arc::clone(&datanet.index.region),
            columns,
        };
        let (proof, phases) = prove_rows(&self.srs, base, &batch, &statement, watch)?;
        steps.phases.extend(phases.into_iter().map(|(name, time)| (name.to_owned(), time)));
        steps.run("self-check", || {
            let verdict = verify_rows(&self.key.verifier_key(), base, key, own, &context, &proof);
            verdict.map(drop).map_err(ProverError::OwnProof)
        })?;
        Ok(ProvenRows { proof, phases: steps.phases })
    }

    /// Compares the pooled values of a batch with the rows of the index.
    fn expect_features(
        &self,
        datanet: &LoadedDatanet,
        rows: &[usize],
        shape: &Shape,
        columns: &Columns,
    ) -> Result<(), ProverError> {
        let missing = || CircuitError::Compile { what: format!("column {:?} is missing", c::POOLED) };
        let pooled = columns.get(c::POOLED).ok_or_else(missing)?.to_vec();
        let block = self.key.commitments.architecture.block;
        for (request, &row) in rows.iter().enumerate() {
            // A block of channels of all requests, one after the other.
            let blocks = pooled.chunks_exact(shape.requests * block);
            let own = blocks.flat_map(|cells| cells.iter().skip(request * block).take(block));
            if !own.copied().eq(datanet.index.cells.row(row).iter().map(|cell| i64::from(*cell))) {
                return Err(ProverError::FeaturesOfRow { row });
            }
        }
        Ok(())
    }
}
