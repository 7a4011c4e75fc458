//! What fixes the circuit: architecture, batch shape, and the base model's small integers ("scales").
//!
//! Architecture and shape determine layout, relations and settlement key (design section 3). The scales belong to a
//! base model: they are absorbed with it and never change with an adapter.

use crate::error::CircuitError;

/// Cells in one channel block: hidden and feed-forward sizes are multiples of it.
pub const BLOCK: usize = 128;
/// log2 of [`BLOCK`].
pub const BLOCK_BITS: u32 = 7;
/// Longest text in tokens, `[CLS]` and `[SEP]` included.
pub const MAX_TOKENS: usize = 128;
/// Labels of a classification head; those that an adapter lacks never win.
pub const LABELS: usize = 16;
/// Largest batch.
pub const MAX_REQUESTS: usize = 16;
/// Powers of the SRS beyond 2^τ: room for blinding.
pub const BLINDING: usize = 64;

/// The feed-forward activation, as `transformers` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x·Φ(x)` with the error function (`gelu`).
    Gelu,
    /// The tanh approximation (`gelu_new`).
    GeluNew,
    /// `max(x, 0)`.
    Relu,
}

/// A BERT-like encoder's shape, tables and bit widths. One circuit serves every base model and adapter of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Width of the residual stream; a multiple of 128.
    pub hidden: usize,
    /// Encoder layers, 1 to 16.
    pub layers: usize,
    /// Attention heads; `hidden / heads` is a power of two between 16 and 128.
    pub heads: usize,
    /// Width of the feed-forward layer; a multiple of 128.
    pub intermediate: usize,
    /// Rows of the word embedding table, at most 2^20.
    pub vocab: usize,
    /// The feed-forward activation function.
    pub activation: Activation,
    /// LoRA rank to which every adapter is padded: a power of two, at most 64.
    pub r_max: usize,
    /// Scale exponent of attention scores: the exp table holds `exp(-gap / 2^score_bits)`.
    pub score_bits: u32,
    /// Scale exponent of keys and values of the activation table.
    pub activation_bits: u32,
    /// Scale exponent of the keys of the tanh table (values have scale 2^14).
    pub tanh_bits: u32,
}

impl Architecture {
    /// Blocks of 128 channels in the residual stream.
    #[must_use]
    pub fn hidden_blocks(&self) -> usize {
        self.hidden / BLOCK
    }
    /// Blocks of 128 channels in the feed-forward layer.
    #[must_use]
    pub fn ffn_blocks(&self) -> usize {
        self.intermediate / BLOCK
    }
    /// Channels of one head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }
    /// Heads within one block of 128 channels.
    #[must_use]
    pub fn heads_per_block(&self) -> usize {
        BLOCK / self.head_dim()
    }
    /// LayerNorms: one for the embedding, two per layer. Norm `j <= layers` writes residual slot `j`; norm
    /// `layers + 1 + l` is the one after the attention of layer `l`.
    #[must_use]
    pub fn norms(&self) -> usize {
        2 * self.layers + 1
    }
    /// Bits of a word index.
    #[must_use]
    pub fn vocab_bits(&self) -> u32 {
        self.vocab.next_power_of_two().trailing_zeros()
    }

    /// Checks every bound that the layout relies on.
    ///
    /// # Errors
    /// [`CircuitError::Architecture`] names the field.
    pub fn validate(&self) -> Result<(), CircuitError> {
        let fail = |what: &'static str, got: usize| Err(CircuitError::Architecture { what, got });
        if self.hidden == 0 || !self.hidden.is_multiple_of(BLOCK) || self.hidden > 4096 {
            return fail("hidden must be a multiple of 128 up to 4096", self.hidden);
        }
        if self.intermediate == 0 || !self.intermediate.is_multiple_of(BLOCK) || self.intermediate > 16384 {
            return fail("intermediate must be a multiple of 128 up to 16384", self.intermediate);
        }
        if self.layers == 0 || self.layers > 16 {
            return fail("layers must be 1 to 16", self.layers);
        }
        if self.heads == 0 || !self.hidden.is_multiple_of(self.heads) {
            return fail("heads must divide hidden", self.heads);
        }
        let d = self.hidden / self.heads;
        if !d.is_power_of_two() || !(16..=128).contains(&d) {
            return fail("hidden / heads must be a power of two between 16 and 128", d);
        }
        if self.vocab < 2 || self.vocab > 1 << 20 {
            return fail("vocab must be 2 to 2^20", self.vocab);
        }
        if !self.r_max.is_power_of_two() || self.r_max > 64 {
            return fail("r_max must be a power of two up to 64", self.r_max);
        }
        for (what, bits) in [
            ("score_bits must be 4 to 15", self.score_bits),
            ("activation_bits must be 4 to 15", self.activation_bits),
            ("tanh_bits must be 4 to 15", self.tanh_bits),
        ] {
            if !(4..=15).contains(&bits) {
                return fail(what, bits as usize);
            }
        }
        Ok(())
    }
}

/// What a batch publishes for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// `hidden` integer sums over the real tokens of the last layer, and the length. A settlement shows a digest of the
    /// sums, eight to a word.
    Embed,
    /// Sixteen integer logits; the label is the lowest index of the largest.
    Classify,
}

