//! Key files: what checking a proof needs, without any weight.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use lorica_circuits::bn254::{Fr, G2Affine};
use lorica_circuits::shape::LABELS;

use crate::codec::{CodecError, Reader, Writer};
use crate::magic::{ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, BASE_KEY_MAGIC, BASE_MAGIC, INDEX_KEY_MAGIC};
use crate::protocol::group::VerifierKey;
use crate::protocol::key::{AdapterCommitments, BaseCommitments, IndexCommitments};

/// Version of the files of bases and adapters and of their keys.
pub const VERSION: u16 = 2;
/// Largest `tokenizer.json`.
pub const MAX_TOKENIZER_BYTES: usize = 64 << 20;
/// Largest name of a label, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 256;

/// Key of a base: the content of `base.vk`, and the beginning of `base.lorica`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseKey {
    /// Architecture, scales, commitments, SRS digest and `[τ]₂`.
    pub commitments: BaseCommitments,
    /// Whether the base can classify.
    pub has_pooler: bool,
    /// A mean embedding is `sums / (length·2^exponent)`.
    pub output_exponent: i32,
    /// `tokenizer.json`, which nothing here reads.
    pub tokenizer_json: Vec<u8>,
}

impl BaseKey {
    /// The base's id.
    #[must_use]
    pub fn id(&self) -> Fr {
        self.commitments.id()
    }

    /// The points of the SRS that checking needs.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey::new(G2Affine::generator(), self.commitments.tau_g2)
    }

    /// Writes all fields.
    pub fn write_body(&self, writer: &mut Writer) {
        self.commitments.write(writer);
        writer.u8(u8::from(self.has_pooler));
        writer.i64(self.output_exponent.into());
        writer.count(self.tokenizer_json.len());
        writer.counted(&deflate(&self.tokenizer_json));
    }

    /// Reads all fields.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn read_body(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            commitments: BaseCommitments::read(reader)?,
            has_pooler: read_flag(reader, "has pooler")?,
            output_exponent: read_exponent(reader)?,
            tokenizer_json: {
                let length = reader.u32("length of the tokenizer")?;
                inflate(reader.counted("tokenizer", MAX_TOKENIZER_BYTES)?, length)?
            },
        })
    }

    /// The file `base.vk`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(BASE_KEY_MAGIC, VERSION);
        self.write_body(&mut writer);
        writer.finish()
    }

    /// Reads `base.vk`, or the key inside `base.lorica`. That the commitments fit the architecture is still to be checked
    /// ([`BaseCommitments::validate`]; every check of a proof does so).
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.starts_with(BASE_MAGIC) {
            return Self::read_body(&mut Reader::new(bytes, "base", BASE_MAGIC, VERSION)?);
        }
        let mut reader = Reader::new(bytes, "base key", BASE_KEY_MAGIC, VERSION)?;
        let key = Self::read_body(&mut reader)?;
        reader.finish()?;
        Ok(key)
    }
}

/// Key of an adapter: the content of `a.vk`, and the beginning of `a.lorica`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterKey {
    /// Base id and commitments.
    pub commitments: AdapterCommitments,
    /// Whether the adapter classifies.
    pub has_head: bool,
    /// Names of the labels; no part of the adapter's id.
    pub labels: Vec<String>,
}

impl AdapterKey {
    /// The adapter's id.
    #[must_use]
    pub fn id(&self) -> Fr {
        self.commitments.id()
    }

    /// The name of a label.
    #[must_use]
    pub fn label(&self, index: usize) -> Option<&str> {
        self.labels.get(index).map(String::as_str)
    }

    /// Writes all fields.
    pub fn write_body(&self, writer: &mut Writer) {
        self.commitments.write(writer);
        writer.u8(u8::from(self.has_head));
        writer.count(self.labels.len());
        self.labels.iter().for_each(|label| writer.counted(label.as_bytes()));
    }

