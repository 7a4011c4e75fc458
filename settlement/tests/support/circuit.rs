//! The settlement's circuit as a judge of inference proofs: it is satisfiable exactly where the field part accepts, and a
//! check that the native field part stops at is among those that fail.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeSet;

use halo2_base::halo2_proofs::dev::{FailureLocation, MockProver, VerifyFailure};
use lorica_circuits::bn254::Fr;
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::BaseCommitments;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::verify::inputs;

/// Names of the checks whose rows fail.
pub fn broken(circuit: &SettlementCircuit) -> BTreeSet<&'static str> {
    let prover = MockProver::run(circuit.log_rows(), circuit, vec![circuit.instance()]).expect("a circuit");
    let Err(failures) = prover.verify_par() else { return BTreeSet::new() };
    let checks = &circuit.rows().checks;
    failures
        .iter()
        .map(|failure| {
            let VerifyFailure::ConstraintNotSatisfied {
                location: FailureLocation::InRegion { offset: row, .. } | FailureLocation::OutsideRegion { row },
                ..
            } = failure
            else {
                panic!("a gate, not {failure:?}")
            };
            checks.iter().find(|(_, rows)| rows.contains(row)).map_or("no check", |(what, _)| *what)
        })
        .collect()
}

/// Runs a proof that a test has just judged natively through the circuit as well.
#[track_caller]
pub fn judge(base: &BaseCommitments, proof: &InferenceProof) {
    let shape = &proof.statement.shape;
    let (Ok(own), Ok(compiled)) = (base.architecture.layout(shape), Compiled::new(&CircuitShape::of(base, *shape)))
    else {
        return;
    };
    // Statements of which no circuit can speak are refused before one is made.
    let witness = digest_points(&proof.witness);
    let Ok(scalars) = inputs(&own, base, &proof.statement, witness, proof.prover_salt) else { return };
    let native = compiled.run(&mut Native, &scalars, &proof.messages, |_, value: Fr| value).map(drop);
    // Vectors of other lengths make no circuit.
    let Ok(circuit) = compiled.circuit(&scalars, &proof.messages) else { return assert!(native.is_err()) };
    let broken = broken(&circuit);
    match native.map_err(|error| error.to_string()) {
        Ok(()) => assert_eq!(broken, BTreeSet::new()),
        Err(error) => assert!(broken.iter().any(|what| error.contains(what)), "{error} is not among {broken:?}"),
    }
}
