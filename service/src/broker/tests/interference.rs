//! Others act on the chain between the broker's steps: requesters who cancel, strangers who send our settlement, programs with
//! our key; and work that fails.

use lorica::chain::rpc::sending::pending_nonce;

use super::*;
use crate::store::market::Breaker;

fn until(broker: &mut Broker, store: &StoreThread, last: &Did) {
    loop {
        let some = steps(broker, |did| did == last);
        if some.last() == Some(last) {
            return;
        }
        assert!(prove(store), "nothing to do before {last:?}: {some:?}");
    }
}

/// As if the breaker's time were over.
fn age_breaker(broker: &Broker, store: &StoreThread) {
    let (epoch, since) = (broker.epoch, now() - 600_000);
    let (why, _) = store.ask(|store| store.breaker()).expect("readable").expect("open");
    store.ask(move |store| store.set_breaker(since, epoch, &Breaker::Open(why))).expect("writable");
}

/// Cancelled while the acceptance is signed and not broadcast: its nonce is freed by a transfer of nothing.
#[test]
fn a_request_that_is_cancelled_in_between_ends() {
    let party = Party::new();
    let (request, next) = (party.signed(), party.signed());
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let mut broker = party.broker(&store);
    until(&mut broker, &store, &Did::Signed(IntentKind::Accept));
    let escrow = STAGE.market.escrow();
    escrow.cancel(&mut party.chain(&party.requester), &request.terms).expect("cancelled");
    // The next process finds out.
    let mut broker = party.broker(&store);
    run_out(&mut broker, &store);
    let row = party.row(&store, &request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Cancelled, "CANCELLED_ON_CHAIN"));
    let intents = party.intents(&store, &request);
    let [only] = intents.as_slice() else { panic!("{intents:?}") };
    assert_eq!((only.state, only.reason.as_deref()), (IntentState::Dead, Some("REPLACED_BY_NOTHING")));
    assert_eq!((only.versions.len(), party.sent()), (2, 1));
    assert!(party.ledger(&store).is_empty());
    // The account goes on.
    let mut chain = party.chain(&party.requester);
    escrow.withdraw(&mut chain, STAGE.market.open, party.requester.account()).expect("given back");
    party.submit(&store, &next).expect("admitted");
    party.lock(&next);
    run_out(&mut broker, &store);
    party.expect_paid(&store, &next, 4);
}

/// A stranger sends the settlement first: it names the payee, so the money is ours, and is booked once.
#[test]
fn a_settlement_that_others_send_is_booked() {
    let party = Party::new();
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let mut broker = party.broker(&store);
    until(&mut broker, &store, &Did::Signed(IntentKind::Settle));
    let intents = party.intents(&store, &request);
    let settle = intents.last().expect("a settlement");
    let mut stranger = party.chain(&party.requester);
    let data = Bytes::copy_from_slice(&settle.what.data);
    stranger.send(Some(STAGE.market.escrow), data).expect("anybody may");
    run_out(&mut broker, &store);
    // Accepted, the transfer of nothing in the settlement's place, withdrawn.
    party.expect_paid(&store, &request, 3);
    let row = party.row(&store, &request);
    let settle = party.intents(&store, &request).into_iter().find(|own| own.what.kind == IntentKind::Settle);
    assert_eq!(settle.map(|own| own.state), Some(IntentState::Dead));
    assert!(row.settle_tx.is_some());
}

/// Another program with our key takes the nonce: the intent ends, nothing new is accepted, and what is owed goes on.
#[test]
fn a_nonce_that_others_take_is_noticed() {
    let party = Party::new();
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let mut broker = party.broker(&store);
    until(&mut broker, &store, &Did::Signed(IntentKind::Accept));
    let mut own = party.chain(&party.prover);
    own.send(Some(party.requester.account()), Bytes::new()).expect("sent");
    assert_eq!(pending_nonce(own.node(), party.prover.account()).expect("known"), 1);
    assert!(steps(&mut broker, |_| false).is_empty(), "it may be a node that lags");
    std::thread::sleep(Duration::from_millis(3_200));
    let done = steps(&mut broker, |_| false);
    assert_eq!(done[0], Did::Ended(IntentKind::Accept, IntentState::Dead), "{done:?}");
    let (why, _) = store.ask(|store| store.breaker()).expect("readable").expect("open");
    assert_eq!(why, "NONCE_TAKEN");
    // After its time one request is accepted on trial, and closes the breaker by being paid.
    age_breaker(&broker, &store);
    run_out(&mut broker, &store);
    party.expect_paid(&store, &request, 4);
    assert_eq!(store.ask(|store| store.breaker()).expect("readable"), None);
}

