//! An EVM in memory: Osaka rules, every transaction priced as on a chain.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, keccak256};
use revm::DatabaseRef;
use revm::context::result::{EVMError, ExecutionResult, Output};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::handler::{ExecuteCommitEvm, MainBuilder, MainContext, MainnetContext};
use revm::inspector::{InspectEvm, Inspector};
use revm::interpreter::{CallInputs, CallOutcome};
use revm::primitives::hardfork::SpecId;

use crate::chain::{Blocks, Chain, LocatedLog, PATIENCE, Receipt, TRANSACTION_GAS, has_topics};
use crate::error::{ChainError, Refusal, StateError, TransactionError};

/// Gas of a block, of which a transaction may use [`TRANSACTION_GAS`].
const BLOCK_GAS: u64 = 60_000_000;

/// Time of the first block: the first second of 2026.
pub const GENESIS_TIME: u64 = 1_767_225_600;

type Store = CacheDB<EmptyDB>;

/// A chain of one's own. Gas has no price, any account sends. Each transaction has a block of its own; time stands still
/// but for [`advance`](Self::advance).
#[derive(Clone, Debug)]
pub struct EmbeddedChain {
    id: u64,
    account: Address,
    gas_limit: u64,
    /// The block of the next transaction.
    block: u64,
    time: u64,
    store: Store,
    logs: Vec<LocatedLog>,
    /// Where the chain left another one that it was, oldest first: the first block of its own, and a number that no other has.
    forks: Vec<(u64, u64)>,
}

/// Gas that one contract or precompile used in a call, without what it called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The contract.
    pub at: Address,
    /// How often it was called.
    pub calls: u64,
    /// Gas of all calls together.
    pub gas: u64,
}

/// Sums gas by contract.
#[derive(Default)]
struct Meter {
    /// Gas of the calls inside each call that is not over.
    inner: Vec<u64>,
    parts: BTreeMap<Address, (u64, u64)>,
}

impl<CTX> Inspector<CTX> for Meter {
    fn call(&mut self, _: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        self.inner.push(0);
        None
    }

    fn call_end(&mut self, _: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        let all = outcome.result.gas.total_gas_spent();
        let inner = self.inner.pop().unwrap_or(0);
        if let Some(outer) = self.inner.last_mut() {
            *outer += all;
        }
        let part = self.parts.entry(inputs.bytecode_address).or_default();
        part.0 += 1;
        part.1 += all.saturating_sub(inner);
    }
}

/// What somebody asks of the chain, by name rather than as the chain's account.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who asks.
    pub from: Address,
    /// A contract or account; none creates a contract.
    pub to: Option<Address>,
    /// Calldata or init code.
    pub data: Bytes,
    /// Wei.
    pub value: U256,
    /// Most gas.
    pub gas: u64,
}

/// How a message ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether the contract let it pass.
    pub succeeded: bool,
    /// What was returned, or the reason of a revert; empty if execution halted.
    pub output: Bytes,
    /// Gas of the whole transaction.
    pub gas: u64,
    /// The contract that it created.
    pub created: Option<Address>,
    /// Events.
    pub logs: Vec<Log>,
}

impl From<ExecutionResult> for Outcome {
    fn from(result: ExecutionResult) -> Self {
        let gas = result.tx_gas_used();
        let (succeeded, output, created, logs) = match result {
            ExecutionResult::Success { output: Output::Call(output), logs, .. } => (true, output, None, logs),
            ExecutionResult::Success { output: Output::Create(code, created), logs, .. } => (true, code, created, logs),
            ExecutionResult::Revert { output, .. } => (false, output, None, Vec::new()),
            ExecutionResult::Halt { .. } => (false, Bytes::new(), None, Vec::new()),
        };
        Self { succeeded, output, gas, created, logs }
    }
}

/// A transaction's end, before it is judged.
struct Ran {
    result: ExecutionResult,
    parts: Vec<Part>,
}

impl EmbeddedChain {
    /// An empty chain.
    #[must_use]
    pub fn new(id: u64, account: Address) -> Self {
        Self {
            id,
            account,
            gas_limit: TRANSACTION_GAS,
            block: 1,
            time: GENESIS_TIME,
            store: Store::default(),
            logs: Vec::new(),
            forks: Vec::new(),
        }
    }

    /// Number of the latest block.
    pub(super) fn head(&self) -> u64 {
        self.block - 1
    }

    /// The next blocks are others than those that a copy of this chain has or makes, though they may hold the same.
    pub(super) fn fork(&mut self, number: u64) {
        self.forks.push((self.block, number));
    }

