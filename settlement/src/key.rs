//! Settlement keys: one per architecture and shape, for every base and adapter.
//!
//! The part that checks is [`VerifyingKey`]: halo2's key and what the contract must know of the layout. Its
//! [`content`](VerifyingKey::content) is the data contract of the chain; the circuit id is that content's digest.

#![deny(clippy::indexing_slicing, clippy::as_conversions, clippy::unwrap_used, clippy::expect_used)]

use halo2_base::halo2_proofs::SerdeFormat;
use halo2_base::halo2_proofs::halo2curves::bn256::Bn256;
use halo2_base::halo2_proofs::plonk::{self, keygen_pk, keygen_vk_custom};
use halo2_base::halo2_proofs::poly::EvaluationDomain;
use halo2_base::halo2_proofs::poly::commitment::{Blind, Params, ParamsProver};
use halo2_base::halo2_proofs::poly::kzg::commitment::ParamsKZG;
use lorica_circuits::bn254::{Field, Fr, G1Affine, G2Affine, PrimeField};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::Shape;
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::magic::{SETTLEMENT_KEY_MAGIC, SETTLEMENT_PROVING_KEY_MAGIC};
use lorica_verifier::protocol::field::FieldError;
use lorica_verifier::protocol::keccak::keccak;
use lorica_verifier::protocol::key::{BaseCommitments, read_architecture, write_architecture};
use lorica_verifier::protocol::record::RecordKind;
use rand_core::OsRng;

use crate::circuit::{RESERVED, SettlementCircuit};
use crate::header::{Header, word, write_layout, write_occupied};
use crate::lagrange::lagrange_basis;
use crate::statement::{CircuitShape, Compiled};

/// Version of circuit and files: a key of another one is refused.
const VERSION: u16 = 2;
/// log2 of the most rows in a file.
const MAX_LOG_ROWS: u32 = 22;

/// Why a settlement key cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
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

impl CircuitShape {
    /// The shape of a batch on a registered base.
    #[must_use]
    pub fn of(base: &BaseCommitments, shape: Shape) -> Self {
        Self {
            architecture: base.architecture.clone(),
            shape,
            architecture_digest: base.architecture_digest(),
            srs: base.srs,
        }
    }
}

/// What checks settlement proofs.
#[derive(Debug)]
pub struct VerifyingKey {
    pub(crate) of: CircuitShape,
    pub(crate) tau_g2: G2Affine,
    pub(crate) layout: Layout,
    pub(crate) halo2: plonk::VerifyingKey<G1Affine>,
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

impl VerifyingKey {
    /// A key of halo2's with what the contract must know of the layout.
    ///
    /// # Soundness
    /// Nothing shows that halo2's key is of the circuit of this shape: only making it again does
    /// ([`ProvingKey::generate`]). The circuit id is that of both together.
    ///
    /// # Errors
    /// If the shape is not offered.
    pub fn new(of: CircuitShape, tau_g2: G2Affine, halo2: plonk::VerifyingKey<G1Affine>) -> Result<Self, KeyError> {
        let layout = of.architecture.layout(&of.shape)?;
        Ok(Self { of, tau_g2, layout, halo2 })
    }

    /// Architecture, shape and SRS.
    #[must_use]
    pub fn circuit_shape(&self) -> &CircuitShape {
        &self.of
    }

    /// `[τ]₂` of the SRS.
    #[must_use]
    pub fn tau_g2(&self) -> &G2Affine {
        &self.tau_g2
    }

    /// halo2's own key.
    #[must_use]
    pub fn halo2(&self) -> &plonk::VerifyingKey<G1Affine> {
        &self.halo2
    }

    /// log2 of the rows.
    #[must_use]
    pub fn log_rows(&self) -> u32 {
        self.halo2.get_domain().k()
    }

    /// Number of public words.
    #[must_use]
    pub fn words(&self) -> usize {
        18 + 3 * self.of.shape.requests + usize::try_from(self.layout.tile_index_bits()).unwrap_or(usize::MAX)
    }

    /// Shape and layout as public words.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::of(&self.of, &self.layout)
    }

