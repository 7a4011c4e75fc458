//! A real node: gas, several senders, reorganisations, lost and stuck transactions.

mod anvil_node;
mod fake;
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, address};
use anvil_node::{Anvil, KEY, wait};
use lorica_chain::abi;
use lorica_chain::chain::{Blocks, Chain, Receipt};
use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, PolicyError, TransactionError};
use lorica_chain::keys::PrivateKey;
use lorica_chain::rpc::RpcChain;
use lorica_chain::rpc::node::Node;
use lorica_chain::rpc::plan::{Call, Limits, Plan, Version};
use lorica_chain::rpc::sending::{Outcome, Reception, broadcast, look, pending_nonce, usual_fees};
use lorica_chain::rpc::settings::Settings;
use serde_json::json;
use support::{ALL, CLASSIFY_1, GUARDIAN, Vector, register};

const ACCOUNT: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const OTHER: Address = Address::repeat_byte(0x07);
/// Transactions of each sender of several.
const EACH: u64 = 20;

fn settings(locks: &Path) -> Settings {
    Settings { inclusion_time: Duration::from_secs(60), ..fake::settings(locks) }
}

/// The embedded chain and a node agree on every transaction's gas, and on logs and balances.
#[test]
#[ignore = "starts anvil, which npm installs"]
fn a_node_does_as_the_embedded_chain() {
    let anvil = Anvil::start(&[]);
    let locks = tempfile::tempdir().unwrap();
    let mut chain = anvil.connect(settings(locks.path()));
    let mut embedded = EmbeddedChain::new(31337, ACCOUNT);
    let (contracts, steps) = CheckContracts::deploy(&mut chain, GUARDIAN).unwrap();
    let (twin, twins) = CheckContracts::deploy(&mut embedded, GUARDIAN).unwrap();
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
        let estimate = contracts.router().simulate_check(&mut chain, &settlement).unwrap();
        let route = contracts.router().serving_route(&mut chain, settlement.circuit.into()).unwrap().id;
        let data = abi::encode(&abi::check_for(route, &settlement).unwrap());
        let gas = chain.send(Some(contracts.router), data.clone()).unwrap().gas;
        assert_eq!(gas, embedded.send(Some(contracts.router), data).unwrap().gas);
        println!("{name}: {gas} gas on both, estimated {estimate}");
        let refused = contracts.router().check(&mut chain, &settlement).unwrap_err();
        assert!(matches!(refused, ChainError::Policy(PolicyError::ForeignConsumer { .. })), "{refused}");
    }
    let settlement = Vector::read(CLASSIFY_1).settlement();
    let route = contracts.router().serving_route(&mut chain, settlement.circuit.into()).unwrap().id;
    let mut forged = abi::check_for(route, &settlement).unwrap();
    forged.settlement.requests[0].label += U256::from(1);
    let refused = chain.send(Some(contracts.router), abi::encode(&forged)).unwrap_err();
    assert_eq!(refused.to_string(), "refused by the contract: the proof does not hold for this statement");

    assert_eq!(chain.block_number().unwrap(), embedded.block_number().unwrap());
    let of = |chain: &mut dyn Chain, from| {
        let logs = chain.logs(Blocks::From(from), contracts.registry, &[]).unwrap();
        logs.into_iter().map(|log| (log.block, log.index, log.log)).collect::<Vec<_>>()
    };
    let logs = of(&mut chain, 0);
    assert!(logs.len() > 3, "registrations are logged");
    assert_eq!(logs, of(&mut embedded, 0));
    let (middle, topic) = (logs[1].0 + 1, logs[0].2.topics()[0]);
    assert_eq!(of(&mut chain, middle), of(&mut embedded, middle));
    assert!(chain.logs(Blocks::From(0), contracts.registry, &[None, Some(topic)]).unwrap().is_empty());
    let located = chain.logs(Blocks::From(0), contracts.registry, &[]).unwrap();
    let (number, hash) = (located[0].block, located[0].block_hash.unwrap());
    let of_block: Vec<_> = located.iter().filter(|log| log.block == number).cloned().collect();
    for blocks in [Blocks::At(hash), Blocks::Between(number, number)] {
        assert_eq!(chain.logs(blocks, contracts.registry, &[]).unwrap(), of_block);
    }
    assert!(chain.logs(Blocks::At(B256::repeat_byte(1)), contracts.registry, &[]).is_err());
    embedded.fund(ACCOUNT, U256::from(9));
    for chain in [&mut chain as &mut dyn Chain, &mut embedded] {
        assert_eq!(chain.send_value(Some(OTHER), Bytes::new(), U256::from(5)).unwrap().gas, 21_000);
        assert_eq!(chain.balance(OTHER).unwrap(), U256::from(5));
        assert!(chain.timestamp().unwrap() > 1_700_000_000);
    }
}

