//! The chain takes blocks back: what the broker believed by them is gone, comes again elsewhere, or never, or is another thing.
//!
//! Each test has a chain of its own. Whatever is taken back, each ends with exact balances, one payment, one signature per intent that comes
//! back, and nothing that is stuck.

use serde_json::{Value, json};

use super::*;

impl Stage {
    /// A chain of one test.
    fn own() -> &'static Self {
        Box::leak(Box::new(Self::new(&[1])))
    }

    fn ask(&self, method: &'static str, parameters: Value) -> Value {
        let chain = connect_to(&self.url, &self.governance, self.locks.path());
        chain.node().request(method, parameters).expect("an answer")
    }

    fn head(&self) -> u64 {
        let chain = connect_to(&self.url, &self.governance, self.locks.path());
        latest_block(chain.node()).expect("known").0
    }

    fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", json!([blocks]));
    }

    /// Takes the latest blocks away, down to one of a number.
    fn back_to(&self, head: u64) {
        self.ask("anvil_rollback", json!([self.head() - head]));
        assert_eq!(self.head(), head);
    }
}

/// A broker that sends again without a pause what no node has.
fn again(broker: &mut Broker) {
    broker.broadcast.clear();
}

/// Lives on, with empty blocks in between as a chain makes them, until there is nothing to do.
fn live(stage: &Stage, broker: &mut Broker, store: &StoreThread) -> Vec<Did> {
    let (mut done, mut idle) = (Vec::new(), 0);
    while idle < 5 {
        again(broker);
        let some = steps(broker, |_| false);
        idle = if some.is_empty() && !prove(store) { idle + 1 } else { 0 };
        done.extend(some);
        stage.mine(1);
        assert!(done.len() < 300, "it never rests: {done:?}");
    }
    done
}

/// Lives until a step is done. The block before the first of what it did.
fn live_until(stage: &Stage, broker: &mut Broker, store: &StoreThread, last: &Did) {
    for _ in 0..60 {
        again(broker);
        let some = steps(broker, |did| did == last);
        if some.last() == Some(last) {
            return;
        }
        if some.is_empty() && !prove(store) {
            stage.mine(1);
        }
    }
    panic!("never {last:?}");
}

/// The block of a transaction.
fn block_of(party: &Party, hash: Option<[u8; 32]>) -> u64 {
    let chain = party.chain(&party.prover);
    let found = lorica::chain::rpc::sending::receipt(chain.node(), hash.expect("known").into()).expect("an answer");
    found.expect("in a block").0.block
}

fn account_intents(
    party: &Party,
    store: &StoreThread,
    request: &SignedRequest,
) -> Vec<(IntentKind, IntentState, usize)> {
    let intents = party.intents(store, request);
    intents.iter().map(|own| (own.what.kind, own.state, own.versions.len())).collect()
}

/// Acceptance, settlement or withdrawal is taken back, once it was booked or before it was, with all that came after it. The same bytes
/// come back in other blocks.
fn what_is_taken_back_comes_again(depth: u64, confirmations: u64, kind: IntentKind) {
    let stage = Stage::own();
    let party = Party::on(stage, |settings| settings.confirmations = confirmations);
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    stage.mine(confirmations - 1);
    let mut broker = party.broker(&store);
    live_until(stage, &mut broker, &store, &Did::Broadcast(kind));
    // In the block that it made.
    let before = stage.head() - 1;
    if depth >= confirmations {
        live_until(stage, &mut broker, &store, &Did::Ended(kind, IntentState::Done));
    }
    // Time goes on, and whatever comes next is in the blocks that are taken back.
    while stage.head() < before + depth {
        again(&mut broker);
        if steps(&mut broker, |_| false).is_empty() && !prove(&store) {
            stage.mine(1);
        }
    }
    let hashes: Vec<Option<[u8; 32]>> = party.intents(&store, &request).iter().map(|own| own.tx).collect();
    let booked = party.ledger(&store).len();
    stage.back_to(before);
    let mut broker = if depth == 3 { party.broker(&store) } else { broker };
    again(&mut broker);
    let done = live(stage, &mut broker, &store);
    let took_back = done.iter().filter(|did| matches!(did, Did::TookBack(_))).count();
    assert_eq!(took_back > 0, depth >= confirmations, "{done:?}");
    party.expect_paid(&store, &request, 3);
    assert!(booked > 0 || kind != IntentKind::Withdraw || depth < confirmations);
    let intents = party.intents(&store, &request);
    let digest = request.id.0;
    let events = store.ask(move |store| store.request_events("a", &digest, 0)).expect("readable");
    let wanted = [(IntentKind::Accept, IntentState::Done, 1), (IntentKind::Settle, IntentState::Done, 1)];
    assert_eq!(account_intents(&party, &store, &request), wanted, "{kind:?}: {done:?} {events:?} {intents:?}");
    for (own, hash) in intents.iter().zip(hashes) {
        assert!(hash.is_none() || own.tx == hash, "the same transaction");
    }
    assert_eq!(
        (party.row(&store, &request).accept_tx, party.row(&store, &request).settle_tx),
        (intents[0].tx, intents[1].tx)
    );
}

