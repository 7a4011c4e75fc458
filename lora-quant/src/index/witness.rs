//! From an index and a trace to the columns by which an attribution is proven.

use std::collections::BTreeMap;

use lorica_cells::{Cells, Columns};
use lorica_circuits::column::{Column, Lookup, Table};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::{Architecture, columns as c};
use lorica_circuits::region::Region;
use lorica_circuits::shape::{CONTRIBUTORS, LABELS, PLACES, Shape};
use rayon::prelude::*;

use super::{FEATURE_EXPONENT, IndexCells, Shares};

const UNIT: i64 = 1 << 16;

/// Columns of the index region with room for `records`; records beyond the index' count are zero.
///
/// # Errors
/// If the index is one of another width, or has more records.
pub fn region(index: &IndexCells, architecture: &Architecture, records: usize) -> Result<Columns, CircuitError> {
    if index.hidden_size != architecture.hidden {
        return Err(CircuitError::Statement { what: "channels of an index", got: index.hidden_size });
    }
    if index.count > records || index.validate().is_err() {
        return Err(CircuitError::Statement { what: "records of an index", got: index.count });
    }
    let (hidden, block) = (architecture.hidden, architecture.block);
    let blocks = hidden / block;
    let mut features = vec![0; hidden * records];
    for (at, target) in features.chunks_exact_mut(records * block).enumerate() {
        for (record, target) in target.chunks_exact_mut(block).enumerate().take(index.count) {
            target.iter_mut().zip(&index.row(record)[at * block..]).for_each(|(t, h)| *t = i64::from(*h));
        }
    }
    let mut classes = vec![0; LABELS * records];
    for (record, class) in index.classes.iter().enumerate() {
        for (label, weight) in class.iter().enumerate() {
            classes[label * records + record] = i64::from(*weight);
        }
    }
    let mut slots: Vec<i64> = index.slots.iter().map(|slot| i64::from(*slot)).collect();
    slots.resize(records, 0);
    let mut whitening = Vec::with_capacity(hidden * hidden);
    for (out, own_in) in (0..blocks).flat_map(|out| (0..blocks).map(move |own_in| (out, own_in))) {
        for row in index.inverse.chunks_exact(hidden).skip(out * block).take(block) {
            whitening.extend(row[own_in * block..(own_in + 1) * block].iter().map(|g| i64::from(*g)));
        }
    }
    let all = [
        (c::INDEX_FEATURE, features),
        (c::INDEX_CLASS, classes),
        (c::INDEX_SLOT, slots),
        (c::INDEX_WHITENING, whitening),
        (c::INDEX_BIAS, index.bias.iter().map(|g| i64::from(*g)).collect()),
        (c::INDEX_CORNER, vec![i64::from(index.corner)]),
    ];
    Ok(all.into_iter().map(|(column, values)| (column, Cells::narrowest(&values))).collect())
}

/// One request's integers.
struct Attributed {
    columns: BTreeMap<Column, Vec<i64>>,
    shares: Shares,
}

