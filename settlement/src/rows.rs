//! Operations compiled to rows of five cells.
//!
//! A scalar is held as a sum `k + Σ c·x + Σ c·x·y` over variables until it is needed as a factor, in a decomposition, in
//! a permutation, or more than once; only then it gets a cell. So additions and factors that are fixed cost nothing, and
//! a row computes two products of a sum. What a variable is worth is decided by the gates of the row that writes it; all
//! its other cells are copies of its first.

use std::ops::Range;

use lorica_circuits::bn254::{Field, Fr};
use lorica_circuits::poseidon::{Constants, FULL_ROUNDS, PARTIAL_ROUNDS, moved_constants, parameters};

use crate::gates::{ADVICE, FIXED};
use crate::trace::{Scalar, Step, Tracer};

/// Fixed columns by name; see [`crate::gates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Fixed {
    /// 1 for arithmetic rows, 2 for boolean ones; negative if e is added.
    V,
    /// 1 for a full round, 2 for three partial ones.
    Rounds,
    /// Factor of a·b.
    Q1,
    /// Factor of c·d.
    Q2,
    /// Factor of a, or a round constant.
    A,
    /// Factor of b, or a round constant.
    B,
    /// Factor of c, or a round constant.
    C,
    /// Factor of d.
    D,
}

/// A value with a cell: all cells of one variable are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Var(u32);

impl Var {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Zero, by the first row behind those of the public words.
const ZERO: Var = Var(0);

/// One, by the row after it: a factor of it is a constant.
const ONE: Var = Var(1);

/// 1/5 modulo r − 1, lowest limb first: a fifth root is this power.
const FIFTH_ROOT: [u64; 4] =
    [0xcfe7_f7a9_8ccc_cccd, 0x535c_b9d3_9494_5a0d, 0x9373_6af8_679a_ad17, 0x26b6_a528_b427_b354];

/// One row of the circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Contents of the fixed columns.
    pub fixed: [Fr; FIXED],
    /// Variables of a, b, c, d, e.
    pub cells: [Option<Var>; ADVICE],
}

/// How many rows serve what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Permutations.
    pub poseidon: usize,
    /// Decompositions into bits.
    pub bits: usize,
    /// Sums of products.
    pub arithmetic: usize,
}

/// The circuit: rows, the values of one run, and which variables are public.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Rows in order.
    pub rows: Vec<Row>,
    /// Values of the variables.
    pub values: Vec<Fr>,
    /// Public variables, in the order of the instance column.
    pub public: Vec<Var>,
    /// Rows by purpose.
    pub parts: Parts,
    /// Rows of each check of the field part: one of them fails if the check does.
    pub checks: Vec<(&'static str, Range<usize>)>,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    k: Fr,
    linear: Vec<(Var, Fr)>,
    products: Vec<(Var, Var, Fr)>,
}

impl Sum {
    fn constant(k: Fr) -> Self {
        Self { k, ..Self::default() }
    }

    fn variable(x: Var) -> Self {
        Self { linear: vec![(x, Fr::ONE)], ..Self::default() }
    }

    fn scale(mut self, factor: Fr) -> Self {
        self.k *= factor;
        self.linear.iter_mut().for_each(|(_, c)| *c *= factor);
        self.products.iter_mut().for_each(|(_, _, c)| *c *= factor);
        self
    }

    fn plus(mut self, mut other: Self) -> Self {
        // The longer list keeps its memory: sums of many terms are built one by one.
        if self.linear.len() + self.products.len() < other.linear.len() + other.products.len() {
            std::mem::swap(&mut self, &mut other);
        }
        self.k += other.k;
        self.linear.append(&mut other.linear);
        self.products.append(&mut other.products);
        self
    }

    /// Equal terms joined, terms that vanish left out. What vanishes depends on coefficients only, which are fixed.
    fn merged(mut self) -> Self {
        self.linear.sort_unstable_by_key(|(x, _)| *x);
        self.linear.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        self.linear.retain(|(_, c)| *c != Fr::ZERO);
        self.products.iter_mut().filter(|(x, y, _)| x > y).for_each(|(x, y, _)| std::mem::swap(x, y));
        self.products.sort_unstable_by_key(|(x, y, _)| (*x, *y));
        self.products.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        self.products.retain(|(_, _, c)| *c != Fr::ZERO);
        self
    }

