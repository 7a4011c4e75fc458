//! The prover of the lookup argument's fraction tree (see [`lorica_verifier::lookup`]).
//!
//! Leaves beyond the used ones are 0/1 and stay 0/1 in every layer, so only used prefixes are stored; what the tail adds
//! to a sumcheck is known in closed form.

use rayon::prelude::*;

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::column::{Column, Lookup, Table};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_verifier::arithmetic::Native;
use lorica_verifier::lookup::{LayerMessages, LeafChallenges, LeafClaim, LookupMessages};
use lorica_verifier::multilinear::integer;
use lorica_verifier::transcript::Transcript;

use crate::cells::Cells;

const CHUNK: usize = 1 << 12;

/// The fractions of one layer; entries beyond the vectors are 0/1.
struct Layer {
    p: Vec<Fr>,
    q: Vec<Fr>,
}

impl Layer {
    fn at(&self, i: usize) -> (Fr, Fr) {
        match (self.p.get(i), self.q.get(i)) {
            (Some(p), Some(q)) => (*p, *q),
            _ => (Fr::ZERO, Fr::ONE),
        }
    }

    fn parent(&self) -> Self {
        let length = self.p.len().div_ceil(2);
        let (p, q) = (0..length)
            .into_par_iter()
            .with_min_len(CHUNK)
            .map(|i| {
                let (p0, q0) = self.at(2 * i);
                let (p1, q1) = self.at(2 * i + 1);
                (p0 * q1 + p1 * q0, q0 * q1)
            })
            .unzip();
        Self { p, q }
    }
}

/// Builds the leaves from the committed cells.
fn leaves(layout: &Layout, cells: &Cells<'_>, challenges: &LeafChallenges<Fr>) -> Result<Layer, CircuitError> {
    let length = layout.leaves() as usize;
    let mut p = vec![Fr::ZERO; length];
    let mut q = vec![Fr::ONE; length];
    let table_id = |table: Table| Fr::from(table.id()) * challenges.b.square();
    // Small keys as field elements: a table instead of a conversion per leaf.
    let small: Vec<Fr> = (0..1u64 << 16).into_par_iter().map(Fr::from).collect();
    let field = |value: i64| match usize::try_from(value).ok().and_then(|v| small.get(v)) {
        Some(known) => *known,
        None => integer(value),
    };
    for placement in layout.placements() {
        let Lookup::Key { table, value, .. } = placement.spec.lookup else { continue };
        let offset = placement.spec.lookup.offset();
        let start = placement.offset as usize;
        let range = start..start + placement.spec.len();
        let keys = cells.column(layout, placement.spec.column, 0)?;
        let values: &[i64] = match value {
            Some(column) => cells.column(layout, column, 0)?,
            None => &[],
        };
        let constant = challenges.x - table_id(table);
        p[range.clone()].par_iter_mut().with_min_len(CHUNK).for_each(|p| *p = Fr::ONE);
        q[range].par_iter_mut().with_min_len(CHUNK).enumerate().for_each(|(i, q)| {
            *q = constant - field(keys[i] + offset);
            if let Some(value) = values.get(i) {
                *q -= challenges.b * field(*value);
            }
        });
    }
    for &table in Table::used(layout.shape.output) {
        let multiplicities: Column = table.multiplicities();
        let start = layout.placement(multiplicities)?.offset as usize;
        let range = start..start + (1usize << table.bits());
        let counts = cells.column(layout, multiplicities, 0)?;
        let values: &[i64] = match table.values() {
            Some(column) => cells.column(layout, column, 0)?,
            None => &[],
        };
        let constant = challenges.x - table_id(table);
        p[range.clone()].par_iter_mut().zip(counts).for_each(|(p, count)| *p = -integer(*count));
        q[range].par_iter_mut().enumerate().for_each(|(key, q)| {
            *q = constant - field(key as i64);
            if let Some(value) = values.get(key) {
                *q -= challenges.b * field(*value);
            }
        });
    }
    Ok(Layer { p, q })
}

/// Child fractions of the nodes of a layer under a sumcheck.
struct Children {
    p0: Vec<Fr>,
    p1: Vec<Fr>,
    q0: Vec<Fr>,
    q1: Vec<Fr>,
}

impl Children {
    fn new(layer: &Layer) -> Self {
        let length = layer.p.len().div_ceil(2);
        let even = |values: &[Fr]| (0..length).into_par_iter().with_min_len(CHUNK).map(|i| values[2 * i]).collect();
        let odd = |values: &[Fr], default: Fr| -> Vec<Fr> {
            (0..length)
                .into_par_iter()
                .with_min_len(CHUNK)
                .map(|i| values.get(2 * i + 1).copied().unwrap_or(default))
                .collect()
        };
        Self {
            p0: even(&layer.p),
            p1: odd(&layer.p, Fr::ZERO),
            q0: even(&layer.q),
            q1: odd(&layer.q, Fr::ONE),
        }
    }

    fn at(&self, i: usize) -> [Fr; 4] {
        match (self.p0.get(i), self.p1.get(i), self.q0.get(i), self.q1.get(i)) {
            (Some(p0), Some(p1), Some(q0), Some(q1)) => [*p0, *p1, *q0, *q1],
            _ => [Fr::ZERO, Fr::ZERO, Fr::ONE, Fr::ONE],
        }
    }

    fn fold(&self, challenge: &Fr) -> Self {
        let length = self.p0.len().div_ceil(2);
        let one = |values: &[Fr], default: Fr| -> Vec<Fr> {
            (0..length)
                .into_par_iter()
                .with_min_len(CHUNK)
                .map(|i| {
                    let low = values[2 * i];
                    let high = values.get(2 * i + 1).copied().unwrap_or(default);
                    low + (high - low) * challenge
                })
                .collect()
        };
        Self {
            p0: one(&self.p0, Fr::ZERO),
            p1: one(&self.p1, Fr::ZERO),
            q0: one(&self.q0, Fr::ONE),
            q1: one(&self.q1, Fr::ONE),
        }
    }
}

