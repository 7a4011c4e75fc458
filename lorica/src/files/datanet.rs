//! A datanet's `.lorica`: its version with texts and salt, and the cells of its index. For members only.

use std::path::Path;

use lorica_chain::alloy_primitives::{Address, B256, U256};
use lorica_chain::contracts::attribution::Slot;
use lorica_chain::contracts::registry::DatanetRecord;
use lorica_circuits::bn254::Fr;
use lorica_circuits::layout::MAX_REGISTERED_TILES;
use lorica_circuits::shape::{LABELS, MAX_TOKENS};
use lorica_quant::index::{IndexCells, MAX_RECORDS, SLOTS};
use lorica_verifier::IndexKey;
use lorica_verifier::files::codec::{CodecError, Reader, Writer};
use lorica_verifier::files::magic::DATANET_MAGIC;
use lorica_verifier::files::vk::MAX_LABEL_BYTES;
use lorica_verifier::protocol::keccak::keccak_bytes;
use lorica_verifier::protocol::key::IndexCommitments;

use super::{FileError, store};
use crate::datanet_version::report::Report;
use crate::datanet_version::{
    Contributor, MAX_NAME_BYTES, MAX_ROW_BYTES, MAX_TERMS_BYTES, Record, Rules, Version, contributors_digest,
    contributors_tree,
};

/// Version of the format.
pub const DATANET_VERSION: u16 = 1;
/// Largest datanet: all that may be read as rows, and the cells of 65,536 records with 1,024 channels.
pub const MAX_DATANET_BYTES: u64 = 1 << 30;
/// Bytes of the report.
const MAX_REPORT_BYTES: usize = 4 << 20;
/// Channels of a pooled vector.
const MAX_HIDDEN: usize = 4_096;

/// A datanet with its committed index.
#[derive(Clone, Debug, PartialEq)]
pub struct DatanetFile {
    /// Id of the base.
    pub base: Fr,
    /// The index' commitments: adapter, size, points.
    pub key: IndexCommitments,
    /// The coefficient by which each tile is blinded. Whoever knows them and the records of another version can tell the two apart.
    pub blinding: Vec<Fr>,
    /// The version.
    pub version: Version,
    /// The cells of the index.
    pub cells: IndexCells,
    /// log2 of the scale of the index's matrix.
    pub exponent: i32,
    /// What the build measured.
    pub report: Report,
}

