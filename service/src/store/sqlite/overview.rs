//! What an operator sees.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{market, state_of};
use crate::store::market::{Account, IntentKind, IntentState};
use crate::store::overview::{Batches, History, IntentRow, LeaseRow, Money, Overview, ROWS, TenantRow, Trouble};
use crate::store::{Millis, State, StoreError, Word};

/// Durations that are looked at, at most.
const DURATIONS: u32 = 10_000;

pub(super) fn overview(
    connection: &Connection,
    since: Millis,
    jobs: Vec<(State, u64)>,
) -> Result<Overview, StoreError> {
    let oldest = "SELECT min(created) FROM jobs WHERE state = 'QUEUED'";
    let batches = "SELECT count(*), coalesce(sum(requests), 0), coalesce(sum(spent_ms), 0) FROM batches
                   WHERE state = 'DONE' AND created >= ?1";
    Ok(Overview {
        jobs,
        oldest_queued: connection.query_row(oldest, [], |row| row.get(0))?,
        proven: proven(connection, since)?,
        batches: connection.query_row(batches, [since], |row| {
            Ok(Batches { count: row.get(0)?, requests: row.get(1)?, milliseconds: row.get(2)? })
        })?,
        leases: leases(connection)?,
        tenants: tenants(connection)?,
        troubles: troubles(connection)?,
        requests: market::latest(connection, ROWS)?,
    })
}

fn proven(connection: &Connection, since: Millis) -> Result<Vec<Millis>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT took FROM (SELECT updated - created AS took FROM jobs WHERE state = 'PROVEN' AND updated >= ?1
         ORDER BY updated DESC LIMIT ?2) lately ORDER BY took",
    )?;
    let rows = statement.query_map(params![since, DURATIONS], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn leases(connection: &Connection) -> Result<Vec<LeaseRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, owner, tenant, (SELECT count(*) FROM jobs WHERE batch = batches.id), created, lease_until FROM batches
         WHERE state = 'LEASED' ORDER BY created LIMIT ?1",
    )?;
    let rows = statement.query_map([ROWS], |row| {
        Ok(LeaseRow {
            batch: row.get(0)?,
            owner: row.get(1)?,
            tenant: row.get(2)?,
            jobs: row.get(3)?,
            since: row.get(4)?,
            until: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn tenants(connection: &Connection) -> Result<Vec<TenantRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT t.id, t.vtime, count(CASE WHEN j.state = 'QUEUED' THEN 1 END), count(CASE WHEN j.state = 'PROVING' THEN 1 END),
             count(CASE WHEN j.state = 'PROVEN' THEN 1 END), count(CASE WHEN j.state = 'FAILED' THEN 1 END)
         FROM tenants t LEFT JOIN jobs j ON j.tenant = t.id GROUP BY t.id, t.vtime ORDER BY t.vtime, t.id LIMIT ?1",
    )?;
    let rows = statement.query_map([ROWS], |row| {
        Ok(TenantRow {
            id: row.get(0)?,
            served: row.get(1)?,
            queued: row.get(2)?,
            proving: row.get(3)?,
            proven: row.get(4)?,
            failed: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn troubles(connection: &Connection) -> Result<Vec<Trouble>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, state, attempt + infra_attempt, created, updated,
             coalesce((SELECT e.cause FROM job_events e WHERE e.job = jobs.id
                 AND e.cause NOT IN ('CREATED', 'LEASED', 'PROVEN') ORDER BY e.seq DESC LIMIT 1), '')
         FROM jobs WHERE state IN ('FAILED', 'EXPIRED') OR attempt + infra_attempt > 0 ORDER BY updated DESC, id LIMIT ?1",
    )?;
    let rows = statement.query_map([ROWS], |row| {
        let trouble = Trouble {
            id: row.get(0)?,
            tenant: row.get(1)?,
            state: State::Queued,
            attempts: row.get(3)?,
            created: row.get(4)?,
            updated: row.get(5)?,
            cause: row.get(6)?,
        };
        Ok((row.get::<_, String>(2)?, trouble))
    })?;
    rows.map(|row| {
        row.map_err(StoreError::from).and_then(|(state, own)| Ok(Trouble { state: state_of(&state)?, ..own }))
    })
    .collect()
}

const INTENT: &str =
    "SELECT i.kind, i.state, i.nonce, (SELECT count(*) FROM versions WHERE intent = i.id), i.reason, i.tx,
    i.block, i.gas, i.created FROM intents i";

fn intent(row: &Row<'_>) -> Result<(String, String, IntentRow), rusqlite::Error> {
    let own = IntentRow {
        kind: IntentKind::Accept,
        state: IntentState::Open,
        nonce: row.get(2)?,
        versions: row.get(3)?,
        reason: row.get(4)?,
        tx: row.get(5)?,
        block: row.get(6)?,
        gas: row.get(7)?,
        created: row.get(8)?,
    };
    Ok((row.get(0)?, row.get(1)?, own))
}

fn with_words(row: Result<(String, String, IntentRow), rusqlite::Error>) -> Result<IntentRow, StoreError> {
    let (kind, state, own) = row?;
    Ok(IntentRow { kind: IntentKind::of(&kind)?, state: IntentState::of(&state)?, ..own })
}

pub(super) fn money(connection: &Connection, chain: u64, account: &Account) -> Result<Money, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{INTENT} WHERE i.chain = ?1 AND i.account = ?2 AND i.state IN ('OPEN', 'SENT')
         ORDER BY i.nonce IS NULL, i.nonce, i.id LIMIT ?3"
    ))?;
    let rows = statement.query_map(params![chain, account, ROWS], intent)?;
    let flight = rows.map(with_words).collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(
        "SELECT kind, state, count(*), coalesce(sum(gas), 0) FROM intents
         WHERE chain = ?1 AND account = ?2 AND state IN ('DONE', 'FAILED') GROUP BY kind, state ORDER BY kind, state",
    )?;
    let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?));
    let rows = statement.query_map(params![chain, account], row)?;
    let mined = rows
        .map(|row| {
            let (kind, state, count, gas) = row?;
            Ok((IntentKind::of(&kind)?, IntentState::of(&state)?, count, gas))
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Money { flight, mined })
}

pub(super) fn history(connection: &Connection, digest: &Word) -> Result<Option<History>, StoreError> {
    let query = "SELECT tenant FROM requests WHERE digest = ?1";
    let tenant: Option<String> = connection.query_row(query, [digest], |row| row.get(0)).optional()?;
    let Some(tenant) = tenant else { return Ok(None) };
    let Some(request) = market::get(connection, &tenant, digest)? else { return Ok(None) };
    let events = market::events(connection, &tenant, digest, 0)?;
    let mut statement = connection.prepare_cached(&format!(
        "{INTENT} WHERE i.id IN (SELECT intent FROM intent_requests WHERE request = ?1) ORDER BY i.id"
    ))?;
    let intents = statement.query_map([request.id], intent)?.map(with_words).collect::<Result<_, _>>()?;
    Ok(Some(History { tenant, request, events, intents }))
}