    /// The sum as `factor · x + k` over at most one variable.
    fn affine(&self) -> Option<(Option<(Var, Fr)>, Fr)> {
        match (self.products.as_slice(), self.linear.as_slice()) {
            ([], []) => Some((None, self.k)),
            ([], [only]) => Some((Some(*only), self.k)),
            _ => None,
        }
    }

    /// The sum if it is a variable and nothing else.
    fn as_variable(&self) -> Option<Var> {
        match self.affine()? {
            (Some((x, c)), k) if c == Fr::ONE && k == Fr::ZERO => Some(x),
            _ => None,
        }
    }
}

/// Half of an arithmetic row: two cells, the factor of their product, and their own factors.
#[derive(Clone, Copy, Default)]
struct Half {
    cells: [Option<Var>; 2],
    product: Fr,
    own: [Fr; 2],
}

struct Compiler {
    rows: Vec<Row>,
    values: Vec<Fr>,
    sums: Vec<Option<Sum>>,
    uses: Vec<u32>,
    /// The result of the last row: goes into e of the next.
    result: Option<Var>,
    constants: Constants,
    parts: Parts,
}

fn row(fixed: impl IntoIterator<Item = (Fixed, Fr)>) -> [Fr; FIXED] {
    let mut all = [Fr::ZERO; FIXED];
    fixed.into_iter().for_each(|(column, value)| all[column as usize] = value);
    all
}

impl Compiler {
    fn variable(&mut self, value: Fr) -> Var {
        let var = Var(u32::try_from(self.values.len()).expect("fewer than 2^32 cells"));
        self.values.push(value);
        var
    }

    fn value(&self, x: Var) -> Fr {
        self.values[x.index()]
    }

    /// Adds a row; e holds what the row before computed.
    fn push(&mut self, fixed: [Fr; FIXED], [a, b, c, d]: [Option<Var>; 4]) {
        let e = self.result.take();
        self.rows.push(Row { fixed, cells: [a, b, c, d, e] });
    }

    fn evaluate(&self, sum: &Sum) -> Fr {
        let linear: Fr = sum.linear.iter().map(|(x, c)| self.value(*x) * c).sum();
        let products: Fr = sum.products.iter().map(|(x, y, c)| self.value(*x) * self.value(*y) * c).sum();
        sum.k + linear + products
    }

    /// Rows that compute a sum; the result is a given variable or a new one.
    fn compute(&mut self, sum: Sum, into: Option<Var>) -> Var {
        let mut sum = sum.merged();
        let value = self.evaluate(&sum);
        if sum.k != Fr::ZERO {
            sum.linear.push((ONE, sum.k));
        }
        let previous = sum.linear.iter().position(|(x, c)| Some(*x) == self.result && *c == Fr::ONE);
        if let Some(position) = previous {
            sum.linear.remove(position);
        }
        let (mut v, mut partial) = match (previous, self.result) {
            (Some(_), Some(e)) => (-Fr::ONE, self.value(e)),
            _ => (Fr::ONE, Fr::ZERO),
        };
        let mut halves: Vec<Half> = Vec::new();
        for (x, y, product) in sum.products {
            let mut own = |of: Var| match sum.linear.iter().position(|(z, _)| *z == of) {
                Some(position) => sum.linear.remove(position).1,
                None => Fr::ZERO,
            };
            let own = [own(x), own(y)];
            halves.push(Half { cells: [Some(x), Some(y)], product, own });
        }
        for pair in sum.linear.chunks(2) {
            let mut half = Half::default();
            for (slot, (x, c)) in pair.iter().enumerate() {
                half.cells[slot] = Some(*x);
                half.own[slot] = *c;
            }
            halves.push(half);
        }
        if halves.is_empty() {
            halves.push(Half::default());
        }
        let rows = halves.len().div_ceil(2);
        let mut last = ZERO;
        for (index, pair) in halves.chunks(2).enumerate() {
            let (left, right) = (pair[0], pair.get(1).copied().unwrap_or_default());
            let fixed = row([
                (Fixed::V, v),
                (Fixed::Q1, left.product),
                (Fixed::Q2, right.product),
                (Fixed::A, left.own[0]),
                (Fixed::B, left.own[1]),
                (Fixed::C, right.own[0]),
                (Fixed::D, right.own[1]),
            ]);
            for half in [left, right] {
                let [x, y] = half.cells.map(|cell| cell.map_or(Fr::ZERO, |x| self.value(x)));
                partial += half.product * x * y + half.own[0] * x + half.own[1] * y;
            }
            self.push(fixed, [left.cells[0], left.cells[1], right.cells[0], right.cells[1]]);
            last = match into {
                Some(var) if index + 1 == rows => var,
                _ => self.variable(partial),
            };
            self.result = Some(last);
            self.parts.arithmetic += 1;
            v = -Fr::ONE;
        }
        debug_assert_eq!(partial, value, "rows compute the sum");
        last
    }

