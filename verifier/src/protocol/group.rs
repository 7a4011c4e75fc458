//! The group part: one multi-scalar multiplication and one pairing equation.
//!
//! The field part ends in a [`GroupClaim`]: a few public words and the terms `coefficient · commitment` of the combined
//! polynomial f. This module evaluates it natively, as the contract does on chain: it derives the coefficients of the
//! proof's points from the words and checks
//!
//! ```text
//! e( C_f − (ζ^b − α) q + ζ quot + β(z − α) g + β² h + β³(z − α) s + β⁴(ζz − 1)(z − α) d
//!    − (z − ζ)(ζz − 1)(z − α) W + z W' + constant · [1],  [1]₂ )  =  e( quot + W',  [τ]₂ )
//! ```

use std::sync::LazyLock;

use lorica_circuits::bn254::{
    Bn256, Curve, Fr, G1, G1Affine, G2Affine, G2Prepared, Group, MillerLoopResult, MultiMillerLoop, PrimeCurveAffine,
    msm_best,
};
use thiserror::Error;

use crate::keccak::keccak_bytes;
use crate::protocol::arithmetic::Native;
use crate::protocol::mercury::{MercuryMessages, MercuryOutcome, MercuryProof, OpeningWeights, column_variables};

/// Why a group claim does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// Points that differ from those whose digest the field part absorbed.
    #[error("the points of {message} are not those that the transcript absorbed")]
    Digest {
        /// The message.
        message: &'static str,
    },
    /// The pairing equation is false.
    #[error("the pairing equation of the opening does not hold")]
    Pairing,
}

/// The points of the SRS that a verifier needs; the generator of G1 is the standard one.
#[derive(Clone, Debug)]
pub struct VerifierKey {
    g2: G2Affine,
    tau_g2: G2Affine,
    g2_prepared: G2Prepared,
    tau_g2_prepared: G2Prepared,
}

impl VerifierKey {
    /// `[1]₂` and `[τ]₂`, which the caller has from a trusted place.
    pub fn new(g2: G2Affine, tau_g2: G2Affine) -> Self {
        Self { g2, tau_g2, g2_prepared: g2.into(), tau_g2_prepared: tau_g2.into() }
    }

    /// `[1]₂`.
    pub fn g2(&self) -> &G2Affine {
        &self.g2
    }

    /// `[τ]₂`.
    pub fn tau_g2(&self) -> &G2Affine {
        &self.tau_g2
    }

    /// Whether `e(left, [1]₂) = e(right, [τ]₂)`.
    pub fn pairs(&self, left: G1, right: G1) -> bool {
        let [left, right] = [left, -right].map(|point| point.to_affine());
        let product = Bn256::multi_miller_loop(&[(&left, &self.g2_prepared), (&right, &self.tau_g2_prepared)]);
        product.final_exponentiation().is_identity().into()
    }

    /// Whether everybody knows this SRS's trapdoor.
    pub fn is_insecure(&self) -> bool {
        self.g2 == G2Affine::generator() && self.tau_g2 == *DEVELOPMENT_TAU_G2
    }
}

/// What every program should say that meets the development SRS.
pub const INSECURE: &str =
    "the SRS is the insecure development one: its trapdoor is public and anyone can forge proofs";

/// The trapdoor of the development SRS: derived from a public string, so that anyone can forge with it.
pub fn development_trapdoor() -> Fr {
    keccak_bytes(b"lorica insecure development SRS 1")
}

static DEVELOPMENT_TAU_G2: LazyLock<G2Affine> =
    LazyLock::new(|| (G2Affine::generator() * development_trapdoor()).to_affine());

/// What is left of the verification when the field part has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupClaim {
    /// τ: variables of f.
    pub variables: usize,
    /// The words that the field part computed.
    pub outcome: MercuryOutcome<Fr>,
    /// The digests and evaluations that the field part absorbed.
    pub messages: MercuryMessages<Fr>,
    /// f as a combination of commitments.
    pub terms: Vec<(Fr, G1Affine)>,
}

impl GroupClaim {
    /// Checks the claim for the points of a proof.
    ///
    /// # Soundness
    /// The caller vouches for the terms' commitments (registered, or digested into the transcript), for the key and for
    /// the points being on the curve ([`crate::keccak::decode_point`]).
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn check(&self, key: &VerifierKey, proof: &MercuryProof) -> Result<(), GroupError> {
        let (left, right) = self.accumulators(proof)?;
        if key.pairs(left, right) { Ok(()) } else { Err(GroupError::Pairing) }
    }

    /// The two points of the pairing equation `e(left, [1]₂) = e(right, [τ]₂)`.
    ///
    /// # Errors
    /// [`GroupError::Digest`].
    pub fn accumulators(&self, proof: &MercuryProof) -> Result<(G1, G1), GroupError> {
        self.check_digests(proof)?;
        let MercuryOutcome { alpha, zeta, beta, z, constant } = self.outcome;
        let columns = column_variables(self.variables);
        let zeta_to_b = (0..columns).fold(zeta, |power, _| power.square());
        let weights = OpeningWeights::new(&mut Native, &alpha, &zeta, &beta, &z);
        let own = [
            (alpha - zeta_to_b, proof.q),
            (zeta, proof.quot),
            (weights.g, proof.g),
            (weights.h, proof.h),
            (weights.s, proof.s),
            (weights.d, proof.d),
            (weights.w, proof.w),
            (z, proof.w_prime),
            (constant, G1Affine::generator()),
        ];
        let left = combine(self.terms.iter().copied().chain(own));
        let right = proof.quot + G1::from(proof.w_prime);
        Ok((left, right))
    }

    fn check_digests(&self, proof: &MercuryProof) -> Result<(), GroupError> {
        let (absorbed, actual) = (&self.messages, proof.messages());
        let same = [
            ("h", absorbed.d_h == actual.d_h),
            ("q and g", absorbed.d_qg == actual.d_qg),
            ("s and d", absorbed.d_sd == actual.d_sd),
            ("quot", absorbed.d_quot == actual.d_quot),
            ("W", absorbed.d_w == actual.d_w),
            ("the evaluations", absorbed.evaluations == actual.evaluations),
        ];
        match same.into_iter().find(|(_, same)| !same) {
            Some((message, _)) => Err(GroupError::Digest { message }),
            None => Ok(()),
        }
    }
}

/// `Σ coefficient · point`.
pub fn combine(terms: impl IntoIterator<Item = (Fr, G1Affine)>) -> G1 {
    let (scalars, points): (Vec<Fr>, Vec<G1Affine>) =
        terms.into_iter().filter(|(_, point)| !bool::from(point.is_identity())).unzip();
    msm_best(&scalars, &points)
}
