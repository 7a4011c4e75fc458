//! The field part of Mercury: the opening of one multilinear polynomial at one point.
//!
//! Eagen, Gabizon: "MERCURY: A multilinear Polynomial Commitment Scheme with constant proof size and no prover FFTs"
//! (eprint 2025/385). With τ variables, b = 2^⌈τ/2⌉ columns and 2^⌊τ/2⌋ rows, cell `row · b + column` is the
//! coefficient of `X^(row · b + column)` of f; the low half of the point belongs to the columns. `docs/protocol/mercury.md`
//! derives everything used here.
//!
//! Messages and challenges, after the point and the value v are fixed:
//! ```text
//! D(h) → α      h = Σ_row ⟨eq(u_lo), f_row⟩ X^row
//! D(q,g) → γ    f = (X^b − α) q + g, deg g < b
//! D(s,d) → ζ    g(X) P_lo(1/X) + g(1/X) P_lo(X) + γ (h(X) P_hi(1/X) + h(1/X) P_hi(X))
//!                 = 2 (h(α) + γ v) + X s(X) + s(1/X)/X,           d = X^(b−1) g(1/X)
//! g, h, s at ζ and 1/ζ, D(quot) → β      quot = (f − (ζ^b − α) q − g(ζ)) / (X − ζ)
//! D(W) → z      W: all openings but f's, divided by (X − ζ)(ζX − 1)(X − α)
//! W'            the opening at z, never absorbed
//! ```
//! `P_lo(X) = Π_k (1 − u_k + u_k X^(2^k))` over the low half of the point, P_hi over the high half.

use lorica_circuits::bn254::{Fr, G1Affine, PrimeField};

use crate::keccak::digest_points;
use crate::protocol::arithmetic::{Arithmetic, ArithmeticError};
use crate::protocol::transcript::Transcript;

/// The opening proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MercuryProof {
    /// Rows of f at the low half of the point.
    pub h: G1Affine,
    /// Quotient of f by X^b − α.
    pub q: G1Affine,
    /// Remainder of f by X^b − α.
    pub g: G1Affine,
    /// Positive powers of the two inner products.
    pub s: G1Affine,
    /// g reversed: bounds its degree.
    pub d: G1Affine,
    /// Quotient of f − (ζ^b − α) q − g(ζ) by X − ζ.
    pub quot: G1Affine,
    /// Batched quotient of the openings of g, h, s, d.
    pub w: G1Affine,
    /// Opening at z.
    pub w_prime: G1Affine,
    /// g, h, s at ζ and 1/ζ.
    pub evaluations: Evaluations<Fr>,
}

/// g, h and s, each at ζ and at 1/ζ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluations<S> {
    /// g(ζ).
    pub g: S,
    /// g(1/ζ).
    pub g_inverse: S,
    /// h(ζ).
    pub h: S,
    /// h(1/ζ).
    pub h_inverse: S,
    /// s(ζ).
    pub s: S,
    /// s(1/ζ).
    pub s_inverse: S,
}

impl<S> Evaluations<S> {
    /// In the order in which they are absorbed.
    pub fn as_array(&self) -> [&S; 6] {
        [&self.g, &self.g_inverse, &self.h, &self.h_inverse, &self.s, &self.s_inverse]
    }

    /// Each value put through `f`.
    pub fn map<T>(self, mut f: impl FnMut(S) -> T) -> Evaluations<T> {
        Evaluations {
            g: f(self.g),
            g_inverse: f(self.g_inverse),
            h: f(self.h),
            h_inverse: f(self.h_inverse),
            s: f(self.s),
            s_inverse: f(self.s_inverse),
        }
    }
}

/// What the field part sees of a [`MercuryProof`]: digests of points, and the evaluations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MercuryMessages<S> {
    /// D(h).
    pub d_h: S,
    /// D(q, g).
    pub d_qg: S,
    /// D(s, d).
    pub d_sd: S,
    /// The six evaluations.
    pub evaluations: Evaluations<S>,
    /// D(quot).
    pub d_quot: S,
    /// D(W).
    pub d_w: S,
}

