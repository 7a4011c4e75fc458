//! The field part as a tape of operations: what it costs, and a hash of it.
//!
//! Every scalar is a node, numbered in the order in which it is made. The tape is the sequence of operations with the
//! numbers of their operands, constants with their values, checks with their names. [`Taped`] writes it beside another
//! arithmetic; beside [`Symbolic`], which computes nothing and never fails, it is the [`Recorder`].

use lorica_circuits::bn254::{Fr, PrimeField};
use sha3::{Digest, Keccak256};

use super::{Arithmetic, ArithmeticError};

/// What the operations add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Scalars that entered from outside: statement and proof.
    pub inputs: usize,
    /// Constants.
    pub constants: usize,
    /// Additions and subtractions.
    pub additions: usize,
    /// Multiplications.
    pub multiplications: usize,
    /// Equality checks.
    pub assertions: usize,
    /// Witnessed inverses.
    pub inverses: usize,
    /// Bits made by decompositions.
    pub bits: usize,
    /// Selections.
    pub selections: usize,
    /// Poseidon permutations.
    pub permutations: usize,
}

/// The arithmetic of shapes: scalars have no value and no check fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Symbolic;

impl Arithmetic for Symbolic {
    type Scalar = ();

    fn constant(&mut self, _: Fr) {}

    fn add(&mut self, (): &(), (): &()) {}

    fn sub(&mut self, (): &(), (): &()) {}

    fn mul(&mut self, (): &(), (): &()) {}

    fn assert_equal(&mut self, (): &(), (): &(), _: &'static str) -> Result<(), ArithmeticError> {
        Ok(())
    }

    fn inverse(&mut self, (): &(), _: &'static str) -> Result<(), ArithmeticError> {
        Ok(())
    }

    fn bits(&mut self, (): &(), count: usize, _: &'static str) -> Result<Vec<()>, ArithmeticError> {
        Ok(vec![(); count])
    }

    fn select(&mut self, (): &(), (): &(), (): &()) {}

    fn permute(&mut self, _: [(); 3]) -> [(); 3] {
        [(); 3]
    }
}

/// Counts and hashes; computes nothing.
pub type Recorder = Taped<Symbolic>;

/// A scalar of the arithmetic underneath, and its number on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<S> {
    /// The scalar itself.
    pub value: S,
    number: u64,
}

/// Another arithmetic, with the tape of what is asked of it.
#[derive(Clone, Debug, Default)]
pub struct Taped<A> {
    inner: A,
    cost: Cost,
    hash: Keccak256,
    nodes: u64,
}

impl<A: Arithmetic> Taped<A> {
    /// An empty tape.
    pub fn new(inner: A) -> Self {
        Self { inner, cost: Cost::default(), hash: Keccak256::new(), nodes: 0 }
    }

    /// The arithmetic underneath.
    pub fn inner_mut(&mut self) -> &mut A {
        &mut self.inner
    }

    /// A scalar from outside: a value of the statement or of the proof.
    pub fn input(&mut self, value: A::Scalar) -> Node<A::Scalar> {
        self.cost.inputs += 1;
        self.write("input", &[]);
        self.node(value)
    }

    /// What the operations so far add up to.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The hash of all operations so far.
    pub fn tape(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    fn write(&mut self, operation: &'static str, operands: &[u64]) {
        self.hash.update(operation);
        self.hash.update([0]);
        for operand in operands {
            self.hash.update(operand.to_be_bytes());
        }
    }

    fn node(&mut self, value: A::Scalar) -> Node<A::Scalar> {
        let number = self.nodes;
        self.nodes += 1;
        Node { value, number }
    }
}

impl<A: Arithmetic> Arithmetic for Taped<A> {
    type Scalar = Node<A::Scalar>;

    fn constant(&mut self, value: Fr) -> Self::Scalar {
        self.cost.constants += 1;
        self.write("constant", &[]);
        self.hash.update(value.to_repr());
        let value = self.inner.constant(value);
        self.node(value)
    }

