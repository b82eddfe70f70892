//! The rows of `spot_ohlcv`.

use std::time::Duration;

use ohlcv_domain::{Asset, Breaks, Candle, Ohlc, TimeRange, Timestamp, TradeDetails};
use ohlcv_ports::Take;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Order, Query, SelectStatement, Value};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, QueryResult, Statement};

use super::values::{Dialect, StoredDecimal, StoredTime, millis, text};

const TABLE: &str = "spot_ohlcv";

pub(super) const COLUMNS: [&str; 11] = [
    "asset",
    "timestamp",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
];

/// Variables that one statement may bind: SQLite's limit, PostgreSQL's is twice that.
const VARIABLES_MAX: usize = 32_766;
const ROWS_PER_STATEMENT: usize = 1_000;
const _: () = assert!(ROWS_PER_STATEMENT * COLUMNS.len() <= VARIABLES_MAX);

/// One row as it is stored. The rest of the kline is all there or not at all.
#[derive(Debug, FromQueryResult)]
struct CandleRow {
    timestamp: StoredTime,
    open: StoredDecimal<12>,
    high: StoredDecimal<12>,
    low: StoredDecimal<12>,
    close: StoredDecimal<12>,
    volume: StoredDecimal<22>,
    quote_volume: Option<StoredDecimal<22>>,
    trades: Option<i64>,
    taker_buy_volume: Option<StoredDecimal<22>>,
    taker_buy_quote_volume: Option<StoredDecimal<22>>,
}

impl CandleRow {
    fn into_candle(self) -> Result<Candle, DbErr> {
        let Self {
            timestamp: StoredTime(open_time),
            open: StoredDecimal(open),
            high: StoredDecimal(high),
            low: StoredDecimal(low),
            close: StoredDecimal(close),
            volume: StoredDecimal(volume),
            quote_volume,
            trades,
            taker_buy_volume,
            taker_buy_quote_volume,
        } = self;
        let impossible =
            |what: &dyn std::fmt::Display| DbErr::Type(format!("{TABLE} row of {open_time}: {what}"));
        let candle = Candle::new(open_time, Ohlc { open, high, low, close }, volume)
            .map_err(|error| impossible(&error))?;
        let details = (quote_volume, trades, taker_buy_volume, taker_buy_quote_volume);
        let (Some(quote_volume), Some(trades), Some(taker_buy), Some(taker_buy_quote)) = details else {
            return Ok(candle);
        };
        let trades = u32::try_from(trades).map_err(|_| impossible(&format_args!("{trades} trades")))?;
        Ok(candle.with_details(TradeDetails {
            quote_volume: quote_volume.0,
            trades,
            taker_buy_volume: taker_buy.0,
            taker_buy_quote_volume: taker_buy_quote.0,
        }))
    }
}

/// The candle in a row that has all columns but the asset.
pub(super) fn candle_of(row: &QueryResult) -> Result<Candle, DbErr> {
    CandleRow::from_query_result(row, "")?.into_candle()
}

fn select_in(dialect: Dialect, asset: Asset, range: TimeRange) -> SelectStatement {
    let mut select = Query::select();
    select
        .from(TABLE)
        .and_where(Expr::col("asset").eq(text(asset)))
        .and_where(Expr::col("timestamp").gte(dialect.time(range.start())))
        .and_where(Expr::col("timestamp").lt(dialect.time(range.end())));
    select
}

/// At most `limit` candles, ascending, from either end of the range.
pub(super) async fn page(
    db: &impl ConnectionTrait,
    asset: Asset,
    range: TimeRange,
    take: Take,
    limit: u64,
) -> Result<Vec<Candle>, DbErr> {
    let mut select = select_in(Dialect::of(db), asset, range);
    let order = match take {
        Take::Oldest => Order::Asc,
        Take::Newest => Order::Desc,
    };
    select.columns(COLUMNS.into_iter().skip(1)).order_by("timestamp", order).limit(limit);
    let rows = db.query_all(&select).await?;
    let mut candles = rows.iter().map(candle_of).collect::<Result<Vec<_>, _>>()?;
    if take == Take::Newest {
        candles.reverse();
    }
    Ok(candles)
}

/// The open times of a range, ascending.
pub(super) async fn open_times(
    db: &impl ConnectionTrait,
    asset: Asset,
    range: TimeRange,
) -> Result<Vec<Timestamp>, DbErr> {
    let mut select = select_in(Dialect::of(db), asset, range);
    select.column("timestamp").order_by("timestamp", Order::Asc);
    let rows = db.query_all(&select).await?;
    let open_time = |row| -> Result<Timestamp, DbErr> {
        let StoredTime(open_time) = QueryResult::try_get(row, "", "timestamp")?;
        Ok(open_time)
    };
    rows.iter().map(open_time).collect()
}

