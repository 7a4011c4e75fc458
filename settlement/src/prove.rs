//! Makes settlement proofs.

use halo2_base::halo2_proofs::halo2curves::bn256::Bn256;
use halo2_base::halo2_proofs::plonk::{self, create_proof};
use halo2_base::halo2_proofs::poly::kzg::commitment::KZGCommitmentScheme;
use halo2_base::halo2_proofs::poly::kzg::multiopen::ProverSHPLONK;
use halo2_base::halo2_proofs::transcript::TranscriptWriterBuffer;
use lorica_circuits::bn254::Fr;
pub use lorica_settlement_check::halo2::{CheckError, HaloProof, PROOF_BYTES};
use lorica_verifier::protocol::field::{FieldError, Messages};
use lorica_verifier::protocol::index::IndexInputs;
use lorica_verifier::protocol::statement::Inputs;
use rand_core::OsRng;

use crate::circuit::SettlementCircuit;
use crate::key::ProvingKey;
use crate::transcript::{Challenge, KeccakTranscript};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The inference proof does not fit the key's shape.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// halo2 refuses.
    #[error("halo2: {0}")]
    Halo2(String),
}

/// Proves that the field part accepts. A false inference proof gives a proof that is rejected.
///
/// # Errors
/// [`SettleError`].
pub fn prove(key: &ProvingKey, inputs: &Inputs<Fr>, messages: &Messages<Fr>) -> Result<HaloProof, SettleError> {
    prove_circuit(key, key.compiled.circuit(inputs, messages)?)
}

/// [`prove`] of an index proof.
///
/// # Errors
/// [`SettleError`].
pub fn prove_index(
    key: &ProvingKey,
    inputs: &IndexInputs<Fr>,
    messages: &Messages<Fr>,
) -> Result<HaloProof, SettleError> {
    prove_circuit(key, key.compiled.index_circuit(inputs, messages)?)
}

fn prove_circuit(key: &ProvingKey, circuit: SettlementCircuit) -> Result<HaloProof, SettleError> {
    let words = circuit.instance();
    let mut transcript = KeccakTranscript::new(Vec::new());
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, Challenge, _, _, _>(
        &key.params,
        &key.halo2,
        &[circuit],
        &[&[&words]],
        OsRng,
        &mut transcript,
    )
    .map_err(|error: plonk::Error| SettleError::Halo2(format!("{error:?}")))?;
    Ok(HaloProof { words, bytes: transcript.finalize() })
}
