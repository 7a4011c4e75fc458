//! How an adapter's integers do on texts: beside the float model, and beside labels that people gave.

use lorica_quant::import::{FloatAdapter, FloatEncoder, Tokenizer};
use lorica_quant::integer::{AdapterModel, ExecuteError, Executor, Quality, RequestOutput, compare};

use crate::answer::kind_of;
use crate::import::ModelImportError;
use crate::input::{InputError, LabelledText};

/// What texts tell about an adapter.
#[derive(Debug)]
pub struct Measured {
    /// Against the float model, if it is there.
    pub quality: Option<Quality>,
    /// Texts that could be run.
    pub texts: usize,
    /// Texts with more tokens than the base takes, which are left out.
    pub too_long: usize,
    /// Texts with a value out of range, on the integer side.
    pub range_errors: usize,
    /// Texts that name a label.
    pub labelled: usize,
    /// Those of them for which the integer model answers with that label.
    pub right: usize,
}

/// Runs the integer model on texts, and the float model on those that fit, if there is one.
///
/// # Errors
/// [`ModelImportError`] if a text names a label that the adapter does not have, or the base is no model.
pub fn measure(
    executor: &Executor,
    encoder: Option<&FloatEncoder>,
    float: &FloatAdapter,
    adapter: &AdapterModel,
    texts: &[LabelledText],
) -> Result<Measured, ModelImportError> {
    let base = executor.base();
    let (vocab, max_tokens) = (base.architecture.vocab, base.architecture.max_tokens);
    let tokenizer = Tokenizer::from_bytes(&base.tokenizer_json, vocab, max_tokens).map_err(InputError::Tokenizer)?;
    let mut measured = Measured { quality: None, texts: 0, too_long: 0, range_errors: 0, labelled: 0, right: 0 };
    let mut ids = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let Ok(own) = tokenizer.encode(&text.text) else {
            measured.too_long += 1;
            continue;
        };
        let output = match executor.infer(&own, Some(adapter), kind_of(adapter.has_head)) {
            Ok(output) => Some(output),
            Err(ExecuteError::Range(_)) => None,
            Err(error) => return Err(error.into()),
        };
        measured.range_errors += usize::from(output.is_none());
        if let (Some(label), true) = (&text.label, adapter.has_head) {
            if !adapter.labels.contains(label) {
                return Err(ModelImportError::UnknownLabel { text: index + 1, label: label.clone() });
            }
            measured.labelled += 1;
            let said = match output {
                Some(RequestOutput::Classify { label, .. }) => adapter.labels.get(label),
                _ => None,
            };
            measured.right += usize::from(said == Some(label));
        }
        ids.push(own);
    }
    measured.texts = ids.len();
    if let Some(encoder) = encoder {
        measured.quality = Some(compare(executor, encoder, Some((float, adapter)), &ids)?);
    }
    Ok(measured)
}
