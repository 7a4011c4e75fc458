//! Key files on disk. Their formats are the verifier's ([`lorica_verifier::files::vk`]).

use std::path::Path;

use lorica_verifier::{AdapterKey, BaseKey};

use super::{FileError, MAX_ADAPTER_BYTES, MAX_BASE_BYTES, store};

/// Reads and validates a base's key, from `base.vk` or `base.lorica`.
///
/// # Errors
/// [`FileError`].
pub fn read_base_key(path: &Path) -> Result<BaseKey, FileError> {
    let key = BaseKey::decode(&store::read(path, MAX_BASE_BYTES)?).map_err(FileError::malformed(path))?;
    key.commitments.validate().map_err(|source| FileError::Key { path: path.into(), source })?;
    Ok(key)
}

/// Reads and validates the key of an adapter of this base, from `a.vk` or `a.lorica`.
///
/// # Errors
/// [`FileError`], also if the adapter is another base's.
pub fn read_adapter_key(path: &Path, base: &BaseKey) -> Result<AdapterKey, FileError> {
    let key = AdapterKey::decode(&store::read(path, MAX_ADAPTER_BYTES)?).map_err(FileError::malformed(path))?;
    if key.commitments.base != base.id() {
        return Err(FileError::OtherBase { path: path.into() });
    }
    key.commitments.validate(&base.commitments).map_err(|source| FileError::Key { path: path.into(), source })?;
    Ok(key)
}
