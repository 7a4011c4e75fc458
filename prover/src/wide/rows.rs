//! Weighted sums over rows of small integers: of the rows, and within each row.

use lorica_circuits::bn254::{Field, Fr};
use lorica_verifier::multilinear::integer;

#[cfg(target_arch = "x86_64")]
use crate::lanes::ifma::{self, Ifma};
use crate::lanes::portable::Portable;
use crate::lanes::{LANES, Lanes, SMALL_TERMS};

/// Integers of a row.
pub(crate) const ROW: usize = 128;
/// Vectors of a row.
const GROUPS: usize = ROW / LANES;
/// Rows whose integers stay in the cache while all groups are summed.
const BATCH: usize = 32;

type Row = [i64; ROW];

/// What a row is to the kernels.
enum Kind<'r> {
    Zero,
    Small(&'r Row),
    /// Shorter, or with integers that are not small.
    Odd,
}

#[inline(always)]
fn kind<V: Lanes>(row: &[i64]) -> Kind<'_> {
    let Ok(whole) = <&Row>::try_from(row) else { return Kind::Odd };
    let (mut any, mut small) = (0i64, true);
    for value in whole {
        any |= value;
        small &= V::is_small(*value);
    }
    if any == 0 {
        Kind::Zero
    } else if small {
        Kind::Small(whole)
    } else {
        Kind::Odd
    }
}

#[inline(always)]
fn group(row: &Row, group: usize) -> &[i64; LANES] {
    row[group * LANES..].first_chunk().expect("a row is a multiple of eight")
}

/// `Σ_i weight_i·row_i`. Rows may be shorter: the rest is zero.
pub(crate) fn sum_rows<'r>(rows: impl Iterator<Item = (&'r [i64], Fr)>) -> [Fr; ROW] {
    #[cfg(target_arch = "x86_64")]
    if ifma::is_available() {
        return sum_rows_with::<Ifma>(rows);
    }
    sum_rows_with::<Portable>(rows)
}

/// `Σ_j weight_j·row(j)` of every row, as [`sum_rows`].
pub(crate) fn sums_within(rows: &[&[i64]], weights: &[Fr; ROW]) -> Vec<Fr> {
    #[cfg(target_arch = "x86_64")]
    if ifma::is_available() {
        return sums_within_with::<Ifma>(rows, weights);
    }
    sums_within_with::<Portable>(rows, weights)
}

/// `cell_i·factor`.
pub(crate) fn multiples(cells: &[i64], factor: &Fr) -> Vec<Fr> {
    #[cfg(target_arch = "x86_64")]
    if ifma::is_available() {
        return multiples_with::<Ifma>(cells, factor);
    }
    multiples_with::<Portable>(cells, factor)
}

fn multiples_with<V: Lanes>(cells: &[i64], factor: &Fr) -> Vec<Fr> {
    let mut result = vec![Fr::ZERO; cells.len()];
    let (whole, rest) = cells.as_chunks::<LANES>();
    let (small, bias) = (V::small(&-factor), [-*factor * integer(V::BIAS); LANES]);
    V::run(
        #[inline(always)]
        || {
            let bias = V::from_lanes(&bias);
            for (eight, result) in whole.iter().zip(result.chunks_exact_mut(LANES)) {
                let mut any = 0;
                let mut fits = true;
                for cell in eight {
                    any |= *cell;
                    fits &= V::is_small(*cell);
                }
                if !fits {
                    for (cell, result) in eight.iter().zip(result) {
                        *result = integer(*cell) * factor;
                    }
                } else if any != 0 {
                    result.copy_from_slice(&bias.minus_small(V::load_integers(eight), &small).to_lanes());
                }
            }
        },
    );
    for (cell, result) in rest.iter().zip(&mut result[whole.len() * LANES..]) {
        *result = integer(*cell) * factor;
    }
    result
}

fn sum_rows_with<'r, V: Lanes>(mut rows: impl Iterator<Item = (&'r [i64], Fr)>) -> [Fr; ROW] {
    let mut total = [Fr::ZERO; ROW];
    let mut batch: Vec<(&Row, V::Small)> = Vec::with_capacity(BATCH);
    let bias = integer(V::BIAS);
    let mut finished = false;
    while !finished {
        let mut sums = [V::run(
            #[inline(always)]
            || V::small_sum(),
        ); GROUPS];
        let (mut terms, mut weights) = (0, Fr::ZERO);
        while terms + BATCH <= SMALL_TERMS && !finished {
            batch.clear();
            while batch.len() < BATCH {
                let Some((row, weight)) = rows.next() else {
                    finished = true;
                    break;
                };
                match V::run(
                    #[inline(always)]
                    || kind::<V>(row),
                ) {
                    Kind::Zero => {}
                    Kind::Small(row) => {
                        weights += weight;
                        batch.push((row, V::small(&weight)));
                    }
                    Kind::Odd => {
                        for (total, cell) in total.iter_mut().zip(row) {
                            if *cell != 0 {
                                *total += integer(*cell) * weight;
                            }
                        }
                    }
                }
            }
            terms += batch.len();
            V::run(
                #[inline(always)]
                || add_batch::<V>(&mut sums, &batch),
            );
        }
        if terms == 0 {
            break;
        }
        let excess = bias * weights;
        for (total, sum) in total.chunks_exact_mut(LANES).zip(&sums) {
            let lanes = V::run(
                #[inline(always)]
                || V::reduce_small(*sum).to_lanes(),
            );
            for (total, lane) in total.iter_mut().zip(lanes) {
                *total += lane - excess;
            }
        }
    }
    total
}

