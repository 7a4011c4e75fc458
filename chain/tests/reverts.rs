//! Every error that a contract declares has a sentence.

use alloy_primitives::{keccak256, map::HashMap};
use lorica_chain::revert::Revert;
use serde_json::Value;

/// A type as it stands in a signature.
fn canonical(input: &Value) -> String {
    let name = input["type"].as_str().unwrap();
    match name.strip_prefix("tuple") {
        Some(suffix) => format!("({}){suffix}", signature(&input["components"])),
        None => name.into(),
    }
}

fn signature(inputs: &Value) -> String {
    inputs.as_array().unwrap().iter().map(canonical).collect::<Vec<_>>().join(",")
}

/// An encoding of arguments whose words are all small, so that any type takes them.
fn arguments(inputs: &Value) -> Vec<u8> {
    let word = |number: u8| [&[0; 31][..], &[number]].concat();
    let inputs = inputs.as_array().unwrap();
    let flat = |input: &Value| input["components"].as_array().map_or(1, Vec::len);
    let head = inputs.iter().map(flat).sum::<usize>() * 32;
    let mut words = Vec::new();
    let mut tail = Vec::new();
    for input in inputs {
        match input["type"].as_str().unwrap() {
            // One string at most: its place is behind the head.
            "string" => {
                words.extend(word(u8::try_from(head).unwrap()));
                tail = [word(1), [&b"x"[..], &[0; 31]].concat()].concat();
            }
            _ => (0..flat(input)).for_each(|_| words.extend(word(1))),
        }
    }
    [words, tail].concat()
}

#[test]
fn every_error_of_every_artifact_has_a_sentence() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../verifier-contracts/artifacts");
    let mut sentences: HashMap<String, String> = HashMap::default();
    let mut artifacts = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let artifact: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        artifacts += 1;
        for error in artifact["abi"].as_array().unwrap().iter().filter(|item| item["type"] == "error") {
            let name = error["name"].as_str().unwrap();
            let selector = keccak256(format!("{name}({})", signature(&error["inputs"])));
            let data = [&selector[..4], &arguments(&error["inputs"])].concat();
            let revert = Revert::decode(&data);
            let sentence = revert.to_string();
            let place = format!("{}: {name}", path.file_stem().unwrap().to_string_lossy());
            assert!(
                !matches!(revert, Revert::Unknown(_) | Revert::Message(_) | Revert::Panic(_)),
                "{place}: {sentence}"
            );
            assert!(
                sentence.contains(' ') && !sentence.contains(name) && !sentence.contains("  "),
                "{place}: {sentence}"
            );
            sentences.insert(place, sentence);
        }
    }
    assert!(artifacts >= 8 && sentences.len() > 100, "{artifacts} artifacts with {} errors", sentences.len());
    let mut sentences: Vec<_> = sentences.into_iter().collect();
    sentences.sort();
    for (place, sentence) in sentences {
        println!("{place:<55} {sentence}");
    }
}

/// Data with a known selector that does not decode is not taken for that error.
#[test]
fn malformed_errors_are_shown_as_they_are() {
    let selector = &keccak256("AlreadyLocked(uint256)")[..4];
    for arguments in [&[][..], &[0; 31]] {
        let data = [selector, arguments].concat();
        assert!(matches!(Revert::decode(&data), Revert::Unknown(_)));
    }
    let dirty = [&keccak256("NotEscrow(address)")[..4], &[0xff; 32]].concat();
    assert!(matches!(Revert::decode(&dirty), Revert::Unknown(_)));
}
