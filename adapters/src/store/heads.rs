//! Where series stand: the question that every reader waits for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ohlcv_domain::{Asset, Head, TimeRange, Timestamp};
use sea_orm::sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection, query};
use sea_orm::{DatabaseConnection, DbErr, QueryResult, RuntimeErr, sqlx};
use tokio::runtime::{self, Handle};
use tokio::time::Instant;

use super::error::is_gone;
use super::values::{Dialect, text, time_from_millis};

/// How long one connection is kept; as long as one of the pool lives.
const KEPT_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// How long one is kept that nobody uses. Networks forget silent ones after some more minutes.
const UNUSED_TIME_MAX: Duration = Duration::from_secs(300);
/// How long the pool is used when the database gave no connection beside it.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// How long, and how often in between, those in use are waited for when all are closed.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(2);
const CLOSING_PAUSE: Duration = Duration::from_millis(5);

/// Asks where series stand, as long as that goes on always over the same connection: to give one back to
/// the pool costs another round trip, with which the pool tests it.
///
/// Each runtime that asks has its own, opened beside the pool, so that an answer wakes the thread that waits
/// for it and no other one.
#[derive(Default)]
pub(super) struct Heads {
    shelf: Arc<Mutex<Shelf>>,
    // As many as there are connections, and one.
    open: Arc<()>,
}

/// The connections between two questions.
#[derive(Default)]
struct Shelf {
    kept: HashMap<runtime::Id, Kept>,
    // Of these a task closes the connection when nobody asks any more.
    watched: HashSet<runtime::Id>,
    // When the database gave none at last.
    refused: Option<Instant>,
    closed: bool,
}

struct Kept {
    connection: Connection,
    since: Instant,
    used: Instant,
    _open: Arc<()>,
}

enum Connection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Heads {
    /// One statement, which reads rows by their keys alone: one for each of the assets.
    pub(super) async fn of(&self, db: &DatabaseConnection, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
        if assets.is_empty() {
            // PostgreSQL knows no empty list.
            return Ok(Vec::new());
        }
        self.ask(db, assets).await.map_err(query_error)?.iter().map(head_of).collect()
    }

    async fn ask(&self, db: &DatabaseConnection, assets: &[Asset]) -> Result<Vec<QueryResult>, sqlx::Error> {
        let own = Handle::current().id();
        if let Some(kept) = self.take(own)? {
            match self.ask_over(kept, own, assets).await {
                // Such as after a restart of the database.
                Err(error) if is_gone(&error) => {}
                asked => return asked,
            }
        }
        match self.connect(db).await {
            Some(kept) => self.ask_over(kept, own, assets).await,
            None => over_pool(db, assets).await,
        }
    }

    /// Asks over a connection and keeps it. One that gave no answer is kept no longer.
    async fn ask_over(
        &self,
        mut kept: Kept,
        own: runtime::Id,
        assets: &[Asset],
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        let rows = kept.connection.ask(assets).await?;
        if let Some(surplus) = self.put(own, kept) {
            surplus.connection.close().await;
        }
        Ok(rows)
    }