impl OutputKind {
    /// The kind's number in files, in statements and on chains: 1 classify, 2 embed. 0 was the embedding whose
    /// settlements could be forged (`docs/decisions/0031-embeddings-are-published-as-packed-words.md`).
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Classify => 1,
            Self::Embed => 2,
        }
    }

    /// The kind of a number.
    ///
    /// # Errors
    /// [`CircuitError::WithdrawnEmbedding`] for 0, [`CircuitError::OutputKind`] for a number that is no kind's.
    pub fn from_number(number: u8) -> Result<Self, CircuitError> {
        match number {
            0 => Err(CircuitError::WithdrawnEmbedding),
            1 => Ok(Self::Classify),
            2 => Ok(Self::Embed),
            got => Err(CircuitError::OutputKind { got }),
        }
    }
}

/// Shape of a batch: with the architecture it fixes layout, relations and settlement key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Padded number of requests: 1, 2, 4, 8 or 16.
    pub requests: usize,
    /// Padded tokens per request: 16, 32, 64 or 128.
    pub tokens: usize,
    /// log2 of the cells in a tile (τ).
    pub log_tile: u32,
    /// What is published.
    pub output: OutputKind,
}

impl Shape {
    /// The smallest shape for this many requests whose longest has this many tokens.
    ///
    /// # Errors
    /// [`CircuitError::Shape`] if there is none.
    pub fn fitting(requests: usize, longest: usize, log_tile: u32, output: OutputKind) -> Result<Self, CircuitError> {
        if requests == 0 || requests > MAX_REQUESTS {
            return Err(CircuitError::Shape { what: "requests must be 1 to 16", got: requests });
        }
        if longest > MAX_TOKENS {
            return Err(CircuitError::Shape { what: "tokens must be at most 128", got: longest });
        }
        let shape = Self {
            requests: requests.next_power_of_two(),
            tokens: longest.next_power_of_two().max(16),
            log_tile,
            output,
        };
        shape.validate()?;
        Ok(shape)
    }
    /// Checks that the shape is one of those offered.
    ///
    /// # Errors
    /// [`CircuitError::Shape`] names the field.
    pub fn validate(&self) -> Result<(), CircuitError> {
        if !self.requests.is_power_of_two() || self.requests > MAX_REQUESTS {
            return Err(CircuitError::Shape { what: "requests must be 1, 2, 4, 8 or 16", got: self.requests });
        }
        if ![16, 32, 64, 128].contains(&self.tokens) {
            return Err(CircuitError::Shape { what: "tokens must be 16, 32, 64 or 128", got: self.tokens });
        }
        // The command offers 18, 20 and 22; smaller tiles keep tests quick.
        if !self.log_tile.is_multiple_of(2) || !(14..=22).contains(&self.log_tile) {
            return Err(CircuitError::Shape { what: "tau must be even, 14 to 22", got: self.log_tile as usize });
        }
        Ok(())
    }
    /// log2 of the padded requests.
    #[must_use]
    pub fn request_bits(&self) -> u32 {
        self.requests.trailing_zeros()
    }
    /// log2 of the padded tokens.
    #[must_use]
    pub fn token_bits(&self) -> u32 {
        self.tokens.trailing_zeros()
    }
}

/// Constants of one LayerNorm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormScale {
    /// The residual that is normalised is `2^stream·x + 2^branch·o`; unused (zero) for the embedding's norm.
    pub stream: u32,
    /// See `stream`.
    pub branch: u32,
    /// `C = 2^root`: the integer reciprocal root is `floor(sqrt(C / V))`. At most 79.
    pub root: u32,
    /// Shift of the first requantise step, 17 to 32.
    pub shift: u32,
    /// `ε_int >= 1`, added to `V`; below 2^32.
    pub epsilon: u64,
}

/// The base model's small integers, hashed to the scales word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scales {
    /// One per LayerNorm, in norm order.
    pub norms: Vec<NormScale>,
    /// Right shift of the attention scores per layer, 0 to 16.
    pub scores: Vec<u32>,
}

impl Scales {
    /// Checks lengths and ranges against the architecture.
    ///
    /// # Errors
    /// [`CircuitError::Scales`] names the field.
    pub fn validate(&self, architecture: &Architecture) -> Result<(), CircuitError> {
        let fail = |what: &'static str, got: u64| Err(CircuitError::Scales { what, got });
        if self.norms.len() != architecture.norms() {
            return fail("one norm scale per LayerNorm", self.norms.len() as u64);
        }
        if self.scores.len() != architecture.layers {
            return fail("one score shift per layer", self.scores.len() as u64);
        }
        for n in &self.norms {
            if n.stream > 12 || n.branch > 12 {
                return fail("residual alignment must be at most 12", u64::from(n.stream.max(n.branch)));
            }
            if n.root > 79 {
                return fail("root exponent must be at most 79", u64::from(n.root));
            }
            if !(17..=32).contains(&n.shift) {
                return fail("norm shift must be 17 to 32", u64::from(n.shift));
            }
            if n.epsilon == 0 || n.epsilon >> 32 != 0 {
                return fail("epsilon must be 1 to 2^32 - 1", n.epsilon);
            }
        }
        if let Some(&s) = self.scores.iter().find(|&&s| s > 16) {
            return fail("score shift must be at most 16", u64::from(s));
        }
        Ok(())
    }
}
