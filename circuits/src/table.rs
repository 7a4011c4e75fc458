//! The lookup tables, each from a documented formula.
//!
//! Elementary functions come from `libm`, so that every platform builds the same bits: the tables are part of the
//! architecture's identity.

use crate::architecture::{Activation, Architecture};
use crate::column::Column;

/// Scale exponent of the tanh table's values and of exp's values minus one.
pub const TANH_VALUE_BITS: u32 = 14;
/// `exp(0)` in the exp table is 2^15.
pub const EXP_VALUE_BITS: u32 = 15;

/// Rounds half away from zero; the argument is far below 2^53.
#[expect(clippy::cast_possible_truncation, reason = "|x| < 2^32 for every table")]
fn round(x: f64) -> i64 {
    libm::round(x) as i64
}

/// Values of a table column for keys 0 to 65535; `None` for a column that is no table.
///
/// * exp: `round(2^15·exp(-key / 2^score_bits))`
/// * activation: `round(2^a·f((key - 2^15) / 2^a))`, a = `activation_bits`
/// * tanh: `round(2^14·tanh((key - 2^15) / 2^tanh_bits))`
#[must_use]
pub fn values(column: Column, architecture: &Architecture) -> Option<Vec<i64>> {
    let power = |bits: u32| f64::from(1u32 << bits);
    let signed = |key: u32| f64::from(key) - 32768.0;
    let keys = 0..65536u32;
    match column {
        Column::TableExp => {
            let scale = power(architecture.score_bits);
            Some(keys.map(|k| round(power(EXP_VALUE_BITS) * libm::exp(-f64::from(k) / scale))).collect())
        }
        Column::TableActivation => {
            let scale = power(architecture.activation_bits);
            Some(keys.map(|k| round(scale * activation(architecture.activation, signed(k) / scale))).collect())
        }
        Column::TableTanh => {
            let scale = power(architecture.tanh_bits);
            Some(keys.map(|k| round(power(TANH_VALUE_BITS) * libm::tanh(signed(k) / scale))).collect())
        }
        _ => None,
    }
}

/// The activation function on reals.
#[must_use]
pub fn activation(kind: Activation, x: f64) -> f64 {
    match kind {
        Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x / core::f64::consts::SQRT_2)),
        Activation::GeluNew => {
            let inner = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + libm::tanh(inner))
        }
        Activation::Relu => x.max(0.0),
    }
}
