//! Writing rows of `spot_ohlcv`, many in one statement.

use std::fmt::{Display, Write};

use ohlcv_domain::{Asset, Candle, TradeDetails, Volume};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, SqlErr, TransactionTrait};

use super::leases::statement;
use super::rows::{COLUMNS, TABLE, candle_values};
use super::values::{Dialect, text};

/// Rows of one statement on PostgreSQL, which takes them as arrays.
const POSTGRES_ROWS_PER_STATEMENT: usize = 10_000;
/// Rows of one statement on SQLite, a power of two: what is left over is written in the next smaller
/// ones, so the texts of the statements are few, and prepared once per connection. More rows at once are
/// no faster, fewer than 32 are slower.
const SQLITE_ROWS_PER_STATEMENT: usize = 128;
const _: () = assert!(SQLITE_ROWS_PER_STATEMENT.is_power_of_two());
/// Variables that one statement may bind on SQLite.
const SQLITE_VARIABLES_MAX: usize = 32_766;
const _: () = assert!(SQLITE_ROWS_PER_STATEMENT * COLUMNS.len() <= SQLITE_VARIABLES_MAX);
/// About what a number takes as an element of an array.
const ELEMENT_BYTES: usize = 16;

/// Inserts candles that the transaction found to be new. One that came behind its back is replaced.
pub(super) async fn insert(
    transaction: &DatabaseTransaction,
    asset: Asset,
    candles: &[Candle],
) -> Result<(), DbErr> {
    if Dialect::of(transaction) == Dialect::Sqlite {
        // The only writer: nothing comes behind its back, and asking costs next to nothing.
        return upsert(transaction, asset, candles).await;
    }
    for chunk in candles.chunks(POSTGRES_ROWS_PER_STATEMENT) {
        // ON CONFLICT costs a third of the speed, so it is for the rows that need it.
        let attempt = transaction.begin().await?;
        match insert_arrays(&attempt, asset, chunk, "").await {
            Ok(()) => attempt.commit().await?,
            Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                attempt.rollback().await?;
                insert_arrays(transaction, asset, chunk, &on_conflict()).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Inserts candles, or replaces what is stored under the same open times.
pub(super) async fn upsert(
    transaction: &impl ConnectionTrait,
    asset: Asset,
    candles: &[Candle],
) -> Result<(), DbErr> {
    match Dialect::of(transaction) {
        Dialect::Postgres => {
            for chunk in candles.chunks(POSTGRES_ROWS_PER_STATEMENT) {
                insert_arrays(transaction, asset, chunk, &on_conflict()).await?;
            }
        }
        Dialect::Sqlite => {
            let mut left = candles;
            let mut rows = SQLITE_ROWS_PER_STATEMENT;
            while !left.is_empty() {
                while rows > left.len() {
                    rows /= 2;
                }
                let (chunk, behind) = left.split_at(rows);
                insert_rows(transaction, asset, chunk).await?;
                left = behind;
            }
        }
    }
    Ok(())
}

fn on_conflict() -> String {
    let replaced: Vec<String> =
        COLUMNS[2..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!("ON CONFLICT (asset, timestamp) DO UPDATE SET {}", replaced.join(", "))
}

/// PostgreSQL takes arrays as text apart faster than anything else that a transaction of SeaORM can send:
/// measured at 0.76 times the speed of `COPY`, where rows of variables reach 0.32.
async fn insert_arrays(
    db: &impl ConnectionTrait,
    asset: Asset,
    candles: &[Candle],
    on_conflict: &str,
) -> Result<(), DbErr> {
    // The product is exact: open times are whole seconds, and a million has enough factors of two for the
    // 53 bits that PostgreSQL multiplies with.
    let sql = format!(
        "INSERT INTO {TABLE} ({}) SELECT $1,
            timestamptz 'epoch' + unnest($2::text::bigint[]) * interval '1 millisecond',
            unnest($3::text::numeric[]), unnest($4::text::numeric[]), unnest($5::text::numeric[]),
            unnest($6::text::numeric[]), unnest($7::text::numeric[]), unnest($8::text::numeric[]),
            unnest($9::text::bigint[]), unnest($10::text::numeric[]), unnest($11::text::numeric[])
        {on_conflict}",
        COLUMNS.join(", ")
    );
    let told = |detail: fn(&TradeDetails) -> Volume| {
        array(candles, move |candle| candle.details().as_ref().map(detail))
    };
    let values: [Value; COLUMNS.len()] = [
        text(asset).into(),
        array(candles, |candle| Some(candle.open_time().millis())),
        array(candles, |candle| Some(candle.open())),
        array(candles, |candle| Some(candle.high())),
        array(candles, |candle| Some(candle.low())),
        array(candles, |candle| Some(candle.close())),
        array(candles, |candle| Some(candle.volume())),
        told(|details| details.quote_volume),
        array(candles, |candle| candle.details().map(|details| details.trades)),
        told(|details| details.taker_buy_volume),
        told(|details| details.taker_buy_quote_volume),
    ];
    db.execute_raw(statement(db, sql, values)).await?;
    Ok(())
}

/// One column of candles as PostgreSQL writes an array.
fn array<T: Display>(candles: &[Candle], number: impl Fn(&Candle) -> Option<T>) -> Value {
    let mut array = String::with_capacity(candles.len() * ELEMENT_BYTES);
    let mut before = '{';
    for candle in candles {
        array.push(before);
        before = ',';
        match number(candle) {
            // Writing to a text does not fail.
            Some(number) => _ = write!(array, "{number}"),
            None => array.push_str("NULL"),
        }
    }
    array.push('}');
    array.into()
}

/// SQLite: a variable for every value, without a number, for those that have one are looked up by it.
async fn insert_rows(db: &impl ConnectionTrait, asset: Asset, candles: &[Candle]) -> Result<(), DbErr> {
    let row = format!("({})", ["?"; COLUMNS.len()].join(", "));
    let sql = format!(
        "INSERT INTO {TABLE} ({}) VALUES {} {}",
        COLUMNS.join(", "),
        vec![row.as_str(); candles.len()].join(", "),
        on_conflict()
    );
    let values = candles.iter().flat_map(|candle| candle_values(Dialect::Sqlite, asset, candle));
    db.execute_raw(statement(db, sql, values)).await?;
    Ok(())
}
