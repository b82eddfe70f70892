//! Opening a database.

use std::time::Duration;

use ohlcv_ports::StoreError;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::error::store_error;

/// Connections of one process. More readers than this wait for a free one.
const CONNECTIONS_MAX: u32 = 10;
/// How long a caller waits for a free connection before it is told that the database is busy.
const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a SQLite writer waits for the writer of another process.
const BUSY_TIME_MAX: Duration = Duration::from_secs(20);

/// Opens the database that `url` names: `sqlite://…` or `postgresql://…`.
///
/// A SQLite file is created where the URL says `mode=rwc`. It is opened with a write-ahead log, so
/// readers do not wait for writers, and with full synchronisation, so what was committed survives a
/// power cut.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be reached, [`StoreError::Refused`] if it does not let us in.
pub async fn connect(url: &str) -> Result<DatabaseConnection, StoreError> {
    let in_memory = url.starts_with("sqlite:") && (url.contains(":memory:") || url.contains("mode=memory"));
    if in_memory {
        return Err(StoreError::Refused {
            reason: "a SQLite database in memory would be another one on every connection: name a file"
                .to_owned(),
            source: None,
        });
    }
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIME_MAX)
        .connect_timeout(ACQUIRE_TIME_MAX)
        // The default logs every statement at INFO.
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIME_MAX)
        });
    Database::connect(options).await.map_err(store_error)
}
