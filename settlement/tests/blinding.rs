//! halo2's blinding covers what a proof shows: a small prover of its own, over the real gates.
//!
//! ```text
//! blinding scalars   last 6 rows of each advice column, last 5 rows of the permutation product
//! shown              each of these polynomials p as p(τ) and at its opened points, and the quotient's pieces as h_i(τ)
//! ```
//! halo2-axiom adds no blinding to its commitments and none to the quotient, so a proof is simulated only if the map from
//! blinding scalars to all that is shown is onto. The map is not linear, for the quotient is not; at random challenges and a
//! random satisfying assignment its derivative has full rank. What else a proof shows follows: the random polynomial's
//! commitment and value are covered by its own coefficients; h(x) by the verifier's identity; the two points of SHPLONK are
//! functions of commitments and values, given τ.

use std::ops::{Add, Mul, Neg};

use halo2_base::halo2_proofs::plonk::{Any, ConstraintSystem};
use halo2_base::halo2_proofs::poly::Rotation;
use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::poseidon;
use lorica_settlement::circuit::RESERVED;
use lorica_settlement::gates::{ADVICE, DEGREE, FIXED, Gates};
use rand_core::OsRng;

const LOG_ROWS: u32 = 5;
const ROWS: usize = 1 << LOG_ROWS;
/// Rows that gates and copies use.
const USABLE: usize = ROWS - RESERVED;
/// Points on which a numerator of degree 7 (n - 1) is known.
const POINTS: usize = 8 * ROWS;
/// Pieces of the quotient.
const PIECES: usize = 6;

fn random() -> Fr {
    <Fr as Field>::random(OsRng)
}

/// Generator of a domain of 2^k.
fn generator(k: u32) -> Fr {
    (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square())
}

fn powers(base: Fr) -> impl Iterator<Item = Fr> {
    std::iter::successors(Some(Fr::ONE), move |power| Some(*power * base))
}

/// A value and how it changes with one scalar.
#[derive(Clone, Copy)]
struct Dual {
    value: Fr,
    slope: Fr,
}

impl From<Fr> for Dual {
    fn from(value: Fr) -> Self {
        Self { value, slope: Fr::ZERO }
    }
}

impl Add for Dual {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, slope: self.slope + other.slope }
    }
}

impl Mul for Dual {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self { value: self.value * other.value, slope: self.value * other.slope + self.slope * other.value }
    }
}

impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, slope: -self.slope }
    }
}

/// A blinding scalar, or one that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Advice(usize, usize),
    Product(usize),
}

/// Columns of a proof in values by row, and the challenges.
struct Prover {
    system: ConstraintSystem<Fr>,
    fixed: Vec<[Fr; FIXED]>,
    advice: Vec<[Fr; ADVICE]>,
    instance: Vec<Fr>,
    sigma: Vec<[Fr; ADVICE]>,
    product: Vec<Fr>,
    omega: Fr,
    beta: Fr,
    gamma: Fr,
    y: Fr,
    tau: Fr,
    x: Fr,
}

/// What a row does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Arithmetic,
    Boolean,
    Full,
    Partial,
    Nothing,
}

/// Each kind, and each that may follow another: Nothing stands where cells of two rows would meet.
const KINDS: [Kind; 8] = [
    Kind::Arithmetic,
    Kind::Boolean,
    Kind::Nothing,
    Kind::Full,
    Kind::Partial,
    Kind::Full,
    Kind::Nothing,
    Kind::Arithmetic,
];

impl Prover {
    fn new() -> Self {
        let mut system = ConstraintSystem::default();
        Gates::configure(&mut system);
        let mut own = Self {
            system,
            fixed: vec![[Fr::ZERO; FIXED]; ROWS],
            advice: Vec::new(),
            instance: vec![Fr::ZERO; ROWS],
            sigma: Vec::new(),
            product: Vec::new(),
            omega: generator(LOG_ROWS),
            beta: random(),
            gamma: random(),
            y: random(),
            tau: random(),
            x: random(),
        };
        own.assign();
        own.permute();
        own
    }

