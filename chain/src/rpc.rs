//! Chains behind JSON-RPC.
//!
//! Blocking, over HTTP or HTTPS; transactions are of EIP-1559's type, signed here: the node never sees the key. Several
//! programs may send from one account; reorganisations, lost transactions and nodes that are out of reach for a while are
//! lived through.

mod node;
mod nonces;
mod sending;
pub mod settings;

use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use serde_json::{Value, json};

use self::node::{Node, log, malformed, parse, small};
use self::nonces::{Nonces, default_folder};
use self::sending::{Mined, Sender};
use self::settings::Settings;
use crate::chain::{Chain, ChainError, LocatedLog, Receipt, TRANSACTION_GAS};
use crate::keys::PrivateKey;

/// Chains of development nodes, which make a block when there is a transaction.
const DEVELOPMENT_CHAINS: [u64; 2] = [31337, 1337];
/// Confirmations on other chains: reorganisations of two blocks do not undo what was said to be done.
const CONFIRMATIONS: u64 = 3;

/// A chain behind a node.
#[derive(Debug)]
pub struct RpcChain {
    node: Node,
    id: u64,
    key: Option<PrivateKey>,
    settings: Settings,
}

impl RpcChain {
    /// Connects to a node, with a key if transactions are to be sent.
    ///
    /// # Errors
    /// [`ChainError::ForeignChain`] if `expected` is named and another chain answers.
    pub fn connect(url: &str, key: Option<PrivateKey>, expected: Option<u64>) -> Result<Self, ChainError> {
        Self::connect_with(url, key, expected, Settings::default())
    }

    /// [`connect`](Self::connect) with other patience.
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
            Some(expected) if expected != id => Err(ChainError::ForeignChain { expected, got: id }),
            _ => Ok(Self { node, id, key, settings }),
        }
    }

    /// Confirmations that are awaited.
    #[must_use]
    pub fn confirmations(&self) -> u64 {
        let usual = if DEVELOPMENT_CHAINS.contains(&self.id) { 1 } else { CONFIRMATIONS };
        self.settings.confirmations.unwrap_or(usual).max(1)
    }

    fn call_object(&self, to: Option<Address>, data: &Bytes, value: U256) -> Value {
        let mut object = json!({
            "from": self.account().to_string(),
            "data": data.to_string(),
            "value": format!("{value:#x}"),
            "gas": format!("{TRANSACTION_GAS:#x}"),
        });
        if let (Some(to), Some(object)) = (to, object.as_object_mut()) {
            object.insert("to".into(), to.to_string().into());
        }
        object
    }

    fn gas(&self, to: Option<Address>, data: &Bytes, value: U256) -> Result<u64, ChainError> {
        let gas = self.node.number("eth_estimateGas", json!([self.call_object(to, data, value)]))?;
        if gas <= TRANSACTION_GAS {
            Ok(gas)
        } else {
            Err(ChainError::NotTaken { reason: format!("it needs {gas} gas, of at most {TRANSACTION_GAS}") })
        }
    }

    /// Why a transaction in a block did not succeed. A receipt does not say; the same call on the block's state may.
    fn failure(&self, to: Option<Address>, data: &Bytes, value: U256, mined: &Mined) -> ChainError {
        let gas = mined.receipt.gas;
        let block = format!("{:#x}", mined.receipt.block);
        match self.node.request("eth_call", json!([self.call_object(to, data, value), block])) {
            Err(ChainError::Reverted { revert, .. }) => ChainError::Reverted { revert, gas: Some(gas) },
            _ if gas >= mined.limit => ChainError::Halted { reason: "out of gas".into(), gas },
            _ => ChainError::reverted(&[], Some(gas)),
        }
    }

    /// Logs of a range of blocks; none if the node finds the range too long.
    fn logs_of(
        &self,
        (from, to): (u64, u64),
        contract: Address,
        topics: &[Value],
    ) -> Result<Option<Value>, ChainError> {
        let method = "eth_getLogs";
        let filter = json!([{
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
            "address": contract.to_string(), "topics": topics,
        }]);
        match self.node.ask(method, &filter)? {
            Ok(logs) => Ok(Some(logs)),
            Err(error) if error.is_too_much() && from < to => Ok(None),
            Err(error) => Err(error.into_error(method)),
        }
    }
}

fn located(method: &'static str, entry: &Value) -> Result<LocatedLog, ChainError> {
    Ok(LocatedLog {
        log: log(method, entry)?,
        block: small(entry.get("blockNumber")).ok_or_else(|| malformed(method, "a log without a block"))?,
        block_hash: parse(entry.get("blockHash")),
        transaction: parse(entry.get("transactionHash")),
        index: small(entry.get("logIndex")).ok_or_else(|| malformed(method, "a log without a place"))?,
    })
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
        let Some(key) = &self.key else {
            return Err(ChainError::NotTaken { reason: "no key to sign it with".into() });
        };
        let estimate = self.gas(to, &data, value)?;
        let locks = self.settings.locks.clone().unwrap_or_else(default_folder);
        let sender = Sender {
            node: &self.node,
            key,
            nonces: &Nonces::new(&locks, self.id, key.account()),
            settings: &self.settings,
            confirmations: self.confirmations(),
        };
        let mined = sender.send(TxEip1559 {
            chain_id: self.id,
            // The state may differ a little in the block.
            gas_limit: TRANSACTION_GAS.min((estimate + estimate / 4).saturating_add(more)),
            to: to.map_or(TxKind::Create, TxKind::Call),
            value,
            access_list: AccessList::default(),
            input: data.clone(),
            ..TxEip1559::default()
        })?;
        if mined.succeeded { Ok(mined.receipt) } else { Err(self.failure(to, &data, value, &mined)) }
    }

    fn call_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<Bytes, ChainError> {
        self.node.bytes("eth_call", json!([self.call_object(Some(to), &data, value), "latest"]))
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

    /// A range that is too long for the node is asked for by halves.
    fn logs(
        &mut self,
        from_block: u64,
        contract: Address,
        topics: &[Option<B256>],
    ) -> Result<Vec<LocatedLog>, ChainError> {
        let method = "eth_getLogs";
        let topics: Vec<Value> =
            topics.iter().map(|topic| topic.map_or(Value::Null, |t| t.to_string().into())).collect();
        let head = self.block_number()?;
        // The last is the next.
        let mut ranges = vec![(from_block, head)];
        let mut found = Vec::new();
        while let Some((from, to)) = ranges.pop().filter(|(from, to)| from <= to) {
            let Some(logs) = self.logs_of((from, to), contract, &topics)? else {
                let middle = from + (to - from) / 2;
                ranges.extend([(middle + 1, to), (from, middle)]);
                continue;
            };
            for entry in logs.as_array().ok_or_else(|| malformed(method, "not a list"))? {
                found.push(located(method, entry)?);
            }
        }
        Ok(found)
    }
}
