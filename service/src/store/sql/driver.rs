//! What a database does for the store: transactions of statements, with parameters and rows of four kinds of values.
//!
//! The SQL is written once, in what SQLite and Postgres both understand: parameters are `$1`, `$2` and so on, ids and digests are
//! bytes, times and numbers are 64 bits with a sign, truth is read as a number. What differs otherwise is a driver's.

use uuid::Uuid;

use crate::store::StoreError;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// Numbers and truth.
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its statements see one state.
    Read,
    /// It happens as if no other was at the same time.
    Write,
}

/// A connection to a database.
pub trait Driver: Send {
    /// Begins a transaction.
    fn begin(&mut self, mode: Mode) -> Result<(), StoreError>;
    /// Ends it: what it wrote is on disk when this returns. Tells others which jobs and requests it changed.
    fn commit(&mut self, changed: &[Uuid]) -> Result<(), StoreError>;
    /// Ends it without a trace, or does nothing if there is none.
    fn rollback(&mut self);
    /// Runs a statement. How many rows it changed.
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<usize, StoreError>;
    /// Runs a statement that has rows.
    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, StoreError>;
    /// Runs a part of the schema, as it is written for SQLite.
    fn define(&mut self, schema: &str) -> Result<(), StoreError>;
    /// The schema's version; 0 where nothing is defined.
    fn version(&mut self) -> Result<i64, StoreError>;
    /// Sets it.
    fn set_version(&mut self, version: i64) -> Result<(), StoreError>;
    /// Texts were deleted: makes what is left of them go, as far as the database can.
    fn wiped(&mut self) -> Result<(), StoreError>;
    /// What others changed, as far as it has been heard of; with `listen` it is listened for, a moment.
    fn heard(&mut self, listen: bool) -> Vec<Uuid>;
}

/// Statements, in a transaction or each one alone.
pub struct Statements<'d>(pub &'d mut dyn Driver);

impl Statements<'_> {
    /// How many rows a statement changed.
    pub fn execute(&mut self, sql: &str, parameters: &[&dyn Parameter]) -> Result<usize, StoreError> {
        self.0.execute(sql, &values(parameters)?)
    }

    /// All rows, each one read.
    pub fn rows<T>(
        &mut self,
        sql: &str,
        parameters: &[&dyn Parameter],
        read: impl FnMut(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.0.query(sql, &values(parameters)?)?.iter().map(read).collect()
    }

    /// The first row, if there is one.
    pub fn row<T>(
        &mut self,
        sql: &str,
        parameters: &[&dyn Parameter],
        read: impl FnOnce(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.0.query(sql, &values(parameters)?)?.first().map(read).transpose()
    }

    /// The row that there always is.
    pub fn one<T>(
        &mut self,
        sql: &str,
        parameters: &[&dyn Parameter],
        read: impl FnOnce(&Row) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.row(sql, parameters, read)?.ok_or(StoreError::Content("no row where there is always one"))
    }
}

fn values(parameters: &[&dyn Parameter]) -> Result<Vec<Value>, StoreError> {
    parameters.iter().map(|parameter| parameter.value()).collect()
}

/// What can be a parameter.
pub trait Parameter {
    fn value(&self) -> Result<Value, StoreError>;
}

/// Parameters of a statement, in their order.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$(&$value as &dyn $crate::store::sql::driver::Parameter),*] };
}
pub(crate) use params;

impl<T: Parameter + ?Sized> Parameter for &T {
    fn value(&self) -> Result<Value, StoreError> {
        (**self).value()
    }
}

impl<T: Parameter> Parameter for Option<T> {
    fn value(&self) -> Result<Value, StoreError> {
        self.as_ref().map_or(Ok(Value::Null), Parameter::value)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Parameter for $number {
            fn value(&self) -> Result<Value, StoreError> {
                i64::try_from(*self).map(Value::Int).map_err(|_| StoreError::Number)
            }
        }

        impl Column for $number {
            fn read(value: &Value) -> Result<Self, StoreError> {
                match value {
                    Value::Int(number) => Self::try_from(*number).map_err(|_| StoreError::Content("a number out of its range")),
                    _ => Err(OTHER),
                }
            }
        }
    )* };
}
numbers!(i64, u8, u32, u64, usize);

impl Parameter for str {
    fn value(&self) -> Result<Value, StoreError> {
        // Postgres keeps no zero in a text, and a reason that a node gave may have one.
        Ok(Value::Text(if self.contains('\0') { self.replace('\0', "\u{fffd}") } else { self.into() }))
    }
}

impl Parameter for String {
    fn value(&self) -> Result<Value, StoreError> {
        self.as_str().value()
    }
}

impl Parameter for [u8] {
    fn value(&self) -> Result<Value, StoreError> {
        Ok(Value::Bytes(self.into()))
    }
}

impl Parameter for Vec<u8> {
    fn value(&self) -> Result<Value, StoreError> {
        self.as_slice().value()
    }
}

impl<const N: usize> Parameter for [u8; N] {
    fn value(&self) -> Result<Value, StoreError> {
        self.as_slice().value()
    }
}

impl Parameter for Uuid {
    fn value(&self) -> Result<Value, StoreError> {
        self.as_bytes().value()
    }
}

/// A row of a result.
#[derive(Clone, Debug)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// A column by its place.
    pub fn get<T: Column>(&self, place: usize) -> Result<T, StoreError> {
        T::read(self.0.get(place).ok_or(StoreError::Content("fewer columns than were asked for"))?)
    }
}

/// What can be read from a column.
pub trait Column: Sized {
    fn read(value: &Value) -> Result<Self, StoreError>;
}

const OTHER: StoreError = StoreError::Content("a value of another type");

impl<T: Column> Column for Option<T> {
    fn read(value: &Value) -> Result<Self, StoreError> {
        if *value == Value::Null { Ok(None) } else { T::read(value).map(Some) }
    }
}

impl Column for bool {
    fn read(value: &Value) -> Result<Self, StoreError> {
        i64::read(value).map(|number| number != 0)
    }
}

impl Column for String {
    fn read(value: &Value) -> Result<Self, StoreError> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(OTHER),
        }
    }
}

impl Column for Vec<u8> {
    fn read(value: &Value) -> Result<Self, StoreError> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.clone()),
            _ => Err(OTHER),
        }
    }
}

impl<const N: usize> Column for [u8; N] {
    fn read(value: &Value) -> Result<Self, StoreError> {
        match value {
            Value::Bytes(bytes) => {
                bytes.as_slice().try_into().map_err(|_| StoreError::Content("bytes of another length"))
            }
            _ => Err(OTHER),
        }
    }
}

impl Column for Uuid {
    fn read(value: &Value) -> Result<Self, StoreError> {
        Column::read(value).map(Self::from_bytes)
    }
}
