//! One text through encoder, adapter and head.
//!
//! ```text
//! h  = LN(word[id] + position[i] + token_type[0])
//! per layer:
//!   q, k, v = W h + b + scaling B A h                    for each of the three, and so for every linear layer
//!   p  = softmax(q kᵀ / sqrt(head_dim))                  per head
//!   h' = LN(W (p v) + b + h)
//!   h  = LN(W act(W h' + b) + b + h')
//! embedding = Σ_tokens h                                 logits = W tanh(pooler(h[0])) + b
//! ```

use rayon::prelude::*;

use super::kernel::{Normalised, activate, add, dot, layer_norm, linear, softmax};
use super::tap::{LayerTap, NormPart, Tap};
use crate::import::{FloatAdapter, FloatEncoder, Head, ImportError, LayerSite, LinearWeights, NormWeights, Site};

/// Token ids or an adapter that the encoder cannot run.
#[derive(Debug, thiserror::Error)]
pub enum FloatError {
    /// No token at all.
    #[error("the text has no tokens")]
    NoTokens,
    /// More tokens than the model has positions.
    #[error("{tokens} tokens, but the model has {positions} positions")]
    TooManyTokens {
        /// Number of tokens.
        tokens: usize,
        /// Rows of the position embedding.
        positions: usize,
    },
    /// An id without an embedding.
    #[error("token {index} has id {id}, but the vocabulary has {vocab} rows")]
    IdOutOfRange {
        /// Position of the token.
        index: usize,
        /// Its id.
        id: u32,
        /// Rows of the word embedding.
        vocab: usize,
    },
    /// The adapter was loaded for an encoder of other sizes.
    #[error("the adapter does not fit the encoder at {site}")]
    ForeignAdapter {
        /// The first site that does not fit.
        site: Site,
    },
    /// The adapter classifies, but the base has no pooler.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// What the float model says about one text.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatOutput {
    /// Last hidden states, `[tokens][hidden]`.
    pub hidden_states: Vec<f32>,
    /// Sum of the hidden states over the tokens, not divided by their number, `[hidden]`.
    pub embedding_sum: Vec<f32>,
    /// The mean-pooled embedding at L2 norm 1, `[hidden]`.
    pub embedding: Vec<f32>,
    /// Logits, `[labels]`, if the adapter has a head.
    pub logits: Option<Vec<f32>>,
}

impl FloatOutput {
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.hidden_states.len() / self.embedding_sum.len()
    }

    /// The lowest index of the largest logit.
    pub fn label(&self) -> Option<usize> {
        let logits = self.logits.as_ref()?;
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        logits.iter().position(|logit| *logit == largest)
    }
}

/// Runs the encoder on token ids.
pub fn forward(encoder: &FloatEncoder, adapter: Option<&FloatAdapter>, ids: &[u32]) -> Result<FloatOutput, FloatError> {
    forward_observed(encoder, adapter, ids, |_, _| {})
}

