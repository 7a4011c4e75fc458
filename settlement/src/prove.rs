//! Makes and checks settlement proofs.

use halo2_base::halo2_proofs::halo2curves::bn256::Bn256;
use halo2_base::halo2_proofs::plonk::{self, create_proof, verify_proof};
use halo2_base::halo2_proofs::poly::commitment::Params;
use halo2_base::halo2_proofs::poly::kzg::commitment::{KZGCommitmentScheme, ParamsKZG};
use halo2_base::halo2_proofs::poly::kzg::multiopen::{ProverSHPLONK, VerifierSHPLONK};
use halo2_base::halo2_proofs::poly::kzg::strategy::SingleStrategy;
use halo2_base::halo2_proofs::transcript::TranscriptWriterBuffer;
use lorica_circuits::bn254::{Fr, G1Affine, G2Affine};
use lorica_verifier::protocol::field::{FieldError, Messages};
use lorica_verifier::protocol::statement::Inputs;
use rand_core::OsRng;

use crate::key::{ProvingKey, VerifyingKey};
use crate::transcript::{Challenge, KeccakTranscript};

/// Bytes of a proof: 15 points, 32 scalars.
pub const PROOF_BYTES: usize = 15 * 64 + 32 * 32;

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

/// A proof that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Another number of words than the key's.
    #[error("public words: expected {expected}, got {got}")]
    Words {
        /// By the key.
        expected: usize,
        /// Given.
        got: usize,
    },
    /// Another length than every proof has.
    #[error("settlement proof: expected {PROOF_BYTES} bytes, got {got}")]
    Length {
        /// Bytes.
        got: usize,
    },
    /// halo2 rejects.
    #[error("the settlement proof does not hold")]
    Rejected,
}

/// A halo2 proof that the field part accepts, and the public words that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaloProof {
    /// Public words, see [`crate::words::Words`].
    pub words: Vec<Fr>,
    /// Proof bytes as the contract reads them.
    pub bytes: Vec<u8>,
}

/// Proves that the field part accepts. A false inference proof gives a proof that is rejected.
///
/// # Errors
/// [`SettleError`].
pub fn prove(key: &ProvingKey, inputs: &Inputs<Fr>, messages: &Messages<Fr>) -> Result<HaloProof, SettleError> {
    let circuit = key.compiled.circuit(inputs, messages)?;
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

impl VerifyingKey {
    /// Checks a proof for its words; the group claim is still owed.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn check(&self, proof: &HaloProof) -> Result<(), CheckError> {
        if proof.words.len() != self.words() {
            return Err(CheckError::Words { expected: self.words(), got: proof.words.len() });
        }
        if proof.bytes.len() != PROOF_BYTES {
            return Err(CheckError::Length { got: proof.bytes.len() });
        }
        let params = verifier_params(self.log_rows(), self.tau_g2);
        let mut transcript = KeccakTranscript::new(proof.bytes.as_slice());
        verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, Challenge, _, _>(
            &params,
            &self.halo2,
            SingleStrategy::new(&params),
            &[&[&proof.words]],
            &mut transcript,
        )
        .map_err(|_| CheckError::Rejected)
    }
}

/// Parameters that only check: the generator and two points of G2.
fn verifier_params(k: u32, tau_g2: G2Affine) -> ParamsKZG<Bn256> {
    let any = ParamsKZG::<Bn256>::setup(1, OsRng);
    let one = vec![G1Affine::generator()];
    let params = any.from_parts(k, one.clone(), Some(one), G2Affine::generator(), tau_g2);
    debug_assert_eq!(params.k(), k);
    params
}
