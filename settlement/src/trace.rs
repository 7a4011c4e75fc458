//! The field part as a list of operations with values: what a circuit is compiled from.
//!
//! [`Tracer`] is an [`Arithmetic`] whose checks never fail: a proof that the field part rejects gives the operations of
//! an unsatisfiable circuit. The list depends on shapes only. Equal operations on equal operands are made once, and
//! what depends on constants alone is a constant.

use std::collections::HashMap;

use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::poseidon;
use lorica_verifier::protocol::arithmetic::{Arithmetic, ArithmeticError, MAX_BITS};

/// A scalar: its place in the list of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scalar(pub(crate) u32);

impl Scalar {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One step of the list. Results are the scalars made by it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A value of statement or proof.
    Input(Scalar),
    /// left + right.
    Add(Scalar, Scalar, Scalar),
    /// left − right.
    Sub(Scalar, Scalar, Scalar),
    /// left · right.
    Mul(Scalar, Scalar, Scalar),
    /// left = right.
    Equal(Scalar, Scalar, &'static str),
    /// The second is the first's inverse.
    Inverse(Scalar, Scalar, &'static str),
    /// Bits of the first, lowest first.
    Bits(Scalar, Vec<Scalar>, &'static str),
    /// Poseidon.
    Permute([Scalar; 3], [Scalar; 3]),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Binary {
    Add,
    Sub,
    Mul,
}

/// Records operations and computes their values.
#[derive(Default)]
pub struct Tracer {
    pub(crate) steps: Vec<Step>,
    pub(crate) values: Vec<Fr>,
    pub(crate) constants: Vec<bool>,
    known: HashMap<(Binary, Scalar, Scalar), Scalar>,
    known_constants: HashMap<[u8; 32], Scalar>,
}

impl Tracer {
    /// A value of the statement or of the proof: a private cell of the circuit unless it is made public.
    pub fn input(&mut self, value: Fr) -> Scalar {
        let scalar = self.push(value, false);
        self.steps.push(Step::Input(scalar));
        scalar
    }

    /// The value that a scalar has in this run.
    pub fn value(&self, scalar: Scalar) -> Fr {
        self.values[scalar.index()]
    }

    fn push(&mut self, value: Fr, constant: bool) -> Scalar {
        let scalar = Scalar(u32::try_from(self.values.len()).expect("fewer than 2^32 operations"));
        self.values.push(value);
        self.constants.push(constant);
        scalar
    }

    fn known_constant(&self, scalar: Scalar) -> Option<Fr> {
        self.constants[scalar.index()].then(|| self.values[scalar.index()])
    }

    fn binary(&mut self, kind: Binary, left: Scalar, right: Scalar) -> Scalar {
        let (left, right) = if kind != Binary::Sub && right < left { (right, left) } else { (left, right) };
        let (x, y) = (self.value(left), self.value(right));
        let value = match kind {
            Binary::Add => x + y,
            Binary::Sub => x - y,
            Binary::Mul => x * y,
        };
        match (kind, self.known_constant(left), self.known_constant(right)) {
            (_, Some(_), Some(_)) => return self.constant(value),
            (Binary::Add, Some(zero), None) if zero == Fr::ZERO => return right,
            (Binary::Add | Binary::Sub, None, Some(zero)) if zero == Fr::ZERO => return left,
            (Binary::Mul, Some(c), None) | (Binary::Mul, None, Some(c)) if c == Fr::ZERO => {
                return self.constant(Fr::ZERO);
            }
            (Binary::Mul, Some(one), None) if one == Fr::ONE => return right,
            (Binary::Mul, None, Some(one)) if one == Fr::ONE => return left,
            _ => {}
        }
        if let Some(known) = self.known.get(&(kind, left, right)) {
            return *known;
        }
        let result = self.push(value, false);
        self.steps.push(match kind {
            Binary::Add => Step::Add(left, right, result),
            Binary::Sub => Step::Sub(left, right, result),
            Binary::Mul => Step::Mul(left, right, result),
        });
        self.known.insert((kind, left, right), result);
        result
    }
}

impl Arithmetic for Tracer {
    type Scalar = Scalar;

    fn constant(&mut self, value: Fr) -> Scalar {
        if let Some(known) = self.known_constants.get(&value.to_repr()) {
            return *known;
        }
        let scalar = self.push(value, true);
        self.known_constants.insert(value.to_repr(), scalar);
        scalar
    }

    fn add(&mut self, left: &Scalar, right: &Scalar) -> Scalar {
        self.binary(Binary::Add, *left, *right)
    }

    fn sub(&mut self, left: &Scalar, right: &Scalar) -> Scalar {
        self.binary(Binary::Sub, *left, *right)
    }

    fn mul(&mut self, left: &Scalar, right: &Scalar) -> Scalar {
        self.binary(Binary::Mul, *left, *right)
    }

    fn assert_equal(&mut self, left: &Scalar, right: &Scalar, what: &'static str) -> Result<(), ArithmeticError> {
        self.steps.push(Step::Equal(*left, *right, what));
        Ok(())
    }

    fn inverse(&mut self, value: &Scalar, what: &'static str) -> Result<Scalar, ArithmeticError> {
        let inverse = Option::from(self.value(*value).invert()).unwrap_or(Fr::ZERO);
        let inverse = self.push(inverse, false);
        self.steps.push(Step::Inverse(*value, inverse, what));
        Ok(inverse)
    }

    fn bits(&mut self, value: &Scalar, count: usize, what: &'static str) -> Result<Vec<Scalar>, ArithmeticError> {
        if count > MAX_BITS {
            return Err(ArithmeticError::TooManyBits { what, count });
        }
        let bytes = self.value(*value).to_repr();
        let bits: Vec<Scalar> = (0..count)
            .map(|i| {
                let bit = (bytes[i / 8] >> (i % 8)) & 1;
                self.push(Fr::from(u64::from(bit)), false)
            })
            .collect();
        self.steps.push(Step::Bits(*value, bits.clone(), what));
        Ok(bits)
    }

    fn select(&mut self, bit: &Scalar, if_one: &Scalar, if_zero: &Scalar) -> Scalar {
        let difference = self.sub(if_one, if_zero);
        let chosen = self.mul(bit, &difference);
        self.add(if_zero, &chosen)
    }

    fn permute(&mut self, state: [Scalar; 3]) -> [Scalar; 3] {
        let values = poseidon::permute(state.map(|s| self.value(s)));
        let output = values.map(|value| self.push(value, false));
        self.steps.push(Step::Permute(state, output));
        output
    }
}
