//! The record of a datanet version, as the registry of commitments keeps it.

use alloy_primitives::{B256, keccak256};
use lorica_circuits::bn254::Fr;
use lorica_verifier::protocol::keccak::keccak_bytes;
use lorica_verifier::protocol::record::RecordKind;

/// What the record of a datanet version is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatanetRecord {
    /// Number of records.
    pub records: u32,
    /// Root of the records' tree.
    pub records_root: B256,
    /// Number of contributors.
    pub contributors: u32,
    /// Root of the contributors' tree.
    pub contributors_root: B256,
    /// Digest of the rules.
    pub rules: B256,
    /// Digest of the licence.
    pub licence: B256,
    /// Digest of the standard.
    pub standard: B256,
}

/// Digest of contributors: their number and the root of their tree.
#[must_use]
pub fn contributors_digest(count: u32, root: B256) -> B256 {
    let mut bytes = b"lorica contributors 2".to_vec();
    bytes.resize(32, 0);
    bytes.extend(count.to_be_bytes());
    bytes.extend(root);
    keccak256(bytes)
}

impl DatanetRecord {
    /// Digest of the contributors: under it they have their account in `AttributionPot`.
    #[must_use]
    pub fn contributors_digest(&self) -> B256 {
        contributors_digest(self.contributors, self.contributors_root)
    }

    /// The bytes whose digest is the version's id.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = RecordKind::Datanet.tag().to_vec();
        bytes.extend(self.records.to_be_bytes());
        for word in [self.records_root, self.contributors_digest(), self.rules, self.licence, self.standard] {
            bytes.extend(word);
        }
        bytes
    }

    /// The version's id.
    #[must_use]
    pub fn id(&self) -> Fr {
        keccak_bytes(&self.encode())
    }
}
