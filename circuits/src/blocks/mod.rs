//! Parts of transformers that families call: each writes its relations for the columns and axes that it is given.

pub mod attention;
pub mod linear;
pub mod norm;

use crate::axis::Axis;
use crate::relation::PublicFactor;

/// `eq` of each axis with its outer point.
#[must_use]
pub fn equal(axes: &[Axis]) -> Vec<PublicFactor> {
    axes.iter().map(|&axis| PublicFactor::Equal(axis)).collect()
}
