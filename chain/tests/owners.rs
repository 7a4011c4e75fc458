//! What owners of models, their pots and governance may do, and nobody else.

use super::support;

use alloy_primitives::{Address, Bytes, U256};
use lorica_chain::chain::{Chain, Receipt};
use lorica_chain::contracts::amounts::Amounts;
use lorica_chain::contracts::govern::{Governance, Owned, Ownership, accept_ownership, offer_ownership};
use lorica_chain::contracts::market::{Market, Policy};
use lorica_chain::contracts::models::{Line, Version};
use lorica_chain::contracts::terms::Bounds;
use lorica_chain::contracts::terms::Kind;
use lorica_chain::contracts::terms::Shares;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::{ChainError, PolicyError, StateError};
use support::published::{POT, PUBLISHER, Published, TREASURY, deploy, open, refused};
use support::{GUARDIAN, OWNER};

const OTHER: Address = Address::repeat_byte(0x07);
const NOWHERE: u32 = 99;

/// That it was done by a transaction.
fn sent(result: Result<Option<Receipt>, ChainError>) {
    assert!(result.unwrap().is_some_and(|receipt| receipt.gas > 21_000));
}

/// That it was so already, and no transaction was made.
fn needless(chain: &mut EmbeddedChain, act: impl FnOnce(&mut EmbeddedChain) -> Result<Option<Receipt>, ChainError>) {
    let block = chain.block_number().unwrap();
    assert_eq!(act(chain).unwrap(), None);
    assert_eq!(chain.block_number().unwrap(), block, "nothing is sent");
}

#[test]
fn lines_and_versions_are_known() {
    let Published { mut chain, market, base, adapter, .. } = Published::new();
    for (number, kind) in (1..).zip(Kind::ALL) {
        let line = market.models().line(&mut chain, number).unwrap();
        assert_eq!(line, Line { owner: PUBLISHER, kind, nonce: 1, offered_to: None, pot: POT });
    }
    let of_base = Version {
        line: 2,
        kind: Kind::Base,
        retired_from: None,
        shares: Shares::DEFAULT,
        uri: "of the base".into(),
        licence: "MIT".into(),
    };
    assert_eq!(market.models().version(&mut chain, base).unwrap(), of_base);
    let of_adapter = Version { line: 3, kind: Kind::Adapter, uri: "of the adapter".into(), ..of_base };
    assert_eq!(market.models().version(&mut chain, adapter).unwrap(), of_adapter);
    for line in [0, 4, NOWHERE] {
        assert!(
            matches!(market.models().line(&mut chain, line), Err(ChainError::State(StateError::NoLine { line: got })) if got == line)
        );
    }
    assert!(market.models().line(&mut chain, 1 << 24).is_err(), "beyond what the contract counts");
    let id = adapter + U256::from(1);
    assert!(
        matches!(market.models().version(&mut chain, id), Err(ChainError::State(StateError::NotPublished { id: got })) if got == id)
    );
}

#[test]
fn only_its_owner_retires_a_version() {
    let mut world = Published::new();
    let id = world.adapter;
    let (chain, market) = world.as_account(OTHER);
    refused(market.models().retire(chain, id), "does not own line 3");
    let (chain, market) = world.as_account(OWNER);
    refused(market.models().retire(chain, id), "does not own line 3");
    let (chain, market) = world.as_account(PUBLISHER);
    assert!(matches!(
        market.models().retire(chain, U256::from(7)),
        Err(ChainError::State(StateError::NotPublished { .. }))
    ));
    let now = chain.timestamp().unwrap();
    let (from, receipt) = market.models().retire(chain, id).unwrap();
    assert!(from == now && receipt.is_some(), "an adapter is retired at once");
    let version = market.models().version(chain, id).unwrap();
    assert!(version.is_retired(now) && !version.is_retired(now - 1));
    needless(chain, |chain| market.models().retire(chain, id).map(|(_, receipt)| receipt));
    let base = world.base;
    let other = world.market.models().version(&mut world.chain, base).unwrap();
    assert!(other.retired_from.is_none() && !other.is_retired(u64::MAX), "another version");
}

