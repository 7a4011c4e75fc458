//! Several services with one database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::cluster::shared;
use crate::store::market::{Breaker, MarketStore};
use crate::store::postgres::{Opener, PostgresStore};
use crate::store::thread::StoreThread;
use crate::store::{
    BatchFailure, Completed, NewJob, ProvenShape, State, Store, StoreError, Submitted, market_suite, suite,
};

const SHAPE: ProvenShape = ProvenShape { requests: 1, tokens: 16, log_tile: 14 };
const SERVICES: usize = 4;
const JOBS: u128 = 40;

/// What a service has done: which jobs were submitted, leased, and completed.
#[derive(Default)]
struct Done {
    created: Vec<Uuid>,
    leased: Vec<(i64, Vec<Uuid>)>,
    proven: Vec<Uuid>,
    handed_back: usize,
}

/// Submits the same requests as the others do, and works at what is there until nothing is left.
fn serve(store: &mut PostgresStore, own: usize) -> Done {
    let mut done = Done::default();
    for number in 0..JOBS {
        let tenant = format!("tenant-{}", number % 3);
        let job = NewJob { request_id: Uuid::from_u128(number), ..suite::job(&tenant, 1) };
        if store.submit(1, &job, 1_000).expect("writable") == Submitted::Created {
            done.created.push(job.id);
        }
        work(store, own, &mut done);
    }
    let since = Instant::now();
    while store.counts().expect("readable").iter().any(|(state, _)| !state.is_terminal()) {
        work(store, own, &mut done);
        assert!(since.elapsed() < Duration::from_secs(60), "it does not end");
    }
    done
}

fn work(store: &mut PostgresStore, own: usize, done: &mut Done) {
    let Some(lease) = store.lease(1, "test", 1_000).expect("writable") else { return };
    let members: Vec<Uuid> = lease.members.iter().map(|member| member.id).collect();
    done.leased.push((lease.epoch, members.clone()));
    if lease.epoch % 5 == 0 {
        assert!(store.fail(1, lease.batch, lease.epoch, &BatchFailure::HandedBack).expect("writable"));
        done.handed_back += members.len();
        return;
    }
    let proof = [lease.batch.as_bytes().as_slice(), &[own as u8]].concat();
    let completed = store.complete(2, lease.batch, lease.epoch, &proof, SHAPE).expect("writable");
    assert_eq!(completed, Completed::Done, "nobody else has this lease");
    done.proven.extend(members);
}

/// Each request is one job, each job is in one batch at a time, and each transition has one event.
#[test]
fn services_do_not_do_the_same() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let open = |own: usize| cluster.store(&database, &format!("service-{own}"));
    let done: Vec<Done> = std::thread::scope(|scope| {
        let open = &open;
        let running: Vec<_> = (0..SERVICES).map(|own| scope.spawn(move || serve(&mut open(own), own))).collect();
        running.into_iter().map(|own| own.join().expect("no panic")).collect()
    });
    let created: BTreeSet<Uuid> = done.iter().flat_map(|own| own.created.iter().copied()).collect();
    assert_eq!(done.iter().map(|own| own.created.len()).sum::<usize>(), JOBS as usize);
    assert_eq!(created.len(), JOBS as usize);
    let epochs: BTreeSet<i64> = done.iter().flat_map(|own| own.leased.iter().map(|lease| lease.0)).collect();
    assert_eq!(epochs.len(), done.iter().map(|own| own.leased.len()).sum::<usize>(), "an epoch is one lease's");
    let proven: Vec<Uuid> = done.iter().flat_map(|own| own.proven.iter().copied()).collect();
    assert_eq!((proven.iter().copied().collect::<BTreeSet<_>>(), proven.len()), (created.clone(), created.len()));
    let mut leases: BTreeMap<Uuid, usize> = BTreeMap::new();
    done.iter()
        .flat_map(|own| &own.leased)
        .flat_map(|lease| &lease.1)
        .for_each(|id| *leases.entry(*id).or_default() += 1);

    let mut store = cluster.store(&database, "afterwards");
    let mut events = 0;
    for number in 0..JOBS {
        let tenant = format!("tenant-{}", number % 3);
        let (id, _) = store.requested(&tenant, Uuid::from_u128(number)).expect("readable").expect("there");
        let own = store.events(&tenant, id, 0).expect("readable");
        assert!(own.windows(2).all(|pair| pair[1].from == Some(pair[0].to)), "{own:?}");
        assert_eq!(own.iter().filter(|event| event.to == State::Proving).count(), leases[&id]);
        events += own.len();
    }
    // Made, leased, handed back, leased again, proven.
    let handed_back: usize = done.iter().map(|own| own.handed_back).sum();
    assert_eq!(events, created.len() * 3 + handed_back * 2);
}