    /// Reads all fields.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn read_body(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let commitments = AdapterCommitments::read(reader)?;
        let has_head = read_flag(reader, "has head")?;
        let count = reader.count("labels", LABELS, 4)?;
        let mut labels = Vec::with_capacity(count);
        for index in 0..count {
            let name = std::str::from_utf8(reader.counted("label", MAX_LABEL_BYTES)?)
                .map_err(|_| CodecError::Value { what: "label that is not UTF-8", got: number(index) })?;
            labels.push(name.to_owned());
        }
        if has_head == labels.is_empty() {
            return Err(CodecError::Value { what: "labels of an adapter", got: number(count) });
        }
        Ok(Self { commitments, has_head, labels })
    }

    /// The file `a.vk`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(ADAPTER_KEY_MAGIC, VERSION);
        self.write_body(&mut writer);
        writer.finish()
    }

    /// Reads `a.vk`, or the key inside `a.lorica`. That it is a key of the base that is meant is still to be checked
    /// ([`AdapterCommitments::validate`]; every check of a proof does so for the adapters that the proof uses).
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.starts_with(ADAPTER_MAGIC) {
            return Self::read_body(&mut Reader::new(bytes, "adapter", ADAPTER_MAGIC, VERSION)?);
        }
        let mut reader = Reader::new(bytes, "adapter key", ADAPTER_KEY_MAGIC, VERSION)?;
        let key = Self::read_body(&mut reader)?;
        reader.finish()?;
        Ok(key)
    }
}

/// Version of the keys of indexes.
pub const INDEX_VERSION: u16 = 1;
/// Most bytes of an index key's description.
pub const MAX_DESCRIPTION_BYTES: usize = 1 << 20;

/// Key of a datanet's index under one adapter: the content of `d.vk`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexKey {
    /// Adapter, datanet version, size and commitments.
    pub commitments: IndexCommitments,
    /// The record of the datanet version and its contributors, which nothing here reads (`docs/formats.md`): no part of a check
    /// of a proof.
    pub description: Vec<u8>,
}

impl IndexKey {
    /// The index' id.
    #[must_use]
    pub fn id(&self) -> Fr {
        self.commitments.id()
    }

    /// The file `d.vk`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(INDEX_KEY_MAGIC, INDEX_VERSION);
        self.commitments.write(&mut writer);
        writer.counted(&self.description);
        writer.finish()
    }

    /// Reads `d.vk`. That it is an index of the adapter that is meant is still to be checked
    /// ([`IndexCommitments::validate`]; every check of a proof that names it does so).
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes, "index key", INDEX_KEY_MAGIC, INDEX_VERSION)?;
        let commitments = IndexCommitments::read(&mut reader)?;
        let description = reader.counted("description of an index", MAX_DESCRIPTION_BYTES)?.to_vec();
        reader.finish()?;
        Ok(Self { commitments, description })
    }
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn read_flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool, CodecError> {
    match reader.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        got => Err(CodecError::Value { what, got: got.into() }),
    }
}

/// A scale exponent, within ±64.
///
/// # Errors
/// [`CodecError`].
pub fn read_exponent(reader: &mut Reader<'_>) -> Result<i32, CodecError> {
    let got = reader.i64("scale exponent")?;
    i32::try_from(got)
        .ok()
        .filter(|exponent| exponent.unsigned_abs() <= 64)
        .ok_or(CodecError::Value { what: "scale exponent", got: got.cast_unsigned() })
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_else(|error| unreachable!("writing into memory: {error}"))
}

/// Raw DEFLATE of exactly `length` bytes; memory is bounded by the declared length, which is bounded too.
fn inflate(bytes: &[u8], length: u32) -> Result<Vec<u8>, CodecError> {
    let what = "tokenizer";
    let got = u64::from(length);
    if got > number(MAX_TOKENIZER_BYTES) {
        return Err(CodecError::Bound { what, bound: number(MAX_TOKENIZER_BYTES), got });
    }
    let mut inflated = Vec::new();
    let read = DeflateDecoder::new(bytes).take(got.saturating_add(1)).read_to_end(&mut inflated);
    if read.is_err() || number(inflated.len()) != got {
        return Err(CodecError::Value { what: "compressed tokenizer", got: number(inflated.len()) });
    }
    Ok(inflated)
}
