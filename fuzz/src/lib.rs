//! What the fuzz targets share: true digests at the ends of mutated files, and files for decoders that read from a path.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::Sha256;
use sha3::{Digest, Keccak256};
use tempfile::TempDir;

/// Runs `decode` on the bytes as they are, and with a true Keccak-256 digest in place of their last 32 bytes.
pub fn with_keccak(data: &[u8], decode: impl Fn(&[u8])) {
    decode(data);
    if let Some(content) = data.len().checked_sub(32).and_then(|split| data.get(..split)) {
        decode(&[content, &Keccak256::digest(content)].concat());
    }
}

/// The same with SHA-256.
pub fn with_sha256(data: &[u8], decode: impl Fn(&[u8])) {
    decode(data);
    if let Some(content) = data.len().checked_sub(32).and_then(|split| data.get(..split)) {
        decode(&[content, &Sha256::digest(content)].concat());
    }
}

/// A folder in memory where the system has one.
pub struct Folder(TempDir);

impl Folder {
    /// An empty folder.
    ///
    /// # Panics
    /// If there is no place for it.
    #[expect(clippy::new_without_default, reason = "it touches the disk")]
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        Self(folder.expect("a temporary folder"))
    }

    /// Writes a file and returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.0.path().join(name));
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A seed, for what must be valid while something else is mutated.
///
/// # Panics
/// If `cargo xtask fuzz` has not written the seeds.
pub fn seed(target: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target).join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
