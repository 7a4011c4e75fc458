//! A settlement of an index proof: that every cell of a datanet's index is in its range, shown to a contract once.

use lorica_circuits::bn254::{Field, Fr, G1Affine, G2Affine};
use lorica_circuits::layout::MAX_WITNESS_TILES;
use lorica_circuits::region::Region;
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::magic::INDEX_SETTLEMENT_MAGIC;
use lorica_verifier::protocol::group::{GroupClaim, VerifierKey};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments, KeyError};
use lorica_verifier::protocol::mercury::{Evaluations, MercuryOutcome, MercuryProof};
use lorica_verifier::protocol::verify::combined_terms;

use crate::halo2::{HaloProof, PROOF_BYTES};
use crate::header::{Header, word};
use crate::key::VerifyingKey;
use crate::settlement::{OpeningPoints, SettlementError};
use crate::shape::CircuitShape;
use crate::words::IndexWords;

const VERSION: u16 = 1;
const MAX_TILE_BITS: usize = 32;

/// The calldata of an index proof's settlement. It is bound to nobody: whoever brings it, the index is in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSettlement {
    /// Id of the circuit whose key checks it.
    pub circuit: [u8; 32],
    /// Id of the index.
    pub index: Fr,
    /// Commitments to witness tiles and mask.
    pub witness: Vec<G1Affine>,
    /// Points of the opening.
    pub opening: OpeningPoints,
    /// Tile coordinates of the opening's point, lowest bit first.
    pub rho_high: Vec<Fr>,
    /// Challenges and constant of the opening.
    pub outcome: MercuryOutcome<Fr>,
    /// halo2's proof.
    pub proof: Vec<u8>,
}

impl IndexSettlement {
    /// The circuit's public words; the count is the index record's.
    #[must_use]
    pub fn words(&self, key: &VerifyingKey, count: usize) -> IndexWords<Fr> {
        let Header { shape, layout } = key.header();
        let [h, q, g, s, d, quot, w, _] = self.opening;
        let MercuryOutcome { alpha, zeta, beta, z, constant } = self.outcome;
        IndexWords {
            shape,
            layout,
            context: Fr::ZERO,
            index: self.index,
            count: word(count),
            digests: [
                digest_points(&self.witness),
                digest_points(&[h]),
                digest_points(&[q, g]),
                digest_points(&[s, d]),
                digest_points(&[quot]),
                digest_points(&[w]),
            ],
            rho_high: self.rho_high.clone(),
            opening: [alpha, zeta, beta, z, constant],
        }
    }

    /// Checks a settlement as the contract does, against registered keys.
    ///
    /// # Soundness
    /// The caller vouches that the keys are the registered ones, and that the circuit id is the one that it means.
    ///
    /// # Errors
    /// [`SettlementError`] names the first check that fails.
    pub fn check(
        &self,
        key: &VerifyingKey,
        base: &BaseCommitments,
        adapter: &AdapterCommitments,
        index: &IndexCommitments,
    ) -> Result<(), SettlementError> {
        if key.circuit_id() != self.circuit {
            return Err(SettlementError::ForeignKey);
        }
        base.validate()?;
        if index.id() != self.index {
            return Err(SettlementError::ForeignIndex);
        }
        // Of the subject too: a circuit of inferences is none of index proofs.
        if CircuitShape::of_index(base, index.records) != *key.circuit_shape() || base.tau_g2 != *key.tau_g2() {
            return Err(SettlementError::ForeignBase);
        }
        if adapter.base != base.id() {
            return Err(KeyError::IndexOf.into());
        }
        index.validate(base, adapter)?;
        let words = self.words(key, index.count).to_vec();
        key.check(&HaloProof { words, bytes: self.proof.clone() })?;

        let registered = [(Region::INDEX, vec![index.tiles.as_slice()])];
        let terms = combined_terms(key.layout(), 1, &registered, &self.witness, &self.rho_high)?;
        let [h, q, g, s, d, quot, w, w_prime] = self.opening;
        // The six evaluations are private to the circuit; the equation does not read them.
        let zero = Fr::ZERO;
        let evaluations = Evaluations { g: zero, g_inverse: zero, h: zero, h_inverse: zero, s: zero, s_inverse: zero };
        let opening = MercuryProof { h, q, g, s, d, quot, w, w_prime, evaluations };
        let variables = usize::try_from(base.log_tile).unwrap_or(usize::MAX);
        let claim = GroupClaim { variables, outcome: self.outcome, messages: opening.messages(), terms };
        Ok(claim.check(&VerifierKey::new(G2Affine::generator(), base.tau_g2), &opening)?)
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { circuit, index, witness, opening, rho_high, outcome, proof } = self;
        let mut w = Writer::new(INDEX_SETTLEMENT_MAGIC, VERSION);
        w.bytes(circuit);
        w.scalar(index);
        w.points(witness);
        opening.iter().for_each(|point| w.point(point));
        w.scalars(rho_high.iter());
        let MercuryOutcome { alpha, zeta, beta, z, constant } = outcome;
        [alpha, zeta, beta, z, constant].into_iter().for_each(|scalar| w.scalar(scalar));
        w.counted(proof);
        w.finish()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes, "settlement of an index", INDEX_SETTLEMENT_MAGIC, VERSION)?;
        let circuit = r.array("circuit id")?;
        let index = r.scalar("index id")?;
        let witness = r.points("witness commitments", MAX_WITNESS_TILES)?;
        let mut opening = [G1Affine::default(); 8];
        for point in &mut opening {
            *point = r.point("opening")?;
        }
        let rho_high = r.scalars("tile coordinates", MAX_TILE_BITS)?;
        let [alpha, zeta, beta, z, constant] = r.scalar_array("opening words")?;
        let proof = r.counted("proof", PROOF_BYTES)?.to_vec();
        r.finish()?;
        let outcome = MercuryOutcome { alpha, zeta, beta, z, constant };
        Ok(Self { circuit, index, witness, opening, rho_high, outcome, proof })
    }
}
