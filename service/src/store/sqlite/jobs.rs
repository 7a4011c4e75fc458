//! Jobs as their tenants write and read them. Every query has the tenant in its condition.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Change, state_of};
use crate::store::{Event, Job, NewJob, ProvenShape, State, StoreError, Submitted};

/// Queues a job, once per tenant and request id.
pub(super) fn submit(change: &mut Change<'_>, job: &NewJob, max_open: u32) -> Result<Submitted, StoreError> {
    let known = change
        .transaction
        .prepare_cached("SELECT id, body FROM jobs WHERE tenant = ?1 AND request_id = ?2")?
        .query_row(params![job.tenant, job.request_id], |row| Ok((row.get(0)?, row.get::<_, [u8; 32]>(1)?)))
        .optional()?;
    if let Some((id, body)) = known {
        return if body == job.body { Ok(Submitted::Repeated(id)) } else { Err(StoreError::RequestIdReused) };
    }
    tenant(change, &job.tenant)?;
    let open: u32 = change
        .transaction
        .prepare_cached("SELECT count(*) FROM jobs WHERE tenant = ?1 AND state IN ('QUEUED', 'PROVING')")?
        .query_row([&job.tenant], |row| row.get(0))?;
    if open >= max_open {
        return Err(StoreError::Quota { limit: max_open });
    }
    if open == 0 {
        // Whoever was idle begins where the others are: idleness is not saved up.
        change
            .transaction
            .prepare_cached(
                "UPDATE tenants SET vtime = max(vtime, coalesce((SELECT min(t.vtime) FROM tenants t WHERE EXISTS (
                 SELECT 1 FROM jobs WHERE tenant = t.id AND state IN ('QUEUED', 'PROVING'))), 0)) WHERE id = ?1",
            )?
            .execute([&job.tenant])?;
    }
    change.transaction.prepare_cached(
        "INSERT INTO jobs (id, tenant, request_id, body, state, base, adapter, kind, tokens, context, batch_key, deadline,
             ready_at, seq, created, updated, binding, max_batch, group_id, group_size, datanet)
         VALUES (?1, ?2, ?3, ?4, 'QUEUED', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, ?12, ?12, ?13,
             CASE WHEN ?13 IS NULL THEN 16 ELSE 1 END, ?14, ?15, ?16)",
    )?.execute(params![
        job.id, job.tenant, job.request_id, job.body, job.base, job.adapter, job.kind, job.token_ids.len(),
        job.context, job.batch_key(), job.deadline, change.now, job.binding,
        job.group.map(|group| group.id), job.group.map_or(1, |group| group.jobs), job.datanet,
    ])?;
    let token_ids: Vec<u8> = job.token_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    change
        .transaction
        .prepare_cached("INSERT INTO job_inputs (job, token_ids, salt) VALUES (?1, ?2, ?3)")?
        .execute(params![job.id, token_ids, job.salt])?;
    change
        .transaction
        .prepare_cached("INSERT INTO job_answers (job, answer) VALUES (?1, ?2)")?
        .execute(params![job.id, job.answer])?;
    change.event(job.id, None, State::Queued, "CREATED", None)?;
    Ok(Submitted::Created)
}

/// Makes a tenant known.
pub(super) fn tenant(change: &Change<'_>, id: &str) -> Result<(), StoreError> {
    change.transaction.prepare_cached("INSERT INTO tenants (id) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([id])?;
    Ok(())
}

const JOB: &str = "SELECT j.id, j.state, j.base, j.adapter, j.kind, j.deadline, j.attempt + j.infra_attempt, j.failure, j.place, b.requests, b.tokens, b.log_tile, b.proof_sha256, a.answer, i.salt,
    j.seq, j.created, j.updated, j.binding, j.datanet
    FROM jobs j JOIN job_answers a ON a.job = j.id LEFT JOIN job_inputs i ON i.job = j.id
    LEFT JOIN batches b ON b.id = j.batch AND j.state = 'PROVEN'";

fn job(row: &Row<'_>) -> Result<(String, Job), rusqlite::Error> {
    let shape = match (row.get(9)?, row.get(10)?, row.get(11)?) {
        (Some(requests), Some(tokens), Some(log_tile)) => Some(ProvenShape { requests, tokens, log_tile }),
        _ => None,
    };
    let job = Job {
        id: row.get(0)?,
        state: State::Queued,
        base: row.get(2)?,
        adapter: row.get(3)?,
        kind: row.get(4)?,
        deadline: row.get(5)?,
        attempts: row.get(6)?,
        failure: row.get(7)?,
        place: row.get(8)?,
        shape,
        proof: row.get(12)?,
        answer: row.get(13)?,
        salt: row.get(14)?,
        sequence: row.get(15)?,
        created: row.get(16)?,
        updated: row.get(17)?,
        binding: row.get(18)?,
        datanet: row.get(19)?,
    };
    Ok((row.get(1)?, job))
}

fn with_state((state, job): (String, Job)) -> Result<Job, StoreError> {
    Ok(Job { state: state_of(&state)?, ..job })
}

/// A tenant's job.
pub(super) fn get(connection: &Connection, tenant: &str, id: Uuid) -> Result<Option<Job>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{JOB} WHERE j.tenant = ?1 AND j.id = ?2"))?;
    statement.query_row(params![tenant, id], job).optional()?.map(with_state).transpose()
}

/// Jobs that are bound together with one, itself among them.
pub(super) fn companions(connection: &Connection, id: Uuid) -> Result<Vec<(Uuid, State)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, state FROM jobs WHERE id = ?1 OR group_id = (SELECT group_id FROM jobs WHERE id = ?1) ORDER BY id",
    )?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| row.map_err(StoreError::from).and_then(|(id, state)| Ok((id, state_of(&state)?)))).collect()
}

/// A tenant's jobs, the newest first.
pub(super) fn list(
    connection: &Connection,
    tenant: &str,
    state: Option<State>,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Job>, StoreError> {
    let query = format!(
        "{JOB} WHERE j.tenant = ?1 AND (?2 IS NULL OR j.state = ?2) AND (?3 IS NULL OR j.id < ?3)
         ORDER BY j.id DESC LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map(params![tenant, state.map(State::name), before, limit], job)?;
    rows.map(|row| row.map_err(StoreError::from).and_then(with_state)).collect()
}

/// A job's transitions after one.
pub(super) fn events(connection: &Connection, tenant: &str, id: Uuid, after: u64) -> Result<Vec<Event>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT e.seq, e.from_state, e.to_state, e.at, e.cause FROM job_events e JOIN jobs j ON j.id = e.job
         WHERE j.tenant = ?1 AND e.job = ?2 AND e.seq > ?3 ORDER BY e.seq",
    )?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![tenant, id, after], |row| {
        Ok((row.get(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, String>(2)?, row.get(3)?, row.get(4)?))
    })?;
    rows.map(|row| {
        let (sequence, from, to, at, cause) = row?;
        let from = from.as_deref().map(state_of).transpose()?;
        Ok(Event { sequence, from, to: state_of(&to)?, at, cause })
    })
    .collect()
}
