//! Batches: formed when somebody asks for work, fenced by their epoch.

use uuid::Uuid;

use super::driver::{Parameter, Statements, params};
use super::{Change, token_ids};
use crate::batching;
use crate::store::blobs::{INLINE, digest};
use crate::store::{
    BatchFailure, Claim, Completed, Lease, MAX_ATTEMPTS, MAX_INFRA_ATTEMPTS, Member, Millis, ProvenShape, State,
    StoreError, Word, token_class,
};

/// What makes a job wait its turn: the earliest deadline first, then the oldest.
const ORDER: &str = "ORDER BY deadline IS NULL, deadline, id";
/// Most seconds that a job waits after a failure, as a power of two.
const LONGEST_PAUSE: u32 = 5;

/// Forms a batch: of the tenant that was served least, around its most urgent job. Jobs that are bound together are a batch of their own, and
/// wait until all of them can go.
pub(super) fn lease(change: &mut Change<'_>, owner: &str, until: Millis) -> Result<Option<Lease>, StoreError> {
    let free = |jobs: &str| {
        format!(
            "{jobs}.state = 'QUEUED' AND {jobs}.ready_at <= $1 AND ({jobs}.deadline IS NULL OR {jobs}.deadline > $1)"
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
    let now = change.now;
    let tenant = change.sql.row(&query, params![now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((tenant, weight)): Option<(String, i64)> = tenant else { return Ok(None) };
    let query = format!("SELECT group_id, batch_key FROM jobs WHERE tenant = $2 AND {ready} {ORDER} LIMIT 1");
    let most_urgent = change.sql.row(&query, params![now, tenant], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((group, key)): Option<(Option<Uuid>, Word)> = most_urgent else { return Ok(None) };
    let mut parameters = vec![&now as &dyn Parameter, &tenant, &key];
    // A group is in the order of its binding, and has the size that it was bound with.
    let (of, order) = match &group {
        Some(group) => {
            parameters.push(group);
            ("group_id = $4", "ORDER BY id")
        }
        None => ("group_id IS NULL", ORDER),
    };
    let query = format!(
        "SELECT id, max_batch, tokens FROM jobs WHERE tenant = $2 AND batch_key = $3 AND {of} AND {ready} {order} LIMIT 16"
    );
    let ready: Vec<(Uuid, usize, usize)> =
        change.sql.rows(&query, &parameters, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let limits: Vec<usize> = ready.iter().map(|job| job.1).collect();
    let class = token_class(ready.iter().map(|job| job.2).max().unwrap_or(0));
    let size = if group.is_some() { ready.len() } else { batching::size(&limits, class) };
    let ids: Vec<Uuid> = ready.into_iter().take(size).map(|job| job.0).collect();

    let batch = Uuid::now_v7();
    let query = "UPDATE counters SET value = value + 1 WHERE name = 'epoch' RETURNING value";
    let epoch: i64 = change.sql.one(query, params![], |row| row.get(0))?;
    change.sql.execute(
        "INSERT INTO batches (id, tenant, state, owner, epoch, lease_until, created) VALUES ($1, $2, 'LEASED', $3, $4, $5, $6)",
        params![batch, tenant, owner, epoch, until, now],
    )?;
    for (place, id) in ids.iter().enumerate() {
        let set = "UPDATE jobs SET place = $2 WHERE id = $1 AND state = 'QUEUED'";
        change.sql.execute(set, params![id, place])?;
        if !change.step(*id, State::Queued, State::Proving, "LEASED", Some(batch))? {
            return Err(StoreError::Content("a job that was queued and is not"));
        }
    }
    let cost = batching::cost(ids.len(), class).checked_div(weight).unwrap_or(i64::MAX).max(1);
    change.sql.execute("UPDATE tenants SET vtime = vtime + $2 WHERE id = $1", params![tenant, cost])?;
    read(&mut change.sql, batch, epoch, tenant).map(Some)
}

/// A batch with its members' inputs.
fn read(sql: &mut Statements<'_>, batch: Uuid, epoch: i64, tenant: String) -> Result<Lease, StoreError> {
    let mut common = None;
    let members = sql.rows(
        "SELECT j.id, j.adapter, i.token_ids, i.salt, a.answer, j.base, j.kind, j.context, j.binding, j.datanet FROM jobs j
         JOIN job_inputs i ON i.job = j.id JOIN job_answers a ON a.job = j.id WHERE j.batch = $1 ORDER BY j.place",
        params![batch],
        |row| {
            common = Some((row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?));
            Ok(Member {
                id: row.get(0)?,
                adapter: row.get(1)?,
                token_ids: token_ids(&row.get::<Vec<u8>>(2)?),
                salt: row.get(3)?,
                answer: row.get(4)?,
            })
        },
    )?;
    let (base, kind, context, binding, datanet) = common.ok_or(StoreError::Content("a batch without jobs"))?;
    Ok(Lease { batch, epoch, tenant, base, datanet, kind, context, binding, members })
}

/// What a batch under an epoch is to an owner.
pub(super) fn claim(sql: &mut Statements<'_>, batch: Uuid, epoch: i64, owner: &str) -> Result<Claim, StoreError> {
    let query = "SELECT state, tenant, proof_sha256 FROM batches WHERE id = $1 AND epoch = $2 AND owner = $3";
    let known: Option<(String, String, Option<Word>)> =
        sql.row(query, params![batch, epoch, owner], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let Some((state, tenant, proof)) = known else { return Ok(Claim::Lost) };
    match (state.as_str(), proof) {
        ("LEASED", _) => match read(sql, batch, epoch, tenant) {
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
    let query = "SELECT state, proof_sha256 FROM batches WHERE id = $1 AND epoch = $2";
    let known: Option<(String, Option<Word>)> =
        change.sql.row(query, params![batch, epoch], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match known {
        Some((state, _)) if state == "LEASED" => {}
        Some((_, Some(own))) if own == sha256 => return Ok(Completed::Duplicate),
        // Nothing of it is kept: a proof that nobody waits for still shows texts.
        _ => return Ok(Completed::Stale),
    }
    let file = change.files.filter(|_| proof.len() > INLINE);
    if let Some(files) = file {
        files.put(&sha256, proof)?;
    }
    let content = file.is_none().then_some(proof);
    change.sql.execute(
        "INSERT INTO blobs (sha256, bytes, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        params![sha256, proof.len(), content],
    )?;
    change.sql.execute(
        "UPDATE batches SET state = 'DONE', proof_sha256 = $3, requests = $4, tokens = $5, log_tile = $6,
         spent_ms = $7 - created WHERE id = $1 AND epoch = $2 AND state = 'LEASED'",
        params![batch, epoch, sha256, shape.requests, shape.tokens, shape.log_tile, change.now],
    )?;
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
    let query = "SELECT count(*), count(group_id) FROM jobs WHERE batch = $1";
    let (size, bound): (i64, i64) = change.sql.one(query, params![batch], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (work, lost, cause) = match failure {
        BatchFailure::Work(reason) | BatchFailure::Always(reason) => (u32::from(size == 1), 0, reason.as_str()),
        BatchFailure::Lost(reason) => (0, 1, *reason),
        BatchFailure::HandedBack => (0, 0, "HANDED_BACK"),
    };
    for id in members {
        let query = "SELECT attempt, infra_attempt, max_batch FROM jobs WHERE id = $1";
        let read: (u32, u32, i64) =
            change.sql.one(query, params![id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let (attempt, infra, max_batch) = read;
        let (max_batch, ready_at) = if *failure == BatchFailure::HandedBack {
            (max_batch, change.now)
        } else {
            let pause = 1_000 << attempt.saturating_add(infra).min(LONGEST_PAUSE);
            ((max_batch.min(size) / 2).max(1), change.now.saturating_add(pause))
        };
        let (attempt, infra) = (attempt.saturating_add(work), infra.saturating_add(lost));
        let query = "UPDATE jobs SET attempt = $2, infra_attempt = $3, max_batch = $4, ready_at = $5 WHERE id = $1";
        change.sql.execute(query, params![id, attempt, infra, max_batch, ready_at])?;
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
