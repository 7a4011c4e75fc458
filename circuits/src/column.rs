//! Columns: vectors of small integers, declared once for executor, prover and verifier.
//!
//! A column is a list of blocks of 2^b cells. A block is selected by **digits** (small public indices such as layer or
//! channel block, of any count); inside a block the **low axes** are groups of address bits, most significant first.
//! The logical order of a column's cells is row-major: digits, then low axes.
//!
//! The lookup of a column is its declared range. The executor refuses a value outside it with a typed error, which is
//! exactly the case in which the circuit is unsatisfiable.

use crate::architecture::{Architecture, BLOCK_BITS, LABELS, OutputKind, Shape};

/// What an index of a column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Axis {
    /// Residual slot, 0 to `layers`.
    Slot,
    /// Encoder layer.
    Layer,
    /// Query, key, value.
    Kind,
    /// LayerNorm (see [`Architecture::norms`]).
    Norm,
    /// Linear layer that LoRA may adapt.
    Site,
    /// 16-bit limb, least significant first.
    Limb,
    /// Block of 128 channels of the residual stream (outputs, where a column has two).
    HiddenBlock,
    /// Block of 128 input channels of the residual stream.
    HiddenBlockIn,
    /// Block of 128 channels of the feed-forward layer.
    FfnBlock,
    /// Block of 128 input channels of the feed-forward layer.
    FfnBlockIn,
    /// Request within the batch.
    Request,
    /// Token (query position).
    Token,
    /// Key position.
    Key,
    /// Head within a channel block.
    Head,
    /// Channel within a block of 128.
    Channel,
    /// Channel within a head: with [`Axis::Head`] above it, the channel within a block.
    Depth,
    /// Input channel within a block of 128.
    ChannelIn,
    /// LoRA rank.
    Rank,
    /// Classification label.
    Label,
    /// Row of the word embedding.
    WordId,
    /// Row of the position embedding.
    PositionId,
    /// Entry of a lookup table.
    Entry,
}

/// Where a column is committed, in the order of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// Lookup tables: fixed by the architecture.
    Table,
    /// The base model's weights, committed at registration.
    Base,
    /// One adapter's weights, committed at registration; one copy of the region per request.
    Adapter,
    /// The witness of one batch.
    Witness,
}

/// The lookup tables. The identifier enters every leaf, so tables cannot be crossed (protocol section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// 0 to 65535.
    Range16,
    /// 0 to 3.
    Range2,
    /// `gap -> round(2^15·exp(-gap / 2^score_bits))`, keys 0 to 65535.
    Exp,
    /// `y + 2^15 -> activation(y)`, keys 0 to 65535.
    Activation,
    /// `y + 2^15 -> tanh(y)`, keys 0 to 65535.
    Tanh,
}

impl Table {
    /// The identifier in a leaf; never zero.
    #[must_use]
    pub fn id(self) -> u64 {
        match self {
            Self::Range16 => 1,
            Self::Range2 => 2,
            Self::Exp => 3,
            Self::Activation => 4,
            Self::Tanh => 5,
        }
    }
    /// log2 of the entries.
    #[must_use]
    pub fn bits(self) -> u32 {
        if self == Self::Range2 { 2 } else { 16 }
    }
    /// The committed column of values, absent for ranges.
    #[must_use]
    pub fn values(self) -> Option<Column> {
        match self {
            Self::Range16 | Self::Range2 => None,
            Self::Exp => Some(Column::TableExp),
            Self::Activation => Some(Column::TableActivation),
            Self::Tanh => Some(Column::TableTanh),
        }
    }
    /// The witness column of multiplicities.
    #[must_use]
    pub fn multiplicities(self) -> Column {
        match self {
            Self::Range16 => Column::MultRange16,
            Self::Range2 => Column::MultRange2,
            Self::Exp => Column::MultExp,
            Self::Activation => Column::MultActivation,
            Self::Tanh => Column::MultTanh,
        }
    }
    /// The tables that a batch of this kind uses.
    #[must_use]
    pub fn used(output: OutputKind) -> &'static [Self] {
        match output {
            OutputKind::Embed => &[Self::Range16, Self::Range2, Self::Exp, Self::Activation],
            OutputKind::Classify => &[Self::Range16, Self::Range2, Self::Exp, Self::Activation, Self::Tanh],
        }
    }
}

/// The lookup that a column takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Not looked up: determined by a relation.
    None,
    /// Cell (plus half the table's size if signed) is a key of the table; if the table has values, `value` is the column that holds
    /// them cell by cell.
    Key {
        /// The table.
        table: Table,
        /// Whether half the table's size (2^15, or 2 for [`Table::Range2`]) is added to the cell first.
        signed: bool,
        /// The column of values.
        value: Option<Column>,
    },
}