#[test]
#[ignore = "starts anvil, which npm installs"]
fn another_chain_is_refused() {
    let anvil = Anvil::start(&["--chain-id", "5"]);
    let refused = RpcChain::connect(&anvil.url, None, Some(31337)).unwrap_err();
    assert!(matches!(refused, ChainError::Policy(PolicyError::ForeignChain { expected: 31337, got: 5 })), "{refused}");
}

/// Sends what one of several sends: a wei at a time.
fn send_many(url: &str, locks: &Path) {
    let key = PrivateKey::parse(KEY).unwrap();
    let mut chain = RpcChain::connect_with(url, Some(key), Some(31337), settings(locks)).unwrap();
    for _ in 0..EACH {
        chain.send_value(Some(OTHER), Bytes::new(), U256::from(1)).unwrap();
    }
}

/// The program that the next test starts several times. Without it there is nothing to send.
#[test]
fn a_sender_among_several() {
    let (Ok(url), Some(locks)) = (std::env::var("LORICA_TEST_NODE"), std::env::var_os("LORICA_TEST_LOCKS")) else {
        return;
    };
    send_many(&url, Path::new(&locks));
}

/// Two processes, and beside them two threads, on a node that makes blocks by the clock.
#[test]
#[ignore = "starts anvil, which npm installs"]
fn several_senders_share_an_account() {
    let anvil = Anvil::start(&["--block-time", "1"]);
    let locks = tempfile::tempdir().unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_sender_among_several"])
            .env("LORICA_TEST_NODE", &anvil.url)
            .env("LORICA_TEST_LOCKS", locks.path())
            .spawn()
            .unwrap()
    };
    let mut processes = [start(), start()];
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| send_many(&anvil.url, locks.path()));
        }
    });
    for process in &mut processes {
        assert!(process.wait().unwrap().success());
    }
    let mut chain = anvil.connect(settings(locks.path()));
    let all = 4 * EACH;
    assert_eq!(chain.balance(OTHER).unwrap(), U256::from(all), "none is lost, none is sent twice");
    let count = anvil.ask("eth_getTransactionCount", &json!([ACCOUNT.to_string(), "latest"]));
    assert_eq!(count, json!(format!("{all:#x}")));
    let mut nonces = BTreeSet::new();
    for block in 0..=chain.block_number().unwrap() {
        let block = anvil.ask("eth_getBlockByNumber", &json!([format!("{block:#x}"), true]));
        for transaction in block["transactions"].as_array().unwrap() {
            let nonce = transaction["nonce"].as_str().unwrap().strip_prefix("0x").unwrap();
            assert!(nonces.insert(u64::from_str_radix(nonce, 16).unwrap()));
        }
    }
    assert!(nonces.into_iter().eq(0..all));
    println!("{all} transactions in {} blocks", chain.block_number().unwrap());
}

/// Sends while something happens to the node.
fn send_while(
    anvil: &Anvil,
    change: impl FnOnce(&mut Settings),
    happens: impl FnOnce(),
) -> Result<Receipt, ChainError> {
    let locks = tempfile::tempdir().unwrap();
    let mut settings = settings(locks.path());
    change(&mut settings);
    let mut chain = anvil.connect(settings);
    thread::scope(|scope| {
        let sender = scope.spawn(move || chain.send_value(Some(OTHER), Bytes::new(), U256::from(1)));
        happens();
        sender.join().unwrap()
    })
}

