//! halo2's transcript as the contract computes it: Keccak-256 over big-endian words.
//!
//! Scalars are one word, points two (x, y). A challenge is the digest, modulo r, of all that came since the last one,
//! which starts with the last digest; a lone digest gets the byte 1 behind it, so that two challenges in a row differ.

use lorica_circuits::bn254::{Fr, G1Affine};
use lorica_verifier::protocol::keccak::{WORD_BYTES, encode_point, encode_scalar, keccak, reduce};

/// What has been absorbed since the last challenge, with that challenge's digest before it.
#[derive(Clone, Debug, Default)]
pub struct KeccakTranscript {
    buffer: Vec<u8>,
}

impl KeccakTranscript {
    /// Absorbs a point.
    pub fn point(&mut self, point: &G1Affine) {
        self.buffer.extend(encode_point(point));
    }

    /// Absorbs points.
    pub fn points(&mut self, points: &[G1Affine]) {
        points.iter().for_each(|point| self.point(point));
    }

    /// Absorbs a scalar.
    pub fn scalar(&mut self, scalar: &Fr) {
        self.buffer.extend(encode_scalar(scalar));
    }

    /// Absorbs scalars.
    pub fn scalars(&mut self, scalars: &[Fr]) {
        scalars.iter().for_each(|scalar| self.scalar(scalar));
    }

    /// Draws a challenge.
    pub fn challenge(&mut self) -> Fr {
        if self.buffer.len() == WORD_BYTES {
            self.buffer.push(1);
        }
        let digest = keccak(&self.buffer);
        self.buffer = digest.to_vec();
        reduce(digest)
    }
}
