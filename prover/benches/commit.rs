//! Commitments and openings: `cargo bench -p lorica-prover --bench commit`.

#![allow(missing_docs, reason = "divan makes functions of its own")]

use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use lorica_circuits::bn254::{Field, Fr};
use lorica_prover::commit::{Tile, commit_tiles};
use lorica_prover::mercury::{evaluate_multilinear, open};
use lorica_prover::msm::{backend, commit_small, msm};
use lorica_prover::srs::Srs;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::group::GroupClaim;
use lorica_verifier::protocol::mercury::mercury_field_part;
use lorica_verifier::protocol::transcript::Transcript;

const LARGEST: u32 = 20;

static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(LARGEST).expect("a small SRS"));

fn main() {
    println!("additions: {}, threads: {}", backend(), std::thread::available_parallelism().map_or(1, usize::from));
    LazyLock::force(&SRS);
    divan::main();
}

/// SplitMix64.
fn number(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn scalars(count: usize) -> Vec<Fr> {
    let mut state = Fr::from(3).pow_vartime([200]);
    (0..count)
        .map(|_| {
            state = state.square() + Fr::ONE;
            state
        })
        .collect()
}

#[divan::bench(args = [16, 18, 20], sample_count = 10)]
fn small_integers_16_bit(bencher: Bencher, log_size: u32) {
    let values: Vec<i16> = (0..1 << log_size).map(|seed| number(seed) as i16).collect();
    bencher.counter(ItemsCount::new(values.len())).bench(|| commit_small(SRS.g1(), &values));
}

#[divan::bench(args = [8, 22, 32], sample_count = 10)]
fn small_integers_2_to_18_of_bits(bencher: Bencher, bits: u32) {
    let values: Vec<i64> = (0..1 << 18).map(|seed| (number(seed) as i64) >> (64 - bits)).collect();
    bencher.counter(ItemsCount::new(values.len())).bench(|| commit_small(SRS.g1(), &values));
}

#[divan::bench(sample_count = 10)]
fn booleans_2_to_18(bencher: Bencher) {
    let values: Vec<i16> = (0..1 << 18).map(|seed| (number(seed) & 1) as i16).collect();
    bencher.counter(ItemsCount::new(values.len())).bench(|| commit_small(SRS.g1(), &values));
}

#[divan::bench(sample_count = 5)]
fn sixteen_tiles_of_2_to_18(bencher: Bencher) {
    let values: Vec<i16> = (0..1 << 22).map(|seed| number(seed) as i16).collect();
    let tiles: Vec<Tile<'_>> = values.chunks(1 << 18).map(|cells| Tile::new(cells, &[])).collect();
    bencher.counter(ItemsCount::new(values.len())).bench(|| commit_tiles(&SRS, &tiles));
}

#[divan::bench(args = [10, 14, 18, 20], sample_count = 5)]
fn scalars_254_bit(bencher: Bencher, log_size: u32) {
    let scalars = scalars(1 << log_size);
    bencher.counter(ItemsCount::new(scalars.len())).bench(|| msm(&scalars, SRS.g1()));
}

fn transcript() -> Transcript<Native> {
    Transcript::new(&mut Native, Fr::ONE)
}

#[divan::bench(args = [18, 20], sample_count = 5)]
fn mercury_open(bencher: Bencher, variables: usize) {
    let coefficients = scalars((1 << variables) + 8);
    let point = scalars(variables);
    let value = evaluate_multilinear(&coefficients[..1 << variables], &point);
    bencher.bench(|| open(&SRS, &coefficients, &point, &value, &mut transcript()).expect("an opening"));
}

#[divan::bench(args = [0, 120], sample_count = 20)]
fn mercury_check_with_terms(bencher: Bencher, terms: usize) {
    let coefficients = scalars(1 << 10);
    let point = scalars(10);
    let value = evaluate_multilinear(&coefficients, &point);
    let proof = open(&SRS, &coefficients, &point, &value, &mut transcript()).expect("an opening");
    let commitment = lorica_prover::commit::commit(&SRS, &coefficients).expect("a commitment");
    let key = SRS.verifier_key();
    // Terms that add nothing: each base twice, with opposite coefficients.
    let zero: Vec<_> = (0..terms / 2)
        .flat_map(|index| {
            let coefficient = scalars(index + 1)[index];
            [(coefficient, SRS.g1()[index]), (-coefficient, SRS.g1()[index])]
        })
        .collect();
    bencher.bench(|| {
        let messages = proof.messages();
        let outcome = mercury_field_part(&mut Native, &mut transcript(), &point, &value, &messages).expect("accepted");
        let mut claim = GroupClaim { variables: 10, outcome, messages, terms: zero.clone() };
        claim.terms.push((Fr::ONE, commitment));
        claim.check(&key, &proof).expect("accepted");
    });
}

#[divan::bench]
fn poseidon_permutation() -> [Fr; 3] {
    lorica_circuits::poseidon::permute(divan::black_box([Fr::ONE; 3]))
}

#[divan::bench]
fn poseidon_permutation_reference() -> [Fr; 3] {
    lorica_circuits::poseidon::permute_reference(divan::black_box([Fr::ONE; 3]))
}

#[divan::bench(args = [18, 20], sample_count = 1, sample_size = 1)]
fn srs_dev(log_size: u32) -> Srs {
    Srs::dev(log_size).expect("a small SRS")
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn srs_read_2_to_20(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dev.srs");
    SRS.write(&path).expect("written");
    bencher.bench(|| Srs::read(&path).expect("read"));
}
