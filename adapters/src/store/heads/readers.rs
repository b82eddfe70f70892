//! The question on SQLite: put to the file by the thread that has it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ohlcv_domain::{Asset, Head};
use rusqlite::{Connection, OpenFlags};
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions as _, SqlitePool, query};
use sea_orm::{DbErr, QueryResult, sqlx};

use super::super::values::text;
use super::{KEPT_TIME_MAX, Open, REFUSED_PAUSE, Row, all_closed, count, lock, query_error, statement};

/// How many are kept: as many as there are threads that ask at the same time.
const IDLE_MAX: usize = 16;

/// Reads where series stand in a few microseconds. The connections of the pool have threads of their own;
/// to wake one, and to be woken by it, takes many times as long.
///
/// Whatever does not go at once, such as where somebody locks the whole file, is left to the pool, which
/// knows how to wait.
#[derive(Default)]
pub(in super::super) struct Readers {
    shelf: Mutex<Shelf>,
    open: Open,
}

#[derive(Default)]
struct Shelf {
    idle: Vec<Reader>,
    // When the file could not be read at last.
    refused: Option<Instant>,
    closed: bool,
}

struct Reader {
    connection: Connection,
    since: Instant,
    _open: Open,
}

impl Readers {
    pub(super) async fn heads(&self, pool: &SqlitePool, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
        if let Some(heads) = self.at_hand(assets) {
            return Ok(heads);
        }
        if lock(&self.shelf).closed {
            return Err(query_error(sqlx::Error::PoolClosed));
        }
        // In a box, so that what is at hand does not carry the room for this along.
        Box::pin(async {
            match self.of_new_reader(pool, assets).await {
                Some(heads) => Ok(heads),
                None => over_pool(pool, assets).await,
            }
        })
        .await
    }

    /// If there is a reader and the file can be read at once.
    fn at_hand(&self, assets: &[Asset]) -> Option<Vec<Head>> {
        let reader = lock(&self.shelf).idle.pop().filter(|reader| reader.since.elapsed() < KEPT_TIME_MAX)?;
        // What is wrong, the pool will tell.
        let heads = reader.ask(assets)?;
        self.put(reader);
        Some(heads)
    }

    /// Opens one more, which also reads the schema: not on a thread where others wait.
    async fn of_new_reader(&self, pool: &SqlitePool, assets: &[Asset]) -> Option<Vec<Head>> {
        if lock(&self.shelf).refused.is_some_and(|at| at.elapsed() < REFUSED_PAUSE) {
            return None;
        }
        let (options, open, assets) = (pool.connect_options(), Arc::clone(&self.open), assets.to_vec());
        let asked = tokio::task::spawn_blocking(move || {
            let reader = Reader { connection: open_file(&options)?, since: Instant::now(), _open: open };
            let heads = reader.ask(&assets)?;
            Some((reader, heads))
        });
        let asked = asked.await.ok().flatten();
        let Some((reader, heads)) = asked else {
            lock(&self.shelf).refused = Some(Instant::now());
            return None;
        };
        self.put(reader);
        Some(heads)
    }

    fn put(&self, reader: Reader) {
        let mut shelf = lock(&self.shelf);
        if !shelf.closed && shelf.idle.len() < IDLE_MAX {
            shelf.idle.push(reader);
        }
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        count(&self.open)
    }

    /// Closes all, those in use when they are given back. Whatever is asked afterwards fails.
    pub(super) async fn close(&self) {
        let idle = {
            let mut shelf = lock(&self.shelf);
            shelf.closed = true;
            std::mem::take(&mut shelf.idle)
        };
        drop(idle);
        all_closed(&self.open).await;
    }
}

async fn over_pool(pool: &SqlitePool, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
    // Nothing of it was given by anybody.
    let question = query(AssertSqlSafe(statement(assets)));
    let question = assets.iter().fold(question, |question, asset| question.bind(text(*asset)));
    let rows = question.fetch_all(pool).await.map_err(query_error)?;
    rows.into_iter().map(|row| Row::read(&QueryResult::from(row))?.head()).collect()
}

/// Opens the file; none if it is to be opened in an unusual way.
fn open_file(options: &SqliteConnectOptions) -> Option<Connection> {
    let url = options.to_url_lossy();
    if !url.query_pairs().all(|(key, value)| key == "mode" || (key == "cache" && value == "private")) {
        return None;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(options.get_filename(), flags).ok()?;
    connection.busy_timeout(Duration::ZERO).ok()?;
    Some(connection)
}

impl Reader {
    /// None if that does not go, whyever.
    fn ask(&self, assets: &[Asset]) -> Option<Vec<Head>> {
        let mut question = self.connection.prepare_cached(&statement(assets)).ok()?;
        let names = rusqlite::params_from_iter(assets.iter().map(Asset::as_str));
        let rows = question.query_map(names, |row| {
            Ok(Row {
                asset: row.get(0)?,
                seq: row.get(1)?,
                answered_until: row.get(2)?,
                listing: row.get(3)?,
                first: row.get(4)?,
                last: row.get(5)?,
                changed_seq: row.get(6)?,
                changed_start: row.get(7)?,
                changed_end: row.get(8)?,
            })
        });
        rows.ok()?.map(|row| row.ok()?.head().ok()).collect()
    }
}
