//! A settlement: everything that the contract is shown, and the check that it makes, off chain.

use lorica_circuits::bn254::{Field, Fr, G1Affine, G2Affine};
use lorica_circuits::layout::MAX_WITNESS_TILES;
use lorica_circuits::shape::{MAX_REQUESTS, OutputKind, SHARE_WORDS};
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::magic::SETTLEMENT_MAGIC;
use lorica_verifier::protocol::group::{GroupClaim, GroupError, VerifierKey};
use lorica_verifier::protocol::keccak::{digest_points, encode_scalar, keccak_words};
use lorica_verifier::protocol::key::BaseCommitments;
use lorica_verifier::protocol::mercury::{Evaluations, MercuryOutcome, MercuryProof};
use lorica_verifier::protocol::proof::Attribution;
use lorica_verifier::protocol::statement::RequestWords;
use lorica_verifier::protocol::verify::{
    Keys, VerifyError, adapter_tiles, attributing_word, combined_terms, index_tiles, registered,
};

use crate::binding::{Binding, BindingError};
use crate::halo2::{CheckError, HaloProof, PROOF_BYTES};
use crate::header::{Header, word};
use crate::key::VerifyingKey;
use crate::shape::CircuitShape;
use crate::words::Words;

const VERSION: u16 = 3;
/// Bounds of vectors in a file.
const MAX_TILE_BITS: usize = 32;
/// What one request publishes on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Adapter id, zero for none.
    pub adapter: Fr,
    /// Digests and label.
    pub words: RequestWords<Fr>,
}

impl Answer {
    /// The label as a number: it is below 16 in every settlement that is accepted.
    #[must_use]
    pub fn label(&self) -> u8 {
        encode_scalar(&self.words.label)[31]
    }
}

/// The points of the opening: h, q, g, s, d, quot, W, W'.
pub type OpeningPoints = [G1Affine; 8];

/// The calldata of a settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Id of the circuit whose key checks it.
    pub circuit: [u8; 32],
    /// What it is bound to.
    pub binding: Binding,
    /// Base id.
    pub base: Fr,
    /// One per request of the binding.
    pub answers: Vec<Answer>,
    /// Id of the index that answers are attributed by: zero without attribution.
    pub index: Fr,
    /// Four words of shares per request, in order: none without attribution.
    pub shares: Vec<Fr>,
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

