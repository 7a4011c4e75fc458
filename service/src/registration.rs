//! Registration: commitments to a base's or an adapter's integers.

use lorica_circuits::architecture::{OutputKind, Shape};
use lorica_circuits::column::Region;
use lorica_circuits::layout::Layout;
use lorica_prover::cells::{place, tables};
use lorica_prover::prove::commit_region;
use lorica_prover::srs::Srs;
use lorica_quant::integer::{AdapterModel, BaseModel};
use lorica_verifier::key::{AdapterCommitments, BaseCommitments};

use crate::error::Error;
use crate::files::{AdapterFile, AdapterKey, BaseFile, BaseKey};

/// The layout of base, tables and adapters, which does not depend on the batch.
pub(crate) fn layout(
    architecture: &lorica_circuits::architecture::Architecture,
    log_tile: u32,
) -> Result<Layout, Error> {
    let shape = Shape { requests: 1, tokens: 16, log_tile, output: OutputKind::Classify };
    Ok(Layout::new(architecture, &shape)?)
}

/// Commits to a base model.
///
/// # Errors
/// If the model has no layout or the SRS is too small.
pub fn register_base(srs: &Srs, model: BaseModel, log_tile: u32, source: [u8; 32]) -> Result<BaseFile, Error> {
    let layout = layout(&model.architecture, log_tile)?;
    let table_cells = tables(&layout, &model.architecture)?;
    let cells = place(&layout, Region::Base, &model.columns)?;
    let commitments = BaseCommitments {
        architecture: model.architecture.clone(),
        scales: model.scales.clone(),
        log_tile,
        srs: srs.digest_word(),
        tau_g2: *srs.tau_g2(),
        tables: commit_region(srs, &layout, Region::Table, &table_cells)?,
        tiles: commit_region(srs, &layout, Region::Base, &cells)?,
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
    let cells = place(&layout, Region::Adapter, &model.columns)?;
    let tiles = commit_region(srs, &layout, Region::Adapter, &cells)?;
    let commitments = AdapterCommitments { base: base.commitments.id(), tiles };
    let key = AdapterKey { commitments, has_head: model.has_head, labels: model.labels.clone() };
    Ok(AdapterFile { key, model })
}
