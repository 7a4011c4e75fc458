//! Lane by lane.

use lorica_circuits::bn254::{Field, Fr};
use lorica_verifier::protocol::multilinear::integer;

use super::{LANES, Lanes};
use crate::wide::{Limbs, Wide};

/// Eight field elements as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable([Fr; LANES]);

impl Portable {
    #[inline(always)]
    fn map(self, other: Self, operation: impl Fn(Fr, Fr) -> Fr) -> Self {
        let mut result = self.0;
        for (left, right) in result.iter_mut().zip(other.0) {
            *left = operation(*left, right);
        }
        Self(result)
    }
}

impl Lanes for Portable {
    type Packed = [Fr; LANES];
    type Scalar = Fr;
    type Small = (Fr, Limbs);
    type Wide = [Fr; LANES];
    type Integers = [i64; LANES];
    type SmallSum = [Wide; LANES];
    const BIAS: i64 = 0;

    #[inline(always)]
    fn run<R>(kernel: impl FnOnce() -> R) -> R {
        kernel()
    }
    fn scalar(value: &Fr) -> Fr {
        *value
    }
    fn small(value: &Fr) -> (Fr, Limbs) {
        (*value, Limbs::from(value))
    }
    #[inline(always)]
    fn broadcast(value: &Fr) -> Self {
        Self([*value; LANES])
    }
    #[inline(always)]
    fn from_lanes(values: &[Fr; LANES]) -> Self {
        Self(*values)
    }
    #[inline(always)]
    fn to_lanes(self) -> [Fr; LANES] {
        self.0
    }
    #[inline(always)]
    fn load(packed: &Self::Packed) -> Self {
        Self(*packed)
    }
    #[inline(always)]
    fn store(self) -> Self::Packed {
        self.0
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.map(other, |a, b| a - b)
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.map(other, |a, b| a * b)
    }
    #[inline(always)]
    fn plus_product(self, left: Self, right: Self) -> Self {
        self.map(left.times(right), |a, b| a + b)
    }
    #[inline(always)]
    fn dot(a: Self, b: Self, c: Self, d: Self) -> Self {
        a.times(b).plus_product(c, d)
    }
    #[inline(always)]
    fn wide() -> Self::Wide {
        [Fr::ZERO; LANES]
    }
    #[inline(always)]
    fn accumulate(sum: &mut Self::Wide, left: Self, right: Self) {
        *sum = Self(*sum).plus_product(left, right).0;
    }
    #[inline(always)]
    fn reduce(sum: Self::Wide) -> Self {
        Self(sum)
    }
    #[inline(always)]
    fn integers(rows: [&[i64; LANES]; LANES]) -> [[i64; LANES]; LANES] {
        std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
    }
    #[inline(always)]
    fn is_small(_: i64) -> bool {
        true
    }
    #[inline(always)]
    fn load_integers(integers: &[i64; LANES]) -> [i64; LANES] {
        *integers
    }
    #[inline(always)]
    fn small_sum() -> [Wide; LANES] {
        [Wide::default(); LANES]
    }
    #[inline(always)]
    fn add_small(sum: &mut [Wide; LANES], integers: [i64; LANES], (_, limbs): &(Fr, Limbs)) {
        for (sum, integer) in sum.iter_mut().zip(integers) {
            sum.add_product(integer, limbs);
        }
    }
    #[inline(always)]
    fn reduce_small(sum: [Wide; LANES]) -> Self {
        Self(sum.map(|sum| sum.reduce()))
    }
    #[inline(always)]
    fn minus_small(self, integers: [i64; LANES], (factor, _): &(Fr, Limbs)) -> Self {
        self.map(Self(integers.map(integer)), |a, b| a - b * factor)
    }
}