/// `eq(point, ·)` of a point whose first coordinate is the lowest bit.
pub(crate) fn eq_low_first(point: &[Fr]) -> Vec<Fr> {
    let mut table = vec![Fr::ONE];
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

/// One layer's sumcheck: `claim = Σ_x eq(z, x)·(p0·q1 + p1·q0 + λ·q0·q1)`.
fn prove_layer(
    transcript: &mut Transcript<Native>,
    layer: &Layer,
    point: &[Fr],
    lambda: &Fr,
    mut claim: Fr,
) -> (LayerMessages<Fr>, Vec<Fr>) {
    let a = &mut Native;
    let mut children = Children::new(layer);
    // eq over the variables after the current one; only the used prefix of pairs is kept.
    let mut rest = eq_low_first(&point[1..]);
    let mut rounds = Vec::with_capacity(point.len());
    let mut challenges = Vec::with_capacity(point.len());
    for (round, z) in point.iter().enumerate() {
        let pairs = children.p0.len().div_ceil(2);
        let (at_zero, leading, weight) = (0..pairs)
            .into_par_iter()
            .with_min_len(CHUNK)
            .map(|i| {
                let [p0, p1, q0, q1] = children.at(2 * i);
                let [p2, p3, q2, q3] = children.at(2 * i + 1);
                let low = (p0 + lambda * q0) * q1 + p1 * q0;
                let (dp0, dp1, dq0, dq1) = (p2 - p0, p3 - p1, q2 - q0, q3 - q1);
                let high = (dp0 + lambda * dq0) * dq1 + dp1 * dq0;
                (rest[i] * low, rest[i] * high, rest[i])
            })
            .reduce(
                || (Fr::ZERO, Fr::ZERO, Fr::ZERO),
                |left, right| (left.0 + right.0, left.1 + right.1, left.2 + right.2),
            );
        // The tail is 0/1 throughout: λ times what is left of eq.
        let at_zero = at_zero + lambda * (Fr::ONE - weight);
        let slope = match Option::<Fr>::from(z.invert()) {
            Some(inverse) => (claim - at_zero) * inverse,
            None => {
                // z = 0: the claim is t(0) and says nothing of t(1); sum it directly.
                let (sum, weight) = (0..pairs)
                    .into_par_iter()
                    .map(|i| {
                        let [p0, p1, q0, q1] = children.at(2 * i + 1);
                        (rest[i] * ((p0 + lambda * q0) * q1 + p1 * q0), rest[i])
                    })
                    .reduce(|| (Fr::ZERO, Fr::ZERO), |l, r| (l.0 + r.0, l.1 + r.1));
                sum + lambda * (Fr::ONE - weight) - at_zero
            }
        };
        transcript.absorb(a, "lookup round", &slope);
        transcript.absorb(a, "lookup round", &leading);
        let challenge = transcript.challenge(a, "lookup round");
        claim = at_zero + challenge * (slope - leading + leading * challenge);
        rounds.push([slope, leading]);
        challenges.push(challenge);
        children = children.fold(&challenge);
        if round + 1 < point.len() {
            rest = (0..rest.len() / 2).into_par_iter().with_min_len(CHUNK).map(|i| rest[2 * i] + rest[2 * i + 1]).collect();
        }
    }
    (LayerMessages { rounds, children: children.at(0) }, challenges)
}

/// Proves the lookups of all committed cells.
///
/// # Errors
/// If the layout lacks a column.
pub fn prove_tree(
    transcript: &mut Transcript<Native>,
    layout: &Layout,
    cells: &Cells<'_>,
    challenges: &LeafChallenges<Fr>,
) -> Result<(LookupMessages<Fr>, LeafClaim<Fr>), CircuitError> {
    let a = &mut Native;
    let depth = layout.leaf_bits() as usize;
    let mut layers = vec![leaves(layout, cells, challenges)?];
    for _ in 1..depth {
        let parent = layers[layers.len() - 1].parent();
        layers.push(parent);
    }
    let top = layers.pop().unwrap_or(Layer { p: vec![], q: vec![] });
    let (p0, q0) = top.at(0);
    let (p1, q1) = top.at(1);
    let root = [p0, p1, q0, q1];
    transcript.absorb_all(a, "lookup root", &root);
    let mut fold = transcript.challenge(a, "lookup fold");
    let mut children = root;
    let mut deeper = Vec::new();
    let mut messages = Vec::new();
    while let Some(layer) = layers.pop() {
        let [p0, p1, q0, q1] = children;
        let (p, q) = (p0 + (p1 - p0) * fold, q0 + (q1 - q0) * fold);
        let mut point = vec![fold];
        point.append(&mut deeper);
        let lambda = transcript.challenge(a, "lookup combine");
        let (own, challenges) = prove_layer(transcript, &layer, &point, &lambda, p + lambda * q);
        drop(layer);
        transcript.absorb_all(a, "lookup children", &own.children);
        fold = transcript.challenge(a, "lookup fold");
        children = own.children;
        deeper = challenges;
        messages.push(own);
    }
    let [p0, p1, q0, q1] = children;
    let mut point = vec![fold];
    point.append(&mut deeper);
    let claim = LeafClaim { point, p: p0 + (p1 - p0) * fold, q: q0 + (q1 - q0) * fold };
    Ok((LookupMessages { root, layers: messages }, claim))
}
