//! Settlements of index proofs: the circuit computes what the native verifier does, its public words are the index and its
//! records, and neither kind of circuit takes the other's proofs.

#[path = "support/circuit.rs"]
mod judge;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use judge::broken;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::{OutputKind, RECORDS as CLASSES, Shape};
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::key::{ProvingKey, VerifyingKey};
use lorica_settlement::settlement::{IndexSettlement, MakeError, Settlement, SettlementError, make_index};
use lorica_settlement::statement::{CircuitShape, Compiled, Subject};
use lorica_settlement_check::header::Header;
use lorica_verifier::IndexKey;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{FieldError, Messages};
use lorica_verifier::protocol::group::GroupError;
use lorica_verifier::protocol::index::{IndexInputs, IndexProof, index_inputs};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::IndexCommitments;
use lorica_verifier::protocol::verify::VerifyError;
use lorica_verifier::{AdapterKey, BaseKey};
use support::inference::attribution::random_index;
use support::inference::index::{index, prove, verify};
use support::{LOG_TILE, SRS, World, binding, bound, powers, scalars};

type Proof = (IndexInputs<Fr>, Messages<Fr>);

fn world() -> World {
    World::new(SMALL, 5, 2).with_index(random_index(SMALL.hidden, 900, 50))
}

fn compiled(world: &World) -> Compiled {
    Compiled::new(&CircuitShape::of_index(&world.key, index(world).key.records)).expect("a circuit")
}

fn inputs(world: &World, proof: &IndexProof) -> IndexInputs<Fr> {
    index_inputs(&world.key.architecture, &proof.statement, digest_points(&proof.witness), proof.prover_salt)
}

fn circuit(compiled: &Compiled, (inputs, messages): &Proof) -> SettlementCircuit {
    compiled.index_circuit(inputs, messages).expect("rows")
}

/// The proof with its `index`-th scalar changed; `None` beyond the last.
fn edited((inputs, messages): &Proof, index: usize) -> Option<Proof> {
    let mut at = 0;
    let mut edit = |value: Fr| {
        at += 1;
        if at == index + 1 { value + Fr::ONE } else { value }
    };
    let edited = (inputs.clone().map(&mut edit), messages.clone().map(&mut edit));
    (at > index).then_some(edited)
}

/// Mercury's scalars are the last: five digests and six evaluations.
const MERCURY: usize = 11;
/// Architecture, six words of the shape, SRS: constants of the circuit.
const CONSTANTS: usize = 8;

#[test]
fn words_of_an_index_proof_are_public_and_bound() {
    let world = world();
    let proof = prove(&world);
    let compiled = compiled(&world);
    let honest = (inputs(&world, &proof), proof.messages.clone());
    let rows = circuit(&compiled, &honest);
    assert_eq!(broken(&rows), BTreeSet::new());
    let words = rows.instance();
    let header = Header::of(&compiled.of, &compiled.layout);
    let key = &index(&world).key;
    assert_eq!(words[..5], [header.shape, header.layout, Fr::ZERO, key.id(), Fr::from(900)]);
    assert_eq!(words[5], digest_points(&proof.witness));
    assert_eq!(words.len(), 16 + compiled.layout.tile_index_bits() as usize);
    let native = compiled.run_index(&mut Native, &honest.0, &honest.1, |_, value| value).expect("accepted");
    assert_eq!(native.to_vec(), words);
    // 3: index proofs, no requests, no tokens; 11: log2 of the records.
    let shape =
        Fr::from(11) * Fr::from(2).pow([128]) + Fr::from(3) * Fr::from(2).pow([96]) + Fr::from(u64::from(LOG_TILE));
    assert_eq!(header.shape, shape);

    let count = (0..).find(|&index| edited(&honest, index).is_none()).expect("an end");
    assert!(count > 400, "{count} scalars");
    for index in 0..CONSTANTS {
        assert_eq!(circuit(&compiled, &edited(&honest, index).expect("a scalar")).instance(), words, "{index}");
    }
    let rest = (13..count - 40).step_by(11).chain(count - 40..count);
    for index in (CONSTANTS..13).chain(rest) {
        let rows = circuit(&compiled, &edited(&honest, index).expect("a scalar"));
        let broken = broken(&rows);
        // Mercury's digests and evaluations are checked by the group claim: they change the words that it is made of.
        if index >= count - MERCURY {
            assert_ne!(rows.instance(), words, "scalar {index} of {count}");
            continue;
        }
        assert!(!broken.is_empty() && !broken.contains("no check"), "scalar {index} of {count}: {broken:?}");
    }
    // Counts that no index has.
    for count in [0, 2049] {
        let (mut inputs, messages) = honest.clone();
        inputs.count = Fr::from(count);
        let broken = broken(&circuit(&compiled, &(inputs, messages)));
        assert!(broken.contains("statement: between one record and those of the shape"), "{broken:?}");
    }
}

