//! Transactions before, while and after they are on their way, and the ledger of what they moved.

use uuid::Uuid;

use super::Change;
use super::driver::{Parameter, Row, Statements, params};
use crate::store::market::{Account, Block, Entry, EntryKind, Intent, IntentEnd, IntentKind, IntentState, NewIntent};
use crate::store::{StoreError, Word};

/// Writes an intent, unless one of its kind and subject is in flight.
pub(super) fn intend(change: &mut Change<'_>, intent: &NewIntent) -> Result<bool, StoreError> {
    let query = "SELECT 1 FROM intents WHERE chain = $1 AND account = $2 AND kind = $3 AND subject = $4
                 AND state IN ('OPEN', 'SENT') LIMIT 1";
    let parameters = params![intent.chain, intent.account, intent.kind.name(), intent.subject];
    let known = change.sql.row(query, parameters, |_| Ok(()))?;
    if known.is_some() {
        return Ok(false);
    }
    change.sql.execute(
        "INSERT INTO intents (id, chain, account, kind, subject, target, data, more_gas, state, created, updated)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'OPEN', $9, $9)",
        params![
            intent.id,
            intent.chain,
            intent.account,
            intent.kind.name(),
            intent.subject,
            intent.target,
            intent.data,
            intent.more_gas,
            change.now
        ],
    )?;
    for request in &intent.requests {
        let query = "INSERT INTO intent_requests (intent, request) VALUES ($1, $2)";
        change.sql.execute(query, params![intent.id, request])?;
    }
    Ok(true)
}

/// Writes a signed version.
pub(super) fn sign(
    change: &mut Change<'_>,
    intent: Uuid,
    nonce: u64,
    (hash, raw): (&Word, &[u8]),
) -> Result<bool, StoreError> {
    let signed = change.sql.execute(
        "UPDATE intents SET state = 'SENT', nonce = $2, updated = $3
         WHERE id = $1 AND (state = 'OPEN' OR (state = 'SENT' AND nonce = $2))",
        params![intent, nonce, change.now],
    )?;
    if signed == 0 {
        return Ok(false);
    }
    let query = "SELECT count(*) FROM versions WHERE intent = $1";
    let number: i64 = change.sql.one(query, params![intent], |row| row.get(0))?;
    change.sql.execute(
        "INSERT INTO versions (intent, n, hash, raw, created) VALUES ($1, $2, $3, $4, $5)",
        params![intent, number, hash, raw, change.now],
    )?;
    Ok(true)
}

/// Ends an intent and books what it moved.
pub(super) fn finish(change: &mut Change<'_>, intent: Uuid, end: &IntentEnd) -> Result<bool, StoreError> {
    let (tx, block, gas) = end.mined.map_or((None, None, None), |(tx, block, gas)| (Some(tx), Some(block), Some(gas)));
    let ended = change.sql.execute(
        "UPDATE intents SET state = $2, reason = $3, tx = $4, block = $5, gas = $6, updated = $7,
             seen_block = $8, seen_hash = $9
         WHERE id = $1 AND state IN ('OPEN', 'SENT')",
        params![
            intent,
            end.state.name(),
            end.reason,
            tx,
            block,
            gas,
            change.now,
            end.seen.map(|seen| seen.0),
            end.seen.map(|seen| seen.1)
        ],
    )?;
    if ended == 0 {
        return Ok(false);
    }
    book(change, &end.entries, end.seen)?;
    Ok(true)
}

/// Books movements, by a block. What is booked already is so once, by the block that was seen last.
pub(super) fn book(change: &mut Change<'_>, entries: &[Entry], seen: Option<Block>) -> Result<(), StoreError> {
    for entry in entries {
        change.sql.execute(
            "INSERT INTO ledger (chain, tx, log, kind, request, account, token, amount, at, seen_block, seen_hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (chain, tx, log) DO UPDATE SET seen_block = $10, seen_hash = $11",
            params![
                entry.chain,
                entry.tx,
                entry.log,
                entry.kind.name(),
                entry.request,
                entry.account,
                entry.token,
                entry.amount,
                change.now,
                seen.map(|seen| seen.0),
                seen.map(|seen| seen.1)
            ],
        )?;
    }
    Ok(())
}

const INTENT: &str = "SELECT id, chain, account, kind, subject, target, data, more_gas, state, nonce, reason, tx,
    updated FROM intents";

fn intent(row: &Row) -> Result<Intent, StoreError> {
    let what = NewIntent {
        id: row.get(0)?,
        chain: row.get(1)?,
        account: row.get(2)?,
        kind: IntentKind::of(&row.get::<String>(3)?)?,
        subject: row.get(4)?,
        requests: Vec::new(),
        target: row.get(5)?,
        data: row.get(6)?,
        more_gas: row.get(7)?,
    };
    let state = IntentState::of(&row.get::<String>(8)?)?;
    let (nonce, reason, tx) = (row.get(9)?, row.get(10)?, row.get(11)?);
    Ok(Intent { what, state, nonce, reason, tx, versions: Vec::new(), since: row.get(12)? })
}

fn read(sql: &mut Statements<'_>, rest: &str, parameters: &[&dyn Parameter]) -> Result<Vec<Intent>, StoreError> {
    let mut intents = sql.rows(&format!("{INTENT} {rest}"), parameters, intent)?;
    for own in &mut intents {
        let query = "SELECT raw FROM versions WHERE intent = $1 ORDER BY n";
        own.versions = sql.rows(query, params![own.what.id], |row| row.get(0))?;
        let query = "SELECT request FROM intent_requests WHERE intent = $1 ORDER BY request";
        own.what.requests = sql.rows(query, params![own.what.id], |row| row.get(0))?;
    }
    Ok(intents)
}

pub(super) fn in_flight(sql: &mut Statements<'_>, chain: u64, account: &Account) -> Result<Vec<Intent>, StoreError> {
    let rest = "WHERE chain = $1 AND account = $2 AND state IN ('OPEN', 'SENT') ORDER BY nonce IS NULL, nonce, id";
    read(sql, rest, params![chain, account])
}

pub(super) fn of_request(sql: &mut Statements<'_>, request: Uuid) -> Result<Vec<Intent>, StoreError> {
    let rest = "WHERE id IN (SELECT intent FROM intent_requests WHERE request = $1) ORDER BY id";
    read(sql, rest, params![request])
}

pub(super) fn next_nonce(sql: &mut Statements<'_>, chain: u64, account: &Account) -> Result<Option<u64>, StoreError> {
    let query = "SELECT max(nonce) + 1 FROM intents WHERE chain = $1 AND account = $2";
    sql.one(query, params![chain, account], |row| row.get(0))
}

pub(super) fn ledger(sql: &mut Statements<'_>, chain: u64, account: &Account) -> Result<Vec<Entry>, StoreError> {
    sql.rows(
        "SELECT chain, tx, log, kind, request, account, token, amount FROM ledger
         WHERE chain = $1 AND account = $2 ORDER BY at, tx, log",
        params![chain, account],
        |row| {
            Ok(Entry {
                chain: row.get(0)?,
                tx: row.get(1)?,
                log: row.get(2)?,
                kind: EntryKind::of(&row.get::<String>(3)?)?,
                request: row.get(4)?,
                account: row.get(5)?,
                token: row.get(6)?,
                amount: row.get(7)?,
            })
        },
    )
}
