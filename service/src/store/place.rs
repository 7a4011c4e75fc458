//! Where a store is: in a folder of this machine, or in a database that several services share.

use std::path::PathBuf;

use super::postgres::{Address, Opener, PostgresStore};
use super::sqlite::{Access, DATABASE, SqliteStore};
use super::{Store, StoreError};

/// Where a store is.
#[derive(Clone, Debug)]
pub enum Place {
    /// One service's.
    Folder(PathBuf),
    /// That of all services with this address.
    Postgres {
        /// The database.
        address: Box<Address>,
        /// The service's name among them.
        name: String,
    },
}

impl Place {
    /// Opens it for the service.
    pub fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::Folder(folder) => Box::new(SqliteStore::open(folder, Access::Service)?),
            Self::Postgres { address, name } => Box::new(PostgresStore::open(address, Opener::Service(name))?),
        })
    }

    /// Opens it beside services, for keys. If there is none, it is made or refused: a mistyped place would be a new one.
    pub fn open_beside(&self, make: bool) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            Self::Folder(folder) if !make && !folder.join(DATABASE).is_file() => {
                return Err(StoreError::Absent(folder.display().to_string()));
            }
            Self::Folder(folder) => Box::new(SqliteStore::open(folder, Access::Keys)?),
            Self::Postgres { address, .. } => Box::new(PostgresStore::open(address, Opener::Command { make })?),
        })
    }

    /// Who the service's own worker is to the store. What it had leased when it died is leased again at the next start.
    pub fn owner(&self) -> String {
        match self {
            Self::Folder(_) => "in-process".into(),
            Self::Postgres { name, .. } => format!("in-process of {name}"),
        }
    }
}
