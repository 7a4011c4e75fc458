//! Integer models and their static bounds.

use lorica_cells::{Cell, Cells, Columns, Slice, Width, typed};
use lorica_circuits::column::{Column, ColumnSpec};
use lorica_circuits::families::encoder::columns;
use lorica_circuits::families::encoder::columns::SITES;
use lorica_circuits::families::encoder::{Architecture, Scales, registered_columns};
use lorica_circuits::region::Region;
use lorica_circuits::shape::LABELS;
use rayon::prelude::*;

use super::error::ModelError;
use crate::import::{LayerSite, Site};

/// log2 of the exclusive bound of a weight: 128 products with 16-bit activations are exact in an `f64`.
pub const WEIGHT_BITS: u32 = 31;
/// log2 of the exclusive bound of a bias.
pub const BIAS_BITS: u32 = 46;
/// Scale exponent of logits.
pub use lorica_circuits::shape::LOGIT_EXPONENT;
/// Bias of a label that the adapter lacks.
pub const ABSENT_LABEL: i64 = -(1 << 45);

/// A base encoder in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseModel {
    /// Dimensions, bit widths, tables.
    pub architecture: Architecture,
    /// The small integers of norms and scores.
    pub scales: Scales,
    /// The columns of [`Region::BASE`], in the logical order of their [`ColumnSpec`].
    pub columns: Columns,
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
    /// Per layer and distinct input of linear layers (in [`INPUTS`] order), then of the pooler: largest magnitude of each
    /// input channel in calibration, as an integer at the input's scale. Length `4·layers + 1`, each of the input's width.
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
    pub fn input_exponent(&self, site: Site) -> i32 {
        use LayerSite as L;
        let e = &self.meta.exponents;
        match site {
            Site::Layer(layer, L::Query | L::Key | L::Value) => e.residual[layer],
            Site::Layer(layer, L::AttentionOutput) => e.value[layer],
            Site::Layer(layer, L::Intermediate) => e.mid[layer],
            Site::Layer(_, L::Output) => self.architecture.activation_bits.cast_signed(),
            Site::Pooler => e.residual[self.architecture.layers],
        }
    }
    /// Scale exponent of the output of a linear layer (for a query: after the division by the root of its width).
    #[must_use]
    pub fn output_exponent(&self, site: Site) -> i32 {
        use LayerSite as L;
        let e = &self.meta.exponents;
        match site {
            Site::Layer(layer, L::Query) => e.query[layer],
            Site::Layer(layer, L::Key) => e.key[layer],
            Site::Layer(layer, L::Value) => e.value[layer],
            Site::Layer(layer, L::AttentionOutput) => e.attention[layer],
            Site::Layer(_, L::Intermediate) => self.architecture.activation_bits.cast_signed(),
            Site::Layer(layer, L::Output) => e.output[layer],
            Site::Pooler => self.architecture.tanh_bits.cast_signed(),
        }
    }
    /// Calibrated magnitudes of the input channels of a linear layer.
    #[must_use]
    pub fn input_peaks(&self, site: Site) -> &[u32] {
        use LayerSite as L;
        let input = match site {
            Site::Layer(layer, L::Query | L::Key | L::Value) => INPUTS * layer,
            Site::Layer(layer, L::AttentionOutput) => INPUTS * layer + 1,
            Site::Layer(layer, L::Intermediate) => INPUTS * layer + 2,
            Site::Layer(layer, L::Output) => INPUTS * layer + 3,
            Site::Pooler => INPUTS * self.architecture.layers,
        };
        &self.meta.input_peaks[input]
    }

    /// Checks everything that execution relies on: lengths, cell bounds, no overflow of 63 bits in any accumulator.
    ///
    /// Weights below 2^31 and inputs of 16 bits bound a linear accumulator by `2^46·(inputs + rank) + 2^46 < 2^61`,
    /// scores by 2^37, weighted values by 2^39; only the LayerNorm sums depend on the model.
    ///
    /// # Errors
    /// [`ModelError`] names the column or norm.
    pub fn validate(&self) -> Result<(), ModelError> {
        let a = &self.architecture;
        a.validate()?;
        self.scales.validate(a)?;
        check_columns(&self.columns, Region::BASE, a)?;
        for (norm, scale) in self.scales.norms.iter().enumerate() {
            let residual = if norm == 0 {
                // Each peak is below 2^31, so the sum is below 2^33.
                [columns::WORD, columns::POSITION, columns::TOKEN_TYPE].iter().map(|&c| peak(&self.columns[c])).sum()
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
        if peaks.len() != INPUTS * a.layers + 1 || peaks.iter().zip(widths.iter().cycle()).any(|(p, &w)| p.len() != w) {
            return Err(ModelError::Meta { what: "input peaks must match the inputs' widths" });
        }
        Ok(())
    }
}

/// One adapter in integers: the columns of [`Region::ADAPTER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterModel {
    /// The columns, in the logical order of their [`ColumnSpec`].
    pub columns: Columns,
    /// Names of the labels, at most 16; empty without a head.
    pub labels: Vec<String>,
    /// Whether the adapter can classify.
    pub has_head: bool,
}

impl AdapterModel {
    /// The null adapter: all cells zero.
    #[must_use]
    pub fn null(architecture: &Architecture) -> Self {
        let columns =
            specs(Region::ADAPTER, architecture).map(|s| (s.column, Cells::zeros(Width::I8, s.len()))).collect();
        Self { columns, labels: Vec::new(), has_head: false }
    }

