//! Tables of multilinear polynomials that several stages read.

use rayon::prelude::*;

use lorica_circuits::bn254::{Field, Fr};

/// Entries that one thread computes at least.
const CHUNK: usize = 1 << 10;

/// `eq(point, ·)` of a point whose first coordinate is the lowest bit.
pub(crate) fn eq_low_first(point: &[Fr]) -> Vec<Fr> {
    let mut table = Vec::with_capacity(1 << point.len());
    table.push(Fr::ONE);
    for coordinate in point {
        let length = table.len();
        table.resize(2 * length, Fr::ZERO);
        let (low, high) = table.split_at_mut(length);
        low.par_iter_mut().zip(high).with_min_len(CHUNK).for_each(|(l, h)| {
            *h = *l * coordinate;
            *l -= *h;
        });
    }
    table
}
