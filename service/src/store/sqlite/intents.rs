//! Transactions before, while and after they are on their way, and the ledger of what they moved.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::Change;
use crate::store::market::{Account, Block, Entry, EntryKind, Intent, IntentEnd, IntentKind, IntentState, NewIntent};
use crate::store::{Millis, StoreError, Word};

/// Writes an intent, unless one of its kind and subject is in flight.
pub(super) fn intend(change: &mut Change<'_>, intent: &NewIntent) -> Result<bool, StoreError> {
    let query = "SELECT EXISTS (SELECT 1 FROM intents WHERE chain = ?1 AND account = ?2 AND kind = ?3 AND subject = ?4
                 AND state IN ('OPEN', 'SENT'))";
    let known: bool = change.transaction.query_row(
        query,
        params![intent.chain, intent.account, intent.kind.name(), intent.subject],
        |row| row.get(0),
    )?;
    if known {
        return Ok(false);
    }
    change.transaction.execute(
        "INSERT INTO intents (id, chain, account, kind, subject, target, data, more_gas, state, created, updated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'OPEN', ?9, ?9)",
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
        let query = "INSERT INTO intent_requests (intent, request) VALUES (?1, ?2)";
        change.transaction.execute(query, params![intent.id, request])?;
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
    let signed = change.transaction.execute(
        "UPDATE intents SET state = 'SENT', nonce = ?2, updated = ?3
         WHERE id = ?1 AND (state = 'OPEN' OR (state = 'SENT' AND nonce = ?2))",
        params![intent, nonce, change.now],
    )?;
    if signed == 0 {
        return Ok(false);
    }
    change.transaction.execute(
        "INSERT INTO versions (intent, n, hash, raw, created)
         SELECT ?1, count(*), ?2, ?3, ?4 FROM versions WHERE intent = ?1",
        params![intent, hash, raw, change.now],
    )?;
    Ok(true)
}

/// Ends an intent and books what it moved.
pub(super) fn finish(change: &mut Change<'_>, intent: Uuid, end: &IntentEnd) -> Result<bool, StoreError> {
    let (tx, block, gas) = end.mined.map_or((None, None, None), |(tx, block, gas)| (Some(tx), Some(block), Some(gas)));
    let ended = change.transaction.execute(
        "UPDATE intents SET state = ?2, reason = ?3, tx = ?4, block = ?5, gas = ?6, updated = ?7,
             seen_block = ?8, seen_hash = ?9
         WHERE id = ?1 AND state IN ('OPEN', 'SENT')",
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
        change.transaction.execute(
            "INSERT INTO ledger (chain, tx, log, kind, request, account, token, amount, at, seen_block, seen_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (chain, tx, log) DO UPDATE SET seen_block = ?10, seen_hash = ?11",
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

struct Raw {
    intent: Intent,
    kind: String,
    state: String,
}

fn raw(row: &Row<'_>) -> Result<Raw, rusqlite::Error> {
    let what = NewIntent {
        id: row.get(0)?,
        chain: row.get(1)?,
        account: row.get(2)?,
        kind: IntentKind::Accept,
        subject: row.get(4)?,
        requests: Vec::new(),
        target: row.get(5)?,
        data: row.get(6)?,
        more_gas: row.get(7)?,
    };
    let since: Millis = row.get(12)?;
    let (nonce, reason, tx) = (row.get(9)?, row.get(10)?, row.get(11)?);
    let intent = Intent { what, state: IntentState::Open, nonce, reason, tx, versions: Vec::new(), since };
    Ok(Raw { intent, kind: row.get(3)?, state: row.get(8)? })
}

fn read(connection: &Connection, rest: &str, parameters: impl rusqlite::Params) -> Result<Vec<Intent>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{INTENT} {rest}"))?;
    let rows: Vec<Raw> = statement.query_map(parameters, raw)?.collect::<Result<_, _>>()?;
    let mut intents = Vec::with_capacity(rows.len());
    for Raw { mut intent, kind, state } in rows {
        intent.what.kind = IntentKind::of(&kind)?;
        intent.state = IntentState::of(&state)?;
        let mut statement = connection.prepare_cached("SELECT raw FROM versions WHERE intent = ?1 ORDER BY n")?;
        intent.versions = statement.query_map([intent.what.id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut statement = connection.prepare_cached("SELECT request FROM intent_requests WHERE intent = ?1")?;
        intent.what.requests = statement.query_map([intent.what.id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        intents.push(intent);
    }
    Ok(intents)
}

pub(super) fn in_flight(connection: &Connection, chain: u64, account: &Account) -> Result<Vec<Intent>, StoreError> {
    let rest = "WHERE chain = ?1 AND account = ?2 AND state IN ('OPEN', 'SENT') ORDER BY nonce IS NULL, nonce, id";
    read(connection, rest, params![chain, account])
}

pub(super) fn of_request(connection: &Connection, request: Uuid) -> Result<Vec<Intent>, StoreError> {
    read(connection, "WHERE id IN (SELECT intent FROM intent_requests WHERE request = ?1) ORDER BY id", [request])
}

pub(super) fn next_nonce(connection: &Connection, chain: u64, account: &Account) -> Result<Option<u64>, StoreError> {
    let query = "SELECT max(nonce) + 1 FROM intents WHERE chain = ?1 AND account = ?2";
    Ok(connection.query_row(query, params![chain, account], |row| row.get(0))?)
}

pub(super) fn ledger(connection: &Connection, chain: u64, account: &Account) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT chain, tx, log, kind, request, account, token, amount FROM ledger
         WHERE chain = ?1 AND account = ?2 ORDER BY at, tx, log",
    )?;
    let rows = statement.query_map(params![chain, account], |row| {
        let kind: String = row.get(3)?;
        let entry = Entry {
            chain: row.get(0)?,
            tx: row.get(1)?,
            log: row.get(2)?,
            kind: EntryKind::Earned,
            request: row.get(4)?,
            account: row.get(5)?,
            token: row.get(6)?,
            amount: row.get(7)?,
        };
        Ok((kind, entry))
    })?;
    rows.map(|row| {
        let (kind, entry) = row?;
        Ok(Entry { kind: EntryKind::of(&kind)?, ..entry })
    })
    .collect()
}
