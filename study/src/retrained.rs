//! The other truth: the adapter that was trained again in all layers on parts of the records, as the file of
//! `study/retrain/retrain.py` has it.
//!
//! What the file says of files, questions, answers and subsets must be what this study computes, else it is of something else and refused.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::data::{self, Fixture, HELD_OUT, RECORDS, digest, read};
use crate::error::StudyError;
use crate::lds::Table;
use crate::steps::Steps;
use crate::truth::{Retrained, contributor_subset, record_subset};

/// Name of the format.
const FORMAT: &str = "lorica-retrained-1";

/// Models of one level.
#[derive(Clone, Debug)]
pub struct Level {
    /// What they saw and what they say, a model per subset; where a subset was trained with several seeds, their mean.
    pub truth: Retrained,
    /// How many models that are.
    pub models: usize,
    /// Their held-out accuracy.
    pub accuracy: Vec<f64>,
    /// Subsets with another seed, and the part of the variance over subsets that another seed does not change.
    pub repeated: (usize, f64),
}

/// A file.
#[derive(Clone, Debug)]
pub struct Models {
    /// Held-out accuracy of models of all records.
    pub full: Vec<f64>,
    /// Of halves of the records.
    pub records: Level,
    /// Of halves of the contributors.
    pub contributors: Level,
}

/// What the study says of itself.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// SHA-256 of the records' file.
    pub records: String,
    /// SHA-256 of the held-out rows' file.
    pub held_out: String,
    /// Numbers of the questions among the held-out rows.
    pub questions: &'a [usize],
    /// The adapter's answers.
    pub answers: Vec<usize>,
    /// Who brought each record.
    pub contributors: Vec<usize>,
}

impl<'a> Expected<'a> {
    /// Of a fixture.
    pub fn new(arguments: &Arguments, fixture: &'a Fixture) -> Result<Self, StudyError> {
        Ok(Self {
            records: digest(&arguments.fixtures.join(RECORDS))?,
            held_out: digest(&arguments.fixtures.join(HELD_OUT))?,
            questions: &fixture.chosen,
            answers: fixture.questions.answers(),
            contributors: fixture.records.contributors(),
        })
    }
}

/// The questions and the adapter's answers as the script reads them.
pub fn questions(arguments: &Arguments, steps: &mut Steps) -> Result<Value, StudyError> {
    let (questions, answers) = data::questions(arguments, steps)?;
    let held_out = digest(&arguments.fixtures.join(HELD_OUT))?;
    Ok(json!({ "held_out": held_out, "questions": questions, "answers": answers }))
}

/// Reads a file.
pub fn load(path: &Path, expected: &Expected<'_>) -> Result<Models, StudyError> {
    parse(&read(path)?, expected).map_err(|what| StudyError::Retrained { path: path.into(), what })
}

/// One model of a file.
struct Model {
    accuracy: f64,
    margins: Vec<f64>,
}

fn numbers(value: &Value, name: &str) -> Result<Vec<i64>, String> {
    let list = value[name].as_array().ok_or_else(|| format!("no list `{name}`"))?;
    list.iter().map(|n| n.as_i64().ok_or_else(|| format!("`{name}` has what is no whole number"))).collect()
}