fn balance_of_other(anvil: &Anvil) -> U256 {
    RpcChain::connect(&anvil.url, None, None).unwrap().balance(OTHER).unwrap()
}

#[test]
#[ignore = "starts anvil, which npm installs"]
fn a_reorganisation_is_lived_through() {
    let anvil = Anvil::start(&[]);
    anvil.mine(5);
    let mut before = U256::ZERO;
    let receipt = send_while(
        &anvil,
        |settings| settings.confirmations = Some(5),
        || {
            wait("the transaction is mined", || {
                before = balance_of_other(&anvil);
                before == U256::from(1)
            });
            anvil.mine(2);
            thread::sleep(Duration::from_millis(300));
            // Three blocks, of which the transaction's is the lowest, in place of which there are empty ones.
            anvil.ask("anvil_reorg", &json!([3, []]));
            wait("it is mined again", || {
                let hash = anvil.ask("eth_getBlockByNumber", &json!(["latest", false]));
                hash["transactions"].as_array().is_some_and(|all| all.len() == 1)
            });
            anvil.mine(10);
        },
    )
    .unwrap();
    // Block 6 at first.
    assert!(receipt.block > 6, "{receipt:?}");
    let block = anvil.ask("eth_getBlockByNumber", &json!([format!("{:#x}", receipt.block), false]));
    assert_eq!(block["hash"].as_str(), receipt.block_hash.map(|hash| hash.to_string()).as_deref());
    assert_eq!(balance_of_other(&anvil), U256::from(1), "once");
}

#[test]
#[ignore = "starts anvil, which npm installs"]
fn a_dropped_transaction_is_sent_again() {
    let anvil = Anvil::start(&["--no-mining"]);
    let receipt = send_while(
        &anvil,
        |_| (),
        || {
            wait("it is pending", || anvil.pending().len() == 1);
            let hash = anvil.pending().remove(0);
            assert_eq!(anvil.ask("anvil_dropTransaction", &json!([hash])), hash);
            wait("it is pending again", || anvil.pending() == [hash.clone()]);
            anvil.mine(1);
        },
    )
    .unwrap();
    assert_eq!((receipt.block, balance_of_other(&anvil)), (1, U256::from(1)));
}

#[test]
#[ignore = "starts anvil, which npm installs"]
fn a_stuck_transaction_pays_more() {
    let anvil = Anvil::start(&["--no-mining"]);
    let mut first = json!(null);
    let receipt = send_while(
        &anvil,
        |settings| (settings.replace_after, settings.replacements) = (Duration::from_secs(1), 1),
        || {
            wait("it is pending", || anvil.pending().len() == 1);
            first = anvil.pending().remove(0);
            wait("another is in its place", || anvil.pending().len() == 1 && anvil.pending()[0] != first);
            anvil.mine(1);
        },
    )
    .unwrap();
    let hash = receipt.hash.unwrap().to_string();
    assert_ne!(first.as_str(), Some(&*hash));
    let mined = anvil.ask("eth_getTransactionByHash", &json!([hash]));
    assert_eq!(mined["nonce"], "0x0");
    assert_eq!(balance_of_other(&anvil), U256::from(1), "once");
}

/// Someone else with the same key, who knows of no locks, pays more for the same nonce.
#[test]
#[ignore = "starts anvil, which npm installs"]
fn another_transaction_in_its_place_is_told() {
    let anvil = Anvil::start(&["--no-mining"]);
    let refused = send_while(
        &anvil,
        |_| (),
        || {
            wait("it is pending", || anvil.pending().len() == 1);
            let gas = format!("{:#x}", 50_000_000_000u64);
            anvil.ask(
                "eth_sendTransaction",
                &json!([{ "from": ACCOUNT.to_string(), "to": ACCOUNT.to_string(), "nonce": "0x0", "gas": "0x5208",
                "maxFeePerGas": gas, "maxPriorityFeePerGas": gas }]),
            );
            anvil.mine(1);
        },
    )
    .unwrap_err();
    assert!(
        matches!(refused, ChainError::Transaction(TransactionError::Replaced { account: ACCOUNT, nonce: 0, .. })),
        "{refused}"
    );
    assert_eq!(balance_of_other(&anvil), U256::ZERO);
}

