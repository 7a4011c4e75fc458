//! Fees are locked by approval or permit, on the terms that were meant.

use super::support;

use alloy_primitives::aliases::U96;
use alloy_primitives::{Address, U256};
use lorica_chain::abi::bindings::InferenceEscrow::InferenceRequest;
use lorica_chain::chain::Chain;
use lorica_chain::contracts::Step;
use lorica_chain::contracts::amounts::Amounts;
use lorica_chain::contracts::lock::{Locking, lock, lock_with_permit};
use lorica_chain::contracts::prepaid::{Deposit, DepositPlace};
use lorica_chain::contracts::request::{Status, price};
use lorica_chain::contracts::router::CHECK_GAS;
use lorica_chain::contracts::stakes::Stakes;
use lorica_chain::contracts::token::NATIVE;
use lorica_chain::embedded::EmbeddedChain;
use lorica_chain::error::ChainError;
use lorica_chain::keys::PrivateKey;
use lorica_circuits::shape::OutputKind;
use support::OWNER;
use support::published::{PUBLISHER, Published, open, refused};

struct World {
    published: Published,
    key: PrivateKey,
    relayer: PrivateKey,
}

impl World {
    /// Requester and relayer have OPEN, and one route is enabled.
    fn new() -> Self {
        let mut published = Published::new();
        let key = PrivateKey::parse(&"ab".repeat(32)).unwrap();
        let relayer = PrivateKey::parse(&"cd".repeat(32)).unwrap();
        let content = published.vector.bytes("key");
        let (chain, market) = published.as_account(OWNER);
        let added = market.contracts.add_key(chain, &content, CHECK_GAS).unwrap();
        market.escrow().enable_route(chain, added.last().unwrap().id.into()).unwrap();
        let (chain, market) = published.as_account(PUBLISHER);
        for account in [key.account(), relayer.account()] {
            market.open_token().transfer(chain, account, open(100)).unwrap();
        }
        Self { published, key, relayer }
    }

    fn request(&mut self, salt: u64) -> InferenceRequest {
        InferenceRequest {
            requester: self.key.account(),
            base: self.published.base,
            adapter: U256::ZERO,
            inputDigest: U256::from(1),
            kind: OutputKind::Embed.number(),
            routes: U256::ONE,
            maxFee: open(2),
            minFee: open(2),
            rampStart: 0,
            rampTime: 0,
            token: self.published.market.open,
            deadline: self.published.chain.timestamp().unwrap() + 1_000,
            prover: Address::ZERO,
            acceptTime: 0,
            stake: U96::ZERO,
            consumer: Address::ZERO,
            consumerGas: 0,
            salt: U256::from(salt),
        }
    }

    fn signature(&self, request: &InferenceRequest) -> Vec<u8> {
        self.key.sign_digest(self.published.market.escrow().request_id(request)).unwrap().as_bytes().to_vec()
    }

    /// Locks by permit as one of both.
    fn permit(&mut self, by: &PrivateKey, locking: Locking) -> Result<Vec<Step>, ChainError> {
        let (chain, market) = self.published.as_account(by.account());
        lock_with_permit(chain, market.escrow(), locking, by)
    }
}

#[test]
fn a_permit_saves_the_approval() {
    let mut world = World::new();
    for (by, salt) in [(world.key.clone(), 1), (world.relayer.clone(), 2), (world.key.clone(), 3)] {
        let request = world.request(salt);
        let signature = world.signature(&request);
        let locking = Locking { request: &request, fee: open(2), refund_to: None, signature: &signature };
        let steps = world.permit(&by, locking).unwrap();
        assert_eq!(steps.iter().map(|step| step.what).collect::<Vec<_>>(), ["lock"]);
        let (chain, market) = world.published.as_account(by.account());
        let state = market.escrow().request_state(chain, &request).unwrap();
        assert_eq!((state.status, state.payer, state.fee), (Status::Locked, by.account(), open(2)));
        assert_eq!(state.until, None);
    }
    let (chain, market) = world.published.as_account(PUBLISHER);
    let wallet = |chain: &mut _, of| Amounts::of(chain, market.escrow(), market.open_token(), of).unwrap().wallet;
    assert_eq!(wallet(chain, market.escrow), open(6));
    assert_eq!(wallet(chain, world.relayer.account()), open(98));
}

