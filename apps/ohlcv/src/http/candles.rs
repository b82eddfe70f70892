//! `GET /api/v1/ohlcv/{asset}`: ranges of candles.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Interval, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_usecases::{CandleQuery, QueryCandles};
use poem::{Request, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};

use super::Tag;
use super::admission::Admission;
use super::candle_bytes::candle_bytes;
use super::dto::{Prepared, Time};
use super::formats::{ColumnsBody, Format, Negotiated, columns_bytes};
use super::formatted::{Formatted, InAnyFormat, RowsWanted, columns_page};
use super::no_answer::{NoAnswer, QueryProblem};
use super::paged::{Paged, add_link};
use super::prepared::{PreparedCandles, Unanswered, folded, hash};
use super::present::{Question, links};
use super::problem::Problem;
use super::query::{AllFields, Limit, Param, Switch};
use super::repeats::Learnt;

/// What was longer ago has been written by all processes, however far apart their clocks are: beyond a
/// quarter of an hour nothing is fetched.
pub(crate) const PAST_AGE_MIN: Duration = Duration::from_secs(30 * 60);

// The shape as documented; the bytes are written by `candle_bytes`.
/// Candles of one asset.
#[derive(Object)]
#[oai(rename = "Candles")]
pub(crate) struct CandlesBody {
    /// The asset, in upper case.
    asset: String,
    /// How long each candle lasts, as Binance writes it: `12h`, `1d`, `1M`.
    interval: String,
    /// The rows, earliest first.
    data: Vec<CandleRow>,
    /// How many rows there are.
    count: u32,
}

/// A candle. Prices are in units of the quote asset.
///
/// All decimals are strings with exactly eight places, equal to what the exchange sent.
#[derive(Object)]
#[oai(rename = "Candle")]
pub(crate) struct CandleRow {
    /// When the candle opened, UTC. It names the candle.
    timestamp: Time,
    /// Price of the first trade.
    #[oai(validator(pattern = r"^[0-9]{1,12}\.[0-9]{8}$"))]
    open: String,
    /// Highest price.
    #[oai(validator(pattern = r"^[0-9]{1,12}\.[0-9]{8}$"))]
    high: String,
    /// Lowest price.
    #[oai(validator(pattern = r"^[0-9]{1,12}\.[0-9]{8}$"))]
    low: String,
    /// Price of the last trade.
    #[oai(validator(pattern = r"^[0-9]{1,12}\.[0-9]{8}$"))]
    close: String,
    /// Traded amount in units of the asset.
    #[oai(validator(pattern = r"^[0-9]{1,22}\.[0-9]{8}$"))]
    volume: String,
    /// Whether the exchange has no such candle, and this one carries the last real close.
    filled: bool,
    /// Whether every stored candle that this one is made of is there, since the asset was listed; false
    /// for a filled row. With an `interval` other than the stored one only.
    #[oai(skip_serializing_if_is_none)]
    complete: Option<bool>,
    /// Traded amount in units of the quote asset. With `fields=all` only; null where unknown.
    #[oai(nullable, validator(pattern = r"^[0-9]{1,22}\.[0-9]{8}$"))]
    quote_volume: Option<String>,
    /// Number of trades. With `fields=all` only; null where unknown.
    #[oai(nullable)]
    trades: Option<u32>,
    /// Part of the volume in which the buyer was the taker. With `fields=all` only; null where unknown.
    #[oai(nullable, validator(pattern = r"^[0-9]{1,22}\.[0-9]{8}$"))]
    taker_buy_volume: Option<String>,
    /// Part of the quote volume in which the buyer was the taker. With `fields=all` only; null where unknown.
    #[oai(nullable, validator(pattern = r"^[0-9]{1,22}\.[0-9]{8}$"))]
    taker_buy_quote_volume: Option<String>,
}

