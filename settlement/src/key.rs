//! Keys that make settlements: one per architecture and shape, for every base and adapter. The part that checks is
//! [`VerifyingKey`].

use halo2_base::halo2_proofs::SerdeFormat;
use halo2_base::halo2_proofs::halo2curves::bn256::Bn256;
use halo2_base::halo2_proofs::plonk::{self, keygen_pk, keygen_vk_custom};
use halo2_base::halo2_proofs::poly::EvaluationDomain;
use halo2_base::halo2_proofs::poly::commitment::{Blind, Params, ParamsProver};
use halo2_base::halo2_proofs::poly::kzg::commitment::ParamsKZG;
use lorica_circuits::bn254::{Field, Fr, G1Affine, G2Affine};
use lorica_circuits::error::CircuitError;
pub use lorica_settlement_check::key::VerifyingKey;
use lorica_settlement_check::key::{CircuitKey, MAX_LOG_ROWS, VERSION};
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::magic::SETTLEMENT_PROVING_KEY_MAGIC;
use lorica_verifier::protocol::field::FieldError;
use rand_core::OsRng;

use crate::circuit::SettlementCircuit;
use crate::lagrange::lagrange_basis;
use crate::statement::{CircuitShape, Compiled, Subject};

/// Degree of the constraints, as halo2 counts.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "7")]
const DEGREE: u32 = crate::gates::DEGREE as u32;

/// Why a settlement key cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The part that checks.
    #[error(transparent)]
    Verifying(#[from] lorica_settlement_check::KeyError),
    /// The shape is not offered.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The relations do not fit the layout.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The file is damaged or of another version.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The SRS has too few powers.
    #[error("the settlement circuit needs 2^{needed} powers, the SRS has {got}")]
    SmallSrs {
        /// log2 of the rows.
        needed: u32,
        /// Powers of the SRS.
        got: usize,
    },
    /// The SRS is not the one that the base was committed with.
    #[error("the SRS is not the one of the base")]
    ForeignSrs,
    /// halo2 refuses.
    #[error("halo2: {0}")]
    Halo2(String),
    /// A proving key of another architecture, shape or SRS.
    #[error("the settlement key is for {got}, not for {expected}")]
    Foreign {
        /// What is needed.
        expected: String,
        /// What the file is for.
        got: String,
    },
    /// A file whose parts do not fit each other.
    #[error("settlement key: {what}")]
    Malformed {
        /// The part.
        what: &'static str,
    },
}

impl From<plonk::Error> for KeyError {
    fn from(error: plonk::Error) -> Self {
        Self::Halo2(format!("{error:?}"))
    }
}

/// The powers that commitments of the base and halo2 share.
#[derive(Clone, Copy, Debug)]
pub struct Powers<'s> {
    /// `[τ^i]₁`.
    pub g1: &'s [G1Affine],
    /// `[τ]₂`; `[1]₂` is the standard generator.
    pub tau_g2: G2Affine,
    /// Digest of the SRS.
    pub digest: Fr,
}

impl<'s> Powers<'s> {
    /// The first `2^k`.
    fn first(&self, k: u32) -> Result<&'s [G1Affine], KeyError> {
        self.g1.get(..1 << k).ok_or(KeyError::SmallSrs { needed: k, got: self.g1.len() })
    }

    /// halo2's view of the first `2^k` powers, with the commitments of the Lagrange basis.
    fn params(&self, k: u32, lagrange: &[G1Affine]) -> Result<ParamsKZG<Bn256>, KeyError> {
        // `from_parts` is a method: the smallest parameters serve to call it.
        let any = ParamsKZG::<Bn256>::setup(1, OsRng);
        let own = self.first(k)?.to_vec();
        Ok(any.from_parts(k, own, Some(lagrange.to_vec()), G2Affine::generator(), self.tau_g2))
    }
}

/// Whether `lagrange` commits to the Lagrange basis: a random polynomial has one commitment in both bases.
fn same_commitment(params: &ParamsKZG<Bn256>, domain: &EvaluationDomain<Fr>) -> bool {
    let random = (0..params.n()).map(|_| <Fr as Field>::random(OsRng)).collect();
    let evaluations = domain.lagrange_from_vec(random);
    let coefficients = domain.lagrange_to_coeff(evaluations.clone());
    params.commit_lagrange(&evaluations, Blind::default()) == params.commit(&coefficients, Blind::default())
}

/// What makes settlement proofs.
#[derive(Debug)]
pub struct ProvingKey {
    pub(crate) compiled: Compiled,
    pub(crate) params: ParamsKZG<Bn256>,
    pub(crate) halo2: plonk::ProvingKey<G1Affine>,
    verifying: VerifyingKey,
    lagrange: Vec<G1Affine>,
}

