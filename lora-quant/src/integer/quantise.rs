//! From a float encoder and calibration texts to an integer base model.

use std::collections::BTreeMap;

use lorica_circuits::architecture::{self, Architecture, BLOCK, MAX_TOKENS, NormScale};
use lorica_circuits::column::Column;

use super::calibration::Ranges;
use super::error::QuantiseError;
use super::model::{BIAS_BITS, BaseMeta, BaseModel, Exponents, INPUTS, WEIGHT_BITS};
use super::scales::{Chosen, choose};
use crate::import::{Activation, FloatEncoder, LinearWeights, NormWeights, Site};

/// Quantises an encoder: scales from its activations on `texts` (token ids, 2 to 128 each), weights from the scales.
///
/// # Errors
/// [`QuantiseError`] names the tensor, text or bound.
pub fn calibrate(encoder: &FloatEncoder, texts: &[Vec<u32>], r_max: usize) -> Result<BaseModel, QuantiseError> {
    let c = &encoder.config;
    let shape = Architecture {
        hidden: c.hidden,
        layers: c.layers,
        heads: c.heads,
        intermediate: c.intermediate,
        vocab: c.vocab,
        activation: match c.activation {
            Activation::Gelu => architecture::Activation::Gelu,
            Activation::GeluNew => architecture::Activation::GeluNew,
            Activation::Relu => architecture::Activation::Relu,
        },
        r_max,
        // Chosen with the scales.
        score_bits: 10,
        activation_bits: 10,
        tanh_bits: 10,
    };
    shape.validate()?;
    check_shapes(encoder)?;
    let ranges = Ranges::observe(encoder, texts)?;
    let Chosen { architecture, scales, exponents } = choose(encoder, &ranges, shape)?;
    let mut weights = Weights { columns: BTreeMap::new() };
    weights.embeddings(encoder, &architecture, &exponents)?;
    for layer in 0..architecture.layers {
        weights.layer(encoder, layer, &architecture, &exponents)?;
    }
    weights.pooler(encoder, &architecture, &exponents)?;
    weights.norms(encoder, &scales.norms, &exponents)?;

    let input_peaks = ranges.inputs.iter().enumerate().map(|(i, peaks)| {
        let exponent = match (i / INPUTS, i % INPUTS) {
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
    let model = BaseModel { architecture, scales, columns: weights.columns, tokenizer_json, meta };
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

fn check_shapes(encoder: &FloatEncoder) -> Result<(), QuantiseError> {
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
    if c.max_positions < MAX_TOKENS {
        check("embeddings.position_embeddings (rows)".into(), c.max_positions, MAX_TOKENS)?;
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
        for site in Site::ALL {
            let (outputs, inputs) = site.shape(c);
            linear(format!("encoder.layer.{l}.{site}"), weights.linear(site), outputs, inputs)?;
        }
        norm(format!("encoder.layer.{l}.attention.output.LayerNorm"), &weights.attention_norm)?;
        norm(format!("encoder.layer.{l}.output.LayerNorm"), &weights.output_norm)?;
    }
    encoder.pooler.as_ref().map_or(Ok(()), |p| linear("pooler.dense".into(), p, c.hidden, c.hidden))
}

/// Columns as they grow, layer by layer: logical order is layer-major.
struct Weights {
    columns: BTreeMap<Column, Vec<i64>>,
}

impl Weights {
    fn extend(&mut self, column: Column, cells: impl IntoIterator<Item = i64>) {
        self.columns.entry(column).or_default().extend(cells);
    }

    /// A matrix `[outputs][inputs]` as blocks of 128 x 128.
    fn matrix(
        &mut self,
        column: Column,
        tensor: &str,
        linear: &LinearWeights,
        factor: f64,
    ) -> Result<(), QuantiseError> {
        let (outputs, inputs) = (linear.out_features, linear.in_features);
        let target = self.columns.entry(column).or_default();
        target.reserve(outputs * inputs);
        for block in linear.weight.chunks_exact(BLOCK * inputs) {
            for first in (0..inputs).step_by(BLOCK) {
                for row in block.chunks_exact(inputs) {
                    for &w in &row[first..first + BLOCK] {
                        target.push(integer(tensor, w, factor, WEIGHT_BITS)?);
                    }
                }
            }
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
        self.extend(column, cells);
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
        let rows = 1usize << a.vocab_bits();
        let tables = [
            (Column::Word, "word", &encoder.word, rows),
            (Column::Position, "position", &encoder.position, MAX_TOKENS),
            (Column::TokenType, "token_type", &encoder.token_type, 1),
        ];
        let factor = 2f64.powi(e.embedding);
        for (column, name, table, rows) in tables {
            let tensor = format!("embeddings.{name}_embeddings.weight");
            let mut cells = vec![0; rows * a.hidden];
            for (r, row) in table.chunks_exact(a.hidden).take(rows).enumerate() {
                for (c, &v) in row.iter().enumerate() {
                    cells[((c / BLOCK) * rows + r) * BLOCK + c % BLOCK] = integer(&tensor, v, factor, WEIGHT_BITS)?;
                }
            }
            self.extend(column, cells);
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
        use Column as C;
        let table = a.activation_bits.cast_signed();
        let residual = e.residual[layer];
        for (site, columns, scales) in [
            (Site::Query, [C::WeightQkv, C::BiasQkv], [residual, e.query[layer]]),
            (Site::Key, [C::WeightQkv, C::BiasQkv], [residual, e.key[layer]]),
            (Site::Value, [C::WeightQkv, C::BiasQkv], [residual, e.value[layer]]),
            (Site::AttentionOutput, [C::WeightAttention, C::BiasAttention], [e.value[layer], e.attention[layer]]),
            (Site::Intermediate, [C::WeightIntermediate, C::BiasIntermediate], [e.mid[layer], table]),
            (Site::Output, [C::WeightOutput, C::BiasOutput], [table, e.output[layer]]),
        ] {
            let tensor = format!("encoder.layer.{layer}.{site}");
            let linear = encoder.layers[layer].linear(site);
            self.linear(columns, &tensor, linear, scales, divisor(site, a))?;
        }
        Ok(())
    }

    fn pooler(&mut self, encoder: &FloatEncoder, a: &Architecture, e: &Exponents) -> Result<(), QuantiseError> {
        let columns = [Column::WeightPooler, Column::BiasPooler];
        let Some(pooler) = &encoder.pooler else {
            self.extend(columns[0], vec![0; a.hidden * a.hidden]);
            self.extend(columns[1], vec![0; a.hidden]);
            return Ok(());
        };
        self.linear(columns, "pooler.dense", pooler, [e.residual[a.layers], a.tanh_bits.cast_signed()], 1.0)
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
            self.vector(Column::Gamma, &format!("{tensor}.weight"), &norm.gamma, factor, WEIGHT_BITS)?;
            self.vector(Column::Beta, &format!("{tensor}.bias"), &norm.beta, 2f64.powi(16 + y), BIAS_BITS)?;
        }
        Ok(())
    }
}

/// Queries are divided by the root of their width before rounding.
pub(super) fn divisor(site: Site, a: &Architecture) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 128")]
    let width = a.head_dim() as f64;
    if site == Site::Query { width.sqrt() } else { 1.0 }
}
