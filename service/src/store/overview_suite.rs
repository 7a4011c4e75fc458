//! The contract of what a store tells an operator.

use super::market::*;
use super::market_suite::{ACCOUNT, CHAIN, advance, intent, request};
use super::overview::{Batches, LeaseRow};
use super::suite::job;
use super::*;

/// Numbers of all tenants, each with its own, and nothing of a text.
pub fn operators_see_all_tenants(store: &mut dyn Store) {
    let empty = store.overview(0).expect("readable");
    assert_eq!((empty.oldest_queued, empty.batches, empty.proven.len()), (None, Batches::default(), 0));
    assert!(
        empty.jobs.is_empty() && empty.requests.is_empty() && empty.tenants.is_empty() && empty.troubles.is_empty()
    );

    // Of `a` one is proven and one is being proven; of `b` one fails for ever, and one is tried again.
    let shape = ProvenShape { requests: 1, tokens: 16, log_tile: 14 };
    store.submit(10, &job("a", 1), 9).expect("writable");
    let lease = store.lease(20, "first", 900).expect("writable").expect("work");
    store.complete(50, lease.batch, lease.epoch, b"proof", shape).expect("writable");
    store.submit(60, &job("b", 2), 9).expect("writable");
    let lease = store.lease(61, "second", 900).expect("writable").expect("work");
    assert!(store.fail(62, lease.batch, lease.epoch, &BatchFailure::Always("BROKEN".into())).expect("writable"));
    store.submit(70, &job("b", 3), 9).expect("writable");
    let lease = store.lease(71, "second", 900).expect("writable").expect("work");
    assert!(store.fail(72, lease.batch, lease.epoch, &BatchFailure::Lost("CHILD_DIED")).expect("writable"));
    store.submit(80, &job("a", 4), 9).expect("writable");
    let held = store.lease(81, "third", 901).expect("writable").expect("work");

    let seen = store.overview(0).expect("readable");
    assert_eq!(seen.proven, [40]);
    assert_eq!(seen.batches, Batches { count: 1, requests: 1, milliseconds: 30 });
    assert_eq!(seen.oldest_queued, Some(70));
    let lease =
        LeaseRow { batch: held.batch, owner: "third".into(), tenant: "a".into(), jobs: 1, since: 81, until: 901 };
    assert_eq!(seen.leases, [lease]);
    let mut tenants: Vec<_> =
        seen.tenants.iter().map(|own| (own.id.as_str(), own.queued, own.proving, own.proven, own.failed)).collect();
    tenants.sort_unstable();
    assert_eq!(tenants, [("a", 0, 1, 1, 0), ("b", 1, 0, 0, 1)]);
    let troubles: Vec<_> =
        seen.troubles.iter().map(|own| (own.state, own.cause.as_str(), own.attempts, own.updated)).collect();
    assert_eq!(troubles, [(State::Queued, "CHILD_DIED", 1, 72), (State::Failed, "BROKEN", 1, 62)]);
    // What is older than asked for is not lately, and is counted among what is kept.
    let later = store.overview(51).expect("readable");
    assert_eq!((later.proven.len(), later.batches.count), (0, 0));
    assert!(later.jobs.contains(&(State::Proven, 1)));
    assert!(!format!("{seen:?}").contains("7000002"), "a token id");
}

/// A request with every state that it was in and its transactions, whoever's it is; sums of what is in blocks.
pub fn operators_see_what_became_of_a_request(store: &mut dyn Store) {
    let (own, other) = (request("a", 1), request("b", 2));
    store.admit(1, &own, 9).expect("writable");
    store.admit(2, &other, 9).expect("writable");
    let epoch = store.take_over(2).expect("writable");
    let decision = || Some("{\"taken\":false}".to_owned());
    let effects = Effects { decision: decision(), ..Effects::default() };
    assert!(
        store
            .advance(3, epoch, &advance(other.id, MarketState::Waiting, MarketState::Declined, effects))
            .expect("writable")
    );
    let accept = intent(IntentKind::Accept, 1, Some(own.id));
    let effects = Effects { intent: Some(accept.clone()), ..Effects::default() };
    assert!(
        store
            .advance(4, epoch, &advance(own.id, MarketState::Waiting, MarketState::Accepting, effects))
            .expect("writable")
    );
    assert!(store.sign(5, epoch, accept.id, 4, (&[1; 32], b"raw")).expect("writable"));
    assert!(store.sign(6, epoch, accept.id, 4, (&[2; 32], b"raw")).expect("writable"));

    let seen = store.overview(0).expect("readable");
    let latest: Vec<_> = seen.requests.iter().map(|(tenant, own)| (tenant.as_str(), own.state)).collect();
    assert_eq!(latest, [("a", MarketState::Accepting), ("b", MarketState::Declined)]);
    let money = store.money(CHAIN, &ACCOUNT).expect("readable");
    let flight: Vec<_> = money.flight.iter().map(|own| (own.kind, own.nonce, own.versions, own.created)).collect();
    assert_eq!((flight, money.mined), (vec![(IntentKind::Accept, Some(4), 2, 4)], vec![]));

    let end = IntentEnd {
        state: IntentState::Done,
        reason: "MINED".into(),
        mined: Some(([2; 32], 7, 40_000)),
        seen: Some((7, [2; 32])),
        entries: Vec::new(),
    };
    let accepted = advance(own.id, MarketState::Accepting, MarketState::Accepted, Effects::default());
    assert!(store.finish(7, epoch, accept.id, &end, &[accepted]).expect("writable"));
    let money = store.money(CHAIN, &ACCOUNT).expect("readable");
    assert_eq!((money.flight, money.mined), (vec![], vec![(IntentKind::Accept, IntentState::Done, 1, 40_000)]));
    assert!(store.money(CHAIN + 1, &ACCOUNT).expect("readable").mined.is_empty(), "another chain");
    assert!(store.money(CHAIN, &[8; 20]).expect("readable").mined.is_empty(), "another account");

    let history = store.history(&own.digest).expect("readable").expect("there");
    let states: Vec<_> = history.events.iter().map(|event| event.to).collect();
    assert_eq!(
        (history.tenant.as_str(), states),
        ("a", vec![MarketState::Waiting, MarketState::Accepting, MarketState::Accepted])
    );
    let [made] = history.intents.as_slice() else { panic!("{:?}", history.intents) };
    assert_eq!((made.tx, made.block, made.gas, made.versions), (Some([2; 32]), Some(7), Some(40_000), 2));
    let history = store.history(&other.digest).expect("readable").expect("there");
    assert_eq!((history.tenant.as_str(), history.request.decision, history.intents.len()), ("b", decision(), 0));
    assert!(store.history(&[9; 32]).expect("readable").is_none());
}
