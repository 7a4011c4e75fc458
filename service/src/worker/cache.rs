//! Served files on a worker's disk, by their SHA-256: what lacks is fetched in pieces, and goes on where it stopped. A file is
//! trusted as far as its digest; what it is, the proving process finds out for itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lorica::files::{FileError, MAX_BASE_BYTES};

use super::link::{Failure, Link, Notice};
use super::spool::{private_file, private_folder};
use crate::digest;
use crate::models::id_of;
use crate::proto;
use crate::store::Word;

/// Time for a piece.
const PIECE: Duration = Duration::from_secs(30);

/// Why there are no files.
#[derive(Debug)]
pub enum FetchError {
    /// The service does not give them.
    Call(Failure),
    /// They cannot be read or written here.
    File(FileError),
    /// The service's list or a file is not what it is said to be.
    Content(String),
}

impl From<FileError> for FetchError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// Where the served files lie, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub bases: BTreeMap<Word, PathBuf>,
    pub adapters: BTreeMap<Word, PathBuf>,
    pub datanets: BTreeMap<Word, PathBuf>,
}

/// A folder of files.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the folder; it is made if it is new.
    pub fn open(folder: PathBuf) -> Result<Self, FileError> {
        private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// Fetches what lacks of a service's files.
    pub async fn fetch(&self, link: &Link, files: &[proto::ServedFile]) -> Result<Fetched, FetchError> {
        let mut fetched = Fetched::default();
        for file in files {
            let content = file.content.as_ref();
            let sha256 = content.and_then(|own| Word::try_from(own.sha256.as_slice()).ok());
            let Some((content, sha256)) = content.zip(sha256) else {
                return Err(FetchError::Content(format!("{:?} has no digest of 32 bytes", file.name)));
            };
            if content.bytes == 0 || content.bytes > MAX_BASE_BYTES {
                return Err(FetchError::Content(format!("{:?} is said to have {} bytes", file.name, content.bytes)));
            }
            let places = [
                ("bases", &mut fetched.bases),
                ("adapters", &mut fetched.adapters),
                ("datanets", &mut fetched.datanets),
            ];
            let place = places.into_iter().find_map(|(kind, own)| Some((id_of(kind, &file.name)?, own)));
            let Some((id, place)) = place else {
                return Err(FetchError::Content(format!("{:?} is no base, adapter or datanet", file.name)));
            };
            place.insert(id, self.file(link, &file.name, &sha256, content.bytes).await?);
        }
        if fetched.bases.is_empty() {
            return Err(FetchError::Content("no base is served".into()));
        }
        Ok(fetched)
    }

    /// A file that is here and whole, or comes.
    async fn file(&self, link: &Link, name: &str, sha256: &Word, bytes: u64) -> Result<PathBuf, FetchError> {
        let path = self.folder.join(hex::encode(sha256));
        if digest_of(&path).await?.is_some_and(|own| own == *sha256) {
            return Ok(path);
        }
        link.tell(Notice::Fetching(name.into(), bytes));
        let part = path.with_extension("part");
        let file = private_file().create(true).truncate(false).read(true).write(true).open(&part);
        let mut file = file.map_err(FileError::writing(&part))?;
        let mut offset = file.metadata().map_err(FileError::reading(&part))?.len();
        if offset > bytes {
            file.set_len(0).map_err(FileError::writing(&part))?;
            offset = 0;
        }
        file.seek(SeekFrom::Start(offset)).map_err(FileError::writing(&part))?;
        while offset < bytes {
            let message = proto::GetBlobRequest { session: link.session(), sha256: sha256.to_vec(), offset };
            let chunk = link.get_blob(message, PIECE).await.map_err(FetchError::Call)?.chunk;
            let length = chunk.len() as u64;
            if length == 0 || length > bytes - offset {
                return Err(FetchError::Content(format!("{name}: a piece of {length} bytes at {offset} of {bytes}")));
            }
            file.write_all(&chunk).map_err(FileError::writing(&part))?;
            offset += length;
        }
        file.sync_all().map_err(FileError::writing(&part))?;
        let got = digest_of(&part).await?;
        if got.is_none_or(|own| own != *sha256) {
            // Whatever was fetched first or last is wrong: the next try begins anew.
            fs::remove_file(&part).map_err(FileError::writing(&part))?;
            return Err(FetchError::Content(format!("{name}: what was fetched does not have its digest")));
        }
        fs::rename(&part, &path).map_err(FileError::writing(&path))?;
        Ok(path)
    }
}

/// The digest of a file; none if there is no file.
async fn digest_of(path: &Path) -> Result<Option<Word>, FileError> {
    let own = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || digest::of_file(&own)).await;
    match hashed.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok((digest, _)) => Ok(Some(digest)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::reading(path)(error)),
    }
}
