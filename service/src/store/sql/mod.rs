//! The store over a database: its SQL and its transitions, written once for all databases.
//!
//! * [`driver`]: what a database does for it; [`schema`]: tables and their versions
//! * [`jobs`], [`batches`], [`upkeep`], [`keys`]: proofs and their tenants; [`market`], [`intents`]: requests, transactions, money
//! * `overview`: what an operator sees
//! * `calls`, `market_calls`: the store's methods, each of them one transaction

mod batches;
mod calls;
pub mod driver;
mod intents;
mod jobs;
mod keys;
mod market;
mod market_calls;
mod overview;
pub mod schema;
mod upkeep;

use std::time::Duration;

use uuid::Uuid;

use super::blobs::Blobs;
use super::{Millis, State, StoreError, Word};
use driver::{Driver, Mode, Row, Statements, params};

/// How often a transaction is tried again that others were in the way of.
const RETRIES: u32 = 10;

/// Which of the store's programs opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The service, for as long as it runs.
    Service,
    /// A command that reads or writes keys beside a service.
    Keys,
}

/// A store over a database.
#[derive(Debug)]
pub struct SqlStore<D> {
    driver: D,
    /// Where contents are that are too large for the database; none if it takes them all.
    files: Option<Blobs>,
    changed: Vec<Uuid>,
}

/// A write and the jobs that it changes.
struct Change<'c> {
    sql: Statements<'c>,
    files: Option<&'c Blobs>,
    now: Millis,
    changed: Vec<Uuid>,
}

impl<D: Driver> SqlStore<D> {
    /// A store over a connection, of the newest version.
    pub fn new(mut driver: D, files: Option<Blobs>) -> Result<Self, StoreError> {
        schema::migrate(&mut driver)?;
        Ok(Self { driver, files, changed: Vec::new() })
    }

    /// Removes files that no row names.
    pub fn sweep(&mut self) -> Result<(), StoreError> {
        if let Some(files) = &self.files {
            let query = "SELECT sha256 FROM blobs WHERE content IS NULL";
            let named: Vec<Word> = Statements(&mut self.driver).rows(query, params![], |row| row.get(0))?;
            files.sweep(&named.into_iter().collect())?;
        }
        Ok(())
    }

    /// Runs a write as one transaction, again while others are in its way.
    fn write<T>(
        &mut self,
        now: Millis,
        write: impl Fn(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for attempt in 0..RETRIES {
            match self.write_once(now, &write) {
                Err(StoreError::Conflict) => std::thread::sleep(pause(attempt)),
                done => return done,
            }
        }
        self.write_once(now, &write)
    }

    fn write_once<T>(
        &mut self,
        now: Millis,
        write: impl Fn(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.driver.begin(Mode::Write)?;
        let (sql, files) = (Statements(&mut self.driver), self.files.as_ref());
        let mut change = Change { sql, files, now, changed: Vec::new() };
        let value = write(&mut change);
        let changed = std::mem::take(&mut change.changed);
        match value.and_then(|value| self.driver.commit(&changed).map(|()| value)) {
            Ok(value) => {
                self.changed.extend(changed);
                Ok(value)
            }
            Err(error) => {
                self.driver.rollback();
                Err(error)
            }
        }
    }

    /// A read of one statement.
    fn look(&mut self) -> Statements<'_> {
        Statements(&mut self.driver)
    }

    /// Runs a read of several statements, which see one state.
    fn read<T>(&mut self, read: impl FnOnce(&mut Statements<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.driver.begin(Mode::Read)?;
        let value = read(&mut Statements(&mut self.driver));
        // Nothing was written.
        self.driver.rollback();
        value
    }
}

/// The pause before another attempt: longer each time, and not the same for all who are in each other's way.
fn pause(attempt: u32) -> Duration {
    let [.., low] = Uuid::now_v7().into_bytes();
    Duration::from_micros(u64::from(low) * (20 << attempt))
}

impl Change<'_> {
    /// Moves a job from one state to another; false, and nothing else, if it is not in the first. Without a batch it is in none.
    fn step(&mut self, id: Uuid, from: State, to: State, cause: &str, batch: Option<Uuid>) -> Result<bool, StoreError> {
        let set = "UPDATE jobs SET state = $3, seq = seq + 1, updated = $4, failure = $5, batch = $6";
        let place = if batch.is_some() { "" } else { ", place = NULL" };
        let failure = (to == State::Failed).then_some(cause);
        let moved = self.sql.row(
            &format!("{set}{place} WHERE id = $1 AND state = $2 RETURNING seq"),
            params![id, from.name(), to.name(), self.now, failure, batch],
            |row| row.get(0),
        )?;
        let Some(sequence) = moved else { return Ok(false) };
        self.event(id, sequence, Some(from), to, cause, batch)?;
        Ok(true)
    }

    /// Writes the event of a transition that has just been made.
    fn event(
        &mut self,
        id: Uuid,
        sequence: i64,
        from: Option<State>,
        to: State,
        cause: &str,
        batch: Option<Uuid>,
    ) -> Result<(), StoreError> {
        self.sql.execute(
            "INSERT INTO job_events (job, seq, from_state, to_state, at, cause, batch) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            params![id, sequence, from.map(State::name), to.name(), self.now, cause, batch],
        )?;
        self.changed.push(id);
        Ok(())
    }

    /// Jobs of a batch that still wait for it.
    fn waiting(&mut self, batch: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let query = "SELECT id FROM jobs WHERE batch = $1 AND state = 'PROVING' ORDER BY place";
        self.sql.rows(query, params![batch], |row| row.get(0))
    }

    /// Ends a lease. False if it is over already, or of another epoch.
    fn end_batch(&mut self, batch: Uuid, epoch: i64, state: &str) -> Result<bool, StoreError> {
        let query = "UPDATE batches SET state = $3 WHERE id = $1 AND epoch = $2 AND state = 'LEASED'";
        Ok(self.sql.execute(query, params![batch, epoch, state])? > 0)
    }
}

/// The state that a column names.
fn state_of(row: &Row, place: usize) -> Result<State, StoreError> {
    State::of(&row.get::<String>(place)?).ok_or(StoreError::Content("a state that this program does not know"))
}

/// Token ids from their bytes.
fn token_ids(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|id| <[u8; 4]>::try_from(id).map_or(0, u32::from_le_bytes)).collect()
}
