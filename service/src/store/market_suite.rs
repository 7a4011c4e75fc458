//! The contract of a store's part for the market: random commands against a small model, and the rules of money.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::market::*;
use super::suite::Open;
use super::*;

pub const ACCOUNT: Account = [7; 20];
pub const CHAIN: u64 = 31_337;

/// A request of a tenant, told apart by a number.
pub fn request(tenant: &str, number: u8) -> NewRequest {
    NewRequest {
        datanet: (number % 2 == 1).then_some([number; 32]),
        id: Uuid::now_v7(),
        digest: [number; 32],
        chain: CHAIN,
        tenant: tenant.into(),
        terms: vec![number; 7],
        base: [1; 32],
        adapter: None,
        kind: 1,
        deadline: 1_000,
        token_ids: vec![u32::from(number) + 9_000_001; 5],
        salt: [number; 31],
        answer: vec![number; 9],
    }
}

pub fn intent(kind: IntentKind, subject: u8, request: Option<Uuid>) -> NewIntent {
    NewIntent {
        id: Uuid::now_v7(),
        chain: CHAIN,
        account: ACCOUNT,
        kind,
        subject: [subject; 32],
        requests: request.into_iter().collect(),
        target: [9; 20],
        data: vec![subject; 4],
        more_gas: 5,
    }
}

fn entry(tx: u8, log: u64, request: Option<u8>) -> Entry {
    Entry {
        chain: CHAIN,
        tx: [tx; 32],
        log,
        kind: if request.is_some() { EntryKind::Earned } else { EntryKind::Withdrawn },
        request: request.map(|number| [number; 32]),
        account: ACCOUNT,
        token: [3; 20],
        amount: [1; 32],
    }
}

pub fn advance(request: Uuid, from: MarketState, to: MarketState, effects: Effects) -> Advance {
    Advance { request, from, to, reason: "TEST".into(), effects }
}

#[derive(Clone, Debug)]
enum Command {
    Admit {
        tenant: u8,
        number: u8,
    },
    Advance {
        at: prop::sample::Index,
        to: u8,
        true_from: bool,
        with_intent: bool,
    },
    Intend {
        kind: u8,
        subject: u8,
    },
    Sign {
        at: prop::sample::Index,
        nonce: u8,
        stale: bool,
    },
    Finish {
        at: prop::sample::Index,
        state: u8,
        tx: u8,
        stale: bool,
    },
    TakeOver,
    /// The process dies; another one takes the store over, and the work.
    Crash,
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let index = any::<prop::sample::Index>;
    let command = prop_oneof![
        3 => (0u8..3, 0u8..10).prop_map(|(tenant, number)| Command::Admit { tenant, number }),
        4 => (index(), 0u8..12, prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(at, to, true_from, with_intent)| Command::Advance { at, to, true_from, with_intent }),
        3 => (0u8..4, 0u8..4).prop_map(|(kind, subject)| Command::Intend { kind, subject }),
        4 => (index(), 0u8..20, prop::bool::weighted(0.1))
            .prop_map(|(at, nonce, stale)| Command::Sign { at, nonce, stale }),
        3 => (index(), 0u8..3, 0u8..6, prop::bool::weighted(0.1))
            .prop_map(|(at, state, tx, stale)| Command::Finish { at, state, tx, stale }),
        1 => Just(Command::TakeOver),
        1 => Just(Command::Crash),
    ];
    prop::collection::vec(command, 1..60)
}

#[derive(Clone, Debug)]
struct ModelIntent {
    what: NewIntent,
    state: IntentState,
    nonce: Option<u64>,
    versions: usize,
}

#[derive(Default)]
struct Model {
    epoch: i64,
    requests: BTreeMap<u8, (String, Uuid, MarketState, u64)>,
    intents: Vec<ModelIntent>,
    ledger: BTreeSet<([u8; 32], u64)>,
    /// Hashes that were given out.
    signed: u8,
}

