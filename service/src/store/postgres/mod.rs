//! The store of several services: Postgres.
//!
//! Each service has one connection and, for as long as that stands, the lock of its name: two services of one name would end each
//! other's leases. Writes take turns by a lock of the database that a transaction holds, so each one sees what all before it wrote.
//! The tables are in a schema of their own (`lorica`), contents of all sizes in them. A commit tells the others what it changed.

mod address;

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{ToSql, Type};
use postgres::{Client, NoTls, Statement};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use address::Address;

use super::sql::SqlStore;
use super::sql::driver::{Driver, Mode, Row, Value};
use super::{StoreError, Word};

/// How long a name is waited for that seems to be in use: its last holder may just have died.
const TAKEN: Duration = Duration::from_secs(2);
/// How long it is listened for at once.
const MOMENT: Duration = Duration::from_millis(1);
/// Ids of a message to the others: it has less than 8,000 bytes.
const TOLD: usize = 200;
/// What it is called that others listen to.
const CHANNEL: &str = "lorica_changed";

/// What a connection needs before it is used. A statement that lasts, a transaction that stands still and a peer that is gone are
/// ended by the server.
const SETTINGS: &str = "SET search_path = lorica; SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '30s';
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A store in a Postgres database.
pub type PostgresStore = SqlStore<Postgres>;

/// Who opens a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener<'o> {
    /// A service by its name, which no other service of the database has.
    Service(&'o str),
    /// A command beside the services.
    Command {
        /// Whether the store is made if there is none.
        make: bool,
    },
}

/// A connection, made again after it was lost.
#[derive(Debug)]
pub struct Postgres {
    address: Address,
    /// The service's name, if it is one.
    name: Option<String>,
    session: Option<Session>,
    /// The server's process of the last session: it may hold the name although the connection is lost.
    process: i32,
    /// A transaction has begun; it is doomed if a statement of it failed.
    transaction: Option<Doomed>,
    heard: Vec<Uuid>,
    begin: String,
}

/// Whether a transaction cannot be committed any more.
type Doomed = bool;

struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl PostgresStore {
    /// Opens the store of a database.
    pub fn open(address: &Address, opener: Opener<'_>) -> Result<Self, StoreError> {
        Self::new(Postgres::open(address, opener)?, None)
    }

    /// The same, whose writes the database checks instead of having them take turns: what decision 0052 compares.
    #[cfg(test)]
    pub fn serializable(address: &Address, opener: Opener<'_>) -> Result<Self, StoreError> {
        let driver = Postgres::open(address, opener)?;
        Self::new(Postgres { begin: "BEGIN ISOLATION LEVEL SERIALIZABLE".into(), ..driver }, None)
    }
}

impl Postgres {
    /// Connects, and makes place for a store where there is none.
    pub fn open(address: &Address, opener: Opener<'_>) -> Result<Self, StoreError> {
        let (name, make) = match opener {
            Opener::Service(name) => (Some(name.to_owned()), true),
            Opener::Command { make } => (None, make),
        };
        let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({})", key("write", ""));
        let address = address.clone();
        let mut own = Self { address, name, session: None, process: 0, transaction: None, heard: Vec::new(), begin };
        if own.version()? == 0 {
            if !make {
                return Err(StoreError::Absent(own.address.to_string()));
            }
            own.begin(Mode::Write)?;
            let made = own.run(|session| session.client.batch_execute("CREATE SCHEMA IF NOT EXISTS lorica"));
            made.and_then(|()| own.commit(&[]))?;
        }
        Ok(own)
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        if self.session.is_none() {
            if self.transaction.is_some() {
                return Err(StoreError::Unavailable("the connection was lost in the middle of a transaction".into()));
            }
            let client = self.connect()?;
            self.session = Some(Session { client, statements: HashMap::new() });
        }
        self.session.as_mut().ok_or_else(|| StoreError::Unavailable("there is no connection".into()))
    }

