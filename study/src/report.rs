//! What the study says: tables in Markdown, everything in JSON, and whether the limits hold.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::gaming::{Gains, median, worst};
use crate::lds::Estimate;
use crate::truth::Convergence;

/// Largest difference of the proven integers' score from the float's, at record level.
pub const FROM_FLOAT: f64 = 0.005;
/// Least score of the proven integers at record level.
pub const LEAST: f64 = 0.37;
/// Largest gain over the median of the earlier study.
pub const OF_EARLIER: f64 = 1.1;

/// What was measured of one score.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its key in JSON.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// LDS over subsets of records.
    pub records: Estimate,
    /// LDS over subsets of contributors.
    pub contributors: Estimate,
    /// Total variation between shares of one answer and true shares.
    pub variation: Estimate,
    /// Correlation of mean pay and mean true share over contributors.
    pub pay: f64,
}

/// A difference of two scores in the same resamples.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which less which.
    pub name: String,
    /// At record level.
    pub records: Estimate,
    /// At contributor level.
    pub contributors: Estimate,
}

/// The whole outcome.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Records, contributors, questions.
    pub counts: (usize, usize, usize),
    /// Retrained models per kind: record subsets, contributor subsets, contributors left out.
    pub models: (usize, usize, usize),
    /// Held-out accuracy of the adapter and of the head fitted on all records, and how often both agree.
    pub accuracy: (f64, f64, f64),
    /// How the fits ended.
    pub convergence: Convergence,
    /// The scores, the proven integers first and their float second.
    pub scores: Vec<Measured>,
    /// Differences.
    pub differences: Vec<Difference>,
    /// Mean true share and mean pay by contributor that was left out.
    pub pay: Vec<(f64, f64)>,
    /// Rows of each attacker.
    pub attackers: Vec<usize>,
    /// Gains by attack.
    pub gains: Vec<Gains>,
    /// Seconds by step.
    pub seconds: Vec<(&'static str, f64)>,
}

/// A limit and whether it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What is limited.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// The bound in words.
    pub bound: String,
    /// Whether it holds.
    pub holds: bool,
}

/// The limits of the study.
pub fn limits(outcome: &Outcome) -> Vec<Limit> {
    let mut limits = Vec::new();
    if let [proven, float, ..] = outcome.scores.as_slice() {
        let value = (proven.records.value - float.records.value).abs();
        let limit = |name: &str, value, bound, holds| Limit { name: name.into(), value, bound, holds };
        let bound = format!("at most {FROM_FLOAT}");
        limits.push(limit("record LDS, proven integers against float", value, bound, value <= FROM_FLOAT));
        let value = proven.records.value;
        limits.push(limit("record LDS of the proven integers", value, format!("at least {LEAST}"), value >= LEAST));
    }
    for gains in outcome.gains.iter().filter(|gains| gains.attack.limited()) {
        let Some(earlier) = gains.attack.earlier() else { continue };
        let most = OF_EARLIER * earlier;
        for (index, gains_of) in [("equal weights", &gains.plain), ("as built", &gains.built)] {
            let (value, name) = (median(gains_of), format!("gain, median, {index}: {}", gains.attack.name()));
            limits.push(Limit { name, value, bound: format!("at most {most:.3}"), holds: value <= most });
        }
    }
    limits
}

/// A value and its interval.
pub fn interval(estimate: &Estimate) -> String {
    format!("{:.3} [{:.3}, {:.3}]", estimate.value, estimate.low, estimate.high)
}

/// Tables for people.
pub fn markdown(outcome: &Outcome) -> String {
    let mut text = String::new();
    let (records, contributors, questions) = outcome.counts;
    let (by_record, by_contributor, left_out) = outcome.models;
    let (adapter, head, agree) = outcome.accuracy;
    let Convergence { models, gradient, steps } = outcome.convergence;
    let _ = writeln!(
        text,
        "{records} records, {contributors} contributors, {questions} questions. Retrained heads: {by_record} on halves of the records, \
         {by_contributor} on halves of the contributors, {left_out} with one contributor left out; {models} in all with the full one, \
         largest gradient {gradient:.1e}, at most {steps} steps. Held-out accuracy {adapter:.3} (adapter), {head:.3} (head fitted again), \
         equal answers {agree:.3}.\n"
    );
    let _ = writeln!(text, "| score | LDS, records | LDS, contributors | TV of one answer's shares | pay, Pearson |");
    let _ = writeln!(text, "|---|---|---|---|---|");
    for score in &outcome.scores {
        let (records, contributors) = (interval(&score.records), interval(&score.contributors));
        let variation = interval(&score.variation);
        let _ = writeln!(text, "| {} | {records} | {contributors} | {variation} | {:.3} |", score.name, score.pay);
    }
    let _ = writeln!(text, "\n| difference, paired | records | contributors |\n|---|---|---|");
    for difference in &outcome.differences {
        let (records, contributors) = (&difference.records, &difference.contributors);
        let _ = writeln!(text, "| {} | {} | {} |", difference.name, signed(records), signed(contributors));
    }
    if !outcome.gains.is_empty() {
        let growth: Vec<f64> = outcome.attackers.iter().map(|&rows| (rows + 20) as f64 / rows as f64).collect();
        let _ = writeln!(
            text,
            "\nAttackers have {:?} rows. Twenty more rows, if each earned what theirs do, would gain {:.2} in the median.",
            outcome.attackers,
            median(&growth)
        );
        let _ = writeln!(
            text,
            "\n| attack | gain of pay, median (worst) | with duplicates dropped and near-duplicates weighed | earlier study, median |\n\
             |---|---|---|---|"
        );
        for gains in &outcome.gains {
            let cell = |gains: &[f64]| format!("{:.2} ({:.2})", median(gains), worst(gains));
            let earlier = gains.attack.earlier().map_or_else(|| "not run".into(), |gain| format!("{gain:.2}"));
            let name = gains.attack.name();
            let _ = writeln!(text, "| {name} | {} | {} | {earlier} |", cell(&gains.plain), cell(&gains.built));
        }
    }
    let _ = writeln!(text, "\n| limit | measured | bound | |\n|---|---|---|---|");
    for Limit { name, value, bound, holds } in limits(outcome) {
        let _ = writeln!(text, "| {name} | {value:.4} | {bound} | {} |", if holds { "pass" } else { "FAIL" });
    }
    let seconds: Vec<String> = outcome.seconds.iter().map(|(step, s)| format!("{step} {s:.0} s")).collect();
    let _ = writeln!(text, "\nWall times: {}.", seconds.join(", "));
    text
}