impl DatanetFile {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { base, key, blinding, version, cells, exponent, report } = self;
        let Version { records, contributors, rules, licence, standard, salt } = version;
        let mut writer = Writer::new(DATANET_MAGIC, DATANET_VERSION);
        writer.scalar(base);
        key.write(&mut writer);
        writer.scalars(blinding.iter());
        writer.bytes(salt);
        let Rules { labels, ridge, max_tokens, unicode } = rules;
        writer.u32(*ridge);
        writer.count(*max_tokens);
        writer.bytes(unicode);
        writer.count(labels.len());
        labels.iter().for_each(|label| writer.counted(label.as_bytes()));
        writer.counted(licence.as_bytes());
        writer.counted(standard.as_bytes());
        write_contributors(&mut writer, contributors);
        writer.count(records.len());
        for record in records {
            let Record { text, ids, digest, label, weight, slot, licence } = record;
            writer.counted(text.as_bytes());
            writer.count(ids.len());
            ids.iter().for_each(|&id| writer.u32(id));
            writer.scalar(digest);
            writer.u8(*label);
            writer.u8(*weight);
            writer.bytes(&slot.to_be_bytes());
            writer.counted(licence.as_bytes());
        }
        // Classes and slots are the version's.
        let IndexCells { hidden_size, count: _, features, classes: _, slots: _, inverse, bias, corner } = cells;
        writer.count(*hidden_size);
        writer.i64((*exponent).into());
        for list in [features, inverse, bias] {
            writer.bytes(&list.iter().flat_map(|cell| cell.to_le_bytes()).collect::<Vec<u8>>());
        }
        writer.bytes(&corner.to_le_bytes());
        writer.counted(&serde_json::to_vec(report).unwrap_or_default());
        writer.finish()
    }

    /// Reads the file and checks that its parts fit.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes, "datanet", DATANET_MAGIC, DATANET_VERSION)?;
        let base = reader.scalar("base id")?;
        let key = IndexCommitments::read(&mut reader)?;
        let blinding = reader.scalars("blinding of an index", MAX_REGISTERED_TILES)?;
        if blinding.len() != key.tiles.len() {
            return Err(CodecError::Value { what: "blinding of an index", got: blinding.len() as u64 });
        }
        let salt = reader.array("salt")?;
        let ridge = reader.u32("ridge of a datanet")?;
        let max_tokens = reader.u32("token limit")?;
        let max_tokens = usize::try_from(max_tokens)
            .ok()
            .filter(|tokens| (2..=MAX_TOKENS).contains(tokens))
            .ok_or(CodecError::Value { what: "token limit", got: max_tokens.into() })?;
        let unicode = reader.array("Unicode version")?;
        let labels = (0..reader.count("labels", LABELS, 4)?)
            .map(|_| text(&mut reader, "name of a label", MAX_LABEL_BYTES))
            .collect::<Result<_, _>>()?;
        let rules = Rules { labels, ridge, max_tokens, unicode };
        let licence = text(&mut reader, "licence", MAX_TERMS_BYTES)?;
        let standard = text(&mut reader, "standard", MAX_TERMS_BYTES)?;
        let contributors = read_contributors(&mut reader)?;
        let records = (0..reader.count("records", MAX_RECORDS, 52)?)
            .map(|_| record(&mut reader))
            .collect::<Result<_, CodecError>>()?;
        let version = Version { records, contributors, rules, licence, standard, salt };
        if let Some((what, got)) = version.fault() {
            return Err(CodecError::Value { what, got });
        }
        if (version.records.len(), version.id()) != (key.count, key.version) {
            return Err(CodecError::Value {
                what: "records that are not the index'",
                got: version.records.len() as u64,
            });
        }
        let hidden_size = reader.count("channels", MAX_HIDDEN, 2)?;
        let exponent = reader.i64("exponent of the matrix")?;
        let exponent = i32::try_from(exponent)
            .map_err(|_| CodecError::Value { what: "exponent of the matrix", got: exponent.unsigned_abs() })?;
        let count = version.records.len();
        let cells = IndexCells {
            hidden_size,
            count,
            features: cells(&mut reader, count * hidden_size)?,
            classes: version.classes(),
            slots: version.slots(),
            inverse: cells(&mut reader, hidden_size * hidden_size)?,
            bias: cells(&mut reader, hidden_size)?,
            corner: i16::from_le_bytes(reader.array("cells of the index")?),
        };
        let report = reader.counted("report", MAX_REPORT_BYTES)?;
        let report = serde_json::from_slice(report)
            .map_err(|_| CodecError::Value { what: "bytes of the report", got: report.len() as u64 })?;
        reader.finish()?;
        Ok(Self { base, key, blinding, version, cells, exponent, report })
    }

    /// The content of the `d.vk`: for everybody, without texts.
    #[must_use]
    pub fn index_key(&self) -> IndexKey {
        IndexKey { commitments: self.key.clone(), description: Description::of(&self.version).encode() }
    }

    /// Loads a datanet.
    ///
    /// # Errors
    /// [`FileError`] names the file.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        Self::decode(&store::read(path, MAX_DATANET_BYTES)?).map_err(FileError::malformed(path))
    }

    /// Writes the `.lorica` and the `.vk` beside it. Returns their sizes.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn store(&self, path: &Path) -> Result<(u64, u64), FileError> {
        let (datanet, key) = (self.encode(), self.index_key().encode());
        store::write(path, &datanet)?;
        store::write(&store::key_path(path), &key)?;
        Ok((datanet.len() as u64, key.len() as u64))
    }
}

fn text(reader: &mut Reader<'_>, what: &'static str, most: usize) -> Result<String, CodecError> {
    let bytes = reader.counted(what, most)?;
    let text =
        std::str::from_utf8(bytes).map_err(|error| CodecError::Value { what, got: error.valid_up_to() as u64 })?;
    Ok(text.to_owned())
}

/// What an index' key says of its datanet version: the version's record, whose digest is its id, and the contributors in the
/// order of their slots, whose digest is in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The bytes whose digest is the version's id.
    pub record: Vec<u8>,
    /// Contributors by slot.
    pub contributors: Vec<Contributor>,
}

/// Where the number of records stands in a version's record: behind the tag.
const COUNT: std::ops::Range<usize> = 32..36;
/// Where the root of the records begins.
const RECORDS_ROOT: usize = 36;
/// Where the contributors' digest stands in a version's record: behind tag, count and root.
const CONTRIBUTORS_DIGEST: std::ops::Range<usize> = 68..100;

impl Description {
    /// Of a version.
    #[must_use]
    pub fn of(version: &Version) -> Self {
        let root = version.tree().map(|tree| tree.root()).unwrap_or_default();
        Self { record: version.record(root), contributors: version.contributors.clone() }
    }

