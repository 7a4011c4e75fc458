//! What the float encoder does on real texts: the ranges from which scales are chosen.

use rayon::prelude::*;

use super::error::QuantiseError;
use super::model::INPUTS;
use crate::float::{LayerTap, NormPart, Tap, forward_observed};
use crate::import::{EncoderConfig, FloatEncoder};

/// Ranges of one LayerNorm.
#[derive(Clone, Copy, Debug)]
pub(super) struct NormRange {
    /// Smallest variance of a row, epsilon not included.
    pub variance: f64,
    /// Largest normalised value.
    pub normalised: f64,
}

/// Largest magnitudes over all texts.
#[derive(Clone, Debug)]
pub(super) struct Ranges {
    /// One per LayerNorm, in norm order.
    pub norms: Vec<NormRange>,
    /// Residual slots.
    pub residual: Vec<f64>,
    /// Per layer, as are the following.
    pub mid: Vec<f64>,
    pub query: Vec<f64>,
    pub key: Vec<f64>,
    pub value: Vec<f64>,
    pub attention: Vec<f64>,
    pub output: Vec<f64>,
    /// Over all layers.
    pub intermediate: f64,
    /// Largest magnitude of the maximum of a row of scores.
    pub score: f64,
    /// Largest distance of a score from its row's maximum.
    pub gap: f64,
    /// Pooler before tanh.
    pub pooler: f64,
    /// Per layer and input ([`INPUTS`] each), then of the pooler's input: magnitudes of the channels.
    pub inputs: Vec<Vec<f64>>,
}

/// Largest magnitude in a slice.
fn peak(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |m, v| f64::from(v.abs()).max(m))
}

fn raise(target: &mut f64, value: f64) {
    *target = target.max(value);
}

impl Ranges {
    fn new(config: &EncoderConfig) -> Self {
        let (layers, zeros) = (config.layers, vec![0.0; config.layers]);
        let widths = [config.hidden, config.hidden, config.hidden, config.intermediate];
        Self {
            norms: vec![NormRange { variance: f64::INFINITY, normalised: 0.0 }; 2 * layers + 1],
            residual: vec![0.0; layers + 1],
            mid: zeros.clone(),
            query: zeros.clone(),
            key: zeros.clone(),
            value: zeros.clone(),
            attention: zeros.clone(),
            output: zeros,
            intermediate: 0.0,
            score: 0.0,
            gap: 0.0,
            pooler: 0.0,
            inputs: (0..=INPUTS * layers).map(|i| vec![0.0; widths[i % INPUTS]]).collect(),
        }
    }

    /// Runs the encoder on every text, and norm 0 on every word.
    pub(super) fn observe(encoder: &FloatEncoder, texts: &[Vec<u32>]) -> Result<Self, QuantiseError> {
        let config = &encoder.config;
        if texts.is_empty() {
            return Err(QuantiseError::NoTexts);
        }
        let all = texts
            .par_iter()
            .enumerate()
            .map(|(text, ids)| {
                let refuse = |reason: String| QuantiseError::Text { text, reason };
                if ids.len() < 2 || ids.len() > config.max_tokens {
                    let expected = format!("{} tokens, expected 2 to {}", ids.len(), config.max_tokens);
                    return Err(refuse(expected));
                }
                let mut ranges = Self::new(config);
                let output =
                    forward_observed(encoder, None, ids, |tap, values| ranges.see(config, ids.len(), tap, values))
                        .map_err(|e| refuse(e.to_string()))?;
                // An infinity anywhere in the encoder ends as a NaN here.
                if !output.hidden_states.iter().all(|x| x.is_finite()) {
                    return Err(refuse("the encoder's activations are not finite".into()));
                }
                if let Some(pooler) = &encoder.pooler {
                    let first = &output.hidden_states[..config.hidden];
                    for (row, bias) in pooler.weight.chunks_exact(config.hidden).zip(&pooler.bias) {
                        let sum: f32 = row.iter().zip(first).map(|(w, x)| w * x).sum();
                        raise(&mut ranges.pooler, f64::from((sum + bias).abs()));
                    }
                }
                Ok(ranges)
            })
            .try_reduce(|| Self::new(config), |a, b| Ok(a.merge(&b)))?;
        Ok(all.with_every_word(encoder))
    }

    fn see(&mut self, config: &EncoderConfig, tokens: usize, tap: Tap, values: &[f32]) {
        match tap {
            Tap::EmbeddingNorm(part) => self.see_norm(0, part, values),
            Tap::Layer(l, LayerTap::AttentionNorm(part)) => self.see_norm(config.layers + 1 + l, part, values),
            Tap::Layer(l, LayerTap::OutputNorm(part)) => self.see_norm(l + 1, part, values),
            Tap::Layer(l, tap) => match tap {
                LayerTap::Query => raise(&mut self.query[l], peak(values)),
                LayerTap::Key => raise(&mut self.key[l], peak(values)),
                LayerTap::Value => raise(&mut self.value[l], peak(values)),
                LayerTap::Scores => self.see_scores(tokens, values),
                LayerTap::Context => self.see_input(INPUTS * l + 1, values),
                LayerTap::AttentionOutput => raise(&mut self.attention[l], peak(values)),
                LayerTap::Intermediate => raise(&mut self.intermediate, peak(values)),
                LayerTap::Activation => self.see_input(INPUTS * l + 3, values),
                LayerTap::Output => raise(&mut self.output[l], peak(values)),
                _ => {}
            },
            _ => {}
        }
    }

