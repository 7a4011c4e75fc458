//! Bounded reading and atomic writing.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::FileError;

/// Reads a whole file of at most `max` bytes.
///
/// # Errors
/// [`FileError::Io`], [`FileError::TooLarge`].
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::reading(path))?;
    let length = file.metadata().map_err(FileError::reading(path))?.len();
    if length > max {
        return Err(FileError::TooLarge { path: path.into(), max });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // One byte beyond the limit: a pipe or a growing file has no reliable length.
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::reading(path))?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLarge { path: path.into(), max });
    }
    Ok(bytes)
}

/// Writes a file; it appears under its name only when it is complete.
///
/// # Errors
/// [`FileError::Write`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The permissions of a file that a program creates; the process's mask still applies.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.prefix(".lorica-").tempfile_in(folder).map_err(FileError::writing(path))?;
    file.write_all(bytes).map_err(FileError::writing(path))?;
    file.as_file().sync_all().map_err(FileError::writing(path))?;
    file.persist(path).map_err(|error| FileError::Write { path: path.into(), source: error.error })?;
    Ok(())
}

/// The key file beside a model file: `base.lorica` has `base.vk`.
#[must_use]
pub fn key_path(path: &Path) -> PathBuf {
    path.with_extension("vk")
}
