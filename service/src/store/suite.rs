//! The contract of a store, as tests that each implementation runs: random commands against a small model, and the rules
//! that a model does not show.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::*;

/// Opens a store that outlives its handles: opening it again finds what was committed.
pub type Open<'o> = &'o dyn Fn() -> Box<dyn Store>;

const LEASE: Millis = 60_000;
const SHAPE: ProvenShape = ProvenShape { requests: 1, tokens: 16, log_tile: 14 };

/// A job of a tenant, told apart by a number.
pub fn job(tenant: &str, number: u8) -> NewJob {
    NewJob {
        id: Uuid::now_v7(),
        tenant: tenant.into(),
        request_id: Uuid::from_u128(u128::from(number)),
        body: [number; 32],
        base: [1; 32],
        adapter: None,
        datanet: None,
        kind: 1,
        context: [0; 32],
        deadline: None,
        token_ids: vec![u32::from(number) + 7_000_001; 5],
        salt: [number; 31],
        answer: vec![number; 9],
        binding: None,
        group: None,
    }
}

#[derive(Clone, Debug)]
enum Command {
    Submit {
        tenant: u8,
        number: u8,
        deadline: Option<u8>,
        other: bool,
    },
    Lease,
    Extend(prop::sample::Index),
    Complete(prop::sample::Index),
    Fail(prop::sample::Index, u8),
    Cancel(prop::sample::Index, bool),
    Expire,
    Wait(u8),
    /// The process dies; another one takes the store over.
    Crash,
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let index = any::<prop::sample::Index>;
    let command = prop_oneof![
        4 => (0u8..3, 0u8..12, prop::option::of(0u8..90), prop::bool::weighted(0.1))
            .prop_map(|(tenant, number, deadline, other)| Command::Submit { tenant, number, deadline, other }),
        3 => Just(Command::Lease),
        1 => index().prop_map(Command::Extend),
        2 => index().prop_map(Command::Complete),
        2 => (index(), 0u8..4).prop_map(|(at, kind)| Command::Fail(at, kind)),
        1 => (index(), any::<bool>()).prop_map(|(at, own)| Command::Cancel(at, own)),
        1 => Just(Command::Expire),
        2 => (0u8..90).prop_map(Command::Wait),
        1 => Just(Command::Crash),
    ];
    prop::collection::vec(command, 1..60)
}

#[derive(Clone, Debug)]
struct ModelJob {
    tenant: String,
    number: u8,
    state: State,
    deadline: Option<Millis>,
    batch: Option<Uuid>,
    attempt: u32,
    infra: u32,
    events: u64,
}

#[derive(Clone, Debug)]
struct ModelBatch {
    epoch: i64,
    size: usize,
    until: Millis,
    live: bool,
    proof: Option<Vec<u8>>,
}

#[derive(Default)]
struct Model {
    now: Millis,
    jobs: BTreeMap<Uuid, ModelJob>,
    batches: BTreeMap<Uuid, ModelBatch>,
}

impl Model {
    fn set(job: &mut ModelJob, state: State) {
        job.state = state;
        job.events += 1;
        if matches!(state, State::Queued | State::Failed) {
            job.batch = None;
        }
    }

    fn lost(&mut self, batch: Uuid, failure: &BatchFailure) {
        let own = self.batches.get_mut(&batch).expect("a batch");
        own.live = false;
        let alone = own.size == 1;
        for job in self.jobs.values_mut().filter(|job| job.batch == Some(batch) && job.state == State::Proving) {
            match failure {
                BatchFailure::Work(_) | BatchFailure::Always(_) => job.attempt += u32::from(alone),
                BatchFailure::Lost(_) => job.infra += 1,
                BatchFailure::HandedBack => {}
            }
            let always = alone && matches!(failure, BatchFailure::Always(_));
            let ends = always || job.attempt >= MAX_ATTEMPTS || job.infra >= MAX_INFRA_ATTEMPTS;
            Self::set(job, if ends { State::Failed } else { State::Queued });
        }
    }

