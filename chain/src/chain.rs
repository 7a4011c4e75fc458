//! What is asked of a chain, and how it can fail.

use std::path::PathBuf;

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use lorica_circuits::error::CircuitError;

use crate::abi::AbiError;
use crate::keys::KeyError;
use crate::revert::Revert;

/// Most gas of a transaction (EIP-7825).
pub const TRANSACTION_GAS: u64 = 16_777_216;

/// An accepted transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What it used of gas, all of it: intrinsic gas, calldata and its floor, execution, less refunds.
    pub gas: u64,
    /// The contract that it created.
    pub created: Option<Address>,
    /// Its hash, on a real chain.
    pub hash: Option<B256>,
    /// Its block.
    pub block: u64,
    /// Its block's hash, on a real chain.
    pub block_hash: Option<B256>,
    /// What its contracts logged, in their order.
    pub logs: Vec<Log>,
}

/// A log with its place on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedLog {
    /// The contract, its topics and data.
    pub log: Log,
    /// Its block.
    pub block: u64,
    /// Its block's hash, on a real chain.
    pub block_hash: Option<B256>,
    /// Its transaction's hash, on a real chain.
    pub transaction: Option<B256>,
    /// Its place among the block's logs.
    pub index: u64,
}

/// A chain, with an account on it that sends transactions.
pub trait Chain {
    /// The chain's id.
    fn id(&self) -> u64;

    /// The account.
    fn account(&self) -> Address;

    /// Sends a transaction with wei and awaits it: a call, or the creation of a contract if `to` is none.
    ///
    /// # Errors
    /// [`ChainError`], [`ChainError::Reverted`] if the contract refuses.
    fn send_value(&mut self, to: Option<Address>, data: Bytes, value: U256) -> Result<Receipt, ChainError>;

    /// [`send_value`](Self::send_value) with so much more gas than the estimate, for calls that may take more then.
    ///
    /// # Errors
    /// As [`send_value`](Self::send_value).
    fn send_with_gas(
        &mut self,
        to: Option<Address>,
        data: Bytes,
        value: U256,
        _more: u64,
    ) -> Result<Receipt, ChainError> {
        self.send_value(to, data, value)
    }

    /// [`send_value`](Self::send_value) of no wei.
    ///
    /// # Errors
    /// As [`send_value`](Self::send_value).
    fn send(&mut self, to: Option<Address>, data: Bytes) -> Result<Receipt, ChainError> {
        self.send_value(to, data, U256::ZERO)
    }

    /// Calls with wei, without a transaction.
    ///
    /// # Errors
    /// As [`send_value`](Self::send_value).
    fn call_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<Bytes, ChainError>;

    /// [`call_value`](Self::call_value) of no wei.
    ///
    /// # Errors
    /// As [`send_value`](Self::send_value).
    fn call(&mut self, to: Address, data: Bytes) -> Result<Bytes, ChainError> {
        self.call_value(to, data, U256::ZERO)
    }

    /// Gas that the call with wei would use as a transaction.
    ///
    /// # Errors
    /// As [`send_value`](Self::send_value).
    fn estimate_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<u64, ChainError>;

    /// [`estimate_value`](Self::estimate_value) of no wei.
    ///
    /// # Errors
    /// As [`send_value`](Self::send_value).
    fn estimate(&mut self, to: Address, data: Bytes) -> Result<u64, ChainError> {
        self.estimate_value(to, data, U256::ZERO)
    }

    /// Code at an address.
    ///
    /// # Errors
    /// [`ChainError`].
    fn code(&mut self, at: Address) -> Result<Bytes, ChainError>;

    /// Wei of an account.
    ///
    /// # Errors
    /// [`ChainError`].
    fn balance(&mut self, of: Address) -> Result<U256, ChainError>;

    /// The latest block.
    ///
    /// # Errors
    /// [`ChainError`].
    fn block_number(&mut self) -> Result<u64, ChainError>;

    /// The latest block's time, in seconds since 1970.
    ///
    /// # Errors
    /// [`ChainError`].
    fn timestamp(&mut self) -> Result<u64, ChainError>;

    /// Logs of a contract from this block to the latest, oldest first. Each topic that is named must be the log's at its
    /// place.
    ///
    /// # Errors
    /// [`ChainError`].
    fn logs(
        &mut self,
        from_block: u64,
        contract: Address,
        topics: &[Option<B256>],
    ) -> Result<Vec<LocatedLog>, ChainError>;
}

/// Whether a log has the topics that are named.
pub(crate) fn has_topics(log: &Log, named: &[Option<B256>]) -> bool {
    named.len() <= log.topics().len()
        && named.iter().zip(log.topics()).all(|(named, topic)| named.is_none_or(|named| named == *topic))
}

