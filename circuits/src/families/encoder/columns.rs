//! The columns of an encoder.

use super::Architecture;
use crate::axis::Axis;
use crate::blocks::norm::SLACK_LIMBS;
use crate::column::{Column, ColumnSpec, GroupLeaf, Lookup, Table, TableSpec};
use crate::number::wide;
use crate::region::Region;
use crate::shape::{CONTRIBUTORS, LABEL_BITS, LABELS, OutputKind, PLACES, Shape};

macro_rules! columns {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        $(
            #[doc = concat!("`", $text, "` of docs/protocol/integers.md.")]
            pub const $name: Column = Column::new($number, $text);
        )*
    };
}

columns! {
    // Tables.
    TABLE_EXP = 0, "TableExp";
    TABLE_ACTIVATION = 1, "TableActivation";
    TABLE_TANH = 2, "TableTanh";
    // Base.
    WORD = 3, "Word";
    POSITION = 4, "Position";
    TOKEN_TYPE = 5, "TokenType";
    WEIGHT_QKV = 6, "WeightQkv";
    WEIGHT_ATTENTION = 7, "WeightAttention";
    WEIGHT_INTERMEDIATE = 8, "WeightIntermediate";
    WEIGHT_OUTPUT = 9, "WeightOutput";
    WEIGHT_POOLER = 10, "WeightPooler";
    BIAS_QKV = 11, "BiasQkv";
    BIAS_ATTENTION = 12, "BiasAttention";
    BIAS_INTERMEDIATE = 13, "BiasIntermediate";
    BIAS_OUTPUT = 14, "BiasOutput";
    BIAS_POOLER = 15, "BiasPooler";
    GAMMA = 16, "Gamma";
    BETA = 17, "Beta";
    // Adapter.
    LORA_A = 18, "LoraA";
    LORA_A_OUTPUT = 19, "LoraAOutput";
    LORA_B = 20, "LoraB";
    LORA_B_INTERMEDIATE = 21, "LoraBIntermediate";
    LORA_A_POOLER = 22, "LoraAPooler";
    LORA_B_POOLER = 23, "LoraBPooler";
    CLASSIFIER = 24, "Classifier";
    CLASSIFIER_BIAS = 25, "ClassifierBias";
    // Witness.
    RESIDUAL = 26, "Residual";
    MID = 27, "Mid";
    QKV = 28, "Qkv";
    QKV_REMAINDER = 29, "QkvRemainder";
    SCORE_REMAINDER = 30, "ScoreRemainder";
    GAP = 31, "Gap";
    EXP = 32, "Exp";
    ATTAIN = 33, "Attain";
    MAX = 34, "Max";
    RECIPROCAL = 35, "Reciprocal";
    RECIPROCAL_REMAINDER = 36, "ReciprocalRemainder";
    RECIPROCAL_SLACK = 37, "ReciprocalSlack";
    PROB = 38, "Prob";
    PROB_REMAINDER = 39, "ProbRemainder";
    CONTEXT = 40, "Context";
    CONTEXT_REMAINDER = 41, "ContextRemainder";
    ATTENTION = 42, "Attention";
    ATTENTION_REMAINDER = 43, "AttentionRemainder";
    INTERMEDIATE = 44, "Intermediate";
    INTERMEDIATE_REMAINDER = 45, "IntermediateRemainder";
    ACTIVATED = 46, "Activated";
    OUTPUT_LOW = 47, "OutputLow";
    OUTPUT_HIGH = 48, "OutputHigh";
    OUTPUT_REMAINDER = 49, "OutputRemainder";
    NORM_SQUARES = 50, "NormSquares";
    NORM_VARIANCE = 51, "NormVariance";
    NORM_ROOT = 52, "NormRoot";
    NORM_SLACK = 53, "NormSlack";
    NORM_VALUE = 54, "NormValue";
    NORM_VALUE_REMAINDER = 55, "NormValueRemainder";
    NORM_REMAINDER = 56, "NormRemainder";
    LORA_HIDDEN = 57, "LoraHidden";
    LORA_HIDDEN_REMAINDER = 58, "LoraHiddenRemainder";
    POOLER_KEY = 59, "PoolerKey";
    POOLER_REMAINDER = 60, "PoolerRemainder";
    POOLER_HIDDEN = 61, "PoolerHidden";
    POOLER_HIDDEN_REMAINDER = 62, "PoolerHiddenRemainder";
    POOLED = 63, "Pooled";
    MULT_RANGE16 = 64, "MultRange16";
    MULT_RANGE2 = 65, "MultRange2";
    MULT_EXP = 66, "MultExp";
    MULT_ACTIVATION = 67, "MultActivation";
    MULT_TANH = 68, "MultTanh";
    // A datanet's index.
    INDEX_FEATURE = 69, "IndexFeature";
    INDEX_CLASS = 70, "IndexClass";
    INDEX_SLOT = 71, "IndexSlot";
    INDEX_WHITENING = 72, "IndexWhitening";
    INDEX_BIAS = 73, "IndexBias";
    INDEX_CORNER = 74, "IndexCorner";
    // Witness of an attribution.
    QUERY_LOW = 75, "QueryLow";
    QUERY_HIGH = 76, "QueryHigh";
    QUERY_REMAINDER = 77, "QueryRemainder";
    QUERY_BIAS_LOW = 78, "QueryBiasLow";
    QUERY_BIAS_HIGH = 79, "QueryBiasHigh";
    QUERY_BIAS_REMAINDER = 80, "QueryBiasRemainder";
    INFLUENCE = 81, "Influence";
    INFLUENCE_REMAINDER = 82, "InfluenceRemainder";
    INFLUENCE_SIZE = 83, "InfluenceSize";
    SCORE = 84, "Score";
    SUM = 85, "Sum";
    CHOSEN = 86, "Chosen";
    CHOSEN_SLACK = 87, "ChosenSlack";
    CONTRIBUTOR_NUMBER = 88, "ContributorNumber";
    THRESHOLD_SUM = 89, "ThresholdSum";
    THRESHOLD_SLOT = 90, "ThresholdSlot";
    PLACE_SLOT = 91, "PlaceSlot";
    PLACE_SUM = 92, "PlaceSum";
    PLACE_GAP = 93, "PlaceGap";
    SHARE = 94, "Share";
    SHARE_REMAINDER = 95, "ShareRemainder";
    SHARE_SLACK = 96, "ShareSlack";
    // Witness of an index proof.
    RECORD_WEIGHT = 97, "RecordWeight";
    MULT_RANGE10 = 98, "MultRange10";
    MULT_RANGE8 = 99, "MultRange8";
}

