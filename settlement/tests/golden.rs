//! The golden files of the check's own tests (`settlement/check/tests/golden`), which the page's tests use too: keys, proofs
//! and settlements of a synthetic model, as commands write them.
//!
//! A change of circuit or format makes [`the_golden_files_are_of_this_circuit`] fail; then, if it was meant,
//! `cargo test --release -p lorica-settlement --test all golden:: -- --ignored` writes them anew.

use super::hostile;
use super::support;

use std::fs;
use std::path::PathBuf;

use hostile::Gateless;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::OutputKind::{self, Classify, Embed};
use lorica_settlement::binding::Binding;
use lorica_settlement::settlement::Settlement;
use lorica_settlement_check::VerifyingKey;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::{AdapterKey, BaseKey, verify};
use support::{World, binding, bound, key, powers, settle, world};

type Case = (&'static str, OutputKind, &'static [(usize, Option<usize>)]);

const CASES: [Case; 2] =
    [("classify", Classify, &[(9, Some(0)), (5, Some(1))]), ("embed", Embed, &[(9, None), (5, Some(1))])];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("check/tests/golden").join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write(name: &str, bytes: &[u8]) {
    fs::write(path(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn base_key(world: &World) -> BaseKey {
    let tokenizer_json = b"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0}}}".to_vec();
    BaseKey { commitments: world.key.clone(), has_pooler: true, output_exponent: -7, tokenizer_json }
}

/// Labels whose names are markup, in which a page must see none.
fn adapter_keys(world: &World) -> Vec<AdapterKey> {
    let labels: Vec<String> = ["<img src=x onerror=alert(1)>", "joy & \"anger\"", "Überraschung", "\u{202e}reversed"]
        .map(str::to_owned)
        .into();
    let key = |commitments| AdapterKey { commitments, has_head: true, labels: labels.clone() };
    world.keys().into_iter().map(key).collect()
}

#[test]
fn the_golden_files_are_of_this_circuit() {
    let world = world();
    let base = BaseKey::decode(&read("base.vk")).unwrap();
    assert_eq!(base, base_key(&world));
    let adapters: Vec<AdapterKey> = ["a.vk", "b.vk"].map(|name| AdapterKey::decode(&read(name)).unwrap()).into();
    assert_eq!(adapters, adapter_keys(&world));
    for (name, _, requests) in CASES {
        let proof = InferenceProof::decode(&read(&format!("{name}.proof"))).unwrap();
        let context = binding(requests.len()).context();
        verify(&base, &adapters, &context, &proof).unwrap_or_else(|error| panic!("{name}: {error}"));
        let made = key(&world, proof.statement.shape);
        assert_eq!(made.verifying().encode(), read(&format!("{name}.vk")), "{name}");
        let settlement = Settlement::decode(&read(&format!("{name}.settlement"))).unwrap();
        settlement.check(made.verifying(), &world.key, &world.keys()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let gateless = VerifyingKey::decode(&read("gateless.vk")).unwrap();
    let settlement = Settlement::decode(&read("gateless.settlement")).unwrap();
    settlement.check(&gateless, &world.key, &world.keys()).expect("a key can lie");
}

#[test]
#[ignore = "writes files that are committed"]
fn write_golden() {
    let world = world();
    fs::create_dir_all(path("")).unwrap();
    write("base.vk", &base_key(&world).encode());
    for (name, key) in ["a.vk", "b.vk"].into_iter().zip(adapter_keys(&world)) {
        write(name, &key.encode());
    }
    for (name, kind, requests) in CASES {
        let binding: Binding = binding(requests.len());
        let proof = bound(&world, kind, requests, &binding);
        let key = key(&world, proof.statement.shape);
        let settlement = settle(&world, &key, &binding, &proof).unwrap();
        write(&format!("{name}.proof"), &proof.encode());
        write(&format!("{name}.vk"), &key.verifying().encode());
        write(&format!("{name}.settlement"), &settlement.encode());
        if kind == Classify {
            // Another label, by a key without a gate.
            let gateless = Gateless::new(key.verifying().circuit_shape(), key.verifying().words(), &powers());
            let label = |s: &mut Settlement| s.answers[0].words.label += Fr::ONE;
            let forged = gateless.settle(&settlement, world.key.scales_word(), label);
            write("gateless.vk", &gateless.key.encode());
            write("gateless.settlement", &forged.encode());
        }
    }
    // Bound to nothing, as a proof is without --context.
    let run = world.run(Classify, &[(12, Some(0))]);
    write("unbound.proof", &world.prove(&run).unwrap().encode());
}
