//! The question on SQLite: put to the file by the thread that has it.
//!
//! The connections of the pool have threads of their own; to wake one, and to be woken by it, takes
//! several times as long as to read a row that is in memory. So this reads past them, and waits for
//! no transaction: where somebody locks the whole file, the pool is asked, which knows how to wait.

use std::time::Duration;

use ohlcv_domain::{Asset, Head};
use rusqlite::{Connection as Reader, ErrorCode, OpenFlags};
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions as _, SqlitePool, query};
use sea_orm::{DbErr, QueryResult};

use super::super::values::text;
use super::shelf::{Connection, Kept, Shelf};
use super::{Row, query_error, statement};

/// How many statements a reader keeps prepared: there is one for each number of assets.
const STATEMENTS_MAX: usize = 100;

impl Connection for Reader {
    async fn close(self) {
        // Whoever closes a file last merges its write-ahead log.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// What came of a question.
enum Asked {
    Heads(Vec<Head>),
    /// Somebody locks the file.
    Busy,
    /// Something is wrong with the file, or with this reader.
    Failed,
}

pub(super) async fn heads(
    shelf: &Shelf<Reader>,
    pool: &SqlitePool,
    assets: &[Asset],
) -> Result<Vec<Head>, DbErr> {
    let is_busy = match shelf.take()? {
        Some(kept) => match ask(&kept.connection, assets) {
            Asked::Heads(heads) => {
                shelf.put(kept).await;
                return Ok(heads);
            }
            Asked::Busy => {
                shelf.put(kept).await;
                true
            }
            Asked::Failed => false,
        },
        None => false,
    };
    // In a box, so that the usual question does not carry the room for this along.
    Box::pin(async {
        if !is_busy && let Some(heads) = anew(shelf, pool, assets).await {
            return Ok(heads);
        }
        // If there is more to it than that, the pool will tell.
        over_pool(pool, assets).await
    })
    .await
}

/// Asks a new reader. To open it means to read the schema: not on a thread where others wait.
async fn anew(shelf: &Shelf<Reader>, pool: &SqlitePool, assets: &[Asset]) -> Option<Vec<Head>> {
    let place = shelf.place()?;
    let (options, assets) = (pool.connect_options(), assets.to_vec());
    let opened = tokio::task::spawn_blocking(move || {
        let kept = Kept::new(open(&options)?, place);
        match ask(&kept.connection, &assets) {
            Asked::Heads(heads) => Some((kept, heads)),
            Asked::Busy | Asked::Failed => None,
        }
    });
    let Some((kept, heads)) = opened.await.ok().flatten() else {
        shelf.refused();
        return None;
    };
    shelf.put(kept).await;
    Some(heads)
}

async fn over_pool(pool: &SqlitePool, assets: &[Asset]) -> Result<Vec<Head>, DbErr> {
    // Nothing of it was given by anybody.
    let question = query(AssertSqlSafe(statement(assets)));
    let question = assets.iter().fold(question, |question, asset| question.bind(text(*asset)));
    let rows = question.fetch_all(pool).await.map_err(query_error)?;
    rows.into_iter().map(|row| Row::read(&QueryResult::from(row))?.head()).collect()
}

/// Opens the file; none if it cannot be, or is to be opened in an unusual way.
fn open(options: &SqliteConnectOptions) -> Option<Reader> {
    let reader = Reader::open_with_flags(options.get_filename(), flags(options)?).ok()?;
    reader.busy_timeout(Duration::ZERO).ok()?;
    reader.pragma_update(None, "query_only", true).ok()?;
    reader.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Some(reader)
}

/// How to open it; none if that is unusual.
fn flags(options: &SqliteConnectOptions) -> Option<OpenFlags> {
    // Of another name, for not every name can be written as a URL.
    let url = options.clone().filename("any").to_url_lossy();
    let is_usual =
        |key: &str, value: &str| matches!((key, value), ("mode", "ro" | "rw" | "rwc") | ("cache", "private"));
    if !url.query_pairs().all(|(key, value)| is_usual(&key, &value)) {
        return None;
    }
    // One that may not write could not merge the write-ahead log, if it is closed last.
    let flags = match url.query_pairs().any(|(_, value)| value == "ro") {
        true => OpenFlags::SQLITE_OPEN_READ_ONLY,
        false => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    Some(flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn ask(reader: &Reader, assets: &[Asset]) -> Asked {
    match rows(reader, assets) {
        Ok(rows) => match rows.iter().map(Row::head).collect() {
            Ok(heads) => Asked::Heads(heads),
            Err(_) => Asked::Failed,
        },
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Asked::Busy,
            _ => Asked::Failed,
        },
    }
}

fn rows(reader: &Reader, assets: &[Asset]) -> rusqlite::Result<Vec<Row>> {
    let mut question = reader.prepare_cached(&statement(assets))?;
    let names = rusqlite::params_from_iter(assets.iter().map(|asset| text(*asset)));
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
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_opened_as_its_url_says_whatever_its_name() {
        let [read, write] = [OpenFlags::SQLITE_OPEN_READ_ONLY, OpenFlags::SQLITE_OPEN_READ_WRITE];
        for (url, wanted) in [
            ("sqlite://candles.db", Some(write)),
            ("sqlite://candles.db?mode=rwc", Some(write)),
            ("sqlite://candles.db?mode=ro", Some(read)),
            // These make no URL: what stands for the host cannot be one.
            ("sqlite://candles[1].db", Some(write)),
            ("sqlite://a:b.db", Some(write)),
            ("sqlite://candles.db?immutable=true", None),
            ("sqlite://candles.db?cache=shared", None),
            ("sqlite://candles.db?vfs=unix-none", None),
            ("sqlite::memory:", None),
        ] {
            let options: SqliteConnectOptions = url.parse().unwrap();
            let wanted = wanted.map(|flags| flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
            assert_eq!(flags(&options), wanted, "{url}");
        }
    }
}
