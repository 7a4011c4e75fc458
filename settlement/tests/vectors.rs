//! Writes real settlements for the tests of the contracts.
//!
//! `cargo test --release -p lorica-settlement --test all vectors:: -- --ignored`

use super::hostile;
use super::support as settled;
use super::vector;

use hostile::Gateless;
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::rows::Rows;
use lorica_settlement::settlement::make;
use lorica_settlement::statement::{CircuitShape, Compiled};
use lorica_settlement::trace::Tracer;
use lorica_verifier::protocol::arithmetic::Arithmetic;
use lorica_verifier::protocol::keccak::encode_scalar;
use lorica_verifier::protocol::verify::Keys;
use serde_json::{Value, json};
use settled::inference::attribution::{attributed, random_index};
use settled::{LOG_TILE, SRS, binding, bound, key, powers, settle, world};
use vector::{hex, vector};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contracts/test/vectors");

/// A circuit with each gate, that copies its public words and says nothing of them.
fn toy(words: &[Fr]) -> SettlementCircuit {
    let mut tracer = Tracer::default();
    let words: Vec<_> = words.iter().map(|word| tracer.input(*word)).collect();
    let [small, x, y, z] = [23, 5, 7, 11].map(|number| tracer.input(Fr::from(number)));
    let bits = tracer.bits(&small, 5, "five bits").unwrap();
    let state = tracer.permute([x, y, z]);
    let (left, right) = (tracer.mul(&state[0], &x), tracer.mul(&bits[0], &state[1]));
    let sum = tracer.add(&left, &right);
    let three = tracer.constant(Fr::from(3));
    let sum = tracer.add(&sum, &three);
    let private = tracer.value(sum);
    let expected = tracer.input(private);
    tracer.assert_equal(&sum, &expected, "a sum of products").unwrap();
    SettlementCircuit::new(Rows::compile(&tracer, &words))
}

#[test]
#[ignore = "writes files that are committed"]
fn write_toy() {
    let world = world();
    let shape = Shape { requests: 1, tokens: 16, log_tile: LOG_TILE, output: OutputKind::Classify, records: 0 };
    let of = CircuitShape::of(&world.key, shape);
    let count = Compiled::new(&of).unwrap().empty_circuit().unwrap().instance().len();
    let toy = Gateless::with(&of, count, &powers(), toy);
    let words: Vec<Fr> = (0..count as u64).map(|i| Fr::from(i + 2).pow([91])).collect();
    let value = json!({
        "key": hex(&toy.key.content()),
        "circuit": hex(&toy.key.circuit_id()),
        "instances": words.iter().map(|word| hex(&encode_scalar(word))).collect::<Vec<_>>(),
        "proof": hex(&toy.prove(&words)),
    });
    let text = serde_json::to_string_pretty(&value).unwrap();
    std::fs::write(format!("{FOLDER}/halo2-toy.json"), text + "\n").unwrap();
}

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
    for (name, kind, requests) in cases {
        write_plain(name, kind, requests);
    }
}

/// A full batch, for its gas.
#[test]
#[ignore = "writes files that are committed"]
fn write_sixteen() {
    let requests: Vec<(usize, Option<usize>)> = (0..16).map(|i| (2 + i % 15, Some(0))).collect();
    write_plain("classify-16", OutputKind::Classify, &requests);
    write_attributed("attributing-16", &requests);
}

fn write_plain(name: &str, kind: OutputKind, requests: &[(usize, Option<usize>)]) {
    let world = world();
    let binding = binding(requests.len());
    let proof = bound(&world, kind, requests, &binding);
    let key = key(&world, proof.statement.shape);
    let s = settle(&world, &key, &binding, &proof).unwrap();
    s.check(key.verifying(), &world.key, &world.keys()).unwrap();
    save(name, &vector(&world, key.verifying(), &s));
}

fn save(name: &str, vector: &Value) {
    let text = serde_json::to_string_pretty(vector).unwrap();
    std::fs::write(format!("{FOLDER}/settlement-{name}.json"), text + "\n").unwrap();
}

/// The index is of the datanet version in `datanet.json`, with as many records, and its first adapter names that.
#[test]
#[ignore = "writes files that are committed"]
fn write_attributing() {
    write_attributed("attributing-1", &[(9, Some(0))]);
    write_attributed("attributing-3", &[(9, Some(0)), (5, Some(1)), (16, Some(0))]);
}

fn write_attributed(name: &str, requests: &[(usize, Option<usize>)]) {
    let datanet = std::fs::read_to_string(format!("{FOLDER}/datanet.json")).unwrap();
    let datanet: Value = serde_json::from_str(&datanet).unwrap();
    let records = usize::try_from(datanet["count"].as_u64().unwrap()).unwrap();
    let world = world();
    let index = random_index(world.key.architecture.hidden, records, 50);
    let world = world.with_index_of(scalar(datanet["id"].as_str().unwrap()), index);
    let binding = binding(requests.len());
    let mut run = attributed(&world, requests);
    run.statement.context = binding.context();
    let proof = world.prove(&run).unwrap();
    let key = key(&world, proof.statement.shape);
    let (adapters, indexes) = (world.keys(), world.indexes());
    let keys = || Keys { adapters: &adapters, indexes: &indexes };
    let s = make(&key, &SRS.verifier_key(), &world.key, keys(), &binding, &proof).unwrap();
    s.check(key.verifying(), &world.key, keys()).unwrap();
    save(name, &vector(&world, key.verifying(), &s));
}

/// Of `0x` and 64 digits.
fn scalar(text: &str) -> Fr {
    let digits = text.strip_prefix("0x").unwrap();
    let mut bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect();
    bytes.reverse();
    Fr::from_repr(bytes.try_into().unwrap()).unwrap()
}
