//! The partial rounds with one constant and a sparse matrix each (Poseidon paper, appendix B).
//!
//! Between two S-boxes of the first element everything is linear, and what touches the other two elements only commutes
//! with that S-box. Hence
//! * constants: the part of a round's constants that is added to the other two elements moves through the round's
//!   matrix into the constants of the next round;
//! * matrices: `M = S · D` with `D = diag(1, M̂)`, M̂ being M without its first row and column, and S the identity but
//!   for its first row and column. D commutes with the S-box and the constant of its own round, so it joins the matrix
//!   of the round before. Walking from the last partial round to the first leaves a sparse matrix in each and a dense
//!   one in the last full round of the first half.

use super::{FULL_ROUNDS, Matrix, PARTIAL_ROUNDS, Parameters, ROUNDS, WIDTH, apply, sbox};
use crate::bn254::{Field, Fr};

const HALF: usize = FULL_ROUNDS / 2;

/// A partial round: what is added to the first element, then the S-box, then a matrix that is the identity but for its
/// first row and column.
#[derive(Clone, Copy, Debug)]
struct PartialRound {
    constant: Fr,
    row: [Fr; WIDTH],
    column: [Fr; WIDTH - 1],
}

/// Round constants after the first step above: the dense matrix stays, a partial round has a single constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants {
    /// Full rounds of the first half.
    pub first: [[Fr; WIDTH]; HALF],
    /// Added to the first element in each partial round.
    pub partial: [Fr; PARTIAL_ROUNDS],
    /// Full rounds of the second half.
    pub last: [[Fr; WIDTH]; HALF],
}

impl Constants {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let constants = &parameters.round_constants;
        let mut partial = [Fr::ZERO; PARTIAL_ROUNDS];
        let mut moved = constants[HALF];
        for (round, kept) in partial.iter_mut().enumerate() {
            *kept = moved[0];
            let through = apply(&parameters.mds, &[Fr::ZERO, moved[1], moved[2]]);
            moved = std::array::from_fn(|i| constants[HALF + round + 1][i] + through[i]);
        }
        let mut first = [[Fr::ZERO; WIDTH]; HALF];
        first.copy_from_slice(&constants[..HALF]);
        let mut last = [[Fr::ZERO; WIDTH]; HALF];
        last.copy_from_slice(&constants[ROUNDS - HALF..]);
        last[0] = moved;
        Self { first, partial, last }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Schedule {
    first_constants: [[Fr; WIDTH]; HALF],
    /// The matrix of the last full round of the first half.
    entrance: Matrix,
    partial: Vec<PartialRound>,
    last_constants: [[Fr; WIDTH]; HALF],
    mds: Matrix,
}

impl Schedule {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let mds = parameters.mds;
        let Constants { first: first_constants, partial: kept, last: last_constants } = Constants::new(parameters);

        let mut matrix = mds;
        let mut partial: Vec<PartialRound> = kept
            .iter()
            .rev()
            .map(|constant| {
                let (row, column, dense) = split(&matrix);
                matrix = multiply(&dense, &mds);
                PartialRound { constant: *constant, row, column }
            })
            .collect();
        partial.reverse();

        Self { first_constants, entrance: matrix, partial, last_constants, mds }
    }

    pub(super) fn permute(&self, mut state: [Fr; WIDTH]) -> [Fr; WIDTH] {
        for (round, constants) in self.first_constants.iter().enumerate() {
            let matrix = if round == HALF - 1 { &self.entrance } else { &self.mds };
            state = full_round(state, constants, matrix);
        }
        for round in &self.partial {
            let first = sbox(state[0] + round.constant);
            state = [
                round.row[0] * first + round.row[1] * state[1] + round.row[2] * state[2],
                round.column[0] * first + state[1],
                round.column[1] * first + state[2],
            ];
        }
        for constants in &self.last_constants {
            state = full_round(state, constants, &self.mds);
        }
        state
    }
}

fn full_round(state: [Fr; WIDTH], constants: &[Fr; WIDTH], matrix: &Matrix) -> [Fr; WIDTH] {
    apply(matrix, &std::array::from_fn(|i| sbox(state[i] + constants[i])))
}

/// `matrix = S · D`: first row and column of S, and D. The row of S is `(m_00, (m_01, m_02) · M̂⁻¹)`.
fn split(matrix: &Matrix) -> ([Fr; WIDTH], [Fr; WIDTH - 1], Matrix) {
    let [[corner, right_0, right_1], [below_0, a, b], [below_1, c, d]] = *matrix;
    let inverse =
        (a * d - b * c).invert().expect("every minor of a Cauchy matrix, and of its products here, is non-zero");
    let row = [corner, (right_0 * d - right_1 * c) * inverse, (right_1 * a - right_0 * b) * inverse];
    let dense = [[Fr::ONE, Fr::ZERO, Fr::ZERO], [Fr::ZERO, a, b], [Fr::ZERO, c, d]];
    (row, [below_0, below_1], dense)
}

fn multiply(left: &Matrix, right: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..WIDTH).map(|k| left[i][k] * right[k][j]).sum()))
}
