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

/// Points whose discrete logarithms are known: the expected sum is one multiplication.
struct Bases {
    points: Vec<G1Affine>,
    logarithms: Vec<Fr>,
}

fn bases(count: usize) -> Bases {
    let mut numbers = Numbers(7);
    let (start, step) = (numbers.scalar(), numbers.scalar());
    let logarithms: Vec<Fr> =
        std::iter::successors(Some(start), |logarithm| Some(logarithm + step)).take(count).collect();
    let step = G1::generator() * step;
    let points: Vec<G1> =
        std::iter::successors(Some(G1::generator() * start), |point| Some(point + step)).take(count).collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    Bases { points: affine, logarithms }
}

impl Bases {
    /// Bases in which few points occur, their opposites and the identity among them.
    fn few(count: usize) -> Self {
        let some = bases(5);
        let mut numbers = Numbers(3);
        let (points, logarithms) = (0..count)
            .map(|_| match numbers.next() % 11 {
                10 => (G1Affine::identity(), Fr::ZERO),
                choice @ 0..5 => (some.points[choice as usize], some.logarithms[choice as usize]),
                choice => (-some.points[choice as usize - 5], -some.logarithms[choice as usize - 5]),
            })
            .unzip();
        Self { points, logarithms }
    }

    fn sum(&self, scalars: &[Fr]) -> G1 {
        let logarithm: Fr = scalars.iter().zip(&self.logarithms).map(|(scalar, logarithm)| scalar * logarithm).sum();
        G1::generator() * logarithm
    }

    fn check_small(&self, values: &[i64]) {
        let scalars: Vec<Fr> = values.iter().map(|value| to_scalar(*value)).collect();
        assert_eq!(commit_small(&self.points, values), self.sum(&scalars), "{} values", values.len());
    }

    fn check(&self, scalars: &[Fr]) {
        assert_eq!(msm(scalars, &self.points), self.sum(scalars), "{} scalars", scalars.len());
    }
}

fn to_scalar(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

const SIZES: [usize; 12] = [0, 1, 2, 3, 7, 255, 256, 257, 1023, 1024, 1025, 3000];

#[test]
fn small_integers_of_every_length_and_count() {
    let bases = bases(3000);
    let mut numbers = Numbers(1);
    for size in SIZES {
        for bits in [1, 2, 8, 15, 16, 17, 22, 31, 32, 33, 48, 63, 64] {
            let values: Vec<i64> = (0..size).map(|_| (numbers.next() as i64) >> (64 - bits)).collect();
            bases.check_small(&values);
        }
    }
}

#[test]
fn extreme_values() {
    let bases = bases(600);
    for extreme in [
        i64::MAX,
        i64::MIN,
        i64::MIN + 1,
        -1,
        1,
        0,
        1 << 15,
        (1 << 15) - 1,
        -(1 << 15),
        -(1 << 15) - 1,
        1 << 31,
        1 << 47,
    ] {
        bases.check_small(&[extreme]);
        bases.check_small(&[extreme; 600]);
        let mut mixed = vec![3; 600];
        mixed[77] = extreme;
        mixed[599] = extreme;
        bases.check_small(&mixed);
    }
}

#[test]
fn sparse_and_boolean_values() {
    let bases = bases(2000);
    let mut numbers = Numbers(2);
    let sparse: Vec<i64> =
        (0..2000).map(|_| if numbers.next().is_multiple_of(10) { numbers.next() as i16 as i64 } else { 0 }).collect();
    bases.check_small(&sparse);
    let boolean: Vec<i64> = (0..2000).map(|_| (numbers.next() & 1) as i64).collect();
    bases.check_small(&boolean);
    bases.check_small(&[1; 2000]);
    bases.check_small(&[0; 2000]);
}

#[test]
fn equal_opposite_and_missing_bases() {
    let bases = Bases::few(4000);
    let mut numbers = Numbers(5);
    for spread in [1, 2, 100, 1 << 15] {
        let values: Vec<i64> = (0..4000).map(|_| (numbers.next() % (2 * spread + 1)) as i64 - spread as i64).collect();
        bases.check_small(&values);
    }
    let few = [numbers.scalar(), numbers.scalar(), Fr::ZERO];
    let scalars: Vec<Fr> = (0..4000).map(|index| few[index % 3]).collect();
    bases.check(&scalars);
    // Everything cancels.
    let some = &bases.points[..5];
    let pairs: Vec<G1Affine> = (0..2000).flat_map(|index| [some[index % 5], -some[index % 5]]).collect();
    assert_eq!(commit_small(&pairs, &[12345i64; 4000]), G1::identity());
    assert_eq!(commit_small(&[G1Affine::identity(); 4000], &[12345i64; 4000]), G1::identity());
}

#[test]
fn scalars_of_every_count() {
    let bases = bases(3000);
    let mut numbers = Numbers(4);
    for size in SIZES {
        let scalars: Vec<Fr> = (0..size).map(|_| numbers.scalar()).collect();
        bases.check(&scalars);
    }
    for edge in [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2).pow([253]), -Fr::from(2).pow([252])] {
        bases.check(&[edge; 700]);
    }
}

#[test]
fn other_integer_types() {
    let bases = bases(300);
    let values: Vec<i16> = (0..300).map(|index| (index * 217 - 30_000) as i16).collect();
    let wide: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
    assert_eq!(commit_small(&bases.points, &values), commit_small(&bases.points, &wide));
}

/// The same sums by arkworks, whose code is another's.
mod arkworks {
    use ark_bn254::{Fq, Fr, G1Affine, G1Projective};
    use ark_ec::{CurveGroup, VariableBaseMSM};
    use ark_ff::PrimeField as _;
    use lorica_circuits::bn254::PrimeField as _;

    pub fn scalar(scalar: &super::Fr) -> Fr {
        Fr::from_le_bytes_mod_order(&scalar.to_repr())
    }

    pub fn point(point: &super::G1Affine) -> G1Affine {
        if *point == <super::G1Affine as super::PrimeCurveAffine>::identity() {
            return G1Affine::identity();
        }
        let coordinate = |bytes: [u8; 32]| Fq::from_le_bytes_mod_order(&bytes);
        G1Affine::new(coordinate(point.x.to_repr()), coordinate(point.y.to_repr()))
    }

    pub fn msm(scalars: &[super::Fr], bases: &[super::G1Affine]) -> G1Affine {
        let scalars: Vec<Fr> = scalars.iter().map(scalar).collect();
        let bases: Vec<G1Affine> = bases[..scalars.len()].iter().map(point).collect();
        G1Projective::msm(&bases, &scalars).unwrap().into_affine()
    }
}

#[test]
fn arkworks_finds_the_same_sums() {
    let bases = bases(20_000);
    let mut numbers = Numbers(9);
    for size in [1, 300, 20_000] {
        let values: Vec<i64> = (0..size).map(|_| numbers.next() as i16 as i64).collect();
        let scalars: Vec<Fr> = values.iter().map(|value| to_scalar(*value)).collect();
        assert_eq!(
            arkworks::point(&commit_small(&bases.points, &values).to_affine()),
            arkworks::msm(&scalars, &bases.points)
        );
        let scalars: Vec<Fr> = (0..size).map(|_| numbers.scalar()).collect();
        assert_eq!(arkworks::point(&msm(&scalars, &bases.points).to_affine()), arkworks::msm(&scalars, &bases.points));
    }
}
