//! The forgeries of embeddings that the first circuits accepted, brought over to packed words: false sums are stated, and
//! when the outer points are known, private words are bent so that the claim of mean pooling has its true value.

#![allow(dead_code, reason = "each test file uses its own part")]

use lorica_circuits::axis::Axis;
use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::shape::OutputKind;
use lorica_verifier::protocol::arithmetic::Native;
use lorica_verifier::protocol::field::{outer_points, proof_transcript};
use lorica_verifier::protocol::lookup::leaf_challenges;
use lorica_verifier::protocol::multilinear::{dot, eq_table, split_packed};
use lorica_verifier::protocol::proof::{InferenceProof, Output};
use lorica_verifier::protocol::statement::{Inputs, absorb, packed_words};

use super::settled::{Run, World, binding, scalars};

/// One forgery: which sums of which requests are false, and which private words are bent.
pub struct Forgery {
    pub name: &'static str,
    /// Request and channel.
    false_sums: &'static [(usize, usize)],
    /// Request of the shape and word; none where the sums are left as they are.
    bent: &'static [(usize, usize)],
    /// Whether two words are bent against each other, as a digest that packs both into one element would not see.
    packed: bool,
}

/// Lengths and adapters; the fourth request of the shape is absent.
pub const REQUESTS: [(usize, Option<usize>); 3] = [(9, Some(0)), (7, Some(1)), (5, Some(0))];
/// A request of the shape that is not stated.
pub const ABSENT: usize = 3;

pub const FORGERIES: [Forgery; 11] = [
    Forgery { name: "two sums, as they are", false_sums: &[(0, 0), (0, 1)], bent: &[], packed: false },
    Forgery { name: "two sums", false_sums: &[(0, 0), (0, 1)], bent: &[(0, 0)], packed: false },
    Forgery { name: "three sums", false_sums: &[(0, 2), (0, 3), (0, 7)], bent: &[(0, 0)], packed: false },
    Forgery {
        name: "sums across words",
        false_sums: &[(1, 6), (1, 9), (1, 25)],
        bent: &[(1, 0), (1, 1), (1, 3)],
        packed: false,
    },
    Forgery { name: "false in one word, bent in another", false_sums: &[(2, 0)], bent: &[(2, 5)], packed: false },
    Forgery { name: "false in one request, bent in another", false_sums: &[(0, 11)], bent: &[(2, 1)], packed: false },
    Forgery {
        name: "several requests",
        false_sums: &[(0, 1), (1, 1), (2, 1)],
        bent: &[(0, 0), (1, 0), (2, 0)],
        packed: false,
    },
    Forgery { name: "words that pack alike", false_sums: &[(0, 0), (0, 9)], bent: &[(0, 0), (0, 1)], packed: true },
    Forgery {
        name: "absent words that pack alike",
        false_sums: &[(0, 3)],
        bent: &[(ABSENT, 4), (ABSENT, 5)],
        packed: true,
    },
    Forgery { name: "absent requests", false_sums: &[(0, 0), (0, 1)], bent: &[(ABSENT, 0)], packed: false },
    Forgery {
        name: "absent requests, every word",
        false_sums: &[(0, 0), (0, 64)],
        bent: &[(ABSENT, 0), (ABSENT, 9)],
        packed: false,
    },
];

/// The batch whose embeddings are forged.
pub fn honest(world: &World) -> Run {
    let mut run = world.run(OutputKind::Embed, &REQUESTS);
    run.statement.context = binding(REQUESTS.len()).context();
    run
}

impl Forgery {
    /// The proof of the false statement, and its scalars with the bent words.
    pub fn make(&self, world: &World, honest: &Run) -> (InferenceProof, Inputs<Fr>) {
        let mut run = honest.clone();
        for &(request, channel) in self.false_sums {
            let Output::Embed { sums } = &mut run.statement.requests[request].output else { unreachable!() };
            sums[channel] += 1000 + channel as i64;
        }
        let proof = world.prove(&run).expect("a prover does not look");
        let mut own = scalars(world, &proof);
        if self.bent.is_empty() {
            return (proof, own);
        }
        let (requests, words, gap) = self.gap(world, honest, &proof, &own);
        // How the bent words move together: each by its share of the gap, or against each other.
        let weight = |&(request, word): &(usize, usize)| requests[request] * words[word];
        let moves: Vec<Fr> = if self.packed {
            vec![-Fr::from(2).pow([192]), Fr::ONE]
        } else {
            self.bent.iter().map(|at| weight(at).invert().unwrap()).collect()
        };
        let closed: Fr = self.bent.iter().zip(&moves).map(|(at, own)| weight(at) * own).sum();
        let factor = gap * closed.invert().unwrap();
        for (&(request, word), own_move) in self.bent.iter().zip(&moves) {
            own.requests[request].outputs[word] += factor * own_move;
        }
        (proof, own)
    }

    /// Weights of requests and of words at the outer points, and what the stated words lack of the claim's true value.
    fn gap(&self, world: &World, honest: &Run, proof: &InferenceProof, own: &Inputs<Fr>) -> (Vec<Fr>, Vec<Fr>, Fr) {
        let layout = world.key.architecture.layout(&proof.statement.shape).expect("a layout");
        let a = &mut Native;
        let mut transcript = proof_transcript(a);
        absorb(a, &mut transcript, &layout, own).expect("a statement");
        leaf_challenges(a, &mut transcript);
        let outer = outer_points(a, &mut transcript, &layout);
        let mut point = outer.get(Axis::HIDDEN_BLOCK).unwrap();
        point.extend_from_slice(split_packed(&outer.get(Axis::CHANNEL).unwrap()).0);
        let words = eq_table(a, &point);
        let requests = eq_table(a, &outer.get(Axis::REQUEST).unwrap());
        let mut gap = Fr::ZERO;
        for (m, weight) in requests.iter().enumerate() {
            let of = if m < honest.statement.requests.len() { m } else { 0 };
            let truth = packed_words(honest.statement.requests[of].output.values()).expect("sums in range");
            gap += *weight * (dot(a, &words, &truth) - dot(a, &words, &own.requests[m].outputs));
        }
        (requests, words, gap)
    }

    /// Whether only a copy of an absent request is bent: the words of the stated ones are those of the false statement.
    pub fn of_absent(&self) -> bool {
        !self.bent.is_empty() && self.bent.iter().all(|(request, _)| *request == ABSENT)
    }
}
