//! A version of a datanet: its records, once and for all. No features, no points: the adapter that is trained on it names it.
//!
//! ```text
//! id = Keccak-256(tag ‖ count (4) ‖ records root ‖ contributors digest ‖ rules ‖ licence ‖ standard) mod r
//! record i's leaf = keccak(keccak(i, record digest, label, weight, slot, licence))     six words of 32 bytes
//! contributors digest = keccak("lorica contributors 2" ‖ count (4) ‖ contributors root)
//! slot c's leaf = keccak(keccak(c, contributor word))                                two words of 32 bytes
//! rules = keccak(the rules' bytes), licence = keccak(text), standard = keccak(text)
//! ```
//!
//! The tag is that of [`RecordKind::Datanet`](lorica_verifier::protocol::record::RecordKind). A record's digest is the input digest of its token ids under the salt of the
//! datanet, the same as of a request with that salt. Labels are numbers in the list of names, which belongs to the rules.

pub mod merkle;
pub mod report;

use lorica_chain::alloy_primitives::{B256, keccak256};
use lorica_chain::contracts::registry::{self, DatanetRecord};
use lorica_circuits::bn254::Fr;
use lorica_circuits::shape::LABELS;
use lorica_quant::index::inverse::RIDGE_UNIT;
use lorica_quant::index::{MAX_RECORDS, SLOTS};
use lorica_verifier::files::codec::Writer;
use lorica_verifier::protocol::keccak::{encode_scalar, keccak_bytes};
use lorica_verifier::protocol::record::TAG_BYTES;

use crate::salt::Salt;
use merkle::{MerkleTree, leaf};

/// Version of the rules: raised whenever the same rows would become other records or weights.
pub const RULES_VERSION: u32 = 1;
/// Largest ridge, in thousandths.
pub const MAX_RIDGE: u32 = 1_000 * RIDGE_UNIT;
/// Bytes that the licence and the standard may have each.
pub const MAX_TERMS_BYTES: usize = 64 << 10;

/// Near-duplicates have a Jaccard similarity of 7/10 or more: the threshold in tenths.
pub const TENTHS: usize = 7;
/// Weight of a row without near-duplicates, and of a cluster of them together.
pub const WHOLE_WEIGHT: usize = 240;
/// Bytes that a contributor's name or a row's licence may have.
pub const MAX_NAME_BYTES: usize = 256;
/// Bytes that a row may have.
pub const MAX_ROW_BYTES: usize = 64_000;

/// Who brought a row, as the row says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contributor {
    /// A name.
    Name(String),
    /// An address on the chain.
    Address([u8; 20]),
    /// A digest of somebody's making that stands for a name.
    Hash([u8; 32]),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The text in its one form.
    pub text: String,
    /// Its token ids at the base's tokenizer and limit, special tokens included.
    pub ids: Vec<u32>,
    /// The input digest of the ids under the datanet's salt.
    pub digest: Fr,
    /// Index of the label.
    pub label: u8,
    /// 1 to 240.
    pub weight: u8,
    /// Slot of the contributor: its place in the list.
    pub slot: u16,
    /// Its own licence, empty if it names none and the datanet's holds.
    pub licence: String,
}

/// By which rules rows became records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Names of the labels, in the order of the adapter's.
    pub labels: Vec<String>,
    /// Ridge of the index, in thousandths of the mean eigenvalue.
    pub ridge: u32,
    /// Tokens that a text may have.
    pub max_tokens: usize,
    /// The version of Unicode whose tables normalised the texts.
    pub unicode: [u8; 3],
}

impl Rules {
    /// Rules as this program has them.
    #[must_use]
    pub fn new(labels: Vec<String>, ridge: u32, max_tokens: usize) -> Self {
        let (major, minor, update) = unicode_normalization::UNICODE_VERSION;
        Self { labels, ridge, max_tokens, unicode: [major, minor, update] }
    }

