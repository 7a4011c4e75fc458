//! How something can fail on a chain.
//!
//! Each enum has its own place: the node ([`NodeError`]), a contract that refuses ([`Refusal`]), this client that refuses
//! before anything is sent ([`PolicyError`]), what the contracts hold ([`StateError`]), a transaction that a node was given
//! ([`TransactionError`]), the locks of nonces ([`LockError`]) and private keys ([`KeyError`]). [`ChainError`] is any of
//! them, and [`ChainError::kind`] says which.

use std::path::PathBuf;

use alloy_primitives::utils::format_ether;
use alloy_primitives::{Address, B256, U256};
use lorica_circuits::error::CircuitError;

use crate::abi::AbiError;
use crate::keys::KeyError;
use crate::revert::Revert;

/// Errors of the node: it is out of reach, or its answers are of no use. They may pass by themselves.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The node cannot be reached.
    #[error("{url}: {reason}")]
    Unreachable {
        /// Its address, without what may be secret in it.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The node answers with an error.
    #[error("{method}: the node answers {code}: {message}")]
    Answered {
        /// The JSON-RPC method.
        method: &'static str,
        /// JSON-RPC's code.
        code: i64,
        /// The node's words.
        message: String,
    },
    /// The node's answer makes no sense.
    #[error("{method}: the node's answer is malformed: {what}")]
    Malformed {
        /// The JSON-RPC method.
        method: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// A development node cannot listen at its address.
    #[error("{address}: cannot listen there: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// The system's reason.
        reason: String,
    },
}

/// A contract's refusal.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A contract says no.
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
}

impl Refusal {
    pub(crate) fn reverted(data: &[u8], gas: Option<u64>) -> Self {
        Self::Reverted { revert: Box::new(Revert::decode(data)), gas }
    }
}

/// What this client refuses by itself, before anything is sent: it cost no gas.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
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
    /// A circuit or a request is of a kind of output that is withdrawn, or of none.
    #[error("{what} {id}: {source}")]
    OutputKind {
        /// Circuit or request.
        what: &'static str,
        /// Its id.
        id: B256,
        /// What is wrong with its kind.
        source: CircuitError,
    },
    /// An adapter that names a datanet is published with its index.
    #[error("adapter {adapter:#x} names a datanet: it is published with its index, which pays the contributors")]
    IndexNeeded {
        /// The adapter's id.
        adapter: U256,
    },
    /// An index is of one adapter, and of the version that it names.
    #[error("the index is of adapter {of:#x}, or of a datanet that adapter {adapter:#x} does not name")]
    IndexOfOther {
        /// The adapter's id.
        adapter: U256,
        /// The index' adapter.
        of: U256,
    },
    /// Only who is offered a contract can accept it.
    #[error("the ownership of the contract {name:?} is not offered to {account}")]
    NotOffered {
        /// The contract's name.
        name: &'static str,
        /// Who would accept.
        account: Address,
    },
    /// Each part at a deployment is its own account's.
    #[error("{} cannot be both {} and {}: name four accounts, or a development chain", account, parts[0], parts[1])]
    SharedRole {
        /// The account.
        account: Address,
        /// Its two parts.
        parts: [&'static str; 2],
    },
    /// A line that has changed since somebody looked at it.
    #[error("line {line} has changed: its nonce is {got}, not {expected}; look at it again (`lorica line show`)")]
    LineChanged {
        /// Its number.
        line: u32,
        /// The nonce that was named.
        expected: u64,
        /// The nonce that it has.
        got: u64,
    },
    /// A sale for more than the buyer allows, or in another token.
    #[error("line {line} costs {price} of the smallest unit of the token {token}, which is not what is allowed")]
    SaleTerms {
        /// The line's number.
        line: u32,
        /// In which it is to be paid; zero for the gas token.
        token: Address,
        /// What it costs.
        price: U256,
    },
    /// The registry of models would not take it.
    #[error("{id:#066x} cannot be published: {reason}")]
    CannotPublish {
        /// The id.
        id: U256,
        /// Why.
        reason: String,
    },
    /// Publishing costs more than the publisher allows.
    #[error("publishing costs {} OPEN, which is more than the {} that are allowed", format_ether(*fee), format_ether(*max_fee))]
    PublishingFee {
        /// What it costs, in OPEN's smallest unit.
        fee: U256,
        /// What is allowed, in OPEN's smallest unit.
        max_fee: U256,
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
    /// A contract that the escrow does not take as a token is not called.
    #[error("the escrow does not take the token {token}")]
    TokenNotAllowed {
        /// Its address.
        token: Address,
    },
    /// A token that is not the gas token's wrapper.
    #[error("the token {token} does not wrap the gas token: on this chain OPEN is a token of its own")]
    NotWrapped {
        /// Its address.
        token: Address,
    },
    /// A permit for what is no contract.
    #[error("the gas token has no permits: it is sent along")]
    NativePermit,
    /// A fee that the contracts have no place for.
    #[error("a fee is below 2^96 of the token's smallest unit, got {fee}")]
    FeeTooLarge {
        /// The fee, in the token's smallest unit.
        fee: U256,
    },
    /// A number that no line can have.
    #[error("lines of models are numbered below 2^24, got {line}")]
    LineNumber {
        /// The number.
        line: u32,
    },
    /// A transaction without a key to sign it.
    #[error("there is no key to sign a transaction with")]
    NoKey,
    /// A transaction without a folder of locks: another program could take the same nonce.
    #[error("no folder of locks is set, which keep other programs from taking the same nonce")]
    NoLocks,
    /// A transaction that no chain takes.
    #[error("the transaction needs {gas} gas, a chain takes at most {limit}")]
    GasLimit {
        /// What it needs.
        gas: u64,
        /// Most gas of a transaction.
        limit: u64,
    },
    /// A transaction whose gas could cost more than is allowed, at the prices that the node names.
    #[error("the transaction's gas could cost {cost} wei, more than the {max_cost} that are allowed")]
    GasCost {
        /// What it could cost, in wei.
        cost: u128,
        /// What is allowed, in wei.
        max_cost: u128,
    },
    /// Signed transactions that cannot stand for each other.
    #[error(
        "these are not versions of one transaction: one chain, account and nonce is expected, and one version at least"
    )]
    Versions,
    /// A value has no place in the ABI.
    #[error(transparent)]
    Abi(#[from] AbiError),
}