/// Linear layers of a transformer layer that LoRA may adapt, in the order of [`Axis::SITE`] of [`LORA_HIDDEN`].
pub const SITES: usize = 6;
/// Sites whose input is the residual width (query, key, value, attention output, intermediate): the digits of
/// [`LORA_A`]. [`LORA_B`] has query, key, value, attention output, output.
pub const SITES_HIDDEN: usize = 5;
/// The digits whose blocks lie together.
const STACKED: [Axis; 4] = [Axis::SLOT, Axis::LAYER, Axis::NORM, Axis::PLACE];

/// The tables that a batch of this kind uses.
#[must_use]
pub fn tables(output: OutputKind) -> Vec<TableSpec> {
    let spec = |table, values, multiplicities| TableSpec { table, values, multiplicities };
    let mut all = vec![
        spec(Table::RANGE16, None, MULT_RANGE16),
        spec(Table::RANGE2, None, MULT_RANGE2),
        spec(Table::EXP, Some(TABLE_EXP), MULT_EXP),
        spec(Table::ACTIVATION, Some(TABLE_ACTIVATION), MULT_ACTIVATION),
    ];
    if output == OutputKind::Classify {
        all.push(spec(Table::TANH, Some(TABLE_TANH), MULT_TANH));
    }
    all
}

