//! The prover of the lookup argument's fraction tree (see [`lorica_verifier::protocol::lookup`]).
//!
//! Leaves beyond the used ones are 0/1 and stay 0/1 in every layer, so only used prefixes are stored; what the tail adds
//! to a sumcheck is known in closed form. Leaves are read from integers whenever they are needed, as is the layer above
//! them: what is kept is 32 bytes per leaf. The lower layers are worked on in chunks of eight subtrees
//! (`packed`), the upper ones node by node.

mod leaves;
mod packed;

use rayon::prelude::*;

use lorica_cells::watch::{Cancelled, Watch};
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::lookup::{LayerMessages, LeafChallenges, LeafClaim, LookupMessages};
use lorica_verifier::protocol::transcript::Transcript;

use self::leaves::{Leaves, Scratch};
use self::packed::{Fold, Fraction, Node, Sums};
use crate::cells::Cells;
use crate::error::ProveError;
use crate::lanes::{LANES, Lanes};
use crate::multilinear::eq_low_first;

/// Levels of a subtree between its leaves and its root.
const LEVELS: usize = 11;
/// Leaves of a subtree.
const SUBTREE: usize = 1 << LEVELS;
/// Leaves of a chunk.
const CHUNK_LEAVES: usize = LANES * SUBTREE;
/// The lowest level that is stored.
const STORED: usize = 2;
/// The lowest level that is stored node by node.
const UPPER: usize = LEVELS - 1;

const CHUNK: usize = 1 << 10;

/// A layer's fractions, node by node; those beyond the vector are 0/1.
type Layer = Vec<(Fr, Fr)>;

fn fraction(layer: &Layer, i: usize) -> (Fr, Fr) {
    layer.get(i).copied().unwrap_or((Fr::ZERO, Fr::ONE))
}

fn parent(layer: &Layer) -> Layer {
    (0..layer.len().div_ceil(2))
        .into_par_iter()
        .with_min_len(CHUNK)
        .map(|i| {
            let ((p0, q0), (p1, q1)) = (fraction(layer, 2 * i), fraction(layer, 2 * i + 1));
            (p0 * q1 + p1 * q0, q0 * q1)
        })
        .collect()
}

/// Drops the lowest variable of an `eq` table.
fn drop_lowest(table: &mut Vec<Fr>) {
    let half = table.len() / 2;
    for i in 0..half {
        table[i] = table[2 * i] + table[2 * i + 1];
    }
    table.truncate(half);
}

/// The rounds of one layer's sumcheck: `claim = Σ_x eq(z, x)·(p0·q1 + p1·q0 + λ·q0·q1)`.
struct Rounds<'t> {
    transcript: &'t mut Transcript<Native>,
    point: &'t [Fr],
    lambda: Fr,
    claim: Fr,
    messages: Vec<[Fr; 2]>,
    challenges: Vec<Fr>,
}

impl Rounds<'_> {
    /// Sends the next round. `used` is the part of eq's sum over the pairs that were summed: the others are 0/1, which
    /// is λ times what is left of eq.
    fn send(&mut self, at_zero: Fr, leading: Fr, used: Fr) -> Fr {
        let a = &mut Native;
        let at_zero = at_zero + self.lambda * (Fr::ONE - used);
        // (1 - z)·t(0) + z·t(1) is the claim. A challenge z = 0, one in 2^253, would make a proof that is rejected.
        let inverse = self.point[self.messages.len()].invert().unwrap_or(Fr::ZERO);
        let slope = (self.claim - at_zero) * inverse;
        self.transcript.absorb(a, "lookup round", &slope);
        self.transcript.absorb(a, "lookup round", &leading);
        let challenge = self.transcript.challenge(a, "lookup round");
        self.claim = at_zero + challenge * (slope - leading + leading * challenge);
        self.messages.push([slope, leading]);
        self.challenges.push(challenge);
        challenge
    }

    /// The rounds that are left, node by node; nodes as in [`Node`]. Returns the children's fractions.
    fn finish(&mut self, mut nodes: Vec<[Fr; 4]>) -> [Fr; 4] {
        let half_lambda = self.lambda * Fr::TWO_INV;
        let absent = [half_lambda, half_lambda, Fr::ONE, Fr::ONE];
        let first = self.messages.len();
        let mut rest = match self.point.get(first + 1..) {
            Some(point) => eq_low_first(point),
            None => Vec::new(),
        };
        for _ in first..self.point.len() {
            if nodes.len() % 2 == 1 {
                nodes.push(absent);
            }
            let zero = || (Fr::ZERO, Fr::ZERO, Fr::ZERO);
            let (at_zero, leading, used) = nodes
                .par_chunks_exact(2)
                .zip(&rest)
                .with_min_len(CHUNK)
                .map(|(pair, eq)| {
                    let ([p0, p1, q0, q1], [p2, p3, q2, q3]) = (pair[0], pair[1]);
                    let low = p0 * q1 + p1 * q0;
                    let high = (p2 - p0) * (q3 - q1) + (p3 - p1) * (q2 - q0);
                    (*eq * low, *eq * high, *eq)
                })
                .reduce(zero, |left, right| (left.0 + right.0, left.1 + right.1, left.2 + right.2));
            let challenge = self.send(at_zero, leading, used);
            nodes = nodes
                .par_chunks_exact(2)
                .with_min_len(CHUNK)
                .map(|pair| std::array::from_fn(|i| pair[0][i] + (pair[1][i] - pair[0][i]) * challenge))
                .collect();
            drop_lowest(&mut rest);
        }
        let [p0, p1, q0, q1] = nodes.first().copied().unwrap_or(absent);
        [p0 - half_lambda * q0, p1 - half_lambda * q1, q0, q1]
    }
}

