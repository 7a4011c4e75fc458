//! Chains behind JSON-RPC.
//!
//! Blocking, over HTTP or HTTPS; transactions are of EIP-1559's type, signed here: the node never sees the key.

use std::time::{Duration, Instant};

use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, Log, LogData, TxKind, U256};
use serde_json::{Value, json};

use crate::chain::{Chain, ChainError, LocatedLog, Receipt, TRANSACTION_GAS};
pub use crate::keys::PrivateKey;

/// One answer of a node.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// From sending a transaction to its block.
const INCLUSION_TIME: Duration = Duration::from_secs(180);
/// Between two looks for a receipt.
const POLL: Duration = Duration::from_millis(250);
/// Tip if the node does not name one, in wei.
const DEFAULT_TIP: u128 = 1_000_000_000;
/// JSON-RPC: the method does not exist.
const NO_SUCH_METHOD: i64 = -32_601;
/// Execution reverted.
const REVERTED: i64 = 3;

/// A node of a chain.
#[derive(Debug)]
pub struct RpcChain {
    agent: ureq::Agent,
    url: String,
    id: u64,
    key: Option<PrivateKey>,
}

/// A JSON-RPC error object.
struct NodeError {
    code: i64,
    message: String,
    data: Option<Bytes>,
}

impl NodeError {
    fn read(error: &Value) -> Self {
        // Some nodes wrap the data once more.
        let data = error.get("data").map(|data| data.get("data").unwrap_or(data));
        Self {
            code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
            message: error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned(),
            data: data.and_then(Value::as_str).and_then(|text| text.parse().ok()),
        }
    }

    fn into_error(self, method: &'static str) -> ChainError {
        let Self { code, message, data } = self;
        if code == REVERTED || message.contains("revert") {
            ChainError::reverted(&data.unwrap_or_default(), None)
        } else {
            ChainError::Node { method, code, message }
        }
    }
}

fn malformed(method: &'static str, what: &'static str) -> ChainError {
    ChainError::Answer { method, what }
}

/// A number as JSON-RPC writes it.
fn quantity(value: Option<&Value>) -> Option<u128> {
    let digits = value?.as_str()?.strip_prefix("0x")?;
    u128::from_str_radix(digits, 16).ok()
}

fn parse<T: std::str::FromStr>(value: Option<&Value>) -> Option<T> {
    value?.as_str()?.parse().ok()
}

/// A log as JSON-RPC writes it.
fn log(method: &'static str, entry: &Value) -> Result<Log, ChainError> {
    let address = parse(entry.get("address")).ok_or_else(|| malformed(method, "a log's address"))?;
    let topics = entry.get("topics").and_then(Value::as_array).into_iter().flatten();
    let topics = topics.map(|topic| parse(Some(topic))).collect::<Option<Vec<B256>>>();
    let data = topics.zip(parse(entry.get("data"))).and_then(|(topics, data)| LogData::new(topics, data));
    Ok(Log { address, data: data.ok_or_else(|| malformed(method, "a log"))? })
}