    /// Random cells that satisfy the gates, row by row: what a row's gate says of the next one is written there.
    fn assign(&mut self) {
        let mds = poseidon::parameters().mds;
        let mix = |s: [Fr; 3]| mds.map(|row| row[0] * s[0] + row[1] * s[1] + row[2] * s[2]);
        let fifth = |t: Fr| t.square().square() * t;
        let mut next: [Option<Fr>; ADVICE] = [None; ADVICE];
        for row in 0..ROWS {
            let mut cells = next.map(|cell| cell.unwrap_or_else(random));
            next = [None; ADVICE];
            // The last usable row has no gate, as the circuit's last one has none.
            let kind = if row + 1 < USABLE { KINDS[row % KINDS.len()] } else { Kind::Nothing };
            let fixed = &mut self.fixed[row];
            if kind != Kind::Nothing {
                fixed[2..].fill_with(random);
                self.instance[row] = random();
            }
            match kind {
                Kind::Nothing => {}
                Kind::Arithmetic | Kind::Boolean => {
                    // Every other row of each kind goes on with e.
                    let sign = if (row / KINDS.len()).is_multiple_of(2) { Fr::ONE } else { -Fr::ONE };
                    fixed[0] = if kind == Kind::Boolean { Fr::from(2) } else { Fr::ONE } * sign;
                    if kind == Kind::Boolean {
                        cells[..4].copy_from_slice(&[Fr::ONE, Fr::ZERO, Fr::ZERO, Fr::ONE]);
                    }
                    let [a, b, c, d, e] = cells;
                    let [q1, q2, qa, qb, qc, qd] = <[Fr; 6]>::try_from(&fixed[2..]).expect("six");
                    let previous = if sign == Fr::ONE { Fr::ZERO } else { e };
                    let sum = q1 * a * b + q2 * c * d + qa * a + qb * b + qc * c + qd * d;
                    next[4] = Some(previous + sum + self.instance[row]);
                }
                Kind::Full => {
                    fixed[1] = Fr::ONE;
                    let state = mix([0, 1, 2].map(|i| fifth(cells[i] + fixed[4 + i])));
                    next[..3].copy_from_slice(&state.map(Some));
                }
                Kind::Partial => {
                    fixed[1] = Fr::from(2);
                    let [d, y, z] = mix([fifth(cells[0] + fixed[4]), cells[1], cells[2]]);
                    let [e, y, z] = mix([fifth(d + fixed[5]), y, z]);
                    (cells[3], cells[4]) = (d, e);
                    next[..3].copy_from_slice(&mix([fifth(e + fixed[6]), y, z]).map(Some));
                }
            }
            self.advice.push(cells);
        }
    }

    /// Copies between cells of all columns, and the products that show them.
    fn permute(&mut self) {
        let columns = self.system.permutation().get_columns();
        let kinds: Vec<_> = columns.iter().map(|column| (*column.column_type(), column.index())).collect();
        assert_eq!(kinds, (0..ADVICE).map(|column| (Any::advice(), column)).collect::<Vec<_>>());
        let omega = self.omega;
        let label =
            |row: usize, column: usize| omega.pow([row as u64]) * <Fr as PrimeField>::DELTA.pow([column as u64]);
        self.sigma = (0..ROWS).map(|row| std::array::from_fn(|column| label(row, column))).collect();
        // d of a row without gate is read by nothing: it takes another cell's value.
        for ((row, column), (from, source)) in [((2, 3), (0, 0)), ((6, 3), (3, 4)), ((10, 3), (8, 2))] {
            self.advice[row][column] = self.advice[from][source];
            (self.sigma[row][column], self.sigma[from][source]) = (label(from, source), label(row, column));
        }
        self.product = vec![Fr::ONE; ROWS];
        for row in 0..USABLE {
            let factor = |column: usize| {
                let own = self.advice[row][column] + self.gamma;
                let below = own + self.beta * self.sigma[row][column];
                (own + self.beta * label(row, column)) * below.invert().expect("not zero")
            };
            self.product[row + 1] = self.product[row] * (0..ADVICE).map(factor).product::<Fr>();
        }
        assert_eq!(self.product[USABLE], Fr::ONE, "the copies hold");
        self.product[USABLE + 1..].fill_with(random);
    }

    /// L_row(x) for every row.
    fn basis(&self, x: Fr) -> Vec<Fr> {
        let vanishing = (x.pow([ROWS as u64]) - Fr::ONE) * Fr::from(ROWS as u64).invert().expect("not zero");
        powers(self.omega)
            .take(ROWS)
            .map(|root| match Option::<Fr>::from((x - root).invert()) {
                Some(inverse) => root * vanishing * inverse,
                None => Fr::ONE,
            })
            .collect()
    }

