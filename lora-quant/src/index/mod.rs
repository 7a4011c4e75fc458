//! Whose records shaped an answer: the index of a datanet under one adapter, and its normative integers.
//!
//! Record `i` has features `h_i`, the values of the pooler's tanh table under the adapter, and a class vector `c_i` with its
//! weight at its label. A question with pooled values `h` and answer `ŷ` gives it the score
//!
//! ```text
//! s_i = c_i[ŷ]·relu(⟨(h_i, 1), G·(h, 1)⟩)
//! ```
//!
//! with `G` the scaled inverse of the records' weighted covariance, a matrix of `hidden + 1` rows and columns whose last row and
//! column belong to the constant 1 (2^14 in cells). The constant is no column of cells: [`IndexCells`] keeps `G` as
//! `inverse`, `bias` and `corner`. Every rounding is one of [`IndexCells::scores`] and [`IndexCells::shares`]; there is no other.

use lorica_circuits::shape::LABELS;

pub mod inverse;
#[cfg(test)]
mod tests;
mod witness;

pub use witness::{attribute, region};

/// log2 of the scale of pooled values and features, and of the constant 1 beside them.
pub const FEATURE_EXPONENT: u32 = 14;

/// Slots that contributors have: an index has at most as many.
pub const SLOTS: usize = lorica_circuits::shape::CONTRIBUTORS;

/// Contributors whose shares are named in one answer; all others together are its tail.
pub const PLACES: usize = lorica_circuits::shape::PLACES;

/// Records that an index has at most.
pub const MAX_RECORDS: usize = 1 << 16;

/// What the shares of one answer and its tail add up to.
pub const WHOLE: u16 = u16::MAX;

/// The cells of a datanet's index under one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexCells {
    /// Channels of a pooled vector.
    pub hidden_size: usize,
    /// Records.
    pub count: usize,
    /// Pooled values of each record, `[count][hidden_size]`, at scale 2^14.
    pub features: Vec<i16>,
    /// Of each record its weight at its label, zero elsewhere.
    pub classes: Vec<[u8; LABELS]>,
    /// Of each record its contributor's slot, below [`SLOTS`].
    pub slots: Vec<u16>,
    /// `G` without its last row and column, `[hidden_size][hidden_size]`, symmetric as the builder makes it.
    pub inverse: Vec<i16>,
    /// The last row and column of `G` without the corner, `[hidden_size]`.
    pub bias: Vec<i16>,
    /// The last cell of `G`.
    pub corner: i16,
}

/// Cells that are no index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// No record, or more than an index has.
    #[error("an index has 1 to {MAX_RECORDS} records, got {0}")]
    Count(usize),
    /// A list of another length than the counts demand.
    #[error("index: {what}: {got} cells, expected {expected}")]
    Length {
        /// The list.
        what: &'static str,
        /// Cells that the counts demand.
        expected: usize,
        /// Cells present.
        got: usize,
    },
    /// A slot that no contributor has.
    #[error("index: record {record} has slot {slot}, there are {SLOTS}")]
    Slot {
        /// The record.
        record: usize,
        /// Its slot.
        slot: u16,
    },
}

/// The part of one contributor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The contributor's slot.
    pub slot: u16,
    /// Its part of [`WHOLE`].
    pub share: u16,
}

/// Who shaped one answer, and by how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The contributors with the largest sums, ties to the lower slot, in the order of their slots.
    pub entries: [Share; PLACES],
    /// What all others have, and what rounding leaves: [`WHOLE`] less the sum of the entries.
    pub tail: u16,
    /// Sum of all scores.
    pub total: u64,
}

