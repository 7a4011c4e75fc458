//! The store of one machine: SQLite with a write-ahead log that is synchronised at each commit.
//!
//! A folder holds the database, its contents, and a lock that one service holds. Deleted rows are overwritten
//! (`secure_delete`), and the log is emptied after a wipe, so that a text does not outlive its retention in a file's slack.

mod batches;
mod intents;
mod jobs;
mod keys;
mod market;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::blobs::{Blobs, digest, private_folder};
use super::market::{
    Account, Advance, Block, Breaker, Entry, Intent, IntentEnd, MarketEvent, MarketRequest, MarketState, MarketStore,
    NewIntent, NewRequest,
};
use super::{
    ApiKey, BatchFailure, Claim, Completed, Event, Held, Job, Lease, Millis, NewJob, ProvenShape, Retention, State,
    Store, StoreError, Submitted, Word,
};

/// The database in a store's folder.
pub const DATABASE: &str = "lorica.db";
/// Version of the schema.
const VERSION: i64 = 6;
/// What each version adds to the one before.
const SCHEMAS: [&str; 6] = [
    include_str!("../schema.sql"),
    include_str!("../schema_2.sql"),
    include_str!("../schema_3.sql"),
    include_str!("../schema_4.sql"),
    include_str!("../schema_5.sql"),
    include_str!("../schema_6.sql"),
];
/// Marks the file as this program's.
const APPLICATION: i64 = 0x4c6f_7269;

/// A store in a folder.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    blobs: Blobs,
    changed: Vec<Uuid>,
    /// Held as long as the store is open.
    _lock: Option<File>,
}

/// A write and the jobs that it changes.
struct Change<'c> {
    transaction: Transaction<'c>,
    blobs: &'c Blobs,
    now: Millis,
    changed: Vec<Uuid>,
}

/// Which of the store's programs opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The service: alone, for as long as it runs.
    Service,
    /// A command that reads or writes keys beside a service.
    Keys,
}

