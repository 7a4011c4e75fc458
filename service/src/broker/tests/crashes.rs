//! The process ends after each step, with nothing told to anybody: never two payments, never two nonces for one intent, nothing
//! stuck.

use super::*;

/// Each step is by a process that has only the store and the chain.
#[test]
fn ended_after_every_step_it_is_paid_once() {
    let party = Party::new();
    let request = party.signed();
    party.submit(&party.store(), &request).expect("admitted");
    party.lock(&request);
    let mut done = Vec::new();
    let mut idle = 0;
    while idle < 2 {
        let store = party.store();
        let mut broker = party.broker(&store);
        match broker.step().expect("a step") {
            Some(did) => {
                done.push(did);
                idle = 0;
            }
            None if prove(&store) => idle = 0,
            None => idle += 1,
        }
        assert!(done.len() < 60, "{done:?}");
    }
    let sent = |kind| [Did::Signed(kind), Did::Broadcast(kind), Did::Ended(kind, IntentState::Done)];
    let expected: Vec<Did> = [
        &[Did::Moved(MarketState::Accepting)][..],
        &sent(IntentKind::Accept),
        &[Did::Moved(MarketState::Proving), Did::Moved(MarketState::Settling)],
        &sent(IntentKind::Settle),
        &[Did::Intended(IntentKind::Withdraw)],
        &sent(IntentKind::Withdraw),
    ]
    .concat();
    assert_eq!(done, expected);
    let store = party.store();
    party.expect_paid(&store, &request, 3);
    let intents = party.intents(&store, &request);
    assert!(intents.iter().all(|intent| intent.versions.len() == 1), "one signature each: {intents:?}");
    let row = party.row(&store, &request);
    assert_eq!(row.accept_tx, intents[0].tx);
    assert_eq!(row.settle_tx, intents[1].tx);
    let numbers: serde_json::Value = serde_json::from_str(&row.decision.expect("decided")).expect("JSON");
    assert_eq!((&numbers["taken"], numbers["fee"].as_str()), (&true.into(), Some(open(FEE).to_string().as_str())));
}

/// The node has it, and whoever sent it died before it knew: found by its hash, never signed again.
#[test]
fn what_a_node_has_already_is_not_sent_twice() {
    let party = Party::new();
    let request = party.signed();
    party.submit(&party.store(), &request).expect("admitted");
    party.lock(&request);
    let mut signed = Vec::new();
    for kind in [IntentKind::Accept, IntentKind::Settle, IntentKind::Withdraw] {
        let store = party.store();
        let mut broker = party.broker(&store);
        loop {
            let some = steps(&mut broker, |did| *did == Did::Signed(kind));
            if some.last() == Some(&Did::Signed(kind)) {
                break;
            }
            assert!(prove(&store), "nothing to do before {kind:?}: {some:?}");
        }
        let account = party.prover.account().into_array();
        let flying = store.ask(move |store| store.intents_in_flight(CHAIN_ID, &account)).expect("readable");
        let [only] = flying.as_slice() else { panic!("{flying:?}") };
        assert_eq!((only.what.kind, only.state, only.versions.len()), (kind, IntentState::Sent, 1));
        // As the process before would have, with its last breath.
        let raw = Bytes::copy_from_slice(&only.versions[0]);
        let version = lorica::chain::rpc::plan::Version::from_raw(raw).expect("a version");
        let chain = party.chain(&party.prover);
        lorica::chain::rpc::sending::broadcast(chain.node(), &version).expect("taken");
        signed.push((only.nonce.expect("signed"), version.hash()));
    }
    let store = party.store();
    let done = run_out(&mut party.broker(&store), &store);
    assert_eq!(done, [Did::Ended(IntentKind::Withdraw, IntentState::Done)], "booked, not sent");
    party.expect_paid(&store, &request, 3);
    assert_eq!(signed.iter().map(|own| own.0).collect::<Vec<_>>(), [0, 1, 2]);
    let mined: Vec<Option<[u8; 32]>> = party.intents(&store, &request).iter().map(|own| own.tx).collect();
    assert_eq!(mined, [Some(signed[0].1.0), Some(signed[1].1.0)]);
}

/// Whoever was taken over from changes nothing any more.
#[test]
fn a_broker_that_was_taken_over_from_stops() {
    let party = Party::new();
    let request = party.signed();
    let store = party.store();
    party.submit(&store, &request).expect("admitted");
    party.lock(&request);
    let mut old = party.broker(&store);
    let mut new = party.broker(&store);
    let fenced = old.step().expect_err("it was taken over from");
    assert!(matches!(fenced, BrokerError::Store(StoreError::Fenced { .. })), "{fenced}");
    assert!(party.intents(&store, &request).is_empty());
    steps(&mut new, |did| *did == Did::Signed(IntentKind::Accept));
    old.round = None;
    for _ in 0..3 {
        // It may broadcast what was committed: the same bytes. It signs and books nothing.
        if let Err(error) = old.step() {
            assert!(matches!(error, BrokerError::Store(StoreError::Fenced { .. })), "{error}");
        }
    }
    assert_eq!(party.intents(&store, &request)[0].versions.len(), 1);
    run_out(&mut new, &store);
    party.expect_paid(&store, &request, 3);
}
