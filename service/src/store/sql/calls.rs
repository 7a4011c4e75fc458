//! The store's methods.

use uuid::Uuid;

use super::driver::{Driver, params};
use super::{SqlStore, batches, jobs, keys, upkeep};
use crate::store::blobs::digest;
use crate::store::{
    ApiKey, BatchFailure, Claim, Completed, Event, Held, Job, Lease, Millis, NewJob, ProvenShape, Retention, State,
    Store, StoreError, Submitted, Word,
};

#[cfg(test)]
impl<D: Driver> SqlStore<D> {
    /// Queues many jobs by one transaction.
    pub fn submit_all(&mut self, now: Millis, all: &[NewJob]) -> Result<(), StoreError> {
        self.write(now, |change| all.iter().try_for_each(|job| jobs::submit(change, job, u32::MAX).map(|_| ())))
    }
}

impl<D: Driver> Store for SqlStore<D> {
    fn submit(&mut self, now: Millis, job: &NewJob, max_open: u32) -> Result<Submitted, StoreError> {
        self.write(now, |change| jobs::submit(change, job, max_open))
    }

    fn job(&mut self, tenant: &str, id: Uuid) -> Result<Option<Job>, StoreError> {
        jobs::get(&mut self.look(), tenant, id)
    }

    fn requested(&mut self, tenant: &str, request_id: Uuid) -> Result<Option<(Uuid, Word)>, StoreError> {
        let query = "SELECT id, body FROM jobs WHERE tenant = $1 AND request_id = $2";
        self.look().row(query, params![tenant, request_id], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn list(
        &mut self,
        tenant: &str,
        state: Option<State>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        jobs::list(&mut self.look(), tenant, state, before, limit)
    }

    fn events(&mut self, tenant: &str, id: Uuid, after: u64) -> Result<Vec<Event>, StoreError> {
        jobs::events(&mut self.look(), tenant, id, after)
    }

    fn lease(&mut self, now: Millis, owner: &str, until: Millis) -> Result<Option<Lease>, StoreError> {
        self.write(now, |change| batches::lease(change, owner, until))
    }

    fn extend(&mut self, batch: Uuid, epoch: i64, until: Millis) -> Result<Held, StoreError> {
        let query = "UPDATE batches SET lease_until = CASE WHEN lease_until < $3 THEN $3 ELSE lease_until END
                     WHERE id = $1 AND epoch = $2 AND state = 'LEASED'";
        let held = self.write(0, |change| change.sql.execute(query, params![batch, epoch, until]))?;
        Ok(if held > 0 { Held::Yes } else { Held::No })
    }

    fn claim(&mut self, batch: Uuid, epoch: i64, owner: &str) -> Result<Claim, StoreError> {
        self.read(|sql| batches::claim(sql, batch, epoch, owner))
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
        self.write(now, |change| {
            upkeep::cancel(change, tenant, id)?;
            jobs::get(&mut change.sql, tenant, id)
        })
    }

    fn expire(&mut self, now: Millis) -> Result<(), StoreError> {
        self.write(now, upkeep::expire)
    }

    fn recover(&mut self, now: Millis, owner: &str) -> Result<usize, StoreError> {
        self.write(now, |change| upkeep::recover(change, owner))
    }

    fn wipe(&mut self, now: Millis, retention: Retention) -> Result<(usize, usize), StoreError> {
        let (inputs, jobs, files) = self.write(now, |change| upkeep::wipe(change, retention))?;
        for sha256 in &files {
            self.files.as_ref().map_or(Ok(()), |own| own.remove(sha256))?;
        }
        if inputs + jobs > 0 {
            self.driver.wiped()?;
        }
        Ok((inputs, jobs))
    }

    fn blob(&mut self, sha256: &Word) -> Result<Vec<u8>, StoreError> {
        let query = "SELECT content FROM blobs WHERE sha256 = $1";
        let row: Option<Option<Vec<u8>>> = self.look().row(query, params![sha256], |row| row.get(0))?;
        let content = match (row.ok_or(StoreError::Missing(*sha256))?, &self.files) {
            (Some(content), _) => content,
            (None, Some(files)) => files.get(sha256)?,
            (None, None) => return Err(StoreError::Missing(*sha256)),
        };
        if digest(&content) == *sha256 { Ok(content) } else { Err(StoreError::Damaged(*sha256)) }
    }

    fn counts(&mut self) -> Result<Vec<(State, u64)>, StoreError> {
        jobs::counts(&mut self.look())
    }

    fn add_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        self.write(key.created, |change| keys::add(change, key))
    }

    fn key(&mut self, id: &[u8; 8]) -> Result<Option<ApiKey>, StoreError> {
        keys::get(&mut self.look(), id)
    }

    fn keys(&mut self) -> Result<Vec<ApiKey>, StoreError> {
        keys::all(&mut self.look())
    }

    fn remove_key(&mut self, id: &[u8; 8]) -> Result<bool, StoreError> {
        self.write(0, |change| Ok(change.sql.execute("DELETE FROM api_keys WHERE id = $1", params![id])? > 0))
    }

    fn listen(&mut self) {
        self.changed.extend(self.driver.heard(true));
    }

    fn take_changed(&mut self) -> Vec<Uuid> {
        let heard = self.driver.heard(false);
        let mut changed = std::mem::take(&mut self.changed);
        changed.extend(heard);
        changed
    }
}
