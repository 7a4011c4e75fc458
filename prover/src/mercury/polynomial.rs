//! Polynomials in one variable, as coefficients, lowest first.

use lorica_circuits::bn254::{Field, Fr, PrimeField, best_fft};
use rayon::prelude::*;

/// `p(x)`.
pub(super) fn evaluate(coefficients: &[Fr], x: &Fr) -> Fr {
    coefficients.iter().rev().fold(Fr::ZERO, |value, coefficient| value * x + coefficient)
}

/// `sum += factor · addend`.
pub(super) fn add_scaled(sum: &mut Vec<Fr>, addend: &[Fr], factor: &Fr) {
    if sum.len() < addend.len() {
        sum.resize(addend.len(), Fr::ZERO);
    }
    for (sum, addend) in sum.iter_mut().zip(addend) {
        *sum += factor * addend;
    }
}

/// `(X − root) · p`.
pub(super) fn multiply_by_root(coefficients: &[Fr], root: &Fr) -> Vec<Fr> {
    let mut product = vec![Fr::ZERO];
    product.extend_from_slice(coefficients);
    for (below, coefficient) in product.iter_mut().zip(coefficients) {
        *below -= root * coefficient;
    }
    product
}

/// The quotient of p by X − root; the remainder p(root) is dropped.
///
/// `quotient_i = p_(i+1) + root · quotient_(i+1)`: long polynomials in chunks, each of which needs only the quotient's
/// coefficient above it, `Σ_j root^j p_(end+j)`.
pub(super) fn divide_by_root(coefficients: &[Fr], root: &Fr) -> Vec<Fr> {
    const CHUNK: usize = 1 << 14;
    let mut quotient = coefficients.get(1..).unwrap_or(&[]).to_vec();
    let values: Vec<Fr> = quotient.par_chunks(CHUNK).map(|chunk| evaluate(chunk, root)).collect();
    let shift = root.pow_vartime([CHUNK as u64]);
    let mut above = Vec::with_capacity(values.len());
    let mut carried = Fr::ZERO;
    for value in values.iter().rev() {
        above.push(carried);
        carried = carried * shift + value;
    }
    quotient.par_chunks_mut(CHUNK).zip(above.par_iter().rev()).for_each(|(chunk, above)| {
        let mut above = *above;
        for coefficient in chunk.iter_mut().rev() {
            above = above * root + *coefficient;
            *coefficient = above;
        }
    });
    quotient
}

/// The line through two points, if their places differ.
pub(super) fn interpolate_two([x_0, x_1]: [Fr; 2], [y_0, y_1]: [Fr; 2]) -> Option<Vec<Fr>> {
    let slope = (y_1 - y_0) * Option::<Fr>::from((x_1 - x_0).invert())?;
    Some(vec![y_0 - slope * x_0, slope])
}

/// The parabola through three points, if their places differ.
pub(super) fn interpolate_three([x_0, x_1, x_2]: [Fr; 3], [y_0, y_1, y_2]: [Fr; 3]) -> Option<Vec<Fr>> {
    let mut result = interpolate_two([x_0, x_1], [y_0, y_1])?;
    let excess = y_2 - evaluate(&result, &x_2);
    let bend = excess * Option::<Fr>::from(((x_2 - x_0) * (x_2 - x_1)).invert())?;
    add_scaled(&mut result, &[x_0 * x_1, -(x_0 + x_1), Fr::ONE], &bend);
    Some(result)
}

/// The product of two polynomials.
pub(super) fn product_coefficients(left: &[Fr], right: &[Fr]) -> Vec<Fr> {
    if left.is_empty() || right.is_empty() {
        return Vec::new();
    }
    let length = left.len() + right.len() - 1;
    let log_size = length.next_power_of_two().ilog2();
    let omega = Fr::ROOT_OF_UNITY.pow_vartime([1 << (Fr::S - log_size)]);
    let transform = |coefficients: &[Fr]| {
        let mut values = coefficients.to_vec();
        values.resize(1 << log_size, Fr::ZERO);
        best_fft(&mut values, omega, log_size);
        values
    };
    let (mut product, right) = rayon::join(|| transform(left), || transform(right));
    let scale = Fr::from(1 << log_size).invert().unwrap_or(Fr::ONE);
    for (product, right) in product.iter_mut().zip(&right) {
        *product *= right * scale;
    }
    best_fft(&mut product, Fr::ROOT_OF_UNITY_INV.pow_vartime([1 << (Fr::S - log_size)]), log_size);
    product.truncate(length);
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polynomial(length: u64) -> Vec<Fr> {
        (0..length).map(|index| Fr::from(index * index * 31 + 7) - Fr::from(index << 20)).collect()
    }

    #[test]
    fn quotients_multiply_back() {
        let root = Fr::from(12345).invert().unwrap();
        for length in [0, 1, 2, 5, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, (1 << 14) + 2, 50_000] {
            let p = polynomial(length);
            let mut back = multiply_by_root(&divide_by_root(&p, &root), &root);
            add_scaled(&mut back, &[evaluate(&p, &root)], &Fr::ONE);
            back.truncate(p.len());
            assert_eq!(back, p, "{length}");
        }
    }

    #[test]
    fn products_are_convolutions() {
        for (left, right) in [(0, 3), (1, 1), (1, 8), (5, 4), (64, 64), (65, 64)] {
            let (left, right) = (polynomial(left), polynomial(right));
            let mut expected = vec![Fr::ZERO; (left.len() + right.len()).saturating_sub(1)];
            for (i, a) in left.iter().enumerate() {
                for (j, b) in right.iter().enumerate() {
                    expected[i + j] += a * b;
                }
            }
            let expected = if left.is_empty() { Vec::new() } else { expected };
            assert_eq!(product_coefficients(&left, &right), expected);
        }
    }

    #[test]
    fn interpolation_hits_its_points() {
        let x = [3, 10, 77].map(Fr::from);
        let y = [5, 9, 1].map(Fr::from);
        let parabola = interpolate_three(x, y).unwrap();
        assert_eq!(x.map(|x| evaluate(&parabola, &x)), y);
        let line = interpolate_two([x[0], x[1]], [y[0], y[1]]).unwrap();
        assert_eq!([evaluate(&line, &x[0]), evaluate(&line, &x[1])], [y[0], y[1]]);
        assert!(interpolate_two([x[0], x[0]], [y[0], y[1]]).is_none());
        assert!(interpolate_three([x[0], x[1], x[1]], y).is_none());
    }
}
