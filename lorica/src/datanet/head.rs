//! A logistic head on features, fitted again: how well the records teach their labels, and what is missing without some.
//!
//! It minimises `Σ_i v_i·CE(softmax(W·(h_i, 1)), y_i) + ½·‖W‖²·RIDGE` by Böhning's bound (1992): the Hessian of the cross entropy is at
//! most `½·(Hᵀ·V·H)` in each class, so a step through that one matrix never overshoots; Nesterov's momentum with restarts
//! (O'Donoghue, Candès, 2015) makes it fast. Floats: a report is no norm.

use lorica_quant::index::FEATURE_EXPONENT;
use lorica_quant::index::inverse::{Cholesky, covariance};
use rayon::prelude::*;

use crate::datanet_version::WHOLE_WEIGHT;

/// Weight of the squared norm, as the study of attribution had it.
const RIDGE: f64 = 5.0;
/// Steps at most.
const STEPS: usize = 60;
/// Rows of one thread's piece.
const PIECE: usize = 256;

/// A head: `[labels][hidden + 1]`, for features with a last 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    weights: Vec<f64>,
    hidden: usize,
}

/// A row to learn from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub features: &'a [i16],
    pub label: usize,
    /// 1 to 240, 240 being a whole row.
    pub weight: u8,
}

fn scale() -> f64 {
    f64::from(1u32 << FEATURE_EXPONENT)
}

impl Head {
    /// Fits a head, from another one if there is one.
    pub fn fit(samples: &[Sample<'_>], hidden: usize, labels: usize, start: Option<&Self>) -> Option<Self> {
        let size = hidden + 1;
        let features: Vec<i16> = samples.iter().flat_map(|sample| sample.features).copied().collect();
        let classes: Vec<_> = samples
            .iter()
            .map(|sample| {
                let mut class = [0; 16];
                class[0] = sample.weight;
                class
            })
            .collect();
        // In units of 1 and of whole rows.
        let unit = scale() * scale() * WHOLE_WEIGHT as f64;
        #[expect(clippy::cast_precision_loss, reason = "a float's fit")]
        let mut bound: Vec<f64> =
            covariance(&features, hidden, &classes).iter().map(|&c| 0.5 * c as f64 / unit).collect();
        for j in 0..size {
            bound[j * size + j] += RIDGE;
        }
        let bound = Cholesky::new(bound, size)?;
        let mut head = start.cloned().unwrap_or_else(|| Self { weights: vec![0.0; labels * size], hidden });
        let mut ahead = head.clone();
        let mut momentum = 1.0f64;
        for _ in 0..STEPS {
            let mut step = ahead.gradient(samples, labels);
            let norm = step.iter().map(|g| g * g).sum::<f64>();
            if norm < 1e-4 {
                return Some(ahead);
            }
            let gradient = step.clone();
            step.par_chunks_mut(size).for_each(|class| bound.solve(class));
            let next: Vec<f64> = ahead.weights.iter().zip(&step).map(|(w, s)| w - s).collect();
            let forward: f64 = gradient.iter().zip(next.iter().zip(&head.weights)).map(|(g, (a, b))| g * (a - b)).sum();
            let grown = (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) / 2.0;
            // Uphill: the momentum has carried too far and begins anew.
            let (rate, grown) = if forward > 0.0 { (0.0, 1.0) } else { ((momentum - 1.0) / grown, grown) };
            momentum = grown;
            ahead.weights = next.iter().zip(&head.weights).map(|(n, h)| n + rate * (n - h)).collect();
            head.weights = next;
        }
        Some(head)
    }

    /// Logits of a row.
    fn logits(&self, features: &[i16], logits: &mut [f64]) {
        for (logit, weights) in logits.iter_mut().zip(self.weights.chunks_exact(self.hidden + 1)) {
            let sum: f64 = features.iter().zip(weights).map(|(&h, w)| f64::from(h) * w).sum();
            *logit = sum / scale() + weights[self.hidden];
        }
    }

    fn gradient(&self, samples: &[Sample<'_>], labels: usize) -> Vec<f64> {
        let size = self.hidden + 1;
        let pieces: Vec<Vec<f64>> = samples
            .par_chunks(PIECE)
            .map(|piece| {
                let mut sum = vec![0.0; labels * size];
                let mut p = vec![0.0; labels];
                for sample in piece {
                    self.logits(sample.features, &mut p);
                    softmax(&mut p);
                    p[sample.label] -= 1.0;
                    let weight = f64::from(sample.weight) / WHOLE_WEIGHT as f64;
                    for (p, sum) in p.iter().zip(sum.chunks_exact_mut(size)) {
                        let factor = p * weight;
                        sum[self.hidden] += factor;
                        let factor = factor / scale();
                        for (s, &h) in sum.iter_mut().zip(sample.features) {
                            *s += factor * f64::from(h);
                        }
                    }
                }
                sum
            })
            .collect();
        // Added in order, so that a fit is the same every time.
        let mut gradient: Vec<f64> = self.weights.iter().map(|w| RIDGE * w).collect();
        for piece in pieces {
            gradient.iter_mut().zip(piece).for_each(|(g, p)| *g += p);
        }
        gradient
    }

    /// The lowest index of the largest logit.
    pub fn label(&self, features: &[i16]) -> usize {
        let mut logits = vec![0.0; self.weights.len() / (self.hidden + 1)];
        self.logits(features, &mut logits);
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        logits.iter().position(|&l| l == largest).unwrap_or(0)
    }
}

fn softmax(logits: &mut [f64]) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|l| *l = (*l - largest).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|l| *l /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clouds(count: usize) -> Vec<(Vec<i16>, usize)> {
        let mut state = 3u64;
        (0..count)
            .map(|i| {
                let label = i % 3;
                let features = (0..4)
                    .map(|k| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let noise = (state >> 50) as i16 % 6_000 - 3_000;
                        noise + if k == label { 9_000 } else { 0 }
                    })
                    .collect();
                (features, label)
            })
            .collect()
    }

