//! Proofs of a worker that cannot be believed.

use lorica::Fr;

use super::*;
use crate::world::{WORLD, lease, prove};

#[test]
fn only_a_proof_of_this_very_batch_is_taken() {
    let models = &WORLD.models;
    let own = lease(&[("hello world", 0, 1), ("a b ab ba", 1, 2)]);
    let proof = prove(&own, Fr::zero());
    let shape = models.expect_proof_of(&own, &proof).expect("an honest proof");
    assert_eq!((shape.requests, shape.tokens), (2, 16));

    let refused = |what: &str, lease: &Lease, proof: &[u8]| {
        assert!(models.expect_proof_of(lease, proof).is_err(), "{what}");
    };
    // Valid proofs, but of something else.
    let other = |requests: &[(&str, usize, u8)]| prove(&lease(requests), Fr::zero());
    refused("another text", &own, &other(&[("hello hello", 0, 1), ("a b ab ba", 1, 2)]));
    refused("another salt", &own, &other(&[("hello world", 0, 3), ("a b ab ba", 1, 2)]));
    refused("another adapter", &own, &other(&[("hello world", 1, 1), ("a b ab ba", 1, 2)]));
    refused("another order", &own, &other(&[("a b ab ba", 1, 2), ("hello world", 0, 1)]));
    refused("a request less", &own, &other(&[("hello world", 0, 1)]));
    refused("a request more", &own, &other(&[("hello world", 0, 1), ("a b ab ba", 1, 2), ("a", 0, 4)]));
    refused("another context", &own, &prove(&own, Fr::one()));
    // Another answer was given at admission than is proven.
    let mut given = own.clone();
    given.members.swap(0, 1);
    let [first, second] = [given.members[0].answer.clone(), given.members[1].answer.clone()];
    let mut answers = own.clone();
    (answers.members[0].answer, answers.members[1].answer) = (first, second);
    refused("another answer", &answers, &proof);
    // No proof at all.
    refused("nothing", &own, &[]);
    for at in (0..proof.len()).step_by(proof.len() / 16) {
        let mut damaged = proof.clone();
        damaged[at] ^= 1;
        refused("a damaged proof", &own, &damaged);
    }
    let unserved = Lease { base: [9; 32], ..own.clone() };
    refused("a base that is not served", &unserved, &proof);
}
