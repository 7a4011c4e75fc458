//! The check of a halo2 proof: PLONK with KZG over BN254, opened by SHPLONK (Boneh, Drake, Fisch, Gabizon, eprint
//! 2020/081), for the one gate set of [`crate::gates`].
//!
//! `Halo2Verifier.sol` does the same on chain. A proof is, in the transcript's order:
//!
//! ```text
//! points    a b c d e   z random   six pieces of the quotient
//! scalars   a b c d e at x, a b c e at ωx; eight fixed columns, random, five σ at x; z at x, ωx
//! points    W W'
//! ```
//! z is the permutation's product over a, b, c, d, e. The public words are a column of the gates.
//!
//! # Soundness
//! The errors stand in `docs/protocol/settlement.md`. The transcript binds key, public words and every point and value
//! before the challenge that depends on it is drawn; that the key is of the honest circuit is the caller's to know, by its
//! id.

use lorica_circuits::bn254::{Curve, Field, Fr, G1, G1Affine, PrimeField};
use lorica_verifier::protocol::group::{VerifierKey, combine};
use lorica_verifier::protocol::keccak::{POINT_BYTES, WORD_BYTES, decode_point, decode_scalar};

use crate::circuit_key::CircuitKey;
use crate::gates::{ADVICE, Cells, DEGREE, FIXED, NEXT, PERMUTED, RESERVED, constraints};
use crate::transcript::KeccakTranscript;

/// Pieces of the quotient.
const PIECES: usize = DEGREE - 1;
/// Points before the values: advice columns, the product, the random polynomial, the quotient.
const POINTS: usize = ADVICE + 2 + PIECES;
/// Values.
const VALUES: usize = ADVICE + NEXT + FIXED + 1 + PERMUTED + 2;
/// Bytes of a proof: 15 points, 25 scalars.
pub const PROOF_BYTES: usize = (POINTS + 2) * POINT_BYTES + VALUES * WORD_BYTES;

/// A proof that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Another number of words than the key's.
    #[error("public words: expected {expected}, got {got}")]
    Words {
        /// By the key.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// Another length than every proof has.
    #[error("settlement proof: expected {PROOF_BYTES} bytes, got {got}")]
    Length {
        /// Bytes.
        got: usize,
    },
    /// The proof is false, or no proof at all.
    #[error("the settlement proof does not hold")]
    Rejected,
}

/// A halo2 proof that the field part accepts, and the public words that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaloProof {
    /// Public words, see [`crate::words::Words`].
    pub words: Vec<Fr>,
    /// Proof bytes as the contract reads them.
    pub bytes: Vec<u8>,
}

/// The rest of a proof's bytes.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn points<const N: usize>(&mut self) -> Result<[G1Affine; N], CheckError> {
        let mut points = [G1Affine::default(); N];
        for point in &mut points {
            let (own, rest) = self.0.split_first_chunk().ok_or(CheckError::Rejected)?;
            *point = decode_point(own).map_err(|_| CheckError::Rejected)?;
            self.0 = rest;
        }
        Ok(points)
    }

    fn scalars<const N: usize>(&mut self) -> Result<[Fr; N], CheckError> {
        let mut scalars = [Fr::ZERO; N];
        for scalar in &mut scalars {
            let (own, rest) = self.0.split_first_chunk().ok_or(CheckError::Rejected)?;
            *scalar = decode_scalar(own).map_err(|_| CheckError::Rejected)?;
            self.0 = rest;
        }
        Ok(scalars)
    }
}

/// A proof by its parts.
struct Proof {
    advice: [G1Affine; ADVICE],
    product: G1Affine,
    random: G1Affine,
    quotient: [G1Affine; PIECES],
    values: Values,
    /// W and W'.
    opening: [G1Affine; 2],
}

/// What the polynomials are at x and ωx.
struct Values {
    advice: [Fr; ADVICE],
    next: [Fr; NEXT],
    fixed: [Fr; FIXED],
    random: Fr,
    sigma: [Fr; PERMUTED],
    /// z at x, ωx.
    product: [Fr; 2],
}

/// In the order in which they are drawn.
struct Challenges {
    /// Batches a cell with its place in the permutation.
    beta: Fr,
    /// Moves that sum away from zero.
    gamma: Fr,
    /// Batches the constraints.
    y: Fr,
    /// Where they are looked at.
    x: Fr,
    /// Batches polynomials that are opened at the same points.
    nu: Fr,
    /// Batches the two sets of points.
    v: Fr,
    /// Where the batch is opened.
    u: Fr,
}