/// Adapters' owners and requesters have a month to move.
#[test]
fn a_base_is_retired_after_a_notice_and_an_architecture_never() {
    let mut world = Published::new();
    let (id, vector) = (world.base, world.vector.base());
    let (chain, market) = world.as_account(PUBLISHER);
    let notice = market.models().base_notice(chain).unwrap();
    assert_eq!(notice, 30 * 86_400);
    let now = chain.timestamp().unwrap();
    let (from, receipt) = market.models().retire(chain, id).unwrap();
    assert!(from == now + notice && receipt.is_some());
    let version = market.models().version(chain, id).unwrap();
    assert!(!version.is_retired(from - 1) && version.is_retired(from));
    chain.advance(notice);
    assert_eq!(market.models().retire(chain, id).unwrap(), (from, None), "announced before");
    let architecture = lorica_chain::abi::word(&vector.architecture_digest());
    refused(market.models().retire(chain, architecture), "bases of others stand on it");
}

#[test]
fn a_line_is_handed_on_in_two_steps() {
    /// With the nonce that the line has.
    fn accept(chain: &mut EmbeddedChain, market: &Market, line: u32) -> Result<Receipt, ChainError> {
        let nonce = market.models().line(chain, line)?.nonce;
        market.models().accept(chain, line, nonce)
    }
    let mut world = Published::new();
    let base = world.base;
    let (chain, market) = world.as_account(OTHER);
    refused(market.models().offer(chain, 2, Some(OTHER)), "does not own line 2");
    refused(market.models().accept(chain, 2, 1), "is not offered to");
    assert!(matches!(market.models().accept(chain, NOWHERE, 1), Err(ChainError::State(StateError::NoLine { .. }))));
    let (chain, market) = world.as_account(PUBLISHER);
    assert!(matches!(
        market.models().offer(chain, NOWHERE, Some(OTHER)),
        Err(ChainError::State(StateError::NoLine { .. }))
    ));
    needless(chain, |chain| market.models().offer(chain, 2, None));
    sent(market.models().offer(chain, 2, Some(OTHER)));
    needless(chain, |chain| market.models().offer(chain, 2, Some(OTHER)));
    assert_eq!(market.models().line(chain, 2).unwrap().offered_to, Some(OTHER));
    sent(market.models().offer(chain, 2, None));
    assert_eq!(market.models().line(chain, 2).unwrap().offered_to, None);
    let (chain, market) = world.as_account(OTHER);
    refused(accept(chain, market, 2), "is not offered to");
    let (chain, market) = world.as_account(PUBLISHER);
    sent(market.models().offer(chain, 2, Some(OTHER)));
    refused(accept(chain, market, 2), "is not offered to");
    let (chain, market) = world.as_account(OTHER);
    refused(accept(chain, market, 3), "is not offered to");
    let seen = market.models().line(chain, 2).unwrap().nonce;
    let error = market.models().accept(chain, 2, seen - 1).unwrap_err();
    let changed = PolicyError::LineChanged { line: 2, expected: seen - 1, got: seen };
    assert_eq!(error.to_string(), changed.to_string());
    market.models().accept(chain, 2, seen).unwrap();
    let line = market.models().line(chain, 2).unwrap();
    assert_eq!((line.owner, line.offered_to, line.pot), (OTHER, None, POT));
    assert_eq!(market.models().line(chain, 3).unwrap().owner, PUBLISHER, "another line");
    // Its rights go with it.
    let (chain, market) = world.as_account(PUBLISHER);
    refused(market.models().retire(chain, base), "does not own line 2");
    let (chain, market) = world.as_account(OTHER);
    assert!(market.models().retire(chain, base).unwrap().1.is_some());
}

#[test]
fn only_the_pot_names_another_pot() {
    let mut world = Published::new();
    for account in [PUBLISHER, OWNER, OTHER] {
        let (chain, market) = world.as_account(account);
        refused(market.models().set_pot(chain, 3, OTHER), "is not the contributors' pot of line 3");
    }
    let (chain, market) = world.as_account(POT);
    refused(market.models().set_pot(chain, 3, Address::ZERO), "cannot be the zero address");
    assert!(matches!(
        market.models().set_pot(chain, NOWHERE, OTHER),
        Err(ChainError::State(StateError::NoLine { .. }))
    ));
    needless(chain, |chain| market.models().set_pot(chain, 3, POT));
    sent(market.models().set_pot(chain, 3, OTHER));
    assert_eq!([2, 3].map(|line| market.models().line(chain, line).unwrap().pot), [POT, OTHER]);
    refused(market.models().set_pot(chain, 3, POT), "is not the contributors' pot of line 3");
}