    /// Version (4), threshold of near-duplicates in tenths (4), weight of a cluster (4), ridge (4), tokens (4), version of Unicode
    /// (3), names of the labels, all counted.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u32(RULES_VERSION);
        writer.count(TENTHS);
        writer.count(WHOLE_WEIGHT);
        writer.u32(self.ridge);
        writer.count(self.max_tokens);
        writer.bytes(&self.unicode);
        writer.count(self.labels.len());
        self.labels.iter().for_each(|label| writer.counted(label.as_bytes()));
        writer.content().to_vec()
    }
}

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The records, 1 to 65,536.
    pub records: Vec<Record>,
    /// Contributors in the order in which they first bring a record; a slot is a place here. At most 1,024.
    pub contributors: Vec<Contributor>,
    /// The rules.
    pub rules: Rules,
    /// The licence of all records that name none.
    pub licence: String,
    /// What a record should be, for people.
    pub standard: String,
    /// The salt of the records' digests. Whoever knows it can test whether a text is a record.
    pub salt: Salt,
}

/// A tag: ASCII, then zeros.
fn tag(name: &str) -> [u8; TAG_BYTES] {
    let mut tag = [0; TAG_BYTES];
    tag[..name.len()].copy_from_slice(name.as_bytes());
    tag
}

/// A number as a word.
fn number(value: usize) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&(value as u64).to_be_bytes());
    word
}

/// The word of a contributor: the digest of a tag for its kind and what it is.
#[must_use]
pub fn contributor_word(contributor: &Contributor) -> B256 {
    let (name, bytes): (&str, &[u8]) = match contributor {
        Contributor::Name(name) => ("lorica contributor name 1", name.as_bytes()),
        Contributor::Address(address) => ("lorica contributor address 1", address),
        Contributor::Hash(hash) => ("lorica contributor hash 1", hash),
    };
    keccak256([&tag(name), bytes].concat())
}

/// The tree of contributors in their order, by which one shows on chain who has a slot; `None` without contributors.
#[must_use]
pub fn contributors_tree(contributors: &[Contributor]) -> Option<MerkleTree> {
    let leaves: Vec<B256> = contributors
        .iter()
        .enumerate()
        .map(|(slot, contributor)| leaf(&[number(slot), contributor_word(contributor).0]))
        .collect();
    MerkleTree::new(&leaves)
}

/// Digest of contributors in their order: their number and the root of their tree.
#[must_use]
pub fn contributors_digest(contributors: &[Contributor]) -> B256 {
    let root = contributors_tree(contributors).map(|tree| tree.root()).unwrap_or_default();
    registry::contributors_digest(contributors.len() as u32, root)
}

/// The word of a text of terms.
fn text_word(text: &str) -> B256 {
    keccak256(text.as_bytes())
}

impl Record {
    /// The leaf of record `index`. Its licence is the digest of the licence's text, zero for none.
    #[must_use]
    pub fn leaf(&self, index: usize) -> B256 {
        let licence = if self.licence.is_empty() { [0; 32] } else { text_word(&self.licence).0 };
        leaf(&[
            number(index),
            encode_scalar(&self.digest),
            number(self.label.into()),
            number(self.weight.into()),
            number(self.slot.into()),
            licence,
        ])
    }

    /// Its class vector: the weight at its label.
    #[must_use]
    pub fn class(&self) -> [u8; LABELS] {
        let mut class = [0; LABELS];
        if let Some(entry) = class.get_mut(usize::from(self.label)) {
            *entry = self.weight;
        }
        class
    }
}

impl Version {
    /// The tree of the records; `None` without records.
    #[must_use]
    pub fn tree(&self) -> Option<MerkleTree> {
        let leaves: Vec<B256> = self.records.iter().enumerate().map(|(i, record)| record.leaf(i)).collect();
        MerkleTree::new(&leaves)
    }

    /// Digest of the contributors in their order.
    #[must_use]
    pub fn contributors_digest(&self) -> B256 {
        contributors_digest(&self.contributors)
    }

