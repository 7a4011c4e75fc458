//! What halo2 knows of a circuit: a part of every settlement key.

use lorica_circuits::bn254::{CurveAffine, Field, Fq, Fr, G1Affine, PrimeCurveAffine, PrimeField};
use lorica_circuits::error::CircuitError;
use lorica_verifier::files::codec::CodecError;

use crate::gates::{FIXED, PERMUTED, RESERVED};
use crate::identity::transcript_word;

/// log2 of the most rows.
pub const MAX_LOG_ROWS: u32 = 22;

/// Why a settlement key cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The shape is not offered.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The file is damaged or of another version.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A file whose parts do not fit each other.
    #[error("settlement key: {what}")]
    Malformed {
        /// The part.
        what: &'static str,
    },
}

const DAMAGED: KeyError = KeyError::Malformed { what: "halo2's key is damaged" };

/// What halo2 knows of a circuit: its rows, and commitments to what stands in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitKey {
    log_rows: u32,
    fixed: [G1Affine; FIXED],
    permutation: [G1Affine; PERMUTED],
    omega: Fr,
    transcript_word: Fr,
}

impl CircuitKey {
    /// Of 2^`log_rows` rows, commitments to the fixed columns, and commitments to the permutation of the others.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for no rows, or more than 2^22.
    pub fn new(log_rows: u32, fixed: [G1Affine; FIXED], permutation: [G1Affine; PERMUTED]) -> Result<Self, KeyError> {
        if !(1..=MAX_LOG_ROWS).contains(&log_rows) {
            return Err(DAMAGED);
        }
        // Of order 2^log_rows.
        let omega = (log_rows..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
        let transcript_word = transcript_word(log_rows, omega, &fixed, &permutation);
        Ok(Self { log_rows, fixed, permutation, omega, transcript_word })
    }

    /// log2 of the rows.
    #[must_use]
    pub fn log_rows(&self) -> u32 {
        self.log_rows
    }

    /// Commitments to the fixed columns.
    #[must_use]
    pub fn fixed(&self) -> &[G1Affine; FIXED] {
        &self.fixed
    }

    /// Commitments to the permutation of a, b, c, d, e and the public words.
    #[must_use]
    pub fn permutation(&self) -> &[G1Affine; PERMUTED] {
        &self.permutation
    }

    /// The root of unity whose powers are the rows.
    #[must_use]
    pub fn omega(&self) -> Fr {
        self.omega
    }

    /// `ω^-6`: the last row before halo2's blinding.
    #[must_use]
    pub fn omega_last(&self) -> Fr {
        // ω has the order 2^log_rows; its inverse is a power.
        let order = 1u64.checked_shl(self.log_rows).unwrap_or(u64::MAX);
        let reserved = u64::try_from(RESERVED).unwrap_or(u64::MAX);
        self.omega.pow([order.saturating_sub(1)]).pow([reserved])
    }

    /// The word with which the transcript begins ([`crate::identity`]).
    #[must_use]
    pub fn transcript_word(&self) -> &Fr {
        &self.transcript_word
    }

    /// halo2's own form of the key: version 2, log2 of the rows and a zero, the number of fixed commitments, all
    /// commitments. Numbers are little-endian, a coordinate x is `2^256 · x` modulo p.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![2];
        bytes.extend(self.log_rows.to_le_bytes());
        bytes.push(0);
        bytes.extend(u32::try_from(FIXED).unwrap_or(u32::MAX).to_le_bytes());
        for point in self.fixed.iter().chain(&self.permutation) {
            for coordinate in [point.x, point.y] {
                bytes.extend((coordinate * montgomery()).to_repr());
            }
        }
        bytes
    }

    /// Reads [`Self::to_bytes`]. Every point is on the curve, which halo2's own reader leaves open.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        // The byte after the rows says whether selectors follow: none do.
        let ([2, rows @ .., 0], rest) = bytes.split_first_chunk::<6>().ok_or(DAMAGED)? else { return Err(DAMAGED) };
        let (count, rest) = rest.split_first_chunk().ok_or(DAMAGED)?;
        if usize::try_from(u32::from_le_bytes(*count)) != Ok(FIXED) {
            return Err(DAMAGED);
        }
        let out_of_montgomery = Option::<Fq>::from(montgomery().invert()).ok_or(DAMAGED)?;
        let mut rest = rest;
        let mut coordinate = || -> Result<Fq, KeyError> {
            let (own, others) = rest.split_first_chunk().ok_or(DAMAGED)?;
            rest = others;
            let stored = Option::<Fq>::from(Fq::from_repr(*own)).ok_or(DAMAGED)?;
            Ok(stored * out_of_montgomery)
        };
        let mut points = |target: &mut [G1Affine]| -> Result<(), KeyError> {
            for point in target {
                let (x, y) = (coordinate()?, coordinate()?);
                if x == Fq::ZERO && y == Fq::ZERO {
                    *point = G1Affine::identity();
                } else {
                    *point = Option::from(G1Affine::from_xy(x, y)).ok_or(DAMAGED)?;
                }
            }
            Ok(())
        };
        let (mut fixed, mut permutation) = ([G1Affine::identity(); FIXED], [G1Affine::identity(); PERMUTED]);
        points(&mut fixed)?;
        points(&mut permutation)?;
        if !rest.is_empty() {
            return Err(DAMAGED);
        }
        Self::new(u32::from_le_bytes(*rows), fixed, permutation)
    }
}

/// `2^256` modulo p.
fn montgomery() -> Fq {
    (0..256).fold(Fq::ONE, |power, _| power.double())
}