/// What the contracts of a chain hold: something that was named is not there, or not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Nothing is deployed there.
    #[error("no contract at {at}, where the {name} should be")]
    NoContract {
        /// The contract's name.
        name: &'static str,
        /// The address.
        at: Address,
    },
    /// The router has no route for this circuit.
    #[error("the router has no route for the circuit {circuit}")]
    NoRoute {
        /// The circuit.
        circuit: B256,
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
    /// The chain has no block with this hash, or not any more.
    #[error("there is no block {hash} on this chain")]
    NoBlock {
        /// The hash.
        hash: B256,
    },
    /// A route that cannot be pinned.
    #[error("there is no route {route} that both escrows have enabled")]
    RouteUnknown {
        /// The route.
        route: B256,
    },
    /// A contract answers something else than its kind does.
    #[error("{what} is not as it should be")]
    Unexpected {
        /// What was asked for.
        what: &'static str,
    },
    /// The addresses are of contracts that were deployed without one that sells lines.
    #[error("these contracts have none that sells lines: offer the line to its buyer, who accepts it")]
    NoLineSale,
    /// A line that nobody sells.
    #[error("line {line} is not for sale")]
    NotForSale {
        /// Its number.
        line: u32,
    },
}

/// What became of a transaction that a node was given.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The chain does not take the transaction.
    #[error("the chain does not take the transaction: {reason}")]
    NotTaken {
        /// Its reason.
        reason: String,
    },
    /// It is not confirmed yet. It may still be mined.
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
    /// The node does not tell what became of it. It may be mined or not.
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
}

/// The locks that keep two programs of one machine from taking one nonce.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A file of the locks cannot be used.
    #[error("the account's lock {}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Every nonce is taken.
    #[error("the account has no nonce left")]
    NoNonce,
    /// Another program sends from the account, and does not end.
    #[error("another program has held the account's lock {} for {seconds} seconds", path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// How long it was awaited.
        seconds: u64,
    },
}

/// Why something did not happen on a chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A contract refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// This client refuses.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The chain does not hold what it should.
    #[error(transparent)]
    State(#[from] StateError),
    /// A transaction that a node was given.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The locks of nonces.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The private key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Where an error lies, and so who may do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The node: the same may succeed later, or with another node. Nothing was sent.
    Node,
    /// A contract refuses; [`ChainError::gas`] says whether that cost gas.
    Refused,
    /// This client refuses what it was asked to do. Nothing was sent.
    Policy,
    /// The chain does not hold what was named.
    State,
    /// A transaction was signed and given to a node. It may be mined, unless [`TransactionError`] says otherwise.
    Transaction,
    /// This machine's locks. Nothing was sent.
    Lock,
    /// The private key. Nothing was sent.
    Key,
}

impl From<AbiError> for ChainError {
    fn from(error: AbiError) -> Self {
        Self::Policy(error.into())
    }
}

impl ChainError {
    /// Where the error lies.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Node(_) => ErrorKind::Node,
            Self::Refused(_) => ErrorKind::Refused,
            Self::Policy(_) => ErrorKind::Policy,
            Self::State(_) => ErrorKind::State,
            Self::Transaction(_) => ErrorKind::Transaction,
            Self::Lock(_) => ErrorKind::Lock,
            Self::Key(_) => ErrorKind::Key,
        }
    }

    /// Whether a contract refused, rather than something being in the way.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.kind() == ErrorKind::Refused
    }

    /// Gas that was paid for nothing, if a transaction was made.
    #[must_use]
    pub fn gas(&self) -> Option<u64> {
        match self {
            Self::Refused(Refusal::Reverted { gas, .. }) => *gas,
            Self::Refused(Refusal::Halted { gas, .. }) => Some(*gas),
            _ => None,
        }
    }
}
