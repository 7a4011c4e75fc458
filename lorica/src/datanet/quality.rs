//! What a datanet is worth, in numbers that its curator and its contributors want to see before anybody pays by it.
//!
//! Held-out rows come from a file, or are a fifth of the records: those with the smallest digests. A logistic head is fitted again
//! on the features of the records that are left, with their weights, and once more without each of the ten largest contributors.
//! What the index would pay is computed by its normative integers, for up to a thousand held-out rows as questions.

use std::collections::BTreeMap;

use lorica_quant::index::{IndexCells, SLOTS, WHOLE};
use lorica_verifier::protocol::keccak::encode_scalar;
use rayon::prelude::*;

use super::error::Rejection;
use super::head::{Head, Sample};
use super::partial::Feature;
pub use crate::datanet_version::report::{ContributorReport, HeldOut, LabelReport, MatrixReport, Report};
use crate::datanet_version::{Contributor, Version, WHOLE_WEIGHT};

/// Contributors without whom the head is fitted again.
pub const LARGEST: usize = 10;
/// Held-out rows whose shares are computed.
pub const QUESTIONS: usize = 1_000;

/// A row to measure on.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub values: Vec<i16>,
    /// The adapter's answer.
    pub answer: usize,
    /// The right label.
    pub label: usize,
}

impl Question {
    /// From a feature; `None` if the model cannot run the text.
    pub fn new(feature: &Feature, label: usize) -> Option<Self> {
        match feature {
            Feature::Pooled { values, label: answer } => {
                Some(Self { values: values.clone(), answer: usize::from(*answer), label })
            }
            Feature::Range => None,
        }
    }
}

/// Six decimals, which JSON gives back exactly.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn ratio(part: usize, whole: usize) -> f64 {
    rounded(part as f64 / whole.max(1) as f64)
}

/// Name, or address or digest in hexadecimal.
#[must_use]
pub fn contributor_name(contributor: &Contributor) -> String {
    match contributor {
        Contributor::Name(name) => name.clone(),
        Contributor::Address(address) => format!("0x{}", hex::encode(address)),
        Contributor::Hash(hash) => format!("0x{}", hex::encode(hash)),
    }
}

/// What was counted before anything was measured.
pub(super) struct Counted<'a> {
    pub rows: usize,
    pub rejections: &'a [Rejection],
    /// Held-out rows of a file, and how many of the file are left out; `None` to take a fifth of the records.
    pub held_out: Option<(Vec<Question>, usize)>,
    pub matrix: MatrixReport,
    /// The adapter's answer to each record.
    pub answers: &'a [usize],
}

