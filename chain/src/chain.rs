//! What is asked of a chain.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, Log, U256};

use crate::error::ChainError;

/// Most gas of a transaction (EIP-7825).
pub const TRANSACTION_GAS: u64 = 16_777_216;

/// Chains of development nodes, which make a block when there is a transaction.
pub const DEVELOPMENT_CHAINS: [u64; 2] = [31337, 1337];

/// How long [`Chain::await_second`] waits, in seconds.
pub const PATIENCE: u64 = 120;

/// Between two readings of a chain's time.
pub(crate) const POLL: Duration = Duration::from_millis(500);

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
    /// Its block's hash.
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
    /// Its block's hash.
    pub block_hash: Option<B256>,
    /// Its transaction's hash, on a real chain.
    pub transaction: Option<B256>,
    /// Its place among the block's logs.
    pub index: u64,
}

/// Blocks whose logs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// From the block with this number to the latest.
    From(u64),
    /// From one number to another, both included. What lies beyond the latest block is the chain's to answer.
    Between(u64, u64),
    /// The block with this hash. That the chain does not have it is an error, where a number may be another block's after a
    /// reorganisation, or unknown to the one of several nodes that answers.
    At(B256),
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
    /// [`ChainError`], [`ChainError::Refused`] if the contract refuses.
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

    /// Waits until a transaction that is sent now is mined in this second (Unix) or a later one. False, at once or after
    /// [`PATIENCE`], if the chain's time does not come so far by then.
    ///
    /// # Errors
    /// [`ChainError`].
    fn await_second(&mut self, second: u64) -> Result<bool, ChainError>;

    /// Logs of a contract in these blocks, oldest first. Each topic that is named must be the log's at its place.
    ///
    /// # Errors
    /// [`ChainError`].
    fn logs(
        &mut self,
        blocks: Blocks,
        contract: Address,
        topics: &[Option<B256>],
    ) -> Result<Vec<LocatedLog>, ChainError>;
}

/// Whether a log has the topics that are named.
pub(crate) fn has_topics(log: &Log, named: &[Option<B256>]) -> bool {
    named.len() <= log.topics().len()
        && named.iter().zip(log.topics()).all(|(named, topic)| named.is_none_or(|named| named == *topic))
}