impl<S> MercuryMessages<S> {
    /// Each scalar put through `f`, in the order of the transcript.
    pub fn map<T>(self, mut f: impl FnMut(S) -> T) -> MercuryMessages<T> {
        MercuryMessages {
            d_h: f(self.d_h),
            d_qg: f(self.d_qg),
            d_sd: f(self.d_sd),
            evaluations: self.evaluations.map(&mut f),
            d_quot: f(self.d_quot),
            d_w: f(self.d_w),
        }
    }
}

impl MercuryProof {
    /// Digests and evaluations.
    pub fn messages(&self) -> MercuryMessages<Fr> {
        MercuryMessages {
            d_h: digest_points(&[self.h]),
            d_qg: digest_points(&[self.q, self.g]),
            d_sd: digest_points(&[self.s, self.d]),
            evaluations: self.evaluations,
            d_quot: digest_points(&[self.quot]),
            d_w: digest_points(&[self.w]),
        }
    }
}

/// What the group part needs of the field part: public words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MercuryOutcome<S> {
    /// Where the rows are combined.
    pub alpha: S,
    /// Where the identities are checked.
    pub zeta: S,
    /// Batches the openings.
    pub beta: S,
    /// Where the batched opening is checked.
    pub z: S,
    /// The coefficient of the generator: minus all claimed evaluations, weighted as their commitments are. It contains
    /// g(ζ), the claimed value of f − (ζ^b − α) q.
    pub constant: S,
}

impl<S> MercuryOutcome<S> {
    /// Each scalar put through `f`.
    pub fn map<T>(self, mut f: impl FnMut(S) -> T) -> MercuryOutcome<T> {
        MercuryOutcome {
            alpha: f(self.alpha),
            zeta: f(self.zeta),
            beta: f(self.beta),
            z: f(self.z),
            constant: f(self.constant),
        }
    }
}

/// How many coordinates of the point belong to the columns: the low ⌈τ/2⌉.
pub fn column_variables(variables: usize) -> usize {
    variables.div_ceil(2)
}

