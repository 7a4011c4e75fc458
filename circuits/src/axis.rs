//! Axes: what an index of a column counts. The engine knows requests, tokens and table entries; everything else is a name
//! that a family gives bits and a count.

/// The id of an axis. Two axes of one program have different numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis {
    number: u16,
    name: &'static str,
}

impl Axis {
    /// An axis of a family's own; numbers from 256 on belong to no family of this crate.
    #[must_use]
    pub const fn new(number: u16, name: &'static str) -> Self {
        Self { number, name }
    }

    /// Request within the batch.
    pub const REQUEST: Self = Self::new(0, "request");
    /// Token (query position).
    pub const TOKEN: Self = Self::new(1, "token");
    /// Entry of a lookup table.
    pub const ENTRY: Self = Self::new(2, "entry");
}

/// Axes that transformers share.
impl Axis {
    /// Residual slot, 0 to `layers`.
    pub const SLOT: Self = Self::new(16, "slot");
    /// Transformer layer.
    pub const LAYER: Self = Self::new(17, "layer");
    /// Query, key, value.
    pub const KIND: Self = Self::new(18, "kind");
    /// Normalisation of the residual stream.
    pub const NORM: Self = Self::new(19, "norm");
    /// Linear layer that LoRA may adapt.
    pub const SITE: Self = Self::new(20, "site");
    /// 16-bit limb, least significant first.
    pub const LIMB: Self = Self::new(21, "limb");
    /// Block of channels of the residual stream (outputs, where a column has two).
    pub const HIDDEN_BLOCK: Self = Self::new(22, "hidden block");
    /// Block of input channels of the residual stream.
    pub const HIDDEN_BLOCK_IN: Self = Self::new(23, "hidden block in");
    /// Block of channels of the feed-forward layer.
    pub const FFN_BLOCK: Self = Self::new(24, "feed-forward block");
    /// Block of input channels of the feed-forward layer.
    pub const FFN_BLOCK_IN: Self = Self::new(25, "feed-forward block in");
    /// Key position.
    pub const KEY: Self = Self::new(26, "key");
    /// Head within a channel block.
    pub const HEAD: Self = Self::new(27, "head");
    /// Channel within a block.
    pub const CHANNEL: Self = Self::new(28, "channel");
    /// Channel within a head: with [`Self::HEAD`] above it, the channel within a block.
    pub const DEPTH: Self = Self::new(29, "depth");
    /// Input channel within a block.
    pub const CHANNEL_IN: Self = Self::new(30, "channel in");
    /// LoRA rank.
    pub const RANK: Self = Self::new(31, "rank");
    /// Classification label.
    pub const LABEL: Self = Self::new(32, "label");
    /// Row of the word embedding.
    pub const WORD_ID: Self = Self::new(33, "word id");
    /// Row of the position embedding.
    pub const POSITION_ID: Self = Self::new(34, "position id");
    /// Record of a datanet's index: the upper bits of its number, and [`Self::CONTRIBUTOR`]'s point for the others. No
    /// relation reads both.
    pub const RECORD: Self = Self::new(35, "record");
    /// The upper bits of a record's number.
    pub const RECORD_HIGH: Self = Self::new(36, "record high");
    /// Contributor of a datanet, by slot.
    pub const CONTRIBUTOR: Self = Self::new(37, "contributor");
    /// Place in the list of the largest shares.
    pub const PLACE: Self = Self::new(38, "place");
    /// Word of published shares.
    pub const SHARE_WORD: Self = Self::new(39, "share word");
}

impl core::fmt::Debug for Axis {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

/// How far an axis goes in one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisSpec {
    /// The axis.
    pub axis: Axis,
    /// Bits of an index; digits are padded to the next power of two.
    pub bits: u32,
    /// Real indices.
    pub count: usize,
    /// The axes whose indices side by side, most significant first, are this axis' index; empty for an axis of its own.
    pub parts: Vec<Axis>,
}

impl AxisSpec {
    /// An axis of `count` indices.
    #[must_use]
    pub fn counted(axis: Axis, count: usize) -> Self {
        Self { axis, bits: count.next_power_of_two().trailing_zeros(), count, parts: Vec::new() }
    }
    /// An axis of 2^bits indices.
    #[must_use]
    pub fn bits(axis: Axis, bits: u32) -> Self {
        Self { axis, bits, count: 1 << bits, parts: Vec::new() }
    }
}
