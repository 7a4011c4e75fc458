//! Every way in which a command can fail, with its exit code.

use std::path::{Path, PathBuf};

use lorica::amount::AmountError;
use lorica::error::Kind as LibraryKind;
use lorica::files::FileError;
use lorica::input::InputError;
use lorica::offer::{OfferError, Reason};
use lorica_chain::error::ChainError;
use lorica_chain::keys::KeyError as PrivateKeyError;
use lorica_circuits::error::CircuitError;
use lorica_circuits::shape::MAX_TOKENS;
use lorica_prover::srs::SrsError;
use lorica_quant::import::ImportError;
use lorica_quant::integer::{ExecuteError, ModelError};
use lorica_settlement::key::KeyError as SettlementKeyError;
use lorica_settlement::settlement::MakeError;

use crate::model_fetch::FetchError;

/// Who has to act; it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The proof does not hold, or says something else than was asked.
    Rejected,
    /// The command line is wrong.
    Usage,
    /// A file or text was refused.
    Input,
    /// The machine: disk, network, memory, missing programs.
    Environment,
}

impl Kind {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Environment => 4,
        }
    }
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Usage => "usage",
            Self::Input => "input",
            Self::Environment => "environment",
        }
    }
}

impl From<LibraryKind> for Kind {
    fn from(kind: LibraryKind) -> Self {
        match kind {
            LibraryKind::Rejected => Self::Rejected,
            LibraryKind::Input => Self::Input,
            // No command stops its own work.
            LibraryKind::Environment | LibraryKind::Cancelled => Self::Environment,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// What the library refuses, with the flag that would change it.
    #[error("{0}{hint}", hint = hint(.0))]
    Library(Box<lorica::Error>),
    /// Files that do not belong together.
    #[error("{0}")]
    Batch(String),
    /// The demo saw a forgery accepted.
    #[error("a forgery was accepted: {0}")]
    Forgery(&'static str),
    /// The service does not run.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Serve(#[from] lorica_service::server::ServeError),
    /// A worker does not run, or runs no more.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Worker(#[from] lorica_service::remote::RemoteError),
    /// A service refused, or is not there.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Client(#[from] lorica_service::client::ClientError),
    /// A service made no proof.
    #[cfg(feature = "serve")]
    #[error("{0}")]
    NotProven(String),
    /// Shape or architecture.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// A settlement key could not be read.
    #[error("settlement key: {0}")]
    SettlementKey(#[from] SettlementKeyError),
    /// An SRS as a file.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// A chain: refused by a contract, or in the way.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The private key of an account.
    #[error(transparent)]
    PrivateKey(#[from] PrivateKeyError),
    /// An environment variable with a private key or a password.
    #[error("{variable}: {source}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is wrong with it.
        source: PrivateKeyError,
    },
    /// A keystore without a password.
    #[error(
        "{path}: a keystore needs its password: --password-file FILE, or the variable LORICA_KEY_PASSWORD or \
         LORICA_KEY_PASSWORD_FILE", path = .path.display()
    )]
    NoPassword {
        /// The keystore.
        path: PathBuf,
    },
    /// The model could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl<E: IntoLibrary> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Library(Box::new(error.into_library()))
    }
}

/// Errors of the library's modules, which commands pass on.
pub trait IntoLibrary {
    /// As the library's error.
    fn into_library(self) -> lorica::Error;
}

macro_rules! passed_on {
    ($($error:ty),+ $(,)?) => {
        $(impl IntoLibrary for $error {
            fn into_library(self) -> lorica::Error {
                self.into()
            }
        })+
    };
}

passed_on!(
    FileError,
    InputError,
    lorica::srs::SrsPolicyError,
    lorica::registration::RegistrationError,
    lorica::import::ModelImportError,
    lorica::datanet::DatanetError,
    lorica::datanet::check::DatanetCheckError,
    lorica::prover::ProverError,
    lorica::settle::SettlerError,
    lorica::check::CheckError,
    lorica::signed_request::RequestError,
    OfferError,
);

macro_rules! passed_on_by_import {
    ($($error:ty),+ $(,)?) => {
        $(impl IntoLibrary for $error {
            fn into_library(self) -> lorica::Error {
                lorica::import::ModelImportError::from(self).into()
            }
        })+
    };
}

impl IntoLibrary for MakeError {
    fn into_library(self) -> lorica::Error {
        lorica::settle::SettlerError::from(self).into()
    }
}

passed_on_by_import!(ImportError, ModelError, ExecuteError);

/// The flag that changes what the library refuses.
fn hint(error: &lorica::Error) -> String {
    use lorica::Error as L;
    match error {
        error if is_insecure(error) => ". Pass --insecure-dev-srs to use it for tests".into(),
        L::Input(InputError::LongText { .. }) => format!(" (--max-tokens {MAX_TOKENS})"),
        L::Offer(OfferError::Refused { reason: Reason::Unaccepted, .. }) => {
            ": accept it first (`request accept`), or name --unaccepted to prove it all the same".into()
        }
        L::Offer(OfferError::Refused { reason: Reason::Routes { .. }, .. }) => {
            ": its requester trusts no route that is live now (`lorica chain routes`)".into()
        }
        _ => String::new(),
    }
}

fn is_insecure(error: &lorica::Error) -> bool {
    use lorica::Error as L;
    use lorica::check::CheckError;
    use lorica::prover::ProverError;
    use lorica::registration::RegistrationError;
    use lorica::settle::SettlerError;
    use lorica::srs::SrsPolicyError::Insecure;
    matches!(
        error,
        L::Srs(Insecure { .. })
            | L::Registration(RegistrationError::Srs(Insecure { .. }))
            | L::Prover(ProverError::Srs(Insecure { .. }))
            | L::Settler(SettlerError::Srs(Insecure { .. }))
            | L::Check(CheckError::Srs(Insecure { .. }))
    )
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Usage(_) => Kind::Usage,
            #[cfg(feature = "serve")]
            Self::Serve(error) => {
                if error.is_input() {
                    Kind::Input
                } else {
                    Kind::Environment
                }
            }
            #[cfg(feature = "serve")]
            Self::Worker(error) => worker_kind(error),
            #[cfg(feature = "serve")]
            Self::Client(error) => client_kind(error),
            #[cfg(feature = "serve")]
            Self::NotProven(_) => Kind::Rejected,
            Self::Library(error) => error.kind().into(),
            Self::Forgery(_) => Kind::Rejected,
            Self::Chain(error) => LibraryKind::of_chain(error).into(),
            Self::Srs(error) => lorica::srs::kind_of(error).into(),
            Self::Fetch(_) => Kind::Environment,
            Self::Batch(_) | Self::Circuit(_) | Self::SettlementKey(_) => Kind::Input,
            Self::PrivateKey(_) | Self::Variable { .. } | Self::NoPassword { .. } => Kind::Input,
        }
    }

    /// A file that contradicts itself or does not belong to another one.
    pub fn refused(path: &Path, reason: impl ToString) -> Self {
        FileError::content(path, reason).into()
    }
}