#[test]
fn one_block_is_taken_back() {
    for kind in [IntentKind::Accept, IntentKind::Settle, IntentKind::Withdraw] {
        what_is_taken_back_comes_again(1, 1, kind);
        what_is_taken_back_comes_again(1, 3, kind);
    }
}

#[test]
fn three_blocks_are_taken_back() {
    for kind in [IntentKind::Accept, IntentKind::Settle, IntentKind::Withdraw] {
        what_is_taken_back_comes_again(3, 3, kind);
    }
}

#[test]
fn twenty_blocks_are_taken_back() {
    for kind in [IntentKind::Accept, IntentKind::Settle, IntentKind::Withdraw] {
        what_is_taken_back_comes_again(20, 3, kind);
    }
}

/// A party whose request was paid and withdrawn, on a chain of its own, and the block before the lock.
struct Paid {
    stage: &'static Stage,
    party: Party,
    request: SignedRequest,
    store: StoreThread,
    before: u64,
}

impl Paid {
    fn new(patience: Duration) -> (Self, Broker) {
        let stage = Stage::own();
        let party = Party::on(stage, |settings| settings.bump_after = patience);
        let request = party.signed();
        let store = party.store();
        party.submit(&store, &request).expect("admitted");
        let before = stage.head();
        party.lock(&request);
        let mut broker = party.broker(&store);
        live(stage, &mut broker, &store);
        party.expect_paid(&store, &request, 3);
        (Self { stage, party, request, store, before }, broker)
    }

    /// Locks so much.
    fn lock(&self, fee: U256) {
        let mut chain = self.party.chain(&self.party.requester);
        let request = &self.request;
        let locking = Locking { request: &request.terms, fee, refund_to: None, signature: &request.signature };
        lock(&mut chain, self.stage.market.escrow(), locking).expect("locked");
    }

    fn in_flight(&self) -> Vec<Intent> {
        let account = self.party.prover.account().into_array();
        self.store.ask(move |store| store.intents_in_flight(CHAIN_ID, &account)).expect("readable")
    }
}

/// Lock, acceptance, settlement and withdrawal go; the lock comes back later, and all the rest with the same bytes.
#[test]
fn a_lock_that_comes_back_is_paid_with_the_same_bytes() {
    let (own, mut broker) = Paid::new(Duration::from_secs(60));
    own.stage.back_to(own.before);
    again(&mut broker);
    let taken = steps(&mut broker, |_| false);
    assert!(taken.iter().all(|did| matches!(did, Did::TookBack(_))), "without its lock nothing is done: {taken:?}");
    assert!(!taken.is_empty());
    assert!(own.party.ledger(&own.store).is_empty(), "what was not paid is not in the books");
    assert_eq!(own.party.row(&own.store, &own.request).state, MarketState::Waiting);
    assert_eq!(own.in_flight().len(), 3);
    assert!(!prove(&own.store), "nothing is proven for a lock that does not exist");
    own.lock(open(FEE));
    // By another process.
    drop(broker);
    live(own.stage, &mut own.party.broker(&own.store), &own.store);
    own.party.expect_paid(&own.store, &own.request, 3);
    assert!(own.party.intents(&own.store, &own.request).iter().all(|intent| intent.versions.len() == 1));
}

/// The lock never comes back: the nonces are freed by transfers of nothing, and the account goes on.
#[test]
fn a_lock_that_does_not_come_back_ends_in_nothing() {
    let (own, mut broker) = Paid::new(Duration::ZERO);
    own.stage.back_to(own.before);
    live(own.stage, &mut broker, &own.store);
    let row = own.party.row(&own.store, &own.request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Waiting, "REORGANISED"));
    assert_eq!(own.party.money(&own.party.prover), (U256::ZERO, U256::ZERO));
    assert_eq!(own.party.money(&own.party.requester), (open(100), U256::ZERO));
    assert!(own.party.ledger(&own.store).is_empty() && own.in_flight().is_empty());
    assert_eq!(own.party.sent(), 3, "three transfers of nothing");
    assert!(own.party.intents(&own.store, &own.request).iter().all(|own| own.state == IntentState::Dead));
    assert!(!prove(&own.store));
    // Locked after all, it is served as a new one.
    own.lock(open(FEE));
    live(own.stage, &mut broker, &own.store);
    own.party.expect_paid(&own.store, &own.request, 6);
}

