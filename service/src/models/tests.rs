//! Proofs of a worker that cannot be believed.

use lorica::Fr;

use prost::Message;

use super::*;
use crate::store::Lease;
use crate::world::{WORLD, asked, attributed, lease, lease_of, prove};

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

/// Shares are part of the answer that is given at admission, and a proof is taken only if it states them, by this datanet.
#[test]
fn shares_are_proven_where_they_were_given() {
    let models = &WORLD.models;
    let own = lease_of(vec![attributed(asked("hello world", 2, 1)), attributed(asked("b aa", 2, 2))]);
    let given =
        |lease: &Lease, place: usize| proto::Answer::decode(lease.members[place].answer.as_slice()).expect("an answer");
    let shares = given(&own, 0).shares;
    let parts: u32 = shares.iter().map(|share| share.parts).sum();
    assert!(!shares.is_empty() && shares.iter().all(|share| share.slot < 2) && parts <= 65_535, "{shares:?}");
    let proof = prove(&own, Fr::zero());
    models.expect_proof_of(&own, &proof).expect("an honest proof");

    let refused = |what: &str, lease: &Lease, proof: &[u8]| {
        assert!(models.expect_proof_of(lease, proof).is_err(), "{what}");
    };
    let plain = lease(&[("hello world", 2, 1), ("b aa", 2, 2)]);
    assert!(given(&plain, 0).shares.is_empty());
    refused("a proof without shares where they were asked for", &own, &prove(&plain, Fr::zero()));
    refused("shares where none were asked for", &plain, &proof);
    let mut other = own.clone();
    let mut answer = given(&own, 0);
    answer.shares[0].parts -= 1;
    other.members[0].answer = answer.encode_to_vec();
    refused("other shares than were given", &other, &proof);
    let unserved = Lease { datanet: Some([9; 32]), ..own.clone() };
    refused("a datanet that is not served", &unserved, &proof);

    let Ok(verified) = models.verify(&proof, Fr::zero()) else { panic!("an honest proof") };
    assert_eq!(verified.datanet, own.datanet);
    let stated = verified.requests[0].answer.as_ref().expect("an answer");
    assert_eq!(stated.shares, given(&own, 0).shares);

    let reason = |asked: Asked| match models.execute(&asked) {
        Ok(_) => panic!("a refusal"),
        Err(refusal) => refusal.reason,
    };
    assert_eq!(reason(attributed(asked("hello world", 0, 1))), Reason::DatanetOther);
    let bare = Asked { adapter: String::new(), ..asked("hello world", 2, 1) };
    assert_eq!(reason(attributed(bare)), Reason::DatanetOther);
    let embedding = Asked { kind: proto::OutputKind::Embed.into(), ..asked("hello world", 2, 1) };
    assert_eq!(reason(attributed(embedding)), Reason::OutputKindUnsupported);
    let unknown = |datanet: String| Asked { datanet, ..asked("hello world", 2, 1) };
    assert_eq!(reason(unknown(name("datanets", &[9; 32]))), Reason::DatanetUnknown);
    assert_eq!(reason(unknown("datanets/9".into())), Reason::FieldInvalid);
}