/// A difference and its interval.
pub fn signed(estimate: &Estimate) -> String {
    format!("{:+.3} [{:+.3}, {:+.3}]", estimate.value, estimate.low, estimate.high)
}

/// To six places, as files have it.
pub fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// An estimate for programs.
pub fn estimate(e: &Estimate) -> Value {
    json!({ "value": rounded(e.value), "low": rounded(e.low), "high": rounded(e.high) })
}

/// Everything for programs.
pub fn json(outcome: &Outcome) -> Value {
    let list = |values: &[f64]| values.iter().map(|&v| rounded(v)).collect::<Vec<_>>();
    let scores: Vec<Value> = outcome
        .scores
        .iter()
        .map(|score| {
            json!({
                "score": score.key,
                "lds_records": estimate(&score.records),
                "lds_contributors": estimate(&score.contributors),
                "total_variation": estimate(&score.variation),
                "pay_pearson": rounded(score.pay),
            })
        })
        .collect();
    let differences: Vec<Value> = outcome
        .differences
        .iter()
        .map(|d| json!({ "difference": d.name, "records": estimate(&d.records), "contributors": estimate(&d.contributors) }))
        .collect();
    let gains: Vec<Value> = outcome
        .gains
        .iter()
        .map(|g| json!({ "attack": g.attack.key(), "equal_weights": list(&g.plain), "as_built": list(&g.built) }))
        .collect();
    let limits: Vec<Value> = limits(outcome)
        .into_iter()
        .map(|l| json!({ "limit": l.name, "value": rounded(l.value), "bound": l.bound, "holds": l.holds }))
        .collect();
    let pay: Vec<Value> =
        outcome.pay.iter().map(|&(truth, paid)| json!({ "true": rounded(truth), "paid": rounded(paid) })).collect();
    let seconds: serde_json::Map<String, Value> =
        outcome.seconds.iter().map(|&(step, s)| (step.to_owned(), json!(rounded(s)))).collect();
    json!({
        "records": outcome.counts.0,
        "contributors": outcome.counts.1,
        "questions": outcome.counts.2,
        "retrained": {
            "record_subsets": outcome.models.0,
            "contributor_subsets": outcome.models.1,
            "contributors_left_out": outcome.models.2,
            "largest_gradient": outcome.convergence.gradient,
            "most_steps": outcome.convergence.steps,
        },
        "accuracy": {
            "adapter": rounded(outcome.accuracy.0),
            "head": rounded(outcome.accuracy.1),
            "agree": rounded(outcome.accuracy.2),
        },
        "scores": scores,
        "differences": differences,
        "pay": pay,
        "attackers": outcome.attackers,
        "attacks": gains,
        "limits": limits,
        "seconds": seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaming::Attack;

    fn outcome(proven: f64, float: f64, gain: f64) -> Outcome {
        let flat = |value| Estimate { value, low: value, high: value };
        let measured = |value| Measured {
            key: "k",
            name: "n",
            records: flat(value),
            contributors: flat(value),
            variation: flat(0.2),
            pay: 1.0,
        };
        let gains = Attack::ALL.map(|attack| Gains { attack, plain: vec![gain; 3], built: vec![gain / 2.0; 3] });
        Outcome {
            counts: (3, 2, 1),
            models: (1, 1, 1),
            accuracy: (1.0, 1.0, 1.0),
            convergence: Convergence::default(),
            scores: vec![measured(proven), measured(float)],
            differences: vec![],
            pay: vec![],
            attackers: vec![5; 3],
            gains: gains.to_vec(),
            seconds: vec![],
        }
    }

    #[test]
    fn limits_fail_where_they_should() {
        let held = |outcome: &Outcome| limits(outcome).iter().map(|limit| limit.holds).collect::<Vec<_>>();
        assert_eq!(held(&outcome(0.40, 0.401, 0.1)), [true; 8]);
        assert_eq!(held(&outcome(0.40, 0.406, 1.0)), [false, true, true, true, false, false, true, true]);
        assert_eq!(held(&outcome(0.36, 0.361, 2.4)), [true, false, false, false, false, false, false, true]);
        assert!(markdown(&outcome(0.36, 0.361, 2.4)).contains("FAIL"));
    }
}