fn parse(text: &str, expected: &Expected<'_>) -> Result<Models, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for (name, own) in
        [("format", FORMAT), ("records", expected.records.as_str()), ("held_out", expected.held_out.as_str())]
    {
        if file[name].as_str() != Some(own) {
            return Err(format!("`{name}` is {}, expected {own}", file[name]));
        }
    }
    for (name, own) in [("questions", expected.questions), ("answers", expected.answers.as_slice())] {
        let got = numbers(&file, name)?;
        if got.len() != own.len() {
            return Err(format!("{} {name}, expected {}", got.len(), own.len()));
        }
        if let Some(place) = (0..own.len()).find(|&place| usize::try_from(got[place]) != Ok(own[place])) {
            return Err(format!("`{name}` has {} in place {place}, expected {}", got[place], own[place]));
        }
    }
    let unit = file["unit"].as_u64().filter(|&unit| unit > 0).ok_or("no `unit`")? as f64;
    let model = |value: &Value| {
        let margins: Vec<f64> = numbers(value, "log_odds")?.into_iter().map(|n| n as f64 / unit).collect();
        if margins.len() != expected.questions.len() {
            return Err(format!("a model has {} log-odds, expected {}", margins.len(), expected.questions.len()));
        }
        Ok(Model { accuracy: value["accuracy"].as_f64().ok_or("a model without `accuracy`")?, margins })
    };
    let list = |name: &str| file[name].as_array().ok_or_else(|| format!("no list `{name}`"));
    let full = list("full")?.iter().map(|value| Ok(model(value)?.accuracy)).collect::<Result<_, String>>()?;
    let mut levels: [BTreeMap<u64, BTreeMap<u64, Model>>; 2] = Default::default();
    for value in list("models")? {
        let number = |name: &str| value[name].as_u64().ok_or_else(|| format!("a model without `{name}`"));
        let (subset, seed) = (number("subset")?, number("seed")?);
        let (level, seen) = match value["level"].as_str() {
            Some("records") => (0, record_subset(expected.contributors.len(), subset)),
            Some("contributors") => (1, contributor_subset(&expected.contributors, subset)),
            _ => return Err(format!("{} is no level", value["level"])),
        };
        if value["seen"].as_str() != Some(&hexadecimal(&seen)) {
            return Err(format!("subset {subset} of the {} is another one here", value["level"]));
        }
        if levels[level].entry(subset).or_default().insert(seed, model(value)?).is_some() {
            return Err(format!("subset {subset} of the {} is there twice with seed {seed}", value["level"]));
        }
    }
    let [records, contributors] = levels;
    let records = level(records, |subset| record_subset(expected.contributors.len(), subset))?;
    let contributors = level(contributors, |subset| contributor_subset(&expected.contributors, subset))?;
    Ok(Models { full, records, contributors })
}

/// A bit per record, the first the highest of the first octet.
fn hexadecimal(seen: &[bool]) -> String {
    let octet = |bits: &[bool]| (0..8).fold(0u8, |sum, k| 2 * sum + u8::from(bits.get(k) == Some(&true)));
    seen.chunks(8).map(|bits| format!("{:02x}", octet(bits))).collect()
}

fn level(models: BTreeMap<u64, BTreeMap<u64, Model>>, seen: impl Fn(u64) -> Vec<bool>) -> Result<Level, String> {
    if models.len() < 2 {
        return Err("fewer than two subsets of a level".into());
    }
    let questions = models.values().flat_map(BTreeMap::values).next().map_or(0, |model| model.margins.len());
    let mean = |seeds: &BTreeMap<u64, Model>, q: usize| {
        seeds.values().map(|model| model.margins[q]).sum::<f64>() / seeds.len() as f64
    };
    let margins = (0..questions).map(|q| models.values().map(|seeds| mean(seeds, q)).collect()).collect();
    let accuracy: Vec<f64> = models.values().flat_map(BTreeMap::values).map(|model| model.accuracy).collect();
    Ok(Level {
        models: accuracy.len(),
        accuracy,
        repeated: repeated(&models, questions),
        truth: Retrained { seen: models.keys().map(|&subset| seen(subset)).collect(), margins },
    })
}