/// One chunk's layers between [`STORED`] and [`UPPER`], lowest first.
type Subtrees<V> = Vec<Vec<Fraction<V>>>;

/// The tree.
struct Tree<'c, V: Lanes> {
    leaves: Leaves<'c>,
    chunks: Vec<Subtrees<V>>,
    /// Layers from [`UPPER`] to the root's children.
    upper: Vec<Layer>,
}

impl<'c, V: Lanes> Tree<'c, V> {
    fn new(leaves: Leaves<'c>, depth: usize) -> Self {
        let count = leaves.len().div_ceil(CHUNK_LEAVES);
        let (chunks, roots): (Vec<Subtrees<V>>, Vec<Layer>) = (0..count)
            .into_par_iter()
            .map_init(
                || (Scratch::new(), Vec::new()),
                |(scratch, first), chunk| {
                    packed::parents(leaves.chunk(chunk, scratch), first);
                    let mut stored: Subtrees<V> = Vec::with_capacity(UPPER - STORED + 1);
                    for _ in STORED..=UPPER {
                        let mut next = Vec::new();
                        packed::parents(stored.last().unwrap_or(first), &mut next);
                        stored.push(next);
                    }
                    let roots = stored.pop().map(|top| packed::unpack_fractions(&top)).unwrap_or_default();
                    (stored, roots)
                },
            )
            .unzip();
        let mut upper = vec![roots.concat()];
        for _ in UPPER + 1..depth {
            let next = parent(&upper[upper.len() - 1]);
            upper.push(next);
        }
        Self { leaves, chunks, upper }
    }

    /// Runs over all chunks with the fractions of a layer.
    fn with_children<R: Send>(&mut self, level: usize, run: impl Fn(usize, &[Fraction<V>]) -> R + Sync) -> Vec<R> {
        if level >= STORED {
            let run = |(index, chunk): (usize, &mut Subtrees<V>)| run(index, &chunk[level - STORED]);
            return self.chunks.par_iter_mut().enumerate().map(run).collect();
        }
        let leaves = &self.leaves;
        (0..self.chunks.len())
            .into_par_iter()
            .map_init(
                || (Scratch::new(), Vec::new()),
                |(scratch, first), chunk| {
                    let own = leaves.chunk(chunk, scratch);
                    if level == 0 {
                        return run(chunk, own);
                    }
                    packed::parents(own, first);
                    run(chunk, first)
                },
            )
            .collect()
    }

    /// The sumcheck of the layer whose children are at a level below [`UPPER`].
    fn lower(&mut self, level: usize, rounds: &mut Rounds<'_>) -> [Fr; 4] {
        // Variables within a lane; then come three of lanes and those of chunks.
        let within = UPPER - level;
        let point = rounds.point;
        let mut inner = eq_low_first(&point[1..within]);
        let lane_eq = eq_low_first(&point[within..within + 3]);
        let outer = eq_low_first(&point[within + 3..]);
        let used: Fr = outer.iter().take(self.chunks.len()).sum();
        let outer: Vec<V::Scalar> = outer.iter().take(self.chunks.len()).map(V::scalar).collect();
        let scalars = |table: &[Fr]| -> Vec<V::Scalar> { table.iter().map(V::scalar).collect() };
        let total = |sums: Vec<Sums>| -> [Fr; 2] {
            let mut totals = [Fr::ZERO; 2];
            for (lane, eq) in lane_eq.iter().enumerate() {
                for (i, total) in totals.iter_mut().enumerate() {
                    *total += *eq * sums.iter().map(|sums| sums[i][lane]).sum::<Fr>();
                }
            }
            totals
        };

        let eq = scalars(&inner);
        let lambda = rounds.lambda;
        let sums =
            self.with_children(level, |chunk, children| packed::first_round(children, &eq, outer[chunk], &lambda));
        let [at_zero, leading] = total(sums);
        let challenge = rounds.send(at_zero, leading, used);

        // An eq table of no variable is that of the last round in the lanes.
        let mut next_eq = || {
            if inner.len() == 1 {
                return Vec::new();
            }
            drop_lowest(&mut inner);
            scalars(&inner)
        };
        let eq = next_eq();
        let fold = Fold { challenge: V::scalar(&challenge), half_lambda: V::scalar(&(lambda * Fr::TWO_INV)) };
        let (mut nodes, mut sums): (Vec<Vec<Node<V>>>, Vec<Sums>) = self
            .with_children(level, |chunk, children| {
                let mut nodes = Vec::new();
                let sums = packed::first_fold(children, &mut nodes, fold, &eq, outer[chunk]);
                (nodes, sums)
            })
            .into_iter()
            .unzip();
        if level >= STORED {
            self.chunks.par_iter_mut().for_each(|chunk| chunk.truncate(level - STORED));
        }
        for _ in 1..within {
            let [at_zero, leading] = total(sums);
            let challenge = V::scalar(&rounds.send(at_zero, leading, used));
            let eq = next_eq();
            sums = nodes
                .par_iter_mut()
                .zip(&outer)
                .map(|(nodes, weight)| packed::fold(nodes, &challenge, &eq, *weight))
                .collect();
        }
        rounds.finish(nodes.iter().flat_map(|nodes| packed::unpack(&nodes[0])).collect())
    }