impl Model {
    fn in_flight(&self, kind: IntentKind, subject: &Word) -> bool {
        let open = |state| matches!(state, IntentState::Open | IntentState::Sent);
        self.intents.iter().any(|own| own.what.kind == kind && own.what.subject == *subject && open(own.state))
    }

    fn compare(&self, store: &mut dyn Store) {
        for (number, (tenant, id, state, sequence)) in &self.requests {
            let own = store.request(tenant, &[*number; 32]).expect("readable").expect("there");
            assert_eq!((own.id, own.state, own.sequence), (*id, *state, *sequence));
            assert!(store.request("stranger", &[*number; 32]).expect("readable").is_none());
            let events = store.request_events(tenant, &[*number; 32], 0).expect("readable");
            assert_eq!(events.len() as u64, *sequence);
            assert!(events.windows(2).all(|pair| pair[1].from == Some(pair[0].to)), "{events:?}");
            assert_eq!(events.last().map(|event| event.to), Some(*state));
        }
        let open = self.requests.values().filter(|own| !own.2.is_terminal()).count();
        assert_eq!(store.open_requests().expect("readable").len(), open);
        let mut expected: Vec<(Uuid, IntentState, Option<u64>, usize)> = self
            .intents
            .iter()
            .filter(|own| matches!(own.state, IntentState::Open | IntentState::Sent))
            .map(|own| (own.what.id, own.state, own.nonce, own.versions))
            .collect();
        expected.sort_by_key(|own| (own.2.is_none(), own.2, own.0));
        let found = store.intents_in_flight(CHAIN, &ACCOUNT).expect("readable");
        let found: Vec<_> = found.iter().map(|own| (own.what.id, own.state, own.nonce, own.versions.len())).collect();
        assert_eq!(found, expected);
        let next = self.intents.iter().filter_map(|own| own.nonce).max().map(|nonce| nonce + 1);
        assert_eq!(store.next_nonce(CHAIN, &ACCOUNT).expect("readable"), next);
        let ledger: BTreeSet<([u8; 32], u64)> =
            store.ledger(CHAIN, &ACCOUNT).expect("readable").iter().map(|entry| (entry.tx, entry.log)).collect();
        assert_eq!(ledger, self.ledger);
    }
}

/// Runs random commands against the store and the model.
pub fn model_test<'o>(cases: u32, fresh: impl Fn() -> Box<dyn Fn() -> Box<dyn Store> + 'o>) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let run = |commands: Vec<Command>| {
        let open = fresh();
        play(&*open, &commands);
        Ok(())
    };
    runner.run(&commands(), run).expect("store and model agree");
}

