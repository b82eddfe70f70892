//! What a database error means to the caller. The one place that knows.

use ohlcv_ports::StoreError;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// How a lost lease travels through the driver's error type, followed by its name.
pub(super) const LEASE_LOST: &str = "lease lost: ";

/// Turns a database error into what the caller can do about it.
#[must_use]
pub fn store_error(error: DbErr) -> StoreError {
    let reason = error.to_string();
    match &error {
        DbErr::ConnectionAcquire(_) => unavailable(reason, error),
        DbErr::Custom(what) if what.starts_with(LEASE_LOST) => {
            StoreError::LeaseLost { lease: what[LEASE_LOST.len()..].to_owned() }
        }
        DbErr::Type(what) => StoreError::Corrupt { reason: what.clone() },
        DbErr::Conn(RuntimeErr::SqlxError(cause)) if lets_nobody_in(cause) => unavailable(reason, error),
        DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause) => match cause {
            RuntimeErr::SqlxError(cause) if passes(cause) => unavailable(reason, error),
            // Such as NaN in a column of prices.
            RuntimeErr::SqlxError(cause) if is_undecodable(cause) => StoreError::Corrupt { reason },
            _ => refused(reason, error),
        },
        _ => refused(reason, error),
    }
}

/// Whether SQLite could not open the file.
pub(super) fn cannot_open_file(error: &DbErr) -> bool {
    sqlite_code(error) == Some(SQLITE_CANTOPEN)
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

/// Whether SQLite gave up because another connection holds the file.
pub(super) fn is_locked(error: &DbErr) -> bool {
    sqlite_code(error) == Some(SQLITE_BUSY)
}

fn sqlite_code(error: &DbErr) -> Option<u32> {
    let (DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause)) = error else { return None };
    let RuntimeErr::SqlxError(cause) = cause else { return None };
    let sqlx::Error::Database(error) = cause.as_ref() else { return None };
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>().map(|_| primary_code(error.as_ref()))
}

/// Whether the connection is of no more use, or never was.
pub(super) fn is_gone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        // Connection trouble, and the ends that an operator or a restart makes.
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            is_of_postgres(error) && ["08", "57P"].iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}

/// Whether PostgreSQL opens no connection because an operator lets nobody in: the database accepts none
/// (55000), or the role may not log in (28000). A wrong password or a database that is gone stays so.
fn lets_nobody_in(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code).unwrap_or_default();
    is_of_postgres(error) && ["55000", "28000"].contains(&code.as_ref())
}

fn is_of_postgres(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some())
}

/// Whether a value is none of its column's type.
fn is_undecodable(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::ColumnDecode { .. })
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
    // BUSY, LOCKED, IOERR, FULL, CANTOPEN.
    matches!(primary_code(error), SQLITE_BUSY | 6 | 10 | 13 | SQLITE_CANTOPEN)
}

const SQLITE_BUSY: u32 = 5;
const SQLITE_CANTOPEN: u32 = 14;

/// SQLite's primary result code stands in the lowest byte.
fn primary_code(error: &dyn DatabaseError) -> u32 {
    error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0) & 0xff
}
