//! Weighted sums over rows of small integers: of the rows, and within each row.

use lorica_cells::{Cell, Slice, typed};
use lorica_circuits::bn254::{Field, Fr};
use lorica_verifier::protocol::multilinear::integer;

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

/// A whole row of one width.
#[derive(Clone, Copy)]
enum Whole<'r> {
    I8(&'r [i8; ROW]),
    I16(&'r [i16; ROW]),
    U16(&'r [u16; ROW]),
    I32(&'r [i32; ROW]),
    I64(&'r [i64; ROW]),
}

impl<'r> Whole<'r> {
    #[inline(always)]
    fn new(row: Slice<'r>) -> Option<Self> {
        Some(match row {
            Slice::I8(row) => Self::I8(row.try_into().ok()?),
            Slice::I16(row) => Self::I16(row.try_into().ok()?),
            Slice::U16(row) => Self::U16(row.try_into().ok()?),
            Slice::I32(row) => Self::I32(row.try_into().ok()?),
            Slice::I64(row) => Self::I64(row.try_into().ok()?),
        })
    }
}

/// Runs an expression on the row in a [`Whole`], compiled once for each width.
macro_rules! whole {
    ($row:expr, |$own:ident| $body:expr) => {
        match $row {
            Whole::I8($own) => $body,
            Whole::I16($own) => $body,
            Whole::U16($own) => $body,
            Whole::I32($own) => $body,
            #[allow(clippy::useless_conversion, reason = "it is one for the other widths")]
            Whole::I64($own) => $body,
        }
    };
}

/// What a row is to the kernels.
enum Kind<'r> {
    Zero,
    Small(Whole<'r>),
    /// Shorter, or with integers that are not small.
    Odd,
}

#[inline(always)]
fn kind<V: Lanes>(row: Slice<'_>) -> Kind<'_> {
    let Some(row) = Whole::new(row) else { return Kind::Odd };
    let (zero, small) = V::run(
        #[inline(always)]
        || whole!(row, |own| judge::<V, _>(own)),
    );
    if zero {
        Kind::Zero
    } else if small {
        Kind::Small(row)
    } else {
        Kind::Odd
    }
}

/// Whether all integers are zero, and whether all are small.
#[inline(always)]
fn judge<V: Lanes, T: Cell>(row: &[T; ROW]) -> (bool, bool) {
    let mut any = T::default();
    for &cell in row {
        any = any | cell;
    }
    if T::WIDTH.bytes() < 8 {
        return (any == T::default(), true);
    }
    let mut small = true;
    for &cell in row {
        small &= V::is_small(cell.into());
    }
    (any == T::default(), small)
}

/// Eight integers of a row.
#[inline(always)]
fn load<V: Lanes>(row: &Whole<'_>, group: usize) -> V::Integers {
    whole!(row, |own| {
        let own = own[group * LANES..].first_chunk::<LANES>().expect("a row is a multiple of eight");
        let mut eight = [0; LANES];
        for (eight, &cell) in eight.iter_mut().zip(own) {
            *eight = cell.into();
        }
        V::load_integers(&eight)
    })
}

/// Copies a row, widened.
#[inline(always)]
fn widen<V: Lanes>(row: Whole<'_>, target: &mut Row) {
    V::run(
        #[inline(always)]
        || {
            whole!(row, |own| for (target, &cell) in target.iter_mut().zip(own) {
                *target = cell.into();
            })
        },
    );
}

#[inline(always)]
fn group(row: &Row, group: usize) -> &[i64; LANES] {
    row[group * LANES..].first_chunk().expect("a row is a multiple of eight")
}

/// `Σ_i weight_i·row_i`. Rows may be shorter: the rest is zero.
pub(crate) fn sum_rows<'r>(rows: impl Iterator<Item = (Slice<'r>, Fr)>) -> [Fr; ROW] {
    #[cfg(target_arch = "x86_64")]
    if ifma::is_available() {
        return sum_rows_with::<Ifma>(rows);
    }
    sum_rows_with::<Portable>(rows)
}

/// `Σ_j weight_j·row(j)` of every row, as [`sum_rows`].
pub(crate) fn sums_within(rows: &[Slice<'_>], weights: &[Fr; ROW]) -> Vec<Fr> {
    #[cfg(target_arch = "x86_64")]
    if ifma::is_available() {
        return sums_within_with::<Ifma>(rows, weights);
    }
    sums_within_with::<Portable>(rows, weights)
}

/// `cell_i·factor`.
pub(crate) fn multiples(cells: Slice<'_>, factor: &Fr) -> Vec<Fr> {
    #[cfg(target_arch = "x86_64")]
    if ifma::is_available() {
        return typed!(cells, |cells| multiples_with::<Ifma, _>(cells, factor));
    }
    typed!(cells, |cells| multiples_with::<Portable, _>(cells, factor))
}

fn multiples_with<V: Lanes, T: Cell>(cells: &[T], factor: &Fr) -> Vec<Fr> {
    let mut result = vec![Fr::ZERO; cells.len()];
    let (whole, rest) = cells.as_chunks::<LANES>();
    let (small, bias) = (V::small(&-factor), [-*factor * integer(V::BIAS); LANES]);
    V::run(
        #[inline(always)]
        || {
            let bias = V::from_lanes(&bias);
            for (eight, result) in whole.iter().zip(result.chunks_exact_mut(LANES)) {
                let eight: [i64; LANES] = eight.map(Into::into);
                let mut any = 0;
                let mut fits = true;
                for cell in &eight {
                    any |= *cell;
                    fits &= T::WIDTH.bytes() < 8 || V::is_small(*cell);
                }
                if !fits {
                    for (cell, result) in eight.iter().zip(result) {
                        *result = integer(*cell) * factor;
                    }
                } else if any != 0 {
                    result.copy_from_slice(&bias.minus_small(V::load_integers(&eight), &small).to_lanes());
                }
            }
        },
    );
    for (cell, result) in rest.iter().zip(&mut result[whole.len() * LANES..]) {
        *result = integer((*cell).into()) * factor;
    }
    result
}

fn sum_rows_with<'r, V: Lanes>(mut rows: impl Iterator<Item = (Slice<'r>, Fr)>) -> [Fr; ROW] {
    let mut total = [Fr::ZERO; ROW];
    let mut batch: Vec<(Whole<'r>, V::Small)> = Vec::with_capacity(BATCH);
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
                match kind::<V>(row) {
                    Kind::Zero => {}
                    Kind::Small(row) => {
                        weights += weight;
                        batch.push((row, V::small(&weight)));
                    }
                    Kind::Odd => {
                        for (total, cell) in total.iter_mut().zip(row.to_vec()) {
                            if cell != 0 {
                                *total += integer(cell) * weight;
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
fn add_batch<V: Lanes>(sums: &mut [V::SmallSum; GROUPS], batch: &[(Whole<'_>, V::Small)]) {
    for index in (0..GROUPS).step_by(2) {
        let (mut left, mut right) = (sums[index], sums[index + 1]);
        for (row, weight) in batch {
            V::add_small(&mut left, load::<V>(row, index), weight);
            V::add_small(&mut right, load::<V>(row, index + 1), weight);
        }
        sums[index] = left;
        sums[index + 1] = right;
    }
}

fn sums_within_with<V: Lanes>(rows: &[Slice<'_>], weights: &[Fr; ROW]) -> Vec<Fr> {
    let small: Vec<V::Small> = weights.iter().map(V::small).collect();
    let excess = integer(V::BIAS) * weights.iter().sum::<Fr>();
    let mut result = vec![Fr::ZERO; rows.len()];
    // Rows that wait until there are eight; the places behind them hold zeros or rows that are done.
    let mut eight = [[0; ROW]; LANES];
    let mut waiting: Vec<usize> = Vec::with_capacity(LANES);
    let flush = |waiting: &mut Vec<usize>, eight: &[Row; LANES], result: &mut Vec<Fr>| {
        let lanes = V::run(
            #[inline(always)]
            || dot_eight::<V>(eight, &small),
        );
        for (index, lane) in waiting.drain(..).zip(lanes) {
            result[index] = lane - excess;
        }
    };
    for (index, row) in rows.iter().enumerate() {
        match kind::<V>(*row) {
            Kind::Zero => {}
            Kind::Small(row) => {
                widen::<V>(row, &mut eight[waiting.len()]);
                waiting.push(index);
                if waiting.len() == LANES {
                    flush(&mut waiting, &eight, &mut result);
                }
            }
            Kind::Odd => {
                let terms = row.to_vec().into_iter().zip(weights).filter(|(c, _)| *c != 0);
                result[index] = terms.map(|(c, w)| integer(c) * w).sum();
            }
        }
    }
    if !waiting.is_empty() {
        flush(&mut waiting, &eight, &mut result);
    }
    result
}

#[inline(always)]
fn dot_eight<V: Lanes>(rows: &[Row; LANES], weights: &[V::Small]) -> [Fr; LANES] {
    let mut sum = V::small_sum();
    for (index, weights) in weights.chunks_exact(LANES).enumerate() {
        let columns = V::integers([
            group(&rows[0], index),
            group(&rows[1], index),
            group(&rows[2], index),
            group(&rows[3], index),
            group(&rows[4], index),
            group(&rows[5], index),
            group(&rows[6], index),
            group(&rows[7], index),
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
    use lorica_cells::Cells;

    fn check<V: Lanes>() {
        let weight = |seed: usize| (Fr::from(seed as u64 + 2)).invert().unwrap_or(Fr::ONE);
        for count in [0, 1, 7, 8, 9, 31, 33, SMALL_TERMS + 3] {
            let wide: Vec<Vec<i64>> = (0..count)
                .map(|row| {
                    let cell = |cell: usize| (row * 7919 + cell * 104_729) as i64 % 65_537 - 30_000;
                    match row % 9 {
                        3 => vec![0; ROW],
                        4 => (0..ROW - row % 5 * 20).map(cell).collect(),
                        5 => vec![i64::MIN + row as i64; ROW],
                        6 => Vec::new(),
                        7 => (0..ROW).map(|at| cell(at) % 128).collect(),
                        8 => (0..ROW).map(|at| if at % 2 == 0 { 65_535 } else { at as i64 }).collect(),
                        2 => (0..ROW).map(|at| i64::from(if at % 2 == 0 { i32::MIN } else { i32::MAX })).collect(),
                        1 => (0..ROW).map(|at| ((1 << 40) - 1) * (at as i64 % 3 - 1)).collect(),
                        _ => (0..ROW).map(|at| cell(at) / 2).collect(),
                    }
                })
                .collect();
            // Of every width.
            let rows: Vec<Cells> = wide.iter().map(|row| Cells::narrowest(row)).collect();
            let mut expected = [Fr::ZERO; ROW];
            for (i, row) in wide.iter().enumerate() {
                for (expected, cell) in expected.iter_mut().zip(row) {
                    *expected += integer(*cell) * weight(i);
                }
            }
            let slices: Vec<Slice<'_>> = rows.iter().map(Cells::as_slice).collect();
            let weighted = slices.iter().enumerate().map(|(i, row)| (*row, weight(i)));
            assert_eq!(sum_rows_with::<V>(weighted), expected);
            let weights: [Fr; ROW] = std::array::from_fn(weight);
            let expected: Vec<Fr> =
                wide.iter().map(|row| row.iter().zip(&weights).map(|(c, w)| integer(*c) * w).sum()).collect();
            assert_eq!(sums_within_with::<V>(&slices, &weights), expected);
            for cells in rows.iter().chain([&wide.concat().into()]) {
                let expected: Vec<Fr> = cells.to_vec().iter().map(|cell| integer(*cell) * weight(5)).collect();
                assert_eq!(typed!(cells.as_slice(), |cells| multiples_with::<V, _>(cells, &weight(5))), expected);
            }
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
