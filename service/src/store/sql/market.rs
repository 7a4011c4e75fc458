//! Requests that an escrow pays: rows, transitions, and what is written with them.

use lorica::input::Salt;
use uuid::Uuid;

use super::driver::{Row, Statements, params};
use super::{Change, intents, jobs, token_ids};
use crate::store::market::{
    Advance, Block, Breaker, Effects, MARKET, MarketEvent, MarketRequest, MarketState, NewRequest,
};
use crate::store::{Millis, StoreError, Submitted, Word};

/// States that are not the end.
const OPEN: &str = "('WAITING', 'ACCEPTING', 'ACCEPTED', 'PROVING', 'SETTLING', 'REFUSING')";

/// Refuses whoever has been taken over from.
pub(super) fn fence(change: &mut Change<'_>, epoch: i64) -> Result<(), StoreError> {
    let query = "SELECT value FROM counters WHERE name = 'broker'";
    let own: i64 = change.sql.one(query, params![], |row| row.get(0))?;
    if own == epoch { Ok(()) } else { Err(StoreError::Fenced { own, got: epoch }) }
}

pub(super) fn take_over(change: &mut Change<'_>) -> Result<i64, StoreError> {
    let query = "UPDATE counters SET value = value + 1 WHERE name = 'broker' RETURNING value";
    change.sql.one(query, params![], |row| row.get(0))
}

pub(super) fn admit(change: &mut Change<'_>, request: &NewRequest, max_open: u32) -> Result<Submitted, StoreError> {
    let query = "SELECT id, tenant FROM requests WHERE digest = $1";
    let known: Option<(Uuid, String)> =
        change.sql.row(query, params![request.digest], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match known {
        Some((id, tenant)) if tenant == request.tenant => return Ok(Submitted::Repeated(id)),
        Some(_) => return Err(StoreError::RequestForeign),
        None => {}
    }
    jobs::tenant(change, &request.tenant)?;
    let query = format!("SELECT count(*) FROM requests WHERE tenant = $1 AND state IN {OPEN}");
    let open: u32 = change.sql.one(&query, params![request.tenant], |row| row.get(0))?;
    if open >= max_open {
        return Err(StoreError::Quota { limit: max_open });
    }
    change.sql.execute(
        "INSERT INTO requests (id, digest, chain, tenant, state, reason, terms, base, adapter, kind, deadline, answer, seq,
             created, updated, datanet)
         VALUES ($1, $2, $3, $4, 'WAITING', 'SUBMITTED', $5, $6, $7, $8, $9, $10, 1, $11, $11, $12)",
        params![
            request.id,
            request.digest,
            request.chain,
            request.tenant,
            request.terms,
            request.base,
            request.adapter,
            request.kind,
            request.deadline,
            request.answer,
            change.now,
            request.datanet
        ],
    )?;
    let token_ids: Vec<u8> = request.token_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    change.sql.execute(
        "INSERT INTO request_inputs (request, token_ids, salt) VALUES ($1, $2, $3)",
        params![request.id, token_ids, request.salt],
    )?;
    event(change, request.id, 1, None, MarketState::Waiting, "SUBMITTED")?;
    Ok(Submitted::Created)
}

fn event(
    change: &mut Change<'_>,
    id: Uuid,
    sequence: i64,
    from: Option<MarketState>,
    to: MarketState,
    reason: &str,
) -> Result<(), StoreError> {
    change.sql.execute(
        "INSERT INTO request_events (request, seq, from_state, to_state, at, reason) VALUES ($1, $2, $3, $4, $5, $6)",
        params![id, sequence, from.map(MarketState::name), to.name(), change.now, reason],
    )?;
    change.changed.push(id);
    Ok(())
}

