//! Sums of small integers times field elements, reduced once.
//!
//! `Σ c_i·w_i` with 64-bit integers c_i and canonical 254-bit w_i fits 384 bits in two's complement for up to 2^64 terms:
//! one word-by-field multiplication per term, one reduction per sum.

use lorica_circuits::bn254::{Fr, FromUniformBytes, PrimeField};

/// Canonical limbs of a weight, least significant first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limbs([u64; 4]);

impl From<&Fr> for Limbs {
    fn from(value: &Fr) -> Self {
        let bytes = value.to_repr();
        let mut limbs = [0u64; 4];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = u64::from_le_bytes(chunk.try_into().unwrap_or([0; 8]));
        }
        Self(limbs)
    }
}

/// A 384-bit two's complement accumulator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wide([u64; 6]);

impl Wide {
    /// Adds `cell·weight`.
    #[inline(always)]
    pub fn add_product(&mut self, cell: i64, weight: &Limbs) {
        let magnitude = u128::from(cell.unsigned_abs());
        let mut product = [0u64; 5];
        let mut carry = 0u128;
        for (product, limb) in product.iter_mut().zip(weight.0) {
            let t = magnitude * u128::from(limb) + carry;
            *product = t as u64;
            carry = t >> 64;
        }
        product[4] = carry as u64;
        // Negation in two's complement: invert and add one.
        let mask = (cell >> 63) as u64;
        let mut carry = mask & 1;
        for (limb, product) in self.0.iter_mut().zip(product) {
            let (sum, c1) = limb.overflowing_add(product ^ mask);
            let (sum, c2) = sum.overflowing_add(carry);
            *limb = sum;
            carry = u64::from(c1) + u64::from(c2);
        }
        self.0[5] = self.0[5].wrapping_add(mask).wrapping_add(carry);
    }

    /// The sum in the field.
    #[must_use]
    pub fn reduce(&self) -> Fr {
        let negative = self.0[5] >> 63 == 1;
        let mut limbs = self.0;
        if negative {
            let mut carry = 1u64;
            for limb in &mut limbs {
                let (value, overflow) = (!*limb).overflowing_add(carry);
                *limb = value;
                carry = u64::from(overflow);
            }
        }
        let mut bytes = [0u8; 64];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs) {
            chunk.copy_from_slice(&limb.to_le_bytes());
        }
        let value = Fr::from_uniform_bytes(&bytes);
        if negative { -value } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lorica_circuits::bn254::Field;
    use lorica_verifier::protocol::multilinear::integer;

    #[test]
    fn sums_equal_field_sums() {
        let weights: Vec<Fr> = (0..40u64).map(|i| -Fr::from(i * i + 7).square()).collect();
        let cells: Vec<i64> =
            (0..40i64).map(|i| [i, -i, i64::MAX - i, i64::MIN + i, 0, -1][(i % 6) as usize]).collect();
        let mut wide = Wide::default();
        let mut plain = Fr::ZERO;
        for (cell, weight) in cells.iter().zip(&weights) {
            wide.add_product(*cell, &Limbs::from(weight));
            plain += integer(*cell) * weight;
            assert_eq!(wide.reduce(), plain);
        }
    }
}
