//! Attention: scores, the attained maximum, softmax by an exp table and an exact reciprocal, weighted values.

use super::equal;
use super::linear::rounded;
use crate::axis::Axis;
use crate::column::Column;
use crate::error::CircuitError;
use crate::form::{Form, LowWeight};
use crate::read::{Columns, ROUND, Read, UNIT, form};
use crate::relation::{Product, PublicFactor, Relation};

/// The columns of an attention.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is documented in docs/protocol/integers.md under its own name")]
pub struct AttentionColumns {
    pub max: Column,
    pub gap: Column,
    pub score_remainder: Column,
    pub exp: Column,
    pub attain: Column,
    pub reciprocal: Column,
    pub reciprocal_remainder: Column,
    pub reciprocal_slack: Column,
    pub prob: Column,
    pub prob_remainder: Column,
    pub context: Column,
    pub context_remainder: Column,
}

/// Attention of every token to the tokens below the request's length.
#[derive(Clone, Debug)]
pub struct Attention<'a, 'p> {
    /// Queries by token, head and depth, times the power of two by which scores are scaled.
    pub query: Read<'p>,
    /// Keys by key position.
    pub key: Read<'p>,
    /// Values by key position.
    pub value: Read<'p>,
    /// Axes of a head besides request and [`Axis::HEAD`], [`Axis::HIDDEN_BLOCK`] among them.
    pub over: &'a [Axis],
    /// The columns.
    pub columns: AttentionColumns,
}

impl Attention<'_, '_> {
    /// The relations.
    ///
    /// # Errors
    /// [`CircuitError::Compile`] if a column lacks an axis.
    pub fn relations(&self, columns: &Columns<'_>) -> Result<Vec<Relation>, CircuitError> {
        let own = &self.columns;
        let over = |last: &[Axis]| -> Vec<Axis> { self.over.iter().chain(last).copied().collect() };
        let heads = over(&[Axis::REQUEST, Axis::HEAD]);
        let rows = over(&[Axis::REQUEST, Axis::HEAD, Axis::TOKEN]);
        let cells = over(&[Axis::REQUEST, Axis::HEAD, Axis::TOKEN, Axis::KEY]);
        let reciprocal = || columns.read(own.reciprocal)?.limbs(0, 2);
        let remainder = || Ok::<_, CircuitError>(columns.read(own.reciprocal_remainder)?.limbs(0, 2)?.times(-1));
        let denominator = || columns.read(own.exp)?.low(Axis::KEY, LowWeight::Masked);
        let product = |coefficient, variables: &[Axis], public, left, right| Product {
            coefficient,
            variables: variables.to_vec(),
            public,
            left: form([left]),
            right: Some(form([right])),
        };
        let relation = |name, products, side: Form, constant: Option<i64>| -> Result<Relation, CircuitError> {
            let constants = constant.map(|value| columns.scaled(value, self.over)).transpose()?.into_iter().collect();
            Ok(Relation { name, products, form: side, constants, public: None })
        };
        let mut masked = equal(&over(&[Axis::HEAD]));
        masked.push(PublicFactor::Length(Axis::KEY));
        Ok(vec![
            // q·k·2^(16-σ) + 2^15 = (m - gap)·2^16 + rem
            relation(
                "scores",
                vec![product(
                    1,
                    &over(&[Axis::REQUEST, Axis::HEAD, Axis::DEPTH]),
                    equal(&heads),
                    self.query.clone(),
                    self.key.clone(),
                )],
                form([
                    columns.read(own.max)?.times(UNIT),
                    columns.read(own.gap)?.times(-UNIT),
                    columns.read(own.score_remainder)?,
                ]),
                Some(-ROUND),
            )?,
            // attain·gap = 0
            relation(
                "attained gap",
                vec![product(1, &cells, equal(&cells), columns.read(own.attain)?, columns.read(own.gap)?)],
                Form::default(),
                None,
            )?,
            // Σ_k attain = 1
            relation(
                "attained once",
                vec![],
                form([columns.read(own.attain)?.low(Axis::KEY, LowWeight::Ones)?]),
                Some(-1),
            )?,
            // attain·(1 - mask) = 0
            relation(
                "attained by a real token",
                vec![],
                form([columns.read(own.attain)?.low(Axis::KEY, LowWeight::Unmasked(Axis::KEY))?]),
                None,
            )?,
            // R·D = 2^38 - u
            relation(
                "softmax reciprocal",
                vec![product(1, &rows, equal(&rows), reciprocal()?, denominator()?)],
                form([remainder()?]),
                Some(1 << 38),
            )?,
            // D - u - slack = 1
            relation(
                "softmax remainder below divisor",
                vec![],
                form([denominator()?, remainder()?, columns.read(own.reciprocal_slack)?.limbs(0, 2)?.times(-1)]),
                Some(-1),
            )?,
            // e·R·2^9 + 2^31 = p·2^32 + rem
            relation(
                "softmax probabilities",
                vec![product(1 << 9, &rows, equal(&rows), columns.read(own.exp)?, reciprocal()?)],
                form([columns.read(own.prob)?.times(UNIT * UNIT), columns.read(own.prob_remainder)?.limbs(0, 2)?]),
                Some(-(1 << 31)),
            )?,
            // 2·Σ_{k < n} p·v + 2^15 = context·2^16 + rem
            relation(
                "context",
                vec![product(
                    2,
                    &over(&[Axis::REQUEST, Axis::HEAD, Axis::KEY]),
                    masked,
                    columns.read(own.prob)?,
                    self.value.clone(),
                )],
                form(rounded(columns, own.context, own.context_remainder, None)?),
                Some(-ROUND),
            )?,
        ])
    }
}