/// The operations on candles.
pub(crate) struct CandlesApi {
    /// Answers about the present.
    pub(crate) prepared: Arc<PreparedCandles>,
    /// Answers about the past, and where memory has none.
    pub(crate) query: QueryCandles,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) no_answer: NoAnswer,
    /// Answers in other formats than JSON.
    pub(crate) formatted: Formatted,
}

#[expect(clippy::too_many_arguments, reason = "an operation has an argument for each of its parameters")]
#[OpenApi]
impl CandlesApi {
    /// Candles of one asset
    ///
    /// The candles that open in `[start, end)`, earliest first. With `start` the oldest `limit` rows
    /// from there on, without it the newest `limit` rows before `end`.
    ///
    /// If more rows of the range follow, the answer has a `Link` header with `rel="next"`, whose URL
    /// goes on exactly where this page stopped; `rel="prev"` leads to the rows just before. A range
    /// without data is an empty answer, not an error.
    ///
    /// In `ndjson`, `csv` and `arrow` an answer without `limit` has all rows of the range, however many
    /// there are, and neither `Link` nor `ETag`; one that cannot be finished ends with a broken connection.
    ///
    /// With `interval` the rows are derived from the stored candles, and `start`, `end`, `limit`, `fill` and
    /// the links are about the derived ones. Such a page may have fewer rows than `limit` although more
    /// follow: go on while there is a `rel="next"` link.
    #[oai(path = "/api/v1/ohlcv/:asset", method = "get", operation_id = "get_candles", tag = "Tag::Candles")]
    async fn candles(
        &self,
        request: &Request,
        /// The name of the asset, in either case: `BTC`, not `BTCUSDT`.
        asset: Path<Param<Asset>>,
        /// How long each candle lasts: any interval that the stored one divides. Coarser candles than the
        /// stored ones are derived from them: a row once the exchange has answered about all of its
        /// period, with `complete`. Weeks open on Monday, months on the first, three days where BTCUSDT's do.
        interval: Query<Option<Param<Interval>>>,
        /// Earliest open time, inclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        start: Query<Option<Param<Timestamp>>>,
        /// Latest open time, exclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        end: Query<Option<Param<Timestamp>>>,
        /// How many rows at most, filled ones included. Without it 1000; in `ndjson`, `csv` and `arrow` all.
        limit: Query<Option<Param<Limit>>>,
        /// Whether gaps are filled: a row for every slot from the first candle ever stored to the last
        /// slot that the exchange was asked about. A filled row carries the last real close, has no
        /// volume, and is marked.
        fill: Query<Option<Param<Switch>>>,
        /// `all` adds `quote_volume`, `trades`, `taker_buy_volume` and `taker_buy_quote_volume`.
        fields: Query<Option<Param<AllFields>>>,
        /// Answers as the store would have at this instant: RFC 3339 or milliseconds since 1970. Candles
        /// that came later are left out, and those that were revised later are as they were. With `fill`
        /// the last slot is that of the last candle then.
        as_of: Query<Option<Param<Timestamp>>>,
        /// How the rows are written. Without it the header `Accept` decides, by the media types of this
        /// answer; JSON, if it allows any or none of them.
        format: Query<Option<Param<Format>>>,
    ) -> Result<InAnyFormat<CandlesBody, ColumnsBody>, QueryProblem> {
        let asset = asset.0.named("asset")?;
        let limit = limit.0.map(|limit| limit.named("limit")).transpose()?;
        let interval = interval.0.map(|interval| interval.named("interval")).transpose()?;
        let query = CandleQuery {
            asset,
            // What is stored needs no deriving, however it is asked for.
            interval: interval.filter(|interval| *interval != self.prepared.interval()),
            start: start.0.map(|start| start.named("start")).transpose()?,
            end: end.0.map(|end| end.named("end")).transpose()?,
            limit: limit.unwrap_or_default().0,
            fill: fill.0.map(|fill| fill.named("fill")).transpose()?.unwrap_or_default().0,
            as_of: as_of.0.map(|as_of| as_of.named("as_of")).transpose()?,
        };
        let all_fields = fields.0.map(|fields| fields.named("fields")).transpose()?.is_some();
        let given = format.0.map(|format| format.named("format")).transpose()?;
        let negotiated = Negotiated::of(given, request.headers());
        // Whether a derived row was complete rests on the listing, which may be learnt later.
        let settled = query.interval.is_none()
            && query.as_of.is_some_and(|at| at < self.clock.now().saturating_sub(PAST_AGE_MIN));
        // In boxes, so that the usual answer does not carry the room for the others along.
        match (negotiated.format, query.as_of) {
            (Format::Json, None) => {
                let question = Question { query, all_fields, format: given };
                let page = self.present(question, request.data()).await?;
                Ok(InAnyFormat::of(page, negotiated))
            }
            (Format::Json, Some(_)) => {
                let page = Box::pin(self.afresh(query, all_fields, given, settled)).await?;
                Ok(InAnyFormat::of(page, negotiated))
            }
            (format, _) => {
                let wanted = RowsWanted {
                    format,
                    queries: vec![query],
                    limited: limit.is_some(),
                    all_fields,
                    with_asset: false,
                    for_ever: settled,
                };
                let response = Box::pin(self.otherwise(wanted, given)).await?;
                Ok(InAnyFormat::of(response, negotiated))
            }
        }
    }
}

