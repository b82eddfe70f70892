//! What a database error means to the caller. The one place that knows.

use ohlcv_ports::StoreError;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Turns a database error into what the caller can do about it.
#[must_use]
pub fn store_error(error: DbErr) -> StoreError {
    let reason = error.to_string();
    match &error {
        DbErr::ConnectionAcquire(_) => unavailable(reason, error),
        DbErr::Type(what) => StoreError::Corrupt { reason: what.clone() },
        DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause) => match cause {
            RuntimeErr::SqlxError(cause) if passes(cause) => unavailable(reason, error),
            _ => refused(reason, error),
        },
        _ => refused(reason, error),
    }
}

/// Whether a pool gave up waiting for its first connection.
pub(super) fn is_pool_timeout(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(cause)) = error else { return false };
    matches!(**cause, sqlx::Error::PoolTimedOut)
}

fn unavailable(reason: String, error: DbErr) -> StoreError {
    StoreError::Unavailable { reason, source: Some(Box::new(error)) }
}

fn refused(reason: String, error: DbErr) -> StoreError {
    StoreError::Refused { reason, source: Some(Box::new(error)) }
}

/// Whether the same statement may work later.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => database_error_passes(error.as_ref()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

fn database_error_passes(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        // Connection trouble, too little of something (disk, memory, connections), operator
        // intervention such as a restart, and lost races.
        return ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class));
    }
    // SQLite's primary result code stands in the lowest byte: BUSY, LOCKED, IOERR, FULL, CANTOPEN.
    let primary = code.parse::<u32>().unwrap_or(0) & 0xff;
    matches!(primary, 5 | 6 | 10 | 13 | 14)
}
