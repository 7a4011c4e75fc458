//! Settlements of index proofs: the circuit computes what the native verifier does, its public words are the index and its
//! records, and neither kind of circuit takes the other's proofs.

use super::circuit as judge;
use super::support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use judge::broken;
use lorica_circuits::bn254::{Field, Fr, G1Affine, PrimeField};
use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::shape::{OutputKind, RECORDS as CLASSES, Shape};
use lorica_quant::integer::synthetic::SMALL;
use lorica_settlement::circuit::SettlementCircuit;
use lorica_settlement::key::{ProvingKey, VerifyingKey};
use lorica_settlement::settlement::{IndexSettlement, MakeError, Settlement, SettlementError, make_index};
use lorica_settlement::statement::{CircuitShape, Compiled, Subject};
use lorica_settlement_check::header::Header;
use lorica_verifier::IndexKey;
use lorica_verifier::files::codec::Writer;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{FieldError, Messages};
use lorica_verifier::protocol::group::GroupError;
use lorica_verifier::protocol::index::{IndexInputs, IndexProof, index_inputs};
use lorica_verifier::protocol::keccak::{digest_points, encode_point, encode_scalar, keccak, keccak_bytes};
use lorica_verifier::protocol::key::{IndexCommitments, write_architecture};
use lorica_verifier::protocol::record::RecordKind;
use lorica_verifier::protocol::verify::VerifyError;
use lorica_verifier::{AdapterKey, BaseKey};
use support::inference::attribution::{RECORDS, random_index};
use support::inference::index::{index, layout, prove, prove_by, prove_field, verify, witness};
use support::inference::naive::Faithful;
use support::inference::without::{REDUCTION, Rule, SUM, without};
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

/// An index with cells that break one rule, what stands in its way, and weights that its prover claims.
struct Lie {
    what: &'static str,
    rule: Rule,
    /// Column, cell, value.
    cells: &'static [(Column, usize, i64)],
    weights: fn(&mut [i64]),
}

/// A class of a row.
const fn class(label: usize, row: usize) -> usize {
    label * RECORDS + row
}

/// One for each column, and one for each relation. Row 3 has no weight in the classes that are not set; 900 is no record's.
const LIES: [Lie; 9] = {
    const fn ranged(what: &'static str, column: Column, cells: &'static [(Column, usize, i64)]) -> Lie {
        Lie { what, rule: Rule::Range(column), cells, weights: |_| {} }
    }
    [
        ranged("a feature of 2^15", c::INDEX_FEATURE, &[(c::INDEX_FEATURE, 100_000, 1 << 15)]),
        ranged(
            "a class below zero",
            c::INDEX_CLASS,
            &[(c::INDEX_CLASS, class(0, 900), 5), (c::INDEX_CLASS, class(1, 900), -5)],
        ),
        ranged("a slot of 1,024", c::INDEX_SLOT, &[(c::INDEX_SLOT, 3, 1024)]),
        ranged("a whitening of -2^15 - 1", c::INDEX_WHITENING, &[(c::INDEX_WHITENING, 7, -(1 << 15) - 1)]),
        ranged("a bias of 2^15", c::INDEX_BIAS, &[(c::INDEX_BIAS, 7, 1 << 15)]),
        ranged("a corner of 2^15", c::INDEX_CORNER, &[(c::INDEX_CORNER, 0, 1 << 15)]),
        // The record has a weight of 1 to 240 in one class, and 255 in another one now.
        ranged(
            "a weight above 255",
            c::RECORD_WEIGHT,
            &[(c::INDEX_CLASS, class(0, 3), 255), (c::INDEX_CLASS, class(1, 3), 255)],
        ),
        Lie {
            what: "another weight",
            rule: Rule::Relation("weight of a record"),
            cells: &[],
            weights: |weights| weights[3] ^= 1,
        },
        Lie {
            what: "a weight beyond the records",
            rule: Rule::Relation("no weight beyond the records"),
            cells: &[(c::INDEX_CLASS, class(2, 900), 7)],
            weights: |_| {},
        },
    ]
};

fn told(lie: &Lie) -> World {
    World::new(SMALL, 5, 2).with_edited_index(random_index(SMALL.hidden, 900, 50), |columns| {
        for &(column, cell, value) in lie.cells {
            columns.edit(column, |cells| cells[cell] = value);
        }
    })
}

/// The native field part stops at this check, whose rows are the only ones that fail in the circuit.
#[track_caller]
fn judged(world: &World, proof: &IndexProof, what: &str, by: &'static str) {
    let own = (inputs(world, proof), proof.messages.clone());
    let compiled = compiled(world);
    let native = compiled.run_index(&mut Native, &own.0, &own.1, |_, value| value).map(drop);
    let error = native.expect_err("accepted").to_string();
    assert!(error.contains(by), "{what}: {error} instead of {by}");
    assert_eq!(broken(&circuit(&compiled, &own)), BTreeSet::from([by]), "{what}");
}

#[test]
fn no_lie_about_an_index_is_a_settlement() {
    for lie in &LIES {
        let world = told(lie);
        let layout = layout(&world);
        let columns = witness(&world, &layout, &lie.weights);
        let proof = prove_by(&world, &layout, &columns, 900, &|_| {});
        judged(&world, &proof, lie.what, if matches!(lie.rule, Rule::Range(_)) { SUM } else { REDUCTION });
    }
    // A half of a cell, by a prover of field elements.
    let world = world();
    let (_, proof) = prove_field(&world, &[(c::INDEX_BIAS, 7, Fr::TWO_INV)], &mut Faithful);
    judged(&world, &proof, "half a bias", SUM);
    // All that is looked up has a lie.
    let placements: Vec<Column> = layout(&world).placements().map(|own| own.spec.column).collect();
    let ranged = |column: &Column| LIES.iter().any(|lie| lie.rule == Rule::Range(*column));
    let tables = layout(&world).program.tables.iter().map(|own| own.multiplicities).collect::<Vec<_>>();
    assert!(placements.iter().all(|column| ranged(column) || tables.contains(column)));
}

