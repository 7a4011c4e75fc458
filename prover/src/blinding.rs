//! What makes a commitment tell nothing: coefficients beyond a tile's cells, and the mask tile.

use std::sync::Arc;

use lorica_cells::watch::Watch;
use lorica_circuits::bn254::{Fr, FromUniformBytes, G1Affine};
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;

use crate::cells::Placed;
use crate::commit::{Tile, commit_watched};
use crate::error::ProveError;
use crate::srs::Srs;

/// A uniform scalar from the operating system.
///
/// # Errors
/// [`ProveError::Randomness`].
pub fn random_scalar() -> Result<Fr, ProveError> {
    let mut bytes = [0u8; 64];
    getrandom::fill(&mut bytes).map_err(ProveError::Randomness)?;
    Ok(Fr::from_uniform_bytes(&bytes))
}

/// Where the mask tile has its coefficients: an 8 x 8 grid of rows and columns of Mercury's matrix, none in row 0
/// (`docs/protocol/settlement.md`, Hiding).
pub(crate) fn mask_cells(log_tile: u32) -> Vec<usize> {
    let columns = 1usize << log_tile.div_ceil(2);
    (1..=8).flat_map(|row| (0..8).map(move |column| row * columns + column)).collect()
}

/// The mask tile's random coefficients.
pub(crate) fn random_mask(log_tile: u32) -> Result<Vec<(usize, Fr)>, ProveError> {
    mask_cells(log_tile).into_iter().map(|cell| Ok((cell, random_scalar()?))).collect()
}

/// A region whose tiles are blinded: a datanet's index.
#[derive(Clone, Debug)]
pub struct Blinded {
    /// Its cells.
    pub cells: Arc<Placed>,
    /// A coefficient for each tile.
    pub blinding: Vec<Fr>,
}

impl Blinded {
    /// Fresh coefficients for the tiles of a region.
    ///
    /// # Errors
    /// [`ProveError::Randomness`].
    pub fn new(layout: &Layout, region: Region, cells: Arc<Placed>) -> Result<Self, ProveError> {
        let count = layout.tiles(region, 0).count;
        let blinding = (0..count).map(|_| random_scalar()).collect::<Result<_, _>>()?;
        Ok(Self { cells, blinding })
    }
}

/// Commits to the tiles of a blinded region, each with a coefficient beyond its cells: who knows another
/// region learns nothing from the difference of two commitments.
///
/// # Errors
/// If the SRS is too small.
pub fn commit_blinded(
    srs: &Srs,
    log_tile: u32,
    region: &Blinded,
    watch: &dyn Watch,
) -> Result<Vec<G1Affine>, ProveError> {
    let size = 1usize << log_tile;
    let beyond: Vec<[(usize, Fr); 1]> = region.blinding.iter().map(|own| [(size, *own)]).collect();
    let tiles = beyond.iter().enumerate().map(|(index, own)| Tile::of(&region.cells, index, size, own));
    Ok(commit_watched(srs, &tiles.collect::<Vec<_>>(), watch)?)
}
