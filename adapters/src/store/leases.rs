//! The rows of `lease`. The database's clock decides: those of the machines may differ.

use std::time::Duration;

use ohlcv_domain::Fence;
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use super::error::LEASE_LOST;
use super::values::{Dialect, millis};

/// A statement written by hand.
pub(super) fn statement(
    db: &impl ConnectionTrait,
    sql: String,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

/// One statement, so that of many that try at once one succeeds.
pub(super) async fn acquire(
    db: &impl ConnectionTrait,
    lease: &str,
    holder: &str,
    lasts: Duration,
) -> Result<Option<Fence>, DbErr> {
    let now = Dialect::of(db).now_millis();
    let sql = format!(
        "INSERT INTO lease (name, holder, token, expires_ms) VALUES ($1, $2, 1, {now} + $3)
        ON CONFLICT (name) DO UPDATE
        SET holder = excluded.holder, token = lease.token + 1, expires_ms = {now} + $3
        WHERE lease.expires_ms <= {now}
        RETURNING token"
    );
    let values = [lease.into(), holder.into(), millis(lasts).into()];
    let Some(row) = db.query_one_raw(statement(db, sql, values)).await? else { return Ok(None) };
    let token: i64 = row.try_get("", "token")?;
    Ok(Some(Fence { lease: lease.to_owned(), token: token.unsigned_abs() }))
}

pub(super) async fn renew(db: &impl ConnectionTrait, fence: &Fence, lasts: Duration) -> Result<bool, DbErr> {
    let now = Dialect::of(db).now_millis();
    let sql = format!(
        "UPDATE lease SET expires_ms = {now} + $3 WHERE name = $1 AND token = $2 AND expires_ms > {now}"
    );
    let values = [fence.lease.as_str().into(), token(fence), millis(lasts).into()];
    Ok(db.execute_raw(statement(db, sql, values)).await?.rows_affected() == 1)
}

pub(super) async fn release(db: &impl ConnectionTrait, fence: &Fence) -> Result<(), DbErr> {
    let sql = "UPDATE lease SET expires_ms = 0 WHERE name = $1 AND token = $2".to_owned();
    db.execute_raw(statement(db, sql, [fence.lease.as_str().into(), token(fence)])).await?;
    Ok(())
}

/// Fails unless the fence, if there is one, stands, and will until the transaction ends: nobody can
/// take the lease before.
pub(super) async fn require(transaction: &impl ConnectionTrait, fence: Option<&Fence>) -> Result<(), DbErr> {
    let Some(fence) = fence else { return Ok(()) };
    let dialect = Dialect::of(transaction);
    let now = dialect.now_millis();
    let lock = match dialect {
        // The transaction is the only writer anyway.
        Dialect::Sqlite => "",
        Dialect::Postgres => "FOR SHARE",
    };
    let sql = format!("SELECT token FROM lease WHERE name = $1 AND token = $2 AND expires_ms > {now} {lock}");
    let values = [fence.lease.as_str().into(), token(fence)];
    match transaction.query_one_raw(statement(transaction, sql, values)).await? {
        Some(_) => Ok(()),
        None => Err(DbErr::Custom(format!("{LEASE_LOST}{}", fence.lease))),
    }
}

fn token(fence: &Fence) -> Value {
    i64::try_from(fence.token).unwrap_or(i64::MAX).into()
}
