//! Every way in which a command can fail, with its exit code.

use std::io;
use std::path::{Path, PathBuf};

use lorica_chain::alloy_primitives::B256;
use lorica_chain::error::{ChainError, PolicyError, StateError};
use lorica_chain::keys::KeyError as PrivateKeyError;
use lorica_circuits::bn254::Fr;
use lorica_circuits::error::CircuitError;
use lorica_circuits::shape::MAX_TOKENS;
use lorica_prover::prove::ProveError;
use lorica_prover::srs::SrsError;
use lorica_quant::float::FloatError;
use lorica_quant::import::{EncodeError, ImportError, TokenizerError};
use lorica_quant::integer::quality::QualityError;
use lorica_quant::integer::{ExecuteError, ModelError, QuantiseError};
use lorica_settlement::key::KeyError as SettlementKeyError;
use lorica_settlement::settlement::{MakeError, SettlementError};
use lorica_verifier::codec::CodecError;
use lorica_verifier::key::KeyError;
use lorica_verifier::verify::VerifyError;

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

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The proof file is not one.
    #[error("the proof file is malformed: {0}")]
    MalformedProof(CodecError),
    /// The verifier refused.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The proof holds, but not for what the caller named.
    #[error("the proof is not about this input: {0}")]
    Mismatch(String),
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{path}: cannot be written: {source}", path = .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is larger than any of its kind.
    #[error("{path}: larger than the {max} bytes that such a file may have", path = .path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// One of Lorica's files is malformed or of another kind.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CodecError,
    },
    /// One of Lorica's files contradicts itself or does not belong to another one.
    #[error("{path}: {reason}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key does not fit its architecture.
    #[error("{path}: {source}", path = .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: KeyError,
    },
    /// A line of a JSON lines or text file.
    #[error("{path}, line {line}: {reason}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// A text that the tokenizer refuses.
    #[error("request {request}: {source}")]
    Text {
        /// Index in the batch.
        request: usize,
        /// Why.
        source: EncodeError,
    },
    /// A text that fits where the model is imported for longer texts.
    #[error("request {request}: {source}; the model takes it when it is imported with --max-tokens {MAX_TOKENS}")]
    LongText {
        /// Index in the batch.
        request: usize,
        /// Both numbers.
        source: EncodeError,
    },
    /// A batch that cannot be proven at once.
    #[error("{0}")]
    Batch(String),
    /// The development SRS without permission.
    #[error(
        "{what} is the development SRS, whose trapdoor is public: anyone can forge proofs with it. \
         Pass --insecure-dev-srs to use it for tests"
    )]
    InsecureSrs {
        /// Which SRS.
        what: String,
    },
    /// Another SRS than that of the base.
    #[error("{what} is another SRS than the one with which the base was registered")]
    OtherSrs {
        /// Which SRS.
        what: String,
    },
    /// A settlement by another circuit than the one that was named.
    #[error("the settlement is of circuit {own}, not of {meant}")]
    OtherCircuit {
        /// Its circuit.
        own: B256,
        /// The circuit that was named.
        meant: B256,
    },
    /// A base whose lookup tables are not those of the formulas.
    #[error("base {base:?}: the commitment to tile {tile} of its lookup tables is not that of the documented formulas")]
    Tables {
        /// The base's id.
        base: Fr,
        /// Index of the first tile that differs.
        tile: usize,
    },
    /// An SRS over another generator of G2, which no verifier takes.
    #[error("{what}: [1] of G2 is not the standard generator")]
    OddGenerator {
        /// Which SRS.
        what: String,
    },
    /// The SRS.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// The model's source folder.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The tokenizer inside a key.
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// Quantisation.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// An integer model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Execution.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The float reference.
    #[error(transparent)]
    Float(#[from] FloatError),
    /// Comparison with the float reference.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// Shape or architecture.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// The prover.
    #[error("proving: {0}")]
    Prove(#[from] ProveError),
    /// The prover made a proof that does not verify: its inputs contradict each other.
    #[error("the proof that was just made does not verify ({0}): base, adapter and key files do not belong together")]
    OwnProof(VerifyError),
    /// A settlement key could not be made or read.
    #[error("settlement key: {0}")]
    SettlementKey(#[from] SettlementKeyError),
    /// The inference proof was not settled.
    #[error(transparent)]
    Settle(#[from] MakeError),
    /// A settlement is not accepted.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
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
    /// The settlement file is not one.
    #[error("the settlement file is malformed: {0}")]
    MalformedSettlement(CodecError),
    /// The model could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// No randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// Who has to act on a chain's error.
fn of_chain(error: &ChainError) -> Kind {
    match error {
        ChainError::Refused(_) | ChainError::Policy(PolicyError::NotOffered { .. }) => Kind::Rejected,
        ChainError::Policy(
            PolicyError::ForeignConsumer { .. } | PolicyError::OutputKind { .. } | PolicyError::Abi(_),
        ) => Kind::Input,
        ChainError::State(StateError::NoLine { .. } | StateError::NotPublished { .. }) | ChainError::Key(_) => {
            Kind::Input
        }
        ChainError::Node(_)
        | ChainError::Policy(_)
        | ChainError::State(_)
        | ChainError::Transaction(_)
        | ChainError::Lock(_) => Kind::Environment,
    }
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let of_io = |source: &io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Kind::Input,
            _ => Kind::Environment,
        };
        match self {
            Self::MalformedProof(_) | Self::Verify(_) | Self::Mismatch(_) => Kind::Rejected,
            Self::MalformedSettlement(_) | Self::Settlement(_) | Self::OtherCircuit { .. } => Kind::Rejected,
            Self::Settle(MakeError::Binding | MakeError::Requests { .. } | MakeError::Inference(_)) => Kind::Rejected,
            Self::Chain(error) => of_chain(error),
            Self::Usage(_) => Kind::Usage,
            Self::Write { .. } | Self::Fetch(_) | Self::Randomness(_) => Kind::Environment,
            Self::Prove(ProveError::Randomness(_)) => Kind::Environment,
            Self::Io { source, .. } | Self::Srs(SrsError::Io { source, .. }) => of_io(source),
            Self::Import(ImportError::Read { source, .. }) => of_io(source),
            _ => Kind::Input,
        }
    }

    /// A closure that names the file that could not be read.
    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.into(), source }
    }

    /// A closure that names the file that could not be written.
    pub fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.into(), source }
    }

    /// A closure that names the malformed file.
    pub fn file(path: &Path) -> impl Fn(CodecError) -> Self {
        move |source| Self::File { path: path.into(), source }
    }
}

#[cfg(test)]
mod tests {
    use lorica_chain::abi::AbiError;
    use lorica_chain::alloy_primitives::{Address, U256};
    use lorica_chain::error::{LockError, NodeError, Refusal, TransactionError};
    use lorica_chain::revert::Revert;

    use super::*;

    /// Scripts rely on the exit codes of chains' errors.
    #[test]
    fn exit_codes_of_chains() {
        let at = Address::ZERO;
        let key = || PrivateKeyError::Digits;
        let abi = AbiError::DataLength { got: 1 };
        let errors: [(ChainError, u8); 21] = [
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