/// All columns. Those of the base, the adapter and the tables do not depend on the shape.
#[must_use]
pub fn columns(architecture: &Architecture, shape: &Shape) -> Vec<ColumnSpec> {
    use Axis as A;
    let (layers, norms) = (architecture.layers, architecture.norms());
    let (hb, fb) = (architecture.hidden_blocks(), architecture.ffn_blocks());
    let block = architecture.block_bits();
    let heads = architecture.heads_per_block().trailing_zeros();
    let rank = architecture.r_max.trailing_zeros();
    let (m, t) = (shape.request_bits(), shape.token_bits());
    let column = |region| {
        move |column, digits: &[(A, usize)], lows: &[(A, u32)]| {
            ColumnSpec::new(column, region, &STACKED, digits.to_vec(), lows.to_vec())
        }
    };
    let (layer, norm) = ((A::LAYER, layers), (A::NORM, norms));
    let (hidden, hidden_in) = ((A::HIDDEN_BLOCK, hb), (A::HIDDEN_BLOCK_IN, hb));
    let (ffn, ffn_in) = ((A::FFN_BLOCK, fb), (A::FFN_BLOCK_IN, fb));
    let kind = (A::KIND, 3);
    let (out, own_in) = ((A::CHANNEL, block), (A::CHANNEL_IN, block));
    let (rank, label) = ((A::RANK, rank), (A::LABEL, LABELS.trailing_zeros()));
    let (request, token, key) = ((A::REQUEST, m), (A::TOKEN, t), (A::KEY, t));
    let entry = |table: Table| (A::ENTRY, table.bits());

    let mut all: Vec<ColumnSpec> = Vec::new();
    let own = column(Region::TABLE);
    let table = [(TABLE_EXP, Table::EXP), (TABLE_ACTIVATION, Table::ACTIVATION), (TABLE_TANH, Table::TANH)];
    all.extend(table.map(|(name, table)| own(name, &[], &[entry(table)])));

    let own = column(Region::BASE);
    let words = ColumnSpec {
        used: wide(architecture.vocab) << block,
        ..own(WORD, &[hidden], &[(A::WORD_ID, architecture.vocab_bits()), out])
    };
    all.extend([
        words,
        own(POSITION, &[hidden], &[(A::POSITION_ID, architecture.max_tokens.trailing_zeros()), out]),
        own(TOKEN_TYPE, &[hidden], &[out]),
        own(WEIGHT_QKV, &[layer, kind, hidden, hidden_in], &[out, own_in]),
        own(WEIGHT_ATTENTION, &[layer, hidden, hidden_in], &[out, own_in]),
        own(WEIGHT_INTERMEDIATE, &[layer, ffn, hidden_in], &[out, own_in]),
        own(WEIGHT_OUTPUT, &[layer, hidden, ffn_in], &[out, own_in]),
        own(WEIGHT_POOLER, &[hidden, hidden_in], &[out, own_in]),
        own(BIAS_QKV, &[layer, kind, hidden], &[out]),
        own(BIAS_ATTENTION, &[layer, hidden], &[out]),
        own(BIAS_INTERMEDIATE, &[layer, ffn], &[out]),
        own(BIAS_OUTPUT, &[layer, hidden], &[out]),
        own(BIAS_POOLER, &[hidden], &[out]),
        own(GAMMA, &[norm, hidden], &[out]),
        own(BETA, &[norm, hidden], &[out]),
    ]);

    let own = column(Region::ADAPTER);
    let site = (A::SITE, SITES_HIDDEN);
    all.extend([
        own(LORA_A, &[layer, site, hidden_in], &[rank, own_in]),
        own(LORA_A_OUTPUT, &[layer, ffn_in], &[rank, own_in]),
        own(LORA_B, &[layer, site, hidden], &[out, rank]),
        own(LORA_B_INTERMEDIATE, &[layer, ffn], &[out, rank]),
        own(LORA_A_POOLER, &[hidden_in], &[rank, own_in]),
        own(LORA_B_POOLER, &[hidden], &[out, rank]),
        own(CLASSIFIER, &[hidden_in], &[label, own_in]),
        own(CLASSIFIER_BIAS, &[], &[label]),
    ]);

    let own = column(Region::WITNESS);
    let s16 = |name, digits: &[(A, usize)], lows: &[(A, u32)]| own(name, digits, lows).looked_up(Lookup::S16);
    let u16 = |name, digits: &[(A, usize)], lows: &[(A, u32)]| own(name, digits, lows).looked_up(Lookup::U16);
    let to = |table, signed, value| Lookup::Key { table, signed, value };
    let channels = [request, token, out];
    let head = (A::HEAD, heads);
    let (cells, rows, tokens) = ([request, head, token, key], [request, head, token], [request, token]);
    let limbs = |n| (A::LIMB, n);
    let site = (A::SITE, SITES);
    let ranks = [request, token, rank];
    all.extend([
        s16(RESIDUAL, &[(A::SLOT, layers + 1), hidden], &channels),
        s16(MID, &[layer, hidden], &channels),
        s16(QKV, &[layer, kind, hidden], &channels),
        u16(QKV_REMAINDER, &[layer, kind, hidden], &channels),
        u16(SCORE_REMAINDER, &[layer, hidden], &cells),
        own(GAP, &[layer, hidden], &cells).looked_up(to(Table::EXP, false, Some(EXP))),
        own(EXP, &[layer, hidden], &cells),
        own(ATTAIN, &[layer, hidden], &cells),
        s16(MAX, &[layer, hidden], &rows),
        u16(RECIPROCAL, &[limbs(2), layer, hidden], &rows),
        u16(RECIPROCAL_REMAINDER, &[limbs(2), layer, hidden], &rows),
        u16(RECIPROCAL_SLACK, &[limbs(2), layer, hidden], &rows),
        u16(PROB, &[layer, hidden], &cells),
        u16(PROB_REMAINDER, &[limbs(2), layer, hidden], &cells),
        s16(CONTEXT, &[layer, hidden], &channels),
        u16(CONTEXT_REMAINDER, &[layer, hidden], &channels),
        s16(ATTENTION, &[layer, hidden], &channels),
        u16(ATTENTION_REMAINDER, &[layer, hidden], &channels),
        own(INTERMEDIATE, &[layer, ffn], &channels).looked_up(to(Table::ACTIVATION, true, Some(ACTIVATED))),
        u16(INTERMEDIATE_REMAINDER, &[layer, ffn], &channels),
        own(ACTIVATED, &[layer, ffn], &channels),
        u16(OUTPUT_LOW, &[layer, hidden], &channels),
        own(OUTPUT_HIGH, &[layer, hidden], &channels).looked_up(to(Table::RANGE2, true, None)),
        u16(OUTPUT_REMAINDER, &[layer, hidden], &channels),
        own(NORM_SQUARES, &[norm], &tokens),
        own(NORM_VARIANCE, &[norm], &tokens),
        u16(NORM_ROOT, &[norm], &tokens),
        u16(NORM_SLACK, &[limbs(SLACK_LIMBS), norm], &tokens),
        s16(NORM_VALUE, &[norm, hidden], &channels),
        u16(NORM_VALUE_REMAINDER, &[limbs(2), norm, hidden], &channels),
        u16(NORM_REMAINDER, &[norm, hidden], &channels),
        s16(LORA_HIDDEN, &[layer, site], &ranks),
        u16(LORA_HIDDEN_REMAINDER, &[layer, site], &ranks),
    ]);
    if shape.output == OutputKind::Classify {
        all.extend([
            own(POOLER_KEY, &[hidden], &[request, out]).looked_up(to(Table::TANH, true, Some(POOLED))),
            u16(POOLER_REMAINDER, &[hidden], &[request, out]),
            s16(POOLER_HIDDEN, &[], &[request, rank]),
            u16(POOLER_HIDDEN_REMAINDER, &[], &[request, rank]),
            own(POOLED, &[hidden], &[request, out]),
        ]);
    }
    if let Some(records) = shape.record_bits() {
        all.extend(attribution(architecture, shape.request_bits(), records));
    }
    all.extend(tables(shape.output).into_iter().map(|spec| own(spec.multiplicities, &[], &[entry(spec.table)])));
    all
}

