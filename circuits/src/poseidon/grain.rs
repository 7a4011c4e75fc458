//! The Grain LFSR in self-shrinking mode (Poseidon paper, appendix F): the source of round constants and matrix.

use super::{FULL_ROUNDS, Matrix, PARTIAL_ROUNDS, Parameters, ROUNDS, WIDTH};
use crate::bn254::{Field, Fr, FromUniformBytes, PrimeField};

/// Bits of the field's modulus.
const FIELD_BITS: u32 = 254;

/// An 80-bit linear feedback shift register; `state` holds b_0 (next to leave) in its lowest bit.
struct Grain {
    state: u128,
}

impl Grain {
    /// The register after its 160 warm-up steps. It starts with, from the first bit on and each number with its highest
    /// bit first: field type 1 (prime) in 2 bits, S-box 0 (x^α) in 4, field bits in 12, width in 12, full rounds in 10,
    /// partial rounds in 10, and 30 ones.
    fn new() -> Self {
        let mut grain = Self { state: 0 };
        let mut position = 0;
        let parts = [
            (1, 2),
            (0, 4),
            (u128::from(FIELD_BITS), 12),
            (WIDTH as u128, 12),
            (FULL_ROUNDS as u128, 10),
            (PARTIAL_ROUNDS as u128, 10),
            ((1 << 30) - 1, 30),
        ];
        for (value, bits) in parts {
            for bit in (0..bits).rev() {
                grain.state |= ((value >> bit) & 1) << position;
                position += 1;
            }
        }
        for _ in 0..160 {
            grain.step();
        }
        grain
    }

    /// One step: the new bit b_80 = b_62 + b_51 + b_38 + b_23 + b_13 + b_0 enters and is returned.
    fn step(&mut self) -> bool {
        let tap = |position: u32| (self.state >> position) & 1;
        let bit = tap(62) ^ tap(51) ^ tap(38) ^ tap(23) ^ tap(13) ^ tap(0);
        self.state = (self.state >> 1) | (bit << 79);
        bit == 1
    }

    /// The next output bit: bits come in pairs, and the second one counts if the first is 1.
    fn bit(&mut self) -> bool {
        loop {
            let counts = self.step();
            let bit = self.step();
            if counts {
                return bit;
            }
        }
    }

    /// 254 bits as an integer, highest bit first, in 32 little-endian bytes.
    fn integer(&mut self) -> [u8; 32] {
        let mut bytes = [0u8; 32];
        for position in (0..FIELD_BITS as usize).rev() {
            bytes[position / 8] |= u8::from(self.bit()) << (position % 8);
        }
        bytes
    }

    /// A uniform field element: integers that are not below the modulus are thrown away.
    fn element_by_rejection(&mut self) -> Fr {
        loop {
            if let Some(element) = Option::from(Fr::from_repr(self.integer())) {
                return element;
            }
        }
    }

    /// A field element reduced modulo the modulus, as the reference draws the matrix.
    fn element_by_reduction(&mut self) -> Fr {
        let mut wide = [0u8; 64];
        wide[..32].copy_from_slice(&self.integer());
        Fr::from_uniform_bytes(&wide)
    }
}

/// Constants first, then the matrix `mds[i][j] = 1 / (x_i + y_j)`.
pub(super) fn generate() -> Parameters {
    let mut grain = Grain::new();
    let mut round_constants = [[Fr::ZERO; WIDTH]; ROUNDS];
    for constants in &mut round_constants {
        *constants = std::array::from_fn(|_| grain.element_by_rejection());
    }
    let mds = loop {
        let x: [Fr; WIDTH] = std::array::from_fn(|_| grain.element_by_reduction());
        let y: [Fr; WIDTH] = std::array::from_fn(|_| grain.element_by_reduction());
        if let Some(matrix) = cauchy(&x, &y) {
            break matrix;
        }
    };
    Parameters { round_constants, mds }
}

/// The Cauchy matrix, if all the points differ and no sum is zero.
fn cauchy(x: &[Fr; WIDTH], y: &[Fr; WIDTH]) -> Option<Matrix> {
    let points: Vec<&Fr> = x.iter().chain(y).collect();
    let distinct = (1..points.len()).all(|i| points[..i].iter().all(|point| *point != points[i]));
    if !distinct {
        return None;
    }
    let mut matrix = [[Fr::ZERO; WIDTH]; WIDTH];
    for (row, x) in matrix.iter_mut().zip(x) {
        for (entry, y) in row.iter_mut().zip(y) {
            *entry = Option::from((x + y).invert())?;
        }
    }
    Some(matrix)
}