/// Verifies in the field that the polynomial behind the group part's terms takes the value `value` at `point`, lowest
/// bit first; the group part of the outcome is still owed.
///
/// # Soundness
/// Before the call the transcript must have absorbed the commitments (their digest), the point must be drawn from it or
/// absorbed, and the value is absorbed here. Errors of the draws stand beside them, with N = 2^τ + 64 the number of
/// powers in the SRS; all are below 2^-220 together.
///
/// # Errors
/// ζ = 0, ζ² = 1, α = ζ or αζ = 1, where an interpolation has no solution (probability below 2^-250).
pub fn mercury_field_part<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    point: &[A::Scalar],
    value: &A::Scalar,
    messages: &MercuryMessages<A::Scalar>,
) -> Result<MercuryOutcome<A::Scalar>, ArithmeticError> {
    transcript.absorb(a, "mercury value", value);
    transcript.absorb(a, "mercury D(h)", &messages.d_h);
    // h is fixed: h(α) = ⟨g, eq(u_lo)⟩ implies h = Σ_row ⟨f_row, eq(u_lo)⟩ X^row but for N/r.
    let alpha = transcript.challenge(a, "mercury alpha");
    transcript.absorb(a, "mercury D(q,g)", &messages.d_qg);
    // ⟨g, eq(u_lo)⟩ + γ ⟨h, eq(u_hi)⟩ = h(α) + γ v implies both equations but for 1/r.
    let gamma = transcript.challenge(a, "mercury gamma");
    transcript.absorb(a, "mercury D(s,d)", &messages.d_sd);
    // Identities between f, q, g, h, s, d as Laurent polynomials: 2N/r for each of the three.
    let zeta = transcript.challenge(a, "mercury zeta");
    for evaluation in messages.evaluations.as_array() {
        transcript.absorb(a, "mercury evaluation", evaluation);
    }
    transcript.absorb(a, "mercury D(quot)", &messages.d_quot);
    // Five openings batched by powers: 4/r.
    let beta = transcript.challenge(a, "mercury beta");
    transcript.absorb(a, "mercury D(W)", &messages.d_w);
    // The batched opening as an identity of polynomials of degree at most N + 3: (N + 3)/r.
    let z = transcript.challenge(a, "mercury z");

    let columns = column_variables(point.len());
    let (low, high) = point.split_at_checked(columns).unwrap_or((point, &[]));
    let zeta_inverse = a.inverse(&zeta, "mercury: zeta is invertible")?;
    let Evaluations { g, g_inverse, h, h_inverse, s, s_inverse } = &messages.evaluations;

    // 2 (h(α) + γ v) = g P_lo(1/ζ) + g_inverse P_lo(ζ) + γ (h P_hi(1/ζ) + h_inverse P_hi(ζ)) − ζ s − s_inverse / ζ
    let (low_at_zeta, zeta_to_b) = eq_polynomial(a, low, &zeta);
    let (low_at_inverse, _) = eq_polynomial(a, low, &zeta_inverse);
    let (high_at_zeta, _) = eq_polynomial(a, high, &zeta);
    let (high_at_inverse, _) = eq_polynomial(a, high, &zeta_inverse);
    let g_side = sum_of_products(a, g, &low_at_inverse, g_inverse, &low_at_zeta);
    let h_side = sum_of_products(a, h, &high_at_inverse, h_inverse, &high_at_zeta);
    let h_side = a.mul(&gamma, &h_side);
    let s_side = sum_of_products(a, s, &zeta, s_inverse, &zeta_inverse);
    let doubled = a.add(&g_side, &h_side);
    let doubled = a.sub(&doubled, &s_side);
    let half = a.constant(Fr::TWO_INV);
    let h_at_alpha = a.mul(&doubled, &half);
    let weighted_value = a.mul(&gamma, value);
    let h_at_alpha = a.sub(&h_at_alpha, &weighted_value);

    // d(ζ) = ζ^(b−1) g(1/ζ)
    let zeta_to_b_less_one = a.mul(&zeta_to_b, &zeta_inverse);
    let d = a.mul(&zeta_to_b_less_one, g_inverse);

    // Claimed values at z, by interpolation over {ζ, 1/ζ} and over {ζ, 1/ζ, α}.
    let pair = Line::new(a, &zeta, &zeta_inverse, &z)?;
    let g_at_z = pair.evaluate(a, g, g_inverse);
    let s_at_z = pair.evaluate(a, s, s_inverse);
    let h_line = pair.evaluate(a, h, h_inverse);
    let h_at_z = add_third_node(a, &pair, h_line, h, h_inverse, &alpha, &h_at_alpha)?;

    let weights = OpeningWeights::new(a, &alpha, &zeta, &beta, &z);
    let mut total = g.clone();
    for (weight, value) in [(&weights.g, &g_at_z), (&weights.h, &h_at_z), (&weights.s, &s_at_z), (&weights.d, &d)] {
        let term = a.mul(weight, value);
        total = a.add(&total, &term);
    }
    let zero = a.zero();
    let constant = a.sub(&zero, &total);
    Ok(MercuryOutcome { alpha, zeta, beta, z, constant })
}

/// The coefficients with which g, h, s, d and W enter the batched opening at z; f − (ζ^b − α) q enters with 1.
///
/// ```text
/// g: β (z − α)     h: β²     s: β³ (z − α)     d: β⁴ (ζz − 1)(z − α)     W: −(z − ζ)(ζz − 1)(z − α)
/// ```
/// Each is β^i times the vanishing polynomial of the points where that polynomial is not opened, at z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningWeights<S> {
    /// Of g, opened at ζ and 1/ζ.
    pub g: S,
    /// Of h, opened at ζ, 1/ζ and α.
    pub h: S,
    /// Of s, opened at ζ and 1/ζ.
    pub s: S,
    /// Of d, opened at ζ.
    pub d: S,
    /// Of the quotient W.
    pub w: S,
}