impl Proof {
    /// Reads a proof and draws its challenges.
    fn read(key: &CircuitKey, words: &[Fr], bytes: &[u8]) -> Result<(Self, Challenges), CheckError> {
        if bytes.len() != PROOF_BYTES {
            return Err(CheckError::Length { got: bytes.len() });
        }
        let mut bytes = Bytes(bytes);
        let mut transcript = KeccakTranscript::default();
        transcript.scalar(key.transcript_word());
        transcript.scalars(words);
        let advice = bytes.points()?;
        transcript.points(&advice);
        // halo2 draws a challenge for lookups, of which there are none.
        transcript.challenge();
        // Each of β, γ: at most (cells of the permutation) / r, below 2^-229 for 2^22 rows of five columns.
        let beta = transcript.challenge();
        let gamma = transcript.challenge();
        let [product, random] = bytes.points()?;
        transcript.points(&[product, random]);
        // y: at most 20 constraints / r.
        let y = transcript.challenge();
        let quotient = bytes.points()?;
        transcript.points(&quotient);
        // x: at most 7·2^22 / r, the degree of the batched constraints.
        let x = transcript.challenge();
        let values: [Fr; VALUES] = bytes.scalars()?;
        transcript.scalars(&values);
        // ν, v: at most 20 polynomials of a set and two sets, / r; u: at most 2^22 / r.
        let nu = transcript.challenge();
        let v = transcript.challenge();
        let [w] = bytes.points()?;
        transcript.point(&w);
        let u = transcript.challenge();
        let [w_prime] = bytes.points()?;
        let values = Values::of(values)?;
        let proof = Self { advice, product, random, quotient, values, opening: [w, w_prime] };
        Ok((proof, Challenges { beta, gamma, y, x, nu, v, u }))
    }
}

impl Values {
    fn of(values: [Fr; VALUES]) -> Result<Self, CheckError> {
        fn next<const N: usize>(rest: &mut &[Fr]) -> Result<[Fr; N], CheckError> {
            let (own, others) = rest.split_first_chunk().ok_or(CheckError::Rejected)?;
            *rest = others;
            Ok(*own)
        }
        let rest = &mut &values[..];
        let (advice, next_row, fixed) = (next(rest)?, next(rest)?, next(rest)?);
        let [random] = next(rest)?;
        Ok(Self { advice, next: next_row, fixed, random, sigma: next(rest)?, product: next(rest)? })
    }
}

/// An inverse. A challenge on a point that has none is no proof's (probability below 2^-225).
fn inverse(value: Fr) -> Result<Fr, CheckError> {
    Option::from(value.invert()).ok_or(CheckError::Rejected)
}

/// What depends on the rows and x alone.
struct Domain {
    /// ω x.
    next: Fr,
    /// x^n.
    x_to_n: Fr,
    /// 1 / (x^n - 1).
    vanishing_inverse: Fr,
    /// The Lagrange polynomials of row 0, of row -6, and of the five rows after it, at x.
    l_first: Fr,
    l_last: Fr,
    l_blind: Fr,
    /// The column of public words at x.
    words: Fr,
}

impl Domain {
    /// `l_i(x) = ω^i (x^n - 1) / (n (x - ω^i))`.
    ///
    /// # Errors
    /// [`CheckError::Rejected`] if the words do not fit the rows before the reserved ones: two of them would meet in a row.
    fn new(key: &CircuitKey, x: Fr, words: &[Fr]) -> Result<Self, CheckError> {
        let rows = 1usize.checked_shl(key.log_rows()).unwrap_or(0);
        if words.len().saturating_add(RESERVED) > rows {
            return Err(CheckError::Rejected);
        }
        let omega = key.omega();
        let x_to_n = (0..key.log_rows()).fold(x, |power, _| power.square());
        let vanishing = x_to_n - Fr::ONE;
        let factor = vanishing * Fr::TWO_INV.pow([u64::from(key.log_rows())]);
        let lagrange = |row: Fr| Ok(row * factor * inverse(x - row)?);

        let last_row = key.omega_last();
        let (mut l_blind, mut row) = (Fr::ZERO, last_row);
        for _ in 1..RESERVED {
            row *= omega;
            l_blind += lagrange(row)?;
        }
        let (mut column, mut row) = (Fr::ZERO, Fr::ONE);
        for word in words {
            column += *word * lagrange(row)?;
            row *= omega;
        }
        Ok(Self {
            next: x * omega,
            x_to_n,
            vanishing_inverse: inverse(vanishing)?,
            l_first: lagrange(Fr::ONE)?,
            l_last: lagrange(last_row)?,
            l_blind,
            words: column,
        })
    }
}

/// What the quotient must be at x: all constraints batched by y, divided by `x^n - 1`.
fn quotient(values: &Values, challenges: &Challenges, domain: &Domain) -> Fr {
    let Values { advice, next, fixed, sigma, product: [z, z_next], random: _ } = values;
    let Challenges { beta, gamma, y, x, .. } = challenges;
    let Domain { l_first, l_last, l_blind, words, .. } = domain;

    let mut all = constraints(Cells { advice: *advice, next: *next, fixed: *fixed, word: *words, one: Fr::ONE });
    // z starts with 1 and ends with 0 or 1.
    all.push(*l_first * (Fr::ONE - z));
    all.push((z.square() - z) * l_last);
    // A step of the product: each cell with its own place against each cell with the place that σ gives it.
    let active = Fr::ONE - (*l_last + l_blind);
    let (mut left, mut right, mut place) = (*z_next, *z, *beta * x);
    for (cell, sigma) in advice.iter().zip(sigma) {
        left *= *cell + *beta * sigma + gamma;
        right *= *cell + place + gamma;
        place *= Fr::DELTA;
    }
    all.push((left - right) * active);
    all.into_iter().fold(Fr::ZERO, |sum, constraint| sum * y + constraint) * domain.vanishing_inverse
}

