//! Where the field part of the verifier runs.
//!
//! The field part (transcript, sumchecks, relations, Mercury's scalars) is written once, generic over [`Arithmetic`]:
//! * [`Native`] computes on field elements;
//! * [`Recorder`](recorder::Recorder) computes nothing, counts cost and hashes the tape of operations;
//! * [`Taped`](recorder::Taped) does what another one does and hashes the same tape, so that a test can compare the
//!   tape of a native run with the recorder's: equal tapes mean that control flow depended on shapes only;
//! * the settlement circuit runs it on halo2 cells.
//!
//! There is no way to read a scalar's value through the trait, so generic code cannot branch on one.

pub mod recorder;

use core::fmt;

use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_circuits::poseidon;
use thiserror::Error;

/// Largest count of bits that [`Arithmetic::bits`] accepts: below it the decomposition is unique modulo r.
pub const MAX_BITS: usize = 253;

/// A check of the field part that does not hold. `what` names the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ArithmeticError {
    /// Two scalars that must be equal differ.
    #[error("{what}: the two sides differ")]
    NotEqual {
        /// The check.
        what: &'static str,
    },
    /// The inverse of zero was asked for.
    #[error("{what}: zero has no inverse")]
    ZeroInverse {
        /// The check.
        what: &'static str,
    },
    /// A scalar does not fit into the stated number of bits.
    #[error("{what}: value does not fit into {count} bits")]
    OutOfRange {
        /// The check.
        what: &'static str,
        /// Bits that it should fit into.
        count: usize,
    },
    /// A decomposition into more bits than the field determines: a caller's mistake.
    #[error("{what}: {count} bits are more than {MAX_BITS}")]
    TooManyBits {
        /// The check.
        what: &'static str,
        /// Bits asked for.
        count: usize,
    },
}

/// Scalar arithmetic of BN254 and the Poseidon permutation, natively, symbolically or in a circuit.
///
/// # Soundness
/// An implementation in a circuit must constrain every operation; [`Arithmetic::select`] may assume that `bit` is
/// boolean, and whoever makes a bit (only [`Arithmetic::bits`] does) constrains it.
pub trait Arithmetic {
    /// A scalar. Its value is out of reach for generic code.
    type Scalar: Clone + fmt::Debug;

    /// A value that is fixed by the shape, never one that a proof or a statement carries.
    fn constant(&mut self, value: Fr) -> Self::Scalar;

