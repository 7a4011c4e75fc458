//! Numbers for the decision record: `cargo test --release -p lorica-service -- --ignored --nocapture measure`.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::cluster::shared;
use crate::store::postgres::{Opener, PostgresStore};
use crate::store::sql::SqlStore;
use crate::store::sql::driver::Driver;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{NewJob, ProvenShape, Store, suite};

const SHAPE: ProvenShape = ProvenShape { requests: 16, tokens: 16, log_tile: 14 };
const TIME: Duration = Duration::from_secs(4);

/// Submits for a while, then leases and completes sixteens for a while: how many of each a second, and how many failed.
fn run<D: Driver>(stores: Vec<SqlStore<D>>, name: &str) {
    let clients = stores.len();
    let each = |round: &(dyn Fn(&mut SqlStore<D>, usize) -> Result<bool, String> + Sync),
                mut stores: Vec<SqlStore<D>>| {
        let start = Instant::now();
        let (mut done, mut failed) = (0, 0);
        let counts: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let running: Vec<_> = stores
                .iter_mut()
                .enumerate()
                .map(|(own, store)| {
                    scope.spawn(move || {
                        let (mut done, mut failed) = (0, 0);
                        while start.elapsed() < TIME {
                            match round(store, own) {
                                Ok(true) => done += 1,
                                Ok(false) => break,
                                Err(_) => failed += 1,
                            }
                        }
                        (done, failed)
                    })
                })
                .collect();
            running.into_iter().map(|own| own.join().expect("no panic")).collect()
        });
        counts.into_iter().for_each(|(own, bad)| (done, failed) = (done + own, failed + bad));
        (done as f64 / start.elapsed().as_secs_f64(), failed, stores)
    };
    let job = |own: usize| NewJob { request_id: Uuid::now_v7(), ..suite::job(&format!("tenant-{own}"), 1) };
    let submit = |store: &mut SqlStore<D>, own: usize| {
        store.submit(1, &job(own), u32::MAX).map(|_| true).map_err(|error| error.to_string())
    };
    let (submits, refused, mut stores) = each(&submit, stores);
    // A hundred cycles: what a lease looks at grows with what waits.
    let jobs: Vec<NewJob> = (0..1_600).map(|number| job(number % clients)).collect();
    stores[0].submit_all(1, &jobs).expect("writable");
    let cycle = |store: &mut SqlStore<D>, _: usize| {
        let Some(lease) = store.lease(1, "test", 1_000).map_err(|error| error.to_string())? else { return Ok(false) };
        let proof = [lease.batch.as_bytes().as_slice(), &[7; 20_000]].concat();
        let completed = store.complete(2, lease.batch, lease.epoch, &proof, SHAPE);
        completed.map(|_| true).map_err(|error| error.to_string())
    };
    let (cycles, stuck, _) = each(&cycle, stores);
    println!(
        "{name}, {clients} at once: {submits:.0} submissions/s ({refused} failed), {cycles:.0} cycles of lease and completion/s ({stuck} failed)"
    );
}

#[test]
#[ignore = "numbers, not a test"]
fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    run(vec![SqliteStore::open(folder.path(), Access::Service).expect("a store")], "SQLite");
    let Some(cluster) = shared() else { return };
    for clients in [1, 2, 4, 8] {
        for serializable in [false, true] {
            let database = cluster.database();
            let open = |own: usize| {
                let (address, name) = (cluster.address(&database), format!("service-{own}"));
                match serializable {
                    true => PostgresStore::serializable(&address, Opener::Service(&name)).expect("a store"),
                    false => cluster.store(&database, &name),
                }
            };
            let name = if serializable { "Postgres, SERIALIZABLE" } else { "Postgres, by turns" };
            run((0..clients).map(open).collect(), name);
        }
    }
}
