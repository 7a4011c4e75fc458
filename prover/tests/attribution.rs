//! Attribution: shares of an index's contributors, proven with the answer.

use super::support;

use std::sync::LazyLock;

use lorica_quant::integer::synthetic::SMALL;
use lorica_verifier::protocol::proof::InferenceProof;
use support::World;
use support::attribution::{attributed, random_index};

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let world = World::new(SMALL, 3, 2);
    let hidden = world.key.architecture.hidden;
    world.with_index(random_index(hidden, 1500, 60))
});

#[test]
fn an_attribution_has_no_broken_relation_and_no_broken_claim() {
    for requests in [&[(9, Some(0))][..], &[(9, Some(0)), (12, Some(1)), (5, Some(0))]] {
        let run = attributed(&WORLD, requests);
        assert_eq!(WORLD.broken(&run), Vec::<&str>::new());
        assert_eq!(WORLD.broken_claims(&run), Vec::<String>::new());
    }
}

#[test]
fn shares_are_proven_with_the_answer() {
    let run = attributed(&WORLD, &[(9, Some(0)), (12, Some(1)), (5, Some(0))]);
    let proof = WORLD.prove(&run).expect("a proof");
    let proof = InferenceProof::decode(&proof.encode()).expect("a file");
    WORLD.verify(&proof).expect("accepted");
    let total = |m: usize| -> u32 { proof.statement.requests[m].shares.iter().map(|own| u32::from(own.share)).sum() };
    assert!(total(0) > 30_000 && total(2) > 30_000, "{} {}", total(0), total(2));
    assert_eq!(total(1), 0, "another adapter attributes to nobody");
}
