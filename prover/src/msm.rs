//! Multi-scalar multiplication: small integers by one window of signed buckets, scalars by several.
//!
//! Pippenger's bucket method with signed digits. The points of a window are sorted by digit, added up per bucket as
//! affine points with shared inversions (about six multiplications an addition), and the buckets are summed as a
//! matrix: `Σ_v v·B_v` needs only the sums of its rows and of its columns. Eight additions run at once where the
//! processor has AVX-512 IFMA.
//!
//! Bases may repeat, cancel or be the identity, and results are exact for any input: equal x is recognised in every
//! addition. Running time depends on the values; nothing here is constant-time.

mod addition;
mod buckets;
mod fixed_base;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod point;
mod portable;

use lorica_cells::{Cell, Slice, typed};
use lorica_circuits::bn254::{Curve, Fr, G1, G1Affine, Group, PrimeCurveAffine, PrimeField, msm_best};
use rayon::prelude::*;

pub(crate) use self::fixed_base::generator_multiples;

/// Below this many scalars halo2curves' sum is as fast.
const FEW: usize = 128;

/// Widest window: 2^15 buckets, 2 MB of points.
const WIDEST: usize = 16;

/// Affine forms with one inversion.
pub fn normalise(points: &[G1]) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::identity(); points.len()];
    G1::batch_normalize(points, &mut affine);
    affine
}

/// `Σ values_i · bases_i`. Costs about one addition per non-zero 16-bit digit.
///
/// # Panics
/// If there are more values than bases, or 2^31 of them.
pub fn commit_small<T: Cell>(bases: &[G1Affine], values: &[T]) -> G1 {
    commit_parts(bases, &[(0, values.into())])
}