impl<S: Clone + core::fmt::Debug> OpeningWeights<S> {
    /// The weights at z. Prover, field part and group part all use this.
    pub fn new<A: Arithmetic<Scalar = S>>(a: &mut A, alpha: &S, zeta: &S, beta: &S, z: &S) -> Self {
        let one = a.one();
        let zero = a.zero();
        let off_alpha = a.sub(z, alpha);
        let off_zeta = a.sub(z, zeta);
        let scaled = a.mul(zeta, z);
        let off_inverse = a.sub(&scaled, &one);
        let both = a.mul(&off_inverse, &off_alpha);
        let all = a.mul(&off_zeta, &both);
        let beta_squared = a.mul(beta, beta);
        let g = a.mul(beta, &off_alpha);
        let s = a.mul(&beta_squared, &g);
        let beta_fourth = a.mul(&beta_squared, &beta_squared);
        let d = a.mul(&beta_fourth, &both);
        let w = a.sub(&zero, &all);
        Self { g, h: beta_squared, s, d, w }
    }
}

/// `Π_k (1 − u_k + u_k x^(2^k))` over the coordinates, and `x^(2^n)` for n of them.
fn eq_polynomial<A: Arithmetic>(a: &mut A, coordinates: &[A::Scalar], x: &A::Scalar) -> (A::Scalar, A::Scalar) {
    let one = a.one();
    let mut product = one.clone();
    let mut power = x.clone();
    for coordinate in coordinates {
        let less_one = a.sub(&power, &one);
        let scaled = a.mul(coordinate, &less_one);
        let factor = a.add(&one, &scaled);
        product = a.mul(&product, &factor);
        power = a.mul(&power, &power);
    }
    (product, power)
}

/// `a₁ b₁ + a₂ b₂`.
fn sum_of_products<A: Arithmetic>(
    a: &mut A,
    left_1: &A::Scalar,
    right_1: &A::Scalar,
    left_2: &A::Scalar,
    right_2: &A::Scalar,
) -> A::Scalar {
    let first = a.mul(left_1, right_1);
    let second = a.mul(left_2, right_2);
    a.add(&first, &second)
}

/// The line through values at x₀ and x₁, evaluated at z in Newton's form `y₀ + (y₁ − y₀) (z − x₀)/(x₁ − x₀)`.
struct Line<S> {
    x_0: S,
    x_1: S,
    z: S,
    ratio: S,
    inverse: S,
}

impl<S: Clone + core::fmt::Debug> Line<S> {
    fn new<A: Arithmetic<Scalar = S>>(a: &mut A, x_0: &S, x_1: &S, z: &S) -> Result<Self, ArithmeticError> {
        let span = a.sub(x_1, x_0);
        let inverse = a.inverse(&span, "mercury: zeta differs from its inverse")?;
        let offset = a.sub(z, x_0);
        let ratio = a.mul(&offset, &inverse);
        Ok(Self { x_0: x_0.clone(), x_1: x_1.clone(), z: z.clone(), ratio, inverse })
    }

    fn evaluate<A: Arithmetic<Scalar = S>>(&self, a: &mut A, y_0: &S, y_1: &S) -> S {
        let rise = a.sub(y_1, y_0);
        let rise = a.mul(&rise, &self.ratio);
        a.add(y_0, &rise)
    }
}