impl Lookup {
    /// Unsigned 16 bits.
    pub const U16: Self = Self::Key { table: Table::Range16, signed: false, value: None };
    /// Signed 16 bits.
    pub const S16: Self = Self::Key { table: Table::Range16, signed: true, value: None };

    /// What is added to a cell to make it a key of its table.
    #[must_use]
    pub fn offset(self) -> i64 {
        match self {
            Self::Key { table, signed: true, .. } => 1 << (table.bits() - 1),
            _ => 0,
        }
    }

    /// Inclusive bounds of a cell, if it is looked up.
    #[must_use]
    pub fn bounds(self) -> Option<(i64, i64)> {
        match self {
            Self::None => None,
            Self::Key { table, .. } => Some((-self.offset(), (1i64 << table.bits()) - 1 - self.offset())),
        }
    }
}

/// Every column of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is documented in docs/protocol/integers.md under its own name")]
pub enum Column {
    // Tables.
    TableExp,
    TableActivation,
    TableTanh,
    // Base.
    Word,
    Position,
    TokenType,
    WeightQkv,
    WeightAttention,
    WeightIntermediate,
    WeightOutput,
    WeightPooler,
    BiasQkv,
    BiasAttention,
    BiasIntermediate,
    BiasOutput,
    BiasPooler,
    Gamma,
    Beta,
    // Adapter.
    LoraA,
    LoraAOutput,
    LoraB,
    LoraBIntermediate,
    Classifier,
    ClassifierBias,
    // Witness.
    Residual,
    Mid,
    Qkv,
    QkvRemainder,
    ScoreRemainder,
    Gap,
    Exp,
    Attain,
    Max,
    Reciprocal,
    ReciprocalRemainder,
    ReciprocalSlack,
    Prob,
    ProbRemainder,
    Context,
    ContextRemainder,
    Attention,
    AttentionRemainder,
    Intermediate,
    IntermediateRemainder,
    Activated,
    OutputLow,
    OutputHigh,
    OutputRemainder,
    NormSquares,
    NormVariance,
    NormRoot,
    NormSlack,
    NormValue,
    NormValueRemainder,
    NormRemainder,
    LoraHidden,
    LoraHiddenRemainder,
    PoolerKey,
    PoolerRemainder,
    Pooled,
    MultRange16,
    MultRange2,
    MultExp,
    MultActivation,
    MultTanh,
}

/// Linear layers that LoRA may adapt, in the order of [`Axis::Site`] of [`Column::LoraHidden`].
pub const SITES: usize = 6;
/// Sites whose input is the residual width (query, key, value, attention output, intermediate): the digits of
/// [`Column::LoraA`]. [`Column::LoraB`] has query, key, value, attention output, output.
pub const SITES_HIDDEN: usize = 5;
/// Limbs of [`Column::NormSlack`]: five for each of the two slacks of the reciprocal root.
pub const SLACK_LIMBS: usize = 10;

/// Axes and lookup of one column under one architecture and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Which column.
    pub column: Column,
    /// Where it is committed.
    pub region: Region,
    /// Axes that select a block, with their counts.
    pub digits: Vec<(Axis, usize)>,
    /// Axes inside a block, with their bits, most significant first.
    pub lows: Vec<(Axis, u32)>,
    /// Declared range.
    pub lookup: Lookup,
}

