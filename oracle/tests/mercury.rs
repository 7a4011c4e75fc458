//! Lorica's Mercury against nova's, message by message under the challenges that Lorica's transcript draws.

use std::sync::LazyLock;

use lorica_circuits::bn254::{Curve, Field, Fr, G1Affine};
use lorica_oracle::batching::as_lorica_weights;
use lorica_oracle::{Challenges, Nova};
use lorica_prover::commit::commit;
use lorica_prover::mercury::{evaluate_multilinear, open};
use lorica_prover::srs::Srs;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::group::{GroupClaim, development_trapdoor};
use lorica_verifier::protocol::keccak::digest_points;
use lorica_verifier::protocol::mercury::{MercuryOutcome, MercuryProof, mercury_field_part};
use lorica_verifier::protocol::transcript::Transcript;

static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(12).unwrap());
static NOVA: LazyLock<Nova> = LazyLock::new(|| Nova::new(&SRS));

/// Squares and adds from a seed.
fn scalars(seed: u64, count: usize) -> Vec<Fr> {
    let mut state = Fr::from(seed) + Fr::from(5).pow_vartime([150]);
    (0..count as u64)
        .map(|index| {
            state = state.square() + Fr::from(index + 3);
            state
        })
        .collect()
}

/// A statement, opened by Lorica.
struct Opened {
    coefficients: Vec<Fr>,
    point: Vec<Fr>,
    value: Fr,
    commitment: G1Affine,
    proof: MercuryProof,
    challenges: Challenges,
}

impl Opened {
    fn new(coefficients: Vec<Fr>, point: Vec<Fr>) -> Self {
        assert_eq!(coefficients.len(), 1 << point.len());
        let value = evaluate_multilinear(&coefficients, &point);
        let commitment = commit(&SRS, &coefficients).unwrap();
        let proof = open(&SRS, &coefficients, &point, &value, &mut start(&commitment, &point)).unwrap();
        let challenges = challenges(start(&commitment, &point), &value, &proof);
        Self { coefficients, point, value, commitment, proof, challenges }
    }

    fn outcome(&self, value: &Fr, proof: &MercuryProof) -> MercuryOutcome<Fr> {
        let mut transcript = start(&self.commitment, &self.point);
        mercury_field_part(&mut Native, &mut transcript, &self.point, value, &proof.messages()).unwrap()
    }

    /// Lorica's verifier.
    fn accepts(&self, value: &Fr, proof: &MercuryProof) -> bool {
        let terms = vec![(Fr::ONE, self.commitment)];
        let outcome = self.outcome(value, proof);
        let claim = GroupClaim { variables: self.point.len(), outcome, messages: proof.messages(), terms };
        claim.check(&SRS.verifier_key(), proof).is_ok()
    }

    /// nova's messages for the challenges of this opening but β.
    fn nova(&self, beta: Fr) -> MercuryProof {
        let challenges = Challenges { beta, ..self.challenges };
        let messages = NOVA.prove(&self.coefficients, &self.point, &self.value, &challenges);
        assert_eq!(messages.order.join(" "), ORDER);
        messages.proof
    }
}

/// nova's labels in the order of its transcript: f, point, value, h, α, q, g, γ, s, d, ζ, g(ζ), g(1/ζ), …, quot, β, W, z, W'
/// and the challenge that joins its two pairings.
const ORDER: &str = "f u e h a q g gm s d zt gz gzi hz hzi sz szi t b w z wp pd";

fn start(commitment: &G1Affine, point: &[Fr]) -> Transcript<Native> {
    let mut transcript = Transcript::new(&mut Native, Fr::from(77));
    transcript.absorb(&mut Native, "commitment", &digest_points(&[*commitment]));
    transcript.absorb_all(&mut Native, "point", point);
    transcript
}

/// The five challenges, drawn as `docs/protocol/mercury.md` says.
fn challenges(mut transcript: Transcript<Native>, value: &Fr, proof: &MercuryProof) -> Challenges {
    let a = &mut Native;
    let messages = proof.messages();
    transcript.absorb_all(a, "", &[*value, messages.d_h]);
    let alpha = transcript.challenge(a, "");
    transcript.absorb(a, "", &messages.d_qg);
    let gamma = transcript.challenge(a, "");
    transcript.absorb(a, "", &messages.d_sd);
    let zeta = transcript.challenge(a, "");
    for evaluation in messages.evaluations.as_array() {
        transcript.absorb(a, "", evaluation);
    }
    transcript.absorb(a, "", &messages.d_quot);
    let beta = transcript.challenge(a, "");
    transcript.absorb(a, "", &messages.d_w);
    let z = transcript.challenge(a, "");
    Challenges { alpha, gamma, zeta, beta, z }
}

