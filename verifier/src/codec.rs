//! Reading and writing of bounded binary files: magic, version, counted lists, a Keccak-256 digest at the end.
//!
//! A reader never allocates by a length that the remaining bytes cannot hold, and never panics.

use lorica_circuits::bn254::{
    CurveAffine, Field, Fq, Fq2, Fr, G1Affine, G2Affine, Group, PrimeCurveAffine, PrimeField,
};
use lorica_circuits::error::CircuitError;
use lorica_circuits::shape::OutputKind;
use sha3::{Digest, Keccak256};
use thiserror::Error;

use crate::keccak::{DecodeError, POINT_BYTES, WORD_BYTES, decode_point, decode_scalar, encode_point, encode_scalar};
use crate::magic;

/// Why bytes are not the file that was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// Fewer bytes than needed.
    #[error("file ends within {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// Bytes after the end.
    #[error("{count} bytes after the end")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// Another kind of file.
    #[error("{expected} file expected, and it is another kind of file")]
    Magic {
        /// The kind that was expected.
        expected: &'static str,
    },
    /// A version that this program does not read.
    #[error("{kind} file has version {got}, expected {expected}: {remedy}")]
    Version {
        /// The kind of file.
        kind: &'static str,
        /// The version that is read.
        expected: u16,
        /// The file's version.
        got: u16,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The digest at the end does not fit.
    #[error("digest at the end of the file does not match its content")]
    Digest,
    /// A count beyond its bound.
    #[error("{what}: {got} is beyond the bound {bound}")]
    Bound {
        /// What is counted.
        what: &'static str,
        /// Largest allowed.
        bound: u64,
        /// Found.
        got: u64,
    },
    /// A value that has no meaning.
    #[error("{what}: {got} is not a valid value")]
    Value {
        /// The field.
        what: &'static str,
        /// Found.
        got: u64,
    },
    /// A kind of output that is not offered, or no longer.
    #[error(transparent)]
    Kind(#[from] CircuitError),
    /// A scalar or point.
    #[error("{what}: {error}")]
    Decode {
        /// The field.
        what: &'static str,
        /// Why.
        error: DecodeError,
    },
}

/// What to do with a file of an earlier version: its ids are none of this version's, so nothing in it can be kept.
fn remedy(magic: &[u8; 8]) -> &'static str {
    match magic {
        magic::BASE_MAGIC | magic::BASE_KEY_MAGIC => "import the model again",
        magic::ADAPTER_MAGIC | magic::ADAPTER_KEY_MAGIC => "import the adapter again",
        magic::PROOF_MAGIC => "make the proof again",
        magic::SETTLEMENT_MAGIC => "settle again, with a key that is made again",
        magic::SETTLEMENT_KEY_MAGIC | magic::SETTLEMENT_PROVING_KEY_MAGIC => {
            "make the key again, with `lorica settlement-key`"
        }
        _ => "make it again",
    }
}

/// Writes a file into memory.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts a file with its magic and version.
    #[must_use]
    pub fn new(magic: &[u8; 8], version: u16) -> Self {
        let mut writer = Self::default();
        writer.bytes(magic);
        writer.bytes(&version.to_be_bytes());
        writer
    }
    /// Raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }
    /// Big-endian.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }
    /// Big-endian.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }
    /// Big-endian two's complement.
    pub fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }
    /// A count.
    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }
    /// Bytes with their count.
    pub fn counted(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes(bytes);
    }
    /// 32 bytes.
    pub fn scalar(&mut self, scalar: &Fr) {
        self.bytes(&encode_scalar(scalar));
    }
    /// Scalars with their count.
    pub fn scalars<'s>(&mut self, scalars: impl ExactSizeIterator<Item = &'s Fr>) {
        self.count(scalars.len());
        scalars.for_each(|s| self.scalar(s));
    }
    /// 64 bytes.
    pub fn point(&mut self, point: &G1Affine) {
        self.bytes(&encode_point(point));
    }
    /// A point of G2: x.c0, x.c1, y.c0, y.c1, 128 bytes.
    pub fn point_g2(&mut self, point: &G2Affine) {
        for coordinate in [point.x.c0, point.x.c1, point.y.c0, point.y.c1] {
            let mut bytes = coordinate.to_repr();
            bytes.reverse();
            self.bytes(&bytes);
        }
    }
    /// Points with their count.
    pub fn points(&mut self, points: &[G1Affine]) {
        self.count(points.len());
        points.iter().for_each(|p| self.point(p));
    }
    /// What has been written so far, without digest.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.bytes
    }
    /// The file, with its digest.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let digest: [u8; 32] = Keccak256::digest(&self.bytes).into();
        self.bytes(&digest);
        self.bytes
    }
}

