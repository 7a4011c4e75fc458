//! Chains behind JSON-RPC.
//!
//! Blocking, over HTTP or HTTPS; transactions are of EIP-1559's type, signed here: the node never sees the key.
//! [`RpcChain`] sends one transaction after the other and awaits each: several programs may send from one account, and
//! reorganisations, lost transactions and nodes that are out of reach for a while are lived through. A service that keeps
//! its transactions in a database, and has many in flight, takes the steps of [`plan`] and [`sending`] alone.

mod blocking;
pub mod node;
pub mod nonces;
pub mod plan;
pub mod sending;
pub mod settings;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};

use self::blocking::Sender;
use self::node::{Node, call_object, log, malformed, parse, small};
use self::nonces::Nonces;
use self::plan::Call;
use self::settings::Settings;
use crate::chain::{Blocks, Chain, DEVELOPMENT_CHAINS, LocatedLog, PATIENCE, POLL, Receipt, TRANSACTION_GAS};
use crate::error::{ChainError, PolicyError};
use crate::keys::PrivateKey;

/// Confirmations on other chains: reorganisations of two blocks do not undo what was said to be done.
const CONFIRMATIONS: u64 = 3;

/// A chain behind a node.
#[derive(Debug)]
pub struct RpcChain {
    node: Node,
    id: u64,
    key: Option<PrivateKey>,
    settings: Settings,
    /// The block after which contracts are asked; none for the latest.
    block: Option<u64>,
}

impl RpcChain {
    /// Connects to a node with the usual settings. They name no folder of locks, so nothing is sent: an account's key only
    /// says as whom contracts are called.
    ///
    /// # Errors
    /// [`PolicyError::ForeignChain`] if `expected` is named and another chain answers.
    pub fn connect(url: &str, key: Option<PrivateKey>, expected: Option<u64>) -> Result<Self, ChainError> {
        Self::connect_with(url, key, expected, Settings::default())
    }

    /// Connects to a node, with a key and [`Settings::locks`] if transactions are to be sent.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with(
        url: &str,
        key: Option<PrivateKey>,
        expected: Option<u64>,
        settings: Settings,
    ) -> Result<Self, ChainError> {
        let node = Node::new(url, &settings);
        let id = node.number("eth_chainId", json!([]))?;
        match expected {
            Some(expected) if expected != id => Err(PolicyError::ForeignChain { expected, got: id }.into()),
            _ => Ok(Self { node, id, key, settings, block: None }),
        }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Confirmations that are awaited.
    #[must_use]
    pub fn confirmations(&self) -> u64 {
        let usual = if DEVELOPMENT_CHAINS.contains(&self.id) { 1 } else { CONFIRMATIONS };
        self.settings.confirmations.unwrap_or(usual).max(1)
    }

    /// Asks contracts as they were after a block. Nodes keep the states of some 128 blocks.
    pub fn at_block<T>(&mut self, block: u64, ask: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.block.replace(block);
        let answer = ask(self);
        self.block = before;
        answer
    }

    /// A call as the account's.
    fn own_call(&self, to: Option<Address>, data: &Bytes, value: U256) -> Value {
        call_object(self.account(), to, data, value)
    }

    fn gas(&self, to: Option<Address>, data: &Bytes, value: U256) -> Result<u64, ChainError> {
        let gas = self.node.number("eth_estimateGas", json!([self.own_call(to, data, value)]))?;
        let limit = TRANSACTION_GAS;
        if gas <= limit { Ok(gas) } else { Err(PolicyError::GasLimit { gas, limit }.into()) }
    }

    /// Logs of a range of blocks, oldest first. A range that is too long for the node is asked for by halves.
    fn logs_between(&self, from: u64, to: u64, filter: &Value) -> Result<Vec<LocatedLog>, ChainError> {
        let method = "eth_getLogs";
        // The last is the next.
        let mut ranges = vec![(from, to)];
        let mut found = Vec::new();
        while let Some((from, to)) = ranges.pop().filter(|(from, to)| from <= to) {
            let mut filter = filter.clone();
            filter["fromBlock"] = format!("{from:#x}").into();
            filter["toBlock"] = format!("{to:#x}").into();
            match self.node.exchange(method, &json!([filter]))? {
                Ok(logs) => found.extend(located(method, &logs)?),
                Err(fault) if fault.is_too_much() && from < to => {
                    let middle = from + (to - from) / 2;
                    ranges.extend([(middle + 1, to), (from, middle)]);
                }
                Err(fault) => return Err(fault.into_error(method)),
            }
        }
        Ok(found)
    }

    /// Logs of the block with this hash (EIP-234).
    fn logs_at(&self, hash: B256, mut filter: Value) -> Result<Vec<LocatedLog>, ChainError> {
        let method = "eth_getLogs";
        filter["blockHash"] = hash.to_string().into();
        let found = located(method, &self.node.request(method, json!([filter]))?)?;
        if found.iter().all(|log| log.block_hash == Some(hash)) {
            Ok(found)
        } else {
            Err(malformed(method, "a log of another block"))
        }
    }
}

