//! A node: one question by JSON-RPC, asked again while the node cannot answer.
//!
//! Everything that is asked here may be asked twice: reads change nothing, and a signed transaction is the same one however
//! often it is sent.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256};
use serde_json::{Value, json};

use super::settings::Settings;
use crate::chain::TRANSACTION_GAS;
use crate::error::{ChainError, NodeError, Refusal};

/// JSON-RPC: the method does not exist.
pub(crate) const NO_SUCH_METHOD: i64 = -32_601;
/// JSON-RPC of nodes: asked too often.
const LIMIT_EXCEEDED: i64 = -32_005;
/// Execution reverted.
const REVERTED: i64 = 3;
/// Longest pause that a node may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After this long no further attempt begins.
const RETRY_TIME: Duration = Duration::from_secs(60);

/// A JSON-RPC error object.
#[derive(Debug)]
pub(crate) struct Fault {
    pub code: i64,
    pub message: String,
    pub data: Option<Bytes>,
}

impl Fault {
    fn read(error: &Value) -> Self {
        // Some nodes wrap the data once more.
        let data = error.get("data").map(|data| data.get("data").unwrap_or(data));
        Self {
            code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
            message: error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned(),
            data: data.and_then(Value::as_str).and_then(|text| text.parse().ok()),
        }
    }

    /// Whether it says to come again later.
    fn is_busy(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        // The same code for an answer that is too long, which it will be the next time as well.
        (self.code == LIMIT_EXCEEDED && !self.is_too_much())
            || self.code == 429
            || message.contains("rate limit")
            || message.contains("too many requests")
    }

    /// Whether the answer would be longer than the node gives.
    pub(crate) fn is_too_much(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        ["more than", "block range", "too large", "too many results", "response size", "exceeds the range"]
            .iter()
            .any(|words| message.contains(words))
    }

    pub(crate) fn into_error(self, method: &'static str) -> ChainError {
        let Self { code, message, data } = self;
        if code == REVERTED || message.contains("revert") {
            Refusal::reverted(&data.unwrap_or_default(), None).into()
        } else {
            NodeError::Answered { method, code, message }.into()
        }
    }
}

/// What a node says: a result or its own error.
pub(crate) type Answer = Result<Value, Fault>;

/// One attempt that gave nothing.
struct Failure {
    error: Box<ChainError>,
    /// Whether another attempt may help.
    transient: bool,
    /// The pause that the node asks for.
    pause: Option<Duration>,
}

/// A node behind HTTP(S), asked by blocking calls. It may be shared between threads.
#[derive(Debug)]
pub struct Node {
    agent: ureq::Agent,
    url: String,
    attempts: u32,
    backoff: Duration,
}

/// An address as it may be shown: paths, queries and user names of nodes are often secrets.
fn public_part(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

impl Node {
    /// A node by its address; nothing is asked yet. Of the settings it takes the patience with one question.
    #[must_use]
    pub fn new(url: &str, settings: &Settings) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(settings.request_time))
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            attempts: settings.attempts.max(1),
            backoff: settings.backoff,
        }
    }

    fn unreachable(&self, reason: String) -> ChainError {
        NodeError::Unreachable { url: public_part(&self.url), reason }.into()
    }

    fn attempt(&self, method: &'static str, body: &str) -> Result<Answer, Failure> {
        let broken = |error: ureq::Error| {
            let transient = !matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_));
            Failure { error: self.unreachable(error.to_string()).into(), transient, pause: None }
        };
        let malformed = |what| Failure { error: malformed(method, what).into(), transient: false, pause: None };
        let mut response = self.agent.post(&self.url).content_type("application/json").send(body).map_err(broken)?;
        let status = response.status();
        let pause = response.headers().get("retry-after").and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let pause = pause.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
        let text = response.body_mut().read_to_string().map_err(broken)?;
        let answer = serde_json::from_str::<Value>(&text).ok();
        // An error object is an answer, whatever the status beside it.
        let said = answer.as_ref().and_then(|answer| answer.get("error")).filter(|error| !error.is_null());
        let said = said.map(Fault::read);
        let busy = matches!(status.as_u16(), 408 | 429 | 503) || said.as_ref().is_some_and(Fault::is_busy);
        if busy || (said.is_none() && !status.is_success()) {
            let error = match said {
                Some(error) => error.into_error(method),
                None => self.unreachable(format!("HTTP status {status}")),
            };
            return Err(Failure { error: error.into(), transient: busy || status.is_server_error(), pause });
        }
        if let Some(error) = said {
            return Ok(Err(error));
        }
        let mut answer = answer.ok_or_else(|| malformed("not JSON"))?;
        answer.get_mut("result").map(|result| Ok(result.take())).ok_or_else(|| malformed("no result"))
    }

    /// Asks the node, again if it is out of reach or busy. Its own errors are an answer.
    ///
    /// # Errors
    /// [`NodeError::Unreachable`], [`NodeError::Malformed`]; [`NodeError::Answered`] if it stays busy.
    pub(crate) fn exchange(&self, method: &'static str, parameters: &Value) -> Result<Answer, ChainError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters }).to_string();
        let start = Instant::now();
        let mut backoff = self.backoff;
        for attempt in 1.. {
            match self.attempt(method, &body) {
                Ok(answer) => return Ok(answer),
                Err(failure) if !failure.transient || attempt >= self.attempts || start.elapsed() > RETRY_TIME => {
                    return Err(*failure.error);
                }
                Err(failure) => std::thread::sleep(failure.pause.unwrap_or(backoff)),
            }
            backoff = backoff.saturating_mul(2);
        }
        Err(self.unreachable("it was never asked".into()))
    }

    /// The result of a JSON-RPC method with these parameters, a list.
    ///
    /// # Errors
    /// [`ChainError::Node`], [`ChainError::Refused`] if a contract reverts in a call.
    pub fn request(&self, method: &'static str, parameters: Value) -> Result<Value, ChainError> {
        self.exchange(method, &parameters)?.map_err(|error| error.into_error(method))
    }

    pub(crate) fn number(&self, method: &'static str, parameters: Value) -> Result<u64, ChainError> {
        let answer = self.request(method, parameters)?;
        small(Some(&answer)).ok_or_else(|| malformed(method, "not a number"))
    }

    pub(crate) fn bytes(&self, method: &'static str, parameters: Value) -> Result<Bytes, ChainError> {
        let answer = self.request(method, parameters)?;
        parse(Some(&answer)).ok_or_else(|| malformed(method, "not bytes"))
    }
}

