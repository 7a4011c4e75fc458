//! Who has to act on an error, and all errors of this crate as one type.

use std::io;

use lorica_chain::error::{ChainError, PolicyError, StateError};

use crate::check::CheckError;
use crate::datanet::DatanetError;
use crate::datanet::check::DatanetCheckError;
use crate::files::FileError;
use crate::import::ModelImportError;
use crate::input::InputError;
use crate::offer::OfferError;
use crate::prover::ProverError;
use crate::registration::RegistrationError;
use crate::settle::SettlerError;
use crate::signed_request::RequestError;
use crate::srs::SrsPolicyError;

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nobody can make it right: a proof does not hold, or says something else than was asked, or a contract refuses.
    Rejected,
    /// Whoever gave a file, a text or a number.
    Input,
    /// Whoever runs the machine: disk, network, memory, randomness.
    Environment,
    /// Nobody: the computation was stopped on demand.
    Cancelled,
}

impl Kind {
    /// Of a file that could not be opened or read: a wrong name is the input's fault.
    pub(crate) fn of_io(source: &io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Self::Input,
            _ => Self::Environment,
        }
    }

    /// Of an error between the library and a chain.
    #[must_use]
    pub fn of_chain(error: &ChainError) -> Self {
        match error {
            ChainError::Refused(_) | ChainError::Policy(PolicyError::NotOffered { .. }) => Self::Rejected,
            ChainError::Policy(
                PolicyError::ForeignConsumer { .. }
                | PolicyError::OutputKind { .. }
                | PolicyError::SharedRole { .. }
                | PolicyError::LineChanged { .. }
                | PolicyError::SaleTerms { .. }
                | PolicyError::NotWrapped { .. }
                | PolicyError::Abi(_),
            ) => Self::Input,
            ChainError::State(
                StateError::NoLine { .. }
                | StateError::RouteUnknown { .. }
                | StateError::NotPublished { .. }
                | StateError::NotForSale { .. }
                | StateError::NoLineSale,
            )
            | ChainError::Key(_) => Self::Input,
            ChainError::Node(_)
            | ChainError::Policy(_)
            | ChainError::State(_)
            | ChainError::Transaction(_)
            | ChainError::Lock(_) => Self::Environment,
        }
    }
}

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
