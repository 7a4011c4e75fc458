//! The choice of the SRS on the command line: a file, or the cached development SRS with permission.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use lorica::srs::{AcceptedSrs, INSECURE, SrsPolicy};

use crate::error::Error;
use crate::model_fetch::cache_dir;
use crate::output::Output;

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

/// The policy that a permission on the command line stands for.
#[must_use]
pub fn policy(insecure_dev_srs: bool) -> SrsPolicy {
    if insecure_dev_srs { SrsPolicy::DevelopmentForTests } else { SrsPolicy::Ceremony }
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
    pub fn load(&self, log_tile: u32, out: &Output) -> Result<Arc<AcceptedSrs>, Error> {
        let srs = match self.file() {
            Some(path) => out.step("load SRS", || AcceptedSrs::load(path, log_tile, policy(self.insecure_dev_srs)))?,
            None if self.insecure_dev_srs => development(log_tile, out)?,
            None => {
                let reason = "an SRS is needed: --srs FILE or LORICA_SRS, or for tests --insecure-dev-srs";
                return Err(Error::Usage(reason.into()));
            }
        };
        if srs.is_insecure() {
            out.warn(INSECURE);
        }
        Ok(Arc::new(srs))
    }
}

/// The development SRS from the cache; it is made on first use.
///
/// # Errors
/// [`Error`] if the cache cannot be used.
pub fn development(log_tile: u32, out: &Output) -> Result<AcceptedSrs, Error> {
    let cache = cache_dir()?;
    Ok(out.step("load SRS", || AcceptedSrs::insecure_for_tests(&cache, log_tile))?)
}
