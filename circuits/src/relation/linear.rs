//! Linear layers with their LoRA adapters: one accumulator, one rounding.

use super::read::{ONE, ROUND, Read, UNIT, form};
use super::{Compiler, Product, Relation};
use crate::column::{Axis, Column};
use crate::error::CircuitError;

impl Compiler<'_> {
    /// `y·2^16 + rem - bias` of a linear layer.
    pub(super) fn rounded(
        &self,
        y: Column,
        remainder: Column,
        bias: Option<Column>,
    ) -> Result<Vec<Read>, CircuitError> {
        let mut terms = vec![self.read(y)?.times(UNIT), self.read(remainder)?];
        if let Some(bias) = bias {
            terms.push(self.read(bias)?.times(-1));
        }
        Ok(terms)
    }

    /// `acc + 2^15 = y·2^16 + rem` with `acc = x·W + b + h·B`.
    pub(super) fn linear(&self, layer: &LinearLayer) -> Result<Relation, CircuitError> {
        let base = Product {
            coefficient: 1,
            variables: vec![Axis::Layer, layer.block_in, Axis::ChannelIn],
            equal: vec![Axis::Layer],
            masked: false,
            left: form([(layer.input)(self)?]),
            right: Some(form([self.read(layer.weight)?])),
        };
        let kinds = layer.sites.len() > 1;
        let sites = |axis: Axis, read: Read, digits: &[usize]| {
            if kinds {
                read.entries(axis, Some(Axis::Kind), digits.iter().enumerate().map(|(k, &d)| (k, d, ONE)))
            } else {
                read.at(axis, digits[0])
            }
        };
        let hidden = sites(Axis::Site, self.read(Column::LoraHidden)?, layer.sites)?;
        let mut b = self.read(layer.lora_b)?;
        if let Some(digits) = layer.lora_b_digits {
            b = sites(Axis::Site, b, digits)?;
        }
        let mut shared = vec![Axis::Request, Axis::Layer];
        if kinds {
            shared.push(Axis::Kind);
        }
        let mut variables = shared.clone();
        variables.push(Axis::Rank);
        let lora = Product {
            coefficient: 1,
            variables,
            equal: shared,
            masked: false,
            left: form([hidden]),
            right: Some(form([b])),
        };
        let mut side = self.rounded(layer.output, layer.remainder, Some(layer.bias))?;
        if layer.output == Column::OutputLow {
            side.push(self.read(Column::OutputHigh)?.times(UNIT * UNIT));
        }
        let mut real = vec![Axis::Layer, layer.block];
        if kinds {
            real.push(Axis::Kind);
        }
        Ok(Relation {
            name: layer.name,
            products: vec![base, lora],
            form: form(side),
            constants: vec![self.scaled(-ROUND, &real)],
            public: None,
        })
    }

    /// `x·A + 2^15 = h·2^16 + rem` for the sites that share one input.
    pub(super) fn lora_hidden(&self, layer: &LinearLayer) -> Result<Relation, CircuitError> {
        let kinds = layer.sites.len() > 1;
        let sites = |read: Read| {
            if kinds {
                read.entries(Axis::Site, Some(Axis::Kind), layer.sites.iter().enumerate().map(|(k, &d)| (k, d, ONE)))
            } else {
                read.at(Axis::Site, layer.sites[0])
            }
        };
        let mut a = self.read(layer.lora_a)?;
        if layer.lora_a == Column::LoraA {
            a = sites(a)?;
        }
        let mut real = vec![Axis::Layer];
        if kinds {
            real.push(Axis::Kind);
        }
        Ok(Relation {
            name: layer.lora_name,
            products: vec![Product {
                coefficient: 1,
                variables: vec![Axis::Request, Axis::Layer, layer.block_in, Axis::ChannelIn],
                equal: vec![Axis::Request, Axis::Layer],
                masked: false,
                left: form([(layer.input)(self)?]),
                right: Some(form([a])),
            }],
            form: form([
                sites(self.read(Column::LoraHidden)?)?.times(UNIT),
                sites(self.read(Column::LoraHiddenRemainder)?)?,
            ]),
            constants: vec![self.scaled(-ROUND, &real)],
            public: None,
        })
    }
}

/// One group of linear layers that share input and shape.
pub(super) struct LinearLayer {
    name: &'static str,
    lora_name: &'static str,
    input: fn(&Compiler<'_>) -> Result<Read, CircuitError>,
    block_in: Axis,
    block: Axis,
    weight: Column,
    bias: Column,
    output: Column,
    remainder: Column,
    sites: &'static [usize],
    lora_a: Column,
    lora_b: Column,
    lora_b_digits: Option<&'static [usize]>,
}

pub(super) const LINEAR: [LinearLayer; 4] = [
    LinearLayer {
        name: "query, key, value",
        lora_name: "adapter input of query, key, value",
        input: |c| c.layer_input(Axis::HiddenBlockIn, Axis::ChannelIn),
        block_in: Axis::HiddenBlockIn,
        block: Axis::HiddenBlock,
        weight: Column::WeightQkv,
        bias: Column::BiasQkv,
        output: Column::Qkv,
        remainder: Column::QkvRemainder,
        sites: &[0, 1, 2],
        lora_a: Column::LoraA,
        lora_b: Column::LoraB,
        lora_b_digits: Some(&[0, 1, 2]),
    },
    LinearLayer {
        name: "attention output",
        lora_name: "adapter input of attention output",
        input: |c| c.input(Column::Context, Axis::HiddenBlock, Axis::HiddenBlockIn),
        block_in: Axis::HiddenBlockIn,
        block: Axis::HiddenBlock,
        weight: Column::WeightAttention,
        bias: Column::BiasAttention,
        output: Column::Attention,
        remainder: Column::AttentionRemainder,
        sites: &[3],
        lora_a: Column::LoraA,
        lora_b: Column::LoraB,
        lora_b_digits: Some(&[3]),
    },
    LinearLayer {
        name: "intermediate",
        lora_name: "adapter input of intermediate",
        input: |c| c.input(Column::Mid, Axis::HiddenBlock, Axis::HiddenBlockIn),
        block_in: Axis::HiddenBlockIn,
        block: Axis::FfnBlock,
        weight: Column::WeightIntermediate,
        bias: Column::BiasIntermediate,
        output: Column::Intermediate,
        remainder: Column::IntermediateRemainder,
        sites: &[4],
        lora_a: Column::LoraA,
        lora_b: Column::LoraBIntermediate,
        lora_b_digits: None,
    },
    LinearLayer {
        name: "output",
        lora_name: "adapter input of output",
        input: |c| c.input(Column::Activated, Axis::FfnBlock, Axis::FfnBlockIn),
        block_in: Axis::FfnBlockIn,
        block: Axis::HiddenBlock,
        weight: Column::WeightOutput,
        bias: Column::BiasOutput,
        output: Column::OutputLow,
        remainder: Column::OutputRemainder,
        sites: &[5],
        lora_a: Column::LoraAOutput,
        lora_b: Column::LoraB,
        lora_b_digits: Some(&[4]),
    },
];
