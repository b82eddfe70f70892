//! Where series stand: the question that every reader waits for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ohlcv_domain::{Asset, Head, TimeRange, Timestamp};
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{AssertSqlSafe, Postgres, Sqlite, query};
use sea_orm::{DatabaseConnection, DbErr, QueryResult, RuntimeErr, sqlx};

use super::connect::TRUSTED_TIME_MAX;
use super::values::{Dialect, text, time_from_millis};

/// How long a connection is kept from the pool, which looks after its connections when they come back.
const KEPT_TIME_MAX: Duration = Duration::from_secs(60);

/// Asks where series stand, under load always over the same connection: to give one back to the pool
/// costs another round trip, with which the pool tests it.
#[derive(Default)]
pub(super) struct Heads {
    kept: Mutex<Slot>,
}

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Kept(Kept),
    // Nothing is kept any more.
    Closed,
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
            None => Kept::new(db).await.map_err(refused)?,
        };
        // After an error the connection goes to the pool, to be tested there.
        let rows = kept.connection.ask(assets).await.map_err(refused)?;
        self.put(kept);
        rows.iter().map(head_of).collect()
    }

    /// Keeps no connection any more, so that all of them can be closed.
    pub(super) fn close(&self) {
        *self.lock() = Slot::Closed;
    }

    /// Whether there is a connection that nobody uses, and the pool does not know that.
    pub(super) fn is_keeping(&self) -> bool {
        matches!(*self.lock(), Slot::Kept(_))
    }

    /// The connection that was kept, if it can be trusted to be alive.
    fn take(&self) -> Option<Kept> {
        let mut slot = self.lock();
        match std::mem::take(&mut *slot) {
            Slot::Kept(kept) if kept.is_fresh() => Some(kept),
            Slot::Closed => {
                *slot = Slot::Closed;
                None
            }
            Slot::Kept(_) | Slot::Empty => None,
        }
    }

    fn put(&self, kept: Kept) {
        let mut slot = self.lock();
        if matches!(*slot, Slot::Empty) {
            *slot = Slot::Kept(Kept { used: Instant::now(), ..kept });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    async fn new(db: &DatabaseConnection) -> Result<Self, sqlx::Error> {
        let connection = match Dialect::of(db) {
            Dialect::Postgres => Connection::Postgres(db.get_postgres_connection_pool().acquire().await?),
            Dialect::Sqlite => Connection::Sqlite(db.get_sqlite_connection_pool().acquire().await?),
        };
        let now = Instant::now();
        Ok(Self { connection, since: now, used: now })
    }

    fn is_fresh(&self) -> bool {
        self.used.elapsed() < TRUSTED_TIME_MAX && self.since.elapsed() < KEPT_TIME_MAX
    }
}

impl Connection {
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

fn refused(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

fn head_of(row: &QueryResult) -> Result<Head, DbErr> {
    let asset: String = row.try_get_by_index(0)?;
    let seq: i64 = row.try_get_by_index(1)?;
    let time = |column, index| -> Result<Option<Timestamp>, DbErr> {
        let millis: Option<i64> = row.try_get_by_index(index)?;
        millis.map(|at| time_from_millis(column, at)).transpose()
    };
    let changed = match (time("start_ms", 6)?, time("end_ms", 7)?) {
        (Some(start), Some(end)) => Some(
            TimeRange::new(start, end)
                .map_err(|error| DbErr::Type(format!("change {seq} of {asset}: {error}")))?,
        ),
        _ => None,
    };
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
