//! Requests that an escrow pays: rows, transitions, and what is written with them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Change, intents, jobs};
use crate::store::market::{
    Advance, Block, Breaker, Effects, MARKET, MarketEvent, MarketRequest, MarketState, NewRequest,
};
use crate::store::{StoreError, Submitted, Word};

/// States that are not the end.
const OPEN: &str = "('WAITING', 'ACCEPTING', 'ACCEPTED', 'PROVING', 'SETTLING', 'REFUSING')";

/// Refuses whoever has been taken over from.
pub(super) fn fence(change: &Change<'_>, epoch: i64) -> Result<(), StoreError> {
    let query = "SELECT value FROM counters WHERE name = 'broker'";
    let own: i64 = change.transaction.query_row(query, [], |row| row.get(0))?;
    if own == epoch { Ok(()) } else { Err(StoreError::Fenced { own, got: epoch }) }
}

pub(super) fn take_over(change: &mut Change<'_>) -> Result<i64, StoreError> {
    let query = "UPDATE counters SET value = value + 1 WHERE name = 'broker' RETURNING value";
    Ok(change.transaction.query_row(query, [], |row| row.get(0))?)
}

pub(super) fn admit(change: &mut Change<'_>, request: &NewRequest, max_open: u32) -> Result<Submitted, StoreError> {
    let query = "SELECT id, tenant FROM requests WHERE digest = ?1";
    let known: Option<(Uuid, String)> =
        change.transaction.query_row(query, [request.digest], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match known {
        Some((id, tenant)) if tenant == request.tenant => return Ok(Submitted::Repeated(id)),
        Some(_) => return Err(StoreError::RequestForeign),
        None => {}
    }
    jobs::tenant(change, &request.tenant)?;
    let query = format!("SELECT count(*) FROM requests WHERE tenant = ?1 AND state IN {OPEN}");
    let open: u32 = change.transaction.query_row(&query, [&request.tenant], |row| row.get(0))?;
    if open >= max_open {
        return Err(StoreError::Quota { limit: max_open });
    }
    change.transaction.execute(
        "INSERT INTO requests (id, digest, chain, tenant, state, reason, terms, base, adapter, kind, deadline, answer, seq,
             created, updated, datanet)
         VALUES (?1, ?2, ?3, ?4, 'WAITING', 'SUBMITTED', ?5, ?6, ?7, ?8, ?9, ?10, 1, ?11, ?11, ?12)",
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
    change.transaction.execute(
        "INSERT INTO request_inputs (request, token_ids, salt) VALUES (?1, ?2, ?3)",
        params![request.id, token_ids, request.salt],
    )?;
    event(change, request.id, None, MarketState::Waiting, "SUBMITTED")?;
    Ok(Submitted::Created)
}

fn event(
    change: &mut Change<'_>,
    id: Uuid,
    from: Option<MarketState>,
    to: MarketState,
    reason: &str,
) -> Result<(), StoreError> {
    change.transaction.execute(
        "INSERT INTO request_events (request, seq, from_state, to_state, at, reason)
         SELECT id, seq, ?2, ?3, ?4, ?5 FROM requests WHERE id = ?1",
        params![id, from.map(MarketState::name), to.name(), change.now, reason],
    )?;
    change.changed.push(id);
    Ok(())
}

/// Moves a request with all that goes with it.
pub(super) fn advance(change: &mut Change<'_>, own: &Advance) -> Result<bool, StoreError> {
    let effects = &own.effects;
    let job = effects.job.as_ref().map(|job| job.id);
    let moved = change.transaction.execute(
        "UPDATE requests SET state = ?3, reason = ?4, seq = seq + 1, updated = ?5, decision = coalesce(?6, decision),
             from_block = coalesce(?7, from_block), job = coalesce(?8, job), accept_tx = coalesce(?9, accept_tx),
             settle_tx = coalesce(?10, settle_tx), seen_block = ?11, seen_hash = ?12
         WHERE id = ?1 AND state = ?2",
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
    )?;
    if moved == 0 {
        return Ok(false);
    }
    event(change, own.request, Some(own.from), own.to, &own.reason)?;
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

pub(super) fn blocks_seen(connection: &Connection, chain: u64, from: u64) -> Result<Vec<Block>, StoreError> {
    let of = |table| {
        format!(
            "SELECT seen_block, seen_hash FROM {table} WHERE chain = ?1 AND seen_block >= ?2 AND seen_hash IS NOT NULL"
        )
    };
    let query = format!("{} UNION {} UNION {} ORDER BY 1, 2", of("intents"), of("requests"), of("ledger"));
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map(params![chain, from], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn take_back(change: &mut Change<'_>, chain: u64, (block, hash): &Block) -> Result<usize, StoreError> {
    let by = "chain = ?1 AND seen_block = ?2 AND seen_hash = ?3";
    let mut taken = change.transaction.execute(
        &format!(
            "UPDATE intents SET state = 'SENT', reason = 'REORGANISED', tx = NULL, block = NULL, gas = NULL, seen_block = NULL,
                 seen_hash = NULL, updated = ?4
             WHERE {by} AND state IN ('DONE', 'FAILED', 'DEAD') AND nonce IS NOT NULL"
        ),
        params![chain, block, hash, change.now],
    )?;
    taken += change.transaction.execute(&format!("DELETE FROM ledger WHERE {by}"), params![chain, block, hash])?;
    let mut statement = change.transaction.prepare_cached(&format!("SELECT id, state FROM requests WHERE {by}"))?;
    let rows = statement.query_map(params![chain, block, hash], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let requests: Vec<(Uuid, String)> = rows.collect::<Result<_, _>>()?;
    drop(statement);
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
        Breaker::Open(reason) => change.transaction.execute(
            "INSERT INTO breaker (name, reason, since) VALUES ('market', ?1, ?2)
             ON CONFLICT (name) DO UPDATE SET reason = ?1, since = ?2",
            params![reason, change.now],
        )?,
        Breaker::Closed => change.transaction.execute("DELETE FROM breaker WHERE name = 'market'", [])?,
    };
    Ok(())
}

const REQUEST: &str = "SELECT id, digest, chain, state, reason, terms, base, adapter, kind, deadline, answer, decision,
    from_block, job, accept_tx, settle_tx, seq, created, updated, datanet FROM requests";

fn request(row: &Row<'_>, from: usize) -> Result<(String, MarketRequest), rusqlite::Error> {
    let own = MarketRequest {
        id: row.get(from)?,
        digest: row.get(from + 1)?,
        chain: row.get(from + 2)?,
        state: MarketState::Waiting,
        reason: row.get(from + 4)?,
        terms: row.get(from + 5)?,
        base: row.get(from + 6)?,
        adapter: row.get(from + 7)?,
        kind: row.get(from + 8)?,
        deadline: row.get(from + 9)?,
        answer: row.get(from + 10)?,
        decision: row.get(from + 11)?,
        from_block: row.get(from + 12)?,
        job: row.get(from + 13)?,
        accept_tx: row.get(from + 14)?,
        settle_tx: row.get(from + 15)?,
        sequence: row.get(from + 16)?,
        created: row.get(from + 17)?,
        updated: row.get(from + 18)?,
        datanet: row.get(from + 19)?,
    };
    Ok((row.get(from + 3)?, own))
}

fn with_state((state, own): (String, MarketRequest)) -> Result<MarketRequest, StoreError> {
    Ok(MarketRequest { state: MarketState::of(&state)?, ..own })
}

pub(super) fn get(connection: &Connection, tenant: &str, digest: &Word) -> Result<Option<MarketRequest>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{REQUEST} WHERE tenant = ?1 AND digest = ?2"))?;
    statement.query_row(params![tenant, digest], |row| request(row, 0)).optional()?.map(with_state).transpose()
}

pub(super) fn by_id(connection: &Connection, id: Uuid) -> Result<Option<MarketRequest>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{REQUEST} WHERE id = ?1"))?;
    statement.query_row([id], |row| request(row, 0)).optional()?.map(with_state).transpose()
}

pub(super) fn open(connection: &Connection) -> Result<Vec<MarketRequest>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{REQUEST} WHERE state IN {OPEN} ORDER BY deadline, id"))?;
    let rows = statement.query_map([], |row| request(row, 0))?;
    rows.map(|row| row.map_err(StoreError::from).and_then(with_state)).collect()
}

/// Requests with their tenants, the latest change first.
pub(super) fn latest(connection: &Connection, limit: u32) -> Result<Vec<(String, MarketRequest)>, StoreError> {
    let columns = REQUEST.replacen("SELECT", "SELECT tenant,", 1);
    let mut statement = connection.prepare_cached(&format!("{columns} ORDER BY updated DESC, id DESC LIMIT ?1"))?;
    let mut rows = statement.query([limit])?;
    let mut latest = Vec::new();
    while let Some(row) = rows.next()? {
        latest.push((row.get(0)?, with_state(request(row, 1)?)?));
    }
    Ok(latest)
}

pub(super) fn input(connection: &Connection, id: Uuid) -> Result<Option<(Vec<u32>, [u8; 31])>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT token_ids, salt FROM request_inputs WHERE request = ?1")?;
    let row: Option<(Vec<u8>, [u8; 31])> =
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let ids = |bytes: Vec<u8>| {
        bytes.chunks_exact(4).map(|id| <[u8; 4]>::try_from(id).map_or(0, u32::from_le_bytes)).collect()
    };
    Ok(row.map(|(bytes, salt)| (ids(bytes), salt)))
}

pub(super) fn events(
    connection: &Connection,
    tenant: &str,
    digest: &Word,
    after: u64,
) -> Result<Vec<MarketEvent>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT e.seq, e.from_state, e.to_state, e.at, e.reason FROM request_events e JOIN requests r ON r.id = e.request
         WHERE r.tenant = ?1 AND r.digest = ?2 AND e.seq > ?3 ORDER BY e.seq",
    )?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![tenant, digest, after], |row| {
        Ok((row.get(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, String>(2)?, row.get(3)?, row.get(4)?))
    })?;
    rows.map(|row| {
        let (sequence, from, to, at, reason) = row?;
        let from = from.as_deref().map(MarketState::of).transpose()?;
        Ok(MarketEvent { sequence, from, to: MarketState::of(&to)?, at, reason })
    })
    .collect()
}
