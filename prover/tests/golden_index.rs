//! The golden files of what a datanet's index has a part in: proofs of shares, of an index, and of rows. As `golden.rs`, but
//! an index is blinded when it is committed, so its key is no function of the model: the recorded one is taken.
//!
//! `cargo test --release -p lorica-prover --test all golden -- --ignored` writes the files anew.

use super::golden::{folder, key_writer, outcome_words, read, text};
use super::support;

use std::fs;

use lorica_circuits::bn254::Fr;
use lorica_quant::integer::synthetic::SMALL;
use lorica_verifier::files::codec::Reader;
use lorica_verifier::protocol::field::Opened;
use lorica_verifier::protocol::index::{IndexProof, verify_index};
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments};
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::rows::{RowOutcome, RowProof, verify_rows};
use support::attribution::{attributed, random_index};
use support::rows::{index_of, run};
use support::{SRS, World, index, rows};

/// Records of the index.
const COUNT: usize = 1500;

/// Batches that attribute: each request's tokens and adapter. The index is of the first adapter.
const ATTRIBUTED: [(&str, &[(usize, Option<usize>)]); 2] = [
    ("attribute_one", &[(9, Some(0))]),
    // Four places, three requests, of which the second does not attribute.
    ("attribute_three", &[(3, Some(0)), (5, Some(1)), (16, Some(0))]),
];

/// Texts of records: one near the first, one with all bits below eleven set, the last.
fn texts(world: &World) -> Vec<(usize, Vec<u32>)> {
    let texts = [(2, 7), (1023, 16), (COUNT - 1, 2)];
    texts.into_iter().zip(30..).map(|((row, tokens), seed)| (row, world.synthetic.ids(seed, tokens))).collect()
}

fn world() -> World {
    let world = World::new(SMALL, 73, 2);
    let mut cells = random_index(SMALL.hidden, COUNT, 60);
    cells.slots[1023] = 1023;
    let cells = index_of(&world, cells, &texts(&world), 0);
    world.with_index(cells)
}

/// A base, its adapters and the index.
fn key_file(world: &World) -> Vec<u8> {
    let mut writer = key_writer(world);
    index::index(world).key.write(&mut writer);
    writer.finish()
}

fn program_words(rho_high: &[Fr], m: &lorica_verifier::protocol::mercury::MercuryOutcome<Fr>) -> Vec<Fr> {
    [rho_high, &[m.alpha, m.zeta, m.beta, m.z, m.constant]].concat()
}

fn index_words(opened: &Opened<Fr>) -> Vec<u8> {
    text(&program_words(&opened.rho_high, &opened.mercury)).into_bytes()
}

fn row_words(outcome: &RowOutcome<Fr>) -> Vec<u8> {
    let mut words = program_words(&outcome.rho_high, &outcome.mercury);
    words.push(outcome.scales_word);
    words.extend(outcome.words.iter().flat_map(|own| [own.record_digest, own.word]));
    text(&words).into_bytes()
}

fn of_index(world: &World, proof: &IndexProof) -> Vec<u8> {
    let key = &index::index(world).key;
    let opened = verify_index(&SRS.verifier_key(), &world.key, &world.adapters[0].key, key, &Fr::zero(), proof);
    index_words(&opened.expect("accepted"))
}

fn of_rows(world: &World, proof: &RowProof) -> Vec<u8> {
    let key = &index::index(world).key;
    let outcome = verify_rows(&SRS.verifier_key(), &world.key, &world.adapters[0].key, key, &Fr::zero(), proof);
    row_words(&outcome.expect("accepted"))
}

#[test]
#[ignore = "writes verifier/tests/golden"]
fn golden() {
    let write = |name: &str, bytes: &[u8]| fs::write(folder().join(name), bytes).expect("a file");
    let world = world();
    write("indexed.key", &key_file(&world));
    for (name, requests) in ATTRIBUTED {
        let proof = world.prove(&attributed(&world, requests)).expect("a proof");
        write(&format!("{name}.proof"), &proof.encode());
        write(&format!("{name}.words"), &outcome_words(&world.verify(&proof).expect("accepted")));
    }
    let proof = index::prove(&world);
    write("index.proof", &proof.encode());
    write("index.words", &of_index(&world, &proof));
    let proof = rows::prove(&world, &run(&world, &texts(&world)));
    write("rows_three.proof", &proof.encode());
    write("rows_three.words", &of_rows(&world, &proof));
}

/// The recorded index, behind the keys that the models have again.
fn recorded(mut world: World) -> World {
    let bytes = read("indexed.key");
    let mut reader = Reader::new(&bytes, "golden key", b"LORICAgk", 1).expect("a key");
    assert_eq!(BaseCommitments::read(&mut reader).as_ref(), Ok(&world.key), "another base: write the files anew");
    assert_eq!(reader.count("adapters", 2, 64), Ok(2));
    for own in &world.adapters {
        assert_eq!(AdapterCommitments::read(&mut reader).as_ref(), Ok(&own.key), "another adapter");
    }
    let key = IndexCommitments::read(&mut reader).expect("an index");
    reader.finish().expect("no more");
    let own = world.index.as_mut().expect("an index");
    own.key.tiles.clone_from(&key.tiles);
    assert_eq!(own.key, key, "another index");
    world
}

#[test]
fn the_golden_files_of_indexes_are_of_this_protocol() {
    let world = recorded(world());
    for (name, requests) in ATTRIBUTED {
        let proof = InferenceProof::decode(&read(&format!("{name}.proof"))).expect(name);
        assert_eq!(proof.statement, attributed(&world, requests).statement, "{name}");
        let outcome = world.verify(&proof).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read(&format!("{name}.words")), outcome_words(&outcome), "{name}");
    }
    let proof = IndexProof::decode(&read("index.proof")).expect("a proof");
    assert_eq!(proof.statement, index::statement(&world));
    assert_eq!(read("index.words"), of_index(&world, &proof));
    let proof = RowProof::decode(&read("rows_three.proof")).expect("a proof");
    assert_eq!(proof.statement, run(&world, &texts(&world)).statement);
    assert_eq!(read("rows_three.words"), of_rows(&world, &proof));
}