    fn end(&mut self, id: Uuid, state: State) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.state.is_terminal()) else { return };
        let batch = job.batch;
        Self::set(job, state);
        if let Some(batch) = batch {
            let waits = self.jobs.values().any(|job| job.batch == Some(batch) && job.state == State::Proving);
            self.batches.get_mut(&batch).expect("a batch").live &= waits;
        }
    }

    fn expire(&mut self) {
        let due = |job: &ModelJob| job.deadline.is_some_and(|deadline| deadline <= self.now);
        let ids: Vec<Uuid> = self.jobs.iter().filter(|(_, job)| due(job)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.end(id, State::Expired));
        let over: Vec<Uuid> =
            self.batches.iter().filter(|(_, b)| b.live && b.until <= self.now).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|batch| self.lost(batch, &BatchFailure::Lost("")));
    }

    /// Every job of the store is as here, with one event per transition.
    fn compare(&self, store: &mut dyn Store) {
        for (id, job) in &self.jobs {
            let stored = store.job(&job.tenant, *id).expect("readable").expect("there");
            assert_eq!(stored.state, job.state, "{job:?}");
            assert_eq!(stored.sequence, job.events, "{job:?}");
            assert_eq!(stored.proof.is_some(), job.state == State::Proven, "{job:?}");
            assert_eq!(stored.answer, vec![job.number; 9]);
            let events = store.events(&job.tenant, *id, 0).expect("readable");
            let sequence: Vec<u64> = events.iter().map(|event| event.sequence).collect();
            assert_eq!(sequence, (1..=job.events).collect::<Vec<_>>());
            assert!(events.windows(2).all(|pair| pair[1].from == Some(pair[0].to)), "{events:?}");
            assert_eq!(events.last().map(|event| event.to), Some(job.state));
            assert!(events.iter().rev().skip(1).all(|event| !event.to.is_terminal()), "{events:?}");
        }
        let count: u64 = store.counts().expect("readable").iter().map(|(_, count)| count).sum();
        assert_eq!(count, self.jobs.len() as u64);
    }
}