/// Neither circuit compiles the other's proofs, and no two circuits have a header in common.
#[test]
fn subjects_are_kept_apart() {
    let world = world();
    let shape = Shape { requests: 1, tokens: 16, log_tile: LOG_TILE, output: OutputKind::Classify, records: 0 };
    let inference = Compiled::new(&CircuitShape::of(&world.key, shape)).expect("a circuit");
    let own = compiled(&world);
    let proof = prove(&world);
    let batch = bound(&world, OutputKind::Classify, &[(9, Some(0))], &binding(1));
    let refused = |result: Result<SettlementCircuit, FieldError>| {
        assert!(matches!(result, Err(FieldError::Circuit(_))));
    };
    refused(inference.index_circuit(&inputs(&world, &proof), &proof.messages));
    refused(own.circuit(&scalars(&world, &batch), &batch.messages));
    let mut words: Vec<[u8; 32]> = Vec::new();
    let mut add = |of: CircuitShape| {
        let header = Header::of(&of, &of.layout().expect("a layout"));
        words.push(header.shape.to_bytes());
        words.push(header.layout.to_bytes());
    };
    for records in CLASSES {
        add(CircuitShape::of_index(&world.key, records));
        // A circuit that attributes by indexes of the same size, with the same shape.
        add(CircuitShape { subject: Subject::Inference, ..CircuitShape::of_index(&world.key, records) });
    }
    add(CircuitShape::of(&world.key, shape));
    let all = words.len();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), all);
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("check/tests/golden").join(name)
}

/// The index' settlement key of the golden files' world is the one that is made now; its settlement is accepted.
#[test]
fn the_golden_index_settlement_is_of_this_circuit() {
    let world = world();
    let read = |name: &str| fs::read(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let of = CircuitShape::of_index(&world.key, index(&world).key.records);
    let made = ProvingKey::generate(&of, &powers()).expect("a key");
    assert_eq!(made.verifying().encode(), read("index-settlement.vk"));
    let own = IndexKey::decode(&read("index.vk")).expect("a key").commitments;
    let base = BaseKey::decode(&read("index.base.vk")).expect("a key").commitments;
    let adapter = AdapterKey::decode(&read("index.adapter.vk")).expect("a key").commitments;
    assert_eq!((&base, &adapter), (&world.key, &world.adapters[0].key));
    let settlement = IndexSettlement::decode(&read("index.settlement")).expect("a settlement");
    settlement.check(made.verifying(), &base, &adapter, &own).expect("accepted");
    let proof = IndexProof::decode(&read("index.proof")).expect("a proof");
    lorica_verifier::protocol::index::verify_index(&SRS.verifier_key(), &base, &adapter, &own, &Fr::ZERO, &proof)
        .expect("accepted");
}

#[test]
#[ignore = "writes files that are committed"]
fn write_index_golden() {
    let world = world();
    let proof = prove(&world);
    verify(&world, &proof).expect("accepted");
    let of = CircuitShape::of_index(&world.key, index(&world).key.records);
    let key = ProvingKey::generate(&of, &powers()).expect("a key");
    let own = &index(&world).key;
    let settlement = make_index(&key, &SRS.verifier_key(), &world.key, &world.adapters[0].key, own, &proof);
    let settlement = settlement.expect("a settlement");
    let write = |name: &str, bytes: &[u8]| fs::write(golden(name), bytes).expect("a file");
    let base = BaseKey {
        commitments: world.key.clone(),
        has_pooler: true,
        output_exponent: -7,
        tokenizer_json: b"{}".to_vec(),
    };
    let adapter =
        AdapterKey { commitments: world.adapters[0].key.clone(), has_head: true, labels: vec!["one".into(); 3] };
    write("index.base.vk", &base.encode());
    write("index.adapter.vk", &adapter.encode());
    write("index.vk", &IndexKey { commitments: own.clone(), description: vec![] }.encode());
    write("index.proof", &proof.encode());
    write("index-settlement.vk", &key.verifying().encode());
    write("index.settlement", &settlement.encode());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "makes settlement keys: minutes without optimisation")]
