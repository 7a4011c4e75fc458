//! Building forms: a column, read with other weights than those of its own axes.

use crate::column::{Axis, ColumnSpec};
use crate::error::CircuitError;
use crate::form::{Coefficient, DigitEntry, DigitWeight, Factor, Form, FormTerm, LowWeight};

/// A term under construction.
pub(super) struct Read {
    pub(super) spec: ColumnSpec,
    pub(super) term: FormTerm,
}

impl Read {
    pub(super) fn digit_position(&self, axis: Axis) -> Result<usize, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("{:?} has no digit {axis:?}", self.spec.column) };
        self.spec.digits.iter().position(|&(a, _)| a == axis).ok_or_else(missing)
    }
    pub(super) fn low(mut self, axis: Axis, weight: LowWeight) -> Result<Self, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("{:?} has no axis {axis:?}", self.spec.column) };
        let at = self.spec.lows.iter().position(|&(a, _)| a == axis).ok_or_else(missing)?;
        self.term.lows[at] = weight;
        Ok(self)
    }
    /// Digit axis `from` follows the logical axis `to`.
    pub(super) fn digit(mut self, from: Axis, to: Axis) -> Result<Self, CircuitError> {
        let at = self.digit_position(from)?;
        self.term.digits[at].axis = Some(to);
        Ok(self)
    }
    /// Replaces the matrix of a digit axis.
    pub(super) fn entries(
        mut self,
        axis: Axis,
        to: Option<Axis>,
        entries: impl IntoIterator<Item = (usize, usize, Coefficient)>,
    ) -> Result<Self, CircuitError> {
        let at = self.digit_position(axis)?;
        let entries =
            entries.into_iter().map(|(point, digit, coefficient)| DigitEntry { point, digit, coefficient }).collect();
        self.term.digits[at] = DigitWeight { axis: to, entries };
        Ok(self)
    }
    /// Only one digit.
    pub(super) fn at(self, axis: Axis, digit: usize) -> Result<Self, CircuitError> {
        self.entries(axis, None, [(0, digit, Coefficient::Integer(1))])
    }
    /// Sum over a digit axis.
    pub(super) fn sum(self, axis: Axis) -> Result<Self, CircuitError> {
        let count = self.spec.digits[self.digit_position(axis)?].1;
        self.entries(axis, None, (0..count).map(|d| (0, d, Coefficient::Integer(1))))
    }
    /// `Σ_i 2^(16·i)·limb first + i` for `count` limbs.
    pub(super) fn limbs(self, first: usize, count: usize) -> Result<Self, CircuitError> {
        let powers = (0..count).map(|i| if i < 3 { Ok(1i64 << (16 * i)) } else { Err(i) });
        let mut entries = Vec::new();
        for (i, power) in powers.enumerate() {
            let coefficient = match power {
                Ok(p) => Coefficient::Integer(p),
                Err(_) => return Err(CircuitError::Compile { what: format!("limb {i} has no integer weight") }),
            };
            entries.push((0, first + i, coefficient));
        }
        self.entries(Axis::Limb, None, entries)
    }
    pub(super) fn times(mut self, coefficient: i64) -> Self {
        self.term.coefficient = Coefficient::Integer(coefficient);
        self
    }
    pub(super) fn factor(mut self, axis: Axis, entries: impl IntoIterator<Item = (usize, Coefficient)>) -> Self {
        self.term.factors.push(Factor { axis, entries: entries.into_iter().collect() });
        self
    }
}

pub(super) const ONE: Coefficient = Coefficient::Integer(1);
pub(super) const ROUND: i64 = 1 << 15;
pub(super) const UNIT: i64 = 1 << 16;

pub(super) fn form(terms: impl IntoIterator<Item = Read>) -> Form {
    Form { terms: terms.into_iter().map(|r| r.term).collect() }
}
