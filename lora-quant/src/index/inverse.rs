//! The matrix `G` of an index: the weighted covariance of the records, inverted and rounded, and the exact check of it.
//!
//! With `H` the features with the constant 2^14 as last column and `w_i` the weight of record `i`,
//!
//! ```text
//! C = Σ_i w_i·h_i·h_iᵀ,    λ = ⌊r·tr C/(hidden + 1)⌋,    A = C + λ·I,    G ≈ 2^s·A⁻¹
//! ```
//!
//! `C` is exact. The inverse is a float's: no float is normative, so that `G` is checked and not recomputed ([`check`]).

use lorica_circuits::shape::LABELS;
use rayon::prelude::*;

use super::FEATURE_EXPONENT;

/// Denominator of a ridge: `r` is counted in thousandths.
pub const RIDGE_UNIT: u32 = 1_000;

/// Largest cell of `G` in magnitude.
const MOST: f64 = 32_767.0;

/// What belongs to `G`: the exact sums that it inverts, and itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inverse {
    /// log2 of the scale.
    pub exponent: i32,
    /// `λ`.
    pub ridge: i64,
    /// `G`, `[hidden + 1][hidden + 1]`, symmetric, the constant's row and column last.
    pub cells: Vec<i16>,
}

/// How exactly a `G` inverts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exactness {
    /// The largest `|E_jk|` over 2^s, by which `G·A` is off the identity.
    pub error: f64,
    /// The largest `|E_jk|` over its bound, at most 1 for a `G` that is accepted.
    pub of_bound: f64,
}

/// Why there is no `G`.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InverseError {
    /// Records whose features are all zero, or no ridge: nothing to invert.
    #[error("the records' covariance has no inverse")]
    Singular,
    /// A matrix of another size.
    #[error("the inverse has {got} cells, expected {expected}")]
    Size {
        /// Cells that the features demand.
        expected: usize,
        /// Cells present.
        got: usize,
    },
    /// A `G` that is not the inverse.
    #[error("the matrix is not the inverse: cell ({row}, {column}) of the remainder is {times:.2} times its bound")]
    Wrong {
        /// Row of the remainder.
        row: usize,
        /// Its column.
        column: usize,
        /// The cell's magnitude over its bound.
        times: f64,
    },
}

/// Weight of a record: the sum of its class vector, which has one entry that is not zero.
fn weight(class: &[u8; LABELS]) -> i64 {
    class.iter().map(|&c| i64::from(c)).sum()
}

/// `C`, `[hidden + 1][hidden + 1]`, exact.
///
/// Each product is below `255·2^30 < 2^38` in magnitude, so sums over 2^16 records stay below 2^54.
#[must_use]
pub fn covariance(features: &[i16], hidden: usize, classes: &[[u8; LABELS]]) -> Vec<i64> {
    let size = hidden + 1;
    // Channels by record, to read a channel's values in one piece. The constant is the last channel.
    let count = classes.len();
    let mut channels = vec![1i32 << FEATURE_EXPONENT; size * count];
    channels.par_chunks_mut(count.max(1)).take(hidden).enumerate().for_each(|(k, channel)| {
        for (value, row) in channel.iter_mut().zip(features.chunks_exact(hidden)) {
            *value = row[k].into();
        }
    });
    let channel = |k: usize| &channels[k * count..(k + 1) * count];
    let weights: Vec<i64> = classes.iter().map(weight).collect();
    let mut upper = vec![0i64; size * size];
    upper.par_chunks_mut(size).enumerate().for_each(|(j, row)| {
        let weighted: Vec<i64> = channel(j).iter().zip(&weights).map(|(&h, w)| i64::from(h) * w).collect();
        for (k, cell) in row.iter_mut().enumerate().skip(j) {
            *cell = weighted.iter().zip(channel(k)).map(|(a, &b)| a * i64::from(b)).sum();
        }
    });
    for j in 0..size {
        for k in 0..j {
            upper[j * size + k] = upper[k * size + j];
        }
    }
    upper
}

