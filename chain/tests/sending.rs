//! The single steps of sending: plan, sign, broadcast, look, bump. Each alone, and together over a restart.

use super::fake;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{SignableTransaction, Transaction, TxEip1559, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex, keccak256};
use fake::{Reply, error, fault, hash, node, ordinary, result, settings};
use lorica_chain::error::{ChainError, NodeError, PolicyError, Refusal};
use lorica_chain::keys::PrivateKey;
use lorica_chain::rpc::node::Node;
use lorica_chain::rpc::plan::{Call, Fees, Limits, Plan, Version};
use lorica_chain::rpc::sending::{Outcome, Reception, broadcast, explain, look, pending_nonce, usual_fees};
use serde_json::{Value, json};

/// The first account of every development node.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ACCOUNT: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const OTHER: Address = Address::repeat_byte(7);
const FEES: Fees = Fees { max_per_gas: 15, max_tip: 1 };
const LIMITS: Limits = Limits { max_gas_cost: 1_000_000 };

fn key() -> PrivateKey {
    PrivateKey::parse(KEY).unwrap()
}

fn call() -> Call {
    Call { chain_id: 1, to: Some(OTHER), data: [1, 2].into(), value: U256::from(3), gas_limit: 25_000 }
}

fn plan(nonce: u64) -> Plan {
    Plan::new(call(), FEES, nonce, LIMITS).unwrap()
}

fn version(nonce: u64) -> Version {
    plan(nonce).sign(&key()).unwrap()
}

/// The same nonce at twice the fees.
fn dearer(version: &Version) -> Version {
    version.plan().bump(FEES, LIMITS).unwrap().sign(&key()).unwrap()
}

fn connect(handler: impl FnMut(&str, &Value) -> Reply + Send + 'static) -> Node {
    Node::new(&node(handler), &settings(Path::new("unused")))
}

#[test]
fn a_plan_costs_what_is_allowed() {
    let planned = |max_per_gas, gas_limit, max_gas_cost| {
        let call = Call { gas_limit, ..call() };
        Plan::new(call, Fees { max_per_gas, max_tip: 1 }, 0, Limits { max_gas_cost })
    };
    assert!(planned(100, 30_000, 3_000_000).is_ok());
    let dear = planned(100, 30_000, 2_999_999).unwrap_err();
    assert!(matches!(dear, PolicyError::GasCost { cost: 3_000_000, max_cost: 2_999_999 }), "{dear}");
    // A node can name any number.
    assert!(matches!(planned(u128::MAX, 30_000, u128::MAX - 1), Err(PolicyError::GasCost { cost: u128::MAX, .. })));
    assert!(planned(1, 16_777_216, u128::MAX).is_ok());
    let large = planned(1, 16_777_217, u128::MAX).unwrap_err();
    assert!(matches!(large, PolicyError::GasLimit { gas: 16_777_217, limit: 16_777_216 }), "{large}");
}

#[test]
fn what_is_signed_is_what_was_planned() {
    for to in [Some(OTHER), None] {
        let plan = Plan::new(Call { to, ..call() }, FEES, 9, LIMITS).unwrap();
        let version = plan.sign(&key()).unwrap();
        assert_eq!(plan.sign(&key()).unwrap(), version, "the same bytes");
        assert_eq!((version.hash(), version.sender()), (keccak256(version.raw()), ACCOUNT));
        assert_eq!(version.plan(), &plan);
        let envelope = TxEnvelope::decode_2718(&mut version.raw().as_ref()).unwrap();
        assert_eq!(envelope.recover_signer().unwrap(), ACCOUNT);
        assert_eq!((envelope.chain_id(), envelope.nonce(), envelope.gas_limit()), (Some(1), 9, 25_000));
        assert_eq!((envelope.max_fee_per_gas(), envelope.max_priority_fee_per_gas()), (15, Some(1)));
        assert_eq!((envelope.to(), envelope.value(), envelope.input()), (to, U256::from(3), &[1, 2].into()));
    }
}

