//! Linear layers with their LoRA adapters: one accumulator, one rounding.

use super::equal;
use crate::axis::Axis;
use crate::column::Column;
use crate::error::CircuitError;
use crate::read::{Columns, ONE, ROUND, Read, UNIT, form};
use crate::relation::{Product, Relation};

/// `y·2^16 + rem - bias`: what a sum of products is rounded to.
///
/// # Errors
/// [`CircuitError::Compile`] if a column is missing.
pub fn rounded<'p>(
    columns: &Columns<'p>,
    y: Column,
    remainder: Column,
    bias: Option<Column>,
) -> Result<Vec<Read<'p>>, CircuitError> {
    let mut terms = vec![columns.read(y)?.times(UNIT), columns.read(remainder)?];
    if let Some(bias) = bias {
        terms.push(columns.read(bias)?.times(-1));
    }
    Ok(terms)
}

/// A column that may hold several sites side by side: the digits of [`Axis::SITE`] that are meant, one for each output
/// kind; none for a column of one site.
#[derive(Clone, Copy, Debug)]
pub struct Sites<'a> {
    /// The column.
    pub column: Column,
    /// Digits.
    pub digits: &'a [usize],
}

impl Sites<'_> {
    fn read<'p>(&self, columns: &Columns<'p>, kind: Option<Axis>) -> Result<Read<'p>, CircuitError> {
        let read = columns.read(self.column)?;
        match (kind, self.digits) {
            (_, []) => Ok(read),
            (Some(kind), digits) => {
                read.entries(Axis::SITE, Some(kind), digits.iter().enumerate().map(|(k, &d)| (k, d, ONE)))
            }
            (None, [digit, ..]) => read.at(Axis::SITE, *digit),
        }
    }
}

/// The LoRA adapter of a linear layer, `h = x·A`, `acc += h·B`.
#[derive(Clone, Copy, Debug)]
pub struct Lora<'a> {
    /// Name of the relation that computes `h`.
    pub name: &'static str,
    /// `A`.
    pub a: Sites<'a>,
    /// `B`.
    pub b: Sites<'a>,
    /// `h`.
    pub hidden: Sites<'a>,
    /// Remainder of `h`.
    pub hidden_remainder: Sites<'a>,
}

/// One group of linear layers that share input and shape.
#[derive(Clone, Debug)]
pub struct Linear<'a, 'p> {
    /// Name of the relation.
    pub name: &'static str,
    /// The input, with axes `over`, request, `block_in` and [`Axis::CHANNEL_IN`].
    pub input: Read<'p>,
    /// Axes that input, weights and output share besides the request.
    pub over: &'a [Axis],
    /// The axis of outputs that share an input.
    pub kind: Option<Axis>,
    /// Blocks of input channels.
    pub block_in: Axis,
    /// Blocks of output channels.
    pub block: Axis,
    /// Weights.
    pub weight: Column,
    /// Bias.
    pub bias: Option<Column>,
    /// Output, in 16 bits or with more in `high`.
    pub output: Column,
    /// What of the output is above 16 bits.
    pub high: Option<Column>,
    /// Remainder.
    pub remainder: Column,
    /// The adapter.
    pub lora: Lora<'a>,
}

impl Linear<'_, '_> {
    /// The layer's relation and the one of its adapter's hidden values.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if a column lacks an axis.
    pub fn relations(&self, columns: &Columns<'_>) -> Result<[Relation; 2], CircuitError> {
        Ok([self.output(columns)?, self.hidden(columns)?])
    }

    fn axes(&self, first: &[Axis], kind: bool, last: &[Axis]) -> Vec<Axis> {
        let kind = self.kind.filter(|_| kind);
        first.iter().chain(self.over).copied().chain(kind).chain(last.iter().copied()).collect()
    }

    /// `acc + 2^15 = y·2^16 + rem` with `acc = x·W + b + h·B`.
    fn output(&self, columns: &Columns<'_>) -> Result<Relation, CircuitError> {
        let base = Product {
            coefficient: 1,
            variables: self.axes(&[], false, &[self.block_in, Axis::CHANNEL_IN]),
            public: equal(self.over),
            left: form([self.input.clone()]),
            right: Some(form([columns.read(self.weight)?])),
        };
        let lora = Product {
            coefficient: 1,
            variables: self.axes(&[Axis::REQUEST], true, &[Axis::RANK]),
            public: equal(&self.axes(&[Axis::REQUEST], true, &[])),
            left: form([self.lora.hidden.read(columns, self.kind)?]),
            right: Some(form([self.lora.b.read(columns, self.kind)?])),
        };
        let mut side = rounded(columns, self.output, self.remainder, self.bias)?;
        if let Some(high) = self.high {
            side.push(columns.read(high)?.times(UNIT * UNIT));
        }
        Ok(Relation {
            name: self.name,
            products: vec![base, lora],
            form: form(side),
            constants: vec![columns.scaled(-ROUND, &self.axes(&[], true, &[self.block]))?],
            public: None,
        })
    }

    /// `x·A + 2^15 = h·2^16 + rem` for the sites that share one input.
    fn hidden(&self, columns: &Columns<'_>) -> Result<Relation, CircuitError> {
        Ok(Relation {
            name: self.lora.name,
            products: vec![Product {
                coefficient: 1,
                variables: self.axes(&[Axis::REQUEST], false, &[self.block_in, Axis::CHANNEL_IN]),
                public: equal(&self.axes(&[Axis::REQUEST], false, &[])),
                left: form([self.input.clone()]),
                right: Some(form([self.lora.a.read(columns, self.kind)?])),
            }],
            form: form([
                self.lora.hidden.read(columns, self.kind)?.times(UNIT),
                self.lora.hidden_remainder.read(columns, self.kind)?,
            ]),
            constants: vec![columns.scaled(-ROUND, &self.axes(&[], true, &[]))?],
            public: None,
        })
    }
}
