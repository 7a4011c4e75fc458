//! Lorica's files (`docs/formats.md`): a magic word, a version, bounded contents, a Keccak-256 digest at the end.
//!
//! * [`vk`]: what checking needs: base keys and adapter keys, read from their paths
//! * [`base`], [`adapter`]: what proving needs: a key followed by the integers
//! * [`datanet`]: a datanet's version with its texts, and the cells of its index
//! * [`columns`]: integers in two, four or eight bytes each
//! * [`store`]: bounded reading, atomic writing

pub mod adapter;
pub mod base;
pub mod columns;
pub mod datanet;
mod error;
pub mod store;
pub mod vk;

pub use adapter::AdapterFile;
pub use base::BaseFile;
pub use datanet::{DatanetFile, Description};
pub use error::FileError;
pub use vk::{read_adapter_key, read_base_key, read_index_key};

pub use lorica_verifier::files::magic::{
    ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, BASE_KEY_MAGIC, BASE_MAGIC, DATANET_MAGIC, INDEX_KEY_MAGIC, INDEX_PROOF_MAGIC,
    INDEX_SETTLEMENT_MAGIC, PROOF_MAGIC, SETTLEMENT_KEY_MAGIC, SETTLEMENT_MAGIC, SRS_MAGIC,
};
pub use lorica_verifier::files::vk::VERSION;
pub use lorica_verifier::{AdapterKey, BaseKey, IndexKey};

/// Largest base file: a BERT-large with four bytes per weight and room to spare.
pub const MAX_BASE_BYTES: u64 = 8 << 30;
/// Largest adapter file.
pub const MAX_ADAPTER_BYTES: u64 = 1 << 30;
/// Largest key file.
pub const MAX_KEY_BYTES: u64 = 64 << 20;
/// Largest settlement: thousands of commitments stay below it.
pub const MAX_SETTLEMENT_BYTES: u64 = 1 << 20;
/// Largest proof: sixteen requests with 4,096 sums each stay below it.
pub const MAX_PROOF_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use lorica_verifier::files::codec::{CodecError, Writer};

    use super::*;

    /// Files of the first version hold ids that no record has any more: each says what to do.
    #[test]
    fn files_of_the_first_version_are_refused() {
        let old = |magic| Writer::new(magic, 1).finish();
        let version = |kind, remedy| CodecError::Version { kind, expected: VERSION, got: 1, remedy };
        let (model, adapter) = ("import the model again", "import the adapter again");
        assert_eq!(BaseFile::decode(&old(BASE_MAGIC)).unwrap_err(), version("base", model));
        assert_eq!(BaseKey::decode(&old(BASE_KEY_MAGIC)).unwrap_err(), version("base key", model));
        assert_eq!(BaseKey::decode(&old(BASE_MAGIC)).unwrap_err(), version("base", model));
        assert_eq!(AdapterFile::decode(&old(ADAPTER_MAGIC)).unwrap_err(), version("adapter", adapter));
        assert_eq!(AdapterKey::decode(&old(ADAPTER_KEY_MAGIC)).unwrap_err(), version("adapter key", adapter));
        assert_eq!(AdapterKey::decode(&old(ADAPTER_MAGIC)).unwrap_err(), version("adapter", adapter));
        let sentence = version("base", model).to_string();
        assert_eq!(sentence, "base file has version 1, expected 2: import the model again");
    }
}