#[test]
fn a_bump_pays_twice_as_much_or_what_is_usual() {
    let fees = |max_per_gas, max_tip| Fees { max_per_gas, max_tip };
    let first = plan(5);
    for (usual, bumped) in
        [(fees(0, 0), fees(30, 2)), (fees(30, 2), fees(30, 2)), (fees(31, 1), fees(31, 2)), (fees(7, 9), fees(30, 9))]
    {
        let plan = first.bump(usual, LIMITS).unwrap();
        assert_eq!((plan.fees(), plan.nonce(), plan.call()), (bumped, 5, &call()));
    }
    // 40 wei for each of 25,000 are all that is allowed.
    assert_eq!(first.bump(fees(40, 1), LIMITS).unwrap().fees(), fees(40, 2));
    assert!(matches!(first.bump(fees(41, 1), LIMITS), Err(PolicyError::GasCost { cost: 1_025_000, .. })));
    let second = first.bump(FEES, LIMITS).unwrap();
    assert!(matches!(second.bump(FEES, LIMITS), Err(PolicyError::GasCost { .. })));
    let limits = Limits { max_gas_cost: u128::MAX };
    let highest = first.bump(fees(u128::MAX, u128::MAX), limits).unwrap();
    assert_eq!(highest.bump(FEES, limits).unwrap().fees(), fees(u128::MAX, u128::MAX));
}

#[test]
fn plans_and_versions_are_stored_as_they_are() {
    let large = Fees { max_per_gas: 1 << 100, max_tip: (1 << 90) + 1 };
    for to in [Some(OTHER), None] {
        let plan = Plan::new(Call { to, ..call() }, large, u64::MAX, Limits { max_gas_cost: u128::MAX }).unwrap();
        let version = plan.sign(&key()).unwrap();
        assert_eq!(Version::from_raw(version.raw().clone()).unwrap(), version);
        // By text, and by a value as databases have it.
        assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
        assert_eq!(serde_json::from_value::<Plan>(serde_json::to_value(&plan).unwrap()).unwrap(), plan);
        let stored = serde_json::to_value(&version).unwrap();
        assert_eq!(stored, json!(version.raw()));
        assert_eq!(serde_json::from_value::<Version>(stored).unwrap(), version);
    }
    let mut stored = serde_json::to_value(plan(1)).unwrap();
    for odd in [json!(15), json!("15"), json!("0x"), json!(null)] {
        stored["fees"]["max_per_gas"] = odd;
        assert!(serde_json::from_value::<Plan>(stored.clone()).is_err());
    }
}

#[test]
fn other_bytes_are_no_versions() {
    let version = version(5);
    let raw = version.raw();
    for odd in [Bytes::new(), raw.slice(1..), raw.slice(..raw.len() - 1), [raw.as_ref(), &[0]].concat().into()] {
        assert!(Version::from_raw(odd.clone()).is_err(), "{odd}");
        assert!(serde_json::from_value::<Version>(json!(odd)).is_err(), "{odd}");
    }
    // A changed byte is another transaction or another signer, if it is anything.
    for index in 0..raw.len() {
        let mut bent = raw.to_vec();
        bent[index] ^= 1;
        if let Ok(bent) = Version::from_raw(bent.into()) {
            assert_ne!(bent.hash(), version.hash());
            assert!(bent.sender() != ACCOUNT || bent == version, "byte {index}");
        }
    }
    let digest = |hash: B256| key().sign_digest(hash).unwrap();
    let legacy = TxLegacy { chain_id: Some(1), gas_limit: 21_000, to: TxKind::Call(OTHER), ..TxLegacy::default() };
    let signature = digest(legacy.signature_hash());
    assert!(Version::from_raw(legacy.into_signed(signature).encoded_2718().into()).is_err());
    let access = AccessList(vec![AccessListItem { address: OTHER, storage_keys: Vec::new() }]);
    let listed = TxEip1559 { chain_id: 1, gas_limit: 21_000, access_list: access, ..TxEip1559::default() };
    let signature = digest(listed.signature_hash());
    assert!(Version::from_raw(listed.into_signed(signature).encoded_2718().into()).is_err());
}