fn play(open: Open<'_>, commands: &[Command]) {
    let mut store = Some(open());
    let mut model = Model { epoch: store.as_mut().expect("open").take_over(1).expect("writable"), ..Model::default() };
    for command in commands {
        let own = store.as_mut().expect("open").as_mut();
        match command {
            Command::Admit { tenant, number } => {
                let new = request(&format!("tenant-{tenant}"), *number);
                match (own.admit(2, &new, 100), model.requests.get(number)) {
                    (Ok(Submitted::Created), None) => {
                        let known = (new.tenant.clone(), new.id, MarketState::Waiting, 1);
                        model.requests.insert(*number, known);
                    }
                    (Ok(Submitted::Repeated(id)), Some(known)) => assert_eq!((&new.tenant, id), (&known.0, known.1)),
                    (Err(StoreError::RequestForeign), Some(known)) => assert_ne!(new.tenant, known.0),
                    (other, known) => panic!("{other:?} for {known:?}"),
                }
            }
            Command::Advance { at, to, true_from, with_intent } => {
                let all: Vec<u8> = model.requests.keys().copied().collect();
                if all.is_empty() {
                    continue;
                }
                let number = *at.get(&all);
                let (_, id, state, _) = model.requests[&number].clone();
                let to = MarketState::ALL[usize::from(*to) % MarketState::ALL.len()];
                // What the rows demand of these states is tested by the broker.
                if matches!(to, MarketState::Proving | MarketState::Settling | MarketState::Paid) {
                    continue;
                }
                let other = MarketState::ALL.iter().copied().find(|other| *other != state).expect("another");
                let from = if *true_from { state } else { other };
                let wanted = with_intent.then(|| intent(IntentKind::Accept, number, Some(id)));
                let blocked = wanted.as_ref().is_some_and(|own| model.in_flight(own.kind, &own.subject));
                let effects = Effects { intent: wanted.clone(), ..Effects::default() };
                let moved = own.advance(3, model.epoch, &advance(id, from, to, effects));
                match moved {
                    Ok(moved) => assert_eq!(moved, *true_from),
                    Err(error) => assert!(*true_from && blocked, "{error}"),
                }
                if *true_from && !blocked {
                    let known = model.requests.get_mut(&number).expect("a request");
                    (known.2, known.3) = (to, known.3 + 1);
                    let fresh = |what| ModelIntent { what, state: IntentState::Open, nonce: None, versions: 0 };
                    model.intents.extend(wanted.map(fresh));
                }
            }
            Command::Intend { kind, subject } => {
                let what = intent(IntentKind::ALL[usize::from(*kind)], 100 + subject, None);
                let free = !model.in_flight(what.kind, &what.subject);
                assert_eq!(own.intend(4, model.epoch, &what).expect("writable"), free);
                if free {
                    model.intents.push(ModelIntent { what, state: IntentState::Open, nonce: None, versions: 0 });
                }
            }
            Command::Sign { at, nonce, stale } => {
                if model.intents.is_empty() {
                    continue;
                }
                let place = at.index(model.intents.len());
                let known = model.intents[place].clone();
                let nonce = known.nonce.filter(|_| nonce % 2 == 0).unwrap_or(u64::from(*nonce));
                model.signed += 1;
                let hash = [model.signed; 32];
                let epoch = model.epoch - i64::from(*stale);
                let signed = own.sign(5, epoch, known.what.id, nonce, (&hash, &[model.signed; 40]));
                let taken = model.intents.iter().any(|own| own.what.id != known.what.id && own.nonce == Some(nonce));
                let fits = match known.state {
                    IntentState::Open => true,
                    IntentState::Sent => known.nonce == Some(nonce),
                    _ => false,
                };
                match signed {
                    Err(StoreError::Fenced { .. }) => assert!(*stale),
                    // A nonce is one intent's for good.
                    Err(error) => assert!(fits && taken && !stale, "{error}"),
                    Ok(signed) => assert_eq!((signed, *stale), (fits && !taken, false)),
                }
                if fits && !taken && !stale {
                    let known = &mut model.intents[place];
                    (known.state, known.nonce, known.versions) = (IntentState::Sent, Some(nonce), known.versions + 1);
                }
            }
            Command::Finish { at, state, tx, stale } => {
                if model.intents.is_empty() {
                    continue;
                }
                let place = at.index(model.intents.len());
                let known = model.intents[place].clone();
                let state = [IntentState::Done, IntentState::Failed, IntentState::Dead][usize::from(*state)];
                // What is in a block was signed.
                if state != IntentState::Dead && known.nonce.is_none() {
                    continue;
                }
                let mined = (state != IntentState::Dead).then_some(([*tx; 32], 3, 21_000));
                let entries = if state == IntentState::Done { vec![entry(*tx, 0, None)] } else { Vec::new() };
                let end = IntentEnd { state, reason: "TEST".into(), mined, seen: None, entries };
                let epoch = model.epoch - i64::from(*stale);
                let ended = own.finish(6, epoch, known.what.id, &end, &[]);
                let live = matches!(known.state, IntentState::Open | IntentState::Sent);
                match ended {
                    Err(StoreError::Fenced { .. }) => assert!(*stale),
                    other => assert_eq!((other.expect("writable"), *stale), (live, false)),
                }
                if live && !stale {
                    model.intents[place].state = state;
                    model.ledger.extend(end.entries.iter().map(|entry| (entry.tx, entry.log)));
                }
            }
            Command::TakeOver => {
                let epoch = own.take_over(7).expect("writable");
                assert!(epoch > model.epoch);
                model.epoch = epoch;
            }
            Command::Crash => {
                drop(store.take());
                let mut again = open();
                model.epoch = again.take_over(8).expect("writable");
                store = Some(again);
            }
        }
        model.compare(store.as_mut().expect("open").as_mut());
    }
}

