//! Registered records: the bytes whose digest is an id.
//!
//! ```text
//! id = Keccak-256(tag ‖ ..) mod r
//! architecture   tag ‖ family ‖ bytes of the encoding (4) ‖ encoding ‖ τ (4) ‖ SRS digest ‖ [τ]₂ ‖ count (4) ‖ points
//! base           tag ‖ family ‖ points (4) ‖ architecture id ‖ scales word ‖ points
//! adapter        tag ‖ family ‖ points (4) ‖ base id ‖ datanet version id or zero ‖ points
//! datanet        tag ‖ count (4) ‖ records root ‖ contributors digest ‖ rules ‖ licence ‖ standard
//! index          tag ‖ family ‖ points (4) ‖ adapter id ‖ datanet version id ‖ n (4) ‖ count (4) ‖ points
//! ```
//! An adapter may name a datanet version, never an index: an index holds features that the adapter computes, so its id needs
//! the adapter's. `n` is log2 of the records that the index has room for, `count` is how many it has.
//!
//! # Soundness
//! A tag has 32 bytes and no two kinds share one, so a record of one kind is never a record of another, whatever follows the
//! tag. Within a kind each length stands before what it counts, so bytes are read in one way. Two records with one id are a
//! collision of Keccak-256 modulo r.
//!
//! `verifier-contracts/src/Records.sol` writes the same bytes.

use lorica_circuits::families::Family;

use crate::codec::Writer;

/// Bytes of a tag.
pub const TAG_BYTES: usize = 32;

/// Most points of a record that the chain takes: with its calldata it fits into one transaction.
pub const MAX_RECORD_POINTS: usize = 1024;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An architecture with its tables.
    Architecture,
    /// A base model.
    Base,
    /// An adapter of a base.
    Adapter,
    /// A version of a datanet.
    Datanet,
    /// Features of a datanet's records under one adapter.
    Index,
    /// The content of a settlement key. Its circuit id is the digest itself, not reduced.
    SettlementKey,
}

impl RecordKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Architecture, Self::Base, Self::Adapter, Self::Datanet, Self::Index, Self::SettlementKey];

    /// The text of the tag. A number is raised when what follows it changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Architecture => "lorica architecture 2",
            Self::Base => "lorica base 2",
            Self::Adapter => "lorica adapter 2",
            Self::Datanet => "lorica datanet 1",
            Self::Index => "lorica index 1",
            Self::SettlementKey => "lorica settlement key 3",
        }
    }

    /// The tag: the text in ASCII, then zeros.
    #[must_use]
    pub fn tag(self) -> [u8; TAG_BYTES] {
        let mut tag = [0; TAG_BYTES];
        for (target, byte) in tag.iter_mut().zip(self.name().bytes()) {
            *target = byte;
        }
        tag
    }
}

/// Begins a record that has a family.
pub(crate) fn record(kind: RecordKind, family: Family) -> Writer {
    let mut writer = Writer::default();
    writer.bytes(&kind.tag());
    writer.u8(family.byte());
    writer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_one_width_and_are_pairwise_different() {
        for (index, kind) in RecordKind::ALL.into_iter().enumerate() {
            let (name, tag) = (kind.name(), kind.tag());
            assert!(name.is_ascii() && name.len() <= TAG_BYTES && !name.contains('\0'), "{name}");
            assert!(tag.starts_with(name.as_bytes()) && tag[name.len()..].iter().all(|byte| *byte == 0), "{name}");
            assert!(RecordKind::ALL[..index].iter().all(|other| other.tag() != tag), "{name}");
        }
    }
}