#[test]
fn fees_and_nonce_are_the_nodes() {
    let node = connect(|method, parameters| match method {
        "eth_getTransactionCount" => {
            assert_eq!(parameters, &json!([ACCOUNT.to_string(), "pending"]));
            result(&json!("0x6"))
        }
        _ => ordinary(method),
    });
    assert_eq!((usual_fees(&node).unwrap(), pending_nonce(&node, ACCOUNT).unwrap()), (FEES, 6));
    let tipless = connect(|method, _| match method {
        "eth_maxPriorityFeePerGas" => error(-32601, "the method does not exist"),
        _ => ordinary(method),
    });
    assert_eq!(usual_fees(&tipless).unwrap(), Fees { max_per_gas: 1_000_000_014, max_tip: 1_000_000_000 });
}

#[test]
fn a_broadcast_tells_what_the_node_does() {
    let sent = |answer: Reply| {
        let version = version(5);
        let raw = version.raw().to_string();
        let node = connect(move |method, parameters| {
            assert_eq!((method, &parameters[0]), ("eth_sendRawTransaction", &json!(raw)));
            answer.clone()
        });
        broadcast(&node, &version)
    };
    let words = |message: &str| error(-32000, message);
    assert_eq!(sent(result(&hash(1))).unwrap(), Reception::Taken);
    assert_eq!(sent(words("already known")).unwrap(), Reception::Taken);
    assert_eq!(sent(words("nonce too low")).unwrap(), Reception::Used("nonce too low".into()));
    let occupied = "replacement transaction underpriced";
    assert_eq!(sent(words(occupied)).unwrap(), Reception::Occupied(occupied.into()));
    assert_eq!(sent(words("insufficient funds")).unwrap(), Reception::Refused("insufficient funds".into()));
    let lost = sent(None).unwrap_err();
    assert!(matches!(lost, ChainError::Node(NodeError::Unreachable { .. })), "{lost}");
}

/// A node as far as one account's transactions go.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<State>>);

struct State {
    /// Hashes in the pool.
    pool: BTreeSet<String>,
    /// Blocks of mined hashes.
    mined: BTreeMap<String, u64>,
    head: u64,
    /// Transactions of the account at the latest block, and at each deeper one that is named.
    count: u64,
    deep_counts: BTreeMap<String, u64>,
    /// First byte of all blocks' hashes.
    branch: u8,
    status: &'static str,
    received: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            pool: BTreeSet::new(),
            mined: BTreeMap::new(),
            head: 9,
            count: 0,
            deep_counts: BTreeMap::new(),
            branch: 1,
            status: "0x1",
            received: Vec::new(),
        }
    }
}

impl State {
    /// The version is in the pool from now on.
    fn hold(&mut self, version: &Version) {
        self.pool.insert(version.hash().to_string());
    }

    /// The version is in a block from now on.
    fn mine(&mut self, version: &Version, block: u64) {
        self.mined.insert(version.hash().to_string(), block);
    }
}

impl Ledger {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn received(&self) -> Vec<String> {
        self.0.lock().unwrap().received.clone()
    }

    /// A client of the node, which knows nothing from before.
    fn connect(&self) -> Node {
        let ledger = self.clone();
        connect(move |method, parameters| {
            let state = &mut *ledger.0.lock().unwrap();
            let text = |index: usize| parameters[index].as_str().unwrap_or_default().to_owned();
            match method {
                "eth_sendRawTransaction" => {
                    let raw: Bytes = text(0).parse().unwrap();
                    state.received.push(raw.to_string());
                    state.pool.insert(keccak256(raw).to_string());
                    result(&hash(0))
                }
                "eth_getTransactionByHash" if state.pool.contains(&text(0)) => result(&json!({ "hash": text(0) })),
                "eth_getTransactionReceipt" => match state.mined.get(&text(0)) {
                    Some(block) => result(&json!({
                        "gasUsed": "0x5208", "status": state.status, "contractAddress": null, "logs": [],
                        "blockNumber": format!("{block:#x}"), "blockHash": hash(1),
                    })),
                    None => result(&Value::Null),
                },
                "eth_getBlockByNumber" => {
                    result(&json!({ "baseFeePerGas": "0x7", "hash": hash(state.branch), "timestamp": "0x64" }))
                }
                "eth_blockNumber" => result(&json!(format!("{:#x}", state.head))),
                "eth_getTransactionCount" => {
                    let count = state.deep_counts.get(&text(1)).copied().unwrap_or(state.count);
                    result(&json!(format!("{count:#x}")))
                }
                _ => ordinary(method),
            }
        })
    }
}

