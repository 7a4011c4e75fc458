//! The lookup argument: logarithmic derivatives summed by a fraction tree (GKR).
//!
//! Every looked-up cell is a leaf `1 / (X - (key + b·value + b²·id))`, every table entry a leaf
//! `-m / (X - (key + b·value + b²·id))`; unused leaves are `0/1`. The tree adds fractions pairwise,
//! `(p0/q0) + (p1/q1) = (p0·q1 + p1·q0) / (q0·q1)`; the root must be `0/q`, q ≠ 0 (Haböck, eprint 2022/1530; Papini,
//! Haböck, eprint 2023/1284). Layer d has 2^d nodes and node i has children 2i, 2i + 1. One sumcheck per layer reduces a
//! claim on layer d to one on layer d + 1:
//!
//! ```text
//! p(z) + λ·q(z) = Σ_x eq(z, x)·( p0(x)·q1(x) + p1(x)·q0(x) + λ·q0(x)·q1(x) )
//! ```
//! In each round the factor `eq` is pulled out: the rest is a quadratic t, sent as its slope t(1) - t(0) and its leading
//! coefficient; t(0) follows from the claim `(1 - z_i)·t(0) + z_i·t(1)` without a division.

use lorica_circuits::bn254::Fr;
use lorica_circuits::column::{Column, Lookup, Table};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;

use crate::arithmetic::{Arithmetic, ArithmeticError};
use crate::multilinear::{AddressPoint, integer};
use crate::transcript::Transcript;
use crate::weight::LeafTerm;

/// One layer: a sumcheck and the two children's fractions at its point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerMessages<S> {
    /// Per round: slope and leading coefficient.
    pub rounds: Vec<[S; 2]>,
    /// `p0, p1, q0, q1`.
    pub children: [S; 4],
}

/// The messages of the lookup argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupMessages<S> {
    /// The root's children `p0, p1, q0, q1`.
    pub root: [S; 4],
    /// Layers 1 to n - 1.
    pub layers: Vec<LayerMessages<S>>,
}

/// Where the tree was left: the fractions of the leaves at a random point, lowest bit first.
#[derive(Clone, Debug)]
pub struct LeafClaim<S> {
    /// The point.
    pub point: Vec<S>,
    /// Numerators there.
    pub p: S,
    /// Denominators there.
    pub q: S,
}

/// Challenges that make a leaf of a cell.
#[derive(Clone, Debug)]
pub struct LeafChallenges<S> {
    /// X.
    pub x: S,
    /// b.
    pub b: S,
}

/// Draws X and b, after the witness is committed.
pub fn leaf_challenges<A: Arithmetic>(a: &mut A, transcript: &mut Transcript<A>) -> LeafChallenges<A::Scalar> {
    // The cleared sum of fractions is a polynomial of total degree at most 2·leaves in (X, b), and not zero if a triple
    // is not in its table: 2·leaves/r for both.
    let x = transcript.challenge(a, "lookup X");
    let b = transcript.challenge(a, "lookup b");
    LeafChallenges { x, b }
}

/// `left·(1 - t) + right·t`.
fn line<A: Arithmetic>(a: &mut A, left: &A::Scalar, right: &A::Scalar, t: &A::Scalar) -> A::Scalar {
    let rise = a.sub(right, left);
    let rise = a.mul(&rise, t);
    a.add(left, &rise)
}

/// `p0·q1 + p1·q0` and `q0·q1`.
fn add_fractions<A: Arithmetic>(a: &mut A, [p0, p1, q0, q1]: &[A::Scalar; 4]) -> (A::Scalar, A::Scalar) {
    let left = a.mul(p0, q1);
    let right = a.mul(p1, q0);
    (a.add(&left, &right), a.mul(q0, q1))
}

/// Verifies the tree down to the leaves. The shape of the messages must have been checked: layer d has d rounds.
///
/// # Errors
/// If the root is not zero over something, or a layer's sumcheck does not add up.
pub fn verify_tree<A: Arithmetic>(
    a: &mut A,
    transcript: &mut Transcript<A>,
    messages: &LookupMessages<A::Scalar>,
) -> Result<LeafClaim<A::Scalar>, ArithmeticError> {
    let zero = a.zero();
    let (p_root, q_root) = add_fractions(a, &messages.root);
    a.assert_equal(&p_root, &zero, "lookup: the sum of fractions is zero")?;
    a.inverse(&q_root, "lookup: the common denominator is not zero")?;
    transcript.absorb_all(a, "lookup root", &messages.root);
    // Two children to one point: 1/r for each of p and q.
    let mut fold = transcript.challenge(a, "lookup fold");
    let mut children = &messages.root;
    let mut point: Vec<A::Scalar> = Vec::new();
    let mut deeper: Vec<A::Scalar> = Vec::new();
    for layer in &messages.layers {
        let [p0, p1, q0, q1] = children;
        let p = line(a, p0, p1, &fold);
        let q = line(a, q0, q1, &fold);
        point.clear();
        point.push(fold);
        point.append(&mut deeper);
        // p + λ·q: 1/r.
        let lambda = transcript.challenge(a, "lookup combine");
        let q = a.mul(&lambda, &q);
        let mut claim = a.add(&p, &q);
        for (z, [slope, leading]) in point.iter().zip(&layer.rounds) {
            transcript.absorb(a, "lookup round", slope);
            transcript.absorb(a, "lookup round", leading);
            // Round polynomial of degree 3 with its eq factor: 3/r.
            let challenge = transcript.challenge(a, "lookup round");
            let at_zero = a.mul(z, slope);
            let at_zero = a.sub(&claim, &at_zero);
            let bent = a.mul(leading, &challenge);
            let linear = a.sub(slope, leading);
            let rise = a.add(&linear, &bent);
            let rise = a.mul(&rise, &challenge);
            claim = a.add(&at_zero, &rise);
            deeper.push(challenge);
        }
        let (numerator, denominator) = add_fractions(a, &layer.children);
        let weighted = a.mul(&lambda, &denominator);
        let expected = a.add(&numerator, &weighted);
        a.assert_equal(&claim, &expected, "lookup: a layer's sumcheck")?;
        transcript.absorb_all(a, "lookup children", &layer.children);
        // As above: 1/r for each of p and q.
        fold = transcript.challenge(a, "lookup fold");
        children = &layer.children;
    }
    let [p0, p1, q0, q1] = children;
    let p = line(a, p0, p1, &fold);
    let q = line(a, q0, q1, &fold);
    let mut point = vec![fold];
    point.append(&mut deeper);
    Ok(LeafClaim { point, p, q })
}

