//! The store on SQLite and PostgreSQL.

mod apply;
mod budget;
mod connect;
mod error;
mod history;
mod insert;
mod installation;
mod job_queue;
mod job_rows;
mod jobs;
mod leases;
mod ledger;
mod quick;
mod rows;
mod series;
mod unverified;
mod usage;
mod values;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{
    Applied, Asset, BackfillState, Breaks, Candle, Change, Commit, Fence, Head, Hole, HoleCount, Revision,
    Summary, TimeRange, Timestamp,
};
use ohlcv_ports::{
    CandleStore, Coverage, History, HoleQuery, Leases, Paused, RequestBudget, Reservation, StoreError, Take,
};
use sea_orm::{DatabaseConnection, DbErr, sqlx};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

pub use connect::{connect, connect_to_existing};
pub use error::store_error;
pub use installation::{InstallationError, check_installation, claim_installation};
use quick::{Quick, query_error};
use rows::Page;
pub use usage::PoolConnections;
use values::Dialect;

/// The longest a read or the write of one page may take.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest the question where series stand may take, with the wait for a connection: all readers wait for it.
const HEADS_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest a comparison of stored open times may take; it reads an index from end to end.
const SCAN_TIME_MAX: Duration = Duration::from_secs(300);
/// How many of them one process makes at once.
const SCANS_AT_ONCE_MAX: usize = 2;

/// Candles, ledger and summaries in a SQLite or PostgreSQL database.
///
/// Prices are `NUMERIC` on PostgreSQL and text on SQLite, exact to the digit on both. Writes of one
/// asset take turns, also between processes; readers wait for nobody.
pub struct SqlStore {
    db: DatabaseConnection,
    // Where its pool belongs: what that opens ends with the runtime that it was opened in.
    home: Option<Handle>,
    schema: String,
    quick: Quick,
    // Scans of many assets at once would leave readers no connection.
    scans: tokio::sync::Semaphore,
    // SQLite has one writer at a time; waiting here is fair, waiting in the database is not.
    write_turn: Option<tokio::sync::Mutex<()>>,
}

impl SqlStore {
    /// The store in `db`, which has to be at the migration `schema` to be ready. Its pool belongs to the
    /// runtime that this is called in.
    #[must_use]
    pub fn new(db: DatabaseConnection, schema: String) -> Self {
        let write_turn = match Dialect::of(&db) {
            Dialect::Sqlite => Some(tokio::sync::Mutex::new(())),
            Dialect::Postgres => None,
        };
        Self {
            quick: Quick::on(&db),
            db,
            home: Handle::try_current().ok(),
            schema,
            scans: tokio::sync::Semaphore::new(SCANS_AT_ONCE_MAX),
            write_turn,
        }
    }

    /// Where the pool belongs, if this is called from elsewhere.
    fn away(&self) -> Option<&Handle> {
        self.home.as_ref().filter(|home| home.id() != Handle::current().id())
    }

    /// Reads over the pool, on the runtime that it belongs to: pages and where series stand, which are asked
    /// for from elsewhere too.
    async fn at_home<T: Send + 'static>(
        &self,
        read: impl Future<Output = Result<T, DbErr>> + Send + 'static,
    ) -> Result<T, DbErr> {
        let Some(home) = self.away() else { return read.await };
        AbortOnDropHandle::new(home.spawn(read.in_current_span())).await.unwrap_or_else(|error| {
            // Else it was given up, because that runtime is ending.
            match error.is_panic() {
                true => Err(DbErr::Custom(format!("the question came to a bad end: {error}"))),
                false => Err(query_error(sqlx::Error::PoolClosed)),
            }
        })
    }

    /// The turn to write, where there is one writer at a time.
    async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match &self.write_turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("dialect", &Dialect::of(&self.db)).finish_non_exhaustive()
    }
}

#[async_trait]
impl CandleStore for SqlStore {
    async fn apply(&self, commit: Commit) -> Result<Applied, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            apply::apply(&self.db, &commit).await
        })
        .await
    }

    async fn page(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
    ) -> Result<Vec<Candle>, StoreError> {
        let page = Page { asset, range, take, limit };
        within(STATEMENT_TIME_MAX, async {
            // Whoever is at home has a pool for many questions at once.
            if self.away().is_some()
                && let Some(candles) = self.quick.candles(&page).await?
            {
                return Ok(candles);
            }
            let db = self.db.clone();
            // In a box, so that a quick answer does not carry the room for this along.
            Box::pin(self.at_home(async move { rows::page(&db, &page).await })).await
        })
        .await
    }

    async fn breaks(
        &self,
        asset: Asset,
        range: TimeRange,
        longest_step: Duration,
    ) -> Result<Breaks, StoreError> {
        // Never closed, so a permit always comes.
        let _permit = self.scans.acquire().await;
        within(SCAN_TIME_MAX, rows::breaks(&self.db, asset, range, longest_step)).await
    }

    async fn changes(&self, asset: Asset, seq: u64, limit: u64) -> Result<Vec<Change>, StoreError> {
        within(STATEMENT_TIME_MAX, series::changes(&self.db, asset, seq, limit)).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        within(STATEMENT_TIME_MAX, installation::require_schema(&self.db, &self.schema)).await
    }
}

