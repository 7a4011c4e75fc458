//! The contract on Postgres, and what only it has: connections, versions, errors.

use super::cluster::{ASKED, Cluster, PASSWORD, shared};
use crate::store::postgres::{Address, Opener, PostgresStore};
use crate::store::sql::schema::VERSION;
use crate::store::{ProvenShape, State, Store, StoreError, Submitted, blobs, market::MarketStore, market_suite, suite};

const SHAPE: ProvenShape = ProvenShape { requests: 1, tokens: 16, log_tile: 14 };

#[test]
fn store_and_model_agree() {
    let Some(cluster) = shared() else { return };
    suite::model_test(16, || {
        let database = cluster.database();
        Box::new(move || Box::new(cluster.store(&database, "one")))
    });
}

#[test]
fn the_contract_holds() {
    let Some(cluster) = shared() else { return };
    super::contract(|test| test(&mut cluster.store(&cluster.database(), "one")));
}

#[test]
fn the_market_and_its_model_agree() {
    let Some(cluster) = shared() else { return };
    market_suite::model_test(16, || {
        let database = cluster.database();
        Box::new(move || Box::new(cluster.store(&database, "one")))
    });
}

/// Large contents are in the database, where other machines find them.
#[test]
fn contents_are_in_the_database() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let (mut store, mut other) = (cluster.store(&database, "one"), cluster.store(&database, "other"));
    store.submit(1, &suite::job("a", 1), 9).expect("writable");
    let lease = store.lease(1, "test", 9).expect("writable").expect("work");
    let proof: Vec<u8> = (0..3 * blobs::INLINE).map(|at| at as u8).collect();
    store.complete(2, lease.batch, lease.epoch, &proof, SHAPE).expect("writable");
    let sha256 = blobs::digest(&proof);
    assert_eq!(other.blob(&sha256).expect("readable"), proof);
    let mut beside = cluster.client(&database);
    beside.execute("UPDATE lorica.blobs SET content = set_byte(content, 7, 1)", &[]).expect("writable");
    assert!(matches!(other.blob(&sha256), Err(StoreError::Damaged(own)) if own == sha256));
}

/// A call whose connection is gone fails, with nothing done; the next one has a new connection.
#[test]
fn a_lost_connection_is_made_again() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let mut store = cluster.store(&database, "one");
    let mut beside = cluster.client(&database);
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lorica' AND datname = $1";
    assert_eq!(beside.query(end, &[&database]).expect("readable").len(), 1);
    let lost = store.submit(1, &suite::job("a", 1), 9).expect_err("it is lost");
    assert!(matches!(lost, StoreError::Unavailable(_)), "{lost}");
    assert_eq!(store.submit(2, &suite::job("a", 1), 9).expect("writable"), Submitted::Created);

    // In the middle of a transaction, whose first half is not there either.
    let trap = "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
        CREATE TRIGGER trap BEFORE INSERT ON lorica.job_answers FOR EACH ROW EXECUTE FUNCTION trap()";
    beside.batch_execute(trap).expect("a trigger");
    let lost = store.submit(3, &suite::job("a", 2), 9).expect_err("it is lost");
    assert!(matches!(lost, StoreError::Unavailable(_)), "{lost}");
    assert_eq!(store.counts().expect("readable"), [(State::Queued, 1)]);
    beside.batch_execute("DROP TRIGGER trap ON lorica.job_answers").expect("a trigger");
    assert_eq!(store.submit(4, &suite::job("a", 2), 9).expect("writable"), Submitted::Created);
    assert_eq!(store.counts().expect("readable"), [(State::Queued, 2)]);
}

