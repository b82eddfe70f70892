//! The rows of `series`, `change_log` and `backfill_state`: what is known of an asset.

use ohlcv_domain::{Asset, BackfillState, Change, Fence, Summary, TimeRange, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Order, Query, SelectStatement, Value};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult};

use super::apply::begin;
use super::leases::require;
use super::values::{Dialect, text, time_from_millis};

/// One row of `series` with the backfill's state.
#[derive(Debug, FromQueryResult)]
struct SeriesRow {
    asset: String,
    span_start_ms: Option<i64>,
    span_end_ms: Option<i64>,
    answered_until_ms: Option<i64>,
    listing_ms: Option<i64>,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    candles: i64,
    change_seq: i64,
    backfill_reason: String,
    completed: Option<bool>,
}

/// What is known of a series, and the number of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) summary: Summary,
    pub(super) change_seq: u64,
}

impl SeriesRow {
    fn into_series(self) -> Result<Series, DbErr> {
        let time = |column, millis: Option<i64>| millis.map(|at| time_from_millis(column, at)).transpose();
        let impossible =
            |what: &dyn std::fmt::Display| DbErr::Type(format!("series of {}: {what}", self.asset));
        let span = match (time("span_start_ms", self.span_start_ms)?, time("span_end_ms", self.span_end_ms)?)
        {
            (Some(start), Some(end)) => Some(TimeRange::new(start, end).map_err(|error| impossible(&error))?),
            _ => None,
        };
        let summary = Summary {
            asset: self.asset.parse().map_err(|error| impossible(&error))?,
            span,
            answered_until: time("answered_until_ms", self.answered_until_ms)?,
            listing: time("listing_ms", self.listing_ms)?,
            first: time("first_ms", self.first_ms)?,
            last: time("last_ms", self.last_ms)?,
            candles: self.candles.unsigned_abs(),
            backfill: BackfillState {
                completed: self.completed.unwrap_or(false),
                reason: self.backfill_reason.clone(),
            },
        };
        Ok(Series { summary, change_seq: self.change_seq.unsigned_abs() })
    }
}

fn select_series() -> SelectStatement {
    let mut select = Query::select();
    select
        .columns(
            [
                "asset",
                "span_start_ms",
                "span_end_ms",
                "answered_until_ms",
                "listing_ms",
                "first_ms",
                "last_ms",
                "candles",
                "change_seq",
                "backfill_reason",
            ]
            .map(|column| ("series", column)),
        )
        .column(("backfill_state", "completed"))
        .from("series")
        .left_join("backfill_state", Expr::col(("backfill_state", "asset")).equals(("series", "asset")));
    select
}

async fn find(db: &impl ConnectionTrait, asset: Asset) -> Result<Option<Series>, DbErr> {
    let mut select = select_series();
    select.and_where(Expr::col(("series", "asset")).eq(text(asset)));
    let row = db.query_one(&select).await?;
    row.map(|row| SeriesRow::from_query_result(&row, "")?.into_series()).transpose()
}

pub(super) async fn summary(db: &impl ConnectionTrait, asset: Asset) -> Result<Option<Summary>, DbErr> {
    Ok(find(db, asset).await?.map(|series| series.summary))
}

/// Sorted here: the order of a database's own collation may differ.
pub(super) async fn summaries(db: &impl ConnectionTrait) -> Result<Vec<Summary>, DbErr> {
    let rows = db.query_all(&select_series()).await?;
    let summary =
        |row| -> Result<Summary, DbErr> { Ok(SeriesRow::from_query_result(row, "")?.into_series()?.summary) };
    let mut summaries = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
    summaries.sort_by_key(|summary| summary.asset);
    Ok(summaries)
}

/// The series of an asset, which nobody else can write until the transaction ends. Made if there is
/// none yet.
pub(super) async fn lock(transaction: &impl ConnectionTrait, asset: Asset) -> Result<Series, DbErr> {
    let mut insert = Query::insert();
    insert.into_table("series").columns(["asset", "candles", "change_seq", "backfill_reason"]);
    insert
        .values(
            [text(asset).into(), 0_i64.into(), 0_i64.into(), "".into()].map(|value: Value| Expr::val(value)),
        )
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(OnConflict::column("asset").do_nothing().to_owned());
    transaction.execute(&insert).await?;
    if Dialect::of(transaction) == Dialect::Postgres {
        // On SQLite the transaction has been the only writer since it began.
        let mut lock = Query::select();
        lock.column("asset").from("series").and_where(Expr::col("asset").eq(text(asset))).lock_exclusive();
        transaction.query_one(&lock).await?;
    }
    let series = find(transaction, asset).await?;
    series.ok_or_else(|| DbErr::RecordNotFound(format!("series of {asset}, written a moment ago")))
}

