//! The prover of the reduction of all claims to one point of the address space.
//!
//! `Σ_claims μ^i·⟨w_i, T⟩` over the small integers T of the address space, in two passes: the integers are never expanded to
//! field elements. An address is (hi, lo) with [`LOW`] bits in lo. Every weight is a sum of **atoms** `u(hi)·v(lo)`:
//!
//! 1. per atom, `g(lo) = Σ_hi u(hi)·T(hi, lo)` by small multiply-accumulate; then LOW rounds of sumcheck over
//!    `Σ_atoms Σ_lo v(lo)·g(lo)`;
//! 2. `T'(hi) = Σ_lo eq(ρ_lo, lo)·T(hi, lo)` and `W'(hi) = Σ_atoms v(ρ_lo)·u(hi)`; then the other rounds on these.

use std::sync::Arc;

use rayon::prelude::*;

use lorica_cells::Slice;
use lorica_cells::watch::Watch;
use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::error::CircuitError;
use lorica_circuits::form::{Form, FormTerm, LowWeight};
use lorica_circuits::layout::Layout;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::multilinear::{AddressPoint, eq_table, integer, packed_table};
use lorica_verifier::protocol::transcript::Transcript;
use lorica_verifier::protocol::weight::{LeafTerm, Points};

use crate::error::ProveError;
use crate::lanes::SMALL_TERMS;
use crate::multilinear::eq_low_first;
use crate::operand::{Reader, gathered_bits, gathers, is_gather, tokens_of};
use crate::row_sums::{ROW, sum_rows, sums_within};

/// Bits of lo: those of a channel block of 128, so that masks do not lie across the split there.
pub(crate) const LOW: usize = ROW.trailing_zeros() as usize;
/// Rows whose partial evaluations are one task.
const ROWS_AT_ONCE: usize = 256;

/// `coefficient·u(hi)·v(lo)`.
struct Atom {
    coefficient: Fr,
    high: Vec<(usize, Fr)>,
    low: Arc<Vec<Fr>>,
}

/// A vector over the low cells of a block as a product of vectors, most significant first.
struct Tensor(Vec<Vec<Fr>>);

impl Tensor {
    /// The vector of a block that is smaller than a row.
    fn product(self) -> Vec<Fr> {
        let ones = vec![Fr::ONE];
        self.0.into_iter().fold(ones, |all, own| all.iter().flat_map(|u| own.iter().map(move |l| *u * l)).collect())
    }
    /// Splits into vectors over the bits from LOW up and ones over those below: one pair, unless a vector lies across the
    /// split and is no product of its halves (the mask of a length, where blocks of channels are smaller than a row).
    fn split(self) -> Vec<(Vec<Fr>, Vec<Fr>)> {
        let mut low = vec![Fr::ONE];
        let mut pieces = Vec::new();
        let product = |upper: &[Fr], lower: &[Fr]| -> Vec<Fr> {
            upper.iter().flat_map(|u| lower.iter().map(move |l| *u * l)).collect()
        };
        for own in self.0.into_iter().rev() {
            let room = (1usize << LOW) / low.len();
            if pieces.is_empty() && room == 1 {
                pieces.push((vec![Fr::ONE], low.clone()));
            }
            if !pieces.is_empty() {
                for (high, _) in &mut pieces {
                    *high = product(&own, high);
                }
            } else if own.len() <= room {
                low = product(&own, &low);
            } else if let Some((upper, lower)) = split_product(&own, room) {
                pieces.push((upper, product(&lower, &low)));
            } else {
                for l in 0..room {
                    let mut lower = vec![Fr::ZERO; room];
                    lower[l] = Fr::ONE;
                    pieces.push((own.iter().skip(l).step_by(room).copied().collect(), product(&lower, &low)));
                }
            }
        }
        if pieces.is_empty() {
            pieces.push((vec![Fr::ONE], low));
        }
        pieces
    }
}

