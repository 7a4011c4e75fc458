//! What a batch publishes: sums over the real tokens, or logits of the first token.

use lorica_circuits::architecture::{BLOCK, LABELS, OutputKind};
use lorica_circuits::column::Column;

use super::Run;
use super::rounding::Rounded;
use crate::integer::batch::RequestOutput;
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
        let sums = |first: usize, length: usize| {
            last.iter()
                .flat_map(|block| {
                    let mut sums = [0; BLOCK];
                    for row in block[first * BLOCK..(first + length) * BLOCK].chunks_exact(BLOCK) {
                        sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
                    }
                    sums
                })
                .collect()
        };
        self.requests.iter().map(|r| RequestOutput::Embed { sums: sums(r.first, r.length), length: r.length }).collect()
    }

    fn classes(&mut self, last: &[Vec<i64>]) -> Result<Vec<RequestOutput>, RangeError> {
        let model = self.model;
        let blocks = last.len();
        let (weight, bias) = (&model.columns[&Column::WeightPooler], &model.columns[&Column::BiasPooler]);
        let rounded = Rounded::compute(blocks, self.recorder.records(), |block| {
            let first_rows = self.requests.iter().map(|r| r.first);
            first_rows
                .flat_map(|row| (0..BLOCK).map(move |c| (row, c)))
                .map(|(row, c)| {
                    let products = last.iter().enumerate().flat_map(|(i, x)| {
                        let w = &weight[((block * blocks + i) * BLOCK + c) * BLOCK..][..BLOCK];
                        x[row * BLOCK..(row + 1) * BLOCK].iter().zip(w).map(|(x, w)| x * w)
                    });
                    bias[block * BLOCK + c] + products.sum::<i64>()
                })
                .collect()
        });
        let mut pooled = Vec::with_capacity(blocks);
        for (block, keys) in rounded.values.iter().enumerate() {
            self.recorder.store(Column::PoolerKey, block, keys)?;
            let values: Vec<i64> = keys.iter().map(|&k| self.tables.tanh(k)).collect();
            self.record(Column::Pooled, block, &values)?;
            pooled.push(values);
        }
        for (block, remainders) in rounded.remainders.iter().enumerate() {
            self.record(Column::PoolerRemainder, block, remainders)?;
        }
        Ok((0..self.requests.len()).map(|r| self.logits(r, &pooled)).collect())
    }

    /// Logits are sums of at most 2^12 products below 2^45 and a bias below 2^46: far from 63 bits.
    fn logits(&self, request: usize, pooled: &[Vec<i64>]) -> RequestOutput {
        let mut logits = [0; LABELS];
        if let Some(adapter) = self.requests[request].adapter {
            let (weight, bias) = (&adapter.columns[&Column::Classifier], &adapter.columns[&Column::ClassifierBias]);
            logits.copy_from_slice(bias);
            for (block, weights) in pooled.iter().zip(weight.chunks_exact(LABELS * BLOCK)) {
                let x = &block[request * BLOCK..(request + 1) * BLOCK];
                for (logit, weights) in logits.iter_mut().zip(weights.chunks_exact(BLOCK)) {
                    *logit += x.iter().zip(weights).map(|(x, w)| x * w).sum::<i64>();
                }
            }
        }
        let largest = logits.iter().copied().max().unwrap_or(0);
        let label = logits.iter().position(|&l| l == largest).unwrap_or(0);
        RequestOutput::Classify { logits, label }
    }
}
