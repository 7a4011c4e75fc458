//! The arithmetic of the float forward on row-major matrices.

use rayon::prelude::*;

use crate::import::{Activation, NormWeights};

/// Accumulators of a dot product: independent chains for the vector units, a more exact sum than one chain, and few
/// enough that those of [`ROWS`] rows stay in the sixteen registers of plain x86-64 (16 lanes: half the speed).
const LANES: usize = 8;
/// Rows of `x` that share one pass over a row of `w`.
const ROWS: usize = 4;
/// Outputs computed by one task.
const BLOCK: usize = 32;

/// `y = x Wᵀ (+ bias)` with `x: [n][inner]`, `w: [outer][inner]`, `y: [n][outer]`.
pub(super) fn linear(x: &[f32], w: &[f32], bias: Option<&[f32]>, inner: usize, outer: usize) -> Vec<f32> {
    let n = x.len() / inner;
    // Computed transposed, so that each task owns whole rows of its result.
    let mut transposed = vec![0.0f32; n * outer];
    transposed.par_chunks_mut(BLOCK * n).zip(w.par_chunks(BLOCK * inner)).for_each(|(out, weights)| {
        for (out, row) in out.chunks_exact_mut(n).zip(weights.chunks_exact(inner)) {
            for (out, x) in out.chunks_mut(ROWS).zip(x.chunks(ROWS * inner)) {
                dot_rows(x, row, out);
            }
        }
    });
    let mut y = vec![0.0f32; n * outer];
    y.par_chunks_exact_mut(outer).enumerate().for_each(|(i, row)| {
        for (o, value) in row.iter_mut().enumerate() {
            *value = transposed[o * n + i] + bias.map_or(0.0, |bias| bias[o]);
        }
    });
    y
}

/// `out[i] = x_i · w` for up to [`ROWS`] rows of `x`.
fn dot_rows(x: &[f32], w: &[f32], out: &mut [f32]) {
    let inner = w.len();
    if out.len() < ROWS {
        for (value, x) in out.iter_mut().zip(x.chunks_exact(inner)) {
            *value = dot(x, w);
        }
        return;
    }
    let rows: [&[f32]; ROWS] = std::array::from_fn(|i| &x[i * inner..(i + 1) * inner]);
    let chunks: [&[[f32; LANES]]; ROWS] = rows.map(|row| row.as_chunks().0);
    let (w_chunks, w_rest) = w.as_chunks::<LANES>();
    let mut sums = [[0.0f32; LANES]; ROWS];
    for (k, w) in w_chunks.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(&chunks) {
            let x = &row[k];
            for lane in 0..LANES {
                sum[lane] += x[lane] * w[lane];
            }
        }
    }
    let done = inner - w_rest.len();
    for ((value, sum), row) in out.iter_mut().zip(&sums).zip(rows) {
        *value = sum.iter().sum::<f32>() + row[done..].iter().zip(w_rest).map(|(a, b)| a * b).sum::<f32>();
    }
}

/// The dot product of two rows of equal length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// All parts of a layer normalisation of `x: [n][hidden]`.
pub(super) struct Normalised {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    pub(super) normalised: Vec<f32>,
    pub(super) output: Vec<f32>,
}

/// Layer normalisation over rows.
pub(super) fn layer_norm(x: &[f32], weights: &NormWeights, eps: f64) -> Normalised {
    let hidden = weights.gamma.len();
    let n = x.len() / hidden;
    let mut result = Normalised {
        mean: Vec::with_capacity(n),
        variance: Vec::with_capacity(n),
        normalised: Vec::with_capacity(x.len()),
        output: Vec::with_capacity(x.len()),
    };
    for row in x.chunks_exact(hidden) {
        let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / hidden as f64;
        let variance = row.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / hidden as f64;
        let inverse = 1.0 / (variance + eps).sqrt();
        result.mean.push(mean as f32);
        result.variance.push(variance as f32);
        for ((value, gamma), beta) in row.iter().zip(&weights.gamma).zip(&weights.beta) {
            let normalised = ((f64::from(*value) - mean) * inverse) as f32;
            result.normalised.push(normalised);
            result.output.push(gamma * normalised + beta);
        }
    }
    result
}

/// Softmax of one row in place.
pub(super) fn softmax(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - max).exp();
        sum += *value;
    }
    for value in row.iter_mut() {
        *value /= sum;
    }
}

/// The activation function of the feed-forward block.
pub(super) fn activate(x: &[f32], activation: Activation) -> Vec<f32> {
    let function = match activation {
        Activation::Gelu => |x: f32| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::GeluNew => |x: f32| {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        },
        Activation::Relu => |x: f32| x.max(0.0),
    };
    x.par_iter().with_min_len(4096).map(|value| function(*value)).collect()
}

/// `a + b`, element by element.
pub(super) fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

#[cfg(test)]
mod tests {
    use super::{activate, linear, softmax};
    use crate::import::Activation;

    #[test]
    fn linear_equals_the_textbook_sum_at_awkward_sizes() {
        for (n, inner, outer) in [(1, 1, 1), (3, 15, 31), (4, 16, 32), (5, 17, 33), (9, 40, 65)] {
            let value = |i: usize| ((i * 7919 % 101) as f32 - 50.0) / 16.0;
            let x: Vec<f32> = (0..n * inner).map(value).collect();
            let w: Vec<f32> = (0..outer * inner).map(|i| value(i + 3)).collect();
            let bias: Vec<f32> = (0..outer).map(value).collect();
            let y = linear(&x, &w, Some(&bias), inner, outer);
            for i in 0..n {
                for o in 0..outer {
                    let exact: f32 = (0..inner).map(|k| x[i * inner + k] * w[o * inner + k]).sum::<f32>() + bias[o];
                    assert!((y[i * outer + o] - exact).abs() < 1e-2, "({n}, {inner}, {outer}) at ({i}, {o})");
                }
            }
        }
    }

    #[test]
    fn softmax_of_large_values_sums_to_one() {
        let mut row = [1000.0, 999.0, -1000.0];
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((row[0] - 0.731_058_6).abs() < 1e-6);
    }

    #[test]
    fn activations_have_their_known_values() {
        let x = [-1.0, 0.0, 2.0];
        let known = [
            (Activation::Gelu, [-0.158_655_26, 0.0, 1.954_499_7]),
            (Activation::GeluNew, [-0.158_808_01, 0.0, 1.954_597_7]),
            (Activation::Relu, [0.0, 0.0, 2.0]),
        ];
        for (activation, expected) in known {
            for (got, expected) in activate(&x, activation).iter().zip(expected) {
                assert!((got - expected).abs() < 1e-6, "{activation:?}: {got} instead of {expected}");
            }
        }
    }
}
