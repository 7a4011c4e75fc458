//! Batches: formed when somebody asks for work, fenced by their epoch.

use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::Change;
use crate::batching;
use crate::store::blobs::{INLINE, digest};
use crate::store::{
    BatchFailure, Claim, Completed, Lease, MAX_ATTEMPTS, MAX_INFRA_ATTEMPTS, Member, Millis, ProvenShape, State,
    StoreError, Word, token_class,
};

/// What makes a job wait its turn: the earliest deadline first, then the oldest.
const ORDER: &str = "ORDER BY deadline IS NULL, deadline, id";

/// Forms a batch: of the tenant that was served least, around its most urgent job. Jobs that are bound together are a batch of their own, and
/// wait until all of them can go.
pub(super) fn lease(change: &mut Change<'_>, owner: &str, until: Millis) -> Result<Option<Lease>, StoreError> {
    let free = |jobs: &str| {
        format!(
            "{jobs}.state = 'QUEUED' AND {jobs}.ready_at <= ?1 AND ({jobs}.deadline IS NULL OR {jobs}.deadline > ?1)"
        )
    };
    let (own, others) = (free("jobs"), free("others"));
    let ready = format!(
        "{own} AND (jobs.group_id IS NULL OR jobs.group_size =
             (SELECT count(*) FROM jobs others WHERE others.group_id = jobs.group_id AND {others}))"
    );
    let query = format!(
        "SELECT id, weight FROM tenants WHERE EXISTS (SELECT 1 FROM jobs WHERE tenant = tenants.id AND {ready})
         ORDER BY vtime, id LIMIT 1"
    );
    let mut statement = change.transaction.prepare_cached(&query)?;
    let tenant: Option<(String, i64)> =
        statement.query_row([change.now], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    drop(statement);
    let Some((tenant, weight)) = tenant else { return Ok(None) };
    let query = format!("SELECT group_id, batch_key FROM jobs WHERE tenant = ?2 AND {ready} {ORDER} LIMIT 1");
    let mut statement = change.transaction.prepare_cached(&query)?;
    let most_urgent = statement.query_row(params![change.now, tenant], |row| Ok((row.get(0)?, row.get(1)?)));
    drop(statement);
    let Some((group, key)): Option<(Option<Uuid>, Word)> = most_urgent.optional()? else { return Ok(None) };
    // A group is in the order of its binding, and has the size that it was bound with.
    let (of, order) = match group {
        Some(_) => ("group_id IS ?3", "ORDER BY id"),
        None => ("group_id IS ?3", ORDER),
    };
    let query = format!(
        "SELECT id, max_batch, tokens FROM jobs WHERE tenant = ?2 AND {of} AND batch_key = ?4 AND {ready} {order} LIMIT 16"
    );
    let mut statement = change.transaction.prepare_cached(&query)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let rows = statement.query_map(params![change.now, tenant, group, key], row)?;
    let ready: Vec<(Uuid, usize, usize)> = rows.collect::<Result<_, _>>()?;
    drop(statement);
    let limits: Vec<usize> = ready.iter().map(|job| job.1).collect();
    let class = token_class(ready.iter().map(|job| job.2).max().unwrap_or(0));
    let size = if group.is_some() { ready.len() } else { batching::size(&limits, class) };
    let ids: Vec<Uuid> = ready.into_iter().take(size).map(|job| job.0).collect();

    let batch = Uuid::now_v7();
    let epoch: i64 = change.transaction.query_row(
        "UPDATE counters SET value = value + 1 WHERE name = 'epoch' RETURNING value",
        [],
        |row| row.get(0),
    )?;
    change.transaction.prepare_cached(
        "INSERT INTO batches (id, tenant, state, owner, epoch, lease_until, created) VALUES (?1, ?2, 'LEASED', ?3, ?4, ?5, ?6)",
    )?.execute(params![batch, tenant, owner, epoch, until, change.now])?;
    for (place, id) in ids.iter().enumerate() {
        let set = "UPDATE jobs SET place = ?2 WHERE id = ?1 AND state = 'QUEUED'";
        change.transaction.prepare_cached(set)?.execute(params![id, place])?;
        if !change.step(*id, State::Queued, State::Proving, "LEASED", Some(batch))? {
            return Err(StoreError::Content("a job that was queued and is not"));
        }
    }
    let cost = batching::cost(ids.len(), class).checked_div(weight).unwrap_or(i64::MAX).max(1);
    change.transaction.execute("UPDATE tenants SET vtime = vtime + ?2 WHERE id = ?1", params![tenant, cost])?;
    read(change, batch, epoch, tenant).map(Some)
}

/// A batch with its members' inputs.
fn read(change: &Change<'_>, batch: Uuid, epoch: i64, tenant: String) -> Result<Lease, StoreError> {
    let mut statement = change.transaction.prepare_cached(
        "SELECT j.id, j.adapter, i.token_ids, i.salt, a.answer, j.base, j.kind, j.context, j.binding, j.datanet FROM jobs j
         JOIN job_inputs i ON i.job = j.id JOIN job_answers a ON a.job = j.id WHERE j.batch = ?1 ORDER BY j.place",
    )?;
    let mut rows = statement.query([batch])?;
    let mut members = Vec::new();
    let mut common = None;
    while let Some(row) = rows.next()? {
        let ids: Vec<u8> = row.get(2)?;
        let token_ids = ids.chunks_exact(4).map(|id| <[u8; 4]>::try_from(id).map_or(0, u32::from_le_bytes)).collect();
        members.push(Member {
            id: row.get(0)?,
            adapter: row.get(1)?,
            token_ids,
            salt: row.get(3)?,
            answer: row.get(4)?,
        });
        common = Some((row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?));
    }
    let (base, kind, context, binding, datanet) = common.ok_or(StoreError::Content("a batch without jobs"))?;
    Ok(Lease { batch, epoch, tenant, base, datanet, kind, context, binding, members })
}

