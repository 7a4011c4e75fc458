//! Jobs as their tenants write and read them. Every query has the tenant in its condition.

use uuid::Uuid;

use super::driver::{Parameter, Row, Statements, params};
use super::{Change, state_of};
use crate::store::{Event, Job, MAX_BATCH, NewJob, ProvenShape, State, StoreError, Submitted};

/// Queues a job, once per tenant and request id.
pub(super) fn submit(change: &mut Change<'_>, job: &NewJob, max_open: u32) -> Result<Submitted, StoreError> {
    let query = "SELECT id, body FROM jobs WHERE tenant = $1 AND request_id = $2";
    let known: Option<(Uuid, [u8; 32])> =
        change.sql.row(query, params![job.tenant, job.request_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let Some((id, body)) = known {
        return if body == job.body { Ok(Submitted::Repeated(id)) } else { Err(StoreError::RequestIdReused) };
    }
    tenant(change, &job.tenant)?;
    let query = "SELECT count(*) FROM jobs WHERE tenant = $1 AND state IN ('QUEUED', 'PROVING')";
    let open: u32 = change.sql.one(query, params![job.tenant], |row| row.get(0))?;
    if open >= max_open {
        return Err(StoreError::Quota { limit: max_open });
    }
    if open == 0 {
        // Whoever was idle begins where the others are: idleness is not saved up.
        let query = "SELECT min(vtime) FROM tenants WHERE EXISTS (
                     SELECT 1 FROM jobs WHERE tenant = tenants.id AND state IN ('QUEUED', 'PROVING'))";
        let others: Option<i64> = change.sql.one(query, params![], |row| row.get(0))?;
        let query = "UPDATE tenants SET vtime = $2 WHERE id = $1 AND vtime < $2";
        change.sql.execute(query, params![job.tenant, others.unwrap_or(0)])?;
    }
    let max_batch = if job.binding.is_some() { 1 } else { MAX_BATCH };
    change.sql.execute(
        "INSERT INTO jobs (id, tenant, request_id, body, state, base, adapter, kind, tokens, context, batch_key, deadline,
             ready_at, seq, created, updated, binding, max_batch, group_id, group_size, datanet)
         VALUES ($1, $2, $3, $4, 'QUEUED', $5, $6, $7, $8, $9, $10, $11, $12, 1, $12, $12, $13, $14, $15, $16, $17)",
        params![
            job.id,
            job.tenant,
            job.request_id,
            job.body,
            job.base,
            job.adapter,
            job.kind,
            job.token_ids.len(),
            job.context,
            job.batch_key(),
            job.deadline,
            change.now,
            job.binding,
            max_batch,
            job.group.map(|group| group.id),
            job.group.map_or(1, |group| group.jobs),
            job.datanet
        ],
    )?;
    let token_ids: Vec<u8> = job.token_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let query = "INSERT INTO job_inputs (job, token_ids, salt) VALUES ($1, $2, $3)";
    change.sql.execute(query, params![job.id, token_ids, job.salt])?;
    let query = "INSERT INTO job_answers (job, answer) VALUES ($1, $2)";
    change.sql.execute(query, params![job.id, job.answer])?;
    change.event(job.id, 1, None, State::Queued, "CREATED", None)?;
    Ok(Submitted::Created)
}

/// Makes a tenant known.
pub(super) fn tenant(change: &mut Change<'_>, id: &str) -> Result<(), StoreError> {
    change.sql.execute("INSERT INTO tenants (id) VALUES ($1) ON CONFLICT DO NOTHING", params![id])?;
    Ok(())
}

const JOB: &str = "SELECT j.id, j.state, j.base, j.adapter, j.kind, j.deadline, j.attempt + j.infra_attempt, j.failure, j.place, b.requests, b.tokens, b.log_tile, b.proof_sha256, a.answer, i.salt,
    j.seq, j.created, j.updated, j.binding, j.datanet
    FROM jobs j JOIN job_answers a ON a.job = j.id LEFT JOIN job_inputs i ON i.job = j.id
    LEFT JOIN batches b ON b.id = j.batch AND j.state = 'PROVEN'";

fn job(row: &Row) -> Result<Job, StoreError> {
    let shape = match (row.get(9)?, row.get(10)?, row.get(11)?) {
        (Some(requests), Some(tokens), Some(log_tile)) => Some(ProvenShape { requests, tokens, log_tile }),
        _ => None,
    };
    Ok(Job {
        id: row.get(0)?,
        state: state_of(row, 1)?,
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
    })
}

/// A tenant's job.
pub(super) fn get(sql: &mut Statements<'_>, tenant: &str, id: Uuid) -> Result<Option<Job>, StoreError> {
    sql.row(&format!("{JOB} WHERE j.tenant = $1 AND j.id = $2"), params![tenant, id], job)
}

/// Jobs that are bound together with one, itself among them.
pub(super) fn companions(sql: &mut Statements<'_>, id: Uuid) -> Result<Vec<(Uuid, State)>, StoreError> {
    sql.rows(
        "SELECT id, state FROM jobs WHERE id = $1 OR group_id = (SELECT group_id FROM jobs WHERE id = $1) ORDER BY id",
        params![id],
        |row| Ok((row.get(0)?, state_of(row, 1)?)),
    )
}

/// A tenant's jobs, the newest first.
pub(super) fn list(
    sql: &mut Statements<'_>,
    tenant: &str,
    state: Option<State>,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Job>, StoreError> {
    let mut query = format!("{JOB} WHERE j.tenant = $1");
    let name = state.map(State::name);
    let mut parameters = vec![&tenant as &dyn Parameter, &limit];
    for (condition, parameter) in [
        ("j.state =", name.as_ref().map(|name| name as &dyn Parameter)),
        ("j.id <", before.as_ref().map(|before| before as &dyn Parameter)),
    ] {
        if let Some(parameter) = parameter {
            parameters.push(parameter);
            query += &format!(" AND {condition} ${}", parameters.len());
        }
    }
    sql.rows(&format!("{query} ORDER BY j.id DESC LIMIT $2"), &parameters, job)
}

/// A job's transitions after one.
pub(super) fn events(sql: &mut Statements<'_>, tenant: &str, id: Uuid, after: u64) -> Result<Vec<Event>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    sql.rows(
        "SELECT e.seq, e.from_state, e.to_state, e.at, e.cause FROM job_events e JOIN jobs j ON j.id = e.job
         WHERE j.tenant = $1 AND e.job = $2 AND e.seq > $3 ORDER BY e.seq",
        params![tenant, id, after],
        |row| {
            let from = row.get::<Option<String>>(1)?.is_some().then(|| state_of(row, 1)).transpose()?;
            Ok(Event { sequence: row.get(0)?, from, to: state_of(row, 2)?, at: row.get(3)?, cause: row.get(4)? })
        },
    )
}
