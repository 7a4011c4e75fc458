//! Chains behind JSON-RPC: canned answers, and a real node.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, Log, U256, address, hex, keccak256};
use lorica_contracts::abi;
use lorica_contracts::chain::{Chain, ChainError, Receipt};
use lorica_contracts::contracts::{CHECK_GAS, Contracts};
use lorica_contracts::embedded::EmbeddedChain;
use lorica_contracts::keys::{KeyError, PrivateKey};
use lorica_contracts::rpc::RpcChain;
use support::{ALL, CLASSIFY_1, GUARDIAN, Vector, register};

/// The first account of every development node.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ACCOUNT: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

/// Answers one request after the other, with the status line and body given.
fn node(answers: Vec<(&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let size = body.len();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n{body}").unwrap();
        }
    });
    url
}

fn result(value: &str) -> (&'static str, String) {
    ("200 OK", format!(r#"{{"jsonrpc":"2.0","id":1,"result":{value}}}"#))
}

fn error(value: &str) -> (&'static str, String) {
    ("200 OK", format!(r#"{{"jsonrpc":"2.0","id":1,"error":{value}}}"#))
}

/// What a call says that a node of chain 1 answers so.
fn called(answer: (&'static str, String)) -> Result<Bytes, ChainError> {
    let mut chain = RpcChain::connect(&node(vec![result("\"0x1\""), answer]), None, Some(1)).unwrap();
    chain.call(ACCOUNT, Bytes::new())
}

#[test]
fn answers_are_understood() {
    assert_eq!(called(result("\"0x0102\"")).unwrap(), Bytes::from([1, 2]));
    assert!(matches!(called(result("7")), Err(ChainError::Answer { .. })));
    assert!(matches!(called(("200 OK", "no JSON".into())), Err(ChainError::Answer { .. })));
    assert!(matches!(called(("502 Bad Gateway", "no JSON".into())), Err(ChainError::Unreachable { .. })));
    assert!(matches!(called(("200 OK", "{}".into())), Err(ChainError::Answer { .. })));
    let refused = called(error(r#"{"code":-32000,"message":"too busy"}"#)).unwrap_err();
    assert_eq!(refused.to_string(), "eth_call: the node answers -32000: too busy");
    // ProofInvalid(), as different nodes wrap it.
    let data = hex::encode_prefixed(&keccak256("ProofInvalid()")[..4]);
    for wrapped in [format!("\"{data}\""), format!(r#"{{"data":"{data}"}}"#)] {
        let answer = format!(r#"{{"code":3,"message":"execution reverted","data":{wrapped}}}"#);
        let refused = called(error(&answer)).unwrap_err();
        assert_eq!(refused.to_string(), "refused by the contract: the proof does not hold for this statement");
        assert!(refused.is_refusal());
    }
}

#[test]
fn another_chain_is_refused() {
    let refused = RpcChain::connect(&node(vec![result("\"0x2\"")]), None, Some(1)).unwrap_err();
    assert!(matches!(refused, ChainError::ForeignChain { expected: 1, got: 2 }), "{refused}");
    let refused = RpcChain::connect("http://127.0.0.1:1", None, None).unwrap_err();
    assert!(matches!(refused, ChainError::Unreachable { .. }), "{refused}");
}

#[test]
fn without_a_key_nothing_is_sent() {
    let mut chain = RpcChain::connect(&node(vec![result("\"0x1\"")]), None, None).unwrap();
    let refused = chain.send(Some(ACCOUNT), Bytes::new()).unwrap_err();
    assert_eq!(refused.to_string(), "the chain does not take the transaction: no key to sign it with");
}

/// A transaction with a receipt of this status, after which the node answers `then`.
fn sent(status: &str, then: Option<(&'static str, String)>) -> Result<Receipt, ChainError> {
    let hash = format!("\"{}\"", B256::repeat_byte(1));
    let receipt = format!(
        r#"{{"gasUsed":"0x1234","status":"{status}","contractAddress":null,"blockNumber":"0x9","blockHash":{hash},
        "logs":[{{"address":"{ACCOUNT}","topics":[{hash}],"data":"0x07"}}]}}"#
    );
    let no_method = error(r#"{"code":-32601,"message":"no such method"}"#);
    let mut answers = vec![result("\"0x1\""), result("\"0x5208\""), result(r#"{"baseFeePerGas":"0x7"}"#), no_method];
    answers.extend([result("\"0x0\""), result(&hash), result("null"), result(&receipt)]);
    answers.extend(then);
    let mut chain = RpcChain::connect(&node(answers), Some(PrivateKey::parse(KEY).unwrap()), None).unwrap();
    chain.send(Some(ACCOUNT), Bytes::new())
}

#[test]
fn receipts_are_awaited() {
    let receipt = sent("0x1", None).unwrap();
    assert_eq!((receipt.gas, receipt.created, receipt.block), (0x1234, None, 9));
    assert_eq!(receipt.logs, [Log::new(ACCOUNT, vec![B256::repeat_byte(1)], [7].into()).unwrap()]);
    let data = hex::encode_prefixed(&keccak256("ProofInvalid()")[..4]);
    let refused = error(&format!(r#"{{"code":3,"message":"execution reverted","data":"{data}"}}"#));
    let refused = sent("0x0", Some(refused)).unwrap_err();
    assert!(matches!(&refused, ChainError::Reverted { gas: Some(0x1234), revert } if revert.is_false_proof()));
    assert_eq!(refused.gas(), Some(0x1234));
    assert!(matches!(sent("0x0", Some(result("\"0x\""))), Err(ChainError::Reverted { gas: Some(0x1234), .. })));
}

#[test]
fn keys_are_read_and_not_shown() {
    for text in [KEY.to_owned(), format!("{}\n", &KEY[2..])] {
        let key = PrivateKey::parse(&text).unwrap();
        assert_eq!(key.account(), ACCOUNT);
        assert_eq!(format!("{key:?}"), format!("PrivateKey of {ACCOUNT}"));
    }
    for text in ["", "0x12", &"0".repeat(64), &"f".repeat(64), &"g".repeat(64)] {
        assert!(matches!(PrivateKey::parse(text), Err(KeyError::Digits)));
    }
}

/// A development node that ends with the test.
struct Anvil(Child);

impl Anvil {
    /// The program itself: npm's wrapper would outlive it or be outlived.
    fn program() -> Option<PathBuf> {
        let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/../node_modules/@foundry-rs");
        let mut packages = std::fs::read_dir(packages).ok()?.flatten();
        packages.find_map(|package| Some(package.path().join("bin/anvil")).filter(|program| program.is_file()))
    }

    fn start(port: u16) -> (Self, String) {
        let child = Command::new(Self::program().expect("anvil: npm install in verifier-contracts"))
            .args(["--port", &port.to_string(), "--hardfork", "osaka", "--silent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("anvil runs");
        (Self(child), format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The embedded chain and a node agree on every transaction's gas.
#[test]
#[ignore = "starts anvil, which npm installs"]
fn a_node_does_as_the_embedded_chain() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_anvil, url) = Anvil::start(port);
    let start = Instant::now();
    let mut chain = loop {
        match RpcChain::connect(&url, Some(PrivateKey::parse(KEY).unwrap()), Some(31337)) {
            Ok(chain) => break chain,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
        thread::sleep(Duration::from_millis(200));
    };
    let mut embedded = EmbeddedChain::new(31337, ACCOUNT);
    let (contracts, steps) = Contracts::deploy(&mut chain, GUARDIAN).unwrap();
    let (twin, twins) = Contracts::deploy(&mut embedded, GUARDIAN).unwrap();
    assert_eq!(contracts, twin, "addresses follow from account and nonce");
    for (step, twin) in steps.iter().zip(&twins) {
        assert_eq!((step.what, step.gas()), (twin.what, twin.gas()));
    }
    contracts.expect_deployed(&mut chain).unwrap();
    for name in ALL {
        let vector = Vector::read(name);
        register(&mut chain, &contracts, &vector);
        register(&mut embedded, &contracts, &vector);
        let steps = contracts.add_key(&mut chain, &vector.bytes("key"), CHECK_GAS).unwrap();
        let twins = contracts.add_key(&mut embedded, &vector.bytes("key"), CHECK_GAS).unwrap();
        for (step, twin) in steps.iter().zip(&twins) {
            assert_eq!((step.what, step.gas()), (twin.what, twin.gas()));
        }
        let settlement = vector.settlement();
        let estimate = contracts.look(&mut chain, &settlement).unwrap();
        let data = abi::encode(&abi::check_for(&settlement).unwrap());
        let gas = chain.send(Some(contracts.router), data.clone()).unwrap().gas;
        assert_eq!(gas, embedded.send(Some(contracts.router), data).unwrap().gas);
        println!("{name}: {gas} gas on both, estimated {estimate}");
        let refused = contracts.check(&mut chain, &settlement).unwrap_err();
        assert!(matches!(refused, ChainError::ForeignConsumer { .. }), "{refused}");
    }
    let mut forged = abi::check_for(&Vector::read(CLASSIFY_1).settlement()).unwrap();
    forged.settlement.requests[0].label += U256::from(1);
    let refused = chain.send(Some(contracts.router), abi::encode(&forged)).unwrap_err();
    assert_eq!(refused.to_string(), "refused by the contract: the proof does not hold for this statement");
}