/// Writes `own[h·room + l]` as `upper[h]·lower[l]` if that can be: it holds for `eq` tables and constant ones.
fn split_product(own: &[Fr], room: usize) -> Option<(Vec<Fr>, Vec<Fr>)> {
    let pivot = own.iter().position(|v| !bool::from(v.is_zero()))?;
    let inverse = Option::<Fr>::from(own[pivot].invert())?;
    let upper: Vec<Fr> = own.iter().skip(pivot % room).step_by(room).map(|u| *u * inverse).collect();
    let lower = own[pivot / room * room..][..room].to_vec();
    let holds = upper.iter().zip(own.chunks(room)).all(|(u, row)| row.iter().zip(&lower).all(|(v, l)| *u * l == *v));
    holds.then_some((upper, lower))
}

/// A claim to be reduced.
pub(crate) enum OpenClaim<'r> {
    Form(&'r Form, Points<'r, Fr>),
    Leaves(Vec<LeafTerm<Fr>>),
}

/// Adds the atoms of blocks that share one low tensor.
fn push_blocks(atoms: &mut Vec<Atom>, coefficient: Fr, blocks: &[(u64, Fr)], bits: usize, tensor: Tensor) {
    if bits >= LOW {
        for (within, low) in tensor.split() {
            let mut high = Vec::with_capacity(blocks.len() * within.len());
            for (address, weight) in blocks {
                let start = (address >> LOW) as usize;
                for (i, w) in within.iter().enumerate() {
                    if !bool::from(w.is_zero()) {
                        high.push((start + i, *w * weight));
                    }
                }
            }
            atoms.push(Atom { coefficient, high, low: Arc::new(low) });
        }
        return;
    }
    // Small blocks: one atom for each offset within lo.
    let low = tensor.product();
    let lanes = 1u64 << LOW;
    for offset in (0..lanes).step_by(1 << bits) {
        let high: Vec<(usize, Fr)> = blocks
            .iter()
            .filter(|(address, _)| address % lanes == offset)
            .map(|(address, weight)| ((address >> LOW) as usize, *weight))
            .collect();
        if high.is_empty() {
            continue;
        }
        let mut shifted = vec![Fr::ZERO; 1 << LOW];
        for (slot, value) in shifted.iter_mut().skip(offset as usize).zip(&low) {
            *slot = *value;
        }
        atoms.push(Atom { coefficient, high, low: Arc::new(shifted) });
    }
}

fn leaf_atoms(
    layout: &Layout,
    terms: &[LeafTerm<Fr>],
    point: &[Fr],
    combine: Fr,
    atoms: &mut Vec<Atom>,
) -> Result<(), CircuitError> {
    let mut leaves = AddressPoint::new(point.to_vec());
    for term in terms {
        let (own, keys) = (layout.placement(term.column)?, layout.placement(term.at)?);
        let bits = own.spec.block_bits() as usize;
        let start = layout.region_start(own.spec.region, 0);
        let part = (term.part * own.spec.len()) as u64;
        // Blocks are few: a table of all would be as long as the leaves where a block is a single cell.
        let block =
            |i: usize| (start + own.start(i), leaves.eq_high(&mut Native, bits, (keys.leaf_start(i) + part) >> bits));
        let blocks: Vec<(u64, Fr)> = (0..own.spec.blocks()).map(block).collect();
        let tensor = Tensor(point[..bits].iter().rev().map(|c| vec![Fr::ONE - c, *c]).collect());
        push_blocks(atoms, combine * term.coefficient, &blocks, bits, tensor);
    }
    Ok(())
}

