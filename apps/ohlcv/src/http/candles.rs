//! `GET /api/v1/ohlcv/{asset}`: ranges of candles.

use std::fmt::Write;

use ohlcv_domain::{Asset, Timestamp};
use ohlcv_usecases::{CandlePage, CandleQuery, QueryCandles, QueryError};
use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::registry::{MetaHeader, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::Tag;
use super::candle_bytes::candle_bytes;
use super::dto::{Prepared, Time};
use super::problem::{Code, Problem, ProblemBody, documented};
use super::query::{AllFields, Limit, Param, Switch};

/// Where candles are served; the asset follows.
const PATH: &str = "/api/v1/ohlcv";

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
    pub(crate) query: QueryCandles,
    pub(crate) quote: Asset,
    pub(crate) tracked: Vec<Asset>,
}

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
    #[oai(path = "/api/v1/ohlcv/:asset", method = "get", operation_id = "get_candles", tag = "Tag::Candles")]
    async fn candles(
        &self,
        /// The name of the asset, in either case: `BTC`, not `BTCUSDT`.
        asset: Path<Param<Asset>>,
        /// Earliest open time, inclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        start: Query<Option<Param<Timestamp>>>,
        /// Latest open time, exclusive: RFC 3339 or milliseconds since 1970. A `+` is best written `%2B`.
        end: Query<Option<Param<Timestamp>>>,
        /// How many rows at most, filled ones included.
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
    ) -> Result<CandlesAnswer, CandlesProblem> {
        let asset = asset.0.named("asset")?;
        let query = CandleQuery {
            asset,
            start: start.0.map(|start| start.named("start")).transpose()?,
            end: end.0.map(|end| end.named("end")).transpose()?,
            limit: limit.0.map(|limit| limit.named("limit")).transpose()?.unwrap_or_default().0,
            fill: fill.0.map(|fill| fill.named("fill")).transpose()?.unwrap_or_default().0,
            as_of: as_of.0.map(|as_of| as_of.named("as_of")).transpose()?,
        };
        let all_fields = fields.0.map(|fields| fields.named("fields")).transpose()?.is_some();
        let page = self.query.run(query).await.map_err(|error| self.problem(error))?;
        Ok(CandlesAnswer {
            body: Prepared::from_bytes(candle_bytes(asset, self.query.interval(), &page.rows, all_fields)),
            link: links(&query, all_fields, &page),
        })
    }
}

impl CandlesApi {
    fn problem(&self, error: QueryError) -> Problem {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::EmptyRange { start, end } => {
                let detail = format!(
                    "start {start} is not before end {end}: end is exclusive, allowed are later ones"
                );
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::EmptyRange, detail).of_parameter("end")
            }
            QueryError::UnknownAsset { asset } => {
                let detail = match self.meant(asset) {
                    Some(meant) => {
                        format!(
                            "{asset} is the name of a market, not of an asset: the asset is {meant}, see {PATH}/{meant}"
                        )
                    }
                    None => format!(
                        "{asset} is not tracked and has no data: GET /api/v1/assets lists what there is"
                    ),
                };
                Problem::new(StatusCode::NOT_FOUND, Code::UnknownAsset, detail).of_parameter("asset")
            }
        }
    }

    /// The tracked asset behind a market's name: BTC of BTCUSDT.
    fn meant(&self, asset: Asset) -> Option<Asset> {
        let stem = asset.as_str().strip_suffix(self.quote.as_str())?;
        self.tracked.iter().copied().find(|tracked| tracked.as_str() == stem)
    }
}

/// The pages around this one, as the value of a `Link` header (RFC 8288).
fn links(query: &CandleQuery, all_fields: bool, page: &CandlePage) -> Option<String> {
    let link = |start: Option<Timestamp>, end: Option<Timestamp>, rel: &str| {
        let mut link = format!("<{PATH}/{}?", query.asset);
        for (name, at) in [("start", start), ("end", end)] {
            if let Some(at) = at {
                // Writing to a string cannot fail.
                let _ = write!(link, "{name}={at}&");
            }
        }
        let fill = if query.fill { "&fill=true" } else { "" };
        let fields = if all_fields { "&fields=all" } else { "" };
        let as_of = query.as_of.map_or_else(String::new, |at| format!("&as_of={at}"));
        let _ = write!(link, "limit={}{fill}{fields}{as_of}>; rel=\"{rel}\"", query.limit);
        link
    };
    let next = page.next.map(|next| link(Some(next), query.end, "next"));
    let prev = page.prev.map(|prev| link(None, Some(prev), "prev"));
    let links: Vec<String> = next.into_iter().chain(prev).collect();
    (!links.is_empty()).then(|| links.join(", "))
}

/// Rows, and where the pages around them are.
pub(crate) struct CandlesAnswer {
    body: Prepared<CandlesBody>,
    link: Option<String>,
}

impl IntoResponse for CandlesAnswer {
    fn into_response(self) -> Response {
        let response = self.body.into_response();
        match self.link {
            Some(link) => response.with_header("link", link).into_response(),
            None => response,
        }
    }
}

impl ApiResponse for CandlesAnswer {
    fn meta() -> MetaResponses {
        let mut rows =
            Prepared::<CandlesBody>::documented(200, "The rows of the range, or of one page of it.");
        rows.headers.push(MetaHeader {
            name: "Link".to_owned(),
            description: Some(
                "The pages around this one: `rel=\"next\"`, `rel=\"prev\"` (RFC 8288).".to_owned(),
            ),
            required: false,
            deprecated: false,
            schema: String::schema_ref(),
        });
        MetaResponses { responses: vec![rows] }
    }

    fn register(registry: &mut Registry) {
        CandlesBody::register(registry);
    }
}

/// A problem, documented with the statuses that only this operation has.
pub(crate) struct CandlesProblem(Problem);

impl From<Problem> for CandlesProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<CandlesProblem> for poem::Error {
    fn from(CandlesProblem(problem): CandlesProblem) -> Self {
        problem.into()
    }
}

impl ApiResponse for CandlesProblem {
    fn meta() -> MetaResponses {
        documented(&[
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ])
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}
