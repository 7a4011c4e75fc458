//! The prover of row proofs: that rows of a datanet's index are the features of texts ([`lorica_verifier::protocol::rows`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use lorica_cells::Columns;
use lorica_cells::watch::Watch;
use lorica_circuits::bn254::Fr;
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::key::BaseCommitments;
use lorica_verifier::protocol::rows::{
    BoundRows, RowInputs, RowProof, RowStatement, RowText, absorb_rows, row_inputs, row_transcript,
};

use crate::blinding::Blinded;
use crate::cells::{Cells, Placed};
use crate::engine::{Phases, ProgramProof, Stated, prove_stated};
use crate::error::ProveError;
use crate::operand::Text;
use crate::srs::Srs;

/// Everything that a row proof is about, besides its statement.
#[derive(Clone, Debug)]
pub struct RowBatch {
    /// The base region.
    pub base: Arc<Placed>,
    /// The table region.
    pub tables: Arc<Placed>,
    /// The index' adapter, that of every row.
    pub adapter: Arc<Placed>,
    /// The index.
    pub index: Arc<Blinded>,
    /// Witness columns: those of a batch of classifications of the texts.
    pub columns: Columns,
}

/// Proves rows. The watch hears `witness` and the stages of a proof.
///
/// # Errors
/// [`ProveError`]; a row that is not its text's is not noticed here: its proof is rejected.
pub fn prove_rows(
    srs: &Srs,
    base: &BaseCommitments,
    batch: &RowBatch,
    statement: &RowStatement,
    watch: &dyn Watch,
) -> Result<(RowProof, Phases), ProveError> {
    let mut phases = Phases::new();
    let layout = &base.architecture.row_layout(&statement.shape)?;
    watch.step("witness");
    let started = Instant::now();
    let cells = row_cells(layout, batch)?;
    phases.push(("witness", started.elapsed()));
    let inputs = |witness, salt| Ok(row_inputs(layout, base, statement, witness, salt)?);
    let texts = row_texts(layout, statement);
    let ProgramProof { prover_salt, witness, messages, opening } =
        prove_row_program(srs, layout, &cells, texts, inputs, &mut phases, watch)?;
    Ok((RowProof { statement: statement.clone(), prover_salt, witness, messages, opening }, phases))
}

/// All cells of a row proof.
///
/// # Errors
/// If the columns do not fit the layout.
pub fn row_cells(layout: &Layout, batch: &RowBatch) -> Result<Cells, CircuitError> {
    let registered = [
        (Region::BASE, &batch.base),
        (Region::TABLE, &batch.tables),
        (Region::ADAPTER, &batch.adapter),
        (Region::INDEX, &batch.index.cells),
    ];
    Ok(Cells {
        registered: registered.into_iter().map(|(region, placed)| (region, vec![Some(placed.clone())])).collect(),
        witness: Placed::new(layout, Region::WITNESS, &batch.columns)?,
        blinding: BTreeMap::from([(Region::INDEX, batch.index.blinding.clone())]),
    })
}

/// The texts of a statement with their rows, for the requests of its shape; those beyond the stated ones repeat the first.
#[must_use]
pub fn row_texts(layout: &Layout, statement: &RowStatement) -> Vec<Text> {
    let text = |own: &RowText| {
        let mut ids = own.ids.clone();
        ids.resize(layout.shape.tokens, own.ids.first().copied().unwrap_or(0));
        Text { length: own.ids.len(), ids, attributed: None, row: Some(own.row.row.into()) }
    };
    let mut texts: Vec<Text> = statement.rows.iter().map(text).collect();
    if let Some(first) = texts.first().cloned() {
        texts.resize(layout.shape.requests, first);
    }
    texts
}

/// Proves the program of a row proof for scalars that are made of the digest of the witness' commitments and the prover's
/// salt. A witness that breaks the program is not noticed here: its proof is rejected.
///
/// # Errors
/// [`ProveError`].
pub fn prove_row_program(
    srs: &Srs,
    layout: &Layout,
    cells: &Cells,
    texts: Vec<Text>,
    inputs: impl FnOnce(Fr, Fr) -> Result<RowInputs<Fr>, ProveError>,
    phases: &mut Phases,
    watch: &dyn Watch,
) -> Result<ProgramProof, ProveError> {
    let start = |witness, prover_salt| {
        let a = &mut Native;
        let inputs = inputs(witness, prover_salt)?;
        let mut transcript = row_transcript(a);
        let BoundRows { bits, spoken, .. } = absorb_rows(a, &mut transcript, layout, &inputs)?;
        let scales = inputs.scales;
        Ok(Stated { transcript, scales, requests: bits, last: vec![], published: spoken, texts, count: 0 })
    };
    prove_stated(srs, layout, cells, start, phases, watch)
}