/// What another transaction was in the way of is done again, but not for ever.
#[test]
fn conflicts_are_tried_again() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let mut store = cluster.store(&database, "one");
    let mut beside = cluster.client(&database);
    for code in ["40001", "40P01"] {
        let trap = format!(
            "CREATE SEQUENCE lorica.tries; CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN IF nextval('lorica.tries') <= 3 THEN RAISE EXCEPTION 'a conflict' USING ERRCODE = '{code}'; END IF;
             RETURN NEW; END$$;
             CREATE TRIGGER trap BEFORE INSERT ON lorica.job_answers FOR EACH ROW EXECUTE FUNCTION trap()"
        );
        beside.batch_execute(&trap).expect("a trigger");
        let job = suite::job(code, 1);
        assert_eq!(store.submit(1, &job, 9).expect("writable"), Submitted::Created, "the fourth time");
        assert_eq!(store.events(code, job.id, 0).expect("readable").len(), 1);
        beside.batch_execute("ALTER SEQUENCE lorica.tries MINVALUE -1000 RESTART -1000").expect("a sequence");
        let refused = store.submit(1, &suite::job(code, 2), 9).expect_err("a conflict each time");
        assert!(matches!(refused, StoreError::Conflict), "{refused}");
        assert_eq!(store.take_changed(), [job.id], "what was not done is not told");
        beside
            .batch_execute("DROP TRIGGER trap ON lorica.job_answers; DROP FUNCTION trap; DROP SEQUENCE lorica.tries")
            .expect("nothing is left");
    }
}

/// A statement that fails takes its transaction along, and leaves the connection in order.
#[test]
fn refused_statements_leave_nothing() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let mut store = cluster.store(&database, "one");
    let first = suite::job("a", 1);
    store.submit(1, &first, 9).expect("writable");
    let same = crate::store::NewJob { id: first.id, ..suite::job("b", 2) };
    let refused = store.submit(2, &same, 9).expect_err("one id, one job");
    assert!(matches!(&refused, StoreError::Database(reason) if reason.contains("jobs_pkey")), "{refused}");
    assert_eq!(store.list("b", None, None, 9).expect("readable").len(), 0);
    let own = market_suite::request("a", 1);
    let far = crate::store::market::NewRequest { deadline: u64::MAX, ..own.clone() };
    assert!(matches!(store.admit(3, &far, 9), Err(StoreError::Number)));
    assert_eq!(store.admit(4, &own, 9).expect("writable"), Submitted::Created);
}

#[test]
fn foreign_and_newer_databases_are_refused() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let address = cluster.address(&database);
    let open = |opener| PostgresStore::open(&address, opener);
    let absent = open(Opener::Command { make: false }).expect_err("there is none");
    assert!(matches!(&absent, StoreError::Absent(place) if place.contains(&database)), "{absent}");
    suite::keys(&mut open(Opener::Command { make: true }).expect("a new one"));
    let mut beside = cluster.client(&database);
    beside.execute("UPDATE lorica.store_version SET version = $1", &[&(VERSION + 1)]).expect("writable");
    for opener in [Opener::Service("one"), Opener::Command { make: false }] {
        let newer = open(opener).expect_err("refused");
        assert!(matches!(newer, StoreError::Version { got, known } if got == known + 1), "{newer}");
    }
    beside
        .batch_execute("DROP SCHEMA lorica CASCADE; CREATE SCHEMA lorica; CREATE TABLE lorica.own ()")
        .expect("writable");
    let foreign = open(Opener::Service("one")).expect_err("refused");
    assert!(matches!(foreign, StoreError::Content(_)), "{foreign}");
}

