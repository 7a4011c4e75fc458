//! nova's prover and verifier under challenges of our choice.

use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_prover::srs::Srs;
use lorica_verifier::protocol::group::development_trapdoor;
use lorica_verifier::protocol::mercury::{Evaluations, MercuryProof};
use nova_snark::errors::NovaError;
use nova_snark::provider::Bn256EngineKZG;
use nova_snark::provider::bn256_grumpkin::bn256::{Affine, Point, Scalar};
use nova_snark::provider::hyperkzg::{Commitment, CommitmentEngine, CommitmentKey, VerifierKey};
use nova_snark::provider::keccak::Keccak256Transcript;
use nova_snark::provider::mercury::{EvaluationArgument, EvaluationEngine, transcript_labels as labels};
use nova_snark::provider::traits::{DlogGroup, PairingGroup};
use nova_snark::spartan::polys::multilinear::MultilinearPolynomial;
use nova_snark::traits::commitment::CommitmentEngineTrait;
use nova_snark::traits::evaluation::EvaluationEngineTrait;
use nova_snark::traits::{Engine, TranscriptEngineTrait, TranscriptReprTrait};

use crate::convert::{point_from_transcript, point_to_nova, read_element, scalar_from_nova, scalar_to_nova};

/// nova's engine of BN254 and KZG with a [`ScriptedTranscript`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scripted;

impl Engine for Scripted {
    type Base = <Bn256EngineKZG as Engine>::Base;
    type Scalar = Scalar;
    type GE = Point;
    type RO = <Bn256EngineKZG as Engine>::RO;
    type ROCircuit = <Bn256EngineKZG as Engine>::ROCircuit;
    type RO2 = <Bn256EngineKZG as Engine>::RO2;
    type RO2Circuit = <Bn256EngineKZG as Engine>::RO2Circuit;
    type TE = ScriptedTranscript;
    type CE = CommitmentEngine<Self>;
}

/// The challenges of Mercury, in the order in which both protocols draw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenges {
    /// After h.
    pub alpha: Fr,
    /// After q and g.
    pub gamma: Fr,
    /// After s and d.
    pub zeta: Fr,
    /// After the evaluations and quot.
    pub beta: Fr,
    /// After W.
    pub z: Fr,
}