/// Why something did not happen on a chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A contract refuses.
    #[error("refused by the contract: {revert}")]
    Reverted {
        /// What it said.
        revert: Box<Revert>,
        /// Gas that it cost, if a transaction was made.
        gas: Option<u64>,
    },
    /// Execution ended without the contract's word.
    #[error("execution ended after {gas} gas: {reason}")]
    Halted {
        /// The machine's reason.
        reason: String,
        /// Gas that it cost.
        gas: u64,
    },
    /// The chain does not take the transaction.
    #[error("the chain does not take the transaction: {reason}")]
    NotTaken {
        /// Its reason.
        reason: String,
    },
    /// Another chain than the one meant.
    #[error("this is chain {got}, not chain {expected}")]
    ForeignChain {
        /// The one meant.
        expected: u64,
        /// The one asked.
        got: u64,
    },
    /// Only the consumer of a binding may act on it.
    #[error("the settlement is bound to the consumer {bound}, not to {got}")]
    ForeignConsumer {
        /// Of the binding.
        bound: Address,
        /// Who would send.
        got: Address,
    },
    /// Nothing is deployed there.
    #[error("no contract at {at}, where the {name} should be")]
    NoContract {
        /// The contract's name.
        name: &'static str,
        /// The address.
        at: Address,
    },
    /// No line of models has this number.
    #[error("there is no line {line} of models on this chain")]
    NoLine {
        /// The number.
        line: u32,
    },
    /// No published version has this id.
    #[error("version {id:#066x} is not published on this chain")]
    NotPublished {
        /// The id.
        id: U256,
    },
    /// The registry of models would not take it.
    #[error("{id:#066x} cannot be published: {reason}")]
    CannotPublish {
        /// The id.
        id: U256,
        /// Why.
        reason: String,
    },
    /// A record that no contract takes in one transaction.
    #[error("the record of this {what} has {got} points, the chain takes at most {limit}")]
    RecordTooLong {
        /// The kind of record.
        what: &'static str,
        /// Most points.
        limit: usize,
        /// Its points.
        got: usize,
    },
    /// Only who is offered a contract can accept it.
    #[error("the ownership of the contract {name:?} is not offered to {account}")]
    NotOffered {
        /// The contract's name.
        name: &'static str,
        /// Who would accept.
        account: Address,
    },
    /// A circuit or a request is of a kind of output that is withdrawn, or of none.
    #[error("{what} {id}: {source}")]
    Kind {
        /// Circuit or request.
        what: &'static str,
        /// Its id.
        id: B256,
        /// What is wrong with its kind.
        source: CircuitError,
    },
    /// A contract answers something else than its kind does.
    #[error("{what} is not as it should be")]
    Unexpected {
        /// What was asked.
        what: &'static str,
    },
    /// A value has no place in the ABI.
    #[error(transparent)]
    Abi(#[from] AbiError),
    /// The node cannot be reached.
    #[error("{url}: {reason}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The node answers with an error.
    #[error("{method}: the node answers {code}: {message}")]
    Node {
        /// The call.
        method: &'static str,
        /// JSON-RPC's code.
        code: i64,
        /// The node's words.
        message: String,
    },
    /// The node's answer makes no sense.
    #[error("{method}: the node's answer is malformed: {what}")]
    Answer {
        /// The call.
        method: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// A transaction was sent but is not confirmed yet. It may still be mined.
    #[error("transaction {hash} has {confirmations} of {wanted} confirmations, and no more came for {seconds} seconds")]
    Pending {
        /// Its hash.
        hash: B256,
        /// How long none was added.
        seconds: u64,
        /// Confirmations that it had; none if it is in no block.
        confirmations: u64,
        /// Confirmations to wait for.
        wanted: u64,
    },
    /// A transaction was sent, but the node does not tell what became of it. It may be mined or not.
    #[error("transaction {hash} was sent, and what became of it is unknown: {source}")]
    Unanswered {
        /// Its hash.
        hash: B256,
        /// What is in the way.
        source: Box<ChainError>,
    },
    /// Another transaction of the account has the nonce.
    #[error("transaction {hash} will never be mined: another one of {account} has its nonce {nonce}")]
    Replaced {
        /// Its hash.
        hash: B256,
        /// The account.
        account: Address,
        /// The nonce.
        nonce: u64,
    },
    /// The files that keep two programs from taking one nonce.
    #[error("the account's lock {}: {source}", path.display())]
    LockFile {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// Another program sends from the account, and does not end.
    #[error("another program has held the account's lock {} for {seconds} seconds", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long it was awaited.
        seconds: u64,
    },
    /// The private key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl ChainError {
    pub(crate) fn reverted(data: &[u8], gas: Option<u64>) -> Self {
        Self::Reverted { revert: Box::new(Revert::decode(data)), gas }
    }

    /// Whether a contract refused, rather than something being in the way.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Reverted { .. } | Self::Halted { .. })
    }

    /// Gas that was paid for nothing, if a transaction was made.
    #[must_use]
    pub fn gas(&self) -> Option<u64> {
        match self {
            Self::Reverted { gas, .. } => *gas,
            Self::Halted { gas, .. } => Some(*gas),
            _ => None,
        }
    }
}