/// A service that starts ends its own leases, not those of others; a name is one service's.
#[test]
fn a_start_leaves_others_alone() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let mut first = cluster.store(&database, "one");
    first.submit(1, &suite::job("a", 1), 9).expect("writable");
    let lease = first.lease(1, "in-process of one", 1_000).expect("writable").expect("work");
    let taken = PostgresStore::open(&cluster.address(&database), Opener::Service("one")).expect_err("in use");
    assert!(matches!(&taken, StoreError::InUse(place) if place.contains("\"one\"")), "{taken}");
    let mut second = cluster.store(&database, "two");
    assert_eq!(second.recover(2, "in-process of two").expect("writable"), 0);
    assert_eq!(second.recover(2, "in-process of on").expect("writable"), 0);
    assert_eq!(first.job("a", lease.members[0].id).expect("readable").expect("there").state, State::Proving);
    // The name is free when its service is gone, and its leases end when it comes again.
    drop(first);
    let mut again = cluster.store(&database, "one");
    assert_eq!(again.recover(3, "in-process of one").expect("writable"), 1);
    let late = second.complete(4, lease.batch, lease.epoch, b"late", SHAPE).expect("writable");
    assert_eq!(late, Completed::Stale);
}

/// Whoever takes the market's work over fences off the one before, in another process too.
#[test]
fn brokers_are_fenced_across_services() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let (mut first, mut second) = (cluster.store(&database, "one"), cluster.store(&database, "two"));
    let old = first.take_over(1).expect("writable");
    first.set_breaker(1, old, &Breaker::Open("OLD".into())).expect("writable");
    let epoch = second.take_over(2).expect("writable");
    let fenced = first.set_breaker(3, old, &Breaker::Closed).expect_err("fenced");
    assert!(matches!(fenced, StoreError::Fenced { own, got } if (own, got) == (epoch, old)), "{fenced}");
    assert_eq!(second.breaker().expect("readable"), Some(("OLD".into(), 1)));
    second.set_breaker(4, epoch, &Breaker::Closed).expect("writable");
}

/// Whoever waits at one service hears what another one changed, and of more changes than a message holds.
#[test]
fn changes_are_told_to_other_services() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let mut writer = cluster.store(&database, "writer");
    let thread = StoreThread::start(Box::new(cluster.store(&database, "listener")));
    let mut changes = thread.changes();
    let mut hear = |count: usize| -> BTreeSet<Uuid> {
        let (since, mut heard) = (Instant::now(), BTreeSet::new());
        while heard.len() < count && since.elapsed() < Duration::from_secs(10) {
            match changes.try_recv() {
                Ok(id) => drop(heard.insert(id)),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        heard
    };
    let job = suite::job("a", 1);
    writer.submit(1, &job, 9).expect("writable");
    assert_eq!(hear(1), BTreeSet::from([job.id]));
    let request = market_suite::request("a", 1);
    writer.admit(1, &request, 9).expect("writable");
    assert_eq!(hear(1), BTreeSet::from([request.id]));
    let due: BTreeSet<Uuid> = (0..450_u32)
        .map(|number| {
            let request_id = Uuid::from_u128(u128::from(number) + 1_000);
            let job = NewJob { request_id, deadline: Some(5), ..suite::job("b", 1) };
            writer.submit(1, &job, 1_000).expect("writable");
            job.id
        })
        .collect();
    assert_eq!(hear(450), due);
    writer.expire(6).expect("writable");
    assert_eq!(hear(450), due, "all of one transaction");
    // What it changes itself it hears of too.
    thread.ask(move |store| store.cancel(7, "a", job.id)).expect("writable");
    assert_eq!(hear(1), BTreeSet::from([job.id]));
}