    /// A column and its change with a cell, at the point of a basis that is turned by some rows.
    fn column(&self, basis: &[Fr], turn: i32, of: Cell, by: Option<Cell>) -> Dual {
        let at = |row: usize| basis[(row as i32 - turn).rem_euclid(ROWS as i32) as usize];
        let value = match of {
            Cell::Advice(column, _) => (0..ROWS).map(|row| self.advice[row][column] * at(row)).sum(),
            Cell::Product(_) => (0..ROWS).map(|row| self.product[row] * at(row)).sum(),
        };
        let slope = match (of, by) {
            (Cell::Advice(column, _), Some(Cell::Advice(own, row))) if column == own => at(row),
            (Cell::Product(_), Some(Cell::Product(row))) => at(row),
            _ => Fr::ZERO,
        };
        Dual { value, slope }
    }

    /// All constraints batched by y at a point, with their change.
    fn numerator(&self, x: Fr, by: Option<Cell>) -> Dual {
        let basis = self.basis(x);
        let public = |values: &dyn Fn(usize) -> Fr| -> Fr { (0..ROWS).map(|row| values(row) * basis[row]).sum() };
        let fixed: Vec<Fr> = (0..FIXED).map(|column| public(&|row| self.fixed[row][column])).collect();
        let word = Dual::from(public(&|row| self.instance[row]));
        let cell = |column: usize, turn: i32| self.column(&basis, turn, Cell::Advice(column, 0), by);
        let cells = [0, 1].map(|turn| -> Vec<Dual> { (0..ADVICE).map(|column| cell(column, turn)).collect() });
        let mut sum = Dual::from(Fr::ZERO);
        let mut add = |constraint: Dual| sum = sum * self.y.into() + constraint;
        for constraint in self.system.gates().iter().flat_map(|gate| gate.polynomials()) {
            add(constraint.evaluate(
                &Dual::from,
                &|_| unreachable!("no selectors"),
                &|query| {
                    assert_eq!(query.rotation(), Rotation::cur());
                    fixed[query.column_index()].into()
                },
                &|query| {
                    cells[usize::try_from(query.rotation().0).expect("this row or the next")][query.column_index()]
                },
                &|query| {
                    assert_eq!((query.column_index(), query.rotation()), (0, Rotation::cur()));
                    word
                },
                &|_| unreachable!("no challenges"),
                &|a| -a,
                &|a, b| a + b,
                &|a, b| a * b,
                &|a, factor| a * factor.into(),
            ));
        }
        let one = Dual::from(Fr::ONE);
        let product = |turn: i32| self.column(&basis, turn, Cell::Product(0), by);
        let (first, last) = (Dual::from(basis[0]), Dual::from(basis[USABLE]));
        let blind: Fr = basis[USABLE + 1..].iter().sum();
        let active = one + -(last + blind.into());
        add(first * (one + -product(0)));
        add(last * (product(0) * product(0) + -product(0)));
        let (mut left, mut right) = (product(1), product(0));
        for (column, value) in cells[0].iter().enumerate() {
            let value: Dual = *value + self.gamma.into();
            let sigma = public(&|row| self.sigma[row][column]);
            left = left * (value + (self.beta * sigma).into());
            let identity = x * <Fr as PrimeField>::DELTA.pow([column as u64]);
            right = right * (value + (self.beta * identity).into());
        }
        add(active * (left + -right));
        sum
    }

    /// The quotient's pieces at τ, of a numerator by its values on a coset; checks that it is one.
    fn pieces(&self, coset: &[Fr], numerator: &[Fr]) -> [Fr; PIECES] {
        let quotient: Vec<Fr> = coset
            .iter()
            .zip(numerator)
            .map(|(x, value)| *value * (x.pow([ROWS as u64]) - Fr::ONE).invert().expect("off the domain"))
            .collect();
        // Coefficients: the inverse transform, written out, and the coset's shift.
        let root = generator(POINTS.trailing_zeros()).invert().expect("not zero");
        let roots: Vec<Fr> = powers(root).take(POINTS).collect();
        let shift = coset[0].invert().expect("not zero");
        let scale = Fr::from(POINTS as u64).invert().expect("not zero");
        let coefficients: Vec<Fr> = powers(shift)
            .take(POINTS)
            .enumerate()
            .map(|(i, shift)| {
                let sum: Fr = (0..POINTS).map(|j| quotient[j] * roots[i * j % POINTS]).sum();
                sum * shift * scale
            })
            .collect();
        assert!(coefficients[PIECES * ROWS..].iter().all(|c| bool::from(c.is_zero())), "the quotient has six pieces");
        let piece =
            |i: usize| coefficients[i * ROWS..(i + 1) * ROWS].iter().rev().fold(Fr::ZERO, |h, c| h * self.tau + c);
        std::array::from_fn(piece)
    }