/// Runs random commands against the store and the model. `fresh` gives a way to open a new store.
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
    let mut model = Model { now: 1_000, ..Model::default() };
    for command in commands {
        let own = store.as_mut().expect("open").as_mut();
        let batch = |at: &prop::sample::Index, model: &Model| {
            let all: Vec<Uuid> = model.batches.keys().copied().collect();
            (!all.is_empty()).then(|| *at.get(&all))
        };
        match command {
            Command::Submit { tenant, number, deadline, other } => {
                submit(own, &mut model, *tenant, *number, *deadline, *other);
            }
            Command::Lease => lease(own, &mut model),
            Command::Extend(at) => {
                let Some(id) = batch(at, &model) else { continue };
                let until = model.now + LEASE;
                let known = model.batches.get_mut(&id).expect("a batch");
                let held = own.extend(id, known.epoch, until).expect("writable");
                assert_eq!(held == Held::Yes, known.live);
                known.until = if known.live { known.until.max(until) } else { known.until };
                assert_eq!(own.extend(id, known.epoch + 1, until).expect("writable"), Held::No, "another epoch");
            }
            Command::Complete(at) => {
                let Some(id) = batch(at, &model) else { continue };
                let known = model.batches[&id].clone();
                let proof = known.proof.clone().unwrap_or_else(|| id.as_bytes().to_vec());
                let wrong = own.complete(model.now, id, known.epoch - 1, &proof, SHAPE).expect("writable");
                assert_eq!(wrong, Completed::Stale, "another epoch");
                let completed = own.complete(model.now, id, known.epoch, &proof, SHAPE).expect("writable");
                let expected = match (&known.proof, known.live) {
                    (Some(_), _) => Completed::Duplicate,
                    (None, true) => Completed::Done,
                    (None, false) => Completed::Stale,
                };
                assert_eq!(completed, expected);
                if completed == Completed::Done {
                    let known = model.batches.get_mut(&id).expect("a batch");
                    (known.live, known.proof) = (false, Some(proof));
                    let waits = |job: &&mut ModelJob| job.batch == Some(id) && job.state == State::Proving;
                    model.jobs.values_mut().filter(waits).for_each(|job| Model::set(job, State::Proven));
                }
            }
            Command::Fail(at, kind) => {
                let Some(id) = batch(at, &model) else { continue };
                let failure = match kind {
                    0 => BatchFailure::Work("WORK".into()),
                    1 => BatchFailure::Always("ALWAYS".into()),
                    2 => BatchFailure::Lost("CHILD_DIED"),
                    _ => BatchFailure::HandedBack,
                };
                let known = model.batches[&id].clone();
                assert!(!own.fail(model.now, id, known.epoch + 1, &failure).expect("writable"), "another epoch");
                assert_eq!(own.fail(model.now, id, known.epoch, &failure).expect("writable"), known.live);
                if known.live {
                    model.lost(id, &failure);
                }
            }
            Command::Cancel(at, owner) => {
                let all: Vec<Uuid> = model.jobs.keys().copied().collect();
                if all.is_empty() {
                    continue;
                }
                let id = *at.get(&all);
                let tenant = if *owner { model.jobs[&id].tenant.clone() } else { "stranger".into() };
                let seen = own.cancel(model.now, &tenant, id).expect("writable");
                assert_eq!(seen.is_some(), *owner);
                if *owner {
                    model.end(id, State::Cancelled);
                }
            }
            Command::Expire => {
                own.expire(model.now).expect("writable");
                model.expire();
            }
            Command::Wait(seconds) => model.now += Millis::from(*seconds) * 1_000,
            Command::Crash => {
                drop(store.take());
                let mut again = open();
                let live: Vec<Uuid> = model.batches.iter().filter(|(_, b)| b.live).map(|(id, _)| *id).collect();
                assert_eq!(again.recover(model.now).expect("writable"), live.len());
                live.into_iter().for_each(|batch| model.lost(batch, &BatchFailure::Lost("")));
                store = Some(again);
            }
        }
        model.compare(store.as_mut().expect("open").as_mut());
    }
}

fn submit(store: &mut dyn Store, model: &mut Model, tenant: u8, number: u8, deadline: Option<u8>, other: bool) {
    let tenant = format!("tenant-{tenant}");
    let deadline = deadline.map(|seconds| model.now + Millis::from(seconds) * 1_000 + 1);
    let mut job = NewJob { deadline, ..job(&tenant, number) };
    if other {
        job.body = [0xee; 32];
    }
    let known = model.jobs.iter().find(|(_, known)| known.tenant == tenant && known.number == number);
    match (store.submit(model.now, &job, 1_000), known) {
        (Ok(Submitted::Created), None) => {
            let fresh = ModelJob {
                tenant,
                number,
                state: State::Queued,
                deadline,
                batch: None,
                attempt: 0,
                infra: 0,
                events: 1,
            };
            // The model has one content per number: the other one is remembered by none.
            if other {
                let ended = store.cancel(model.now, &job.tenant, job.id).expect("writable").expect("there");
                assert_eq!(ended.state, State::Cancelled);
                let mut fresh = ModelJob { number, ..fresh };
                Model::set(&mut fresh, State::Cancelled);
                model.jobs.insert(job.id, fresh);
            } else {
                model.jobs.insert(job.id, fresh);
            }
        }
        (Ok(Submitted::Repeated(id)), Some((known, _))) => assert_eq!(id, *known),
        (Err(StoreError::RequestIdReused), Some(_)) => {}
        (other, known) => panic!("{other:?} for {known:?}"),
    }
}

