//! Index proofs of indexes that nobody wrote, by programs with and without each rule.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;

use lorica_cells::watch::Unwatched;
use lorica_circuits::bn254::{Field, Fr, G1Affine};
use lorica_circuits::column::{Column, Lookup, Table};
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::LABELS;
use lorica_prover::cells::{Cells, Placed};
use lorica_prover::index::{index_cells, prove_index, prove_index_program};
use lorica_prover::prove::{Phases, ProgramProof};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{Messages, Opened};
use lorica_verifier::protocol::group::GroupClaim;
use lorica_verifier::protocol::index::{
    IndexInputs, IndexProof, IndexStatement, absorb_index, index_field_part, index_inputs, index_transcript,
    verify_index, verify_index_with,
};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::index_shape;
use lorica_verifier::protocol::mercury::MercuryProof;
use lorica_verifier::protocol::verify::{VerifyError, combined_terms};

use super::hooked::Hooked;
use super::naive::{Forger, Lenient, Stated, prove_dense};
use super::{Index, LOG_TILE, SRS, World};

/// The index of a world.
pub fn index(world: &World) -> &Index {
    world.index.as_ref().expect("an index")
}

/// What an honest proof of the world's index says.
pub fn statement(world: &World) -> IndexStatement {
    let key = &index(world).key;
    IndexStatement {
        architecture: world.key.architecture_digest(),
        srs: world.key.srs,
        log_tile: LOG_TILE,
        index: key.id(),
        records: key.records,
        count: key.count,
        context: Fr::zero(),
    }
}

/// The layout of index proofs.
pub fn layout(world: &World) -> Layout {
    let shape = index_shape(LOG_TILE, index(world).key.records);
    world.key.architecture.index_layout(&shape).expect("a layout")
}

/// An honest proof.
pub fn prove(world: &World) -> IndexProof {
    prove_index(&SRS, &world.key, &index(world).blinded, &statement(world), &Unwatched).expect("a proof").0
}

/// The verdict of the true verifier.
pub fn verify(world: &World, proof: &IndexProof) -> Result<(), VerifyError> {
    let (key, adapter) = (&index(world).key, &world.adapters[0].key);
    verify_index(&SRS.verifier_key(), &world.key, adapter, key, &Fr::zero(), proof).map(drop)
}

/// The verdict of a verifier that overlooks these checks.
pub fn verify_without(
    world: &World,
    proof: &IndexProof,
    overlooked: &'static [&'static str],
) -> Result<(), VerifyError> {
    let a = &mut Hooked(Lenient(overlooked));
    let keys = (&world.key, &world.adapters[0].key, &index(world).key);
    let transcript = &mut index_transcript(&mut Hooked(Lenient(overlooked)));
    verify_index_with(a, transcript, &SRS.verifier_key(), keys, &Fr::zero(), proof).map(drop)
}

/// Witness columns of the world's index as it is: sums of classes, and how often each entry is looked up; keys outside of their
/// table are left out. `edit` changes the weights before they are counted.
pub fn witness(world: &World, layout: &Layout, edit: &dyn Fn(&mut [i64])) -> BTreeMap<Column, Vec<i64>> {
    let placed = &index(world).blinded.cells;
    let classes = placed.column(c::INDEX_CLASS).to_vec();
    let rows = classes.len() / LABELS;
    let mut weights: Vec<i64> = (0..rows).map(|i| classes.iter().skip(i).step_by(rows).sum()).collect();
    edit(&mut weights);
    let mut counts: BTreeMap<Table, Vec<i64>> =
        layout.program.tables.iter().map(|spec| (spec.table, vec![0; 1 << spec.table.bits()])).collect();
    for placement in layout.placements() {
        let Lookup::Key { table, .. } = placement.spec.lookup else { continue };
        let column = placement.spec.column;
        let cells = if column == c::RECORD_WEIGHT { weights.clone() } else { placed.column(column).to_vec() };
        let counts = counts.get_mut(&table).expect("a table");
        for cell in cells {
            let key = usize::try_from(cell + placement.spec.lookup.offset()).ok();
            if let Some(count) = key.and_then(|key| counts.get_mut(key)) {
                *count += 1;
            }
        }
    }
    let mut columns = BTreeMap::from([(c::RECORD_WEIGHT, weights)]);
    columns.extend(layout.program.tables.iter().map(|spec| (spec.multiplicities, counts[&spec.table].clone())));
    columns
}

/// The cells of an index proof with these witness columns.
pub fn cells(world: &World, layout: &Layout, columns: &BTreeMap<Column, Vec<i64>>) -> Cells {
    index_cells(layout, &index(world).blinded, &columns.clone().into_iter().collect()).expect("cells")
}