impl RpcChain {
    /// Connects to a node, with a key if transactions are to be sent.
    ///
    /// # Errors
    /// [`ChainError::ForeignChain`] if `expected` is named and another chain answers.
    pub fn connect(url: &str, key: Option<PrivateKey>, expected: Option<u64>) -> Result<Self, ChainError> {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIME)).http_status_as_error(false).build();
        let mut chain = Self { agent: config.into(), url: url.to_owned(), id: 0, key };
        let got = chain.number("eth_chainId", json!([]))?;
        chain.id = u64::try_from(got).map_err(|_| malformed("eth_chainId", "not a chain id"))?;
        match expected {
            Some(expected) if expected != chain.id => Err(ChainError::ForeignChain { expected, got: chain.id }),
            _ => Ok(chain),
        }
    }

    /// Asks the node.
    fn ask(&self, method: &'static str, parameters: &Value) -> Result<Result<Value, NodeError>, ChainError> {
        let unreachable = |reason: String| ChainError::Unreachable { url: self.url.clone(), reason };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters }).to_string();
        let mut response = self
            .agent
            .post(&self.url)
            .content_type("application/json")
            .send(body)
            .map_err(|error| unreachable(error.to_string()))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(|error| unreachable(error.to_string()))?;
        let Ok(mut answer) = serde_json::from_str::<Value>(&text) else {
            return Err(if status.is_success() {
                malformed(method, "not JSON")
            } else {
                unreachable(format!("HTTP status {status}"))
            });
        };
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            return Ok(Err(NodeError::read(error)));
        }
        answer.get_mut("result").map(|result| Ok(result.take())).ok_or_else(|| malformed(method, "no result"))
    }

    fn request(&self, method: &'static str, parameters: Value) -> Result<Value, ChainError> {
        self.ask(method, &parameters)?.map_err(|error| error.into_error(method))
    }

    fn number(&self, method: &'static str, parameters: Value) -> Result<u128, ChainError> {
        let answer = self.request(method, parameters)?;
        quantity(Some(&answer)).ok_or_else(|| malformed(method, "not a number"))
    }

    fn bytes(&self, method: &'static str, parameters: Value) -> Result<Bytes, ChainError> {
        let answer = self.request(method, parameters)?;
        parse(Some(&answer)).ok_or_else(|| malformed(method, "not bytes"))
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
        let gas = self.number("eth_estimateGas", json!([self.call_object(to, data, value)]))?;
        match u64::try_from(gas) {
            Ok(gas) if gas <= TRANSACTION_GAS => Ok(gas),
            _ => Err(ChainError::NotTaken { reason: format!("it needs {gas} gas, of at most {TRANSACTION_GAS}") }),
        }
    }

    /// Most per gas, and tip.
    fn fees(&self) -> Result<(u128, u128), ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.request(method, json!(["latest", false]))?;
        let base = quantity(block.get("baseFeePerGas")).ok_or_else(|| malformed(method, "no base fee"))?;
        let method = "eth_maxPriorityFeePerGas";
        let tip = match self.ask(method, &json!([]))? {
            Ok(tip) => quantity(Some(&tip)).ok_or_else(|| malformed(method, "not a number"))?,
            Err(error) if error.code == NO_SUCH_METHOD => DEFAULT_TIP,
            Err(error) => return Err(error.into_error(method)),
        };
        Ok((base.saturating_mul(2).saturating_add(tip), tip))
    }

    fn receipt(&self, hash: B256) -> Result<Option<(Receipt, bool)>, ChainError> {
        let method = "eth_getTransactionReceipt";
        let receipt = self.request(method, json!([hash.to_string()]))?;
        if receipt.is_null() {
            return Ok(None);
        }
        let gas = quantity(receipt.get("gasUsed")).and_then(|gas| u64::try_from(gas).ok());
        let gas = gas.ok_or_else(|| malformed(method, "no gas"))?;
        let status = quantity(receipt.get("status")).ok_or_else(|| malformed(method, "no status"))?;
        let block = quantity(receipt.get("blockNumber")).and_then(|block| u64::try_from(block).ok());
        let logs = receipt.get("logs").and_then(Value::as_array).ok_or_else(|| malformed(method, "no logs"))?;
        let receipt = Receipt {
            gas,
            created: parse(receipt.get("contractAddress")),
            hash: Some(hash),
            block: block.ok_or_else(|| malformed(method, "no block"))?,
            block_hash: Some(parse(receipt.get("blockHash")).ok_or_else(|| malformed(method, "no hash of the block"))?),
            logs: logs.iter().map(|entry| log(method, entry)).collect::<Result<_, _>>()?,
        };
        Ok(Some((receipt, status == 1)))
    }

    fn await_receipt(&self, hash: B256) -> Result<(Receipt, bool), ChainError> {
        let start = Instant::now();
        loop {
            if let Some(found) = self.receipt(hash)? {
                return Ok(found);
            }
            if start.elapsed() > INCLUSION_TIME {
                return Err(ChainError::Pending { hash, seconds: INCLUSION_TIME.as_secs() });
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Chain for RpcChain {
    fn id(&self) -> u64 {
        self.id
    }

    fn account(&self) -> Address {
        self.key.as_ref().map_or(Address::ZERO, PrivateKey::account)
    }

    /// What would be refused is not sent: the estimate finds out, and costs nothing.
    fn send_value(&mut self, to: Option<Address>, data: Bytes, value: U256) -> Result<Receipt, ChainError> {
        let Some(key) = &self.key else {
            return Err(ChainError::NotTaken { reason: "no key to sign it with".into() });
        };
        let estimate = self.gas(to, &data, value)?;
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees()?;
        let nonce = self.number("eth_getTransactionCount", json!([self.account().to_string(), "pending"]))?;
        let transaction = TxEip1559 {
            chain_id: self.id,
            nonce: u64::try_from(nonce).map_err(|_| malformed("eth_getTransactionCount", "not a nonce"))?,
            // The state may differ a little in the block.
            gas_limit: TRANSACTION_GAS.min(estimate + estimate / 4),
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: to.map_or(TxKind::Create, TxKind::Call),
            value,
            access_list: AccessList::default(),
            input: data.clone(),
        };
        let (hash, raw) = key.sign(transaction)?;
        self.request("eth_sendRawTransaction", json!([raw.to_string()]))?;
        let (receipt, succeeded) = self.await_receipt(hash)?;
        if succeeded {
            return Ok(receipt);
        }
        // A receipt has no reason; the same call may tell it.
        match self.request("eth_call", json!([self.call_object(to, &data, value), "latest"])) {
            Err(ChainError::Reverted { revert, .. }) => Err(ChainError::Reverted { revert, gas: Some(receipt.gas) }),
            _ => Err(ChainError::reverted(&[], Some(receipt.gas))),
        }
    }

    fn call_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<Bytes, ChainError> {
        self.bytes("eth_call", json!([self.call_object(Some(to), &data, value), "latest"]))
    }

    fn estimate_value(&mut self, to: Address, data: Bytes, value: U256) -> Result<u64, ChainError> {
        self.gas(Some(to), &data, value)
    }

    fn code(&mut self, at: Address) -> Result<Bytes, ChainError> {
        self.bytes("eth_getCode", json!([at.to_string(), "latest"]))
    }

    fn balance(&mut self, of: Address) -> Result<U256, ChainError> {
        let method = "eth_getBalance";
        let answer = self.request(method, json!([of.to_string(), "latest"]))?;
        parse(Some(&answer)).ok_or_else(|| malformed(method, "not a number"))
    }

    fn block_number(&mut self) -> Result<u64, ChainError> {
        let method = "eth_blockNumber";
        u64::try_from(self.number(method, json!([]))?).map_err(|_| malformed(method, "not a block"))
    }

    fn timestamp(&mut self) -> Result<u64, ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.request(method, json!(["latest", false]))?;
        let time = quantity(block.get("timestamp")).and_then(|time| u64::try_from(time).ok());
        time.ok_or_else(|| malformed(method, "no time"))
    }

    fn logs(
        &mut self,
        from_block: u64,
        contract: Address,
        topics: &[Option<B256>],
    ) -> Result<Vec<LocatedLog>, ChainError> {
        let method = "eth_getLogs";
        let named: Vec<Value> =
            topics.iter().map(|topic| topic.map_or(Value::Null, |t| t.to_string().into())).collect();
        let filter = json!({
            "fromBlock": format!("{from_block:#x}"), "toBlock": "latest",
            "address": contract.to_string(), "topics": named,
        });
        let answer = self.request(method, json!([filter]))?;
        let entries = answer.as_array().ok_or_else(|| malformed(method, "not a list"))?;
        let number = |value: Option<&Value>| quantity(value).and_then(|number| u64::try_from(number).ok());
        let located = |entry: &Value| {
            Ok(LocatedLog {
                log: log(method, entry)?,
                block: number(entry.get("blockNumber")).ok_or_else(|| malformed(method, "a log without a block"))?,
                block_hash: parse(entry.get("blockHash")),
                transaction: parse(entry.get("transactionHash")),
                index: number(entry.get("logIndex")).ok_or_else(|| malformed(method, "a log without a place"))?,
            })
        };
        entries.iter().map(located).collect()
    }
}
