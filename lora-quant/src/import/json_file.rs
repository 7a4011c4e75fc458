//! Small JSON files: reading with a size limit, and typed access to their keys.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::ImportError;

/// No JSON file of a model folder is larger (the largest tokenizers have 20 MB).
pub(super) const MAX_JSON_BYTES: u64 = 64 << 20;

/// Reads a whole file of at most `max` bytes.
pub(super) fn read_file(file: &Path, max: u64) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::Read { file: file.into(), source };
    let handle = File::open(file).map_err(failed)?;
    let length = handle.metadata().map_err(failed)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(max)).unwrap_or(0));
    // One byte beyond the limit: a pipe or a growing file has no reliable length.
    handle.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    let read = bytes.len() as u64;
    if read > max {
        return Err(ImportError::FileTooLarge { file: file.into(), bytes: length.max(read), max });
    }
    Ok(bytes)
}

/// Whether there is such a file or folder; an error if that cannot be told.
pub(super) fn is_present(path: &Path) -> Result<bool, ImportError> {
    path.try_exists().map_err(|source| ImportError::Read { file: path.into(), source })
}

/// Whether a name that a file gives means an entry of its own folder, on every system: no separator, no drive, no `..`.
pub(super) fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':', '\0'])
}

/// Reads and parses a JSON file.
pub(super) fn read_json(file: &Path) -> Result<Value, ImportError> {
    let bytes = read_file(file, MAX_JSON_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|source| ImportError::Json { file: file.into(), source })
}

/// A JSON object with the path that error messages need.
#[derive(Debug)]
pub(super) struct JsonObject {
    pub(super) file: PathBuf,
    pub(super) keys: Map<String, Value>,
}

impl JsonObject {
    /// Reads a file that holds one JSON object.
    pub(super) fn read(file: PathBuf) -> Result<Self, ImportError> {
        match read_json(&file)? {
            Value::Object(keys) => Ok(Self { file, keys }),
            other => Err(ImportError::unsupported(&file, "(whole file)", &other, "a JSON object is expected")),
        }
    }

    /// Reads such a file if it is there.
    pub(super) fn read_if_present(file: PathBuf) -> Result<Option<Self>, ImportError> {
        if is_present(&file)? { Self::read(file).map(Some) } else { Ok(None) }
    }

    /// The value of a key, with `null` as absent.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    /// A required whole number within bounds.
    pub(super) fn size(&self, key: &str, min: usize, max: usize) -> Result<usize, ImportError> {
        let value = self.get(key).ok_or_else(|| ImportError::missing_key(&self.file, key))?;
        self.checked_size(key, value, min, max)
    }

    /// An optional whole number within bounds.
    pub(super) fn size_or(&self, key: &str, default: usize, min: usize, max: usize) -> Result<usize, ImportError> {
        self.get(key).map_or(Ok(default), |value| self.checked_size(key, value, min, max))
    }

    fn checked_size(&self, key: &str, value: &Value, min: usize, max: usize) -> Result<usize, ImportError> {
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (min..=max).contains(n))
            .ok_or_else(|| self.unsupported(key, format!("a whole number from {min} to {max} is expected")))
    }

    /// A boolean that is false when it is absent.
    pub(super) fn flag(&self, key: &str) -> Result<bool, ImportError> {
        Ok(self.optional_flag(key)?.unwrap_or(false))
    }

    /// An optional boolean.
    pub(super) fn optional_flag(&self, key: &str) -> Result<Option<bool>, ImportError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.unsupported(key, "true or false is expected"))
    }

    /// The refusal of a key's present value.
    pub(super) fn unsupported(&self, key: &str, supported: impl Into<String>) -> ImportError {
        ImportError::unsupported(&self.file, key, self.keys.get(key).unwrap_or(&Value::Null), supported)
    }
}