    fn samples(clouds: &[(Vec<i16>, usize)]) -> Vec<Sample<'_>> {
        clouds.iter().map(|(features, label)| Sample { features, label: *label, weight: 240 }).collect()
    }

    #[test]
    fn a_head_learns_what_can_be_learned() {
        let clouds = clouds(300);
        let samples = samples(&clouds);
        let head = Head::fit(&samples, 4, 3, None).unwrap();
        let right = clouds.iter().filter(|(features, label)| head.label(features) == *label).count();
        assert!(right >= 295, "{right}");
        // At the minimum: no gradient is left.
        let left = head.gradient(&samples, 3).iter().map(|g| g * g).sum::<f64>();
        assert!(left < 1e-3, "{left}");
        // From there, nothing changes.
        assert_eq!(Head::fit(&samples, 4, 3, Some(&head)).unwrap().label(&clouds[7].0), head.label(&clouds[7].0));
    }

    /// A row of weight 120 twice is a row.
    #[test]
    fn weights_are_parts_of_rows() {
        let clouds = clouds(30);
        let whole = Head::fit(&samples(&clouds), 4, 3, None).unwrap();
        let halves: Vec<Sample<'_>> =
            samples(&clouds).into_iter().flat_map(|s| [Sample { weight: 120, ..s }; 2]).collect();
        let halves = Head::fit(&halves, 4, 3, None).unwrap();
        let far = whole.weights.iter().zip(&halves.weights).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far < 1e-6, "{far}");
        let light: Vec<Sample<'_>> = samples(&clouds).into_iter().map(|s| Sample { weight: 1, ..s }).collect();
        assert!((Head::fit(&light, 4, 3, None).unwrap().weights[0] - whole.weights[0]).abs() > 1e-2);
    }
}