fn form_atoms(
    reader: &Reader<'_>,
    term: &FormTerm,
    points: &Points<'_, Fr>,
    combine: Fr,
    atoms: &mut Vec<Atom>,
) -> Result<(), CircuitError> {
    let layout = reader.layout;
    let placement = layout.placement(term.column)?;
    let spec = &placement.spec;
    let bits = spec.block_bits() as usize;
    let table = |axis: Axis| -> Result<Vec<Fr>, CircuitError> { Ok(eq_table(&mut Native, &points.get(axis)?)) };
    let mut coefficient = reader.coefficient(term.coefficient)? * combine;
    for factor in &term.factors {
        let own = table(factor.axis)?;
        let mut sum = Fr::ZERO;
        for (index, c) in &factor.entries {
            sum += own[*index] * reader.coefficient(*c)?;
        }
        coefficient *= sum;
    }
    // Blocks: (index, weight) by digits, then per request for adapters.
    let mut partial = vec![(0usize, Fr::ONE)];
    for (weight, &(_, count)) in term.digits.iter().zip(&spec.digits) {
        let own = weight.axis.map(table).transpose()?;
        let mut choices = Vec::new();
        for entry in &weight.entries {
            let value = own.as_ref().map_or(Fr::ONE, |t| t[entry.point]);
            choices.push((entry.digit, value * reader.coefficient(entry.coefficient)?));
        }
        partial = partial
            .iter()
            .flat_map(|&(index, w)| choices.iter().map(move |&(digit, c)| (index * count + digit, w * c)))
            .collect();
    }
    let requests = if layout.copies(spec.region) > 1 { table(Axis::REQUEST)? } else { vec![Fr::ONE] };
    let mut blocks = Vec::new();
    for (m, request) in requests.iter().enumerate() {
        let start = layout.region_start(spec.region, m);
        blocks.extend(partial.iter().map(|&(index, w)| (start + placement.start(index), w * request)));
    }

    // Gathered rows: blocks of the axes behind the gathered one, one for each (request, token), or request, and for each index of
    // the axes before it.
    if let Some(gather) = gathers(term) {
        let (above, row_bits) = gathered_bits(term, spec);
        let at = term.lows.iter().position(is_gather).unwrap_or(term.lows.len());
        let vectors = |lows: core::ops::Range<usize>| -> Result<Vec<Vec<Fr>>, CircuitError> {
            lows.map(|i| match term.lows[i] {
                LowWeight::Axis(axis) => table(axis),
                _ => Ok(vec![Fr::ONE; 1 << spec.lows[i].1]),
            })
            .collect()
        };
        let own = vectors(at + 1..term.lows.len())?;
        let others = Tensor(vectors(0..at)?).product();
        let stride = placement.spec.block_bits() - above;
        let requests = table(Axis::REQUEST)?;
        let tokens = if tokens_of(gather, &layout.shape) == 1 { vec![Fr::ONE] } else { table(Axis::TOKEN)? };
        let mut rows = Vec::new();
        for (address, weight) in &blocks {
            for (m, r) in requests.iter().enumerate() {
                for (t, token) in tokens.iter().enumerate() {
                    let Some(row) = reader.gathered_row(gather, m, t) else { continue };
                    let (first, weight) = (address + ((row as u64) << row_bits), *weight * r * token);
                    rows.extend(others.iter().enumerate().map(|(i, w)| (first + ((i as u64) << stride), weight * w)));
                }
            }
        }
        push_blocks(atoms, coefficient, &rows, row_bits as usize, Tensor(own));
        return Ok(());
    }

    // A mask couples requests and indices: one tensor per request.
    let mask = term.lows.iter().find(|l| matches!(l, LowWeight::Masked | LowWeight::Unmasked(_)));
    let cases: Vec<Option<usize>> =
        if mask.is_some() { (0..layout.shape.requests).map(Some).collect() } else { vec![None] };
    for request in cases {
        let mut vectors = Vec::new();
        for (weight, &(axis, axis_bits)) in term.lows.iter().zip(&spec.lows) {
            let size = 1usize << axis_bits;
            let length = request.map_or(0, |m| reader.texts[m].length);
            vectors.push(match weight {
                LowWeight::Axis(own) => {
                    let mut vector = table(*own)?;
                    if let (Axis::REQUEST, Some(m)) = (axis, request) {
                        for (i, value) in vector.iter_mut().enumerate() {
                            if i != m {
                                *value = Fr::ZERO;
                            }
                        }
                    }
                    vector
                }
                LowWeight::Masked => (0..size).map(|i| if i < length { Fr::ONE } else { Fr::ZERO }).collect(),
                LowWeight::Unmasked(own) => {
                    table(*own)?.into_iter().enumerate().map(|(i, v)| if i < length { Fr::ZERO } else { v }).collect()
                }
                LowWeight::Packed(own) => packed_table(&points.get(*own)?),
                LowWeight::Beyond(own) => reader.beyond(table(*own)?),
                LowWeight::First => (0..size).map(|i| if i == 0 { Fr::ONE } else { Fr::ZERO }).collect(),
                _ => vec![Fr::ONE; size],
            });
        }
        push_blocks(atoms, coefficient, &blocks, bits, Tensor(vectors));
    }
    Ok(())
}