/// Why a settlement is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SettlementError {
    /// Made for another key.
    #[error("the settlement is for another circuit")]
    ForeignKey,
    /// About another base.
    #[error("the settlement is about another base")]
    ForeignBase,
    /// About another index.
    #[error("the settlement is about another index")]
    ForeignIndex,
    /// Binding and answers differ in number, or exceed the shape.
    #[error("the settlement has {answers} answers for {requests} requests")]
    Requests {
        /// Answers.
        answers: usize,
        /// Requests of the binding.
        requests: usize,
    },
    /// A classification without an adapter says nothing.
    #[error("request {request} classifies without an adapter")]
    NoAdapter {
        /// Index in the batch.
        request: usize,
    },
    /// A circuit that attributes names an index of its size, and has four words of shares for each answer.
    #[error("the settlement of a circuit that attributes has {got} words of shares for {answers} answers")]
    Shares {
        /// Words.
        got: usize,
        /// Answers.
        answers: usize,
    },
    /// A circuit that attributes nothing has no words for it.
    #[error("the settlement names an index or shares, and its circuit attributes nothing")]
    NotAttributing,
    /// The base's key is not well-formed.
    #[error(transparent)]
    Base(#[from] lorica_verifier::protocol::key::KeyError),
    /// The binding is refused by every contract.
    #[error(transparent)]
    Binding(#[from] BindingError),
    /// No key for an adapter, or other lengths than the layout's.
    #[error(transparent)]
    Terms(#[from] VerifyError),
    /// The group claim.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// halo2's proof.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// Adapters' word of some ids, as the contract computes it.
fn adapters_word(answers: &[Answer]) -> Fr {
    let ids: Vec<[u8; 32]> = answers.iter().map(|answer| encode_scalar(&answer.adapter)).collect();
    keccak_words(&ids)
}

impl Settlement {
    /// The circuit's public words, of which the contract takes nothing on trust that it can compute.
    #[must_use]
    pub fn words(&self, key: &VerifyingKey, scales_word: Fr, attribution: Option<&Attribution>) -> Words<Fr> {
        let Header { shape, layout } = key.header();
        let mut requests: Vec<RequestWords<Fr>> = self.answers.iter().map(|answer| answer.words.clone()).collect();
        for (words, shares) in requests.iter_mut().zip(self.shares.chunks(SHARE_WORDS)) {
            words.shares = shares.to_vec();
        }
        let adapters: Vec<Fr> = self.answers.iter().map(|answer| answer.adapter).collect();
        let attribution =
            attribution.map(|own| [own.index, attributing_word(&key.circuit_shape().shape, own, &adapters)]);
        if let Some(first) = requests.first().cloned() {
            requests.resize(key.circuit_shape().shape.requests, first);
        }
        let [h, q, g, s, d, quot, w, _] = self.opening;
        let MercuryOutcome { alpha, zeta, beta, z, constant } = self.outcome;
        Words {
            shape,
            layout,
            context: self.binding.context(),
            base: self.base,
            scales: scales_word,
            adapters: adapters_word(&self.answers),
            attribution,
            count: word(self.answers.len()),
            requests,
            digests: [
                digest_points(&self.witness),
                digest_points(&[h]),
                digest_points(&[q, g]),
                digest_points(&[s, d]),
                digest_points(&[quot]),
                digest_points(&[w]),
            ],
            rho_high: self.rho_high.clone(),
            alpha,
            zeta,
            beta,
            z,
            constant,
        }
    }

    /// Checks a settlement as the contract does, against registered keys.
    ///
    /// # Soundness
    /// The caller vouches that the keys are the registered ones, and that circuit and base id are those that it means.
    ///
    /// # Errors
    /// [`SettlementError`] names the first check that fails.
    pub fn check<'k>(
        &self,
        key: &VerifyingKey,
        base: &BaseCommitments,
        keys: impl Into<Keys<'k>>,
    ) -> Result<(), SettlementError> {
        let keys = keys.into();
        if key.circuit_id() != self.circuit {
            return Err(SettlementError::ForeignKey);
        }
        let of = key.circuit_shape();
        base.validate()?;
        // Architecture and SRS stand in the key for whoever reads it: the circuit's id holds the architecture's digest alone.
        if base.id() != self.base
            || CircuitShape::of(base, of.shape) != *of
            || base.log_tile != of.shape.log_tile
            || base.tau_g2 != *key.tau_g2()
        {
            return Err(SettlementError::ForeignBase);
        }
        self.binding.validate()?;
        let (answers, requests) = (self.answers.len(), self.binding.requests.len());
        if answers != requests || answers > of.shape.requests {
            return Err(SettlementError::Requests { answers, requests });
        }
        let attribution = self.attribution(of, &keys)?;
        let nameless = self.answers.iter().position(|answer| bool::from(answer.adapter.is_zero()));
        if let (OutputKind::Classify, Some(request)) = (of.shape.output, nameless) {
            return Err(SettlementError::NoAdapter { request });
        }
        let words = self.words(key, base.scales_word(), attribution.as_ref()).to_vec();
        key.check(&HaloProof { words, bytes: self.proof.clone() })?;

        let ids: Vec<Fr> = self.answers.iter().map(|answer| answer.adapter).collect();
        let tiles = adapter_tiles(key.layout(), &self.base, &ids, keys.adapters)?;
        let index = index_tiles(key.layout(), base, attribution.as_ref(), &keys)?;
        let registered = registered(base, tiles, index);
        let terms = combined_terms(key.layout(), self.answers.len(), &registered, &self.witness, &self.rho_high)?;
        let [h, q, g, s, d, quot, w, w_prime] = self.opening;
        // The six evaluations are private to the circuit; the equation does not read them.
        let (o, zero) = (self.outcome, Fr::ZERO);
        let evaluations = Evaluations { g: zero, g_inverse: zero, h: zero, h_inverse: zero, s: zero, s_inverse: zero };
        let opening = MercuryProof { h, q, g, s, d, quot, w, w_prime, evaluations };
        let variables = usize::try_from(of.shape.log_tile).unwrap_or(usize::MAX);
        let claim = GroupClaim { variables, outcome: o, messages: opening.messages(), terms };
        let srs = VerifierKey::new(G2Affine::generator(), base.tau_g2);
        Ok(claim.check(&srs, &opening)?)
    }

    /// The index by which the circuit attributes, if it does, with the adapter that the index' key names.
    fn attribution(&self, of: &CircuitShape, keys: &Keys<'_>) -> Result<Option<Attribution>, SettlementError> {
        if of.shape.records == 0 {
            let stated = !bool::from(self.index.is_zero()) || !self.shares.is_empty();
            return if stated { Err(SettlementError::NotAttributing) } else { Ok(None) };
        }
        let (got, answers) = (self.shares.len(), self.answers.len());
        if got != answers.saturating_mul(SHARE_WORDS) {
            return Err(SettlementError::Shares { got, answers });
        }
        let known = keys.indexes.iter().find(|key| key.id() == self.index);
        let known = known.ok_or(VerifyError::UnknownIndex)?;
        Ok(Some(Attribution { index: self.index, adapter: known.adapter }))
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { circuit, binding, base, answers, index, shares, witness, opening, rho_high, outcome, proof } = self;
        let mut w = Writer::new(SETTLEMENT_MAGIC, VERSION);
        w.bytes(circuit);
        binding.write(&mut w);
        w.scalar(base);
        w.count(answers.len());
        // The shares stand behind the answers, for all of them.
        for Answer { adapter, words: RequestWords { input_digest, label, output_digest, shares: _ } } in answers {
            [adapter, input_digest, label, output_digest].into_iter().for_each(|scalar| w.scalar(scalar));
        }
        w.scalar(index);
        w.scalars(shares.iter());
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
        let mut r = Reader::new(bytes, "settlement", SETTLEMENT_MAGIC, VERSION)?;
        let circuit = r.array("circuit id")?;
        let binding = Binding::read(&mut r)?;
        let base = r.scalar("base id")?;
        let count = r.count("answers", MAX_REQUESTS, 128)?;
        let answers = (0..count)
            .map(|_| {
                let [adapter, input_digest, label, output_digest] = r.scalar_array("answer")?;
                Ok(Answer { adapter, words: RequestWords { input_digest, label, output_digest, shares: Vec::new() } })
            })
            .collect::<Result<_, CodecError>>()?;
        let index = r.scalar("index id")?;
        let shares = r.scalars("shares", SHARE_WORDS * MAX_REQUESTS)?;
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
        Ok(Self { circuit, binding, base, answers, index, shares, witness, opening, rho_high, outcome, proof })
    }
}
