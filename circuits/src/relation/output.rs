//! Published outputs: pooled sums, or pooler and classifier.

use super::read::{ROUND, Read, form};
use super::{Compiler, Product, Public, Relation};
use crate::column::{Axis, Column};
use crate::error::CircuitError;
use crate::form::LowWeight;

impl Compiler<'_> {
    fn last_slot(&self) -> Result<Read, CircuitError> {
        self.read(Column::Residual)?.at(Axis::Slot, self.layout.architecture.layers)
    }

    pub(super) fn outputs(&self) -> Result<Vec<Relation>, CircuitError> {
        use Axis as A;
        if self.layout.is_embedding() {
            // Σ_{j < 8} 2^(24·j)·(Σ_{t < n} last slot[8·u + j] + 2^23) = published word[u]: a claim on the packed word
            // itself, so that no sum has a copy outside of the ranged cells (soundness.md, outputs).
            let sums = self.last_slot()?.low(A::Token, LowWeight::Masked)?;
            return Ok(vec![Relation {
                name: "mean pooling",
                products: vec![],
                form: form([sums.low(A::Channel, LowWeight::Packed(A::Channel))?.times(-1)]),
                constants: vec![],
                public: Some(Public::PackedSums),
            }]);
        }
        let pooled = self
            .read(Column::Pooled)?
            .digit(A::HiddenBlock, A::HiddenBlockIn)?
            .low(A::Channel, LowWeight::Axis(A::ChannelIn))?;
        let first_token = self
            .last_slot()?
            .digit(A::HiddenBlock, A::HiddenBlockIn)?
            .low(A::Token, LowWeight::First)?
            .low(A::Channel, LowWeight::Axis(A::ChannelIn))?;
        Ok(vec![
            // W·x + b + 2^15 = y·2^16 + rem
            Relation {
                name: "pooler",
                products: vec![Product {
                    coefficient: 1,
                    variables: vec![A::HiddenBlockIn, A::ChannelIn],
                    equal: vec![],
                    masked: false,
                    left: form([first_token]),
                    right: Some(form([self.read(Column::WeightPooler)?])),
                }],
                form: form(self.rounded(Column::PoolerKey, Column::PoolerRemainder, Some(Column::BiasPooler))?),
                constants: vec![self.scaled(-ROUND, &[A::HiddenBlock])],
                public: None,
            },
            // Σ_i W[j,i]·pooled[i] = logit[j] - b[j]
            Relation {
                name: "classifier",
                products: vec![Product {
                    coefficient: 1,
                    variables: vec![A::Request, A::HiddenBlockIn, A::ChannelIn],
                    equal: vec![A::Request],
                    masked: false,
                    left: form([pooled]),
                    right: Some(form([self.read(Column::Classifier)?])),
                }],
                form: form([self.read(Column::ClassifierBias)?.times(-1)]),
                constants: vec![],
                public: Some(Public::Logits),
            },
        ])
    }
}
