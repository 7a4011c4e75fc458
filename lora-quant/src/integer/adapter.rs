//! From a float LoRA adapter to integer cells at a base model's scales.

use std::collections::BTreeMap;

use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::{Architecture, columns};
use lorica_circuits::shape::LABELS;

use super::error::QuantiseError;
use super::model::{ABSENT_LABEL, AdapterModel, BIAS_BITS, BaseModel, LOGIT_EXPONENT, WEIGHT_BITS, site_ranges};
use super::quantise::{divisor, integer};
use crate::import::{FloatAdapter, Head, LayerSite, LoraPair, Site};

/// Room above the bound of a hidden value: an adapter moves the inputs of later layers.
const HEADROOM: f64 = 2.0;
/// Scale exponent of pooled values.
const POOLED_BITS: i32 = 14;
/// log2 of the exclusive bound of real logits; absent labels have `-2^45`.
const LOGIT_BOUND_BITS: u32 = 44;

/// Quantises an adapter for a base model.
///
/// The scale of the hidden values of a site follows from a bound, not from texts: `|h_k| <= Σ_i |A_ki|·peak_i` with the
/// calibrated peaks of the site's input channels.
///
/// # Errors
/// [`QuantiseError`] names the tensor or what does not fit.
pub fn quantise_adapter(base: &BaseModel, adapter: &FloatAdapter) -> Result<AdapterModel, QuantiseError> {
    let a = &base.architecture;
    let mut model = AdapterModel::null(a);
    // Cells are set one by one: as 64-bit integers at first.
    let mut columns = model.columns.to_vecs();
    for (&site, pair) in &adapter.sites {
        if let Site::Layer(layer, _) = site
            && layer >= a.layers
        {
            let reason = format!("layer {layer} of a model with {} layers", a.layers);
            return Err(QuantiseError::Adapter { reason });
        }
        quantise_site(base, &mut columns, site, pair)?;
    }
    if let Some(head) = &adapter.head {
        if !base.meta.has_pooler {
            return Err(QuantiseError::Adapter { reason: "it classifies, but the base model has no pooler".into() });
        }
        quantise_head(a, head, &mut columns)?;
        model.labels.clone_from(&head.labels);
        model.has_head = true;
    } else {
        // No label is real: the statement of a classification refuses a best logit this small.
        columns.insert(columns::CLASSIFIER_BIAS, vec![ABSENT_LABEL; LABELS]);
    }
    model.columns = columns.into_iter().collect();
    model.validate(a)?;
    Ok(model)
}

fn expect_length(tensor: &str, got: usize, expected: usize) -> Result<(), QuantiseError> {
    if got == expected { Ok(()) } else { Err(QuantiseError::Shape { tensor: tensor.into(), expected, got }) }
}

fn quantise_site(
    base: &BaseModel,
    columns: &mut BTreeMap<Column, Vec<i64>>,
    site: Site,
    pair: &LoraPair,
) -> Result<(), QuantiseError> {
    let (arch, rank) = (&base.architecture, pair.rank);
    let width = arch.block;
    if rank == 0 || rank > arch.r_max {
        let reason = format!("rank {rank} of {site} is not 1 to the base model's r_max {}", arch.r_max);
        return Err(QuantiseError::Adapter { reason });
    }
    let peaks = base.input_peaks(site);
    let inputs = peaks.len();
    let outputs = match site {
        Site::Layer(_, LayerSite::Intermediate) => arch.intermediate,
        Site::Layer(..) | Site::Pooler => arch.hidden,
    };
    let name = |part: &str| format!("{site}.lora_{part}.weight");
    expect_length(&name("A"), pair.a.len(), rank * inputs)?;
    expect_length(&name("B"), pair.b.len(), outputs * rank)?;

    let (x, y) = (base.input_exponent(site), base.output_exponent(site));
    let hidden = hidden_exponent(&pair.a, peaks, x);
    let [(column_a, range_a), (column_b, range_b)] = site_ranges(arch, site);

    // [input block][rank][channel]; rows from the pair's rank to r_max stay zero.
    if let Some(cells) = columns.get_mut(&column_a) {
        let (cells, factor) = (&mut cells[range_a], 2f64.powi(16 + hidden - x));
        for (k, row) in pair.a.chunks_exact(inputs).enumerate() {
            for (i, &w) in row.iter().enumerate() {
                cells[((i / width) * arch.r_max + k) * width + i % width] =
                    integer(&name("A"), w, factor, WEIGHT_BITS)?;
            }
        }
    }
    // [output][rank]: output blocks follow each other.
    if let Some(cells) = columns.get_mut(&column_b) {
        let factor = f64::from(pair.scaling) * 2f64.powi(16 + y - hidden) / divisor(site, arch);
        for (row, weights) in cells[range_b].chunks_exact_mut(arch.r_max).zip(pair.b.chunks_exact(rank)) {
            for (cell, &w) in row.iter_mut().zip(weights) {
                *cell = integer(&name("B"), w, factor, WEIGHT_BITS)?;
            }
        }
    }
    Ok(())
}

/// Scale exponent of the hidden values of a site.
fn hidden_exponent(a: &[f32], peaks: &[u32], x: i32) -> i32 {
    const FINEST: i32 = 16;
    let bound = |row: &[f32]| row.iter().zip(peaks).map(|(w, &p)| f64::from(w.abs()) * f64::from(p)).sum::<f64>();
    let largest = a.chunks_exact(peaks.len()).map(bound).fold(0.0, f64::max) * 2f64.powi(-x);
    if largest <= 0.0 {
        return FINEST;
    }
    #[expect(clippy::cast_possible_truncation, reason = "logarithms of finite f64 are small; NaN becomes 0")]
    let exponent = (32767.0 / (largest * HEADROOM)).log2().floor() as i32;
    exponent.clamp(-64, FINEST)
}

fn quantise_head(
    architecture: &Architecture,
    head: &Head,
    columns: &mut BTreeMap<Column, Vec<i64>>,
) -> Result<(), QuantiseError> {
    let (hidden, width) = (architecture.hidden, architecture.block);
    let labels = head.labels.len();
    if labels == 0 || labels > LABELS {
        return Err(QuantiseError::Adapter { reason: format!("{labels} labels, expected 1 to {LABELS}") });
    }
    expect_length("classifier.weight", head.weight.len(), labels * hidden)?;
    expect_length("classifier.bias", head.bias.len(), labels)?;
    let factor = 2f64.powi(LOGIT_EXPONENT - POOLED_BITS);
    let mut bias = vec![ABSENT_LABEL; LABELS];
    let mut cells = vec![0; LABELS * hidden];
    for (j, (row, &b)) in head.weight.chunks_exact(hidden).zip(&head.bias).enumerate() {
        bias[j] = integer("classifier.bias", b, 2f64.powi(LOGIT_EXPONENT), BIAS_BITS)?;
        let mut largest = bias[j].unsigned_abs();
        for (i, &w) in row.iter().enumerate() {
            let w_integer = integer("classifier.weight", w, factor, WEIGHT_BITS)?;
            cells[((i / width) * LABELS + j) * width + i % width] = w_integer;
            largest += w_integer.unsigned_abs() << POOLED_BITS;
        }
        if largest >> LOGIT_BOUND_BITS != 0 {
            return Err(QuantiseError::Scale {
                tensor: "classifier".into(),
                reason: format!("logits of label {j} could exceed 2^{LOGIT_BOUND_BITS}"),
            });
        }
    }
    columns.insert(columns::CLASSIFIER, cells);
    columns.insert(columns::CLASSIFIER_BIAS, bias);
    Ok(())
}