    /// Rows that hold only if the sum is zero.
    fn vanish(&mut self, sum: Sum) {
        self.compute(sum, Some(ZERO));
    }

    fn materialise(&mut self, sum: Sum) -> Var {
        let sum = sum.merged();
        match sum.as_variable() {
            Some(x) => x,
            None => self.compute(sum, None),
        }
    }

    /// The sum of a scalar, for one of its uses.
    fn take(&mut self, tracer: &Tracer, scalar: Scalar) -> Sum {
        let index = scalar.index();
        if tracer.constants[index] {
            return Sum::constant(tracer.values[index]);
        }
        self.uses[index] -= 1;
        let sum = self.sums[index].take().expect("operations come before their uses");
        if self.uses[index] == 0 {
            return sum;
        }
        let shared = if sum.affine().is_some() { sum } else { Sum::variable(self.materialise(sum)) };
        self.sums[index] = Some(shared.clone());
        shared
    }

    /// A scalar as `factor · x + k`.
    fn take_affine(&mut self, tracer: &Tracer, scalar: Scalar) -> (Option<(Var, Fr)>, Fr) {
        let sum = self.take(tracer, scalar).merged();
        match sum.affine() {
            Some(affine) => affine,
            None => (Some((self.materialise(sum), Fr::ONE)), Fr::ZERO),
        }
    }

    fn multiply(&mut self, tracer: &Tracer, left: Scalar, right: Scalar) -> Sum {
        let (x, k) = self.take_affine(tracer, left);
        let (y, l) = self.take_affine(tracer, right);
        let mut sum = Sum::constant(k * l);
        if let Some((x, c)) = x {
            sum.linear.push((x, c * l));
        }
        if let Some((y, d)) = y {
            sum.linear.push((y, d * k));
        }
        if let (Some((x, c)), Some((y, d))) = (x, y) {
            sum.products.push((x, y, c * d));
        }
        sum.merged()
    }

    /// Rows that make one, of zeros and a round whose constant is chosen for it.
    fn one(&mut self) {
        let column = parameters().mds.map(|row| row[0]);
        let inverse = Option::<Fr>::from(column[0].invert()).expect("no element of the matrix is zero");
        let fixed = row([(Fixed::Rounds, Fr::ONE), (Fixed::A, inverse.pow(FIFTH_ROOT))]);
        self.push(fixed, [Some(ZERO), Some(ZERO), Some(ZERO), None]);
        let [one, y, z] = column.map(|m| self.variable(m * inverse));
        debug_assert_eq!((one, self.value(one)), (ONE, Fr::ONE), "a round makes one");
        self.push(row([]), [Some(one), Some(y), Some(z), None]);
    }