/// What is wrong is named, and the password is not.
#[test]
fn errors_name_what_is_wrong() {
    let Some(cluster) = shared() else { return };
    let database = cluster.database();
    let refused = |address: &Address| {
        let error = PostgresStore::open(address, Opener::Service("one")).expect_err("refused");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hush"), "{text}");
        (error, text)
    };
    let asked = Address::parse(&cluster.tcp(ASKED, &database)).expect("an address");
    let (error, text) = refused(&asked.clone().with_password(b"hush"));
    assert!(matches!(error, StoreError::Database(_)) && text.contains("password") && text.contains(ASKED), "{text}");
    let (_, text) = refused(&asked);
    assert!(text.contains("password missing"), "{text}");
    // It may connect, but nobody has allowed it to make anything.
    let (_, text) = refused(&asked.clone().with_password(PASSWORD.as_bytes()));
    assert!(text.contains("permission denied"), "{text}");
    cluster
        .client(&database)
        .batch_execute(&format!("GRANT CREATE ON DATABASE {database} TO {ASKED}"))
        .expect("granted");
    let with = asked.with_password(PASSWORD.as_bytes());
    suite::keys(&mut PostgresStore::open(&with, Opener::Service("one")).expect("it is allowed now"));

    let (error, text) = refused(&Address::parse(&cluster.tcp("lorica", "elsewhere")).expect("an address"));
    assert!(matches!(error, StoreError::Database(_)) && text.contains("\"elsewhere\" does not exist"), "{text}");
    let (error, text) = refused(&Address::parse("postgres://lorica@127.0.0.1:1/own").expect("an address"));
    assert!(matches!(error, StoreError::Unavailable(_)) && text.contains("127.0.0.1:1/own"), "{text}");
    let latin = "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0";
    cluster.client("postgres").batch_execute(latin).expect("a database");
    let (_, text) = refused(&Address::parse(&cluster.tcp("lorica", "latin")).expect("an address"));
    assert!(text.contains("LATIN1"), "{text}");
}

/// The server's main process is killed in the middle of writing, and started again: all that was answered is there.
#[test]
fn a_killed_server_loses_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (submitted, completed, failures) = std::thread::scope(|scope| {
        let (stop, mut store) = (&stop, cluster.store(&database, "one"));
        let writer = scope.spawn(move || write_until(&mut store, stop));
        std::thread::sleep(std::time::Duration::from_millis(700));
        for _ in 0..2 {
            cluster.kill();
            cluster.run();
            std::thread::sleep(std::time::Duration::from_millis(700));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().expect("no panic")
    });
    assert!(failures > 0 && submitted.len() > 10 && !completed.is_empty(), "{failures} {}", submitted.len());
    let mut store = cluster.store(&database, "one");
    for id in &submitted {
        let job = store.job("a", *id).expect("readable").expect("it was answered");
        let events = store.events("a", *id, 0).expect("readable");
        assert_eq!(events.len() as u64, job.sequence);
        assert!(events.windows(2).all(|pair| pair[1].from == Some(pair[0].to)), "{events:?}");
        assert!(!completed.contains(id) || job.state == State::Proven, "{job:?}");
        assert!(events.iter().filter(|event| event.to == State::Proven).count() <= 1);
    }
}

/// Submits, leases and completes; asks again after each failure. What was answered, and how many failures there were.
fn write_until(
    store: &mut PostgresStore,
    stop: &std::sync::atomic::AtomicBool,
) -> (Vec<uuid::Uuid>, Vec<uuid::Uuid>, usize) {
    let (mut submitted, mut completed, mut failures) = (Vec::new(), Vec::new(), 0);
    let mut number = 0_u128;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        number += 1;
        let job = crate::store::NewJob { request_id: uuid::Uuid::from_u128(number), ..suite::job("a", 1) };
        let mut again = |error: StoreError| {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            failures += 1;
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        // Repeated until it is answered: one job, whatever became of the first tries.
        let id = loop {
            match store.submit(1, &job, 1_000_000) {
                Ok(Submitted::Created) => break job.id,
                Ok(Submitted::Repeated(id)) => break id,
                Err(error) => again(error),
            }
        };
        submitted.push(id);
        match store.lease(1, "test", 1_000) {
            Ok(Some(lease)) => loop {
                match store.complete(2, lease.batch, lease.epoch, lease.batch.as_bytes(), SHAPE) {
                    Ok(_) => break completed.extend(lease.members.iter().map(|member| member.id)),
                    Err(error) => again(error),
                }
            },
            Ok(None) => {}
            Err(error) => again(error),
        }
    }
    (submitted, completed, failures)
}
