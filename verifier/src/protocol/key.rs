//! Verifying keys: what registration of a base or an adapter leaves for whoever checks proofs. No weights.

use lorica_circuits::bn254::{Fr, G1Affine, G2Affine};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::Family;
use lorica_circuits::families::encoder::{Activation, Architecture, Scales};
use lorica_circuits::layout::MAX_REGISTERED_TILES;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{OutputKind, RECORDS, Shape};

use crate::codec::{CodecError, Reader, Writer};
use crate::keccak::keccak_bytes;
use crate::protocol::arithmetic::Native;
use crate::protocol::record::{RecordKind, record};
use crate::protocol::statement::{DOMAIN_SCALES, hash};

/// Why a key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Architecture or scales out of range.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The number of commitments does not fit the architecture.
    #[error("{what}: expected {expected} commitments, got {got}")]
    Tiles {
        /// Which tiles.
        what: &'static str,
        /// By the layout.
        expected: usize,
        /// In the key.
        got: usize,
    },
    /// An index of another adapter, or of another datanet version than its adapter names.
    #[error("the index is of another adapter, or of another datanet version than its adapter names")]
    IndexOf,
}

/// Commitments and constants of a base model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseCommitments {
    /// The architecture.
    pub architecture: Architecture,
    /// The model's small integers.
    pub scales: Scales,
    /// τ.
    pub log_tile: u32,
    /// Digest of the SRS.
    pub srs: Fr,
    /// `[τ]₂` of the SRS; `[1]₂` is the standard generator.
    pub tau_g2: G2Affine,
    /// Commitments to the table tiles.
    pub tables: Vec<G1Affine>,
    /// Commitments to the occupied base tiles, by index.
    pub tiles: Vec<G1Affine>,
}

/// A shape that only serves to lay out regions that do not depend on it.
fn any_shape(log_tile: u32) -> Shape {
    Shape { requests: 1, tokens: 16, log_tile, output: OutputKind::Embed, records: 0 }
}

/// A shape that only serves to lay out the index region.
#[must_use]
pub fn index_shape(log_tile: u32, records: usize) -> Shape {
    Shape { requests: 1, tokens: 16, log_tile, output: OutputKind::Classify, records }
}

fn check_tiles(what: &'static str, expected: usize, points: &[G1Affine]) -> Result<(), KeyError> {
    if points.len() != expected {
        return Err(KeyError::Tiles { what, expected, got: points.len() });
    }
    Ok(())
}

/// Writes an architecture.
pub fn write_architecture(writer: &mut Writer, a: &Architecture) {
    for value in [a.block, a.max_tokens, a.hidden, a.layers, a.heads, a.intermediate, a.vocab, a.r_max] {
        writer.count(value);
    }
    writer.u8(match a.activation {
        Activation::Gelu => 0,
        Activation::GeluNew => 1,
        Activation::Relu => 2,
    });
    for value in [a.score_bits, a.activation_bits, a.tanh_bits] {
        writer.u32(value);
    }
}

/// Reads an architecture; its ranges are checked by [`Architecture::validate`].
///
/// # Errors
/// [`CodecError`].
pub fn read_architecture(reader: &mut Reader<'_>) -> Result<Architecture, CodecError> {
    let mut number = |what| reader.u32(what).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let (block, max_tokens) = (number("block")?, number("max_tokens")?);
    let (hidden, layers, heads) = (number("hidden")?, number("layers")?, number("heads")?);
    let (intermediate, vocab, r_max) = (number("intermediate")?, number("vocab")?, number("r_max")?);
    let activation = match reader.u8("activation")? {
        0 => Activation::Gelu,
        1 => Activation::GeluNew,
        2 => Activation::Relu,
        got => return Err(CodecError::Value { what: "activation", got: got.into() }),
    };
    let (score_bits, activation_bits, tanh_bits) =
        (reader.u32("score bits")?, reader.u32("activation bits")?, reader.u32("tanh bits")?);
    Ok(Architecture {
        block,
        max_tokens,
        hidden,
        layers,
        heads,
        intermediate,
        vocab,
        activation,
        r_max,
        score_bits,
        activation_bits,
        tanh_bits,
    })
}

