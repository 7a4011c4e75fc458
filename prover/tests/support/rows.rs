//! Row proofs of indexes that hold the features of some texts, by programs with and without each rule.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use lorica_cells::watch::Unwatched;
use lorica_circuits::bn254::{Field, Fr, G1Affine};
use lorica_circuits::column::Column;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::Shape;
use lorica_prover::cells::Placed;
use lorica_prover::commit::{Tile, commit_tiles};
use lorica_prover::prove::{Phases, ProgramProof};
use lorica_prover::rows::{RowBatch, prove_row_program, prove_rows, row_cells, row_texts};
use lorica_quant::index::IndexCells;
use lorica_quant::integer::{BatchInput, Executor, RequestInput};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::Messages;
use lorica_verifier::protocol::group::GroupClaim;
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::mercury::MercuryProof;
use lorica_verifier::protocol::multilinear::integer;
use lorica_verifier::protocol::rows::{
    Row, RowInputs, RowProof, RowStatement, RowText, RowWords, absorb_rows, row_field_part, row_inputs, row_shape,
    row_transcript, verify_rows, verify_rows_with,
};
use lorica_verifier::protocol::statement::{DOMAIN_SCALES, hash, input_digest};
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::verify::{VerifyError, combined_terms, registered};

use super::hooked::Hooked;
use super::index::index;
use super::naive::{Faithful, Lenient, Stated, prove_dense};
use super::{LOG_TILE, SRS, World, placed, registered as registered_layout};

/// Salt of the records.
pub const SALT: [u8; 31] = [9; 31];

/// Texts of records, executed, with what is said of them.
#[derive(Clone)]
pub struct RowRun {
    pub columns: BTreeMap<Column, Vec<i64>>,
    pub statement: RowStatement,
    /// Whose cells the adapter region has.
    pub adapter: usize,
}

/// An index of which some rows are the features of texts under an adapter.
pub fn index_of(world: &World, mut cells: IndexCells, texts: &[(usize, Vec<u32>)], adapter: usize) -> IndexCells {
    let executor = Executor::new(Arc::new(world.synthetic.base.clone())).expect("an executor");
    for (row, ids) in texts {
        let pooled = executor.pooled(&[ids.as_slice()], &world.adapters[adapter].model).expect("features").remove(0);
        let hidden = cells.hidden_size;
        cells.features[row * hidden..(row + 1) * hidden].copy_from_slice(&pooled.values);
    }
    cells
}

/// A row as the index has it.
pub fn row_of(world: &World, row: usize) -> Row {
    let cells = &index(world).cells;
    let label = cells.classes[row].iter().position(|weight| *weight > 0).expect("a weight");
    Row { row: row as u16, label: label as u8, weight: cells.classes[row][label], slot: cells.slots[row] }
}

/// Executes texts under an adapter, and says of each that it is a row of the world's index.
pub fn run_by(world: &World, texts: &[(Row, Vec<u32>)], adapter: usize) -> RowRun {
    let key = &index(world).key;
    let longest = texts.iter().map(|(_, ids)| ids.len()).max().expect("a text");
    let shape = row_shape(texts.len(), longest, LOG_TILE, key.records).expect("a shape");
    let requests = texts
        .iter()
        .map(|(_, ids)| RequestInput { ids: ids.clone(), adapter: Some(world.adapters[adapter].model.clone()) });
    let input = BatchInput { requests: requests.collect(), shape: Shape { records: 0, ..shape } };
    let executor = Executor::new(Arc::new(world.synthetic.base.clone())).expect("an executor");
    let trace = executor.execute(&input).expect("an execution");
    let statement = RowStatement {
        shape,
        architecture: world.key.architecture_digest(),
        srs: world.key.srs,
        base: world.key.id(),
        adapter: world.adapters[0].key.id(),
        index: key.id(),
        records: key.count,
        context: Fr::ZERO,
        rows: texts.iter().map(|(row, ids)| RowText { salt: SALT, ids: ids.clone(), row: *row }).collect(),
    };
    RowRun { columns: trace.columns.to_vecs(), statement, adapter }
}