    fn connect(&mut self) -> Result<Client, StoreError> {
        let named = |error: StoreError| match error {
            StoreError::Database(reason) => StoreError::Database(format!("{}: {reason}", self.address)),
            StoreError::Unavailable(reason) => StoreError::Unavailable(format!("{}: {reason}", self.address)),
            other => other,
        };
        // The library wants a few of the system's resources, and panics if they are not to be had.
        let connected = catch_unwind(AssertUnwindSafe(|| self.address.config().connect(NoTls)));
        let lacking = |_| StoreError::Unavailable(format!("{}: the system has nothing to connect with", self.address));
        let mut client = match connected.map_err(lacking)? {
            Ok(client) => client,
            Err(error) if error.as_db_error().is_none() => {
                return Err(named(StoreError::Unavailable(text(&error))));
            }
            Err(error) => return Err(named(failed(&error))),
        };
        let encoding = self.prepare(&mut client).map_err(|error| named(failed(&error)))?;
        if encoding != "UTF8" {
            return Err(named(StoreError::Database(format!("its texts are in {encoding}, UTF8 is expected"))));
        }
        if let Some(name) = &self.name {
            let own = key("service", name);
            if !take(&mut client, own, self.process).map_err(|error| named(failed(&error)))? {
                return Err(StoreError::InUse(format!("{}, store.name = {name:?}", self.address)));
            }
            client.batch_execute(&format!("LISTEN {CHANNEL}")).map_err(|error| named(failed(&error)))?;
        }
        self.process = client.query_one("SELECT pg_backend_pid()", &[]).and_then(|row| row.try_get(0)).unwrap_or(0);
        Ok(client)
    }

    /// Makes the session what it should be. In which encoding the database has its texts.
    fn prepare(&self, client: &mut Client) -> Result<String, postgres::Error> {
        client.batch_execute(SETTINGS)?;
        let row = client.query_one("SELECT current_setting('fsync'), current_setting('server_encoding')", &[])?;
        if row.try_get::<_, String>(0)? == "off" {
            tracing::warn!(database = %self.address, "the server does not synchronise (fsync = off): what is committed can be lost");
        }
        row.try_get(1)
    }

    /// Runs something on the connection. It is given up if it is lost, and with it the transaction.
    fn run<T>(&mut self, run: impl FnOnce(&mut Session) -> Result<T, postgres::Error>) -> Result<T, StoreError> {
        let session = self.session()?;
        let error = match run(session) {
            Ok(value) => return Ok(value),
            Err(error) => failed(&error),
        };
        let lost = session.client.is_closed() || matches!(error, StoreError::Unavailable(_));
        if let Some(doomed) = &mut self.transaction {
            *doomed = true;
        }
        if lost {
            self.session = None;
        }
        Err(error)
    }
}

/// The number of a lock, from what it is for.
fn key(kind: &str, name: &str) -> i64 {
    let digest: Word = Sha256::digest(format!("lorica {kind} {name}")).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Takes the lock of a service's name, for as long as the connection stands; false if another service has it. The server may not
/// have noticed yet that our own last connection is lost: it is ended.
fn take(client: &mut Client, key: i64, last: i32) -> Result<bool, postgres::Error> {
    let since = Instant::now();
    loop {
        if client.query_one("SELECT pg_try_advisory_lock($1)", &[&key])?.try_get(0)? {
            return Ok(true);
        }
        if since.elapsed() > TAKEN {
            return Ok(false);
        }
        let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1 AND granted
                   AND ((classid::bigint << 32) | objid::bigint) = $2";
        client.query(end, &[&last, &key])?;
        sleep(Duration::from_millis(20));
    }
}

/// An error with its reason, which the library has behind it. Never more of what the server says than its message: details show rows.
fn text(error: &postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        let reason_text = reason.to_string();
        if !text.contains(&reason_text) {
            text += ": ";
            text += &reason_text;
        }
        source = reason.source();
    }
    text
}

