//! Index proofs of honest indexes.

mod support;

use lorica_cells::watch::Unwatched;
use lorica_circuits::bn254::Fr;
use lorica_prover::index::prove_index;
use lorica_quant::integer::synthetic::SMALL;
use lorica_verifier::protocol::index::{IndexProof, IndexStatement, verify_index};
use support::attribution::random_index;
use support::{LOG_TILE, SRS, World};

fn statement(world: &World) -> IndexStatement {
    let key = &world.index.as_ref().expect("an index").key;
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

#[test]
fn an_honest_index_is_in_range() {
    let world = World::new(SMALL, 3, 1).with_index(random_index(SMALL.hidden, 1500, 60));
    let index = world.index.as_ref().expect("an index");
    let (proof, phases) =
        prove_index(&SRS, &world.key, &index.blinded, &statement(&world), &Unwatched).expect("a proof");
    println!("{phases:?}");
    let bytes = proof.encode();
    assert_eq!(IndexProof::decode(&bytes).as_ref(), Ok(&proof));
    verify_index(&SRS.verifier_key(), &world.key, &world.adapters[0].key, &index.key, &Fr::zero(), &proof)
        .expect("accepted");
}
