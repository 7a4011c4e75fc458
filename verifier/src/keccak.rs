//! Keccak-256 digests of points and words as the EVM computes them, and canonical encodings.
//!
//! A point is 64 bytes, x ‖ y, big endian; the identity is 64 zero bytes (what the precompiles of EIP-196 read). A word
//! is 32 bytes, big endian. Digests are reduced modulo r, the order of the scalar field.
//!
//! # Soundness
//! Reduction modulo r ≈ 2^253.6 keeps collision resistance at about 126 bits: finding two inputs with digests that are
//! equal modulo r is a collision of a 253-bit function.

use lorica_circuits::bn254::{CurveAffine, Fq, Fr, FromUniformBytes, G1Affine, PrimeCurveAffine, PrimeField};
use sha3::{Digest, Keccak256};
use thiserror::Error;

/// Bytes of an encoded point.
pub const POINT_BYTES: usize = 64;

/// Bytes of an encoded scalar or coordinate.
pub const WORD_BYTES: usize = 32;

/// Why bytes are no point or scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A coordinate is not below the base field's modulus.
    #[error("coordinate {coordinate} is not below the base field's modulus")]
    NonCanonicalCoordinate {
        /// `'x'` or `'y'`.
        coordinate: char,
    },
    /// No solution of y² = x³ + 3.
    #[error("point is not on the curve")]
    NotOnCurve,
    /// A scalar is not below r.
    #[error("scalar is not below the scalar field's modulus")]
    NonCanonicalScalar,
}

/// The 64 bytes of a point.
pub fn encode_point(point: &G1Affine) -> [u8; POINT_BYTES] {
    let mut bytes = [0u8; POINT_BYTES];
    // The identity's coordinates are (0, 0) in memory too.
    let (x, y) = bytes.split_at_mut(WORD_BYTES);
    x.copy_from_slice(&reversed(point.x.to_repr()));
    y.copy_from_slice(&reversed(point.y.to_repr()));
    bytes
}

/// The point of 64 bytes. BN254's G1 has cofactor 1: a point on the curve is in the group.
///
/// # Errors
/// [`DecodeError::NonCanonicalCoordinate`], [`DecodeError::NotOnCurve`].
pub fn decode_point(bytes: &[u8; POINT_BYTES]) -> Result<G1Affine, DecodeError> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(G1Affine::identity());
    }
    let coordinate = |half: &[u8], coordinate| {
        let mut word = [0u8; WORD_BYTES];
        word.copy_from_slice(half);
        Option::<Fq>::from(Fq::from_repr(reversed(word))).ok_or(DecodeError::NonCanonicalCoordinate { coordinate })
    };
    let (x, y) = bytes.split_at(WORD_BYTES);
    let (x, y) = (coordinate(x, 'x')?, coordinate(y, 'y')?);
    Option::from(G1Affine::from_xy(x, y)).ok_or(DecodeError::NotOnCurve)
}

/// The 32 bytes of a scalar.
pub fn encode_scalar(scalar: &Fr) -> [u8; WORD_BYTES] {
    reversed(scalar.to_repr())
}

/// The scalar of 32 bytes.
///
/// # Errors
/// [`DecodeError::NonCanonicalScalar`].
pub fn decode_scalar(bytes: &[u8; WORD_BYTES]) -> Result<Fr, DecodeError> {
    Option::from(Fr::from_repr(reversed(*bytes))).ok_or(DecodeError::NonCanonicalScalar)
}

/// `D(..)`: Keccak-256 of the points' encodings, modulo r.
pub fn digest_points(points: &[G1Affine]) -> Fr {
    let mut hash = Keccak256::new();
    for point in points {
        hash.update(encode_point(point));
    }
    reduce(hash.finalize().into())
}

/// Keccak-256 of words, modulo r.
pub fn keccak_words(words: &[[u8; WORD_BYTES]]) -> Fr {
    let mut hash = Keccak256::new();
    for word in words {
        hash.update(word);
    }
    reduce(hash.finalize().into())
}

/// Keccak-256 of bytes.
pub fn keccak(bytes: &[u8]) -> [u8; WORD_BYTES] {
    Keccak256::digest(bytes).into()
}

/// Keccak-256 of bytes, modulo r.
pub fn keccak_bytes(bytes: &[u8]) -> Fr {
    reduce(keccak(bytes))
}

/// A big-endian integer modulo r.
pub fn reduce(digest: [u8; WORD_BYTES]) -> Fr {
    let mut wide = [0u8; 2 * WORD_BYTES];
    for (target, source) in wide.iter_mut().zip(reversed(digest)) {
        *target = source;
    }
    Fr::from_uniform_bytes(&wide)
}

fn reversed(mut word: [u8; WORD_BYTES]) -> [u8; WORD_BYTES] {
    word.reverse();
    word
}