/// What a batch under an epoch is to an owner.
pub(super) fn claim(change: &Change<'_>, batch: Uuid, epoch: i64, owner: &str) -> Result<Claim, StoreError> {
    let query = "SELECT state, tenant, proof_sha256 FROM batches WHERE id = ?1 AND epoch = ?2 AND owner = ?3";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let mut statement = change.transaction.prepare_cached(query)?;
    let known: Option<(String, String, Option<Word>)> =
        statement.query_row(params![batch, epoch, owner], row).optional()?;
    drop(statement);
    let Some((state, tenant, proof)) = known else { return Ok(Claim::Lost) };
    match (state.as_str(), proof) {
        ("LEASED", _) => match read(change, batch, epoch, tenant) {
            Ok(lease) => Ok(Claim::Held(lease)),
            // All inputs were wiped: nobody waits for it.
            Err(StoreError::Content(_)) => Ok(Claim::Lost),
            Err(error) => Err(error),
        },
        (_, Some(sha256)) => Ok(Claim::Done(sha256)),
        _ => Ok(Claim::Lost),
    }
}

/// Takes a proof for those members that still wait for it.
pub(super) fn complete(
    change: &mut Change<'_>,
    batch: Uuid,
    epoch: i64,
    proof: &[u8],
    shape: ProvenShape,
) -> Result<Completed, StoreError> {
    let sha256 = digest(proof);
    let mut statement =
        change.transaction.prepare_cached("SELECT state, proof_sha256 FROM batches WHERE id = ?1 AND epoch = ?2")?;
    let known: Option<(String, Option<Word>)> =
        statement.query_row(params![batch, epoch], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    drop(statement);
    match known {
        Some((state, _)) if state == "LEASED" => {}
        Some((_, Some(own))) if own == sha256 => return Ok(Completed::Duplicate),
        // Nothing of it is kept: a proof that nobody waits for still shows texts.
        _ => return Ok(Completed::Stale),
    }
    let inline = (proof.len() <= INLINE).then_some(proof);
    if inline.is_none() {
        change.blobs.put(&sha256, proof)?;
    }
    change
        .transaction
        .prepare_cached("INSERT INTO blobs (sha256, bytes, content) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![sha256, proof.len(), inline])?;
    change
        .transaction
        .prepare_cached(
            "UPDATE batches SET state = 'DONE', proof_sha256 = ?3, requests = ?4, tokens = ?5, log_tile = ?6,
             spent_ms = ?7 - created WHERE id = ?1 AND epoch = ?2 AND state = 'LEASED'",
        )?
        .execute(params![batch, epoch, sha256, shape.requests, shape.tokens, shape.log_tile, change.now])?;
    for id in change.waiting(batch)? {
        change.step(id, State::Proving, State::Proven, "PROVEN", Some(batch))?;
    }
    Ok(Completed::Done)
}

/// Takes a failure: members wait again, in smaller batches, or fail.
pub(super) fn fail(
    change: &mut Change<'_>,
    batch: Uuid,
    epoch: i64,
    failure: &BatchFailure,
) -> Result<bool, StoreError> {
    let state = match failure {
        BatchFailure::Work(_) | BatchFailure::Always(_) => "FAILED",
        BatchFailure::Lost(_) | BatchFailure::HandedBack => "LOST",
    };
    if !change.end_batch(batch, epoch, state)? {
        return Ok(false);
    }
    requeue(change, batch, failure)?;
    Ok(true)
}

/// What a failed batch means for each of its members that still waits for it. A job that fails with companions is tried with
/// half of them before it counts as its own failure, so that one bad job does not take others along.
pub(super) fn requeue(change: &mut Change<'_>, batch: Uuid, failure: &BatchFailure) -> Result<(), StoreError> {
    let members = change.waiting(batch)?;
    let query = "SELECT count(*), count(group_id) FROM jobs WHERE batch = ?1";
    let (size, bound): (i64, i64) =
        change.transaction.query_row(query, [batch], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (work, lost, cause) = match failure {
        BatchFailure::Work(reason) | BatchFailure::Always(reason) => (i64::from(size == 1), 0, reason.as_str()),
        BatchFailure::Lost(reason) => (0, 1, *reason),
        BatchFailure::HandedBack => (0, 0, "HANDED_BACK"),
    };
    for id in members {
        let (attempt, infra): (u32, u32) = change
            .transaction
            .prepare_cached(
                "UPDATE jobs SET attempt = attempt + ?2, infra_attempt = infra_attempt + ?3,
                 max_batch = CASE WHEN ?4 THEN max_batch ELSE max(1, min(max_batch, ?5) / 2) END,
                 ready_at = CASE WHEN ?4 THEN ?6 ELSE ?6 + (1000 << min(attempt + infra_attempt, 5)) END
             WHERE id = ?1 RETURNING attempt, infra_attempt",
            )?
            .query_row(params![id, work, lost, *failure == BatchFailure::HandedBack, size, change.now], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let alone_always = size == 1 && matches!(failure, BatchFailure::Always(_));
        // What is bound together cannot be cut: whoever bound it binds it anew.
        let together = size > 1 && bound > 0 && matches!(failure, BatchFailure::Always(_) | BatchFailure::Work(_));
        if together || alone_always || attempt >= MAX_ATTEMPTS || infra >= MAX_INFRA_ATTEMPTS {
            change.step(id, State::Proving, State::Failed, cause, None)?;
        } else {
            change.step(id, State::Proving, State::Queued, cause, None)?;
        }
    }
    Ok(())
}
