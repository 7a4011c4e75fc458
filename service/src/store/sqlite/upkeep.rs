//! What ends without a result: cancelled, expired and lost jobs, and what was kept long enough.

use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{Change, batches};
use crate::store::{BatchFailure, REMOTE, RETURN, Retention, State, StoreError, Word, millis};

/// Ends a job that is not done, and its batch if nobody else waits for it.
fn end(change: &mut Change<'_>, id: Uuid, to: State, cause: &str) -> Result<(), StoreError> {
    if change.step(id, State::Queued, to, cause, None)? {
        return Ok(());
    }
    let query = "SELECT batch FROM jobs WHERE id = ?1 AND state = 'PROVING'";
    let batch: Option<Uuid> = change.transaction.query_row(query, [id], |row| row.get(0)).optional()?;
    let Some(batch) = batch else { return Ok(()) };
    change.step(id, State::Proving, to, cause, Some(batch))?;
    if change.waiting(batch)?.is_empty() {
        let query = "UPDATE batches SET state = 'CANCELLED' WHERE id = ?1 AND state = 'LEASED'";
        change.transaction.execute(query, [batch])?;
    }
    Ok(())
}

/// Gives a tenant's job up.
pub(super) fn cancel(change: &mut Change<'_>, tenant: &str, id: Uuid) -> Result<(), StoreError> {
    let own: bool = change.transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE tenant = ?1 AND id = ?2)",
        params![tenant, id],
        |row| row.get(0),
    )?;
    if own { end(change, id, State::Cancelled, "CANCELLED") } else { Ok(()) }
}

/// Ends leases and jobs whose time is over. A deadline that passes is the job's end; a lease that does is a loss.
pub(super) fn expire(change: &mut Change<'_>) -> Result<(), StoreError> {
    let due = "SELECT id FROM jobs WHERE state IN ('QUEUED', 'PROVING') AND deadline <= ?1";
    for id in change.ids(due, [change.now])? {
        end(change, id, State::Expired, "DEADLINE")?;
    }
    let over = "SELECT id FROM batches WHERE state = 'LEASED' AND lease_until <= ?1";
    for batch in change.ids(over, [change.now])? {
        lose(change, batch, "LEASE_OVER")?;
    }
    Ok(())
}

/// Ends all leases but those of owners on other machines, who get time to come back.
pub(super) fn recover(change: &mut Change<'_>) -> Result<usize, StoreError> {
    let keep = "UPDATE batches SET lease_until = max(lease_until, ?1) WHERE state = 'LEASED' AND owner GLOB ?2";
    let remote = format!("{REMOTE}*");
    change.transaction.execute(keep, params![change.now.saturating_add(RETURN), remote])?;
    let own = "SELECT id FROM batches WHERE state = 'LEASED' AND owner NOT GLOB ?1";
    let batches = change.ids(own, [remote])?;
    for batch in &batches {
        lose(change, *batch, "RESTARTED")?;
    }
    Ok(batches.len())
}

fn lose(change: &mut Change<'_>, batch: Uuid, cause: &'static str) -> Result<(), StoreError> {
    change.transaction.execute("UPDATE batches SET state = 'LOST' WHERE id = ?1 AND state = 'LEASED'", [batch])?;
    batches::requeue(change, batch, &BatchFailure::Lost(cause))
}

/// Deletes inputs and jobs that were kept long enough after their end, and proofs that no job needs. How many inputs and jobs,
/// and files that are to be removed once this is committed.
pub(super) fn wipe(change: &mut Change<'_>, retention: Retention) -> Result<(usize, usize, Vec<Word>), StoreError> {
    let before = |kept| change.now.saturating_sub(millis(kept));
    let ended = "SELECT id FROM jobs WHERE state NOT IN ('QUEUED', 'PROVING') AND updated <= ?1";
    let jobs =
        change.transaction.execute(&format!("DELETE FROM jobs WHERE id IN ({ended})"), [before(retention.proofs)])?;
    // A digest of the text would confirm a guess: it goes with the text.
    change.transaction.execute(
        &format!("UPDATE jobs SET body = zeroblob(32) WHERE id IN ({ended}) AND body <> zeroblob(32)"),
        [before(retention.inputs)],
    )?;
    let inputs = change
        .transaction
        .execute(&format!("DELETE FROM job_inputs WHERE job IN ({ended})"), [before(retention.inputs)])?;
    let ended = "SELECT id FROM requests WHERE state IN ('DECLINED', 'PAID', 'LOST', 'REFUSED', 'CANCELLED', 'EXPIRED')
                 AND updated <= ?1";
    // Intents, versions and the ledger have nothing of a text, and stay.
    let requests = change
        .transaction
        .execute(&format!("DELETE FROM requests WHERE id IN ({ended})"), [before(retention.proofs)])?;
    let texts = change
        .transaction
        .execute(&format!("DELETE FROM request_inputs WHERE request IN ({ended})"), [before(retention.inputs)])?;
    let (inputs, jobs) = (inputs + texts, jobs + requests);
    if jobs > 0 {
        change.transaction.execute(
            "DELETE FROM batches WHERE state <> 'LEASED' AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch = batches.id)",
            [],
        )?;
    }
    let unused = "NOT EXISTS (SELECT 1 FROM batches WHERE proof_sha256 = blobs.sha256)";
    let mut statement =
        change.transaction.prepare(&format!("DELETE FROM blobs WHERE {unused} RETURNING sha256, content IS NULL"))?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, Word>(0)?, row.get::<_, bool>(1)?)))?;
    let removed: Vec<(Word, bool)> = rows.collect::<Result<_, _>>()?;
    Ok((inputs, jobs, removed.into_iter().filter(|(_, is_file)| *is_file).map(|(sha256, _)| sha256).collect()))
}
