//! Real settlements on an EVM: accepted, and what they cost.

use super::support;

use std::collections::HashMap;

use alloy_primitives::{Address, B256, Bytes, U256, address};
use lorica_chain::abi;
use lorica_chain::abi::bindings::CommitmentRegistry;
use lorica_chain::chain::{Chain, TRANSACTION_GAS};
use lorica_chain::contracts::check::CheckContracts;
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, PolicyError, StateError, TransactionError};
use lorica_chain::revert::Revert;
use lorica_settlement::settlement::Settlement;
use lorica_verifier::protocol::key::AdapterCommitments;
use support::{
    ALL, CLASSIFY_1, EMBED_2, GUARDIAN, OWNER, Vector, World, floor, intrinsic, points, published, register,
};

/// All vectors on one chain, by transactions of their consumer.
#[test]
fn real_settlements_are_accepted() {
    let mut chain = EmbeddedChain::new(Vector::read(ALL[0]).chain_id(), OWNER);
    let (contracts, steps) = CheckContracts::deploy(&mut chain, GUARDIAN).unwrap();
    for step in steps {
        println!("{:<28} {:>9} gas", step.what, step.gas());
    }
    contracts.expect_deployed(&mut chain).unwrap();
    for name in ALL {
        let vector = Vector::read(name);
        chain.set_account(OWNER);
        register(&mut chain, &contracts, &vector);
        for step in contracts.add_key(&mut chain, &vector.bytes("key"), CHECK_GAS).unwrap() {
            println!("{:<28} {:>9} gas", step.what, step.gas());
        }
        let route = contracts.router().serving_route(&mut chain, vector.circuit()).unwrap();
        assert_eq!((route.verifier, route.gas_cap, route.frozen), (contracts.verifier, CHECK_GAS, false));

        chain.set_account(vector.consumer());
        let settlement = vector.settlement();
        assert_eq!(Settlement::decode(&settlement.encode()).unwrap(), settlement);
        let receipt = contracts.router().check(&mut chain, &settlement).unwrap();
        let looked = contracts.router().simulate_check(&mut chain, &settlement).unwrap();
        assert!(looked.abs_diff(receipt.gas) < 2_000, "{looked} and {}", receipt.gas);

        let data = abi::encode(&abi::check(route.id, &settlement).unwrap());
        println!(
            "check {name:<22} {:>9} gas, of it calldata {} (floor {})",
            receipt.gas,
            intrinsic(&data),
            floor(&data)
        );
        assert!(receipt.gas < 900_000 + 100_000 * settlement.answers.len() as u64);
        let (all, parts) = chain.profile(contracts.router, data.clone()).unwrap();
        assert_eq!(all, receipt.gas);
        let names = HashMap::from([
            (contracts.router, "router"),
            (contracts.verifier, "verifier"),
            (contracts.halo2_verifier, "halo2 verifier"),
            (contracts.registry, "registry"),
            (Address::with_last_byte(5), "modexp"),
            (Address::with_last_byte(6), "ecAdd"),
            (Address::with_last_byte(7), "ecMul"),
            (Address::with_last_byte(8), "pairing"),
        ]);
        assert_eq!(all, intrinsic(&data) + parts.iter().map(|part| part.gas).sum::<u64>(), "every unit has its place");
        for part in parts {
            println!("  {:<15} {:>4} calls {:>9} gas", names[&part.at], part.calls, part.gas);
        }
    }
}

