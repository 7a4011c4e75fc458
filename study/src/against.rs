//! How well scores predict adapters that were trained again ([`retrained`](crate::retrained)).

use std::fmt::Write;

use serde_json::{Value, json};

use crate::lds::{Estimate, Paired, Table};
use crate::report::{Difference, estimate, interval, rounded, signed};
use crate::retrained::{Level, Models};
use crate::scores::{Scored, predicted};

/// A score at both levels.
#[derive(Clone, Debug)]
pub struct Measured {
    key: &'static str,
    name: &'static str,
    records: Estimate,
    contributors: Estimate,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Against {
    /// Held-out accuracy of the fixture's adapter, in integers.
    accuracy: f64,
    models: Models,
    scores: Vec<Measured>,
    differences: Vec<Difference>,
}

/// Pairs of scores whose difference is of interest, by their keys, besides those from the first score.
const PAIRS: [(&str, &str); 5] = [
    ("proven_built", "match_identity"),
    ("proven_built", "match_cosine"),
    ("match_white_3", "match_identity"),
    ("match_white_3", "match_cosine"),
    ("match_white_10", "match_cosine"),
];

impl Against {
    /// Measures scores.
    pub fn new(scores: &[Scored], models: Models, accuracy: f64, resamples: usize) -> Self {
        let paired = |level: &Level| {
            let predictions: Vec<Table> =
                scores.iter().map(|score| predicted(&score.values, &level.truth.seen)).collect();
            Paired::new(&predictions, &level.truth.margins, resamples)
        };
        let (records, contributors) = (paired(&models.records), paired(&models.contributors));
        let measured = |(k, score): (usize, &Scored)| Measured {
            key: score.key,
            name: score.name,
            records: records.of(k),
            contributors: contributors.of(k),
        };
        let difference = |(a, b): (usize, usize)| Difference {
            name: format!("{} less {}", scores[a].name, scores[b].name),
            records: records.less(a, b),
            contributors: contributors.less(a, b),
        };
        let place = |key: &str| scores.iter().position(|score| score.key == key);
        let pairs = PAIRS.iter().filter_map(|(a, b)| Some((place(a)?, place(b)?)));
        Self {
            accuracy,
            scores: scores.iter().enumerate().map(measured).collect(),
            differences: (1..scores.len()).map(|k| (0, k)).chain(pairs).map(difference).collect(),
            models,
        }
    }
}

fn levels(models: &Models) -> [(&'static str, &Level); 2] {
    [("records", &models.records), ("contributors", &models.contributors)]
}

/// Least, mean and most.
fn range(values: &[f64]) -> (f64, f64, f64) {
    let fold = |start: f64, pick: fn(f64, f64) -> f64| values.iter().copied().fold(start, pick);
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (fold(f64::INFINITY, f64::min), mean, fold(f64::NEG_INFINITY, f64::max))
}

/// Tables for people.
pub fn markdown(against: &Against) -> String {
    let mut text = String::new();
    let full: Vec<String> = against.models.full.iter().map(|accuracy| format!("{accuracy:.3}")).collect();
    let _ = writeln!(
        text,
        "Held-out accuracy: {:.3} of the adapter, {} of what was trained again on all records.\n",
        against.accuracy,
        full.join(" and ")
    );
    let _ = writeln!(
        text,
        "| halves of the | subsets | models | held-out accuracy, mean (range) | of the variance, the subset's |"
    );
    let _ = writeln!(text, "|---|---|---|---|---|");
    for (name, level) in levels(&against.models) {
        let (least, mean, most) = range(&level.accuracy);
        let repeated = match level.repeated {
            (0, _) => "no subset has a second seed".into(),
            (pairs, part) => format!("{part:.2} ({pairs} subsets with two seeds)"),
        };
        let (subsets, models) = (level.truth.seen.len(), level.models);
        let _ = writeln!(text, "| {name} | {subsets} | {models} | {mean:.3} ({least:.3} to {most:.3}) | {repeated} |");
    }
    let _ = writeln!(text, "\n| score | LDS, records | LDS, contributors |\n|---|---|---|");
    for score in &against.scores {
        let _ = writeln!(text, "| {} | {} | {} |", score.name, interval(&score.records), interval(&score.contributors));
    }
    let _ = writeln!(text, "\n| difference, paired | records | contributors |\n|---|---|---|");
    for Difference { name, records, contributors } in &against.differences {
        let _ = writeln!(text, "| {name} | {} | {} |", signed(records), signed(contributors));
    }
    text
}

/// The same for programs.
pub fn json(against: &Against) -> Value {
    let level = |level: &Level| {
        let (pairs, part) = level.repeated;
        json!({
            "subsets": level.truth.seen.len(),
            "models": level.models,
            "accuracy": level.accuracy,
            "subsets_with_two_seeds": pairs,
            "variance_of_the_subset": if pairs > 0 { json!(rounded(part)) } else { Value::Null },
        })
    };
    let score = |score: &Measured| {
        json!({
            "score": score.key,
            "lds_records": estimate(&score.records),
            "lds_contributors": estimate(&score.contributors),
        })
    };
    let difference = |d: &Difference| json!({ "difference": d.name, "records": estimate(&d.records), "contributors": estimate(&d.contributors) });
    json!({
        "accuracy": { "adapter": rounded(against.accuracy), "trained_again": against.models.full },
        "records": level(&against.models.records),
        "contributors": level(&against.models.contributors),
        "scores": against.scores.iter().map(score).collect::<Vec<_>>(),
        "differences": against.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}