/// The parabola through a line's two values and a third one at `x_2`, evaluated at the line's z:
/// `line(z) + (y₂ − line(x₂)) · (z − x₀)(z − x₁) / ((x₂ − x₀)(x₂ − x₁))`.
fn add_third_node<A: Arithmetic>(
    a: &mut A,
    line: &Line<A::Scalar>,
    line_at_z: A::Scalar,
    y_0: &A::Scalar,
    y_1: &A::Scalar,
    x_2: &A::Scalar,
    y_2: &A::Scalar,
) -> Result<A::Scalar, ArithmeticError> {
    let from_0 = a.sub(x_2, &line.x_0);
    let from_1 = a.sub(x_2, &line.x_1);
    let span = a.mul(&from_0, &from_1);
    let inverse = a.inverse(&span, "mercury: alpha differs from zeta and its inverse")?;
    let ratio = a.mul(&from_0, &line.inverse);
    let rise = a.sub(y_1, y_0);
    let rise = a.mul(&rise, &ratio);
    let line_at_x_2 = a.add(y_0, &rise);
    let excess = a.sub(y_2, &line_at_x_2);
    let z_from_0 = a.sub(&line.z, &line.x_0);
    let z_from_1 = a.sub(&line.z, &line.x_1);
    let vanishing = a.mul(&z_from_0, &z_from_1);
    let bump = a.mul(&vanishing, &inverse);
    let bump = a.mul(&bump, &excess);
    Ok(a.add(&line_at_z, &bump))
}

#[cfg(test)]
mod tests {
    use lorica_circuits::bn254::Field;

    use super::*;
    use crate::hooked::{Hook, Hooked};
    use crate::protocol::arithmetic::Native;
    use crate::protocol::multilinear::eq_table;

    fn scalars(seed: u64, count: u64) -> Vec<Fr> {
        (0..count).map(|i| Fr::from(seed + 1_000_003 * i).square() + Fr::from(seed)).collect()
    }

    #[test]
    fn columns_and_rows_share_the_variables() {
        for variables in 0..30 {
            let columns = column_variables(variables);
            let rows = variables - columns;
            assert!(columns == rows || columns == rows + 1, "{variables}");
        }
    }

    /// The coefficients of P are those of eq: `P(x) = Σ_i eq(u, i)·x^i`, u lowest bit first.
    #[test]
    fn the_polynomial_of_a_point_has_eq_as_coefficients() {
        let x = Fr::from(987_654_321);
        for n in 0..6u64 {
            let u = scalars(5, n);
            let high_first: Vec<Fr> = u.iter().rev().copied().collect();
            let table = eq_table(&mut Native, &high_first);
            let expected: Fr = table.iter().zip(0u64..).map(|(weight, i)| *weight * x.pow([i])).sum();
            assert_eq!(eq_polynomial(&mut Native, &u, &x), (expected, x.pow([1 << n])));
        }
    }

    #[test]
    fn interpolation_finds_the_polynomial_again() {
        let [c0, c1, c2, x_0, x_1, x_2, z] = scalars(9, 7)[..] else { panic!("seven scalars") };
        let line = |x: Fr| c0 + c1 * x;
        let parabola = |x: Fr| c0 + c1 * x + c2 * x.square();
        let pair = Line::new(&mut Native, &x_0, &x_1, &z).unwrap();
        assert_eq!(pair.evaluate(&mut Native, &line(x_0), &line(x_1)), line(z));
        let (y_0, y_1, y_2) = (parabola(x_0), parabola(x_1), parabola(x_2));
        let chord = pair.evaluate(&mut Native, &y_0, &y_1);
        assert_ne!(chord, parabola(z));
        assert_eq!(add_third_node(&mut Native, &pair, chord, &y_0, &y_1, &x_2, &y_2), Ok(parabola(z)));
    }

