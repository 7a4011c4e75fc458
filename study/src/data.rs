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
use sha2::{Digest, Sha256};

use crate::arguments::Arguments;
use crate::error::StudyError;
use crate::head::{CLASSES, Design};
use crate::random::Random;
use crate::steps::Steps;

/// Largest rank that the base takes, as `lorica import base` has it unless told otherwise.
const R_MAX: usize = 16;
/// Seed of the choice of questions.
const QUESTION_SEED: u64 = 40_000;
/// The records, in the folder of the fixtures.
pub const RECORDS: &str = "debian/train.jsonl";
/// Rows that are no records.
pub const HELD_OUT: &str = "debian/heldout.jsonl";

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

/// Rows with what the model makes of them.
#[derive(Debug)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Row>,
    /// By row.
    pub features: Vec<Feature>,
    /// By row.
    pub labels: Vec<usize>,
    /// Features as floats.
    pub design: Design,
    /// The adapter's logits in floats, by row.
    pub logits: Vec<[f64; CLASSES]>,
}

impl Rows {
    /// Runs the model on rows of a file.
    pub fn new(model: &Model, path: &Path, rows: Vec<Row>) -> Result<Self, StudyError> {
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        let features = model.features(path, &texts)?;
        let labels = rows.iter().map(|row| row.label).collect();
        let design = design(&features, model.hidden());
        let logits = features.iter().map(|feature| model.logits(&feature.values)).collect();
        Ok(Self { rows, features, labels, design, logits })
    }

    /// Some of them.
    pub fn chosen(&self, chosen: &[usize], hidden: usize) -> Self {
        let features: Vec<Feature> = chosen.iter().map(|&i| self.features[i].clone()).collect();
        Self {
            rows: chosen.iter().map(|&i| self.rows[i].clone()).collect(),
            labels: chosen.iter().map(|&i| self.labels[i]).collect(),
            design: design(&features, hidden),
            logits: chosen.iter().map(|&i| self.logits[i]).collect(),
            features,
        }
    }

    /// The adapter's answers.
    pub fn answers(&self) -> Vec<usize> {
        self.features.iter().map(|feature| feature.answer).collect()
    }

    /// Pooled values.
    pub fn pooled(&self) -> Vec<&[i16]> {
        self.features.iter().map(|feature| feature.values.as_slice()).collect()
    }

    /// Numbers of their contributors.
    pub fn contributors(&self) -> Vec<usize> {
        self.rows.iter().map(|row| row.contributor).collect()
    }
}

/// Both files of the fixture, and the questions.
#[derive(Debug)]
pub struct Fixture {
    /// The model.
    pub model: Model,
    /// Rows of the index.
    pub records: Rows,
    /// Rows that may be asked.
    pub held_out: Rows,
    /// Which of them are.
    pub chosen: Vec<usize>,
    /// They.
    pub questions: Rows,
    /// Contributors of the records in the order of their names.
    pub by_name: Vec<usize>,
}

impl Fixture {
    /// Reads and computes all of it.
    pub fn load(arguments: &Arguments, steps: &mut Steps) -> Result<Self, StudyError> {
        let fixtures = &arguments.fixtures;
        let calibration = fixtures.join("calibration.txt");
        let model = steps.run("import", || Model::load(&arguments.model, &arguments.adapter, &calibration))?;
        let (train, held_out) = (fixtures.join(RECORDS), fixtures.join(HELD_OUT));
        let mut names = HashMap::new();
        let records = rows(&train, model.labels(), &mut names)?;
        let mut by_name: Vec<(String, usize)> = names.clone().into_iter().collect();
        by_name.sort_unstable();
        let asked = rows(&held_out, model.labels(), &mut names)?;
        let (records, held_out) = steps
            .run("features", || Ok((Rows::new(&model, &train, records)?, Rows::new(&model, &held_out, asked)?)))?;
        let chosen = choose(arguments.questions, held_out.rows.len());
        let questions = held_out.chosen(&chosen, model.hidden());
        let by_name = by_name.into_iter().map(|(_, contributor)| contributor).collect();
        Ok(Self { model, records, held_out, chosen, questions, by_name })
    }
}

/// Numbers of the questions among the held-out rows, and the adapter's answers: of a fixture of which nothing else is computed.
pub fn questions(arguments: &Arguments, steps: &mut Steps) -> Result<(Vec<usize>, Vec<usize>), StudyError> {
    let (calibration, path) = (arguments.fixtures.join("calibration.txt"), arguments.fixtures.join(HELD_OUT));
    let model = steps.run("import", || Model::load(&arguments.model, &arguments.adapter, &calibration))?;
    let rows = rows(&path, model.labels(), &mut HashMap::new())?;
    let chosen = choose(arguments.questions, rows.len());
    let rows = chosen.iter().map(|&i| rows[i].clone()).collect();
    let questions = steps.run("features", || Rows::new(&model, &path, rows))?;
    Ok((chosen, questions.answers()))
}

/// The questions among the held-out rows.
fn choose(count: usize, rows: usize) -> Vec<usize> {
    Random::new(QUESTION_SEED).choose(count, rows)
}

/// SHA-256 of a file, in hexadecimal.
pub fn digest(path: &Path) -> Result<String, StudyError> {
    let bytes = std::fs::read(path).map_err(|source| StudyError::File { path: path.into(), source })?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}
