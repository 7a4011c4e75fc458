//! What an operator sees.

use super::driver::{Driver, Row, Statements, params};
use super::{SqlStore, jobs, market, state_of};
use crate::store::market::{Account, IntentKind, IntentState};
use crate::store::overview::{
    Batches, History, IntentRow, LeaseRow, Money, Overview, OverviewStore, ROWS, TenantRow, Trouble,
};
use crate::store::{Millis, StoreError, Word};

/// Durations that are looked at, at most.
const DURATIONS: u32 = 10_000;

impl<D: Driver> OverviewStore for SqlStore<D> {
    fn overview(&mut self, since: Millis) -> Result<Overview, StoreError> {
        self.read(|sql| overview(sql, since))
    }

    fn money(&mut self, chain: u64, account: &Account) -> Result<Money, StoreError> {
        self.read(|sql| Ok(Money { flight: flight(sql, chain, account)?, mined: mined(sql, chain, account)? }))
    }

    fn history(&mut self, digest: &Word) -> Result<Option<History>, StoreError> {
        self.read(|sql| {
            let Some(tenant) = market::owner(sql, digest)? else { return Ok(None) };
            let Some(request) = market::get(sql, &tenant, digest)? else { return Ok(None) };
            let events = market::events(sql, &tenant, digest, 0)?;
            let of = "WHERE i.id IN (SELECT intent FROM intent_requests WHERE request = $1) ORDER BY i.id";
            let intents = sql.rows(&format!("{INTENT} {of}"), params![request.id], intent)?;
            Ok(Some(History { tenant, request, events, intents }))
        })
    }
}

fn overview(sql: &mut Statements<'_>, since: Millis) -> Result<Overview, StoreError> {
    let oldest = "SELECT min(created) FROM jobs WHERE state = 'QUEUED'";
    // Sums of numbers are numbers of another kind in Postgres.
    let batches =
        "SELECT count(*), CAST(coalesce(sum(requests), 0) AS BIGINT), CAST(coalesce(sum(spent_ms), 0) AS BIGINT)
                   FROM batches WHERE state = 'DONE' AND created >= $1";
    Ok(Overview {
        jobs: jobs::counts(sql)?,
        oldest_queued: sql.one(oldest, params![], |row| row.get(0))?,
        proven: sql.rows(
            "SELECT took FROM (SELECT updated - created AS took FROM jobs WHERE state = 'PROVEN' AND updated >= $1
             ORDER BY updated DESC LIMIT $2) AS lately ORDER BY took",
            params![since, DURATIONS],
            |row| row.get(0),
        )?,
        batches: sql.one(batches, params![since], |row| {
            Ok(Batches { count: row.get(0)?, requests: row.get(1)?, milliseconds: row.get(2)? })
        })?,
        leases: leases(sql)?,
        tenants: tenants(sql)?,
        troubles: troubles(sql)?,
        requests: market::latest(sql, ROWS)?,
    })
}

fn leases(sql: &mut Statements<'_>) -> Result<Vec<LeaseRow>, StoreError> {
    sql.rows(
        "SELECT id, owner, tenant, (SELECT count(*) FROM jobs WHERE batch = batches.id), created, lease_until FROM batches
         WHERE state = 'LEASED' ORDER BY created, id LIMIT $1",
        params![ROWS],
        |row| {
            Ok(LeaseRow {
                batch: row.get(0)?,
                owner: row.get(1)?,
                tenant: row.get(2)?,
                jobs: row.get(3)?,
                since: row.get(4)?,
                until: row.get(5)?,
            })
        },
    )
}

fn tenants(sql: &mut Statements<'_>) -> Result<Vec<TenantRow>, StoreError> {
    sql.rows(
        "SELECT t.id, t.vtime, count(CASE WHEN j.state = 'QUEUED' THEN 1 END), count(CASE WHEN j.state = 'PROVING' THEN 1 END),
             count(CASE WHEN j.state = 'PROVEN' THEN 1 END), count(CASE WHEN j.state = 'FAILED' THEN 1 END)
         FROM tenants t LEFT JOIN jobs j ON j.tenant = t.id GROUP BY t.id, t.vtime ORDER BY t.vtime, t.id LIMIT $1",
        params![ROWS],
        |row| {
            Ok(TenantRow {
                id: row.get(0)?,
                served: row.get(1)?,
                queued: row.get(2)?,
                proving: row.get(3)?,
                proven: row.get(4)?,
                failed: row.get(5)?,
            })
        },
    )
}

fn troubles(sql: &mut Statements<'_>) -> Result<Vec<Trouble>, StoreError> {
    sql.rows(
        "SELECT id, tenant, state, attempt + infra_attempt, created, updated,
             coalesce((SELECT e.cause FROM job_events e WHERE e.job = jobs.id
                 AND e.cause NOT IN ('CREATED', 'LEASED', 'PROVEN') ORDER BY e.seq DESC LIMIT 1), '')
         FROM jobs WHERE state IN ('FAILED', 'EXPIRED') OR attempt + infra_attempt > 0 ORDER BY updated DESC, id LIMIT $1",
        params![ROWS],
        |row| {
            Ok(Trouble {
                id: row.get(0)?,
                tenant: row.get(1)?,
                state: state_of(row, 2)?,
                attempts: row.get(3)?,
                created: row.get(4)?,
                updated: row.get(5)?,
                cause: row.get(6)?,
            })
        },
    )
}

const INTENT: &str =
    "SELECT i.kind, i.state, i.nonce, (SELECT count(*) FROM versions WHERE intent = i.id), i.reason, i.tx,
    i.block, i.gas, i.created FROM intents i";

fn intent(row: &Row) -> Result<IntentRow, StoreError> {
    Ok(IntentRow {
        kind: IntentKind::of(&row.get::<String>(0)?)?,
        state: IntentState::of(&row.get::<String>(1)?)?,
        nonce: row.get(2)?,
        versions: row.get(3)?,
        reason: row.get(4)?,
        tx: row.get(5)?,
        block: row.get(6)?,
        gas: row.get(7)?,
        created: row.get(8)?,
    })
}

fn flight(sql: &mut Statements<'_>, chain: u64, account: &Account) -> Result<Vec<IntentRow>, StoreError> {
    let of = "WHERE i.chain = $1 AND i.account = $2 AND i.state IN ('OPEN', 'SENT')
              ORDER BY i.nonce IS NULL, i.nonce, i.id LIMIT $3";
    sql.rows(&format!("{INTENT} {of}"), params![chain, account, ROWS], intent)
}

fn mined(
    sql: &mut Statements<'_>,
    chain: u64,
    account: &Account,
) -> Result<Vec<(IntentKind, IntentState, u64, u64)>, StoreError> {
    sql.rows(
        "SELECT kind, state, count(*), CAST(coalesce(sum(gas), 0) AS BIGINT) FROM intents
         WHERE chain = $1 AND account = $2 AND state IN ('DONE', 'FAILED') GROUP BY kind, state ORDER BY kind, state",
        params![chain, account],
        |row| {
            let (kind, state) = (row.get::<String>(0)?, row.get::<String>(1)?);
            Ok((IntentKind::of(&kind)?, IntentState::of(&state)?, row.get(2)?, row.get(3)?))
        },
    )
}