/// The lock comes back with less than was decided on, and less than is taken: the old acceptance is not sent for it.
#[test]
fn a_lock_that_comes_back_with_less_is_declined() {
    let (own, mut broker) = Paid::new(Duration::ZERO);
    own.stage.back_to(own.before);
    own.lock(U256::ONE);
    live(own.stage, &mut broker, &own.store);
    let row = own.party.row(&own.store, &own.request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Declined, "FEE_TOO_LOW"));
    assert_eq!(own.party.money(&own.party.prover), (U256::ZERO, U256::ZERO));
    assert_eq!(own.party.money(&own.party.requester).0, open(100) - U256::ONE);
    assert!(own.party.ledger(&own.store).is_empty() && own.in_flight().is_empty());
    assert_eq!(own.party.sent(), 3);
}

/// The lock comes back with less than it was proven for, which is still enough: it is decided, bound and proven anew.
#[test]
fn a_lock_that_comes_back_with_another_fee_is_proven_anew() {
    let (own, mut broker) = Paid::new(Duration::ZERO);
    own.stage.back_to(own.before);
    let fee = open(FEE / 2);
    own.lock(fee);
    live(own.stage, &mut broker, &own.store);
    let row = own.party.row(&own.store, &own.request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Paid, "PAID"));
    let share = fee * U256::from(Shares::DEFAULT.prover) / U256::from(10_000);
    assert_eq!(own.party.money(&own.party.prover), (share, U256::ZERO));
    assert_eq!(own.party.money(&own.party.requester), (open(100) - fee, U256::ZERO));
    let ledger = own.party.ledger(&own.store);
    assert_eq!(ledger.len(), 2, "{ledger:?}");
    assert!(ledger.iter().all(|entry| entry.amount == share.to_be_bytes::<32>()), "{ledger:?}");
    assert!(own.in_flight().is_empty());
    // Three that lost their purpose, and three new ones.
    assert_eq!(own.party.sent(), 6);
}

/// While it is proven the chain takes lock and acceptance back, and both come again with another fee: the proof is of no use, and is given up.
#[test]
fn a_fee_that_changes_under_the_proof_is_bound_anew() {
    let stage = Stage::own();
    let party = Party::on(stage, |_| {});
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    let before = stage.head();
    party.lock(&request);
    let mut broker = party.broker(&store);
    live_until(stage, &mut broker, &store, &Did::Moved(MarketState::Proving));
    let accept = party.intents(&store, &request).remove(0);
    stage.back_to(before);
    let (mut requester, fee) = (party.chain(&party.requester), open(FEE / 2));
    let locking = Locking { request: &request.terms, fee, refund_to: None, signature: &request.signature };
    lock(&mut requester, stage.market.escrow(), locking).expect("locked");
    // A node has kept the acceptance.
    let version =
        lorica::chain::rpc::plan::Version::from_raw(Bytes::copy_from_slice(&accept.versions[0])).expect("a version");
    lorica::chain::rpc::sending::broadcast(requester.node(), &version).expect("taken");
    let done = live(stage, &mut broker, &store);
    assert!(done.contains(&Did::Moved(MarketState::Waiting)), "{done:?}");
    let row = party.row(&store, &request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Paid, "PAID"));
    let share = fee * U256::from(Shares::DEFAULT.prover) / U256::from(10_000);
    assert_eq!(party.money(&party.prover), (share, U256::ZERO));
    // Accepted, settled, withdrawn, once each.
    assert_eq!((party.sent(), party.ledger(&store).len()), (3, 2));
}

/// The lock comes back and its requester takes the money back, which the acceptance had forbidden.
#[test]
fn a_request_that_is_cancelled_in_the_other_chain_ends() {
    let (own, mut broker) = Paid::new(Duration::ZERO);
    own.stage.back_to(own.before);
    own.lock(open(FEE));
    let mut requester = own.party.chain(&own.party.requester);
    own.stage.market.escrow().cancel(&mut requester, &own.request.terms).expect("cancelled");
    live(own.stage, &mut broker, &own.store);
    let row = own.party.row(&own.store, &own.request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Cancelled, "CANCELLED_ON_CHAIN"));
    assert_eq!(own.party.money(&own.party.requester), (open(100 - FEE), open(FEE)));
    assert_eq!(own.party.money(&own.party.prover), (U256::ZERO, U256::ZERO));
    assert!(own.party.ledger(&own.store).is_empty() && own.in_flight().is_empty());
}

