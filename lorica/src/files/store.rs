//! Bounded reading and atomic writing that replaces no file of another kind.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use lorica_verifier::files::magic::{
    ADAPTER_KEY_MAGIC, ADAPTER_MAGIC, BASE_KEY_MAGIC, BASE_MAGIC, DATANET_MAGIC, INDEX_KEY_MAGIC, INDEX_PROOF_MAGIC,
    INDEX_SETTLEMENT_MAGIC, PROOF_MAGIC, ROW_PROOF_MAGIC, SETTLEMENT_KEY_MAGIC, SETTLEMENT_MAGIC, SRS_MAGIC,
};

use super::FileError;

/// Kinds of Lorica's files, as a sentence names them.
const KINDS: [(&[u8; 8], &str); 13] = [
    (BASE_MAGIC, "a base"),
    (BASE_KEY_MAGIC, "the key of a base"),
    (ADAPTER_MAGIC, "an adapter"),
    (ADAPTER_KEY_MAGIC, "the key of an adapter"),
    (DATANET_MAGIC, "a datanet"),
    (INDEX_KEY_MAGIC, "the key of a datanet"),
    (PROOF_MAGIC, "an inference proof"),
    (INDEX_PROOF_MAGIC, "an index proof"),
    (ROW_PROOF_MAGIC, "a row proof"),
    (SETTLEMENT_MAGIC, "a settlement"),
    (INDEX_SETTLEMENT_MAGIC, "a settlement of an index proof"),
    (SETTLEMENT_KEY_MAGIC, "a settlement key"),
    (SRS_MAGIC, "an SRS"),
];
/// Bytes by which a file's kind is told.
const HEAD: usize = 4_096;

/// What a file is, by its first bytes.
fn kind(head: &[u8]) -> &'static str {
    if let Some((_, kind)) = KINDS.iter().find(|(magic, _)| head.starts_with(*magic)) {
        return kind;
    }
    let is_json = head.trim_ascii_start().starts_with(b"{");
    let has = |word: &[u8]| head.windows(word.len()).any(|own| own.eq_ignore_ascii_case(word));
    match head {
        [] => "empty",
        _ if is_json && has(b"\"ciphertext\"") => "a keystore",
        _ if is_json => "a JSON file",
        _ => "a file of another kind",
    }
}

/// Checks before the work is done that a file can be written: its folder is there, and no file of another kind has its name.
/// `start` is how the file will begin: its magic word, or `{`.
///
/// # Errors
/// [`FileError::NoFolder`], [`FileError::Exists`], [`FileError::Io`].
pub fn expect_writable(path: &Path, start: &[u8]) -> Result<(), FileError> {
    let folder = folder(path);
    if !folder.is_dir() {
        return Err(FileError::NoFolder { path: path.into(), folder: folder.into() });
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FileError::reading(path)(error)),
    };
    let metadata = file.metadata().map_err(FileError::reading(path))?;
    if metadata.is_dir() {
        return Err(FileError::Exists { path: path.into(), what: "a folder" });
    }
    // What is no file, as /dev/stdout, has no content to lose.
    if !metadata.is_file() {
        return Ok(());
    }
    let mut head = Vec::with_capacity(HEAD);
    file.take(HEAD as u64).read_to_end(&mut head).map_err(FileError::reading(path))?;
    match (kind(&head), kind(start)) {
        ("empty", _) => Ok(()),
        (old, new) if old == new => Ok(()),
        (what, _) => Err(FileError::Exists { path: path.into(), what }),
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Reads a whole file of at most `max` bytes.
///
/// # Errors
/// [`FileError::Io`], [`FileError::TooLarge`].
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::reading(path))?;
    let metadata = file.metadata().map_err(FileError::reading(path))?;
    if metadata.is_dir() {
        return Err(FileError::content(path, "a folder, not a file"));
    }
    let length = metadata.len();
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

/// Writes a file; it appears under its name only when it is complete. A file of the same kind is replaced, one of another
/// kind is not.
///
/// # Errors
/// [`FileError::Write`], and those of [`expect_writable`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    expect_writable(path, &bytes[..bytes.len().min(HEAD)])?;
    replace(path, bytes)
}

/// Writes a file as [`write`] does, whatever has its name: for files that only the program itself names, as in a cache.
///
/// # Errors
/// [`FileError::Write`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = folder(path);
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

/// The key file beside a file that is to be written, checked before the work is done as [`expect_writable`] does.
///
/// # Errors
/// [`FileError::OwnKey`] if the two would have one name, and those of [`expect_writable`].
pub fn expect_writable_with_key(path: &Path, start: &[u8], key_start: &[u8]) -> Result<PathBuf, FileError> {
    let key = key_path(path);
    if key == path {
        return Err(FileError::OwnKey { path: path.into() });
    }
    expect_writable(path, start)?;
    expect_writable(&key, key_start)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What has a name keeps it, unless it is of the same kind.
    #[test]
    fn no_file_of_another_kind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lorica");
        let keystore = br#"{"address":"00","crypto":{"cipher":"aes-128-ctr","ciphertext":"00"}}"#;
        let contents: [&[u8]; 6] = [BASE_MAGIC, PROOF_MAGIC, b"{}", keystore, b"0x01", b"\x00"];
        for (old, own) in contents.iter().enumerate() {
            for (new, other) in contents.iter().enumerate() {
                fs::write(&path, own).unwrap();
                // Keys as text and whatever else is no file of ours are one kind.
                let same = old == new || (old >= 4 && new >= 4);
                assert_eq!(write(&path, other).is_ok(), same, "{old} {new}");
                assert_eq!(fs::read(&path).unwrap(), if same { *other } else { *own });
            }
        }
        let error = |path: &Path| expect_writable(path, BASE_MAGIC).unwrap_err().to_string();
        assert!(error(&path).ends_with("exists and is a file of another kind: name another file"), "{}", error(&path));
        assert!(error(folder.path()).contains("is a folder"));
        assert!(error(&folder.path().join("none/a.lorica")).contains("none"));
        fs::write(&path, b"").unwrap();
        assert!(write(&path, BASE_MAGIC).is_ok(), "an empty file has nothing to lose");
        fs::write(&path, b"0x01").unwrap();
        assert!(replace(&path, BASE_MAGIC).is_ok());

        let own = folder.path().join("a.vk");
        let twice = expect_writable_with_key(&own, SETTLEMENT_MAGIC, SETTLEMENT_KEY_MAGIC);
        assert!(matches!(twice, Err(FileError::OwnKey { .. })));
        fs::write(&own, BASE_KEY_MAGIC).unwrap();
        let taken =
            expect_writable_with_key(&folder.path().join("a.settlement"), SETTLEMENT_MAGIC, SETTLEMENT_KEY_MAGIC);
        assert!(matches!(taken, Err(FileError::Exists { what: "the key of a base", .. })));
    }
}