/// The two claims on committed columns in which the tree ends.
#[derive(Debug)]
pub struct LeafClaims<S> {
    /// The leaf point.
    pub point: AddressPoint<S>,
    /// Multiplicities: terms and value.
    pub multiplicities: (Vec<LeafTerm<S>>, S),
    /// Keys and values of cells and entries: terms and value.
    pub values: (Vec<LeafTerm<S>>, S),
}

/// The columns of the two leaf claims.
///
/// # Errors
/// If a column is not part of the layout.
pub fn leaf_terms<S: Clone>(
    layout: &Layout,
    one: &S,
    b: &S,
) -> Result<(Vec<LeafTerm<S>>, Vec<LeafTerm<S>>), CircuitError> {
    let mut multiplicities = Vec::new();
    let mut values = Vec::new();
    for placement in layout.placements() {
        let column = placement.spec.column;
        if let Lookup::Key { value, .. } = placement.spec.lookup {
            values.push(LeafTerm { column, coefficient: one.clone(), leaf: placement.offset });
            if let Some(value) = value {
                values.push(LeafTerm { column: value, coefficient: b.clone(), leaf: placement.offset });
            }
        }
    }
    for table in Table::used(layout.shape.output) {
        let entries: Column = table.multiplicities();
        let leaf = layout.placement(entries)?.offset;
        multiplicities.push(LeafTerm { column: entries, coefficient: one.clone(), leaf });
        if let Some(column) = table.values() {
            values.push(LeafTerm { column, coefficient: b.clone(), leaf });
        }
    }
    Ok((multiplicities, values))
}

/// Turns the leaf claim into claims on committed columns. With indicators from the layout's runs,
/// `⟨m, eq⟩ = ind_lookup - p` and
/// `⟨key + b·value, eq⟩ = (X - 1)·ind_used + 1 - q - Σ_runs (offset + b²·id)·ind_run - Σ_entries ⟨index, eq⟩`.
///
/// # Errors
/// If a column is not part of the layout.
pub fn leaf_claims<A: Arithmetic>(
    a: &mut A,
    layout: &Layout,
    challenges: &LeafChallenges<A::Scalar>,
    claim: &LeafClaim<A::Scalar>,
) -> Result<LeafClaims<A::Scalar>, CircuitError> {
    let one = a.one();
    let mut point = AddressPoint::new(claim.point.clone());
    let b_squared = a.mul(&challenges.b, &challenges.b);
    let mut lookups = a.zero();
    let mut public = a.zero();
    for run in layout.leaf_runs() {
        let indicator = point.range(a, run.start, run.end);
        let id = a.constant(Fr::from(run.table.id()));
        let id = a.mul(&b_squared, &id);
        let offset = a.constant(integer(run.offset));
        let mut weight = a.add(&id, &offset);
        if run.entries {
            // The entries' own keys: index within the table.
            for bit in 0..usize::try_from(run.table.bits()).unwrap_or(0) {
                let power = a.constant(Fr::from(1 << bit));
                let coordinate = point.coordinates().get(bit).cloned().unwrap_or_else(|| one.clone());
                let term = a.mul(&power, &coordinate);
                weight = a.add(&weight, &term);
            }
        } else {
            lookups = a.add(&lookups, &indicator);
        }
        let term = a.mul(&indicator, &weight);
        public = a.add(&public, &term);
    }
    let used = point.range(a, 0, layout.leaves());
    let less_one = a.sub(&challenges.x, &one);
    let all = a.mul(&less_one, &used);
    let all = a.add(&all, &one);
    let all = a.sub(&all, &claim.q);
    let value = a.sub(&all, &public);
    let multiplicity = a.sub(&lookups, &claim.p);
    let (multiplicities, values) = leaf_terms(layout, &one, &challenges.b)?;
    Ok(LeafClaims { point, multiplicities: (multiplicities, multiplicity), values: (values, value) })
}
