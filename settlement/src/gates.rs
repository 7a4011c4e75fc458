//! Columns and gates. Five advice columns, one gate set for all keys; only the fixed columns' contents differ.
//!
//! ```text
//! cells of a row   a b c d e          a', b', c', e' are those of the next row
//! v                0 nothing, 1 arithmetic, 2 arithmetic and a, b, c, d boolean
//! arithmetic       v (qp·e + q1·a·b + q2·c·d + qa·a + qb·b + qc·c + qd·d + k − e') = 0
//! boolean          v (v − 1)(t² − t) = 0                                     for t in a, b, c, d
//! full round       s_full (M · (s + rc)^5 − s') = 0                          s = (a, b, c), rc = (qa, qb, qc)
//! partial rounds   three at a time, see [`Gates::configure`]; constants qa, qb, qc
//! ```
//! M is Poseidon's matrix. The S-box is x^5, hence degree 6 and a quotient of five pieces.

use halo2_base::halo2_proofs::plonk::{Advice, Column, ConstraintSystem, Expression, Fixed, Instance, VirtualCells};
use halo2_base::halo2_proofs::poly::Rotation;
use lorica_circuits::bn254::Fr;
use lorica_circuits::poseidon;

/// Advice columns.
pub const ADVICE: usize = 5;
/// Fixed columns.
pub const FIXED: usize = 11;
/// Largest degree of a constraint, selector included.
pub const DEGREE: usize = 6;

/// The columns.
#[derive(Clone, Debug)]
pub struct Gates {
    /// a, b, c, d, e.
    pub advice: [Column<Advice>; ADVICE],
    /// In the order of [`crate::rows::Fixed`].
    pub fixed: [Column<Fixed>; FIXED],
    /// Public words.
    pub instance: Column<Instance>,
}

fn fifth(x: Expression<Fr>) -> Expression<Fr> {
    let square = x.clone() * x.clone();
    square.clone() * square * x
}

/// `M · state`.
fn mix(state: &[Expression<Fr>; 3]) -> [Expression<Fr>; 3] {
    let [x, y, z] = state;
    poseidon::parameters().mds.map(|row| x.clone() * row[0] + y.clone() * row[1] + z.clone() * row[2])
}

impl Gates {
    /// Declares columns and gates. The order of queries is part of the contract's view of a proof.
    pub fn configure(meta: &mut ConstraintSystem<Fr>) -> Self {
        let advice = [(); ADVICE].map(|()| meta.advice_column());
        let instance = meta.instance_column();
        let fixed = [(); FIXED].map(|()| meta.fixed_column());
        // Equality queries a, b, c, d, e and the instance at the current row, in this order.
        advice.iter().for_each(|column| meta.enable_equality(*column));
        meta.enable_equality(instance);
        // halo2-axiom caps the degree at 5 unless told otherwise: a quotient with a piece too few would be the result.
        meta.set_minimum_degree(DEGREE);

        meta.create_gate("rows", |meta| {
            let now = |meta: &mut VirtualCells<'_, Fr>, i: usize| meta.query_advice(advice[i], Rotation::cur());
            let next = |meta: &mut VirtualCells<'_, Fr>, i: usize| meta.query_advice(advice[i], Rotation::next());
            let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|i| now(meta, i));
            let [a_next, b_next, c_next, e_next] = [0, 1, 2, 4].map(|i| next(meta, i));
            let fixed = fixed.map(|column| meta.query_fixed(column, Rotation::cur()));
            let [v, s_full, s_part, qp, q1, q2, qa, qb, qc, qd, k] = fixed;
            let one = Expression::Constant(Fr::one());

            let sum = qp * e.clone()
                + q1 * a.clone() * b.clone()
                + q2 * c.clone() * d.clone()
                + qa.clone() * a.clone()
                + qb.clone() * b.clone()
                + qc.clone() * c.clone()
                + qd * d.clone()
                + k;
            let mut constraints = vec![v.clone() * (sum - e_next)];

            let boolean = v.clone() * (v - one);
            for cell in [&a, &b, &c, &d] {
                constraints.push(boolean.clone() * (cell.clone() * cell.clone() - cell.clone()));
            }

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
        });
        Self { advice, fixed, instance }
    }
}
