//! Reading the rows of `spot_ohlcv`.

use std::time::Duration;

use ohlcv_domain::{Asset, Breaks, Candle, Ohlc, Price, TimeRange, Timestamp, TradeDetails, Volume};
use ohlcv_ports::Take;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement, Value};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use super::values::{Dialect, StoredDecimal, StoredTime, millis, text};

pub(super) const TABLE: &str = "spot_ohlcv";

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

/// The candle in a row that begins with all columns but the asset.
pub(super) fn candle_of(row: &QueryResult) -> Result<Candle, DbErr> {
    let StoredTime(open_time) = row.try_get_by_index(0)?;
    let price = |at| -> Result<Price, DbErr> {
        let StoredDecimal(price) = row.try_get_by_index(at)?;
        Ok(price)
    };
    let prices = Ohlc { open: price(1)?, high: price(2)?, low: price(3)?, close: price(4)? };
    let StoredDecimal(volume) = row.try_get_by_index(5)?;
    let amount = |at| -> Result<Option<Volume>, DbErr> {
        let amount: Option<StoredDecimal<22>> = row.try_get_by_index(at)?;
        Ok(amount.map(|StoredDecimal(amount)| amount))
    };
    let details = (amount(6)?, row.try_get_by_index(7)?, amount(8)?, amount(9)?);
    candle_from(open_time, prices, volume, details)
}

/// What may be unknown of a candle, in the order of [`COLUMNS`].
type Details = (Option<Volume>, Option<i64>, Option<Volume>, Option<Volume>);

/// A candle of the values of its row. The rest of the kline is all there or not at all.
pub(super) fn candle_from(
    open_time: Timestamp,
    prices: Ohlc,
    volume: Volume,
    details: Details,
) -> Result<Candle, DbErr> {
    let impossible =
        |what: &dyn std::fmt::Display| DbErr::Type(format!("{TABLE} row of {open_time}: {what}"));
    let candle = Candle::new(open_time, prices, volume).map_err(|error| impossible(&error))?;
    let (Some(quote_volume), Some(trades), Some(taker_buy_volume), Some(taker_buy_quote_volume)) = details
    else {
        return Ok(candle);
    };
    let trades = u32::try_from(trades).map_err(|_| impossible(&format_args!("{trades} trades")))?;
    Ok(candle.with_details(TradeDetails { quote_volume, trades, taker_buy_volume, taker_buy_quote_volume }))
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

/// At most `limit` candles from either end of a range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) asset: Asset,
    pub(super) range: TimeRange,
    pub(super) take: Take,
    pub(super) limit: u64,
}

impl Page {
    /// What asks for it. The asset, the start, the end and the limit are bound, in this order.
    pub(super) fn statement(&self) -> String {
        let columns = COLUMNS[1..].join(", ");
        let order = match self.take {
            Take::Oldest => "ASC",
            Take::Newest => "DESC",
        };
        format!(
            "SELECT {columns} FROM {TABLE} WHERE asset = $1 AND timestamp >= $2 AND timestamp < $3
            ORDER BY timestamp {order} LIMIT $4"
        )
    }

    /// The limit, as it is bound.
    pub(super) fn rows_max(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX)
    }

    /// Candles in the order of the statement, ascending.
    pub(super) fn ascending(&self, mut candles: Vec<Candle>) -> Vec<Candle> {
        if self.take == Take::Newest {
            candles.reverse();
        }
        candles
    }
}

/// The candles of a page, ascending.
pub(super) async fn page(db: &impl ConnectionTrait, page: &Page) -> Result<Vec<Candle>, DbErr> {
    let dialect = Dialect::of(db);
    let values: [Value; 4] = [
        text(page.asset).into(),
        dialect.time(page.range.start()),
        dialect.time(page.range.end()),
        page.rows_max().into(),
    ];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), page.statement(), values);
    let rows = db.query_all_raw(statement).await?;
    Ok(page.ascending(rows.iter().map(candle_of).collect::<Result<_, _>>()?))
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
        let StoredTime(open_time) = QueryResult::try_get_by_index(row, 0)?;
        Ok(open_time)
    };
    rows.iter().map(open_time).collect()
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