/// `A = C + λ·I` and `λ`, for a ridge in thousandths.
fn ridged(features: &[i16], hidden: usize, classes: &[[u8; LABELS]], ridge: u32) -> (Vec<i64>, i64) {
    let size = hidden + 1;
    let mut matrix = covariance(features, hidden, classes);
    let trace: i128 = (0..size).map(|j| i128::from(matrix[j * size + j])).sum();
    let divisor = i128::from(RIDGE_UNIT) * i128::try_from(size).unwrap_or(i128::MAX);
    // r is at most 2^32/1,000 times a mean below 2^54: such a ridge has no use, and stops at 2^62.
    let ridge = (i128::from(ridge) * trace / divisor).min(1 << 62);
    let ridge = i64::try_from(ridge).unwrap_or(i64::MAX >> 1);
    for j in 0..size {
        matrix[j * size + j] += ridge;
    }
    (matrix, ridge)
}

/// Inverts the covariance of records and rounds it at the largest scale that 16 bits hold. The ridge is in thousandths.
///
/// # Errors
/// [`InverseError::Singular`].
pub fn invert(
    features: &[i16],
    hidden: usize,
    classes: &[[u8; LABELS]],
    ridge: u32,
) -> Result<(Inverse, Exactness), InverseError> {
    let (matrix, lambda) = ridged(features, hidden, classes, ridge);
    let size = hidden + 1;
    #[expect(clippy::cast_precision_loss, reason = "a float's inverse; the check is exact")]
    let floats: Vec<f64> = matrix.iter().map(|&a| a as f64).collect();
    let inverse = Cholesky::new(floats, size).ok_or(InverseError::Singular)?.inverse();
    let largest = inverse.iter().fold(0.0f64, |most, m| most.max(m.abs()));
    if !(largest.is_normal() && largest > 0.0) {
        return Err(InverseError::Singular);
    }
    // The largest s with |round(2^s·m)| <= 32,767 for all m: powers of two are exact, so one step mends the logarithm.
    #[expect(clippy::cast_possible_truncation, reason = "logarithms of doubles are small")]
    let mut exponent = (MOST / largest).log2().floor() as i32 + 1;
    while (largest * f64::from(exponent).exp2()).round() > MOST {
        exponent -= 1;
    }
    let scale = f64::from(exponent).exp2();
    #[expect(clippy::cast_possible_truncation, reason = "at most 32,767 by the choice of the exponent")]
    let cells: Vec<i16> = inverse.iter().map(|m| (m * scale).round() as i16).collect();
    let exactness = exactness(&matrix, size, exponent, &cells)?;
    Ok((Inverse { exponent, ridge: lambda, cells }, exactness))
}

/// Checks a `G` against features and weights, in exact integers.
///
/// # Errors
/// [`InverseError`] if it is not the inverse within the bound of the rounding.
pub fn check(
    features: &[i16],
    hidden: usize,
    classes: &[[u8; LABELS]],
    ridge: u32,
    exponent: i32,
    cells: &[i16],
) -> Result<Exactness, InverseError> {
    let (matrix, _) = ridged(features, hidden, classes, ridge);
    exactness(&matrix, hidden + 1, exponent, cells)
}