impl ColumnSpec {
    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.digits.iter().map(|&(_, n)| n).product()
    }
    /// log2 of the cells of a block.
    #[must_use]
    pub fn block_bits(&self) -> u32 {
        self.lows.iter().map(|&(_, b)| b).sum()
    }
    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks() << self.block_bits()
    }
    /// Whether the column has no cell (never, but clippy asks).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Column {
    /// All columns of a region for this kind of output, in the order of the address space's declaration.
    #[must_use]
    pub fn all(region: Region, output: OutputKind) -> Vec<Self> {
        use Column as C;
        let classify = output == OutputKind::Classify;
        match region {
            Region::Table => vec![C::TableExp, C::TableActivation, C::TableTanh],
            Region::Base => vec![
                C::Word,
                C::Position,
                C::TokenType,
                C::WeightQkv,
                C::WeightAttention,
                C::WeightIntermediate,
                C::WeightOutput,
                C::WeightPooler,
                C::BiasQkv,
                C::BiasAttention,
                C::BiasIntermediate,
                C::BiasOutput,
                C::BiasPooler,
                C::Gamma,
                C::Beta,
            ],
            Region::Adapter => {
                vec![C::LoraA, C::LoraAOutput, C::LoraB, C::LoraBIntermediate, C::Classifier, C::ClassifierBias]
            }
            Region::Witness => {
                let mut columns = vec![
                    C::Residual,
                    C::Mid,
                    C::Qkv,
                    C::QkvRemainder,
                    C::ScoreRemainder,
                    C::Gap,
                    C::Exp,
                    C::Attain,
                    C::Max,
                    C::Reciprocal,
                    C::ReciprocalRemainder,
                    C::ReciprocalSlack,
                    C::Prob,
                    C::ProbRemainder,
                    C::Context,
                    C::ContextRemainder,
                    C::Attention,
                    C::AttentionRemainder,
                    C::Intermediate,
                    C::IntermediateRemainder,
                    C::Activated,
                    C::OutputLow,
                    C::OutputHigh,
                    C::OutputRemainder,
                    C::NormSquares,
                    C::NormVariance,
                    C::NormRoot,
                    C::NormSlack,
                    C::NormValue,
                    C::NormValueRemainder,
                    C::NormRemainder,
                    C::LoraHidden,
                    C::LoraHiddenRemainder,
                ];
                if classify {
                    columns.extend([C::PoolerKey, C::PoolerRemainder, C::Pooled]);
                }
                columns.extend(Table::used(output).iter().map(|t| t.multiplicities()));
                columns
            }
        }
    }

    /// The region in which this column is committed.
    #[must_use]
    pub fn region(self) -> Region {
        match self {
            c if c <= Self::TableTanh => Region::Table,
            c if c <= Self::Beta => Region::Base,
            c if c <= Self::ClassifierBias => Region::Adapter,
            _ => Region::Witness,
        }
    }

    /// Axes and lookup. Table, base and adapter columns do not depend on the shape.
    #[must_use]
    pub fn spec(self, architecture: &Architecture, shape: &Shape) -> ColumnSpec {
        use Axis as A;
        use Column as C;
        let (layers, norms) = (architecture.layers, architecture.norms());
        let (hb, fb) = (architecture.hidden_blocks(), architecture.ffn_blocks());
        let heads = architecture.heads_per_block().trailing_zeros();
        let rank = architecture.r_max.trailing_zeros();
        let (m, t) = (shape.request_bits(), shape.token_bits());
        let channels = vec![(A::Request, m), (A::Token, t), (A::Channel, BLOCK_BITS)];
        let cells = vec![(A::Request, m), (A::Head, heads), (A::Token, t), (A::Key, t)];
        let rows = vec![(A::Request, m), (A::Head, heads), (A::Token, t)];
        let tokens = vec![(A::Request, m), (A::Token, t)];
        let per_layer = vec![(A::Layer, layers), (A::HiddenBlock, hb)];
        let per_norm = vec![(A::Norm, norms), (A::HiddenBlock, hb)];
        let limbs = |n: usize, digits: &[(Axis, usize)]| {
            let mut all = vec![(A::Limb, n)];
            all.extend_from_slice(digits);
            all
        };
        let key = |table, signed, value| Lookup::Key { table, signed, value: Some(value) };
        let range2 = Lookup::Key { table: Table::Range2, signed: true, value: None };
        let c7 = (A::Channel, BLOCK_BITS);
        let i7 = (A::ChannelIn, BLOCK_BITS);
        let labels = (A::Label, LABELS.trailing_zeros());
        let (digits, lows, lookup) = match self {
            C::TableExp | C::TableActivation | C::TableTanh => (vec![], vec![(A::Entry, 16)], Lookup::None),

            C::Word => (vec![(A::HiddenBlock, hb)], vec![(A::WordId, architecture.vocab_bits()), c7], Lookup::None),
            C::Position => (vec![(A::HiddenBlock, hb)], vec![(A::PositionId, 7), c7], Lookup::None),
            C::TokenType | C::BiasPooler => (vec![(A::HiddenBlock, hb)], vec![c7], Lookup::None),
            C::WeightQkv => (
                vec![(A::Layer, layers), (A::Kind, 3), (A::HiddenBlock, hb), (A::HiddenBlockIn, hb)],
                vec![c7, i7],
                Lookup::None,
            ),
            C::WeightAttention => {
                (vec![(A::Layer, layers), (A::HiddenBlock, hb), (A::HiddenBlockIn, hb)], vec![c7, i7], Lookup::None)
            }
            C::WeightIntermediate => {
                (vec![(A::Layer, layers), (A::FfnBlock, fb), (A::HiddenBlockIn, hb)], vec![c7, i7], Lookup::None)
            }
            C::WeightOutput => {
                (vec![(A::Layer, layers), (A::HiddenBlock, hb), (A::FfnBlockIn, fb)], vec![c7, i7], Lookup::None)
            }
            C::WeightPooler => (vec![(A::HiddenBlock, hb), (A::HiddenBlockIn, hb)], vec![c7, i7], Lookup::None),
            C::BiasQkv => (vec![(A::Layer, layers), (A::Kind, 3), (A::HiddenBlock, hb)], vec![c7], Lookup::None),
            C::BiasAttention | C::BiasOutput => (per_layer, vec![c7], Lookup::None),
            C::BiasIntermediate => (vec![(A::Layer, layers), (A::FfnBlock, fb)], vec![c7], Lookup::None),
            C::Gamma | C::Beta => (per_norm, vec![c7], Lookup::None),

            C::LoraA => (
                vec![(A::Layer, layers), (A::Site, SITES_HIDDEN), (A::HiddenBlockIn, hb)],
                vec![(A::Rank, rank), i7],
                Lookup::None,
            ),
            C::LoraAOutput => (vec![(A::Layer, layers), (A::FfnBlockIn, fb)], vec![(A::Rank, rank), i7], Lookup::None),
            C::LoraB => (
                vec![(A::Layer, layers), (A::Site, SITES_HIDDEN), (A::HiddenBlock, hb)],
                vec![c7, (A::Rank, rank)],
                Lookup::None,
            ),
            C::LoraBIntermediate => {
                (vec![(A::Layer, layers), (A::FfnBlock, fb)], vec![c7, (A::Rank, rank)], Lookup::None)
            }
            C::Classifier => (vec![(A::HiddenBlockIn, hb)], vec![labels, i7], Lookup::None),
            C::ClassifierBias => (vec![], vec![labels], Lookup::None),

            C::Residual => (vec![(A::Slot, layers + 1), (A::HiddenBlock, hb)], channels, Lookup::S16),
            C::Mid | C::Context | C::Attention => (per_layer, channels, Lookup::S16),
            C::ContextRemainder | C::AttentionRemainder | C::OutputRemainder | C::OutputLow => {
                (per_layer, channels, Lookup::U16)
            }
            C::OutputHigh => (per_layer, channels, range2),
            C::Qkv => (vec![(A::Layer, layers), (A::Kind, 3), (A::HiddenBlock, hb)], channels, Lookup::S16),
            C::QkvRemainder => (vec![(A::Layer, layers), (A::Kind, 3), (A::HiddenBlock, hb)], channels, Lookup::U16),
            C::Gap => (per_layer, cells, key(Table::Exp, false, C::Exp)),
            C::Exp | C::Attain => (per_layer, cells, Lookup::None),
            C::ScoreRemainder | C::Prob => (per_layer, cells, Lookup::U16),
            C::ProbRemainder => (limbs(2, &per_layer), cells, Lookup::U16),
            C::Max => (per_layer, rows, Lookup::S16),
            C::Reciprocal | C::ReciprocalRemainder | C::ReciprocalSlack => (limbs(2, &per_layer), rows, Lookup::U16),
            C::Intermediate => {
                (vec![(A::Layer, layers), (A::FfnBlock, fb)], channels, key(Table::Activation, true, C::Activated))
            }
            C::IntermediateRemainder => (vec![(A::Layer, layers), (A::FfnBlock, fb)], channels, Lookup::U16),
            C::Activated => (vec![(A::Layer, layers), (A::FfnBlock, fb)], channels, Lookup::None),
            C::NormSquares | C::NormVariance => (vec![(A::Norm, norms)], tokens, Lookup::None),
            C::NormRoot => (vec![(A::Norm, norms)], tokens, Lookup::U16),
            C::NormSlack => (limbs(SLACK_LIMBS, &[(A::Norm, norms)]), tokens, Lookup::U16),
            C::NormValue => (per_norm, channels, Lookup::S16),
            C::NormValueRemainder => (limbs(2, &per_norm), channels, Lookup::U16),
            C::NormRemainder => (per_norm, channels, Lookup::U16),
            C::LoraHidden => (
                vec![(A::Layer, layers), (A::Site, SITES)],
                vec![(A::Request, m), (A::Token, t), (A::Rank, rank)],
                Lookup::S16,
            ),
            C::LoraHiddenRemainder => (
                vec![(A::Layer, layers), (A::Site, SITES)],
                vec![(A::Request, m), (A::Token, t), (A::Rank, rank)],
                Lookup::U16,
            ),
            C::PoolerKey => (vec![(A::HiddenBlock, hb)], vec![(A::Request, m), c7], key(Table::Tanh, true, C::Pooled)),
            C::PoolerRemainder => (vec![(A::HiddenBlock, hb)], vec![(A::Request, m), c7], Lookup::U16),
            C::Pooled => (vec![(A::HiddenBlock, hb)], vec![(A::Request, m), c7], Lookup::None),
            C::MultRange16 | C::MultExp | C::MultActivation | C::MultTanh => {
                (vec![], vec![(A::Entry, 16)], Lookup::None)
            }
            C::MultRange2 => (vec![], vec![(A::Entry, 2)], Lookup::None),
        };
        ColumnSpec { column: self, region: self.region(), digits, lows, lookup }
    }
}
