//! The halo2 circuit of [`Rows`]: fixed columns, cells, and copies.

use halo2_base::halo2_proofs::circuit::{Cell, Layouter, SimpleFloorPlanner, Value};
use halo2_base::halo2_proofs::plonk::{Circuit, ConstraintSystem, Error};
use lorica_circuits::bn254::{Field, Fr};

use crate::gates::Gates;
use crate::rows::Rows;

pub use lorica_settlement_check::gates::RESERVED;

/// A circuit with the values of one run.
#[derive(Clone, Debug)]
pub struct SettlementCircuit {
    rows: Rows,
}

impl SettlementCircuit {
    /// The circuit of some rows.
    #[must_use]
    pub fn new(rows: Rows) -> Self {
        Self { rows }
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// log2 of the rows that halo2 needs.
    #[must_use]
    pub fn log_rows(&self) -> u32 {
        (self.rows.rows.len() + RESERVED).next_power_of_two().trailing_zeros()
    }

    /// Public words of this run.
    #[must_use]
    pub fn instance(&self) -> Vec<Fr> {
        self.rows.public.iter().map(|var| self.rows.values[var.index()]).collect()
    }
}

impl Circuit<Fr> for SettlementCircuit {
    type Config = Gates;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn params(&self) {}

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Gates {
        Gates::configure(meta)
    }

    fn synthesize(&self, gates: Gates, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let Rows { rows, values, .. } = &self.rows;
        let mut first: Vec<Option<Cell>> = vec![None; values.len()];
        layouter.assign_region(
            || "rows",
            |mut region| {
                for (offset, row) in rows.iter().enumerate() {
                    for (column, value) in gates.fixed.iter().zip(row.fixed) {
                        if value != Fr::ZERO {
                            region.assign_fixed(*column, offset, value);
                        }
                    }
                    for (column, var) in gates.advice.iter().zip(row.cells) {
                        let Some(var) = var else { continue };
                        let value = Value::known(values[var.index()]);
                        let cell = region.assign_advice(*column, offset, value).cell();
                        match first[var.index()] {
                            Some(first) => region.constrain_equal(first, cell),
                            None => first[var.index()] = Some(cell),
                        }
                    }
                }
                Ok(())
            },
        )
    }
}