/// One request, one tenant; what is another's is not there.
pub fn requests_are_once(store: &mut dyn Store) {
    let first = request("a", 1);
    assert_eq!(store.admit(1, &first, 2).expect("writable"), Submitted::Created);
    assert_eq!(store.admit(2, &request("a", 1), 2).expect("writable"), Submitted::Repeated(first.id));
    assert!(matches!(store.admit(3, &request("b", 1), 2), Err(StoreError::RequestForeign)));
    assert_eq!(store.owner(&first.digest).expect("readable").as_deref(), Some("a"));
    assert_eq!(store.owner(&[9; 32]).expect("readable"), None);
    assert!(store.request("b", &first.digest).expect("readable").is_none());
    assert!(store.request_events("b", &first.digest, 0).expect("readable").is_empty());
    assert_eq!(store.admit(4, &request("a", 2), 2).expect("writable"), Submitted::Created);
    assert!(matches!(store.admit(5, &request("a", 3), 2), Err(StoreError::Quota { limit: 2 })));
    let (ids, salt) = store.request_input(first.id).expect("readable").expect("there");
    assert_eq!((ids, salt), (first.token_ids, first.salt));
    assert_eq!(store.take_changed().len(), 2);
}

/// What was taken over from changes nothing; what belongs together is written together or not at all.
pub fn money_is_moved_once(store: &mut dyn Store) {
    let own = request("a", 1);
    store.admit(1, &own, 9).expect("writable");
    let old = store.take_over(1).expect("writable");
    let epoch = store.take_over(1).expect("writable");
    let accept = intent(IntentKind::Accept, 1, Some(own.id));
    let effects = Effects { intent: Some(accept.clone()), ..Effects::default() };
    let decide = advance(own.id, MarketState::Waiting, MarketState::Accepting, effects);
    assert!(matches!(store.advance(2, old, &decide), Err(StoreError::Fenced { .. })));
    assert!(matches!(store.intend(2, old, &accept), Err(StoreError::Fenced { .. })));
    assert!(matches!(store.set_breaker(2, old, &Breaker::Closed), Err(StoreError::Fenced { .. })));
    assert!(store.intents_of(own.id).expect("readable").is_empty());
    assert!(store.advance(2, epoch, &decide).expect("writable"));
    assert!(!store.advance(3, epoch, &decide).expect("writable"), "it is not there any more");
    assert_eq!(store.intents_of(own.id).expect("readable").len(), 1);
    assert!(store.sign(3, epoch, accept.id, 4, (&[1; 32], b"raw")).expect("writable"));
    assert!(!store.sign(3, epoch, accept.id, 5, (&[2; 32], b"raw")).expect("writable"), "another nonce");

    // An end whose request is elsewhere is no end: nothing of it is written.
    let elsewhere = advance(own.id, MarketState::Settling, MarketState::Declined, Effects::default());
    let end = IntentEnd {
        state: IntentState::Done,
        reason: "MINED".into(),
        mined: Some(([1; 32], 7, 40_000)),
        seen: Some((7, [2; 32])),
        entries: vec![entry(1, 0, Some(1)), entry(1, 1, None)],
    };
    assert!(store.finish(4, epoch, accept.id, &end, std::slice::from_ref(&elsewhere)).is_err());
    assert!(store.ledger(CHAIN, &ACCOUNT).expect("readable").is_empty());
    assert_eq!(store.intents_of(own.id).expect("readable")[0].state, IntentState::Sent);
    let accepted = advance(own.id, MarketState::Accepting, MarketState::Accepted, Effects::default());
    assert!(store.finish(5, epoch, accept.id, &end, std::slice::from_ref(&accepted)).expect("writable"));
    assert!(!store.finish(6, epoch, accept.id, &end, std::slice::from_ref(&accepted)).expect("writable"), "once");
    assert_eq!(store.ledger(CHAIN, &ACCOUNT).expect("readable"), end.entries);
    // The same log by another way is the same line; a request is paid once, whatever else is said.
    let effects = Effects { entries: end.entries.clone(), ..Effects::default() };
    let again = advance(own.id, MarketState::Accepted, MarketState::Refusing, effects);
    assert!(store.advance(7, epoch, &again).expect("writable"));
    assert_eq!(store.ledger(CHAIN, &ACCOUNT).expect("readable"), end.entries);
    let effects = Effects { entries: vec![entry(2, 0, Some(1))], ..Effects::default() };
    let twice = advance(own.id, MarketState::Refusing, MarketState::Refused, effects);
    assert!(store.advance(8, epoch, &twice).is_err());
    assert_eq!(store.request("a", &own.digest).expect("readable").expect("there").state, MarketState::Refusing);

    // A job that is settled is alone in its batch, with what it is settled for.
    let job = |number: u8| NewJob {
        tenant: MARKET.into(),
        binding: Some(vec![number; 3]),
        group: Some(Group { id: Uuid::from_bytes([number; 16]), jobs: 1 }),
        ..super::suite::job(MARKET, number)
    };
    for (number, from) in [(1, MarketState::Refusing), (2, MarketState::Waiting)] {
        let queue =
            |id| advance(id, from, MarketState::Proving, Effects { job: Some(job(number)), ..Effects::default() });
        let id = if number == 1 { own.id } else { Uuid::nil() };
        assert_eq!(store.advance(9, epoch, &queue(id)).expect("writable"), number == 1);
    }
    store.submit(9, &job(3), 9).expect("writable");
    let lease = store.lease(10, "test", 99).expect("writable").expect("work");
    assert_eq!((lease.members.len(), lease.binding, lease.tenant.as_str()), (1, Some(vec![1; 3]), MARKET));

    store.set_breaker(11, epoch, &Breaker::Open("WHY".into())).expect("writable");
    assert_eq!(store.breaker().expect("readable"), Some(("WHY".into(), 11)));
    store.set_breaker(12, epoch, &Breaker::Closed).expect("writable");
    assert_eq!(store.breaker().expect("readable"), None);
}

