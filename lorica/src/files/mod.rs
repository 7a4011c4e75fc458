//! Lorica's files (`docs/formats.md`): a magic word, a version, bounded contents, a Keccak-256 digest at the end.
//!
//! * [`vk`]: what checking needs: base keys and adapter keys
//! * [`base`], [`adapter`]: what proving needs: a key followed by the integers
//! * [`columns`]: integers in two, four or eight bytes each
//! * [`store`]: bounded reading, atomic writing

pub mod adapter;
pub mod base;
pub mod columns;
mod error;
pub mod store;
pub mod vk;

pub use adapter::AdapterFile;
pub use base::BaseFile;
pub use error::FileError;
pub use vk::{AdapterKey, BaseKey};

/// Magic word of `base.lorica`.
pub const BASE_MAGIC: &[u8; 8] = b"LORICAbm";
/// Magic word of `base.vk`.
pub const BASE_KEY_MAGIC: &[u8; 8] = b"LORICAbk";
/// Magic word of an adapter's `.lorica`.
pub const ADAPTER_MAGIC: &[u8; 8] = b"LORICAam";
/// Magic word of an adapter's `.vk`.
pub const ADAPTER_KEY_MAGIC: &[u8; 8] = b"LORICAak";
/// Magic word of a proof (written by the verifier crate).
pub const PROOF_MAGIC: &[u8; 8] = b"LORICApf";
/// Magic word of an SRS (written by the prover crate).
pub const SRS_MAGIC: &[u8; 8] = b"LoricaS\n";
/// Magic word of a settlement (written by the settlement crate).
pub const SETTLEMENT_MAGIC: &[u8; 8] = b"LORICAst";
/// Magic word of a settlement key (written by the settlement crate).
pub const SETTLEMENT_KEY_MAGIC: &[u8; 8] = b"LORICAsk";
/// Version of the four key and model files.
pub const VERSION: u16 = 2;

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
    use lorica_verifier::codec::{CodecError, Writer};

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
