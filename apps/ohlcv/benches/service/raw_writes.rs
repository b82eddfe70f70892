//! The least that writing the same rows costs: COPY on PostgreSQL, bare prepared inserts on SQLite.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use ohlcv_domain::Candle;
use ohlcv_tests::database::{Backend, TestDatabase};
use sea_orm::sqlx;
use sea_orm::sqlx::postgres::PgPoolCopyExt;

use crate::{candles, world};

const COLUMNS: &str = "asset, timestamp, open, high, low, close, volume, quote_volume, trades, taker_buy_volume, \
    taker_buy_quote_volume";
/// Of SQLite. One row a statement takes several times as long, for each goes to the thread of its
/// connection and back; more rows than this gain nothing.
const ROWS_PER_STATEMENT: usize = 100;

/// Writes them into the empty table of the program's own schema, a transaction a month. Rows are put
/// into the database's words before the time is taken.
pub(crate) async fn write(database: &TestDatabase, backend: Backend, days: i64) -> anyhow::Result<Duration> {
    let db = database.connect().await;
    let mut took = Duration::ZERO;
    for month in candles::months(days)? {
        let rows = candles::all(month)?;
        took += match backend {
            Backend::Postgres => copy(db.get_postgres_connection_pool(), &rows).await?,
            Backend::Sqlite => insert(db.get_sqlite_connection_pool(), &rows).await?,
        };
    }
    db.close().await?;
    Ok(took)
}

async fn copy(pool: &sqlx::PgPool, rows: &[Candle]) -> anyhow::Result<Duration> {
    let mut text = String::new();
    for row in rows {
        let numbers = numbers(row)?.join("\t");
        let trades = row.details().context("the candles have details")?.trades;
        let (open_time, asset) = (row.open_time(), world::ASSET);
        // The order of the columns is that of the statement.
        writeln!(text, "{asset}\t{open_time}\t{numbers}\t{trades}")?;
    }
    let columns = COLUMNS.replace(" trades,", "") + ", trades";
    let statement = format!("COPY spot_ohlcv ({columns}) FROM STDIN");
    let started = Instant::now();
    let mut copying = pool.copy_in_raw(&statement).await?;
    copying.send(text.as_bytes()).await?;
    anyhow::ensure!(copying.finish().await? == u64::try_from(rows.len())?, "every row arrived");
    Ok(started.elapsed())
}

async fn insert(pool: &sqlx::SqlitePool, rows: &[Candle]) -> anyhow::Result<Duration> {
    let mut prepared = Vec::new();
    for row in rows {
        let trades = row.details().context("the candles have details")?.trades;
        prepared.push((row.open_time().millis(), numbers(row)?, trades));
    }
    let statement_of = |rows: usize| {
        let values = ["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"].repeat(rows).join(", ");
        format!("INSERT INTO spot_ohlcv ({COLUMNS}) VALUES {values}")
    };
    let full = statement_of(ROWS_PER_STATEMENT);
    let started = Instant::now();
    let mut transaction = pool.begin().await?;
    for chunk in prepared.chunks(ROWS_PER_STATEMENT) {
        let last;
        let statement = if chunk.len() == ROWS_PER_STATEMENT {
            &full
        } else {
            last = statement_of(chunk.len());
            &last
        };
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement.as_str()));
        for (open_time, [open, high, low, close, volume, quote, taker, taker_quote], trades) in chunk {
            query = query.bind(world::ASSET).bind(open_time).bind(open).bind(high).bind(low).bind(close);
            query = query.bind(volume).bind(quote).bind(trades).bind(taker).bind(taker_quote);
        }
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(started.elapsed())
}

/// All decimals of a row, in the order of the columns.
fn numbers(row: &Candle) -> anyhow::Result<[String; 8]> {
    let details = row.details().context("the candles have details")?;
    let prices = [row.open(), row.high(), row.low(), row.close()].map(|price| price.to_string());
    let amounts =
        [row.volume(), details.quote_volume, details.taker_buy_volume, details.taker_buy_quote_volume];
    let [open, high, low, close] = prices;
    let [volume, quote, taker, taker_quote] = amounts.map(|amount| amount.to_string());
    Ok([open, high, low, close, volume, quote, taker, taker_quote])
}
