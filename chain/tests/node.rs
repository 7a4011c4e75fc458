//! Chains behind JSON-RPC: what a node may answer.

use super::fake;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, address, hex, keccak256};
use fake::{Reply, error, fault, hash, node, ordinary, reply, result, settings};
use lorica_chain::chain::{Blocks, Chain, Receipt};
use lorica_chain::error::{ChainError, NodeError, PolicyError, Refusal, TransactionError};
use lorica_chain::keys::PrivateKey;
use lorica_chain::rpc::RpcChain;
use lorica_chain::rpc::settings::Settings;
use serde_json::{Value, json};

/// The first account of every development node.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ACCOUNT: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

/// What a call says that a node of chain 1 answers so, one answer after the other, and how often it was asked.
fn called(answers: Vec<Reply>) -> (Result<Bytes, ChainError>, usize) {
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let url = node(move |method, _| {
        if method != "eth_call" {
            return ordinary(method);
        }
        let mut count = count.lock().unwrap();
        *count += 1;
        answers[(*count - 1).min(answers.len() - 1)].clone()
    });
    let settings = Settings { request_time: Duration::from_millis(500), ..settings(Path::new("unused")) };
    let mut chain = RpcChain::connect_with(&url, None, Some(1), settings).unwrap();
    let answer = chain.call(ACCOUNT, Bytes::new());
    let asked = *asked.lock().unwrap();
    (answer, asked)
}

#[test]
fn answers_are_understood() {
    let once = |answer: Reply| {
        let (answer, asked) = called(vec![answer]);
        assert_eq!(asked, 1, "{answer:?}");
        answer
    };
    assert_eq!(once(result(&json!("0x0102"))).unwrap(), Bytes::from([1, 2]));
    for senseless in ["7", "[]", "\"0x1\"", "\"0xg0\"", "null"] {
        let answer = once(result(&serde_json::from_str(senseless).unwrap()));
        assert!(
            matches!(answer, Err(ChainError::Node(NodeError::Malformed { method: "eth_call", .. }))),
            "{senseless}: {answer:?}"
        );
    }
    for senseless in ["no JSON", "{}", "[]", "7", "", "{\"error\":null}"] {
        assert!(
            matches!(once(reply("200 OK", senseless)), Err(ChainError::Node(NodeError::Malformed { .. }))),
            "{senseless}"
        );
    }
    assert!(matches!(once(reply("404 Not Found", "{}")), Err(ChainError::Node(NodeError::Unreachable { .. }))));
    let refused = once(error(-32000, "no such state")).unwrap_err();
    assert_eq!(refused.to_string(), "eth_call: the node answers -32000: no such state");
    // ProofInvalid(), as different nodes wrap it.
    let data = hex::encode_prefixed(&keccak256("ProofInvalid()")[..4]);
    for wrapped in [json!(data), json!({ "data": data })] {
        let answer = fault(&json!({ "code": 3, "message": "execution reverted", "data": wrapped }));
        let refused = once(answer).unwrap_err();
        assert_eq!(refused.to_string(), "refused by the contract: the proof does not hold for this statement");
        assert!(refused.is_refusal());
    }
    assert!(once(fault(&json!({ "code": 3, "data": "0xzz" }))).unwrap_err().is_refusal());
    assert!(matches!(once(fault(&json!("odd"))), Err(ChainError::Node(NodeError::Answered { code: 0, .. }))));
}