/// An amount that the token does not permit, as an error of the command line.
pub(crate) fn amount_usage(error: AmountError) -> Error {
    Error::Usage(error.to_string())
}

/// Who has to act on a call that brought nothing.
#[cfg(feature = "serve")]
fn client_kind(error: &lorica_service::client::ClientError) -> Kind {
    use lorica_service::client::ClientError;
    use lorica_service::tonic::Code;
    match error {
        ClientError::Rejected(_) => Kind::Rejected,
        ClientError::Input(_) => Kind::Input,
        ClientError::Unreachable { .. } => Kind::Environment,
        ClientError::Refused { code, .. } => match code {
            Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Internal
            | Code::Unknown => Kind::Environment,
            _ => Kind::Input,
        },
    }
}

/// Who has to act on a worker that ended.
#[cfg(feature = "serve")]
fn worker_kind(error: &lorica_service::remote::RemoteError) -> Kind {
    use lorica_service::WorkerError;
    use lorica_service::remote::RemoteError;
    match error {
        RemoteError::Client(error) => client_kind(error),
        RemoteError::Banned(_) => Kind::Rejected,
        RemoteError::Served { .. } | RemoteError::Worker(WorkerError::Models(_)) => Kind::Input,
        RemoteError::File(error) => error.kind().into(),
        RemoteError::Worker(WorkerError::Process { .. }) | RemoteError::InUse(_) | RemoteError::System(_) => {
            Kind::Environment
        }
    }
}

#[cfg(test)]
mod tests {
    use lorica_chain::abi::AbiError;
    use lorica_chain::alloy_primitives::{Address, B256, U256};
    use lorica_chain::error::{LockError, NodeError, PolicyError, Refusal, StateError, TransactionError};
    use lorica_chain::revert::Revert;

    use super::*;

    /// Scripts rely on the exit codes of chains' errors.
    #[test]
    fn exit_codes_of_chains() {
        let at = Address::ZERO;
        let key = || PrivateKeyError::Digits;
        let abi = AbiError::DataLength { got: 1 };
        let errors: [(ChainError, u8); 22] = [
            (Refusal::Reverted { revert: Box::new(Revert::Empty), gas: None }.into(), 1),
            (Refusal::Halted { reason: String::new(), gas: 1 }.into(), 1),
            (PolicyError::NotOffered { name: "router", account: at }.into(), 1),
            (PolicyError::ForeignConsumer { bound: at, got: at }.into(), 3),
            (
                PolicyError::OutputKind { what: "circuit", id: B256::ZERO, source: CircuitError::WithdrawnEmbedding }
                    .into(),
                3,
            ),
            (abi.into(), 3),
            (StateError::NoLine { line: 1 }.into(), 3),
            (StateError::RouteUnknown { route: B256::ZERO }.into(), 3),
            (StateError::NotPublished { id: U256::ZERO }.into(), 3),
            (key().into(), 3),
            (PolicyError::ForeignChain { expected: 1, got: 2 }.into(), 4),
            (PolicyError::CannotPublish { id: U256::ZERO, reason: String::new() }.into(), 4),
            (PolicyError::PublishingFee { fee: U256::ONE, max_fee: U256::ZERO }.into(), 4),
            (PolicyError::RecordTooLong { what: "base", limit: 1, got: 2 }.into(), 4),
            (PolicyError::GasCost { cost: 2, max_cost: 1 }.into(), 4),
            (PolicyError::TokenNotAllowed { token: at }.into(), 4),
            (StateError::NoContract { name: "VerifierRouter", at }.into(), 4),
            (StateError::Unexpected { what: "a route" }.into(), 4),
            (NodeError::Answered { method: "eth_call", code: 1, message: String::new() }.into(), 4),
            (TransactionError::NotTaken { reason: String::new() }.into(), 4),
            (TransactionError::Replaced { hash: B256::ZERO, account: at, nonce: 1 }.into(), 4),
            (LockError::NoNonce.into(), 4),
        ];
        for (error, code) in errors {
            let said = error.to_string();
            assert_eq!(Error::Chain(error).kind().exit_code(), code, "{said}");
        }
        assert_eq!(Error::PrivateKey(key()).kind().exit_code(), 3);
        assert_eq!(Error::Variable { variable: "LORICA_PRIVATE_KEY", source: key() }.kind().exit_code(), 3);
        assert_eq!(Error::NoPassword { path: PathBuf::new() }.kind().exit_code(), 3);
    }
}