/// Runs the encoder on token ids and shows every intermediate value to `observe`, in the order of the computation.
pub fn forward_observed(
    encoder: &FloatEncoder,
    adapter: Option<&FloatAdapter>,
    ids: &[u32],
    observe: impl FnMut(Tap, &[f32]),
) -> Result<FloatOutput, FloatError> {
    let embeddings = embed(encoder, ids)?;
    check_adapter(encoder, adapter)?;
    let mut run = Run { encoder, adapter, observe };
    (run.observe)(Tap::EmbeddingSum, &embeddings);
    let mut hidden_states = run.norm(&embeddings, &encoder.embedding_norm, Tap::EmbeddingNorm);
    for layer in 0..encoder.layers.len() {
        hidden_states = run.layer(layer, &hidden_states);
    }
    let logits = match adapter.and_then(|adapter| adapter.head.as_ref()) {
        None => None,
        Some(head) => Some(run.classify(encoder.require_pooler()?, head, &hidden_states)),
    };
    let width = encoder.config.hidden;
    let mut embedding_sum = vec![0.0; width];
    for row in hidden_states.chunks_exact(width) {
        embedding_sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let norm = dot(&embedding_sum, &embedding_sum).sqrt().max(f32::MIN_POSITIVE);
    let embedding = embedding_sum.iter().map(|value| value / norm).collect();
    Ok(FloatOutput { hidden_states, embedding_sum, embedding, logits })
}

/// Word + position + token type 0, `[n][hidden]`.
fn embed(encoder: &FloatEncoder, ids: &[u32]) -> Result<Vec<f32>, FloatError> {
    let config = &encoder.config;
    if ids.is_empty() {
        return Err(FloatError::NoTokens);
    }
    if ids.len() > config.max_positions {
        return Err(FloatError::TooManyTokens { tokens: ids.len(), positions: config.max_positions });
    }
    let width = config.hidden;
    let mut sum = Vec::with_capacity(ids.len() * width);
    for (index, (&id, position)) in ids.iter().zip(encoder.position.chunks_exact(width)).enumerate() {
        let word = usize::try_from(id)
            .ok()
            .and_then(|row| encoder.word.chunks_exact(width).nth(row))
            .ok_or(FloatError::IdOutOfRange { index, id, vocab: config.vocab })?;
        sum.extend(
            word.iter().zip(position).zip(&encoder.token_type).map(|((word, position), kind)| word + kind + position),
        );
    }
    Ok(sum)
}

fn check_adapter(encoder: &FloatEncoder, adapter: Option<&FloatAdapter>) -> Result<(), FloatError> {
    let Some(adapter) = adapter else { return Ok(()) };
    for (&site, pair) in &adapter.sites {
        let (out_features, in_features) = site.shape(&encoder.config);
        let there = match site {
            Site::Layer(layer, _) => layer < encoder.layers.len(),
            Site::Pooler => true,
        };
        let fits = there && pair.a.len() == pair.rank * in_features && pair.b.len() == out_features * pair.rank;
        if !fits {
            return Err(FloatError::ForeignAdapter { site });
        }
    }
    Ok(())
}

struct Run<'a, F> {
    encoder: &'a FloatEncoder,
    adapter: Option<&'a FloatAdapter>,
    observe: F,
}