fn failed(error: &postgres::Error) -> StoreError {
    let text = text(error);
    let Some(code) = error.code() else {
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        let lost = error.is_closed() || source.is_some();
        return if lost { StoreError::Unavailable(text) } else { StoreError::Database(text) };
    };
    if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED {
        return StoreError::Conflict;
    }
    if *code == SqlState::DISK_FULL {
        return StoreError::Full;
    }
    let passing = [
        // The server ends, was killed, or begins.
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        // It ends what lasts too long.
        SqlState::QUERY_CANCELED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        // It has more connections than it takes, or has become a copy of another one.
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    let lost = code.code().starts_with("08") || passing.contains(code);
    if lost { StoreError::Unavailable(text) } else { StoreError::Database(text) }
}

/// A value as a parameter of the type that the database expects.
fn parameter<'v>(value: &'v Value, kind: &Type) -> Result<&'v (dyn ToSql + Sync), StoreError> {
    Ok(match value {
        Value::Int(number) => number,
        Value::Text(text) => text,
        Value::Bytes(bytes) => bytes,
        Value::Null if *kind == Type::INT8 => &None::<i64>,
        Value::Null if *kind == Type::TEXT => &None::<String>,
        Value::Null if *kind == Type::BYTEA => &None::<Vec<u8>>,
        Value::Null => return Err(StoreError::Database(format!("an absent parameter of type {kind}"))),
    })
}

fn column(row: &postgres::Row, place: usize, kind: &Type) -> Result<Value, StoreError> {
    let value = match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(place).map(|value| value.map(Value::Int)),
        Type::INT4 => row.try_get::<_, Option<i32>>(place).map(|value| value.map(|value| Value::Int(value.into()))),
        Type::BOOL => row.try_get::<_, Option<bool>>(place).map(|value| value.map(|value| Value::Int(value.into()))),
        Type::TEXT => row.try_get::<_, Option<String>>(place).map(|value| value.map(Value::Text)),
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(place).map(|value| value.map(Value::Bytes)),
        _ => return Err(StoreError::Database(format!("a column of type {kind}"))),
    };
    Ok(value.map_err(|error| failed(&error))?.unwrap_or(Value::Null))
}

impl Session {
    fn statement(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }
}

impl Postgres {
    /// Runs a statement, which is prepared once for each connection.
    fn statement<T>(
        &mut self,
        sql: &str,
        parameters: &[Value],
        run: impl FnOnce(&mut Client, &Statement, &[&(dyn ToSql + Sync)]) -> Result<T, postgres::Error>,
    ) -> Result<T, StoreError> {
        let statement = self.run(|session| session.statement(sql))?;
        let kinds = statement.params();
        if kinds.len() != parameters.len() {
            return Err(StoreError::Database(format!("{} values for the parameters of: {sql}", parameters.len())));
        }
        let pairs = parameters.iter().zip(kinds);
        let parameters = pairs.map(|(value, kind)| parameter(value, kind)).collect::<Result<Vec<_>, _>>()?;
        self.run(|session| run(&mut session.client, &statement, &parameters))
    }
}

impl Driver for Postgres {
    fn begin(&mut self, mode: Mode) -> Result<(), StoreError> {
        let begin = match mode {
            Mode::Write => self.begin.clone(),
            Mode::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".into(),
        };
        let begun = self.run(|session| session.client.batch_execute(&begin));
        if begun.is_ok() {
            self.transaction = Some(false);
        } else {
            // A transaction that waited for its turn too long has begun nevertheless.
            self.session = None;
        }
        begun
    }

    fn commit(&mut self, changed: &[Uuid]) -> Result<(), StoreError> {
        if self.transaction != Some(false) {
            // The database would end such a transaction as if nothing was wrong.
            return Err(StoreError::Database("a transaction of which a statement failed is not committed".into()));
        }
        let mut end = String::new();
        for ids in changed.chunks(TOLD) {
            let ids: String = ids.iter().map(|id| id.as_simple().to_string()).collect();
            end += &format!("NOTIFY {CHANNEL}, '{ids}'; ");
        }
        end += "COMMIT";
        self.run(|session| session.client.batch_execute(&end))?;
        self.transaction = None;
        Ok(())
    }