/// Limbs of [`INFLUENCE_SIZE`].
pub const SIZE_LIMBS: usize = 2;
/// Limbs of [`SHARE_REMAINDER`] and [`SHARE_SLACK`].
pub const SHARE_LIMBS: usize = 4;
/// Limbs of [`CHOSEN_SLACK`]: a key is below 2^65, and the last two have the same weight, as 2^64 is none of an `i64`.
pub const CHOSEN_LIMBS: usize = 5;

/// log2 of the weight of a limb of [`CHOSEN_SLACK`].
#[must_use]
pub fn chosen_limb_bits(limb: usize) -> u32 {
    [0, 16, 32, 48, 48].get(limb).copied().unwrap_or(0)
}

/// The columns of an index with 2^records records, in the order of files. No lookup: a batch takes them as they are registered,
/// an index proof ranges them.
pub(super) fn index(architecture: &Architecture, records: u32) -> Vec<ColumnSpec> {
    use Axis as A;
    let block = architecture.block_bits();
    let hidden = (A::HIDDEN_BLOCK, architecture.hidden_blocks());
    let hidden_in = (A::HIDDEN_BLOCK_IN, architecture.hidden_blocks());
    let (out, own_in, record) = ((A::CHANNEL, block), (A::CHANNEL_IN, block), (A::RECORD, records));
    let own = |column, digits: &[(A, usize)], lows: &[(A, u32)]| {
        ColumnSpec::new(column, Region::INDEX, &STACKED, digits.to_vec(), lows.to_vec())
    };
    vec![
        own(INDEX_FEATURE, &[hidden], &[record, out]),
        own(INDEX_CLASS, &[], &[(A::LABEL, LABEL_BITS), record]),
        own(INDEX_SLOT, &[], &[record]),
        own(INDEX_WHITENING, &[hidden, hidden_in], &[out, own_in]),
        own(INDEX_BIAS, &[hidden], &[out]),
        own(INDEX_CORNER, &[], &[]),
    ]
}

