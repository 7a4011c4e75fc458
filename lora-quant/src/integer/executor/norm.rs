//! LayerNorm: sums, integer reciprocal root, one wide rounding, one linear rounding.

use lorica_circuits::blocks::norm::SLACK_LIMBS;
use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::NormScale;
use lorica_circuits::families::encoder::columns;
use rayon::prelude::*;

use super::Run;
use super::rounding::Rounded;
use crate::integer::error::RangeError;

/// What a row's LayerNorm needs besides the row.
struct Row {
    sum: i64,
    squares: i64,
    variance: i64,
    root: i64,
}

impl Row {
    fn of(residual: &[Vec<i64>], width: usize, row: usize, scale: &NormScale) -> Self {
        let cells = || residual.iter().flat_map(|block| &block[row * width..(row + 1) * width]);
        let (mut n, mut sum, mut squares) = (0, 0, 0);
        for &r in cells() {
            n += 1;
            sum += r;
            squares += r * r;
        }
        // At least 1 (Cauchy–Schwarz and epsilon), below 2^63 by the model's static bound.
        let variance: i64 = n * squares - sum * sum + scale.epsilon.cast_signed();
        let quotient = (1u128 << scale.root) / u128::from(variance.unsigned_abs());
        // floor(sqrt(floor(C / V))) = floor(sqrt(C / V)); below 2^40 because C <= 2^79.
        let root = i64::try_from(quotient.isqrt()).unwrap_or(i64::MAX);
        Self { sum, squares, variance, root }
    }

    /// `C - ρ²·V` and `(ρ+1)²·V - 1 - C`, each below 2^80; the root is in range.
    fn slacks(&self, scale: &NormScale) -> [i128; 2] {
        let (c, v, root) = (1i128 << scale.root, i128::from(self.variance), i128::from(self.root));
        [c - root * root * v, (root + 1) * (root + 1) * v - 1 - c]
    }
}

/// Limb `index` of 16 bits.
fn limb(value: i128, index: usize) -> i64 {
    i64::from((value >> (16 * index)) as u16)
}

impl Run<'_> {
    /// Normalises packed residual rows; the caller stores the output, everything else is stored here.
    pub(super) fn norm(&mut self, norm: usize, residual: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, RangeError> {
        let scale = self.model.scales.norms[norm];
        let width = self.model.architecture.block;
        let rows: Vec<Row> =
            (0..self.rows()).into_par_iter().map(|row| Row::of(residual, width, row, &scale)).collect();
        self.store_rows(norm, &rows, &scale)?;

        let blocks = residual.len();
        let n = (blocks * width) as i64;
        let want = self.recorder.records();
        // acc = (n·r - S)·ρ·2^(32-shift): the power of two is taken out of the rounding, so that nothing exceeds 63 bits.
        let wide = |cell: i64, row: &Row| (n * cell - row.sum) * row.root + (1 << (scale.shift - 1));
        let rounded: Vec<[Vec<i64>; 3]> = residual
            .par_iter()
            .map(|block| {
                let cells =
                    || block.chunks_exact(width).zip(&rows).flat_map(|(r, row)| r.iter().map(|&c| wide(c, row)));
                let values = cells().map(|w| w >> scale.shift).collect();
                if !want {
                    return [values, Vec::new(), Vec::new()];
                }
                let rest = |w: i64| (w & ((1 << scale.shift) - 1)) << (32 - scale.shift);
                [values, cells().map(|w| rest(w) & 0xffff).collect(), cells().map(|w| rest(w) >> 16).collect()]
            })
            .collect();
        let norms = self.model.architecture.norms();
        for (i, [values, low, high]) in rounded.iter().enumerate() {
            let block = norm * blocks + i;
            self.recorder.store(columns::NORM_VALUE, block, values)?;
            self.record(columns::NORM_VALUE_REMAINDER, block, low)?;
            self.record(columns::NORM_VALUE_REMAINDER, norms * blocks + block, high)?;
        }

        let of_block = |column, block: usize| {
            let first = (norm * blocks + block) * width;
            self.model.columns[column].as_slice().range(first..first + width).to_vec()
        };
        let output = Rounded::compute(blocks, want, |block| {
            let (gamma, beta) = (of_block(columns::GAMMA, block), of_block(columns::BETA, block));
            let rows = rounded[block][0].chunks_exact(width);
            rows.flat_map(|z| z.iter().zip(&gamma).zip(&beta)).map(|((z, g), b)| z * g + b).collect()
        });
        for (i, remainders) in output.remainders.iter().enumerate() {
            self.record(columns::NORM_REMAINDER, norm * blocks + i, remainders)?;
        }
        Ok(output.values)
    }

    fn store_rows(&mut self, norm: usize, rows: &[Row], scale: &NormScale) -> Result<(), RangeError> {
        let collect = |f: &dyn Fn(&Row) -> i64| rows.iter().map(f).collect::<Vec<_>>();
        self.recorder.store(columns::NORM_ROOT, norm, &collect(&|r| r.root))?;
        if self.recorder.records() {
            self.recorder.store(columns::NORM_SQUARES, norm, &collect(&|r| r.squares))?;
            self.recorder.store(columns::NORM_VARIANCE, norm, &collect(&|r| r.variance))?;
            let norms = self.model.architecture.norms();
            for index in 0..SLACK_LIMBS {
                let half = SLACK_LIMBS / 2;
                let limbs = collect(&|r| limb(r.slacks(scale)[index / half], index % half));
                self.recorder.store(columns::NORM_SLACK, index * norms + norm, &limbs)?;
            }
        }
        Ok(())
    }

    /// `2^stream·x + 2^branch·o`.
    pub(super) fn align(&self, norm: usize, stream: &[Vec<i64>], branch: &[Vec<i64>]) -> Vec<Vec<i64>> {
        let scale = self.model.scales.norms[norm];
        let add = |(&x, &o): (&i64, &i64)| (x << scale.stream) + (o << scale.branch);
        stream.par_iter().zip(branch).map(|(x, o)| x.iter().zip(o).map(add).collect()).collect()
    }

    /// Stores a column of remainders, which have no range error, if a trace is wanted.
    pub(super) fn record(&mut self, column: Column, block: usize, values: &[i64]) -> Result<(), RangeError> {
        if self.recorder.records() { self.recorder.store(column, block, values) } else { Ok(()) }
    }
}
