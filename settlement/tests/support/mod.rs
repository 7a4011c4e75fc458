//! Settled batches on synthetic models.

#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../../../prover/tests/support/mod.rs"]
pub mod inference;
pub mod oracle;

use std::sync::LazyLock;

use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::srs::Srs;
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::binding::{Binding, BoundRequest};
use lorica_settlement::key::{Powers, ProvingKey};
use lorica_settlement::settlement::{MakeError, Settlement, make};
use lorica_settlement::statement::CircuitShape;
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::statement::Inputs;
use lorica_verifier::protocol::verify::inputs;

pub use inference::{LOG_TILE, Run, SRS, World};

/// The circuit of even a small model has more rows than its tiles cells; the first powers are those of [`SRS`].
static LONGER: LazyLock<Srs> = LazyLock::new(|| Srs::dev(LOG_TILE + 3).expect("a development SRS"));

pub fn powers() -> Powers<'static> {
    Powers { g1: LONGER.g1(), tau_g2: *SRS.tau_g2(), digest: SRS.digest_word() }
}

pub fn world() -> World {
    World::new(SMALL, 5, 2)
}

/// The scalars of a proof's statement.
pub fn scalars(world: &World, proof: &InferenceProof) -> Inputs<Fr> {
    let layout = world.key.architecture.layout(&proof.statement.shape).expect("a layout");
    let witness = digest_points(&proof.witness);
    inputs(&layout, &world.key, &proof.statement, witness, proof.prover_salt).expect("inputs")
}

pub fn key(world: &World, shape: Shape) -> ProvingKey {
    ProvingKey::generate(&CircuitShape::of(&world.key, shape), &powers()).expect("a settlement key")
}

/// A binding of so many requests.
pub fn binding(requests: usize) -> Binding {
    let word = |number: u64| {
        let mut word = [0u8; 32];
        word[24..].copy_from_slice(&number.to_be_bytes());
        word
    };
    let requests =
        (0..requests as u64).map(|i| BoundRequest { id: word(100 + 7 * i), fee: word(5_000_000 + i) }).collect();
    Binding { chain_id: 31337, consumer: [0xc0; 20], payee: [0xbe; 20], requests }
}

/// A batch of random texts, bound.
pub fn bound(
    world: &World,
    kind: OutputKind,
    requests: &[(usize, Option<usize>)],
    binding: &Binding,
) -> InferenceProof {
    let mut run: Run = world.run(kind, requests);
    run.statement.context = binding.context();
    world.prove(&run).expect("an inference proof")
}

pub fn settle(
    world: &World,
    key: &ProvingKey,
    binding: &Binding,
    proof: &InferenceProof,
) -> Result<Settlement, MakeError> {
    make(key, &SRS.verifier_key(), &world.key, &world.keys(), binding, proof)
}