/// Reads a file from memory.
#[derive(Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Checks digest, magic and version.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn new(bytes: &'b [u8], kind: &'static str, magic: &[u8; 8], version: u16) -> Result<Self, CodecError> {
        if !bytes.starts_with(magic) {
            return Err(CodecError::Magic { expected: kind });
        }
        let split = bytes.len().checked_sub(32).ok_or(CodecError::Truncated { what: "digest" })?;
        let (content, digest) = bytes.split_at_checked(split).ok_or(CodecError::Truncated { what: "digest" })?;
        let mut reader = Self { rest: content.get(magic.len()..).ok_or(CodecError::Truncated { what: "magic" })? };
        let got = u16::from_be_bytes(reader.array("version")?);
        if got != version {
            let remedy = if got > version { "a newer lorica made it, read it with that one" } else { remedy(magic) };
            return Err(CodecError::Version { kind, expected: version, got, remedy });
        }
        let expected: [u8; 32] = Keccak256::digest(content).into();
        if digest != expected.as_slice() {
            return Err(CodecError::Digest);
        }
        Ok(reader)
    }
    /// Content without magic, version and digest: a part of a file that has them.
    #[must_use]
    pub fn content(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }
    /// Raw bytes.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'b [u8], CodecError> {
        let (own, rest) = self.rest.split_at_checked(count).ok_or(CodecError::Truncated { what })?;
        self.rest = rest;
        Ok(own)
    }
    /// An array.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        self.bytes(N, what)?.try_into().map_err(|_| CodecError::Truncated { what })
    }
    /// One byte.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn u8(&mut self, what: &'static str) -> Result<u8, CodecError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }
    /// A kind of output by its number.
    ///
    /// # Errors
    /// [`CodecError::Kind`] for the number of a withdrawn kind or of none.
    pub fn output_kind(&mut self) -> Result<OutputKind, CodecError> {
        Ok(OutputKind::from_number(self.u8("kind of output")?)?)
    }
    /// Big-endian.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn u32(&mut self, what: &'static str) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }
    /// Big-endian.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn u64(&mut self, what: &'static str) -> Result<u64, CodecError> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }
    /// Big-endian two's complement.
    ///
    /// # Errors
    /// [`CodecError::Truncated`].
    pub fn i64(&mut self, what: &'static str) -> Result<i64, CodecError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }
    /// A count of things of `size` bytes each, within `bound` and what is left of the file.
    ///
    /// # Errors
    /// [`CodecError::Bound`], [`CodecError::Truncated`].
    pub fn count(&mut self, what: &'static str, bound: usize, size: usize) -> Result<usize, CodecError> {
        let got = self.u32(what)?;
        let count = usize::try_from(got).unwrap_or(usize::MAX);
        if count > bound {
            let bound = u64::try_from(bound).unwrap_or(u64::MAX);
            return Err(CodecError::Bound { what, bound, got: got.into() });
        }
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.rest.len() => Ok(count),
            _ => Err(CodecError::Truncated { what }),
        }
    }
    /// Counted bytes.
    ///
    /// # Errors
    /// As [`Self::count`].
    pub fn counted(&mut self, what: &'static str, bound: usize) -> Result<&'b [u8], CodecError> {
        let count = self.count(what, bound, 1)?;
        self.bytes(count, what)
    }
    /// A canonical scalar.
    ///
    /// # Errors
    /// [`CodecError::Decode`].
    pub fn scalar(&mut self, what: &'static str) -> Result<Fr, CodecError> {
        decode_scalar(&self.array::<WORD_BYTES>(what)?).map_err(|error| CodecError::Decode { what, error })
    }
    /// Counted canonical scalars.
    ///
    /// # Errors
    /// As [`Self::count`] and [`Self::scalar`].
    pub fn scalars(&mut self, what: &'static str, bound: usize) -> Result<Vec<Fr>, CodecError> {
        let count = self.count(what, bound, WORD_BYTES)?;
        (0..count).map(|_| self.scalar(what)).collect()
    }
    /// A point on the curve, canonical.
    ///
    /// # Errors
    /// [`CodecError::Decode`].
    pub fn point(&mut self, what: &'static str) -> Result<G1Affine, CodecError> {
        decode_point(&self.array::<POINT_BYTES>(what)?).map_err(|error| CodecError::Decode { what, error })
    }
    /// A point of G2, canonical, of order r, not the identity.
    ///
    /// # Errors
    /// [`CodecError::Decode`].
    pub fn point_g2(&mut self, what: &'static str) -> Result<G2Affine, CodecError> {
        let mut coordinate = |coordinate| {
            let mut bytes: [u8; WORD_BYTES] = self.array(what)?;
            bytes.reverse();
            let error = DecodeError::NonCanonicalCoordinate { coordinate };
            Option::<Fq>::from(Fq::from_repr(bytes)).ok_or(CodecError::Decode { what, error })
        };
        let (x0, x1, y0, y1) = (coordinate('x')?, coordinate('x')?, coordinate('y')?, coordinate('y')?);
        let point: Option<G2Affine> = G2Affine::from_xy(Fq2 { c0: x0, c1: x1 }, Fq2 { c0: y0, c1: y1 }).into();
        // G2 has a cofactor: multiply by r, as (r - 1) + 1.
        point
            .filter(|p| bool::from((*p * -Fr::ONE + *p).is_identity()) && !bool::from(p.is_identity()))
            .ok_or(CodecError::Decode { what, error: DecodeError::NotOnCurve })
    }
    /// Counted points.
    ///
    /// # Errors
    /// As [`Self::count`] and [`Self::point`].
    pub fn points(&mut self, what: &'static str, bound: usize) -> Result<Vec<G1Affine>, CodecError> {
        let count = self.count(what, bound, POINT_BYTES)?;
        (0..count).map(|_| self.point(what)).collect()
    }
    /// A fixed number of scalars.
    ///
    /// # Errors
    /// As [`Self::scalar`].
    pub fn scalar_array<const N: usize>(&mut self, what: &'static str) -> Result<[Fr; N], CodecError> {
        let mut scalars = [Fr::zero(); N];
        for scalar in &mut scalars {
            *scalar = self.scalar(what)?;
        }
        Ok(scalars)
    }
    /// The end of the content.
    ///
    /// # Errors
    /// [`CodecError::Trailing`].
    pub fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Trailing { count: self.rest.len() }) }
    }
}
