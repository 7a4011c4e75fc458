//! The lower layers of the tree: eight subtrees at once, one in each lane.
//!
//! Leaves come in chunks of eight subtrees. Siblings then lie in adjacent vectors up to the subtrees' roots, and the
//! first rounds of a layer's sumcheck, which bind the lowest bits, never cross lanes.

use crate::lanes::{LANES, Lanes, WIDE_TERMS};
use lorica_circuits::bn254::{Field, Fr};

/// Eight fractions.
#[derive(Clone, Copy)]
pub(super) struct Fraction<V: Lanes> {
    pub(super) p: V::Packed,
    pub(super) q: V::Packed,
}

/// The child fractions of eight nodes, `p0, p1, q0, q1`, with λ/2 times its denominator added to each numerator: then
/// `p0·q1 + p1·q0` contains `λ·q0·q1`.
#[derive(Clone, Copy)]
pub(super) struct Node<V: Lanes>([V::Packed; 4]);

/// A round's sums of one chunk, lane by lane: at zero, and the leading coefficient.
pub(super) type Sums = [[Fr; LANES]; 2];

/// The fold of a layer's first round, and the constant that enters numerators then.
#[derive(Clone, Copy)]
pub(super) struct Fold<V: Lanes> {
    pub(super) challenge: V::Scalar,
    pub(super) half_lambda: V::Scalar,
}

/// Adds siblings.
pub(super) fn parents<V: Lanes>(children: &[Fraction<V>], parents: &mut Vec<Fraction<V>>) {
    parents.clear();
    parents.reserve_exact(children.len() / 2);
    V::run(
        #[inline(always)]
        || {
            for pair in children.chunks_exact(2) {
                let [p0, p1, q0, q1] = siblings(pair);
                parents.push(Fraction { p: V::dot(p0, q1, p1, q0).store(), q: q0.times(q1).store() });
            }
        },
    );
}

#[inline(always)]
fn siblings<V: Lanes>(pair: &[Fraction<V>]) -> [V; 4] {
    [V::load(&pair[0].p), V::load(&pair[1].p), V::load(&pair[0].q), V::load(&pair[1].q)]
}

/// Unreduced sums over the pairs of a chunk.
struct Accumulator<V: Lanes, const N: usize> {
    wide: [V::Wide; N],
    total: [[Fr; LANES]; N],
    weight: V::Scalar,
    terms: usize,
}

impl<V: Lanes, const N: usize> Accumulator<V, N> {
    #[inline(always)]
    fn new(weight: V::Scalar) -> Self {
        Self { wide: [V::wide(); N], total: [[Fr::ZERO; LANES]; N], weight, terms: 0 }
    }

    #[inline(always)]
    fn add(&mut self, eq: &V::Scalar, values: [V; N]) {
        let eq = V::broadcast(eq);
        for (i, value) in values.into_iter().enumerate() {
            V::accumulate(&mut self.wide[i], value, eq);
        }
        self.terms += 1;
        if self.terms == WIDE_TERMS {
            self.flush();
        }
    }

    #[inline(always)]
    fn flush(&mut self) {
        let weight = V::broadcast(&self.weight);
        for i in 0..N {
            let sum = V::reduce(self.wide[i]).times(weight).to_lanes();
            for (total, own) in self.total[i].iter_mut().zip(sum) {
                *total += own;
            }
            self.wide[i] = V::wide();
        }
        self.terms = 0;
    }

    #[inline(always)]
    fn finish(mut self) -> [[Fr; LANES]; N] {
        if self.terms > 0 {
            self.flush();
        }
        self.total
    }
}

/// The first round of a layer, from the fractions of its children: `eq` over the pairs of nodes, `weight` of the chunk.
pub(super) fn first_round<V: Lanes>(
    children: &[Fraction<V>],
    eq: &[V::Scalar],
    weight: V::Scalar,
    lambda: &Fr,
) -> Sums {
    let [low, low_q, high, high_q] = V::run(
        #[inline(always)]
        || {
            let mut sums = Accumulator::<V, 4>::new(weight);
            for (four, eq) in children.chunks_exact(4).zip(eq) {
                let [p0, p1, q0, q1] = siblings(&four[..2]);
                let [p2, p3, q2, q3] = siblings(&four[2..]);
                let [dp0, dp1, dq0, dq1] = [p2.minus(p0), p3.minus(p1), q2.minus(q0), q3.minus(q1)];
                let low = V::dot(p0, q1, p1, q0);
                let high = V::dot(dp0, dq1, dp1, dq0);
                sums.add(eq, [low, q0.times(q1), high, dq0.times(dq1)]);
            }
            sums.finish()
        },
    );
    let combine = |p: [Fr; LANES], q: [Fr; LANES]| std::array::from_fn(|lane| p[lane] + lambda * q[lane]);
    [combine(low, low_q), combine(high, high_q)]
}

#[inline(always)]
fn add_pair<V: Lanes>(sums: &mut Accumulator<V, 2>, eq: &V::Scalar, left: &[V; 4], right: &[V; 4]) {
    let [p0, p1, q0, q1] = *left;
    let [p2, p3, q2, q3] = *right;
    let [dp0, dp1, dq0, dq1] = [p2.minus(p0), p3.minus(p1), q2.minus(q0), q3.minus(q1)];
    sums.add(eq, [V::dot(p0, q1, p1, q0), V::dot(dp0, dq1, dp1, dq0)]);
}