    /// A block's hash: of its number, and of the fork that it is in.
    pub(super) fn block_hash(&self, number: u64) -> B256 {
        let fork = self.forks.iter().rev().find(|(first, _)| *first <= number).map_or(0, |(_, fork)| *fork);
        let name = b"lorica development block".as_slice();
        match fork {
            0 => keccak256([name, &number.to_be_bytes()].concat()),
            fork => keccak256([name, &number.to_be_bytes(), &fork.to_be_bytes()].concat()),
        }
    }

    /// Another account sends from now on.
    pub fn set_account(&mut self, account: Address) {
        self.account = account;
    }

    /// Gas limit of transactions from now on; the chain takes none above [`TRANSACTION_GAS`].
    pub fn set_gas_limit(&mut self, gas: u64) {
        self.gas_limit = gas;
    }

    /// Lets time pass: a block without transactions, so many seconds later.
    pub fn advance(&mut self, seconds: u64) {
        self.time = self.time.saturating_add(seconds);
        self.block += 1;
    }

    /// Lets time pass until a moment (Unix seconds), without a block; it never goes back.
    pub fn advance_to(&mut self, time: u64) {
        self.time = self.time.max(time);
    }

    /// Transactions that an account has sent.
    #[must_use]
    pub fn nonce(&self, of: Address) -> u64 {
        let Ok(account) = self.store.basic_ref(of);
        account.map_or(0, |account| account.nonce)
    }

    /// What a message would do.
    ///
    /// # Errors
    /// [`TransactionError::NotTaken`] if it is no transaction.
    pub fn simulate(&self, message: Message) -> Result<Outcome, ChainError> {
        let transaction = self.transaction(message)?;
        let mut evm = self.context(self.store.clone()).build_mainnet();
        Ok(evm.transact_commit(transaction).map_err(not_taken)?.into())
    }

    /// Runs a message as a transaction in a block of its own, whether it succeeds or not.
    ///
    /// # Errors
    /// [`TransactionError::NotTaken`] if it is no transaction.
    pub fn execute(&mut self, message: Message) -> Result<Outcome, ChainError> {
        self.run(message).map(Outcome::from)
    }

    /// The account's own message.
    fn own(&self, to: Option<Address>, data: Bytes, value: U256) -> Message {
        Message { from: self.account, to, data, value, gas: self.gas_limit }
    }

    /// Runs a message in a block, and keeps its logs.
    fn run(&mut self, message: Message) -> Result<ExecutionResult, ChainError> {
        let transaction = self.transaction(message)?;
        let store = std::mem::take(&mut self.store);
        let mut evm = self.context(store).build_mainnet();
        let result = evm.transact_commit(transaction);
        self.store = evm.ctx.journaled_state.database;
        let result = result.map_err(not_taken)?;
        if let ExecutionResult::Success { logs, .. } = &result {
            let block = self.block;
            let hash = self.block_hash(block);
            self.logs.extend((0..).zip(logs).map(|(index, log)| LocatedLog {
                log: log.clone(),
                block,
                block_hash: Some(hash),
                transaction: None,
                index,
            }));
        }
        self.block += 1;
        Ok(result)
    }

    /// Gives wei to an account, out of nothing.
    pub fn fund(&mut self, account: Address, wei: U256) {
        let Ok(info) = self.store.basic_ref(account);
        let mut info = info.unwrap_or_default();
        info.balance = info.balance.saturating_add(wei);
        self.store.insert_account_info(account, info);
    }

    /// Number and hash of the next transaction's block.
    fn place(&self) -> (u64, B256) {
        (self.block, self.block_hash(self.block))
    }

    fn context(&self, store: Store) -> MainnetContext<Store> {
        Context::mainnet()
            .with_db(store)
            .with_cfg(CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(self.id))
            .with_block(BlockEnv {
                gas_limit: BLOCK_GAS,
                number: U256::from(self.block),
                timestamp: U256::from(self.time),
                ..BlockEnv::default()
            })
    }

    fn transaction(&self, message: Message) -> Result<TxEnv, ChainError> {
        let Message { from, to, data, value, gas } = message;
        TxEnv::builder()
            .caller(from)
            .kind(to.map_or(TxKind::Create, TxKind::Call))
            .data(data)
            .value(value)
            .nonce(self.nonce(from))
            .chain_id(Some(self.id))
            .gas_limit(gas)
            .build()
            .map_err(|error| TransactionError::NotTaken { reason: format!("{error:?}") }.into())
    }