    /// The record whose digest is the id.
    #[must_use]
    pub fn record(&self, root: B256) -> Vec<u8> {
        let record = DatanetRecord {
            records: self.records.len() as u32,
            records_root: root,
            contributors: self.contributors.len() as u32,
            contributors_root: contributors_tree(&self.contributors).map(|tree| tree.root()).unwrap_or_default(),
            rules: keccak256(self.rules.encode()),
            licence: text_word(&self.licence),
            standard: text_word(&self.standard),
        };
        record.encode()
    }

    /// The version's id.
    #[must_use]
    pub fn id(&self) -> Fr {
        let root = self.tree().map_or(B256::ZERO, |tree| tree.root());
        keccak_bytes(&self.record(root))
    }

    /// Of each record its class vector.
    #[must_use]
    pub fn classes(&self) -> Vec<[u8; LABELS]> {
        self.records.iter().map(Record::class).collect()
    }

    /// Of each record its slot.
    #[must_use]
    pub fn slots(&self) -> Vec<u16> {
        self.records.iter().map(|record| record.slot).collect()
    }

    /// What a version may not be, as the name of the field and its value.
    pub(crate) fn fault(&self) -> Option<(&'static str, u64)> {
        let within = |what, value: usize, low: usize, high: usize| {
            (!(low..=high).contains(&value)).then_some((what, value as u64))
        };
        let outer = [
            within("records of a datanet", self.records.len(), 1, MAX_RECORDS),
            within("contributors of a datanet", self.contributors.len(), 1, SLOTS),
            within("labels of a datanet", self.rules.labels.len(), 1, LABELS),
            within("ridge of a datanet", self.rules.ridge as usize, 1, MAX_RIDGE as usize),
        ];
        let record = |record: &Record| {
            [
                within("label of a record", record.label.into(), 0, self.rules.labels.len().saturating_sub(1)),
                within("weight of a record", record.weight.into(), 1, WHOLE_WEIGHT),
                within("slot of a record", record.slot.into(), 0, self.contributors.len().saturating_sub(1)),
                within("tokens of a record", record.ids.len(), 2, self.rules.max_tokens),
            ]
        };
        outer.into_iter().chain(self.records.iter().flat_map(record)).flatten().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        let record = |text: &str, digest: u64, label, weight, slot, licence: &str| Record {
            text: text.into(),
            ids: vec![2, 7, 3],
            digest: Fr::from(digest),
            label,
            weight,
            slot,
            licence: licence.into(),
        };
        Version {
            records: vec![record("a", 5, 1, 240, 0, ""), record("b", 6, 0, 80, 1, "MIT"), record("c", 7, 1, 80, 0, "")],
            contributors: vec![Contributor::Name("Ada".into()), Contributor::Address([0x11; 20])],
            rules: Rules {
                labels: vec!["no".into(), "yes".into()],
                ridge: 1_000,
                max_tokens: 128,
                unicode: [16, 0, 0],
            },
            licence: "CC0-1.0".into(),
            standard: "One sentence each.".into(),
            salt: [9; 31],
        }
    }

    fn word(hex_digits: &str) -> Vec<u8> {
        hex::decode(format!("{hex_digits:0>64}")).unwrap()
    }

