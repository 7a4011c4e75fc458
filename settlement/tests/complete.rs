//! True inference proofs settle, and nothing else does.

use super::support;

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::OutputKind;
use lorica_settlement::key::VerifyingKey;
use lorica_settlement::prove::{CheckError, HaloProof};
use lorica_settlement::settlement::{MakeError, Settlement, SettlementError};
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_settlement::trace::Tracer;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::arithmetic::recorder::{Recorder, Symbolic, Taped};
use support::oracle::Oracle;
use support::{binding, bound, key, scalars, settle, world};

#[test]
fn a_true_proof_settles_and_no_word_may_change() {
    let world = world();
    let binding = binding(3);
    let requests = [(9, Some(0)), (5, Some(1)), (16, Some(0))];
    let proof = bound(&world, OutputKind::Classify, &requests, &binding);
    let key = key(&world, proof.statement.shape);
    let settled = settle(&world, &key, &binding, &proof).unwrap();
    let check = |settled: &Settlement| settled.check(key.verifying(), &world.key, &world.keys());
    check(&settled).unwrap();
    assert_eq!(Settlement::decode(&settled.encode()).unwrap(), settled);
    let decoded = VerifyingKey::decode(&key.verifying().encode()).unwrap();
    assert_eq!(decoded.content(), key.verifying().content());
    settled.check(&decoded, &world.key, &world.keys()).unwrap();

    let words = settled.words(key.verifying(), world.key.scales_word(), None).to_vec();
    let oracle = Oracle::new(key.halo2(), *key.verifying().tau_g2(), key.verifying().words());
    oracle.check(&words, &settled.proof).unwrap();
    for index in 0..words.len() {
        let mut words = words.clone();
        words[index] += Fr::ONE;
        assert!(oracle.check(&words, &settled.proof).is_err(), "snark-verifier, word {index}");
        let other = HaloProof { words, bytes: settled.proof.clone() };
        assert_eq!(key.verifying().check(&other), Err(CheckError::Rejected), "word {index}");
    }
    for index in (0..settled.proof.len()).step_by(32) {
        let mut other = settled.clone();
        other.proof[index + 31] ^= 1;
        assert!(oracle.check(&words, &other.proof).is_err(), "snark-verifier, proof word {index}");
        assert!(matches!(check(&other), Err(SettlementError::Check(CheckError::Rejected))), "proof word {index}");
    }
    type Edit = fn(&mut Settlement);
    let edits: [(&str, Edit); 14] = [
        ("circuit", |s| s.circuit[0] ^= 1),
        ("chain", |s| s.binding.chain_id += 1),
        ("consumer", |s| s.binding.consumer[3] ^= 1),
        ("payee", |s| s.binding.payee[19] ^= 1),
        ("request id", |s| s.binding.requests[2].id[31] ^= 1),
        ("fee", |s| s.binding.requests[0].fee[31] ^= 1),
        ("order", |s| s.binding.requests.swap(0, 1)),
        ("base", |s| s.base += Fr::ONE),
        ("adapter", |s| s.answers[0].adapter = s.answers[1].adapter),
        ("no adapter", |s| s.answers[0].adapter = Fr::ZERO),
        ("answers in another order", |s| s.answers.swap(0, 2)),
        ("fewer requests", |s| {
            s.answers.pop();
            s.binding.requests.pop();
        }),
        ("witness", |s| s.witness.swap(0, 1)),
        ("W'", |s| s.opening[7] = s.opening[6]),
    ];
    for (what, edit) in edits {
        let mut other = settled.clone();
        edit(&mut other);
        assert!(check(&other).is_err(), "{what}");
    }

    // A proof settles for the binding that it was made for, and with the key of its shape.
    let mut elsewhere = binding.clone();
    elsewhere.payee[0] ^= 1;
    assert!(matches!(settle(&world, &key, &elsewhere, &proof), Err(MakeError::Binding)));
    let two = bound(&world, OutputKind::Classify, &requests[..2], &support::binding(2));
    assert!(matches!(settle(&world, &key, &support::binding(2), &two), Err(MakeError::ForeignKey { .. })));
}

#[test]
fn the_tape_of_the_circuit_is_the_native_one() {
    let world = world();
    let proof = bound(&world, OutputKind::Embed, &[(9, None), (5, Some(1))], &binding(2));
    let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).unwrap();
    let own = scalars(&world, &proof);

    let mut native = Taped::new(Native);
    compiled.run(&mut native, &own, &proof.messages, Taped::input).unwrap();
    let mut circuit = Taped::new(Tracer::default());
    compiled
        .run(&mut circuit, &own, &proof.messages, |taped, value| {
            let inner = taped.inner_mut().input(value);
            taped.input(inner)
        })
        .unwrap();
    let mut symbolic = Recorder::new(Symbolic);
    compiled.run(&mut symbolic, &own, &proof.messages, |taped, _| taped.input(())).unwrap();
    assert_eq!(native.tape(), circuit.tape());
    assert_eq!(native.tape(), symbolic.tape());
    // The list of what determines each of them has an entry for every scalar.
    let mut entries = 0;
    let (inputs, messages) = compiled.determined();
    inputs.map(|_| entries += 1);
    messages.map(|_| entries += 1);
    assert_eq!(symbolic.cost().inputs, entries);
}

#[test]
fn rows_do_not_depend_on_values() {
    let world = world();
    for kind in [OutputKind::Embed, OutputKind::Classify] {
        let proof = bound(&world, kind, &[(9, Some(1)), (5, Some(1))], &binding(2));
        let compiled = Compiled::new(&CircuitShape::of(&world.key, proof.statement.shape)).unwrap();
        let full = compiled.circuit(&scalars(&world, &proof), &proof.messages).unwrap();
        let empty = compiled.empty_circuit().unwrap();
        assert!(full.rows().same_circuit(empty.rows()));
    }
}