/// [`run_by`] the index' own adapter, with what the index has in these rows.
pub fn run(world: &World, texts: &[(usize, Vec<u32>)]) -> RowRun {
    let texts: Vec<_> = texts.iter().map(|(row, ids)| (row_of(world, *row), ids.clone())).collect();
    run_by(world, &texts, 0)
}

pub fn layout(world: &World, run: &RowRun) -> Layout {
    world.key.architecture.row_layout(&run.statement.shape).expect("a layout")
}

pub fn batch(world: &World, run: &RowRun) -> RowBatch {
    let layout = registered_layout(&world.key.architecture);
    RowBatch {
        base: placed(&layout, Region::BASE, &world.base),
        tables: placed(&layout, Region::TABLE, &world.tables),
        adapter: placed(&layout, Region::ADAPTER, &world.adapters[run.adapter].cells),
        index: index(world).blinded.clone(),
        columns: run.columns.clone().into_iter().collect(),
    }
}

/// A proof by the true prover.
pub fn prove(world: &World, run: &RowRun) -> RowProof {
    prove_rows(&SRS, &world.key, &batch(world, run), &run.statement, &Unwatched).expect("a proof").0
}

/// The verdict of the true verifier.
pub fn verify(world: &World, proof: &RowProof) -> Result<Vec<RowWords<Fr>>, VerifyError> {
    let (key, adapter) = (&index(world).key, &world.adapters[0].key);
    verify_rows(&SRS.verifier_key(), &world.key, adapter, key, &Fr::ZERO, proof).map(|outcome| outcome.words)
}

/// The verdict of a verifier that overlooks these checks.
pub fn verify_without(world: &World, proof: &RowProof, overlooked: &'static [&'static str]) -> Result<(), VerifyError> {
    let a = &mut Hooked(Lenient(overlooked));
    let keys = (&world.key, &world.adapters[0].key, &index(world).key);
    let transcript = &mut row_transcript(&mut Hooked(Lenient(overlooked)));
    verify_rows_with(a, transcript, &SRS.verifier_key(), keys, &Fr::ZERO, proof).map(drop)
}

/// Proves by a program, for scalars that are edited.
pub fn prove_by(world: &World, layout: &Layout, run: &RowRun, edit: &dyn Fn(&mut RowInputs<Fr>)) -> RowProof {
    let cells = row_cells(layout, &batch(world, run)).expect("cells");
    let inputs = |witness, salt| {
        let mut inputs = row_inputs(layout, &world.key, &run.statement, witness, salt)?;
        edit(&mut inputs);
        Ok(inputs)
    };
    let texts = row_texts(layout, &run.statement);
    let ProgramProof { prover_salt, witness, messages, opening } =
        prove_row_program(&SRS, layout, &cells, texts, inputs, &mut Phases::new(), &Unwatched).expect("a proof");
    RowProof { statement: run.statement.clone(), prover_salt, witness, messages, opening }
}

/// Verifies by a program, for scalars that are edited, with the commitments of this adapter and of this index; nothing is
/// compared with keys.
pub fn verify_by(
    world: &World,
    layout: &Layout,
    (adapter, tiles): (usize, &[G1Affine]),
    proof: &RowProof,
    edit: &dyn Fn(&mut RowInputs<Fr>),
) -> Result<(), VerifyError> {
    let digest = digest_points(&proof.witness);
    let mut inputs = row_inputs(layout, &world.key, &proof.statement, digest, proof.prover_salt)?;
    edit(&mut inputs);
    let outcome = row_field_part(&mut Native, &mut row_transcript(&mut Native), layout, &inputs, &proof.messages)?;
    let regions = registered(&world.key, vec![&world.adapters[adapter].key.tiles], Some(tiles));
    let terms = combined_terms(layout, 1, &regions, &proof.witness, &outcome.rho_high)?;
    let messages = proof.messages.mercury.clone();
    let claim = GroupClaim { variables: layout.shape.log_tile as usize, outcome: outcome.mercury, messages, terms };
    Ok(claim.check(&SRS.verifier_key(), &proof.opening)?)
}

