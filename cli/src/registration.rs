//! Registration: commitments to a base's or an adapter's integers.

use lorica_circuits::bn254::G1Affine;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::layout::Layout;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, Shape};
use lorica_prover::cells::{Placed, tables};
use lorica_prover::prove::commit_region;
use lorica_prover::srs::Srs;
use lorica_quant::integer::{AdapterModel, BaseModel};
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments};

use crate::error::Error;
use crate::files::{AdapterFile, AdapterKey, BaseFile, BaseKey};

/// The layout of base, tables and adapters, which does not depend on the batch.
pub(crate) fn layout(architecture: &Architecture, log_tile: u32) -> Result<Layout, Error> {
    let shape = Shape { requests: 1, tokens: 16, log_tile, output: OutputKind::Classify };
    Ok(architecture.layout(&shape)?)
}

/// Commits to an architecture's lookup tables, which follow from documented formulas.
fn commit_tables(srs: &Srs, architecture: &Architecture, layout: &Layout) -> Result<Vec<G1Affine>, Error> {
    Ok(commit_region(srs, layout, Region::TABLE, &tables(layout, architecture)?)?)
}

/// Makes the commitments to a base's lookup tables again and compares them: a base whose tables are others computes
/// something else than it says.
///
/// # Errors
/// [`Error::Tables`] if they differ, [`Error::OtherSrs`] if the base was registered with another SRS, `name` being this one's.
pub fn expect_tables(srs: &Srs, base: &BaseCommitments, name: &str) -> Result<(), Error> {
    if srs.digest_word() != base.srs || *srs.tau_g2() != base.tau_g2 {
        return Err(Error::OtherSrs { what: name.into() });
    }
    let own = commit_tables(srs, &base.architecture, &layout(&base.architecture, base.log_tile)?)?;
    if own != base.tables {
        let tile = own.iter().zip(&base.tables).position(|(own, other)| own != other).unwrap_or(own.len());
        return Err(Error::Tables { base: base.id(), tile });
    }
    Ok(())
}

/// Commits to a base model.
///
/// # Errors
/// If the model has no layout or the SRS is too small.
pub fn register_base(srs: &Srs, model: BaseModel, log_tile: u32, source: [u8; 32]) -> Result<BaseFile, Error> {
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
/// As [`register_base`].
pub fn register_adapter(srs: &Srs, base: &BaseKey, model: AdapterModel) -> Result<AdapterFile, Error> {
    let layout = layout(&base.commitments.architecture, base.commitments.log_tile)?;
    let cells = Placed::new(&layout, Region::ADAPTER, &model.columns)?;
    let tiles = commit_region(srs, &layout, Region::ADAPTER, &cells)?;
    let commitments = AdapterCommitments { base: base.commitments.id(), version: None, tiles };
    let key = AdapterKey { commitments, has_head: model.has_head, labels: model.labels.clone() };
    Ok(AdapterFile { key, model })
}
