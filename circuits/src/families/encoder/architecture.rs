//! What fixes an encoder's circuit besides the batch's shape.

use crate::error::CircuitError;
use crate::number::narrow;
use crate::shape::MAX_TOKENS;

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
    /// Cells in one channel block: 64 or 128. Widths are multiples of it.
    pub block: usize,
    /// Longest text in tokens: 128 or 256. An input digest holds that many ids.
    pub max_tokens: usize,
    /// Width of the residual stream; a multiple of the block.
    pub hidden: usize,
    /// Encoder layers, 1 to 32.
    pub layers: usize,
    /// Attention heads; `hidden / heads` is a power of two between 16 and the block.
    pub heads: usize,
    /// Width of the feed-forward layer; a multiple of the block.
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
    /// Cells that a channel block may have.
    pub const BLOCKS: [usize; 2] = [64, 128];
    /// Limits that a text may have, in tokens.
    pub const TOKEN_LIMITS: [usize; 2] = [128, MAX_TOKENS];
    /// Widest residual stream.
    pub const MAX_HIDDEN: usize = 4096;
    /// Widest feed-forward layer.
    pub const MAX_INTERMEDIATE: usize = 16384;
    /// Most encoder layers.
    pub const MAX_LAYERS: usize = 32;
    /// Fewest channels of a head.
    pub const MIN_HEAD_DIM: usize = 16;
    /// Smallest vocabulary.
    pub const MIN_VOCAB: usize = 2;
    /// Largest vocabulary.
    pub const MAX_VOCAB: usize = 1 << 20;
    /// Largest padded LoRA rank.
    pub const MAX_RANK: usize = 64;

    /// log2 of the cells in a channel block.
    #[must_use]
    pub fn block_bits(&self) -> u32 {
        self.block.trailing_zeros()
    }
    /// Blocks of channels in the residual stream.
    #[must_use]
    pub fn hidden_blocks(&self) -> usize {
        self.hidden / self.block
    }
    /// Blocks of channels in the feed-forward layer.
    #[must_use]
    pub fn ffn_blocks(&self) -> usize {
        self.intermediate / self.block
    }
    /// Channels of one head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }
    /// Heads within one block of channels.
    #[must_use]
    pub fn heads_per_block(&self) -> usize {
        self.block / self.head_dim()
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
        if !Self::BLOCKS.contains(&self.block) {
            return fail("block must be 64 or 128", self.block);
        }
        if !Self::TOKEN_LIMITS.contains(&self.max_tokens) {
            return fail("max_tokens must be 128 or 256", self.max_tokens);
        }
        if self.hidden == 0 || !self.hidden.is_multiple_of(self.block) || self.hidden > Self::MAX_HIDDEN {
            return fail("hidden must be a multiple of the block up to 4096", self.hidden);
        }
        if self.intermediate == 0
            || !self.intermediate.is_multiple_of(self.block)
            || self.intermediate > Self::MAX_INTERMEDIATE
        {
            return fail("intermediate must be a multiple of the block up to 16384", self.intermediate);
        }
        if self.layers == 0 || self.layers > Self::MAX_LAYERS {
            return fail("layers must be 1 to 32", self.layers);
        }
        if self.heads == 0 || !self.hidden.is_multiple_of(self.heads) {
            return fail("heads must divide hidden", self.heads);
        }
        let d = self.head_dim();
        if !d.is_power_of_two() || !(Self::MIN_HEAD_DIM..=self.block).contains(&d) {
            return fail("hidden / heads must be a power of two between 16 and the block", d);
        }
        if !(Self::MIN_VOCAB..=Self::MAX_VOCAB).contains(&self.vocab) {
            return fail("vocab must be 2 to 2^20", self.vocab);
        }
        if !self.r_max.is_power_of_two() || self.r_max > Self::MAX_RANK {
            return fail("r_max must be a power of two up to 64", self.r_max);
        }
        for (what, bits) in [
            ("score_bits must be 4 to 15", self.score_bits),
            ("activation_bits must be 4 to 15", self.activation_bits),
            ("tanh_bits must be 4 to 15", self.tanh_bits),
        ] {
            if !(4..=15).contains(&bits) {
                return fail(what, narrow(bits.into()));
            }
        }
        Ok(())
    }
}
