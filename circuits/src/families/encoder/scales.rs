//! The base model's small integers.

use super::Architecture;
use crate::bn254::{Field, Fr};
use crate::error::CircuitError;
use crate::form::Scale;
use crate::number::wide;

/// Constants of one LayerNorm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormScale {
    /// The residual that is normalised is `2^stream·x + 2^branch·o`; unused (zero) for the embedding's norm.
    pub stream: u32,
    /// The power of two of the branch `o`; as above.
    pub branch: u32,
    /// `C = 2^root`: the integer reciprocal root is `floor(sqrt(C / V))`. At most 79.
    pub root: u32,
    /// Shift of the first requantise step, 17 to 32.
    pub shift: u32,
    /// `ε_int >= 1`, added to `V`; below 2^32.
    pub epsilon: u64,
}

/// The base model's small integers, hashed to the scales word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scales {
    /// One per LayerNorm, in norm order.
    pub norms: Vec<NormScale>,
    /// Right shift of the attention scores per layer, 0 to 16.
    pub scores: Vec<u32>,
}

impl Scales {
    /// Checks lengths and ranges against the architecture.
    ///
    /// # Errors
    /// [`CircuitError::Scales`] names the field.
    pub fn validate(&self, architecture: &Architecture) -> Result<(), CircuitError> {
        let fail = |what: &'static str, got: u64| Err(CircuitError::Scales { what, got });
        if self.norms.len() != architecture.norms() {
            return fail("one norm scale per LayerNorm", wide(self.norms.len()));
        }
        if self.scores.len() != architecture.layers {
            return fail("one score shift per layer", wide(self.scores.len()));
        }
        for n in &self.norms {
            if n.stream > 12 || n.branch > 12 {
                return fail("residual alignment must be at most 12", u64::from(n.stream.max(n.branch)));
            }
            if n.root > 79 {
                return fail("root exponent must be at most 79", u64::from(n.root));
            }
            if !(17..=32).contains(&n.shift) {
                return fail("norm shift must be 17 to 32", u64::from(n.shift));
            }
            if n.epsilon == 0 || n.epsilon >> 32 != 0 {
                return fail("epsilon must be 1 to 2^32 - 1", n.epsilon);
            }
        }
        if let Some(&s) = self.scores.iter().find(|&&s| s > 16) {
            return fail("score shift must be at most 16", u64::from(s));
        }
        Ok(())
    }

    /// Scales of one norm, in their order.
    const PER_NORM: usize = 5;

    /// `2^stream` of a norm.
    #[must_use]
    pub fn stream(norm: usize) -> Scale {
        Scale(Self::PER_NORM * norm)
    }
    /// `2^branch` of a norm.
    #[must_use]
    pub fn branch(norm: usize) -> Scale {
        Scale(Self::PER_NORM * norm + 1)
    }
    /// `2^(32 - shift)` of a norm.
    #[must_use]
    pub fn norm_step(norm: usize) -> Scale {
        Scale(Self::PER_NORM * norm + 2)
    }
    /// `C = 2^root` of a norm.
    #[must_use]
    pub fn root(norm: usize) -> Scale {
        Scale(Self::PER_NORM * norm + 3)
    }
    /// `ε_int` of a norm.
    #[must_use]
    pub fn epsilon(norm: usize) -> Scale {
        Scale(Self::PER_NORM * norm + 4)
    }
    /// `2^(16 - σ)` of a layer's scores, in a model of so many norms.
    #[must_use]
    pub fn score_step(norms: usize, layer: usize) -> Scale {
        Scale(Self::PER_NORM * norms + layer)
    }
    /// How many scales an architecture has.
    #[must_use]
    pub fn count(architecture: &Architecture) -> usize {
        Self::score_step(architecture.norms(), architecture.layers).0
    }
    /// The scales as field elements, in the order in which they are hashed.
    #[must_use]
    pub fn values(&self) -> Vec<Fr> {
        let power = |bits: u32| Fr::from(2).pow([u64::from(bits)]);
        let norms = self.norms.iter().flat_map(|norm| {
            let step = power(32u32.saturating_sub(norm.shift));
            [power(norm.stream), power(norm.branch), step, power(norm.root), Fr::from(norm.epsilon)]
        });
        norms.chain(self.scores.iter().map(|&shift| power(16u32.saturating_sub(shift)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_powers_in_their_order() {
        let norm = |n: u32| NormScale { stream: n, branch: n + 1, root: 70 + n, shift: 20 + n, epsilon: 1000 };
        let scales = Scales { norms: vec![norm(0), norm(3)], scores: vec![16, 5] };
        let two = |bits: u64| Fr::from(2).pow([bits]);
        let expected = [
            (Scales::stream(0), Fr::ONE),
            (Scales::branch(0), two(1)),
            (Scales::norm_step(0), two(12)),
            (Scales::root(0), two(70)),
            (Scales::epsilon(0), Fr::from(1000)),
            (Scales::stream(1), two(3)),
            (Scales::branch(1), two(4)),
            (Scales::norm_step(1), two(9)),
            (Scales::root(1), two(73)),
            (Scales::epsilon(1), Fr::from(1000)),
            (Scales::score_step(2, 0), Fr::ONE),
            (Scales::score_step(2, 1), two(11)),
        ];
        let values = scales.values();
        assert_eq!(values.len(), expected.len());
        for (at, (scale, value)) in expected.into_iter().enumerate() {
            assert_eq!((scale, values[at]), (Scale(at), value));
        }
    }
}