/// `left + challenge·(right − left)`.
#[inline(always)]
fn fold_pair<V: Lanes>(left: [V; 4], right: [V; 4], challenge: V) -> [V; 4] {
    let mut folded = left;
    for i in 0..4 {
        folded[i] = left[i].plus_product(right[i].minus(left[i]), challenge);
    }
    folded
}

#[inline(always)]
fn load_node<V: Lanes>(node: &Node<V>) -> [V; 4] {
    let [p0, p1, q0, q1] = &node.0;
    [V::load(p0), V::load(p1), V::load(q0), V::load(q1)]
}

#[inline(always)]
fn store_node<V: Lanes>([p0, p1, q0, q1]: [V; 4]) -> Node<V> {
    Node([p0.store(), p1.store(), q0.store(), q1.store()])
}

#[inline(always)]
fn fold_fractions<V: Lanes>(four: &[Fraction<V>], challenge: V, half_lambda: V) -> [V; 4] {
    let [p0, p1, q0, q1] = fold_pair(siblings(&four[..2]), siblings(&four[2..]), challenge);
    [p0.plus_product(q0, half_lambda), p1.plus_product(q1, half_lambda), q0, q1]
}

#[inline(always)]
fn fold_nodes<V: Lanes>(nodes: &[Node<V>], challenge: V) -> [V; 4] {
    fold_pair(load_node(&nodes[0]), load_node(&nodes[1]), challenge)
}

/// Folds the children by the first challenge and sums the second round. `eq` is empty if there is none in the lanes.
pub(super) fn first_fold<V: Lanes>(
    children: &[Fraction<V>],
    nodes: &mut Vec<Node<V>>,
    fold: Fold<V>,
    eq: &[V::Scalar],
    weight: V::Scalar,
) -> Sums {
    nodes.clear();
    nodes.reserve_exact(children.len() / 4);
    V::run(
        #[inline(always)]
        || {
            let mut sums = Accumulator::<V, 2>::new(weight);
            let challenge = V::broadcast(&fold.challenge);
            let half_lambda = V::broadcast(&fold.half_lambda);
            if eq.is_empty() {
                for four in children.chunks_exact(4) {
                    nodes.push(store_node(fold_fractions(four, challenge, half_lambda)));
                }
                return sums.finish();
            }
            for (eight, eq) in children.chunks_exact(8).zip(eq) {
                let left = fold_fractions(&eight[..4], challenge, half_lambda);
                let right = fold_fractions(&eight[4..], challenge, half_lambda);
                nodes.push(store_node(left));
                nodes.push(store_node(right));
                add_pair(&mut sums, eq, &left, &right);
            }
            sums.finish()
        },
    )
}

/// Folds the nodes in place and sums the next round, as [`first_fold`].
pub(super) fn fold<V: Lanes>(
    nodes: &mut Vec<Node<V>>,
    challenge: &V::Scalar,
    eq: &[V::Scalar],
    weight: V::Scalar,
) -> Sums {
    let half = nodes.len() / 2;
    let sums = V::run(
        #[inline(always)]
        || {
            let mut sums = Accumulator::<V, 2>::new(weight);
            let challenge = V::broadcast(challenge);
            if eq.is_empty() {
                for i in 0..half {
                    nodes[i] = store_node(fold_nodes(&nodes[2 * i..], challenge));
                }
                return sums.finish();
            }
            for (i, eq) in (0..half / 2).zip(eq) {
                let left = fold_nodes(&nodes[4 * i..], challenge);
                let right = fold_nodes(&nodes[4 * i + 2..], challenge);
                nodes[2 * i] = store_node(left);
                nodes[2 * i + 1] = store_node(right);
                add_pair(&mut sums, eq, &left, &right);
            }
            sums.finish()
        },
    );
    nodes.truncate(half);
    sums
}

/// The nodes of one vector, lane by lane.
pub(super) fn unpack<V: Lanes>(node: &Node<V>) -> [[Fr; 4]; LANES] {
    let values = V::run(
        #[inline(always)]
        || {
            let [p0, p1, q0, q1] = load_node(node);
            [p0.to_lanes(), p1.to_lanes(), q0.to_lanes(), q1.to_lanes()]
        },
    );
    std::array::from_fn(|lane| values.map(|value| value[lane]))
}

/// The fractions of some vectors, lane by lane.
pub(super) fn unpack_fractions<V: Lanes>(fractions: &[Fraction<V>]) -> Vec<(Fr, Fr)> {
    let lanes: Vec<([Fr; LANES], [Fr; LANES])> = V::run(
        #[inline(always)]
        || {
            let mut lanes = Vec::with_capacity(fractions.len());
            for fraction in fractions {
                lanes.push((V::load(&fraction.p).to_lanes(), V::load(&fraction.q).to_lanes()));
            }
            lanes
        },
    );
    (0..LANES).flat_map(|lane| lanes.iter().map(move |(p, q)| (p[lane], q[lane]))).collect()
}
