//! Several requests in one settlement: what one costs, all of them are paid by; what becomes of one of them is no other's loss.

use lorica::chain::rpc::sending::receipt;

use super::*;

/// The chain with a circuit for one request and one for four.
static WIDE: LazyLock<Stage> = LazyLock::new(|| Stage::new(&[1, 4]));

/// Requests with texts of their own salts, admitted and locked.
fn locked<const N: usize>(party: &Party, store: &StoreThread) -> [SignedRequest; N] {
    let requests = std::array::from_fn(|_| party.signed());
    for request in &requests {
        party.submit(store, request).expect("admitted");
        party.lock(request);
    }
    requests
}

fn share() -> U256 {
    open(FEE) * U256::from(Shares::DEFAULT.prover) / U256::from(10_000)
}

/// That these were paid once each and withdrawn, by so many transactions, and nothing else was.
fn expect_all_paid(party: &Party, store: &StoreThread, paid: &[&SignedRequest], transactions: u64) {
    let count = paid.len() as u64;
    for request in paid {
        let row = party.row(store, request);
        assert_eq!((row.state, row.reason.as_str()), (MarketState::Paid, "PAID"));
    }
    assert_eq!(party.money(&party.prover), (share() * U256::from(count), U256::ZERO));
    let (wallet, owed) = party.money(&party.requester);
    assert_eq!(wallet + owed, open(100 - FEE * count));
    assert_eq!(party.sent(), transactions);
    let ledger = party.ledger(store);
    let of = |kind| ledger.iter().filter(|entry| entry.kind == kind).collect::<Vec<_>>();
    let mut earned: Vec<_> = of(EntryKind::Earned).iter().map(|entry| entry.request.expect("of a request")).collect();
    earned.sort_unstable();
    let mut expected: Vec<_> = paid.iter().map(|request| request.id.0).collect();
    expected.sort_unstable();
    assert_eq!(earned, expected);
    let sum = |kind| of(kind).iter().map(|entry| U256::from_be_bytes(entry.amount)).sum::<U256>();
    assert_eq!(
        (sum(EntryKind::Earned), sum(EntryKind::Withdrawn)),
        (party.money(&party.prover).0, party.money(&party.prover).0)
    );
    let account = party.prover.account().into_array();
    let flying = store.ask(move |store| store.intents_in_flight(CHAIN_ID, &account)).expect("readable");
    assert!(flying.is_empty(), "{flying:?}");
}

/// The settlements of requests, each once.
fn settlements(party: &Party, store: &StoreThread, requests: &[&SignedRequest]) -> Vec<Intent> {
    let mut found: Vec<Intent> = Vec::new();
    for request in requests {
        for intent in party.intents(store, request).into_iter().filter(|own| own.what.kind == IntentKind::Settle) {
            if found.iter().all(|own| own.what.id != intent.what.id) {
                found.push(intent);
            }
        }
    }
    found
}

/// Gas has a price and there is time, so four wait for each other; the process ends after every step: one proof, one settlement, four
/// payments, a fraction of the gas.
#[test]
fn four_are_settled_at_once_whatever_ends_the_process() {
    let party = Party::on(&WIDE, |settings| settings.batch_wait = Duration::from_secs(3_600));
    let node = super::nodes::Node::before(&WIDE);
    let requests: [SignedRequest; 4] = locked(&party, &party.store());
    let (mut done, mut idle, mut proofs) = (Vec::new(), 0, 0);
    while idle < 2 {
        let store = party.store();
        let mut broker = node.broker(&party, &store);
        match broker.step().expect("a step") {
            Some(did) => {
                done.push(did);
                idle = 0;
            }
            None if prove(&store) => (idle, proofs) = (0, proofs + 1),
            None => idle += 1,
        }
        assert!(done.len() < 100, "{done:?}");
    }
    assert_eq!(proofs, 1);
    let store = party.store();
    let all = requests.each_ref();
    // Four acceptances, one settlement, one withdrawal.
    expect_all_paid(&party, &store, &all, 6);
    let found = settlements(&party, &store, &all);
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.state, only.versions.len(), only.what.requests.len()), (IntentState::Done, 1, 4));
    let chain = party.chain(&party.prover);
    let (mined, _) = receipt(chain.node(), only.tx.expect("mined").into()).expect("known").expect("in a block");
    assert!(mined.gas < 2 * lorica::offer::decide::SETTLE_GAS, "{} for four", mined.gas);
    // Whom it was for does not matter: all its requests name it.
    assert!(all.iter().all(|request| party.row(&store, request).settle_tx == only.tx));
}

/// While one is proven, others gather; they go together when the prover is free, and the first is not held up.
#[test]
fn what_is_accepted_meanwhile_goes_together() {
    let party = Party::on(&WIDE, |_| {});
    let store = party.store();
    let [first] = locked(&party, &store);
    let mut broker = party.broker(&store);
    steps(&mut broker, |_| false);
    assert_eq!(party.row(&store, &first).state, MarketState::Proving, "it waits for nobody");
    let [second, third] = locked(&party, &store);
    steps(&mut broker, |_| false);
    for request in [&second, &third] {
        assert_eq!(party.row(&store, request).state, MarketState::Accepted, "the prover is not free");
    }
    run_out(&mut broker, &store);
    let all = [&first, &second, &third];
    let found = settlements(&party, &store, &all);
    let sizes: Vec<usize> = found.iter().map(|own| own.what.requests.len()).collect();
    assert_eq!(sizes, [1, 2]);
    // Three acceptances, two settlements, and a withdrawal after each.
    let transactions = party.sent();
    expect_all_paid(&party, &store, &all, transactions);
}

