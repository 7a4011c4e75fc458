//! Commitments to the Lagrange basis of a power-of-two domain, from the powers of the SRS.
//!
//! `[L_i(τ)]₁ = n⁻¹ Σ_j ω^(-ij) [τ^j]₁` is a Fourier transform of points. All scalar multiplications of a level run in step in
//! affine coordinates, one inversion for a whole chunk of additions (Montgomery's trick). The formulas are incomplete:
//! points that they do not cover (infinity, equal x) do not occur for a secret τ, and the slow transform takes over if
//! they do.

use halo2_base::halo2_proofs::arithmetic::g_to_lagrange;
use lorica_circuits::bn254::{Field, Fq, Fr, G1Affine, PrimeCurveAffine, PrimeField};
use rayon::prelude::*;

/// Points multiplied in step.
const CHUNK: usize = 1024;
/// Width of the signed digits.
const WINDOW: u32 = 5;
/// Odd multiples 1, 3, .., 15.
const MULTIPLES: usize = 1 << (WINDOW - 2);
/// Signed digits of a scalar.
const DIGITS: usize = 256;

/// A case that the incomplete formulas do not cover.
struct Exceptional;

/// Commitments to the Lagrange polynomials of the domain with as many elements as there are powers.
///
/// # Panics
/// If the number of powers is not a power of two, or above 2^28.
#[must_use]
pub fn lagrange_basis(powers: &[G1Affine]) -> Vec<G1Affine> {
    let k = powers.len().ilog2();
    assert!(powers.len() == 1 << k && k <= Fr::S, "{} powers span no domain", powers.len());
    transform(powers, k)
        .unwrap_or_else(|Exceptional| g_to_lagrange(powers.iter().map(PrimeCurveAffine::to_curve).collect(), k))
}

/// Decimation in time; the last level scales by 1/n.
fn transform(powers: &[G1Affine], k: u32) -> Result<Vec<G1Affine>, Exceptional> {
    let n = powers.len();
    if powers.iter().any(|point| bool::from(point.is_identity())) {
        return Err(Exceptional);
    }
    if k == 0 {
        return Ok(powers.to_vec());
    }
    let omega_inverse = (k..Fr::S).fold(Fr::ROOT_OF_UNITY_INV, |root, _| root.square());
    let n_inverse = Fr::TWO_INV.pow([u64::from(k)]);
    let mut points: Vec<G1Affine> = (0..n).map(|i| powers[i.reverse_bits() >> (usize::BITS - k)]).collect();
    for level in 0..k {
        let half = 1usize << level;
        let last = level + 1 == k;
        let root = omega_inverse.pow([(n / 2 / half) as u64]);
        let scale = if last { n_inverse } else { Fr::ONE };
        let twiddles = digits_of_powers(scale, root, half);
        // The upper half of every block, times its twiddle; twiddle 1 costs nothing.
        let upper: Vec<(G1Affine, usize)> =
            (0..n / 2).map(|b| (points[b / half * 2 * half + half + b % half], b % half)).collect();
        let upper = multiply_all(&upper, &twiddles)?;
        let mut lower: Vec<(G1Affine, usize)> =
            (0..n / 2).map(|b| (points[b / half * 2 * half + b % half], 0)).collect();
        if last {
            let scaled = multiply_all(&lower, &[digits(scale)])?;
            lower = scaled.into_iter().map(|point| (point, 0)).collect();
        }
        let butterflies: Vec<Vec<[G1Affine; 2]>> = lower
            .par_chunks(CHUNK)
            .zip(upper.par_chunks(CHUNK))
            .map(|(lower, upper)| butterfly(lower, upper))
            .collect::<Result<_, _>>()?;
        for (b, [sum, difference]) in butterflies.into_iter().flatten().enumerate() {
            let at = b / half * 2 * half + b % half;
            points[at] = sum;
            points[at + half] = difference;
        }
    }
    Ok(points)
}

/// Digits of `scale · root^j` for j below `count`.
fn digits_of_powers(scale: Fr, root: Fr, count: usize) -> Vec<[i8; DIGITS]> {
    let scalars = std::iter::successors(Some(scale), |power| Some(power * root));
    scalars.take(count).map(digits).collect()
}