    /// The table of `OpeningWeights`, and where each weight vanishes.
    #[test]
    fn weights_are_those_of_the_table() {
        let [alpha, zeta, beta, z] = scalars(3, 4)[..] else { panic!("four scalars") };
        let own = OpeningWeights::new(&mut Native, &alpha, &zeta, &beta, &z);
        assert_eq!(own.g, beta * (z - alpha));
        assert_eq!(own.h, beta.square());
        assert_eq!(own.s, beta.pow([3]) * (z - alpha));
        assert_eq!(own.d, beta.pow([4]) * (zeta * z - Fr::ONE) * (z - alpha));
        assert_eq!(own.w, -(z - zeta) * (zeta * z - Fr::ONE) * (z - alpha));
        for vanishing in [alpha, zeta, zeta.invert().unwrap()] {
            assert_eq!(OpeningWeights::new(&mut Native, &alpha, &zeta, &beta, &vanishing).w, Fr::ZERO);
        }
    }

    /// A permutation that answers with chosen challenges.
    struct Chosen(std::vec::IntoIter<Fr>);

    impl Hook for Chosen {
        fn permute(&mut self, _state: [Fr; 3]) -> [Fr; 3] {
            // A block that is followed by others has no challenge: only the last one's answer is read.
            let next = self.0.next().unwrap_or(Fr::ZERO);
            [Fr::ZERO, next, Fr::ZERO]
        }
    }

    /// α, γ, ζ, β, z as chosen.
    fn with_challenges(challenges: [Fr; 5]) -> Result<MercuryOutcome<Fr>, ArithmeticError> {
        let [alpha, gamma, zeta, beta, z] = challenges;
        // The seven scalars before β fill four blocks, the three before the last of which answer nothing.
        let answers = vec![alpha, gamma, zeta, Fr::ZERO, Fr::ZERO, Fr::ZERO, beta, z];
        let a = &mut Hooked(Chosen(answers.into_iter()));
        let mut transcript = Transcript::new(a, Fr::ZERO);
        let one = Fr::ONE;
        let evaluations = Evaluations { g: one, g_inverse: one, h: one, h_inverse: one, s: one, s_inverse: one };
        let messages = MercuryMessages { d_h: one, d_qg: one, d_sd: one, evaluations, d_quot: one, d_w: one };
        mercury_field_part(a, &mut transcript, &scalars(8, 5), &one, &messages)
    }

    #[test]
    fn challenges_without_an_interpolation_are_refused() {
        let [alpha, gamma, zeta, beta, z] = scalars(11, 5)[..] else { panic!("five scalars") };
        let honest = with_challenges([alpha, gamma, zeta, beta, z]).unwrap();
        assert_eq!((honest.alpha, honest.zeta, honest.beta, honest.z), (alpha, zeta, beta, z));
        let refused = |what, challenges| {
            assert_eq!(with_challenges(challenges), Err(ArithmeticError::ZeroInverse { what }));
        };
        refused("mercury: zeta is invertible", [alpha, gamma, Fr::ZERO, beta, z]);
        for zeta in [Fr::ONE, -Fr::ONE] {
            refused("mercury: zeta differs from its inverse", [alpha, gamma, zeta, beta, z]);
        }
        for alpha in [zeta, zeta.invert().unwrap()] {
            refused("mercury: alpha differs from zeta and its inverse", [alpha, gamma, zeta, beta, z]);
        }
    }

    #[test]
    fn maps_keep_every_word_in_its_place() {
        let mut numbers = 0..;
        let mut next = |_: ()| numbers.next().unwrap();
        let evaluations = Evaluations { g: (), g_inverse: (), h: (), h_inverse: (), s: (), s_inverse: () };
        let messages = MercuryMessages { d_h: (), d_qg: (), d_sd: (), evaluations, d_quot: (), d_w: () };
        let own = messages.map(&mut next);
        assert_eq!((own.d_h, own.d_qg, own.d_sd, own.d_quot, own.d_w), (0, 1, 2, 9, 10));
        assert_eq!(own.evaluations.as_array(), [&3, &4, &5, &6, &7, &8]);
        let e = own.evaluations;
        assert_eq!([e.g, e.g_inverse, e.h, e.h_inverse, e.s, e.s_inverse], [3, 4, 5, 6, 7, 8]);
    }
}
