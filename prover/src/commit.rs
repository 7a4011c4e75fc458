//! Commitments to tiles: small integers in the first 2^τ coefficients, field elements where blinding or a mask is wanted.

use lorica_circuits::bn254::{Curve, Fr, G1, G1Affine, PrimeCurveAffine};
use rayon::prelude::*;

use crate::msm::{SmallInteger, commit_small, msm};
use crate::srs::{Srs, SrsError};

/// A tile to commit to.
#[derive(Clone, Debug)]
pub struct Tile<'a, T> {
    /// The cells from the first one on, at most 2^τ; those that are missing are zero.
    pub cells: &'a [T],
    /// Field elements added at single coefficients, by index: beyond the cells (blinding), or anywhere (mask).
    pub field_coefficients: &'a [(usize, Fr)],
}

/// The commitment of each tile.
///
/// # Errors
/// [`SrsError::TooSmall`] if a tile has a coefficient beyond the SRS.
pub fn commit_tiles<T: SmallInteger>(srs: &Srs, tiles: &[Tile<'_, T>]) -> Result<Vec<G1Affine>, SrsError> {
    for tile in tiles {
        let highest = tile.field_coefficients.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        srs.check_size(highest.max(tile.cells.len()))?;
    }
    let sums: Vec<G1> = tiles
        .par_iter()
        .map(|tile| {
            let (bases, scalars): (Vec<G1Affine>, Vec<Fr>) =
                tile.field_coefficients.iter().map(|(index, value)| (srs.g1()[*index], *value)).unzip();
            commit_small(srs.g1(), tile.cells) + msm(&scalars, &bases)
        })
        .collect();
    Ok(normalise(&sums))
}

/// The commitment of a polynomial with field coefficients.
///
/// # Errors
/// [`SrsError::TooSmall`].
pub fn commit(srs: &Srs, coefficients: &[Fr]) -> Result<G1Affine, SrsError> {
    srs.check_size(coefficients.len())?;
    Ok(msm(coefficients, srs.g1()).to_affine())
}

/// Affine forms with one inversion.
pub fn normalise(points: &[G1]) -> Vec<G1Affine> {
    let mut affine = vec![G1Affine::identity(); points.len()];
    G1::batch_normalize(points, &mut affine);
    affine
}
