//! Mercury: opens one multilinear polynomial at one point with eight points and six field elements.
//!
//! [`lorica_verifier::protocol::mercury`] states the messages and equations, `docs/protocol/mercury.md` derives them. The work is
//! linear in the number N of coefficients but for two N-sized multi-scalar multiplications (q and quot); all other
//! polynomials have about √N coefficients.
//!
//! Coefficients beyond 2^τ (blinding) form further rows of the matrix. They reach h, q and quot, and have no weight in
//! the value.

mod polynomial;
#[cfg(test)]
mod tests;

use lorica_cells::watch::{Cancelled, Unwatched, Watch};
use lorica_circuits::bn254::{Field, Fr, G1, G1Affine};
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::mercury::{Evaluations, MercuryProof, OpeningWeights, column_variables};
use lorica_verifier::protocol::transcript::Transcript;
use rayon::prelude::*;
use thiserror::Error;

use self::polynomial::{
    add_scaled, divide_by_root, evaluate, interpolate_three, interpolate_two, multiply_by_root, product_coefficients,
};
use crate::msm::{msm, normalise};
use crate::multilinear::eq_low_first;
use crate::srs::{EXTRA_POWERS, Srs, SrsError};

/// Why there is no opening.
#[derive(Debug, Error)]
pub enum MercuryError {
    /// The SRS has too few powers.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// More coefficients than cells and blinding.
    #[error("{found} coefficients, at most {most} for {variables} variables")]
    TooManyCoefficients {
        /// Coefficients.
        found: usize,
        /// 2^τ + 64.
        most: usize,
        /// τ.
        variables: usize,
    },
    /// The claimed value is not the polynomial's.
    #[error("the polynomial does not take the claimed value at the point")]
    WrongValue,
    /// Challenges coincide: probability below 2^-250.
    #[error("challenges coincide")]
    Degenerate,
    /// It was stopped on demand.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The multilinear polynomial with these evaluations (missing ones are zero) at a point, lowest bit first.
///
/// # Panics
/// If there are more than 2^τ of them.
pub fn evaluate_multilinear(evaluations: &[Fr], point: &[Fr]) -> Fr {
    assert!(evaluations.len() <= 1 << point.len(), "more evaluations than the hypercube has corners");
    let (low, high) = point.split_at(column_variables(point.len()));
    dot(&row_sums(evaluations, &eq_low_first(low)), &eq_low_first(high))
}

/// `⟨row, weights⟩` for each row of `weights.len()` coefficients; the last row may be shorter.
fn row_sums(coefficients: &[Fr], weights: &[Fr]) -> Vec<Fr> {
    coefficients.par_chunks(weights.len()).map(|row| dot(row, weights)).collect()
}

fn dot(left: &[Fr], right: &[Fr]) -> Fr {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// Opens the polynomial with these coefficients at a point of τ coordinates, lowest bit first: cells are the first 2^τ
/// coefficients (missing ones are zero), up to 64 more are blinding and do not count for the value. The transcript has
/// absorbed the commitments and what the point depends on; the value is absorbed here.
///
/// # Errors
/// [`MercuryError`].
pub fn open(
    srs: &Srs,
    coefficients: &[Fr],
    point: &[Fr],
    value: &Fr,
    transcript: &mut Transcript<Native>,
) -> Result<MercuryProof, MercuryError> {
    open_watched(srs, coefficients, point, value, transcript, &Unwatched)
}

/// [`open`], which can be stopped before each commitment.
///
/// # Errors
/// As [`open`], or [`MercuryError::Cancelled`].
pub(crate) fn open_watched(
    srs: &Srs,
    coefficients: &[Fr],
    point: &[Fr],
    value: &Fr,
    transcript: &mut Transcript<Native>,
    watch: &dyn Watch,
) -> Result<MercuryProof, MercuryError> {
    open_with(srs, coefficients, point, value, transcript, &mut Watched(watch))
}

/// Where a dishonest prover departs from the protocol. Every message can be edited before it is committed to; what comes
/// later is computed from the edited ones as the honest prover would. Only tests implement more than nothing.
trait Deviation {
    fn rows(&mut self, _h: &mut Vec<Fr>) {}
    fn divided(&mut self, _alpha: Fr, _q: &mut Vec<Fr>, _g: &mut Vec<Fr>) {}
    fn inner_products(&mut self, _gamma: Fr, _s: &mut Vec<Fr>, _d: &mut Vec<Fr>) {}
    fn evaluated(&mut self, _zeta: Fr, _evaluations: &mut Evaluations<Fr>) {}
    fn value_is_checked(&self) -> bool {
        false
    }
    /// Asked before each commitment.
    fn check(&self) -> Result<(), Cancelled> {
        Ok(())
    }
}

/// The honest prover, who may be stopped.
struct Watched<'w>(&'w dyn Watch);

impl Deviation for Watched<'_> {
    fn value_is_checked(&self) -> bool {
        true
    }
    fn check(&self) -> Result<(), Cancelled> {
        self.0.check()
    }
}

