//! Attention: scores, softmax by a maximum and an integer reciprocal, weighted values.

use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::columns;
use rayon::prelude::*;

use super::Run;
use super::kernel::{self, Panels};
use super::rounding::{Rounded, remainder, requantise};
use crate::integer::error::RangeError;

/// Columns of one layer and channel block, in the order in which they are stored: those with range errors first.
const CELLS: [Column; 5] = [columns::GAP, columns::PROB, columns::SCORE_REMAINDER, columns::EXP, columns::ATTAIN];
/// Columns of two limbs per row.
const RECIPROCALS: [Column; 3] = [columns::RECIPROCAL, columns::RECIPROCAL_REMAINDER, columns::RECIPROCAL_SLACK];

/// One head of one request: packed cells `[n][n]`, rows `[n]`, values `[n][head_dim]`.
struct Head {
    max: Vec<i64>,
    /// In the order of [`CELLS`].
    cells: [Vec<i64>; 5],
    prob_remainder: [Vec<i64>; 2],
    /// Reciprocal, its remainder, its slack; each low limb, high limb.
    reciprocal: [[Vec<i64>; 2]; 3],
    /// Accumulators of the context, before rounding.
    context: Vec<i64>,
}

impl Head {
    fn compute(n: usize, qkv: [&[i64]; 3], dim: usize, shift: u32, exp: &[i64], want: bool) -> Self {
        let [q, k, v] = qkv;
        let mut scores = vec![0; n * n];
        dot(q, k, dim, &mut scores);
        let scale = |acc: i64| acc << (16 - shift);
        let mut head = Self {
            max: Vec::with_capacity(n),
            cells: std::array::from_fn(|_| Vec::with_capacity(n * n)),
            prob_remainder: std::array::from_fn(|_| Vec::new()),
            reciprocal: Default::default(),
            context: Vec::new(),
        };
        let mut exps = Vec::with_capacity(n);
        for row in scores.chunks_exact(n) {
            let max = row.iter().map(|&acc| requantise(scale(acc))).max().unwrap_or(0);
            head.max.push(max);
            exps.clear();
            let mut attained = false;
            for &acc in row {
                let gap = max - requantise(scale(acc));
                // A gap without an entry is reported when it is stored, before anything uses this 0.
                let e = usize::try_from(gap).ok().and_then(|g| exp.get(g)).copied().unwrap_or(0);
                exps.push(e);
                head.cells[0].push(gap);
                if want {
                    head.cells[2].push(remainder(scale(acc)));
                    head.cells[3].push(e);
                    head.cells[4].push(i64::from(gap == 0 && !attained));
                    attained |= gap == 0;
                }
            }
            // The maximum has gap 0: D >= 2^15 and R <= 2^23.
            let divisor: i64 = exps.iter().sum();
            let (quotient, rest) = ((1i64 << 38) / divisor, (1i64 << 38) % divisor);
            if want {
                for (limbs, value) in head.reciprocal.iter_mut().zip([quotient, rest, divisor - 1 - rest]) {
                    limbs[0].push(value & 0xffff);
                    limbs[1].push(value >> 16);
                }
            }
            for &e in &exps {
                let wide = ((e * quotient) << 9) + (1 << 31);
                head.cells[1].push(wide >> 32);
                if want {
                    head.prob_remainder[0].push(wide & 0xffff);
                    head.prob_remainder[1].push((wide >> 16) & 0xffff);
                }
            }
        }
        head.context = weigh(&head.cells[1], v, n, dim);
        head
    }
}

/// Bits of the product of a query and a key, both of at most 2^15.
const SCORE_PRODUCT_BITS: u32 = 30;
/// Bits of the product of a probability, at most 2^17, and twice a value, at most 2^16.
const CONTEXT_PRODUCT_BITS: u32 = 33;

/// `q·kᵀ`, row-major `[n][n]`.
fn dot(q: &[i64], k: &[i64], dim: usize, scores: &mut [i64]) {
    let mut panels = Panels::default();
    panels.pack(k, dim, SCORE_PRODUCT_BITS);
    panels.accumulate(&kernel::inputs(q), scores);
}

