//! A worker's folder: who it is, and results that are not handed in yet. A result lies here before it is reported, so that
//! neither the service's absence nor the worker's own end loses it. It shows texts: everything is its owner's only.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lorica::files::{FileError, store};
use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Largest result with its frame.
const MAX: u64 = 8 << 20;
/// Bytes of a digest.
const DIGEST: usize = 32;

/// A result that is to be handed in.
#[derive(Clone, PartialEq, Message)]
pub struct Spooled {
    /// 16 bytes.
    #[prost(bytes, tag = "1")]
    pub batch: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    #[prost(bytes, tag = "3")]
    pub result: Vec<u8>,
    /// Of a settlement.
    #[prost(bytes, tag = "4")]
    pub settlement_key: Vec<u8>,
}

/// The folder, held by one worker.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    _lock: File,
}

/// Why a folder cannot be a worker's.
#[derive(Debug)]
pub enum FolderError {
    /// Another worker has it.
    InUse,
    /// It cannot be read or written.
    File(FileError),
}

impl From<FileError> for FolderError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// Makes a folder that only its owner reads.
pub fn private_folder(folder: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(FileError::writing(folder))
}

/// Options of a file that only its owner reads.
pub fn private_file() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a file that is whole and on disk under its name, or is not there.
fn write(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let unfinished = path.with_extension("unfinished");
    let written = || -> io::Result<()> {
        let mut file = private_file().create(true).truncate(true).write(true).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        // The name is on disk when the folder is.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|error| {
        // What was begun takes room where there may be none.
        let _ = fs::remove_file(&unfinished);
        FileError::writing(path)(error)
    })
}

impl Spool {
    /// Opens a worker's folder; it is made if it is new.
    pub fn open(folder: &Path) -> Result<Self, FolderError> {
        private_folder(&folder.join("results"))?;
        let path = folder.join("worker.lock");
        let lock = private_file().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(FileError::writing(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse),
            Err(TryLockError::Error(error)) => Err(FileError::writing(&path)(error).into()),
        }
    }

    /// The session of the registration before, or none.
    pub fn session(&self) -> Vec<u8> {
        // Whatever is no session is none: a new one is drawn.
        let read = store::read(&self.folder.join("session"), 1_024).ok();
        read.filter(|own| own.len() == DIGEST).unwrap_or_default()
    }

    /// Keeps the session for the next start.
    pub fn keep_session(&self, session: &[u8]) -> Result<(), FileError> {
        write(&self.folder.join("session"), session)
    }

    fn path(&self, batch: &Uuid, epoch: u64) -> PathBuf {
        self.folder.join("results").join(format!("{batch}-{epoch}.result"))
    }

    /// Keeps a result. Its file.
    pub fn put(&self, batch: &Uuid, own: &Spooled) -> Result<PathBuf, FileError> {
        let path = self.path(batch, own.epoch);
        let message = own.encode_to_vec();
        let mut content = Sha256::digest(&message).to_vec();
        content.extend(message);
        write(&path, &content)?;
        Ok(path)
    }

    /// Forgets a result that was answered.
    pub fn remove(&self, path: &Path) {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%error, file = %path.display(), "a result that was answered could not be removed");
        }
    }

    /// Results of an earlier run, with their batches. What is damaged or unfinished is removed.
    pub fn results(&self) -> Result<Vec<(PathBuf, Uuid, Spooled)>, FileError> {
        let folder = self.folder.join("results");
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(FileError::reading(&folder))? {
            let path = entry.map_err(FileError::reading(&folder))?.path();
            match read(&path) {
                Some((batch, own)) => found.push((path, batch, own)),
                None => {
                    tracing::warn!(file = %path.display(), "no whole result: it is removed");
                    self.remove(&path);
                }
            }
        }
        Ok(found)
    }
}

fn read(path: &Path) -> Option<(Uuid, Spooled)> {
    let content = store::read(path, MAX).ok()?;
    let (digest, message) = content.split_at_checked(DIGEST)?;
    if Sha256::digest(message).as_slice() != digest {
        return None;
    }
    let own = Spooled::decode(message).ok()?;
    Some((Uuid::from_slice(&own.batch).ok()?, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(batch: Uuid) -> Spooled {
        Spooled { batch: batch.as_bytes().to_vec(), epoch: 7, result: vec![1; 100], settlement_key: Vec::new() }
    }

    #[test]
    fn a_result_is_kept_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("worker");
        let spool = Spool::open(&folder).expect("a folder");
        assert!(matches!(Spool::open(&folder), Err(FolderError::InUse)), "one worker at a time");
        let (batch, other) = (Uuid::now_v7(), Uuid::now_v7());
        let path = spool.put(&batch, &spooled(batch)).expect("writable");
        assert_eq!(spool.results().expect("readable"), [(path.clone(), batch, spooled(batch))]);

        // Each bit counts, and so does each byte's presence.
        let damaged = spool.put(&other, &spooled(other)).expect("writable");
        let whole = fs::read(&damaged).expect("readable");
        for place in [0, 31, 32, 40, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&damaged, &bytes).expect("writable");
            assert_eq!(spool.results().expect("readable").len(), 1, "a flipped bit at {place}");
            assert!(!damaged.exists());
        }
        for length in [0, 10, 32, whole.len() - 1] {
            fs::write(&damaged, &whole[..length]).expect("writable");
            assert_eq!(spool.results().expect("readable").len(), 1, "cut at {length}");
        }
        spool.remove(&path);
        assert!(spool.results().expect("readable").is_empty());

        assert!(spool.session().is_empty());
        spool.keep_session(&[5; 32]).expect("writable");
        assert_eq!(spool.session(), [5; 32]);
        fs::write(folder.join("session"), [5; 31]).expect("writable");
        assert!(spool.session().is_empty(), "no session");
    }

    #[cfg(unix)]
    #[test]
    fn results_are_their_owners_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("worker");
        let spool = Spool::open(&folder).expect("a folder");
        let batch = Uuid::now_v7();
        let path = spool.put(&batch, &spooled(batch)).expect("writable");
        spool.keep_session(&[5; 32]).expect("writable");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(
            (mode(&path), mode(&folder.join("session")), mode(&folder), mode(&folder.join("results"))),
            (0o600, 0o600, 0o700, 0o700)
        );
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, b"x").expect("writable");
        let Err(FolderError::File(error)) = Spool::open(&file.join("under")) else { panic!("it is opened") };
        assert!(error.to_string().contains("under"), "{error}");
        let spool = Spool::open(&folder.path().join("own")).expect("a folder");
        fs::remove_dir_all(folder.path().join("own/results")).expect("removable");
        let batch = Uuid::now_v7();
        assert!(spool.put(&batch, &spooled(batch)).is_err(), "no room for it");
    }
}