/// Work that fails is given back at once, so that nobody waits for the deadline; then nothing is accepted for a while.
#[test]
fn what_cannot_be_proven_is_refused_and_opens_the_breaker() {
    let party = Party::new();
    let (request, next) = (party.signed(), party.signed());
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let mut broker = party.broker(&store);
    steps(&mut broker, |_| false);
    assert_eq!(party.row(&store, &request).state, MarketState::Proving);
    let lease = store.ask(|store| store.lease(now(), "test", now() + 60_000)).expect("writable").expect("work");
    let failure = BatchFailure::Always("PROVING_FAILED".into());
    assert!(store.ask(move |store| store.fail(now(), lease.batch, lease.epoch, &failure)).expect("writable"));
    steps(&mut broker, |_| false);
    let row = party.row(&store, &request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Refused, "REFUSED"));
    assert_eq!(party.money(&party.requester).1, open(FEE), "the payer has it back");
    assert_eq!(party.sent(), 2);
    let (why, _) = store.ask(|store| store.breaker()).expect("readable").expect("open");
    assert_eq!(why, "PROVING_FAILED");

    let escrow = STAGE.market.escrow();
    let mut chain = party.chain(&party.requester);
    escrow.withdraw(&mut chain, STAGE.market.open, party.requester.account()).expect("given back");
    party.submit(&store, &next).expect("admitted");
    party.lock(&next);
    assert!(steps(&mut broker, |_| false).is_empty(), "not accepted");
    assert_eq!(party.row(&store, &next).state, MarketState::Waiting);
    age_breaker(&broker, &store);
    run_out(&mut broker, &store);
    party.expect_paid(&store, &next, 5);
}

/// A request whose fee is never locked ends.
#[test]
fn what_is_never_locked_ends() {
    let party = Party::with(|settings| (settings.prove_seconds, settings.margin_seconds) = (2, 1));
    let store = party.store();
    let salt = [5; 31];
    let terms = InferenceRequest { deadline: clock() + 15, ..party.terms(salt) };
    let request = party.sign(terms, salt);
    party.submit(&store, &request).expect("admitted");
    let mut broker = party.broker(&store);
    assert!(steps(&mut broker, |_| false).is_empty(), "it may be locked yet");
    std::thread::sleep(Duration::from_secs(14));
    assert_eq!(steps(&mut broker, |_| false), [Did::Moved(MarketState::Expired)]);
    assert_eq!(party.row(&store, &request).reason, "NOT_LOCKED_IN_TIME");
    assert_eq!(party.sent(), 0);
}

/// Too slow: an accepted request whose job misses its time is given back before the deadline.
#[test]
fn a_job_that_is_late_is_given_back() {
    let party = Party::with(|settings| (settings.prove_seconds, settings.margin_seconds) = (1, 8));
    let store = party.store();
    let salt = [5; 31];
    let terms = InferenceRequest { deadline: clock() + 24, ..party.terms(salt) };
    let request = party.sign(terms, salt);
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let mut broker = party.broker(&store);
    steps(&mut broker, |_| false);
    assert_eq!(party.row(&store, &request).state, MarketState::Proving);
    let late = request.terms.deadline - 8;
    std::thread::sleep(Duration::from_secs(late.saturating_sub(clock()) + 1));
    store.ask(|store| store.expire(now())).expect("writable");
    steps(&mut broker, |_| false);
    let row = party.row(&store, &request);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Refused, "REFUSED"));
    assert_eq!(party.money(&party.requester).1, open(FEE));
}
