//! `GET /api/v1/assets/{asset}/gaps`: what is missing, and why.

use ohlcv_domain::{Asset, Cause, Incident, Timestamp};
use ohlcv_usecases::{Gap, GapQuery, ListGaps};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;

use super::Tag;
use super::dto::Time;
use super::no_answer::{NoAnswer, QueryProblem};
use super::paged::{Paged, Pages};
use super::query::{Limit, Param};

/// The holes of one asset.
#[derive(Object, Serialize)]
#[oai(rename = "Gaps")]
pub(crate) struct GapsBody {
    /// The asset, in upper case.
    asset: String,
    /// How long each slot lasts, as Binance writes it: `12h`, `1d`, `1M`.
    interval: String,
    /// The holes, earliest first.
    gaps: Vec<GapRow>,
    /// How many holes there are.
    count: u32,
}

/// A run of slots without candles.
#[derive(Object, Serialize)]
#[oai(rename = "Gap")]
pub(crate) struct GapRow {
    /// Open time of its first slot.
    start: Time,
    /// Where its last slot ends, exclusive.
    end: Time,
    /// How many candles are missing.
    slots: u64,
    /// Why they are.
    cause: CauseWord,
    /// The rule that was broken with the row that broke it, or the error; null where the cause says it all.
    #[oai(nullable)]
    detail: Option<String>,
    /// Since when it has had this cause.
    since: Time,
    /// How often the exchange was asked with this outcome.
    asked: u32,
    /// When all of it had last been asked for; null for what was never asked.
    #[oai(nullable)]
    last_asked: Option<Time>,
    /// The outage of the exchange that it comes from; null if none is known.
    #[oai(nullable)]
    incident: Option<IncidentRow>,
}

/// Why there is no candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "Cause", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum CauseWord {
    /// Not asked yet, or the answer may still come.
    Pending,
    /// Asked; the exchange has nothing there.
    SourceEmpty,
    /// The asset was not traded yet.
    BeforeListing,
    /// The exchange sent something impossible.
    Rejected,
    /// Asking failed.
    Failed,
}

/// A time at which the exchange had no candles of most markets.
#[derive(Object, Serialize)]
#[oai(rename = "Incident")]
pub(crate) struct IncidentRow {
    /// When it began.
    start: Time,
    /// When it was over, exclusive.
    end: Time,
    /// What happened.
    detail: String,
    /// How that is known.
    source: String,
}

impl From<Cause> for CauseWord {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Pending => Self::Pending,
            Cause::SourceEmpty => Self::SourceEmpty,
            Cause::BeforeListing => Self::BeforeListing,
            Cause::Rejected => Self::Rejected,
            Cause::Failed => Self::Failed,
        }
    }
}

impl From<Incident> for IncidentRow {
    fn from(incident: Incident) -> Self {
        Self {
            start: Time(incident.range.start()),
            end: Time(incident.range.end()),
            detail: incident.detail.to_owned(),
            source: incident.source.to_owned(),
        }
    }
}

impl From<Gap> for GapRow {
    fn from(Gap { hole, slots, incident }: Gap) -> Self {
        Self {
            start: Time(hole.range.start()),
            end: Time(hole.range.end()),
            slots,
            cause: hole.cause.into(),
            detail: (!hole.detail.is_empty()).then_some(hole.detail),
            since: Time(hole.since),
            asked: hole.asked,
            last_asked: hole.last_asked.map(Time),
            incident: incident.map(IncidentRow::from),
        }
    }
}

/// The operation on holes.
pub(crate) struct GapsApi {
    pub(crate) gaps: ListGaps,
    pub(crate) no_answer: NoAnswer,
}

#[OpenApi]
impl GapsApi {
    /// What is missing, and why
    ///
    /// The holes of an asset's series that overlap `[start, end)`, earliest first and whole, also where
    /// they reach beyond the range. Together with the candles they are the whole span. With `start` the
    /// oldest `limit` holes from there on, without it the newest `limit` holes before `end`.
    ///
    /// If more holes of the range follow, the answer has a `Link` header with `rel="next"`, whose URL
    /// goes on exactly behind the last one; `rel="prev"` leads to the holes just before. A series without
    /// holes is an empty answer, not an error.
    #[oai(
        path = "/api/v1/assets/:asset/gaps",
        method = "get",
        operation_id = "list_gaps",
        tag = "Tag::Candles"
    )]
    async fn gaps(
        &self,
        /// The name of the asset, in either case: `BTC`, not `BTCUSDT`.
        asset: Path<Param<Asset>>,
        /// Holes that end after it: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        start: Query<Option<Param<Timestamp>>>,
        /// Holes that begin before it: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        end: Query<Option<Param<Timestamp>>>,
        /// Holes of this cause alone.
        cause: Query<Option<Param<Cause>>>,
        /// How many holes at most.
        limit: Query<Option<Param<Limit>>>,
    ) -> Result<Paged<GapsBody>, QueryProblem> {
        let query = GapQuery {
            asset: asset.0.named("asset")?,
            start: start.0.map(|start| start.named("start")).transpose()?,
            end: end.0.map(|end| end.named("end")).transpose()?,
            cause: cause.0.map(|cause| cause.named("cause")).transpose()?,
            limit: limit.0.map(|limit| limit.named("limit")).transpose()?.unwrap_or_default().0,
        };
        let page = self.gaps.run(query).await.map_err(|error| self.no_answer.problem(error))?;
        let cause = query.cause.map(|cause| format!("&cause={cause}")).unwrap_or_default();
        let pages = Pages {
            path: &format!("/api/v1/assets/{}/gaps", query.asset),
            end: query.end,
            next: page.next,
            prev: page.prev,
            options: &format!("limit={}{cause}", query.limit),
        };
        let gaps: Vec<GapRow> = page.gaps.into_iter().map(GapRow::from).collect();
        let body = GapsBody {
            asset: query.asset.to_string(),
            interval: self.gaps.interval().to_string(),
            // Holds: a page has as many as `limit` at most.
            count: u32::try_from(gaps.len()).unwrap_or(u32::MAX),
            gaps,
        };
        Ok(Paged::of(&body, pages.link()))
    }
}