fn open_with(
    srs: &Srs,
    coefficients: &[Fr],
    point: &[Fr],
    value: &Fr,
    transcript: &mut Transcript<Native>,
    deviation: &mut impl Deviation,
) -> Result<MercuryProof, MercuryError> {
    let a = &mut Native;
    let variables = point.len();
    let most = (1usize << variables) + EXTRA_POWERS;
    if coefficients.len() > most {
        return Err(MercuryError::TooManyCoefficients { found: coefficients.len(), most, variables });
    }
    srs.check_size(coefficients.len())?;
    let (low, high) = point.split_at(column_variables(variables));
    let (eq_low, eq_high) = (eq_low_first(low), eq_low_first(high));
    let columns = eq_low.len();
    srs.check_size(2 * columns)?;

    let mut h = row_sums(coefficients, &eq_low);
    // Blinding rows have no weight: `dot` ends with eq_high.
    if deviation.value_is_checked() && dot(&h, &eq_high) != *value {
        return Err(MercuryError::WrongValue);
    }
    deviation.rows(&mut h);
    transcript.absorb(a, "mercury value", value);
    deviation.check()?;
    let [h_point] = commit(srs, [&h]);
    transcript.absorb(a, "mercury D(h)", &digest_points(&[h_point]));
    let alpha = transcript.challenge(a, "mercury alpha");

    let (mut q, mut g) = divide_by_binomial(coefficients, columns, &alpha);
    deviation.divided(alpha, &mut q, &mut g);
    deviation.check()?;
    let [q_point, g_point] = commit(srs, [&q, &g]);
    transcript.absorb(a, "mercury D(q,g)", &digest_points(&[q_point, g_point]));
    let gamma = transcript.challenge(a, "mercury gamma");

    let mut s = inner_product_polynomial(&[(Fr::ONE, &g, &eq_low), (gamma, &h, &eq_high)]);
    let mut d = g.clone();
    d.resize(columns, Fr::ZERO);
    d.reverse();
    deviation.inner_products(gamma, &mut s, &mut d);
    deviation.check()?;
    let [s_point, d_point] = commit(srs, [&s, &d]);
    transcript.absorb(a, "mercury D(s,d)", &digest_points(&[s_point, d_point]));
    let zeta = transcript.challenge(a, "mercury zeta");

    let zeta_inverse = Option::<Fr>::from(zeta.invert()).ok_or(MercuryError::Degenerate)?;
    let mut evaluations = Evaluations {
        g: evaluate(&g, &zeta),
        g_inverse: evaluate(&g, &zeta_inverse),
        h: evaluate(&h, &zeta),
        h_inverse: evaluate(&h, &zeta_inverse),
        s: evaluate(&s, &zeta),
        s_inverse: evaluate(&s, &zeta_inverse),
    };
    deviation.evaluated(zeta, &mut evaluations);
    // f − (ζ^b − α) q; its value g(ζ) only touches the remainder.
    let factor = zeta.pow_vartime([columns as u64]) - alpha;
    let mut opened = coefficients.to_vec();
    opened.par_iter_mut().zip(&q).for_each(|(f, q)| *f -= factor * q);
    let quot = divide_by_root(&opened, &zeta);
    deviation.check()?;
    let [quot_point] = commit(srs, [&quot]);
    for evaluation in evaluations.as_array() {
        transcript.absorb(a, "mercury evaluation", evaluation);
    }
    transcript.absorb(a, "mercury D(quot)", &digest_points(&[quot_point]));
    let beta = transcript.challenge(a, "mercury beta");

    // The openings, as (polynomial, weight, claimed values as a polynomial, roots of the weight).
    let h_at_alpha = evaluate(&h, &alpha);
    let d_at_zeta = evaluate(&d, &zeta);
    let Evaluations { g: g_0, g_inverse: g_1, h: h_0, h_inverse: h_1, s: s_0, s_inverse: s_1 } = evaluations;
    let pair = [zeta, zeta_inverse];
    let g_claim = interpolate_two(pair, [g_0, g_1]).ok_or(MercuryError::Degenerate)?;
    let s_claim = interpolate_two(pair, [s_0, s_1]).ok_or(MercuryError::Degenerate)?;
    let h_claim =
        interpolate_three([zeta, zeta_inverse, alpha], [h_0, h_1, h_at_alpha]).ok_or(MercuryError::Degenerate)?;
    let beta_squared = beta.square();
    // β (X − α)(g + β² s + β³ (ζX − 1) d) + β² h, each less its claim.
    let mut sum = Vec::new();
    add_scaled(&mut sum, &d, &zeta);
    add_scaled(&mut sum, &[d_at_zeta], &-zeta);
    sum = multiply_by_root(&sum, &zeta_inverse);
    sum.iter_mut().for_each(|coefficient| *coefficient *= beta * beta_squared);
    for (polynomial, claim, weight) in [(&g, &g_claim, Fr::ONE), (&s, &s_claim, beta_squared)] {
        add_scaled(&mut sum, polynomial, &weight);
        add_scaled(&mut sum, claim, &-weight);
    }
    sum = multiply_by_root(&sum, &alpha);
    sum.iter_mut().for_each(|coefficient| *coefficient *= beta);
    add_scaled(&mut sum, &h, &beta_squared);
    add_scaled(&mut sum, &h_claim, &-beta_squared);
    // (X − ζ)(ζX − 1)(X − α) = ζ (X − ζ)(X − 1/ζ)(X − α)
    let mut w = [zeta, zeta_inverse, alpha].iter().fold(sum, |sum, root| divide_by_root(&sum, root));
    w.iter_mut().for_each(|coefficient| *coefficient *= zeta_inverse);
    deviation.check()?;
    let [w_point] = commit(srs, [&w]);
    transcript.absorb(a, "mercury D(W)", &digest_points(&[w_point]));
    let z = transcript.challenge(a, "mercury z");

    let weights = OpeningWeights::new(a, &alpha, &zeta, &beta, &z);
    let mut last = Vec::new();
    for (polynomial, weight) in
        [(&g, &weights.g), (&h, &weights.h), (&s, &weights.s), (&d, &weights.d), (&w, &weights.w)]
    {
        add_scaled(&mut last, polynomial, weight);
    }
    deviation.check()?;
    let [w_prime_point] = commit(srs, [&divide_by_root(&last, &z)]);

    Ok(MercuryProof {
        h: h_point,
        q: q_point,
        g: g_point,
        s: s_point,
        d: d_point,
        quot: quot_point,
        w: w_point,
        w_prime: w_prime_point,
        evaluations,
    })
}

