//! Fiat–Shamir: a duplex sponge over Poseidon, on any [`Arithmetic`].
//!
//! State `(capacity, rate_0, rate_1)`, at first `(4·domain, 0, 0)`. Absorbed scalars wait until there are two of them and
//! a third comes, or until a challenge is drawn; then they are added to the rate, a tag is added to the capacity, and
//! the permutation runs. A challenge is a whole rate element; after two of them the permutation runs again. So a message
//! of one or two scalars followed by up to two challenges costs one permutation.
//!
//! Tags: 1 or 2 for the last block before a challenge, by the scalars in it; 3 for a full block with more to come; 0 for
//! a permutation that only outputs. The tags make the padding injective: two different histories of scalars, grouped by
//! the challenges drawn between them, never feed the permutation the same blocks. Tags are below 4: they do not make one
//! integer domain into another.
//!
//! # Soundness
//! Duplexing the sponge (Bertoni, Daemen, Peeters, Van Assche: "Duplexing the sponge", SAC 2011) with a capacity of one
//! element is indifferentiable from a random oracle up to about 2^127 permutation queries if Poseidon behaves like a
//! random permutation. Each challenge is thus a random function of the domain and of everything absorbed before it. What
//! the caller owes: absorb everything that a later check depends on before drawing a challenge for it, and absorb the
//! shape first, so that the sequence of calls is a function of what has been absorbed. A challenge is uniform over the
//! field; the soundness error of each draw stands where it is drawn.

use lorica_circuits::bn254::Fr;

use crate::protocol::arithmetic::Arithmetic;

/// A call made to the transcript, for tests and for the soundness table: every draw has a row there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A scalar went in.
    Absorb(&'static str),
    /// A challenge came out.
    Challenge(&'static str),
}

/// The sponge.
#[derive(Clone, Debug)]
pub struct Transcript<A: Arithmetic> {
    state: [A::Scalar; 3],
    pending: Option<(A::Scalar, Option<A::Scalar>)>,
    /// The second rate element is fresh: no one has seen it since the last permutation.
    second_is_fresh: bool,
    events: Vec<Event>,
}

impl<A: Arithmetic> Transcript<A> {
    /// A sponge for one use of it: `domain` is a constant of the protocol, an integer far below r.
    pub fn new(a: &mut A, domain: Fr) -> Self {
        let capacity = a.constant(domain.double().double());
        let zero = a.zero();
        Self { state: [capacity, zero.clone(), zero], pending: None, second_is_fresh: false, events: Vec::new() }
    }

    /// Takes in a scalar.
    pub fn absorb(&mut self, a: &mut A, label: &'static str, scalar: &A::Scalar) {
        self.events.push(Event::Absorb(label));
        self.second_is_fresh = false;
        self.pending = match self.pending.take() {
            None => Some((scalar.clone(), None)),
            Some((first, None)) => Some((first, Some(scalar.clone()))),
            Some(full @ (_, Some(_))) => {
                self.block(a, Some(full), FULL_WITH_MORE_TO_COME);
                Some((scalar.clone(), None))
            }
        };
    }

    /// Takes in scalars, one after the other.
    pub fn absorb_all(&mut self, a: &mut A, label: &'static str, scalars: &[A::Scalar]) {
        for scalar in scalars {
            self.absorb(a, label, scalar);
        }
    }

    /// Draws a challenge that depends on all that was absorbed.
    pub fn challenge(&mut self, a: &mut A, label: &'static str) -> A::Scalar {
        self.events.push(Event::Challenge(label));
        if self.second_is_fresh {
            self.second_is_fresh = false;
            return self.state[2].clone();
        }
        let block = self.pending.take();
        let tag = match &block {
            None => OUTPUT_ONLY,
            Some((_, None)) => LAST_WITH_ONE,
            Some((_, Some(_))) => LAST_WITH_TWO,
        };
        self.block(a, block, tag);
        self.second_is_fresh = true;
        self.state[1].clone()
    }

    /// Draws challenges, one after the other.
    pub fn challenges(&mut self, a: &mut A, label: &'static str, count: usize) -> Vec<A::Scalar> {
        (0..count).map(|_| self.challenge(a, label)).collect()
    }

    /// All calls so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    fn block(&mut self, a: &mut A, block: Option<(A::Scalar, Option<A::Scalar>)>, tag: u64) {
        let [capacity, first, second] = &self.state;
        let (mut capacity, mut first, mut second) = (capacity.clone(), first.clone(), second.clone());
        if tag != OUTPUT_ONLY {
            let tag = a.constant(Fr::from(tag));
            capacity = a.add(&capacity, &tag);
        }
        if let Some((left, right)) = block {
            first = a.add(&first, &left);
            if let Some(right) = right {
                second = a.add(&second, &right);
            }
        }
        self.state = a.permute([capacity, first, second]);
    }
}

const OUTPUT_ONLY: u64 = 0;
const LAST_WITH_ONE: u64 = 1;
const LAST_WITH_TWO: u64 = 2;
const FULL_WITH_MORE_TO_COME: u64 = 3;
