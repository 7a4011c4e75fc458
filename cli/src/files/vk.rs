//! Key files on disk. Their formats are the verifier's ([`lorica_verifier::files::vk`]).

use std::path::Path;

use lorica_quant::import::Tokenizer;
pub use lorica_verifier::files::vk::MAX_LABEL_BYTES;
pub use lorica_verifier::{AdapterKey, BaseKey};

use super::{MAX_ADAPTER_BYTES, MAX_BASE_BYTES, store};
use crate::error::Error;

/// A base's key from its file, and the tokenizer inside it.
pub trait BaseKeyFile: Sized {
    /// Loads and validates a base key from `base.vk` or `base.lorica`.
    ///
    /// # Errors
    /// [`Error`] names the file.
    fn load(path: &Path) -> Result<Self, Error>;

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    fn tokenizer(&self) -> Result<Tokenizer, Error>;
}

impl BaseKeyFile for BaseKey {
    fn load(path: &Path) -> Result<Self, Error> {
        let key = Self::decode(&store::read(path, MAX_BASE_BYTES)?).map_err(Error::file(path))?;
        key.commitments.validate().map_err(|source| Error::Key { path: path.into(), source })?;
        Ok(key)
    }

    fn tokenizer(&self) -> Result<Tokenizer, Error> {
        let architecture = &self.commitments.architecture;
        Ok(Tokenizer::from_bytes(&self.tokenizer_json, architecture.vocab, architecture.max_tokens)?)
    }
}

/// An adapter's key from its file.
pub trait AdapterKeyFile: Sized {
    /// Loads an adapter key from `a.vk` or `a.lorica`.
    ///
    /// # Errors
    /// [`Error`] names the file.
    fn load(path: &Path) -> Result<Self, Error>;

    /// Reads the key and checks that it is one of the base.
    ///
    /// # Errors
    /// [`Error`] if it is not.
    fn load_for(path: &Path, base: &BaseKey) -> Result<Self, Error>;
}

impl AdapterKeyFile for AdapterKey {
    fn load(path: &Path) -> Result<Self, Error> {
        Self::decode(&store::read(path, MAX_ADAPTER_BYTES)?).map_err(Error::file(path))
    }

    fn load_for(path: &Path, base: &BaseKey) -> Result<Self, Error> {
        let key = Self::load(path)?;
        if key.commitments.base != base.id() {
            let reason = "the adapter was imported for another base".to_owned();
            return Err(Error::Refused { path: path.into(), reason });
        }
        key.commitments.validate(&base.commitments).map_err(|source| Error::Key { path: path.into(), source })?;
        Ok(key)
    }
}