    fn add(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar {
        self.cost.additions += 1;
        self.write("add", &[left.number, right.number]);
        let value = self.inner.add(&left.value, &right.value);
        self.node(value)
    }

    fn sub(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar {
        self.cost.additions += 1;
        self.write("sub", &[left.number, right.number]);
        let value = self.inner.sub(&left.value, &right.value);
        self.node(value)
    }

    fn mul(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar {
        self.cost.multiplications += 1;
        self.write("mul", &[left.number, right.number]);
        let value = self.inner.mul(&left.value, &right.value);
        self.node(value)
    }

    fn assert_equal(
        &mut self,
        left: &Self::Scalar,
        right: &Self::Scalar,
        what: &'static str,
    ) -> Result<(), ArithmeticError> {
        self.cost.assertions += 1;
        self.write("equal", &[left.number, right.number]);
        self.write(what, &[]);
        self.inner.assert_equal(&left.value, &right.value, what)
    }

    fn inverse(&mut self, value: &Self::Scalar, what: &'static str) -> Result<Self::Scalar, ArithmeticError> {
        self.cost.inverses += 1;
        self.write("inverse", &[value.number]);
        self.write(what, &[]);
        let inverse = self.inner.inverse(&value.value, what)?;
        Ok(self.node(inverse))
    }

    fn bits(
        &mut self,
        value: &Self::Scalar,
        count: usize,
        what: &'static str,
    ) -> Result<Vec<Self::Scalar>, ArithmeticError> {
        self.cost.bits += count;
        self.write("bits", &[value.number]);
        self.write(what, &[]);
        let bits = self.inner.bits(&value.value, count, what)?;
        // One entry per bit: the tape says how many there are.
        Ok(bits
            .into_iter()
            .map(|bit| {
                self.write("bit", &[]);
                self.node(bit)
            })
            .collect())
    }

    fn select(&mut self, bit: &Self::Scalar, if_one: &Self::Scalar, if_zero: &Self::Scalar) -> Self::Scalar {
        self.cost.selections += 1;
        self.write("select", &[bit.number, if_one.number, if_zero.number]);
        let value = self.inner.select(&bit.value, &if_one.value, &if_zero.value);
        self.node(value)
    }

    fn permute(&mut self, state: [Self::Scalar; 3]) -> [Self::Scalar; 3] {
        self.cost.permutations += 1;
        let numbers = [&state[0], &state[1], &state[2]].map(|node| node.number);
        self.write("permute", &numbers);
        let values = self.inner.permute(state.map(|node| node.value));
        values.map(|value| self.node(value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Native;
    use super::*;

    /// A bit of everything, with no use of the values.
    fn program<A: Arithmetic>(a: &mut A, x: &A::Scalar, y: &A::Scalar) -> Result<A::Scalar, ArithmeticError> {
        let one = a.one();
        let sum = a.add(x, &one);
        let product = a.mul(&sum, y);
        let inverse = a.inverse(&product, "inverse of the product")?;
        let back = a.mul(&inverse, &product);
        a.assert_equal(&back, &one, "inverse")?;
        let bits = a.bits(y, 4, "y")?;
        let chosen = match bits.first() {
            Some(bit) => a.select(bit, x, y),
            None => one.clone(),
        };
        let difference = a.sub(&chosen, x);
        let [first, ..] = a.permute([difference, product, one]);
        Ok(first)
    }

    #[test]
    fn a_native_run_and_the_recorder_write_the_same_tape() {
        let mut recorder = Recorder::default();
        let (x, y) = (recorder.input(()), recorder.input(()));
        program(&mut recorder, &x, &y).unwrap();
        for (x, y) in [(3u64, 5u64), (100, 8), (0, 15)] {
            let mut taped = Taped::new(Native);
            let nodes = (taped.input(Fr::from(x)), taped.input(Fr::from(y)));
            let result = program(&mut taped, &nodes.0, &nodes.1).unwrap();
            assert_eq!(taped.tape(), recorder.tape());
            assert_eq!(taped.cost(), recorder.cost());
            assert_eq!(program(&mut Native, &Fr::from(x), &Fr::from(y)), Ok(result.value));
        }
        let cost = recorder.cost();
        assert_eq!((cost.inputs, cost.constants, cost.additions, cost.multiplications), (2, 1, 2, 2));
        assert_eq!((cost.assertions, cost.inverses, cost.bits), (1, 1, 4));
        assert_eq!((cost.selections, cost.permutations), (1, 1));
    }

    #[test]
    fn operands_constants_and_names_are_on_the_tape() {
        type Step = fn(&mut Recorder, [Node<()>; 2]);
        fn nothing<T>(_: T) {}
        let steps: [Step; 9] = [
            |r, [x, y]| nothing(r.add(&x, &y)),
            |r, [x, y]| nothing(r.add(&y, &x)),
            |r, [x, y]| nothing(r.sub(&x, &y)),
            |r, _| nothing(r.constant(Fr::from(1))),
            |r, _| nothing(r.constant(Fr::from(2))),
            |r, [x, y]| nothing(r.assert_equal(&x, &y, "this")),
            |r, [x, y]| nothing(r.assert_equal(&x, &y, "that")),
            |r, [x, _]| nothing(r.bits(&x, 3, "b")),
            |r, [x, _]| nothing(r.bits(&x, 4, "b")),
        ];
        let mut tapes: Vec<[u8; 32]> = steps
            .iter()
            .map(|step| {
                let mut recorder = Recorder::default();
                let inputs = [recorder.input(()), recorder.input(())];
                step(&mut recorder, inputs);
                recorder.tape()
            })
            .collect();
        tapes.sort_unstable();
        tapes.dedup();
        assert_eq!(tapes.len(), steps.len());
    }
}
