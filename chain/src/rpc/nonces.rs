//! Which nonce a transaction takes, when several programs of one machine send from one account.
//!
//! A folder per chain and account has a lock for the account, and one for each nonce in flight. Whoever chooses a nonce
//! holds the account's lock until a node has taken the transaction, so that the node's count of pending transactions
//! includes it when the next one chooses. The nonce's own lock is held until the transaction is confirmed: a nonce that is
//! being rebroadcast after a reorganisation, and that the node does not count for that time, is passed over by others. The
//! locks are the operating system's and end with the program that holds them, however it ends; the files mean nothing.
//!
//! Programs on different machines see each other only through the node. They should not share an account; if they do, the
//! node's refusals ("nonce too low", "replacement underpriced") lead to another nonce.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy_primitives::Address;

use crate::error::LockError;

/// How long another program may hold an account's lock: several times what a broadcast takes.
const LOCK_TIME: Duration = Duration::from_secs(300);
/// Between two tries to lock.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// The locks of an account's nonces on a chain.
#[derive(Clone, Debug)]
pub struct Nonces {
    folder: PathBuf,
}

/// The account's lock. Ends when dropped.
pub struct AccountLock {
    _file: File,
}

/// A nonce that is taken until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    /// The nonce.
    pub nonce: u64,
    _file: File,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> LockError {
    move |source| LockError::File { path: path.to_owned(), source }
}

fn open(path: &Path) -> Result<File, LockError> {
    File::options().create(true).truncate(false).write(true).open(path).map_err(failed(path))
}

impl Nonces {
    /// The locks of an account in a folder that all programs share which send from it.
    #[must_use]
    pub fn new(folder: &Path, chain: u64, account: Address) -> Self {
        Self { folder: folder.join(format!("{chain}-{account:#x}")) }
    }

    fn account_file(&self) -> PathBuf {
        self.folder.join("account")
    }

    /// Waits for the account's lock.
    ///
    /// # Errors
    /// [`LockError::File`], [`LockError::Held`].
    pub fn lock(&self) -> Result<AccountLock, LockError> {
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder))?;
        let path = self.account_file();
        let file = open(&path)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(AccountLock { _file: file }),
                Err(TryLockError::Error(source)) => return Err(failed(&path)(source)),
                Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_TIME => {
                    return Err(LockError::Held { path, seconds: LOCK_TIME.as_secs() });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
            }
        }
    }

    /// The first nonce from `next` on that no program of this machine has in flight.
    ///
    /// # Errors
    /// [`LockError::File`], [`LockError::NoNonce`].
    pub fn reserve(&self, _: &AccountLock, next: u64) -> Result<Reservation, LockError> {
        self.sweep(next)?;
        for nonce in next..=u64::MAX {
            let path = self.folder.join(nonce.to_string());
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) => return Ok(Reservation { nonce, _file: file }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(&path)(source)),
            }
        }
        Err(LockError::NoNonce)
    }

    /// Whether a program of this machine is choosing a nonce or has one in flight. A program that keeps the account's nonces
    /// by other means must not begin while this is so.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn in_use(&self) -> Result<bool, LockError> {
        if !self.folder.exists() {
            return Ok(false);
        }
        let is_held = |path: &Path| {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) => Ok((file, false)),
                Err(TryLockError::WouldBlock) => Ok((file, true)),
                Err(TryLockError::Error(source)) => Err(failed(path)(source)),
            }
        };
        // Held to the end: a program that chose a nonce meanwhile would pass over those that are looked at.
        let account = self.account_file();
        let (_account, held) = is_held(&account)?;
        if held {
            return Ok(true);
        }
        for entry in fs::read_dir(&self.folder).map_err(failed(&self.folder))? {
            let path = entry.map_err(failed(&self.folder))?.path();
            if path != account && is_held(&path)?.1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes files of nonces below that nobody holds. Under the account's lock, so that nobody opens them meanwhile.
    fn sweep(&self, below: u64) -> Result<(), LockError> {
        for entry in fs::read_dir(&self.folder).map_err(failed(&self.folder))?.flatten() {
            let nonce = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if nonce.is_some_and(|nonce| nonce < below) && open(&entry.path())?.try_lock().is_ok() {
                fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let nonces = Nonces::new(folder.path(), 1, Address::repeat_byte(7));
        let lock = nonces.lock().unwrap();
        let first = nonces.reserve(&lock, 5).unwrap();
        let second = nonces.reserve(&lock, 5).unwrap();
        assert_eq!((first.nonce, second.nonce), (5, 6));
        drop(first);
        assert_eq!(nonces.reserve(&lock, 5).unwrap().nonce, 5, "what is over is free");
        assert_eq!(nonces.reserve(&lock, 6).unwrap().nonce, 7);
        let other = Nonces::new(folder.path(), 2, Address::repeat_byte(7));
        assert_eq!(other.reserve(&other.lock().unwrap(), 5).unwrap().nonce, 5, "another chain");
        // Files of the past go, but for those in use.
        assert_eq!(nonces.reserve(&lock, 9).unwrap().nonce, 9);
        let files = |name: &str| nonces.folder.join(name).exists();
        assert!(!files("5") && files("6") && !files("7"));
        assert_eq!(second.nonce, 6);
    }

    #[test]
    fn locks_in_use_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let nonces = Nonces::new(folder.path(), 1, Address::ZERO);
        assert!(!nonces.in_use().unwrap(), "there is no folder yet");
        let lock = nonces.lock().unwrap();
        assert!(nonces.in_use().unwrap(), "a nonce is being chosen");
        let reservation = nonces.reserve(&lock, 3).unwrap();
        drop(lock);
        assert!(nonces.in_use().unwrap(), "a nonce is in flight");
        assert!(!Nonces::new(folder.path(), 1, Address::repeat_byte(1)).in_use().unwrap(), "another account");
        drop(reservation);
        assert!(!nonces.in_use().unwrap(), "files alone mean nothing");
    }

    #[test]
    fn one_program_chooses_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let nonces = Nonces::new(folder.path(), 1, Address::ZERO);
        let lock = nonces.lock().unwrap();
        let other = nonces.clone();
        let waiting = std::thread::spawn(move || other.lock().map(|_| Instant::now()));
        std::thread::sleep(Duration::from_millis(100));
        let released = Instant::now();
        drop(lock);
        assert!(waiting.join().unwrap().unwrap() >= released);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = Nonces::new(file.path(), 1, Address::ZERO).lock().err().unwrap();
        assert!(refused.to_string().contains(file.path().to_str().unwrap()), "{refused}");
    }
}
