//! Strings of other ceremonies: snarkjs `.ptau` files and raw halo2 parameters.
//!
//! Nothing of the file is believed: every point must be on its curve, and the powers must be powers, by the pairing
//! equation `e(Σ ρ^i [τ^(i+1)]₁, [1]₂) = e(Σ ρ^i [τ^i]₁, [τ]₂)` with a random ρ.
//!
//! ```text
//! .ptau   "ptau", version 1, number of sections; sections: type, length, content. 1: bytes of q, q, power p, ceremony
//!         power. 2: [τ^i]₁ for i < 2^(p+1) − 1. 3: [τ^i]₂ for i < 2^p. The others are not read.
//! raw     k, then 2^k powers, 2^k points of the Lagrange basis (not read), [1]₂, [τ]₂
//! ```
//! Both hold coordinates in Montgomery form with R = 2^256, little endian, x before y, c0 before c1.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use lorica_circuits::bn254::{
    Bn256, Curve, CurveAffine, Field, Fq, Fq2, Fr, G1Affine, G2Affine, G2Prepared, Group, MillerLoopResult,
    MultiMillerLoop, PrimeCurveAffine, PrimeField, msm_best,
};
use rayon::prelude::*;

use super::{DIGEST_BYTES, EXTRA_POWERS, G1_BYTES, G2_BYTES, MAX_LOG_SIZE, Srs, SrsError, in_group};

const PTAU_MAGIC: &[u8; 4] = b"ptau";
/// Sections of a `.ptau` file that are listed: files of a second phase have about fifteen.
const MAX_SECTIONS: u32 = 64;

impl Srs {
    /// Reads a `.ptau` file or raw halo2 parameters; the string gets the largest n for which there are 2^n + 64 powers.
    ///
    /// # Errors
    /// [`SrsError::Io`], [`SrsError::Malformed`].
    pub fn import(path: &Path) -> Result<Self, SrsError> {
        let io = |source| SrsError::Io { path: path.to_owned(), source };
        let malformed = |what| SrsError::Malformed { path: path.to_owned(), what };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut source = Source { reader: BufReader::new(file), length, path };
        let mut magic = [0u8; 4];
        source.read(&mut magic)?;
        let (count, g1_at, g2_at) = match &magic {
            PTAU_MAGIC => source.ptau()?,
            _ => source.raw(u32::from_le_bytes(magic))?,
        };
        let log_size = count
            .checked_sub(EXTRA_POWERS as u64)
            .and_then(u64::checked_ilog2)
            .map(|n| n.min(MAX_LOG_SIZE))
            .ok_or_else(|| malformed("fewer than 65 powers"))?;
        let needed = super::power_count(log_size)?;
        source.reader.seek(SeekFrom::Start(g1_at)).map_err(io)?;
        let g1 = source.points(needed)?;
        source.reader.seek(SeekFrom::Start(g2_at)).map_err(io)?;
        let mut bytes = [0u8; 2 * G2_BYTES];
        source.read(&mut bytes)?;
        let (first, second) = bytes.split_at(G2_BYTES);
        let point = |bytes| decode_g2(bytes).ok_or_else(|| malformed("a point of G2 is not one"));
        let (g2, tau_g2) = (point(first)?, point(second)?);

        if g1.first() != Some(&G1Affine::generator()) {
            return Err(malformed("the first power is not the generator"));
        }
        if g2 != G2Affine::generator() {
            return Err(malformed("the first point of G2 is not the generator"));
        }
        if !are_powers(&g1, &g2, &tau_g2).map_err(|_| SrsError::Randomness)? {
            return Err(malformed("the points of G1 are not the powers of the point of G2"));
        }
        let insecure = super::VerifierKey::new(g2, tau_g2).is_insecure();
        let mut srs = Self { log_size, g1, g2, tau_g2, insecure, digest: [0; DIGEST_BYTES] };
        srs.digest = srs.compute_digest();
        Ok(srs)
    }
}

struct Source<'p> {
    reader: BufReader<File>,
    length: u64,
    path: &'p Path,
}