/// The atoms of one claim, combined with weight `power`.
fn claim_atoms(
    reader: &Reader<'_>,
    claim: &OpenClaim<'_>,
    leaf_point: &[Fr],
    power: Fr,
    atoms: &mut Vec<Atom>,
) -> Result<(), CircuitError> {
    match claim {
        OpenClaim::Form(form, points) => {
            form.terms.iter().try_for_each(|term| form_atoms(reader, term, points, power, atoms))
        }
        OpenClaim::Leaves(terms) => leaf_atoms(reader.layout, terms, leaf_point, power, atoms),
    }
}

/// A claim's value on the committed cells, and its weight polynomial at an address point (lowest bit first): what the
/// prover reduces, to be held against the claimed value and the verifier's weight in tests.
pub(crate) fn inspect_claim(
    reader: &Reader<'_>,
    claim: &OpenClaim<'_>,
    leaf_point: &[Fr],
    rho: &[Fr],
) -> Result<(Fr, Fr), CircuitError> {
    let mut atoms = Vec::new();
    claim_atoms(reader, claim, leaf_point, Fr::ONE, &mut atoms)?;
    let (low, high) = (eq_low_first(&rho[..LOW]), eq_low_first(&rho[LOW..]));
    let (mut value, mut weight) = (Fr::ZERO, Fr::ZERO);
    for atom in &atoms {
        let at: Fr = atom.low.iter().zip(&low).map(|(v, e)| *v * e).sum();
        for (hi, u) in &atom.high {
            let cells = row(reader, *hi).to_vec();
            let sum: Fr = cells.iter().zip(atom.low.iter()).map(|(c, v)| integer(*c) * v).sum();
            value += atom.coefficient * u * sum;
            weight += atom.coefficient * u * at * high[*hi];
        }
    }
    Ok((value, weight))
}

/// What the reduction leaves: messages, and the tile-inner and tile coordinates of ρ, lowest bit first.
pub(crate) struct Reduced {
    pub(crate) messages: Vec<[Fr; 2]>,
    pub(crate) point: Vec<Fr>,
}

/// A row of 2^LOW cells of the address space, if it is not all zero by absence.
fn row<'c>(reader: &Reader<'c>, hi: usize) -> Slice<'c> {
    let layout = reader.layout;
    let tile = hi >> (layout.shape.log_tile as usize - LOW);
    for &(region, _, tiles) in layout.regions() {
        if let Some(index) = tile.checked_sub(tiles.first)
            && index < tiles.count * layout.copies(region)
        {
            let copy = index / tiles.count;
            let first = layout.region_start(region, copy) as usize >> LOW;
            return reader.cells.region(region, copy).map_or(Slice::EMPTY, |cells| cells.row(hi - first));
        }
    }
    Slice::EMPTY
}

fn fold_pairs(values: &[Fr], challenge: &Fr) -> Vec<Fr> {
    values.par_chunks(2).with_min_len(1 << 11).map(|pair| pair[0] + (pair[1] - pair[0]) * challenge).collect()
}

/// Absorbs a round polynomial given by its value at 0 and its leading coefficient.
fn round(transcript: &mut Transcript<Native>, messages: &mut Vec<[Fr; 2]>, message: [Fr; 2]) -> Fr {
    let a = &mut Native;
    transcript.absorb(a, "reduction round", &message[0]);
    transcript.absorb(a, "reduction round", &message[1]);
    messages.push(message);
    transcript.challenge(a, "reduction round")
}