fn lease(store: &mut dyn Store, model: &mut Model) {
    let until = model.now + LEASE;
    let leased = store.lease(model.now, "test", until).expect("writable");
    let due = |job: &ModelJob| job.deadline.is_some_and(|deadline| deadline <= model.now);
    let Some(lease) = leased else {
        // What failed before waits a little; everything else that is queued would have been handed out.
        let ready = |job: &ModelJob| job.state == State::Queued && !due(job) && job.attempt + job.infra == 0;
        assert!(!model.jobs.values().any(|job| ready(job) && job.events == 1), "work is there");
        return;
    };
    assert!(!lease.members.is_empty() && lease.members.len() <= 16);
    assert!(model.batches.values().all(|known| known.epoch < lease.epoch), "epochs grow");
    let size = lease.members.len();
    model.batches.insert(lease.batch, ModelBatch { epoch: lease.epoch, size, until, live: true, proof: None });
    for member in &lease.members {
        let job = model.jobs.get_mut(&member.id).expect("a known job");
        assert!(job.deadline.is_none_or(|deadline| deadline > model.now), "it is over");
        assert_eq!((job.state, &job.tenant), (State::Queued, &lease.tenant), "one tenant, and waiting");
        assert_eq!(member.salt, [job.number; 31]);
        assert_eq!(member.token_ids, vec![u32::from(job.number) + 7_000_001; 5]);
        job.batch = Some(lease.batch);
        Model::set(job, State::Proving);
    }
}

/// What is asked twice is there once, and its id belongs to its first content.
pub fn request_ids(store: &mut dyn Store) {
    let first = job("a", 1);
    assert_eq!(store.submit(1, &first, 9).expect("writable"), Submitted::Created);
    assert_eq!(store.submit(2, &job("a", 1), 9).expect("writable"), Submitted::Repeated(first.id));
    let other = NewJob { body: [9; 32], ..job("a", 1) };
    assert!(matches!(store.submit(3, &other, 9), Err(StoreError::RequestIdReused)));
    // Another tenant's request of the same name is another request.
    assert_eq!(store.submit(4, &job("b", 1), 9).expect("writable"), Submitted::Created);
    assert_eq!(store.requested("a", first.request_id).expect("readable"), Some((first.id, first.body)));
    assert!(matches!(store.submit(5, &job("a", 2), 1), Err(StoreError::Quota { limit: 1 })));
    assert!(store.job("b", first.id).expect("readable").is_none(), "a neighbour's job");
    assert!(store.events("b", first.id, 0).expect("readable").is_empty());
    assert_eq!(store.list("b", None, None, 9).expect("readable").len(), 1);
}

/// Batches hold one tenant, and one context, kind, base, length class and datanet.
pub fn batches_do_not_mix(store: &mut dyn Store) {
    let plain = job("a", 1);
    let others = [
        NewJob { tenant: "b".into(), ..job("b", 2) },
        NewJob { context: [1; 32], ..job("a", 3) },
        NewJob { kind: 2, ..job("a", 4) },
        NewJob { base: [2; 32], ..job("a", 5) },
        NewJob { token_ids: vec![1; 17], ..job("a", 6) },
        NewJob { datanet: Some([4; 32]), ..job("a", 8) },
        NewJob { datanet: Some([5; 32]), ..job("a", 9) },
    ];
    for job in std::iter::once(&plain).chain(&others) {
        store.submit(1, job, 99).expect("writable");
    }
    let companion = NewJob { adapter: Some([3; 32]), token_ids: vec![1; 16], ..job("a", 7) };
    store.submit(1, &companion, 99).expect("writable");
    let (mut sizes, mut datanets) = (Vec::new(), Vec::new());
    while let Some(lease) = store.lease(1, "test", LEASE).expect("writable") {
        sizes.push(lease.members.len());
        for member in &lease.members {
            let job = store.job(&lease.tenant, member.id).expect("readable").expect("there");
            assert_eq!(job.datanet, lease.datanet);
            datanets.extend(job.datanet);
        }
        if lease.members.iter().any(|member| member.id == plain.id) {
            let ids: Vec<Uuid> = lease.members.iter().map(|member| member.id).collect();
            assert_eq!(ids, [plain.id, companion.id]);
        }
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 1, 1, 1, 1, 1, 2]);
    datanets.sort_unstable();
    assert_eq!(datanets, [[4; 32], [5; 32]]);
}