    /// `left + right`.
    fn add(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar;

    /// `left − right`.
    fn sub(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar;

    /// `left · right`.
    fn mul(&mut self, left: &Self::Scalar, right: &Self::Scalar) -> Self::Scalar;

    /// Checks `left = right`.
    ///
    /// # Errors
    /// [`ArithmeticError::NotEqual`].
    fn assert_equal(
        &mut self,
        left: &Self::Scalar,
        right: &Self::Scalar,
        what: &'static str,
    ) -> Result<(), ArithmeticError>;

    /// The inverse, in a circuit a witness w with `value · w = 1`.
    ///
    /// # Errors
    /// [`ArithmeticError::ZeroInverse`].
    fn inverse(&mut self, value: &Self::Scalar, what: &'static str) -> Result<Self::Scalar, ArithmeticError>;

    /// The lowest `count` bits, little endian, of a value below `2^count`.
    ///
    /// # Errors
    /// [`ArithmeticError::OutOfRange`], or [`ArithmeticError::TooManyBits`] for more than [`MAX_BITS`].
    fn bits(
        &mut self,
        value: &Self::Scalar,
        count: usize,
        what: &'static str,
    ) -> Result<Vec<Self::Scalar>, ArithmeticError>;

    /// `if_one` where the boolean `bit` is 1, else `if_zero`.
    fn select(&mut self, bit: &Self::Scalar, if_one: &Self::Scalar, if_zero: &Self::Scalar) -> Self::Scalar;

    /// The Poseidon permutation of [`lorica_circuits::poseidon`].
    fn permute(&mut self, state: [Self::Scalar; 3]) -> [Self::Scalar; 3];

    /// The constant 0.
    fn zero(&mut self) -> Self::Scalar {
        self.constant(Fr::ZERO)
    }

    /// The constant 1.
    fn one(&mut self) -> Self::Scalar {
        self.constant(Fr::ONE)
    }
}

/// Field elements themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Arithmetic for Native {
    type Scalar = Fr;

    fn constant(&mut self, value: Fr) -> Fr {
        value
    }

    fn add(&mut self, left: &Fr, right: &Fr) -> Fr {
        left + right
    }

    fn sub(&mut self, left: &Fr, right: &Fr) -> Fr {
        left - right
    }

    fn mul(&mut self, left: &Fr, right: &Fr) -> Fr {
        left * right
    }

    fn assert_equal(&mut self, left: &Fr, right: &Fr, what: &'static str) -> Result<(), ArithmeticError> {
        if left == right { Ok(()) } else { Err(ArithmeticError::NotEqual { what }) }
    }

    fn inverse(&mut self, value: &Fr, what: &'static str) -> Result<Fr, ArithmeticError> {
        Option::from(value.invert()).ok_or(ArithmeticError::ZeroInverse { what })
    }

    fn bits(&mut self, value: &Fr, count: usize, what: &'static str) -> Result<Vec<Fr>, ArithmeticError> {
        if count > MAX_BITS {
            return Err(ArithmeticError::TooManyBits { what, count });
        }
        let bytes = value.to_repr();
        let mut bits = bytes.iter().flat_map(|byte| (0..8).map(move |position| (byte >> position) & 1 == 1));
        let low = bits.by_ref().take(count).map(|bit| if bit { Fr::ONE } else { Fr::ZERO }).collect();
        if bits.any(|bit| bit) { Err(ArithmeticError::OutOfRange { what, count }) } else { Ok(low) }
    }

    fn select(&mut self, bit: &Fr, if_one: &Fr, if_zero: &Fr) -> Fr {
        if_zero + bit * (if_one - if_zero)
    }

    fn permute(&mut self, state: [Fr; 3]) -> [Fr; 3] {
        poseidon::permute(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_little_endian_and_bounded() {
        let mut native = Native;
        let bits = native.bits(&Fr::from(0b1011), 5, "t").unwrap();
        assert_eq!(bits, [1u64, 1, 0, 1, 0].map(Fr::from));
        assert_eq!(native.bits(&Fr::from(31), 5, "t").unwrap(), [Fr::ONE; 5]);
        let out = ArithmeticError::OutOfRange { what: "t", count: 5 };
        assert_eq!(native.bits(&Fr::from(32), 5, "t"), Err(out));
        assert_eq!(native.bits(&-Fr::ONE, 5, "t"), Err(out));
        assert_eq!(native.bits(&Fr::ZERO, 0, "t"), Ok(vec![]));
        assert!(native.bits(&Fr::ONE, 0, "t").is_err());
        assert_eq!(native.bits(&Fr::ZERO, 254, "t"), Err(ArithmeticError::TooManyBits { what: "t", count: 254 }));
        let top = Fr::from(2).pow([252]);
        assert_eq!(native.bits(&top, 253, "t").unwrap().iter().position(|bit| *bit == Fr::ONE), Some(252));
        assert!(native.bits(&-Fr::ONE, 253, "t").is_err());
    }

    #[test]
    fn zero_has_no_inverse() {
        assert_eq!(Native.inverse(&Fr::ZERO, "t"), Err(ArithmeticError::ZeroInverse { what: "t" }));
        assert_eq!(Native.inverse(&Fr::from(4), "t").map(|x| x * Fr::from(4)), Ok(Fr::ONE));
    }

    #[test]
    fn select_takes_either_side() {
        let (a, b) = (Fr::from(5), Fr::from(9));
        assert_eq!(Native.select(&Fr::ONE, &a, &b), a);
        assert_eq!(Native.select(&Fr::ZERO, &a, &b), b);
    }

    #[test]
    fn equality_is_checked() {
        assert_eq!(Native.assert_equal(&Fr::ONE, &Fr::ONE, "t"), Ok(()));
        assert_eq!(Native.assert_equal(&Fr::ONE, &Fr::ZERO, "t"), Err(ArithmeticError::NotEqual { what: "t" }));
    }
}
