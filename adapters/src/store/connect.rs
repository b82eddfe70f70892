//! Opening a database, and closing it.

use std::error::Error;
use std::time::Duration;

use ohlcv_ports::StoreError;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, sqlx};

use super::SqlStore;
use super::error::{cannot_open_file, is_locked, is_pool_timeout, store_error};

/// Connections of one process. More readers than this wait for a free one.
const CONNECTIONS_MAX: u32 = 10;
/// How long a caller waits for a free connection before it is told that the database is busy.
const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(5);
/// A connection that was used within this time is taken to be alive: to ask it first would double the
/// cost of a small question.
const TRUSTED_TIME_MAX: Duration = Duration::from_secs(1);
/// How long a SQLite writer waits for the writer of another process; shorter than a stop may take.
const BUSY_TIME_MAX: Duration = Duration::from_secs(8);
/// How often, and after which pause, a SQLite file that is locked while it is opened is tried again.
const LOCKED_RETRIES_MAX: u32 = 50;
const LOCKED_PAUSE: Duration = Duration::from_millis(50);
/// How long a process that is frozen in the middle of a write may keep its locks on PostgreSQL.
const IDLE_IN_TRANSACTION_TIME_MAX: &str = "10s";

/// Opens the database that `url` names: `sqlite://…` or `postgresql://…`.
///
/// A SQLite file is created where the URL says `mode=rwc`. It is opened with a write-ahead log, so
/// readers do not wait for writers, and with full synchronisation, so what was committed survives a
/// power cut.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be reached, [`StoreError::Refused`] if it does not let us in;
/// the latter without a source if nobody was asked, because the URL itself cannot be used.
pub async fn connect(url: &str) -> Result<DatabaseConnection, StoreError> {
    open(url, |sqlite| sqlite.journal_mode(SqliteJournalMode::Wal)).await
}

/// Opens a database that is there, as it is: no SQLite file is made, whatever the URL says, and one
/// without a write-ahead log gets none.
///
/// # Errors
/// As [`connect`].
pub async fn connect_to_existing(url: &str) -> Result<DatabaseConnection, StoreError> {
    open(url, |sqlite| sqlite.create_if_missing(false)).await
}

async fn open(
    url: &str,
    of_sqlite: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> Result<DatabaseConnection, StoreError> {
    let hint = check(url).map_err(|reason| StoreError::Refused { reason, source: None })?;
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIME_MAX)
        .connect_timeout(ACQUIRE_TIME_MAX)
        .test_before_acquire_if_idle_for(TRUSTED_TIME_MAX)
        // The default logs every statement at INFO.
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|postgres| {
            postgres.options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIME_MAX)])
        })
        .map_sqlx_sqlite_opts(move |sqlite| {
            of_sqlite(sqlite).synchronous(SqliteSynchronous::Full).busy_timeout(BUSY_TIME_MAX)
        });
    let mut opened = Database::connect(options.clone()).await;
    for _ in 0..LOCKED_RETRIES_MAX {
        if !opened.as_ref().is_err_and(is_locked) {
            break;
        }
        // Processes that start together all want to switch the new file to a write-ahead log, and
        // there SQLite does not wait by itself.
        tokio::time::sleep(LOCKED_PAUSE).await;
        opened = Database::connect(options.clone()).await;
    }
    opened.map_err(|error| {
        if is_pool_timeout(&error) {
            let seconds = ACQUIRE_TIME_MAX.as_secs();
            let reason = format!("no connection came within {seconds} s: {hint}");
            return StoreError::Unavailable { reason, source: None };
        }
        if cannot_open_file(&error) {
            let reason =
                "the file cannot be opened: it and its folder have to be there, with leave to read and \
                          write; ?mode=rwc in the address makes the file"
                    .to_owned();
            return StoreError::Unavailable { reason, source: Some(Box::new(error)) };
        }
        store_error(error)
    })
}

/// What to look at if no connection comes; fails with what is wrong with the URL. SeaORM would
/// quote the whole URL in its message, password included.
fn check(url: &str) -> Result<String, String> {
    if url.starts_with("sqlite:") {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err("a SQLite database in memory would be another one on every connection: name a file"
                .to_owned());
        }
        url.parse::<SqliteConnectOptions>().map_err(|error| innermost(&error))?;
        return Ok("does another process keep the file locked?".to_owned());
    }
    if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
        return Err("the address must begin with sqlite:// or postgresql://".to_owned());
    }
    let server: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| innermost(&error))?;
    Ok(match server.get_socket() {
        Some(socket) => format!("does the server run at {}?", socket.display()),
        None => format!("does the server run at {}:{}?", server.get_host(), server.get_port()),
    })
}

/// The driver wraps its reasons, at times twice.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(deeper) = innermost.source() {
        innermost = deeper;
    }
    innermost.to_string()
}

impl SqlStore {
    /// Closes all connections as soon as nobody uses them; the last one to a SQLite file merges the
    /// write-ahead log into it. Whatever is asked of the store afterwards fails.
    pub async fn close(&self) {
        self.quick.close().await;
        // It fails only if there is nothing to close.
        let _ = self.db.close_by_ref().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn processes_that_make_the_same_file_at_once_all_open_it() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}?mode=rwc", folder.path().join("new.db").display());
            let mut opening = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let url = url.clone();
                opening.spawn(async move { connect(&url).await.map(drop) });
            }
            for opened in opening.join_all().await {
                opened.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn an_address_that_the_driver_cannot_read_is_refused_without_quoting_it() {
        for (url, told) in [
            ("sqlite://x.db?foo=bar", "unknown query parameter `foo`"),
            ("sqlite://x.db?cache=much", "unknown value \"much\" for `cache`"),
            ("sqlite://:memory:", "name a file"),
            ("postgresql://me:s3cret@h/db?sslmode=foo", "unknown value \"foo\" for `ssl_mode`"),
            ("mysql://me:s3cret@h/db", "sqlite:// or postgresql://"),
        ] {
            match connect(url).await {
                Err(StoreError::Refused { reason, source: None }) => {
                    assert!(reason.contains(told) && !reason.contains("s3cret"), "{url}: {reason}");
                    assert!(!reason.contains("error with configuration"), "{reason}");
                }
                other => panic!("{url}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_told_with_how_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        for (file, mode) in [("new.db", ""), ("no/new.db", "?mode=rwc")] {
            let url = format!("sqlite://{}{mode}", folder.path().join(file).display());
            match connect(&url).await {
                Err(StoreError::Unavailable { reason, source: Some(_) }) => {
                    assert!(reason.contains("?mode=rwc") && reason.contains("folder"), "{url}: {reason}");
                }
                other => panic!("{url}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_to_look_at_names_the_server_and_no_password() {
        let hint = |url| check(url).unwrap();
        assert_eq!(hint("postgresql://me:s3cret@db:5433/x"), "does the server run at db:5433?");
        assert_eq!(hint("postgresql:///x?host=/run/pg"), "does the server run at /run/pg?");
        assert!(hint("sqlite://x.db").contains("locked"));
    }
}
