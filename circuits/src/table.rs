//! Contents of lookup tables, each from a documented formula.
//!
//! Elementary functions come from `libm`, so that every platform builds the same bits: the tables are part of the
//! architecture's identity.

/// Scale exponent of the tanh table's values and of exp's values minus one.
pub const TANH_VALUE_BITS: u32 = 14;
/// `exp(0)` in the exp table is 2^15.
pub const EXP_VALUE_BITS: u32 = 15;

/// Rounds half away from zero; the argument is far below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "|x| < 2^32 for every table")]
fn round(x: f64) -> i64 {
    libm::round(x) as i64
}

fn power(bits: u32) -> f64 {
    f64::from(1u32 << bits)
}

/// `round(2^15·exp(-key / 2^bits))` for keys 0 to 65535.
#[must_use]
pub fn exp(bits: u32) -> Vec<i64> {
    (0..65536u32).map(|key| round(power(EXP_VALUE_BITS) * libm::exp(-f64::from(key) / power(bits)))).collect()
}

/// `round(2^value_bits·f((key - 2^15) / 2^key_bits))` for keys 0 to 65535.
#[must_use]
pub fn signed(key_bits: u32, value_bits: u32, f: impl Fn(f64) -> f64) -> Vec<i64> {
    (0..65536u32).map(|key| round(power(value_bits) * f((f64::from(key) - 32768.0) / power(key_bits)))).collect()
}
