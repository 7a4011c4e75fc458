//! What is asked of a chain, and how it can fail.

use alloy_primitives::{Address, B256, Bytes};

use crate::abi::AbiError;
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
}

/// A chain, with an account on it that sends transactions.
pub trait Chain {
    /// The chain's id.
    fn id(&self) -> u64;

    /// The account.
    fn account(&self) -> Address;

    /// Sends a transaction and awaits it: a call, or the creation of a contract if `to` is none.
    ///
    /// # Errors
    /// [`ChainError`], [`ChainError::Reverted`] if the contract refuses.
    fn send(&mut self, to: Option<Address>, data: Bytes) -> Result<Receipt, ChainError>;

    /// Calls without a transaction.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn call(&mut self, to: Address, data: Bytes) -> Result<Bytes, ChainError>;

    /// Gas that the call would use as a transaction.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    fn estimate(&mut self, to: Address, data: Bytes) -> Result<u64, ChainError>;

    /// Code at an address.
    ///
    /// # Errors
    /// [`ChainError`].
    fn code(&mut self, at: Address) -> Result<Bytes, ChainError>;
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
    /// A transaction was sent but is in no block yet.
    #[error("transaction {hash} is in no block after {seconds} seconds")]
    Pending {
        /// Its hash.
        hash: B256,
        /// How long it was awaited.
        seconds: u64,
    },
    /// The private key.
    #[error("the key file needs one private key of 64 hexadecimal digits")]
    PrivateKey,
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