impl Source<'_> {
    fn malformed(&self, what: &'static str) -> SrsError {
        SrsError::Malformed { path: self.path.to_owned(), what }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), SrsError> {
        let path = self.path;
        self.reader.read_exact(bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                SrsError::Malformed { path: path.to_owned(), what: "the file ends too early" }
            }
            _ => SrsError::Io { path: path.to_owned(), source },
        })
    }

    fn u32(&mut self) -> Result<u32, SrsError> {
        let mut bytes = [0u8; 4];
        self.read(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64, SrsError> {
        let mut bytes = [0u8; 8];
        self.read(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Number of powers, and where powers and points of G2 begin.
    fn ptau(&mut self) -> Result<(u64, u64, u64), SrsError> {
        if self.u32()? != 1 {
            return Err(self.malformed("unknown version of the ptau format"));
        }
        let count = self.u32()?;
        if count > MAX_SECTIONS {
            return Err(self.malformed("more sections than any ptau file has"));
        }
        let mut sections: [Option<(u64, u64)>; 4] = [None; 4];
        let mut at = 12u64;
        for _ in 0..count {
            let path = self.path;
            let io = |source| SrsError::Io { path: path.to_owned(), source };
            self.reader.seek(SeekFrom::Start(at)).map_err(io)?;
            let (kind, length) = (self.u32()?, self.u64()?);
            let start = at + 12;
            at = start
                .checked_add(length)
                .filter(|end| *end <= self.length)
                .ok_or_else(|| self.malformed("a section is longer than the file"))?;
            if let Some(section @ None) = sections.get_mut(kind as usize) {
                *section = Some((start, length));
            }
        }
        let [_, Some(header), Some(powers), Some(second)] = sections else {
            return Err(self.malformed("a section of the ptau format is missing"));
        };
        self.seek(header.0)?;
        let bytes = self.u32()?;
        let mut modulus = [0u8; 32];
        if bytes != 32 || header.1 < 44 {
            return Err(self.malformed("the ceremony is over another curve than BN254"));
        }
        self.read(&mut modulus)?;
        if modulus != field_modulus() {
            return Err(self.malformed("the ceremony is over another curve than BN254"));
        }
        let power = self.u32()?;
        if power > 28 {
            return Err(self.malformed("more powers than any ceremony has"));
        }
        let count = (1u64 << (power + 1)) - 1;
        if powers.1 != count * G1_BYTES as u64 || second.1 != (1 << power) * G2_BYTES as u64 || power == 0 {
            return Err(self.malformed("the sections are not as long as the stated power says"));
        }
        Ok((count, powers.0, second.0))
    }

    fn raw(&mut self, k: u32) -> Result<(u64, u64, u64), SrsError> {
        if k > 28 {
            return Err(self.malformed("neither a ptau file nor raw halo2 parameters"));
        }
        let count = 1u64 << k;
        let g2 = 4 + 2 * count * G1_BYTES as u64;
        if self.length != g2 + 2 * G2_BYTES as u64 {
            return Err(self.malformed("neither a ptau file nor raw halo2 parameters"));
        }
        Ok((count, 4, g2))
    }

    fn seek(&mut self, to: u64) -> Result<(), SrsError> {
        let path = self.path;
        self.reader.seek(SeekFrom::Start(to)).map(drop).map_err(|source| SrsError::Io { path: path.to_owned(), source })
    }

    fn points(&mut self, count: usize) -> Result<Vec<G1Affine>, SrsError> {
        let mut points = Vec::with_capacity(count);
        let mut bytes = vec![0u8; super::CHUNK.min(count) * G1_BYTES];
        while points.len() < count {
            let bytes = &mut bytes[..super::CHUNK.min(count - points.len()) * G1_BYTES];
            self.read(bytes)?;
            let own: Option<Vec<G1Affine>> = bytes.par_chunks_exact(G1_BYTES).map(decode_g1).collect();
            points.extend(own.ok_or_else(|| self.malformed("a power is not a point of the curve"))?);
        }
        Ok(points)
    }
}

fn field_modulus() -> [u8; 32] {
    // q − 1, little endian: q is odd, so that adding one carries nowhere.
    let mut bytes: [u8; 32] = (-Fq::ONE).to_repr();
    bytes[0] += 1;
    bytes
}

/// A coordinate from its Montgomery form `x · 2^256`.
fn decode_coordinate(bytes: &[u8]) -> Option<Fq> {
    let shifted: Fq = Option::from(Fq::from_repr(bytes.try_into().ok()?))?;
    Some(shifted * *MONTGOMERY_INVERSE)
}

static MONTGOMERY_INVERSE: std::sync::LazyLock<Fq> = std::sync::LazyLock::new(|| Fq::TWO_INV.pow([256]));

fn decode_g1(bytes: &[u8]) -> Option<G1Affine> {
    let (x, y) = bytes.split_at_checked(G1_BYTES / 2)?;
    let point: G1Affine = Option::from(G1Affine::from_xy(decode_coordinate(x)?, decode_coordinate(y)?))?;
    (!bool::from(point.is_identity())).then_some(point)
}

fn decode_g2(bytes: &[u8]) -> Option<G2Affine> {
    let mut coordinates = bytes.chunks_exact(G1_BYTES / 2).map(decode_coordinate);
    let mut next = || coordinates.next().flatten();
    let (x, y) = (Fq2 { c0: next()?, c1: next()? }, Fq2 { c0: next()?, c1: next()? });
    in_group(Option::from(G2Affine::from_xy(x, y))?)
}

/// Whether `g1[i + 1] = τ · g1[i]` for all i. A false string passes with probability below 2^-220.
fn are_powers(g1: &[G1Affine], g2: &G2Affine, tau_g2: &G2Affine) -> Result<bool, getrandom::Error> {
    let mut seed = [0u8; 64];
    getrandom::fill(&mut seed)?;
    let rho = <Fr as lorica_circuits::bn254::FromUniformBytes<64>>::from_uniform_bytes(&seed);
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(power * rho)).take(g1.len() - 1).collect();
    let [above, below] = [&g1[1..], &g1[..g1.len() - 1]].map(|points| msm_best(&powers, points).to_affine());
    let (g2, tau_g2): (G2Prepared, G2Prepared) = ((*g2).into(), (*tau_g2).into());
    let product = Bn256::multi_miller_loop(&[(&above, &g2), (&-below, &tau_g2)]);
    Ok(bool::from(product.final_exponentiation().is_identity()))
}
