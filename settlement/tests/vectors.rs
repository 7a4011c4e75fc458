//! Writes real settlements for the tests of the contracts.
//!
//! `cargo test --release -p lorica-settlement --test vectors -- --ignored`

#[path = "support/mod.rs"]
mod settled;
#[path = "support/vector.rs"]
mod vector;

use lorica_circuits::shape::OutputKind;
use settled::{binding, bound, key, settle, world};
use vector::vector;

#[test]
#[ignore = "writes files that are committed"]
fn write_vectors() {
    type Case = (&'static str, OutputKind, &'static [(usize, Option<usize>)]);
    let cases: [Case; 4] = [
        ("classify-1", OutputKind::Classify, &[(12, Some(0))]),
        ("classify-3", OutputKind::Classify, &[(9, Some(0)), (5, Some(1)), (16, Some(0))]),
        ("embed-2", OutputKind::Embed, &[(9, None), (5, Some(1))]),
        ("embed-3", OutputKind::Embed, &[(9, None), (5, Some(1)), (16, Some(0))]),
    ];
    let world = world();
    for (name, kind, requests) in cases {
        let binding = binding(requests.len());
        let proof = bound(&world, kind, requests, &binding);
        let key = key(&world, proof.statement.shape);
        let s = settle(&world, &key, &binding, &proof).unwrap();
        s.check(key.verifying(), &world.key, &world.keys()).unwrap();
        let value = vector(&world, key.verifying(), &s);
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contracts/test/vectors");
        let text = serde_json::to_string_pretty(&value).unwrap();
        std::fs::write(format!("{folder}/settlement-{name}.json"), text + "\n").unwrap();
    }
}