/// Jobs that are bound together are leased together, in the order of their ids, or not at all; what fails together fails.
pub fn groups_go_together(store: &mut dyn Store) {
    let group = Group { id: Uuid::now_v7(), jobs: 3 };
    let mut jobs: Vec<NewJob> = (1..=3)
        .map(|number| NewJob {
            tenant: MARKET.into(),
            // The last one is the most urgent.
            deadline: Some(1_000 - i64::from(number)),
            binding: Some(vec![9]),
            group: Some(group),
            ..super::suite::job(MARKET, number)
        })
        .collect();
    jobs.sort_by_key(|job| job.id);
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.id).collect();
    let alone = NewJob {
        deadline: Some(2_000),
        binding: Some(vec![8]),
        group: Some(Group { id: Uuid::now_v7(), jobs: 1 }),
        ..super::suite::job(MARKET, 4)
    };
    store.submit(1, &jobs[0], 9).expect("writable");
    store.submit(1, &jobs[1], 9).expect("writable");
    assert!(store.lease(2, "test", 99).expect("writable").is_none(), "two of three");
    store.submit(1, &alone, 9).expect("writable");
    let lease = store.lease(2, "test", 99).expect("writable").expect("work");
    assert_eq!((lease.members.len(), lease.members[0].id), (1, alone.id), "what is not whole is in nobody's way");
    store.submit(1, &jobs[2], 9).expect("writable");
    let lease = store.lease(2, "test", 99).expect("writable").expect("work");
    assert_eq!(lease.members.iter().map(|own| own.id).collect::<Vec<_>>(), ids);
    let states = |store: &mut dyn Store| -> Vec<State> {
        store.companions(ids[1]).expect("readable").into_iter().map(|own| own.1).collect()
    };
    assert_eq!(states(store), [State::Proving; 3]);
    // Lost, they go again together; without one of them none does.
    assert!(store.fail(3, lease.batch, lease.epoch, &BatchFailure::HandedBack).expect("writable"));
    let lease = store.lease(4, "test", 99).expect("writable").expect("work");
    assert_eq!(lease.members.len(), 3);
    // One ends while they are proven: the others are proven all the same.
    store.cancel(5, MARKET, ids[0]).expect("writable");
    assert_eq!(states(store), [State::Cancelled, State::Proving, State::Proving]);
    assert_eq!(store.extend(lease.batch, lease.epoch, 199).expect("writable"), Held::Yes);
    assert!(store.fail(6, lease.batch, lease.epoch, &BatchFailure::HandedBack).expect("writable"));
    assert!(store.lease(7, "test", 99).expect("writable").is_none());
    // What fails together fails at once, since it cannot be cut.
    let group = Group { id: Uuid::now_v7(), jobs: 2 };
    for number in [5, 6] {
        let job = NewJob { binding: Some(vec![7]), group: Some(group), ..super::suite::job(MARKET, number) };
        store.submit(8, &job, 9).expect("writable");
    }
    let lease = store.lease(9, "test", 99).expect("writable").expect("work");
    assert_eq!(lease.members.len(), 2);
    let failure = BatchFailure::Work("WHY".into());
    assert!(store.fail(10, lease.batch, lease.epoch, &failure).expect("writable"));
    for member in &lease.members {
        let job = store.job(MARKET, member.id).expect("readable").expect("there");
        assert_eq!((job.state, job.failure.as_deref()), (State::Failed, Some("WHY")));
    }
}