    /// The data contract's bytes: `verifier-contracts/README.md` names each word.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let domain = self.halo2.get_domain();
        let omega = domain.get_omega();
        let mut w = Writer::default();
        w.bytes(&RecordKind::SettlementKey.tag());
        w.scalar(&Fr::from(u64::from(domain.k())));
        w.scalar(&Fr::TWO_INV.pow([u64::from(domain.k())]));
        w.scalar(&omega);
        w.scalar(&domain.get_omega_inv().pow([u64::try_from(RESERVED).unwrap_or(u64::MAX)]));
        w.scalar(&word(self.words()));
        w.scalar(&self.halo2.transcript_repr());
        let (x, y) = (self.tau_g2.x, self.tau_g2.y);
        for coordinate in [x.c1, x.c0, y.c1, y.c0] {
            let mut bytes = coordinate.to_repr();
            bytes.reverse();
            w.bytes(&bytes);
        }
        write_layout(&mut w, &self.of, &self.layout);
        self.halo2.fixed_commitments().iter().for_each(|point| w.point(point));
        self.halo2.permutation().commitments().iter().for_each(|point| w.point(point));
        write_occupied(&mut w, &self.layout);
        w.content().to_vec()
    }

    /// The circuit id: Keccak-256 of the content.
    #[must_use]
    pub fn circuit_id(&self) -> [u8; 32] {
        keccak(&self.content())
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(SETTLEMENT_KEY_MAGIC, VERSION);
        let shape = &self.of.shape;
        write_architecture(&mut w, &self.of.architecture);
        w.count(shape.requests);
        w.count(shape.tokens);
        w.u32(shape.log_tile);
        w.u8(shape.output.number());
        w.scalar(&self.of.architecture_digest);
        w.scalar(&self.of.srs);
        w.point_g2(&self.tau_g2);
        w.counted(&self.halo2.to_bytes(SerdeFormat::RawBytes));
        w.bytes(&self.circuit_id());
        w.finish()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`KeyError`] if it is damaged, of another version, or its parts do not fit each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut r = Reader::new(bytes, "settlement key", SETTLEMENT_KEY_MAGIC, VERSION)?;
        let architecture = read_architecture(&mut r)?;
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let (requests, tokens) = (number(r.u32("requests")?), number(r.u32("tokens")?));
        let log_tile = r.u32("tau")?;
        let output = r.output_kind()?;
        let shape = Shape { requests, tokens, log_tile, output };
        architecture.validate()?;
        shape.validate()?;
        let architecture_digest = r.scalar("architecture digest")?;
        let srs = r.scalar("SRS digest")?;
        let tau_g2 = r.point_g2("[tau]_2")?;
        let halo2 = read_halo2(r.counted("halo2 key", 1 << 16)?)?;
        let id: [u8; 32] = r.array("circuit id")?;
        r.finish()?;
        let key = Self::new(CircuitShape { architecture, shape, architecture_digest, srs }, tau_g2, halo2)?;
        if key.circuit_id() != id {
            return Err(KeyError::Malformed { what: "the circuit id is not that of the content" });
        }
        Ok(key)
    }
}

/// halo2 allocates and asserts by the number of rows and by the selectors' flag as they stand in the file, and looks up
/// fixed commitments without counting them: all three are checked here.
fn read_halo2(bytes: &[u8]) -> Result<plonk::VerifyingKey<G1Affine>, KeyError> {
    let damaged = || KeyError::Malformed { what: "halo2's key is damaged" };
    // Version; log2 of the rows; selectors are not compressed, so none follow.
    let [_, rows @ .., 0] = bytes.first_chunk::<6>().ok_or_else(damaged)? else { return Err(damaged()) };
    if !(1..=MAX_LOG_ROWS).contains(&u32::from_le_bytes(*rows)) {
        return Err(damaged());
    }
    let key = plonk::VerifyingKey::from_bytes::<SettlementCircuit>(bytes, SerdeFormat::RawBytes, ())
        .map_err(|_| damaged())?;
    if key.fixed_commitments().len() != key.cs().num_fixed_columns() {
        return Err(damaged());
    }
    Ok(key)
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
        let verifying = VerifyingKey::new(of.clone(), powers.tau_g2, halo2.clone())?;
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
        if verifying.of != *of || verifying.tau_g2 != powers.tau_g2 {
            let got = describe(&verifying.of.architecture, &verifying.of.shape);
            return Err(KeyError::Foreign { expected: describe(&of.architecture, &of.shape), got });
        }
        let compiled = Compiled::new(of)?;
        let circuit = compiled.empty_circuit()?;
        let k = circuit.log_rows();
        if k != verifying.log_rows() || lagrange.len() != 1 << k {
            return Err(KeyError::Malformed { what: "another number of rows than the circuit has" });
        }
        let params = powers.params(k, &lagrange)?;
        if !same_commitment(&params, verifying.halo2.get_domain()) {
            return Err(KeyError::Malformed { what: "the Lagrange basis is not that of the SRS" });
        }
        let fresh = keygen_vk_custom(&params, &circuit, false)?;
        if fresh.transcript_repr() != verifying.halo2.transcript_repr() {
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

/// The architecture of a key, for errors that name it.
#[must_use]
pub fn describe(architecture: &Architecture, shape: &Shape) -> String {
    format!(
        "{} layers of {}, {} requests of {} tokens, tau {}, {:?}",
        architecture.layers, architecture.hidden, shape.requests, shape.tokens, shape.log_tile, shape.output
    )
}