/// Polynomials that are opened at the same points: each a commitment with its values there.
struct Opened<const N: usize> {
    points: [Fr; N],
    polynomials: Vec<(G1Affine, [Fr; N])>,
}

impl<const N: usize> Opened<N> {
    /// The Lagrange polynomials of the points, at u.
    fn lagrange(&self, u: Fr) -> Result<[Fr; N], CheckError> {
        let mut basis = [Fr::ONE; N];
        for (index, (own, at)) in basis.iter_mut().zip(self.points).enumerate() {
            for (other, point) in self.points.into_iter().enumerate() {
                if other != index {
                    *own *= (u - point) * inverse(at - point)?;
                }
            }
        }
        Ok(basis)
    }

    /// `weight · Σ ν^j C_j` as terms, and `weight · Σ ν^j r_j(u)`, r_j being the polynomial with the values of C_j.
    fn batch(&self, terms: &mut Vec<(Fr, G1Affine)>, weight: Fr, nu: Fr, u: Fr) -> Result<Fr, CheckError> {
        let basis = self.lagrange(u)?;
        let (mut claimed, mut power) = (Fr::ZERO, weight);
        for (commitment, values) in &self.polynomials {
            let value: Fr = values.iter().zip(&basis).map(|(value, basis)| *value * basis).sum();
            claimed += power * value;
            terms.push((power, *commitment));
            power *= nu;
        }
        Ok(claimed)
    }
}

/// The two points of the pairing equation `e(left, [1]₂) = e(right, [τ]₂)`, which holds exactly if the proof does.
///
/// # Errors
/// [`CheckError`].
pub fn accumulate(key: &CircuitKey, words: &[Fr], bytes: &[u8]) -> Result<[G1; 2], CheckError> {
    let (proof, challenges) = Proof::read(key, words, bytes)?;
    let Challenges { x, nu, v, u, .. } = challenges;
    let domain = Domain::new(key, x, words)?;
    let quotient_value = quotient(&proof.values, &challenges, &domain);
    let Proof { advice: [a, b, c, d, e], product, random, quotient, values, opening: [w, w_prime] } = proof;
    let [a_at, b_at, c_at, d_at, e_at] = values.advice;
    let [a_next, b_next, c_next, e_next] = values.next;

    // The pieces are one polynomial, Σ x^(n·i) piece_i.
    let whole = quotient.iter().rev().fold(G1::default(), |sum, piece| sum * domain.x_to_n + piece).to_affine();

    // The two sets of points, in the order in which their polynomials are first opened.
    let both = Opened {
        points: [x, domain.next],
        polynomials: vec![
            (a, [a_at, a_next]),
            (b, [b_at, b_next]),
            (c, [c_at, c_next]),
            (e, [e_at, e_next]),
            (product, values.product),
        ],
    };
    let mut polynomials = vec![(d, [d_at])];
    polynomials.extend(key.fixed().iter().copied().zip(values.fixed.map(|value| [value])));
    polynomials.extend(key.permutation().iter().copied().zip(values.sigma.map(|value| [value])));
    polynomials.push((whole, [quotient_value]));
    polynomials.push((random, [values.random]));
    let here = Opened { points: [x], polynomials };

    // Σ_sets v^i Z_i(u) (Σ ν^j (C_j - r_j(u) [1])) - Z(u) W + u W': Z_i vanishes on the points that set i lacks, Z on all.
    let (off_x, off_next) = (u - x, u - domain.next);
    let mut terms = Vec::new();
    let mut claimed = both.batch(&mut terms, Fr::ONE, nu, u)?;
    claimed += here.batch(&mut terms, v * off_next, nu, u)?;
    terms.extend([(-claimed, G1Affine::generator()), (-(off_x * off_next), w), (u, w_prime)]);
    Ok([combine(terms), w_prime.into()])
}

/// Checks a proof for its words.
///
/// # Errors
/// [`CheckError`].
pub fn check(key: &CircuitKey, srs: &VerifierKey, words: &[Fr], bytes: &[u8]) -> Result<(), CheckError> {
    let [left, right] = accumulate(key, words, bytes)?;
    if srs.pairs(left, right) { Ok(()) } else { Err(CheckError::Rejected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// halo2's own check refuses such keys; no honest one is so small.
    #[test]
    fn words_do_not_meet_in_a_row() {
        let none = G1Affine::default();
        let key = CircuitKey::new(5, [none; FIXED], [none; PERMUTED]).expect("a key of 32 rows");
        let domain = |words| Domain::new(&key, Fr::from(7), &vec![Fr::ONE; words]).map(drop);
        assert_eq!(domain(32 - RESERVED), Ok(()));
        assert_eq!(domain(33 - RESERVED), Err(CheckError::Rejected));
        assert_eq!(domain(32), Err(CheckError::Rejected));
    }
}