    /// Leaf and id from bytes that are put together by hand.
    #[test]
    fn ids_are_what_the_document_says() {
        let version = version();
        let licence = keccak256("MIT");
        let words = [word("1"), word("6"), word("0"), word("50"), word("1"), licence.to_vec()].concat();
        assert_eq!(version.records[1].leaf(1), keccak256(keccak256(words)));
        let words = [word("2"), word("7"), word("1"), word("50"), word("0"), word("0")].concat();
        assert_eq!(version.records[2].leaf(2), keccak256(keccak256(words)));

        let padded = |name: &str| [name.as_bytes(), &vec![0; 32 - name.len()]].concat();
        let ada = keccak256([padded("lorica contributor name 1"), b"Ada".to_vec()].concat());
        let account = keccak256([padded("lorica contributor address 1"), vec![0x11; 20]].concat());
        let slot = |digit: &str, word: B256| keccak256(keccak256([self::word(digit), word.to_vec()].concat()));
        let mut leaves = [slot("0", ada), slot("1", account)];
        leaves.sort_unstable();
        let root = keccak256(leaves.concat());
        let contributors = keccak256([padded("lorica contributors 2"), vec![0, 0, 0, 2], root.to_vec()].concat());
        assert_eq!(version.contributors_digest(), contributors);

        let rules = "0000000100000007000000f0000003e800000080100000000000020000000".to_owned();
        let rules = hex::decode(rules + "26e6f00000003796573").unwrap();
        assert_eq!(version.rules.encode(), rules);
        let root = version.tree().unwrap().root();
        let record = [
            padded("lorica datanet 1"),
            vec![0, 0, 0, 3],
            root.to_vec(),
            contributors.to_vec(),
            keccak256(rules).to_vec(),
            keccak256("CC0-1.0").to_vec(),
            keccak256("One sentence each.").to_vec(),
        ]
        .concat();
        assert_eq!(version.record(root), record);
        assert_eq!(version.id(), lorica_verifier::protocol::keccak::reduce(keccak256(record).0));
    }

    /// Whatever a version says is in its id. Texts and ids are by the record's digest; the salt is in nothing else.
    #[test]
    fn every_field_changes_the_id() {
        let id = version().id();
        let changes: [fn(&mut Version); 13] = [
            |v| v.records[0].digest += Fr::one(),
            |v| v.records[0].label = 0,
            |v| v.records[0].weight = 120,
            |v| v.records[0].slot = 1,
            |v| v.records[0].licence = "MIT".into(),
            |v| v.records.swap(0, 2),
            |v| drop(v.records.pop()),
            |v| v.contributors.swap(0, 1),
            |v| v.contributors[0] = Contributor::Hash([0; 32]),
            |v| v.rules.labels.swap(0, 1),
            |v| v.rules.ridge += 1,
            |v| v.licence.push('x'),
            |v| v.standard.push('x'),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = version();
            change(&mut other);
            assert_ne!(other.id(), id, "change {index}");
        }
    }

    /// A name, an address and a digest of the same bytes are three contributors.
    #[test]
    fn kinds_of_contributors_are_apart() {
        let name = Contributor::Name("\u{1}".repeat(20));
        assert_ne!(contributor_word(&name), contributor_word(&Contributor::Address([1; 20])));
        let name = Contributor::Name("\u{1}".repeat(32));
        assert_ne!(contributor_word(&name), contributor_word(&Contributor::Hash([1; 32])));
    }

    #[test]
    fn versions_out_of_bounds_have_a_fault() {
        let fault = |change: fn(&mut Version)| {
            let mut version = version();
            change(&mut version);
            version.fault()
        };
        assert_eq!(fault(|_| {}), None);
        assert_eq!(fault(|v| v.records.clear()), Some(("records of a datanet", 0)));
        assert_eq!(fault(|v| v.records[1].label = 2), Some(("label of a record", 2)));
        assert_eq!(fault(|v| v.records[1].weight = 0), Some(("weight of a record", 0)));
        assert_eq!(fault(|v| v.records[1].weight = 241), Some(("weight of a record", 241)));
        assert_eq!(fault(|v| v.records[1].slot = 2), Some(("slot of a record", 2)));
        assert_eq!(fault(|v| v.records[1].ids.clear()), Some(("tokens of a record", 0)));
        assert_eq!(fault(|v| v.contributors.clear()), Some(("contributors of a datanet", 0)));
        assert_eq!(fault(|v| v.rules.ridge = 0), Some(("ridge of a datanet", 0)));
    }
}