#[test]
fn a_permit_of_another_key_gives_nothing() {
    let mut world = World::new();
    let request = world.request(1);
    let locking = Locking { request: &request, fee: open(2), refund_to: None, signature: &[] };
    // The requester's account with the relayer's key: the permit is not the account's.
    let key = world.relayer.clone();
    let (chain, market) = world.published.as_account(world.key.account());
    refused(lock_with_permit(chain, market.escrow(), locking, &key), "may spend 0 of the token");
    let native = InferenceRequest { token: NATIVE, ..request.clone() };
    let error = lock_with_permit(chain, market.escrow(), Locking { request: &native, ..locking }, &key).unwrap_err();
    assert!(error.to_string().contains("gas token"), "{error}");
    let foreign = InferenceRequest { token: market.models, ..request.clone() };
    let error = lock_with_permit(chain, market.escrow(), Locking { request: &foreign, ..locking }, &key).unwrap_err();
    assert!(error.to_string().contains("does not take"), "{error}");
    let steps = lock(chain, market.escrow(), locking).unwrap();
    assert_eq!(steps.iter().map(|step| step.what).collect::<Vec<_>>(), ["approval", "lock"]);
}

#[test]
fn a_request_names_routes_that_there_are() {
    let mut world = World::new();
    let request = world.request(1);
    let (chain, market) = world.published.as_account(world.key.account());
    assert_eq!(market.escrow().route_ids(chain).unwrap().len(), 1);
    let try_lock = |chain: &mut EmbeddedChain, routes: U256, fee| {
        let request = InferenceRequest { routes, ..request.clone() };
        lock(chain, market.escrow(), Locking { request: &request, fee, refund_to: None, signature: &[] })
    };
    refused(try_lock(chain, U256::ZERO, open(2)), "the request names no route");
    for routes in [U256::from(2), U256::from(3), U256::MAX] {
        refused(try_lock(chain, routes, open(2)), "names a route beyond the 1 that are enabled");
    }
    let error = try_lock(chain, U256::ONE, U256::ONE << 96).unwrap_err();
    assert!(error.to_string().contains("2^96"), "{error}");
}

/// Money that is locked for somebody goes back to whom the lock names.
#[test]
fn a_lock_names_who_has_the_money_back() {
    let mut world = World::new();
    let request = world.request(1);
    let other = Address::repeat_byte(0x77);
    let (chain, market) = world.published.as_account(world.key.account());
    let locking = Locking { request: &request, fee: open(2), refund_to: Some(other), signature: &[] };
    lock(chain, market.escrow(), locking).unwrap();
    assert_eq!(market.escrow().request_state(chain, &request).unwrap().payer, other);
    market.escrow().cancel(chain, &request).unwrap();
    assert_eq!(market.escrow().owed(chain, other, market.open).unwrap(), open(2));
    assert_eq!(market.escrow().owed(chain, world.key.account(), market.open).unwrap(), U256::ZERO);
}