impl BaseCommitments {
    /// Checks architecture, scales and the number of commitments.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn validate(&self) -> Result<(), KeyError> {
        let layout = self.architecture.layout(&any_shape(self.log_tile))?;
        self.scales.validate(&self.architecture)?;
        let occupied = |region| layout.occupied(region).iter().filter(|&&o| o).count();
        check_tiles("tables", occupied(Region::TABLE), &self.tables)?;
        check_tiles("base", occupied(Region::BASE), &self.tiles)
    }

    /// The family of the architecture.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::Encoder
    }

    /// Id of architecture, τ, SRS and tables ([`crate::protocol::record`]). It holds the SRS, and with it the base id does: under
    /// another `[τ]₂` the same points commit to anything.
    #[must_use]
    pub fn architecture_digest(&self) -> Fr {
        let mut encoding = Writer::default();
        write_architecture(&mut encoding, &self.architecture);
        let mut writer = record(RecordKind::Architecture, self.family());
        writer.counted(encoding.content());
        writer.u32(self.log_tile);
        writer.scalar(&self.srs);
        writer.point_g2(&self.tau_g2);
        writer.points(&self.tables);
        keccak_bytes(writer.content())
    }

    /// Poseidon word of the scales.
    #[must_use]
    pub fn scales_word(&self) -> Fr {
        hash(&mut Native, DOMAIN_SCALES, &self.scales.values())
    }

    /// Id of architecture, scales and tiles ([`crate::protocol::record`]).
    #[must_use]
    pub fn id(&self) -> Fr {
        let mut writer = record(RecordKind::Base, self.family());
        writer.count(self.tiles.len());
        writer.scalar(&self.architecture_digest());
        writer.scalar(&self.scales_word());
        self.tiles.iter().for_each(|p| writer.point(p));
        keccak_bytes(writer.content())
    }

    /// Writes all fields.
    pub fn write(&self, writer: &mut Writer) {
        write_architecture(writer, &self.architecture);
        writer.u32(self.log_tile);
        writer.count(self.scales.norms.len());
        for n in &self.scales.norms {
            for value in [n.stream, n.branch, n.root, n.shift] {
                writer.u32(value);
            }
            writer.u64(n.epsilon);
        }
        writer.count(self.scales.scores.len());
        self.scales.scores.iter().for_each(|&s| writer.u32(s));
        writer.scalar(&self.srs);
        writer.point_g2(&self.tau_g2);
        writer.points(&self.tables);
        writer.points(&self.tiles);
    }

    /// Reads what [`Self::write`] wrote; [`Self::validate`] is still owed.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let architecture = read_architecture(reader)?;
        let log_tile = reader.u32("tau")?;
        let norms = (0..reader.count("norm scales", 65, 24)?)
            .map(|_| {
                Ok(lorica_circuits::families::encoder::NormScale {
                    stream: reader.u32("norm scale")?,
                    branch: reader.u32("norm scale")?,
                    root: reader.u32("norm scale")?,
                    shift: reader.u32("norm scale")?,
                    epsilon: reader.u64("norm scale")?,
                })
            })
            .collect::<Result<_, CodecError>>()?;
        let scores = (0..reader.count("score scales", 64, 4)?)
            .map(|_| reader.u32("score scale"))
            .collect::<Result<_, CodecError>>()?;
        Ok(Self {
            architecture,
            scales: Scales { norms, scores },
            log_tile,
            srs: reader.scalar("srs digest")?,
            tau_g2: reader.point_g2("[tau] of G2")?,
            tables: reader.points("table commitments", 64)?,
            tiles: reader.points("base commitments", MAX_REGISTERED_TILES)?,
        })
    }
}

/// Commitments of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterCommitments {
    /// Id of the base that it adapts.
    pub base: Fr,
    /// Id of the datanet version that it was trained on, if it names one.
    pub version: Option<Fr>,
    /// Commitments to its tiles.
    pub tiles: Vec<G1Affine>,
}