/// The transcript of a statement, absorbed in the order of docs/protocol/row-proof.md.
fn absorbed(inputs: &RowInputs<Fr>) -> Transcript<Native> {
    let a = &mut Native;
    let mut transcript = row_transcript(a);
    transcript.absorb(a, "architecture", &inputs.architecture);
    transcript.absorb_all(a, "shape", &inputs.shape);
    transcript.absorb(a, "srs", &inputs.srs);
    transcript.absorb(a, "base", &inputs.base);
    let scales = hash(a, DOMAIN_SCALES, &inputs.scales);
    transcript.absorb(a, "scales", &scales);
    for scalar in [&inputs.adapter, &inputs.index, &inputs.records, &inputs.count, &inputs.context, &inputs.witness] {
        transcript.absorb(a, "word", scalar);
    }
    transcript.absorb(a, "prover salt", &inputs.prover_salt);
    for row in &inputs.rows {
        let digest = input_digest(a, &row.salt, &row.length, &row.ids);
        transcript.absorb(a, "input digest", &digest);
        transcript.absorb(a, "row", &row.word);
    }
    transcript
}

/// Proves by the second prover, which shares no algorithm with the first, a statement that the true field part refuses: these
/// checks are overlooked. `row` is the cell of the index' rows that the words are read as.
pub fn prove_lenient(
    world: &World,
    run: &RowRun,
    overlooked: &'static [&'static str],
    row: impl Fn(Row) -> usize,
) -> RowProof {
    let layout = &layout(world, run);
    let size = 1usize << layout.shape.log_tile;
    let own = batch(world, run);
    let witness = Placed::new(layout, Region::WITNESS, &own.columns).expect("columns");
    let mut dense = vec![Fr::ZERO; 1 << layout.address_bits()];
    let regions = [
        (Region::BASE, &*own.base),
        (Region::TABLE, &*own.tables),
        (Region::ADAPTER, &*own.adapter),
        (Region::INDEX, &*own.index.cells),
        (Region::WITNESS, &witness),
    ];
    for (region, placed) in regions {
        let start = layout.region_start(region, 0) as usize;
        placed.to_vec().iter().enumerate().for_each(|(i, v)| dense[start + i] = integer(*v));
    }
    // One cell of the mask, so that its commitment is a point.
    dense[layout.mask_tile() * size + 777] = Fr::from(5);
    let mask = [(777, Fr::from(5))];
    let mut tiles: Vec<Tile<'_>> = (0..layout.tiles(Region::WITNESS, 0).count)
        .map(|i| Tile { parts: witness.parts_within(i * size..(i + 1) * size).collect(), field_coefficients: &[] })
        .collect();
    tiles.push(Tile { parts: vec![], field_coefficients: &mask });
    let commitments = commit_tiles(&SRS, &tiles).expect("commitments");

    let prover_salt = Fr::from(4242);
    let inputs = row_inputs(layout, &world.key, &run.statement, digest_points(&commitments), prover_salt);
    let inputs = inputs.expect("inputs");
    let a = &mut Hooked(Lenient(overlooked));
    let other = &mut row_transcript(&mut Hooked(Lenient(overlooked)));
    let bound = absorb_rows(a, other, layout, &inputs).expect("a statement");
    let texts = row_texts(layout, &run.statement).into_iter().zip(0..).map(|(text, m)| {
        let own = run.statement.rows.get(m).unwrap_or(&run.statement.rows[0]).row;
        (text.ids.iter().map(|&id| id as usize).collect(), text.length, Some(row(own)))
    });
    let stated = Stated {
        transcript: absorbed(&inputs),
        scales: inputs.scales.clone(),
        texts: texts.collect(),
        requests: bound.bits,
        published: bound.spoken,
        last: vec![],
        count: 0,
    };
    let blinding = [(Region::INDEX, own.index.blinding.clone())];
    let (messages, opening): (Messages<Fr>, MercuryProof) =
        prove_dense(layout, dense, &blinding, stated, &mut Faithful);
    RowProof { statement: run.statement.clone(), prover_salt, witness: commitments, messages, opening }
}