    /// How all that a proof shows changes with a scalar.
    fn shown(&self, coset: &[Fr], by: Cell) -> Vec<Fr> {
        let (tau, x) = (self.basis(self.tau), self.basis(self.x));
        let slope = |basis: &[Fr], turn: i32, of: Cell| self.column(basis, turn, of, Some(by)).slope;
        let mut shown: Vec<Fr> = (0..ADVICE).map(|column| slope(&tau, 0, Cell::Advice(column, 0))).collect();
        // What the proof opens is what the gates query.
        let queries = self.system.advice_queries();
        shown.extend(queries.iter().map(|(column, turn)| slope(&x, turn.0, Cell::Advice(column.index(), 0))));
        shown.push(slope(&tau, 0, Cell::Product(0)));
        shown.extend([0, 1].map(|turn| slope(&x, turn, Cell::Product(0))));
        let numerator: Vec<Fr> = coset.iter().map(|x| self.numerator(*x, Some(by)).slope).collect();
        shown.extend(self.pieces(coset, &numerator));
        shown
    }
}

/// By Gauss' elimination.
fn rank(mut rows: Vec<Vec<Fr>>) -> usize {
    let columns = rows.first().map_or(0, Vec::len);
    let mut rank = 0;
    for column in 0..columns {
        let Some(pivot) = (rank..rows.len()).find(|row| !bool::from(rows[*row][column].is_zero())) else { continue };
        rows.swap(rank, pivot);
        let (above, below) = rows.split_at_mut(rank + 1);
        let pivot = &above[rank];
        let inverse = pivot[column].invert().expect("not zero");
        for row in below {
            let factor = row[column] * inverse;
            row.iter_mut().zip(pivot).for_each(|(cell, pivot)| *cell -= factor * pivot);
        }
        rank += 1;
    }
    rank
}

/// 5 + 9 of the advice columns, 1 + 2 of the product, 6 of the quotient.
const SHOWN: usize = 23;

#[test]
fn the_blinding_covers_all_that_a_halo2_proof_shows() {
    let prover = Prover::new();
    assert_eq!(prover.system.blinding_factors() + 1, RESERVED);
    assert_eq!(prover.system.degree(), DEGREE);
    assert!(prover.system.lookups().is_empty(), "a lookup argument has blinding and openings of its own");
    let coset: Vec<Fr> = powers(generator(POINTS.trailing_zeros())).map(|x| x * Fr::from(7)).take(POINTS).collect();

    // The model is a prover: its constraints hold on all rows, and its quotient is one.
    for root in powers(prover.omega).take(ROWS) {
        assert_eq!(prover.numerator(root, None).value, Fr::ZERO);
    }
    let numerator: Vec<Fr> = coset.iter().map(|x| prover.numerator(*x, None).value).collect();
    prover.pieces(&coset, &numerator);

    let advice = (0..ADVICE).flat_map(|column| (USABLE..ROWS).map(move |row| Cell::Advice(column, row)));
    let product = (USABLE + 1..ROWS).map(Cell::Product);
    let rows: Vec<(Cell, Vec<Fr>)> = advice.chain(product).map(|cell| (cell, prover.shown(&coset, cell))).collect();
    assert_eq!((rows.len(), rows[0].1.len()), (35, SHOWN));
    // The rank of the last so many rows of each advice column and of the product.
    let rank_of = |advice: usize, product: usize| {
        let kept = rows.iter().filter(|(cell, _)| match cell {
            Cell::Advice(_, row) => row + advice >= ROWS,
            Cell::Product(row) => row + product >= ROWS,
        });
        rank(kept.map(|(_, shown)| shown.clone()).collect())
    };
    assert_eq!(rank_of(6, 5), SHOWN, "as halo2 does it");

    // Fewer rows: the product alone shows three values, b three, and the quotient takes what is left.
    let kept = [(5, 5), (4, 4), (6, 3), (6, 2), (2, 5), (3, 4), (0, 5), (6, 0)];
    assert_eq!(kept.map(|(advice, product)| rank_of(advice, product)), [23, 23, 23, 22, 15, 19, 5, 20], "{kept:?}");
}