    fn rollback(&mut self) {
        if self.transaction.take().is_some() && self.session.is_some() {
            // What cannot be taken back by a word is by the connection's end.
            if let Err(error) = self.run(|session| session.client.batch_execute("ROLLBACK")) {
                tracing::warn!(%error, "a transaction ends with its connection");
                self.session = None;
            }
        }
    }

    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<usize, StoreError> {
        let changed = self.statement(sql, parameters, |client, statement, own| client.execute(statement, own))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError> {
        let rows = self.statement(sql, parameters, |client, statement, own| client.query(statement, own))?;
        let read = |row: &postgres::Row| {
            let columns = row.columns().iter().enumerate();
            columns.map(|(place, own)| column(row, place, own.type_())).collect::<Result<_, _>>().map(Row)
        };
        rows.iter().map(read).collect()
    }

    fn define(&mut self, schema: &str) -> Result<(), StoreError> {
        let schema = format!("SET LOCAL statement_timeout = 0; {}", dialect(schema));
        self.run(|session| session.client.batch_execute(&schema))
    }

    fn version(&mut self) -> Result<i64, StoreError> {
        let query = "SELECT count(*), count(*) FILTER (WHERE relname = 'store_version')
                     FROM pg_class WHERE relnamespace = to_regnamespace('lorica') AND relkind = 'r'";
        let counted = self.query(query, &[])?;
        let of = |place| counted.first().map_or(Ok(0), |row| row.get::<i64>(place));
        match (of(0)?, of(1)?) {
            (0, _) => return Ok(0),
            (_, 1) => {}
            _ => return Err(StoreError::Content("a schema `lorica` that is something else than a service's store")),
        }
        let rows = self.query("SELECT version FROM lorica.store_version WHERE version > 0", &[])?;
        rows.first().ok_or(StoreError::Content("a store without a version"))?.get(0)
    }

    fn set_version(&mut self, version: i64) -> Result<(), StoreError> {
        let table = "CREATE TABLE IF NOT EXISTS store_version (name TEXT PRIMARY KEY, version BIGINT NOT NULL)";
        self.run(|session| session.client.batch_execute(table))?;
        let row = "INSERT INTO store_version (name, version) VALUES ('store', $1) ON CONFLICT (name) DO UPDATE SET version = $1";
        self.execute(row, &[Value::Int(version)]).map(|_| ())
    }

    /// Pages and the server's log are the server's: docs/serve.md says what stays there how long.
    fn wiped(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn heard(&mut self, listen: bool) -> Vec<Uuid> {
        let mut heard = std::mem::take(&mut self.heard);
        let own = self.process;
        let Some(session) = self.session.as_mut().filter(|_| self.name.is_some()) else { return heard };
        loop {
            let mut told = session.client.notifications();
            let next = if listen { told.timeout_iter(MOMENT).next() } else { told.iter().next() };
            drop(told);
            match next {
                Ok(Some(told)) if told.process_id() == own => {}
                Ok(Some(told)) => heard.extend(ids(told.payload())),
                Ok(None) => return heard,
                Err(error) => {
                    tracing::warn!(error = text(&error), "the connection to the database is lost");
                    self.session = None;
                    return heard;
                }
            }
        }
    }
}

/// Ids in a message, as far as they are some.
fn ids(told: &str) -> impl Iterator<Item = Uuid> {
    told.as_bytes().chunks(32).filter_map(|id| Uuid::try_parse_ascii(id).ok())
}

/// The schema in this database's words. Texts are compared by their bytes, as in SQLite.
fn dialect(schema: &str) -> String {
    let lines = schema.lines().filter(|line| !line.trim_start().starts_with("--"));
    let words = [
        (") STRICT, WITHOUT ROWID;", ");"),
        (") STRICT;", ");"),
        (" BLOB", " BYTEA"),
        (" INTEGER", " BIGINT"),
        (" TEXT", " TEXT COLLATE \"C\""),
    ];
    lines.map(|line| words.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to)) + "\n").collect()
}
