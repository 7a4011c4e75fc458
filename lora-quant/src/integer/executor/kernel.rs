//! Exact integer products in floating point.
//!
//! A product of a weight below 2^31 with an activation of at most 2^15 in magnitude, summed over at most 128 terms, is
//! below 2^53: every partial sum is an integer that an `f64` holds exactly, in any order, with or without fused
//! multiply-add. Blocks of 128 inputs are summed that way and added up in `i64`. Smaller products may be more.

use lorica_cells::Cell;

/// Bits of an integer that an `f64` holds exactly.
const EXACT_BITS: u32 = 53;
/// Bits of the product of an activation with a weight of the model: 2^15 times less than 2^31.
pub const WEIGHT_PRODUCT_BITS: u32 = 46;
/// Outputs that are computed side by side.
const LANES: usize = 8;
/// Rows that share a load of the weights.
const ROWS: usize = 4;

/// A block of weights, `[outer][inner]`, laid out for the kernel: `[outer / 8][inner][8]`.
#[derive(Default)]
pub struct Panels {
    inner: usize,
    outer: usize,
    data: Vec<f64>,
}

impl Panels {
    /// Packs `weights`, row-major `[outer][inner]`; no product of one with an input exceeds `2^product_bits` in magnitude.
    pub fn pack<T: Cell>(&mut self, weights: &[T], inner: usize, product_bits: u32) {
        debug_assert!(inner <= 1 << (EXACT_BITS - product_bits) && weights.len().is_multiple_of(inner));
        self.inner = inner;
        self.outer = weights.len() / inner;
        self.data.clear();
        self.data.resize(self.outer.next_multiple_of(LANES) * inner, 0.0);
        for (o, row) in weights.chunks_exact(inner).enumerate() {
            let panel = &mut self.data[(o / LANES) * inner * LANES..][..inner * LANES];
            for (slot, &w) in panel.iter_mut().skip(o % LANES).step_by(LANES).zip(row) {
                *slot = exact(w.into());
            }
        }
    }

    /// Adds `inputs · weightsᵀ` to `sums`: inputs `[rows][inner]`, sums `[rows][outer]`.
    pub fn accumulate(&self, inputs: &[f64], sums: &mut [i64]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has both features; the function is safe Rust otherwise.
            unsafe { self.accumulate_fma(inputs, sums) };
            return;
        }
        self.accumulate_with::<false>(inputs, sums);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn accumulate_fma(&self, inputs: &[f64], sums: &mut [i64]) {
        self.accumulate_with::<true>(inputs, sums);
    }

    #[inline(always)]
    fn accumulate_with<const FUSED: bool>(&self, inputs: &[f64], sums: &mut [i64]) {
        let (inner, outer) = (self.inner, self.outer);
        for (p, panel) in self.data.chunks_exact(inner * LANES).enumerate() {
            let first = p * LANES;
            let width = LANES.min(outer - first);
            let mut tiles = inputs.chunks_exact(ROWS * inner);
            let mut outputs = sums.chunks_exact_mut(ROWS * outer);
            for (x, y) in tiles.by_ref().zip(outputs.by_ref()) {
                let tile = tile::<FUSED, ROWS>(x, panel, inner);
                for (row, cells) in tile.iter().zip(y.chunks_exact_mut(outer)) {
                    add(&mut cells[first..first + width], row);
                }
            }
            for (x, y) in tiles.remainder().chunks_exact(inner).zip(outputs.into_remainder().chunks_exact_mut(outer)) {
                let [row] = tile::<FUSED, 1>(x, panel, inner);
                add(&mut y[first..first + width], &row);
            }
        }
    }
}

/// `R` rows times one panel of eight outputs.
#[inline(always)]
fn tile<const FUSED: bool, const R: usize>(inputs: &[f64], panel: &[f64], inner: usize) -> [[f64; LANES]; R] {
    let mut sums = [[0.0; LANES]; R];
    let rows: [&[f64]; R] = std::array::from_fn(|r| &inputs[r * inner..(r + 1) * inner]);
    for (i, weights) in panel.chunks_exact(LANES).enumerate() {
        for r in 0..R {
            let x = rows[r][i];
            for l in 0..LANES {
                sums[r][l] = if FUSED { x.mul_add(weights[l], sums[r][l]) } else { x * weights[l] + sums[r][l] };
            }
        }
    }
    sums
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "integers below 2^53")]
fn add(sums: &mut [i64], values: &[f64; LANES]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += *value as i64;
    }
}

/// A small integer as `f64`.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub fn exact(value: i64) -> f64 {
    value as f64
}

/// Integers as kernel inputs.
pub fn inputs(values: &[i64]) -> Vec<f64> {
    values.iter().map(|&v| exact(v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest magnitudes, all of one sign, and sizes around the tile sizes.
    #[test]
    fn exact_at_the_bounds() {
        for (rows, inner, outer) in [(1, 128, 128), (5, 128, 3), (4, 1, 8), (7, 64, 9), (3, 16, 16)] {
            for (x, w) in [(-(1i64 << 15), (1i64 << 31) - 1), ((1 << 15) - 1, 1 - (1i64 << 31)), (-32768, -7)] {
                let weights: Vec<i64> = (0..inner * outer).map(|i| w - w.signum() * (i as i64 % 5)).collect();
                let values: Vec<i64> = (0..rows * inner).map(|i| x - x.signum() * (i as i64 % 3)).collect();
                let mut panels = Panels::default();
                panels.pack(&weights, inner, WEIGHT_PRODUCT_BITS);
                let (mut fast, mut portable) = (vec![3; rows * outer], vec![3; rows * outer]);
                panels.accumulate(&inputs(&values), &mut fast);
                panels.accumulate_with::<false>(&inputs(&values), &mut portable);
                for r in 0..rows {
                    for o in 0..outer {
                        let sum: i64 = (0..inner).map(|i| values[r * inner + i] * weights[o * inner + i]).sum();
                        assert_eq!(fast[r * outer + o], sum + 3);
                        assert_eq!(portable[r * outer + o], sum + 3);
                    }
                }
            }
        }
    }
}