/// In the other chain a stranger hands our settlement in before we do: one payment, one line.
#[test]
fn a_settlement_that_a_stranger_sends_in_the_other_chain_is_booked_once() {
    let (own, mut broker) = Paid::new(Duration::ZERO);
    let settle =
        own.party.intents(&own.store, &own.request).into_iter().find(|own| own.what.kind == IntentKind::Settle);
    let data = Bytes::copy_from_slice(&settle.expect("a settlement").what.data);
    let row = own.party.row(&own.store, &own.request);
    own.stage.back_to(block_of(&own.party, row.settle_tx) - 1);
    let mut stranger = own.party.chain(&own.party.requester);
    stranger.send(Some(own.stage.market.escrow), data.clone()).expect("anybody may");
    live(own.stage, &mut broker, &own.store);
    // Accepted, the transfer of nothing in the settlement's place, withdrawn.
    own.party.expect_paid(&own.store, &own.request, 3);
    assert_ne!(own.party.row(&own.store, &own.request).settle_tx, row.settle_tx);
    // And that one is taken back too: now our own bytes, or nothing's, find their place.
    own.stage.back_to(block_of(&own.party, own.party.row(&own.store, &own.request).settle_tx) - 1);
    live(own.stage, &mut broker, &own.store);
    let transactions = own.party.sent();
    own.party.expect_paid(&own.store, &own.request, transactions);
}

/// An end that was seen in one block only is taken back with it: the request is served.
#[test]
fn a_cancellation_that_is_taken_back_is_served() {
    let stage = Stage::own();
    let party = Party::on(stage, |_| {});
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let locked = stage.head();
    stage.market.escrow().cancel(&mut party.chain(&party.requester), &request.terms).expect("cancelled");
    let mut broker = party.broker(&store);
    live(stage, &mut broker, &store);
    assert_eq!(party.row(&store, &request).state, MarketState::Cancelled);
    stage.back_to(locked);
    live(stage, &mut broker, &store);
    party.expect_paid(&store, &request, 3);
}

/// With three confirmations neither a lock nor an end of two blocks counts; and what is being proven for a lock that goes is given up.
#[test]
fn what_is_not_confirmed_does_not_count() {
    let stage = Stage::own();
    let party = Party::on(stage, |settings| settings.confirmations = 3);
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    let before = stage.head();
    let mut broker = party.broker(&store);
    party.lock(&request);
    stage.mine(1);
    assert!(steps(&mut broker, |_| false).is_empty(), "two blocks");
    stage.back_to(before);
    assert!(steps(&mut broker, |_| false).is_empty());
    party.lock(&request);
    let locked = stage.head();
    stage.market.escrow().cancel(&mut party.chain(&party.requester), &request.terms).expect("cancelled");
    stage.mine(1);
    assert!(steps(&mut broker, |_| false).is_empty(), "cancelled two blocks ago");
    assert_eq!((party.row(&store, &request).state, party.sent()), (MarketState::Waiting, 0));
    stage.back_to(locked);
    stage.mine(2);
    live_until(stage, &mut broker, &store, &Did::Moved(MarketState::Proving));
    let lease = store.ask(|store| store.lease(now(), "test", now() + 60_000)).expect("writable").expect("work");
    stage.back_to(before);
    stage.mine(4);
    let done = steps(&mut broker, |_| false);
    assert!(done.contains(&Did::Moved(MarketState::Waiting)), "{done:?}");
    let (batch, epoch) = (lease.batch, lease.epoch);
    let held = store.ask(move |store| store.extend(batch, epoch, now() + 60_000)).expect("writable");
    assert_eq!(held, crate::store::Held::No, "nobody waits for it");
    assert!(!prove(&store));
    party.lock(&request);
    stage.mine(2);
    live(stage, &mut broker, &store);
    party.expect_paid(&store, &request, 3);
}

/// The process ends after each step, and the block that the step was done in is taken back once.
#[test]
fn a_block_is_taken_back_after_every_step() {
    let stage = Stage::own();
    let party = Party::on(stage, |settings| settings.bump_after = Duration::from_secs(60));
    let request = party.signed();
    party.submit(&party.store(), &request).expect("admitted");
    party.lock(&request);
    let (mut seen, mut idle, mut all) = (Vec::<Did>::new(), 0, 0);
    while idle < 3 {
        let store = party.store();
        let mut broker = party.broker(&store);
        match broker.step().expect("a step") {
            Some(did) => {
                (idle, all) = (0, all + 1);
                if !seen.contains(&did) {
                    seen.push(did);
                    stage.back_to(stage.head() - 1);
                    let mut requester = party.chain(&party.requester);
                    let state = stage.market.escrow().request_state(&mut requester, &request.terms).expect("known");
                    if state.status == lorica::chain::contracts::request::Status::None {
                        party.lock(&request);
                    }
                }
            }
            None if prove(&store) => idle = 0,
            None => idle += 1,
        }
        assert!(all < 200, "{seen:?}");
    }
    assert!(seen.len() > 10, "{seen:?}");
    let store = party.store();
    party.expect_paid(&store, &request, 3);
    assert!(party.intents(&store, &request).iter().all(|intent| intent.versions.len() == 1));
}
