//! The SHA-256 of files, read piece by piece.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// The digest of a file's content, and its length.
pub fn of_file(path: &Path) -> io::Result<([u8; 32], u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut piece, mut bytes) = (Sha256::new(), vec![0; 1 << 20], 0_u64);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((hash.finalize().into(), bytes)),
            length => {
                hash.update(piece.get(..length).unwrap_or_default());
                bytes += length as u64;
            }
        }
    }
}
