//! The golden files of the verifier's own tests (`verifier/tests/golden`): keys, proofs and forged proofs of synthetic
//! models, so that the verifier is tested on real proofs without a prover.
//!
//! A change of protocol or format makes [`the_golden_files_are_of_this_protocol`] fail; then, if it was meant,
//! `cargo test --release -p lorica-prover --test all golden:: -- --ignored` writes them anew.

use super::support;

use std::fs;
use std::path::PathBuf;

use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::shape::OutputKind::{self, Classify, Embed};
use lorica_quant::import::Activation;
use lorica_quant::integer::synthetic::{SMALL, Sizes};
use lorica_verifier::files::codec::Writer;
use lorica_verifier::protocol::field::Outcome;
use lorica_verifier::protocol::keccak::encode_scalar;
use lorica_verifier::protocol::lookup::LeafChallenges;
use lorica_verifier::protocol::proof::InferenceProof;
use support::naive::{Faithful, Forger, prove};
use support::{Run, World};

/// More than one of everything that is counted: layers, blocks of either width, tiles of words, and words that fill
/// neither their tiles nor a power of two.
const WIDE: Sizes =
    Sizes { hidden: 256, intermediate: 384, vocab: 300, layers: 2, activation: Activation::Relu, ..SMALL };

/// Proofs: name, model, kind, and each request's tokens and adapter.
type Golden = (&'static str, &'static str, OutputKind, &'static [(usize, Option<usize>)]);

const GOLDEN: [Golden; 5] = [
    ("embed_one", "small", Embed, &[(10, None)]),
    ("classify_one", "small", Classify, &[(16, Some(0))]),
    // Four places, three requests.
    ("classify_three", "small", Classify, &[(3, Some(1)), (5, Some(0)), (16, Some(0))]),
    ("embed_two", "wide", Embed, &[(2, Some(1)), (20, None)]),
    ("classify_two", "wide", Classify, &[(7, Some(0)), (13, Some(1))]),
];

fn world(model: &str) -> World {
    match model {
        "small" => World::new(SMALL, 71, 2),
        "wide" => World::new(WIDE, 72, 2),
        _ => unreachable!("no model {model}"),
    }
}

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../verifier/tests/golden")
}

pub fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A base and its adapters.
pub fn key_writer(world: &World) -> Writer {
    let mut writer = Writer::new(b"LORICAgk", 1);
    world.key.write(&mut writer);
    writer.count(world.adapters.len());
    for adapter in &world.adapters {
        adapter.key.write(&mut writer);
    }
    writer
}

fn key_file(world: &World) -> Vec<u8> {
    key_writer(world).finish()
}

/// Words, one a line.
pub fn text(words: &[Fr]) -> String {
    let line = |word: &Fr| encode_scalar(word).iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    words.iter().map(line).collect()
}

/// The words of an outcome.
pub fn outcome_words(outcome: &Outcome<Fr>) -> Vec<u8> {
    let m = &outcome.mercury;
    let mut words = outcome.rho_high.clone();
    words.extend([m.alpha, m.zeta, m.beta, m.z, m.constant, outcome.scales_word]);
    for request in &outcome.requests {
        words.extend([request.input_digest, request.label, request.output_digest]);
        words.extend(&request.shares);
    }
    text(&words).into_bytes()
}

/// Fractions of leaves are not those of their cells: numerator, and the key that is counted.
struct OtherLeaf {
    leaf: usize,
    key: u64,
}
impl Forger for OtherLeaf {
    fn leaves(&mut self, leaf: &LeafChallenges<Fr>, _p: &mut [Fr], q: &mut [Fr]) {
        q[self.leaf] = leaf.x - Fr::from(self.key) - leaf.b.square();
    }
}

/// A multiplicity chosen when X is known.
struct LateMultiplicity(usize);
impl Forger for LateMultiplicity {
    fn leaves(&mut self, _leaf: &LeafChallenges<Fr>, p: &mut [Fr], q: &mut [Fr]) {
        let others = (0..p.len()).filter(|&i| i != self.0 && !bool::from(p[i].is_zero()));
        let rest: Fr = others.map(|i| p[i] * q[i].invert().unwrap()).sum();
        p[self.0] = -rest * q[self.0];
    }
}

/// 1/0 twice: the root is 0/0.
struct TwoPoles;
impl Forger for TwoPoles {
    fn leaves(&mut self, _leaf: &LeafChallenges<Fr>, _p: &mut [Fr], q: &mut [Fr]) {
        (q[0], q[1]) = (Fr::ZERO, Fr::ZERO);
    }
}

/// The factor of relations with fewer variables left out.
struct WithoutFactor;
impl Forger for WithoutFactor {
    fn skipped(&mut self, _skipped: usize) -> usize {
        0
    }
}

/// Values of operands with the same product.
struct SameProduct;
impl Forger for SameProduct {
    fn operands(&mut self, operands: &mut [Fr]) {
        operands[0] = operands[0].double();
        operands[1] *= Fr::TWO_INV;
    }
}

/// A claim that the reduction leaves out.
struct LeftOut(usize);
impl Forger for LeftOut {
    fn functional(&mut self, claim: usize, weights: &mut Vec<(usize, Fr)>) {
        if claim == self.0 {
            weights.clear();
        }
    }
}

