//! The embedded chain behind JSON-RPC: a development node without another program.
//!
//! One block per transaction, gas without a price, clocks as the machine's. Nothing is kept when it ends. Speaks what
//! [`rpc`](crate::rpc) needs and what wallets ask first; it is no full node. `anvil_mine` makes empty blocks and `anvil_rollback` takes
//! the latest blocks away, as anvil's do, so that what a reorganisation does can be tried. What a block took away held is forgotten:
//! whoever sent it may send it again.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use serde_json::{Value, json};

use super::evm::{EmbeddedChain, Message, Outcome};
use crate::chain::{Blocks, Chain, TRANSACTION_GAS};
use crate::error::{ChainError, NodeError};

/// Largest request: calldata of a settlement is some kilobytes.
const MAX_REQUEST_BYTES: u64 = 1 << 20;
/// Latest blocks whose states are kept, as full nodes keep some.
const KEPT: usize = 128;
/// Execution reverted.
const REVERTED: i64 = 3;
/// The parameters are wrong.
const INVALID: i64 = -32_602;
/// The transaction is not taken.
const REJECTED: i64 = -32_003;
/// There is no such method.
const UNKNOWN: i64 = -32_601;
/// The request is no JSON-RPC.
const MALFORMED: i64 = -32_700;

/// A JSON-RPC error: code, message, data.
type Fault = (i64, String, Option<Bytes>);

fn invalid(what: &str) -> Fault {
    (INVALID, format!("{what} is missing or malformed"), None)
}

fn not_taken(error: impl std::fmt::Display) -> Fault {
    (REJECTED, error.to_string(), None)
}

fn hexadecimal(number: u64) -> Value {
    format!("{number:#x}").into()
}

/// A transaction in its block.
struct Mined {
    hash: B256,
    from: Address,
    to: Option<Address>,
    block: u64,
    block_hash: B256,
    outcome: Outcome,
}

/// A chain in memory that answers JSON-RPC.
pub struct DevelopmentNode {
    chain: EmbeddedChain,
    /// The chain as it was after each of the latest blocks, the oldest first.
    past: VecDeque<EmbeddedChain>,
    mined: Vec<Mined>,
    places: HashMap<B256, usize>,
    /// Rollbacks so far.
    rollbacks: u64,
}

impl DevelopmentNode {
    /// A node of an empty chain.
    #[must_use]
    pub fn new(chain_id: u64) -> Self {
        let chain = EmbeddedChain::new(chain_id, Address::ZERO);
        let past = VecDeque::from([chain.clone()]);
        Self { chain, past, mined: Vec::new(), places: HashMap::new(), rollbacks: 0 }
    }

    /// Notes the state after a block.
    fn note(&mut self) {
        self.past.push_back(self.chain.clone());
        if self.past.len() > KEPT {
            self.past.pop_front();
        }
    }

    /// Makes empty blocks.
    fn mine(&mut self, blocks: u64) {
        for _ in 0..blocks.min(KEPT as u64) {
            self.chain.advance(0);
            self.note();
        }
    }

    /// Takes the latest blocks away.
    fn rollback(&mut self, depth: u64) -> Result<(), Fault> {
        let deep = || (INVALID, format!("the states of {KEPT} blocks are kept, not those before"), None);
        let left = usize::try_from(depth).ok().and_then(|depth| self.past.len().checked_sub(depth));
        let left = left.filter(|&left| left > 0).ok_or_else(deep)?;
        self.past.truncate(left);
        let Some(chain) = self.past.back() else { return Err(deep()) };
        self.chain = chain.clone();
        self.rollbacks += 1;
        self.chain.fork(self.rollbacks);
        let head = self.head();
        self.mined.retain(|mined| mined.block <= head);
        self.places = (0..).zip(&self.mined).map(|(place, mined)| (mined.hash, place)).collect();
        Ok(())
    }

    /// The chain as it was after a block.
    fn at(&self, tag: Option<&Value>) -> Result<&EmbeddedChain, Fault> {
        let number = self.number(tag.and_then(Value::as_str).unwrap_or("latest"))?;
        if number == self.head() {
            return Ok(&self.chain);
        }
        let found = self.past.iter().find(|past| past.head() == number);
        found.ok_or_else(|| (INVALID, format!("the state of block {number} is not kept"), None))
    }

