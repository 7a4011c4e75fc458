//! Columns and gates. Five advice columns, one gate set for all keys; only the fixed columns' contents differ.
//!
//! ```text
//! cells of a row   a b c d e, and a public word p, zero but in the first rows
//!                  a', b', c', e' are those of the next row
//! v                0 nothing, ±1 arithmetic, ±2 arithmetic and a, b, c, d boolean; negative: with e
//! arithmetic       6 v² (q1·a·b + q2·c·d + qa·a + qb·b + qc·c + qd·d + p − e') − v (v − 1) (v − 2) e = 0
//! boolean          v (v² − 1)(t² − t) = 0                                    for t in a, b, c, d
//! s                0 nothing, 1 a full round, 2 three partial rounds; v is zero there
//! full round       s (2 − s) (M · (s + rc)^5 − s') = 0                       s = (a, b, c), rc = (qa, qb, qc)
//! partial rounds   three at a time, see [`constraints`]; constants qa, qb, qc
//! ```
//! M is Poseidon's matrix. The S-box is x^5, hence degree 7 and a quotient of six pieces. The arithmetic gate says
//! `e' = q1·a·b + … + p` at v = 1 and 2, where v (v − 1) (v − 2) is zero, and `e' = e + q1·a·b + … + p` at v = −1 and −2, where
//! it is −6 v².
//!
//! A commitment of a key or of a proof costs the contract a multiple of a point, so columns are few: degree 7 lets one product
//! stand for the permutation of all five advice columns, and one column say which of Poseidon's rounds a row has.
//!
//! The gates are written once, over whatever can be added and multiplied: the prover's circuit runs them on halo2's
//! expressions, the check on values, and [`crate::identity`] on the expressions that name a key.

use core::ops::{Add, Mul, Sub};

use lorica_circuits::bn254::Fr;
use lorica_circuits::poseidon;

/// Advice columns.
pub const ADVICE: usize = 5;
/// Cells of the next row that gates read: a', b', c', e'.
pub const NEXT: usize = 4;
/// Fixed columns.
pub const FIXED: usize = 8;
/// Columns whose cells may be copies of each other: the advice columns.
pub const PERMUTED: usize = ADVICE;
/// Largest degree of a constraint, selector included.
pub const DEGREE: usize = 7;
/// Rows at the end of the columns that halo2 fills with randomness, and the one before them.
pub const RESERVED: usize = 6;

/// What the gates read at a row.
#[derive(Clone, Debug)]
pub struct Cells<T> {
    /// a, b, c, d, e.
    pub advice: [T; ADVICE],
    /// a', b', c', e'.
    pub next: [T; NEXT],
    /// v, s, q1, q2, qa, qb, qc, qd.
    pub fixed: [T; FIXED],
    /// The public word.
    pub word: T,
    /// The constant 1.
    pub one: T,
}

fn fifth<T: Clone + Mul<Output = T>>(x: T) -> T {
    let square = x.clone() * x.clone();
    square.clone() * square * x
}

/// `M · state`.
fn mix<T: Clone + Add<Output = T> + Mul<Fr, Output = T>>(state: &[T; 3]) -> [T; 3] {
    let [x, y, z] = state;
    poseidon::parameters().mds.map(|[m0, m1, m2]| x.clone() * m0 + y.clone() * m1 + z.clone() * m2)
}

/// The polynomials that vanish on every row, in the order in which they are batched.
pub fn constraints<T>(cells: Cells<T>) -> Vec<T>
where
    T: Clone + Add<Output = T> + Sub<Output = T> + Mul<Output = T> + Mul<Fr, Output = T>,
{
    let Cells { advice: [a, b, c, d, e], next: [a_next, b_next, c_next, e_next], fixed, word, one } = cells;
    let [v, s, q1, q2, qa, qb, qc, qd] = fixed;
    let two = one.clone() * Fr::from(2);

    let sum = q1 * a.clone() * b.clone()
        + q2 * c.clone() * d.clone()
        + qa.clone() * a.clone()
        + qb.clone() * b.clone()
        + qc.clone() * c.clone()
        + qd * d.clone()
        + word;
    let square = v.clone() * v.clone();
    let positive = (square.clone() - v.clone()) * (v.clone() - two.clone());
    let mut constraints = vec![square.clone() * (sum - e_next.clone()) * Fr::from(6) - positive * e.clone()];

    let boolean = v * (square - one.clone());
    for cell in [&a, &b, &c, &d] {
        constraints.push(boolean.clone() * (cell.clone() * cell.clone() - cell.clone()));
    }

    let s_full = s.clone() * (two - s.clone());
    let s_part = s.clone() * (s - one);
    let boxed = [(&a, &qa), (&b, &qb), (&c, &qc)].map(|(s, r)| fifth(s.clone() + r.clone()));
    let state_next = [&a_next, &b_next, &c_next];
    for (mixed, next) in mix(&boxed).into_iter().zip(state_next) {
        constraints.push(s_full.clone() * (mixed - next.clone()));
    }

    // Three partial rounds: d is the first element after one of them, e after two.
    let [first, y, z] = mix(&[fifth(a + qa), b, c]);
    constraints.push(s_part.clone() * (first - d.clone()));
    let [second, y, z] = mix(&[fifth(d + qb), y, z]);
    constraints.push(s_part.clone() * (second - e.clone()));
    for (mixed, next) in mix(&[fifth(e + qc), y, z]).into_iter().zip(state_next) {
        constraints.push(s_part.clone() * (mixed - next.clone()));
    }
    constraints
}
