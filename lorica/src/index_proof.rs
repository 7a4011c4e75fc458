//! Proofs that a datanet's index is in range: made once per index, before anybody is paid by it.

use std::sync::Arc;
use std::time::Duration;

use lorica_cells::watch::Watch;
use lorica_circuits::bn254::Fr;
use lorica_prover::index::prove_index as prove;
use lorica_verifier::protocol::key::KeyError;
use lorica_verifier::verify_index;

pub use lorica_verifier::{IndexProof, IndexStatement};

use crate::datanet::blinded;
use crate::files::{AdapterKey, BaseKey, DatanetFile};
use crate::prover::ProverError;
use crate::srs::AcceptedSrs;
use crate::steps::Steps;

/// Names of the steps, in their order, as a [`Watch`] hears them.
pub const STEPS: [&str; 9] = [
    "lay out the index",
    "witness",
    "commit",
    "lookups",
    "relations",
    "reduction",
    "combine tiles",
    "opening",
    "self-check",
];

/// A proof and the time of each step.
#[derive(Debug)]
pub struct ProvenIndex {
    /// The proof.
    pub proof: IndexProof,
    /// The steps in their order.
    pub phases: Vec<(String, Duration)>,
}

/// Proves that every cell of a datanet's index is in its range; needs the keys of base and adapter, and no integers of theirs.
/// The proof is checked before it is returned.
///
/// # Errors
/// [`ProverError`] if a cell is out of range, which is named, or if base, adapter and datanet do not belong together.
pub fn prove_index(
    srs: &AcceptedSrs,
    base: &BaseKey,
    adapter: &AdapterKey,
    datanet: &DatanetFile,
    context: Fr,
    watch: &dyn Watch,
) -> Result<ProvenIndex, ProverError> {
    let commitments = &base.commitments;
    srs.expect_of(commitments)?;
    let key = datanet.index_key();
    let own = &key.commitments;
    if datanet.base != base.id() {
        return Err(ProverError::IndexOfOtherBase);
    }
    own.validate(commitments, &adapter.commitments).map_err(|error| match error {
        KeyError::IndexOf => ProverError::IndexOfOtherAdapter,
        error => ProverError::OwnProof(error.into()),
    })?;
    let mut steps = Steps::new(watch);
    let index = steps.run("lay out the index", || {
        Ok::<_, ProverError>(Arc::new(blinded(commitments, own.records, &datanet.cells, Some(&datanet.blinding))?))
    })?;
    let statement = IndexStatement {
        architecture: commitments.architecture_digest(),
        srs: commitments.srs,
        log_tile: commitments.log_tile,
        index: own.id(),
        records: own.records,
        count: own.count,
        context,
    };
    let (proof, phases) = prove(srs, commitments, &index, &statement, watch)?;
    steps.phases.extend(phases.into_iter().map(|(name, time)| (name.to_owned(), time)));
    steps.run("self-check", || verify_index(base, adapter, &key, &context, &proof).map_err(ProverError::OwnProof))?;
    Ok(ProvenIndex { proof, phases: steps.phases })
}