impl SqliteStore {
    /// Opens the store in a folder; it is made if it is new.
    pub fn open(folder: &Path, access: Access) -> Result<Self, StoreError> {
        private_folder(folder)?;
        let lock = if access == Access::Service { Some(lock(&folder.join("service.lock"))?) } else { None };
        let connection = Connection::open(folder.join(DATABASE))?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
        let mut store =
            Self { connection, blobs: Blobs::open(folder.join("blobs"))?, changed: Vec::new(), _lock: lock };
        store.migrate()?;
        if access == Access::Service {
            let named = store.named()?;
            store.blobs.sweep(&named)?;
        }
        Ok(store)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let of = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let applied = match (of("application_id")?, of("user_version")?) {
            (0, 0) => 0,
            (APPLICATION, applied @ 1..=VERSION) => applied,
            (APPLICATION, got) => return Err(StoreError::Version { got, known: VERSION }),
            _ => return Err(StoreError::Content("something else than a service's store")),
        };
        if applied < VERSION {
            for schema in SCHEMAS.iter().skip(usize::try_from(applied).unwrap_or(0)) {
                transaction.execute_batch(schema)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        Ok(transaction.commit()?)
    }

    /// Contents that rows keep in files.
    fn named(&self) -> Result<BTreeSet<Word>, StoreError> {
        let mut statement = self.connection.prepare("SELECT sha256 FROM blobs WHERE content IS NULL")?;
        let names = statement.query_map([], |row| row.get::<_, Word>(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// Runs a write as one transaction.
    fn write<T>(
        &mut self,
        now: Millis,
        write: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(full)?;
        let mut change = Change { transaction, blobs: &self.blobs, now, changed: Vec::new() };
        let value = write(&mut change).map_err(|error| match error {
            StoreError::Database(error) => full(error),
            other => other,
        })?;
        let Change { transaction, changed, .. } = change;
        transaction.commit().map_err(full)?;
        self.changed.extend(changed);
        Ok(value)
    }
}

fn full(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => error.into(),
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let io = |source: io::Error| StoreError::Io { path: PathBuf::from(path), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.into())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

impl Change<'_> {
    /// Moves a job from one state to another; false, and nothing else, if it is not in the first.
    fn step(&mut self, id: Uuid, from: State, to: State, cause: &str, batch: Option<Uuid>) -> Result<bool, StoreError> {
        let moved = self
            .transaction
            .prepare_cached(
                "UPDATE jobs SET state = ?3, seq = seq + 1, updated = ?4, batch = ?5,
                 place = CASE WHEN ?5 IS NULL THEN NULL ELSE place END,
                 failure = CASE WHEN ?3 = 'FAILED' THEN ?6 ELSE NULL END
             WHERE id = ?1 AND state = ?2",
            )?
            .execute(params![id, from.name(), to.name(), self.now, batch, cause])?;
        if moved == 0 {
            return Ok(false);
        }
        self.event(id, Some(from), to, cause, batch)?;
        Ok(true)
    }

    /// Writes the event of a transition that has just been made.
    fn event(
        &mut self,
        id: Uuid,
        from: Option<State>,
        to: State,
        cause: &str,
        batch: Option<Uuid>,
    ) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT INTO job_events (job, seq, from_state, to_state, at, cause, batch)
             SELECT id, seq, ?2, ?3, ?4, ?5, ?6 FROM jobs WHERE id = ?1",
            )?
            .execute(params![id, from.map(State::name), to.name(), self.now, cause, batch])?;
        self.changed.push(id);
        Ok(())
    }

    fn ids(&self, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Uuid>, StoreError> {
        let mut statement = self.transaction.prepare_cached(query)?;
        let rows = statement.query_map(parameters, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Jobs of a batch that still wait for it.
    fn waiting(&self, batch: Uuid) -> Result<Vec<Uuid>, StoreError> {
        self.ids("SELECT id FROM jobs WHERE batch = ?1 AND state = 'PROVING' ORDER BY place", [batch])
    }

    /// Ends a lease. False if it is over already, or of another epoch.
    fn end_batch(&mut self, batch: Uuid, epoch: i64, state: &str) -> Result<bool, StoreError> {
        let ended = self
            .transaction
            .prepare_cached("UPDATE batches SET state = ?3 WHERE id = ?1 AND epoch = ?2 AND state = 'LEASED'")?
            .execute(params![batch, epoch, state])?;
        Ok(ended > 0)
    }
}

fn state_of(name: &str) -> Result<State, StoreError> {
    State::of(name).ok_or(StoreError::Content("a state that this program does not know"))
}

impl Store for SqliteStore {
    fn submit(&mut self, now: Millis, job: &NewJob, max_open: u32) -> Result<Submitted, StoreError> {
        self.write(now, |change| jobs::submit(change, job, max_open))
    }

    fn job(&mut self, tenant: &str, id: Uuid) -> Result<Option<Job>, StoreError> {
        jobs::get(&self.connection, tenant, id)
    }

    fn requested(&mut self, tenant: &str, request_id: Uuid) -> Result<Option<(Uuid, Word)>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT id, body FROM jobs WHERE tenant = ?1 AND request_id = ?2")?;
        Ok(statement.query_row(params![tenant, request_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    fn list(
        &mut self,
        tenant: &str,
        state: Option<State>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        jobs::list(&self.connection, tenant, state, before, limit)
    }

    fn events(&mut self, tenant: &str, id: Uuid, after: u64) -> Result<Vec<Event>, StoreError> {
        jobs::events(&self.connection, tenant, id, after)
    }

    fn lease(&mut self, now: Millis, owner: &str, until: Millis) -> Result<Option<Lease>, StoreError> {
        self.write(now, |change| batches::lease(change, owner, until))
    }

    fn extend(&mut self, batch: Uuid, epoch: i64, until: Millis) -> Result<Held, StoreError> {
        let query = "UPDATE batches SET lease_until = max(lease_until, ?3)
                     WHERE id = ?1 AND epoch = ?2 AND state = 'LEASED'";
        let held = self.connection.prepare_cached(query)?.execute(params![batch, epoch, until]).map_err(full)?;
        Ok(if held > 0 { Held::Yes } else { Held::No })
    }

    fn claim(&mut self, batch: Uuid, epoch: i64, owner: &str) -> Result<Claim, StoreError> {
        self.write(0, |change| batches::claim(change, batch, epoch, owner))
    }

    fn complete(
        &mut self,
        now: Millis,
        batch: Uuid,
        epoch: i64,
        proof: &[u8],
        shape: ProvenShape,
    ) -> Result<Completed, StoreError> {
        self.write(now, |change| batches::complete(change, batch, epoch, proof, shape))
    }

    fn fail(&mut self, now: Millis, batch: Uuid, epoch: i64, failure: &BatchFailure) -> Result<bool, StoreError> {
        self.write(now, |change| batches::fail(change, batch, epoch, failure))
    }

    fn cancel(&mut self, now: Millis, tenant: &str, id: Uuid) -> Result<Option<Job>, StoreError> {
        self.write(now, |change| upkeep::cancel(change, tenant, id))?;
        self.job(tenant, id)
    }

    fn expire(&mut self, now: Millis) -> Result<(), StoreError> {
        self.write(now, upkeep::expire)
    }

    fn recover(&mut self, now: Millis) -> Result<usize, StoreError> {
        self.write(now, upkeep::recover)
    }

    fn wipe(&mut self, now: Millis, retention: Retention) -> Result<(usize, usize), StoreError> {
        let (inputs, jobs, files) = self.write(now, |change| upkeep::wipe(change, retention))?;
        for sha256 in &files {
            self.blobs.remove(sha256)?;
        }
        if inputs + jobs > 0 {
            // What was overwritten is in the log until it is emptied. A reader may be in the way: then the next wipe does it.
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok((inputs, jobs))
    }

    fn blob(&mut self, sha256: &Word) -> Result<Vec<u8>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT bytes, content FROM blobs WHERE sha256 = ?1")?;
        let row = statement.query_row([sha256], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)));
        let (_, inline) = row.optional()?.ok_or(StoreError::Missing(*sha256))?;
        let content = match inline {
            Some(content) => content,
            None => self.blobs.get(sha256)?,
        };
        if digest(&content) == *sha256 { Ok(content) } else { Err(StoreError::Damaged(*sha256)) }
    }

    fn counts(&mut self) -> Result<Vec<(State, u64)>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT state, count(*) FROM jobs GROUP BY state")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?)))?;
        rows.map(|row| row.map_err(StoreError::from).and_then(|(name, count)| Ok((state_of(&name)?, count)))).collect()
    }

    fn add_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        self.write(key.created, |change| keys::add(change, key))
    }

    fn key(&mut self, id: &[u8; 8]) -> Result<Option<ApiKey>, StoreError> {
        keys::get(&self.connection, id)
    }

    fn keys(&mut self) -> Result<Vec<ApiKey>, StoreError> {
        keys::all(&self.connection)
    }

    fn remove_key(&mut self, id: &[u8; 8]) -> Result<bool, StoreError> {
        self.write(0, |change| Ok(change.transaction.execute("DELETE FROM api_keys WHERE id = ?1", [id])? > 0))
    }

    fn take_changed(&mut self) -> Vec<Uuid> {
        std::mem::take(&mut self.changed)
    }
}

impl MarketStore for SqliteStore {
    fn take_over(&mut self, now: Millis) -> Result<i64, StoreError> {
        self.write(now, market::take_over)
    }

    fn admit(&mut self, now: Millis, request: &NewRequest, max_open: u32) -> Result<Submitted, StoreError> {
        self.write(now, |change| market::admit(change, request, max_open))
    }

    fn request(&mut self, tenant: &str, digest: &Word) -> Result<Option<MarketRequest>, StoreError> {
        market::get(&self.connection, tenant, digest)
    }

    fn owner(&mut self, digest: &Word) -> Result<Option<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT tenant FROM requests WHERE digest = ?1")?;
        Ok(statement.query_row([digest], |row| row.get(0)).optional()?)
    }

    fn open_requests(&mut self) -> Result<Vec<MarketRequest>, StoreError> {
        market::open(&self.connection)
    }

    fn request_now(&mut self, id: Uuid) -> Result<Option<MarketRequest>, StoreError> {
        market::by_id(&self.connection, id)
    }

    fn request_input(&mut self, id: Uuid) -> Result<Option<(Vec<u32>, lorica::input::Salt)>, StoreError> {
        market::input(&self.connection, id)
    }

    fn request_events(&mut self, tenant: &str, digest: &Word, after: u64) -> Result<Vec<MarketEvent>, StoreError> {
        market::events(&self.connection, tenant, digest, after)
    }

    fn advance(&mut self, now: Millis, epoch: i64, advance: &Advance) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::advance(change, advance)
        })
    }

    fn advance_all(&mut self, now: Millis, epoch: i64, advances: &[Advance]) -> Result<(), StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::advance_all(change, advances)
        })
    }

    fn companions(&mut self, job: Uuid) -> Result<Vec<(Uuid, State)>, StoreError> {
        jobs::companions(&self.connection, job)
    }

    fn intend(&mut self, now: Millis, epoch: i64, intent: &NewIntent) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            intents::intend(change, intent)
        })
    }

    fn intents_in_flight(&mut self, chain: u64, account: &Account) -> Result<Vec<Intent>, StoreError> {
        intents::in_flight(&self.connection, chain, account)
    }

    fn intents_of(&mut self, request: Uuid) -> Result<Vec<Intent>, StoreError> {
        intents::of_request(&self.connection, request)
    }

    fn next_nonce(&mut self, chain: u64, account: &Account) -> Result<Option<u64>, StoreError> {
        intents::next_nonce(&self.connection, chain, account)
    }

    fn sign(
        &mut self,
        now: Millis,
        epoch: i64,
        intent: Uuid,
        nonce: u64,
        version: (&Word, &[u8]),
    ) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            intents::sign(change, intent, nonce, version)
        })
    }

    fn finish(
        &mut self,
        now: Millis,
        epoch: i64,
        intent: Uuid,
        end: &IntentEnd,
        advances: &[Advance],
    ) -> Result<bool, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            let ended = intents::finish(change, intent, end)?;
            if ended {
                market::advance_all(change, advances)?;
            }
            Ok(ended)
        })
    }

    fn blocks_seen(&mut self, chain: u64, from: u64) -> Result<Vec<Block>, StoreError> {
        market::blocks_seen(&self.connection, chain, from)
    }

    fn take_back(&mut self, now: Millis, epoch: i64, chain: u64, block: &Block) -> Result<usize, StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::take_back(change, chain, block)
        })
    }

    fn ledger(&mut self, chain: u64, account: &Account) -> Result<Vec<Entry>, StoreError> {
        intents::ledger(&self.connection, chain, account)
    }

    fn set_breaker(&mut self, now: Millis, epoch: i64, breaker: &Breaker) -> Result<(), StoreError> {
        self.write(now, |change| {
            market::fence(change, epoch)?;
            market::set_breaker(change, breaker)
        })
    }

    fn breaker(&mut self) -> Result<Option<(String, Millis)>, StoreError> {
        let query = "SELECT reason, since FROM breaker WHERE name = 'market'";
        Ok(self.connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    fn request_counts(&mut self) -> Result<Vec<(MarketState, u64)>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT state, count(*) FROM requests GROUP BY state")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?)))?;
        rows.map(|row| row.map_err(StoreError::from).and_then(|(name, count)| Ok((MarketState::of(&name)?, count))))
            .collect()
    }
}