/// What halo2 knows of a circuit, from halo2's own key.
///
/// # Errors
/// [`KeyError`] if the key is of other gates, or names itself otherwise.
pub fn circuit_key(halo2: &plonk::VerifyingKey<G1Affine>) -> Result<CircuitKey, KeyError> {
    let other = || KeyError::Malformed { what: "halo2's key is not one of this circuit's gates" };
    let fixed = halo2.fixed_commitments().as_slice().try_into().map_err(|_| other())?;
    let permutation = halo2.permutation().commitments().as_slice().try_into().map_err(|_| other())?;
    let key = CircuitKey::new(halo2.get_domain().k(), fixed, permutation)?;
    if *key.transcript_word() == halo2.transcript_repr() { Ok(key) } else { Err(other()) }
}

/// halo2's own key from what it knows of a circuit. It brings tables for the prover, of sixteen times the circuit's rows.
///
/// # Errors
/// [`KeyError::Halo2`].
pub fn halo2_key(key: &CircuitKey) -> Result<plonk::VerifyingKey<G1Affine>, KeyError> {
    plonk::VerifyingKey::from_bytes::<SettlementCircuit>(&key.to_bytes(), SerdeFormat::RawBytes, ())
        .map_err(|error| KeyError::Halo2(error.to_string()))
}

impl ProvingKey {
    /// Makes the key of an architecture and shape.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn generate(of: &CircuitShape, powers: &Powers<'_>) -> Result<Self, KeyError> {
        if powers.digest != of.srs {
            return Err(KeyError::ForeignSrs);
        }
        let compiled = Compiled::new(of)?;
        let circuit = compiled.empty_circuit()?;
        let k = circuit.log_rows();
        let lagrange = lagrange_basis(powers.first(k)?);
        let params = powers.params(k, &lagrange)?;
        let halo2 = keygen_vk_custom(&params, &circuit, false)?;
        let verifying = VerifyingKey::new(of.clone(), powers.tau_g2, circuit_key(&halo2)?)?;
        let halo2 = keygen_pk(&params, halo2, &circuit)?;
        Ok(Self { compiled, params, halo2, verifying, lagrange })
    }

    /// The file: the part that checks, and the commitments of the Lagrange basis, which take longest to make.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(SETTLEMENT_PROVING_KEY_MAGIC, VERSION);
        w.counted(&self.verifying.encode());
        w.points(&self.lagrange);
        w.finish()
    }

    /// Reads a file and makes the rest of the key again.
    ///
    /// # Errors
    /// [`KeyError`] if the file is damaged, of another version, or for another architecture, shape or SRS.
    pub fn decode(bytes: &[u8], of: &CircuitShape, powers: &Powers<'_>) -> Result<Self, KeyError> {
        let mut r = Reader::new(bytes, "settlement proving key", SETTLEMENT_PROVING_KEY_MAGIC, VERSION)?;
        let verifying = VerifyingKey::decode(r.counted("verifying key", 1 << 17)?)?;
        let lagrange = r.points("Lagrange basis", 1 << MAX_LOG_ROWS)?;
        r.finish()?;
        let own = verifying.circuit_shape();
        if own != of || *verifying.tau_g2() != powers.tau_g2 {
            return Err(KeyError::Foreign { expected: describe(of), got: describe(own) });
        }
        let compiled = Compiled::new(of)?;
        let circuit = compiled.empty_circuit()?;
        let k = circuit.log_rows();
        if k != verifying.log_rows() || lagrange.len() != 1 << k {
            return Err(KeyError::Malformed { what: "another number of rows than the circuit has" });
        }
        let params = powers.params(k, &lagrange)?;
        if !same_commitment(&params, &EvaluationDomain::new(DEGREE, k)) {
            return Err(KeyError::Malformed { what: "the Lagrange basis is not that of the SRS" });
        }
        let fresh = keygen_vk_custom(&params, &circuit, false)?;
        if fresh.transcript_repr() != *verifying.circuit().transcript_word() {
            return Err(KeyError::Malformed { what: "made for another version of the circuit" });
        }
        let halo2 = keygen_pk(&params, fresh, &circuit)?;
        Ok(Self { compiled, params, halo2, verifying, lagrange })
    }

    /// The part that checks.
    #[must_use]
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// halo2's own key of the part that checks.
    #[must_use]
    pub fn halo2(&self) -> &plonk::VerifyingKey<G1Affine> {
        self.halo2.get_vk()
    }

    /// halo2's parameters.
    #[must_use]
    pub fn params(&self) -> &ParamsKZG<Bn256> {
        &self.params
    }

    /// The compiled shape.
    #[must_use]
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }
}

/// What a key is for, in errors that name it.
#[must_use]
pub fn describe(of: &CircuitShape) -> String {
    let CircuitShape { architecture, shape, subject, .. } = of;
    let (layers, hidden, log_tile) = (architecture.layers, architecture.hidden, shape.log_tile);
    match subject {
        Subject::Inference => format!(
            "{layers} layers of {hidden}, {} requests of {} tokens, tau {log_tile}, {:?}",
            shape.requests, shape.tokens, shape.output
        ),
        Subject::Index => format!("indexes of {} records, {layers} layers of {hidden}, tau {log_tile}", shape.records),
    }
}