/// Moves a request with all that goes with it.
pub(super) fn advance(change: &mut Change<'_>, own: &Advance) -> Result<bool, StoreError> {
    let effects = &own.effects;
    let job = effects.job.as_ref().map(|job| job.id);
    let moved = change.sql.row(
        "UPDATE requests SET state = $3, reason = $4, seq = seq + 1, updated = $5, decision = coalesce($6, decision),
             from_block = coalesce($7, from_block), job = coalesce($8, job), accept_tx = coalesce($9, accept_tx),
             settle_tx = coalesce($10, settle_tx), seen_block = $11, seen_hash = $12
         WHERE id = $1 AND state = $2 RETURNING seq",
        params![
            own.request,
            own.from.name(),
            own.to.name(),
            own.reason,
            change.now,
            effects.decision,
            effects.from_block,
            job,
            effects.accept_tx,
            effects.settle_tx,
            effects.seen.map(|seen| seen.0),
            effects.seen.map(|seen| seen.1)
        ],
        |row| row.get(0),
    )?;
    let Some(sequence) = moved else { return Ok(false) };
    event(change, own.request, sequence, Some(own.from), own.to, &own.reason)?;
    if let Some(intent) = &effects.intent
        && !intents::intend(change, intent)?
    {
        return Err(StoreError::Content("an intent of the same kind and subject in flight"));
    }
    if let Some(job) = &effects.job {
        // Nobody but the market has its tenant, so its ids are its own.
        if job.tenant != MARKET || jobs::submit(change, job, u32::MAX)? != Submitted::Created {
            return Err(StoreError::Content("a job of the market that is there already"));
        }
    }
    intents::book(change, &effects.entries, effects.seen)?;
    if let Some(breaker) = &effects.breaker {
        set_breaker(change, breaker)?;
    }
    Ok(true)
}

/// Moves several requests, or none.
pub(super) fn advance_all(change: &mut Change<'_>, advances: &[Advance]) -> Result<(), StoreError> {
    for own in advances {
        if !advance(change, own)? {
            return Err(StoreError::Content("a request that is not where its companions are"));
        }
    }
    Ok(())
}

