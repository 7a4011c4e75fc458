//! The linear datamodeling score (Park et al., TRAK, ICML 2023): over retrained models, the rank correlation between the sum of the
//! scores of the records that a model saw and what it says, in the mean over questions.

use rayon::prelude::*;

use crate::random::Random;

/// Seed of the resamples.
pub const BOOTSTRAP_SEED: u64 = 50_000;

/// One number per question and retrained model, `[questions][models]`.
pub type Table = Vec<Vec<f64>>;

/// A value and the bounds of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// 2.5 % of the resamples are below.
    pub low: f64,
    /// 2.5 % of the resamples are above.
    pub high: f64,
}

/// Ranks from 1; equal values have the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = |&&i: &&usize| values[i] == values[order[start]];
        let end = start + order[start..].iter().take_while(same).count().max(1);
        for &i in &order[start..end] {
            ranks[i] = (start + end + 1) as f64 / 2.0;
        }
        start = end;
    }
    ranks
}

/// Pearson's correlation; zero if one side is constant.
pub fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        ab += (a - ma) * (b - mb);
        aa += (a - ma) * (a - ma);
        bb += (b - mb) * (b - mb);
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

/// Spearman's rank correlation.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    pearson(&ranks(a), &ranks(b))
}

/// The score: mean over questions.
pub fn lds(predicted: &Table, truth: &Table) -> f64 {
    let sum: f64 = predicted.iter().zip(truth).map(|(a, b)| spearman(a, b)).sum();
    sum / truth.len().max(1) as f64
}

/// The scores of several predictions in resamples of models and questions, `[resamples][predictions]`. All predictions see the same
/// resample, so their differences are paired.
pub fn bootstrap(predicted: &[Table], truth: &Table, resamples: usize, seed: u64) -> Vec<Vec<f64>> {
    let (questions, models) = (truth.len(), truth.first().map_or(0, Vec::len));
    let resample = |index: usize| {
        let mut random = Random::new(seed.wrapping_add(index as u64).wrapping_mul(0x9e37_79b9));
        let models: Vec<usize> = (0..models).map(|_| random.below(models)).collect();
        let chosen: Vec<usize> = (0..questions).map(|_| random.below(questions)).collect();
        let mut sums = vec![0.0; predicted.len()];
        let take = |row: &Vec<f64>| ranks(&models.iter().map(|&m| row[m]).collect::<Vec<f64>>());
        for &question in &chosen {
            let truth = take(&truth[question]);
            for (sum, predicted) in sums.iter_mut().zip(predicted) {
                *sum += pearson(&take(&predicted[question]), &truth);
            }
        }
        sums.into_iter().map(|sum| sum / questions.max(1) as f64).collect()
    };
    (0..resamples).into_par_iter().map(resample).collect()
}

/// A value with the interval of its resamples.
pub fn estimate(value: f64, mut resamples: Vec<f64>) -> Estimate {
    resamples.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| {
        let index = (part * resamples.len().saturating_sub(1) as f64).round() as usize;
        resamples.get(index).copied().unwrap_or(value)
    };
    Estimate { value, low: at(0.025), high: at(0.975) }
}

/// Several predictions of one truth, measured in the same resamples.
#[derive(Clone, Debug)]
pub struct Paired {
    values: Vec<f64>,
    resamples: Vec<Vec<f64>>,
}

impl Paired {
    /// Measures predictions.
    pub fn new(predicted: &[Table], truth: &Table, resamples: usize) -> Self {
        Self {
            values: predicted.iter().map(|predicted| lds(predicted, truth)).collect(),
            resamples: bootstrap(predicted, truth, resamples, BOOTSTRAP_SEED),
        }
    }

    /// The score of prediction `k`.
    pub fn of(&self, k: usize) -> Estimate {
        estimate(self.values[k], self.resamples.iter().map(|r| r[k]).collect())
    }

    /// The score of `a` less that of `b`.
    pub fn less(&self, a: usize, b: usize) -> Estimate {
        estimate(self.values[a] - self.values[b], self.resamples.iter().map(|r| r[a] - r[b]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4 give 4.5/√(4.5·5).
    #[test]
    fn spearman_has_the_mean_rank_of_ties() {
        let got = spearman(&[1.0, 5.0, 5.0, 9.0], &[0.0, 7.0, 6.0, 100.0]);
        assert!((got - 4.5 / 22.5f64.sqrt()).abs() < 1e-12, "{got}");
    }

    #[test]
    fn spearman_sees_order_alone() {
        let a = [3.0, 1.0, 2.0, 10.0];
        assert!((spearman(&a, &a.map(f64::exp)) - 1.0).abs() < 1e-12);
        assert!((spearman(&a, &a.map(|x: f64| -x * x * x)) + 1.0).abs() < 1e-12);
        assert_eq!(spearman(&a, &[1.0; 4]), 0.0);
    }

    fn tables() -> (Vec<Table>, Table) {
        let mut random = Random::new(1);
        let mut table =
            || -> Table { (0..20).map(|_| (0..30).map(|_| random.below(1_000) as f64).collect()).collect() };
        let truth = table();
        let noise = table();
        let near: Table =
            truth.iter().zip(&noise).map(|(t, n)| t.iter().zip(n).map(|(t, n)| t + n).collect()).collect();
        (vec![near, noise, truth.clone()], truth)
    }

    #[test]
    fn a_bootstrap_is_a_function_of_its_seed() {
        let (predicted, truth) = tables();
        let one = bootstrap(&predicted, &truth, 40, 7);
        assert_eq!(one, bootstrap(&predicted, &truth, 40, 7));
        assert_ne!(one, bootstrap(&predicted, &truth, 40, 8));
        // Fewer threads, the same numbers.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one, pool.install(|| bootstrap(&predicted, &truth, 40, 7)));
    }

    #[test]
    fn an_interval_holds_its_value() {
        let (predicted, truth) = tables();
        let resamples = bootstrap(&predicted, &truth, 200, 7);
        let interval = |k: usize| estimate(lds(&predicted[k], &truth), resamples.iter().map(|r| r[k]).collect());
        let (near, noise, same) = (interval(0), interval(1), interval(2));
        assert!(near.low < near.value && near.value < near.high && near.low > 0.5, "{near:?}");
        assert!(noise.low < 0.0 && noise.high > 0.0, "{noise:?}");
        assert!(same.value > 1.0 - 1e-12 && same.low > 1.0 - 1e-12, "{same:?}");
    }
}