/// The columns of an index with 2^records records, and of an attribution by it (docs/protocol/attribution.md).
fn attribution(architecture: &Architecture, requests: u32, records: u32) -> Vec<ColumnSpec> {
    use Axis as A;
    let hidden = (A::HIDDEN_BLOCK, architecture.hidden_blocks());
    let out = (A::CHANNEL, architecture.block_bits());
    let (request, record) = ((A::REQUEST, requests), (A::RECORD, records));
    let contributor = (A::CONTRIBUTOR, CONTRIBUTORS.trailing_zeros());
    let place = (A::PLACE, PLACES);
    let limbs = |n| (A::LIMB, n);
    let mut all = index(architecture, records);
    let own = |column, digits: &[(A, usize)], lows: &[(A, u32)]| {
        ColumnSpec::new(column, Region::WITNESS, &STACKED, digits.to_vec(), lows.to_vec())
    };
    let s16 = |name, digits: &[(A, usize)], lows: &[(A, u32)]| own(name, digits, lows).looked_up(Lookup::S16);
    let u16 = |name, digits: &[(A, usize)], lows: &[(A, u32)]| own(name, digits, lows).looked_up(Lookup::U16);
    let (channels, scores, sums) = ([request, out], [request, record], [request, contributor]);
    all.extend([
        u16(QUERY_LOW, &[hidden], &channels),
        s16(QUERY_HIGH, &[hidden], &channels),
        u16(QUERY_REMAINDER, &[hidden], &channels),
        u16(QUERY_BIAS_LOW, &[], &[request]),
        s16(QUERY_BIAS_HIGH, &[], &[request]),
        u16(QUERY_BIAS_REMAINDER, &[], &[request]),
        own(INFLUENCE, &[], &scores),
        u16(INFLUENCE_REMAINDER, &[], &scores),
        u16(INFLUENCE_SIZE, &[limbs(SIZE_LIMBS)], &scores),
        own(SCORE, &[], &scores).looked_up(Lookup::Group(GroupLeaf::Summand { group: INDEX_SLOT })),
        own(SUM, &[], &sums).looked_up(Lookup::Group(GroupLeaf::Sum)),
        own(CHOSEN, &[], &sums).looked_up(Lookup::Group(GroupLeaf::Count { sum: SUM })),
        u16(CHOSEN_SLACK, &[limbs(CHOSEN_LIMBS)], &sums),
        own(CONTRIBUTOR_NUMBER, &[], &[contributor]),
        own(THRESHOLD_SUM, &[], &[request]),
        own(THRESHOLD_SLOT, &[], &[request]),
        own(PLACE_SLOT, &[place], &[request]).looked_up(Lookup::Group(GroupLeaf::Choice { sum: PLACE_SUM })),
        own(PLACE_SUM, &[place], &[request]),
        u16(PLACE_GAP, &[place], &[request]),
        u16(SHARE, &[place], &[request]),
        u16(SHARE_REMAINDER, &[limbs(SHARE_LIMBS), place], &[request]),
        u16(SHARE_SLACK, &[limbs(SHARE_LIMBS), place], &[request]),
    ]);
    all
}