/// What cannot succeed is not sent.
#[test]
fn a_foreign_settlement_is_refused_before_it_costs_gas() {
    let mut world = World::new(CLASSIFY_1);
    let settlement = world.vector.settlement();
    world.chain.set_account(OWNER);
    let error = world.contracts.router().check(&mut world.chain, &settlement).unwrap_err();
    assert!(matches!(error, ChainError::Policy(PolicyError::ForeignConsumer { .. })), "{error}");
    assert!(world.contracts.router().simulate_check(&mut world.chain, &settlement).is_ok(), "anyone may look");

    let mut other = World::on_chain(CLASSIFY_1, Some(1));
    let error = other.contracts.router().check(&mut other.chain, &settlement).unwrap_err();
    assert!(matches!(error, ChainError::Policy(PolicyError::ForeignChain { expected: 31337, got: 1 })), "{error}");
    let error = world.contracts.router().check(&mut other.chain, &settlement).unwrap_err();
    assert!(matches!(error, ChainError::Policy(PolicyError::ForeignChain { expected: 31337, got: 1 })), "{error}");

    let mut short = settlement;
    short.answers.clear();
    world.chain.set_account(world.vector.consumer());
    assert!(matches!(
        world.contracts.router().check(&mut world.chain, &short),
        Err(ChainError::Policy(PolicyError::Abi(_)))
    ));
}

/// Registration from Lorica's keys gives their ids, and is not done twice.
#[test]
fn keys_are_registered_under_their_ids() {
    let vector = Vector::read(EMBED_2);
    let base = vector.base();
    assert_eq!(abi::word(&base.architecture_digest()), vector.word("architecture"));
    let (id, tiles) = &vector.adapters()[1];
    let theirs = AdapterCommitments { base: vector.settlement().base, version: None, tiles: points(tiles) };
    assert_eq!(abi::word(&theirs.id()), *id);
    let adapter = AdapterCommitments { base: base.id(), version: None, tiles: points(tiles) };

    let mut chain = EmbeddedChain::new(31337, OWNER);
    let (contracts, _) = CheckContracts::deploy(&mut chain, GUARDIAN).unwrap();
    let error = contracts.registry().register_adapter(&mut chain, &adapter).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("refused by the contract: base {:#066x} is not registered", abi::word(&base.id()))
    );
    let steps = contracts.registry().register_base(&mut chain, &base).unwrap();
    assert_eq!(steps[0].id, vector.word("architecture"));
    assert_eq!(steps[1].id, abi::word(&base.id()));
    let step = contracts.registry().register_adapter(&mut chain, &adapter).unwrap();
    assert_eq!(step.id, abi::word(&adapter.id()));
    for step in steps.iter().chain([&step]) {
        println!("{:<28} {:>9} gas", step.what, step.gas());
        assert!(step.gas() > 0);
    }
    let again = contracts.registry().register_base(&mut chain, &base).unwrap();
    assert!(again.iter().all(|step| step.receipt.is_none()));
    assert_eq!(contracts.registry().register_adapter(&mut chain, &adapter).unwrap().receipt, None);
    let twice = chain.send(Some(contracts.registry), abi::encode(&abi::register_adapter(&adapter))).unwrap_err();
    assert!(twice.to_string().contains("is registered already"), "{twice}");
}

/// What does not fit is refused with both numbers before anything is sent: not even the architecture is registered.
#[test]
fn records_that_are_too_long_are_not_sent() {
    let (mut chain, market) = published::deploy();
    let vector = Vector::read(EMBED_2);
    let mut base = vector.base();
    base.tiles = vec![base.tiles[0]; 1025];
    let adapter = AdapterCommitments { base: base.id(), version: None, tiles: vec![base.tiles[0]; 2000] };
    let height = chain.block_number().unwrap();
    let of_base = "the record of this base has 1025 points, the chain takes at most 1024";
    let of_adapter = "the record of this adapter has 2000 points, the chain takes at most 1024";
    assert_eq!(market.contracts.registry().register_base(&mut chain, &base).unwrap_err().to_string(), of_base);
    assert_eq!(market.contracts.registry().register_adapter(&mut chain, &adapter).unwrap_err().to_string(), of_adapter);
    let terms = published::terms(0, "too long");
    assert_eq!(market.publisher().base(&mut chain, &base, &terms).unwrap_err().to_string(), of_base);
    assert_eq!(market.publisher().adapter(&mut chain, &adapter, &terms).unwrap_err().to_string(), of_adapter);
    assert_eq!(chain.block_number().unwrap(), height);
    let vector = vector.base();
    base.tiles = vector.tiles;
    base.tables = vec![base.tiles[0]; 1025];
    let of_tables = "the record of this architecture has 1025 points, the chain takes at most 1024";
    assert_eq!(market.contracts.registry().register_base(&mut chain, &base).unwrap_err().to_string(), of_tables);
}