/// A list of logs as JSON-RPC writes them.
fn located(method: &'static str, logs: &Value) -> Result<Vec<LocatedLog>, ChainError> {
    let read = |entry: &Value| {
        Ok(LocatedLog {
            log: log(method, entry)?,
            block: small(entry.get("blockNumber")).ok_or_else(|| malformed(method, "a log without a block"))?,
            block_hash: parse(entry.get("blockHash")),
            transaction: parse(entry.get("transactionHash")),
            index: small(entry.get("logIndex")).ok_or_else(|| malformed(method, "a log without a place"))?,
        })
    };
    logs.as_array().ok_or_else(|| malformed(method, "not a list"))?.iter().map(read).collect()
}

impl Chain for RpcChain {
    fn id(&self) -> u64 {
        self.id
    }

    fn account(&self) -> Address {
        self.key.as_ref().map_or(Address::ZERO, PrivateKey::account)
    }

    fn send_value(&mut self, to: Option<Address>, data: Bytes, value: U256) -> Result<Receipt, ChainError> {
        self.send_with_gas(to, data, value, 0)
    }

    /// What would be refused is not sent: the estimate finds out, and costs nothing.
    fn send_with_gas(
        &mut self,
        to: Option<Address>,
        data: Bytes,
        value: U256,
        more: u64,
    ) -> Result<Receipt, ChainError> {
        let key = self.key.as_ref().ok_or(PolicyError::NoKey)?;
        let locks = self.settings.locks.as_deref().ok_or(PolicyError::NoLocks)?;
        let estimate = self.gas(to, &data, value)?;
        let sender = Sender {
            node: &self.node,
            key,
            nonces: &Nonces::new(locks, self.id, key.account()),
            settings: &self.settings,
            confirmations: self.confirmations(),
        };
        // The state may differ a little in the block.
        let gas_limit = TRANSACTION_GAS.min((estimate + estimate / 4).saturating_add(more));
        sender.send(Call { chain_id: self.id, to, data, value, gas_limit })
    }

    fn call_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<Bytes, ChainError> {
        let block = self.block.map_or_else(|| "latest".into(), |block| format!("{block:#x}"));
        self.node.bytes("eth_call", json!([self.own_call(Some(to), &data, value), block]))
    }

    fn estimate_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<u64, ChainError> {
        self.gas(Some(to), &data, value)
    }

    fn code(&mut self, at: Address) -> Result<Bytes, ChainError> {
        self.node.bytes("eth_getCode", json!([at.to_string(), "latest"]))
    }

    fn balance(&mut self, of: Address) -> Result<U256, ChainError> {
        let method = "eth_getBalance";
        let answer = self.node.request(method, json!([of.to_string(), "latest"]))?;
        let digits = answer.as_str().and_then(|text| text.strip_prefix("0x")).filter(|digits| !digits.is_empty());
        let balance = digits.and_then(|digits| U256::from_str_radix(digits, 16).ok());
        balance.ok_or_else(|| malformed(method, "not a number"))
    }

    fn block_number(&mut self) -> Result<u64, ChainError> {
        self.node.number("eth_blockNumber", json!([]))
    }

    fn timestamp(&mut self) -> Result<u64, ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.node.request(method, json!(["latest", false]))?;
        small(block.get("timestamp")).ok_or_else(|| malformed(method, "no time"))
    }

    /// The latest block's time counts, since nodes estimate gas in it. A development node makes no block without a
    /// transaction: there it is this machine's time.
    fn await_second(&mut self, second: u64) -> Result<bool, ChainError> {
        let quiet = DEVELOPMENT_CHAINS.contains(&self.id);
        let began = Instant::now();
        loop {
            let latest = self.timestamp()?;
            let machine = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
            let now = if quiet { latest.max(machine) } else { latest };
            if now >= second {
                return Ok(true);
            }
            if second > now.saturating_add(PATIENCE) || began.elapsed().as_secs() >= PATIENCE {
                return Ok(false);
            }
            std::thread::sleep(POLL);
        }
    }

    fn logs(
        &mut self,
        blocks: Blocks,
        contract: Address,
        topics: &[Option<B256>],
    ) -> Result<Vec<LocatedLog>, ChainError> {
        let topics: Vec<Value> =
            topics.iter().map(|topic| topic.map_or(Value::Null, |t| t.to_string().into())).collect();
        let filter = json!({ "address": contract.to_string(), "topics": topics });
        match blocks {
            Blocks::From(from) => {
                let head = self.block_number()?;
                self.logs_between(from, head, &filter)
            }
            Blocks::Between(from, to) => self.logs_between(from, to, &filter),
            Blocks::At(hash) => self.logs_at(hash, filter),
        }
    }
}
