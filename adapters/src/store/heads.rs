//! Where series stand: the question that every reader waits for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ohlcv_domain::{Asset, Head, TimeRange, Timestamp};
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{AssertSqlSafe, Connection as _, Postgres, Sqlite, query};
use sea_orm::{DatabaseConnection, DbErr, QueryResult, RuntimeErr, sqlx};

use super::connect::{CONNECTIONS_MAX, TRUSTED_TIME_MAX};
use super::error::is_gone;
use super::values::{Dialect, text, time_from_millis};

/// How long one connection is kept from the pool; as long as one of the pool lives.
const KEPT_TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// Asks where series stand, as long as that goes on always over the same connection: to give one back to
/// the pool costs another round trip, with which the pool tests it.
#[derive(Default)]
pub(super) struct Heads {
    shelf: Arc<Mutex<Shelf>>,
}

/// The connection between two questions.
#[derive(Default)]
struct Shelf {
    kept: Option<Kept>,
    // A task will give the connection back when nobody asks any more.
    watched: bool,
    closed: bool,
}

struct Kept {
    connection: Connection,
    since: Instant,
    used: Instant,
}

enum Connection {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

impl Heads {
    /// One statement, which reads rows by their keys alone: two for each of the assets.
    pub(super) async fn of(&self, db: &DatabaseConnection, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
        if assets.is_empty() {
            // PostgreSQL knows no empty list.
            return Ok(Vec::new());
        }
        let mut kept = match self.take() {
            Some(kept) => kept,
            None => Kept::new(Connection::acquire(db).await.map_err(query_error)?),
        };
        let rows = match kept.connection.ask(assets).await {
            Err(error) if is_gone(&error) => {
                // Such as after a restart of the database: then the others are most likely gone as well.
                kept.connection.end();
                kept = Kept::new(Connection::acquire_alive(db).await.map_err(query_error)?);
                kept.connection.ask(assets).await
            }
            asked => asked,
        };
        let rows = rows.map_err(query_error)?;
        self.put(kept);
        rows.iter().map(head_of).collect()
    }

    /// Keeps no connection any more, so that all of them can be closed.
    pub(super) fn close(&self) {
        let mut shelf = lock(&self.shelf);
        shelf.closed = true;
        shelf.kept = None;
    }

    /// The connection that was kept, if it can be trusted to be alive.
    fn take(&self) -> Option<Kept> {
        lock(&self.shelf).kept.take().filter(Kept::is_fresh)
    }

    fn put(&self, kept: Kept) {
        let mut shelf = lock(&self.shelf);
        if shelf.closed || shelf.kept.is_some() {
            return;
        }
        shelf.kept = Some(Kept { used: Instant::now(), ..kept });
        if !std::mem::replace(&mut shelf.watched, true) {
            tokio::spawn(give_back_unused(Arc::clone(&self.shelf)));
        }
    }
}

/// Gives the connection back when it was not used for a while. One task at a time.
async fn give_back_unused(shelf: Arc<Mutex<Shelf>>) {
    loop {
        tokio::time::sleep(TRUSTED_TIME_MAX).await;
        let mut shelf = lock(&shelf);
        if !shelf.kept.as_ref().is_some_and(Kept::is_fresh) {
            shelf.kept = None;
            shelf.watched = false;
            return;
        }
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // Without a runtime a connection cannot go back to its pool.
        if tokio::runtime::Handle::try_current().is_err() {
            match self.kept.take().map(|kept| kept.connection) {
                Some(Connection::Postgres(connection)) => drop(connection.detach()),
                Some(Connection::Sqlite(connection)) => drop(connection.detach()),
                None => {}
            }
        }
    }
}

impl Kept {
    fn new(connection: Connection) -> Self {
        let now = Instant::now();
        Self { connection, since: now, used: now }
    }

    fn is_fresh(&self) -> bool {
        self.used.elapsed() < TRUSTED_TIME_MAX && self.since.elapsed() < KEPT_TIME_MAX
    }
}

impl Connection {
    async fn acquire(db: &DatabaseConnection) -> Result<Self, sqlx::Error> {
        Ok(match Dialect::of(db) {
            Dialect::Postgres => Self::Postgres(db.get_postgres_connection_pool().acquire().await?),
            Dialect::Sqlite => Self::Sqlite(db.get_sqlite_connection_pool().acquire().await?),
        })
    }

    /// One that answers; those that do not are ended.
    async fn acquire_alive(db: &DatabaseConnection) -> Result<Self, sqlx::Error> {
        for _ in 0..CONNECTIONS_MAX {
            let mut connection = Self::acquire(db).await?;
            if connection.ping().await.is_ok() {
                return Ok(connection);
            }
            connection.end();
        }
        Self::acquire(db).await
    }

    async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => connection.ping().await,
            Self::Sqlite(connection) => connection.ping().await,
        }
    }

    /// Ends it, where the pool would test it first.
    fn end(self) {
        match self {
            Self::Postgres(mut connection) => connection.close_on_drop(),
            Self::Sqlite(mut connection) => connection.close_on_drop(),
        }
    }

    async fn ask(&mut self, assets: &[Asset]) -> Result<Vec<QueryResult>, sqlx::Error> {
        let places: Vec<String> = (1..=assets.len()).map(|place| format!("${place}")).collect();
        // Nothing of it was given by anybody.
        let sql = AssertSqlSafe(format!(
            "SELECT series.asset, change_seq, answered_until_ms, listing_ms, first_ms, last_ms, start_ms, end_ms
            FROM series LEFT JOIN change_log ON change_log.asset = series.asset AND seq = change_seq
            WHERE series.asset IN ({})",
            places.join(", ")
        ));
        Ok(match self {
            Self::Postgres(connection) => {
                let query = assets.iter().fold(query(sql), |query, asset| query.bind(text(*asset)));
                query.fetch_all(&mut **connection).await?.into_iter().map(QueryResult::from).collect()
            }
            Self::Sqlite(connection) => {
                let query = assets.iter().fold(query(sql), |query, asset| query.bind(text(*asset)));
                query.fetch_all(&mut **connection).await?.into_iter().map(QueryResult::from).collect()
            }
        })
    }
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

fn head_of(row: &QueryResult) -> Result<Head, DbErr> {
    let asset: String = row.try_get_by_index(0)?;
    let seq: i64 = row.try_get_by_index(1)?;
    let time = |column, index| -> Result<Option<Timestamp>, DbErr> {
        let millis: Option<i64> = row.try_get_by_index(index)?;
        millis.map(|at| time_from_millis(column, at)).transpose()
    };
    // It saves a look into the log. Where it is none, the look tells whose log is wrong.
    let changed = time("start_ms", 6)?.zip(time("end_ms", 7)?);
    let changed = changed.and_then(|(start, end)| TimeRange::new(start, end).ok());
    Ok(Head {
        changed,
        asset: asset.parse().map_err(|error| DbErr::Type(format!("series of {asset}: {error}")))?,
        seq: seq.unsigned_abs(),
        answered_until: time("answered_until_ms", 2)?,
        listing: time("listing_ms", 3)?,
        first: time("first_ms", 4)?,
        last: time("last_ms", 5)?,
    })
}