/// `E = 2^s·I − G·A`, cell by cell below its bound.
///
/// Let `G = 2^s·A⁻¹ + D`. Then `E = −D·A`, so `|E_jk| <= max|D|·Σ_l |A_lk|`. Rounding to nearest alone makes `max|D| = 1/2`. The
/// float inverse adds its own error, about `n·u·κ(A)` of the largest cell at most, with `n = hidden + 1`, `u = 2^-53` and the
/// condition `κ(A) <= 1 + tr C/λ <= 1 + n/r`; for r >= 0.001 and 385 channels that is `2^15·385·385,001·2^-53 < 2^-9`. So the
/// bound is that of one whole unit in every cell, `|E_jk| <= Σ_l |A_lk|`, which an honest `G` keeps by a factor of about two.
fn exactness(matrix: &[i64], size: usize, exponent: i32, cells: &[i16]) -> Result<Exactness, InverseError> {
    if cells.len() != size * size {
        return Err(InverseError::Size { expected: size * size, got: cells.len() });
    }
    // |A| < 2^63 and |G| <= 2^15: sums of `size` products stay below 2^78 + log2(size). A scale beyond is no inverse.
    let one = u32::try_from(exponent).ok().filter(|&s| s < 110).map(|s| 1i128 << s);
    let one = one.ok_or(InverseError::Singular)?;
    let bounds: Vec<i128> = (0..size)
        .map(|k| (0..size).map(|l| i128::from(matrix[l * size + k].unsigned_abs())).sum::<i128>().max(1))
        .collect();
    let rows = cells.par_chunks(size).enumerate().map(|(j, g)| {
        let mut row = vec![0i128; size];
        for (&g, a) in g.iter().zip(matrix.chunks_exact(size)) {
            for (cell, &a) in row.iter_mut().zip(a) {
                *cell -= i128::from(g) * i128::from(a);
            }
        }
        row[j] += one;
        row
    });
    #[expect(clippy::cast_precision_loss, reason = "ratios are for people; the comparison is exact")]
    let (error, of_bound, worst) = rows
        .enumerate()
        .map(|(j, row)| {
            let (mut error, mut ratio, mut worst) = (0.0f64, 0.0f64, None);
            for (k, (cell, bound)) in row.iter().zip(&bounds).enumerate() {
                error = error.max(cell.abs() as f64 / one as f64);
                ratio = ratio.max(cell.abs() as f64 / *bound as f64);
                if cell.abs() > *bound && worst.is_none() {
                    worst = Some((j, k, cell.abs() as f64 / *bound as f64));
                }
            }
            (error, ratio, worst)
        })
        .reduce(|| (0.0, 0.0, None), |a, b| (a.0.max(b.0), a.1.max(b.1), a.2.or(b.2)));
    match worst {
        Some((row, column, times)) => Err(InverseError::Wrong { row, column, times }),
        None => Ok(Exactness { error, of_bound }),
    }
}