pub(crate) fn malformed(method: &'static str, what: &'static str) -> ChainError {
    NodeError::Malformed { method, what }.into()
}

/// A number as JSON-RPC writes it.
pub(crate) fn quantity(value: Option<&Value>) -> Option<u128> {
    let digits = value?.as_str()?.strip_prefix("0x")?;
    // from_str_radix takes a sign.
    if digits.starts_with('+') { None } else { u128::from_str_radix(digits, 16).ok() }
}

/// A number of 64 bits.
pub(crate) fn small(value: Option<&Value>) -> Option<u64> {
    u64::try_from(quantity(value)?).ok()
}

pub(crate) fn parse<T: std::str::FromStr>(value: Option<&Value>) -> Option<T> {
    value?.as_str()?.parse().ok()
}

/// A call as JSON-RPC writes it.
pub(crate) fn call_object(from: Address, to: Option<Address>, data: &Bytes, value: U256) -> Value {
    let mut object = json!({
        "from": from.to_string(),
        "data": data.to_string(),
        "value": format!("{value:#x}"),
        "gas": format!("{TRANSACTION_GAS:#x}"),
    });
    if let (Some(to), Some(object)) = (to, object.as_object_mut()) {
        object.insert("to".into(), to.to_string().into());
    }
    object
}

/// A log as JSON-RPC writes it.
pub(crate) fn log(method: &'static str, entry: &Value) -> Result<Log, ChainError> {
    let address: Address = parse(entry.get("address")).ok_or_else(|| malformed(method, "a log's address"))?;
    let topics = entry.get("topics").and_then(Value::as_array).ok_or_else(|| malformed(method, "a log's topics"))?;
    let topics = topics.iter().map(|topic| parse(Some(topic))).collect::<Option<Vec<B256>>>();
    let data = topics.zip(parse(entry.get("data"))).and_then(|(topics, data)| LogData::new(topics, data));
    Ok(Log { address, data: data.ok_or_else(|| malformed(method, "a log"))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_address_are_not_shown() {
        for (url, shown) in [
            ("https://node.example/v3/secret?key=secret", "https://node.example"),
            ("http://user:secret@127.0.0.1:8545", "http://127.0.0.1:8545"),
            ("node.example:8545/secret", "node.example:8545"),
            ("", ""),
        ] {
            assert_eq!(public_part(url), shown);
        }
    }

    #[test]
    fn numbers_are_hexadecimal() {
        let read = |text: &str| quantity(Some(&text.into()));
        assert_eq!((read("0x0"), read("0x1f")), (Some(0), Some(31)));
        for text in ["", "0x", "1", "0x+1", "0xg", "-0x1", &format!("0x1{}", "0".repeat(32))] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(small(Some(&"0x10000000000000000".into())), None);
        assert_eq!(quantity(Some(&7.into())), None);
    }
}