/// The same indexes satisfy the circuit of the program without the rule.
#[test]
#[ignore = "a second proof for each lie of the test above"]
fn without_its_rule_each_lie_about_an_index_is_a_settlement() {
    for lie in &LIES {
        let world = told(lie);
        let layout = without(&layout(&world), &[lie.rule]);
        let columns = witness(&world, &layout, &lie.weights);
        let proof = prove_by(&world, &layout, &columns, 900, &|_| {});
        let own = (inputs(&world, &proof), proof.messages.clone());
        let compiled = Compiled { layout, ..compiled(&world) };
        assert_eq!(broken(&circuit(&compiled, &own)), BTreeSet::new(), "{}", lie.what);
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

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn word(scalar: &Fr) -> String {
    hex(&encode_scalar(scalar))
}

fn points(points: &[G1Affine]) -> Vec<String> {
    points.iter().flat_map(|point| encode_point(point).chunks(32).map(hex).collect::<Vec<_>>()).collect()
}

/// A text as 32 bytes, zeros behind it.
fn padded(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// A datanet version of 900 records, and its id: the bytes of `verifier/src/protocol/record.rs`.
fn datanet() -> (serde_json::Value, Fr) {
    let [root, contributors_root, rules, licence, standard] = [0x11u8, 0x22, 0x33, 0x44, 0x55].map(|byte| [byte; 32]);
    let (count, contributors) = (900u32, 50u32);
    let list = [&padded("lorica contributors 2")[..], &contributors.to_be_bytes(), &contributors_root].concat();
    let digest = keccak(&list);
    let tag = RecordKind::Datanet.tag();
    let record = [&tag[..], &count.to_be_bytes(), &root, &digest, &rules, &licence, &standard].concat();
    let value = serde_json::json!({
        "records": count, "recordsRoot": hex(&root), "contributors": contributors,
        "contributorsRoot": hex(&contributors_root), "rules": hex(&rules), "licence": hex(&licence),
        "standard": hex(&standard),
    });
    (value, keccak_bytes(&record))
}

/// What the contracts' tests read: an index' settlement, all records behind it, another index of the same cells, and the key of
/// the next larger indexes.
#[test]
#[ignore = "writes files that are committed"]
fn write_index_vector() {
    let (datanet, version) = datanet();
    let cells = || random_index(SMALL.hidden, 900, 50);
    let world = World::new(SMALL, 5, 2).with_index_of(version, cells());
    let other = World::new(SMALL, 5, 2).with_index_of(version, cells());
    let (base, adapter, own) = (&world.key, &world.adapters[0].key, &index(&world).key);
    let proof = prove(&world);
    let key = |records| ProvingKey::generate(&CircuitShape::of_index(base, records), &powers()).expect("a key");
    let (made, larger) = (key(CLASSES[0]), key(CLASSES[1]));
    let s = make_index(&made, &SRS.verifier_key(), base, adapter, own, &proof).expect("a settlement");
    s.check(made.verifying(), base, adapter, own).expect("accepted");
    let mut encoding = Writer::default();
    write_architecture(&mut encoding, &base.architecture);
    let mut g2 = Writer::default();
    g2.point_g2(&base.tau_g2);
    let words = s.words(made.verifying(), own.count).to_vec();
    let value = serde_json::json!({
        "key": hex(&made.verifying().content()),
        "circuit": hex(&s.circuit),
        "largerKey": hex(&larger.verifying().content()),
        "largerCircuit": hex(&larger.verifying().circuit_id()),
        "encoding": hex(encoding.content()),
        "logTile": word(&Fr::from(u64::from(base.log_tile))),
        "srs": word(&base.srs),
        "tauG2": g2.content().chunks(32).map(hex).collect::<Vec<_>>(),
        "tables": points(&base.tables),
        "architecture": word(&base.architecture_digest()),
        "tiles": points(&base.tiles),
        "scalesWord": word(&base.scales_word()),
        "base": word(&base.id()),
        "adapters": [{ "id": word(&adapter.id()), "version": word(&version), "tiles": points(&adapter.tiles) }],
        "datanet": datanet,
        "version": word(&version),
        "logRecords": own.records.trailing_zeros(),
        "index": word(&own.id()),
        "indexTiles": points(&own.tiles),
        "otherIndex": word(&index(&other).key.id()),
        "otherTiles": points(&index(&other).key.tiles),
        "witness": points(&s.witness),
        "opening": points(&s.opening),
        "rhoHigh": s.rho_high.iter().map(word).collect::<Vec<_>>(),
        "alpha": word(&s.outcome.alpha),
        "zeta": word(&s.outcome.zeta),
        "beta": word(&s.outcome.beta),
        "z": word(&s.outcome.z),
        "constantTerm": word(&s.outcome.constant),
        "proof": hex(&s.proof),
        "instances": words.iter().map(word).collect::<Vec<_>>(),
    });
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contracts/test/vectors/index-ranges.json");
    fs::write(path, serde_json::to_string_pretty(&value).expect("JSON") + "\n").expect("a file");
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