/// An account that cannot pay for gas.
#[test]
#[ignore = "starts anvil, which npm installs"]
fn an_account_without_wei_is_told() {
    let anvil = Anvil::start(&[]);
    let locks = tempfile::tempdir().unwrap();
    let key = PrivateKey::parse(&format!("{:064x}", 7)).unwrap();
    let mut chain = RpcChain::connect_with(&anvil.url, Some(key), None, settings(locks.path())).unwrap();
    let refused = chain.send(Some(OTHER), Bytes::new()).unwrap_err();
    assert!(!refused.is_refusal() && refused.to_string().to_lowercase().contains("insufficient"), "{refused}");
}

/// Many nonces in flight, kept as bytes over a restart: sent out of order, one is bumped, and all are mined once.
#[test]
#[ignore = "starts anvil, which npm installs"]
fn stored_transactions_are_finished_after_a_restart() {
    let anvil = Anvil::start(&["--no-mining"]);
    let limits = Limits { max_gas_cost: 1_000_000_000_000_000_000 };
    let key = PrivateKey::parse(KEY).unwrap();
    let connect = || Node::new(&anvil.url, &Settings::default());
    let mut stored: Vec<Vec<Bytes>> = Vec::new();
    {
        let node = connect();
        let fees = usual_fees(&node).unwrap();
        let first = pending_nonce(&node, ACCOUNT).unwrap();
        for nonce in first..first + 8 {
            let call =
                Call { chain_id: 31337, to: Some(OTHER), data: Bytes::new(), value: U256::from(1), gas_limit: 21_000 };
            let version = Plan::new(call, fees, nonce, limits).unwrap().sign(&key).unwrap();
            stored.push(vec![version.raw().clone()]);
        }
        for row in stored.iter().rev() {
            let version = Version::from_raw(row[0].clone()).unwrap();
            assert_eq!(broadcast(&node, &version).unwrap(), Reception::Taken);
            assert_eq!(broadcast(&node, &version).unwrap(), Reception::Taken, "it is known already");
        }
    }
    let node = connect();
    let restored =
        |row: &[Bytes]| -> Vec<Version> { row.iter().map(|raw| Version::from_raw(raw.clone()).unwrap()).collect() };
    for row in &stored {
        assert!(matches!(look(&node, &restored(row), 1).unwrap(), Outcome::Pending { .. }));
    }
    let dearer = restored(&stored[0])[0].plan().bump(usual_fees(&node).unwrap(), limits).unwrap().sign(&key).unwrap();
    stored[0].push(dearer.raw().clone());
    assert_eq!(broadcast(&node, &dearer).unwrap(), Reception::Taken);
    // The node loses a transaction.
    let hash = json!(dearer.hash().to_string());
    assert_eq!(anvil.ask("anvil_dropTransaction", &json!([hash])), hash);
    assert_eq!(look(&node, &restored(&stored[0]), 1).unwrap(), Outcome::Unknown);
    // anvil drops what follows as well: all that it lost is sent again.
    for row in &stored {
        let versions = restored(row);
        if look(&node, &versions, 1).unwrap() == Outcome::Unknown {
            assert_eq!(broadcast(&node, versions.last().unwrap()).unwrap(), Reception::Taken);
        }
    }
    anvil.mine(1);
    for row in &stored {
        let versions = restored(row);
        let outcome = look(&node, &versions, 1).unwrap();
        let Outcome::Mined { receipt, succeeded: true, confirmations: 1 } = outcome else { panic!("{outcome:?}") };
        assert_eq!(receipt.hash, versions.last().map(Version::hash));
    }
    assert_eq!(balance_of_other(&anvil), U256::from(8), "each once");
    // A version that was replaced is known by its nonce.
    let replaced = &restored(&stored[0])[..1];
    assert_eq!(look(&node, replaced, 1).unwrap(), Outcome::NonceUsed { confirmed: true });
    assert!(matches!(broadcast(&node, &replaced[0]).unwrap(), Reception::Used(_)));
}