#[test]
fn a_look_tells_where_a_transaction_stands() {
    let (first, ledger) = (version(5), Ledger::default());
    let second = dearer(&first);
    let (node, versions) = (ledger.connect(), [first.clone(), second.clone()]);
    let looked = || look(&node, &versions, 3).unwrap();
    ledger.change(|state| state.count = 5);
    assert_eq!(looked(), Outcome::Unknown);
    ledger.change(|state| state.hold(&first));
    assert_eq!(looked(), Outcome::Pending { hash: first.hash() });
    ledger.change(|state| state.hold(&second));
    assert_eq!(looked(), Outcome::Pending { hash: second.hash() }, "the newest");

    // Another transaction has the nonce: in the latest block, then three deep.
    ledger.change(|state| {
        state.count = 6;
        state.deep_counts.insert("0x7".into(), 5);
    });
    assert_eq!(looked(), Outcome::NonceUsed { confirmed: false });
    ledger.change(|state| state.head = 10);
    assert_eq!(looked(), Outcome::NonceUsed { confirmed: true });

    // The older version was mined after all, one block below the head.
    ledger.change(|state| state.mine(&first, 9));
    let Outcome::Mined { receipt, succeeded, confirmations } = looked() else { panic!("mined") };
    assert_eq!((receipt.hash, receipt.block, succeeded, confirmations), (Some(first.hash()), 9, true, 2));
    ledger.change(|state| (state.head, state.status) = (12, "0x0"));
    assert!(matches!(looked(), Outcome::Mined { succeeded: false, confirmations: 4, .. }));
    // Its block is not the chain's any more.
    ledger.change(|state| state.branch = 2);
    assert!(matches!(looked(), Outcome::Mined { confirmations: 0, .. }));
    assert!(ledger.received().is_empty(), "a look sends nothing");
}

/// Versions that do not stand for each other are not looked at: either could be mined beside the other.
#[test]
fn a_look_is_at_one_transaction() {
    let node = connect(|method, _| panic!("asked {method}"));
    let stranger = plan(5).sign(&PrivateKey::parse(&"ab".repeat(32)).unwrap()).unwrap();
    let elsewhere = Plan::new(Call { chain_id: 2, ..call() }, FEES, 5, LIMITS).unwrap().sign(&key()).unwrap();
    for versions in [vec![], vec![version(5), version(6)], vec![version(5), stranger], vec![version(5), elsewhere]] {
        let refused = look(&node, &versions, 1).unwrap_err();
        assert!(matches!(refused, ChainError::Policy(PolicyError::Versions)), "{refused}");
    }
}

#[test]
fn a_failure_is_explained() {
    let explained = |answer: Reply, gas| {
        let ledger = Ledger::default();
        let version = version(5);
        ledger.change(|state| state.mine(&version, 9));
        let Ok(Outcome::Mined { receipt, .. }) = look(&ledger.connect(), std::slice::from_ref(&version), 1) else {
            panic!("mined")
        };
        let node = connect(move |method, parameters| {
            assert_eq!((method, &parameters[1]), ("eth_call", &json!("0x9")), "the state of its block");
            let call = &parameters[0];
            assert_eq!((&call["from"], &call["value"]), (&json!(ACCOUNT.to_string()), &json!("0x3")));
            assert_eq!((&call["to"], &call["data"]), (&json!(OTHER.to_string()), &json!("0x0102")));
            answer.clone()
        });
        explain(&node, &version, &lorica_chain::chain::Receipt { gas, ..receipt })
    };
    let data = hex::encode_prefixed(&keccak256("ProofInvalid()")[..4]);
    let reverts = fault(&json!({ "code": 3, "message": "execution reverted", "data": data }));
    let refusal = explained(reverts, 21_000);
    assert!(
        matches!(&refusal, Refusal::Reverted { revert, gas: Some(21_000) } if revert.is_false_proof()),
        "{refusal}"
    );
    assert!(matches!(explained(result(&json!("0x")), 25_000), Refusal::Halted { gas: 25_000, .. }));
    assert!(matches!(explained(result(&json!("0x")), 24_999), Refusal::Reverted { gas: Some(24_999), .. }));
}

