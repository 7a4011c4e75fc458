//! Published outputs: pooled sums, or pooler and classifier.

use super::columns as c;
use crate::axis::Axis;
use crate::blocks::equal;
use crate::blocks::linear::{Linear, Lora, Sites};
use crate::error::CircuitError;
use crate::form::LowWeight;
use crate::read::{Columns, form};
use crate::relation::{Product, Public, Published, Relation};
use crate::shape::OutputKind;

pub(super) fn outputs(columns: &Columns<'_>, layers: usize, output: OutputKind) -> Result<Vec<Relation>, CircuitError> {
    use Axis as A;
    let last_slot = columns.read(c::RESIDUAL)?.at(A::SLOT, layers)?;
    if output == OutputKind::Embed {
        // Σ_{j < 8} 2^(24·j)·(Σ_{t < n} last slot[8·u + j] + 2^23) = published word[u]: a claim on the packed word
        // itself, so that no sum has a copy outside of the ranged cells (soundness.md, outputs).
        let sums = last_slot.low(A::TOKEN, LowWeight::Masked)?;
        return Ok(vec![Relation {
            name: "mean pooling",
            products: vec![],
            form: form([sums.low(A::CHANNEL, LowWeight::Packed(A::CHANNEL))?.times(-1)]),
            constants: vec![],
            public: Some(Public { axes: vec![A::HIDDEN_BLOCK, A::CHANNEL], values: Published::PackedOutputs }),
        }]);
    }
    let pooled = columns
        .read(c::POOLED)?
        .digit(A::HIDDEN_BLOCK, A::HIDDEN_BLOCK_IN)?
        .low(A::CHANNEL, LowWeight::Axis(A::CHANNEL_IN))?;
    let mut all = pooler(columns, layers)?;
    // Σ_i W[j,i]·pooled[i] = logit[j] - b[j]
    all.push(Relation {
        name: "classifier",
        products: vec![Product {
            coefficient: 1,
            variables: vec![A::REQUEST, A::HIDDEN_BLOCK_IN, A::CHANNEL_IN],
            public: equal(&[A::REQUEST]),
            left: form([pooled]),
            right: Some(form([columns.read(c::CLASSIFIER)?])),
        }],
        form: form([columns.read(c::CLASSIFIER_BIAS)?.times(-1)]),
        constants: vec![],
        public: Some(Public { axes: vec![A::LABEL], values: Published::Outputs }),
    });
    Ok(all)
}

/// From the first token of the last layer to the key of its tanh.
pub(super) fn pooler(columns: &Columns<'_>, layers: usize) -> Result<Vec<Relation>, CircuitError> {
    use Axis as A;
    let last_slot = columns.read(c::RESIDUAL)?.at(A::SLOT, layers)?;
    let first_token = last_slot
        .digit(A::HIDDEN_BLOCK, A::HIDDEN_BLOCK_IN)?
        .low(A::TOKEN, LowWeight::First)?
        .low(A::CHANNEL, LowWeight::Axis(A::CHANNEL_IN))?;
    // The tanh of `y` is looked up: y·2^16 + rem = W·x + b + h·B + 2^15.
    let pooler = Linear {
        name: "pooler",
        input: first_token,
        over: &[],
        kind: None,
        block_in: A::HIDDEN_BLOCK_IN,
        block: A::HIDDEN_BLOCK,
        weight: c::WEIGHT_POOLER,
        bias: Some(c::BIAS_POOLER),
        output: c::POOLER_KEY,
        high: None,
        remainder: c::POOLER_REMAINDER,
        lora: Lora {
            name: "adapter input of pooler",
            a: Sites { column: c::LORA_A_POOLER, digits: &[] },
            b: Sites { column: c::LORA_B_POOLER, digits: &[] },
            hidden: Sites { column: c::POOLER_HIDDEN, digits: &[] },
            hidden_remainder: Sites { column: c::POOLER_HIDDEN_REMAINDER, digits: &[] },
        },
    };
    Ok(pooler.relations(columns)?.into())
}
