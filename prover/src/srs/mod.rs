//! The structured reference string: `[τ^i]₁` for i < 2^n + 64, `[1]₂`, `[τ]₂`.
//!
//! The 64 powers beyond 2^n carry the blinding of tiles with 2^n cells. [`Srs::dev`] makes a string whose trapdoor
//! everybody knows; it is marked insecure, and recognised by its `[τ]₂` even where the mark was removed.
//!
//! # File format
//! Integers and coordinates are little endian, coordinates canonical.
//! ```text
//! 8   magic "LoricaS\n"
//! 4   version, 1
//! 4   flags: bit 0 insecure
//! 4   n
//! 4   zero
//! 128 [1]₂   x.c0 x.c1 y.c0 y.c1
//! 128 [τ]₂
//! 64  x y, for each of the 2^n + 64 powers
//! 32  SHA-256 of all before it: the digest of the string
//! ```

mod import;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use lorica_circuits::bn254::{
    Curve, CurveAffine, Field, Fq, Fq2, Fr, G1Affine, G2Affine, Group, PrimeCurveAffine, PrimeField,
};
use lorica_verifier::files::magic::SRS_MAGIC;
use lorica_verifier::protocol::group::{VerifierKey, development_trapdoor};
use lorica_verifier::protocol::keccak::reduce;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::msm::generator_multiples;

/// Powers beyond 2^n.
pub const EXTRA_POWERS: usize = 64;

/// Largest n: 4 GiB of points.
pub const MAX_LOG_SIZE: u32 = 26;

const VERSION: u32 = 1;
const FLAG_INSECURE: u32 = 1;
const HEADER_BYTES: usize = 24;
const G1_BYTES: usize = 64;
const G2_BYTES: usize = 128;
const DIGEST_BYTES: usize = 32;

/// Powers of τ in the exponent are products of one of 2^10 low and one of the high ones.
const STRIDE: usize = 10;

/// Points that are read, hashed and converted at a time.
const CHUNK: usize = 1 << 15;

