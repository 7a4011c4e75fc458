//! Arithmetic that follows every scalar as a linear form over what entered from outside and what came out of the
//! permutation, and a hash that packs what it should not.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;

use lorica_circuits::bn254::{Field, Fr};
use lorica_verifier::protocol::arithmetic::{Arithmetic, ArithmeticError};

/// What a form is linear in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// The i-th scalar from outside.
    Input(usize),
    /// An element of the state after a permutation.
    Permuted { permutation: usize, element: usize },
    /// An inverse or a bit.
    Witnessed(usize),
}

/// A constant and coefficients; none of them is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub constant: Fr,
    pub terms: BTreeMap<Unknown, Fr>,
}

impl Form {
    fn unknown(of: Unknown) -> Self {
        Self { constant: Fr::ZERO, terms: BTreeMap::from([(of, Fr::ONE)]) }
    }

    /// The form as an unknown alone, but for a constant and a factor.
    pub fn alone(&self) -> Option<Unknown> {
        (self.terms.len() == 1).then(|| *self.terms.keys().next().unwrap())
    }

    /// Inputs in it, with their coefficients.
    pub fn inputs(&self) -> Vec<(usize, Fr)> {
        let of = |(unknown, c): (&Unknown, &Fr)| match unknown {
            Unknown::Input(i) => Some((*i, *c)),
            _ => None,
        };
        self.terms.iter().filter_map(of).collect()
    }

    fn plus(&self, other: &Self, factor: Fr) -> Self {
        let mut sum = self.clone();
        sum.constant += factor * other.constant;
        for (unknown, c) in &other.terms {
            *sum.terms.entry(*unknown).or_insert(Fr::ZERO) += factor * c;
        }
        sum.terms.retain(|_, c| *c != Fr::ZERO);
        sum
    }

    fn times(&self, factor: Fr) -> Self {
        Self::default().plus(self, factor)
    }
}

/// A linear form, or `None` for what is none.
pub type Scalar = Option<Form>;

/// What a sponge took in, one entry per element.
#[derive(Clone, Debug, Default)]
pub struct Sponge {
    pub absorbed: Vec<Scalar>,
    /// Its permutations, each with the elements taken in until then.
    pub permutations: Vec<(usize, usize)>,
}

/// Sees forms enter sponges and checks.
#[derive(Debug, Default)]
pub struct Forms {
    pub inputs: usize,
    /// In the order in which they were begun.
    pub sponges: Vec<Sponge>,
    pub ranged: Vec<(Scalar, usize, &'static str)>,
    /// Differences that must be zero.
    pub zero: Vec<(Scalar, &'static str)>,
    permutations: usize,
    witnessed: usize,
}

impl Forms {
    pub fn input(&mut self) -> Scalar {
        self.inputs += 1;
        Some(Form::unknown(Unknown::Input(self.inputs - 1)))
    }

    fn witness(&mut self) -> Scalar {
        self.witnessed += 1;
        Some(Form::unknown(Unknown::Witnessed(self.witnessed - 1)))
    }

    /// What determines an output of the permutation: the elements that its sponge had taken in until then.
    pub fn preimage(&self, unknown: Unknown) -> Option<&[Scalar]> {
        let Unknown::Permuted { permutation, element: 1 } = unknown else { return None };
        self.sponges.iter().find_map(|sponge| {
            let (_, count) = sponge.permutations.iter().find(|(own, _)| *own == permutation)?;
            sponge.absorbed.get(..*count)
        })
    }

    /// Where a sponge takes this input in by itself.
    pub fn place(&self, input: usize) -> Place {
        let own = Some(Unknown::Input(input));
        let of = |sponge: &Sponge| {
            let at = sponge.absorbed.iter().position(|scalar| scalar.as_ref().and_then(Form::alone) == own)?;
            let next = sponge.permutations.iter().position(|(_, count)| *count > at)?;
            let (permutation, _) = sponge.permutations[next];
            let before = next.checked_sub(1).map(|last| sponge.permutations[last]);
            let element = 1 + at - before.map_or(0, |(_, count)| count);
            Some(Place { permutation, element, before: before.map(|(permutation, _)| permutation) })
        };
        self.sponges.iter().find_map(of).expect("an input that is absorbed by itself")
    }
}

/// Where a scalar enters a sponge.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Number of the permutation, among all of a run.
    permutation: usize,
    /// Element of the state.
    element: usize,
    /// The sponge's permutation before.
    before: Option<usize>,
}

impl Arithmetic for Forms {
    type Scalar = Scalar;

    fn constant(&mut self, value: Fr) -> Scalar {
        Some(Form { constant: value, ..Form::default() })
    }