    /// `value = Σ 2^i bit_i` with boolean bits, four to a row, lowest first.
    fn bits(&mut self, value: Sum, bits: &[Var]) {
        let value = value.merged();
        if bits.is_empty() {
            return self.vanish(value);
        }
        let mut cells: Vec<Var> = bits.to_vec();
        cells.resize(bits.len().next_multiple_of(4), ZERO);
        let rows = cells.len() / 4;
        let (mut total, mut weight) = (Fr::ZERO, Fr::ONE);
        let own = value.as_variable();
        for (index, four) in cells.chunks(4).enumerate() {
            let two = Fr::from(2);
            let mut fixed = row([(Fixed::V, if index == 0 { two } else { -two })]);
            for (factor, bit) in [Fixed::A, Fixed::B, Fixed::C, Fixed::D].into_iter().zip(four) {
                fixed[factor as usize] = weight;
                total += weight * self.value(*bit);
                weight = weight.double();
            }
            self.push(fixed, [Some(four[0]), Some(four[1]), Some(four[2]), Some(four[3])]);
            self.parts.bits += 1;
            let last = index + 1 == rows;
            self.result = Some(match own {
                Some(own) if last => own,
                _ => self.variable(total),
            });
        }
        if own.is_none() {
            let recomposed = self.result.unwrap_or(ZERO);
            self.vanish(value.plus(Sum::variable(recomposed).scale(-Fr::ONE)));
        }
    }

    fn permute(&mut self, tracer: &Tracer, input: [Scalar; 3], output: [Var; 3]) {
        let matrix = parameters().mds;
        let mix = |s: [Fr; 3]| matrix.map(|row| row[0] * s[0] + row[1] * s[1] + row[2] * s[2]);
        let fifth = |x: Fr| x.square().square() * x;

        // A constant that is added to an element joins the constant of the first round.
        let inputs = input.map(|scalar| match self.take_affine(tracer, scalar) {
            (None, k) => (ZERO, k),
            (Some((x, c)), k) if c == Fr::ONE => (x, k),
            (Some((x, c)), k) => (self.materialise(Sum { k, linear: vec![(x, c)], products: Vec::new() }), Fr::ZERO),
        });
        let mut cells = inputs.map(|(x, _)| x);
        let mut constants = self.constants;
        for (constant, (_, k)) in constants.first[0].iter_mut().zip(inputs) {
            *constant += k;
        }
        let before = self.rows.len();
        let full = |own: &mut Self, cells: [Var; 3], round: [Fr; 3], next: Option<[Var; 3]>| {
            let [r0, r1, r2] = round;
            let fixed = row([(Fixed::Rounds, Fr::ONE), (Fixed::A, r0), (Fixed::B, r1), (Fixed::C, r2)]);
            own.push(fixed, [Some(cells[0]), Some(cells[1]), Some(cells[2]), None]);
            let [x, y, z] = cells.map(|cell| own.value(cell));
            let state = mix([fifth(x + r0), fifth(y + r1), fifth(z + r2)]);
            next.unwrap_or_else(|| state.map(|value| own.variable(value)))
        };
        for round in constants.first {
            cells = full(self, cells, round, None);
        }
        for three in constants.partial.chunks(3) {
            let [r0, r1, r2] = [three[0], three[1], three[2]];
            let [x, y, z] = cells.map(|cell| self.value(cell));
            let [first, y, z] = mix([fifth(x + r0), y, z]);
            let [second, y, z] = mix([fifth(first + r1), y, z]);
            let state = mix([fifth(second + r2), y, z]);
            let [d, e] = [first, second].map(|value| self.variable(value));
            let fixed = row([(Fixed::Rounds, Fr::from(2)), (Fixed::A, r0), (Fixed::B, r1), (Fixed::C, r2)]);
            self.result = Some(e);
            self.push(fixed, [Some(cells[0]), Some(cells[1]), Some(cells[2]), Some(d)]);
            cells = state.map(|value| self.variable(value));
        }
        for (index, round) in constants.last.into_iter().enumerate() {
            let last = index + 1 == FULL_ROUNDS / 2;
            cells = full(self, cells, round, last.then_some(output));
        }
        self.push(row([]), [Some(cells[0]), Some(cells[1]), Some(cells[2]), None]);
        self.parts.poseidon += self.rows.len() - before;
    }