pub(super) fn blocks_seen(sql: &mut Statements<'_>, chain: u64, from: u64) -> Result<Vec<Block>, StoreError> {
    let of = |table| {
        format!(
            "SELECT seen_block, seen_hash FROM {table} WHERE chain = $1 AND seen_block >= $2 AND seen_hash IS NOT NULL"
        )
    };
    let query = format!("{} UNION {} UNION {} ORDER BY 1, 2", of("intents"), of("requests"), of("ledger"));
    sql.rows(&query, params![chain, from], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn take_back(change: &mut Change<'_>, chain: u64, (block, hash): &Block) -> Result<usize, StoreError> {
    let by = "chain = $1 AND seen_block = $2 AND seen_hash = $3";
    let mut taken = change.sql.execute(
        &format!(
            "UPDATE intents SET state = 'SENT', reason = 'REORGANISED', tx = NULL, block = NULL, gas = NULL, seen_block = NULL,
                 seen_hash = NULL, updated = $4
             WHERE {by} AND state IN ('DONE', 'FAILED', 'DEAD') AND nonce IS NOT NULL"
        ),
        params![chain, block, hash, change.now],
    )?;
    taken += change.sql.execute(&format!("DELETE FROM ledger WHERE {by}"), params![chain, block, hash])?;
    let requests: Vec<(Uuid, String)> =
        change.sql.rows(&format!("SELECT id, state FROM requests WHERE {by}"), params![chain, block, hash], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    for (id, state) in requests {
        let from = MarketState::of(&state)?;
        let reason = "REORGANISED".to_owned();
        let back = Advance { request: id, from, to: MarketState::Waiting, reason, effects: Effects::default() };
        advance(change, &back)?;
        taken += 1;
    }
    Ok(taken)
}

pub(super) fn set_breaker(change: &mut Change<'_>, breaker: &Breaker) -> Result<(), StoreError> {
    match breaker {
        Breaker::Open(reason) => change.sql.execute(
            "INSERT INTO breaker (name, reason, since) VALUES ('market', $1, $2)
             ON CONFLICT (name) DO UPDATE SET reason = $1, since = $2",
            params![reason, change.now],
        )?,
        Breaker::Closed => change.sql.execute("DELETE FROM breaker WHERE name = 'market'", params![])?,
    };
    Ok(())
}

const REQUEST: &str = "SELECT id, digest, chain, state, reason, terms, base, adapter, kind, deadline, answer, decision,
    from_block, job, accept_tx, settle_tx, seq, created, updated, datanet FROM requests";

fn request(row: &Row) -> Result<MarketRequest, StoreError> {
    Ok(MarketRequest {
        id: row.get(0)?,
        digest: row.get(1)?,
        chain: row.get(2)?,
        state: state_of(row, 3)?,
        reason: row.get(4)?,
        terms: row.get(5)?,
        base: row.get(6)?,
        adapter: row.get(7)?,
        kind: row.get(8)?,
        deadline: row.get(9)?,
        answer: row.get(10)?,
        decision: row.get(11)?,
        from_block: row.get(12)?,
        job: row.get(13)?,
        accept_tx: row.get(14)?,
        settle_tx: row.get(15)?,
        sequence: row.get(16)?,
        created: row.get(17)?,
        updated: row.get(18)?,
        datanet: row.get(19)?,
    })
}

fn state_of(row: &Row, place: usize) -> Result<MarketState, StoreError> {
    MarketState::of(&row.get::<String>(place)?)
}

pub(super) fn get(sql: &mut Statements<'_>, tenant: &str, digest: &Word) -> Result<Option<MarketRequest>, StoreError> {
    sql.row(&format!("{REQUEST} WHERE tenant = $1 AND digest = $2"), params![tenant, digest], request)
}

pub(super) fn by_id(sql: &mut Statements<'_>, id: Uuid) -> Result<Option<MarketRequest>, StoreError> {
    sql.row(&format!("{REQUEST} WHERE id = $1"), params![id], request)
}

pub(super) fn owner(sql: &mut Statements<'_>, digest: &Word) -> Result<Option<String>, StoreError> {
    sql.row("SELECT tenant FROM requests WHERE digest = $1", params![digest], |row| row.get(0))
}

pub(super) fn open(sql: &mut Statements<'_>) -> Result<Vec<MarketRequest>, StoreError> {
    sql.rows(&format!("{REQUEST} WHERE state IN {OPEN} ORDER BY deadline, id"), params![], request)
}

pub(super) fn input(sql: &mut Statements<'_>, id: Uuid) -> Result<Option<(Vec<u32>, Salt)>, StoreError> {
    let query = "SELECT token_ids, salt FROM request_inputs WHERE request = $1";
    sql.row(query, params![id], |row| Ok((token_ids(&row.get::<Vec<u8>>(0)?), row.get(1)?)))
}

pub(super) fn events(
    sql: &mut Statements<'_>,
    tenant: &str,
    digest: &Word,
    after: u64,
) -> Result<Vec<MarketEvent>, StoreError> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    sql.rows(
        "SELECT e.seq, e.from_state, e.to_state, e.at, e.reason FROM request_events e JOIN requests r ON r.id = e.request
         WHERE r.tenant = $1 AND r.digest = $2 AND e.seq > $3 ORDER BY e.seq",
        params![tenant, digest, after],
        |row| {
            let from = row.get::<Option<String>>(1)?.as_deref().map(MarketState::of).transpose()?;
            Ok(MarketEvent { sequence: row.get(0)?, from, to: state_of(row, 2)?, at: row.get(3)?, reason: row.get(4)? })
        },
    )
}

pub(super) fn breaker(sql: &mut Statements<'_>) -> Result<Option<(String, Millis)>, StoreError> {
    let query = "SELECT reason, since FROM breaker WHERE name = 'market'";
    sql.row(query, params![], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn counts(sql: &mut Statements<'_>) -> Result<Vec<(MarketState, u64)>, StoreError> {
    let query = "SELECT state, count(*) FROM requests GROUP BY state";
    sql.rows(query, params![], |row| Ok((state_of(row, 0)?, row.get(1)?)))
}