    fn add(&mut self, left: &Scalar, right: &Scalar) -> Scalar {
        Some(left.as_ref()?.plus(right.as_ref()?, Fr::ONE))
    }

    fn sub(&mut self, left: &Scalar, right: &Scalar) -> Scalar {
        Some(left.as_ref()?.plus(right.as_ref()?, -Fr::ONE))
    }

    fn mul(&mut self, left: &Scalar, right: &Scalar) -> Scalar {
        let constant = |scalar: &Scalar| scalar.as_ref().filter(|form| form.terms.is_empty()).map(|form| form.constant);
        match (constant(left), constant(right)) {
            (Some(factor), _) => Some(right.as_ref()?.times(factor)),
            (_, Some(factor)) => Some(left.as_ref()?.times(factor)),
            _ => None,
        }
    }

    fn assert_equal(&mut self, left: &Scalar, right: &Scalar, what: &'static str) -> Result<(), ArithmeticError> {
        let difference = self.sub(left, right);
        self.zero.push((difference, what));
        Ok(())
    }

    fn inverse(&mut self, _: &Scalar, _: &'static str) -> Result<Scalar, ArithmeticError> {
        Ok(self.witness())
    }

    fn bits(&mut self, value: &Scalar, count: usize, what: &'static str) -> Result<Vec<Scalar>, ArithmeticError> {
        self.ranged.push((value.clone(), count, what));
        Ok((0..count).map(|_| self.witness()).collect())
    }

    fn select(&mut self, bit: &Scalar, if_one: &Scalar, if_zero: &Scalar) -> Scalar {
        let difference = self.sub(if_one, if_zero);
        let chosen = self.mul(bit, &difference);
        self.add(if_zero, &chosen)
    }