/// Subsets with a second seed, and how much of the variance of one model's log-odds over subsets is the subset's: what is left when half
/// the mean square of the two seeds' difference is taken off. Both are means over questions.
fn repeated(models: &BTreeMap<u64, BTreeMap<u64, Model>>, questions: usize) -> (usize, f64) {
    let first: Table = (0..questions)
        .map(|q| models.values().filter_map(|seeds| Some(seeds.values().next()?.margins[q])).collect())
        .collect();
    let variance = |values: &Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (values.len() as f64 - 1.0)
    };
    let pairs: Vec<(&Model, &Model)> = models
        .values()
        .filter_map(|seeds| {
            let mut seeds = seeds.values();
            Some((seeds.next()?, seeds.next()?))
        })
        .collect();
    let noise = |q: usize| {
        let square = |(a, b): &(&Model, &Model)| (a.margins[q] - b.margins[q]).powi(2) / 2.0;
        pairs.iter().map(square).sum::<f64>() / pairs.len() as f64
    };
    let (noise, all) = ((0..questions).map(noise).sum::<f64>(), first.iter().map(variance).sum::<f64>());
    (pairs.len(), 1.0 - noise / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRIBUTORS: [usize; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1];

    fn expected() -> Expected<'static> {
        Expected {
            records: "aa".into(),
            held_out: "bb".into(),
            questions: &[3, 8],
            answers: vec![1, 0],
            contributors: CONTRIBUTORS.to_vec(),
        }
    }

    fn file() -> Value {
        let model = |level: &str, subset: u64, seed: u64, odds: [i64; 2]| {
            let seen = match level {
                "records" => record_subset(CONTRIBUTORS.len(), subset),
                _ => contributor_subset(&CONTRIBUTORS, subset),
            };
            let seen = hexadecimal(&seen);
            json!({ "level": level, "subset": subset, "seed": seed, "seen": seen, "accuracy": 0.5, "log_odds": odds })
        };
        json!({
            "format": FORMAT, "unit": 1_000, "records": "aa", "held_out": "bb", "questions": [3, 8], "answers": [1, 0],
            "full": [{ "seed": 1, "accuracy": 0.75, "log_odds": [1, 2] }],
            "models": [
                model("records", 0, 1, [1_000, 2_000]), model("records", 0, 2, [2_000, 2_000]),
                model("records", 4, 1, [5_000, -500]),
                model("contributors", 1, 1, [0, 0]), model("contributors", 2, 1, [1, 1]),
            ],
        })
    }

    #[test]
    fn seeds_of_a_subset_are_averaged() {
        let models = parse(&file().to_string(), &expected()).unwrap();
        assert_eq!(models.full, [0.75]);
        assert_eq!((models.records.models, models.contributors.models), (3, 2));
        assert_eq!(models.records.truth.margins, [vec![1.5, 5.0], vec![2.0, -0.5]]);
        assert_eq!(models.records.truth.seen, [record_subset(11, 0), record_subset(11, 4)]);
        // By hand: half the squares of (1, 0) against the variances 8 and 3.125.
        let (pairs, part) = models.records.repeated;
        assert!(pairs == 1 && (part - (1.0 - 0.5 / 11.125)).abs() < 1e-12, "{part}");
        assert_eq!(models.contributors.repeated.0, 0);
    }

    #[test]
    fn a_bit_is_a_record() {
        assert_eq!(hexadecimal(&[true, false, false, false, false, false, true, true, false, true]), "8340");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut file = file();
            change(&mut file);
            parse(&file.to_string(), &expected()).unwrap_err()
        };
        let cases: [(&dyn Fn(&mut Value), &str); 11] = [
            (&|f| f["format"] = json!("other"), "format"),
            (&|f| f["records"] = json!("ab"), "records"),
            (&|f| f["held_out"] = json!("ab"), "held_out"),
            (&|f| f["questions"] = json!([3, 9]), "questions"),
            (&|f| f["questions"] = json!([3]), "questions"),
            (&|f| f["answers"] = json!([1, 1]), "answers"),
            (&|f| f["unit"] = json!(0), "unit"),
            (&|f| f["models"][0]["seen"] = json!("0000"), "subset 0"),
            (&|f| f["models"][0]["log_odds"] = json!([1]), "1 log-odds"),
            (&|f| f["models"][1]["seed"] = json!(1), "twice"),
            (&|f| f["models"][3]["level"] = json!("rows"), "no level"),
        ];
        for (change, word) in cases {
            let what = refused(change);
            assert!(what.contains(word), "{what}");
        }
    }
}
