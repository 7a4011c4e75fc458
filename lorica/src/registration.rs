//! Registration: commitments to a base's or an adapter's integers.

use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::cells::{Placed, tables};
use lorica_prover::prove::commit_region;
use lorica_prover::srs::{Srs, SrsError};
use lorica_quant::integer::{AdapterModel, BaseModel};
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};

use crate::files::{AdapterFile, AdapterKey, BaseFile, BaseKey};
use crate::kind::Kind;
use crate::srs::{AcceptedSrs, SrsPolicyError};

/// Why something is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// It has no layout, or its columns do not fit it.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The SRS.
    #[error(transparent)]
    Srs(#[from] SrsPolicyError),
    /// The base's lookup tables are not those of the formulas: it computes something else than it says.
    #[error("base {base:?}: the commitment to tile {tile} of its lookup tables is not that of the documented formulas")]
    Tables {
        /// The base's id.
        base: Fr,
        /// Index of the first tile that differs.
        tile: usize,
    },
}

impl From<SrsError> for RegistrationError {
    fn from(error: SrsError) -> Self {
        Self::Srs(error.into())
    }
}

impl RegistrationError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Srs(error) => error.kind(),
            Self::Circuit(_) | Self::Tables { .. } => Kind::Input,
        }
    }
}

/// The layout of base, tables and adapters, which does not depend on the batch.
pub(crate) fn layout(architecture: &Architecture, log_tile: u32) -> Result<Layout, CircuitError> {
    let shape = Shape { requests: 1, tokens: 16, log_tile, output: OutputKind::Classify, records: 0 };
    architecture.layout(&shape)
}

/// Commits to an architecture's lookup tables, which follow from documented formulas.
fn commit_tables(srs: &Srs, architecture: &Architecture, layout: &Layout) -> Result<Vec<G1Affine>, RegistrationError> {
    Ok(commit_region(srs, layout, Region::TABLE, &tables(layout, architecture)?)?)
}

/// Makes the commitments to a base's lookup tables again and compares them: a base whose tables are others computes
/// something else than it says.
///
/// # Errors
/// [`RegistrationError::Tables`] if they differ, or if the base was registered with another SRS.
pub fn expect_tables(srs: &AcceptedSrs, base: &BaseCommitments) -> Result<(), RegistrationError> {
    srs.expect_of(base)?;
    let own = commit_tables(srs, &base.architecture, &layout(&base.architecture, base.log_tile)?)?;
    if own != base.tables {
        let tile = own.iter().zip(&base.tables).position(|(own, other)| own != other).unwrap_or(own.len());
        return Err(RegistrationError::Tables { base: base.id(), tile });
    }
    Ok(())
}

/// Commits to a base model. `source` is the SHA-256 of the weights that it was made from.
///
/// # Errors
/// [`RegistrationError`] if the model has no layout or the SRS is too small.
pub fn register_base(
    srs: &AcceptedSrs,
    model: BaseModel,
    log_tile: u32,
    source: [u8; 32],
) -> Result<BaseFile, RegistrationError> {
    let layout = layout(&model.architecture, log_tile)?;
    let cells = Placed::new(&layout, Region::BASE, &model.columns)?;
    let commitments = BaseCommitments {
        architecture: model.architecture.clone(),
        scales: model.scales.clone(),
        log_tile,
        srs: srs.digest_word(),
        tau_g2: *srs.tau_g2(),
        tables: commit_tables(srs, &model.architecture, &layout)?,
        tiles: commit_region(srs, &layout, Region::BASE, &cells)?,
    };
    let key = BaseKey {
        commitments,
        has_pooler: model.meta.has_pooler,
        output_exponent: model.meta.output_exponent(),
        tokenizer_json: model.tokenizer_json.clone(),
    };
    Ok(BaseFile { key, source, model })
}

/// Commits to an adapter.
///
/// # Errors
/// As [`register_base`]; also if the SRS is another one than the base's.
pub fn register_adapter(
    srs: &AcceptedSrs,
    base: &BaseKey,
    model: AdapterModel,
) -> Result<AdapterFile, RegistrationError> {
    srs.expect_of(&base.commitments)?;
    let layout = layout(&base.commitments.architecture, base.commitments.log_tile)?;
    let cells = Placed::new(&layout, Region::ADAPTER, &model.columns)?;
    let tiles = commit_region(srs, &layout, Region::ADAPTER, &cells)?;
    let commitments = AdapterCommitments { base: base.commitments.id(), version: None, tiles };
    let key = AdapterKey { commitments, has_head: model.has_head, labels: model.labels.clone() };
    Ok(AdapterFile { key, model })
}
