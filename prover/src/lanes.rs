//! Eight scalars at once: the arithmetic of the prover's inner loops.
//!
//! A kernel is written once, generic over [`Lanes`]: with AVX-512 IFMA where the processor has it, lane by lane elsewhere.
//! All its functions are `#[inline(always)]` and it is called through [`Lanes::run`], which compiles it for the processor.

#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
pub(crate) mod portable;

use lorica_circuits::bn254::Fr;

/// Lanes of a vector.
pub(crate) const LANES: usize = 8;

/// Products that an unreduced sum may hold.
pub(crate) const WIDE_TERMS: usize = 256;

/// Products by small integers that an unreduced sum may hold.
pub(crate) const SMALL_TERMS: usize = 2048;

/// Eight elements of the scalar field in some redundant form.
pub(crate) trait Lanes: Copy + Send + Sync {
    /// As they lie in memory.
    type Packed: Copy + Send + Sync;
    /// One element, to be had in all lanes.
    type Scalar: Copy + Send + Sync;
    /// One element, to be multiplied by small integers.
    type Small: Copy + Send + Sync;
    /// An unreduced sum of products.
    type Wide: Copy;
    /// Eight small integers.
    type Integers: Copy;
    /// An unreduced sum of products by small integers.
    type SmallSum: Copy;
    /// Added to integers before they are multiplied: constants make up for it.
    const BIAS: i64;

    /// Runs a kernel with the processor's features.
    fn run<R>(kernel: impl FnOnce() -> R) -> R;

    fn scalar(value: &Fr) -> Self::Scalar;
    fn small(value: &Fr) -> Self::Small;
    fn broadcast(value: &Self::Scalar) -> Self;
    fn from_lanes(values: &[Fr; LANES]) -> Self;
    fn to_lanes(self) -> [Fr; LANES];
    fn load(packed: &Self::Packed) -> Self;
    fn store(self) -> Self::Packed;

    /// `self − other`, to be used only as a factor.
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// `self + left·right`.
    fn plus_product(self, left: Self, right: Self) -> Self;
    /// `a·b + c·d`.
    fn dot(a: Self, b: Self, c: Self, d: Self) -> Self;

    fn wide() -> Self::Wide;
    /// Adds a product; at most [`WIDE_TERMS`] of them.
    fn accumulate(sum: &mut Self::Wide, left: Self, right: Self);
    /// The sum, to be used only as a factor.
    fn reduce(sum: Self::Wide) -> Self;

    /// Column i of the result holds the i-th integers of all rows.
    fn integers(rows: [&[i64; LANES]; LANES]) -> [Self::Integers; LANES];
    fn load_integers(integers: &[i64; LANES]) -> Self::Integers;
    fn small_sum() -> Self::SmallSum;
    /// Adds `(integers + BIAS)·factor`; at most [`SMALL_TERMS`] of them.
    fn add_small(sum: &mut Self::SmallSum, integers: Self::Integers, factor: &Self::Small);
    fn reduce_small(sum: Self::SmallSum) -> Self;
    /// Whether products by the integer may be taken.
    fn is_small(value: i64) -> bool;
    /// `self − (integers + BIAS)·factor`.
    fn minus_small(self, integers: Self::Integers, factor: &Self::Small) -> Self;
}

#[cfg(test)]
mod tests;
