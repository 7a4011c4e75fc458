//! Random integer models for the tests of every crate: small, calibrated like real ones, so that activations stay in
//! range, and the same for the same seed.
//!
//! ```
//! use lorica_quant::integer::synthetic::{SMALL, Synthetic};
//! let synthetic = Synthetic::new(SMALL, 1)?;
//! let adapter = synthetic.adapter(2, 3)?; // seed 2, three labels
//! let ids = synthetic.ids(3, 10); // seed 3, ten tokens
//! # assert_eq!((adapter.labels.len(), ids.len()), (3, 10));
//! # Ok::<(), lorica_quant::integer::QuantiseError>(())
//! ```

use std::collections::BTreeMap;

use super::adapter::quantise_adapter;
use super::error::QuantiseError;
use super::model::{AdapterModel, BaseModel};
use super::quantise::calibrate;
use crate::import::{
    Activation, EncoderConfig, FloatAdapter, FloatEncoder, Head, LayerWeights, LinearWeights, LoraPair, NormWeights,
    Site,
};

/// Sizes of a synthetic model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Encoder layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Words.
    pub vocab: usize,
    /// Longest text: 128 or 256 tokens.
    pub max_tokens: usize,
    /// Padded LoRA rank.
    pub r_max: usize,
    /// Activation function.
    pub activation: Activation,
}

/// The smallest model with more than one feed-forward block and more than one head.
pub const SMALL: Sizes = Sizes {
    hidden: 128,
    layers: 1,
    heads: 4,
    intermediate: 256,
    vocab: 40,
    max_tokens: 128,
    r_max: 4,
    activation: Activation::Gelu,
};

/// A random model in both forms.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// The float form.
    pub encoder: FloatEncoder,
    /// The integer form.
    pub base: BaseModel,
}

/// SplitMix64: small, seedable, good enough for test weights.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Another seed, another sequence.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xa076_1d64_78bd_642f) ^ 0xe703_7ed1_a0b4_28db)
    }
    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `bound`, which is small.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound.max(1) as u64) as usize
    }
    /// Uniform in -1 to 1.
    pub fn unit(&mut self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "24 bits")]
        let x = (self.bits() >> 40) as f32;
        x / 8_388_608.0 - 1.0
    }
    /// Roughly normal with deviation `scale`: the sum of three uniforms.
    fn normal(&mut self, scale: f32) -> f32 {
        (self.unit() + self.unit() + self.unit()) * scale
    }
    fn vector(&mut self, length: usize, scale: f32) -> Vec<f32> {
        (0..length).map(|_| self.normal(scale)).collect()
    }
    fn linear(&mut self, out_features: usize, in_features: usize, gain: f32) -> LinearWeights {
        #[expect(clippy::cast_precision_loss, reason = "small sizes")]
        let scale = gain / (in_features as f32).sqrt();
        LinearWeights {
            weight: self.vector(out_features * in_features, scale),
            bias: self.vector(out_features, 0.1),
            out_features,
            in_features,
        }
    }
    fn norm(&mut self, hidden: usize) -> NormWeights {
        let gamma = (0..hidden).map(|_| 1.0 + self.normal(0.2)).collect();
        NormWeights { gamma, beta: self.vector(hidden, 0.2) }
    }
}

impl Synthetic {
    /// A random model with a pooler, calibrated on random texts.
    ///
    /// # Errors
    /// [`QuantiseError`] for sizes that no architecture has.
    pub fn new(sizes: Sizes, seed: u64) -> Result<Self, QuantiseError> {
        let encoder = encoder(sizes, seed);
        let texts: Vec<_> = (0..16).map(|i| ids(seed ^ (1000 + i), sizes.vocab, 2 + 8 * i as usize)).collect();
        let base = calibrate(&encoder, &texts, sizes.r_max)?;
        Ok(Self { encoder, base })
    }

    /// A random adapter on some sites of every layer and on the pooler, with a head of this many labels (none if 0).
    ///
    /// # Errors
    /// [`QuantiseError`] for more than 16 labels.
    pub fn adapter(&self, seed: u64, labels: usize) -> Result<AdapterModel, QuantiseError> {
        quantise_adapter(&self.base, &self.float_adapter(seed, labels))
    }

    /// The float form of [`adapter`](Self::adapter).
    #[must_use]
    pub fn float_adapter(&self, seed: u64, labels: usize) -> FloatAdapter {
        let mut random = Random::new(seed ^ 0xada9);
        let c = &self.encoder.config;
        let rank = 1 + random.below(self.base.architecture.r_max);
        let mut sites = BTreeMap::new();
        for site in Site::all(c.layers) {
            let (outputs, inputs) = site.shape(c);
            if site == Site::Pooler || random.below(3) > 0 {
                let a = random.linear(rank, inputs, 1.0).weight;
                let b = random.vector(outputs * rank, 0.05);
                sites.insert(site, LoraPair { rank, scaling: 2.0, a, b });
            }
        }
        let head = (labels > 0).then(|| Head {
            weight: random.linear(labels, c.hidden, 1.0).weight,
            bias: random.vector(labels, 0.1),
            labels: (0..labels).map(|i| format!("label {i}")).collect(),
        });
        FloatAdapter { sites, head }
    }

    /// A random text of this many tokens.
    #[must_use]
    pub fn ids(&self, seed: u64, tokens: usize) -> Vec<u32> {
        ids(seed, self.encoder.config.vocab, tokens)
    }
}

fn ids(seed: u64, vocab: usize, tokens: usize) -> Vec<u32> {
    let mut random = Random::new(seed ^ 0x1d5);
    #[expect(clippy::cast_possible_truncation, reason = "vocabularies have at most 2^20 words")]
    (0..tokens).map(|_| random.below(vocab) as u32).collect()
}

/// A random float encoder.
#[must_use]
pub fn encoder(sizes: Sizes, seed: u64) -> FloatEncoder {
    let random = &mut Random::new(seed);
    let Sizes { hidden, layers, heads, intermediate, vocab, max_tokens, activation, .. } = sizes;
    let (max_positions, type_vocab) = (max_tokens, 2);
    let config = EncoderConfig {
        hidden,
        layers,
        heads,
        intermediate,
        vocab,
        max_positions,
        max_tokens,
        type_vocab,
        activation,
        layer_norm_eps: 1e-12,
    };
    let layer = |random: &mut Random| LayerWeights {
        query: random.linear(hidden, hidden, 1.2),
        key: random.linear(hidden, hidden, 1.2),
        value: random.linear(hidden, hidden, 1.0),
        attention_output: random.linear(hidden, hidden, 1.0),
        attention_norm: random.norm(hidden),
        intermediate: random.linear(intermediate, hidden, 1.0),
        output: random.linear(hidden, intermediate, 1.0),
        output_norm: random.norm(hidden),
    };
    FloatEncoder {
        word: random.vector(vocab * hidden, 0.5),
        position: random.vector(max_positions * hidden, 0.1),
        token_type: random.vector(type_vocab * hidden, 0.05),
        embedding_norm: random.norm(hidden),
        layers: (0..layers).map(|_| layer(random)).collect(),
        pooler: Some(random.linear(hidden, hidden, 0.8)),
        tokenizer_json: Vec::new(),
        config,
    }
}
