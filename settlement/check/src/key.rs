//! Keys that check settlements: one per architecture and shape, for every base and adapter.
//!
//! [`VerifyingKey`] is halo2's key and what the contract must know of the layout. Its [`content`](VerifyingKey::content) is
//! the data contract of the chain; the circuit id is that content's digest.

use lorica_circuits::bn254::{CurveAffine, Field, Fq, Fr, G1Affine, G2Affine, PrimeCurveAffine, PrimeField};
use lorica_circuits::error::CircuitError;
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::{OutputKind, RECORDS, SHARE_WORDS, Shape};
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::magic::SETTLEMENT_KEY_MAGIC;
use lorica_verifier::protocol::group::VerifierKey;
use lorica_verifier::protocol::keccak::keccak;
use lorica_verifier::protocol::key::{index_shape, read_architecture, write_architecture};
use lorica_verifier::protocol::record::RecordKind;

use crate::gates::{FIXED, PERMUTED, RESERVED};
use crate::halo2::{CheckError, HaloProof, check};
use crate::header::{Header, attribution, word, write_layout, write_occupied};
use crate::identity::transcript_word;
use crate::shape::{CircuitShape, INDEX_KIND, Subject};
use crate::words::IndexWords;

/// Version of circuit and files: a key of another one is refused.
pub const VERSION: u16 = 3;
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

/// What checks settlement proofs.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    of: CircuitShape,
    tau_g2: G2Affine,
    layout: Layout,
    circuit: CircuitKey,
}

impl VerifyingKey {
    /// A circuit's key with what the contract must know of the layout.
    ///
    /// # Soundness
    /// Nothing shows that the key is of the circuit of this shape: only making it again does. The circuit id is that of
    /// both together.
    ///
    /// # Errors
    /// If the shape is not offered.
    pub fn new(of: CircuitShape, tau_g2: G2Affine, circuit: CircuitKey) -> Result<Self, KeyError> {
        let layout = of.layout()?;
        Ok(Self { of, tau_g2, layout, circuit })
    }

    /// Architecture, shape and SRS.
    #[must_use]
    pub fn circuit_shape(&self) -> &CircuitShape {
        &self.of
    }

    /// `[τ]₂` of the SRS.
    #[must_use]
    pub fn tau_g2(&self) -> &G2Affine {
        &self.tau_g2
    }

    /// The address space.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What halo2 knows of the circuit.
    #[must_use]
    pub fn circuit(&self) -> &CircuitKey {
        &self.circuit
    }

    /// log2 of the rows.
    #[must_use]
    pub fn log_rows(&self) -> u32 {
        self.circuit.log_rows()
    }

    /// Number of public words.
    #[must_use]
    pub fn words(&self) -> usize {
        let shape = &self.of.shape;
        let own = match self.of.subject {
            Subject::Index => IndexWords::<Fr>::HEAD + 11,
            Subject::Inference if shape.records == 0 => 18 + 3 * shape.requests,
            Subject::Inference => 20 + (3 + SHARE_WORDS) * shape.requests,
        };
        own + usize::try_from(self.layout.tile_index_bits()).unwrap_or(usize::MAX)
    }

    /// Shape and layout as public words.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::of(&self.of, &self.layout)
    }

    /// Checks a proof for its words; the group claim is still owed.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn check(&self, proof: &HaloProof) -> Result<(), CheckError> {
        if proof.words.len() != self.words() {
            return Err(CheckError::Words { expected: self.words(), got: proof.words.len() });
        }
        let srs = VerifierKey::new(G2Affine::generator(), self.tau_g2);
        check(&self.circuit, &srs, &proof.words, &proof.bytes)
    }

    /// The data contract's bytes: `verifier-contracts/README.md` names each word.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let CircuitKey { log_rows, fixed, permutation, omega, transcript_word } = &self.circuit;
        let mut w = Writer::default();
        w.bytes(&RecordKind::SettlementKey.tag());
        w.scalar(&Fr::from(u64::from(*log_rows)));
        w.scalar(&Fr::TWO_INV.pow([u64::from(*log_rows)]));
        w.scalar(omega);
        w.scalar(&self.circuit.omega_last());
        w.scalar(&word(self.words()));
        w.scalar(transcript_word);
        let (x, y) = (self.tau_g2.x, self.tau_g2.y);
        for coordinate in [x.c1, x.c0, y.c1, y.c0] {
            let mut bytes = coordinate.to_repr();
            bytes.reverse();
            w.bytes(&bytes);
        }
        write_layout(&mut w, &self.of, &self.layout);
        fixed.iter().for_each(|point| w.point(point));
        permutation.iter().for_each(|point| w.point(point));
        write_occupied(&mut w, &self.layout);
        w.content().to_vec()
    }

    /// The circuit id: Keccak-256 of the content.
    #[must_use]
    pub fn circuit_id(&self) -> [u8; 32] {
        keccak(&self.content())
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(SETTLEMENT_KEY_MAGIC, VERSION);
        let shape = &self.of.shape;
        write_architecture(&mut w, &self.of.architecture);
        w.count(shape.requests);
        w.count(shape.tokens);
        w.u32(shape.log_tile);
        w.u8(self.of.kind());
        w.u8(attribution(shape));
        w.scalar(&self.of.architecture_digest);
        w.scalar(&self.of.srs);
        w.point_g2(&self.tau_g2);
        w.counted(&self.circuit.to_bytes());
        w.bytes(&self.circuit_id());
        w.finish()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`KeyError`] if it is damaged, of another version, or its parts do not fit each other.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut r = Reader::new(bytes, "settlement key", SETTLEMENT_KEY_MAGIC, VERSION)?;
        let architecture = read_architecture(&mut r)?;
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let (requests, tokens) = (number(r.u32("requests")?), number(r.u32("tokens")?));
        let log_tile = r.u32("tau")?;
        let kind = r.u8("kind of output")?;
        let (subject, output) = match kind {
            INDEX_KIND => (Subject::Index, OutputKind::Classify),
            kind => (Subject::Inference, OutputKind::from_number(kind).map_err(CodecError::Kind)?),
        };
        let records = match r.u8("attribution")? {
            0 => 0,
            bits => RECORDS
                .into_iter()
                .find(|records| records.trailing_zeros() == u32::from(bits))
                .ok_or(CodecError::Value { what: "attribution", got: u64::from(bits) })?,
        };
        let shape = Shape { requests, tokens, log_tile, output, records };
        architecture.validate()?;
        shape.validate()?;
        if subject == Subject::Index && (records == 0 || shape != index_shape(log_tile, records)) {
            return Err(KeyError::Malformed { what: "an index proof has records, and no requests or tokens" });
        }
        let architecture_digest = r.scalar("architecture digest")?;
        let srs = r.scalar("SRS digest")?;
        let tau_g2 = r.point_g2("[tau]_2")?;
        let circuit = CircuitKey::from_bytes(r.counted("halo2 key", 1 << 16)?)?;
        let id: [u8; 32] = r.array("circuit id")?;
        r.finish()?;
        let of = CircuitShape { architecture, shape, architecture_digest, srs, subject };
        let key = Self::new(of, tau_g2, circuit)?;
        if key.circuit_id() != id {
            return Err(KeyError::Malformed { what: "the circuit id is not that of the content" });
        }
        Ok(key)
    }
}