fn forged_settlements_of_indexes_are_rejected() {
    let world = world();
    let (proof, own, adapter) = (prove(&world), &index(&world).key, &world.adapters[0].key);
    let of = CircuitShape::of_index(&world.key, own.records);
    let key = ProvingKey::generate(&of, &powers()).expect("a key");
    let make = |key: &ProvingKey, own: &IndexCommitments, proof: &IndexProof| {
        make_index(key, &SRS.verifier_key(), &world.key, adapter, own, proof)
    };
    let settled = make(&key, own, &proof).expect("a settlement");
    assert_eq!(IndexSettlement::decode(&settled.encode()).as_ref(), Ok(&settled));
    let check = |settled: &IndexSettlement, key: &VerifyingKey, own: &IndexCommitments| {
        settled.check(key, &world.key, adapter, own)
    };
    check(&settled, key.verifying(), own).expect("accepted");
    let decoded = VerifyingKey::decode(&key.verifying().encode()).expect("a key");
    assert_eq!(decoded.circuit_shape(), &of);
    check(&settled, &decoded, own).expect("accepted");

    // Another index of the same cells: its tiles, its count, its id.
    let other = support::World::new(SMALL, 5, 2).with_index(random_index(SMALL.hidden, 900, 50));
    let others = &index(&other).key;
    assert!(matches!(check(&settled, key.verifying(), others), Err(SettlementError::ForeignIndex)));
    let claimed = IndexSettlement { index: others.id(), ..settled.clone() };
    assert!(matches!(check(&claimed, key.verifying(), others), Err(SettlementError::Check(_))));
    for edit in [
        (|key: &mut IndexCommitments| key.tiles.swap(0, 1)) as fn(&mut IndexCommitments),
        |key| key.count += 1,
        |key| key.count -= 1,
    ] {
        let mut edited = own.clone();
        edit(&mut edited);
        let claimed = IndexSettlement { index: edited.id(), ..settled.clone() };
        assert!(matches!(check(&claimed, key.verifying(), &edited), Err(SettlementError::Check(_))));
    }
    // Its points and scalars.
    let mut forged = settled.clone();
    forged.opening.swap(0, 1);
    assert!(matches!(check(&forged, key.verifying(), own), Err(SettlementError::Check(_))));
    // W' stands in no word: the pairing is what it breaks.
    let mut forged = settled.clone();
    forged.opening[7] = forged.opening[6];
    assert!(matches!(check(&forged, key.verifying(), own), Err(SettlementError::Group(GroupError::Pairing))));

    // A circuit of inferences, of the same shape.
    let shape = Shape { requests: 1, tokens: 16, log_tile: LOG_TILE, output: OutputKind::Classify, records: 0 };
    let inferences = support::key(&world, shape);
    assert!(matches!(make(&inferences, own, &proof), Err(MakeError::ForeignKey { .. })));
    let claimed = IndexSettlement { circuit: inferences.verifying().circuit_id(), ..settled.clone() };
    assert!(matches!(check(&claimed, inferences.verifying(), own), Err(SettlementError::ForeignBase)));
    assert!(matches!(check(&settled, inferences.verifying(), own), Err(SettlementError::ForeignKey)));
    // And the reverse.
    let bound_to = binding(1);
    let batch = bound(&world, OutputKind::Classify, &[(9, Some(0))], &bound_to);
    let error = support::settle(&world, &key, &bound_to, &batch).expect_err("accepted");
    assert!(matches!(error, MakeError::ForeignKey { .. }));
    let inference = support::settle(&world, &inferences, &bound_to, &batch).expect("a settlement");
    let claimed = Settlement { circuit: key.verifying().circuit_id(), ..inference.clone() };
    let verdict = claimed.check(key.verifying(), &world.key, &world.keys());
    assert!(matches!(verdict, Err(SettlementError::ForeignBase)));
    // An index proof that does not hold is not settled.
    let mut false_proof = proof.clone();
    false_proof.messages.value += Fr::ONE;
    assert!(matches!(make(&key, own, &false_proof), Err(MakeError::Index(VerifyError::Field(_)))));
}