/// Why there is no SRS, or not enough of it.
#[derive(Debug, Error)]
pub enum SrsError {
    /// n is beyond [`MAX_LOG_SIZE`].
    #[error("an SRS of 2^{log_size} powers is larger than 2^{MAX_LOG_SIZE}")]
    TooLarge {
        /// n.
        log_size: u32,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// More coefficients than powers.
    #[error("{needed} powers are needed, the SRS has {available}")]
    TooSmall {
        /// Coefficients.
        needed: usize,
        /// Powers.
        available: usize,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is no SRS file, or a damaged one.
    #[error("{path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Powers of a secret point, committed to by everybody.
#[derive(Clone, Debug)]
pub struct Srs {
    log_size: u32,
    g1: Vec<G1Affine>,
    g2: G2Affine,
    tau_g2: G2Affine,
    insecure: bool,
    digest: [u8; DIGEST_BYTES],
}

impl Srs {
    /// The development SRS: its trapdoor is public, so that anyone can forge any opening.
    ///
    /// # Errors
    /// [`SrsError::TooLarge`].
    pub fn dev(log_size: u32) -> Result<Self, SrsError> {
        let count = power_count(log_size)?;
        let tau = development_trapdoor();
        let strides: Vec<Fr> =
            (0..=count >> STRIDE).map(|stride| tau.pow_vartime([(stride << STRIDE) as u64])).collect();
        let small: Vec<Fr> =
            std::iter::successors(Some(Fr::ONE), |power| Some(power * tau)).take(1 << STRIDE).collect();
        let g1 = generator_multiples(count, |index| strides[index >> STRIDE] * small[index & ((1 << STRIDE) - 1)]);
        let g2 = G2Affine::generator();
        let tau_g2 = (g2 * tau).to_affine();
        let mut srs = Self { log_size, g1, g2, tau_g2, insecure: true, digest: [0; DIGEST_BYTES] };
        srs.digest = srs.compute_digest();
        Ok(srs)
    }

    /// n: there are 2^n + 64 powers.
    pub fn log_size(&self) -> u32 {
        self.log_size
    }

    /// `[τ^i]₁`.
    pub fn g1(&self) -> &[G1Affine] {
        &self.g1
    }

    /// What a verifier needs.
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey::new(self.g2, self.tau_g2)
    }

    /// `[1]₂`.
    pub fn g2(&self) -> &G2Affine {
        &self.g2
    }

    /// `[τ]₂`.
    pub fn tau_g2(&self) -> &G2Affine {
        &self.tau_g2
    }

    /// Whether everybody knows the trapdoor.
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// SHA-256 of the file's content: n, flags, both points of G2, all powers.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The digest modulo r, as the transcript absorbs it.
    pub fn digest_word(&self) -> Fr {
        reduce(self.digest)
    }

    /// Checks that a polynomial with so many coefficients can be committed to.
    ///
    /// # Errors
    /// [`SrsError::TooSmall`].
    pub fn check_size(&self, coefficients: usize) -> Result<(), SrsError> {
        let available = self.g1.len();
        if coefficients <= available { Ok(()) } else { Err(SrsError::TooSmall { needed: coefficients, available }) }
    }

    /// Writes the file; it appears under its name only when it is complete.
    ///
    /// # Errors
    /// [`SrsError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), SrsError> {
        let io = |source| SrsError::Io { path: path.to_owned(), source };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new().prefix(".srs-").tempfile_in(folder).map_err(io)?;
        file.write_all(&self.head()).map_err(io)?;
        for chunk in self.g1.chunks(CHUNK) {
            file.write_all(&encode_points(chunk)).map_err(io)?;
        }
        file.write_all(&self.digest).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// Reads a file. Checks length, digest, canonical coordinates and curve equations, not that the points are powers.
    ///
    /// # Errors
    /// [`SrsError::Io`], [`SrsError::Malformed`].
    pub fn read(path: &Path) -> Result<Self, SrsError> {
        let io = |source| SrsError::Io { path: path.to_owned(), source };
        let malformed = |what| SrsError::Malformed { path: path.to_owned(), what };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::new(file);

        let minimum = (HEADER_BYTES + 2 * G2_BYTES + DIGEST_BYTES) as u64;
        if length < minimum {
            return Err(malformed("too short for an SRS file"));
        }
        let mut head = [0u8; HEADER_BYTES + 2 * G2_BYTES];
        reader.read_exact(&mut head).map_err(io)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if !head.starts_with(SRS_MAGIC) {
            return Err(malformed("not an SRS file"));
        }
        if word(8) != VERSION {
            return Err(malformed("unknown version of the SRS format"));
        }
        let (flags, log_size) = (word(12), word(16));
        if flags & !FLAG_INSECURE != 0 || word(20) != 0 {
            return Err(malformed("unknown flags"));
        }
        let count = power_count(log_size).map_err(|_| malformed("more powers than any SRS has"))?;
        if length != minimum + (count * G1_BYTES) as u64 {
            return Err(malformed("the length is not that of the stated number of powers"));
        }
        let g2_at = |at| decode_g2(&head[at..at + G2_BYTES]).ok_or_else(|| malformed("a point of G2 is not one"));
        let (g2, tau_g2) = (g2_at(HEADER_BYTES)?, g2_at(HEADER_BYTES + G2_BYTES)?);

        let mut hash = Sha256::new_with_prefix(head);
        let mut g1 = Vec::with_capacity(count);
        let mut bytes = vec![0u8; CHUNK.min(count) * G1_BYTES];
        while g1.len() < count {
            let bytes = &mut bytes[..CHUNK.min(count - g1.len()) * G1_BYTES];
            reader.read_exact(bytes).map_err(io)?;
            let bytes = &*bytes;
            let ((), points) = rayon::join(
                || hash.update(bytes),
                || bytes.par_chunks_exact(G1_BYTES).map(decode_g1).collect::<Option<Vec<G1Affine>>>(),
            );
            g1.extend(points.ok_or_else(|| malformed("a power is not a point of the curve"))?);
        }
        let mut digest = [0u8; DIGEST_BYTES];
        reader.read_exact(&mut digest).map_err(io)?;
        if digest != <[u8; DIGEST_BYTES]>::from(hash.finalize()) {
            return Err(malformed("the digest at the end is not that of the content"));
        }
        if g1.first() != Some(&G1Affine::generator()) {
            return Err(malformed("the first power is not the generator"));
        }
        if g2 != G2Affine::generator() {
            return Err(malformed("the first point of G2 is not the generator"));
        }
        let insecure = flags & FLAG_INSECURE != 0 || VerifierKey::new(g2, tau_g2).is_insecure();
        Ok(Self { log_size, g1, g2, tau_g2, insecure, digest })
    }

    fn head(&self) -> Vec<u8> {
        let flags = if self.insecure { FLAG_INSECURE } else { 0 };
        let mut head = SRS_MAGIC.to_vec();
        for word in [VERSION, flags, self.log_size, 0] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        head.extend_from_slice(&encode_g2(&self.g2));
        head.extend_from_slice(&encode_g2(&self.tau_g2));
        head
    }

    fn compute_digest(&self) -> [u8; DIGEST_BYTES] {
        let mut hash = Sha256::new_with_prefix(self.head());
        for chunk in self.g1.chunks(CHUNK) {
            hash.update(encode_points(chunk));
        }
        hash.finalize().into()
    }
}

fn power_count(log_size: u32) -> Result<usize, SrsError> {
    if log_size > MAX_LOG_SIZE {
        return Err(SrsError::TooLarge { log_size });
    }
    Ok((1 << log_size) + EXTRA_POWERS)
}

fn encode_points(points: &[G1Affine]) -> Vec<u8> {
    let mut bytes = vec![0u8; points.len() * G1_BYTES];
    bytes.par_chunks_exact_mut(G1_BYTES).zip(points).for_each(|(bytes, point)| {
        let (x, y) = bytes.split_at_mut(G1_BYTES / 2);
        x.copy_from_slice(&point.x.to_repr());
        y.copy_from_slice(&point.y.to_repr());
    });
    bytes
}

/// A point of the curve, not the identity.
fn decode_g1(bytes: &[u8]) -> Option<G1Affine> {
    let (x, y) = bytes.split_at_checked(G1_BYTES / 2)?;
    let point: G1Affine = Option::from(G1Affine::from_xy(decode_coordinate(x)?, decode_coordinate(y)?))?;
    (!bool::from(point.is_identity())).then_some(point)
}

fn encode_g2(point: &G2Affine) -> [u8; G2_BYTES] {
    let mut bytes = [0u8; G2_BYTES];
    let coordinates = [point.x.c0, point.x.c1, point.y.c0, point.y.c1];
    for (bytes, coordinate) in bytes.chunks_exact_mut(G1_BYTES / 2).zip(coordinates) {
        bytes.copy_from_slice(&coordinate.to_repr());
    }
    bytes
}

/// A point of the group of order r, not the identity.
fn decode_g2(bytes: &[u8]) -> Option<G2Affine> {
    let mut coordinates = bytes.chunks_exact(G1_BYTES / 2).map(decode_coordinate);
    let mut next = || coordinates.next().flatten();
    let (x, y) = (Fq2 { c0: next()?, c1: next()? }, Fq2 { c0: next()?, c1: next()? });
    in_group(Option::from(G2Affine::from_xy(x, y))?)
}

/// The point if it is in the group of order r and not the identity.
fn in_group(point: G2Affine) -> Option<G2Affine> {
    // G2 has a cofactor: multiply by r, as (r − 1) + 1.
    let in_subgroup = bool::from((point * -Fr::ONE + point).is_identity());
    (in_subgroup && !bool::from(point.is_identity())).then_some(point)
}

fn decode_coordinate(bytes: &[u8]) -> Option<Fq> {
    Option::from(Fq::from_repr(bytes.try_into().ok()?))
}
