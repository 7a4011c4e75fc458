//! Who has to act on an error, and all errors of this crate as one type.

use crate::check::CheckError;
use crate::datanet::DatanetError;
use crate::datanet::check::DatanetCheckError;
use crate::files::FileError;
use crate::import::ModelImportError;
use crate::input::InputError;
pub use crate::kind::Kind;
use crate::offer::OfferError;
use crate::prover::ProverError;
use crate::registration::RegistrationError;
use crate::settle::SettlerError;
use crate::signed_request::RequestError;
use crate::srs::SrsPolicyError;

macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident($error:ty)),+ $(,)?) => {
        /// Every error of this crate, for programs that do not tell its parts apart.
        #[derive(Debug, thiserror::Error)]
        pub enum Error {
            $($(#[$doc])* #[error(transparent)] $variant(#[from] $error),)+
        }

        impl Error {
            /// Who has to act.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(error) => error.kind(),)+
                }
            }
        }
    };
}

errors! {
    /// A file.
    File(FileError),
    /// A text or a word.
    Input(InputError),
    /// The SRS is not one that may be used, or not here.
    Srs(SrsPolicyError),
    /// A base or adapter could not be registered.
    Registration(RegistrationError),
    /// A folder could not be imported.
    Import(ModelImportError),
    /// No datanet was built.
    Datanet(DatanetError),
    /// A datanet is not what its build would have made.
    DatanetCheck(DatanetCheckError),
    /// No inference proof was made.
    Prover(ProverError),
    /// No settlement was made.
    Settler(SettlerError),
    /// A proof or settlement is not accepted.
    Check(CheckError),
    /// A signed request.
    Request(RequestError),
    /// A request that a prover's policy refuses.
    Offer(OfferError),
}