    fn see_norm(&mut self, norm: usize, part: NormPart, values: &[f32]) {
        let layers = self.mid.len();
        match part {
            NormPart::Variance => {
                let range = &mut self.norms[norm].variance;
                *range = values.iter().fold(*range, |m, &v| m.min(v.into()));
            }
            NormPart::Normalised => raise(&mut self.norms[norm].normalised, peak(values)),
            NormPart::Output if norm > layers => {
                let layer = norm - layers - 1;
                raise(&mut self.mid[layer], peak(values));
                self.see_input(INPUTS * layer + 2, values);
            }
            NormPart::Output => {
                raise(&mut self.residual[norm], peak(values));
                // The pooler reads the first token of the last slot. Its peaks are over all tokens: an adapter moves the first.
                self.see_input(INPUTS * norm, values);
            }
            NormPart::Mean => {}
        }
    }

    fn see_scores(&mut self, tokens: usize, values: &[f32]) {
        for row in values.chunks_exact(tokens) {
            let (low, high) = row.iter().fold((f32::MAX, f32::MIN), |(l, h), &s| (l.min(s), h.max(s)));
            raise(&mut self.score, f64::from(high).abs());
            raise(&mut self.gap, f64::from(high) - f64::from(low));
        }
    }

    fn see_input(&mut self, input: usize, values: &[f32]) {
        let peaks = &mut self.inputs[input];
        for row in values.chunks_exact(peaks.len()) {
            peaks.iter_mut().zip(row).for_each(|(p, v)| raise(p, v.abs().into()));
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        for (a, b) in self.norms.iter_mut().zip(&other.norms) {
            a.variance = a.variance.min(b.variance);
            raise(&mut a.normalised, b.normalised);
        }
        let lists = [
            (&mut self.residual, &other.residual),
            (&mut self.mid, &other.mid),
            (&mut self.query, &other.query),
            (&mut self.key, &other.key),
            (&mut self.value, &other.value),
            (&mut self.attention, &other.attention),
            (&mut self.output, &other.output),
        ];
        for (a, b) in lists.into_iter().chain(self.inputs.iter_mut().zip(&other.inputs)) {
            a.iter_mut().zip(b).for_each(|(a, &b)| raise(a, b));
        }
        raise(&mut self.intermediate, other.intermediate);
        raise(&mut self.score, other.score);
        raise(&mut self.gap, other.gap);
        raise(&mut self.pooler, other.pooler);
        self
    }

    /// Norm 0 depends on word and position alone: every word is tried, rare ones included, at some positions.
    fn with_every_word(mut self, encoder: &FloatEncoder) -> Self {
        const BUDGET: usize = 1 << 28;
        let positions = [0, 1, 2, 5, 11, 24, 60, encoder.config.max_tokens - 1];
        let n = encoder.config.hidden;
        let count = (BUDGET / (encoder.config.vocab * n)).clamp(1, positions.len());
        let norm = &encoder.embedding_norm;
        let (variance, normalised, output) = encoder
            .word
            .par_chunks_exact(n)
            .map(|word| {
                let mut range = (f64::INFINITY, 0.0f64, 0.0f64);
                for &position in positions.iter().rev().take(count) {
                    let Some(position) = encoder.position.chunks_exact(n).nth(position) else { continue };
                    let row: Vec<f64> = word
                        .iter()
                        .zip(position)
                        .zip(&encoder.token_type)
                        .map(|((w, p), t)| f64::from(*w) + f64::from(*p) + f64::from(*t))
                        .collect();
                    let mean = row.iter().sum::<f64>() / n as f64;
                    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
                    let inverse = 1.0 / (variance + encoder.config.layer_norm_eps).sqrt();
                    range.0 = range.0.min(variance);
                    for ((x, g), b) in row.iter().zip(&norm.gamma).zip(&norm.beta) {
                        let z = (x - mean) * inverse;
                        range.1 = range.1.max(z.abs());
                        range.2 = range.2.max((z * f64::from(*g) + f64::from(*b)).abs());
                    }
                }
                range
            })
            .reduce(|| (f64::INFINITY, 0.0, 0.0), |a, b| (a.0.min(b.0), a.1.max(b.1), a.2.max(b.2)));
        self.norms[0].variance = self.norms[0].variance.min(variance);
        raise(&mut self.norms[0].normalised, normalised);
        raise(&mut self.residual[0], output);
        self
    }
}
