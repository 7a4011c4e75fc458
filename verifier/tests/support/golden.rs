//! Golden files, and what tests do to them.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use lorica_circuits::bn254::Fr;
use lorica_verifier::files::codec::Reader;
use lorica_verifier::protocol::field::Outcome;
use lorica_verifier::protocol::keccak::encode_scalar;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};
use sha3::{Digest, Keccak256};

use super::hooked::Hook;

pub fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read(path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A base and its adapters, and what a file of keys has behind them.
pub fn keys<T>(model: &str, rest: impl FnOnce(&mut Reader<'_>) -> T) -> (BaseCommitments, Vec<AdapterCommitments>, T) {
    let bytes = file(&format!("{model}.key"));
    let mut reader = Reader::new(&bytes, "golden key", b"LORICAgk", 1).unwrap();
    let base = BaseCommitments::read(&mut reader).unwrap();
    let count = reader.count("adapters", 2, 64).unwrap();
    let adapters = (0..count).map(|_| AdapterCommitments::read(&mut reader).unwrap()).collect();
    let rest = rest(&mut reader);
    reader.finish().unwrap();
    (base, adapters, rest)
}

pub fn edited<P: Clone + Debug + PartialEq>(proof: &P, edit: impl FnOnce(&mut P)) -> P {
    let mut forged = proof.clone();
    edit(&mut forged);
    assert_ne!(&forged, proof, "nothing is edited");
    forged
}

/// The edited file under a right digest.
pub fn resealed(bytes: &[u8], edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    let (content, digest) = forged.split_at_mut(bytes.len() - 32);
    edit(content);
    digest.copy_from_slice(&Keccak256::digest(content));
    forged
}

/// Words, one a line.
pub fn text(words: &[Fr]) -> Vec<u8> {
    let line = |word: &Fr| encode_scalar(word).iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    words.iter().map(line).collect::<String>().into_bytes()
}

pub fn outcome_words(outcome: &Outcome<Fr>) -> Vec<u8> {
    let m = &outcome.mercury;
    let mut words = outcome.rho_high.clone();
    words.extend([m.alpha, m.zeta, m.beta, m.z, m.constant, outcome.scales_word]);
    for request in &outcome.requests {
        words.extend([request.input_digest, request.label, request.output_digest]);
        words.extend(&request.shares);
    }
    text(&words)
}

/// Notes the checks, and overlooks some of them.
#[derive(Default)]
pub struct Watched {
    pub asked: BTreeSet<&'static str>,
    pub overlooked: &'static [&'static str],
}

impl Hook for Watched {
    fn overlooks(&mut self, what: &'static str) -> bool {
        self.asked.insert(what);
        self.overlooked.contains(&what)
    }
}
