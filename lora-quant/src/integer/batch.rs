//! What the executor takes and gives.

use std::sync::Arc;

use lorica_cells::Columns;
use lorica_circuits::shape::{LABELS, Shape};

use super::model::AdapterModel;

/// One request of a batch.
#[derive(Clone, Debug)]
pub struct RequestInput {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// The request's adapter; `None` is the null adapter.
    pub adapter: Option<Arc<AdapterModel>>,
}

/// A batch: at most `shape.requests` requests; absent ones repeat request 0.
#[derive(Clone, Debug)]
pub struct BatchInput {
    /// The requests.
    pub requests: Vec<RequestInput>,
    /// Padded sizes and kind of output.
    pub shape: Shape,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutput {
    /// Per channel the sum over the real tokens of the last layer, at [`BaseMeta::output_exponent`]; and their number.
    ///
    /// [`BaseMeta::output_exponent`]: super::model::BaseMeta::output_exponent
    Embed {
        /// `hidden` sums.
        sums: Vec<i64>,
        /// Number of tokens.
        length: usize,
    },
    /// Logits at scale exponent [`LOGIT_EXPONENT`](super::model::LOGIT_EXPONENT) and the lowest index of the largest.
    Classify {
        /// One logit per label; labels that the adapter lacks have the smallest.
        logits: [i64; LABELS],
        /// Index of the label.
        label: usize,
    },
}

impl RequestOutput {
    /// The mean-pooled embedding at L2 norm 1: what a client makes of the sums. `None` for a classification.
    #[must_use]
    pub fn embedding(&self) -> Option<Vec<f64>> {
        let Self::Embed { sums, .. } = self else { return None };
        #[expect(clippy::cast_precision_loss, reason = "sums of at most 2^23")]
        let values: Vec<f64> = sums.iter().map(|&s| s as f64).collect();
        let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        Some(values.into_iter().map(|x| x / norm).collect())
    }
}

/// What a text is to its classifier: the pooled vector, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooled {
    /// Values of the tanh table, one per channel, at scale 2^14.
    pub values: Vec<i16>,
    /// One logit per label; labels that the adapter lacks have the smallest.
    pub logits: [i64; LABELS],
    /// Lowest index of the largest logit.
    pub label: usize,
}

/// Everything that was computed for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Every witness column of the shape's kind of output, in logical order, multiplicities included.
    pub columns: Columns,
    /// One answer per request given (absent requests have none).
    pub outputs: Vec<RequestOutput>,
}
