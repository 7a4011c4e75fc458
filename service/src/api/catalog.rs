//! The files that workers on other machines fetch: those of the models that are served, by their SHA-256, and no others.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::digest;
use crate::models::{Models, name};
use crate::proto;
use crate::store::Word;

/// Largest piece of a file in one answer.
pub const PIECE: u64 = 1 << 20;

/// A served file.
#[derive(Debug)]
struct Served {
    path: PathBuf,
    bytes: u64,
}

/// The files and what they are called.
#[derive(Debug)]
pub struct Catalog {
    files: BTreeMap<Word, Served>,
    pub list: Vec<proto::ServedFile>,
}

impl Catalog {
    /// Hashes all files: for a thread that may take its time.
    pub fn new(models: &Models) -> Result<Self, (PathBuf, io::Error)> {
        let bases = models.bases.iter().map(|(id, own)| (name("bases", id), &own.path));
        let adapters = models.adapters.iter().map(|(id, own)| (name("adapters", id), &own.path));
        let datanets = models.datanets.iter().map(|(id, own)| (name("datanets", id), &own.path));
        let mut catalog = Self { files: BTreeMap::new(), list: Vec::new() };
        for (name, path) in bases.chain(adapters).chain(datanets) {
            let (sha256, bytes) = digest::of_file(path).map_err(|error| (path.clone(), error))?;
            catalog.files.insert(sha256, Served { path: path.clone(), bytes });
            let content = Some(proto::BlobRef { sha256: sha256.to_vec(), bytes });
            catalog.list.push(proto::ServedFile { name, content });
        }
        Ok(catalog)
    }

    /// How large the file of a digest is.
    pub fn size(&self, sha256: &Word) -> Option<u64> {
        self.files.get(sha256).map(|own| own.bytes)
    }

    /// A piece of a file. A file that was replaced meanwhile gives other bytes, which whoever fetches them finds out.
    pub fn piece(&self, sha256: &Word, offset: u64) -> io::Result<Vec<u8>> {
        let own = self.files.get(sha256).ok_or(io::ErrorKind::NotFound)?;
        let left = own.bytes.saturating_sub(offset).min(PIECE);
        let mut file = File::open(&own.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut piece = Vec::new();
        file.take(left).read_to_end(&mut piece)?;
        if piece.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(piece) }
    }
}
