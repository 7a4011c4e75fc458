//! The first eight bytes of each kind of file.

/// A base with its integers, `base.lorica`.
pub const BASE_MAGIC: &[u8; 8] = b"LORICAbm";
/// A base's key, `base.vk`.
pub const BASE_KEY_MAGIC: &[u8; 8] = b"LORICAbk";
/// An adapter with its integers, `a.lorica`.
pub const ADAPTER_MAGIC: &[u8; 8] = b"LORICAam";
/// An adapter's key, `a.vk`.
pub const ADAPTER_KEY_MAGIC: &[u8; 8] = b"LORICAak";
/// A datanet with its index, `d.lorica`.
pub const DATANET_MAGIC: &[u8; 8] = b"LORICAdn";
/// The key of a datanet's index, `d.vk`.
pub const INDEX_KEY_MAGIC: &[u8; 8] = b"LORICAdk";
/// An inference proof.
pub const PROOF_MAGIC: &[u8; 8] = b"LORICApf";
/// A proof that the cells of a datanet's index are in their ranges.
pub const INDEX_PROOF_MAGIC: &[u8; 8] = b"LORICAip";
/// A proof that rows of a datanet's index are the features of texts.
pub const ROW_PROOF_MAGIC: &[u8; 8] = b"LORICArp";
/// A settlement.
pub const SETTLEMENT_MAGIC: &[u8; 8] = b"LORICAst";
/// A settlement of an index proof.
pub const INDEX_SETTLEMENT_MAGIC: &[u8; 8] = b"LORICAis";
/// What checks settlements, `s.vk`.
pub const SETTLEMENT_KEY_MAGIC: &[u8; 8] = b"LORICAsk";
/// What makes settlements: only in the cache.
pub const SETTLEMENT_PROVING_KEY_MAGIC: &[u8; 8] = b"LORICAsp";
/// An SRS. It differs from the others, because files of this kind are older than they.
pub const SRS_MAGIC: &[u8; 8] = b"LoricaS\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// A file is of one kind.
    #[test]
    fn no_two_kinds_share_a_magic_word() {
        let all = [
            BASE_MAGIC,
            BASE_KEY_MAGIC,
            ADAPTER_MAGIC,
            ADAPTER_KEY_MAGIC,
            DATANET_MAGIC,
            INDEX_KEY_MAGIC,
            PROOF_MAGIC,
            INDEX_PROOF_MAGIC,
            ROW_PROOF_MAGIC,
            SETTLEMENT_MAGIC,
            INDEX_SETTLEMENT_MAGIC,
            SETTLEMENT_KEY_MAGIC,
            SETTLEMENT_PROVING_KEY_MAGIC,
            SRS_MAGIC,
        ];
        for (index, magic) in all.iter().enumerate() {
            assert!(!all[..index].contains(magic), "{}", magic.escape_ascii());
        }
    }
}
