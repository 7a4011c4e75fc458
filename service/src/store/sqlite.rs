//! The store of one machine: SQLite with a write-ahead log that is synchronised at each commit.
//!
//! A folder holds the database, its contents, and a lock that one service holds. Deleted rows are overwritten
//! (`secure_delete`), and the log is emptied after a wipe, so that a text does not outlive its retention in a file's slack.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql};
use uuid::Uuid;

use super::StoreError;
use super::blobs::{Blobs, private_folder};
pub use super::sql::Access;
use super::sql::SqlStore;
use super::sql::driver::{Driver, Mode, Row, Value};

/// The database in a store's folder.
pub const DATABASE: &str = "lorica.db";
/// Marks the file as this program's.
const APPLICATION: i64 = 0x4c6f_7269;
/// Statements that are kept prepared: more than there are.
const PREPARED: usize = 256;

/// A store in a folder.
pub type SqliteStore = SqlStore<Sqlite>;

/// A connection to a file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// Held as long as the store is open.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the store in a folder; it is made if it is new.
    pub fn open(folder: &Path, access: Access) -> Result<Self, StoreError> {
        private_folder(folder)?;
        let lock = if access == Access::Service { Some(lock(&folder.join("service.lock"))?) } else { None };
        let connection = connect(&folder.join(DATABASE)).map_err(failed)?;
        let files = Blobs::open(folder.join("blobs"))?;
        let mut store = Self::new(Sqlite { connection, _lock: lock }, Some(files))?;
        if access == Access::Service {
            store.sweep()?;
        }
        Ok(store)
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Database(error.to_string()),
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let io = |source: io::Error| StoreError::Io { path: PathBuf::from(path), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn read(value: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| StoreError::Content("a text that is not UTF-8"))?;
            Value::Text(text.into())
        }
        ValueRef::Blob(bytes) => Value::Bytes(bytes.into()),
        ValueRef::Real(_) => return Err(StoreError::Content("a number that is not whole")),
    })
}

impl Sqlite {
    /// A statement with its parameters. To SQLite `$1` is a name, with a place by its first appearance.
    fn prepare(&self, sql: &str, parameters: &[Value]) -> Result<CachedStatement<'_>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        for place in 1..=statement.parameter_count() {
            let name = statement.parameter_name(place).and_then(|name| name.strip_prefix('$'));
            let number: Option<usize> = name.and_then(|number| number.parse().ok());
            let value = number.and_then(|number| parameters.get(number.checked_sub(1)?));
            let value = value.ok_or_else(|| StoreError::Database(format!("no value for a parameter of: {sql}")))?;
            statement.raw_bind_parameter(place, value).map_err(failed)?;
        }
        Ok(statement)
    }

    fn pragma(&self, name: &str) -> Result<i64, StoreError> {
        self.connection.pragma_query_value(None, name, |row| row.get(0)).map_err(failed)
    }
}

impl Driver for Sqlite {
    fn begin(&mut self, mode: Mode) -> Result<(), StoreError> {
        // One that reads first and then wants to write could be refused.
        let begin = if mode == Mode::Write { "BEGIN IMMEDIATE" } else { "BEGIN DEFERRED" };
        self.connection.execute_batch(begin).map_err(failed)
    }

    fn commit(&mut self, _: &[Uuid]) -> Result<(), StoreError> {
        self.connection.execute_batch("COMMIT").map_err(failed)
    }

    fn rollback(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be taken back");
        }
    }

    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<usize, StoreError> {
        self.prepare(sql, parameters)?.raw_execute().map_err(failed)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.prepare(sql, parameters)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut read_rows = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let values = (0..columns).map(|column| read(row.get_ref(column).map_err(failed)?));
            read_rows.push(Row(values.collect::<Result<_, _>>()?));
        }
        Ok(read_rows)
    }

    fn define(&mut self, schema: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(schema).map_err(failed)
    }

    fn version(&mut self) -> Result<i64, StoreError> {
        match (self.pragma("application_id")?, self.pragma("user_version")?) {
            (0, 0) => Ok(0),
            (APPLICATION, version) if version != 0 => Ok(version),
            _ => Err(StoreError::Content("something else than a service's store")),
        }
    }

    fn set_version(&mut self, version: i64) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
        self.connection.pragma_update(None, "user_version", version).map_err(failed)
    }

    fn wiped(&mut self) -> Result<(), StoreError> {
        // What was overwritten is in the log until it is emptied. A reader may be in the way: then the next wipe does it.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)
    }

    /// One service has the folder.
    fn heard(&mut self, _: bool) -> Vec<Uuid> {
        Vec::new()
    }
}
