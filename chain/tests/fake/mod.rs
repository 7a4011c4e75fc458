//! A node that says what a test wants.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use lorica_chain::rpc::settings::Settings;
use serde_json::{Value, json};

/// Status line (with further headers) and body; none closes the connection without an answer.
pub type Reply = Option<(String, String)>;

pub fn reply(status: &str, body: &str) -> Reply {
    Some((status.into(), body.into()))
}

pub fn result(value: &Value) -> Reply {
    reply("200 OK", &json!({ "jsonrpc": "2.0", "id": 1, "result": value }).to_string())
}

pub fn error(code: i64, message: &str) -> Reply {
    fault(&json!({ "code": code, "message": message }))
}

pub fn fault(error: &Value) -> Reply {
    reply("200 OK", &json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string())
}

/// What an idle node of chain 1 says: block 9, base fee 7, and no transaction known.
pub fn ordinary(method: &str) -> Reply {
    result(&match method {
        "eth_chainId" | "eth_maxPriorityFeePerGas" => json!("0x1"),
        "eth_estimateGas" => json!("0x5208"),
        "eth_getBlockByNumber" => json!({ "baseFeePerGas": "0x7", "hash": hash(1), "timestamp": "0x64" }),
        "eth_getTransactionCount" => json!("0x0"),
        "eth_blockNumber" => json!("0x9"),
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" => Value::Null,
        "eth_sendRawTransaction" => hash(0),
        _ => json!("0x"),
    })
}

pub fn hash(byte: u8) -> Value {
    format!("0x{}", format!("{byte:02x}").repeat(32)).into()
}

/// Starts a node that answers until the test's process ends.
pub fn node(mut handler: impl FnMut(&str, &Value) -> Reply + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let request: Value = serde_json::from_slice(&body).expect("JSON");
            let Some((status, body)) = handler(request["method"].as_str().expect("a method"), &request["params"])
            else {
                continue;
            };
            let size = body.len();
            // The client may have gone.
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    url
}

/// For tests: no pauses to speak of, and a folder of locks of their own.
pub fn settings(locks: &Path) -> Settings {
    Settings {
        max_gas_cost: 1_000_000_000_000_000_000,
        confirmations: Some(1),
        request_time: Duration::from_secs(10),
        attempts: 3,
        backoff: Duration::from_millis(5),
        poll: Duration::from_millis(5),
        replace_after: Duration::from_secs(60),
        replacements: 3,
        inclusion_time: Duration::from_secs(20),
        locks: Some(locks.to_owned()),
    }
}
