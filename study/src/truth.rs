//! The truth that scores are measured against: heads that were fitted again on some of the records (truth A of the study).

use rayon::prelude::*;

use crate::error::StudyError;
use crate::head::{CLASSES, Design, Fit, Preconditioner, TOLERANCE, Weights, fit, logits, margin};
use crate::lds::Table;
use crate::random::Random;

/// Seed of the first random subset of records; subset `k` has this and `k`.
pub const RECORD_SEED: u64 = 10_000;
/// Seed of the first random subset of contributors.
pub const CONTRIBUTOR_SEED: u64 = 20_000;
/// Contributors with fewer rows are not left out one by one.
pub const LEAST_ROWS: usize = 3;

/// Which records a retrained model saw, and what the models say about each question.
#[derive(Clone, Debug)]
pub struct Retrained {
    /// For each model whether it saw a record.
    pub seen: Vec<Vec<bool>>,
    /// The margin of the answer.
    pub margins: Table,
}

/// How the fits ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Convergence {
    /// Models.
    pub models: usize,
    /// Largest norm of a gradient.
    pub gradient: f64,
    /// Most steps.
    pub steps: usize,
}

/// What retraining needs.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// Features of the records.
    pub records: &'a Design,
    /// Their labels.
    pub labels: &'a [usize],
    /// Features of the questions.
    pub questions: &'a Design,
    /// The adapter's answers to them.
    pub answers: &'a [usize],
    /// The head of all records.
    pub full: Weights,
    /// How the fits ended so far.
    pub convergence: Convergence,
}

impl<'a> Trainer<'a> {
    /// Fits the head of all records.
    pub fn new(
        records: &'a Design,
        labels: &'a [usize],
        questions: &'a Design,
        answers: &'a [usize],
    ) -> Result<Self, StudyError> {
        let zero = vec![[0.0; CLASSES]; records.size];
        let rows: Vec<usize> = (0..records.count()).collect();
        let first = Preconditioner::new(records, &zero, 1.0).ok_or(StudyError::Singular)?;
        let all = fit(records, labels, &rows, &zero, &first);
        let mut trainer = Self {
            records,
            labels,
            questions,
            answers,
            full: all.weights.clone(),
            convergence: Convergence::default(),
        };
        trainer.ended("on all records", &[all])?;
        Ok(trainer)
    }

    fn ended(&mut self, what: &str, fits: &[Fit]) -> Result<(), StudyError> {
        for (index, fit) in fits.iter().enumerate() {
            if fit.gradient > TOLERANCE {
                let what = format!("{what} {index}");
                return Err(StudyError::NotConverged { what, gradient: fit.gradient });
            }
            self.convergence.gradient = self.convergence.gradient.max(fit.gradient);
            self.convergence.steps = self.convergence.steps.max(fit.steps);
        }
        self.convergence.models += fits.len();
        Ok(())
    }

    /// Margins of a head for all questions.
    pub fn margins(&self, weights: &Weights) -> Vec<f64> {
        let margin = |(question, &answer)| margin(&logits(weights, self.questions.row(question)), answer);
        self.answers.iter().enumerate().map(margin).collect()
    }

    /// Retrains on each set of records; `part` is about how many of the records one set has.
    pub fn retrain(&mut self, what: &str, seen: Vec<Vec<bool>>, part: f64) -> Result<Retrained, StudyError> {
        let first = Preconditioner::new(self.records, &self.full, part).ok_or(StudyError::Singular)?;
        let fits: Vec<Fit> = seen
            .par_iter()
            .map(|seen| {
                let rows: Vec<usize> = (0..seen.len()).filter(|&i| seen[i]).collect();
                fit(self.records, self.labels, &rows, &self.full, &first)
            })
            .collect();
        self.ended(what, &fits)?;
        let by_model: Vec<Vec<f64>> = fits.iter().map(|fit| self.margins(&fit.weights)).collect();
        let margins = (0..self.answers.len()).map(|q| by_model.iter().map(|model| model[q]).collect()).collect();
        Ok(Retrained { seen, margins })
    }
}

/// A random half of the records.
pub fn record_subset(count: usize, number: u64) -> Vec<bool> {
    let mut seen = vec![false; count];
    Random::new(RECORD_SEED + number).choose(count / 2, count).into_iter().for_each(|i| seen[i] = true);
    seen
}

/// Records of contributors of whom each is in with probability one half.
pub fn contributor_subset(contributors: &[usize], number: u64) -> Vec<bool> {
    let count = contributors.iter().max().map_or(0, |most| most + 1);
    let mut random = Random::new(CONTRIBUTOR_SEED + number);
    let chosen: Vec<bool> = (0..count).map(|_| random.below(2) == 0).collect();
    contributors.iter().map(|&c| chosen[c]).collect()
}

/// Contributors with at least [`LEAST_ROWS`] rows.
pub fn large_contributors(contributors: &[usize]) -> Vec<usize> {
    let count = contributors.iter().max().map_or(0, |most| most + 1);
    let mut rows = vec![0; count];
    contributors.iter().for_each(|&c| rows[c] += 1);
    (0..count).filter(|&c| rows[c] >= LEAST_ROWS).collect()
}

/// True shares of one answer: the positive part of what each contributor's absence takes from the margin, `[questions][contributors]`.
pub fn true_shares(full: &[f64], without: &Table) -> Table {
    let shares = |(&full, without): (&f64, &Vec<f64>)| {
        normalised(without.iter().map(|without| (full - without).max(0.0)).collect())
    };
    full.iter().zip(without).map(shares).collect()
}

/// Divided by their sum, if that is not zero.
pub fn normalised(mut values: Vec<f64>) -> Vec<f64> {
    let sum: f64 = values.iter().sum();
    if sum > 0.0 {
        values.iter_mut().for_each(|value| *value /= sum);
    }
    values
}

/// Half the sum of absolute differences.
pub fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_halves_and_contributors_whole() {
        let records: Vec<Vec<bool>> = (0..5).map(|number| record_subset(101, number)).collect();
        assert!(records.iter().all(|seen| seen.iter().filter(|&&s| s).count() == 50));
        assert_ne!(records[0], records[1]);
        let contributors = [0, 1, 1, 2, 0, 3, 2, 2];
        for seen in (0..8).map(|number| contributor_subset(&contributors, number)) {
            assert!(seen[0] == seen[4] && seen[1] == seen[2] && seen[3] == seen[6] && seen[6] == seen[7]);
        }
        assert_eq!(large_contributors(&contributors), [2]);
    }

    #[test]
    fn shares_are_positive_parts() {
        let shares = true_shares(&[2.0, 1.0], &vec![vec![1.0, 3.0, -1.0], vec![5.0, 5.0, 5.0]]);
        assert_eq!(shares, [vec![0.25, 0.0, 0.75], vec![0.0; 3]]);
        assert_eq!(total_variation(&shares[0], &[0.5, 0.5, 0.0]), 0.75);
    }
}
