//! Keys that check settlements: one per architecture and shape, for every base and adapter.
//!
//! [`VerifyingKey`] is halo2's key and what the contract must know of the layout. Its [`content`](VerifyingKey::content) is
//! the data contract of the chain; the circuit id is that content's digest.

use lorica_circuits::bn254::{Field, Fr, G2Affine, PrimeField};
use lorica_circuits::layout::Layout;
use lorica_circuits::shape::{OutputKind, RECORDS, SHARE_WORDS, Shape};
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::magic::SETTLEMENT_KEY_MAGIC;
use lorica_verifier::protocol::group::VerifierKey;
use lorica_verifier::protocol::keccak::keccak;
use lorica_verifier::protocol::key::{index_shape, read_architecture, write_architecture};
use lorica_verifier::protocol::record::RecordKind;

pub use crate::circuit_key::{CircuitKey, KeyError, MAX_LOG_ROWS};
use crate::halo2::{CheckError, HaloProof, check};
use crate::header::{Header, attribution, word, write_layout, write_occupied};
use crate::shape::{CircuitShape, INDEX_KIND, Subject};
use crate::words::IndexWords;

/// Version of circuit and files: a key of another one is refused.
pub const VERSION: u16 = 3;
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
        let circuit = &self.circuit;
        let log_rows = u64::from(circuit.log_rows());
        let mut w = Writer::default();
        w.bytes(&RecordKind::SettlementKey.tag());
        w.scalar(&Fr::from(log_rows));
        w.scalar(&Fr::TWO_INV.pow([log_rows]));
        w.scalar(&circuit.omega());
        w.scalar(&circuit.omega_last());
        w.scalar(&word(self.words()));
        w.scalar(circuit.transcript_word());
        let (x, y) = (self.tau_g2.x, self.tau_g2.y);
        for coordinate in [x.c1, x.c0, y.c1, y.c0] {
            let mut bytes = coordinate.to_repr();
            bytes.reverse();
            w.bytes(&bytes);
        }
        write_layout(&mut w, &self.of, &self.layout);
        circuit.fixed().iter().for_each(|point| w.point(point));
        circuit.permutation().iter().for_each(|point| w.point(point));
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
