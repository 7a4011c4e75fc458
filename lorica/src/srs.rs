//! Which SRS is acceptable: a program that embeds this crate proves, settles and registers with an [`AcceptedSrs`] only.

use std::fs;
use std::ops::Deref;
use std::path::Path;

use lorica_circuits::bn254::G2Affine;
use lorica_circuits::shape::BLINDING;
use lorica_prover::srs::SrsError;
use lorica_verifier::protocol::key::BaseCommitments;

use crate::files::FileError;
use crate::kind::Kind;

pub use lorica_prover::srs::Srs;
pub use lorica_verifier::protocol::group::INSECURE;

/// Which SRS a program takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrsPolicy {
    /// Only one whose trapdoor is not known to everybody.
    #[default]
    Ceremony,
    /// Also the development SRS, with which anyone can forge proofs: for tests.
    DevelopmentForTests,
}

/// Why an SRS is not used.
#[derive(Debug, thiserror::Error)]
pub enum SrsPolicyError {
    /// It is the development SRS, and the policy does not permit it.
    #[error("{what} rests on the development SRS, whose trapdoor is public: anyone can forge proofs with it")]
    Insecure {
        /// Which SRS, or which file that was made with it.
        what: String,
    },
    /// It is not that of the base.
    #[error("{what} is another SRS than the one with which the base was registered")]
    Other {
        /// Which SRS.
        what: String,
    },
    /// It is over another generator of G2, which no verifier takes.
    #[error("{what}: [1] of G2 is not the standard generator")]
    OddGenerator {
        /// Which SRS.
        what: String,
    },
    /// It could not be read, or is too small.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// The folder of the cached development SRS could not be made.
    #[error(transparent)]
    File(#[from] FileError),
}

impl SrsPolicyError {
    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Srs(error) => kind_of(error),
            Self::File(error) => error.kind(),
            Self::Insecure { .. } | Self::Other { .. } | Self::OddGenerator { .. } => Kind::Input,
        }
    }
}

/// Who has to act on an error of an SRS as a file.
#[must_use]
pub fn kind_of(error: &SrsError) -> Kind {
    match error {
        SrsError::Io { source, .. } => Kind::of_io(source),
        _ => Kind::Input,
    }
}

impl SrsPolicy {
    /// Takes what was made with the development SRS only if the policy permits it. `what` names it in the error.
    ///
    /// # Errors
    /// [`SrsPolicyError::Insecure`].
    pub fn permit(self, insecure: bool, what: impl FnOnce() -> String) -> Result<(), SrsPolicyError> {
        if insecure && self == Self::Ceremony {
            return Err(SrsPolicyError::Insecure { what: what() });
        }
        Ok(())
    }
}

/// An SRS that a policy has accepted. Nothing else can be made of an [`Srs`] here, and nothing here takes an [`Srs`].
#[derive(Debug)]
pub struct AcceptedSrs {
    srs: Srs,
    name: String,
}

impl AcceptedSrs {
    /// Takes an SRS for tiles of up to 2^`log_tile` cells. `name` stands for it in errors.
    ///
    /// # Errors
    /// [`SrsPolicyError`] if the policy forbids it, no verifier takes it, or it is too small.
    pub fn new(srs: Srs, name: impl Into<String>, log_tile: u32, policy: SrsPolicy) -> Result<Self, SrsPolicyError> {
        let name = name.into();
        policy.permit(srs.is_insecure(), || name.clone())?;
        if *srs.g2() != G2Affine::generator() {
            return Err(SrsPolicyError::OddGenerator { what: name });
        }
        srs.check_size((1 << log_tile) + BLINDING)?;
        Ok(Self { srs, name })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn load(path: &Path, log_tile: u32, policy: SrsPolicy) -> Result<Self, SrsPolicyError> {
        Self::new(Srs::read(path)?, path.display().to_string(), log_tile, policy)
    }

    /// The development SRS of 2^`log_tile` + 64 powers from a folder; it is made on first use. For tests: anyone can forge
    /// proofs with it.
    ///
    /// # Errors
    /// [`SrsPolicyError`] if the folder cannot be used.
    pub fn insecure_for_tests(folder: &Path, log_tile: u32) -> Result<Self, SrsPolicyError> {
        let srs = cached_development(folder, log_tile)?;
        Self::new(srs, "the cached development SRS", log_tile, SrsPolicy::DevelopmentForTests)
    }

    /// Its name in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// That the base was registered with this SRS.
    ///
    /// # Errors
    /// [`SrsPolicyError::Other`].
    pub fn expect_of(&self, base: &BaseCommitments) -> Result<(), SrsPolicyError> {
        if self.srs.digest_word() != base.srs || *self.srs.tau_g2() != base.tau_g2 {
            return Err(SrsPolicyError::Other { what: self.name.clone() });
        }
        Ok(())
    }
}

impl Deref for AcceptedSrs {
    type Target = Srs;

    fn deref(&self) -> &Srs {
        &self.srs
    }
}

/// The development SRS of 2^`log_size` + 64 powers from the folder `srs` of a cache; it is made on first use.
fn cached_development(cache: &Path, log_size: u32) -> Result<Srs, SrsPolicyError> {
    let folder = cache.join("srs");
    let path = folder.join(format!("development-{log_size}.srs"));
    if path.exists() {
        match Srs::read(&path) {
            Ok(srs) if srs.is_insecure() && srs.log_size() == log_size => return Ok(srs),
            Ok(_) => tracing::warn!(file = %path.display(), "cached file is another SRS and is made again"),
            Err(error) => tracing::warn!(%error, "cached SRS is unusable and is made again"),
        }
    }
    fs::create_dir_all(&folder).map_err(FileError::writing(&folder))?;
    let srs = Srs::dev(log_size)?;
    store(&srs, &path)?;
    Ok(srs)
}

/// Writes an SRS.
///
/// # Errors
/// [`SrsPolicyError`] names the file.
pub fn store(srs: &Srs, path: &Path) -> Result<(), SrsPolicyError> {
    srs.write(path).map_err(|error| match error {
        SrsError::Io { path, source } => FileError::Write { path, source }.into(),
        other => other.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_srs_needs_permission() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let refused = AcceptedSrs::new(Srs::dev(6).expect("an SRS"), "this one", 6, SrsPolicy::default());
        let error = refused.expect_err("no permission");
        assert!(matches!(&error, SrsPolicyError::Insecure { what } if what == "this one"), "{error}");
        assert_eq!(error.kind(), Kind::Input);
        let path = folder.path().join("any.srs");
        store(&Srs::dev(6).expect("an SRS"), &path).expect("written");
        let read = |log_tile, policy| AcceptedSrs::load(&path, log_tile, policy);
        assert!(matches!(read(6, SrsPolicy::Ceremony), Err(SrsPolicyError::Insecure { .. })));
        assert!(read(6, SrsPolicy::DevelopmentForTests).expect("permitted").is_insecure());
        let small = read(7, SrsPolicy::DevelopmentForTests).expect_err("too small");
        assert!(matches!(small, SrsPolicyError::Srs(SrsError::TooSmall { .. })), "{small}");
    }

    #[test]
    fn a_cached_file_that_is_another_one_is_made_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = AcceptedSrs::insecure_for_tests(folder.path(), 6).expect("made");
        let path = folder.path().join("srs/development-6.srs");
        fs::write(&path, b"noise").expect("writable");
        let again = AcceptedSrs::insecure_for_tests(folder.path(), 6).expect("made again");
        assert_eq!(first.digest(), again.digest());
        assert!(Srs::read(&path).is_ok());
    }
}