    fn step(&mut self, tracer: &Tracer, step: &Step) {
        let set = |own: &mut Self, scalar: Scalar, sum: Sum| own.sums[scalar.index()] = Some(sum);
        match step {
            Step::Input(x) => {
                let var = self.variable(tracer.value(*x));
                set(self, *x, Sum::variable(var));
            }
            Step::Add(x, y, sum) => {
                let (x, y) = (self.take(tracer, *x), self.take(tracer, *y));
                set(self, *sum, x.plus(y));
            }
            Step::Sub(x, y, difference) => {
                let (x, y) = (self.take(tracer, *x), self.take(tracer, *y));
                set(self, *difference, x.plus(y.scale(-Fr::ONE)));
            }
            Step::Mul(x, y, product) => {
                let sum = self.multiply(tracer, *x, *y);
                set(self, *product, sum);
            }
            Step::Equal(x, y, _) => {
                let (x, y) = (self.take(tracer, *x), self.take(tracer, *y));
                self.vanish(x.plus(y.scale(-Fr::ONE)));
            }
            Step::Inverse(x, inverse, _) => {
                let var = self.variable(tracer.value(*inverse));
                set(self, *inverse, Sum::variable(var));
                // x · inverse = 1: zero has none.
                let (x, k) = self.take_affine(tracer, *x);
                let mut sum = Sum { k: -Fr::ONE, linear: vec![(var, k)], products: Vec::new() };
                if let Some((x, c)) = x {
                    sum.products.push((x, var, c));
                }
                self.vanish(sum);
            }
            Step::Bits(x, bits, _) => {
                let vars: Vec<Var> = bits.iter().map(|bit| self.variable(tracer.value(*bit))).collect();
                let value = self.take(tracer, *x);
                self.bits(value, &vars);
                for (bit, var) in bits.iter().zip(vars) {
                    set(self, *bit, Sum::variable(var));
                }
            }
            Step::Permute(input, output) => {
                let vars = output.map(|scalar| self.variable(tracer.value(scalar)));
                self.permute(tracer, *input, vars);
                for (scalar, var) in output.iter().zip(vars) {
                    set(self, *scalar, Sum::variable(var));
                }
            }
        }
    }
}

fn operands(step: &Step) -> Vec<Scalar> {
    match step {
        Step::Input(_) => vec![],
        Step::Add(x, y, _) | Step::Sub(x, y, _) | Step::Mul(x, y, _) | Step::Equal(x, y, _) => vec![*x, *y],
        Step::Inverse(x, _, _) | Step::Bits(x, _, _) => vec![*x],
        Step::Permute(input, _) => input.to_vec(),
    }
}

impl Rows {
    /// Compiles a trace; `public` are the scalars of the instance column.
    #[must_use]
    pub fn compile(tracer: &Tracer, public: &[Scalar]) -> Self {
        const { assert!(PARTIAL_ROUNDS.is_multiple_of(3), "partial rounds go three to a row") };
        let scalars = tracer.values.len();
        let mut uses = vec![0u32; scalars];
        for scalar in tracer.steps.iter().flat_map(operands).chain(public.iter().copied()) {
            uses[scalar.index()] += 1;
        }
        let mut compiler = Compiler {
            rows: Vec::new(),
            values: vec![Fr::ZERO],
            sums: vec![None; scalars],
            uses,
            result: None,
            constants: moved_constants(),
            parts: Parts::default(),
        };
        // Public words enter as e' of the first rows, whatever else says the same of their variables.
        compiler.rows = vec![Row { fixed: row([(Fixed::V, Fr::ONE)]), cells: [None; ADVICE] }; public.len()];
        // 0 = e' makes the variable of zero.
        compiler.vanish(Sum::default());
        compiler.one();
        let mut checks = Vec::new();
        for step in &tracer.steps {
            let before = compiler.rows.len();
            compiler.step(tracer, step);
            if let Step::Equal(_, _, what) | Step::Inverse(_, _, what) | Step::Bits(_, _, what) = step {
                checks.push((*what, before..compiler.rows.len()));
            }
        }
        let public: Vec<Var> = public
            .iter()
            .map(|scalar| {
                let sum = compiler.take(tracer, *scalar);
                compiler.materialise(sum)
            })
            .collect();
        compiler.push(row([]), [None; 4]);
        for (row, var) in compiler.rows.iter_mut().skip(1).zip(&public) {
            row.cells[4] = Some(*var);
        }
        let Compiler { rows, values, parts, .. } = compiler;
        Self { rows, values, public, parts, checks }
    }

    /// Whether values do not matter to the circuit: rows, public variables and their number are those of another run.
    #[must_use]
    pub fn same_circuit(&self, other: &Self) -> bool {
        self.rows == other.rows && self.public == other.public
    }
}
