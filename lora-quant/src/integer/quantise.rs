//! From a float encoder and calibration texts to an integer base model.

use std::collections::BTreeMap;

use lorica_cells::Cells;
use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::families::encoder::{Architecture, NormScale};

use super::calibration::Ranges;
use super::error::QuantiseError;
use super::model::{BIAS_BITS, BaseMeta, BaseModel, Exponents, INPUTS, WEIGHT_BITS};
use super::scales::{Chosen, choose};
use crate::import::{FloatEncoder, LayerSite, LinearWeights, NormWeights, Site};

/// Quantises an encoder: scales from its activations on `texts` (token ids, 2 to the configuration's
/// `max_tokens` each), weights from the scales.
///
/// # Errors
/// [`QuantiseError`] names the tensor, text or bound.
pub fn calibrate(encoder: &FloatEncoder, texts: &[Vec<u32>], r_max: usize) -> Result<BaseModel, QuantiseError> {
    let c = &encoder.config;
    let shape = Architecture {
        block: c.block(),
        max_tokens: c.max_tokens,
        hidden: c.hidden,
        layers: c.layers,
        heads: c.heads,
        intermediate: c.intermediate,
        vocab: c.vocab,
        activation: c.activation,
        r_max,
        // Chosen with the scales.
        score_bits: 10,
        activation_bits: 10,
        tanh_bits: 10,
    };
    shape.validate()?;
    check_shapes(encoder, shape.max_tokens)?;
    let ranges = Ranges::observe(encoder, texts)?;
    let Chosen { architecture, scales, exponents } = choose(encoder, &ranges, shape)?;
    let mut weights = Weights { columns: BTreeMap::new(), block: architecture.block };
    weights.embeddings(encoder, &architecture, &exponents)?;
    for layer in 0..architecture.layers {
        weights.layer(encoder, layer, &architecture, &exponents)?;
    }
    weights.pooler(encoder, &architecture, &exponents)?;
    weights.norms(encoder, &scales.norms, &exponents)?;

    let input_peaks = ranges.inputs.iter().enumerate().map(|(i, peaks)| {
        let exponent = match (i / INPUTS, i % INPUTS) {
            // With the pooler's, which reads the last slot.
            (l, 0) => exponents.residual[l],
            (l, 1) => exponents.value[l],
            (l, 2) => exponents.mid[l],
            _ => architecture.activation_bits.cast_signed(),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let integer = |p: &f64| (p * 2f64.powi(exponent)).ceil().clamp(0.0, 65535.0) as u32;
        peaks.iter().map(integer).collect()
    });
    let meta = BaseMeta { has_pooler: encoder.pooler.is_some(), input_peaks: input_peaks.collect(), exponents };
    let tokenizer_json = encoder.tokenizer_json.clone();
    let columns = weights.columns.into_iter().map(|(column, cells)| (column, cells.narrowed())).collect();
    let model = BaseModel { architecture, scales, columns, tokenizer_json, meta };
    model.validate()?;
    Ok(model)
}

/// Rounds `value·factor` half away from zero to an integer below `2^bits`.
pub(super) fn integer(tensor: &str, value: f32, factor: f64, bits: u32) -> Result<i64, QuantiseError> {
    let scaled = libm::round(f64::from(value) * factor);
    if scaled.is_nan() || scaled.abs() >= 2f64.powi(bits.cast_signed()) {
        return Err(QuantiseError::TooLarge {
            tensor: tensor.into(),
            value: value.into(),
            exponent: factor.abs().log2(),
            bits,
        });
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 2^46")]
    Ok(scaled as i64)
}

fn check_shapes(encoder: &FloatEncoder, max_tokens: usize) -> Result<(), QuantiseError> {
    let c = &encoder.config;
    let check = |tensor: String, got: usize, expected: usize| {
        if got == expected { Ok(()) } else { Err(QuantiseError::Shape { tensor, expected, got }) }
    };
    let norm = |tensor: String, n: &NormWeights| {
        check(format!("{tensor}.weight"), n.gamma.len(), c.hidden)?;
        check(format!("{tensor}.bias"), n.beta.len(), c.hidden)
    };
    let linear = |tensor: String, l: &LinearWeights, outputs: usize, inputs: usize| {
        check(format!("{tensor}.weight"), l.weight.len(), outputs * inputs)?;
        check(format!("{tensor}.bias"), l.bias.len(), outputs)
    };
    if c.max_positions < max_tokens {
        check("embeddings.position_embeddings (rows)".into(), c.max_positions, max_tokens)?;
    }
    if c.type_vocab == 0 {
        check("embeddings.token_type_embeddings (rows)".into(), 0, 1)?;
    }
    check("embeddings.word_embeddings.weight".into(), encoder.word.len(), c.vocab * c.hidden)?;
    check("embeddings.position_embeddings.weight".into(), encoder.position.len(), c.max_positions * c.hidden)?;
    check("embeddings.token_type_embeddings.weight".into(), encoder.token_type.len(), c.type_vocab * c.hidden)?;
    check("encoder.layer".into(), encoder.layers.len(), c.layers)?;
    norm("embeddings.LayerNorm".into(), &encoder.embedding_norm)?;
    for (l, weights) in encoder.layers.iter().enumerate() {
        for place in LayerSite::ALL {
            let site = Site::Layer(l, place);
            let (outputs, inputs) = site.shape(c);
            linear(site.to_string(), weights.linear(place), outputs, inputs)?;
        }
        norm(format!("encoder.layer.{l}.attention.output.LayerNorm"), &weights.attention_norm)?;
        norm(format!("encoder.layer.{l}.output.LayerNorm"), &weights.output_norm)?;
    }
    encoder.pooler.as_ref().map_or(Ok(()), |p| linear(Site::Pooler.to_string(), p, c.hidden, c.hidden))
}

/// Columns as they grow, layer by layer: logical order is layer-major.
struct Weights {
    columns: BTreeMap<Column, Cells>,
    /// Channels of a block.
    block: usize,
}

impl Weights {
    fn extend(&mut self, column: Column, cells: &[i64]) {
        self.columns.entry(column).or_default().append(cells);
    }

    /// A matrix `[outputs][inputs]` as square blocks.
    fn matrix(
        &mut self,
        column: Column,
        tensor: &str,
        linear: &LinearWeights,
        factor: f64,
    ) -> Result<(), QuantiseError> {
        let inputs = linear.in_features;
        let width = self.block;
        let target = self.columns.entry(column).or_default();
        let mut cells = Vec::with_capacity(width * inputs);
        for block in linear.weight.chunks_exact(width * inputs) {
            for first in (0..inputs).step_by(width) {
                for row in block.chunks_exact(inputs) {
                    for &w in &row[first..first + width] {
                        cells.push(integer(tensor, w, factor, WEIGHT_BITS)?);
                    }
                }
            }
            target.append(&cells);
            cells.clear();
        }
        Ok(())
    }

    fn vector(
        &mut self,
        column: Column,
        tensor: &str,
        values: &[f32],
        factor: f64,
        bits: u32,
    ) -> Result<(), QuantiseError> {
        let cells = values.iter().map(|&v| integer(tensor, v, factor, bits)).collect::<Result<Vec<_>, _>>()?;
        self.extend(column, &cells);
        Ok(())
    }

    /// Weights and biases of `y = x·W + b`; `divisor` divides both.
    fn linear(
        &mut self,
        columns: [Column; 2],
        tensor: &str,
        linear: &LinearWeights,
        [x, y]: [i32; 2],
        divisor: f64,
    ) -> Result<(), QuantiseError> {
        self.matrix(columns[0], &format!("{tensor}.weight"), linear, 2f64.powi(16 + y - x) / divisor)?;
        let factor = 2f64.powi(16 + y) / divisor;
        self.vector(columns[1], &format!("{tensor}.bias"), &linear.bias, factor, BIAS_BITS)
    }

    fn embeddings(&mut self, encoder: &FloatEncoder, a: &Architecture, e: &Exponents) -> Result<(), QuantiseError> {
        let (width, rows) = (a.block, 1usize << a.vocab_bits());
        let tables = [
            (columns::WORD, "word", &encoder.word, rows),
            (columns::POSITION, "position", &encoder.position, a.max_tokens),
            (columns::TOKEN_TYPE, "token_type", &encoder.token_type, 1),
        ];
        let factor = 2f64.powi(e.embedding);
        for (column, name, table, rows) in tables {
            let tensor = format!("embeddings.{name}_embeddings.weight");
            let mut cells = vec![0; rows * width];
            for first in (0..a.hidden).step_by(width) {
                for (row, cells) in table.chunks_exact(a.hidden).zip(cells.chunks_exact_mut(width)) {
                    for (cell, &v) in cells.iter_mut().zip(&row[first..]) {
                        *cell = integer(&tensor, v, factor, WEIGHT_BITS)?;
                    }
                }
                self.extend(column, &cells);
            }
        }
        Ok(())
    }

    fn layer(
        &mut self,
        encoder: &FloatEncoder,
        layer: usize,
        a: &Architecture,
        e: &Exponents,
    ) -> Result<(), QuantiseError> {
        let table = a.activation_bits.cast_signed();
        let residual = e.residual[layer];
        for (place, columns, scales) in [
            (LayerSite::Query, [columns::WEIGHT_QKV, columns::BIAS_QKV], [residual, e.query[layer]]),
            (LayerSite::Key, [columns::WEIGHT_QKV, columns::BIAS_QKV], [residual, e.key[layer]]),
            (LayerSite::Value, [columns::WEIGHT_QKV, columns::BIAS_QKV], [residual, e.value[layer]]),
            (
                LayerSite::AttentionOutput,
                [columns::WEIGHT_ATTENTION, columns::BIAS_ATTENTION],
                [e.value[layer], e.attention[layer]],
            ),
            (
                LayerSite::Intermediate,
                [columns::WEIGHT_INTERMEDIATE, columns::BIAS_INTERMEDIATE],
                [e.mid[layer], table],
            ),
            (LayerSite::Output, [columns::WEIGHT_OUTPUT, columns::BIAS_OUTPUT], [table, e.output[layer]]),
        ] {
            let site = Site::Layer(layer, place);
            let linear = encoder.layers[layer].linear(place);
            self.linear(columns, &site.to_string(), linear, scales, divisor(site, a))?;
        }
        Ok(())
    }

    fn pooler(&mut self, encoder: &FloatEncoder, a: &Architecture, e: &Exponents) -> Result<(), QuantiseError> {
        let columns = [columns::WEIGHT_POOLER, columns::BIAS_POOLER];
        let Some(pooler) = &encoder.pooler else {
            self.extend(columns[0], &vec![0; a.hidden * a.hidden]);
            self.extend(columns[1], &vec![0; a.hidden]);
            return Ok(());
        };
        self.linear(columns, &Site::Pooler.to_string(), pooler, [e.residual[a.layers], a.tanh_bits.cast_signed()], 1.0)
    }

    fn norms(&mut self, encoder: &FloatEncoder, scales: &[NormScale], e: &Exponents) -> Result<(), QuantiseError> {
        let layers = encoder.layers.iter().enumerate();
        let outputs = layers
            .clone()
            .map(|(l, w)| (format!("encoder.layer.{l}.output.LayerNorm"), &w.output_norm, e.residual[l + 1]));
        let attentions =
            layers.map(|(l, w)| (format!("encoder.layer.{l}.attention.output.LayerNorm"), &w.attention_norm, e.mid[l]));
        let first = [("embeddings.LayerNorm".to_string(), &encoder.embedding_norm, e.residual[0])];
        for ((tensor, norm, y), scale) in first.into_iter().chain(outputs).chain(attentions).zip(scales) {
            let z = f64::from(scale.root) / 2.0 - f64::from(scale.shift);
            let factor = (f64::from(16 + y) - z).exp2();
            self.vector(columns::GAMMA, &format!("{tensor}.weight"), &norm.gamma, factor, WEIGHT_BITS)?;
            self.vector(columns::BETA, &format!("{tensor}.bias"), &norm.beta, 2f64.powi(16 + y), BIAS_BITS)?;
        }
        Ok(())
    }
}

/// Queries are divided by the root of their width before rounding.
pub(super) fn divisor(site: Site, a: &Architecture) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 128")]
    let width = a.head_dim() as f64;
    if matches!(site, Site::Layer(_, LayerSite::Query)) { width.sqrt() } else { 1.0 }
}