impl AdapterCommitments {
    /// Id of base, datanet version and tiles ([`crate::protocol::record`]).
    #[must_use]
    pub fn id(&self) -> Fr {
        let mut writer = record(RecordKind::Adapter, Family::Encoder);
        writer.count(self.tiles.len());
        writer.scalar(&self.base);
        writer.scalar(&self.version_word());
        self.tiles.iter().for_each(|p| writer.point(p));
        keccak_bytes(writer.content())
    }

    /// The datanet version's id, zero for none.
    #[must_use]
    pub fn version_word(&self) -> Fr {
        self.version.unwrap_or(Fr::zero())
    }

    /// Writes all fields.
    pub fn write(&self, writer: &mut Writer) {
        writer.scalar(&self.base);
        writer.scalar(&self.version_word());
        writer.points(&self.tiles);
    }

    /// Reads what [`Self::write`] wrote; [`Self::validate`] is still owed.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let base = reader.scalar("base id")?;
        let version = Some(reader.scalar("datanet version")?).filter(|version| *version != Fr::zero());
        Ok(Self { base, version, tiles: reader.points("adapter commitments", MAX_REGISTERED_TILES)? })
    }

    /// Checks the number of commitments for a base's architecture.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn validate(&self, base: &BaseCommitments) -> Result<(), KeyError> {
        let layout = base.architecture.layout(&any_shape(base.log_tile))?;
        check_tiles("adapter", layout.tiles(Region::ADAPTER, 0).count, &self.tiles)
    }
}

/// Commitments of a datanet's index under one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexCommitments {
    /// Id of the adapter that the features are computed with.
    pub adapter: Fr,
    /// Id of the datanet version whose records they are; the adapter names it.
    pub version: Fr,
    /// Records that the index has room for: one of [`RECORDS`].
    pub records: usize,
    /// Records that it has.
    pub count: usize,
    /// Commitments to its tiles, each blinded.
    pub tiles: Vec<G1Affine>,
}

impl IndexCommitments {
    /// Id of adapter, datanet version, size and tiles ([`crate::protocol::record`]).
    #[must_use]
    pub fn id(&self) -> Fr {
        let mut writer = record(RecordKind::Index, Family::Encoder);
        writer.count(self.tiles.len());
        writer.scalar(&self.adapter);
        writer.scalar(&self.version);
        writer.u32(self.records.trailing_zeros());
        writer.count(self.count);
        self.tiles.iter().for_each(|p| writer.point(p));
        keccak_bytes(writer.content())
    }

    /// Writes all fields.
    pub fn write(&self, writer: &mut Writer) {
        writer.scalar(&self.adapter);
        writer.scalar(&self.version);
        writer.count(self.records);
        writer.count(self.count);
        writer.points(&self.tiles);
    }

    /// Reads what [`Self::write`] wrote; [`Self::validate`] is still owed.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let adapter = reader.scalar("adapter id")?;
        let version = reader.scalar("datanet version")?;
        let records = reader.u32("records")?;
        let count = reader.u32("count of records")?;
        let got = u64::from(records);
        let records = usize::try_from(records).unwrap_or(usize::MAX);
        if !RECORDS.contains(&records) {
            return Err(CodecError::Value { what: "records of an index", got });
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count == 0 || count > records {
            return Err(CodecError::Bound {
                what: "count of records",
                bound: got,
                got: u64::try_from(count).unwrap_or(0),
            });
        }
        Ok(Self { adapter, version, records, count, tiles: reader.points("index commitments", MAX_REGISTERED_TILES)? })
    }

    /// Checks the number of commitments for a base's architecture, and that the index is this adapter's and of the version
    /// that it names.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn validate(&self, base: &BaseCommitments, adapter: &AdapterCommitments) -> Result<(), KeyError> {
        if adapter.id() != self.adapter || adapter.version != Some(self.version) {
            return Err(KeyError::IndexOf);
        }
        let layout = base.architecture.layout(&index_shape(base.log_tile, self.records))?;
        check_tiles("index", layout.tiles(Region::INDEX, 0).count, &self.tiles)
    }
}