#[async_trait]
impl Coverage for SqlStore {
    async fn summary(&self, asset: Asset) -> Result<Option<Summary>, StoreError> {
        within(STATEMENT_TIME_MAX, series::summary(&self.db, asset)).await
    }

    async fn summaries(&self) -> Result<Vec<Summary>, StoreError> {
        within(STATEMENT_TIME_MAX, series::summaries(&self.db)).await
    }

    async fn heads(&self, assets: &[Asset]) -> Result<Vec<Head>, StoreError> {
        within(HEADS_TIME_MAX, async {
            match self.quick.heads(&self.db, assets).await? {
                Some(heads) => Ok(heads),
                None => {
                    let (db, assets) = (self.db.clone(), assets.to_vec());
                    Box::pin(self.at_home(async move { quick::heads_over_pool(&db, &assets).await })).await
                }
            }
        })
        .await
    }

    async fn holes(&self, asset: Asset, wanted: HoleQuery) -> Result<Vec<Hole>, StoreError> {
        within(STATEMENT_TIME_MAX, ledger::wanted(&self.db, asset, wanted)).await
    }

    async fn unverified(
        &self,
        asset: Asset,
        range: TimeRange,
        limit: u64,
    ) -> Result<Vec<TimeRange>, StoreError> {
        within(STATEMENT_TIME_MAX, unverified::overlapping(&self.db, asset, range, limit)).await
    }

    async fn hole_counts(&self) -> Result<Vec<HoleCount>, StoreError> {
        within(STATEMENT_TIME_MAX, ledger::counts(&self.db)).await
    }

    async fn record_backfill(
        &self,
        asset: Asset,
        state: BackfillState,
        fence: Option<Fence>,
    ) -> Result<(), StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            series::record_backfill(&self.db, asset, &state, fence.as_ref()).await
        })
        .await
    }
}

#[async_trait]
impl History for SqlStore {
    async fn page_at(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
        at: Timestamp,
    ) -> Result<Vec<Candle>, StoreError> {
        within(STATEMENT_TIME_MAX, history::page_at(&self.db, asset, range, take, limit, at)).await
    }

    async fn revisions(
        &self,
        asset: Asset,
        range: TimeRange,
        after: u64,
        limit: u64,
    ) -> Result<Vec<Revision>, StoreError> {
        within(STATEMENT_TIME_MAX, history::revisions(&self.db, asset, range, after, limit)).await
    }
}

#[async_trait]
impl Leases for SqlStore {
    async fn acquire(&self, lease: &str, holder: &str, lasts: Duration) -> Result<Option<Fence>, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            leases::acquire(&self.db, lease, holder, lasts).await
        })
        .await
    }

    async fn renew(&self, fence: &Fence, lasts: Duration) -> Result<bool, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            leases::renew(&self.db, fence, lasts).await
        })
        .await
    }

    async fn release(&self, fence: &Fence) -> Result<(), StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            leases::release(&self.db, fence).await
        })
        .await
    }
}

#[async_trait]
impl RequestBudget for SqlStore {
    async fn reserve(&self, exchange: &str, weight: u32, per_minute: u32) -> Result<Reservation, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            budget::reserve(&self.db, exchange, weight, per_minute).await
        })
        .await
    }

    async fn pause(&self, exchange: &str, length: Duration, reason: &str) -> Result<(), StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            budget::pause(&self.db, exchange, length, reason).await
        })
        .await
    }

    async fn paused(&self, exchange: &str) -> Result<Option<Paused>, StoreError> {
        within(STATEMENT_TIME_MAX, budget::paused(&self.db, exchange)).await
    }
}

/// Runs a statement group within a bound; what takes longer is given up and rolled back.
async fn within<T>(
    time_max: Duration,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(time_max, work).await {
        Ok(result) => result.map_err(store_error),
        Err(_) => Err(StoreError::Unavailable {
            reason: format!("no answer within {} s", time_max.as_secs()),
            source: None,
        }),
    }
}
