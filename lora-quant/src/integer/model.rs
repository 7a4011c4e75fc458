//! Integer models and their static bounds.

use std::collections::BTreeMap;

use lorica_circuits::architecture::{Architecture, BLOCK, LABELS, OutputKind, Scales, Shape};
use lorica_circuits::column::{Column, ColumnSpec, Region, SITES};
use rayon::prelude::*;

use super::error::ModelError;
use crate::import::Site;

/// log2 of the exclusive bound of a weight: 128 products with 16-bit activations are exact in an `f64`.
pub const WEIGHT_BITS: u32 = 31;
/// log2 of the exclusive bound of a bias.
pub const BIAS_BITS: u32 = 46;
/// Scale exponent of logits.
pub const LOGIT_BITS: i32 = 30;
/// Bias of a label that the adapter lacks.
pub const ABSENT_LABEL: i64 = -(1 << 45);

/// A base encoder in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseModel {
    /// Dimensions, bit widths, tables.
    pub architecture: Architecture,
    /// The small integers of norms and scores.
    pub scales: Scales,
    /// The columns of [`Region::Base`], in the logical order of their [`ColumnSpec`].
    pub columns: BTreeMap<Column, Vec<i64>>,
    /// The bytes of `tokenizer.json`.
    pub tokenizer_json: Vec<u8>,
    /// What importing adapters and reading outputs needs; no part of any proof.
    pub meta: BaseMeta,
}

/// Facts about a base model beyond what is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseMeta {
    /// Whether the checkpoint had a pooler; without one the model does not classify.
    pub has_pooler: bool,
    /// Scale exponents of the activations.
    pub exponents: Exponents,
    /// Per layer and distinct input of linear layers (in [`INPUTS`] order): largest magnitude of each input channel in
    /// calibration, as an integer at the input's scale. Length `4·layers`, each of the input's width.
    pub input_peaks: Vec<Vec<u32>>,
}

/// Distinct inputs of the linear layers of one encoder layer, in the order of [`BaseMeta::input_peaks`]: residual (of
/// query, key, value), context, mid, activated.
pub const INPUTS: usize = 4;

/// Scale exponents: an integer stands for `integer / 2^exponent`. Intermediate and activated values have the
/// architecture's `activation_bits`, context has the exponent of value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exponents {
    /// Word, position and token type embeddings.
    pub embedding: i32,
    /// Residual slots, `layers + 1`.
    pub residual: Vec<i32>,
    /// Residual between attention and feed-forward, per layer.
    pub mid: Vec<i32>,
    /// Queries (divided by the root of the head's width), per layer.
    pub query: Vec<i32>,
    /// Keys, per layer.
    pub key: Vec<i32>,
    /// Values and context, per layer.
    pub value: Vec<i32>,
    /// Attention output, per layer.
    pub attention: Vec<i32>,
    /// Feed-forward output (18 bits), per layer.
    pub output: Vec<i32>,
}

impl BaseMeta {
    /// Scale exponent of published embeddings: a mean embedding is `sums / (length·2^exponent)`.
    #[must_use]
    pub fn output_exponent(&self) -> i32 {
        self.exponents.residual.last().copied().unwrap_or(0)
    }
}

impl BaseModel {
    /// Scale exponent of the input of a linear layer.
    #[must_use]
    pub fn input_exponent(&self, layer: usize, site: Site) -> i32 {
        let e = &self.meta.exponents;
        match site {
            Site::Query | Site::Key | Site::Value => e.residual[layer],
            Site::AttentionOutput => e.value[layer],
            Site::Intermediate => e.mid[layer],
            Site::Output => self.architecture.activation_bits.cast_signed(),
        }
    }
    /// Scale exponent of the output of a linear layer (for a query: after the division by the root of its width).
    #[must_use]
    pub fn output_exponent(&self, layer: usize, site: Site) -> i32 {
        let e = &self.meta.exponents;
        match site {
            Site::Query => e.query[layer],
            Site::Key => e.key[layer],
            Site::Value => e.value[layer],
            Site::AttentionOutput => e.attention[layer],
            Site::Intermediate => self.architecture.activation_bits.cast_signed(),
            Site::Output => e.output[layer],
        }
    }
    /// Calibrated magnitudes of the input channels of a linear layer.
    #[must_use]
    pub fn input_peaks(&self, layer: usize, site: Site) -> &[u32] {
        let input = match site {
            Site::Query | Site::Key | Site::Value => 0,
            Site::AttentionOutput => 1,
            Site::Intermediate => 2,
            Site::Output => 3,
        };
        &self.meta.input_peaks[INPUTS * layer + input]
    }

