//! Native arithmetic with hooks: tests look at the verifier's checks, overlook some, or answer for the permutation.

use lorica_circuits::bn254::{Field, Fr, PrimeField};
use lorica_verifier::protocol::arithmetic::{Arithmetic, ArithmeticError, Native};

/// What a test does where the verifier checks or hashes.
pub trait Hook {
    /// Hears of each check, which can be overlooked; a range that is gives the lowest bits.
    fn overlooks(&mut self, _what: &'static str) -> bool {
        false
    }

    /// The permutation.
    fn permute(&mut self, state: [Fr; 3]) -> [Fr; 3] {
        Native.permute(state)
    }
}

/// [`Native`] with a hook.
pub struct Hooked<H>(pub H);

impl<H: Hook> Arithmetic for Hooked<H> {
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
        if self.0.overlooks(what) { Ok(()) } else { Native.assert_equal(left, right, what) }
    }

    fn inverse(&mut self, value: &Fr, what: &'static str) -> Result<Fr, ArithmeticError> {
        if self.0.overlooks(what) { Ok(Fr::ONE) } else { Native.inverse(value, what) }
    }

    fn bits(&mut self, value: &Fr, count: usize, what: &'static str) -> Result<Vec<Fr>, ArithmeticError> {
        if !self.0.overlooks(what) {
            return Native.bits(value, count, what);
        }
        let bytes = value.to_repr();
        Ok((0..count).map(|i| Fr::from(u64::from(bytes[i / 8] >> (i % 8) & 1))).collect())
    }

    fn select(&mut self, bit: &Fr, if_one: &Fr, if_zero: &Fr) -> Fr {
        Native.select(bit, if_one, if_zero)
    }

    fn permute(&mut self, state: [Fr; 3]) -> [Fr; 3] {
        self.0.permute(state)
    }
}
