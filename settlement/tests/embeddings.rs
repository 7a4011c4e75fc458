//! Embeddings are published by a claim on packed words of ranged cells: the forgeries that earlier circuits accepted.

use super::circuit as judge;
use super::embedding;
use super::support as settled;

use std::collections::BTreeSet;

use embedding::{ABSENT, FORGERIES, honest};
use lorica_circuits::bn254::Fr;
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_settlement::words::Words;
use lorica_verifier::protocol::arithmetic::Native;
use settled::{scalars, world};

#[test]
fn the_honest_batch_is_satisfied() {
    let world = world();
    let proof = world.prove(&honest(&world)).unwrap();
    world.verify(&proof).expect_err("another context");
    let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).unwrap();
    let circuit = compiled.circuit(&scalars(&world, &proof), &proof.messages).unwrap();
    assert_eq!(judge::broken(&circuit), BTreeSet::new());
}

#[test]
fn false_embeddings_are_no_settlements() {
    let world = world();
    let honest = honest(&world);
    let compiled = Compiled::new(&CircuitShape::of(&world.key, honest.statement.shape)).unwrap();
    for forgery in &FORGERIES {
        let (proof, bent) = forgery.make(&world, &honest);
        let native = compiled.run(&mut Native, &bent, &proof.messages, |_, value: Fr| value);
        assert!(native.is_err(), "{}", forgery.name);
        let circuit = compiled.circuit(&bent, &proof.messages).unwrap();
        let broken = judge::broken(&circuit);
        println!("{}: {broken:?}", forgery.name);
        assert!(!broken.is_empty() && !broken.contains("no check"), "{}: {broken:?}", forgery.name);
        // A word that is bent is another digest: an absent request's is no longer the first one's, as the contract has it.
        if forgery.of_absent() {
            let words = circuit.instance();
            let digest = |request: usize| words[Words::<Fr>::HEAD + 3 * request + 2];
            assert_ne!(digest(ABSENT), digest(0), "{}", forgery.name);
        }
    }
}