/// The same sum of values of several widths, each part with the index of its first base, by rising index.
///
/// # Panics
/// As [`commit_small`].
pub fn commit_parts(bases: &[G1Affine], parts: &[(usize, Slice<'_>)]) -> G1 {
    let count = parts.last().map_or(0, |(start, values)| start + values.len());
    assert!(count <= bases.len(), "{count} values for {} bases", bases.len());
    // Values by length in bits, the sign included: a window of c bits holds lengths up to c.
    let mut lengths = [0usize; 65];
    for (_, values) in parts {
        typed!(*values, |values| count_lengths(values, &mut lengths));
    }
    let Some(longest) = lengths.iter().rposition(|count| *count != 0) else {
        return G1::identity();
    };
    let longer_than = |bits: usize| lengths.iter().skip(bits + 1).sum::<usize>();
    let width = (1..=WIDEST)
        .min_by_key(|width| {
            (0..longest.div_ceil(*width))
                .map(|window| longer_than(window * width) + window_overhead(*width))
                .sum::<usize>()
        })
        .unwrap_or(WIDEST);
    // One window holds two's complement exactly; the carry of several can lengthen the highest digit.
    let windows = longest.div_ceil(width);
    let windows = windows + usize::from(windows > 1 && longest.is_multiple_of(width));
    if windows == 1 {
        return buckets::window_sum(bases, digits_of(count, parts, |value| value as i32), width);
    }
    let offset: i128 = (0..windows).map(|window| 1i128 << (window * width + width - 1)).sum();
    sum_of_windows(windows, width, |window| {
        let own = |value: i64| digit(((i128::from(value) + offset) >> (window * width)) as u64, width);
        buckets::window_sum(bases, digits_of(count, parts, own), width)
    })
}

/// Counts the values that are not zero by their length in bits.
fn count_lengths<T: Cell>(values: &[T], lengths: &mut [usize; 65]) {
    for value in values {
        let value: i64 = (*value).into();
        if value != 0 {
            lengths[65 - (value ^ (value >> 63)).leading_zeros() as usize] += 1;
        }
    }
}

/// The digits of one window. A base without a value has the digit of 0, which is 0.
fn digits_of(count: usize, parts: &[(usize, Slice<'_>)], digit: impl Fn(i64) -> i32) -> Vec<i32> {
    let mut digits = vec![0; count];
    for (start, values) in parts {
        let own = &mut digits[*start..];
        typed!(*values, |values| for (own, &value) in own.iter_mut().zip(values) {
            *own = digit(value.into());
        });
    }
    digits
}

/// `Σ scalars_i · bases_i`.
///
/// # Panics
/// If there are more scalars than bases, or 2^31 of them.
pub fn msm(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    assert!(scalars.len() <= bases.len(), "{} scalars for {} bases", scalars.len(), bases.len());
    if scalars.len() < FEW {
        return few(scalars.iter().copied().zip(bases.iter().copied()));
    }
    let bits = Fr::NUM_BITS as usize + 1;
    let width = (4..=WIDEST)
        .min_by_key(|width| bits.div_ceil(*width) * (scalars.len() + window_overhead(*width)))
        .unwrap_or(WIDEST);
    let windows = bits.div_ceil(width);
    let shifted = shift_digits(scalars, windows, width);
    sum_of_windows(windows, width, |window| {
        let (limb, shift) = (window * width / 64, window * width % 64);
        let own = |limbs: &[u64; 5]| {
            let high = limbs.get(limb + 1).copied().unwrap_or(0);
            let bits = (u128::from(limbs[limb]) | (u128::from(high) << 64)) >> shift;
            digit(bits as u64, width)
        };
        buckets::window_sum(bases, shifted.iter().map(own).collect(), width)
    })
}

/// Additions that a window costs whatever it holds.
fn window_overhead(width: usize) -> usize {
    (1 << width) + 512
}

/// The signed digit in the lowest `width` bits of a number to which half a window was added at each digit.
fn digit(shifted: u64, width: usize) -> i32 {
    let mask = (1u64 << width) - 1;
    (shifted & mask) as i32 - (1 << (width - 1))
}

/// Scalars plus `Σ_window 2^(window·width + width − 1)`: their plain digits less half a window are the signed ones.
fn shift_digits(scalars: &[Fr], windows: usize, width: usize) -> Vec<[u64; 5]> {
    let mut offset = [0u64; 5];
    for window in 0..windows {
        let bit = window * width + width - 1;
        offset[bit / 64] |= 1 << (bit % 64);
    }
    scalars
        .par_iter()
        .map(|scalar| {
            let bytes = scalar.to_repr();
            let mut limbs = [0u64; 5];
            let mut carry = false;
            for (index, limb) in limbs.iter_mut().enumerate() {
                let mut own = [0u8; 8];
                own.copy_from_slice(bytes.get(8 * index..8 * index + 8).unwrap_or(&[0; 8]));
                let (sum, first) = u64::from_le_bytes(own).overflowing_add(offset[index]);
                let (sum, second) = sum.overflowing_add(u64::from(carry));
                (*limb, carry) = (sum, first | second);
            }
            limbs
        })
        .collect()
}

/// `Σ_window 2^(window·width) · sum(window)`.
fn sum_of_windows(windows: usize, width: usize, sum: impl Fn(usize) -> G1 + Send + Sync) -> G1 {
    let sums: Vec<G1> = (0..windows).into_par_iter().map(sum).collect();
    sums.iter().rev().fold(G1::identity(), |total, sum| (0..width).fold(total, |total, _| total.double()) + sum)
}

/// The sum of a few terms.
fn few(terms: impl Iterator<Item = (Fr, G1Affine)>) -> G1 {
    let (scalars, bases): (Vec<Fr>, Vec<G1Affine>) = terms.unzip();
    msm_best(&scalars, &bases)
}

/// Asks for a base that will soon be read.
#[cfg(target_arch = "x86_64")]
fn prefetch(base: &G1Affine) {
    ifma::prefetch(base);
}

/// Asks for a base that will soon be read: left to the processor.
#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: &G1Affine) {}

/// Which arithmetic the additions run on, for reports: `"avx512-ifma"` or `"portable"`.
pub fn backend() -> &'static str {
    if addition::has_ifma() { "avx512-ifma" } else { "portable" }
}