/// Measures a version under its index.
pub(super) fn report(version: &Version, cells: &IndexCells, counted: Counted<'_>) -> Report {
    let records = &version.records;
    let mut by_slot = vec![(0, 0); version.contributors.len()];
    let mut by_label = vec![(0, 0); version.rules.labels.len()];
    for record in records {
        for sums in [&mut by_slot[usize::from(record.slot)], &mut by_label[usize::from(record.label)]] {
            *sums = (sums.0 + 1, sums.1 + usize::from(record.weight));
        }
    }
    let mut rejected = BTreeMap::new();
    for rejection in counted.rejections {
        *rejected.entry(rejection.reason.name().to_owned()).or_default() += 1;
    }

    let split = counted.held_out.is_none();
    let (training, questions, left_out) = match counted.held_out {
        Some((questions, left_out)) => ((0..records.len()).collect(), questions, left_out),
        None => {
            let mut order: Vec<usize> = (0..records.len()).collect();
            order.sort_by_key(|&index| encode_scalar(&records[index].digest));
            let mut training = order.split_off(records.len() / 5);
            training.sort_unstable();
            let question = |&index: &usize| Question {
                values: cells.row(index).to_vec(),
                answer: counted.answers[index],
                label: usize::from(records[index].label),
            };
            (training, order.iter().map(question).collect(), 0)
        }
    };

    let heads = Heads { version, cells, training: &training, questions: &questions };
    let whole = heads.fit(None, None);
    let mut largest: Vec<usize> = (0..by_slot.len()).collect();
    largest.sort_by_key(|&slot| (std::cmp::Reverse(by_slot[slot].1), slot));
    largest.truncate(LARGEST);
    let mut without = vec![None; by_slot.len()];
    for slot in largest {
        without[slot] = heads.fit(Some(slot), whole.as_ref()).and_then(|head| heads.accuracy(&head));
    }
    let (asked, shares, mean_tail) = pay(cells, &questions);

    let name = |contributor| contributor_name(contributor);
    let contributors = version.contributors.iter().zip(&by_slot).zip(&without).enumerate();
    let contributors = contributors
        .map(|(slot, ((contributor, &(records, weight)), &accuracy_without))| ContributorReport {
            contributor: name(contributor),
            records,
            weight: ratio(weight, WHOLE_WEIGHT),
            mean_share: shares[slot],
            accuracy_without,
        })
        .collect();
    let labels = version.rules.labels.iter().zip(&by_label);
    let right = questions.iter().filter(|question| question.answer == question.label).count();
    Report {
        rows: counted.rows,
        records: records.len(),
        weight: ratio(records.iter().map(|record| usize::from(record.weight)).sum(), WHOLE_WEIGHT),
        near_duplicates: records.iter().filter(|record| usize::from(record.weight) < WHOLE_WEIGHT).count(),
        rejected,
        labels: labels
            .map(|(name, &(records, weight))| LabelReport {
                name: name.clone(),
                records,
                weight: ratio(weight, WHOLE_WEIGHT),
            })
            .collect(),
        contributors,
        held_out: HeldOut {
            split,
            rows: questions.len(),
            left_out,
            accuracy: whole.and_then(|head| heads.accuracy(&head)),
            adapter_accuracy: (!questions.is_empty()).then(|| ratio(right, questions.len())),
            questions: asked,
            mean_tail,
        },
        matrix: counted.matrix,
    }
}

/// Heads that are fitted on some of the records and measured on the same questions.
struct Heads<'a> {
    version: &'a Version,
    cells: &'a IndexCells,
    training: &'a [usize],
    questions: &'a [Question],
}

impl Heads<'_> {
    fn fit(&self, without: Option<usize>, start: Option<&Head>) -> Option<Head> {
        if self.questions.is_empty() {
            return None;
        }
        let records = self.training.iter().map(|&index| (index, &self.version.records[index]));
        let samples: Vec<Sample<'_>> = records
            .filter(|(_, record)| without != Some(usize::from(record.slot)))
            .map(|(index, record)| Sample {
                features: self.cells.row(index),
                label: usize::from(record.label),
                weight: record.weight,
            })
            .collect();
        if samples.is_empty() {
            return None;
        }
        Head::fit(&samples, self.cells.hidden_size, self.version.rules.labels.len(), start)
    }

    fn accuracy(&self, head: &Head) -> Option<f64> {
        let right = self.questions.par_iter().filter(|question| head.label(&question.values) == question.label).count();
        (!self.questions.is_empty()).then(|| ratio(right, self.questions.len()))
    }
}

/// Mean shares by slot and the mean tail, over questions that lie evenly among all; and how many were asked.
fn pay(cells: &IndexCells, questions: &[Question]) -> (usize, Vec<f64>, f64) {
    let count = questions.len().min(QUESTIONS);
    let asked: Vec<&Question> = (0..count).map(|i| &questions[i * questions.len() / count]).collect();
    let shares: Vec<_> =
        asked.par_iter().map(|question| cells.shares(&cells.scores(&question.values, question.answer))).collect();
    let (mut sums, mut tail) = (vec![0usize; SLOTS], 0usize);
    for shares in shares {
        tail += usize::from(shares.tail);
        shares.entries.iter().for_each(|entry| sums[usize::from(entry.slot)] += usize::from(entry.share));
    }
    let mean = |sum: usize| ratio(sum, usize::from(WHOLE) * count);
    (count, sums.iter().map(|&sum| mean(sum)).collect(), mean(tail))
}
