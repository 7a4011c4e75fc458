//! Attention: scores, the attained maximum, softmax by an exp table and an exact reciprocal, weighted values.

use super::read::{ROUND, UNIT, form};
use super::{Compiler, Product, Relation};
use crate::column::{Axis, Column};
use crate::error::CircuitError;
use crate::form::{Coefficient, Form, LowWeight, ScaleRef};

impl Compiler<'_> {
    pub(super) fn attention(&self) -> Result<Vec<Relation>, CircuitError> {
        use Axis as A;
        let layers = self.layout.architecture.layers;
        let all = [A::Layer, A::HiddenBlock];
        let rows = vec![A::Layer, A::HiddenBlock, A::Request, A::Head, A::Token];
        let steps = (0..layers).map(|l| (l, l, Coefficient::Scale(ScaleRef::ScoreStep(l))));
        let qkv = |kind| self.read(Column::Qkv)?.at(A::Kind, kind);
        let mut cells = rows.clone();
        cells.push(A::Key);
        let reciprocal = || self.read(Column::Reciprocal)?.limbs(0, 2);
        let denominator = || self.read(Column::Exp)?.low(A::Key, LowWeight::Masked);
        Ok(vec![
            // q·k·2^(16-σ) + 2^15 = (m - gap)·2^16 + rem
            Relation {
                name: "scores",
                products: vec![Product {
                    coefficient: 1,
                    variables: vec![A::Layer, A::HiddenBlock, A::Request, A::Head, A::Depth],
                    equal: vec![A::Layer, A::HiddenBlock, A::Request, A::Head],
                    masked: false,
                    left: form([qkv(0)?.entries(A::Layer, Some(A::Layer), steps)?]),
                    right: Some(form([qkv(1)?.low(A::Token, LowWeight::Axis(A::Key))?])),
                }],
                form: form([
                    self.read(Column::Max)?.times(UNIT),
                    self.read(Column::Gap)?.times(-UNIT),
                    self.read(Column::ScoreRemainder)?,
                ]),
                constants: vec![self.scaled(-ROUND, &all)],
                public: None,
            },
            // attain·gap = 0
            Relation {
                name: "attained gap",
                products: vec![Product {
                    coefficient: 1,
                    variables: cells.clone(),
                    equal: cells,
                    masked: false,
                    left: form([self.read(Column::Attain)?]),
                    right: Some(form([self.read(Column::Gap)?])),
                }],
                form: Form::default(),
                constants: vec![],
                public: None,
            },
            // Σ_k attain = 1
            Relation {
                name: "attained once",
                products: vec![],
                form: form([self.read(Column::Attain)?.low(A::Key, LowWeight::Ones)?]),
                constants: vec![self.scaled(-1, &all)],
                public: None,
            },
            // attain·(1 - mask) = 0
            Relation {
                name: "attained by a real token",
                products: vec![],
                form: form([self.read(Column::Attain)?.low(A::Key, LowWeight::Unmasked(A::Key))?]),
                constants: vec![],
                public: None,
            },
            // R·D = 2^38 - u
            Relation {
                name: "softmax reciprocal",
                products: vec![Product {
                    coefficient: 1,
                    variables: rows.clone(),
                    equal: rows.clone(),
                    masked: false,
                    left: form([reciprocal()?]),
                    right: Some(form([denominator()?])),
                }],
                form: form([self.read(Column::ReciprocalRemainder)?.limbs(0, 2)?.times(-1)]),
                constants: vec![self.scaled(1 << 38, &all)],
                public: None,
            },
            // D - u - slack = 1
            Relation {
                name: "softmax remainder below divisor",
                products: vec![],
                form: form([
                    denominator()?,
                    self.read(Column::ReciprocalRemainder)?.limbs(0, 2)?.times(-1),
                    self.read(Column::ReciprocalSlack)?.limbs(0, 2)?.times(-1),
                ]),
                constants: vec![self.scaled(-1, &all)],
                public: None,
            },
            // e·R·2^9 + 2^31 = p·2^32 + rem
            Relation {
                name: "softmax probabilities",
                products: vec![Product {
                    coefficient: 1 << 9,
                    variables: rows.clone(),
                    equal: rows,
                    masked: false,
                    left: form([self.read(Column::Exp)?]),
                    right: Some(form([reciprocal()?])),
                }],
                form: form([
                    self.read(Column::Prob)?.times(UNIT * UNIT),
                    self.read(Column::ProbRemainder)?.limbs(0, 2)?,
                ]),
                constants: vec![self.scaled(-(1 << 31), &all)],
                public: None,
            },
            // 2·Σ_{k < n} p·v + 2^15 = context·2^16 + rem
            Relation {
                name: "context",
                products: vec![Product {
                    coefficient: 2,
                    variables: vec![A::Layer, A::HiddenBlock, A::Request, A::Head, A::Key],
                    equal: vec![A::Layer, A::HiddenBlock, A::Head],
                    masked: true,
                    left: form([self.read(Column::Prob)?]),
                    right: Some(form([qkv(2)?.low(A::Token, LowWeight::Axis(A::Key))?])),
                }],
                form: form(self.rounded(Column::Context, Column::ContextRemainder, None)?),
                constants: vec![self.scaled(-ROUND, &all)],
                public: None,
            },
        ])
    }
}
