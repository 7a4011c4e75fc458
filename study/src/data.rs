//! The rows of the fixture and what the integer model makes of them under the adapter.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::shape::MAX_REQUESTS;
use lorica_quant::import::{FloatAdapter, FloatEncoder, Tokenizer};
use lorica_quant::index::FEATURE_EXPONENT;
use lorica_quant::integer::{AdapterModel, Executor, Pooled, calibrate, quantise_adapter};
use rayon::prelude::*;

use crate::error::StudyError;
use crate::head::{CLASSES, Design};

/// Largest rank that the base takes, as `lorica import base` has it unless told otherwise.
const R_MAX: usize = 16;

/// A labelled text.
#[derive(Clone, Debug)]
pub struct Row {
    /// The text.
    pub text: String,
    /// Index of the label among the adapter's.
    pub label: usize,
    /// Number of the contributor.
    pub contributor: usize,
}

/// What the model makes of a text.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Pooled values at scale 2^14.
    pub values: Vec<i16>,
    /// The adapter's answer.
    pub answer: usize,
}

/// The model, ready to run.
#[derive(Debug)]
pub struct Model {
    executor: Executor,
    tokenizer: Tokenizer,
    adapter: AdapterModel,
    head: lorica_quant::import::Head,
}

/// Reads a file as text.
pub fn read(path: &Path) -> Result<String, StudyError> {
    std::fs::read_to_string(path).map_err(|source| StudyError::File { path: path.into(), source })
}

impl Model {
    /// Imports and quantises as the product does, without committing to anything.
    pub fn load(model: &Path, adapter: &Path, calibration: &Path) -> Result<Self, StudyError> {
        if !model.join("config.json").is_file() {
            return Err(StudyError::NoModel(model.into()));
        }
        if !adapter.join("adapter_config.json").is_file() {
            return Err(StudyError::NoAdapter(adapter.into()));
        }
        let [max_tokens, ..] = Architecture::TOKEN_LIMITS;
        let encoder = FloatEncoder::load_for(model, max_tokens)?;
        let tokenizer = encoder.tokenizer().map_err(|error| StudyError::Arguments(error.to_string()))?;
        let texts = read(calibration)?;
        let encode = |(index, text): (usize, &str)| {
            let row = |what| StudyError::Row { path: calibration.into(), line: index + 1, what };
            tokenizer.encode(text).map_err(|error| row(error.to_string()))
        };
        let texts: Vec<Vec<u32>> = texts.lines().enumerate().map(encode).collect::<Result<_, _>>()?;
        let base = calibrate(&encoder, &texts, R_MAX)?;
        let float = FloatAdapter::load(adapter, &encoder.config, R_MAX)?;
        let adapter = quantise_adapter(&base, &float)?;
        let head = float.head.ok_or(StudyError::NoHead)?;
        if head.labels.len() != CLASSES {
            return Err(StudyError::Labels { expected: CLASSES, got: head.labels.len() });
        }
        Ok(Self { executor: Executor::new(Arc::new(base))?, tokenizer, adapter, head })
    }

    /// Names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.head.labels
    }

    /// Channels of a pooled vector.
    pub fn hidden(&self) -> usize {
        self.executor.base().architecture.hidden
    }

    /// Pooled values and answers of texts, in their order.
    pub fn features(&self, file: &Path, texts: &[&str]) -> Result<Vec<Feature>, StudyError> {
        let encode = |(index, text): (usize, &&str)| {
            let row = |what| StudyError::Row { path: file.into(), line: index + 1, what };
            self.tokenizer.encode(text).map_err(|error| row(error.to_string()))
        };
        let ids: Vec<Vec<u32>> = texts.iter().enumerate().map(encode).collect::<Result<_, _>>()?;
        let batch = |ids: &[Vec<u32>]| {
            let texts: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
            self.executor.pooled(&texts, &self.adapter)
        };
        let pooled: Vec<Vec<Pooled>> = ids.par_chunks(MAX_REQUESTS).map(batch).collect::<Result<_, _>>()?;
        let features = ids.into_iter().zip(pooled.into_iter().flatten());
        Ok(features.map(|(ids, Pooled { values, label, .. })| Feature { ids, values, answer: label }).collect())
    }

    /// Logits of the adapter's own head, in floats.
    pub fn logits(&self, values: &[i16]) -> [f64; CLASSES] {
        let hidden = self.hidden();
        std::array::from_fn(|class| {
            let weights = &self.head.weight[class * hidden..(class + 1) * hidden];
            let sum: f64 = weights.iter().zip(values).map(|(&w, &h)| f64::from(w) * real(h)).sum();
            sum + f64::from(self.head.bias[class])
        })
    }
}

/// A value at scale 2^14 as a float.
pub fn real(value: i16) -> f64 {
    f64::from(value) / f64::from(1u32 << FEATURE_EXPONENT)
}

/// Features as floats with the constant 1 last.
pub fn design<'a>(features: impl IntoIterator<Item = &'a Feature>, hidden: usize) -> Design {
    let row = |feature: &'a Feature| feature.values.iter().map(|&h| real(h)).chain([1.0]);
    Design { size: hidden + 1, values: features.into_iter().flat_map(row).collect() }
}

/// Reads a `.jsonl` file of rows; contributors get numbers in the order in which they come.
pub fn rows(path: &Path, labels: &[String], contributors: &mut HashMap<String, usize>) -> Result<Vec<Row>, StudyError> {
    let text = read(path)?;
    let row = |(index, line): (usize, &str)| {
        let error = |what: String| StudyError::Row { path: path.into(), line: index + 1, what };
        let value: serde_json::Value = serde_json::from_str(line).map_err(|e| error(e.to_string()))?;
        let field = |name: &str| value[name].as_str().ok_or_else(|| error(format!("no `{name}`")));
        let (text, label) = (field("text")?.to_owned(), field("label")?);
        let label = labels.iter().position(|known| known == label);
        let label = label.ok_or_else(|| error("a label that the adapter does not have".into()))?;
        let count = contributors.len();
        let contributor = *contributors.entry(field("contributor")?.to_owned()).or_insert(count);
        Ok(Row { text, label, contributor })
    };
    text.lines().enumerate().map(row).collect()
}