/// Tenants take turns, whoever came first and with however much; who was idle has saved nothing up.
pub fn tenants_take_turns(store: &mut dyn Store) {
    for number in 0..64 {
        store.submit(1, &job("busy", number), 99).expect("writable");
    }
    let lease = |store: &mut dyn Store| store.lease(2, "test", LEASE).expect("writable").expect("work").tenant;
    assert_eq!([lease(store), lease(store)], ["busy", "busy"]);
    for number in 0..32 {
        store.submit(2, &job("late", number), 99).expect("writable");
    }
    let turns: Vec<String> = (0..4).map(|_| lease(store)).collect();
    assert_eq!(turns.iter().filter(|tenant| *tenant == "late").count(), 2, "{turns:?}");
}

/// A job that always fails does not take its companions along.
pub fn poison_is_cut_out(store: &mut dyn Store) {
    let jobs: Vec<NewJob> = (0..16).map(|number| job("a", number)).collect();
    for job in &jobs {
        store.submit(1, job, 99).expect("writable");
    }
    let (poison, mut now, mut proven) = (jobs[5].id, 1, 0);
    for _ in 0..40 {
        now += 100_000;
        let Some(lease) = store.lease(now, "test", now + LEASE).expect("writable") else { break };
        if lease.members.iter().any(|member| member.id == poison) {
            let failure = BatchFailure::Always("VALUE_OUT_OF_RANGE".into());
            assert!(store.fail(now, lease.batch, lease.epoch, &failure).expect("writable"));
        } else {
            proven += lease.members.len();
            store.complete(now, lease.batch, lease.epoch, lease.batch.as_bytes(), SHAPE).expect("writable");
        }
    }
    assert_eq!(proven, 15);
    let failed = store.job("a", poison).expect("readable").expect("there");
    assert_eq!((failed.state, failed.failure.as_deref()), (State::Failed, Some("VALUE_OUT_OF_RANGE")));
    assert!(failed.attempts <= 5);
}

/// Contents come back as they were, small and large, and are deleted when no job needs them.
pub fn retention(store: &mut dyn Store) {
    let kept = Retention { inputs: Duration::from_secs(10), proofs: Duration::from_secs(100) };
    let mut proofs = Vec::new();
    for (number, bytes) in [(1, 10), (2, blobs::INLINE + 1)] {
        let job = NewJob { context: [number; 32], ..job("a", number) };
        store.submit(1, &job, 9).expect("writable");
        let lease = store.lease(1, "test", LEASE).expect("writable").expect("work");
        let proof = vec![number; bytes];
        assert_eq!(store.complete(2, lease.batch, lease.epoch, &proof, SHAPE).expect("writable"), Completed::Done);
        let stored = store.job("a", job.id).expect("readable").expect("there");
        assert_eq!((stored.shape, stored.place), (Some(SHAPE), Some(0)));
        let sha256 = stored.proof.expect("a proof");
        assert_eq!(store.blob(&sha256).expect("readable"), proof);
        proofs.push((job.id, sha256));
    }
    let open = job("a", 3);
    store.submit(2, &open, 9).expect("writable");
    assert_eq!(store.wipe(10_001, kept).expect("writable"), (0, 0));
    assert_eq!(store.wipe(10_002, kept).expect("writable"), (2, 0));
    for (id, sha256) in &proofs {
        assert!(store.job("a", *id).expect("readable").expect("there").salt.is_none());
        assert!(store.blob(sha256).is_ok());
    }
    assert_eq!(store.wipe(100_002, kept).expect("writable"), (0, 2));
    for (id, sha256) in &proofs {
        assert!(store.job("a", *id).expect("readable").is_none());
        assert!(matches!(store.blob(sha256), Err(StoreError::Missing(_))));
    }
    // What is not done is not touched, however old.
    assert!(store.job("a", open.id).expect("readable").expect("there").salt.is_some());
}

