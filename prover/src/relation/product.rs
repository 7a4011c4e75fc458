//! The sumcheck of one product of three polynomials, eight cells at once.
//!
//! Variables are bound from the most significant one on, so that halves lie apart and lanes hold the lowest three; the
//! last three rounds go cell by cell.

use rayon::prelude::*;

use lorica_circuits::bn254::{Field, Fr};

use super::Tables;
use crate::lanes::{LANES, Lanes, WIDE_TERMS};

/// Vectors of one task. Its sums stay unreduced: the middle coefficient gets two products from each pair.
const TASK: usize = WIDE_TERMS / 2;

/// The cells of the public polynomial and of both operands.
type Cell = [Fr; 3];

/// Cells in vectors.
type Vectors<V> = [<V as Lanes>::Packed; 3];

/// The state of a product's sumcheck.
pub(super) enum Sumcheck<V: Lanes> {
    Vectors(Vec<Vectors<V>>),
    Cells(Vec<Cell>),
}

impl<V: Lanes> Sumcheck<V> {
    pub(super) fn new(tables: Tables) -> Self {
        let right = tables.right();
        if tables.public.len() < 2 * LANES {
            let cells = tables.public.iter().zip(&tables.left).zip(right).map(|((p, l), r)| [*p, *l, *r]).collect();
            return Self::Cells(cells);
        }
        let vectors = (tables.public.par_chunks_exact(LANES), tables.left.par_chunks_exact(LANES))
            .into_par_iter()
            .zip(right.par_chunks_exact(LANES))
            .with_min_len(TASK)
            .map(|((p, l), r)| {
                V::run(
                    #[inline(always)]
                    || [pack::<V>(p), pack::<V>(l), pack::<V>(r)],
                )
            })
            .collect();
        Self::Vectors(vectors)
    }

    /// The round polynomial's coefficients but the linear one.
    pub(super) fn round(&self) -> [Fr; 3] {
        let add = |x: [Fr; 3], y: [Fr; 3]| [x[0] + y[0], x[1] + y[1], x[2] + y[2]];
        match self {
            Self::Vectors(vectors) => {
                let (low, high) = vectors.split_at(vectors.len() / 2);
                low.par_chunks(TASK)
                    .zip(high.par_chunks(TASK))
                    .map(|(low, high)| {
                        V::run(
                            #[inline(always)]
                            || round::<V>(low, high),
                        )
                    })
                    .reduce(|| [Fr::ZERO; 3], add)
            }
            Self::Cells(cells) => {
                let (low, high) = cells.split_at(cells.len() / 2);
                low.iter().zip(high).fold([Fr::ZERO; 3], |sums, ([p, l, r], high)| {
                    let (dp, dl, dr) = (high[0] - p, high[1] - l, high[2] - r);
                    let square = dp * (dl * r + l * dr) + p * (dl * dr);
                    add(sums, [*p * l * r, square, dp * dl * dr])
                })
            }
        }
    }

    pub(super) fn fold(&mut self, challenge: &Fr) {
        match self {
            Self::Vectors(vectors) => {
                let half = vectors.len() / 2;
                let (low, high) = vectors.split_at_mut(half);
                let scalar = V::scalar(challenge);
                low.par_chunks_mut(TASK).zip(high.par_chunks(TASK)).for_each(|(low, high)| {
                    V::run(
                        #[inline(always)]
                        || fold::<V>(low, high, &scalar),
                    );
                });
                vectors.truncate(half);
                if let [last] = vectors.as_slice() {
                    *self = Self::Cells(V::run(
                        #[inline(always)]
                        || unpack::<V>(last),
                    ));
                }
            }
            Self::Cells(cells) => {
                let half = cells.len() / 2;
                let (low, high) = cells.split_at_mut(half);
                for (low, high) in low.iter_mut().zip(high) {
                    for (low, high) in low.iter_mut().zip(high) {
                        *low += (*high - *low) * challenge;
                    }
                }
                cells.truncate(half);
            }
        }
    }

    /// Both operands at the point, after the last round.
    pub(super) fn operands(&self) -> (Fr, Fr) {
        match self {
            Self::Cells(cells) => cells.first().map_or((Fr::ZERO, Fr::ZERO), |[_, left, right]| (*left, *right)),
            Self::Vectors(_) => unreachable!("the last rounds go cell by cell"),
        }
    }
}

#[inline(always)]
fn pack<V: Lanes>(cells: &[Fr]) -> V::Packed {
    V::from_lanes(cells.first_chunk().expect("a chunk of eight")).store()
}

#[inline(always)]
fn unpack<V: Lanes>([p, l, r]: &Vectors<V>) -> Vec<Cell> {
    let (p, l, r) = (V::load(p).to_lanes(), V::load(l).to_lanes(), V::load(r).to_lanes());
    (0..LANES).map(|lane| [p[lane], l[lane], r[lane]]).collect()
}

/// With `p0 + x·dp` and so on: `p0·l0·r0`, `dp·(dl·r0 + l0·dr) + p0·dl·dr`, `dp·dl·dr`.
#[inline(always)]
fn round<V: Lanes>(low: &[Vectors<V>], high: &[Vectors<V>]) -> [Fr; 3] {
    let (mut zero, mut square, mut cube) = (V::wide(), V::wide(), V::wide());
    for (low, high) in low.iter().zip(high) {
        let (p, l, r) = (V::load(&low[0]), V::load(&low[1]), V::load(&low[2]));
        let dp = V::load(&high[0]).minus(p);
        let dl = V::load(&high[1]).minus(l);
        let dr = V::load(&high[2]).minus(r);
        let bent = dl.times(dr);
        V::accumulate(&mut zero, l.times(r), p);
        V::accumulate(&mut square, V::dot(dl, r, l, dr), dp);
        V::accumulate(&mut square, bent, p);
        V::accumulate(&mut cube, bent, dp);
    }
    let zero = V::reduce(zero).to_lanes();
    let square = V::reduce(square).to_lanes();
    let cube = V::reduce(cube).to_lanes();
    [zero.iter().sum(), square.iter().sum(), cube.iter().sum()]
}

#[inline(always)]
fn fold<V: Lanes>(low: &mut [Vectors<V>], high: &[Vectors<V>], challenge: &V::Scalar) {
    let challenge = V::broadcast(challenge);
    for (low, high) in low.iter_mut().zip(high) {
        for i in 0..3 {
            let own = V::load(&low[i]);
            low[i] = own.plus_product(V::load(&high[i]).minus(own), challenge).store();
        }
    }
}