/// No deadline waits for company: what would be late if it waited is bound while the prover is not free.
#[test]
fn a_deadline_does_not_wait_for_company() {
    let party = Party::on(&WIDE, |_| {});
    let store = party.store();
    let [first] = locked(&party, &store);
    let mut broker = party.broker(&store);
    steps(&mut broker, |_| false);
    let salt = [5; 31];
    // Enough to be accepted behind the first (180 seconds), too little to wait with another one (240).
    let near = party.sign(InferenceRequest { deadline: clock() + 230, ..party.terms(salt) }, salt);
    let far = party.signed();
    for request in [&near, &far] {
        party.submit(&store, request).expect("admitted");
        party.lock(request);
    }
    steps(&mut broker, |_| false);
    assert_eq!(party.row(&store, &near).state, MarketState::Proving);
    assert_eq!(party.row(&store, &first).state, MarketState::Proving);
}

/// One of them is out before anything is proven: the others are bound anew, and paid.
#[test]
fn one_that_goes_before_the_proof_leaves_the_others() {
    let party = Party::on(&WIDE, |_| {});
    let store = party.store();
    let requests: [SignedRequest; 3] = locked(&party, &store);
    let mut broker = party.broker(&store);
    steps(&mut broker, |_| false);
    let rows = requests.each_ref().map(|request| party.row(&store, request));
    assert!(rows.iter().all(|row| row.state == MarketState::Proving));
    // Its prover gives it back.
    let escrow = party.stage.market.escrow();
    let terms = &requests[1].terms;
    let mut own = party.chain(&party.prover);
    escrow.refuse(&mut own, terms, 3, 0, &[]).expect("refused");
    run_out(&mut broker, &store);
    let row = party.row(&store, &requests[1]);
    assert_eq!((row.state, row.reason.as_str()), (MarketState::Refused, "REFUSED_ON_CHAIN"));
    // Three acceptances, the refusal, one settlement, one withdrawal.
    expect_all_paid(&party, &store, &[&requests[0], &requests[2]], 6);
    let found = settlements(&party, &store, &[&requests[0], &requests[2]]);
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(only.what.requests.len(), 2);
}

/// One of them is out after the proof was made: the escrow skips it, the others are paid by the settlement that was bound for all, whoever
/// hands it in.
#[test]
fn one_that_goes_after_the_proof_is_skipped() {
    let party = Party::on(&WIDE, |_| {});
    let store = party.store();
    let requests: [SignedRequest; 4] = locked(&party, &store);
    let mut broker = party.broker(&store);
    steps(&mut broker, |_| false);
    assert!(prove(&store));
    let escrow = party.stage.market.escrow();
    let mut own = party.chain(&party.prover);
    escrow.refuse(&mut own, &requests[0].terms, 3, 0, &[]).expect("refused");
    let last = Did::Signed(IntentKind::Settle);
    assert_eq!(steps(&mut broker, |did| *did == last).last(), Some(&last));
    // A stranger hands it in first: the refused one is skipped, three are paid.
    let [signed] = settlements(&party, &store, &requests.each_ref()).try_into().expect("one settlement");
    assert_eq!(signed.what.requests.len(), 3);
    let mut stranger = party.chain(&party.requester);
    let data = Bytes::copy_from_slice(&signed.what.data);
    stranger.send(Some(party.stage.market.escrow), data).expect("anybody may");
    run_out(&mut broker, &store);
    assert_eq!(party.row(&store, &requests[0]).state, MarketState::Refused);
    // Four acceptances, the refusal, the transfer of nothing in the settlement's place, one withdrawal.
    expect_all_paid(&party, &store, &[&requests[1], &requests[2], &requests[3]], 7);
}

/// A batch that fails is not tried as one again: each is, alone, and the bad one is given back.
#[test]
fn one_that_cannot_be_proven_does_not_spoil_the_others() {
    let party = Party::on(&WIDE, |_| {});
    let store = party.store();
    let requests: [SignedRequest; 2] = locked(&party, &store);
    let mut broker = party.broker(&store);
    steps(&mut broker, |_| false);
    let fail = |members: usize| {
        let lease = store.ask(|store| store.lease(now(), "test", now() + 60_000)).expect("writable").expect("work");
        assert_eq!(lease.members.len(), members);
        let failure = BatchFailure::Always("PROVING_FAILED".into());
        let (batch, epoch) = (lease.batch, lease.epoch);
        assert!(store.ask(move |store| store.fail(now(), batch, epoch, &failure)).expect("writable"));
        Target::decode(lease.binding.as_deref().expect("bound")).expect("a target").binding.requests[0].id
    };
    fail(2);
    steps(&mut broker, |_| false);
    let bad = fail(1);
    run_out(&mut broker, &store);
    let (bad, good): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.id.0 == bad);
    assert_eq!(party.row(&store, bad[0]).state, MarketState::Refused);
    // Two acceptances, the refusal, one settlement, one withdrawal.
    expect_all_paid(&party, &store, &good, 5);
}
