//! The contents of an encoder's lookup tables.

use super::columns::{TABLE_ACTIVATION, TABLE_EXP, TABLE_TANH};
use super::{Activation, Architecture};
use crate::column::Column;
use crate::table;

/// Values of a table column for keys 0 to 65535; `None` for a column that is no table.
#[must_use]
pub fn table_values(column: Column, architecture: &Architecture) -> Option<Vec<i64>> {
    match column {
        TABLE_EXP => Some(table::exp(architecture.score_bits)),
        TABLE_ACTIVATION => {
            let activation = architecture.activation;
            Some(table::signed(architecture.activation_bits, architecture.activation_bits, |x| activation.of(x)))
        }
        TABLE_TANH => Some(table::signed(architecture.tanh_bits, table::TANH_VALUE_BITS, libm::tanh)),
        _ => None,
    }
}

impl Activation {
    /// The activation function on reals.
    #[must_use]
    pub fn of(self, x: f64) -> f64 {
        match self {
            Self::Gelu => 0.5 * x * (1.0 + libm::erf(x / core::f64::consts::SQRT_2)),
            Self::GeluNew => {
                let inner = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + libm::tanh(inner))
            }
            Self::Relu => x.max(0.0),
        }
    }
}