/// All that can be compared for one polynomial and point.
fn agree(name: &str, coefficients: Vec<Fr>, point: Vec<Fr>) {
    let lorica = Opened::new(coefficients, point);
    let Opened { coefficients, point, value, commitment, proof, challenges } = &lorica;
    assert_eq!(Nova::evaluate(coefficients, point), *value, "{name}: value");
    assert_eq!(NOVA.commit(coefficients), *commitment, "{name}: commitment");
    // Lorica's verifier draws the challenges that nova is given.
    let MercuryOutcome { alpha, zeta, beta, z, .. } = lorica.outcome(value, proof);
    assert_eq!(
        [alpha, zeta, beta, z],
        [challenges.alpha, challenges.zeta, challenges.beta, challenges.z],
        "{name}: challenges"
    );

    let nova = lorica.nova(beta);
    assert_eq!(nova.h, proof.h, "{name}: h");
    assert_eq!(nova.q, proof.q, "{name}: q");
    assert_eq!(nova.g, proof.g, "{name}: g");
    assert_eq!(nova.s, proof.s, "{name}: s");
    assert_eq!(nova.d, proof.d, "{name}: d");
    assert_eq!(nova.quot, proof.quot, "{name}: quot");
    assert_eq!(nova.evaluations, proof.evaluations, "{name}: evaluations");
    let nodes = [2, 3, 5, 7].map(|node| {
        let node = beta + Fr::from(node);
        let MercuryProof { w, w_prime, .. } = lorica.nova(node);
        (node, w, w_prime)
    });
    let (w, w_prime) = as_lorica_weights(&beta, &zeta, &nodes);
    assert_eq!(w, proof.w, "{name}: W");
    assert_eq!(w_prime, proof.w_prime, "{name}: W'");

    // Lorica's verifier takes nova's messages with W and W' so weighted; nova's takes Lorica's with nova's W and W'.
    let from_nova = MercuryProof { w, w_prime, ..nova.clone() };
    let to_nova = MercuryProof { w: nova.w, w_prime: nova.w_prime, ..proof.clone() };
    assert!(lorica.accepts(value, &from_nova), "{name}: nova's messages");
    assert!(NOVA.accepts(commitment, point, value, challenges, &to_nova), "{name}: Lorica's messages");
}

/// Sizes and places of the nonzero coefficients.
#[test]
fn random_polynomials_at_random_points() {
    for variables in [2, 4, 6, 8, 10] {
        agree(&format!("{variables} variables"), scalars(1, 1 << variables), scalars(2, variables));
    }
}

#[test]
fn an_odd_number_of_variables() {
    for variables in [3, 5, 7, 9] {
        agree(&format!("{variables} variables"), scalars(3, 1 << variables), scalars(4, variables));
    }
}

#[test]
fn points_of_zeros_and_ones() {
    for variables in [6usize, 8, 7] {
        let last = (1usize << variables) - 1;
        for corner in [0, 1, last, last / 3, 1 << (variables / 2)] {
            let point = (0..variables).map(|bit| Fr::from((corner >> bit & 1) as u64)).collect();
            agree(&format!("{variables} variables, corner {corner}"), scalars(5, last + 1), point);
        }
        // One half of the point on the hypercube, the other not.
        let mut point = scalars(6, variables);
        point[..variables / 2].fill(Fr::ONE);
        agree("low half of ones", scalars(5, last + 1), point.clone());
        point[..variables / 2].fill(Fr::ZERO);
        agree("low half of zeros", scalars(5, last + 1), point);
        let mut point = scalars(6, variables);
        point[variables / 2..].fill(Fr::ZERO);
        agree("high half of zeros", scalars(5, last + 1), point);
    }
}

/// Small signed integers, as in a tile; one coefficient; one row; the highest coefficient alone.
#[test]
fn sparse_and_small_polynomials() {
    let variables = 8;
    let small = |index: usize| {
        let magnitude = Fr::from((index * index % 251) as u64);
        if index.is_multiple_of(3) { -magnitude } else { magnitude }
    };
    let only = |places: std::ops::Range<usize>| {
        (0..1 << variables).map(|index| if places.contains(&index) { small(index + 7) } else { Fr::ZERO }).collect()
    };
    agree("small integers", (0..1 << variables).map(small).collect(), scalars(7, variables));
    agree("the lowest row", only(0..16), scalars(7, variables));
    agree("the highest row", only(240..256), scalars(7, variables));
    agree("the highest coefficient", only(255..256), scalars(7, variables));
    agree("one column", (0..256).map(|at| if at % 16 == 5 { small(at) } else { Fr::ZERO }).collect(), scalars(7, 8));
}

/// The SRS of both is τ's powers: nova's commitment to X^k is τ^k.
#[test]
fn commitments_are_to_powers_of_the_known_trapdoor() {
    let tau = development_trapdoor();
    for power in [0usize, 1, 63, 1023] {
        let mut monomial = vec![Fr::ZERO; power];
        monomial.push(Fr::ONE);
        let expected = (G1Affine::generator() * tau.pow_vartime([power as u64])).to_affine();
        assert_eq!(NOVA.commit(&monomial), expected);
    }
}

#[test]
fn both_reject_what_is_wrong() {
    let lorica = Opened::new(scalars(8, 256), scalars(9, 8));
    let Opened { coefficients, point, value, commitment, proof, challenges } = &lorica;
    let nova = lorica.nova(challenges.beta);
    assert!(NOVA.accepts(commitment, point, value, challenges, &nova));
    let wrong = value + Fr::ONE;
    assert!(!NOVA.accepts(commitment, point, &wrong, challenges, &nova));
    assert!(!lorica.accepts(&wrong, proof));
    let mut swapped = nova.clone();
    std::mem::swap(&mut swapped.evaluations.g, &mut swapped.evaluations.g_inverse);
    assert!(!NOVA.accepts(commitment, point, value, challenges, &swapped));
    // With nova's own transcript.
    assert!(NOVA.accepts_its_own(coefficients, point, value, value));
    assert!(!NOVA.accepts_its_own(coefficients, point, value, &wrong));
    // nova's W as it is, with nova's weights, is not Lorica's.
    assert!(!lorica.accepts(value, &nova));
}