    /// The sumcheck of the layer whose children are the lowest layer of the upper ones that is left.
    fn upper(layer: &Layer, rounds: &mut Rounds<'_>) -> [Fr; 4] {
        let half_lambda = rounds.lambda * Fr::TWO_INV;
        let nodes = (0..layer.len().div_ceil(2))
            .into_par_iter()
            .with_min_len(CHUNK)
            .map(|i| {
                let ((p0, q0), (p1, q1)) = (fraction(layer, 2 * i), fraction(layer, 2 * i + 1));
                [p0 + half_lambda * q0, p1 + half_lambda * q1, q0, q1]
            })
            .collect();
        rounds.finish(nodes)
    }

    fn prove(
        mut self,
        transcript: &mut Transcript<Native>,
        watch: &dyn Watch,
    ) -> Result<(LookupMessages<Fr>, LeafClaim<Fr>), Cancelled> {
        let a = &mut Native;
        let top = self.upper.pop().unwrap_or_default();
        let ((p0, q0), (p1, q1)) = (fraction(&top, 0), fraction(&top, 1));
        let root = [p0, p1, q0, q1];
        transcript.absorb_all(a, "lookup root", &root);
        let mut fold = transcript.challenge(a, "lookup fold");
        let mut children = root;
        let mut deeper = Vec::new();
        let mut messages = Vec::new();
        for level in (0..UPPER + self.upper.len()).rev() {
            watch.check()?;
            let [p0, p1, q0, q1] = children;
            let (p, q) = (p0 + (p1 - p0) * fold, q0 + (q1 - q0) * fold);
            let mut point = vec![fold];
            point.append(&mut deeper);
            let lambda = transcript.challenge(a, "lookup combine");
            let (messages_of, challenges) = (Vec::with_capacity(point.len()), Vec::with_capacity(point.len()));
            let mut rounds =
                Rounds { transcript, point: &point, lambda, claim: p + lambda * q, messages: messages_of, challenges };
            children = match self.upper.pop() {
                Some(layer) => Self::upper(&layer, &mut rounds),
                None => self.lower(level, &mut rounds),
            };
            let Rounds { messages: own, challenges, .. } = rounds;
            transcript.absorb_all(a, "lookup children", &children);
            fold = transcript.challenge(a, "lookup fold");
            deeper = challenges;
            messages.push(LayerMessages { rounds: own, children });
        }
        let [p0, p1, q0, q1] = children;
        let mut point = vec![fold];
        point.append(&mut deeper);
        let claim = LeafClaim { point, p: p0 + (p1 - p0) * fold, q: q0 + (q1 - q0) * fold };
        Ok((LookupMessages { root, layers: messages }, claim))
    }
}

/// Proves the lookups of all committed cells.
///
/// # Errors
/// If the layout lacks a column, or the proof is cancelled.
pub fn prove_tree(
    transcript: &mut Transcript<Native>,
    layout: &Layout,
    cells: &Cells,
    challenges: &LeafChallenges<Fr>,
    watch: &dyn Watch,
) -> Result<(LookupMessages<Fr>, LeafClaim<Fr>), ProveError> {
    let depth = layout.leaf_bits() as usize;
    if depth < LEVELS + 4 {
        // Never so: the 16-bit range table alone has more entries.
        return Err(CircuitError::Compile { what: format!("a tree of 2^{depth} leaves") }.into());
    }
    let leaves = Leaves::new(layout, cells, challenges)?;
    #[cfg(target_arch = "x86_64")]
    if crate::lanes::ifma::is_available() {
        return Ok(Tree::<crate::lanes::ifma::Ifma>::new(leaves, depth).prove(transcript, watch)?);
    }
    Ok(Tree::<crate::lanes::portable::Portable>::new(leaves, depth).prove(transcript, watch)?)
}