/// Reduces the claims; `mask` are the opening mask's coefficients, which no claim reads.
pub(crate) fn reduce(
    transcript: &mut Transcript<Native>,
    reader: &Reader<'_>,
    claims: &[OpenClaim<'_>],
    combine: &[Fr],
    leaf_point: &[Fr],
    mask: &[(usize, Fr)],
    watch: &dyn Watch,
) -> Result<Reduced, ProveError> {
    let layout = reader.layout;
    let mut atoms = Vec::new();
    for (claim, power) in claims.iter().zip(combine) {
        claim_atoms(reader, claim, leaf_point, *power, &mut atoms)?;
    }
    watch.check()?;
    // Pass 1.
    let mut partial: Vec<(Vec<Fr>, Vec<Fr>)> = atoms
        .par_iter()
        .map(|atom| {
            if watch.is_cancelled() {
                return (vec![Fr::ZERO; ROW], atom.low.to_vec());
            }
            let sums = atom
                .high
                .par_chunks(SMALL_TERMS)
                .map(|chunk| sum_rows(chunk.iter().map(|(hi, weight)| (row(reader, *hi), *weight))))
                .reduce(
                    || [Fr::ZERO; ROW],
                    |mut left, right| {
                        left.iter_mut().zip(right).for_each(|(l, r)| *l += r);
                        left
                    },
                );
            (sums.into_iter().map(|s| s * atom.coefficient).collect(), atom.low.to_vec())
        })
        .collect();
    let mut messages = Vec::new();
    let mut point = Vec::new();
    for _ in 0..LOW {
        watch.check()?;
        let mut message = [Fr::ZERO; 2];
        for (g, v) in &partial {
            for (g, v) in g.chunks(2).zip(v.chunks(2)) {
                message[0] += g[0] * v[0];
                message[1] += (g[1] - g[0]) * (v[1] - v[0]);
            }
        }
        let challenge = round(transcript, &mut messages, message);
        point.push(challenge);
        partial.par_iter_mut().for_each(|(g, v)| {
            *g = fold_pairs(g, &challenge);
            *v = fold_pairs(v, &challenge);
        });
    }
    // Pass 2.
    let eq: Vec<Fr> = eq_low_first(&point);
    let within: [Fr; ROW] = std::array::from_fn(|lo| eq[lo]);
    let high_bits = layout.address_bits() as usize - LOW;
    let batches = (1usize << high_bits).div_ceil(ROWS_AT_ONCE);
    let mut values: Vec<Fr> = (0..batches)
        .into_par_iter()
        .flat_map_iter(|batch| {
            let end = ((batch + 1) * ROWS_AT_ONCE).min(1 << high_bits);
            let rows: Vec<Slice<'_>> = (batch * ROWS_AT_ONCE..end).map(|hi| row(reader, hi)).collect();
            sums_within(&rows, &within)
        })
        .collect();
    let mask_start = layout.mask_tile() << layout.shape.log_tile;
    for (index, coefficient) in mask {
        let address = mask_start + index;
        values[address >> LOW] += eq[address & ((1 << LOW) - 1)] * coefficient;
    }
    let mut weights = vec![Fr::ZERO; 1 << high_bits];
    for (atom, (_, v)) in atoms.iter().zip(&partial) {
        let scale = atom.coefficient * v[0];
        for (hi, weight) in &atom.high {
            weights[*hi] += scale * weight;
        }
    }
    for _ in 0..high_bits {
        watch.check()?;
        let message = (values.par_chunks(2), weights.par_chunks(2))
            .into_par_iter()
            .with_min_len(1 << 11)
            .map(|(v, w)| [v[0] * w[0], (v[1] - v[0]) * (w[1] - w[0])])
            .reduce(|| [Fr::ZERO; 2], |x, y| [x[0] + y[0], x[1] + y[1]]);
        let challenge = round(transcript, &mut messages, message);
        point.push(challenge);
        values = fold_pairs(&values, &challenge);
        weights = fold_pairs(&weights, &challenge);
    }
    Ok(Reduced { messages, point })
}

/// `Σ_j eq(ρ_hi, j)·T_j` over all committed tiles, as 2^τ field elements.
pub(crate) fn combine_tiles(reader: &Reader<'_>, high: &[Fr], mask: &[(usize, Fr)]) -> Vec<Fr> {
    let layout = reader.layout;
    let log_tile = layout.shape.log_tile as usize;
    let eq = eq_low_first(high);
    let rows = log_tile - LOW;
    let mut combined: Vec<Fr> = (0..1usize << rows)
        .into_par_iter()
        .with_min_len(16)
        .flat_map_iter(|inner| {
            let tiles = eq.iter().enumerate().take(layout.mask_tile());
            sum_rows(tiles.map(|(tile, weight)| (row(reader, (tile << rows) | inner), *weight)))
        })
        .collect();
    let weight = eq[layout.mask_tile()];
    for (index, coefficient) in mask {
        if let Some(cell) = combined.get_mut(*index) {
            *cell += weight * coefficient;
        }
    }
    combined
}