fn cells(run: &mut Run, column: Column) -> &mut Vec<i64> {
    run.columns.get_mut(&column).expect("a column")
}

/// A limb one unit beyond its range, the next limb one less: every relation still holds. Its leaf, and its old key.
fn beyond(world: &World, run: &mut Run) -> (usize, i64) {
    let limbs = cells(run, columns::PROB_REMAINDER);
    let half = limbs.len() / 2;
    let at = (0..half).find(|i| limbs[half + i] > 0).expect("a limb");
    let (old, high) = (limbs[at], limbs[half + at]);
    limbs[at] += 65536;
    limbs[half + at] -= 1;
    let counts = cells(run, columns::MULT_RANGE16);
    counts[high as usize] -= 1;
    counts[high as usize - 1] += 1;
    assert_eq!(world.broken(run), Vec::<&str>::new());
    let layout = world.key.architecture.layout(&run.statement.shape).expect("a layout");
    (support::at(&layout, columns::PROB_REMAINDER, at), old)
}

/// Forged proofs of the small model; the verifier's test knows which check each must meet.
fn forged(world: &World) -> Vec<(&'static str, InferenceProof)> {
    let embed = world.run(Embed, &[(9, None)]);
    let classify = world.run(Classify, &[(9, Some(0))]);
    let layout = world.key.architecture.layout(&embed.statement.shape).expect("a layout");
    let mut all = Vec::new();

    let half = [(columns::QKV_REMAINDER, 5, Fr::TWO_INV)];
    all.push(("fraction", prove(world, &classify, &half, &mut Faithful)));

    let mut run = embed.clone();
    let (leaf, key) = beyond(world, &mut run);
    all.push(("poles", prove(world, &run, &[], &mut TwoPoles)));
    all.push(("leaf", prove(world, &run, &[], &mut OtherLeaf { leaf, key: key as u64 })));
    let table = support::at(&layout, columns::MULT_RANGE16, 0);
    all.push(("late", prove(world, &run, &[], &mut LateMultiplicity(table))));

    all.push(("factor", prove(world, &classify, &[], &mut WithoutFactor)));
    let mut run = classify.clone();
    cells(&mut run, columns::NORM_SQUARES)[0] += 1;
    all.push(("relation", prove(world, &run, &[], &mut Faithful)));
    all.push(("operands", prove(world, &classify, &[], &mut SameProduct)));
    all.push(("left_out", prove(world, &classify, &[], &mut LeftOut(0))));

    // The statement names adapter 0, the weights are adapter 1's; a base weight is another.
    let mut run = classify.clone();
    run.columns = world.run(Classify, &[(9, Some(1))]).columns;
    let other = world.run(Classify, &[(9, Some(1))]).statement.requests[0].output.clone();
    run.statement.requests[0].output = other;
    run.adapters = vec![Some(1)];
    all.push(("adapter", world.prove(&run).expect("a proof")));
    let mut changed = self::world("small");
    let at = support::at(&layout, columns::TOKEN_TYPE, 0);
    changed.base[at] += 1;
    changed.synthetic.base.columns.edit(columns::TOKEN_TYPE, |cells| cells[0] += 1);
    let mut run = changed.run(Embed, &[(9, None)]);
    run.statement = lorica_verifier::protocol::proof::Statement {
        requests: run.statement.requests.clone(),
        ..embed.statement.clone()
    };
    all.push(("weight", changed.prove(&run).expect("a proof")));
    all
}

#[test]
#[ignore = "writes verifier/tests/golden"]
fn golden() {
    fs::create_dir_all(folder().join("forged")).expect("a folder");
    let write = |name: String, bytes: &[u8]| fs::write(folder().join(name), bytes).expect("a file");
    for model in ["small", "wide"] {
        let world = world(model);
        write(format!("{model}.key"), &key_file(&world));
        for (name, _, kind, requests) in GOLDEN.iter().filter(|(_, of, ..)| *of == model) {
            let proof = world.prove(&world.run(*kind, requests)).expect("a proof");
            write(format!("{name}.proof"), &proof.encode());
            write(format!("{name}.words"), &outcome_words(&world.verify(&proof).expect("accepted")));
        }
    }
    let world = world("small");
    for (name, proof) in forged(&world) {
        let error = world.verify(&proof).expect_err(name);
        println!("{name}: {error}");
        write(format!("forged/{name}.proof"), &proof.encode());
    }
}

/// Registration is deterministic: the same models give the same keys. Proofs are not; they must be accepted, say what
/// the models compute, and leave the words that were recorded.
#[test]
fn the_golden_files_are_of_this_protocol() {
    for model in ["small", "wide"] {
        let world = world(model);
        assert!(read(&format!("{model}.key")) == key_file(&world), "another key for {model}: write the files anew");
        for (name, _, kind, requests) in GOLDEN.iter().filter(|(_, of, ..)| *of == model) {
            let proof = InferenceProof::decode(&read(&format!("{name}.proof"))).expect(name);
            assert_eq!(proof.statement, world.run(*kind, requests).statement, "{name}");
            let outcome = world.verify(&proof).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(read(&format!("{name}.words")), outcome_words(&outcome), "{name}");
        }
    }
}
