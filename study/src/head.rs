//! Retraining of the head: logistic regression over pooled features, to convergence.
//!
//! ```text
//! F(W) = Σ_i CE(softmax(W·h_i), y_i) + ½·λ·|W|²
//! ```
//!
//! with `h_i` the features and a last 1, whose weights are penalised as the others. Minimised by L-BFGS (Liu, Nocedal, 1989) whose
//! first matrix is the inverse of the Hessian's diagonal blocks at the full model, one block per class.

use lorica_quant::index::inverse::Cholesky;
use rayon::prelude::*;

/// Labels of the study.
pub const CLASSES: usize = 10;
/// Weight of the squared norm.
pub const LAMBDA: f64 = 5.0;
/// A fit has converged when its gradient's norm is below this.
pub const TOLERANCE: f64 = 1e-5;
/// Steps at most.
const STEPS: usize = 500;
/// Pairs that L-BFGS remembers.
const MEMORY: usize = 12;

/// Features, row by row, with the constant 1 last.
#[derive(Clone, Debug)]
pub struct Design {
    /// Values of a row.
    pub size: usize,
    /// `[rows][size]`.
    pub values: Vec<f64>,
}

impl Design {
    /// One row.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.size..(index + 1) * self.size]
    }

    /// Rows.
    pub fn count(&self) -> usize {
        self.values.len() / self.size
    }

    /// `Σ_i w_i·h_i·h_iᵀ`.
    pub fn covariance(&self, weight: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
        let size = self.size;
        let mut matrix = vec![0.0; size * size];
        matrix.par_chunks_mut(size).enumerate().for_each(|(j, out)| {
            for i in 0..self.count() {
                let row = self.row(i);
                let factor = weight(i) * row[j];
                for (cell, &h) in out.iter_mut().zip(row) {
                    *cell += factor * h;
                }
            }
        });
        matrix
    }
}

/// Weights of a head, by feature and class.
pub type Weights = Vec<[f64; CLASSES]>;

/// A head and the gradient at which its fit stopped.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The head.
    pub weights: Weights,
    /// Norm of the gradient.
    pub gradient: f64,
    /// Steps taken.
    pub steps: usize,
}

/// `W·h`.
pub fn logits(weights: &Weights, row: &[f64]) -> [f64; CLASSES] {
    let mut z = [0.0; CLASSES];
    for (w, &h) in weights.iter().zip(row) {
        for (z, w) in z.iter_mut().zip(w) {
            *z += w * h;
        }
    }
    z
}

/// Softmax, and the logarithm of its denominator.
pub fn softmax(z: &[f64; CLASSES]) -> ([f64; CLASSES], f64) {
    let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut p = z.map(|z| (z - most).exp());
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    (p, most + sum.ln())
}

/// `log p/(1 − p)` of a label.
pub fn margin(z: &[f64; CLASSES], label: usize) -> f64 {
    let mut others = *z;
    others[label] = f64::NEG_INFINITY;
    z[label] - softmax(&others).1
}

