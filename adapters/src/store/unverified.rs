//! The rows of `unverified`: slots whose candles came from elsewhere and are to be asked for again.

use ohlcv_domain::{Asset, TimeRange};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement, Value};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::values::{text, time_from_millis};

const TABLE: &str = "unverified";

/// Rows per statement: three variables each, far below every limit.
const ROWS_PER_STATEMENT: usize = 1_000;

/// The marks that overlap a range, ascending.
pub(super) async fn overlapping(
    db: &impl ConnectionTrait,
    asset: Asset,
    range: TimeRange,
    limit: u64,
) -> Result<Vec<TimeRange>, DbErr> {
    if range.is_empty() {
        // It overlaps nothing, but a mark around it would satisfy both conditions below.
        return Ok(Vec::new());
    }
    let mut select = select_in(asset, range);
    select.limit(limit);
    read(db, &select).await
}

/// Takes the marks off the parts of a series, given in ascending order, that were answered about.
pub(super) async fn take_off(
    transaction: &impl ConnectionTrait,
    asset: Asset,
    answered: &[TimeRange],
) -> Result<(), DbErr> {
    let Some(hull) = answered.iter().copied().reduce(TimeRange::hull) else { return Ok(()) };
    let before = read(transaction, &select_in(asset, hull)).await?;
    for marks in before.chunks(ROWS_PER_STATEMENT) {
        let mut delete = Query::delete();
        delete
            .from_table(TABLE)
            .and_where(Expr::col("asset").eq(text(asset)))
            .and_where(Expr::col("start_ms").is_in(marks.iter().map(|mark| mark.start().millis())));
        transaction.execute(&delete).await?;
    }
    let left = before.iter().flat_map(|mark| mark.without(answered.iter().copied()));
    let left: Vec<TimeRange> = left.collect();
    for marks in left.chunks(ROWS_PER_STATEMENT) {
        let mut insert = Query::insert();
        insert.into_table(TABLE).columns(["asset", "start_ms", "end_ms"]);
        for mark in marks {
            let row: [Value; 3] =
                [text(asset).into(), mark.start().millis().into(), mark.end().millis().into()];
            insert.values(row.map(Expr::val)).map_err(|error| DbErr::Custom(error.to_string()))?;
        }
        transaction.execute(&insert).await?;
    }
    Ok(())
}

fn select_in(asset: Asset, range: TimeRange) -> SelectStatement {
    let mut select = Query::select();
    select
        .columns(["start_ms", "end_ms"])
        .from(TABLE)
        .and_where(Expr::col("asset").eq(text(asset)))
        .and_where(Expr::col("end_ms").gt(range.start().millis()))
        .and_where(Expr::col("start_ms").lt(range.end().millis()))
        .order_by("start_ms", Order::Asc);
    select
}

async fn read(db: &impl ConnectionTrait, select: &SelectStatement) -> Result<Vec<TimeRange>, DbErr> {
    let mark = |row: &QueryResult| -> Result<TimeRange, DbErr> {
        let start = time_from_millis("start_ms", row.try_get("", "start_ms")?)?;
        let end = time_from_millis("end_ms", row.try_get("", "end_ms")?)?;
        TimeRange::new(start, end).map_err(|error| DbErr::Type(format!("{TABLE} at {start}: {error}")))
    };
    db.query_all(select).await?.iter().map(mark).collect()
}