/// Several requests move together or not at all.
pub fn requests_move_together(store: &mut dyn Store) {
    let (first, second) = (request("a", 1), request("b", 2));
    store.admit(1, &first, 9).expect("writable");
    store.admit(1, &second, 9).expect("writable");
    let epoch = store.take_over(1).expect("writable");
    let intent = NewIntent { requests: vec![first.id, second.id], ..intent(IntentKind::Settle, 7, None) };
    let to = |own: &NewRequest, from| advance(own.id, from, MarketState::Accepted, Effects::default());
    let wrong = [to(&first, MarketState::Waiting), to(&second, MarketState::Settling)];
    assert!(store.advance_all(2, epoch, &wrong).is_err());
    assert_eq!(store.request_now(first.id).expect("readable").expect("there").state, MarketState::Waiting);
    let mut right = [to(&first, MarketState::Waiting), to(&second, MarketState::Waiting)];
    right[0].effects.intent = Some(intent.clone());
    assert!(matches!(store.advance_all(2, epoch - 1, &right), Err(StoreError::Fenced { .. })));
    store.advance_all(2, epoch, &right).expect("writable");
    for own in [&first, &second] {
        let found = store.intents_of(own.id).expect("readable");
        assert_eq!(found.iter().map(|own| own.what.id).collect::<Vec<_>>(), [intent.id]);
        assert_eq!(found[0].what.requests.len(), 2);
    }
}

