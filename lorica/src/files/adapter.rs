//! An adapter's `.lorica`: its key and its integers.

use std::path::Path;

use lorica_circuits::region::Region;
use lorica_quant::integer::AdapterModel;
use lorica_verifier::files::codec::{CodecError, Reader, Writer};

use super::columns::{read_columns, write_columns};
use super::{ADAPTER_MAGIC, AdapterKey, BaseKey, FileError, MAX_ADAPTER_BYTES, VERSION, store};

/// A registered adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterFile {
    /// The content of its `.vk`.
    pub key: AdapterKey,
    /// The integers.
    pub model: AdapterModel,
}

impl AdapterFile {
    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(ADAPTER_MAGIC, VERSION);
        self.key.write_body(&mut writer);
        write_columns(&mut writer, Region::ADAPTER, &self.model.columns);
        writer.finish()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes, "adapter", ADAPTER_MAGIC, VERSION)?;
        let key = AdapterKey::read_body(&mut reader)?;
        let columns = read_columns(&mut reader, Region::ADAPTER)?;
        reader.finish()?;
        let model = AdapterModel { columns, labels: key.labels.clone(), has_head: key.has_head };
        Ok(Self { key, model })
    }

    /// Loads an adapter and validates it for a base.
    ///
    /// # Errors
    /// [`FileError`] names the file.
    pub fn load(path: &Path, base: &BaseKey) -> Result<Self, FileError> {
        let file = Self::decode(&store::read(path, MAX_ADAPTER_BYTES)?).map_err(FileError::malformed(path))?;
        if file.key.commitments.base != base.commitments.id() {
            return Err(FileError::OtherBase { path: path.into() });
        }
        file.key
            .commitments
            .validate(&base.commitments)
            .map_err(|source| FileError::Key { path: path.into(), source })?;
        let fits = file.model.validate(&base.commitments.architecture);
        fits.map_err(|source| FileError::Model { path: path.into(), source })?;
        Ok(file)
    }

    /// Writes the `.lorica` and the `.vk` beside it. Returns their sizes.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn store(&self, path: &Path) -> Result<(u64, u64), FileError> {
        let (model, key) = (self.encode(), self.key.encode());
        store::write(path, &model)?;
        store::write(&store::key_path(path), &key)?;
        Ok((model.len() as u64, key.len() as u64))
    }
}
