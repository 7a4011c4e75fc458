//! Who has to act on an error.

use std::io;

use lorica_chain::error::{ChainError, PolicyError, StateError};

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
