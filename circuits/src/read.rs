//! Building forms: a column, read with other weights than those of its own axes.

use crate::axis::{Axis, AxisSpec};
use crate::column::{Column, ColumnSpec};
use crate::error::CircuitError;
use crate::form::{Coefficient, ConstantTerm, DigitEntry, DigitWeight, Factor, Form, FormTerm, LowWeight, Scale};

/// The coefficient 1.
pub const ONE: Coefficient = Coefficient::Integer(1);
/// Half a unit of a requantise step of 16 bits.
pub const ROUND: i64 = 1 << 15;
/// A unit of a requantise step of 16 bits.
pub const UNIT: i64 = 1 << 16;

/// Columns and axes of a program whose relations are being written.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'p> {
    axes: &'p [AxisSpec],
    columns: &'p [ColumnSpec],
}

impl<'p> Columns<'p> {
    /// Columns and axes as the program will have them.
    #[must_use]
    pub fn new(axes: &'p [AxisSpec], columns: &'p [ColumnSpec]) -> Self {
        Self { axes, columns }
    }
    /// A column, every axis weighted by the logical axis of the same name.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if there is no such column.
    pub fn read(&self, column: Column) -> Result<Read<'p>, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("no column {column:?}") };
        let spec = self.columns.iter().find(|spec| spec.column == column).ok_or_else(missing)?;
        Ok(Read { term: FormTerm::read(spec), spec })
    }
    /// A public constant on the real indices of some axes.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if there is no such axis.
    pub fn scaled(&self, coefficient: i64, axes: &[Axis]) -> Result<ConstantTerm, CircuitError> {
        let factors = axes
            .iter()
            .map(|&axis| Ok(Factor { axis, entries: self.real(axis)? }))
            .collect::<Result<_, CircuitError>>()?;
        Ok(ConstantTerm { coefficient: Coefficient::Integer(coefficient), factors, ramp: None })
    }
    /// A constant times one scale for each real index of an axis.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if there is no such axis.
    pub fn per_index(
        &self,
        coefficient: i64,
        axis: Axis,
        scale: impl Fn(usize) -> Scale,
    ) -> Result<ConstantTerm, CircuitError> {
        let entries = self.real(axis)?.into_iter().map(|(j, _)| (j, Coefficient::Scale(scale(j)))).collect();
        let factors = vec![Factor { axis, entries }];
        Ok(ConstantTerm { coefficient: Coefficient::Integer(coefficient), factors, ramp: None })
    }
    /// A constant on some indices of an axis.
    #[must_use]
    pub fn on(coefficient: i64, axis: Axis, entries: Vec<(usize, Coefficient)>) -> ConstantTerm {
        let factors = vec![Factor { axis, entries }];
        ConstantTerm { coefficient: Coefficient::Integer(coefficient), factors, ramp: None }
    }
    /// An axis' index times a constant.
    #[must_use]
    pub fn ramp(coefficient: i64, axis: Axis) -> ConstantTerm {
        ConstantTerm { coefficient: Coefficient::Integer(coefficient), factors: Vec::new(), ramp: Some(axis) }
    }
    /// The real indices of an axis, each with coefficient 1.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if there is no such axis.
    pub fn real(&self, axis: Axis) -> Result<Vec<(usize, Coefficient)>, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("no axis {axis:?}") };
        let spec = self.axes.iter().find(|spec| spec.axis == axis).ok_or_else(missing)?;
        Ok((0..spec.count).map(|d| (d, ONE)).collect())
    }
}

/// A term under construction.
#[derive(Clone, Debug)]
pub struct Read<'p> {
    spec: &'p ColumnSpec,
    term: FormTerm,
}

impl Read<'_> {
    fn digit_position(&self, axis: Axis) -> Result<usize, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("{:?} has no digit {axis:?}", self.spec.column) };
        self.spec.digits.iter().position(|&(a, _)| a == axis).ok_or_else(missing)
    }
    fn digit_mut(&mut self, axis: Axis) -> Result<&mut DigitWeight, CircuitError> {
        let at = self.digit_position(axis)?;
        let missing = || CircuitError::Compile { what: format!("a term lacks the digit {axis:?}") };
        self.term.digits.get_mut(at).ok_or_else(missing)
    }
    /// Another weight for a low axis.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if the column lacks the axis; so do the other methods.
    pub fn low(mut self, axis: Axis, weight: LowWeight) -> Result<Self, CircuitError> {
        let missing = || CircuitError::Compile { what: format!("{:?} has no axis {axis:?}", self.spec.column) };
        let at = self.spec.lows.iter().position(|&(a, _)| a == axis).ok_or_else(missing)?;
        *self.term.lows.get_mut(at).ok_or_else(missing)? = weight;
        Ok(self)
    }
    /// Digit axis `from` follows the logical axis `to`.
    ///
    /// # Errors
    /// As [`Self::low`].
    pub fn digit(mut self, from: Axis, to: Axis) -> Result<Self, CircuitError> {
        self.digit_mut(from)?.axis = Some(to);
        Ok(self)
    }
    /// Replaces the matrix of a digit axis: logical index, digit, coefficient.
    ///
    /// # Errors
    /// As [`Self::low`].
    pub fn entries(
        mut self,
        axis: Axis,
        to: Option<Axis>,
        entries: impl IntoIterator<Item = (usize, usize, Coefficient)>,
    ) -> Result<Self, CircuitError> {
        let entries =
            entries.into_iter().map(|(point, digit, coefficient)| DigitEntry { point, digit, coefficient }).collect();
        *self.digit_mut(axis)? = DigitWeight { axis: to, entries };
        Ok(self)
    }
    /// Only one digit.
    ///
    /// # Errors
    /// As [`Self::low`].
    pub fn at(self, axis: Axis, digit: usize) -> Result<Self, CircuitError> {
        self.entries(axis, None, [(0, digit, ONE)])
    }
    /// Sum over a digit axis.
    ///
    /// # Errors
    /// As [`Self::low`].
    pub fn sum(self, axis: Axis) -> Result<Self, CircuitError> {
        let at = self.digit_position(axis)?;
        let count = self.spec.digits.get(at).map_or(0, |&(_, count)| count);
        self.entries(axis, None, (0..count).map(|d| (0, d, ONE)))
    }
    /// `Σ_i 2^(16·i)·limb first + i` for up to three limbs: more have no integer weight.
    ///
    /// # Errors
    /// As [`Self::low`], or for more than three limbs.
    pub fn limbs(self, first: usize, count: usize) -> Result<Self, CircuitError> {
        if count > 3 {
            return Err(CircuitError::Compile { what: format!("limb {count} has no integer weight") });
        }
        self.entries(Axis::LIMB, None, (0..count).map(|i| (0, first + i, Coefficient::Integer(1 << (16 * i)))))
    }
    /// Replaces the term's coefficient.
    #[must_use]
    pub fn times(mut self, coefficient: i64) -> Self {
        self.term.coefficient = Coefficient::Integer(coefficient);
        self
    }
    /// A further factor, for an axis that the column lacks.
    #[must_use]
    pub fn factor(mut self, axis: Axis, entries: impl IntoIterator<Item = (usize, Coefficient)>) -> Self {
        self.term.factors.push(Factor { axis, entries: entries.into_iter().collect() });
        self
    }
}

/// The form of some terms.
pub fn form<'p>(terms: impl IntoIterator<Item = Read<'p>>) -> Form {
    Form { terms: terms.into_iter().map(|r| r.term).collect() }
}
