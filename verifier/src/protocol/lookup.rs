//! The lookup argument: logarithmic derivatives summed by a fraction tree (GKR).
//!
//! Beside these stand sums by group and choices among groups ([`GroupLeaf`]), with identifiers that no table has. The net
//! numerator of each pole is zero: X and b are drawn when all cells are fixed, and the poles of other triples of key,
//! value and identifier are other linear forms in X with coefficients in b.
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
use lorica_circuits::column::{Column, GroupLeaf, Lookup};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;

use crate::protocol::arithmetic::{Arithmetic, ArithmeticError};
use crate::protocol::multilinear::{AddressPoint, integer};
use crate::protocol::transcript::Transcript;
use crate::protocol::weight::LeafTerm;

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
    /// Multiplicities, summands, sums and counts: terms and value.
    pub multiplicities: (Vec<LeafTerm<S>>, S),
    /// Keys and values of cells and entries: terms and value.
    pub values: (Vec<LeafTerm<S>>, S),
}

/// The columns of the two leaf claims: numerators that are taken off, then keys and values.
pub fn leaf_terms<A: Arithmetic>(a: &mut A, layout: &Layout, b: &A::Scalar) -> LeafTerms<A::Scalar> {
    let one = a.one();
    let mut numerators = Vec::new();
    let mut values = Vec::new();
    let term = |column: Column, coefficient: &A::Scalar, at: Column| LeafTerm {
        column,
        coefficient: coefficient.clone(),
        at,
        part: 0,
    };
    for placement in layout.placements() {
        let column = placement.spec.column;
        match placement.spec.lookup {
            Lookup::None => {}
            Lookup::Key { value, .. } => {
                values.push(term(column, &one, column));
                values.extend(value.map(|value| term(value, b, column)));
            }
            Lookup::Group(GroupLeaf::Summand { group }) => {
                numerators.push(term(column, &one, column));
                // The groups are read once for each request.
                let parts = 0..layout.shape.requests;
                values.extend(parts.map(|part| LeafTerm { part, ..term(group, &one, column) }));
            }
            Lookup::Group(GroupLeaf::Sum) => {
                let minus = a.constant(-Fr::one());
                numerators.push(term(column, &minus, column));
            }
            Lookup::Group(GroupLeaf::Choice { sum }) => {
                values.push(term(column, &one, column));
                values.push(term(sum, b, column));
            }
            Lookup::Group(GroupLeaf::Count { sum }) => {
                numerators.push(term(column, &one, column));
                values.push(term(sum, b, column));
            }
        }
    }
    for table in &layout.program.tables {
        let entries = table.multiplicities;
        numerators.push(term(entries, &one, entries));
        values.extend(table.values.map(|column| term(column, b, entries)));
    }
    (numerators, values)
}

/// Columns of a claim on numerators and of one on denominators.
pub type LeafTerms<S> = (Vec<LeafTerm<S>>, Vec<LeafTerm<S>>);

/// `start + Σ_k 2^k·z_(at + k)`.
fn add_number<A: Arithmetic>(
    a: &mut A,
    start: A::Scalar,
    point: &AddressPoint<A::Scalar>,
    at: u32,
    bits: u32,
) -> A::Scalar {
    let mut sum = start;
    for (bit, at) in (0..bits).zip(at..) {
        let power = a.constant(Fr::from(1 << bit));
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let coordinate = point.coordinates().get(at).cloned().unwrap_or_else(|| a.one());
        let term = a.mul(&power, &coordinate);
        sum = a.add(&sum, &term);
    }
    sum
}

/// Turns the leaf claim into claims on committed columns. With indicators from the layout's runs,
/// `⟨m + s - S + e, eq⟩ = ind_numerator - p` (multiplicities, summands, sums, counts) and
/// `⟨key + b·value, eq⟩ = (X - 1)·ind_used + 1 - q - Σ_runs (offset + index + b·request + b²·id)·ind_run`, with the
/// request beside the identifier where a run says so.
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
        let leaf = &run.leaf;
        let indicator = point.range(a, run.start, run.end);
        let id = a.constant(Fr::from(leaf.id));
        let id = a.mul(&b_squared, &id);
        let offset = a.constant(integer(leaf.offset));
        let mut weight = a.add(&id, &offset);
        weight = add_number(a, weight, &point, 0, leaf.index_bits);
        if let Some(request) = leaf.request.filter(|request| request.bits > 0) {
            let zero = a.zero();
            let own = add_number(a, zero, &point, request.at, request.bits);
            let factor = if request.power == 1 { &challenges.b } else { &b_squared };
            let term = a.mul(&own, factor);
            weight = a.add(&weight, &term);
        }
        if leaf.numerator == 1 {
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
    let (multiplicities, values) = leaf_terms(a, layout, &challenges.b);
    Ok(LeafClaims { point, multiplicities: (multiplicities, multiplicity), values: (values, value) })
}

