//! The rows of `hole`.

use std::time::Duration;

use ohlcv_domain::{Asset, Hole, HoleCount, TimeRange, Timestamp};
use ohlcv_ports::{HoleQuery, Take};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};

use super::values::{text, time_from_millis};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hole")]
pub(super) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    asset: String,
    #[sea_orm(primary_key, auto_increment = false)]
    start_ms: i64,
    end_ms: i64,
    cause: String,
    detail: String,
    since_ms: i64,
    asked: i64,
    last_asked_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Rows per statement: eight variables each, far below every limit.
const ROWS_PER_STATEMENT: usize = 1_000;
/// How many holes are looked at for the end of the answered part; holes that may be asked again
/// merge, so a tail has few.
const TAIL_HOLES_MAX: u64 = 64;

impl Model {
    fn into_hole(self) -> Result<Hole, DbErr> {
        let Self { asset, start_ms, end_ms, cause, detail, since_ms, asked, last_asked_ms } = self;
        let impossible =
            |what: &dyn std::fmt::Display| DbErr::Type(format!("hole of {asset} at {start_ms}: {what}"));
        let start = time_from_millis("start_ms", start_ms)?;
        let end = time_from_millis("end_ms", end_ms)?;
        Ok(Hole {
            range: TimeRange::new(start, end).map_err(|error| impossible(&error))?,
            cause: cause.parse().map_err(|error| impossible(&error))?,
            detail,
            since: time_from_millis("since_ms", since_ms)?,
            asked: u32::try_from(asked).map_err(|error| impossible(&error))?,
            last_asked: last_asked_ms.map(|at| time_from_millis("last_asked_ms", at)).transpose()?,
        })
    }

    fn active(asset: Asset, hole: &Hole) -> ActiveModel {
        ActiveModel {
            asset: Set(text(asset)),
            start_ms: Set(hole.range.start().millis()),
            end_ms: Set(hole.range.end().millis()),
            cause: Set(hole.cause.as_str().to_owned()),
            detail: Set(hole.detail.clone()),
            since_ms: Set(hole.since.millis()),
            asked: Set(i64::from(hole.asked)),
            last_asked_ms: Set(hole.last_asked.map(Timestamp::millis)),
        }
    }
}

fn of(asset: Asset) -> Select<Entity> {
    Entity::find().filter(Column::Asset.eq(text(asset)))
}

fn into_holes(models: Vec<Model>) -> Result<Vec<Hole>, DbErr> {
    models.into_iter().map(Model::into_hole).collect()
}

/// The holes that somebody wants, ascending.
pub(super) async fn wanted(
    db: &impl ConnectionTrait,
    asset: Asset,
    wanted: HoleQuery,
) -> Result<Vec<Hole>, DbErr> {
    let HoleQuery { range, cause, take, limit } = wanted;
    if range.is_empty() {
        // It overlaps nothing, but a hole around it would satisfy both conditions below.
        return Ok(Vec::new());
    }
    let mut found = of(asset)
        .filter(Column::EndMs.gt(range.start().millis()))
        .filter(Column::StartMs.lt(range.end().millis()))
        .limit(limit);
    if let Some(cause) = cause {
        found = found.filter(Column::Cause.eq(cause.as_str()));
    }
    match take {
        Take::Oldest => into_holes(found.order_by_asc(Column::StartMs).all(db).await?),
        Take::Newest => {
            let mut newest = into_holes(found.order_by_desc(Column::StartMs).all(db).await?)?;
            newest.reverse();
            Ok(newest)
        }
    }
}

/// The holes that overlap or touch a range, ascending.
pub(super) async fn touching(
    db: &impl ConnectionTrait,
    asset: Asset,
    range: TimeRange,
) -> Result<Vec<Hole>, DbErr> {
    let found = of(asset)
        .filter(Column::EndMs.gte(range.start().millis()))
        .filter(Column::StartMs.lte(range.end().millis()))
        .order_by_asc(Column::StartMs);
    into_holes(found.all(db).await?)
}

/// The last holes of a series, newest first.
pub(super) async fn tail(db: &impl ConnectionTrait, asset: Asset) -> Result<Vec<Hole>, DbErr> {
    let found = of(asset).order_by_desc(Column::StartMs).limit(TAIL_HOLES_MAX);
    into_holes(found.all(db).await?)
}

/// How many holes there are, by asset, cause and length, sorted by all three.
pub(super) async fn counts(db: &impl ConnectionTrait) -> Result<Vec<HoleCount>, DbErr> {
    let lasting = || Column::EndMs.into_expr().sub(Column::StartMs.into_expr());
    let grouped = Entity::find()
        .select_only()
        .column(Column::Asset)
        .column(Column::Cause)
        .column_as(lasting(), "lasting")
        .column_as(Column::StartMs.count(), "holes")
        .group_by(Column::Asset)
        .group_by(Column::Cause)
        .group_by(lasting());
    let rows: Vec<(String, String, i64, i64)> = grouped.into_tuple().all(db).await?;
    let mut counts = Vec::with_capacity(rows.len());
    for (asset, cause, lasting, holes) in rows {
        let impossible = |what: &dyn std::fmt::Display| DbErr::Type(format!("holes of {asset}: {what}"));
        counts.push(HoleCount {
            asset: asset.parse().map_err(|error| impossible(&error))?,
            cause: cause.parse().map_err(|error| impossible(&error))?,
            lasting: Duration::from_millis(u64::try_from(lasting).map_err(|error| impossible(&error))?),
            holes: u64::try_from(holes).map_err(|error| impossible(&error))?,
        });
    }
    counts.sort_unstable();
    Ok(counts)
}

/// Puts `after` where `before` stood.
pub(super) async fn replace(
    db: &impl ConnectionTrait,
    asset: Asset,
    before: &[Hole],
    after: &[Hole],
) -> Result<(), DbErr> {
    for chunk in before.chunks(ROWS_PER_STATEMENT) {
        let starts = chunk.iter().map(|hole| hole.range.start().millis());
        Entity::delete_many()
            .filter(Column::Asset.eq(text(asset)))
            .filter(Column::StartMs.is_in(starts))
            .exec(db)
            .await?;
    }
    for chunk in after.chunks(ROWS_PER_STATEMENT) {
        let models = chunk.iter().map(|hole| Model::active(asset, hole));
        Entity::insert_many(models).exec_without_returning(db).await?;
    }
    Ok(())
}