/// Adds the columns of an attribution to those of a batch of classifications, and their lookups to its multiplicities.
/// `attributed` has each request's label, if it attributes; requests beyond the given ones repeat the first.
///
/// # Errors
/// If the columns are of another batch.
pub fn attribute(
    index: &IndexCells,
    architecture: &Architecture,
    shape: &Shape,
    attributed: &[Option<usize>],
    columns: &mut Columns,
) -> Result<Vec<Shares>, CircuitError> {
    let missing = |column: Column| CircuitError::Compile { what: format!("column {column:?} is missing") };
    if attributed.is_empty() || attributed.len() > shape.requests || shape.records == 0 {
        return Err(CircuitError::Statement { what: "requests that attribute", got: attributed.len() });
    }
    let pooled = columns.get(c::POOLED).ok_or_else(|| missing(c::POOLED))?.clone();
    let pooled = pooled.to_vec();
    let block = architecture.block;
    let own: Vec<Attributed> = attributed
        .iter()
        .enumerate()
        .map(|(request, label)| {
            let pooled: Vec<i64> = pooled
                .chunks_exact(shape.requests * block)
                .flat_map(|cells| cells[request * block..(request + 1) * block].iter().copied())
                .collect();
            request_columns(index, shape, &pooled, *label)
        })
        .collect();
    let of = |request: usize| own.get(request).or(own.first()).expect("there is a first request");

    let specs = c::columns(architecture, shape);
    let mut counts = vec![0i64; 1 << 16];
    for spec in specs.iter().filter(|spec| spec.region == Region::WITNESS) {
        let column = spec.column;
        let values = if column == c::CONTRIBUTOR_NUMBER {
            (0..CONTRIBUTORS as i64).collect()
        } else if of(0).columns.contains_key(&column) {
            // The request is the first low axis of each.
            let cells = 1usize << (spec.block_bits() - shape.request_bits());
            let mut values = Vec::with_capacity(spec.len());
            for block in 0..spec.blocks() {
                for request in 0..shape.requests {
                    values.extend_from_slice(&of(request).columns[&column][block * cells..(block + 1) * cells]);
                }
            }
            values
        } else {
            continue;
        };
        if let Lookup::Key { table, .. } = spec.lookup {
            debug_assert_eq!(table, Table::RANGE16);
            let offset = spec.lookup.offset();
            for value in &values {
                let key = usize::try_from(value + offset).ok().and_then(|key| counts.get_mut(key));
                *key.ok_or(CircuitError::Compile { what: format!("{column:?}: {value} is out of range") })? += 1;
            }
        }
        columns.insert(column, Cells::narrowest(&values));
    }
    if columns.get(c::MULT_RANGE16).is_none() {
        return Err(missing(c::MULT_RANGE16));
    }
    columns.edit(c::MULT_RANGE16, |cells| cells.iter_mut().zip(&counts).for_each(|(cell, own)| *cell += own));
    Ok(own.into_iter().map(|own| own.shares).collect())
}

fn limbs(values: &[i128], count: usize) -> Vec<i64> {
    let limb = |value: &i128, i: usize| i64::try_from((value >> (16 * i)) & 0xffff).unwrap_or(0);
    (0..count).flat_map(|i| values.iter().map(move |value| limb(value, i))).collect()
}

