//! Amounts of tokens: 18 decimals, as OPEN and the gas token have. Shares: percent with two decimals.

use lorica_chain::alloy_primitives::U256;

/// Decimals of a whole token.
const DECIMALS: usize = 18;

/// Why a text is no amount or share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It is no amount.
    #[error("{0:?} is no amount: whole tokens such as 1.5, or the smallest unit such as 1500wei")]
    Amount(String),
    /// It is more than a word holds.
    #[error("{0} is above 2^256")]
    TooLarge(String),
    /// It is finer than the smallest unit.
    #[error("{0} has more than {DECIMALS} decimals")]
    Decimals(String),
    /// It is said in whole tokens, of a token whose decimals are not known.
    #[error("amounts of other tokens than OPEN and the gas token are said in their smallest unit: 1500wei")]
    UnknownDecimals,
    /// It is no share.
    #[error("{0:?} is no percentage: 0 to 100 with up to two decimals, such as 12.5")]
    Percent(String),
}

/// An amount in the smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Smallest units.
    pub units: U256,
    /// Whether it was said in whole tokens, which have 18 decimals.
    pub whole: bool,
}

impl Amount {
    /// Nothing.
    pub const NONE: Self = Self { units: U256::ZERO, whole: false };

    /// The units, for a token that is known to have 18 decimals or an amount that does not need to know.
    ///
    /// # Errors
    /// [`AmountError::UnknownDecimals`].
    pub fn of(self, has_18_decimals: bool) -> Result<U256, AmountError> {
        if self.whole && !has_18_decimals {
            return Err(AmountError::UnknownDecimals);
        }
        Ok(self.units)
    }
}

/// Reads whole tokens with up to 18 decimals (`1.5`), or the smallest unit with the ending `wei` (`1500wei`).
///
/// # Errors
/// [`AmountError`].
pub fn parse(text: &str) -> Result<Amount, AmountError> {
    let malformed = || AmountError::Amount(text.into());
    let digits = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain {
            U256::from_str_radix(digits, 10).map_err(|_| AmountError::TooLarge(text.into()))
        } else {
            Err(malformed())
        }
    };
    if let Some(units) = text.strip_suffix("wei") {
        return digits(units).map(|units| Amount { units, whole: false });
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.len() > DECIMALS {
        return Err(AmountError::Decimals(text.into()));
    }
    let fraction = digits(&format!("{fraction:0<DECIMALS$}")).and_then(|units| {
        // "1." has no digit after the point.
        if text.ends_with('.') { Err(malformed()) } else { Ok(units) }
    })?;
    let units = digits(whole)?.checked_mul(U256::from(10).pow(U256::from(DECIMALS)));
    units
        .and_then(|units| units.checked_add(fraction))
        .map(|units| Amount { units, whole: true })
        .ok_or_else(|| AmountError::TooLarge(text.into()))
}

/// Whole tokens, without needless zeros.
#[must_use]
pub fn show(amount: U256) -> String {
    let digits = format!("{:0>1$}", amount.to_string(), DECIMALS + 1);
    let (whole, fraction) = digits.split_at(digits.len() - DECIMALS);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// Reads percent with up to two decimals (`12.5`) as basis points.
///
/// # Errors
/// [`AmountError`].
pub fn parse_percent(text: &str) -> Result<u16, AmountError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let points = || -> Option<u16> {
        let (whole, fraction): (u16, u16) = (whole.parse().ok()?, format!("{fraction:0<2}").parse().ok()?);
        whole.checked_mul(100)?.checked_add(fraction)
    };
    let points = if plain(whole) && plain(fraction) && fraction.len() <= 2 { points() } else { None };
    points.filter(|&points| points <= 10_000).ok_or_else(|| AmountError::Percent(text.into()))
}

/// Basis points as percent, without needless zeros.
#[must_use]
pub fn show_percent(points: u16) -> String {
    let (whole, fraction) = (points / 100, points % 100);
    let text = format!("{whole}.{fraction:02}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, units) in [
            ("0", "0"),
            ("1", "1000000000000000000"),
            ("1.5", "1500000000000000000"),
            ("0.000000000000000001", "1"),
            ("12wei", "12"),
            ("007", "7000000000000000000"),
        ] {
            assert_eq!(parse(text).map(|amount| amount.units.to_string()), Ok(units.to_owned()), "{text}");
        }
        for bad in ["", ".", "1.", ".5", "1,5", "-1", "+1", "1e3", "0x1", "wei", "1.0000000000000000001", "1 ", "１"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&"9".repeat(78)).is_err());
        let top = parse(&format!("{}wei", U256::MAX)).expect("2^256 - 1");
        assert_eq!(parse(&show(top.units)).map(|amount| amount.units), Ok(top.units));
        assert!(top.of(false).is_ok() && parse("1").expect("one").of(false).is_err());
        assert_eq!(show(U256::from(10).pow(U256::from(17))), "0.1");
    }

    #[test]
    fn percentages_are_exact() {
        for (text, points) in [("0", 0), ("12.5", 1_250), ("0.05", 5), ("100", 10_000), ("7.00", 700)] {
            assert_eq!(parse_percent(text), Ok(points), "{text}");
            assert_eq!(parse_percent(&show_percent(points)), Ok(points), "{text}");
        }
        for bad in ["", ".", "1.", ".5", "-1", "+1", "1e1", "12.345", "100.01", "656", "1%", " 1"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
        assert_eq!([1_250, 5, 10_000, 0].map(show_percent), ["12.5", "0.05", "100", "0"]);
    }
}
