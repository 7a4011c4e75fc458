//! What ends without a result: cancelled, expired and lost jobs, and what was kept long enough.

use uuid::Uuid;

use super::driver::params;
use super::{Change, batches};
use crate::store::{BatchFailure, Retention, State, StoreError, Word, millis};

/// Ends a job that is not done, and its batch if nobody else waits for it.
fn end(change: &mut Change<'_>, id: Uuid, to: State, cause: &str) -> Result<(), StoreError> {
    if change.step(id, State::Queued, to, cause, None)? {
        return Ok(());
    }
    let query = "SELECT batch FROM jobs WHERE id = $1 AND state = 'PROVING'";
    let batch: Option<Uuid> = change.sql.row(query, params![id], |row| row.get(0))?;
    let Some(batch) = batch else { return Ok(()) };
    change.step(id, State::Proving, to, cause, Some(batch))?;
    if change.waiting(batch)?.is_empty() {
        let query = "UPDATE batches SET state = 'CANCELLED' WHERE id = $1 AND state = 'LEASED'";
        change.sql.execute(query, params![batch])?;
    }
    Ok(())
}

/// Gives a tenant's job up.
pub(super) fn cancel(change: &mut Change<'_>, tenant: &str, id: Uuid) -> Result<(), StoreError> {
    let query = "SELECT 1 FROM jobs WHERE tenant = $1 AND id = $2";
    let own = change.sql.row(query, params![tenant, id], |_| Ok(()))?;
    if own.is_some() { end(change, id, State::Cancelled, "CANCELLED") } else { Ok(()) }
}

/// Ends leases and jobs whose time is over. A deadline that passes is the job's end; a lease that does is a loss.
pub(super) fn expire(change: &mut Change<'_>) -> Result<(), StoreError> {
    let due = "SELECT id FROM jobs WHERE state IN ('QUEUED', 'PROVING') AND deadline <= $1";
    for id in change.sql.rows(due, params![change.now], |row| row.get(0))? {
        end(change, id, State::Expired, "DEADLINE")?;
    }
    let over = "SELECT id FROM batches WHERE state = 'LEASED' AND lease_until <= $1";
    for batch in change.sql.rows(over, params![change.now], |row| row.get(0))? {
        lose(change, batch, "LEASE_OVER")?;
    }
    Ok(())
}

/// Ends all leases of an owner.
pub(super) fn recover(change: &mut Change<'_>, owner: &str) -> Result<usize, StoreError> {
    let query = "SELECT id FROM batches WHERE state = 'LEASED' AND owner = $1";
    let batches: Vec<Uuid> = change.sql.rows(query, params![owner], |row| row.get(0))?;
    for batch in &batches {
        lose(change, *batch, "RESTARTED")?;
    }
    Ok(batches.len())
}

fn lose(change: &mut Change<'_>, batch: Uuid, cause: &'static str) -> Result<(), StoreError> {
    let query = "UPDATE batches SET state = 'LOST' WHERE id = $1 AND state = 'LEASED'";
    change.sql.execute(query, params![batch])?;
    batches::requeue(change, batch, &BatchFailure::Lost(cause))
}

/// Deletes inputs and jobs that were kept long enough after their end, and proofs that no job needs. How many inputs and jobs,
/// and files that are to be removed once this is committed.
pub(super) fn wipe(change: &mut Change<'_>, retention: Retention) -> Result<(usize, usize, Vec<Word>), StoreError> {
    let before = |kept| change.now.saturating_sub(millis(kept));
    let (inputs_until, proofs_until) = (before(retention.inputs), before(retention.proofs));
    let sql = &mut change.sql;
    let ended = "SELECT id FROM jobs WHERE state NOT IN ('QUEUED', 'PROVING') AND updated <= $1";
    let mut jobs = sql.execute(&format!("DELETE FROM jobs WHERE id IN ({ended})"), params![proofs_until])?;
    // A digest of the text would confirm a guess: it goes with the text.
    sql.execute(
        &format!("UPDATE jobs SET body = $2 WHERE id IN ({ended}) AND body <> $2"),
        params![inputs_until, [0u8; 32]],
    )?;
    let mut inputs = sql.execute(&format!("DELETE FROM job_inputs WHERE job IN ({ended})"), params![inputs_until])?;
    let ended = "SELECT id FROM requests WHERE state IN ('DECLINED', 'PAID', 'LOST', 'REFUSED', 'CANCELLED', 'EXPIRED')
                 AND updated <= $1";
    // Intents, versions and the ledger have nothing of a text, and stay.
    jobs += sql.execute(&format!("DELETE FROM requests WHERE id IN ({ended})"), params![proofs_until])?;
    inputs += sql.execute(&format!("DELETE FROM request_inputs WHERE request IN ({ended})"), params![inputs_until])?;
    if jobs > 0 {
        let unused = "state <> 'LEASED' AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch = batches.id)";
        sql.execute(&format!("DELETE FROM batches WHERE {unused}"), params![])?;
    }
    let unused = "NOT EXISTS (SELECT 1 FROM batches WHERE proof_sha256 = blobs.sha256)";
    let removed =
        sql.rows(&format!("DELETE FROM blobs WHERE {unused} RETURNING sha256, content IS NULL"), params![], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok((inputs, jobs, removed.into_iter().filter(|(_, is_file)| *is_file).map(|(sha256, _)| sha256).collect()))
}