/// A base of 4·10^9 cells at τ = 22: 954 points in one transaction, as the chain itself counts its gas.
#[test]
fn a_large_base_is_registered_in_one_transaction() {
    let vector = Vector::read(EMBED_2);
    let mut base = vector.base();
    let mut chain = EmbeddedChain::new(31337, OWNER);
    let (contracts, _) = CheckContracts::deploy(&mut chain, GUARDIAN).unwrap();
    for count in [382, 383, 954, 1024] {
        base.tiles = (0..count).map(|i| base.tiles[i % base.tiles.len()]).collect();
        let [_, step] = contracts.registry().register_base(&mut chain, &base).unwrap();
        assert_eq!(step.id, abi::word(&base.id()));
        println!("{count} points: {} gas", step.gas());
        assert!(step.gas() > 0 && step.gas() < TRANSACTION_GAS, "{}", step.gas());
    }
}

/// Nothing that is not a commitment gets in.
#[test]
fn false_commitments_are_not_registered() {
    let World { mut chain, contracts, vector, .. } = World::new(EMBED_2);
    let tiles = support::registry_points(&vector.adapters()[0].1);
    let mut register = |change: &dyn Fn(&mut Vec<CommitmentRegistry::Point>)| {
        let mut tiles = tiles.clone();
        change(&mut tiles);
        let call = CommitmentRegistry::registerAdapterCall { base: vector.word("base"), version: U256::ZERO, tiles };
        chain.send(Some(contracts.registry), abi::encode(&call)).unwrap_err().to_string()
    };
    let p = "0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47".parse::<U256>().unwrap();
    let invalid = "refused by the contract: a point is not canonical, not on the curve, or infinity";
    assert_eq!(register(&|tiles| tiles[0].y += U256::from(1)), invalid);
    assert_eq!(register(&|tiles| (tiles[0].x, tiles[0].y) = (U256::ZERO, U256::ZERO)), invalid);
    assert_eq!(register(&|tiles| tiles[0].x += p), invalid);
    assert_eq!(register(&|tiles| tiles.clear()), "refused by the contract: a record has 1 to 1024 points, got 0");
}

#[test]
fn routes_are_the_owners() {
    let World { mut chain, contracts, vector, .. } = World::new(EMBED_2);
    let other = Vector::read(CLASSIFY_1).bytes("key");
    let error = contracts.add_key(&mut chain, &other, CHECK_GAS).unwrap_err();
    assert!(error.to_string().ends_with("is not the owner"), "{error}");
    let route = contracts.router().serving_route(&mut chain, vector.circuit()).unwrap().id;
    let error = contracts.router().freeze(&mut chain, route).unwrap_err();
    assert!(error.to_string().ends_with("is not the owner"), "{error}");
    let error = contracts.router().pause(&mut chain, &[route], 60).unwrap_err();
    assert!(error.to_string().ends_with("is not the guardian"), "{error}");
    chain.set_account(OWNER);
    let error = contracts.add_key(&mut chain, &other, u32::try_from(TRANSACTION_GAS + 1).unwrap()).unwrap_err();
    assert!(error.to_string().contains("a gas cap of"), "{error}");
    let again = contracts.add_key(&mut chain, &vector.bytes("key"), CHECK_GAS).unwrap();
    assert!(again.iter().all(|step| step.receipt.is_none()));
    chain.set_account(GUARDIAN);
    let error = contracts.router().freeze(&mut chain, route).unwrap_err();
    assert!(error.to_string().ends_with("is not the owner"), "{error}");
    contracts.router().pause(&mut chain, &[route], 60).unwrap();
    let now = chain.timestamp().unwrap();
    assert!(!contracts.router().route(&mut chain, route).unwrap().unwrap().is_live(now));
    contracts.router().resume(&mut chain, route).unwrap();
    let error = contracts.router().pause(&mut chain, &[route], 60).unwrap_err();
    assert!(error.to_string().contains("within the last 30 days"), "{error}");
    chain.set_account(OWNER);
    contracts.router().freeze(&mut chain, route).unwrap();
    assert!(contracts.router().route(&mut chain, route).unwrap().unwrap().frozen);
    // The circuit goes on by another route: another gas cap stands for another verifier here.
    let repaired = contracts.add_key(&mut chain, &vector.bytes("key"), CHECK_GAS - 1).unwrap();
    assert_eq!(repaired.len(), 1, "the key is there already");
    let serving = contracts.router().serving_route(&mut chain, vector.circuit()).unwrap();
    assert_eq!((serving.id, serving.frozen), (repaired[0].id.into(), false));
}

