//! The schema's versions: what each adds to the one before.

use super::driver::{Driver, Mode};
use crate::store::StoreError;

/// What each version adds to the one before, as SQLite reads it.
pub const SCHEMAS: [&str; 6] = [
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
];
/// The version of a store that this program writes.
pub const VERSION: i64 = SCHEMAS.len() as i64;

/// Makes a store of an older version, or none, one of the newest: wholly or not at all.
pub fn migrate(driver: &mut dyn Driver) -> Result<(), StoreError> {
    driver.begin(Mode::Write)?;
    match add(driver).and_then(|()| driver.commit(&[])) {
        Ok(()) => Ok(()),
        Err(error) => {
            driver.rollback();
            Err(error)
        }
    }
}

fn add(driver: &mut dyn Driver) -> Result<(), StoreError> {
    let applied = driver.version()?;
    let known = usize::try_from(applied).ok().and_then(|applied| SCHEMAS.get(applied..));
    let missing = known.ok_or(StoreError::Version { got: applied, known: VERSION })?;
    for schema in missing {
        driver.define(schema)?;
    }
    if missing.is_empty() { Ok(()) } else { driver.set_version(VERSION) }
}
