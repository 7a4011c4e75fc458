//! An affine point as it lies in memory.

use lorica_circuits::bn254::{Field, Fq, G1Affine};

/// Affine coordinates, one cache line; the identity is (0, 0), which is not on the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Point {
    pub(super) x: Fq,
    pub(super) y: Fq,
}

impl Point {
    pub(super) const IDENTITY: Self = Self { x: Fq::ZERO, y: Fq::ZERO };

    pub(super) fn is_identity(&self) -> bool {
        self.x == Fq::ZERO && self.y == Fq::ZERO
    }
}

impl From<G1Affine> for Point {
    fn from(point: G1Affine) -> Self {
        Self { x: point.x, y: point.y }
    }
}

impl From<Point> for G1Affine {
    fn from(point: Point) -> Self {
        Self { x: point.x, y: point.y }
    }
}