    /// What a contract is told of the version.
    #[must_use]
    pub fn on_chain(&self) -> DatanetRecord {
        let word =
            |at: usize| B256::from(self.record.get(at..at + 32).and_then(|w| w.try_into().ok()).unwrap_or([0; 32]));
        let count = |list: usize| u32::try_from(list).unwrap_or(u32::MAX);
        let records = self.record.get(COUNT).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
        DatanetRecord {
            records,
            records_root: word(RECORDS_ROOT),
            contributors: count(self.contributors.len()),
            contributors_root: contributors_tree(&self.contributors).map(|tree| tree.root()).unwrap_or_default(),
            rules: word(CONTRIBUTORS_DIGEST.end),
            licence: word(CONTRIBUTORS_DIGEST.end + 32),
            standard: word(CONTRIBUTORS_DIGEST.end + 64),
        }
    }

    /// What shows on chain that a slot is its contributor's; none if there is no such slot. `salt` opens a contributor that is a
    /// digest.
    #[must_use]
    pub fn slot(&self, slot: u16, salt: Option<B256>) -> Option<Slot> {
        let tree = contributors_tree(&self.contributors)?;
        let path = tree.path(usize::from(slot))?;
        let DatanetRecord { contributors: count, contributors_root: root, .. } = self.on_chain();
        Some(Slot { count, root, slot: U256::from(slot), path, salt })
    }

    /// The slot of an account that contributes by its address.
    #[must_use]
    pub fn slot_of(&self, account: Address) -> Option<u16> {
        let own = Contributor::Address(account.into());
        let slot = self.contributors.iter().position(|contributor| *contributor == own)?;
        u16::try_from(slot).ok()
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.counted(&self.record);
        write_contributors(&mut writer, &self.contributors);
        writer.content().to_vec()
    }

    /// Reads the description of an index' key, and checks that it is of the key's version.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(key: &IndexKey) -> Result<Self, CodecError> {
        let mut reader = Reader::content(&key.description);
        let record = reader.counted("record of a datanet version", 1 << 10)?.to_vec();
        let contributors = read_contributors(&mut reader)?;
        reader.finish()?;
        let digest = record.get(CONTRIBUTORS_DIGEST);
        if keccak_bytes(&record) != key.commitments.version
            || digest != Some(contributors_digest(&contributors).as_slice())
        {
            return Err(CodecError::Value {
                what: "contributors of another datanet version",
                got: contributors.len() as u64,
            });
        }
        Ok(Self { record, contributors })
    }
}

fn write_contributors(writer: &mut Writer, contributors: &[Contributor]) {
    writer.count(contributors.len());
    for contributor in contributors {
        let (kind, bytes): (u8, &[u8]) = match contributor {
            Contributor::Name(name) => (0, name.as_bytes()),
            Contributor::Address(address) => (1, address),
            Contributor::Hash(hash) => (2, hash),
        };
        writer.u8(kind);
        writer.counted(bytes);
    }
}

fn read_contributors(reader: &mut Reader<'_>) -> Result<Vec<Contributor>, CodecError> {
    (0..reader.count("contributors", SLOTS, 5)?).map(|_| contributor(reader)).collect()
}

fn contributor(reader: &mut Reader<'_>) -> Result<Contributor, CodecError> {
    let what = "contributor";
    let kind = reader.u8(what)?;
    let length = |bytes: &[u8]| CodecError::Value { what: "bytes of a contributor", got: bytes.len() as u64 };
    Ok(match kind {
        0 => Contributor::Name(text(reader, what, MAX_NAME_BYTES)?),
        1 => {
            let bytes = reader.counted(what, 20)?;
            Contributor::Address(bytes.try_into().map_err(|_| length(bytes))?)
        }
        2 => {
            let bytes = reader.counted(what, 32)?;
            Contributor::Hash(bytes.try_into().map_err(|_| length(bytes))?)
        }
        got => return Err(CodecError::Value { what: "kind of contributor", got: got.into() }),
    })
}

fn record(reader: &mut Reader<'_>) -> Result<Record, CodecError> {
    let text_of = text(reader, "text", MAX_ROW_BYTES)?;
    let ids =
        (0..reader.count("token ids", MAX_TOKENS, 4)?).map(|_| reader.u32("token id")).collect::<Result<_, _>>()?;
    Ok(Record {
        text: text_of,
        ids,
        digest: reader.scalar("record digest")?,
        label: reader.u8("label")?,
        weight: reader.u8("weight")?,
        slot: u16::from_be_bytes(reader.array("slot")?),
        licence: text(reader, "licence of a record", MAX_NAME_BYTES)?,
    })
}

fn cells(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i16>, CodecError> {
    let bytes = reader.bytes(count * 2, "cells of the index")?;
    Ok(bytes.as_chunks().0.iter().map(|&cell| i16::from_le_bytes(cell)).collect())
}

#[cfg(test)]
#[path = "datanet_tests.rs"]
mod tests;
