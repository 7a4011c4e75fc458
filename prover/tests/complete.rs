//! Honest proofs of synthetic models are accepted, whatever the shape.

use super::support;

use lorica_circuits::shape::OutputKind::{Classify, Embed};
use lorica_quant::integer::synthetic::SMALL;
use support::World;

#[test]
fn every_relation_holds_on_an_honest_trace() {
    let world = World::new(SMALL, 1, 2);
    for (kind, requests) in [
        (Embed, vec![(10, None)]),
        (Classify, vec![(16, Some(0))]),
        (Embed, vec![(2, Some(1)), (20, None)]),
        (Classify, vec![(3, Some(1)), (5, Some(0)), (16, Some(0))]),
    ] {
        let run = world.run(kind, &requests);
        assert_eq!(world.broken(&run), Vec::<&str>::new(), "{kind:?} {requests:?}");
    }
}

#[test]
fn prover_and_verifier_read_the_same_claims() {
    let world = World::new(SMALL, 3, 2);
    for (kind, requests) in [(Embed, vec![(10, None)]), (Classify, vec![(3, Some(1)), (17, Some(0)), (16, Some(0))])] {
        let run = world.run(kind, &requests);
        assert_eq!(world.broken_claims(&run), Vec::<String>::new(), "{kind:?} {requests:?}");
    }
}

#[test]
fn honest_proofs_are_accepted() {
    let world = World::new(SMALL, 2, 2);
    for (kind, requests) in [
        (Embed, vec![(10, None)]),
        (Classify, vec![(16, Some(0))]),
        (Embed, vec![(2, Some(1)), (20, None)]),
        (Classify, vec![(3, Some(1)), (5, Some(0)), (16, Some(0))]),
    ] {
        let run = world.run(kind, &requests);
        let proof = world.prove(&run).expect("a proof");
        world.verify(&proof).unwrap_or_else(|e| panic!("{kind:?} {requests:?}: {e}"));
    }
}
