//! The gates of [`lorica_settlement_check::gates`] on halo2's columns.

use halo2_base::halo2_proofs::plonk::{Advice, Column, ConstraintSystem, Expression, Fixed, Instance, VirtualCells};
use halo2_base::halo2_proofs::poly::Rotation;
use lorica_circuits::bn254::Fr;
pub use lorica_settlement_check::gates::{ADVICE, DEGREE, FIXED};
use lorica_settlement_check::gates::{Cells, constraints};

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

impl Gates {
    /// Declares columns and gates. The order of queries is part of the contract's view of a proof.
    pub fn configure(meta: &mut ConstraintSystem<Fr>) -> Self {
        let advice = [(); ADVICE].map(|()| meta.advice_column());
        let instance = meta.instance_column();
        let fixed = [(); FIXED].map(|()| meta.fixed_column());
        // Equality queries a, b, c, d, e at the current row, in this order.
        advice.iter().for_each(|column| meta.enable_equality(*column));
        // halo2-axiom caps the degree at 5 unless told otherwise: a quotient with a piece too few would be the result.
        meta.set_minimum_degree(DEGREE);

        meta.create_gate("rows", |meta| {
            let now = |meta: &mut VirtualCells<'_, Fr>, i: usize| meta.query_advice(advice[i], Rotation::cur());
            let next = |meta: &mut VirtualCells<'_, Fr>, i: usize| meta.query_advice(advice[i], Rotation::next());
            constraints(Cells {
                advice: [0, 1, 2, 3, 4].map(|i| now(meta, i)),
                next: [0, 1, 2, 4].map(|i| next(meta, i)),
                fixed: fixed.map(|column| meta.query_fixed(column, Rotation::cur())),
                word: meta.query_instance(instance, Rotation::cur()),
                one: Expression::Constant(Fr::one()),
            })
        });
        Self { advice, fixed, instance }
    }
}