/// Non-adjacent form: `scalar = Σ 2^i digit_i`, digits zero or odd and below 2^(WINDOW-1) in size, at least WINDOW - 1 zeros
/// between two others.
fn digits(scalar: Fr) -> [i8; DIGITS] {
    let bytes = scalar.to_repr();
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| i16::from(byte >> (at % 8) & 1));
    let mut out = [0i8; DIGITS];
    let mut carry = 0i16;
    let mut at = 0;
    while at < DIGITS {
        if (bit(at) + carry) & 1 == 0 {
            // 0 + 0 or 1 + 1: the carry stays what it is.
            at += 1;
            continue;
        }
        let window = (0..WINDOW as usize).map(|i| bit(at + i) << i).sum::<i16>() + carry;
        carry = i16::from(window > 1 << (WINDOW - 1));
        out[at] = (window - (carry << WINDOW)) as i8;
        at += WINDOW as usize;
    }
    out
}

/// Every point times the scalar that its index names.
fn multiply_all(points: &[(G1Affine, usize)], scalars: &[[i8; DIGITS]]) -> Result<Vec<G1Affine>, Exceptional> {
    if scalars.len() == 1 && scalars[0] == digits(Fr::ONE) {
        return Ok(points.iter().map(|(point, _)| *point).collect());
    }
    let chunks: Vec<Vec<G1Affine>> =
        points.par_chunks(CHUNK).map(|chunk| multiply_chunk(chunk, scalars)).collect::<Result<_, _>>()?;
    Ok(chunks.concat())
}

fn multiply_chunk(points: &[(G1Affine, usize)], scalars: &[[i8; DIGITS]]) -> Result<Vec<G1Affine>, Exceptional> {
    let mut additions = Additions::default();
    let lanes: Vec<usize> = (0..points.len()).collect();
    let mut twice: Vec<G1Affine> = points.iter().map(|(point, _)| *point).collect();
    let mut multiples = vec![twice.clone()];
    additions.double(&mut twice, &lanes)?;
    for i in 1..MULTIPLES {
        let mut next = multiples[i - 1].clone();
        additions.add(&mut next, &lanes, &twice)?;
        multiples.push(next);
    }
    // Infinity until a lane's first digit.
    let mut sums = vec![G1Affine::identity(); points.len()];
    let mut started: Vec<usize> = Vec::with_capacity(points.len());
    let (mut adding, mut addends) = (Vec::new(), Vec::new());
    for at in (0..DIGITS).rev() {
        additions.double(&mut sums, &started)?;
        adding.clear();
        addends.clear();
        for (lane, (_, scalar)) in points.iter().enumerate() {
            let digit = scalars[*scalar][at];
            if digit == 0 {
                continue;
            }
            let multiple = multiples[usize::from(digit.unsigned_abs()) / 2][lane];
            let addend = if digit < 0 { -multiple } else { multiple };
            if bool::from(sums[lane].is_identity()) {
                sums[lane] = addend;
                started.push(lane);
            } else {
                adding.push(lane);
                addends.push(addend);
            }
        }
        additions.add(&mut sums, &adding, &addends)?;
    }
    Ok(sums)
}

/// `(a + b, a - b)` of every pair.
fn butterfly(lower: &[(G1Affine, usize)], upper: &[G1Affine]) -> Result<Vec<[G1Affine; 2]>, Exceptional> {
    let mut additions = Additions::default();
    additions.invert(lower.iter().zip(upper).map(|((a, _), b)| b.x - a.x))?;
    let pairs = lower.iter().zip(upper).zip(&additions.inverses);
    Ok(pairs.map(|(((a, _), b), inverse)| [chord(a, b, inverse), chord(a, &-*b, inverse)]).collect())
}

/// `a + b`, given `1/(b.x - a.x)`.
fn chord(a: &G1Affine, b: &G1Affine, inverse: &Fq) -> G1Affine {
    third(a, &b.x, (b.y - a.y) * inverse)
}

