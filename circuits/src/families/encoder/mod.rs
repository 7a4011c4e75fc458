//! BERT-like encoders with LoRA adapters, embeddings and classifications.

mod architecture;
mod attribution;
pub mod columns;
mod index;
mod output;
mod rows;
mod scales;
mod values;

pub use architecture::{Activation, Architecture};
pub use scales::{NormScale, Scales};
pub use values::table_values;

use self::attribution::attribution;
use self::columns as c;
use self::output::outputs;
use crate::axis::{Axis, AxisSpec};
use crate::blocks::attention::{Attention, AttentionColumns};
use crate::blocks::linear::{Linear, Lora, Sites};
use crate::blocks::norm::{NormColumns, NormScales, Norms, SLACK_LIMBS};
use crate::column::{Column, ColumnSpec};
use crate::error::CircuitError;
use crate::form::{Coefficient, LowWeight, PACKED_SUMS, Scale};
use crate::layout::{Layout, within};
use crate::number::wide;
use crate::program::{OutputSpec, Program, TextSpec};
use crate::read::{Columns, ONE, Read, UNIT};
use crate::region::{Region, RegionSpec};
use crate::relation::Relation;
use crate::shape::{CONTRIBUTORS, LABELS, MIN_TOKENS, OutputKind, PLACES, SHARE_WORDS, Shape};

/// Outer axes, in the order in which the transcript draws their points.
const OUTER: [Axis; 12] = [
    Axis::LAYER,
    Axis::KIND,
    Axis::HIDDEN_BLOCK,
    Axis::FFN_BLOCK,
    Axis::NORM,
    Axis::REQUEST,
    Axis::TOKEN,
    Axis::KEY,
    Axis::HEAD,
    Axis::DEPTH,
    Axis::RANK,
    Axis::LABEL,
];

/// Most channels of a model whose answers are attributed: with `|h|` and cells of the index as large as they can be, a record's
/// influence is below `hidden·(hidden + 1)·2^13`, and its size has 32 bits.
const MAX_ATTRIBUTED_CHANNELS: u64 = 723;

/// Outer axes of a batch that attributes, behind the others.
const ATTRIBUTION_OUTER: [Axis; 4] = [Axis::RECORD_HIGH, Axis::CONTRIBUTOR, Axis::PLACE, Axis::SHARE_WORD];

impl Architecture {
    /// The program of a batch.
    ///
    /// # Errors
    /// If architecture or shape is outside the supported family.
    pub fn program(&self, shape: &Shape) -> Result<Program, CircuitError> {
        self.validate()?;
        shape.validate()?;
        if shape.tokens > self.max_tokens {
            return Err(CircuitError::Tokens { most: self.max_tokens, got: shape.tokens });
        }
        let axes = self.axes(shape);
        let columns = c::columns(self, shape);
        let relations = self.relations(&Columns::new(&axes, &columns), shape)?;
        let attributes = shape.record_bits().is_some();
        if attributes {
            self.expect_attributed()?;
        }
        let shares = if attributes { SHARE_WORDS } else { 0 };
        let output = match shape.output {
            OutputKind::Embed => {
                OutputSpec { scalars: self.hidden.div_ceil(PACKED_SUMS), labelled: false, shares, row_bits: 0 }
            }
            OutputKind::Classify => OutputSpec { scalars: LABELS, labelled: true, shares, row_bits: 0 },
        };
        let regions = [
            Some(RegionSpec::once(Region::BASE)),
            Some(RegionSpec::once(Region::TABLE)),
            Some(RegionSpec::per_request(Region::ADAPTER)),
            attributes.then_some(RegionSpec::once(Region::INDEX)),
            Some(RegionSpec::once(Region::WITNESS)),
        ];
        let further: &[Axis] = if attributes { &ATTRIBUTION_OUTER } else { &[] };
        Ok(Program {
            axes,
            outer: OUTER.iter().chain(further).copied().collect(),
            regions: regions.into_iter().flatten().collect(),
            columns,
            tables: c::tables(shape.output),
            scales: Scales::count(self),
            text: Some(TextSpec { vocabulary: self.vocab, limit: self.max_tokens }),
            counted: None,
            output,
            relations,
        })
    }

    fn expect_attributed(&self) -> Result<(), CircuitError> {
        within("channels of a model whose answers are attributed", MAX_ATTRIBUTED_CHANNELS, wide(self.hidden))
    }

