//! Key files on disk. Their formats are the verifier's ([`lorica_verifier::files::vk`]).

use std::path::Path;

use lorica_verifier::files::magic::DATANET_MAGIC;
use lorica_verifier::{AdapterKey, BaseKey, IndexKey};

use super::datanet::MAX_DATANET_BYTES;
use super::{DatanetFile, Description, FileError, MAX_ADAPTER_BYTES, MAX_BASE_BYTES, store};

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

/// Reads the key of a datanet's index, from `d.vk` or `d.lorica`, with what it says of its datanet version. Whose adapter's
/// index it is, every check of a proof that names it tells.
///
/// # Errors
/// [`FileError`], also if the contributors are not those of the datanet version that the index names.
pub fn read_index_key(path: &Path) -> Result<(IndexKey, Description), FileError> {
    let bytes = store::read(path, MAX_DATANET_BYTES)?;
    let key = match bytes.starts_with(DATANET_MAGIC) {
        true => DatanetFile::decode(&bytes).map(|file| file.index_key()),
        false => IndexKey::decode(&bytes),
    };
    let key = key.map_err(FileError::malformed(path))?;
    let description = Description::decode(&key).map_err(FileError::malformed(path))?;
    Ok((key, description))
}