/// Writes what is known of a series, after the row was locked, and the change that made it so if there is
/// one: whoever asks where the series stands is told what changed last.
pub(super) async fn update(
    transaction: &impl ConnectionTrait,
    series: &Series,
    change: Option<&Change>,
) -> Result<(), DbErr> {
    let Series { summary, change_seq } = series;
    let time = |at: Option<Timestamp>| Expr::val(at.map(Timestamp::millis));
    let mut update = Query::update();
    update
        .table("series")
        .value("span_start_ms", time(summary.span.map(TimeRange::start)))
        .value("span_end_ms", time(summary.span.map(TimeRange::end)))
        .value("answered_until_ms", time(summary.answered_until))
        .value("listing_ms", time(summary.listing))
        .value("first_ms", time(summary.first))
        .value("last_ms", time(summary.last))
        .value("candles", count(summary.candles))
        .value("change_seq", count(*change_seq))
        .value("backfill_reason", summary.backfill.reason.clone())
        .and_where(Expr::col("asset").eq(text(summary.asset)));
    if let Some(change) = change {
        update
            .value("changed_seq", count(change.seq))
            .value("changed_start_ms", change.range.start().millis())
            .value("changed_end_ms", change.range.end().millis());
    }
    transaction.execute(&update).await?;
    Ok(())
}

pub(super) async fn log_change(
    transaction: &impl ConnectionTrait,
    asset: Asset,
    change: &Change,
) -> Result<(), DbErr> {
    let values: [Value; 5] = [
        text(asset).into(),
        count(change.seq).into(),
        change.range.start().millis().into(),
        change.range.end().millis().into(),
        change.at.millis().into(),
    ];
    let mut insert = Query::insert();
    insert
        .into_table("change_log")
        .columns(["asset", "seq", "start_ms", "end_ms", "at_ms"])
        .values(values.map(Expr::val))
        .map_err(|error| DbErr::Custom(error.to_string()))?;
    transaction.execute(&insert).await?;
    Ok(())
}

pub(super) async fn changes(
    db: &impl ConnectionTrait,
    asset: Asset,
    seq: u64,
    limit: u64,
) -> Result<Vec<Change>, DbErr> {
    let mut select = Query::select();
    select
        .columns(["seq", "start_ms", "end_ms", "at_ms"])
        .from("change_log")
        .and_where(Expr::col("asset").eq(text(asset)))
        .and_where(Expr::col("seq").gt(count(seq)))
        .order_by("seq", Order::Asc)
        .limit(limit);
    let rows = db.query_all(&select).await?;
    let change = |row: &sea_orm::QueryResult| -> Result<Change, DbErr> {
        let seq: i64 = row.try_get("", "seq")?;
        let start = time_from_millis("start_ms", row.try_get("", "start_ms")?)?;
        let end = time_from_millis("end_ms", row.try_get("", "end_ms")?)?;
        let at = time_from_millis("at_ms", row.try_get("", "at_ms")?)?;
        let range =
            TimeRange::new(start, end).map_err(|error| DbErr::Type(format!("change {seq}: {error}")))?;
        Ok(Change { seq: seq.unsigned_abs(), range, at })
    };
    rows.iter().map(change).collect()
}

/// Notes the newest candle that was fetched. A row that says so already is left alone.
pub(super) async fn note_fetched(
    transaction: &impl ConnectionTrait,
    asset: Asset,
    newest: Timestamp,
    at: Timestamp,
) -> Result<(), DbErr> {
    let dialect = Dialect::of(transaction);
    let mut insert = Query::insert();
    insert
        .into_table("backfill_state")
        .columns(["asset", "completed", "last_fetched_timestamp", "updated_at"])
        .values(
            [text(asset).into(), false.into(), dialect.time(newest), dialect.time(at)]
                .map(|value: Value| Expr::val(value)),
        )
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(
            OnConflict::column("asset").update_columns(["last_fetched_timestamp", "updated_at"]).to_owned(),
        );
    transaction.execute(&insert).await?;
    Ok(())
}

pub(super) async fn record_backfill(
    db: &DatabaseConnection,
    asset: Asset,
    state: &BackfillState,
    fence: Option<&Fence>,
) -> Result<(), DbErr> {
    let transaction = begin(db).await?;
    let mut series = lock(&transaction, asset).await?;
    require(&transaction, fence).await?;
    if series.summary.backfill == *state {
        return transaction.commit().await;
    }
    if series.summary.backfill.completed != state.completed {
        let now = Dialect::of(&transaction).now();
        let mut insert = Query::insert();
        insert
            .into_table("backfill_state")
            .columns(["asset", "completed", "updated_at"])
            .values([Expr::val(text(asset)), Expr::val(state.completed), Expr::cust(now)])
            .map_err(|error| DbErr::Custom(error.to_string()))?
            .on_conflict(OnConflict::column("asset").update_columns(["completed", "updated_at"]).to_owned());
        transaction.execute(&insert).await?;
    }
    series.summary.backfill = state.clone();
    update(&transaction, &series, None).await?;
    transaction.commit().await
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
