//! The records of a datanet version and of an index as Rust writes them, for the tests of the contracts.
//!
//! `cargo test -p lorica --test datanet_vector -- --ignored` writes the file again.

use lorica::Fr;
use lorica::chain::alloy_primitives::{B256, keccak256};
use lorica::datanet::merkle::leads_to;
use lorica::datanet::source::Contributor;
use lorica::datanet::version::{Record, Rules, Version, contributor_word, contributors_tree};
use lorica_circuits::bn254::{Curve, G1, G1Affine};
use lorica_verifier::protocol::keccak::{encode_point, encode_scalar};
use lorica_verifier::protocol::key::IndexCommitments;
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contracts/test/vectors/datanet.json");

/// As many as the index of the settlements' vectors has.
const RECORDS: usize = 900;
const CONTRIBUTORS: usize = 160;
/// Slots of a name and of a digest; the others are accounts.
const NAME: usize = 10;
const HASH: usize = 13;

fn account(slot: usize) -> [u8; 20] {
    let mut address = [0xac; 20];
    address[16..].copy_from_slice(&(slot as u32).to_be_bytes());
    address
}

/// What stands behind the digest: an account and a salt, 32 bytes each.
fn opening() -> [[u8; 32]; 2] {
    let mut words = [[0; 32], [0x5a; 32]];
    words[0][12..].copy_from_slice(&account(HASH));
    words
}

fn version() -> Version {
    let contributor = |slot| match slot {
        NAME => Contributor::Name("Ada".into()),
        HASH => Contributor::Hash(keccak256(opening().as_flattened()).0),
        _ => Contributor::Address(account(slot)),
    };
    let record = |i: usize| Record {
        text: format!("text {i}"),
        ids: vec![2, 7, 3],
        digest: Fr::from(1_000 + i as u64),
        label: (i % 3) as u8,
        weight: 240,
        slot: (i % CONTRIBUTORS) as u16,
        licence: String::new(),
    };
    Version {
        records: (0..RECORDS).map(record).collect(),
        contributors: (0..CONTRIBUTORS).map(contributor).collect(),
        rules: Rules {
            labels: ["no", "yes", "perhaps"].map(str::to_owned).into(),
            ridge: 1_000,
            max_tokens: 16,
            unicode: [16, 0, 0],
        },
        licence: "CC0-1.0".into(),
        standard: "One sentence each.".into(),
        salt: [9; 31],
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn word(scalar: &Fr) -> String {
    hex(&encode_scalar(scalar))
}

fn vector() -> Value {
    let version = version();
    let tree = contributors_tree(&version.contributors).expect("contributors");
    let root = version.tree().expect("records").root();
    let record = version.record(root);
    // Tag, count, then five words of 32 bytes.
    let words: Vec<String> = record[36..].chunks(32).map(hex).collect();
    let path = |slot| tree.path(slot).expect("a path").iter().map(|node| hex(node.as_slice())).collect::<Vec<_>>();
    let all: Vec<String> = version.contributors.iter().map(|own| hex(contributor_word(own).as_slice())).collect();
    let points: Vec<G1Affine> = (1..=3u64).map(|i| (G1::generator() * Fr::from(i)).to_affine()).collect();
    let index = IndexCommitments {
        adapter: Fr::from(77),
        version: version.id(),
        records: 1 << 11,
        count: RECORDS,
        tiles: points.clone(),
    };
    let tiles: Vec<String> =
        points.iter().flat_map(|point| encode_point(point).chunks(32).map(hex).collect::<Vec<_>>()).collect();
    json!({
        "id": word(&version.id()),
        "count": RECORDS,
        "recordsRoot": words[0],
        "contributorsDigest": words[1],
        "rules": words[2],
        "licence": words[3],
        "standard": words[4],
        "contributors": CONTRIBUTORS,
        "contributorsRoot": hex(tree.root().as_slice()),
        "words": all,
        "paths": (0..CONTRIBUTORS).map(path).collect::<Vec<_>>(),
        "name": NAME,
        "hash": HASH,
        "opening": opening().map(|word| hex(&word)),
        "index": {
            "id": word(&index.id()),
            "adapter": word(&index.adapter),
            "logRecords": index.records.trailing_zeros(),
            "tiles": tiles,
        },
    })
}

#[test]
#[ignore = "writes a file that is committed"]
fn write_datanet() {
    let text = serde_json::to_string_pretty(&vector()).expect("JSON");
    std::fs::write(FILE, text + "\n").expect("a file");
}

/// Else contracts and Rust would be tested against different ids.
#[test]
fn the_committed_vector_is_what_rust_computes() {
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(FILE).expect("a file")).expect("JSON");
    let computed = vector();
    for key in computed.as_object().expect("an object").keys() {
        assert_eq!(committed[key], computed[key], "{key}");
    }
    assert_eq!(committed.as_object().map(serde_json::Map::len), computed.as_object().map(serde_json::Map::len));
}

/// A slot's leaf leads to the root by its own path and by no other.
#[test]
fn paths_are_of_one_slot() {
    let version = version();
    let tree = contributors_tree(&version.contributors).expect("contributors");
    let leaf = |slot: usize, word: B256| {
        let mut number = [0; 32];
        number[24..].copy_from_slice(&(slot as u64).to_be_bytes());
        keccak256(keccak256([number, word.0].as_flattened()))
    };
    for slot in [0, 1, NAME, HASH, CONTRIBUTORS - 1] {
        let path = tree.path(slot).expect("a path");
        let word = contributor_word(&version.contributors[slot]);
        assert!(leads_to(tree.root(), leaf(slot, word), &path), "{slot}");
        assert!(!leads_to(tree.root(), leaf((slot + 1) % CONTRIBUTORS, word), &path), "{slot}");
        let other = contributor_word(&version.contributors[(slot + 1) % CONTRIBUTORS]);
        assert!(!leads_to(tree.root(), leaf(slot, other), &path), "{slot}");
    }
}
