//! The prover of index proofs: that every cell of a datanet's index is in its range
//! ([`lorica_verifier::protocol::index`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use lorica_cells::watch::Watch;
use lorica_cells::{Columns, Slice, typed};
use lorica_circuits::bn254::Fr;
use lorica_circuits::column::{Lookup, Table};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::LABELS;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::index::{
    IndexInputs, IndexProof, IndexStatement, absorb_index, index_inputs, index_transcript,
};
use lorica_verifier::protocol::key::{BaseCommitments, index_shape};

use crate::blinding::Blinded;
use crate::cells::{Cells, Placed};
use crate::engine::{Phases, ProgramProof, Stated, prove_stated};
pub use crate::error::IndexRangeError;
use crate::error::ProveError;
use crate::srs::Srs;

/// Weights of all rows: the sum of each row's classes.
#[must_use]
pub fn row_weights(classes: Slice<'_>) -> Vec<i64> {
    let rows = classes.len() / LABELS;
    let mut weights = vec![0i64; rows];
    for label in 0..LABELS {
        typed!(classes.range(label * rows..(label + 1) * rows), |own| {
            weights.iter_mut().zip(own).for_each(|(weight, class)| *weight += i64::from(*class));
        });
    }
    weights
}

/// The witness of an index proof: weights of the rows, and how often each entry of each table is looked up.
///
/// # Errors
/// [`ProveError::IndexRange`] names the cell that is out of range, [`ProveError::Circuit`] a column of another length.
pub fn index_witness(layout: &Layout, index: &Placed, count: usize) -> Result<Columns, ProveError> {
    let weights = row_weights(index.column(c::INDEX_CLASS));
    let most = |row: usize| if row < count { 255 } else { 0 };
    for (row, &weight) in weights.iter().enumerate() {
        if !(0..=most(row)).contains(&weight) {
            return Err(IndexRangeError::Weight { row, weight, most: most(row) }.into());
        }
    }
    let weights = lorica_cells::Cells::narrowest(&weights);
    let mut counts: BTreeMap<Table, Vec<i64>> =
        layout.program.tables.iter().map(|spec| (spec.table, vec![0; 1 << spec.table.bits()])).collect();
    for placement in layout.placements() {
        let column = placement.spec.column;
        let Lookup::Key { table, .. } = placement.spec.lookup else { continue };
        let cells = if column == c::RECORD_WEIGHT { weights.as_slice() } else { index.column(column) };
        if cells.len() != placement.spec.len() {
            let what = format!("column {column:?} has {} cells instead of {}", cells.len(), placement.spec.len());
            return Err(CircuitError::Compile { what }.into());
        }
        let (offset, own) = (placement.spec.lookup.offset(), counts.entry(table).or_default());
        let beyond = typed!(cells, |cells| count_keys(cells.iter().map(|cell| i64::from(*cell) + offset), own));
        if let Some(cell) = beyond {
            let (least, most) = (-offset, (1i64 << table.bits()) - 1 - offset);
            return Err(IndexRangeError::Cell { column, cell, value: cells.at(cell), least, most }.into());
        }
    }
    let mut columns = Columns::default();
    columns.insert(c::RECORD_WEIGHT, weights);
    for spec in &layout.program.tables {
        let own = counts.remove(&spec.table).unwrap_or_default();
        columns.insert(spec.multiplicities, lorica_cells::Cells::narrowest(&own));
    }
    Ok(columns)
}

/// Counts keys, and returns the first that has no entry.
fn count_keys(keys: impl Iterator<Item = i64>, counts: &mut [i64]) -> Option<usize> {
    let mut keys = keys.enumerate();
    keys.find_map(|(at, key)| match usize::try_from(key).ok().and_then(|key| counts.get_mut(key)) {
        Some(count) => {
            *count += 1;
            None
        }
        None => Some(at),
    })
}

/// Proves that the cells of an index are in their ranges. The watch hears `witness` and the stages of a proof.
///
/// # Errors
/// [`ProveError`]; a cell that is out of range is named.
pub fn prove_index(
    srs: &Srs,
    base: &BaseCommitments,
    index: &Arc<Blinded>,
    statement: &IndexStatement,
    watch: &dyn Watch,
) -> Result<(IndexProof, Phases), ProveError> {
    let mut phases = Phases::new();
    let layout = &base.architecture.index_layout(&index_shape(statement.log_tile, statement.records))?;
    watch.step("witness");
    let started = Instant::now();
    let columns = index_witness(layout, &index.cells, statement.count)?;
    let cells = index_cells(layout, index, &columns)?;
    phases.push(("witness", started.elapsed()));
    let inputs = |witness, salt| index_inputs(&base.architecture, statement, witness, salt);
    let ProgramProof { prover_salt, witness, messages, opening } =
        prove_index_program(srs, layout, &cells, inputs, statement.count, &mut phases, watch)?;
    Ok((IndexProof { statement: statement.clone(), prover_salt, witness, messages, opening }, phases))
}

/// All cells of an index proof.
///
/// # Errors
/// If the columns do not fit the layout.
pub fn index_cells(layout: &Layout, index: &Arc<Blinded>, columns: &Columns) -> Result<Cells, CircuitError> {
    Ok(Cells {
        registered: BTreeMap::from([(Region::INDEX, vec![Some(index.cells.clone())])]),
        witness: Placed::new(layout, Region::WITNESS, columns)?,
        blinding: BTreeMap::from([(Region::INDEX, index.blinding.clone())]),
    })
}

/// Proves the program of an index proof for scalars that are made of the digest of the witness' commitments and the prover's
/// salt. A witness that breaks the program is not noticed here: its proof is rejected.
///
/// # Errors
/// [`ProveError`].
pub fn prove_index_program(
    srs: &Srs,
    layout: &Layout,
    cells: &Cells,
    inputs: impl FnOnce(Fr, Fr) -> IndexInputs<Fr>,
    count: usize,
    phases: &mut Phases,
    watch: &dyn Watch,
) -> Result<ProgramProof, ProveError> {
    let start = |witness, prover_salt| {
        let a = &mut Native;
        let inputs = inputs(witness, prover_salt);
        let mut transcript = index_transcript(a);
        let last = absorb_index(a, &mut transcript, layout, &inputs)?;
        Ok(Stated { transcript, scales: vec![], requests: vec![], last, published: vec![], texts: vec![], count })
    };
    prove_stated(srs, layout, cells, start, phases, watch)
}
