//! A settlement key is trusted through its circuit id: halo2's key inside of a file may be of any circuit.

use super::hostile;
use super::support;

use hostile::Gateless;
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::OutputKind;
use lorica_settlement::key::{ProvingKey, VerifyingKey};
use lorica_settlement::settlement::SettlementError;
use support::{binding, bound, key, powers, settle, world};

/// A key of a circuit without a gate, with honest digests, decodes and accepts any label. Its id gives it away, and a key
/// that is made again.
#[test]
fn a_key_without_gates_accepts_anything_under_another_id() {
    let world = world();
    let binding = binding(1);
    let proof = bound(&world, OutputKind::Classify, &[(9, Some(0))], &binding);
    let honest = key(&world, proof.statement.shape);
    let settled = settle(&world, &honest, &binding, &proof).unwrap();
    let of = honest.verifying().circuit_shape();
    let gateless = Gateless::new(of, honest.verifying().words(), &powers());
    let forged = gateless.settle(&settled, world.key.scales_word(), |s| s.answers[0].words.label += Fr::from(1));

    let decoded = VerifyingKey::decode(&gateless.key.encode()).unwrap();
    assert_eq!(decoded.circuit_shape(), of);
    forged.check(&decoded, &world.key, &world.keys()).expect("nothing in the file says that it lies");
    let refused = forged.check(honest.verifying(), &world.key, &world.keys());
    assert!(matches!(refused, Err(SettlementError::ForeignKey)));
    let again = ProvingKey::generate(decoded.circuit_shape(), &powers()).unwrap();
    assert_eq!(again.verifying().circuit_id(), honest.verifying().circuit_id());
    assert_ne!(again.verifying().circuit_id(), decoded.circuit_id());
}
