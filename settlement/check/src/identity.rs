//! The word with which a key's transcript begins: halo2's name of a circuit.
//!
//! halo2 takes BLAKE2b of the text that Rust's `Debug` makes of a key: rows, columns, gates as expressions, queries,
//! commitments. The types here have the names and fields of halo2's, so that their text is the same; a test compares the
//! word with halo2's own.

use core::ops::{Add, Mul, Sub};

use lorica_circuits::bn254::{Field, Fq, Fr, FromUniformBytes, G1Affine, PrimeField};

use crate::gates::{ADVICE, Cells, DEGREE, FIXED, NEXT, PERMUTED, constraints};

/// A polynomial over the columns, as halo2 writes it.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "fields are read as text")]
enum Expression {
    Constant(Fr),
    Fixed { query_index: usize, column_index: usize, rotation: Rotation },
    Instance { query_index: usize, column_index: usize, rotation: Rotation },
    Advice { query_index: usize, column_index: usize, rotation: Rotation },
    Negated(Box<Expression>),
    Sum(Box<Expression>, Box<Expression>),
    Product(Box<Expression>, Box<Expression>),
    Scaled(Box<Expression>, Fr),
}

impl Add for Expression {
    type Output = Self;
    fn add(self, right: Self) -> Self {
        Self::Sum(Box::new(self), Box::new(right))
    }
}

impl Sub for Expression {
    type Output = Self;
    fn sub(self, right: Self) -> Self {
        Self::Sum(Box::new(self), Box::new(Self::Negated(Box::new(right))))
    }
}

impl Mul for Expression {
    type Output = Self;
    fn mul(self, right: Self) -> Self {
        Self::Product(Box::new(self), Box::new(right))
    }
}

impl Mul<Fr> for Expression {
    type Output = Self;
    fn mul(self, right: Fr) -> Self {
        Self::Scaled(Box::new(self), right)
    }
}

#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "fields are read as text")]
struct Rotation(i32);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Advice,
    Fixed,
    Instance,
}

#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "fields are read as text")]
struct Column {
    index: usize,
    column_type: Kind,
}

#[derive(Debug)]
#[expect(dead_code, reason = "fields are read as text")]
struct PinnedEvaluationDomain {
    k: u32,
    extended_k: u32,
    omega: Fr,
}

#[derive(Debug)]
#[expect(dead_code, reason = "fields are read as text")]
struct Argument {
    columns: Vec<Column>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "fields are read as text")]
struct PinnedConstraintSystem {
    num_fixed_columns: usize,
    num_advice_columns: usize,
    num_instance_columns: usize,
    num_selectors: usize,
    gates: Vec<Expression>,
    advice_queries: Vec<(Column, Rotation)>,
    instance_queries: Vec<(Column, Rotation)>,
    fixed_queries: Vec<(Column, Rotation)>,
    permutation: Argument,
    lookups: [(); 0],
    constants: [(); 0],
    minimum_degree: Option<usize>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "fields are read as text")]
struct VerifyingKey<'k> {
    commitments: &'k [G1Affine],
}

#[derive(Debug)]
#[expect(dead_code, reason = "fields are read as text")]
struct PinnedVerificationKey<'k> {
    base_modulus: &'static str,
    scalar_modulus: &'static str,
    domain: PinnedEvaluationDomain,
    cs: PinnedConstraintSystem,
    fixed_commitments: &'k [G1Affine],
    permutation: VerifyingKey<'k>,
}

/// Columns that the next row's queries are of: a, b, c, e.
const NEXT_COLUMNS: [usize; NEXT] = [0, 1, 2, 4];

/// Columns, queries and gates: the same in every key.
fn constraint_system() -> PinnedConstraintSystem {
    let column = |column_type| move |index| Column { index, column_type };
    let (advice, fixed, instance) = (column(Kind::Advice), column(Kind::Fixed), column(Kind::Instance));
    let (here, next) = (Rotation(0), Rotation(1));
    let now = core::array::from_fn::<_, ADVICE, _>(|index| (advice(index), here));
    let then = NEXT_COLUMNS.map(|index| (advice(index), next));
    let fixed = core::array::from_fn::<_, FIXED, _>(|index| (fixed(index), here));
    let mut query_index = 0..;
    let mut query = |(column, rotation): (Column, Rotation)| Expression::Advice {
        query_index: query_index.next().unwrap_or(usize::MAX),
        column_index: column.index,
        rotation,
    };
    let cells = Cells {
        advice: now.map(&mut query),
        next: then.map(&mut query),
        fixed: fixed.map(|(column, rotation)| Expression::Fixed {
            query_index: column.index,
            column_index: column.index,
            rotation,
        }),
        word: Expression::Instance { query_index: 0, column_index: 0, rotation: here },
        one: Expression::Constant(Fr::ONE),
    };
    PinnedConstraintSystem {
        num_fixed_columns: FIXED,
        num_advice_columns: ADVICE,
        num_instance_columns: 1,
        num_selectors: 0,
        gates: constraints(cells),
        advice_queries: [&now[..], &then].concat(),
        instance_queries: vec![(instance(0), here)],
        fixed_queries: fixed.into(),
        permutation: Argument { columns: now.map(|(column, _)| column).into() },
        lookups: [],
        constants: [],
        minimum_degree: Some(DEGREE),
    }
}

/// The word of a circuit of 2^`log_rows` rows with these commitments.
#[must_use]
pub fn transcript_word(log_rows: u32, omega: Fr, fixed: &[G1Affine; FIXED], permutation: &[G1Affine; PERMUTED]) -> Fr {
    // The quotient of degree 7 has six pieces, and the next power of two holds them.
    let extended_k = log_rows.saturating_add(3);
    let key = PinnedVerificationKey {
        base_modulus: Fq::MODULUS,
        scalar_modulus: Fr::MODULUS,
        domain: PinnedEvaluationDomain { k: log_rows, extended_k, omega },
        cs: constraint_system(),
        fixed_commitments: fixed,
        permutation: VerifyingKey { commitments: permutation },
    };
    let text = format!("{key:?}");
    let mut hash = blake2b_simd::Params::new().hash_length(64).personal(b"Halo2-Verify-Key").to_state();
    hash.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(text.as_bytes());
    Fr::from_uniform_bytes(hash.finalize().as_array())
}
