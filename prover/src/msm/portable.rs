//! Many independent additions of affine points with one inversion, without vector instructions.
//!
//! `λ = (y₂ − y₁)/(x₂ − x₁)`, `x₃ = λ² − x₁ − x₂`, `y₃ = λ(x₁ − x₃) − y₁`, with Montgomery's trick for the inverses.

use lorica_circuits::bn254::{Field, Fq};

use super::point::Point;

/// `target[into] = source[left] + source[right]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) into: u32,
}

/// Memory reused between calls.
#[derive(Default)]
pub(super) struct Slopes(Vec<Slope>);

#[derive(Clone, Copy)]
struct Slope {
    numerator: Fq,
    denominator: Fq,
    /// Product of the denominators before this one.
    before: Fq,
}

/// Pairs that share an inversion in the portable code.
const BATCH: usize = 1024;

/// Adds all pairs. Targets may not be sources: they are other slices.
pub(super) fn add_pairs(source: &[Point], target: &mut [Point], pairs: &[Pair], Slopes(slopes): &mut Slopes) {
    for batch in pairs.chunks(BATCH) {
        slopes.clear();
        let mut product = Fq::ONE;
        for pair in batch {
            let (left, right) = (&source[pair.left as usize], &source[pair.right as usize]);
            let (numerator, denominator) = slope(left, right);
            slopes.push(Slope { numerator, denominator, before: product });
            product *= denominator;
        }
        let mut inverse = product.invert().expect("no denominator is zero");
        for (pair, slope) in batch.iter().zip(&*slopes).rev() {
            let (left, right) = (&source[pair.left as usize], &source[pair.right as usize]);
            let lambda = slope.numerator * slope.before * inverse;
            inverse *= slope.denominator;
            target[pair.into as usize] = match exception(left, right) {
                Some(sum) => sum,
                None => {
                    let x = lambda.square() - left.x - right.x;
                    Point { x, y: lambda * (left.x - x) - left.y }
                }
            };
        }
    }
}

/// Numerator and denominator of the slope, the latter never zero.
fn slope(left: &Point, right: &Point) -> (Fq, Fq) {
    let run = right.x - left.x;
    if exception(left, right).is_some() {
        (Fq::ZERO, Fq::ONE)
    } else if run == Fq::ZERO {
        // A doubling: 3x²/2y. No point has y = 0, the group's order is odd.
        let square = left.x.square();
        (square + square + square, left.y + left.y)
    } else {
        (right.y - left.y, run)
    }
}

/// The sum where it takes no slope: with the identity, or of opposite points.
fn exception(left: &Point, right: &Point) -> Option<Point> {
    if left.is_identity() {
        Some(*right)
    } else if right.is_identity() {
        Some(*left)
    } else if left.x == right.x && left.y != right.y {
        Some(Point::IDENTITY)
    } else {
        None
    }
}