/// Proves by a program, for scalars that are edited.
pub fn prove_by(
    world: &World,
    layout: &Layout,
    columns: &BTreeMap<Column, Vec<i64>>,
    count: usize,
    edit: &dyn Fn(&mut IndexInputs<Fr>),
) -> IndexProof {
    let cells = cells(world, layout, columns);
    let stated = IndexStatement { count, ..statement(world) };
    let inputs = |witness, salt| {
        let mut inputs = index_inputs(&world.key.architecture, &stated, witness, salt);
        edit(&mut inputs);
        inputs
    };
    let ProgramProof { prover_salt, witness, messages, opening } =
        prove_index_program(&SRS, layout, &cells, inputs, count, &mut Phases::new(), &Unwatched).expect("a proof");
    IndexProof { statement: stated, prover_salt, witness, messages, opening }
}

/// Verifies by a program, for scalars that are edited, and with these commitments of the index.
pub fn verify_by(
    world: &World,
    layout: &Layout,
    tiles: &[G1Affine],
    proof: &IndexProof,
    edit: &dyn Fn(&mut IndexInputs<Fr>),
) -> Result<(), VerifyError> {
    let witness = digest_points(&proof.witness);
    let mut inputs = index_inputs(&world.key.architecture, &proof.statement, witness, proof.prover_salt);
    edit(&mut inputs);
    let transcript = &mut index_transcript(&mut Native);
    let Opened { rho_high, mercury } = index_field_part(&mut Native, transcript, layout, &inputs, &proof.messages)?;
    let terms = combined_terms(layout, 1, &[(Region::INDEX, vec![tiles])], &proof.witness, &rho_high)?;
    let messages = proof.messages.mercury.clone();
    let claim = GroupClaim { variables: layout.shape.log_tile as usize, outcome: mercury, messages, terms };
    Ok(claim.check(&SRS.verifier_key(), &proof.opening)?)
}

/// Proves the true program by the second prover, for an index whose cells have `field` added: column, cell, by how much.
/// The commitments of the index are returned too.
pub fn prove_field(
    world: &World,
    field: &[(Column, usize, Fr)],
    forger: &mut impl Forger,
) -> (Vec<G1Affine>, IndexProof) {
    use lorica_prover::commit::{Tile, commit_tiles};
    use lorica_verifier::protocol::multilinear::integer;

    let layout = &layout(world);
    let size = 1usize << layout.shape.log_tile;
    let columns = witness(world, layout, &|_| {});
    let placed = Placed::new(layout, Region::WITNESS, &columns.into_iter().collect()).expect("columns");
    let blinded = &index(world).blinded;
    let mut dense = vec![Fr::ZERO; 1 << layout.address_bits()];
    for (region, placed) in [(Region::INDEX, &*blinded.cells), (Region::WITNESS, &placed)] {
        let start = layout.region_start(region, 0) as usize;
        placed.to_vec().iter().enumerate().for_each(|(i, v)| dense[start + i] = integer(*v));
    }
    let [index_tiles, witness_tiles] = [Region::INDEX, Region::WITNESS].map(|region| layout.tiles(region, 0));
    // Beyond the cells: the index' blinding, what is added to cells, and one cell of the mask.
    let mut beyond: Vec<Vec<(usize, Fr)>> = vec![vec![]; layout.mask_tile() + 1];
    for (tile, own) in blinded.blinding.iter().enumerate() {
        beyond[index_tiles.first + tile].push((size, *own));
    }
    for (column, cell, delta) in field {
        let at = layout.address(*column, 0, *cell).expect("an address") as usize;
        dense[at] += delta;
        beyond[at / size].push((at % size, *delta));
    }
    dense[layout.mask_tile() * size + 777] = Fr::from(5);
    beyond[layout.mask_tile()].push((777, Fr::from(5)));
    let commit = |first: usize, count: usize, placed: &Placed| {
        let tiles: Vec<Tile<'_>> = (0..count)
            .map(|i| Tile {
                parts: placed.parts_within(i * size..(i + 1) * size).collect(),
                field_coefficients: &beyond[first + i],
            })
            .collect();
        commit_tiles(&SRS, &tiles).expect("commitments")
    };
    let tiles = commit(index_tiles.first, index_tiles.count, &blinded.cells);
    let witness = commit(witness_tiles.first, witness_tiles.count + 1, &placed);

    let prover_salt = Fr::from(4242);
    let mut key = index(world).key.clone();
    key.tiles.clone_from(&tiles);
    let statement = IndexStatement { index: key.id(), ..statement(world) };
    let inputs = index_inputs(&world.key.architecture, &statement, digest_points(&witness), prover_salt);
    let mut transcript = index_transcript(&mut Native);
    let last = absorb_index(&mut Native, &mut transcript, layout, &inputs).expect("a statement");
    let stated = Stated {
        transcript,
        scales: vec![],
        texts: vec![],
        requests: vec![],
        published: vec![],
        last,
        count: statement.count,
    };
    let blinding = [(Region::INDEX, blinded.blinding.clone())];
    let (messages, opening): (Messages<Fr>, MercuryProof) = prove_dense(layout, dense, &blinding, stated, forger);
    (tiles, IndexProof { statement, prover_salt, witness, messages, opening })
}
