//! Quick questions, which are put beside the pool.
//!
//! Where series stand, which every reader waits for; and, for who asks from a runtime of its own, the few
//! candles that have changed since.

mod postgres;
mod shelf;
mod sqlite;

use ohlcv_domain::{Asset, Candle, Head, TimeRange, Timestamp};
use sea_orm::sqlx::{self, PgConnection};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult, RuntimeErr, Statement};

use self::shelf::Shelf;
use super::rows::Page;
use super::values::{Dialect, text, time_from_millis};

/// How many candles are few.
const CANDLES_MAX: u64 = 100;

/// Asks them, beside the pool: that is made for statements which take longer.
pub(super) enum Quick {
    Postgres(Shelf<PgConnection>),
    Sqlite(Shelf<rusqlite::Connection>),
}

impl Quick {
    pub(super) fn on(db: &DatabaseConnection) -> Self {
        match Dialect::of(db) {
            Dialect::Postgres => Self::Postgres(Shelf::default()),
            Dialect::Sqlite => Self::Sqlite(Shelf::default()),
        }
    }

    /// Where series stand; none if the pool has to be asked.
    pub(super) async fn heads(
        &self,
        db: &DatabaseConnection,
        assets: &[Asset],
    ) -> Result<Option<Vec<Head>>, DbErr> {
        if assets.is_empty() {
            // PostgreSQL knows no empty list.
            return Ok(Some(Vec::new()));
        }
        match self {
            Self::Postgres(shelf) => postgres::heads(shelf, db.get_postgres_connection_pool(), assets).await,
            Self::Sqlite(shelf) => sqlite::heads(shelf, db.get_sqlite_connection_pool(), assets).await,
        }
    }

    /// A few candles; none if they may be more, or there is no connection at hand: then the pool is asked.
    pub(super) async fn candles(&self, page: &Page) -> Result<Option<Vec<Candle>>, DbErr> {
        if page.limit > CANDLES_MAX {
            return Ok(None);
        }
        // On SQLite nothing else is waited for: who reads again and again lets others in.
        tokio::task::coop::consume_budget().await;
        match self {
            Self::Postgres(shelf) => postgres::candles(shelf, page).await,
            Self::Sqlite(shelf) => Ok(sqlite::candles(shelf, page).await),
        }
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        match self {
            Self::Postgres(shelf) => shelf.open(),
            Self::Sqlite(shelf) => shelf.open(),
        }
    }

    /// Closes all connections. Whatever is asked afterwards fails.
    pub(super) async fn close(&self) {
        match self {
            Self::Postgres(shelf) => shelf.close().await,
            Self::Sqlite(shelf) => shelf.close().await,
        }
    }
}

/// Where series stand, asked over the pool.
pub(super) async fn heads_over_pool(db: &DatabaseConnection, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
    let names = assets.iter().map(|asset| text(*asset).into());
    let question = Statement::from_sql_and_values(db.get_database_backend(), statement(assets), names);
    db.query_all_raw(question).await?.iter().map(|row| Row::read(row)?.head()).collect()
}

/// One statement, which reads rows by their keys alone: one for each of the assets.
fn statement(assets: &[Asset]) -> String {
    let places: Vec<String> = (1..=assets.len()).map(|place| format!("${place}")).collect();
    format!(
        "SELECT asset, change_seq, answered_until_ms, listing_ms, first_ms, last_ms, changed_seq,
            changed_start_ms, changed_end_ms
        FROM series WHERE asset IN ({})",
        places.join(", ")
    )
}

pub(super) fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// What the question brings of one asset; times in milliseconds.
struct Row {
    asset: String,
    seq: i64,
    answered_until: Option<i64>,
    listing: Option<i64>,
    first: Option<i64>,
    last: Option<i64>,
    changed_seq: Option<i64>,
    changed_start: Option<i64>,
    changed_end: Option<i64>,
}

impl Row {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            asset: row.try_get_by_index(0)?,
            seq: row.try_get_by_index(1)?,
            answered_until: row.try_get_by_index(2)?,
            listing: row.try_get_by_index(3)?,
            first: row.try_get_by_index(4)?,
            last: row.try_get_by_index(5)?,
            changed_seq: row.try_get_by_index(6)?,
            changed_start: row.try_get_by_index(7)?,
            changed_end: row.try_get_by_index(8)?,
        })
    }

    fn head(&self) -> Result<Head, DbErr> {
        let time = |column, millis: Option<i64>| -> Result<Option<Timestamp>, DbErr> {
            millis.map(|at| time_from_millis(column, at)).transpose()
        };
        let changed =
            time("changed_start_ms", self.changed_start)?.zip(time("changed_end_ms", self.changed_end)?);
        // It saves a look into the log. An earlier version that writes here too leaves it as it was.
        let changed = changed.filter(|_| self.changed_seq == Some(self.seq));
        let changed = changed.and_then(|(start, end)| TimeRange::new(start, end).ok());
        let asset = &self.asset;
        Ok(Head {
            changed,
            asset: asset.parse().map_err(|error| DbErr::Type(format!("series of {asset}: {error}")))?,
            seq: self.seq.unsigned_abs(),
            answered_until: time("answered_until_ms", self.answered_until)?,
            listing: time("listing_ms", self.listing)?,
            first: time("first_ms", self.first)?,
            last: time("last_ms", self.last)?,
        })
    }
}