/// Draws what it is told to draw, and remembers what it absorbs.
#[derive(Clone, Debug, Default)]
pub struct ScriptedTranscript {
    challenges: Vec<(&'static [u8], Scalar)>,
    drawn: usize,
    /// `Some` for bytes that were absorbed, `None` for a challenge; with nova's label.
    tape: Vec<(&'static [u8], Option<Vec<u8>>)>,
}

impl ScriptedTranscript {
    fn with(challenges: &Challenges) -> Self {
        let Challenges { alpha, gamma, zeta, beta, z } = challenges;
        let script = [
            (labels::LABEL_ALPHA, alpha),
            (labels::LABEL_GAMMA, gamma),
            (labels::LABEL_ZETA, zeta),
            (labels::LABEL_BETA, beta),
            (labels::LABEL_Z, z),
            // nova batches its two pairings by one more challenge, when everything is sent.
            (labels::LABEL_PAIRING_D, &Fr::from(0x5eed)),
        ];
        let challenges = script.map(|(label, challenge)| (label, scalar_to_nova(challenge))).to_vec();
        Self { challenges, drawn: 0, tape: Vec::new() }
    }

    /// What was absorbed under a label.
    fn absorbed(&self, label: &[u8]) -> &[u8] {
        let found = self.tape.iter().find(|(name, bytes)| *name == label && bytes.is_some());
        found.and_then(|(_, bytes)| bytes.as_deref()).expect("nova absorbs every message")
    }
}

impl TranscriptEngineTrait<Scripted> for ScriptedTranscript {
    fn new(_label: &'static [u8]) -> Self {
        Self::default()
    }

    fn squeeze(&mut self, label: &'static [u8]) -> Result<Scalar, NovaError> {
        let (expected, challenge) = self.challenges.get(self.drawn).ok_or(NovaError::InternalTranscriptError)?;
        assert_eq!(*expected, label, "nova draws another challenge");
        self.drawn += 1;
        self.tape.push((label, None));
        Ok(*challenge)
    }

    fn squeeze_bits(&mut self, _: &'static [u8], _: usize, _: bool) -> Result<Scalar, NovaError> {
        Err(NovaError::InternalTranscriptError)
    }

    fn absorb<T: TranscriptReprTrait<Point>>(&mut self, label: &'static [u8], object: &T) {
        self.tape.push((label, Some(object.to_transcript_bytes())));
    }

    fn dom_sep(&mut self, _: &'static [u8]) {}
}

/// What nova's prover sent, and the order of its transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Points and evaluations. W and W' are weighted as nova weights them.
    pub proof: MercuryProof,
    /// nova's labels of messages and challenges, in order.
    pub order: Vec<String>,
}

/// nova with the powers of Lorica's development SRS.
#[derive(Debug)]
pub struct Nova {
    scripted: CommitmentKey<Scripted>,
    own: CommitmentKey<Bn256EngineKZG>,
}

impl Nova {
    /// The same powers of τ in G1. nova hides the coordinates of G2, so `[τ]₂` is made anew from the public trapdoor.
    ///
    /// # Panics
    /// If this is not the development SRS, or nova refuses a point.
    pub fn new(srs: &Srs) -> Self {
        let powers: Vec<Affine> = srs.g1().iter().map(point_to_nova).collect();
        assert!(srs.verifier_key().is_insecure(), "the trapdoor is needed");
        let tau = (<Point as PairingGroup>::G2::r#gen() * scalar_to_nova(&development_trapdoor())).affine();
        // Blinding is not used: any point will do for its generator.
        let blinding = powers[1];
        Self {
            scripted: CommitmentKey::new(powers.clone(), blinding, tau).expect("points of the curve"),
            own: CommitmentKey::new(powers, blinding, tau).expect("points of the curve"),
        }
    }

    /// nova's commitment to coefficients.
    pub fn commit(&self, coefficients: &[Fr]) -> G1Affine {
        from_nova(&commit::<Scripted>(&self.scripted, coefficients))
    }

    /// nova's value of the multilinear polynomial; the point comes lowest bit first.
    pub fn evaluate(evaluations: &[Fr], point: &[Fr]) -> Fr {
        scalar_from_nova(&MultilinearPolynomial::new(scalars(evaluations)).evaluate(&highest_first(point)))
    }

    /// nova's prover with these challenges.
    ///
    /// # Panics
    /// If nova fails.
    pub fn prove(&self, coefficients: &[Fr], point: &[Fr], value: &Fr, challenges: &Challenges) -> Messages {
        let mut transcript = ScriptedTranscript::with(challenges);
        prove::<Scripted>(&self.scripted, &mut transcript, coefficients, point, value);
        let at = |label| point_from_transcript(transcript.absorbed(label));
        let scalar_at = |label| read_element(transcript.absorbed(label));
        let proof = MercuryProof {
            h: at(labels::LABEL_H),
            q: at(labels::LABEL_Q),
            g: at(labels::LABEL_G),
            s: at(labels::LABEL_S),
            d: at(labels::LABEL_D),
            quot: at(labels::LABEL_QUOT_F),
            w: at(labels::LABEL_W),
            w_prime: at(labels::LABEL_W_PRIME),
            evaluations: Evaluations {
                g: scalar_at(labels::LABEL_GZ),
                g_inverse: scalar_at(labels::LABEL_GZI),
                h: scalar_at(labels::LABEL_HZ),
                h_inverse: scalar_at(labels::LABEL_HZI),
                s: scalar_at(labels::LABEL_SZ),
                s_inverse: scalar_at(labels::LABEL_SZI),
            },
        };
        let order = transcript.tape.iter().map(|(label, _)| String::from_utf8_lossy(label).into_owned()).collect();
        Messages { proof, order }
    }

    /// Whether nova's verifier accepts these messages with these challenges.
    pub fn accepts(
        &self,
        commitment: &G1Affine,
        point: &[Fr],
        value: &Fr,
        challenges: &Challenges,
        proof: &MercuryProof,
    ) -> bool {
        let MercuryProof { h, q, g, s, d, quot, w, w_prime, evaluations } = proof;
        let Evaluations { g: g_0, g_inverse: g_1, h: h_0, h_inverse: h_1, s: s_0, s_inverse: s_1 } =
            evaluations.map(|evaluation| scalar_to_nova(&evaluation));
        let [h, g, q, s, d, quot, w, w_prime] = [h, g, q, s, d, quot, w, w_prime].map(to_nova::<Scripted>);
        let argument =
            EvaluationArgument::<Scripted>::new(h, g, q, s, d, quot, w, w_prime, g_0, g_1, h_0, h_1, s_0, s_1);
        let mut transcript = ScriptedTranscript::with(challenges);
        let key = verifier_key::<Scripted>(&self.scripted);
        let commitment = to_nova::<Scripted>(commitment);
        let (point, value) = (highest_first(point), scalar_to_nova(value));
        EvaluationEngine::<Scripted>::verify(&key, &mut transcript, &commitment, &point, &value, &argument).is_ok()
    }

    /// Whether nova's verifier accepts nova's proof with nova's own transcript: the oracle is itself sound here.
    pub fn accepts_its_own(&self, coefficients: &[Fr], point: &[Fr], value: &Fr, claimed: &Fr) -> bool {
        type Own = Bn256EngineKZG;
        let start = || Keccak256Transcript::<Own>::new(b"oracle");
        let argument = prove::<Own>(&self.own, &mut start(), coefficients, point, value);
        let key = verifier_key::<Own>(&self.own);
        let commitment = commit::<Own>(&self.own, coefficients);
        let (point, claimed) = (highest_first(point), scalar_to_nova(claimed));
        EvaluationEngine::<Own>::verify(&key, &mut start(), &commitment, &point, &claimed, &argument).is_ok()
    }
}

/// nova's engine with any transcript.
trait Bn254Engine: Engine<Scalar = Scalar, GE = Point, CE = CommitmentEngine<Self>> {}

impl<E: Engine<Scalar = Scalar, GE = Point, CE = CommitmentEngine<E>>> Bn254Engine for E {}

fn commit<E: Bn254Engine>(key: &CommitmentKey<E>, coefficients: &[Fr]) -> Commitment<E> {
    CommitmentEngine::<E>::commit(key, &scalars(coefficients), &Scalar::zero())
}

fn prove<E: Bn254Engine>(
    key: &CommitmentKey<E>,
    transcript: &mut E::TE,
    coefficients: &[Fr],
    point: &[Fr],
    value: &Fr,
) -> EvaluationArgument<E> {
    let (prover_key, _) = EvaluationEngine::<E>::setup(key).expect("a key of nova's");
    let commitment = commit(key, coefficients);
    let (coefficients, point, value) = (scalars(coefficients), highest_first(point), scalar_to_nova(value));
    EvaluationEngine::<E>::prove(key, &prover_key, transcript, &commitment, &coefficients, &point, &value)
        .expect("nova proves a true statement")
}

fn verifier_key<E: Bn254Engine>(key: &CommitmentKey<E>) -> VerifierKey<E> {
    EvaluationEngine::<E>::setup(key).expect("a key of nova's").1
}

fn scalars(values: &[Fr]) -> Vec<Scalar> {
    values.iter().map(scalar_to_nova).collect()
}

fn highest_first(point: &[Fr]) -> Vec<Scalar> {
    point.iter().rev().map(scalar_to_nova).collect()
}

fn to_nova<E: Bn254Engine>(point: &G1Affine) -> Commitment<E> {
    Commitment::new(Point::group(&point_to_nova(point)))
}

fn from_nova<E: Bn254Engine>(commitment: &Commitment<E>) -> G1Affine {
    point_from_transcript(&commitment.to_transcript_bytes())
}