/// Keys are found by their id until they are removed.
pub fn keys(store: &mut dyn Store) {
    let key = |id: u8, tenant: &str| ApiKey {
        id: [id; 8],
        tenant: tenant.into(),
        secret_sha256: [id; 32],
        scopes: 3,
        created: 1,
        expires: Some(5),
    };
    store.add_key(&key(1, "a")).expect("writable");
    store.add_key(&key(2, "b")).expect("writable");
    assert!(store.add_key(&key(1, "c")).is_err(), "one id, one key");
    assert_eq!(store.key(&[1; 8]).expect("readable"), Some(key(1, "a")));
    assert_eq!(store.keys().expect("readable"), [key(1, "a"), key(2, "b")]);
    assert!(store.remove_key(&[1; 8]).expect("writable") && !store.remove_key(&[1; 8]).expect("writable"));
    assert_eq!(store.key(&[1; 8]).expect("readable"), None);
}

/// A lease is its owner's under its epoch; owners on other machines keep theirs when the program starts again, for a while.
pub fn claims(store: &mut dyn Store) {
    let kept = Retention { inputs: Duration::ZERO, proofs: Duration::from_secs(1_000) };
    let [remote, other] = ["remote:a", "remote:b"];
    let taken = |store: &mut dyn Store, number: u8, owner: &str| {
        let job = NewJob { context: [number; 32], ..job("a", number) };
        store.submit(1, &job, 9).expect("writable");
        (job.id, store.lease(1, owner, LEASE).expect("writable").expect("work"))
    };
    let claim = |store: &mut dyn Store, lease: &Lease, owner: &str| {
        store.claim(lease.batch, lease.epoch, owner).expect("readable")
    };
    let (_, first) = taken(store, 1, remote);
    let Claim::Held(held) = claim(store, &first, remote) else { panic!("it is held") };
    assert_eq!(
        (held.members[0].salt, &held.members[0].token_ids),
        (first.members[0].salt, &first.members[0].token_ids)
    );
    assert_eq!((held.base, held.kind, held.context, held.epoch), (first.base, first.kind, first.context, first.epoch));
    for (batch, epoch, owner) in [
        (first.batch, first.epoch, other),
        (first.batch, first.epoch, "remote:"),
        (first.batch, first.epoch, ""),
        (first.batch, first.epoch + 1, remote),
        (first.batch, i64::MAX, remote),
        (Uuid::now_v7(), first.epoch, remote),
    ] {
        assert!(matches!(store.claim(batch, epoch, owner).expect("readable"), Claim::Lost), "{batch} {epoch} {owner}");
    }
    assert_eq!(store.complete(2, first.batch, first.epoch, b"proof", SHAPE).expect("writable"), Completed::Done);
    assert!(matches!(claim(store, &first, remote), Claim::Done(own) if own == blobs::digest(b"proof")));
    assert!(matches!(claim(store, &first, other), Claim::Lost));

    // What was begun here ends with the program, what was begun elsewhere has time to come back.
    let (own_job, own) = taken(store, 2, "in-process");
    let (far_job, far) = taken(store, 3, remote);
    assert_eq!(store.recover(LEASE + 1).expect("writable"), 1);
    let state = |store: &mut dyn Store, id| store.job("a", id).expect("readable").expect("there").state;
    assert_eq!((state(store, own_job), state(store, far_job)), (State::Queued, State::Proving));
    assert!(matches!(claim(store, &own, "in-process"), Claim::Lost));
    store.expire(LEASE + RETURN).expect("writable");
    assert!(matches!(claim(store, &far, remote), Claim::Held(_)));
    store.expire(LEASE + RETURN + 1).expect("writable");
    assert_eq!(state(store, far_job), State::Queued);
    assert!(matches!(claim(store, &far, remote), Claim::Lost));

    // Given up and wiped under its lease: nothing is left to be held.
    let (gone_job, gone) = taken(store, 4, remote);
    store.cancel(LEASE, "a", gone_job).expect("writable");
    store.wipe(LEASE + 1, kept).expect("writable");
    assert!(matches!(claim(store, &gone, remote), Claim::Lost));
}
