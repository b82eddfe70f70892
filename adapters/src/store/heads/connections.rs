//! The question on PostgreSQL: over connections beside the pool.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ohlcv_domain::{Asset, Head};
use sea_orm::sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, query};
use sea_orm::{DbErr, QueryResult, sqlx};
use tokio::runtime::{self, Handle};
use tokio::time::Instant;

use super::super::error::is_gone;
use super::super::values::text;
use super::{KEPT_TIME_MAX, Open, REFUSED_PAUSE, Row, all_closed, count, lock, query_error, statement};

/// How long one is kept that nobody uses. Networks forget silent ones after some more minutes.
const UNUSED_TIME_MAX: Duration = Duration::from_secs(300);

/// Asks where series stand, as long as that goes on always over the same connection: to give one back to
/// the pool costs another round trip, with which the pool tests it.
///
/// Each runtime that asks has its own, opened beside the pool, so that an answer wakes the thread that waits
/// for it and no other one.
#[derive(Default)]
pub(in super::super) struct Connections {
    shelf: Arc<Mutex<Shelf>>,
    open: Open,
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
    connection: PgConnection,
    since: Instant,
    used: Instant,
    _open: Open,
}

impl Connections {
    pub(super) async fn heads(&self, pool: &PgPool, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
        let own = Handle::current().id();
        if let Some(kept) = self.take(own)?
            && let Some(heads) = self.ask_over(kept, own, assets).await?
        {
            return Ok(heads);
        }
        // It ended, such as with a restart of the database. In a box, so that the usual question does not
        // carry the room for this along.
        Box::pin(self.anew(pool, own, assets)).await
    }

    /// Over a new connection, or one of the pool.
    async fn anew(&self, pool: &PgPool, own: runtime::Id, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
        if let Some(kept) = self.connect(pool).await {
            if let Some(heads) = self.ask_over(kept, own, assets).await? {
                return Ok(heads);
            }
            self.refused();
        }
        // If there is more to it than that, the pool will tell.
        let mut connection = pool.acquire().await.map_err(query_error)?;
        ask(&mut connection, assets).await.map_err(query_error)?.iter().map(read).collect()
    }

    /// Asks over a connection and keeps it; none if it is of no use any more. One that gave no answer is
    /// kept no longer.
    async fn ask_over(
        &self,
        mut kept: Kept,
        own: runtime::Id,
        assets: &[Asset],
    ) -> Result<Option<Vec<Head>>, DbErr> {
        let rows = match ask(&mut kept.connection, assets).await {
            Ok(rows) => rows,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(query_error(error)),
        };
        if let Some(surplus) = self.put(own, kept) {
            Box::pin(surplus.close()).await;
        }
        rows.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// A new connection; none if the database gives none, as where it has as many as it may have.
    async fn connect(&self, pool: &PgPool) -> Option<Kept> {
        if lock(&self.shelf).refused.is_some_and(|at| at.elapsed() < REFUSED_PAUSE) {
            return None;
        }
        let connection = PgConnection::connect_with(&pool.connect_options()).await.ok();
        if connection.is_none() {
            self.refused();
        }
        let now = Instant::now();
        Some(Kept { connection: connection?, since: now, used: now, _open: Arc::clone(&self.open) })
    }

    fn refused(&self) {
        lock(&self.shelf).refused = Some(Instant::now());
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        count(&self.open)
    }

    /// Closes all connections, those in use when they are given back. Whatever is asked afterwards fails.
    pub(super) async fn close(&self) {
        let kept = {
            let mut shelf = lock(&self.shelf);
            shelf.closed = true;
            std::mem::take(&mut shelf.kept)
        };
        for kept in kept.into_values() {
            kept.close().await;
        }
        all_closed(&self.open).await;
    }

    /// The connection that was kept. If the database has ended it meanwhile, the question tells.
    fn take(&self, own: runtime::Id) -> Result<Option<Kept>, DbErr> {
        let mut shelf = lock(&self.shelf);
        if shelf.closed {
            return Err(query_error(sqlx::Error::PoolClosed));
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
        kept.close().await;
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.used.elapsed() < UNUSED_TIME_MAX && self.since.elapsed() < KEPT_TIME_MAX
    }

    async fn close(self) {
        // It fails only if there is nobody to take leave of.
        let _ = self.connection.close().await;
    }
}

async fn ask(connection: &mut PgConnection, assets: &[Asset]) -> Result<Vec<QueryResult>, sqlx::Error> {
    // Nothing of it was given by anybody.
    let question = query(AssertSqlSafe(statement(assets)));
    let question = assets.iter().fold(question, |question, asset| question.bind(text(*asset)));
    Ok(question.fetch_all(connection).await?.into_iter().map(QueryResult::from).collect())
}

fn read(row: &QueryResult) -> Result<Head, DbErr> {
    Row::read(row)?.head()
}