#[test]
fn governance_is_known() {
    let Published { mut chain, market, .. } = Published::new();
    let set = Governance::read(&mut chain, &market).unwrap();
    assert_eq!((set.fees, set.bounds), (Policy::default().fees, Policy::default().bounds));
    assert_eq!((set.treasury, set.accrued_fees, set.guardian, set.routes), (TREASURY, open(210), GUARDIAN, 0));
    assert_eq!(set.ownerships, [Ownership { owner: OWNER, offered_to: None }; 4]);
}

#[test]
fn only_the_owner_sets_fees_bounds_and_treasury() {
    let (mut chain, market) = deploy();
    let chain = &mut chain;
    let bounds = Bounds { min_prover: 4_000, min_base_owner: 300, max_contributors: 2_000 };
    chain.set_account(OTHER);
    refused(market.models().set_publishing_fee(chain, Kind::Base, open(1)), "is not the owner");
    refused(market.models().set_bounds(chain, bounds), "is not the owner");
    refused(market.models().set_treasury(chain, OTHER), "is not the owner");
    chain.set_account(TREASURY);
    refused(market.models().set_treasury(chain, OTHER), "is not the owner");
    chain.set_account(OWNER);
    let old = Governance::read(chain, &market).unwrap();
    for (kind, fee) in Kind::ALL.into_iter().zip(old.fees) {
        needless(chain, |chain| market.models().set_publishing_fee(chain, kind, fee));
    }
    refused(
        market.models().set_publishing_fee(chain, Kind::Base, open(100_000) + U256::from(1)),
        "a deployment fee is",
    );
    sent(market.models().set_publishing_fee(chain, Kind::Adapter, open(100_000)));
    sent(market.models().set_publishing_fee(chain, Kind::Base, U256::ZERO));
    needless(chain, |chain| market.models().set_bounds(chain, old.bounds));
    refused(market.models().set_bounds(chain, Bounds { min_prover: 999, ..bounds }), "outside their limits");
    sent(market.models().set_bounds(chain, bounds));
    needless(chain, |chain| market.models().set_treasury(chain, TREASURY));
    refused(market.models().set_treasury(chain, Address::ZERO), "the treasury cannot be the zero address");
    sent(market.models().set_treasury(chain, OTHER));
    let set = Governance::read(chain, &market).unwrap();
    assert_eq!(set.fees, [old.fees[0], U256::ZERO, open(100_000)]);
    assert_eq!((set.bounds, set.treasury), (bounds, OTHER));
}

#[test]
fn only_the_treasury_withdraws_fees() {
    let mut world = Published::new();
    for account in [OWNER, PUBLISHER, OTHER] {
        let (chain, market) = world.as_account(account);
        refused(market.models().withdraw_fees(chain, account), "is not the treasury");
    }
    let (chain, market) = world.as_account(TREASURY);
    let (amount, _) = market.models().withdraw_fees(chain, OTHER).unwrap().unwrap();
    assert_eq!(amount, open(210));
    assert_eq!(Amounts::of(chain, market.escrow(), market.open_token(), OTHER).unwrap().wallet, amount);
    assert_eq!(Governance::read(chain, market).unwrap().accrued_fees, U256::ZERO);
    needless(chain, |chain| market.models().withdraw_fees(chain, OTHER).map(|paid| paid.map(|(_, receipt)| receipt)));
}

#[test]
fn only_the_owner_allows_tokens() {
    let (mut chain, market) = deploy();
    let chain = &mut chain;
    // Any contract will do; none is called.
    let token = market.models;
    chain.set_account(OTHER);
    refused(market.escrow().allow_token(chain, token, true), "is not the owner");
    chain.set_account(OWNER);
    refused(market.escrow().allow_token(chain, OTHER, true), "has no code");
    for fixed in [market.open, Address::ZERO] {
        needless(chain, |chain| market.escrow().allow_token(chain, fixed, true));
        refused(market.escrow().allow_token(chain, fixed, false), "is allowed for good");
    }
    needless(chain, |chain| market.escrow().allow_token(chain, token, false));
    sent(market.escrow().allow_token(chain, token, true));
    assert!(market.escrow().token_allowed(chain, token).unwrap());
    needless(chain, |chain| market.escrow().allow_token(chain, token, true));
    sent(market.escrow().allow_token(chain, token, false));
    assert!(!market.escrow().token_allowed(chain, token).unwrap());
}

