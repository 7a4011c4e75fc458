//! What a batch publishes: sums over the real tokens, or logits of the first token.

use lorica_cells::{Cell, typed};
use lorica_circuits::families::encoder::columns;
use lorica_circuits::shape::{LABELS, OutputKind};

use super::rounding::{Rounded, requantise_all};
use super::{Request, Run};
use crate::integer::batch::{Pooled, RequestOutput};
use crate::integer::error::RangeError;

impl Run<'_> {
    /// Outputs of all requests from the last residual slot.
    pub(super) fn outputs(&mut self, last: &[Vec<i64>], kind: OutputKind) -> Result<Vec<RequestOutput>, RangeError> {
        match kind {
            OutputKind::Embed => Ok(self.embeddings(last)),
            OutputKind::Classify => self.classes(last),
        }
    }

    fn embeddings(&self, last: &[Vec<i64>]) -> Vec<RequestOutput> {
        let width = self.model.architecture.block;
        let sums = |first: usize, length: usize| {
            last.iter()
                .flat_map(|block| {
                    let mut sums = vec![0; width];
                    for row in block[first * width..(first + length) * width].chunks_exact(width) {
                        sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
                    }
                    sums
                })
                .collect()
        };
        self.requests.iter().map(|r| RequestOutput::Embed { sums: sums(r.first, r.length), length: r.length }).collect()
    }

    fn classes(&mut self, last: &[Vec<i64>]) -> Result<Vec<RequestOutput>, RangeError> {
        let pooled = self.pool(last)?;
        Ok((0..self.requests.len())
            .map(|request| {
                let (logits, label) = self.logits(request, &pooled);
                RequestOutput::Classify { logits, label }
            })
            .collect())
    }

    /// Pooled vectors and labels of all requests from the last residual slot.
    pub(super) fn pooled_and_labels(&mut self, last: &[Vec<i64>]) -> Result<Vec<Pooled>, RangeError> {
        let pooled = self.pool(last)?;
        let width = self.model.architecture.block;
        let values = |request: usize| {
            let own = pooled.iter().flat_map(|block| &block[request * width..(request + 1) * width]);
            own.map(|&value| i16::try_from(value).expect("the tanh table has values of up to 2^14")).collect()
        };
        let of = |request| {
            let (logits, label) = self.logits(request, &pooled);
            Pooled { values: values(request), logits, label }
        };
        Ok((0..self.requests.len()).map(of).collect())
    }

    /// Pooled values of all requests, by block `[request][channel]`.
    fn pool(&mut self, last: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, RangeError> {
        let model = self.model;
        let blocks = last.len();
        let cells = |column| model.columns[column].as_slice();
        let (weight, bias) = (cells(columns::WEIGHT_POOLER), cells(columns::BIAS_POOLER));
        let (width, rank) = (model.architecture.block, model.architecture.r_max);
        let mut hidden: Vec<i64> =
            self.requests.iter().flat_map(|request| pooler_hidden(request, last, width, rank)).collect();
        let remainders = requantise_all(&mut hidden, self.recorder.records());
        self.recorder.store(columns::POOLER_HIDDEN, 0, &hidden)?;
        self.record(columns::POOLER_HIDDEN_REMAINDER, 0, &remainders)?;
        let rounded = Rounded::compute(blocks, self.recorder.records(), |block| {
            let mut sums = bias.range(block * width..(block + 1) * width).to_vec().repeat(self.requests.len());
            let requests = self.requests.iter().zip(hidden.chunks_exact(rank));
            for ((request, hidden), sums) in requests.zip(sums.chunks_exact_mut(width)) {
                for (i, x) in last.iter().enumerate() {
                    let first = (block * blocks + i) * width * width;
                    let x = &x[request.first * width..(request.first + 1) * width];
                    typed!(weight.range(first..first + width * width), |weights| add_products(sums, x, weights));
                }
                if let Some(adapter) = request.adapter {
                    let b = adapter.columns[columns::LORA_B_POOLER].as_slice();
                    let b = b.range(block * width * rank..(block + 1) * width * rank);
                    typed!(b, |b| add_products(sums, hidden, b));
                }
            }
            sums
        });
        let mut pooled = Vec::with_capacity(blocks);
        for (block, keys) in rounded.values.iter().enumerate() {
            self.recorder.store(columns::POOLER_KEY, block, keys)?;
            let values: Vec<i64> = keys.iter().map(|&k| self.tables.tanh(k)).collect();
            self.record(columns::POOLED, block, &values)?;
            pooled.push(values);
        }
        for (block, remainders) in rounded.remainders.iter().enumerate() {
            self.record(columns::POOLER_REMAINDER, block, remainders)?;
        }
        Ok(pooled)
    }

    /// A request's logits, and the lowest index of the largest. They are sums of at most 2^12 products below 2^45 and a bias below 2^46: far from 63 bits.
    fn logits(&self, request: usize, pooled: &[Vec<i64>]) -> ([i64; LABELS], usize) {
        let mut logits = [0; LABELS];
        if let Some(adapter) = self.requests[request].adapter {
            let cells = |column| adapter.columns[column].as_slice();
            let (weight, bias) = (cells(columns::CLASSIFIER), cells(columns::CLASSIFIER_BIAS));
            bias.copy_to(&mut logits);
            let width = self.model.architecture.block;
            for (i, block) in pooled.iter().enumerate() {
                let x = &block[request * width..(request + 1) * width];
                let weights = weight.range(i * LABELS * width..(i + 1) * LABELS * width);
                typed!(weights, |weights| add_products(&mut logits, x, weights));
            }
        }
        let largest = logits.iter().copied().max().unwrap_or(0);
        let label = logits.iter().position(|&l| l == largest).unwrap_or(0);
        (logits, label)
    }
}

/// `Σ x·A` of the pooler's adapter at a request's first token, for each rank.
fn pooler_hidden(request: &Request<'_>, last: &[Vec<i64>], width: usize, rank: usize) -> Vec<i64> {
    let mut sums = vec![0; rank];
    let Some(adapter) = request.adapter else { return sums };
    let a = adapter.columns[columns::LORA_A_POOLER].as_slice();
    for (i, x) in last.iter().enumerate() {
        let x = &x[request.first * width..(request.first + 1) * width];
        let weights = a.range(i * rank * width..(i + 1) * rank * width);
        typed!(weights, |weights| add_products(&mut sums, x, weights));
    }
    sums
}

/// Adds the product of `x` with each row of the weights `[sums][x]`.
fn add_products<T: Cell>(sums: &mut [i64], x: &[i64], weights: &[T]) {
    for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(x.len())) {
        *sum += x.iter().zip(weights).map(|(x, &w)| x * w.into()).sum::<i64>();
    }
}