/// Two groups at a time: a weight is spread over the lanes once for both.
#[inline(always)]
fn add_batch<V: Lanes>(sums: &mut [V::SmallSum; GROUPS], batch: &[(&Row, V::Small)]) {
    for index in (0..GROUPS).step_by(2) {
        let (mut left, mut right) = (sums[index], sums[index + 1]);
        for (row, weight) in batch {
            V::add_small(&mut left, V::load_integers(group(row, index)), weight);
            V::add_small(&mut right, V::load_integers(group(row, index + 1)), weight);
        }
        sums[index] = left;
        sums[index + 1] = right;
    }
}

fn sums_within_with<V: Lanes>(rows: &[&[i64]], weights: &[Fr; ROW]) -> Vec<Fr> {
    let small: Vec<V::Small> = weights.iter().map(V::small).collect();
    let excess = integer(V::BIAS) * weights.iter().sum::<Fr>();
    let mut result = vec![Fr::ZERO; rows.len()];
    let mut waiting: Vec<(usize, &Row)> = Vec::with_capacity(LANES);
    let zero = [0; ROW];
    let flush = |waiting: &mut Vec<(usize, &Row)>, result: &mut Vec<Fr>| {
        let mut eight = [&zero; LANES];
        for (slot, (_, row)) in eight.iter_mut().zip(waiting.iter()) {
            *slot = row;
        }
        let lanes = V::run(
            #[inline(always)]
            || dot_eight::<V>(&eight, &small),
        );
        for ((index, _), lane) in waiting.drain(..).zip(lanes) {
            result[index] = lane - excess;
        }
    };
    for (index, row) in rows.iter().enumerate() {
        match V::run(
            #[inline(always)]
            || kind::<V>(row),
        ) {
            Kind::Zero => {}
            Kind::Small(row) => {
                waiting.push((index, row));
                if waiting.len() == LANES {
                    flush(&mut waiting, &mut result);
                }
            }
            Kind::Odd => {
                result[index] = row.iter().zip(weights).filter(|(c, _)| **c != 0).map(|(c, w)| integer(*c) * w).sum();
            }
        }
    }
    if !waiting.is_empty() {
        flush(&mut waiting, &mut result);
    }
    result
}

#[inline(always)]
fn dot_eight<V: Lanes>(rows: &[&Row; LANES], weights: &[V::Small]) -> [Fr; LANES] {
    let mut sum = V::small_sum();
    for (index, weights) in weights.chunks_exact(LANES).enumerate() {
        let columns = V::integers([
            group(rows[0], index),
            group(rows[1], index),
            group(rows[2], index),
            group(rows[3], index),
            group(rows[4], index),
            group(rows[5], index),
            group(rows[6], index),
            group(rows[7], index),
        ]);
        for i in 0..LANES {
            V::add_small(&mut sum, columns[i], &weights[i]);
        }
    }
    V::reduce_small(sum).to_lanes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<V: Lanes>() {
        let weight = |seed: usize| (Fr::from(seed as u64 + 2)).invert().unwrap_or(Fr::ONE);
        for count in [0, 1, 7, 8, 9, 31, 33, SMALL_TERMS + 3] {
            let rows: Vec<Vec<i64>> = (0..count)
                .map(|row| {
                    let cell = |cell: usize| (row * 7919 + cell * 104_729) as i64 % 65_537 - 30_000;
                    match row % 9 {
                        3 => vec![0; ROW],
                        4 => (0..ROW - row % 5 * 20).map(cell).collect(),
                        5 => vec![i64::MIN + row as i64; ROW],
                        6 => Vec::new(),
                        _ => (0..ROW).map(cell).collect(),
                    }
                })
                .collect();
            let mut expected = [Fr::ZERO; ROW];
            for (i, row) in rows.iter().enumerate() {
                for (expected, cell) in expected.iter_mut().zip(row) {
                    *expected += integer(*cell) * weight(i);
                }
            }
            let weighted = rows.iter().enumerate().map(|(i, row)| (row.as_slice(), weight(i)));
            assert_eq!(sum_rows_with::<V>(weighted), expected);
            let weights: [Fr; ROW] = std::array::from_fn(weight);
            let slices: Vec<&[i64]> = rows.iter().map(Vec::as_slice).collect();
            let expected: Vec<Fr> =
                rows.iter().map(|row| row.iter().zip(&weights).map(|(c, w)| integer(*c) * w).sum()).collect();
            assert_eq!(sums_within_with::<V>(&slices, &weights), expected);
            let cells = rows.concat();
            let expected: Vec<Fr> = cells.iter().map(|cell| integer(*cell) * weight(5)).collect();
            assert_eq!(multiples_with::<V>(&cells, &weight(5)), expected);
        }
    }

    #[test]
    fn row_sums_equal_field_sums() {
        check::<Portable>();
        #[cfg(target_arch = "x86_64")]
        if ifma::is_available() {
            check::<Ifma>();
        }
    }
}
