//! API keys.

use super::driver::{Row, Statements, params};
use super::{Change, jobs};
use crate::store::{ApiKey, StoreError};

const KEY: &str = "SELECT id, tenant, secret_sha256, scopes, created, expires FROM api_keys";

fn key(row: &Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.get(0)?,
        tenant: row.get(1)?,
        secret_sha256: row.get(2)?,
        scopes: row.get(3)?,
        created: row.get(4)?,
        expires: row.get(5)?,
    })
}

pub(super) fn add(change: &mut Change<'_>, key: &ApiKey) -> Result<(), StoreError> {
    jobs::tenant(change, &key.tenant)?;
    change.sql.execute(
        "INSERT INTO api_keys (id, tenant, secret_sha256, scopes, created, expires) VALUES ($1, $2, $3, $4, $5, $6)",
        params![key.id, key.tenant, key.secret_sha256, key.scopes, key.created, key.expires],
    )?;
    Ok(())
}

pub(super) fn get(sql: &mut Statements<'_>, id: &[u8; 8]) -> Result<Option<ApiKey>, StoreError> {
    sql.row(&format!("{KEY} WHERE id = $1"), params![id], key)
}

pub(super) fn all(sql: &mut Statements<'_>) -> Result<Vec<ApiKey>, StoreError> {
    sql.rows(&format!("{KEY} ORDER BY tenant, created, id"), params![], key)
}
