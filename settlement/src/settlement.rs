//! Makes settlements; what they are and how they are checked is [`lorica_settlement_check::settlement`].

use lorica_circuits::bn254::Fr;
pub use lorica_settlement_check::IndexSettlement;
pub use lorica_settlement_check::settlement::{Answer, OpeningPoints, Settlement, SettlementError};
use lorica_settlement_check::{Binding, CircuitShape, Subject, binding::BindingError};
use lorica_verifier::protocol::field::{Opened, Outcome};
use lorica_verifier::protocol::group::VerifierKey;
use lorica_verifier::protocol::index::{IndexProof, index_inputs, verify_index};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments};
use lorica_verifier::protocol::mercury::MercuryProof;
use lorica_verifier::protocol::proof::InferenceProof;
use lorica_verifier::protocol::verify::{Keys, VerifyError, inputs};

use crate::key::ProvingKey;
use crate::prove::{HaloProof, SettleError, prove, prove_index};

/// Why an inference proof is not settled.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The inference proof is bound to something else.
    #[error("the inference proof was made for another binding")]
    Binding,
    /// Another number of requests.
    #[error("the binding has {bound} requests, the proof {proven}")]
    Requests {
        /// In the binding.
        bound: usize,
        /// In the proof.
        proven: usize,
    },
    /// The key is for another architecture or shape.
    #[error("the settlement key is for another architecture or shape: {key}")]
    ForeignKey {
        /// What the key is for.
        key: String,
    },
    /// The binding is refused by every contract.
    #[error(transparent)]
    BadBinding(#[from] BindingError),
    /// The inference proof is not accepted.
    #[error("inference proof: {0}")]
    Inference(#[from] VerifyError),
    /// The index proof is not accepted.
    #[error("index proof: {0}")]
    Index(VerifyError),
    /// No halo2 proof.
    #[error(transparent)]
    Settle(#[from] SettleError),
}

/// Whether a batch may be settled for a binding: the inference proof holds and was made for it. Takes milliseconds and no
/// settlement key.
///
/// # Errors
/// [`MakeError`].
pub fn admit<'k>(
    srs: &VerifierKey,
    base: &BaseCommitments,
    keys: impl Into<Keys<'k>>,
    binding: &Binding,
    inference: &InferenceProof,
) -> Result<Outcome<Fr>, MakeError> {
    let statement = &inference.statement;
    binding.validate()?;
    let (bound, proven) = (binding.requests.len(), statement.requests.len());
    if bound != proven {
        return Err(MakeError::Requests { bound, proven });
    }
    if binding.context() != statement.context {
        return Err(MakeError::Binding);
    }
    Ok(lorica_verifier::protocol::verify::verify(srs, base, keys, &statement.context, inference)?)
}

/// Settles a batch: checks the inference proof, then proves that the field part accepts it.
///
/// # Errors
/// [`MakeError`].
pub fn make<'k>(
    key: &ProvingKey,
    srs: &VerifierKey,
    base: &BaseCommitments,
    keys: impl Into<Keys<'k>>,
    binding: &Binding,
    inference: &InferenceProof,
) -> Result<Settlement, MakeError> {
    let statement = &inference.statement;
    let of = key.verifying().circuit_shape();
    if (of.architecture_digest, of.shape, of.subject) != (statement.architecture, statement.shape, Subject::Inference) {
        return Err(MakeError::ForeignKey { key: crate::key::describe(of) });
    }
    let outcome = admit(srs, base, keys, binding, inference)?;
    let witness = digest_points(&inference.witness);
    let own = inputs(&key.compiled().layout, base, statement, witness, inference.prover_salt)?;
    let HaloProof { bytes, .. } = prove(key, &own, &inference.messages)?;
    let mut shares = Vec::new();
    let mut answers = Vec::new();
    for (request, mut words) in statement.requests.iter().zip(outcome.requests) {
        shares.append(&mut words.shares);
        answers.push(Answer { adapter: request.adapter, words });
    }
    let MercuryProof { h, q, g, s, d, quot, w, w_prime, .. } = inference.opening;
    Ok(Settlement {
        circuit: key.verifying().circuit_id(),
        binding: binding.clone(),
        base: statement.base,
        answers,
        index: statement.attribution.map_or(Fr::zero(), |own| own.index),
        shares,
        witness: inference.witness.clone(),
        opening: [h, q, g, s, d, quot, w, w_prime],
        rho_high: outcome.rho_high,
        outcome: outcome.mercury,
        proof: bytes,
    })
}

/// Settles an index proof: checks it, then proves that the field part accepts it.
///
/// # Errors
/// [`MakeError`].
pub fn make_index(
    key: &ProvingKey,
    srs: &VerifierKey,
    base: &BaseCommitments,
    adapter: &AdapterCommitments,
    index: &IndexCommitments,
    proven: &IndexProof,
) -> Result<IndexSettlement, MakeError> {
    let of = key.verifying().circuit_shape();
    if CircuitShape::of_index(base, index.records) != *of {
        return Err(MakeError::ForeignKey { key: crate::key::describe(of) });
    }
    // Contracts take no context: that an index is in range is true for everybody.
    let Opened { rho_high, mercury } =
        verify_index(srs, base, adapter, index, &Fr::zero(), proven).map_err(MakeError::Index)?;
    let witness = digest_points(&proven.witness);
    let own = index_inputs(&base.architecture, &proven.statement, witness, proven.prover_salt);
    let HaloProof { bytes, .. } = prove_index(key, &own, &proven.messages)?;
    let MercuryProof { h, q, g, s, d, quot, w, w_prime, .. } = proven.opening;
    Ok(IndexSettlement {
        circuit: key.verifying().circuit_id(),
        index: index.id(),
        witness: proven.witness.clone(),
        opening: [h, q, g, s, d, quot, w, w_prime],
        rho_high,
        outcome: mercury,
        proof: bytes,
    })
}