/// Commitments to polynomials that the SRS is long enough for.
fn commit<const N: usize>(srs: &Srs, polynomials: [&Vec<Fr>; N]) -> [G1Affine; N] {
    let points: Vec<G1> = polynomials.par_iter().map(|polynomial| msm(polynomial, srs.g1())).collect();
    let affine = normalise(&points);
    std::array::from_fn(|index| affine[index])
}

/// `f = (X^b − α) q + g` with deg g < b. Row by row from the highest: `q_(i−1) = f_i + α q_i`, `g = f_0 + α q_0`.
fn divide_by_binomial(coefficients: &[Fr], columns: usize, alpha: &Fr) -> (Vec<Fr>, Vec<Fr>) {
    let mut quotient = coefficients.get(columns..).unwrap_or(&[]).to_vec();
    for start in (0..quotient.len().saturating_sub(columns)).rev() {
        let above = quotient[start + columns];
        quotient[start] += above * alpha;
    }
    let mut remainder = coefficients[..columns.min(coefficients.len())].to_vec();
    add_scaled(&mut remainder, &quotient[..columns.min(quotient.len())], alpha);
    (quotient, remainder)
}

/// s with `Σ w (p(X) e(1/X) + p(1/X) e(X)) = 2 Σ w ⟨p, e⟩ + X s(X) + s(1/X)/X` over terms (w, p, e).
fn inner_product_polynomial(terms: &[(Fr, &Vec<Fr>, &Vec<Fr>)]) -> Vec<Fr> {
    let mut s = Vec::new();
    for (weight, polynomial, weights) in terms {
        // p(X) X^(n−1) e(1/X): the coefficient of X^k in p(X) e(1/X) stands at n − 1 + k.
        let reversed: Vec<Fr> = weights.iter().rev().copied().collect();
        let product = product_coefficients(polynomial, &reversed);
        let centre = weights.len() - 1;
        let positive = product.get(centre + 1..).unwrap_or(&[]);
        let negative: Vec<Fr> = product[..centre.min(product.len())].iter().rev().copied().collect();
        add_scaled(&mut s, positive, weight);
        add_scaled(&mut s, &negative, weight);
    }
    s
}