#[test]
fn contracts_are_handed_on_in_two_steps_and_all_or_none() {
    let (mut chain, market) = deploy();
    let chain = &mut chain;
    let owners = |chain: &mut EmbeddedChain| Owned::ALL.map(|of| of.of(&market).ownership(chain).unwrap());
    let own = |owner| Ownership { owner, offered_to: None };
    let done = |steps: Vec<lorica_chain::contracts::Step>| -> Vec<(&str, bool)> {
        steps.into_iter().map(|step| (step.what, step.receipt.is_some())).collect()
    };
    chain.set_account(OTHER);
    refused(offer_ownership(chain, &market, &Owned::ALL, Some(OTHER)), "is not the owner");
    let error = accept_ownership(chain, &market, &Owned::ALL).unwrap_err();
    assert!(matches!(error, ChainError::Policy(PolicyError::NotOffered { name: "router", account: OTHER })), "{error}");
    chain.set_account(OWNER);
    let steps = offer_ownership(chain, &market, &[Owned::Models], Some(OTHER)).unwrap();
    assert_eq!(done(steps), [("models", true)]);
    // Two are not offered: none is accepted.
    chain.set_account(OTHER);
    let block = chain.block_number().unwrap();
    assert!(matches!(
        accept_ownership(chain, &market, &Owned::ALL),
        Err(ChainError::Policy(PolicyError::NotOffered { .. }))
    ));
    assert_eq!(chain.block_number().unwrap(), block);
    let steps = accept_ownership(chain, &market, &[Owned::Models]).unwrap();
    assert_eq!(done(steps), [("models", true)]);
    assert_eq!(owners(chain), [own(OWNER), own(OTHER), own(OWNER), own(OWNER)]);
    sent(market.models().set_publishing_fee(chain, Kind::Base, U256::ZERO));
    // One is not his any more: none is offered.
    chain.set_account(OWNER);
    let block = chain.block_number().unwrap();
    refused(offer_ownership(chain, &market, &Owned::ALL, Some(OTHER)), "is not the owner");
    assert_eq!((chain.block_number().unwrap(), owners(chain)[0]), (block, own(OWNER)));
    refused(market.models().set_publishing_fee(chain, Kind::Base, open(1)), "is not the owner");
    let two = [Owned::Router, Owned::Escrow];
    offer_ownership(chain, &market, &[Owned::Router], Some(OTHER)).unwrap();
    let steps = offer_ownership(chain, &market, &two, Some(OTHER)).unwrap();
    assert_eq!(done(steps), [("router", false), ("escrow", true)]);
    offer_ownership(chain, &market, &[Owned::Escrow], None).unwrap();
    assert_eq!(owners(chain)[0].offered_to, Some(OTHER));
    assert_eq!(owners(chain)[2], own(OWNER));
    chain.set_account(OTHER);
    assert!(matches!(
        accept_ownership(chain, &market, &[Owned::Escrow]),
        Err(ChainError::Policy(PolicyError::NotOffered { name: "escrow", .. }))
    ));
    // What is his already stays so.
    let steps = accept_ownership(chain, &market, &[Owned::Router, Owned::Models]).unwrap();
    assert_eq!(done(steps), [("router", true), ("models", false)]);
    assert_eq!(owners(chain), [own(OTHER), own(OTHER), own(OWNER), own(OWNER)]);
}

/// What is sent goes to the chain that the addresses are of.
#[test]
fn another_chain_is_refused() {
    let (_, market) = deploy();
    let mut other = EmbeddedChain::new(1, OWNER);
    other.send(Some(OTHER), Bytes::new()).unwrap();
    let error = offer_ownership(&mut other, &market, &Owned::ALL, Some(OTHER)).unwrap_err();
    assert!(matches!(error, ChainError::Policy(PolicyError::ForeignChain { expected: 31337, got: 1 })), "{error}");
}
