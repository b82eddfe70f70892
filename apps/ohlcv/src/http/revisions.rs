//! `GET /api/v1/assets/{asset}/revisions`: candles that were replaced.

use ohlcv_domain::{Asset, Candle, Revision, Timestamp};
use ohlcv_usecases::{ListRevisions, RevisionQuery};
use poem_openapi::param::{Path, Query};
use poem_openapi::registry::MetaSchema;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Tag;
use super::dto::Time;
use super::no_answer::{NoAnswer, QueryProblem};
use super::paged::Paged;
use super::query::{Limit, Param, Parameter};

/// The revisions of one asset.
#[derive(Object, Serialize)]
#[oai(rename = "Revisions")]
pub(crate) struct RevisionsBody {
    /// The asset, in upper case.
    asset: String,
    /// How long each candle lasts, as Binance writes it: `12h`, `1d`, `1M`.
    interval: String,
    /// The revisions, in the order in which they happened.
    revisions: Vec<RevisionRow>,
    /// How many there are here.
    count: usize,
}

/// A candle as it was before it was replaced.
#[derive(Object, Serialize)]
#[oai(rename = "Revision")]
pub(crate) struct RevisionRow {
    /// Counts up by one from revision to revision of the asset.
    number: u64,
    /// When the candle opened.
    timestamp: Time,
    /// What its opening price was.
    open: String,
    /// What its highest price was.
    high: String,
    /// What its lowest price was.
    low: String,
    /// What its closing price was.
    close: String,
    /// What its volume was.
    volume: String,
    /// What its traded amount in units of the quote asset was; null where unknown.
    #[oai(nullable)]
    quote_volume: Option<String>,
    /// What its number of trades was; null where unknown.
    #[oai(nullable)]
    trades: Option<u32>,
    /// What the part of the volume in which the buyer was the taker was; null where unknown.
    #[oai(nullable)]
    taker_buy_volume: Option<String>,
    /// What the part of the quote volume in which the buyer was the taker was; null where unknown.
    #[oai(nullable)]
    taker_buy_quote_volume: Option<String>,
    /// Since when it was stored so; null if that was before it was written down.
    #[oai(nullable)]
    since: Option<Time>,
    /// When it was replaced.
    until: Time,
    /// The job that replaced it; null if it was a scheduled run.
    #[oai(nullable)]
    job_id: Option<String>,
}

impl From<Revision> for RevisionRow {
    fn from(Revision { number, candle, since, until, job }: Revision) -> Self {
        let text = |of: fn(&Candle) -> ohlcv_domain::Price| of(&candle).to_string();
        let details = candle.details();
        Self {
            number,
            timestamp: Time(candle.open_time()),
            open: text(Candle::open),
            high: text(Candle::high),
            low: text(Candle::low),
            close: text(Candle::close),
            volume: candle.volume().to_string(),
            quote_volume: details.map(|details| details.quote_volume.to_string()),
            trades: details.map(|details| details.trades),
            taker_buy_volume: details.map(|details| details.taker_buy_volume.to_string()),
            taker_buy_quote_volume: details.map(|details| details.taker_buy_quote_volume.to_string()),
            since: since.map(Time),
            until: Time(until),
            job_id: job.map(|job| job.to_string()),
        }
    }
}

/// The number of a revision.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Number(u64);

impl Parameter for Number {
    fn schema() -> MetaSchema {
        MetaSchema {
            default: Some(0.into()),
            example: Some(0.into()),
            minimum: Some(0.0),
            ..MetaSchema::new_with_format("integer", "int64")
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| plain).map(Self).ok_or_else(|| "whole numbers from 0 on".to_owned())
    }
}

/// The operation on revisions.
pub(crate) struct RevisionsApi {
    pub(crate) revisions: ListRevisions,
    pub(crate) no_answer: NoAnswer,
}

#[OpenApi]
impl RevisionsApi {
    /// Candles that were replaced
    ///
    /// What candles that open in `[start, end)` were before the exchange sent other numbers for them, in
    /// the order in which that was noticed. If more follow, the answer has a `Link` header with
    /// `rel="next"`.
    #[oai(
        path = "/api/v1/assets/:asset/revisions",
        method = "get",
        operation_id = "list_revisions",
        tag = "Tag::Candles"
    )]
    async fn revisions(
        &self,
        /// The name of the asset, in either case: `BTC`, not `BTCUSDT`.
        asset: Path<Param<Asset>>,
        /// Earliest open time, inclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        start: Query<Option<Param<Timestamp>>>,
        /// Latest open time, exclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        end: Query<Option<Param<Timestamp>>>,
        /// Only revisions with a greater number.
        after: Query<Option<Param<Number>>>,
        /// How many revisions at most.
        limit: Query<Option<Param<Limit>>>,
    ) -> Result<Paged<RevisionsBody>, QueryProblem> {
        let query = RevisionQuery {
            asset: asset.0.named("asset")?,
            start: start.0.map(|start| start.named("start")).transpose()?,
            end: end.0.map(|end| end.named("end")).transpose()?,
            after: after.0.map(|after| after.named("after")).transpose()?.unwrap_or_default().0,
            limit: limit.0.map(|limit| limit.named("limit")).transpose()?.unwrap_or_default().0,
        };
        let page = self.revisions.run(query).await.map_err(|error| self.no_answer.problem(error))?;
        let link = page.next_after.map(|after| next(&query, after));
        let revisions: Vec<RevisionRow> = page.revisions.into_iter().map(RevisionRow::from).collect();
        let body = RevisionsBody {
            asset: query.asset.to_string(),
            interval: self.revisions.interval().to_string(),
            count: revisions.len(),
            revisions,
        };
        Ok(Paged::of(&body, link))
    }
}

/// The page that goes on behind a number.
fn next(query: &RevisionQuery, after: u64) -> String {
    let bound = |name: &str, at: Option<Timestamp>| at.map(|at| format!("{name}={at}&")).unwrap_or_default();
    let (start, end) = (bound("start", query.start), bound("end", query.end));
    let RevisionQuery { asset, limit, .. } = query;
    format!("</api/v1/assets/{asset}/revisions?{start}{end}after={after}&limit={limit}>; rel=\"next\"")
}
