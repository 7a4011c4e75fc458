//! The development node, asked by the client of real nodes.

use std::sync::mpsc;

use alloy_primitives::{Address, B256, Bytes, U256, address};
use lorica_chain::abi;
use lorica_chain::abi::bindings::OpenToken;
use lorica_chain::chain::{Blocks, Chain, PATIENCE};
use lorica_chain::contracts::amounts::Amounts;
use lorica_chain::contracts::market::{Market, OpenKind, Policy, Roles};
use lorica_chain::contracts::token::OPEN;
use lorica_chain::embedded::serve::DevelopmentNode;
use lorica_chain::error::{ChainError, PolicyError};
use lorica_chain::keys::PrivateKey;
use lorica_chain::rpc::RpcChain;
use lorica_chain::rpc::settings::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;

const CHAIN_ID: u64 = 31337;
const FRIEND: Address = address!("0x00000000000000000000000000000000000000f1");

fn start() -> String {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let ready = move |address: String| sender.send(format!("http://{address}")).expect("a receiver");
        DevelopmentNode::new(CHAIN_ID).serve("127.0.0.1:0", ready)
    });
    receiver.recv().expect("a node")
}

/// A folder of locks, and the chain with it.
fn connect(url: &str, key: u8) -> (TempDir, RpcChain) {
    let key = PrivateKey::parse(&hex::encode([key; 32])).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { locks: Some(folder.path().to_owned()), ..Settings::default() };
    let chain = RpcChain::connect_with(url, Some(key), Some(CHAIN_ID), settings).expect("a chain");
    (folder, chain)
}

#[test]
fn contracts_are_deployed_and_tokens_move() {
    let url = start();
    let (_locks, mut chain) = connect(&url, 1);
    let own = chain.account();
    let roles = Roles { owner: own, guardian: own, treasury: own, open: OpenKind::Token { holder: own } };
    let (market, steps) = Market::deploy(&mut chain, roles, Policy::default()).expect("deployed");
    let (unit, contracts) = steps.split_last().expect("steps");
    assert!(contracts.iter().all(|step| step.gas() > 500_000));
    assert!(unit.gas() < 100_000);
    assert_eq!(
        Amounts::of(&mut chain, market.escrow(), market.open_token(), market.escrow).expect("known").wallet,
        U256::ONE
    );
    market.expect_deployed(&mut chain).expect("there");
    let amount = U256::from(3) * U256::from(OPEN);
    let receipt = market.open_token().transfer(&mut chain, FRIEND, amount).expect("sent");
    assert_eq!(Amounts::of(&mut chain, market.escrow(), market.open_token(), FRIEND).expect("known").wallet, amount);
    let logs = chain.logs(Blocks::From(0), market.open, &[]).expect("logs");
    // The mint of the supply, the escrow's unit, and the transfer.
    assert_eq!(logs.len(), 3);
    assert_eq!((logs[2].block, logs[2].transaction), (receipt.block, receipt.hash));
    assert_eq!(receipt.logs.len(), 1);
    let of_block = chain.logs(Blocks::At(receipt.block_hash.expect("known")), market.open, &[]).expect("logs");
    assert_eq!(of_block, logs[2..]);
    assert!(chain.logs(Blocks::At(B256::repeat_byte(1)), market.open, &[]).is_err());

    // What a contract refuses is known before it is sent, in its words.
    let (_poor_locks, mut poor) = connect(&url, 2);
    let refused = market.open_token().transfer(&mut poor, FRIEND, amount).expect_err("no balance");
    assert!(refused.is_refusal() && refused.to_string().contains("has 0 of the token"), "{refused}");
    // Nor are there wei in this chain.
    assert!(market.token(Address::ZERO).transfer(&mut poor, FRIEND, U256::ONE).is_err());
    assert_eq!(poor.balance(FRIEND).expect("known"), U256::ZERO);
}

#[test]
fn a_reverted_transaction_is_mined_and_says_so() {
    let mut node = DevelopmentNode::new(CHAIN_ID);
    let mut ask = |method: &str, parameters: Value| {
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": parameters }).to_string();
        let answer = node.answer(body.as_bytes());
        assert_eq!(answer["id"], 7);
        answer
    };
    for (method, parameters, code) in [
        ("eth_nothing", json!([]), -32_601),
        ("eth_getBalance", json!(["0x12"]), -32_602),
        ("eth_getBalance", json!({}), -32_602),
        ("eth_getTransactionReceipt", json!([7]), -32_602),
        ("eth_sendRawTransaction", json!(["0x1234"]), -32_602),
        ("eth_sendRawTransaction", json!([]), -32_602),
        ("eth_call", json!([]), -32_602),
        ("eth_call", json!([{ "to": "here" }]), -32_602),
        ("eth_call", json!([{ "value": "0x1" }]), -32_003),
        ("eth_getBlockByNumber", json!(["soon"]), -32_602),
        ("eth_getLogs", json!([{ "topics": ["0x1"] }]), -32_602),
    ] {
        assert_eq!(ask(method, parameters.clone())["error"]["code"], code, "{method} {parameters}");
    }
    // Init code that reverts with one word.
    let reverting = "0x6001600052602060 00fd".replace(' ', "");
    let call = ask("eth_estimateGas", json!([{ "from": FRIEND, "data": reverting }]));
    assert_eq!(
        (call["error"]["code"].as_i64(), call["error"]["data"].as_str()),
        (
            Some(3),
            Some(
                &*U256::ONE.to_be_bytes::<32>().iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
            )
        )
    );
    assert_eq!(ask("eth_getBlockByNumber", json!(["0x5", false]))["result"], Value::Null);
    assert_eq!(ask("eth_getTransactionReceipt", json!([B256::ZERO]))["result"], Value::Null);
    for body in ["", "[]", "{}", "{\"method\": 1}", "\u{0}"] {
        assert!(node.answer(body.as_bytes())["error"]["code"].is_i64(), "{body}");
    }
}

#[test]
fn nonces_and_chains_are_checked() {
    let url = start();
    let (_locks, mut chain) = connect(&url, 3);
    let data: Bytes = abi::encode(&OpenToken::totalSupplyCall {});
    for _ in 0..3 {
        chain.send(Some(FRIEND), data.clone()).expect("sent");
    }
    assert_eq!(chain.block_number().expect("known"), 3);
    let key = PrivateKey::parse(&hex::encode([3; 32])).expect("a key");
    let foreign = RpcChain::connect(&url, Some(key), Some(1)).expect_err("another chain");
    assert!(matches!(foreign, ChainError::Policy(PolicyError::ForeignChain { expected: 1, got: CHAIN_ID })));
}

/// A node that makes no block without a transaction is awaited by the machine's time; what lies far ahead is not awaited.
#[test]
fn a_second_is_awaited() {
    let url = start();
    let (_locks, mut chain) = connect(&url, 4);
    let now = chain.timestamp().expect("known");
    assert!(chain.await_second(now).expect("known"));
    assert!(chain.await_second(now + 2).expect("known"));
    assert!(chain.timestamp().expect("known") >= now + 2);
    let began = std::time::Instant::now();
    assert!(!chain.await_second(now + 1_000).expect("known"));
    assert!(began.elapsed().as_secs() < PATIENCE, "at once");
}
