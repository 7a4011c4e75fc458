//! Multi-scalar multiplication against the definition.

use lorica_circuits::bn254::{Curve, Field, Fr, G1, G1Affine, Group, PrimeCurveAffine};
use lorica_prover::msm::{commit_small, msm};

/// A fixed sequence of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn scalar(&mut self) -> Fr {
        (0..4).fold(Fr::ZERO, |sum, _| sum * Fr::from(2).pow([64]) + Fr::from(self.next()))
    }
}

fn bases(count: usize) -> Vec<G1Affine> {
    let mut numbers = Numbers(7);
    let step = G1::generator() * numbers.scalar();
    let mut point = G1::generator() * numbers.scalar();
    let points: Vec<G1> = (0..count)
        .map(|_| {
            point += step;
            point
        })
        .collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    affine
}

fn to_scalar(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

fn naive(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    scalars.iter().zip(bases).map(|(scalar, base)| base * scalar).sum()
}

fn check_small(values: &[i64], bases: &[G1Affine]) {
    let scalars: Vec<Fr> = values.iter().map(|value| to_scalar(*value)).collect();
    assert_eq!(commit_small(bases, values), naive(&scalars, bases), "{} values", values.len());
}

const SIZES: [usize; 12] = [0, 1, 2, 3, 7, 255, 256, 257, 1023, 1024, 1025, 3000];

#[test]
fn small_integers_of_every_length_and_count() {
    let bases = bases(3000);
    let mut numbers = Numbers(1);
    for size in SIZES {
        for bits in [1, 2, 8, 15, 16, 17, 22, 31, 32, 33, 48, 63, 64] {
            if size > 300 && bits % 8 != 0 {
                continue;
            }
            let values: Vec<i64> = (0..size).map(|_| (numbers.next() as i64) >> (64 - bits)).collect();
            check_small(&values, &bases);
        }
    }
}

#[test]
fn extreme_values() {
    let bases = bases(600);
    for extreme in
        [i64::MAX, i64::MIN, i64::MIN + 1, -1, 1, 0, 1 << 15, (1 << 15) - 1, -(1 << 15), -(1 << 15) - 1, 1 << 31, 1 << 47]
    {
        check_small(&[extreme], &bases);
        check_small(&[extreme; 600], &bases);
        let mut mixed = vec![3; 600];
        mixed[77] = extreme;
        mixed[599] = extreme;
        check_small(&mixed, &bases);
    }
}

#[test]
fn sparse_and_boolean_values() {
    let bases = bases(2000);
    let mut numbers = Numbers(2);
    let sparse: Vec<i64> = (0..2000).map(|_| if numbers.next() % 10 == 0 { numbers.next() as i16 as i64 } else { 0 }).collect();
    check_small(&sparse, &bases);
    let boolean: Vec<i64> = (0..2000).map(|_| (numbers.next() & 1) as i64).collect();
    check_small(&boolean, &bases);
    check_small(&vec![1; 2000], &bases);
    check_small(&vec![0; 2000], &bases);
}

#[test]
fn equal_opposite_and_missing_bases() {
    let some = bases(5);
    let mut numbers = Numbers(3);
    // Few distinct points, their opposites and the identity, so that buckets double, cancel and empty.
    let bases: Vec<G1Affine> = (0..4000)
        .map(|_| match numbers.next() % 11 {
            10 => G1Affine::identity(),
            choice @ 0..5 => some[choice as usize],
            choice => -some[(choice - 5) as usize],
        })
        .collect();
    for spread in [1, 2, 100, 1 << 15] {
        let values: Vec<i64> = (0..4000).map(|_| (numbers.next() % (2 * spread + 1)) as i64 - spread as i64).collect();
        check_small(&values, &bases);
    }
    let scalars: Vec<Fr> = (0..4000).map(|index| to_scalar(index % 3) * some_scalar(index as u64 % 2)).collect();
    assert_eq!(msm(&scalars, &bases), naive(&scalars, &bases));
    // Everything cancels.
    let pairs: Vec<G1Affine> = (0..2000).flat_map(|index| [some[index % 5], -some[index % 5]]).collect();
    assert_eq!(commit_small(&pairs, &vec![12345i64; 4000]), G1::identity());
    assert_eq!(commit_small(&vec![G1Affine::identity(); 4000], &vec![12345i64; 4000]), G1::identity());
}

fn some_scalar(seed: u64) -> Fr {
    Numbers(seed).scalar()
}

#[test]
fn scalars_of_every_count() {
    let bases = bases(3000);
    let mut numbers = Numbers(4);
    for size in SIZES {
        let scalars: Vec<Fr> = (0..size).map(|_| numbers.scalar()).collect();
        assert_eq!(msm(&scalars, &bases), naive(&scalars, &bases), "{size} scalars");
    }
    for edge in [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2).pow([253]), -Fr::from(2).pow([252])] {
        assert_eq!(msm(&vec![edge; 700], &bases), naive(&vec![edge; 700], &bases));
    }
}

#[test]
fn other_integer_types() {
    let bases = bases(300);
    let values: Vec<i16> = (0..300).map(|index| (index * 217 - 30_000) as i16).collect();
    let wide: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
    assert_eq!(commit_small(&bases, &values), commit_small(&bases, &wide));
}