    fn permute(&mut self, state: [Scalar; 3]) -> [Scalar; 3] {
        let own = self.permutations;
        self.permutations += 1;
        // A capacity that no permutation made begins a sponge. Tags are the elements taken in, but 3 for two of them.
        let capacity = state[0].clone().expect("capacities are linear");
        let (sponge, tag) = match capacity.alone() {
            None => {
                self.sponges.push(Sponge::default());
                let tag = (0..4u64).find(|tag| is_multiple_of_four(capacity.constant - Fr::from(*tag)));
                (self.sponges.len() - 1, tag.map(Fr::from).expect("a domain and a tag"))
            }
            Some(Unknown::Permuted { permutation, element: 0 }) => {
                let of = |sponge: &Sponge| sponge.permutations.last().is_some_and(|(own, _)| *own == permutation);
                (self.sponges.iter().position(of).expect("a sponge that goes on"), capacity.constant)
            }
            Some(other) => panic!("{other:?} in a capacity"),
        };
        let taken = (1..=3u64).find(|&t| tag == Fr::from(t)).map_or(0, |t| t.min(2));
        for (element, rate) in (1..).zip(&state[1..]).take(taken as usize) {
            let before = self.sponges[sponge].permutations.last().map(|(own, _)| *own);
            let own = rate.as_ref().map(|rate| {
                let mut own = rate.clone();
                if let Some(permutation) = before {
                    let output = own.terms.remove(&Unknown::Permuted { permutation, element });
                    assert_eq!(output, Some(Fr::ONE), "what is absorbed is added to the rate");
                }
                own
            });
            self.sponges[sponge].absorbed.push(own);
        }
        let count = self.sponges[sponge].absorbed.len();
        self.sponges[sponge].permutations.push((own, count));
        [0, 1, 2].map(|element| Some(Form::unknown(Unknown::Permuted { permutation: own, element })))
    }
}

fn is_multiple_of_four(value: Fr) -> bool {
    use lorica_circuits::bn254::PrimeField;
    let bytes = value.to_repr();
    bytes[0].is_multiple_of(4) && bytes[9..].iter().all(|byte| *byte == 0)
}

/// What an arithmetic around another one leaves to it.
macro_rules! forwarded {
    () => {
        fn add(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar {
            self.inner.add(left, right)
        }

        fn sub(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar {
            self.inner.sub(left, right)
        }

        fn mul(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar {
            self.inner.mul(left, right)
        }

        fn assert_equal(
            &mut self,
            left: &Self::Scalar,
            right: &Self::Scalar,
            what: &'static str,
        ) -> Result<(), ArithmeticError> {
            self.inner.assert_equal(left, right, what)
        }

        fn inverse(&mut self, value: &Self::Scalar, what: &'static str) -> Result<Self::Scalar, ArithmeticError> {
            self.inner.inverse(value, what)
        }

        fn bits(
            &mut self,
            value: &Self::Scalar,
            count: usize,
            what: &'static str,
        ) -> Result<Vec<Self::Scalar>, ArithmeticError> {
            self.inner.bits(value, count, what)
        }

        fn select(&mut self, bit: &Self::Scalar, if_one: &Self::Scalar, if_zero: &Self::Scalar) -> Self::Scalar {
            self.inner.select(bit, if_one, if_zero)
        }
    };
}

/// An arithmetic with the fault that made embedding settlements forgeable: digests of one domain take in, in the place of
/// each two elements, `left + 2^48·(right - r)` and the constant r, a function of `left + 2^48·right`. With the right
/// elements of one statement for the constants, that statement's digests are the true ones.
#[derive(Debug)]
pub struct Packing<A: Arithmetic> {
    pub inner: A,
    domain: Fr,
    blocks: usize,
    left: usize,
    constants: std::vec::IntoIter<Fr>,
    state: Option<[A::Scalar; 3]>,
}

impl<A: Arithmetic> Packing<A> {
    /// `elements` are those of one digest; `constants` one for each two of them, in the order of the digests.
    pub fn new(inner: A, domain: u64, elements: usize, constants: Vec<Fr>) -> Self {
        let domain = Fr::from(domain).double().double();
        Self { inner, domain, blocks: elements.div_ceil(2), left: 0, constants: constants.into_iter(), state: None }
    }
}

impl<A: Arithmetic> Arithmetic for Packing<A> {
    type Scalar = A::Scalar;

    fn constant(&mut self, value: Fr) -> Self::Scalar {
        if value == self.domain {
            (self.left, self.state) = (self.blocks, None);
        }
        self.inner.constant(value)
    }

    forwarded!();

    fn permute(&mut self, [capacity, first, second]: [Self::Scalar; 3]) -> [Self::Scalar; 3] {
        if self.left == 0 {
            return self.inner.permute([capacity, first, second]);
        }
        self.left -= 1;
        let a = &mut self.inner;
        let before = self.state.take().map_or_else(|| a.zero(), |[_, _, second]| second);
        let constant = a.constant(self.constants.next().unwrap_or(Fr::ZERO));
        let own = a.add(&before, &constant);
        let rest = a.sub(&second, &own);
        let shift = a.constant(Fr::from(1 << 48));
        let moved = a.mul(&rest, &shift);
        let packed = a.add(&first, &moved);
        let state = a.permute([capacity, packed, own]);
        self.state = Some(state.clone());
        state
    }
}

/// What a fault does to an element that a sponge takes in.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// This constant is taken in instead of it.
    Constant(Fr),
    /// The same, but what it differs by joins the next element that is [`Fault::Joined`].
    Kept(Fr),
    /// With `2^48·(kept - constant)` added to it.
    Joined,
}

/// An arithmetic whose sponges take in something else than some elements. With a statement's own values for the constants,
/// that statement's challenges are the true ones.
#[derive(Debug)]
pub struct Faulty<A: Arithmetic> {
    pub inner: A,
    faults: Vec<(Place, Fault)>,
    states: Vec<[A::Scalar; 3]>,
    kept: Option<A::Scalar>,
}

impl<A: Arithmetic> Faulty<A> {
    /// In the order of the places.
    pub fn new(inner: A, faults: Vec<(Place, Fault)>) -> Self {
        Self { inner, faults, states: Vec::new(), kept: None }
    }
}

impl<A: Arithmetic> Arithmetic for Faulty<A> {
    type Scalar = A::Scalar;

    fn constant(&mut self, value: Fr) -> Self::Scalar {
        self.inner.constant(value)
    }

    forwarded!();

    fn permute(&mut self, mut state: [Self::Scalar; 3]) -> [Self::Scalar; 3] {
        let own = self.states.len();
        let a = &mut self.inner;
        for (place, fault) in self.faults.iter().filter(|(place, _)| place.permutation == own) {
            let rate = &mut state[place.element];
            match fault {
                Fault::Constant(constant) | Fault::Kept(constant) => {
                    let before = place.before.map_or_else(|| a.zero(), |last| self.states[last][place.element].clone());
                    let constant = a.constant(*constant);
                    let instead = a.add(&before, &constant);
                    if matches!(fault, Fault::Kept(_)) {
                        self.kept = Some(a.sub(rate, &instead));
                    }
                    *rate = instead;
                }
                Fault::Joined => {
                    let shift = a.constant(Fr::from(1 << 48));
                    let moved = a.mul(&self.kept.take().expect("a kept element"), &shift);
                    *rate = a.add(rate, &moved);
                }
            }
        }
        self.states.push(a.permute(state));
        self.states[own].clone()
    }
}