/// `2·Σ p·v`, row-major `[n][dim]`.
fn weigh(prob: &[i64], v: &[i64], n: usize, dim: usize) -> Vec<i64> {
    let mut transposed = vec![0; dim * n];
    for (t, row) in v.chunks_exact(dim).enumerate() {
        for (d, &x) in row.iter().enumerate() {
            transposed[d * n + t] = 2 * x;
        }
    }
    let mut panels = Panels::default();
    panels.pack(&transposed, n, CONTEXT_PRODUCT_BITS);
    let mut sums = vec![0; n * dim];
    panels.accumulate(&kernel::inputs(prob), &mut sums);
    sums
}

/// The rows of one head, `[n][dim]`, out of a channel block of packed rows.
fn head_rows(block: &[i64], width: usize, first: usize, n: usize, channel: usize, dim: usize) -> Vec<i64> {
    let rows = block[first * width..(first + n) * width].chunks_exact(width);
    rows.flat_map(|row| &row[channel..channel + dim]).copied().collect()
}

impl Run<'_> {
    /// Attention of one layer; `qkv` holds the channel blocks of queries, keys, values. Everything is stored but the
    /// context, which is returned with its remainders.
    pub(super) fn attention(&mut self, layer: usize, qkv: &[Vec<i64>]) -> Result<Rounded, RangeError> {
        let architecture = &self.model.architecture;
        let (blocks, width) = (architecture.hidden_blocks(), architecture.block);
        let (dim, per_block) = (architecture.head_dim(), architecture.heads_per_block());
        let (shift, want) = (self.model.scales.scores[layer], self.recorder.records());
        let heads: Vec<Head> = (0..blocks * self.requests.len() * per_block)
            .into_par_iter()
            .map(|index| {
                let (block, rest) =
                    (index / (self.requests.len() * per_block), index % (self.requests.len() * per_block));
                let (request, head) = (&self.requests[rest / per_block], rest % per_block);
                let of = |kind: usize| {
                    head_rows(&qkv[kind * blocks + block], width, request.first, request.length, head * dim, dim)
                };
                let [q, k, v] = [of(0), of(1), of(2)];
                Head::compute(request.length, [&q, &k, &v], dim, shift, &self.tables.exp, want)
            })
            .collect();
        for (i, heads) in heads.chunks_exact(self.requests.len() * per_block).enumerate() {
            self.store_heads(layer * blocks + i, heads)?;
        }
        Ok(Rounded::compute(blocks, want, |block| {
            let mut sums = vec![0; self.rows() * width];
            let own = &heads[block * self.requests.len() * per_block..];
            for (request, heads) in self.requests.iter().zip(own.chunks_exact(per_block)) {
                for (h, head) in heads.iter().enumerate() {
                    for (t, row) in head.context.chunks_exact(dim).enumerate() {
                        sums[(request.first + t) * width + h * dim..][..dim].copy_from_slice(row);
                    }
                }
            }
            sums
        }))
    }

    /// Stores the columns of one channel block, given its heads by request.
    fn store_heads(&mut self, block: usize, heads: &[Head]) -> Result<(), RangeError> {
        let concat = |f: &dyn Fn(&Head) -> &[i64]| heads.iter().flat_map(f).copied().collect::<Vec<_>>();
        self.recorder.store(columns::MAX, block, &concat(&|h| &h.max))?;
        let all = if self.recorder.records() { CELLS.len() } else { 2 };
        for (i, &column) in CELLS.iter().enumerate().take(all) {
            self.recorder.store(column, block, &concat(&|h| &h.cells[i]))?;
        }
        if self.recorder.records() {
            let architecture = &self.model.architecture;
            let limb = architecture.layers * architecture.hidden_blocks();
            for i in 0..2 {
                self.recorder.store(columns::PROB_REMAINDER, i * limb + block, &concat(&|h| &h.prob_remainder[i]))?;
                for (j, column) in RECIPROCALS.into_iter().enumerate() {
                    self.recorder.store(column, i * limb + block, &concat(&|h| &h.reciprocal[j][i]))?;
                }
            }
        }
        Ok(())
    }
}