    /// Checks everything that execution relies on: lengths, cell bounds, no overflow of 63 bits in any accumulator.
    ///
    /// Weights below 2^31 and inputs of 16 bits bound a linear accumulator by `2^46·(inputs + rank) + 2^46 < 2^61`,
    /// scores by 2^37, weighted values by 2^38; only the LayerNorm sums depend on the model.
    ///
    /// # Errors
    /// [`ModelError`] names the column or norm.
    pub fn validate(&self) -> Result<(), ModelError> {
        let a = &self.architecture;
        a.validate()?;
        self.scales.validate(a)?;
        check_columns(&self.columns, Region::Base, a)?;
        for (norm, scale) in self.scales.norms.iter().enumerate() {
            let residual = if norm == 0 {
                // Each peak is below 2^31, so the sum is below 2^33.
                [Column::Word, Column::Position, Column::TokenType].iter().map(|c| peak(&self.columns[c])).sum()
            } else if norm <= a.layers {
                (1i64 << (15 + scale.stream)) + (1i64 << (17 + scale.branch))
            } else {
                (1i64 << (15 + scale.stream)) + (1i64 << (15 + scale.branch))
            };
            let n = i128::try_from(a.hidden).unwrap_or(i128::MAX);
            let bound = n * n * i128::from(residual) * i128::from(residual) + i128::from(scale.epsilon);
            if bound >= 1 << 63 {
                return Err(ModelError::NormOverflow { norm, residual });
            }
        }
        self.validate_meta()
    }

    fn validate_meta(&self) -> Result<(), ModelError> {
        let (a, e) = (&self.architecture, &self.meta.exponents);
        let per_layer = [&e.mid, &e.query, &e.key, &e.value, &e.attention, &e.output];
        if e.residual.len() != a.layers + 1 || per_layer.iter().any(|x| x.len() != a.layers) {
            return Err(ModelError::Meta { what: "one scale exponent per layer" });
        }
        let all = [e.embedding].into_iter().chain(e.residual.iter().copied());
        if all.chain(per_layer.iter().flat_map(|x| x.iter().copied())).any(|x| x.unsigned_abs() > 64) {
            return Err(ModelError::Meta { what: "scale exponents must be -64 to 64" });
        }
        let widths = [a.hidden, a.hidden, a.hidden, a.intermediate];
        let peaks = &self.meta.input_peaks;
        if peaks.len() != INPUTS * a.layers || peaks.iter().zip(widths.iter().cycle()).any(|(p, &w)| p.len() != w) {
            return Err(ModelError::Meta { what: "input peaks must match the inputs' widths" });
        }
        Ok(())
    }
}

/// One adapter in integers: the columns of [`Region::Adapter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterModel {
    /// The columns, in the logical order of their [`ColumnSpec`].
    pub columns: BTreeMap<Column, Vec<i64>>,
    /// Names of the labels, at most 16; empty without a head.
    pub labels: Vec<String>,
    /// Whether the adapter can classify.
    pub has_head: bool,
}

impl AdapterModel {
    /// The null adapter: all cells zero.
    #[must_use]
    pub fn null(architecture: &Architecture) -> Self {
        let columns = specs(Region::Adapter, architecture).map(|s| (s.column, vec![0; s.len()])).collect();
        Self { columns, labels: Vec::new(), has_head: false }
    }

    /// Checks lengths and cell bounds, so that no accumulator of the executor can overflow whoever wrote the weights.
    ///
    /// # Errors
    /// [`ModelError`] names the column.
    pub fn validate(&self, architecture: &Architecture) -> Result<(), ModelError> {
        check_columns(&self.columns, Region::Adapter, architecture)?;
        if self.labels.len() > LABELS {
            return Err(ModelError::Meta { what: "at most 16 labels" });
        }
        Ok(())
    }
}

