//! Linear layers with LoRA: `y = RQ(Σ x·W + b + Σ B·h)`, `h = RQ(Σ x·A)`. One accumulator, one rounding.

use lorica_circuits::architecture::BLOCK;
use lorica_circuits::column::{Column, SITES};
use rayon::prelude::*;

use super::Run;
use super::kernel::{self, Panels};
use super::rounding::{Rounded, requantise_all};
use crate::integer::error::RangeError;

const SQUARE: usize = BLOCK * BLOCK;

/// A linear layer of one encoder layer: which cells it uses.
pub(super) struct Linear<'a> {
    /// Encoder layer.
    pub layer: usize,
    /// Site of its LoRA update.
    pub site: usize,
    /// Blocks `[output block][input block]` of 128 x 128.
    pub weight: &'a [i64],
    /// One bias per output.
    pub bias: &'a [i64],
}

/// Activations as kernel inputs, by input block.
pub(super) type Inputs = Vec<Vec<f64>>;

pub(super) fn inputs(blocks: &[Vec<i64>]) -> Inputs {
    blocks.par_iter().map(|b| kernel::inputs(b)).collect()
}

impl Run<'_> {
    /// Runs a linear layer on packed rows; its LoRA hidden values are stored, its outputs returned.
    pub(super) fn linear(&mut self, linear: &Linear<'_>, inputs: &Inputs) -> Result<Rounded, RangeError> {
        let hidden = self.lora_hidden(linear, inputs)?;
        let (architecture, rows) = (&self.model.architecture, self.rows());
        let outputs = linear.bias.len() / BLOCK;
        let want = self.recorder.records();
        Ok(Rounded::compute(outputs, want, |block| {
            let bias = &linear.bias[block * BLOCK..(block + 1) * BLOCK];
            let mut sums = bias.repeat(rows);
            let mut panels = Panels::default();
            let weights = linear.weight[block * inputs.len() * SQUARE..].chunks_exact(SQUARE);
            for (x, weights) in inputs.iter().zip(weights) {
                panels.pack(weights, BLOCK);
                panels.accumulate(x, &mut sums);
            }
            let rank = architecture.r_max;
            for (request, hidden) in self.requests.iter().zip(&hidden) {
                let (Some(adapter), Some(hidden)) = (request.adapter, hidden) else { continue };
                let b = adapter.lora(architecture, linear.layer, linear.site).b;
                panels.pack(&b[block * BLOCK * rank..(block + 1) * BLOCK * rank], rank);
                let own = request.first * BLOCK..(request.first + request.length) * BLOCK;
                panels.accumulate(hidden, &mut sums[own]);
            }
            sums
        }))
    }

    /// `h` of every request as kernel inputs; `None` where all of `A` is zero.
    fn lora_hidden(&mut self, linear: &Linear<'_>, inputs: &Inputs) -> Result<Vec<Option<Vec<f64>>>, RangeError> {
        let architecture = &self.model.architecture;
        let rank = architecture.r_max;
        let sums: Vec<Option<Vec<i64>>> = self
            .requests
            .par_iter()
            .map(|request| {
                let a = request.adapter?.lora(architecture, linear.layer, linear.site).a;
                if a.iter().all(|&w| w == 0) {
                    return None;
                }
                let mut sums = vec![0; request.length * rank];
                let mut panels = Panels::default();
                for (x, weights) in inputs.iter().zip(a.chunks_exact(rank * BLOCK)) {
                    panels.pack(weights, BLOCK);
                    let own = request.first * BLOCK..(request.first + request.length) * BLOCK;
                    panels.accumulate(&x[own], &mut sums);
                }
                Some(sums)
            })
            .collect();
        let mut values = Vec::with_capacity(self.rows() * rank);
        for (request, sums) in self.requests.iter().zip(&sums) {
            match sums {
                Some(sums) => values.extend_from_slice(sums),
                None => values.resize(values.len() + request.length * rank, 0),
            }
        }
        let remainders = requantise_all(&mut values, self.recorder.records());
        let block = linear.layer * SITES + linear.site;
        self.recorder.store(Column::LoraHidden, block, &values)?;
        self.record(Column::LoraHiddenRemainder, block, &remainders)?;
        let own = |r: &super::Request<'_>| kernel::inputs(&values[r.first * rank..(r.first + r.length) * rank]);
        Ok(self.requests.iter().zip(&sums).map(|(request, sums)| sums.as_ref().map(|_| own(request))).collect())
    }
}