fn dot(a: &Weights, b: &Weights) -> f64 {
    let mut sums = [0.0; CLASSES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// `a += factor·b`.
fn add(a: &mut Weights, factor: f64, b: &Weights) {
    for (a, b) in a.iter_mut().zip(b) {
        for (a, b) in a.iter_mut().zip(b) {
            *a += factor * b;
        }
    }
}

/// `F` and its gradient over some rows.
pub fn objective(design: &Design, labels: &[usize], rows: &[usize], weights: &Weights) -> (f64, Weights) {
    let mut gradient: Weights = weights.iter().map(|w| w.map(|w| LAMBDA * w)).collect();
    let mut value = 0.5 * LAMBDA * dot(weights, weights);
    for &i in rows {
        let row = design.row(i);
        let z = logits(weights, row);
        let (mut residual, logarithm) = softmax(&z);
        value += logarithm - z[labels[i]];
        residual[labels[i]] -= 1.0;
        for (g, &h) in gradient.iter_mut().zip(row) {
            for (g, r) in g.iter_mut().zip(&residual) {
                *g += r * h;
            }
        }
    }
    (value, gradient)
}

/// Inverses of the Hessian's diagonal blocks.
#[derive(Clone, Debug)]
pub struct Preconditioner {
    blocks: Vec<Vec<f64>>,
}

impl Preconditioner {
    /// At a head, for fits that see this part of the rows. `None` if a block is not positive definite.
    pub fn new(design: &Design, weights: &Weights, part: f64) -> Option<Self> {
        let p: Vec<[f64; CLASSES]> =
            (0..design.count()).into_par_iter().map(|i| softmax(&logits(weights, design.row(i))).0).collect();
        let block = |class: usize| {
            let mut block = design.covariance(|i| part * p[i][class] * (1.0 - p[i][class]));
            for j in 0..design.size {
                block[j * design.size + j] += LAMBDA;
            }
            Some(Cholesky::new(block, design.size)?.inverse())
        };
        Some(Self { blocks: (0..CLASSES).map(block).collect::<Option<_>>()? })
    }

    fn apply(&self, vector: &Weights) -> Weights {
        let mut result = vec![[0.0; CLASSES]; vector.len()];
        let mut column = vec![0.0; vector.len()];
        for (class, block) in self.blocks.iter().enumerate() {
            column.fill(0.0);
            // Symmetric: rows are columns.
            for (row, v) in block.chunks_exact(vector.len()).zip(vector) {
                for (cell, &b) in column.iter_mut().zip(row) {
                    *cell += v[class] * b;
                }
            }
            result.iter_mut().zip(&column).for_each(|(r, &c)| r[class] = c);
        }
        result
    }
}

/// Fits a head on some rows.
pub fn fit(design: &Design, labels: &[usize], rows: &[usize], start: &Weights, first: &Preconditioner) -> Fit {
    let mut weights = start.clone();
    let (mut value, mut gradient) = objective(design, labels, rows, &weights);
    // Steps, changes of the gradient, and the inverse of their product.
    let mut memory: Vec<(Weights, Weights, f64)> = Vec::with_capacity(MEMORY);
    let mut scale = 1.0;
    let mut steps = 0;
    let mut norm = dot(&gradient, &gradient).sqrt();
    while norm > TOLERANCE && steps < STEPS {
        steps += 1;
        let mut direction = gradient.clone();
        let mut factors = Vec::with_capacity(memory.len());
        for (s, y, rho) in memory.iter().rev() {
            let factor = rho * dot(s, &direction);
            add(&mut direction, -factor, y);
            factors.push(factor);
        }
        direction = first.apply(&direction);
        direction.iter_mut().flatten().for_each(|d| *d *= scale);
        for ((s, y, rho), factor) in memory.iter().zip(factors.iter().rev()) {
            let back = rho * dot(y, &direction);
            add(&mut direction, factor - back, s);
        }
        let slope = -dot(&direction, &gradient);
        let mut length = 1.0;
        let (new, new_value, new_gradient) = loop {
            let mut new = weights.clone();
            add(&mut new, -length, &direction);
            let (new_value, new_gradient) = objective(design, labels, rows, &new);
            // Sums of a thousand terms are exact to about 1e-13 of their size.
            if new_value <= value + 1e-4 * length * slope + 1e-12 * value.abs() || length < 1e-6 {
                break (new, new_value, new_gradient);
            }
            length *= 0.5;
        };
        let mut s = new.clone();
        add(&mut s, -1.0, &weights);
        let mut y = new_gradient.clone();
        add(&mut y, -1.0, &gradient);
        let product = dot(&s, &y);
        if product > 0.0 {
            scale = product / dot(&y, &first.apply(&y));
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((s, y, 1.0 / product));
        }
        (weights, value, gradient) = (new, new_value, new_gradient);
        norm = dot(&gradient, &gradient).sqrt();
    }
    Fit { weights, gradient: norm, steps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn sample(count: usize, size: usize) -> (Design, Vec<usize>) {
        let mut random = Random::new(5);
        let mut value = |k: usize| if k == size - 1 { 1.0 } else { random.below(2_001) as f64 / 1_000.0 - 1.0 };
        let values = (0..count * size).map(|i| value(i % size)).collect();
        let labels = (0..count).map(|i| (i * i + i / 3) % CLASSES).collect();
        (Design { size, values }, labels)
    }

    #[test]
    fn the_gradient_is_that_of_the_objective() {
        let (design, labels) = sample(40, 5);
        let rows: Vec<usize> = (0..40).step_by(2).collect();
        let weights: Weights = (0..5).map(|k| std::array::from_fn(|c| ((k * 7 + c * 3) % 11) as f64 / 10.0)).collect();
        let (_, gradient) = objective(&design, &labels, &rows, &weights);
        for (k, row) in gradient.iter().enumerate() {
            for (class, own) in row.iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = weights.clone();
                    moved[k][class] += step;
                    objective(&design, &labels, &rows, &moved).0
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((difference - own).abs() < 1e-6, "{k} {class}");
            }
        }
    }

    /// With the constant alone the optimum has a closed form: `λ·w_c = n_c − n·p_c`. Here one class has all rows, so by symmetry the
    /// other weights are `−w/9`, and `w` solves one equation, found by halving.
    #[test]
    fn the_optimum_of_a_constant_is_known() {
        let count = 30;
        let design = Design { size: 1, values: vec![1.0; count] };
        let (mut low, mut high) = (0.0, 10.0);
        for _ in 0..200 {
            let w: f64 = (low + high) / 2.0;
            let p = w.exp() / (w.exp() + 9.0 * (-w / 9.0).exp());
            if LAMBDA * w < count as f64 * (1.0 - p) { low = w } else { high = w }
        }
        let start = vec![[0.0; CLASSES]];
        let first = Preconditioner::new(&design, &start, 1.0).unwrap();
        let rows: Vec<usize> = (0..count).collect();
        let fit = fit(&design, &vec![3; count], &rows, &start, &first);
        assert!(fit.gradient <= TOLERANCE, "{}", fit.gradient);
        assert!((fit.weights[0][3] - low).abs() < 1e-6, "{} {low}", fit.weights[0][3]);
        assert!((fit.weights[0][0] + low / 9.0).abs() < 1e-6);
    }

    /// A strictly convex problem has one optimum, wherever one starts.
    #[test]
    fn the_optimum_does_not_depend_on_the_start() {
        let (design, labels) = sample(200, 6);
        let rows: Vec<usize> = (0..150).collect();
        let starts = [vec![[0.0; CLASSES]; 6], (0..6).map(|k| std::array::from_fn(|c| (k + c) as f64 / 5.0)).collect()];
        let first = Preconditioner::new(&design, &starts[0], 0.75).unwrap();
        let [a, b] = starts.map(|start| fit(&design, &labels, &rows, &start, &first));
        assert!(a.gradient <= TOLERANCE && b.gradient <= TOLERANCE, "{a:?} {b:?}");
        let most = a.weights.iter().flatten().zip(b.weights.iter().flatten()).map(|(a, b)| (a - b).abs());
        assert!(most.fold(0.0, f64::max) < 1e-5);
    }

    #[test]
    fn a_margin_is_the_logarithm_of_the_odds() {
        let z: [f64; CLASSES] = std::array::from_fn(|c| c as f64 / 3.0);
        let (p, _) = softmax(&z);
        assert!((margin(&z, 4) - (p[4] / (1.0 - p[4])).ln()).abs() < 1e-12);
    }
}
