//! From ranges to power-of-two scales.

use lorica_circuits::families::encoder::{Architecture, NormScale, Scales};

use super::calibration::Ranges;
use super::error::QuantiseError;
use super::model::Exponents;
use crate::import::{FloatEncoder, NormWeights};

/// Factors on calibrated ranges; scales are powers of two, so a range ends up with the factor's bits to one more.
///
/// Adapters move activations beyond what the base model does on any text. On MiniLM a bit more costs no accuracy where
/// it is generous here; the feed-forward keys are the one tensor where it does.
mod headroom {
    /// Attention outputs and values: trained adapters were seen to go to 1.4 times what twice the range allows.
    pub const ATTENTION: f64 = 8.0;
    /// Queries and keys; scores.
    pub const SCORES: f64 = 4.0;
    /// Outputs of LayerNorms and of the feed-forward.
    pub const RESIDUAL: f64 = 4.0;
    /// Keys of the activation table.
    pub const INTERMEDIATE: f64 = 2.0;
    /// Keys of the tanh table.
    pub const POOLER: f64 = 8.0;
    /// Normalised values and reciprocal roots.
    pub const NORM: f64 = 4.0;
    /// The embedding's norm: every word was tried, and adapters do not reach it.
    pub const EMBEDDING: f64 = 1.25;
}
/// Exponent of a tensor that is zero, and the largest exponent: finer scales have no use.
const FINEST: i32 = 20;

/// The largest exponent at which `range` stays below `limit`.
fn exponent(range: f64, limit: f64) -> i32 {
    if range <= 0.0 {
        return FINEST;
    }
    #[expect(clippy::cast_possible_truncation, reason = "logarithms of finite f64 are small; NaN becomes 0")]
    let exponent = (limit / range).log2().floor() as i32;
    exponent.min(FINEST)
}

/// Exponents of 16-bit activations.
fn signed16(ranges: &[f64], headroom: f64) -> Vec<i32> {
    ranges.iter().map(|range| exponent(range * headroom, 32767.0)).collect()
}

/// Exponent of the output of a LayerNorm: a normalised value is at most `sqrt(n)`, so no more room than that.
fn norm_output(range: f64, norm: &NormWeights) -> i32 {
    let root = (norm.gamma.len() as f64).sqrt();
    let bound = |(g, b): (&f32, &f32)| f64::from(g.abs()) * root + f64::from(b.abs());
    let sound = norm.gamma.iter().zip(&norm.beta).map(bound).fold(0.0, f64::max);
    exponent((range * headroom::RESIDUAL).min(sound), 32766.0)
}

/// One of the architecture's exponents, which are 4 to `most`.
fn table_bits(tensor: &str, range: f64, most: i32) -> Result<u32, QuantiseError> {
    let bits = exponent(range, 32767.0).min(most);
    u32::try_from(bits).ok().filter(|&b| b >= 4).ok_or_else(|| QuantiseError::Scale {
        tensor: tensor.into(),
        reason: format!("values up to {range} need a scale below 2^4"),
    })
}

/// Every scale of a base model.
pub(super) struct Chosen {
    pub architecture: Architecture,
    pub scales: Scales,
    pub exponents: Exponents,
}

/// Chooses all scales.
pub(super) fn choose(
    encoder: &FloatEncoder,
    ranges: &Ranges,
    architecture: Architecture,
) -> Result<Chosen, QuantiseError> {
    let mut a = architecture;
    // A gap has 16 bits and no sign.
    a.score_bits = table_bits("scores", ranges.score.max(ranges.gap / 2.0) * headroom::SCORES, 12)?;
    a.activation_bits = table_bits("intermediate", ranges.intermediate * headroom::INTERMEDIATE, 13)?;
    a.tanh_bits = table_bits("pooler", ranges.pooler * headroom::POOLER, 12)?;
    a.validate()?;

    let outputs = encoder.layers.iter().map(|l| &l.output_norm);
    let tables = [&encoder.word, &encoder.position, &encoder.token_type];
    let embedding = tables.iter().flat_map(|t| t.iter()).fold(0.0f64, |m, v| m.max(v.abs().into()));
    let mut e = Exponents {
        // Tables are what they are: no headroom.
        embedding: exponent(embedding, 32767.0),
        // Slot 0 is the embedding's norm.
        residual: [exponent(ranges.residual[0] * headroom::EMBEDDING, 32767.0)]
            .into_iter()
            .chain(ranges.residual[1..].iter().zip(outputs).map(|(r, norm)| norm_output(*r, norm)))
            .collect(),
        mid: ranges.mid.iter().zip(&encoder.layers).map(|(r, l)| norm_output(*r, &l.attention_norm)).collect(),
        query: signed16(&ranges.query, headroom::SCORES),
        key: signed16(&ranges.key, headroom::SCORES),
        value: signed16(&ranges.value, headroom::ATTENTION),
        attention: signed16(&ranges.attention, headroom::ATTENTION),
        output: ranges.output.iter().map(|r| exponent(r * headroom::RESIDUAL, 131_071.0)).collect(),
    };

    let mut norms = vec![norm_scale(encoder, ranges, &a, 0, Aligned::alone(e.embedding))?];
    for l in 0..a.layers {
        let aligned = align(&mut e.mid[l], &mut e.output[l], 17, a.hidden);
        norms.push(norm_scale(encoder, ranges, &a, l + 1, aligned)?);
    }
    for l in 0..a.layers {
        let aligned = align(&mut e.residual[l], &mut e.attention[l], 15, a.hidden);
        norms.push(norm_scale(encoder, ranges, &a, a.layers + 1 + l, aligned)?);
    }
    let scores = (0..a.layers).map(|l| score_shift(l, &mut e, a.score_bits)).collect::<Result<_, _>>()?;
    let scales = Scales { norms, scores };
    scales.validate(&a)?;
    Ok(Chosen { architecture: a, scales, exponents: e })
}