/// Inserts candles, or replaces what is stored under the same open times.
pub(super) async fn upsert(db: &impl ConnectionTrait, asset: Asset, candles: &[Candle]) -> Result<(), DbErr> {
    let dialect = Dialect::of(db);
    for chunk in candles.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        insert.into_table(TABLE).columns(COLUMNS);
        for candle in chunk {
            let row = candle_values(dialect, asset, candle).map(Expr::val);
            insert.values(row).map_err(|error| DbErr::Custom(error.to_string()))?;
        }
        let replaced = COLUMNS.into_iter().skip(2);
        insert.on_conflict(OnConflict::columns(["asset", "timestamp"]).update_columns(replaced).to_owned());
        db.execute(&insert).await?;
    }
    Ok(())
}

/// The values of a candle, in the order of [`COLUMNS`].
pub(super) fn candle_values(dialect: Dialect, asset: Asset, candle: &Candle) -> [Value; COLUMNS.len()] {
    let Ohlc { open, high, low, close } = candle.prices();
    let details = candle.details();
    [
        text(asset).into(),
        dialect.time(candle.open_time()),
        dialect.decimal(open),
        dialect.decimal(high),
        dialect.decimal(low),
        dialect.decimal(close),
        dialect.decimal(candle.volume()),
        dialect.optional_decimal(details.map(|details| details.quote_volume)),
        details.map(|details| i64::from(details.trades)).into(),
        dialect.optional_decimal(details.map(|details| details.taker_buy_volume)),
        dialect.optional_decimal(details.map(|details| details.taker_buy_quote_volume)),
    ]
}

/// Compares each open time of the range with the next one inside the database.
pub(super) async fn breaks(
    db: &impl ConnectionTrait,
    asset: Asset,
    range: TimeRange,
    longest_step: Duration,
) -> Result<Breaks, DbErr> {
    let count = count(db, asset, range).await?;
    let spread = count.first.zip(count.last).map_or(Duration::ZERO, |(first, last)| last.since(first));
    if spread <= longest_step {
        // No two of them can be further apart.
        return Ok(Breaks { rows: count.rows, first: count.first, last: count.last, steps: Vec::new() });
    }
    let dialect = Dialect::of(db);
    let sql = match dialect {
        Dialect::Sqlite => {
            "SELECT before, timestamp FROM (
                SELECT timestamp, LAG(timestamp) OVER (ORDER BY timestamp) AS before FROM spot_ohlcv
                WHERE asset = $1 AND timestamp >= $2 AND timestamp < $3
            ) AS neighbours WHERE timestamp - before > $4 ORDER BY timestamp"
        }
        Dialect::Postgres => {
            "SELECT before, timestamp FROM (
                SELECT timestamp, LAG(timestamp) OVER (ORDER BY timestamp) AS before FROM spot_ohlcv
                WHERE asset = $1 AND timestamp >= $2 AND timestamp < $3
            ) AS neighbours
            WHERE timestamp - before > $4::bigint * interval '1 millisecond' ORDER BY timestamp"
        }
    };
    let values: [Value; 4] = [
        text(asset).into(),
        dialect.time(range.start()),
        dialect.time(range.end()),
        millis(longest_step).into(),
    ];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = db.query_all_raw(statement).await?;
    let step = |row| -> Result<(Timestamp, Timestamp), DbErr> {
        let StoredTime(before) = QueryResult::try_get(row, "", "before")?;
        let StoredTime(after) = QueryResult::try_get(row, "", "timestamp")?;
        Ok((before, after))
    };
    let steps = rows.iter().map(step).collect::<Result<_, DbErr>>()?;
    Ok(Breaks { rows: count.rows, first: count.first, last: count.last, steps })
}

/// How many rows a range has, and the first and last of them.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) rows: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

pub(super) async fn count(db: &impl ConnectionTrait, asset: Asset, range: TimeRange) -> Result<Count, DbErr> {
    let mut select = select_in(Dialect::of(db), asset, range);
    select
        .expr_as(Expr::col("timestamp").count(), "rows")
        .expr_as(Expr::col("timestamp").min(), "first")
        .expr_as(Expr::col("timestamp").max(), "last");
    let Some(row) = db.query_one(&select).await? else {
        return Ok(Count { rows: 0, first: None, last: None });
    };
    let rows: i64 = row.try_get("", "rows")?;
    let first: Option<StoredTime> = row.try_get("", "first")?;
    let last: Option<StoredTime> = row.try_get("", "last")?;
    Ok(Count {
        rows: rows.unsigned_abs(),
        first: first.map(|StoredTime(at)| at),
        last: last.map(|StoredTime(at)| at),
    })
}