    /// Answers requests to an address such as `127.0.0.1:8545`, for ever.
    ///
    /// # Errors
    /// [`NodeError::Listen`] if the address cannot be listened at.
    pub fn serve(mut self, address: &str, ready: impl FnOnce(String)) -> Result<(), ChainError> {
        let refuse = |reason: String| NodeError::Listen { address: address.to_owned(), reason };
        let server = tiny_http::Server::http(address).map_err(|error| refuse(error.to_string()))?;
        ready(server.server_addr().to_string());
        for mut request in server.incoming_requests() {
            let mut body = Vec::new();
            let read = request.as_reader().take(MAX_REQUEST_BYTES).read_to_end(&mut body);
            let answer = if read.is_ok() {
                self.answer(&body)
            } else {
                error_of(&Value::Null, (MALFORMED, "unreadable".into(), None))
            };
            let kind = tiny_http::Header::from_bytes("Content-Type", "application/json");
            let mut response = tiny_http::Response::from_string(answer.to_string());
            if let Ok(kind) = kind {
                response.add_header(kind);
            }
            // A client that has gone away is no error of the node.
            let _ = request.respond(response);
        }
        Ok(())
    }

    /// The answer to a request's body.
    #[must_use]
    pub fn answer(&mut self, body: &[u8]) -> Value {
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return error_of(&Value::Null, (MALFORMED, "not JSON".into(), None));
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let Some(method) = request.get("method").and_then(Value::as_str) else {
            return error_of(&id, invalid("the method"));
        };
        let none = Value::Array(Vec::new());
        let parameters = request.get("params").unwrap_or(&none);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        self.chain.advance_to(now);
        match self.call(method, parameters) {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(fault) => error_of(&id, fault),
        }
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value, Fault> {
        let text = |index: usize| parameters.get(index).and_then(Value::as_str);
        let address = || text(0).and_then(|text| text.parse::<Address>().ok()).ok_or_else(|| invalid("the address"));
        let hash = || text(0).and_then(|text| text.parse::<B256>().ok()).ok_or_else(|| invalid("the hash"));
        match method {
            "eth_chainId" => Ok(hexadecimal(self.chain.id())),
            "net_version" => Ok(self.chain.id().to_string().into()),
            "eth_blockNumber" => Ok(hexadecimal(self.head())),
            "eth_gasPrice" | "eth_maxPriorityFeePerGas" => Ok(hexadecimal(0)),
            "eth_getBlockByNumber" => Ok(self.block(text(0).unwrap_or("latest"))?),
            "eth_getTransactionCount" => {
                let address = address()?;
                Ok(hexadecimal(self.at(parameters.get(1))?.nonce(address)))
            }
            "eth_getBalance" => {
                let balance = self.chain.balance(address()?).map_err(not_taken)?;
                Ok(format!("{balance:#x}").into())
            }
            "eth_getCode" => Ok(self.chain.code(address()?).map_err(not_taken)?.to_string().into()),
            "eth_call" => {
                let chain = self.at(parameters.get(1))?;
                Ok(simulate(chain, parameters.get(0))?.output.to_string().into())
            }
            "eth_estimateGas" => Ok(hexadecimal(simulate(&self.chain, parameters.get(0))?.gas)),
            "anvil_mine" | "anvil_rollback" => {
                let given = parameters.get(0);
                let number = given.map_or(Some(1), |own| own.as_u64().or_else(|| crate::rpc::node::small(Some(own))));
                let number = number.ok_or_else(|| invalid("the number of blocks"))?;
                if method == "anvil_mine" {
                    self.mine(number)
                } else {
                    self.rollback(number)?
                }
                Ok(Value::Null)
            }
            "eth_sendRawTransaction" => {
                let raw =
                    text(0).and_then(|text| text.parse::<Bytes>().ok()).ok_or_else(|| invalid("the transaction"))?;
                Ok(self.send(&raw)?.to_string().into())
            }
            "eth_getTransactionReceipt" => Ok(self.find(hash()?).map_or(Value::Null, |mined| self.receipt(mined))),
            "eth_getTransactionByHash" => Ok(self.find(hash()?).map_or(Value::Null, |mined| {
                json!({
                    "hash": mined.hash, "from": mined.from, "to": mined.to, "blockNumber": hexadecimal(mined.block),
                    "blockHash": mined.block_hash,
                })
            })),
            "eth_getLogs" => self.logs(parameters.get(0)),
            other => Err((UNKNOWN, format!("the method {other} does not exist"), None)),
        }
    }

    fn head(&self) -> u64 {
        self.chain.head()
    }

    fn number(&self, tag: &str) -> Result<u64, Fault> {
        match tag {
            "latest" | "pending" | "safe" | "finalized" => Ok(self.head()),
            "earliest" => Ok(0),
            tag => {
                let digits = tag.strip_prefix("0x").ok_or_else(|| invalid("the block"))?;
                u64::from_str_radix(digits, 16).map_err(|_| invalid("the block"))
            }
        }
    }

    fn block(&mut self, tag: &str) -> Result<Value, Fault> {
        let number = self.number(tag)?;
        if number > self.head() {
            return Ok(Value::Null);
        }
        let time = self.chain.timestamp().map_err(not_taken)?;
        Ok(json!({
            "number": hexadecimal(number), "hash": self.chain.block_hash(number), "timestamp": hexadecimal(time),
            "baseFeePerGas": hexadecimal(0), "gasLimit": hexadecimal(TRANSACTION_GAS),
        }))
    }

    fn send(&mut self, raw: &[u8]) -> Result<B256, Fault> {
        let envelope = TxEnvelope::decode_2718(&mut &*raw).map_err(|_| invalid("the transaction"))?;
        let hash = *envelope.tx_hash();
        if self.places.contains_key(&hash) {
            return Err((REJECTED, "already known".into(), None));
        }
        let from = envelope.recover_signer().map_err(|_| invalid("the signature"))?;
        let refuse = |what: String| Err((REJECTED, what, None));
        if envelope.chain_id() != Some(self.chain.id()) {
            return refuse(format!("for another chain than {}", self.chain.id()));
        }
        let (expected, got) = (self.chain.nonce(from), envelope.nonce());
        if got < expected {
            return refuse(format!("nonce too low: next nonce {expected}, tx nonce {got}"));
        }
        if got > expected {
            return refuse(format!("nonce too high: next nonce {expected}, tx nonce {got}"));
        }
        let message = Message {
            from,
            to: envelope.to(),
            data: envelope.input().clone(),
            value: envelope.value(),
            gas: envelope.gas_limit(),
        };
        let outcome = self.chain.execute(message).map_err(not_taken)?;
        let block = self.head();
        let block_hash = self.chain.block_hash(block);
        self.note();
        self.places.insert(hash, self.mined.len());
        self.mined.push(Mined { hash, from, to: envelope.to(), block, block_hash, outcome });
        Ok(hash)
    }

    fn find(&self, hash: B256) -> Option<&Mined> {
        self.places.get(&hash).and_then(|&place| self.mined.get(place))
    }

    fn receipt(&self, mined: &Mined) -> Value {
        let logs: Vec<Value> = (0..).zip(&mined.outcome.logs).map(|(index, log)| located(mined, index, log)).collect();
        json!({
            "transactionHash": mined.hash, "from": mined.from, "to": mined.to,
            "status": hexadecimal(mined.outcome.succeeded.into()), "gasUsed": hexadecimal(mined.outcome.gas),
            "contractAddress": mined.outcome.created, "blockNumber": hexadecimal(mined.block),
            "blockHash": mined.block_hash, "logs": logs, "type": "0x2",
        })
    }

    fn logs(&mut self, filter: Option<&Value>) -> Result<Value, Fault> {
        let filter = filter.ok_or_else(|| invalid("the filter"))?;
        let field = |name: &str| filter.get(name).and_then(Value::as_str);
        let blocks = match field("blockHash") {
            Some(hash) => Blocks::At(hash.parse().map_err(|_| invalid("the block's hash"))?),
            None => Blocks::Between(
                self.number(field("fromBlock").unwrap_or("earliest"))?,
                self.number(field("toBlock").unwrap_or("latest"))?,
            ),
        };
        let range = self.chain.range(blocks).map_err(not_taken)?;
        let address: Option<Address> =
            field("address").map(|address| address.parse().map_err(|_| invalid("the address"))).transpose()?;
        let mut topics = Vec::new();
        for topic in filter.get("topics").and_then(Value::as_array).into_iter().flatten() {
            let topic = topic.as_str().map(|topic| topic.parse::<B256>().map_err(|_| invalid("a topic")));
            topics.push(topic.transpose()?);
        }
        let mut found = Vec::new();
        for mined in self.mined.iter().filter(|mined| range.contains(&mined.block)) {
            for (index, log) in (0..).zip(&mined.outcome.logs) {
                if address.is_none_or(|address| address == log.address) && crate::chain::has_topics(log, &topics) {
                    found.push(located(mined, index, log));
                }
            }
        }
        Ok(found.into())
    }
}

/// What a call would do after the latest block of a chain.
fn simulate(chain: &EmbeddedChain, call: Option<&Value>) -> Result<Outcome, Fault> {
    let call = call.ok_or_else(|| invalid("the call"))?;
    let field = |name: &str| call.get(name).and_then(Value::as_str);
    let to = field("to").map(|to| to.parse().map_err(|_| invalid("to"))).transpose()?;
    let from = field("from").map_or(Ok(Address::ZERO), |from| from.parse().map_err(|_| invalid("from")))?;
    let data = field("data").or_else(|| field("input")).unwrap_or("0x").parse().map_err(|_| invalid("data"))?;
    let value = field("value").map_or(Ok(U256::ZERO), |value| value.parse().map_err(|_| invalid("value")))?;
    let message = Message { from, to, data, value, gas: TRANSACTION_GAS };
    let outcome = chain.simulate(message).map_err(not_taken)?;
    if outcome.succeeded { Ok(outcome) } else { Err((REVERTED, "execution reverted".into(), Some(outcome.output))) }
}

fn located(mined: &Mined, index: u64, log: &Log) -> Value {
    json!({
        "address": log.address, "topics": log.topics(), "data": log.data.data, "blockNumber": hexadecimal(mined.block),
        "blockHash": mined.block_hash, "transactionHash": mined.hash, "logIndex": hexadecimal(index),
        "transactionIndex": "0x0", "removed": false,
    })
}

fn error_of(id: &Value, (code, message, data): Fault) -> Value {
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data.to_string().into();
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(node: &mut DevelopmentNode, method: &str, parameters: Value) -> Value {
        let request = json!({ "id": 1, "method": method, "params": parameters }).to_string();
        node.answer(request.as_bytes())
    }

    fn hash(node: &mut DevelopmentNode, number: &str) -> Value {
        ask(node, "eth_getBlockByNumber", json!([number, false]))["result"]["hash"].clone()
    }

    /// Blocks that are taken away leave others in their places, and the states of older ones can be asked for.
    #[test]
    fn blocks_are_taken_away() {
        let mut node = DevelopmentNode::new(1);
        let from = Address::repeat_byte(1);
        let count =
            |node: &mut DevelopmentNode, block: &str| ask(node, "eth_getTransactionCount", json!([from, block]));
        ask(&mut node, "anvil_mine", json!([3]));
        let (first, third) = (hash(&mut node, "0x1"), hash(&mut node, "0x3"));
        let message = Message { from, to: Some(from), data: Bytes::new(), value: U256::ZERO, gas: 100_000 };
        node.chain.execute(message).expect("taken");
        node.note();
        assert_eq!(ask(&mut node, "eth_blockNumber", json!([]))["result"], "0x4");
        assert_eq!(
            (&count(&mut node, "latest")["result"], &count(&mut node, "0x3")["result"]),
            (&json!("0x1"), &json!("0x0"))
        );
        assert!(count(&mut node, "0x9")["error"].is_object(), "there is no such block");
        ask(&mut node, "anvil_rollback", json!([3]));
        assert_eq!(ask(&mut node, "eth_blockNumber", json!([]))["result"], "0x1");
        assert_eq!(count(&mut node, "latest")["result"], "0x0");
        assert_eq!((hash(&mut node, "0x1"), hash(&mut node, "0x3")), (first.clone(), Value::Null));
        ask(&mut node, "anvil_mine", json!([2]));
        assert_ne!(hash(&mut node, "0x3"), third, "another block of that number");
        assert_eq!(hash(&mut node, "0x1"), first);
        for deep in [json!([4]), json!(["0xffffffffffffffff"]), json!(["deep"])] {
            assert!(ask(&mut node, "anvil_rollback", deep)["error"].is_object());
        }
        assert_eq!(ask(&mut node, "eth_blockNumber", json!([]))["result"], "0x3");
    }
}