#[test]
fn transactions_are_priced_as_on_a_chain() {
    let somebody = address!("0x00000000000000000000000000000000000000aa");
    let mut chain = EmbeddedChain::new(1, OWNER);
    let data = Bytes::from([0u8, 1].repeat(500));
    let receipt = chain.send(Some(somebody), data.clone()).unwrap();
    assert_eq!(receipt.gas, floor(&data));
    chain.set_gas_limit(TRANSACTION_GAS + 1);
    let error = chain.send(Some(somebody), Bytes::new()).unwrap_err();
    assert!(matches!(error, ChainError::Transaction(TransactionError::NotTaken { .. })), "{error}");
    chain.set_gas_limit(floor(&data) - 1);
    let error = chain.send(Some(somebody), data).unwrap_err();
    assert!(matches!(error, ChainError::Transaction(TransactionError::NotTaken { .. })), "{error}");
}

#[test]
fn contracts_are_found_again() {
    let World { mut chain, contracts, vector, .. } = World::new(EMBED_2);
    assert_eq!(CheckContracts::from_json(&contracts.to_json()), Some(contracts));
    assert_eq!(CheckContracts::find(&mut chain, contracts.router, vector.circuit()).unwrap(), contracts);
    assert!(CheckContracts::find(&mut chain, contracts.router, B256::ZERO).is_err());
    assert!(CheckContracts::find(&mut chain, OWNER, vector.circuit()).is_err());
    let wrong = CheckContracts { verifier: OWNER, ..contracts };
    let error = wrong.expect_deployed(&mut chain).unwrap_err();
    assert!(matches!(error, ChainError::State(StateError::NoContract { name: "LoricaVerifier", .. })), "{error}");
}

#[test]
fn data_contracts_have_a_limit() {
    assert!(abi::data_contract(&[0; abi::MAX_DATA_BYTES]).is_ok());
    assert!(abi::data_contract(&[0; abi::MAX_DATA_BYTES + 1]).is_err());
    let mut chain = EmbeddedChain::new(1, OWNER);
    let receipt = chain.send(None, abi::data_contract(&[7; abi::MAX_DATA_BYTES]).unwrap()).unwrap();
    let code = chain.code(receipt.created.unwrap()).unwrap();
    assert_eq!((code[0], &code[1..]), (0, &[7; abi::MAX_DATA_BYTES][..]));
}

#[test]
fn reverts_are_sentences() {
    assert!(matches!(Revert::decode(&[]), Revert::Empty));
    assert_eq!(Revert::decode(&[1, 2, 3, 4]).to_string(), "not an error of these contracts: 0x01020304");
    // Panic(0x11)
    let mut panic = [0; 36];
    panic[..4].copy_from_slice(&[0x4e, 0x48, 0x7b, 0x71]);
    panic[35] = 0x11;
    assert_eq!(Revert::decode(&panic).to_string(), "the contract panicked with code 0x11");
}