impl CandlesApi {
    /// Out of memory, as the store would answer now.
    async fn present(
        &self,
        question: Question,
        learnt: Option<&Learnt>,
    ) -> Result<Paged<CandlesBody>, QueryProblem> {
        let Question { query, all_fields, format } = question;
        match self.prepared.page_of(&query, all_fields, learnt.map(|learnt| learnt.0)).await {
            Ok(page) => Ok(question.answered(page, self.prepared.interval_of(&query))),
            Err(Unanswered::Elsewhere) => Box::pin(self.afresh(query, all_fields, format, false)).await,
            Err(Unanswered::Query(error)) => Err(self.no_answer.problem(error).into()),
            Err(Unanswered::Full(problem)) => Err(problem.into()),
        }
    }

    /// From the database, with nothing kept.
    async fn afresh(
        &self,
        query: CandleQuery,
        all_fields: bool,
        format: Option<Format>,
        for_ever: bool,
    ) -> Result<Paged<CandlesBody>, QueryProblem> {
        let _turn = self.admission.turn()?;
        let page = self.query.run(query).await.map_err(|error| self.no_answer.problem(error))?;
        let bytes = candle_bytes(query.asset, self.query.interval(&query), &page.rows, all_fields);
        let body = Prepared::from_bytes(bytes);
        Ok(Paged {
            link: links(&query, all_fields, format, page.next, page.prev),
            digest: [hash(page.next), hash(page.prev)].into_iter().fold(body.digest(), folded),
            body,
            for_ever,
            made_of: None,
        })
    }

    /// In another format than JSON, from the database.
    async fn otherwise(&self, wanted: RowsWanted, format: Option<Format>) -> Result<Response, Problem> {
        // Holds: there is one query.
        let [query] = wanted.queries[..] else { return Err(Problem::internal()) };
        let RowsWanted { all_fields, for_ever, .. } = wanted;
        if wanted.format == Format::Columns {
            let page = self.formatted.pages(&wanted.queries).await?.pop().unwrap_or_default();
            let link = links(&query, all_fields, format, page.next, page.prev);
            let bytes = columns_bytes(query.asset, self.query.interval(&query), &page.rows, wanted.shape());
            return columns_page::<ColumnsBody>(bytes, link, for_ever);
        }
        let (mut response, around) = self.formatted.rows(&wanted).await?;
        add_link(&mut response, links(&query, all_fields, format, around.next, around.prev));
        Ok(response)
    }
}