    /// A new connection; none if the database gives none, as where it has as many as it may have.
    async fn connect(&self, db: &DatabaseConnection) -> Option<Kept> {
        if lock(&self.shelf).refused.is_some_and(|at| at.elapsed() < REFUSED_PAUSE) {
            return None;
        }
        match Connection::open(db).await {
            Ok(connection) => {
                let now = Instant::now();
                Some(Kept { connection, since: now, used: now, _open: Arc::clone(&self.open) })
            }
            // If there is more to it than that, the pool will tell.
            Err(_) => {
                lock(&self.shelf).refused = Some(Instant::now());
                None
            }
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Closes all connections, those in use when they are given back. Whatever is asked afterwards fails.
    pub(super) async fn close(&self) {
        let kept = {
            let mut shelf = lock(&self.shelf);
            shelf.closed = true;
            std::mem::take(&mut shelf.kept)
        };
        for kept in kept.into_values() {
            kept.connection.close().await;
        }
        let began = Instant::now();
        while self.open() > 0 && began.elapsed() < CLOSING_TIME_MAX {
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
    }

    /// The connection that was kept. If the database has ended it meanwhile, the question tells.
    fn take(&self, own: runtime::Id) -> Result<Option<Kept>, sqlx::Error> {
        let mut shelf = lock(&self.shelf);
        if shelf.closed {
            return Err(sqlx::Error::PoolClosed);
        }
        Ok(shelf.kept.remove(&own).filter(Kept::is_fresh))
    }

    /// Keeps a connection until the next question; returns it if it is one too many.
    fn put(&self, own: runtime::Id, kept: Kept) -> Option<Kept> {
        let mut shelf = lock(&self.shelf);
        if shelf.closed || shelf.kept.contains_key(&own) {
            return Some(kept);
        }
        shelf.kept.insert(own, Kept { used: Instant::now(), ..kept });
        if shelf.watched.insert(own) {
            tokio::spawn(close_unused(Arc::clone(&self.shelf), own));
        }
        None
    }
}

/// Closes the connection of a runtime when it was not used for a while. One task at a time for each.
async fn close_unused(shelf: Arc<Mutex<Shelf>>, own: runtime::Id) {
    let mut due = Instant::now() + UNUSED_TIME_MAX;
    let unused = loop {
        tokio::time::sleep_until(due).await;
        let mut shelf = lock(&shelf);
        match shelf.kept.get(&own) {
            Some(kept) if kept.is_fresh() => due = kept.used + UNUSED_TIME_MAX,
            _ => {
                shelf.watched.remove(&own);
                break shelf.kept.remove(&own);
            }
        }
    };
    if let Some(kept) = unused {
        kept.connection.close().await;
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.used.elapsed() < UNUSED_TIME_MAX && self.since.elapsed() < KEPT_TIME_MAX
    }
}

impl Connection {
    async fn open(db: &DatabaseConnection) -> Result<Self, sqlx::Error> {
        Ok(match Dialect::of(db) {
            Dialect::Postgres => {
                let options = db.get_postgres_connection_pool().connect_options();
                Self::Postgres(PgConnection::connect_with(&options).await?)
            }
            Dialect::Sqlite => {
                let options = db.get_sqlite_connection_pool().connect_options();
                Self::Sqlite(SqliteConnection::connect_with(&options).await?)
            }
        })
    }

    async fn close(self) {
        // It fails only if there is nobody to take leave of.
        let _ = match self {
            Self::Postgres(connection) => connection.close().await,
            Self::Sqlite(connection) => connection.close().await,
        };
    }

    async fn ask(&mut self, assets: &[Asset]) -> Result<Vec<QueryResult>, sqlx::Error> {
        match self {
            Self::Postgres(connection) => ask_postgres(connection, assets).await,
            Self::Sqlite(connection) => ask_sqlite(connection, assets).await,
        }
    }
}

/// The same question over a connection of the pool.
async fn over_pool(db: &DatabaseConnection, assets: &[Asset]) -> Result<Vec<QueryResult>, sqlx::Error> {
    match Dialect::of(db) {
        Dialect::Postgres => {
            ask_postgres(&mut *db.get_postgres_connection_pool().acquire().await?, assets).await
        }
        Dialect::Sqlite => ask_sqlite(&mut *db.get_sqlite_connection_pool().acquire().await?, assets).await,
    }
}

async fn ask_postgres(
    connection: &mut PgConnection,
    assets: &[Asset],
) -> Result<Vec<QueryResult>, sqlx::Error> {
    let query = assets.iter().fold(query(statement(assets)), |query, asset| query.bind(text(*asset)));
    Ok(query.fetch_all(connection).await?.into_iter().map(QueryResult::from).collect())
}

async fn ask_sqlite(
    connection: &mut SqliteConnection,
    assets: &[Asset],
) -> Result<Vec<QueryResult>, sqlx::Error> {
    let query = assets.iter().fold(query(statement(assets)), |query, asset| query.bind(text(*asset)));
    Ok(query.fetch_all(connection).await?.into_iter().map(QueryResult::from).collect())
}

/// Nothing of it was given by anybody.
fn statement(assets: &[Asset]) -> AssertSqlSafe<String> {
    let places: Vec<String> = (1..=assets.len()).map(|place| format!("${place}")).collect();
    AssertSqlSafe(format!(
        "SELECT asset, change_seq, answered_until_ms, listing_ms, first_ms, last_ms, changed_seq,
            changed_start_ms, changed_end_ms
        FROM series WHERE asset IN ({})",
        places.join(", ")
    ))
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
    let changed_seq: Option<i64> = row.try_get_by_index(6)?;
    let changed = time("changed_start_ms", 7)?.zip(time("changed_end_ms", 8)?);
    // It saves a look into the log. An earlier version that writes here too leaves it as it was.
    let changed = changed.filter(|_| changed_seq == Some(seq));
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