impl IndexCells {
    /// Checks the lengths of all lists and the bound of the slots.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn validate(&self) -> Result<(), IndexError> {
        let (count, hidden) = (self.count, self.hidden_size);
        if count == 0 || count > MAX_RECORDS {
            return Err(IndexError::Count(count));
        }
        let lists = [
            ("features", count.saturating_mul(hidden), self.features.len()),
            ("classes", count, self.classes.len()),
            ("slots", count, self.slots.len()),
            ("inverse", hidden.saturating_mul(hidden), self.inverse.len()),
            ("bias", hidden, self.bias.len()),
        ];
        if let Some(&(what, expected, got)) = lists.iter().find(|(_, expected, got)| expected != got) {
            return Err(IndexError::Length { what, expected, got });
        }
        match self.slots.iter().position(|&slot| usize::from(slot) >= SLOTS) {
            Some(record) => Err(IndexError::Slot { record, slot: self.slots[record] }),
            None => Ok(()),
        }
    }

    /// Features of a record, `[hidden_size]`.
    #[must_use]
    pub fn row(&self, record: usize) -> &[i16] {
        &self.features[record * self.hidden_size..(record + 1) * self.hidden_size]
    }

    /// The question's side `y = G·(h, 1)`, `hidden_size + 1` values, the constant's last:
    ///
    /// ```text
    /// y_j = ⌊(Σ_k G[j,k]·h_k + 2^14·bias_j + 2^15)/2^16⌋ for j < hidden_size
    /// y_b = ⌊(Σ_k bias_k·h_k + 2^14·corner + 2^15)/2^16⌋
    /// ```
    ///
    /// # Panics
    /// If `pooled` has another length than `hidden_size`, or the cells are not [valid](Self::validate).
    #[must_use]
    pub fn whitened(&self, pooled: &[i16]) -> Vec<i64> {
        assert_eq!(pooled.len(), self.hidden_size, "one pooled value per channel");
        let rows = self.inverse.chunks_exact(self.hidden_size).zip(&self.bias);
        let last = std::iter::once((self.bias.as_slice(), &self.corner));
        rows.chain(last)
            .map(|(row, &constant)| {
                let sum: i64 = row.iter().zip(pooled).map(|(&g, &h)| i64::from(g) * i64::from(h)).sum();
                (sum + (i64::from(constant) << FEATURE_EXPONENT) + (1 << 15)) >> 16
            })
            .collect()
    }

    /// The score of every record for a question's pooled values and its answer:
    ///
    /// ```text
    /// a_i = ⌊2·(Σ_k H[i,k]·y_k + 2^14·y_b)/2^16⌋,    s_i = c_i[label]·max(a_i, 0)
    /// ```
    ///
    /// With `y` of [`whitened`](Self::whitened). For 384 channels and `|h| <= 2^14`, which pooled values keep,
    /// `s_i < 2^38.2` whatever the cells are.
    ///
    /// # Panics
    /// If `pooled` has another length than `hidden_size`, `label` is no label, or the cells are not
    /// [valid](Self::validate).
    #[must_use]
    pub fn scores(&self, pooled: &[i16], label: usize) -> Vec<u64> {
        let y = self.whitened(pooled);
        let (constant, y) = y.split_last().expect("the constant's value is always there");
        let rows = self.features.chunks_exact(self.hidden_size).zip(&self.classes);
        rows.map(|(row, class)| {
            let sum: i64 = row.iter().zip(y).map(|(&h, &y)| i64::from(h) * y).sum();
            let a = (2 * (sum + (constant << FEATURE_EXPONENT))) >> 16;
            u64::from(class[label]) * a.max(0).unsigned_abs()
        })
        .collect()
    }

    /// Divides an answer among the contributors by the sums `S_c` of their records' scores, `T` being the sum of all:
    ///
    /// ```text
    /// share_c = ⌊2^16·S_c/(T + 1)⌋
    /// ```
    ///
    /// for the [`PLACES`] slots with the largest sums, ties to the lower slot; slots without records are among them if there are
    /// fewer contributors. `Σ share_c <= ⌊2^16·T/(T + 1)⌋ <= 65,535` without a case for `T = 0`.
    ///
    /// # Panics
    /// If there is not one score per record, or the cells are not [valid](Self::validate).
    #[must_use]
    pub fn shares(&self, scores: &[u64]) -> Shares {
        assert_eq!(scores.len(), self.slots.len(), "one score per record");
        let mut sums = [0u64; SLOTS];
        for (&slot, score) in self.slots.iter().zip(scores) {
            sums[usize::from(slot)] += score;
        }
        let total: u64 = sums.iter().sum();
        let mut order: Vec<usize> = (0..SLOTS).collect();
        order.sort_by_key(|&slot| (std::cmp::Reverse(sums[slot]), slot));
        order.truncate(PLACES);
        order.sort_unstable();
        let share = |sum: u64| (u128::from(sum) << 16) / (u128::from(total) + 1);
        let entries: [Share; PLACES] = std::array::from_fn(|place| {
            let slot = order[place];
            let share = u16::try_from(share(sums[slot])).expect("a sum is at most the total");
            Share { slot: u16::try_from(slot).expect("slots are below 2^16"), share }
        });
        let paid: u16 = entries.iter().map(|entry| entry.share).sum();
        Shares { entries, tail: WHOLE - paid, total }
    }
}
