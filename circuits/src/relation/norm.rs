//! LayerNorm over the residual stream: variance, integer reciprocal root, and two requantise steps.

use super::read::{ONE, ROUND, Read, UNIT, form};
use super::{Compiler, Product, Relation};
use crate::column::{Axis, Column};
use crate::error::CircuitError;
use crate::form::{Coefficient, LowWeight, ScaleRef};

impl Compiler<'_> {
    /// The vector that norm j normalises, as a form with axes Norm, HiddenBlock, Request, Token, Channel; `adjust` edits
    /// every term's channel weights.
    fn residual(
        &self,
        coefficient: i64,
        adjust: impl Fn(Read) -> Result<Read, CircuitError>,
    ) -> Result<Vec<Read>, CircuitError> {
        let layers = self.layout.architecture.layers;
        let mut terms = Vec::new();
        // Norm 0: word + position + token type.
        for (column, axis, weight) in [
            (Column::Word, Some(Axis::WordId), LowWeight::WordOf),
            (Column::Position, Some(Axis::PositionId), LowWeight::PositionOf),
            (Column::TokenType, None, LowWeight::Ones),
        ] {
            let mut read = self.read(column)?.times(coefficient).factor(Axis::Norm, [(0, ONE)]);
            if let Some(axis) = axis {
                read = read.low(axis, weight)?;
            }
            terms.push(adjust(read)?);
        }
        // Norm j = l + 1: 2^stream·mid[l] + 2^branch·out[l]; norm layers + 1 + l: 2^stream·slot[l] + 2^branch·attention[l].
        let after = move |l: usize| l + 1;
        let middle = move |l: usize| layers + 1 + l;
        let scaled = |column, axis, norm: &dyn Fn(usize) -> usize, stream: bool| {
            let entries: Vec<_> = (0..layers)
                .map(|l| {
                    let j = norm(l);
                    (j, l, Coefficient::Scale(if stream { ScaleRef::Stream(j) } else { ScaleRef::Branch(j) }))
                })
                .collect();
            self.read(column)?.entries(axis, Some(Axis::Norm), entries)
        };
        terms.push(adjust(scaled(Column::Mid, Axis::Layer, &after, true)?.times(coefficient))?);
        terms.push(adjust(scaled(Column::OutputLow, Axis::Layer, &after, false)?.times(coefficient))?);
        terms.push(adjust(scaled(Column::OutputHigh, Axis::Layer, &after, false)?.times(coefficient * UNIT))?);
        terms.push(adjust(scaled(Column::Residual, Axis::Slot, &middle, true)?.times(coefficient))?);
        terms.push(adjust(scaled(Column::Attention, Axis::Layer, &middle, false)?.times(coefficient))?);
        Ok(terms)
    }

    pub(super) fn norms(&self) -> Result<Vec<Relation>, CircuitError> {
        use Axis as A;
        let a = &self.layout.architecture;
        let (layers, norms) = (a.layers, a.norms());
        let n = a.hidden as i64;
        let sum = |coefficient| self.residual(coefficient, |r| r.sum(A::HiddenBlock)?.low(A::Channel, LowWeight::Ones));
        let rows = vec![A::Norm, A::Request, A::Token];
        let slack = |first: usize, coefficient: i64| -> Result<Vec<Read>, CircuitError> {
            // Five limbs weigh up to 2^64: the upper two are a term of their own with the power in its coefficient.
            let low = self.read(Column::NormSlack)?.limbs(first, 3)?.times(coefficient);
            let high = self.read(Column::NormSlack)?.limbs(first + 3, 2)?.times(coefficient * (1 << 48));
            Ok(vec![low, high])
        };
        // n·r - S, at the outer block and channel.
        let mut centred = self.residual(n, Ok)?;
        for term in sum(-1)? {
            centred.push(term.factor(A::HiddenBlock, self.real(A::HiddenBlock)));
        }
        let step = (0..norms).map(|j| (j, j, Coefficient::Scale(ScaleRef::NormStep(j))));
        let mut twice_u = slack(0, 1)?;
        twice_u.extend(slack(5, 1)?);
        twice_u.push(self.read(Column::NormVariance)?.times(-1));
        let same = |left: Vec<Read>, right: Option<Vec<Read>>, variables: Vec<Axis>, equal: Vec<Axis>| Product {
            coefficient: 1,
            variables,
            equal,
            masked: false,
            left: form(left),
            right: right.map(form),
        };
        let root = || self.read(Column::NormRoot);
        let value = || self.read(Column::NormValue);
        let mut variance_root =
            same(vec![root()?], Some(vec![self.read(Column::NormVariance)?]), rows.clone(), rows.clone());
        variance_root.coefficient = 2;
        Ok(vec![
            // Q = Σ_c r²
            Relation {
                name: "norm squares",
                products: vec![same(
                    self.residual(1, Ok)?,
                    None,
                    vec![A::Norm, A::HiddenBlock, A::Request, A::Token, A::Channel],
                    rows.clone(),
                )],
                form: form([self.read(Column::NormSquares)?]),
                constants: vec![],
                public: None,
            },
            // S² = n·Q - V + ε
            Relation {
                name: "norm variance",
                products: vec![same(sum(1)?, None, rows.clone(), rows.clone())],
                form: form([self.read(Column::NormSquares)?.times(n), self.read(Column::NormVariance)?.times(-1)]),
                constants: vec![self.per_norm(1, ScaleRef::Epsilon)],
                public: None,
            },
            // 2·ρ·V = s1 + s2 - V + 1
            Relation {
                name: "norm root, upper",
                products: vec![variance_root],
                form: form(
                    slack(0, 1)?.into_iter().chain(slack(5, 1)?).chain([self.read(Column::NormVariance)?.times(-1)]),
                ),
                constants: vec![self.scaled(1, &[A::Norm])],
                public: None,
            },
            // ρ·(s1 + s2 - V) = 2·C - 2·s1 - ρ, since s1 + s2 - V + 1 = 2·ρ·V
            Relation {
                name: "norm root, lower",
                products: vec![same(vec![root()?], Some(twice_u), rows.clone(), rows.clone())],
                form: form(slack(0, -2)?.into_iter().chain([root()?.times(-1)])),
                constants: vec![self.per_norm(2, ScaleRef::Root)],
                public: None,
            },
            // (n·r - S)·ρ·2^(32-shift) + 2^31 = z·2^32 + rem
            Relation {
                name: "norm value",
                products: vec![same(
                    centred,
                    Some(vec![root()?.entries(A::Norm, Some(A::Norm), step)?]),
                    rows.clone(),
                    rows,
                )],
                form: form([value()?.times(UNIT * UNIT), self.read(Column::NormValueRemainder)?.limbs(0, 2)?]),
                constants: vec![self.scaled(-(1 << 31), &[A::Norm, A::HiddenBlock])],
                public: None,
            },
            // z·γ + β + 2^15 = y·2^16 + rem
            Relation {
                name: "norm output",
                products: vec![same(
                    vec![value()?],
                    Some(vec![self.read(Column::Gamma)?]),
                    vec![A::Norm, A::HiddenBlock, A::Channel],
                    vec![A::Norm, A::HiddenBlock, A::Channel],
                )],
                form: form([
                    self.read(Column::Residual)?
                        .entries(A::Slot, Some(A::Norm), (0..=layers).map(|j| (j, j, ONE)))?
                        .times(UNIT),
                    self.read(Column::Mid)?
                        .entries(A::Layer, Some(A::Norm), (0..layers).map(|l| (layers + 1 + l, l, ONE)))?
                        .times(UNIT),
                    self.read(Column::NormRemainder)?,
                    self.read(Column::Beta)?.times(-1),
                ]),
                constants: vec![self.scaled(-ROUND, &[A::Norm, A::HiddenBlock])],
                public: None,
            },
        ])
    }
}
