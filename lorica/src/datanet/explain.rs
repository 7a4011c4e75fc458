//! Why an answer has its shares, for those who hold the datanet: scores of single records, which no proof shows.

use lorica_quant::index::Shares;
use lorica_quant::integer::{ExecuteError, Executor};

use crate::files::{AdapterFile, DatanetFile};

/// An answer, and what the index makes of it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The label.
    pub label: usize,
    /// Each record's score, in the order of the version.
    pub scores: Vec<u64>,
    /// The shares that a proof of this answer states.
    pub shares: Shares,
}

impl Explanation {
    /// Records with a score, the largest first; of equal ones the earlier.
    #[must_use]
    pub fn records(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scores.len()).filter(|record| self.scores[*record] > 0).collect();
        order.sort_by_key(|record| (std::cmp::Reverse(self.scores[*record]), *record));
        order
    }
}

/// Explains the answer of the datanet's adapter to a text of these token ids.
///
/// # Errors
/// [`ExecuteError`] if the text does not fit the model; `None` if the datanet's index is of another adapter.
pub fn explain(
    executor: &Executor,
    adapter: &AdapterFile,
    file: &DatanetFile,
    ids: &[u32],
) -> Result<Option<Explanation>, ExecuteError> {
    if adapter.key.id() != file.key.adapter {
        return Ok(None);
    }
    let answers = executor.pooled(&[ids], &adapter.model)?;
    Ok(answers.first().map(|answer| {
        let scores = file.cells.scores(&answer.values, answer.label);
        let shares = file.cells.shares(&scores);
        Explanation { label: answer.label, scores, shares }
    }))
}