    /// Runs a transaction and forgets what it changed.
    fn rehearse(&self, to: Address, data: Bytes, value: U256) -> Result<Ran, ChainError> {
        let transaction = self.transaction(self.own(Some(to), data, value))?;
        let mut evm = self.context(self.store.clone()).build_mainnet_with_inspector(Meter::default());
        let result = evm.inspect_one_tx(transaction).map_err(not_taken)?;
        let parts = std::mem::take(&mut evm.inspector.parts);
        let parts = parts.into_iter().map(|(at, (calls, gas))| Part { at, calls, gas }).collect();
        Ok(Ran { result, parts })
    }

    /// Numbers of these blocks.
    ///
    /// # Errors
    /// [`StateError::NoBlock`].
    pub(super) fn range(&self, blocks: Blocks) -> Result<RangeInclusive<u64>, StateError> {
        let head = self.head();
        match blocks {
            Blocks::From(from) => Ok(from..=head),
            Blocks::Between(from, to) => Ok(from..=to),
            Blocks::At(hash) => {
                let number = (0..=head).find(|&number| self.block_hash(number) == hash);
                number.map(|number| number..=number).ok_or(StateError::NoBlock { hash })
            }
        }
    }

    /// Gas by contract of a call that succeeds, and of the whole transaction.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn profile(&mut self, to: Address, data: Bytes) -> Result<(u64, Vec<Part>), ChainError> {
        let Ran { result, parts } = self.rehearse(to, data, U256::ZERO)?;
        let (receipt, _) = judge(result, self.place())?;
        Ok((receipt.gas, parts))
    }
}

fn not_taken<E: std::fmt::Debug>(error: EVMError<E>) -> ChainError {
    let reason = match error {
        EVMError::Transaction(reason) => reason.to_string(),
        other => format!("{other:?}"),
    };
    TransactionError::NotTaken { reason }.into()
}

fn judge(result: ExecutionResult, (block, hash): (u64, B256)) -> Result<(Receipt, Bytes), ChainError> {
    let gas = result.tx_gas_used();
    match result {
        ExecutionResult::Success { output, logs, .. } => {
            let (output, created) = match output {
                Output::Call(output) => (output, None),
                Output::Create(code, created) => (code, created),
            };
            Ok((Receipt { gas, created, hash: None, block, block_hash: Some(hash), logs }, output))
        }
        ExecutionResult::Revert { output, .. } => Err(Refusal::reverted(&output, Some(gas)).into()),
        ExecutionResult::Halt { reason, .. } => Err(Refusal::Halted { reason: format!("{reason:?}"), gas }.into()),
    }
}

impl Chain for EmbeddedChain {
    fn id(&self) -> u64 {
        self.id
    }

    fn account(&self) -> Address {
        self.account
    }

    fn send_value(&mut self, to: Option<Address>, data: Bytes, value: U256) -> Result<Receipt, ChainError> {
        let place = self.place();
        let result = self.run(self.own(to, data, value))?;
        judge(result, place).map(|(receipt, _)| receipt)
    }

    fn call_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<Bytes, ChainError> {
        judge(self.rehearse(to, data, value)?.result, self.place()).map(|(_, output)| output)
    }

    fn estimate_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<u64, ChainError> {
        judge(self.rehearse(to, data, value)?.result, self.place()).map(|(receipt, _)| receipt.gas)
    }

    fn code(&mut self, at: Address) -> Result<Bytes, ChainError> {
        let Ok(account) = self.store.basic_ref(at);
        let Some(account) = account else { return Ok(Bytes::new()) };
        let Ok(code) = self.store.code_by_hash_ref(account.code_hash);
        Ok(code.original_bytes())
    }

    fn balance(&mut self, of: Address) -> Result<U256, ChainError> {
        let Ok(account) = self.store.basic_ref(of);
        Ok(account.map_or(U256::ZERO, |account| account.balance))
    }

    fn block_number(&mut self) -> Result<u64, ChainError> {
        Ok(self.head())
    }

    fn timestamp(&mut self) -> Result<u64, ChainError> {
        Ok(self.time)
    }

    /// Nobody waits here: time passes.
    fn await_second(&mut self, second: u64) -> Result<bool, ChainError> {
        if second > self.time.saturating_add(PATIENCE) {
            return Ok(false);
        }
        self.advance_to(second);
        Ok(true)
    }

    fn logs(
        &mut self,
        blocks: Blocks,
        contract: Address,
        topics: &[Option<B256>],
    ) -> Result<Vec<LocatedLog>, ChainError> {
        let range = self.range(blocks)?;
        let wanted = |found: &&LocatedLog| {
            range.contains(&found.block) && found.log.address == contract && has_topics(&found.log, topics)
        };
        Ok(self.logs.iter().filter(wanted).cloned().collect())
    }
}
