//! Linear layers with LoRA: `y = RQ(Σ x·W + b + Σ B·h)`, `h = RQ(Σ x·A)`. One accumulator, one rounding.

use lorica_cells::{Slice, typed};
use lorica_circuits::families::encoder::columns;
use lorica_circuits::families::encoder::columns::SITES;
use rayon::prelude::*;

use super::Run;
use super::kernel::{self, Panels};
use super::rounding::{Rounded, requantise_all};
use crate::integer::error::RangeError;

/// A linear layer of one encoder layer: which cells it uses.
pub(super) struct Linear<'a> {
    /// Encoder layer.
    pub layer: usize,
    /// Site of its LoRA update.
    pub site: usize,
    /// Blocks `[output block][input block]`, each `[output channel][input channel]`.
    pub weight: Slice<'a>,
    /// One bias per output.
    pub bias: Slice<'a>,
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
        let width = architecture.block;
        let outputs = linear.bias.len() / width;
        let want = self.recorder.records();
        Ok(Rounded::compute(outputs, want, |block| {
            let mut sums = linear.bias.range(block * width..(block + 1) * width).to_vec().repeat(rows);
            let mut panels = Panels::default();
            let first = block * inputs.len();
            for (x, own) in inputs.iter().zip(first..) {
                let weights = linear.weight.range(own * width * width..(own + 1) * width * width);
                typed!(weights, |weights| panels.pack(weights, width, kernel::WEIGHT_PRODUCT_BITS));
                panels.accumulate(x, &mut sums);
            }
            let rank = architecture.r_max;
            for (request, hidden) in self.requests.iter().zip(&hidden) {
                let (Some(adapter), Some(hidden)) = (request.adapter, hidden) else { continue };
                let b = adapter.lora(architecture, linear.layer, linear.site).b;
                let b = b.range(block * width * rank..(block + 1) * width * rank);
                typed!(b, |b| panels.pack(b, rank, kernel::WEIGHT_PRODUCT_BITS));
                let own = request.first * width..(request.first + request.length) * width;
                panels.accumulate(hidden, &mut sums[own]);
            }
            sums
        }))
    }

    /// `h` of every request as kernel inputs; `None` where all of `A` is zero.
    fn lora_hidden(&mut self, linear: &Linear<'_>, inputs: &Inputs) -> Result<Vec<Option<Vec<f64>>>, RangeError> {
        let architecture = &self.model.architecture;
        let (width, rank) = (architecture.block, architecture.r_max);
        let sums: Vec<Option<Vec<i64>>> = self
            .requests
            .par_iter()
            .map(|request| {
                let a = request.adapter?.lora(architecture, linear.layer, linear.site).a;
                if a.is_zero() {
                    return None;
                }
                let mut sums = vec![0; request.length * rank];
                let mut panels = Panels::default();
                for (i, x) in inputs.iter().enumerate() {
                    let weights = a.range(i * rank * width..(i + 1) * rank * width);
                    typed!(weights, |weights| panels.pack(weights, width, kernel::WEIGHT_PRODUCT_BITS));
                    let own = request.first * width..(request.first + request.length) * width;
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
        self.recorder.store(columns::LORA_HIDDEN, block, &values)?;
        self.record(columns::LORA_HIDDEN_REMAINDER, block, &remainders)?;
        let own = |r: &super::Request<'_>| kernel::inputs(&values[r.first * rank..(r.first + r.length) * rank]);
        Ok(self.requests.iter().zip(&sums).map(|(request, sums)| sums.as_ref().map(|_| own(request))).collect())
    }
}
