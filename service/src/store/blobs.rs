//! Contents by their SHA-256: small ones in the database, larger ones in files that are on disk before a row names them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lorica::files::{FileError, store};
use sha2::{Digest, Sha256};

use super::{StoreError, Word};

/// Largest content inside the database.
pub const INLINE: usize = 64 << 10;
/// Largest content at all.
const MAX: u64 = 64 << 20;

/// A folder of contents.
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
}

/// The SHA-256 of a content.
pub fn digest(content: &[u8]) -> Word {
    Sha256::digest(content).into()
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Io { path: path.into(), source },
    }
}

impl Blobs {
    /// Makes the folder, for its owner only.
    pub fn open(folder: PathBuf) -> Result<Self, StoreError> {
        private_folder(&folder)?;
        Ok(Self { folder })
    }

    fn path(&self, sha256: &Word) -> PathBuf {
        let name = hex::encode(sha256);
        self.folder.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Writes a file that is on disk, under its name, when this returns.
    pub fn put(&self, sha256: &Word, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path(sha256);
        let folder = path.parent().unwrap_or(&self.folder);
        private_folder(folder)?;
        store::replace(&path, content).map_err(|error| match error {
            FileError::Write { path, source } => failed(&path, source),
            other => failed(&path, io::Error::other(other)),
        })?;
        // The name is on disk when the folder is.
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| failed(folder, source))
    }

    /// Reads a file. Its content is not checked here.
    pub fn get(&self, sha256: &Word) -> Result<Vec<u8>, StoreError> {
        let path = self.path(sha256);
        store::read(&path, MAX).map_err(|error| match error {
            FileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => StoreError::Missing(*sha256),
            FileError::Io { source, .. } => failed(&path, source),
            _ => StoreError::Damaged(*sha256),
        })
    }

    /// Removes a file that may be gone already.
    pub fn remove(&self, sha256: &Word) -> Result<(), StoreError> {
        let path = self.path(sha256);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(&path, source)),
            _ => Ok(()),
        }
    }

    /// Removes files that no row names: what a crash left between file and row, or row and file.
    pub fn sweep(&self, named: &BTreeSet<Word>) -> Result<usize, StoreError> {
        let names: BTreeSet<String> = named.iter().map(hex::encode).collect();
        let mut removed = 0;
        let list = |folder: &Path| -> Result<Vec<PathBuf>, StoreError> {
            let entries = fs::read_dir(folder).map_err(|source| failed(folder, source))?;
            entries.map(|entry| entry.map(|entry| entry.path()).map_err(|source| failed(folder, source))).collect()
        };
        for folder in list(&self.folder)?.into_iter().filter(|path| path.is_dir()) {
            for file in list(&folder)? {
                let is_named = file.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(name));
                if !is_named {
                    fs::remove_file(&file).map_err(|source| failed(&file, source))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

/// Makes a folder that only its owner reads.
pub fn private_folder(folder: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|source| failed(folder, source))
}