/// `L` with `L·Lᵀ = A`: solves linear systems of a positive definite matrix.
#[derive(Clone, Debug)]
pub struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a symmetric matrix `[size][size]`; `None` if it is not positive definite.
    #[must_use]
    pub fn new(mut matrix: Vec<f64>, size: usize) -> Option<Self> {
        for j in 0..size {
            let (above, below) = matrix.split_at_mut((j + 1) * size);
            let row = &mut above[j * size..];
            let pivot = row[j] - row[..j].iter().map(|x| x * x).sum::<f64>();
            if !(pivot.is_finite() && pivot > 0.0) {
                return None;
            }
            row[j] = pivot.sqrt();
            let row = &*row;
            below.par_chunks_mut(size).for_each(|other| {
                let sum: f64 = other[..j].iter().zip(&row[..j]).map(|(a, b)| a * b).sum();
                other[j] = (other[j] - sum) / row[j];
            });
        }
        Some(Self { size, lower: matrix })
    }

    /// `x` with `A·x = b`, in place.
    pub fn solve(&self, b: &mut [f64]) {
        let n = self.size;
        for j in 0..n {
            let row = &self.lower[j * n..j * n + j];
            let sum: f64 = row.iter().zip(&*b).map(|(l, x)| l * x).sum();
            b[j] = (b[j] - sum) / self.lower[j * n + j];
        }
        for j in (0..n).rev() {
            b[j] /= self.lower[j * n + j];
            let x = b[j];
            for (k, value) in b[..j].iter_mut().enumerate() {
                *value -= x * self.lower[j * n + k];
            }
        }
    }

    /// `A⁻¹`, exactly symmetric.
    #[must_use]
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.size;
        let mut inverse = vec![0.0; n * n];
        inverse.par_chunks_mut(n).enumerate().for_each(|(j, column)| {
            column[j] = 1.0;
            self.solve(column);
        });
        for j in 0..n {
            for k in 0..j {
                inverse[j * n + k] = inverse[k * n + j];
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features that look random, of one magnitude per channel, as tanh values of an adapter are.
    fn records(count: usize, hidden: usize) -> (Vec<i16>, Vec<[u8; LABELS]>) {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64
        };
        let features = (0..count * hidden).map(|_| (next() % 16_385 - next() % 16_385) as i16).collect();
        let classes = (0..count)
            .map(|i| {
                let mut class = [0; LABELS];
                class[i % 5] = [240, 120, 80, 1][i % 4];
                class
            })
            .collect();
        (features, classes)
    }

    #[test]
    fn the_covariance_is_exact() {
        let (features, classes) = records(30, 6);
        let with_one = |i: usize, k: usize| if k == 6 { 1i128 << 14 } else { features[i * 6 + k].into() };
        let got = covariance(&features, 6, &classes);
        for j in 0..7 {
            for k in 0..7 {
                let sum: i128 = (0..30).map(|i| i128::from(classes[i][i % 5]) * with_one(i, j) * with_one(i, k)).sum();
                assert_eq!(i128::from(got[j * 7 + k]), sum, "{j} {k}");
            }
        }
    }

    #[test]
    fn the_inverse_is_one_and_fills_sixteen_bits() {
        for (count, hidden, ridge) in [(200, 24, 1_000), (40, 64, 1_000), (3, 16, 3_000), (500, 8, 1)] {
            let (features, classes) = records(count, hidden);
            let (inverse, exactness) = invert(&features, hidden, &classes, ridge).unwrap();
            let most = inverse.cells.iter().map(|g| g.unsigned_abs()).max().unwrap();
            assert!((16_384..=32_767).contains(&most), "{most}");
            // Rounding to nearest: half of the bound, up to the float's own error.
            assert!(exactness.of_bound > 0.0 && exactness.of_bound <= 0.51, "{exactness:?}");
            let again = check(&features, hidden, &classes, ridge, inverse.exponent, &inverse.cells);
            assert_eq!(again, Ok(exactness));
            let size = hidden + 1;
            for j in 0..size {
                for k in 0..size {
                    assert_eq!(inverse.cells[j * size + k], inverse.cells[k * size + j]);
                }
            }
        }
    }

    #[test]
    fn another_matrix_is_refused() {
        let (features, classes) = records(200, 24);
        let (inverse, _) = invert(&features, 24, &classes, 1_000).unwrap();
        let check = |classes: &[[u8; LABELS]], ridge, exponent, cells: &[i16]| {
            check(&features, 24, classes, ridge, exponent, cells)
        };
        let wrong = |result| matches!(result, Err(InverseError::Wrong { .. }));
        let mut cells = inverse.cells.clone();
        cells[30] += 3;
        assert!(wrong(check(&classes, 1_000, inverse.exponent, &cells)));
        let mut other = classes.clone();
        other[0][0] = 10;
        assert!(wrong(check(&other, 1_000, inverse.exponent, &inverse.cells)));
        assert!(wrong(check(&classes, 1_010, inverse.exponent, &inverse.cells)));
        assert!(wrong(check(&classes, 1_000, inverse.exponent + 1, &inverse.cells)));
        assert!(wrong(check(&classes, 1_000, inverse.exponent, &vec![0; 625])));
        let short = check(&classes, 1_000, inverse.exponent, &cells[1..]);
        assert_eq!(short, Err(InverseError::Size { expected: 625, got: 624 }));
        assert_eq!(check(&classes, 1_000, 200, &cells), Err(InverseError::Singular));
        assert_eq!(check(&classes, 1_000, -1, &cells), Err(InverseError::Singular));
    }

    #[test]
    fn records_without_weight_have_no_inverse() {
        let (features, _) = records(4, 3);
        assert_eq!(invert(&features, 3, &[[0; LABELS]; 4], 1_000).unwrap_err(), InverseError::Singular);
    }
}
