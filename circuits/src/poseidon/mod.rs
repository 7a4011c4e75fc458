//! The Poseidon permutation over BN254's scalar field: state of 3, rate 2, 8 full and 57 partial rounds, x^5.
//!
//! Grassi, Khovratovich, Rechberger, Roy, Schofnegger: "Poseidon: A New Hash Function for Zero-Knowledge Proof Systems"
//! (USENIX Security 2021, eprint 2019/458). Round constants and matrix come from the paper's Grain LFSR (section F), so
//! the permutation is the one of circomlib, halo2-base and most EVM tooling. `docs/protocol/poseidon.md` has the
//! parameters and test vectors.
//!
//! Two forms, tested equal: [`permute_reference`] is the paper's; [`permute`] moves the partial rounds' constants and
//! dense matrices out of the way (appendix B of the paper) and costs 600 instead of 828 multiplications.

#![cfg_attr(
    not(test),
    expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        reason = "indices are constants, or below the constant lengths of arrays; nothing depends on input"
    )
)]

mod grain;
mod sparse;

use std::sync::LazyLock;

use crate::bn254::{Field, Fr};

pub use sparse::Constants;

/// Elements of the state.
pub const WIDTH: usize = 3;
/// Elements of the state that absorb and output; the remaining one is the capacity.
pub const RATE: usize = 2;
/// Rounds in which every element passes the S-box, half of them before the partial rounds.
pub const FULL_ROUNDS: usize = 8;
/// Rounds in which the first element alone passes the S-box.
pub const PARTIAL_ROUNDS: usize = 57;
/// All rounds.
pub const ROUNDS: usize = FULL_ROUNDS + PARTIAL_ROUNDS;

/// A 3 x 3 matrix by rows.
pub type Matrix = [[Fr; WIDTH]; WIDTH];

/// Round constants and matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Added to the state at the start of each round.
    pub round_constants: [[Fr; WIDTH]; ROUNDS],
    /// The Cauchy matrix that ends each round: `state ← mds · state`.
    pub mds: Matrix,
}

static PARAMETERS: LazyLock<Parameters> = LazyLock::new(grain::generate);
static SPARSE: LazyLock<sparse::Schedule> = LazyLock::new(|| sparse::Schedule::new(&PARAMETERS));

/// The parameters, generated once.
pub fn parameters() -> &'static Parameters {
    &PARAMETERS
}

/// The round constants of a permutation whose partial rounds have one constant each.
pub fn moved_constants() -> Constants {
    Constants::new(&PARAMETERS)
}

/// `x^5`.
fn sbox(x: Fr) -> Fr {
    x.square().square() * x
}

/// `matrix · state`.
fn apply(matrix: &Matrix, state: &[Fr; WIDTH]) -> [Fr; WIDTH] {
    matrix.map(|row| row[0] * state[0] + row[1] * state[1] + row[2] * state[2])
}

/// The permutation as the paper writes it.
pub fn permute_reference(mut state: [Fr; WIDTH]) -> [Fr; WIDTH] {
    let parameters = parameters();
    for (round, constants) in parameters.round_constants.iter().enumerate() {
        for (element, constant) in state.iter_mut().zip(constants) {
            *element += constant;
        }
        let partial = (FULL_ROUNDS / 2..FULL_ROUNDS / 2 + PARTIAL_ROUNDS).contains(&round);
        if partial {
            state[0] = sbox(state[0]);
        } else {
            state = state.map(sbox);
        }
        state = apply(&parameters.mds, &state);
    }
    state
}

/// The permutation, faster.
pub fn permute(state: [Fr; WIDTH]) -> [Fr; WIDTH] {
    SPARSE.permute(state)
}

/// circomlib's hash of two elements: state `(0, left, right)`, first element of the output.
pub fn hash_two(left: Fr, right: Fr) -> Fr {
    permute([Fr::ZERO, left, right])[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bn254::PrimeField;

    #[test]
    fn the_hash_of_one_and_two_is_circomlibs() {
        let expected =
            Fr::from_str_vartime("7853200120776062878684798364095072458815029376092732009249414926327459813530")
                .unwrap();
        assert_eq!(permute_reference([Fr::ZERO, Fr::ONE, Fr::from(2)])[0], expected);
        assert_eq!(hash_two(Fr::ONE, Fr::from(2)), expected);
    }

    #[test]
    fn both_forms_agree() {
        let mut state = [Fr::ZERO; WIDTH];
        for seed in 0..50u64 {
            assert_eq!(permute(state), permute_reference(state), "{seed}");
            state = permute_reference(state);
            state[(seed % 3) as usize] += Fr::from(seed) - Fr::from(7);
        }
        for edge in [[Fr::ONE; 3], [-Fr::ONE; 3], [Fr::ZERO, -Fr::ONE, Fr::ONE]] {
            assert_eq!(permute(edge), permute_reference(edge));
        }
    }

    #[test]
    fn the_matrix_is_cauchy_and_invertible() {
        let m = parameters().mds;
        let determinant = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
        assert_ne!(determinant, Fr::ZERO);
        assert!(m.iter().flatten().all(|entry| *entry != Fr::ZERO));
    }
}