#[cfg(test)]
mod tests {
    use lorica_circuits::bn254::Field;

    use super::*;
    use crate::protocol::arithmetic::Native;
    use crate::protocol::multilinear::{eq_table, evaluate};

    fn scalars(seed: u64, count: u64) -> Vec<Fr> {
        (0..count).map(|i| Fr::from(seed + 1_000_003 * i).square() + Fr::from(seed)).collect()
    }

    #[test]
    fn fractions_are_added() {
        let [p0, p1, q0, q1] = scalars(2, 4)[..] else { panic!("four scalars") };
        let (p, q) = add_fractions(&mut Native, &[p0, p1, q0, q1]);
        let over = |p: Fr, q: Fr| p * q.invert().unwrap();
        assert_eq!(over(p, q), over(p0, q0) + over(p1, q1));
    }

    #[test]
    fn lines_pass_through_their_ends() {
        let [left, right, t] = scalars(4, 3)[..] else { panic!("three scalars") };
        assert_eq!(line(&mut Native, &left, &right, &Fr::ZERO), left);
        assert_eq!(line(&mut Native, &left, &right, &Fr::ONE), right);
        assert_eq!(line(&mut Native, &left, &right, &t), left * (Fr::ONE - t) + right * t);
    }

    /// One layer of the tree over four leaves, by the definition: the sumcheck's rounds are sums over the rest.
    fn tree_of_four(p: &[Fr; 4], q: &[Fr; 4]) -> LookupMessages<Fr> {
        let a = &mut Native;
        let up = |i: usize| add_fractions(&mut Native, &[p[2 * i], p[2 * i + 1], q[2 * i], q[2 * i + 1]]);
        let ((p0, q0), (p1, q1)) = (up(0), up(1));
        let root = [p0, p1, q0, q1];
        let mut transcript = Transcript::new(a, Fr::from(1));
        transcript.absorb_all(a, "lookup root", &root);
        transcript.challenge(a, "lookup fold");
        let lambda = transcript.challenge(a, "lookup combine");
        // t(x) of the only variable, from three values.
        let t = |x: Fr| {
            let at = |v: &[Fr; 4], odd: usize| v[odd] + (v[2 + odd] - v[odd]) * x;
            let (n, d) = add_fractions(&mut Native, &[at(p, 0), at(p, 1), at(q, 0), at(q, 1)]);
            n + lambda * d
        };
        let slope = t(Fr::ONE) - t(Fr::ZERO);
        let leading = (t(Fr::from(2)) - t(Fr::ONE).double() + t(Fr::ZERO)) * Fr::from(2).invert().unwrap();
        transcript.absorb_all(a, "lookup round", &[slope, leading]);
        let x = transcript.challenge(a, "lookup round");
        let at = |v: &[Fr; 4], odd: usize| v[odd] + (v[2 + odd] - v[odd]) * x;
        let children = [at(p, 0), at(p, 1), at(q, 0), at(q, 1)];
        LookupMessages { root, layers: vec![LayerMessages { rounds: vec![[slope, leading]], children }] }
    }

    #[test]
    fn a_tree_ends_in_the_extension_of_its_leaves() {
        let verify = |messages: &LookupMessages<Fr>| {
            let mut transcript = Transcript::new(&mut Native, Fr::from(1));
            verify_tree(&mut Native, &mut transcript, messages)
        };
        // 1/2 + 1/3 - 1/6 - 2/3 = 0
        let p = [Fr::ONE, Fr::ONE, -Fr::ONE, -Fr::from(2)];
        let q = [2u64, 3, 6, 3].map(Fr::from);
        let messages = tree_of_four(&p, &q);
        let claim = verify(&messages).unwrap();
        let point: Vec<Fr> = claim.point.iter().rev().copied().collect();
        assert_eq!(eq_table(&mut Native, &point).len(), 4);
        assert_eq!((claim.p, claim.q), (evaluate(&p, &point), evaluate(&q, &point)));
        // Another sum.
        let sum = ArithmeticError::NotEqual { what: "lookup: the sum of fractions is zero" };
        assert_eq!(verify(&tree_of_four(&[Fr::ONE; 4], &q)).err(), Some(sum));
        // 0/0.
        let zero = ArithmeticError::ZeroInverse { what: "lookup: the common denominator is not zero" };
        assert_eq!(verify(&tree_of_four(&p, &[Fr::ZERO, Fr::ZERO, q[2], q[3]])).err(), Some(zero));
        // A child, a slope, a leading coefficient.
        let layer = ArithmeticError::NotEqual { what: "lookup: a layer's sumcheck" };
        for i in 0..6 {
            let mut forged = messages.clone();
            let own = &mut forged.layers[0];
            *own.rounds[0].iter_mut().chain(&mut own.children).nth(i).unwrap() += Fr::ONE;
            assert_eq!(verify(&forged).err(), Some(layer), "{i}");
        }
    }
}