#[test]
fn a_node_that_is_busy_or_away_is_asked_again() {
    let passing = [
        reply("502 Bad Gateway", "<html>"),
        reply("503 Service Unavailable", ""),
        reply("429 Too Many Requests\r\nretry-after: 0", r#"{"error":{"code":-1,"message":"slow down"}}"#),
        error(-32005, "daily request count exceeded, request rate limited"),
        None,
    ];
    for trouble in &passing {
        let (answer, asked) = called(vec![trouble.clone(), result(&json!("0x07"))]);
        assert_eq!((answer.unwrap(), asked), (Bytes::from([7]), 2), "{trouble:?}");
    }
    for trouble in passing {
        let (answer, asked) = called(vec![trouble.clone()]);
        assert_eq!(asked, 3, "{trouble:?}");
        assert!(
            matches!(answer, Err(ChainError::Node(NodeError::Unreachable { .. } | NodeError::Answered { .. }))),
            "{answer:?}"
        );
    }
}

#[test]
fn another_chain_is_refused() {
    let connect = |answer: Value, expected| {
        let url = node(move |_, _| result(&answer));
        RpcChain::connect(&url, None, expected)
    };
    let refused = connect(json!("0x2"), Some(1)).unwrap_err();
    assert!(matches!(refused, ChainError::Policy(PolicyError::ForeignChain { expected: 1, got: 2 })), "{refused}");
    assert_eq!(connect(json!("0x2"), None).unwrap().id(), 2);
    assert!(matches!(connect(json!("0x10000000000000000"), None), Err(ChainError::Node(NodeError::Malformed { .. }))));
    assert!(matches!(connect(json!(2), None), Err(ChainError::Node(NodeError::Malformed { .. }))));
    let settings = settings(Path::new("unused"));
    let refused = RpcChain::connect_with("http://127.0.0.1:1/secret", None, None, settings).unwrap_err();
    assert!(matches!(refused, ChainError::Node(NodeError::Unreachable { .. })), "{refused}");
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

#[test]
fn confirmations_are_the_chains_unless_said() {
    let connect = |id: &'static str, confirmations| {
        let url = node(move |_, _| result(&json!(id)));
        let settings = Settings { confirmations, ..Settings::default() };
        RpcChain::connect_with(&url, None, None, settings).unwrap().confirmations()
    };
    assert_eq!((connect("0x7a69", None), connect("0x1", None)), (1, 3));
    assert_eq!((connect("0x7a69", Some(7)), connect("0x1", Some(0))), (7, 1));
}

#[test]
fn without_a_key_and_locks_nothing_is_sent() {
    let chain_url = node(|method, _| ordinary(method));
    let mut chain = RpcChain::connect(&chain_url, None, None).unwrap();
    let refused = chain.send(Some(ACCOUNT), Bytes::new()).unwrap_err();
    assert!(matches!(refused, ChainError::Policy(PolicyError::NoKey)), "{refused}");
    let key = PrivateKey::parse(KEY).unwrap();
    let mut chain = RpcChain::connect(&chain_url, Some(key), None).unwrap();
    let refused = chain.send(Some(ACCOUNT), Bytes::new()).unwrap_err();
    assert!(matches!(refused, ChainError::Policy(PolicyError::NoLocks)), "{refused}");
}

/// What a node has seen.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Bytes>>>);

impl Seen {
    fn raw(&self) -> Vec<Bytes> {
        self.0.lock().unwrap().clone()
    }

    fn transactions(&self) -> Vec<TxEnvelope> {
        self.raw().iter().map(|raw| TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap()).collect()
    }

    fn nonces(&self) -> Vec<u64> {
        self.transactions().iter().map(TxEnvelope::nonce).collect()
    }
}

/// Sends a transaction by a node that answers ordinarily unless the handler does; the handler knows how many transactions
/// the node has been sent, the one of this question included.
fn send_with(
    change: impl FnOnce(&mut Settings),
    mut handler: impl FnMut(&str, &Value, usize) -> Option<Reply> + Send + 'static,
) -> (Result<Receipt, ChainError>, Seen) {
    let seen = Seen::default();
    let all = seen.clone();
    let url = node(move |method, parameters| {
        let mut all = all.0.lock().unwrap();
        if method == "eth_sendRawTransaction" {
            all.push(parameters[0].as_str().unwrap().parse().unwrap());
        }
        handler(method, parameters, all.len()).unwrap_or_else(|| ordinary(method))
    });
    let locks = tempfile::tempdir().unwrap();
    let mut settings = settings(locks.path());
    change(&mut settings);
    let mut chain = RpcChain::connect_with(&url, Some(PrivateKey::parse(KEY).unwrap()), None, settings).unwrap();
    (chain.send(Some(ACCOUNT), Bytes::new()), seen)
}

fn send(
    handler: impl FnMut(&str, &Value, usize) -> Option<Reply> + Send + 'static,
) -> (Result<Receipt, ChainError>, Seen) {
    send_with(|_| (), handler)
}

fn receipt(status: &str, block_hash: u8) -> Reply {
    result(&json!({
        "gasUsed": "0x1234", "status": status, "contractAddress": null, "blockNumber": "0x9",
        "blockHash": hash(block_hash),
        "logs": [{ "address": ACCOUNT.to_string(), "topics": [hash(1)], "data": "0x07" }],
    }))
}

#[test]
fn receipts_are_awaited() {
    let mut looks = 0;
    let (sent, seen) = send(move |method, _, _| {
        looks += usize::from(method == "eth_getTransactionReceipt");
        (method == "eth_getTransactionReceipt" && looks > 3).then(|| receipt("0x1", 1))
    });
    let sent = sent.unwrap();
    assert_eq!((sent.gas, sent.created, sent.block), (0x1234, None, 9));
    assert_eq!(sent.logs, [Log::new(ACCOUNT, vec![B256::repeat_byte(1)], [7].into()).unwrap()]);
    assert_eq!(sent.hash, seen.transactions().last().map(|transaction| *transaction.tx_hash()));
    let transaction = &seen.transactions()[0];
    assert_eq!((transaction.max_fee_per_gas(), transaction.max_priority_fee_per_gas()), (15, Some(1)));
    assert_eq!((transaction.gas_limit(), transaction.chain_id()), (26_250, Some(1)));
}

#[test]
fn failures_say_why_and_what_they_cost() {
    let fails = |reason: Reply| {
        let (sent, _) = send(move |method, parameters, _| match method {
            "eth_getTransactionReceipt" => Some(receipt("0x0", 1)),
            "eth_call" => {
                assert_eq!(parameters[1], "0x9", "the state of its block");
                Some(reason.clone())
            }
            _ => None,
        });
        sent.unwrap_err()
    };
    let data = hex::encode_prefixed(&keccak256("ProofInvalid()")[..4]);
    let refused = fails(fault(&json!({ "code": 3, "message": "execution reverted", "data": data })));
    assert!(
        matches!(&refused, ChainError::Refused(Refusal::Reverted { gas: Some(0x1234), revert }) if revert.is_false_proof())
    );
    assert_eq!(refused.gas(), Some(0x1234));
    let refused = fails(result(&json!("0x")));
    assert!(matches!(refused, ChainError::Refused(Refusal::Reverted { gas: Some(0x1234), .. })));
}

#[test]
fn malformed_receipts_are_no_receipts() {
    for (field, value) in [
        ("gasUsed", json!("12")),
        ("status", Value::Null),
        ("blockNumber", json!(9)),
        ("blockHash", json!("0x01")),
        ("logs", json!({})),
        ("logs", json!([{}])),
        ("logs", json!([{ "address": ACCOUNT.to_string(), "topics": [hash(1), 7], "data": "0x" }])),
        ("logs", json!([{ "address": ACCOUNT.to_string(), "topics": vec![hash(1); 5], "data": "0x" }])),
    ] {
        let (sent, _) = send(move |method, _, _| {
            (method == "eth_getTransactionReceipt").then(|| {
                let (status, body) = receipt("0x1", 1).unwrap();
                let mut body: Value = serde_json::from_str(&body).unwrap();
                body["result"][field] = value.clone();
                reply(&status, &body.to_string())
            })
        });
        let refused = sent.unwrap_err();
        assert!(matches!(
            &refused,
            ChainError::Transaction(TransactionError::Unanswered { source, .. })
                if matches!(**source, ChainError::Node(NodeError::Malformed { .. }))
        ));
    }
}

#[test]
fn confirmations_are_awaited() {
    let mut head = 9;
    let (sent, _) = send_with(
        |settings| settings.confirmations = Some(3),
        move |method, _, _| match method {
            "eth_getTransactionReceipt" => Some(receipt("0x1", 1)),
            "eth_blockNumber" => {
                head += 1;
                Some(result(&json!(format!("{:#x}", head - 1))))
            }
            _ => None,
        },
    );
    assert_eq!(sent.unwrap().block, 9);
    let (sent, _) = send_with(
        |settings| (settings.confirmations, settings.inclusion_time) = (Some(3), Duration::from_millis(200)),
        |method, _, _| (method == "eth_getTransactionReceipt").then(|| receipt("0x1", 1)),
    );
    assert!(
        matches!(sent, Err(ChainError::Transaction(TransactionError::Pending { confirmations: 1, wanted: 3, .. }))),
        "{sent:?}"
    );
}

/// A receipt of a block that is not the chain's does not count; what the chain has lost is sent again as it was.
#[test]
fn a_reorganised_transaction_is_sent_again() {
    let mut blocks = 0;
    let (sent, seen) = send_with(
        |settings| settings.confirmations = Some(2),
        move |method, parameters, sent| match method {
            // Another block in its place after the third look at it.
            "eth_getBlockByNumber" if parameters[0] == "0x9" => {
                blocks += 1;
                Some(result(&json!({ "hash": hash(if blocks > 3 { 2 } else { 1 }) })))
            }
            "eth_getTransactionReceipt" if sent > 1 => Some(receipt("0x1", 2)),
            "eth_getTransactionReceipt" if blocks > 5 => Some(result(&Value::Null)),
            "eth_getTransactionReceipt" => Some(receipt("0x1", 1)),
            "eth_blockNumber" if sent > 1 => Some(result(&json!("0xa"))),
            _ => None,
        },
    );
    assert_eq!(sent.unwrap().block_hash, Some(B256::repeat_byte(2)));
    let raw = seen.raw();
    assert_eq!((raw.len(), &raw[0]), (2, &raw[1]), "the same bytes");
}

#[test]
fn what_the_node_knows_is_not_sent_again() {
    let mut looks = 0;
    let (sent, seen) = send(move |method, _, _| {
        looks += usize::from(method == "eth_getTransactionReceipt");
        match method {
            "eth_getTransactionByHash" => Some(result(&json!({}))),
            "eth_getTransactionReceipt" if looks > 4 => Some(receipt("0x1", 1)),
            _ => None,
        }
    });
    assert!(sent.is_ok());
    assert_eq!(seen.raw().len(), 1);
}

#[test]
fn another_transaction_in_its_place_is_told() {
    let (sent, seen) = send(|method, parameters, _| match method {
        "eth_getTransactionCount" if parameters[1] == "pending" => Some(result(&json!("0x5"))),
        "eth_getTransactionCount" => Some(result(&json!("0x6"))),
        _ => None,
    });
    let hash = *seen.transactions()[0].tx_hash();
    let refused = sent.unwrap_err();
    assert!(
        matches!(
            refused,
            ChainError::Transaction(TransactionError::Replaced { hash: of, account: ACCOUNT, nonce: 5 }) if of == hash
        ),
        "{refused}"
    );
}

/// Whichever of the versions a block takes, it is found.
#[test]
fn a_stuck_transaction_pays_more() {
    for mined in [0, 1] {
        let versions = Arc::new(Mutex::new(Vec::new()));
        let (sent, seen) = send_with(
            |settings| (settings.replace_after, settings.replacements) = (Duration::from_millis(50), 1),
            move |method, parameters, sent| {
                let mut versions = versions.lock().unwrap();
                match method {
                    "eth_sendRawTransaction" => {
                        let raw: Bytes = parameters[0].as_str().unwrap().parse().unwrap();
                        versions.push(keccak256(raw).to_string());
                        None
                    }
                    "eth_getTransactionByHash" => Some(result(&json!({}))),
                    "eth_getTransactionReceipt" if sent == 2 && versions[mined] == parameters[0] => {
                        Some(receipt("0x1", 1))
                    }
                    _ => None,
                }
            },
        );
        let [first, second] = &seen.transactions()[..] else { panic!("two versions") };
        assert_eq!((first.nonce(), second.nonce()), (0, 0));
        assert_eq!((first.max_fee_per_gas(), second.max_fee_per_gas()), (15, 30));
        assert_eq!((first.max_priority_fee_per_gas(), second.max_priority_fee_per_gas()), (Some(1), Some(2)));
        assert_eq!(sent.unwrap().hash, Some(*[first, second][mined].tx_hash()));
    }
}

#[test]
fn a_refused_nonce_is_not_followed_by_another() {
    let done = |method: &str| (method == "eth_getTransactionReceipt").then(|| receipt("0x1", 1));
    // The count was of an older block, or another machine's transaction waits there: the node has the signed bytes, so the
    // same is not signed for another nonce.
    for words in ["nonce too low: next nonce 2, tx nonce 1", "replacement transaction underpriced"] {
        let (sent, seen) = send(move |method, _, _| match method {
            "eth_sendRawTransaction" => Some(error(-32000, words)),
            _ => done(method),
        });
        let Err(ChainError::Transaction(TransactionError::NotTaken { reason })) = sent else { panic!("{sent:?}") };
        assert!(reason.contains(words) && reason.contains(&seen.transactions()[0].tx_hash().to_string()), "{reason}");
        assert_eq!(seen.nonces(), [0]);
    }
    // It arrived after all.
    for answer in ["already known", "transaction already imported"] {
        let (sent, seen) = send(move |method, _, _| match method {
            "eth_sendRawTransaction" => Some(error(-32000, answer)),
            _ => done(method),
        });
        sent.unwrap();
        assert_eq!(seen.nonces(), [0]);
    }
    // It arrived, was mined, and only its answer was lost.
    let (sent, seen) = send(move |method, _, sent| match method {
        "eth_sendRawTransaction" if sent == 1 => Some(None),
        "eth_sendRawTransaction" => Some(error(-32000, "nonce too low")),
        "eth_getTransactionByHash" => Some(result(&json!({}))),
        _ => done(method),
    });
    sent.unwrap();
    assert_eq!(seen.nonces(), [0, 0]);
}

/// A transaction is signed if its gas can cost what is allowed, whatever the node says gas costs.
#[test]
fn a_node_cannot_name_any_price() {
    for (method, price) in [
        ("eth_maxPriorityFeePerGas", json!("0x8e1bc9bf040000")),
        ("eth_getBlockByNumber", json!({ "baseFeePerGas": "0xffffffffffffffffffffffffffffffff" })),
    ] {
        let (sent, seen) = send(move |asked, _, _| (asked == method).then(|| result(&price)));
        let refused = sent.unwrap_err();
        assert!(
            matches!(refused, ChainError::Policy(PolicyError::GasCost { max_cost: 1_000_000_000_000_000_000, .. })),
            "{refused}"
        );
        assert!(refused.to_string().contains("could cost"), "{refused}");
        assert!(seen.raw().is_empty(), "{method}");
    }
}

#[test]
fn what_is_not_taken_is_not_awaited() {
    let (sent, seen) = send(|method, _, _| {
        (method == "eth_sendRawTransaction").then(|| error(-32000, "insufficient funds for gas * price + value"))
    });
    let refused = sent.unwrap_err().to_string();
    assert_eq!(refused, "the chain does not take the transaction: insufficient funds for gas * price + value");
    assert_eq!(seen.raw().len(), 1);
}

#[test]
fn an_unknown_end_is_said_to_be_unknown() {
    // No answer to the broadcast.
    let (sent, seen) = send(|method, _, _| (method == "eth_sendRawTransaction").then_some(None));
    let hash = *seen.transactions()[0].tx_hash();
    assert!(
        matches!(sent, Err(ChainError::Transaction(TransactionError::Unanswered { hash: of, .. })) if of == hash),
        "{sent:?}"
    );
    assert_eq!(seen.raw().len(), 3);
    // Out of reach afterwards, but not for long.
    let mut looks = 0;
    let (sent, _) = send(move |method, _, _| {
        looks += usize::from(method == "eth_getTransactionReceipt");
        (method == "eth_getTransactionReceipt").then(|| (looks > 20).then(|| receipt("0x1", 1)).flatten())
    });
    sent.unwrap();
    // For good.
    let (sent, _) = send_with(
        |settings| settings.inclusion_time = Duration::from_millis(100),
        |method, _, _| (method == "eth_getTransactionReceipt").then_some(None),
    );
    assert!(matches!(sent, Err(ChainError::Transaction(TransactionError::Unanswered { .. }))), "{sent:?}");
    // In no block.
    let (sent, _) = send_with(|settings| settings.inclusion_time = Duration::from_millis(100), |_, _, _| None);
    assert!(
        matches!(sent, Err(ChainError::Transaction(TransactionError::Pending { confirmations: 0, wanted: 1, .. }))),
        "{sent:?}"
    );
}

#[test]
fn long_ranges_of_logs_are_asked_by_parts() {
    let block = |value: &Value| u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap();
    let url = node(move |method, parameters| match method {
        "eth_blockNumber" => result(&json!("0x64")),
        "eth_getLogs" => {
            let filter = &parameters[0];
            assert_eq!(filter["topics"], json!([null, hash(1)]));
            let (from, to) = (block(&filter["fromBlock"]), block(&filter["toBlock"]));
            if to - from >= 10 {
                return error(-32005, "query returned more than 10 results");
            }
            let log = |number| {
                json!({
                    "address": ACCOUNT.to_string(), "topics": [hash(7), hash(1)], "data": "0x", "logIndex": "0x0",
                    "blockNumber": format!("{number:#x}"), "blockHash": hash(9), "transactionHash": hash(8),
                })
            };
            result(&(from..=to).map(log).collect())
        }
        _ => ordinary(method),
    });
    let mut chain = RpcChain::connect_with(&url, None, None, settings(Path::new("unused"))).unwrap();
    let topics = [None, Some(B256::repeat_byte(1))];
    let blocks: Vec<u64> = chain.logs(Blocks::From(3), ACCOUNT, &topics).unwrap().iter().map(|log| log.block).collect();
    assert!(blocks.iter().copied().eq(3..=100), "{blocks:?}");
    assert!(chain.logs(Blocks::From(101), ACCOUNT, &topics).unwrap().is_empty());
    assert_eq!((chain.timestamp().unwrap(), chain.block_number().unwrap()), (100, 100));
    // The head is not asked for.
    let blocks = chain.logs(Blocks::Between(90, 120), ACCOUNT, &topics).unwrap().into_iter().map(|log| log.block);
    assert!(blocks.eq(90..=120));
    assert!(chain.logs(Blocks::Between(4, 3), ACCOUNT, &topics).unwrap().is_empty());
}

/// A block that the node does not have is an error, and so is a log of another block.
#[test]
fn logs_of_one_block_are_asked_by_its_hash() {
    let logs = |answer: Reply| {
        let url = node(move |method, parameters| match method {
            "eth_getLogs" => {
                let filter = &parameters[0];
                assert_eq!((&filter["blockHash"], &filter["topics"]), (&hash(9), &json!([hash(1)])));
                assert!(filter.get("fromBlock").is_none() && filter.get("toBlock").is_none(), "{filter}");
                answer.clone()
            }
            _ => ordinary(method),
        });
        let mut chain = RpcChain::connect_with(&url, None, None, settings(Path::new("unused"))).unwrap();
        chain.logs(Blocks::At(B256::repeat_byte(9)), ACCOUNT, &[Some(B256::repeat_byte(1))])
    };
    let log = |of: u8| {
        result(&json!([{
            "address": ACCOUNT.to_string(), "topics": [hash(1)], "data": "0x", "logIndex": "0x2",
            "blockNumber": "0x7", "blockHash": hash(of), "transactionHash": hash(8),
        }]))
    };
    let found = logs(log(9)).unwrap();
    assert_eq!((found.len(), found[0].block, found[0].index), (1, 7, 2));
    assert_eq!(found[0].block_hash, Some(B256::repeat_byte(9)));
    assert!(logs(result(&json!([]))).unwrap().is_empty());
    let refused = logs(log(8)).unwrap_err();
    assert!(matches!(refused, ChainError::Node(NodeError::Malformed { .. })), "{refused}");
    let refused = logs(error(-32000, "unknown block")).unwrap_err();
    assert!(matches!(refused, ChainError::Node(NodeError::Answered { .. })), "{refused}");
}