/// A stake is put up, held while the prover has accepted, and back when the request ends in time; the price is fixed when the
/// request is accepted, and what was locked beyond it is the payer's.
#[test]
fn a_stake_and_a_rising_price() {
    let mut world = World::new();
    let (requester, prover) = (world.key.account(), world.relayer.account());
    let start = world.published.chain.timestamp().unwrap() + 100;
    let request = InferenceRequest {
        minFee: open(1),
        rampStart: start,
        rampTime: 1_000_000,
        acceptTime: 60,
        stake: U96::from(5),
        ..world.request(1)
    };
    let (chain, market) = world.published.as_account(requester);
    let escrow = market.escrow();
    lock(chain, escrow, Locking { request: &request, fee: open(2), refund_to: None, signature: &[] }).unwrap();
    chain.set_account(prover);
    refused(escrow.accept(chain, &request), "has put up 0 of OPEN's smallest unit, 5 are needed");
    let stakes = Stakes::of(chain, escrow).unwrap();
    stakes.deposit(chain, market.open_token(), prover, U256::from(7)).unwrap();
    escrow.accept(chain, &request).unwrap();
    let now = chain.timestamp().unwrap();
    let state = escrow.request_state(chain, &request).unwrap();
    assert_eq!((state.status, state.prover, state.fee), (Status::Accepted, prover, price(&request, now)));
    assert_eq!((state.until, state.fee), (Some(now + 60), open(1)));
    assert_eq!(stakes.free(chain, prover).unwrap(), U256::from(2));
    assert_eq!(escrow.owed(chain, requester, market.open).unwrap(), open(1));
    chain.set_account(requester);
    refused(escrow.cancel(chain, &request), "whose acceptance holds until");
    // Nobody serves it: half of the stake is the payer's, and half is burnt.
    chain.advance(1_200);
    escrow.refund(chain, &request).unwrap();
    let state = escrow.request_state(chain, &request).unwrap();
    assert!(state.status == Status::Refunded && state.was_accepted);
    assert_eq!(stakes.free(chain, requester).unwrap(), U256::from(2));
    assert_eq!(stakes.burnable(chain).unwrap(), U256::from(3));
    stakes.burn(chain).unwrap();
    assert_eq!(stakes.burnable(chain).unwrap(), U256::ZERO);
    refused(stakes.withdraw(chain, requester, U256::from(3)), "has put up 2");
    stakes.withdraw(chain, requester, U256::from(2)).unwrap();
}

/// A deposit is for the prover that it names; it is taken back a day after the requester has said so.
#[test]
fn a_deposit_waits_before_it_leaves() {
    let mut world = World::new();
    let (requester, prover) = (world.key.account(), world.relayer.account());
    let (chain, market) = world.published.as_account(requester);
    let (prepaid, open_token) = (market.prepaid(), market.open_token());
    let place = DepositPlace { requester, prover, token: market.open };
    chain.fund(requester, U256::from(9));
    prepaid.deposit(chain, open_token, place, open(3)).unwrap();
    prepaid.deposit(chain, market.token(NATIVE), DepositPlace { token: NATIVE, ..place }, U256::from(9)).unwrap();
    let foreign = market.token(market.models);
    let error = prepaid.deposit(chain, foreign, place, open(1)).unwrap_err();
    assert!(error.to_string().contains("does not take the token"), "{error}");
    let held = |chain: &mut EmbeddedChain, place| prepaid.deposit_of(chain, place).unwrap();
    assert_eq!(held(chain, place), Deposit { amount: open(3), leaving_at: None });
    assert_eq!(held(chain, DepositPlace { prover: Address::ZERO, ..place }).amount, U256::ZERO);
    refused(prepaid.take(chain, prover, market.open, requester), "which has not happened");
    prepaid.leave(chain, prover, market.open).unwrap();
    refused(prepaid.take(chain, prover, market.open, requester), "can be taken back from");
    prepaid.stay(chain, prover, market.open).unwrap();
    chain.advance(90_000);
    refused(prepaid.take(chain, prover, market.open, requester), "which has not happened");
    prepaid.leave(chain, prover, market.open).unwrap();
    chain.advance(86_400);
    prepaid.take(chain, prover, market.open, requester).unwrap();
    assert_eq!(held(chain, place), Deposit { amount: U256::ZERO, leaving_at: None });
    assert_eq!(held(chain, DepositPlace { token: NATIVE, ..place }).amount, U256::from(9));
}
