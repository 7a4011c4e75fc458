//! Commitments to tiles: small integers in the first 2^τ coefficients, field elements where blinding or a mask is wanted.

use lorica_cells::watch::{Unwatched, Watch};
use lorica_cells::{Cell, Slice};
use lorica_circuits::bn254::{Curve, Fr, G1, G1Affine, Group};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use rayon::prelude::*;

use crate::cells::Placed;
pub use crate::msm::normalise;
use crate::msm::{commit_parts, msm};
use crate::srs::{Srs, SrsError};

/// A tile to commit to.
#[derive(Clone, Debug)]
pub struct Tile<'a> {
    /// Cells and the coefficient of the first of them, by rising coefficients, at most 2^τ; those that are missing are zero.
    pub parts: Vec<(usize, Slice<'a>)>,
    /// Field elements added at single coefficients, by index: beyond the cells (blinding), or anywhere (mask).
    pub field_coefficients: &'a [(usize, Fr)],
}

impl<'a> Tile<'a> {
    /// A tile of cells of one width, from the first coefficient on.
    pub fn new<T: Cell>(cells: &'a [T], field_coefficients: &'a [(usize, Fr)]) -> Self {
        Self { parts: vec![(0, cells.into())], field_coefficients }
    }

    /// One tile of a region.
    pub(crate) fn of(cells: &'a Placed, index: usize, size: usize, field_coefficients: &'a [(usize, Fr)]) -> Self {
        Self { parts: cells.parts_within(index * size..(index + 1) * size).collect(), field_coefficients }
    }
}

/// The commitment of each tile.
///
/// # Errors
/// [`SrsError::TooSmall`] if a tile has a coefficient beyond the SRS.
pub fn commit_tiles(srs: &Srs, tiles: &[Tile<'_>]) -> Result<Vec<G1Affine>, SrsError> {
    commit_watched(srs, tiles, &Unwatched)
}

/// [`commit_tiles`], which leaves out what is left when it is cancelled: the caller checks afterwards.
pub(crate) fn commit_watched(srs: &Srs, tiles: &[Tile<'_>], watch: &dyn Watch) -> Result<Vec<G1Affine>, SrsError> {
    for tile in tiles {
        let highest = tile.field_coefficients.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        srs.check_size(tile.parts.iter().map(|(start, cells)| start + cells.len()).fold(highest, usize::max))?;
    }
    let sums: Vec<G1> = tiles
        .par_iter()
        .map(|tile| {
            if watch.is_cancelled() {
                return G1::identity();
            }
            let (bases, scalars): (Vec<G1Affine>, Vec<Fr>) =
                tile.field_coefficients.iter().map(|(index, value)| (srs.g1()[*index], *value)).unzip();
            commit_parts(srs.g1(), &tile.parts) + msm(&scalars, &bases)
        })
        .collect();
    Ok(normalise(&sums))
}

/// Splits a region's cells into tiles and commits to the occupied ones.
///
/// # Errors
/// If the SRS is too small.
pub fn commit_region(srs: &Srs, layout: &Layout, region: Region, cells: &Placed) -> Result<Vec<G1Affine>, SrsError> {
    let size = 1usize << layout.shape.log_tile;
    let tiles: Vec<Tile<'_>> = layout
        .occupied(region)
        .into_iter()
        .enumerate()
        .filter(|(_, occupied)| *occupied)
        .map(|(index, _)| Tile::of(cells, index, size, &[]))
        .collect();
    commit_tiles(srs, &tiles)
}

/// The commitment of a polynomial with field coefficients.
///
/// # Errors
/// [`SrsError::TooSmall`].
pub fn commit(srs: &Srs, coefficients: &[Fr]) -> Result<G1Affine, SrsError> {
    srs.check_size(coefficients.len())?;
    Ok(msm(coefficients, srs.g1()).to_affine())
}
