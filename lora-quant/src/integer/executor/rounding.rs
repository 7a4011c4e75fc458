//! The one rounding of linear layers.

use rayon::prelude::*;

/// `RQ(acc) = (acc + 2^15) // 2^16`.
pub fn requantise(acc: i64) -> i64 {
    (acc + (1 << 15)) >> 16
}

/// `acc + 2^15 - RQ(acc)·2^16`, in 0..2^16.
pub fn remainder(acc: i64) -> i64 {
    (acc + (1 << 15)) & 0xffff
}

/// The values of some accumulators, in place; their remainders if wanted (else nothing).
pub fn requantise_all(sums: &mut [i64], want_remainders: bool) -> Vec<i64> {
    let remainders = if want_remainders { sums.iter().map(|&s| remainder(s)).collect() } else { Vec::new() };
    sums.iter_mut().for_each(|s| *s = requantise(*s));
    remainders
}

/// A tensor's values and remainders by channel block.
#[derive(Default)]
pub struct Rounded {
    /// Blocks of packed rows.
    pub values: Vec<Vec<i64>>,
    /// Remainders in the same layout; empty blocks if not wanted.
    pub remainders: Vec<Vec<i64>>,
}

impl Rounded {
    /// Computes all blocks in parallel.
    pub fn compute(blocks: usize, want: bool, accumulate: impl Fn(usize) -> Vec<i64> + Sync) -> Self {
        let (values, remainders) = (0..blocks)
            .into_par_iter()
            .map(|block| {
                let mut sums = accumulate(block);
                let remainders = requantise_all(&mut sums, want);
                (sums, remainders)
            })
            .unzip();
        Self { values, remainders }
    }
}