    /// The smallest shape for this many requests whose longest has this many tokens.
    ///
    /// # Errors
    /// [`CircuitError::Tokens`] beyond the architecture's limit, [`CircuitError::Shape`] for what no architecture offers.
    pub fn shape(
        &self,
        requests: usize,
        longest: usize,
        log_tile: u32,
        output: OutputKind,
    ) -> Result<Shape, CircuitError> {
        if longest > self.max_tokens {
            return Err(CircuitError::Tokens { most: self.max_tokens, got: longest });
        }
        Shape::fitting(requests, longest, log_tile, output)
    }

    /// The layout of a batch.
    ///
    /// # Errors
    /// As [`Self::program`], or [`CircuitError::Bound`] for a batch that is too large.
    pub fn layout(&self, shape: &Shape) -> Result<Layout, CircuitError> {
        Layout::of(self.program(shape)?, shape)
    }

    fn axes(&self, shape: &Shape) -> Vec<AxisSpec> {
        use Axis as A;
        let token = shape.token_bits();
        let table = crate::column::Table::RANGE16.bits();
        let channel = AxisSpec { parts: vec![A::HEAD, A::DEPTH], ..AxisSpec::bits(A::CHANNEL, self.block_bits()) };
        let mut all = vec![
            AxisSpec::counted(A::SLOT, self.layers + 1),
            AxisSpec::counted(A::LAYER, self.layers),
            AxisSpec::counted(A::KIND, 3),
            AxisSpec::counted(A::NORM, self.norms()),
            AxisSpec::counted(A::SITE, c::SITES),
            AxisSpec::counted(A::LIMB, SLACK_LIMBS),
            AxisSpec::counted(A::HIDDEN_BLOCK, self.hidden_blocks()),
            AxisSpec::counted(A::HIDDEN_BLOCK_IN, self.hidden_blocks()),
            AxisSpec::counted(A::FFN_BLOCK, self.ffn_blocks()),
            AxisSpec::counted(A::FFN_BLOCK_IN, self.ffn_blocks()),
            AxisSpec::bits(A::REQUEST, shape.request_bits()),
            AxisSpec::bits(A::TOKEN, token),
            AxisSpec::bits(A::KEY, token),
            AxisSpec::counted(A::HEAD, self.heads_per_block()),
            AxisSpec::counted(A::DEPTH, self.head_dim()),
            channel,
            AxisSpec::bits(A::CHANNEL_IN, self.block_bits()),
            AxisSpec::counted(A::RANK, self.r_max),
            AxisSpec::counted(A::LABEL, LABELS),
            AxisSpec::bits(A::WORD_ID, self.vocab_bits()),
            AxisSpec::counted(A::POSITION_ID, self.max_tokens),
            AxisSpec::bits(A::ENTRY, table),
        ];
        if let Some(records) = shape.record_bits() {
            let contributor = AxisSpec::counted(A::CONTRIBUTOR, CONTRIBUTORS);
            let high = AxisSpec::bits(A::RECORD_HIGH, records - contributor.bits);
            let parts = vec![A::RECORD_HIGH, A::CONTRIBUTOR];
            all.extend([
                AxisSpec { parts, ..AxisSpec::bits(A::RECORD, records) },
                high,
                contributor,
                AxisSpec::counted(A::PLACE, PLACES),
                AxisSpec::counted(A::SHARE_WORD, SHARE_WORDS),
            ]);
        }
        all
    }

    /// From token ids to the last layer.
    fn body(&self, columns: &Columns<'_>) -> Result<Vec<Relation>, CircuitError> {
        let mut all = Vec::new();
        for layer in self.linear(columns)? {
            all.extend(layer.relations(columns)?);
        }
        all.extend(self.attention(columns)?);
        all.extend(self.normalisations(columns)?);
        Ok(all)
    }

    fn relations(&self, columns: &Columns<'_>, shape: &Shape) -> Result<Vec<Relation>, CircuitError> {
        let mut all = self.body(columns)?;
        all.extend(outputs(columns, self.layers, shape.output)?);
        if shape.record_bits().is_some() {
            all.extend(attribution(columns)?);
        }
        Ok(all)
    }