/// What a program keeps: the versions of each nonce, as JSON.
#[derive(Default)]
struct Database(BTreeMap<u64, Vec<String>>);

impl Database {
    fn store(&mut self, version: &Version) {
        let row = self.0.entry(version.plan().nonce()).or_default();
        row.push(serde_json::to_string(version).unwrap());
    }

    fn versions(&self, nonce: u64) -> Vec<Version> {
        self.0[&nonce].iter().map(|row| serde_json::from_str(row).unwrap()).collect()
    }
}

/// Between two parts of this test nothing lives but the database and the node.
#[test]
fn a_program_that_starts_again_goes_on() {
    let (ledger, mut database) = (Ledger::default(), Database::default());
    // Two transactions are signed and stored; the program ends before the second is sent.
    {
        let node = ledger.connect();
        let nonce = pending_nonce(&node, ACCOUNT).unwrap();
        let fees = usual_fees(&node).unwrap();
        for nonce in nonce..nonce + 2 {
            database.store(&Plan::new(call(), fees, nonce, LIMITS).unwrap().sign(&key()).unwrap());
        }
        assert_eq!(broadcast(&node, &database.versions(0)[0]).unwrap(), Reception::Taken);
    }
    // It goes on with the same bytes, finds the first stuck, and ends after its bump is stored but not sent.
    {
        let node = ledger.connect();
        let (first, second) = (database.versions(0), database.versions(1));
        assert!(matches!(look(&node, &first, 2).unwrap(), Outcome::Pending { .. }));
        assert_eq!(look(&node, &second, 2).unwrap(), Outcome::Unknown);
        assert_eq!(broadcast(&node, &second[0]).unwrap(), Reception::Taken);
        let dearer = first[0].plan().bump(usual_fees(&node).unwrap(), LIMITS).unwrap();
        assert_eq!((dearer.nonce(), dearer.fees()), (0, Fees { max_per_gas: 30, max_tip: 2 }));
        database.store(&dearer.sign(&key()).unwrap());
    }
    let newest = database.versions(0)[1].clone();
    // The node has lost its pool: the newest versions are sent.
    {
        let node = ledger.connect();
        ledger.change(|state| state.pool.clear());
        for nonce in 0..2 {
            let versions = database.versions(nonce);
            assert_eq!(look(&node, &versions, 2).unwrap(), Outcome::Unknown);
            assert_eq!(broadcast(&node, versions.last().unwrap()).unwrap(), Reception::Taken);
        }
    }
    // Both are mined: the older version of the first, which another node still had.
    let [older, second] = [&database.versions(0)[0], &database.versions(1)[0]].map(Version::clone);
    ledger.change(|state| {
        (state.count, state.head) = (2, 10);
        state.mine(&older, 10);
        state.mine(&second, 10);
    });
    for confirmations in 1..=2 {
        let node = ledger.connect();
        for (nonce, mined) in [(0, &older), (1, &second)] {
            let outcome = look(&node, &database.versions(nonce), 2).unwrap();
            let Outcome::Mined { receipt, succeeded: true, confirmations: got } = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!((receipt.hash, got), (Some(mined.hash()), confirmations));
        }
        ledger.change(|state| state.head += 1);
    }
    let sent = [&older, &second, &newest, &second].map(|version| version.raw().to_string());
    assert_eq!(ledger.received(), sent);
}