    /// Checks lengths and cell bounds, so that no accumulator of the executor can overflow whoever wrote the weights.
    ///
    /// # Errors
    /// [`ModelError`] names the column.
    pub fn validate(&self, architecture: &Architecture) -> Result<(), ModelError> {
        check_columns(&self.columns, Region::ADAPTER, architecture)?;
        if self.labels.len() > LABELS {
            return Err(ModelError::Meta { what: "at most 16 labels" });
        }
        Ok(())
    }
}

/// Specifications of a region that does not depend on the shape.
pub(super) fn specs(region: Region, architecture: &Architecture) -> impl Iterator<Item = ColumnSpec> {
    registered_columns(architecture, region).into_iter()
}

/// log2 of the exclusive bound of a cell.
#[must_use]
pub fn cell_bits(column: Column) -> u32 {
    match column {
        columns::BIAS_QKV
        | columns::BIAS_ATTENTION
        | columns::BIAS_INTERMEDIATE
        | columns::BIAS_OUTPUT
        | columns::BIAS_POOLER
        | columns::BETA
        | columns::CLASSIFIER_BIAS => BIAS_BITS,
        _ => WEIGHT_BITS,
    }
}

fn check_columns(columns: &Columns, region: Region, a: &Architecture) -> Result<(), ModelError> {
    if let Some(column) = columns.names().find(|&c| specs(region, a).all(|spec| spec.column != c)) {
        return Err(ModelError::Foreign { column });
    }
    for spec in specs(region, a) {
        let column = spec.column;
        let cells = columns.get(column).ok_or(ModelError::Missing { column })?;
        if cells.len() != spec.len() {
            return Err(ModelError::Length { column, expected: spec.len(), got: cells.len() });
        }
        let bits = cell_bits(column);
        if let Some(index) = typed!(cells.as_slice(), |cells| first_beyond(cells, bits)) {
            return Err(ModelError::Bound { column, index, value: cells.at(index), bits });
        }
    }
    Ok(())
}

/// The first cell of more than so many bits.
fn first_beyond<T: Cell>(cells: &[T], bits: u32) -> Option<usize> {
    let (low, high) = T::WIDTH.bounds();
    if (low.unsigned_abs() | high.unsigned_abs()) >> bits == 0 {
        return None;
    }
    let magnitude = |cell: &T| -> u64 { Into::<i64>::into(*cell).unsigned_abs() };
    // All bits of a chunk at once: models have tens of millions of cells.
    let any = |chunk: &[T]| chunk.iter().fold(0, |all, cell| all | magnitude(cell)) >> bits != 0;
    if cells.par_chunks(1 << 16).any(any) { cells.iter().position(|cell| magnitude(cell) >> bits != 0) } else { None }
}

/// Largest magnitude; the cells have been checked.
fn peak(cells: &Cells) -> i64 {
    let (low, high) = cells.bounds();
    high.max(-low)
}

/// Index of a site on [`Axis::SITE`](lorica_circuits::axis::Axis::SITE) of `LoraHidden`.
#[must_use]
pub fn site_index(site: LayerSite) -> usize {
    match site {
        LayerSite::Query => 0,
        LayerSite::Key => 1,
        LayerSite::Value => 2,
        LayerSite::AttentionOutput => 3,
        LayerSite::Intermediate => 4,
        LayerSite::Output => 5,
    }
}

/// The cells of an adapter for one linear layer.
pub(super) struct LoraSlice<'a> {
    /// Blocks of `[rank][channel]`, by input block.
    pub a: Slice<'a>,
    /// Blocks of `[channel][rank]`, by output block.
    pub b: Slice<'a>,
}

/// Ranges of the cells of a site in its two columns.
pub(super) fn site_ranges(a: &Architecture, site: Site) -> [(Column, std::ops::Range<usize>); 2] {
    match site {
        Site::Layer(layer, site) => lora_ranges(a, layer, site_index(site)),
        Site::Pooler => [columns::LORA_A_POOLER, columns::LORA_B_POOLER].map(|column| (column, 0..a.hidden * a.r_max)),
    }
}

/// Ranges of the cells of a site of a layer, by its index.
pub(super) fn lora_ranges(a: &Architecture, layer: usize, site: usize) -> [(Column, std::ops::Range<usize>); 2] {
    debug_assert!(site < SITES);
    let range = |column, index: usize, blocks: usize| {
        let length = blocks * a.block * a.r_max;
        (column, index * length..(index + 1) * length)
    };
    let (hidden, ffn) = (a.hidden_blocks(), a.ffn_blocks());
    let per_layer = columns::SITES_HIDDEN * layer;
    match site {
        4 => [range(columns::LORA_A, per_layer + 4, hidden), range(columns::LORA_B_INTERMEDIATE, layer, ffn)],
        5 => [range(columns::LORA_A_OUTPUT, layer, ffn), range(columns::LORA_B, per_layer + 4, hidden)],
        _ => [range(columns::LORA_A, per_layer + site, hidden), range(columns::LORA_B, per_layer + site, hidden)],
    }
}

impl AdapterModel {
    /// The two factors of a site; the adapter has been validated.
    pub(super) fn lora(&self, architecture: &Architecture, layer: usize, site: usize) -> LoraSlice<'_> {
        let [(a, in_a), (b, in_b)] = lora_ranges(architecture, layer, site);
        LoraSlice { a: self.columns[a].as_slice().range(in_a), b: self.columns[b].as_slice().range(in_b) }
    }
}