    /// The linear layers of a transformer layer.
    fn linear<'p>(&self, columns: &Columns<'p>) -> Result<[Linear<'static, 'p>; 4], CircuitError> {
        const LAYER: &[Axis] = &[Axis::LAYER];
        // Input of layer l: residual slot l.
        let slots = (0..self.layers).map(|l| (l, l, ONE));
        let residual = columns
            .read(c::RESIDUAL)?
            .entries(Axis::SLOT, Some(Axis::LAYER), slots)?
            .digit(Axis::HIDDEN_BLOCK, Axis::HIDDEN_BLOCK_IN)?
            .low(Axis::CHANNEL, LowWeight::Axis(Axis::CHANNEL_IN))?;
        let input = |column, from, block| {
            columns.read(column)?.digit(from, block)?.low(Axis::CHANNEL, LowWeight::Axis(Axis::CHANNEL_IN))
        };
        let lora = |name, a, b, digits| Lora {
            name,
            a,
            b,
            hidden: Sites { column: c::LORA_HIDDEN, digits },
            hidden_remainder: Sites { column: c::LORA_HIDDEN_REMAINDER, digits },
        };
        let sites = |column, digits| Sites { column, digits };
        Ok([
            Linear {
                name: "query, key, value",
                input: residual,
                over: LAYER,
                kind: Some(Axis::KIND),
                block_in: Axis::HIDDEN_BLOCK_IN,
                block: Axis::HIDDEN_BLOCK,
                weight: c::WEIGHT_QKV,
                bias: Some(c::BIAS_QKV),
                output: c::QKV,
                high: None,
                remainder: c::QKV_REMAINDER,
                lora: lora(
                    "adapter input of query, key, value",
                    sites(c::LORA_A, &[0, 1, 2]),
                    sites(c::LORA_B, &[0, 1, 2]),
                    &[0, 1, 2],
                ),
            },
            Linear {
                name: "attention output",
                input: input(c::CONTEXT, Axis::HIDDEN_BLOCK, Axis::HIDDEN_BLOCK_IN)?,
                over: LAYER,
                kind: None,
                block_in: Axis::HIDDEN_BLOCK_IN,
                block: Axis::HIDDEN_BLOCK,
                weight: c::WEIGHT_ATTENTION,
                bias: Some(c::BIAS_ATTENTION),
                output: c::ATTENTION,
                high: None,
                remainder: c::ATTENTION_REMAINDER,
                lora: lora("adapter input of attention output", sites(c::LORA_A, &[3]), sites(c::LORA_B, &[3]), &[3]),
            },
            Linear {
                name: "intermediate",
                input: input(c::MID, Axis::HIDDEN_BLOCK, Axis::HIDDEN_BLOCK_IN)?,
                over: LAYER,
                kind: None,
                block_in: Axis::HIDDEN_BLOCK_IN,
                block: Axis::FFN_BLOCK,
                weight: c::WEIGHT_INTERMEDIATE,
                bias: Some(c::BIAS_INTERMEDIATE),
                output: c::INTERMEDIATE,
                high: None,
                remainder: c::INTERMEDIATE_REMAINDER,
                lora: lora(
                    "adapter input of intermediate",
                    sites(c::LORA_A, &[4]),
                    sites(c::LORA_B_INTERMEDIATE, &[]),
                    &[4],
                ),
            },
            Linear {
                name: "output",
                input: input(c::ACTIVATED, Axis::FFN_BLOCK, Axis::FFN_BLOCK_IN)?,
                over: LAYER,
                kind: None,
                block_in: Axis::FFN_BLOCK_IN,
                block: Axis::HIDDEN_BLOCK,
                weight: c::WEIGHT_OUTPUT,
                bias: Some(c::BIAS_OUTPUT),
                output: c::OUTPUT_LOW,
                high: Some(c::OUTPUT_HIGH),
                remainder: c::OUTPUT_REMAINDER,
                lora: lora("adapter input of output", sites(c::LORA_A_OUTPUT, &[]), sites(c::LORA_B, &[4]), &[5]),
            },
        ])
    }

    fn attention(&self, columns: &Columns<'_>) -> Result<Vec<Relation>, CircuitError> {
        let qkv = |kind| columns.read(c::QKV)?.at(Axis::KIND, kind);
        let keys = |kind| qkv(kind)?.low(Axis::TOKEN, LowWeight::Axis(Axis::KEY));
        let steps = (0..self.layers).map(|l| (l, l, Coefficient::Scale(Scales::score_step(self.norms(), l))));
        Attention {
            query: qkv(0)?.entries(Axis::LAYER, Some(Axis::LAYER), steps)?,
            key: keys(1)?,
            value: keys(2)?,
            over: &[Axis::LAYER, Axis::HIDDEN_BLOCK],
            columns: AttentionColumns {
                max: c::MAX,
                gap: c::GAP,
                score_remainder: c::SCORE_REMAINDER,
                exp: c::EXP,
                attain: c::ATTAIN,
                reciprocal: c::RECIPROCAL,
                reciprocal_remainder: c::RECIPROCAL_REMAINDER,
                reciprocal_slack: c::RECIPROCAL_SLACK,
                prob: c::PROB,
                prob_remainder: c::PROB_REMAINDER,
                context: c::CONTEXT,
                context_remainder: c::CONTEXT_REMAINDER,
            },
        }
        .relations(columns)
    }

    fn normalisations(&self, columns: &Columns<'_>) -> Result<Vec<Relation>, CircuitError> {
        let layers = self.layers;
        let slots = (0..=layers).map(|j| (j, j, ONE));
        let mids = (0..layers).map(|l| (layers + 1 + l, l, ONE));
        Norms {
            count: self.norms(),
            width: self.hidden,
            vector: &|coefficient| self.normalised(columns, coefficient),
            output: vec![
                columns.read(c::RESIDUAL)?.entries(Axis::SLOT, Some(Axis::NORM), slots)?,
                columns.read(c::MID)?.entries(Axis::LAYER, Some(Axis::NORM), mids)?,
            ],
            columns: NormColumns {
                squares: c::NORM_SQUARES,
                variance: c::NORM_VARIANCE,
                root: c::NORM_ROOT,
                slack: c::NORM_SLACK,
                value: c::NORM_VALUE,
                value_remainder: c::NORM_VALUE_REMAINDER,
                remainder: c::NORM_REMAINDER,
                gamma: c::GAMMA,
                beta: c::BETA,
            },
            scales: NormScales { step: Scales::norm_step, root: Scales::root, epsilon: Scales::epsilon },
        }
        .relations(columns)
    }

    /// The vector that norm j normalises, as terms with axes norm, hidden block, request, token, channel.
    fn normalised<'p>(&self, columns: &Columns<'p>, coefficient: i64) -> Result<Vec<Read<'p>>, CircuitError> {
        let layers = self.layers;
        let mut terms = Vec::new();
        // Norm 0: word + position + token type.
        for (column, weight) in [
            (c::WORD, Some((Axis::WORD_ID, LowWeight::WordOf))),
            (c::POSITION, Some((Axis::POSITION_ID, LowWeight::PositionOf))),
            (c::TOKEN_TYPE, None),
        ] {
            let mut read = columns.read(column)?.times(coefficient).factor(Axis::NORM, [(0, ONE)]);
            if let Some((axis, weight)) = weight {
                read = read.low(axis, weight)?;
            }
            terms.push(read);
        }
        // Norm j = l + 1: 2^stream·mid[l] + 2^branch·out[l]; norm layers + 1 + l: 2^stream·slot[l] + 2^branch·attention[l].
        let after = |l: usize| l + 1;
        let middle = |l: usize| layers + 1 + l;
        let mut push = |column: Column, axis, norm: &dyn Fn(usize) -> usize, scale: fn(usize) -> Scale, times| {
            let entries = (0..layers).map(|l| (norm(l), l, Coefficient::Scale(scale(norm(l)))));
            terms.push(columns.read(column)?.entries(axis, Some(Axis::NORM), entries)?.times(times));
            Ok::<_, CircuitError>(())
        };
        push(c::MID, Axis::LAYER, &after, Scales::stream, coefficient)?;
        push(c::OUTPUT_LOW, Axis::LAYER, &after, Scales::branch, coefficient)?;
        push(c::OUTPUT_HIGH, Axis::LAYER, &after, Scales::branch, coefficient * UNIT)?;
        push(c::RESIDUAL, Axis::SLOT, &middle, Scales::stream, coefficient)?;
        push(c::ATTENTION, Axis::LAYER, &middle, Scales::branch, coefficient)?;
        Ok(terms)
    }
}

/// Names of the columns of a registered region, in the order of files: every architecture has the same.
#[must_use]
pub fn column_names(region: Region) -> Vec<Column> {
    let any = Architecture {
        block: 64,
        max_tokens: 128,
        hidden: 64,
        layers: 1,
        heads: 1,
        intermediate: 64,
        vocab: 2,
        activation: Activation::Relu,
        r_max: 1,
        score_bits: 4,
        activation_bits: 4,
        tanh_bits: 4,
    };
    registered_columns(&any, region).into_iter().map(|spec| spec.column).collect()
}

/// The columns of a registered region: they do not depend on the batch. In the order of files.
#[must_use]
pub fn registered_columns(architecture: &Architecture, region: Region) -> Vec<ColumnSpec> {
    let shape = Shape { requests: 1, tokens: MIN_TOKENS, log_tile: 20, output: OutputKind::Classify, records: 0 };
    c::columns(architecture, &shape).into_iter().filter(|spec| spec.region == region).collect()
}