impl<F: FnMut(Tap, &[f32])> Run<'_, F> {
    /// One encoder layer, `[n][hidden]` to `[n][hidden]`.
    fn layer(&mut self, layer: usize, input: &[f32]) -> Vec<f32> {
        let weights = &self.encoder.layers[layer];
        let context = self.attention(layer, input);
        let attended = self.layer_linear(layer, LayerSite::AttentionOutput, &context);
        self.show(layer, LayerTap::AttentionOutput, &attended);
        let residual = add(&attended, input);
        self.show(layer, LayerTap::AttentionResidual, &residual);
        let middle =
            self.norm(&residual, &weights.attention_norm, |part| Tap::Layer(layer, LayerTap::AttentionNorm(part)));

        let intermediate = self.layer_linear(layer, LayerSite::Intermediate, &middle);
        self.show(layer, LayerTap::Intermediate, &intermediate);
        let activated = activate(&intermediate, self.encoder.config.activation);
        self.show(layer, LayerTap::Activation, &activated);
        let output = self.layer_linear(layer, LayerSite::Output, &activated);
        self.show(layer, LayerTap::Output, &output);
        let residual = add(&output, &middle);
        self.show(layer, LayerTap::OutputResidual, &residual);
        self.norm(&residual, &weights.output_norm, |part| Tap::Layer(layer, LayerTap::OutputNorm(part)))
    }

    /// Multi-head self-attention up to the context.
    fn attention(&mut self, layer: usize, input: &[f32]) -> Vec<f32> {
        let config = &self.encoder.config;
        let (width, head_dim) = (config.hidden, config.head_dim());
        let n = input.len() / width;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut query = self.layer_linear(layer, LayerSite::Query, input);
        query.iter_mut().for_each(|value| *value *= scale);
        let key = self.layer_linear(layer, LayerSite::Key, input);
        let value = self.layer_linear(layer, LayerSite::Value, input);
        self.show(layer, LayerTap::Query, &query);
        self.show(layer, LayerTap::Key, &key);
        self.show(layer, LayerTap::Value, &value);

        let mut scores = vec![0.0f32; config.heads * n * n];
        scores.par_chunks_exact_mut(n * n).enumerate().for_each(|(head, block)| {
            let columns = |row: usize| row * width + head * head_dim..row * width + (head + 1) * head_dim;
            for (i, row) in block.chunks_exact_mut(n).enumerate() {
                for (j, score) in row.iter_mut().enumerate() {
                    *score = dot(&query[columns(i)], &key[columns(j)]);
                }
            }
        });
        self.show(layer, LayerTap::Scores, &scores);
        let mut probabilities = scores;
        probabilities.par_chunks_exact_mut(n).for_each(softmax);
        self.show(layer, LayerTap::Probabilities, &probabilities);

        let mut context = vec![0.0f32; n * width];
        context.par_chunks_exact_mut(width).enumerate().for_each(|(i, row)| {
            for (head, out) in row.chunks_exact_mut(head_dim).enumerate() {
                let weights = &probabilities[(head * n + i) * n..][..n];
                for (weight, value) in weights.iter().zip(value.chunks_exact(width)) {
                    let value = &value[head * head_dim..][..head_dim];
                    out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
                }
            }
        });
        self.show(layer, LayerTap::Context, &context);
        context
    }

    fn layer_linear(&mut self, layer: usize, site: LayerSite, x: &[f32]) -> Vec<f32> {
        let encoder = self.encoder;
        self.linear(Site::Layer(layer, site), encoder.layers[layer].linear(site), x)
    }

    /// A linear layer with the adapter's update.
    fn linear(&mut self, site: Site, weights: &LinearWeights, x: &[f32]) -> Vec<f32> {
        let (inner, outer) = (weights.in_features, weights.out_features);
        let mut y = linear(x, &weights.weight, Some(&weights.bias), inner, outer);
        if let Some(adapter) = self.adapter
            && let Some(pair) = adapter.sites.get(&site)
        {
            let hidden = linear(x, &pair.a, None, inner, pair.rank);
            (self.observe)(Tap::LoraHidden(site), &hidden);
            let mut update = linear(&hidden, &pair.b, None, pair.rank, outer);
            update.iter_mut().for_each(|value| *value *= pair.scaling);
            (self.observe)(Tap::LoraUpdate(site), &update);
            y.iter_mut().zip(&update).for_each(|(value, update)| *value += update);
        }
        y
    }

    fn norm(&mut self, x: &[f32], weights: &NormWeights, tap: impl Fn(NormPart) -> Tap) -> Vec<f32> {
        let Normalised { mean, variance, normalised, output } =
            layer_norm(x, weights, self.encoder.config.layer_norm_eps);
        (self.observe)(tap(NormPart::Mean), &mean);
        (self.observe)(tap(NormPart::Variance), &variance);
        (self.observe)(tap(NormPart::Normalised), &normalised);
        (self.observe)(tap(NormPart::Output), &output);
        output
    }

    fn classify(&mut self, pooler: &LinearWeights, head: &Head, hidden_states: &[f32]) -> Vec<f32> {
        let width = self.encoder.config.hidden;
        let first = &hidden_states[..width];
        let mut pooled = self.linear(Site::Pooler, pooler, first);
        (self.observe)(Tap::PoolerPreactivation, &pooled);
        pooled.iter_mut().for_each(|value| *value = value.tanh());
        (self.observe)(Tap::PoolerOutput, &pooled);
        let logits = linear(&pooled, &head.weight, Some(&head.bias), width, head.bias.len());
        (self.observe)(Tap::Logits, &logits);
        logits
    }

    fn show(&mut self, layer: usize, tap: LayerTap, values: &[f32]) {
        (self.observe)(Tap::Layer(layer, tap), values);
    }
}
