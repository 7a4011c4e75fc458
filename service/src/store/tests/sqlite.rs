//! The contract, and what only this store has: files, a lock, a version.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::blobs::digest;
use crate::store::sql::schema::{SCHEMAS, VERSION};
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{ProvenShape, Retention, Store, StoreError, market_suite, suite};

/// Opens it once whoever had it is gone: a process that another test begins holds the lock for a moment too.
fn open(folder: &Path) -> Box<dyn Store> {
    let start = Instant::now();
    loop {
        match SqliteStore::open(folder, Access::Service) {
            Ok(store) => return Box::new(store),
            Err(StoreError::InUse(_)) if start.elapsed() < Duration::from_secs(10) => sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
}

fn with(test: impl Fn(&mut dyn Store)) {
    let folder = tempfile::tempdir().expect("a folder");
    test(open(folder.path()).as_mut());
}

#[test]
fn store_and_model_agree() {
    suite::model_test(48, || {
        let folder = tempfile::tempdir().expect("a folder");
        Box::new(move || open(folder.path()))
    });
}

#[test]
fn the_contract_holds() {
    super::contract(|test| with(test));
}

#[test]
fn the_market_and_its_model_agree() {
    market_suite::model_test(48, || {
        let folder = tempfile::tempdir().expect("a folder");
        Box::new(move || open(folder.path()))
    });
}

/// A store of an older version goes on as one of the newest, with what it holds.
#[test]
fn older_stores_are_taken_over() {
    (1..SCHEMAS.len()).for_each(taken_over);
}

fn taken_over(version: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lorica.db");
    let old = Connection::open(&path).expect("a database");
    for schema in &SCHEMAS[..version] {
        old.execute_batch(schema).expect("an older version");
    }
    old.pragma_update(None, "application_id", 0x4c6f_7269).expect("writable");
    old.pragma_update(None, "user_version", version as i64).expect("writable");
    old.execute_batch("INSERT INTO tenants (id) VALUES ('kept')").expect("writable");
    drop(old);
    let mut store = SqliteStore::open(folder.path(), Access::Service).expect("taken over");
    let beside = Connection::open(&path).expect("a database");
    let kept: i64 =
        beside.query_row("SELECT count(*) FROM tenants WHERE id = 'kept'", [], |row| row.get(0)).expect("readable");
    drop(beside);
    assert_eq!(kept, 1);
    suite::request_ids(&mut store);
    drop(store);
    with(|fresh| market_suite::requests_are_once(fresh));
    assert!(SqliteStore::open(folder.path(), Access::Service).is_ok(), "once");
}

fn files(folder: &Path, found: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { files(&path, found) } else { found.extend(fs::read(&path).expect("readable")) }
    }
}

/// After its retention nothing of a text is in any of the files, freed pages and the log included.
#[test]
fn wiped_texts_are_in_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let mut job = suite::job("a", 77);
    job.token_ids = (0..40).map(|i| 0x5eed_0000 + i).collect();
    job.salt = std::array::from_fn(|i| 0x80 + i as u8);
    let ids: Vec<u8> = job.token_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let holds = |needle: &[u8]| {
        let mut all = Vec::new();
        files(folder.path(), &mut all);
        all.windows(needle.len()).any(|window| window == needle)
    };
    store.submit(1, &job, 9).expect("writable");
    assert!(holds(&ids) && holds(&job.salt), "the test looks in the right place");
    store.cancel(2, "a", job.id).expect("writable");
    let kept = Retention { inputs: std::time::Duration::ZERO, proofs: std::time::Duration::from_secs(9) };
    assert_eq!(store.wipe(3, kept).expect("writable"), (1, 0));
    assert!(!holds(&ids) && !holds(&job.salt));
    assert!(store.job("a", job.id).expect("readable").is_some());
}

#[test]
fn damaged_contents_are_refused_and_strays_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    store.submit(1, &suite::job("a", 1), 9).expect("writable");
    let lease = store.lease(1, "test", 9).expect("writable").expect("work");
    let proof = vec![5; crate::store::blobs::INLINE + 1];
    let shape = ProvenShape { requests: 1, tokens: 16, log_tile: 14 };
    store.complete(2, lease.batch, lease.epoch, &proof, shape).expect("writable");
    let sha256 = digest(&proof);
    let name = hex::encode(sha256);
    let path = folder.path().join("blobs").join(&name[..2]).join(&name);
    let stray = path.with_file_name("0".repeat(64));
    fs::write(&stray, b"left by a crash").expect("writable");
    let mut damaged = proof.clone();
    damaged[7] ^= 1;
    fs::write(&path, damaged).expect("writable");
    assert!(matches!(store.blob(&sha256), Err(StoreError::Damaged(own)) if own == sha256));
    drop(store);
    let mut store = open(folder.path());
    assert!(!stray.exists() && path.exists());
    fs::remove_file(&path).expect("writable");
    assert!(matches!(store.blob(&sha256), Err(StoreError::Missing(_))));
}

#[test]
fn one_service_has_one_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = open(folder.path());
    let second = SqliteStore::open(folder.path(), Access::Service).expect_err("in use");
    assert!(matches!(second, StoreError::InUse(_)), "{second}");
    // Keys are written beside it.
    suite::keys(&mut SqliteStore::open(folder.path(), Access::Keys).expect("a second connection"));
    assert_eq!(first.keys().expect("readable").len(), 1);
    drop(first);
    assert!(SqliteStore::open(folder.path(), Access::Service).is_ok());
}

#[test]
fn foreign_and_newer_databases_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lorica.db");
    let set = |name: &str, value: i64| {
        Connection::open(&path).expect("a database").pragma_update(None, name, value).expect("writable");
    };
    set("application_id", 7);
    let foreign = SqliteStore::open(folder.path(), Access::Service).expect_err("refused");
    assert!(matches!(foreign, StoreError::Content(_)), "{foreign}");
    fs::remove_file(&path).expect("writable");
    drop(open(folder.path()));
    set("user_version", VERSION + 1);
    let newer = SqliteStore::open(folder.path(), Access::Service).expect_err("refused");
    assert!(matches!(newer, StoreError::Version { got, known } if got == known + 1), "{newer}");
}
