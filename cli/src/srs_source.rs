//! Where the SRS comes from: a file, or the cached development SRS with permission.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use lorica_circuits::bn254::G2Affine;
use lorica_circuits::shape::BLINDING;
use lorica_prover::srs::Srs;

use crate::error::Error;
use crate::model_fetch::cache_dir;
use crate::output::Output;

/// What every command says that meets the development SRS.
pub const INSECURE: &str =
    "the SRS is the insecure development one: its trapdoor is public and anyone can forge proofs";

/// The choice of the SRS on the command line.
#[derive(Args, Clone, Debug, Default)]
pub struct SrsArgs {
    /// File with the structured reference string, as `lorica srs` writes it
    #[arg(long, value_name = "FILE", env = "LORICA_SRS")]
    pub srs: Option<PathBuf>,
    /// Allow the development SRS, with which anyone can forge proofs: for tests only. Without --srs it is made and cached
    #[arg(long)]
    pub insecure_dev_srs: bool,
}

impl SrsArgs {
    /// Whether there is an SRS to load: a file, or permission to make the development SRS.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.file().is_some() || self.insecure_dev_srs
    }

    fn file(&self) -> Option<&Path> {
        self.srs.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// The SRS for tiles of 2^`log_tile` cells.
    ///
    /// # Errors
    /// [`Error`] if there is none, it is too small, or it is the development one without permission.
    pub fn load(&self, log_tile: u32, out: &Output) -> Result<Srs, Error> {
        let file = self.file();
        let srs = match file {
            Some(path) => out.step("load SRS", || Srs::read(path))?,
            None if self.insecure_dev_srs => cached_dev(log_tile, out)?,
            None => {
                let reason = "an SRS is needed: --srs FILE or LORICA_SRS, or for tests --insecure-dev-srs";
                return Err(Error::Usage(reason.into()));
            }
        };
        if srs.is_insecure() {
            if !self.insecure_dev_srs {
                let what = file.map_or_else(String::new, |path| path.display().to_string());
                return Err(Error::InsecureSrs { what });
            }
            out.warn(INSECURE);
        }
        if *srs.g2() != G2Affine::generator() {
            return Err(Error::OddGenerator { what: self.name() });
        }
        srs.check_size((1 << log_tile) + BLINDING)?;
        Ok(srs)
    }

    /// The name of the SRS for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self.file() {
            Some(path) => path.display().to_string(),
            None => "the cached development SRS".into(),
        }
    }
}

/// The development SRS of 2^`log_size` + 64 powers from the cache, made on first use.
///
/// # Errors
/// [`Error`] if the cache cannot be used.
pub fn cached_dev(log_size: u32, out: &Output) -> Result<Srs, Error> {
    let folder = cache_dir()?.join("srs");
    let path = folder.join(format!("development-{log_size}.srs"));
    if path.exists() {
        match out.step("load SRS", || Srs::read(&path)) {
            Ok(srs) if srs.is_insecure() && srs.log_size() == log_size => return Ok(srs),
            Ok(_) => tracing::warn!(file = %path.display(), "cached file is another SRS and is made again"),
            Err(error) => tracing::warn!(%error, "cached SRS is unusable and is made again"),
        }
    }
    fs::create_dir_all(&folder).map_err(Error::writing(&folder))?;
    let srs = out.step("make development SRS", || Srs::dev(log_size))?;
    store(&srs, &path)?;
    Ok(srs)
}

/// Writes an SRS.
///
/// # Errors
/// [`Error::Write`].
pub fn store(srs: &Srs, path: &Path) -> Result<(), Error> {
    srs.write(path).map_err(|error| match error {
        lorica_prover::srs::SrsError::Io { path, source } => Error::Write { path, source },
        other => other.into(),
    })
}