/// Specifications of a region that does not depend on the shape.
pub(super) fn specs(region: Region, architecture: &Architecture) -> impl Iterator<Item = ColumnSpec> {
    let shape = Shape { requests: 1, tokens: 16, log_tile: 20, output: OutputKind::Classify };
    Column::all(region, OutputKind::Classify).into_iter().map(move |c| c.spec(architecture, &shape))
}

/// log2 of the exclusive bound of a cell.
#[must_use]
pub fn cell_bits(column: Column) -> u32 {
    match column {
        Column::BiasQkv
        | Column::BiasAttention
        | Column::BiasIntermediate
        | Column::BiasOutput
        | Column::BiasPooler
        | Column::Beta
        | Column::ClassifierBias => BIAS_BITS,
        _ => WEIGHT_BITS,
    }
}

fn check_columns(columns: &BTreeMap<Column, Vec<i64>>, region: Region, a: &Architecture) -> Result<(), ModelError> {
    if let Some(&column) = columns.keys().find(|c| c.region() != region) {
        return Err(ModelError::Foreign { column });
    }
    for spec in specs(region, a) {
        let column = spec.column;
        let cells = columns.get(&column).ok_or(ModelError::Missing { column })?;
        if cells.len() != spec.len() {
            return Err(ModelError::Length { column, expected: spec.len(), got: cells.len() });
        }
        let bits = cell_bits(column);
        let broken = |x: &i64| x.unsigned_abs() >> bits != 0;
        // All bits of a chunk at once: models have tens of millions of cells.
        let any = |chunk: &[i64]| chunk.iter().fold(0, |all, x| all | x.unsigned_abs()) >> bits != 0;
        if cells.par_chunks(1 << 16).any(any)
            && let Some(index) = cells.iter().position(broken)
        {
            return Err(ModelError::Bound { column, index, value: cells[index], bits });
        }
    }
    Ok(())
}

fn peak(cells: &[i64]) -> i64 {
    cells.iter().map(|x| x.abs()).max().unwrap_or(0)
}

/// Index of a site on [`Axis::Site`](lorica_circuits::column::Axis::Site) of `LoraHidden`.
#[must_use]
pub fn site_index(site: Site) -> usize {
    match site {
        Site::Query => 0,
        Site::Key => 1,
        Site::Value => 2,
        Site::AttentionOutput => 3,
        Site::Intermediate => 4,
        Site::Output => 5,
    }
}

/// The cells of an adapter for one linear layer.
pub(super) struct LoraSlice<'a> {
    /// Blocks of `[rank][128]`, by input block.
    pub a: &'a [i64],
    /// Blocks of `[128][rank]`, by output block.
    pub b: &'a [i64],
}

/// Ranges of the cells of a site in its two columns.
pub(super) fn lora_ranges(a: &Architecture, layer: usize, site: usize) -> [(Column, std::ops::Range<usize>); 2] {
    debug_assert!(site < SITES);
    let range = |column, index: usize, blocks: usize| {
        let length = blocks * BLOCK * a.r_max;
        (column, index * length..(index + 1) * length)
    };
    let (hidden, ffn) = (a.hidden_blocks(), a.ffn_blocks());
    let per_layer = lorica_circuits::column::SITES_HIDDEN * layer;
    match site {
        4 => [range(Column::LoraA, per_layer + 4, hidden), range(Column::LoraBIntermediate, layer, ffn)],
        5 => [range(Column::LoraAOutput, layer, ffn), range(Column::LoraB, per_layer + 4, hidden)],
        _ => [range(Column::LoraA, per_layer + site, hidden), range(Column::LoraB, per_layer + site, hidden)],
    }
}

impl AdapterModel {
    /// The two factors of a site; the adapter has been validated.
    pub(super) fn lora(&self, architecture: &Architecture, layer: usize, site: usize) -> LoraSlice<'_> {
        let [(a, in_a), (b, in_b)] = lora_ranges(architecture, layer, site);
        LoraSlice { a: &self.columns[&a][in_a], b: &self.columns[&b][in_b] }
    }
}