/// All columns of one request, each as its blocks of that request's cells.
fn request_columns(index: &IndexCells, shape: &Shape, pooled: &[i64], label: Option<usize>) -> Attributed {
    let hidden = index.hidden_size;
    // y, with its remainders: floor((Σ + 2^15)/2^16).
    let rows = index.inverse.chunks_exact(hidden).zip(&index.bias);
    let rows = rows.chain(std::iter::once((index.bias.as_slice(), &index.corner)));
    let sums: Vec<i64> = rows
        .map(|(row, constant)| {
            let sum: i64 = row.iter().zip(pooled).map(|(g, h)| i64::from(*g) * h).sum();
            sum + (i64::from(*constant) << FEATURE_EXPONENT) + (1 << 15)
        })
        .collect();
    let low = |values: &[i64]| values.iter().map(|value| value.rem_euclid(UNIT)).collect::<Vec<_>>();
    let high = |values: &[i64]| values.iter().map(|value| value.div_euclid(UNIT)).collect::<Vec<_>>();
    let y = high(&sums);
    let ((y, y_constant), (sums, sums_constant)) = (y.split_at(hidden), sums.split_at(hidden));

    // a, |a| and s; rows beyond the index' are zero.
    let constant = y_constant.first().copied().unwrap_or(0) << FEATURE_EXPONENT;
    let doubled: Vec<i64> = (0..shape.records)
        .into_par_iter()
        .with_min_len(64)
        .map(|record| {
            let row = if record < index.count { index.row(record) } else { &[] };
            2 * (row.iter().zip(y).map(|(h, y)| i64::from(*h) * y).sum::<i64>() + constant)
        })
        .collect();
    let influence: Vec<i64> = high(&doubled);
    let sizes: Vec<i128> = influence.iter().map(|a| i128::from(a.unsigned_abs())).collect();
    let class = |record: usize| match (label, index.classes.get(record)) {
        (Some(label), Some(class)) => i64::from(class[label]),
        _ => 0,
    };
    let scores: Vec<i64> = influence.iter().enumerate().map(|(record, a)| class(record) * (*a).max(0)).collect();

    // Sums by contributor, and the list of the largest.
    let own: Vec<u64> = scores.iter().take(index.count).map(|score| score.unsigned_abs()).collect();
    let shares = index.shares(&own);
    let mut by_slot = vec![0i64; CONTRIBUTORS];
    for (slot, score) in index.slots.iter().zip(&scores) {
        by_slot[usize::from(*slot)] += score;
    }
    let total: i128 = by_slot.iter().map(|sum| i128::from(*sum)).sum();
    let places: Vec<usize> = shares.entries.iter().map(|entry| usize::from(entry.slot)).collect();
    let mut chosen = vec![0i64; CONTRIBUTORS];
    places.iter().for_each(|slot| chosen[*slot] += 1);
    let key = |slot: usize| (i128::from(by_slot[slot]) << 10) - slot as i128;
    let last = places.iter().copied().min_by_key(|slot| key(*slot)).unwrap_or(0);
    let threshold = key(last);
    let slack: Vec<i128> = (0..CONTRIBUTORS)
        .map(|slot| if chosen[slot] == 1 { key(slot) - threshold } else { threshold - 1 - key(slot) })
        .collect();
    let slack_limbs = chosen_limbs(&slack);

    let parts: Vec<i64> = shares.entries.iter().map(|entry| i64::from(entry.share)).collect();
    let remainders: Vec<i128> = places
        .iter()
        .zip(&parts)
        .map(|(slot, share)| (i128::from(by_slot[*slot]) << 16) - i128::from(*share) * (total + 1))
        .collect();
    let rests: Vec<i128> = remainders.iter().map(|remainder| total - remainder).collect();
    let gaps = |at: usize| places.get(at + 1).map_or(0, |next| next - places[at] - 1) as i64;
    let slots: Vec<i64> = places.iter().map(|slot| *slot as i64).collect();

    let columns = BTreeMap::from([
        (c::QUERY_LOW, low(y)),
        (c::QUERY_HIGH, high(y)),
        (c::QUERY_REMAINDER, low(sums)),
        (c::QUERY_BIAS_LOW, low(y_constant)),
        (c::QUERY_BIAS_HIGH, high(y_constant)),
        (c::QUERY_BIAS_REMAINDER, low(sums_constant)),
        (c::INFLUENCE, influence),
        (c::INFLUENCE_REMAINDER, low(&doubled)),
        (c::INFLUENCE_SIZE, limbs(&sizes, c::SIZE_LIMBS)),
        (c::SCORE, scores),
        (c::CHOSEN, chosen),
        (c::CHOSEN_SLACK, slack_limbs),
        (c::THRESHOLD_SUM, vec![by_slot[last]]),
        (c::THRESHOLD_SLOT, vec![last as i64]),
        (c::PLACE_SUM, places.iter().map(|slot| by_slot[*slot]).collect()),
        (c::SUM, by_slot),
        (c::PLACE_SLOT, slots),
        (c::PLACE_GAP, (0..PLACES).map(gaps).collect()),
        (c::SHARE, parts),
        (c::SHARE_REMAINDER, limbs(&remainders, c::SHARE_LIMBS)),
        (c::SHARE_SLACK, limbs(&rests, c::SHARE_LIMBS)),
    ]);
    Attributed { columns, shares }
}

/// Limbs with the weights of [`c::chosen_limb_bits`]: what is above 2^48 is split between the last two.
fn chosen_limbs(values: &[i128]) -> Vec<i64> {
    let mut all = limbs(values, c::CHOSEN_LIMBS - 2);
    let above = |value: &i128| value >> 48;
    all.extend(values.iter().map(|value| i64::try_from(above(value).min(0xffff)).unwrap_or(0)));
    all.extend(values.iter().map(|value| i64::try_from((above(value) - 0xffff).max(0)).unwrap_or(0)));
    all
}
