//! How far the integer model is from the float model, on texts.

use std::fmt;

use lorica_circuits::shape::OutputKind;
use rayon::prelude::*;

use super::batch::RequestOutput;
use super::error::{ExecuteError, RangeError};
use super::executor::Executor;
use super::model::AdapterModel;
use crate::float::{FloatError, forward};
use crate::import::{FloatAdapter, FloatEncoder};

/// Agreement of integers with floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Texts tried.
    pub texts: usize,
    /// Texts whose values left their range, by index.
    pub range_errors: Vec<(usize, RangeError)>,
    /// Cosines of the embeddings, over the texts without a range error.
    pub cosine_mean: f64,
    /// The smallest of them.
    pub cosine_worst: f64,
    /// Labels that agree, if there is a head; a range error counts as a disagreement.
    pub labels_agree: Option<usize>,
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} texts: embedding cosine mean {:.6}, worst {:.6}, {} range errors",
            self.texts,
            self.cosine_mean,
            self.cosine_worst,
            self.range_errors.len()
        )?;
        self.labels_agree.map_or(Ok(()), |agree| write!(f, ", {agree} of {} labels agree", self.texts))
    }
}

/// Why no comparison was possible.
#[derive(Debug, thiserror::Error)]
pub enum QualityError {
    /// The float model refused a text.
    #[error("text {text}: {source}")]
    Float {
        /// Index of the text.
        text: usize,
        /// Why.
        source: FloatError,
    },
    /// The integer model refused a text for another reason than a range.
    #[error("text {text}: {source}")]
    Integer {
        /// Index of the text.
        text: usize,
        /// Why.
        source: ExecuteError,
    },
}

/// What one text gives: cosine and whether the labels agree, or a range error.
type Compared = Result<(f64, Option<bool>), RangeError>;

/// Runs both models on texts (token ids).
///
/// # Errors
/// [`QualityError`] if a text cannot be run at all; range errors are part of the result.
pub fn compare(
    executor: &Executor,
    encoder: &FloatEncoder,
    adapter: Option<(&FloatAdapter, &AdapterModel)>,
    texts: &[Vec<u32>],
) -> Result<Quality, QualityError> {
    let compared = texts
        .par_iter()
        .enumerate()
        .map(|(text, ids)| compare_one(executor, encoder, adapter, text, ids))
        .collect::<Result<Vec<Compared>, _>>()?;
    let mut quality = Quality {
        texts: texts.len(),
        range_errors: Vec::new(),
        cosine_mean: 0.0,
        cosine_worst: 1.0,
        labels_agree: adapter.is_some_and(|(_, a)| a.has_head).then_some(0),
    };
    let mut count = 0.0;
    for (text, compared) in compared.into_iter().enumerate() {
        match compared {
            Err(error) => quality.range_errors.push((text, error)),
            Ok((cosine, label)) => {
                quality.cosine_mean += cosine;
                quality.cosine_worst = quality.cosine_worst.min(cosine);
                count += 1.0;
                if let Some(agree) = &mut quality.labels_agree {
                    *agree += usize::from(label == Some(true));
                }
            }
        }
    }
    quality.cosine_mean /= f64::max(count, 1.0);
    Ok(quality)
}

fn compare_one(
    executor: &Executor,
    encoder: &FloatEncoder,
    adapter: Option<(&FloatAdapter, &AdapterModel)>,
    text: usize,
    ids: &[u32],
) -> Result<Compared, QualityError> {
    let float = forward(encoder, adapter.map(|a| a.0), ids).map_err(|source| QualityError::Float { text, source })?;
    let infer = |kind| match executor.infer(ids, adapter.map(|a| a.1), kind) {
        Ok(output) => Ok(Ok(output)),
        Err(ExecuteError::Range(error)) => Ok(Err(error)),
        Err(source) => Err(QualityError::Integer { text, source }),
    };
    let cosine = match infer(OutputKind::Embed)? {
        Ok(RequestOutput::Embed { sums, .. }) => cosine(&float.embedding_sum, &sums),
        Ok(RequestOutput::Classify { .. }) => 0.0,
        Err(error) => return Ok(Err(error)),
    };
    if !adapter.is_some_and(|(_, a)| a.has_head) {
        return Ok(Ok((cosine, None)));
    }
    match infer(OutputKind::Classify)? {
        Ok(RequestOutput::Classify { label, .. }) => Ok(Ok((cosine, Some(float.label() == Some(label))))),
        Ok(RequestOutput::Embed { .. }) => Ok(Ok((cosine, None))),
        Err(error) => Ok(Err(error)),
    }
}

/// Cosine of the angle between a float and an integer vector.
#[must_use]
pub fn cosine(a: &[f32], b: &[i64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sums of at most 2^23")]
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), b as f64));
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let norms = pairs().map(|(a, _)| a * a).sum::<f64>() * pairs().map(|(_, b)| b * b).sum::<f64>();
    dot / norms.sqrt().max(f64::MIN_POSITIVE)
}
