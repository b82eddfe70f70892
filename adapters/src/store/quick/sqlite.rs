//! The questions on SQLite: put to the file by the thread that has them.
//!
//! The connections of the pool have threads of their own; to wake one, and to be woken by it, takes
//! several times as long as to read a row that is in memory. So this reads past them, and waits for
//! no transaction: where somebody locks the whole file, the pool is asked, which knows how to wait.

use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Head, Ohlc, Volume};
use rusqlite::types::Type;
use rusqlite::{Connection as Reader, ErrorCode, OpenFlags};
use sea_orm::DbErr;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{ConnectOptions as _, SqlitePool};

use super::super::rows::{Page, candle_from};
use super::super::values::{StoredDecimal, StoredTime, text};
use super::shelf::{Connection, Kept, Shelf};
use super::{Row, statement};

/// How many statements a reader keeps prepared: there is one for each number of assets, and two for candles.
const STATEMENTS_MAX: usize = 102;

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

/// Where series stand; none if the pool has to be asked.
pub(super) async fn heads(
    shelf: &Shelf<Reader>,
    pool: &SqlitePool,
    assets: &[Asset],
) -> Result<Option<Vec<Head>>, DbErr> {
    if let Some(kept) = shelf.take().await? {
        match ask(&kept.connection, assets) {
            Asked::Heads(heads) => {
                shelf.put(kept).await;
                return Ok(Some(heads));
            }
            Asked::Busy => {
                shelf.put(kept).await;
                return Ok(None);
            }
            Asked::Failed => {}
        }
    }
    // In a box, so that the usual question does not carry the room for this along.
    Ok(Box::pin(anew(shelf, pool, assets)).await)
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

/// A few candles by the reader that is kept; none if it is not at hand, or cannot tell: the pool is asked,
/// which waits where it has to, and says what is wrong.
pub(super) async fn candles(shelf: &Shelf<Reader>, page: &Page) -> Option<Vec<Candle>> {
    let mut borrowed = shelf.borrow()?;
    let candles = match candle_rows(borrowed.connection()?, page) {
        Ok(candles) => Some(page.ascending(candles)),
        // Something is wrong with the file, or with this reader.
        Err(error @ rusqlite::Error::SqliteFailure(..)) if !is_busy(&error) => return None,
        // Somebody locks the file, or a row is not what this program writes.
        Err(_) => None,
    };
    borrowed.give_back().await;
    candles
}

fn candle_rows(reader: &Reader, page: &Page) -> rusqlite::Result<Vec<Candle>> {
    let mut question = reader.prepare_cached(&page.statement())?;
    let [start, end] = [page.range.start(), page.range.end()].map(StoredTime);
    question.query_map((text(page.asset), start, end, page.rows_max()), candle)?.collect()
}

fn candle(row: &rusqlite::Row<'_>) -> rusqlite::Result<Candle> {
    let StoredTime(open_time) = row.get(0)?;
    let price = |at| row.get(at).map(|StoredDecimal(price)| price);
    let prices = Ohlc { open: price(1)?, high: price(2)?, low: price(3)?, close: price(4)? };
    let StoredDecimal(volume) = row.get(5)?;
    let amount = |at| -> rusqlite::Result<Option<Volume>> {
        let amount: Option<StoredDecimal<22>> = row.get(at)?;
        Ok(amount.map(|StoredDecimal(amount)| amount))
    };
    let details = (amount(6)?, row.get(7)?, amount(8)?, amount(9)?);
    let candle = candle_from(open_time, prices, volume, details);
    candle.map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, error.into()))
}

fn ask(reader: &Reader, assets: &[Asset]) -> Asked {
    match rows(reader, assets) {
        Ok(rows) => match rows.iter().map(Row::head).collect() {
            Ok(heads) => Asked::Heads(heads),
            Err(_) => Asked::Failed,
        },
        Err(error) if is_busy(&error) => Asked::Busy,
        Err(_) => Asked::Failed,
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
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