/// Right shift from query times key to the scale of scores, 0 to 16.
fn score_shift(layer: usize, e: &mut Exponents, score_bits: u32) -> Result<u32, QuantiseError> {
    let (query, key) = (&mut e.query[layer], &mut e.key[layer]);
    let bits = score_bits.cast_signed();
    while *query + *key - bits > 16 {
        *(if *query > *key { &mut *query } else { &mut *key }) -= 1;
    }
    u32::try_from(*query + *key - bits).map_err(|_| QuantiseError::Scale {
        tensor: format!("encoder.layer.{layer} scores"),
        reason: "queries and keys are too large for the scale of the scores".into(),
    })
}

/// Alignment of the two terms of a residual, and its exponent.
struct Aligned {
    stream: u32,
    branch: u32,
    exponent: i32,
}

impl Aligned {
    fn alone(exponent: i32) -> Self {
        Self { stream: 0, branch: 0, exponent }
    }
}

/// Makes the finer of two terms coarser until the norm's sums fit 63 bits and the shift is at most 12.
fn align(x: &mut i32, o: &mut i32, branch_bits: u32, hidden: usize) -> Aligned {
    loop {
        let exponent = (*x).max(*o);
        let (stream, branch) = ((exponent - *x).unsigned_abs(), (exponent - *o).unsigned_abs());
        if stream <= 12 && branch <= 12 {
            let residual = (1u128 << (15 + stream)) + (1u128 << (branch_bits + branch));
            let n = hidden as u128;
            // One bit for epsilon.
            if n * n * residual * residual < 1 << 62 || stream + branch == 0 {
                return Aligned { stream, branch, exponent };
            }
        }
        *(if *x > *o { &mut *x } else { &mut *o }) -= 1;
    }
}

/// Root exponent, shift and epsilon of a LayerNorm.
fn norm_scale(
    encoder: &FloatEncoder,
    ranges: &Ranges,
    a: &Architecture,
    norm: usize,
    aligned: Aligned,
) -> Result<NormScale, QuantiseError> {
    let (range, n) = (ranges.norms[norm], a.hidden as f64);
    let scale = 2f64.powi(aligned.exponent);
    let refuse = |reason: String| QuantiseError::Scale { tensor: format!("LayerNorm {norm}"), reason };

    let eps = encoder.config.layer_norm_eps;
    let epsilon = (eps * n * n * scale * scale).round().max(1.0);
    if epsilon >= 4_294_967_296.0 {
        return Err(refuse(format!("epsilon {eps:e} is {epsilon:e} at the residual's scale, beyond 32 bits")));
    }
    // sqrt(V) of the calibrated row that varies least, with headroom: the largest reciprocal root stays below 2^16.
    let deviation = (range.variance.max(0.0) + eps).sqrt() * n * scale;
    #[expect(clippy::cast_possible_truncation, reason = "clamped logarithms")]
    let root = (2.0 * (65535.0 * deviation / headroom::NORM).log2()).floor().clamp(34.0, 79.0) as u32;
    // A normalised value is at most sqrt(n), whatever the row.
    let largest = (range.normalised * headroom::NORM).min(n.sqrt());
    #[expect(clippy::cast_possible_truncation, reason = "clamped logarithms")]
    let finest = (2.0 * (32766.0 / largest.max(1.0)).log2()).floor() as u32;
    let shift = root.saturating_sub(finest).div_ceil(2).max(17);
    if shift > 32 {
        return Err(refuse(format!("its rows vary too much for one scale: variance {:e}", range.variance)));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 2^32")]
    let epsilon = epsilon as u64;
    Ok(NormScale { stream: aligned.stream, branch: aligned.branch, root, shift, epsilon })
}
