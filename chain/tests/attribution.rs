//! Attributing settlements on a chain in memory: their records, their check, and what the contributors' pot says.

use super::support;

use alloy_primitives::{Address, B256, U256};
use lorica_chain::chain::Blocks;
use lorica_chain::contracts::attribution::{Entry, Pot, Slot, Walk};
use lorica_verifier::protocol::key::AdapterCommitments;
use support::published::{PUBLISHER, deploy, refused, terms};
use support::{Vector, World, datanet, points};

const ATTRIBUTING: &str = "attributing-3";

/// A true proof: the contract computes index, who attributes, and all the rest; another share of one request is refused.
#[test]
fn a_settlement_that_attributes_is_checked() {
    let mut world = World::new(ATTRIBUTING);
    let honest = world.honest();
    assert_eq!(honest.shares.len(), 12);
    let data = world.calldata(&honest);
    world.show(data).unwrap();
    let mut forged = honest.clone();
    forged.shares[5] ^= U256::from(1 << 12);
    world.reject_proof(&forged, "another share");
    let mut forged = honest.clone();
    forged.index = U256::ZERO;
    let revert = world.reject_cheaply(&forged, "no index");
    assert!(revert.to_string().contains("names no index"), "{revert}");
    let mut forged = honest;
    forged.shares.truncate(8);
    let revert = world.reject_cheaply(&forged, "fewer words");
    assert!(revert.to_string().contains("expected 12 words of shares, got 8"), "{revert}");
}

/// Registering again sends nothing.
#[test]
fn records_are_registered_once() {
    let mut world = World::new(ATTRIBUTING);
    let index = world.vector.index().unwrap();
    let registry = world.contracts.registry();
    assert!(registry.register_datanet(&mut world.chain, &datanet()).unwrap().receipt.is_none());
    assert!(registry.register_index(&mut world.chain, &index).unwrap().receipt.is_none());
    let mut other = datanet();
    other.contributors = 0;
    refused(registry.register_datanet(&mut world.chain, &other), "1 to 1024 contributors");
    let mut larger = index.clone();
    larger.adapter = scalar_of(&world.vector, 1);
    refused(registry.register_index(&mut world.chain, &larger), "names no datanet");
}

fn scalar_of(vector: &Vector, adapter: usize) -> lorica_circuits::bn254::Fr {
    let commitments = AdapterCommitments {
        base: vector.settlement().base,
        version: None,
        tiles: points(&vector.adapters()[adapter].1),
    };
    commitments.id()
}

/// Deployed as it is now, nobody says which indexes are in range: an adapter that names a datanet is not published.
#[test]
fn without_index_proofs_no_index_is_pinned() {
    let (mut chain, market) = deploy();
    chain.set_account(PUBLISHER);
    let vector = Vector::read(ATTRIBUTING);
    let base = vector.base();
    assert_eq!(market.publisher().base(&mut chain, &base, &terms(1, "")).unwrap().from, None);
    let record = datanet();
    let version = Some(record.id());
    let adapter = AdapterCommitments { base: base.id(), version, tiles: points(&vector.adapters()[0].1) };
    let mut index = vector.index().unwrap();
    let error = market.publisher().adapter(&mut chain, &adapter, &terms(2, "")).unwrap_err();
    assert!(error.to_string().contains("published with its index"), "{error}");
    let error = market.publisher().attributed_adapter(&mut chain, &adapter, &index, &terms(2, "")).unwrap_err();
    assert!(error.to_string().contains("the index is of adapter"), "{error}");
    index.adapter = adapter.id();
    let registry = market.registry();
    registry.register_datanet(&mut chain, &record).unwrap();
    registry.register_adapter(&mut chain, &adapter).unwrap();
    registry.register_index(&mut chain, &index).unwrap();
    refused(
        market.publisher().attributed_adapter(&mut chain, &adapter, &index, &terms(2, "")),
        "nobody has proven that the cells of index",
    );
}

/// An escrow that has paid nobody by an index.
#[test]
fn a_pot_without_entries() {
    let (mut chain, market) = deploy();
    chain.set_account(PUBLISHER);
    let pot = Pot::of(&mut chain, market.escrow()).unwrap();
    assert_ne!(pot.contract.address, Address::ZERO);
    let index = U256::from(7);
    let walk = pot.walk(&mut chain, index).unwrap();
    assert_eq!(walk, Walk { done: B256::ZERO, end: B256::ZERO });
    assert!(walk.is_over());
    assert_eq!(pot.entries(&mut chain, index, Blocks::From(0)).unwrap(), []);
    let entry = Entry {
        before: B256::ZERO,
        request: U256::from(1),
        token: market.open,
        amount: U256::from(5),
        shares: [U256::ZERO; 4],
    };
    refused(pot.distribute(&mut chain, index, &[entry]), "no entries that are not distributed");
    refused(pot.burn(&mut chain, market.open), "nothing in the token");
    let record = datanet();
    let slot = Slot {
        count: record.contributors,
        root: record.contributors_root,
        slot: U256::from(7),
        path: vec![],
        salt: None,
    };
    refused(pot.claim(&mut chain, &slot, market.open, PUBLISHER), "is not the contributor of slot 7");
    assert_eq!(pot.owed(&mut chain, record.contributors_digest(), U256::from(7), market.open).unwrap(), U256::ZERO);
    assert_eq!(pot.burnable(&mut chain, market.open).unwrap(), U256::ZERO);
}