/// The third point of the line of this slope through `a` and a point at `x`, reflected.
fn third(a: &G1Affine, x: &Fq, slope: Fq) -> G1Affine {
    let sum = slope.square() - a.x - x;
    G1Affine { x: sum, y: slope * (a.x - sum) - a.y }
}

/// Affine additions that share an inversion.
#[derive(Default)]
struct Additions {
    denominators: Vec<Fq>,
    inverses: Vec<Fq>,
}

impl Additions {
    /// Leaves the inverses of the denominators; none may be zero.
    fn invert(&mut self, denominators: impl Iterator<Item = Fq>) -> Result<(), Exceptional> {
        self.denominators.clear();
        self.denominators.extend(denominators);
        self.inverses.clear();
        let mut product = Fq::ONE;
        for denominator in &self.denominators {
            self.inverses.push(product);
            product *= denominator;
        }
        let mut inverse = Option::<Fq>::from(product.invert()).ok_or(Exceptional)?;
        for (before, denominator) in self.inverses.iter_mut().zip(&self.denominators).rev() {
            *before *= inverse;
            inverse *= denominator;
        }
        Ok(())
    }

    /// Doubles the named lanes.
    fn double(&mut self, points: &mut [G1Affine], lanes: &[usize]) -> Result<(), Exceptional> {
        self.invert(lanes.iter().map(|&lane| points[lane].y.double()))?;
        for (&lane, inverse) in lanes.iter().zip(&self.inverses) {
            let point = points[lane];
            let square = point.x.square();
            points[lane] = third(&point, &point.x, (square.double() + square) * inverse);
        }
        Ok(())
    }

    /// Adds one addend to each of the named lanes.
    fn add(&mut self, points: &mut [G1Affine], lanes: &[usize], addends: &[G1Affine]) -> Result<(), Exceptional> {
        self.invert(lanes.iter().zip(addends).map(|(&lane, addend)| addend.x - points[lane].x))?;
        for ((&lane, addend), inverse) in lanes.iter().zip(addends).zip(&self.inverses) {
            points[lane] = chord(&points[lane], addend, inverse);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lorica_circuits::bn254::{Curve, G1};
    use rand_core::OsRng;

    use super::*;

    fn powers(tau: Fr, k: u32) -> Vec<G1Affine> {
        let scalars = std::iter::successors(Some(Fr::ONE), |power| Some(power * tau));
        let points: Vec<G1> = scalars.take(1 << k).map(|scalar| G1Affine::generator() * scalar).collect();
        points.iter().map(Curve::to_affine).collect()
    }

    fn slow(powers: &[G1Affine]) -> Vec<G1Affine> {
        g_to_lagrange(powers.iter().map(PrimeCurveAffine::to_curve).collect(), powers.len().ilog2())
    }

    #[test]
    fn the_fast_transform_is_halo2s() {
        for k in [0, 1, 2, 3, 6, 11] {
            let powers = powers(Fr::random(OsRng), k);
            assert!(transform(&powers, k).is_ok_and(|fast| fast == slow(&powers)), "k = {k}");
        }
    }

    #[test]
    fn degenerate_powers_take_the_slow_way() {
        // τ = 1: all powers are equal; τ = -1: they alternate; τ = 0: infinity.
        for tau in [Fr::ONE, -Fr::ONE, Fr::ZERO] {
            let powers = powers(tau, 4);
            assert!(transform(&powers, 4).is_err());
            assert_eq!(lagrange_basis(&powers), slow(&powers));
        }
    }

    #[test]
    fn digits_are_the_scalar() {
        let small = (0u64..70).map(Fr::from);
        let random = (0..50).map(|_| Fr::random(OsRng));
        for scalar in small.clone().map(|scalar| -scalar).chain(small).chain(random) {
            let digits = digits(scalar);
            let horner = digits.iter().rev().fold(Fr::ZERO, |sum, &digit| {
                let size = Fr::from(u64::from(digit.unsigned_abs()));
                sum.double() + if digit < 0 { -size } else { size }
            });
            assert_eq!(horner, scalar);
            assert!(digits.iter().all(|digit| *digit == 0 || digit & 1 == 1 && digit.unsigned_abs() < 16));
        }
    }
}