/// What is believed by a block goes with it, and nothing else does.
pub fn blocks_are_taken_back(store: &mut dyn Store) {
    let (own, other) = (request("a", 1), request("a", 2));
    store.admit(1, &own, 9).expect("writable");
    store.admit(1, &other, 9).expect("writable");
    let epoch = store.take_over(1).expect("writable");
    let (gone, kept) = ((7, [7; 32]), (7, [8; 32]));
    let mut paid = |own: &NewRequest, number: u8, seen: Block| {
        let what = intent(IntentKind::Settle, number, Some(own.id));
        assert!(store.intend(2, epoch, &what).expect("writable"));
        assert!(store.sign(3, epoch, what.id, number.into(), (&[number; 32], b"raw")).expect("writable"));
        let effects = Effects { settle_tx: Some([number; 32]), seen: Some(seen), ..Effects::default() };
        let advance = advance(own.id, MarketState::Waiting, MarketState::Paid, effects);
        let end = IntentEnd {
            state: IntentState::Done,
            reason: "MINED".into(),
            mined: Some(([number; 32], 7, 40_000)),
            seen: Some(seen),
            entries: vec![entry(number, 0, Some(number))],
        };
        assert!(store.finish(4, epoch, what.id, &end, &[advance]).expect("writable"));
        what.id
    };
    let (first, second) = (paid(&own, 1, gone), paid(&other, 2, kept));
    assert_eq!(store.blocks_seen(CHAIN, 7).expect("readable"), [gone, kept]);
    assert!(store.blocks_seen(CHAIN, 8).expect("readable").is_empty());
    assert!(store.blocks_seen(CHAIN + 1, 0).expect("readable").is_empty());
    assert!(matches!(store.take_back(5, epoch - 1, CHAIN, &gone), Err(StoreError::Fenced { .. })));
    // An intent, a line, a request.
    assert_eq!(store.take_back(5, epoch, CHAIN, &gone).expect("writable"), 3);
    assert_eq!(store.take_back(6, epoch, CHAIN, &gone).expect("writable"), 0, "once");
    let state = |store: &mut dyn Store, id| store.request_now(id).expect("readable").expect("there").state;
    assert_eq!((state(store, own.id), state(store, other.id)), (MarketState::Waiting, MarketState::Paid));
    assert_eq!(store.ledger(CHAIN, &ACCOUNT).expect("readable"), [entry(2, 0, Some(2))]);
    let intents = [own.id, other.id].map(|id| store.intents_of(id).expect("readable").remove(0));
    assert_eq!(intents.each_ref().map(|own| own.what.id), [first, second]);
    assert_eq!(intents.each_ref().map(|own| own.state), [IntentState::Sent, IntentState::Done]);
    assert_eq!((intents[0].versions.len(), intents[0].nonce, intents[0].tx), (1, Some(1), None));
    // In another block it is booked again, once.
    let end = IntentEnd {
        state: IntentState::Done,
        reason: "MINED".into(),
        mined: Some(([1; 32], 9, 40_000)),
        seen: Some((9, [9; 32])),
        entries: vec![entry(1, 0, Some(1))],
    };
    assert!(store.finish(7, epoch, first, &end, &[]).expect("writable"));
    assert_eq!(store.ledger(CHAIN, &ACCOUNT).expect("readable").len(), 2);
    assert_eq!(store.blocks_seen(CHAIN, 0).expect("readable"), [kept, (9, [9; 32])]);
}

/// Inputs of requests that have ended are wiped, and later the requests; money stays.
pub fn requests_are_wiped(store: &mut dyn Store) {
    let kept = Retention { inputs: Duration::from_secs(10), proofs: Duration::from_secs(100) };
    let (own, open) = (request("a", 1), request("a", 2));
    store.admit(1, &own, 9).expect("writable");
    store.admit(1, &open, 9).expect("writable");
    let epoch = store.take_over(1).expect("writable");
    let effects = Effects { entries: vec![entry(1, 0, Some(1))], ..Effects::default() };
    let end = advance(own.id, MarketState::Waiting, MarketState::Declined, effects);
    assert!(store.advance(2, epoch, &end).expect("writable"));
    assert_eq!(store.wipe(10_001, kept).expect("writable"), (0, 0));
    assert_eq!(store.wipe(10_002, kept).expect("writable"), (1, 0));
    assert!(store.request_input(own.id).expect("readable").is_none());
    assert!(store.request("a", &own.digest).expect("readable").is_some());
    assert_eq!(store.wipe(100_002, kept).expect("writable"), (0, 1));
    assert!(store.request("a", &own.digest).expect("readable").is_none());
    assert_eq!(store.ledger(CHAIN, &ACCOUNT).expect("readable").len(), 1);
    assert!(store.request_input(open.id).expect("readable").is_some(), "what is open is not touched");
}
