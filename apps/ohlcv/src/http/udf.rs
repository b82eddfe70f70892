//! `/udf`: candles for TradingView's charting library and its clones, by their Universal Data Feed protocol.
//!
//! The protocol is not ours, so these paths are no part of the OpenAPI document: parameters that nobody knows are
//! passed over, and what is wrong is told in an object whose `s` is `error`, with the status 200 where the
//! client is wrong.

mod bars;
mod history;
mod resolution;
mod symbol;

use std::sync::Arc;

use ohlcv_domain::{Asset, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_usecases::{ListAssets, QueryCandles, QueryError, ReadSeries};
use poem::http::StatusCode;
use poem::{Endpoint, IntoResponse, Request, Response, Route, endpoint::make};
use serde::Serialize;
use serde_json::{Value, json};

use self::resolution::resolutions;
use self::symbol::{EXCHANGE, TYPE};
use super::admission::Admission;
use super::no_answer::NoAnswer;
use super::prepared::PreparedCandles;
use super::problem::{Problem, shortened};

/// Where it is.
const PATH: &str = "/udf";
/// All of its paths.
pub(crate) const PATHS: [&str; 5] =
    ["/udf/config", "/udf/symbols", "/udf/search", "/udf/history", "/udf/time"];
/// How many symbols a search finds at most.
const FOUND_MAX: usize = 100;
/// How many it finds if nobody says how many.
const FOUND_DEFAULT: usize = 30;

/// What the data feed is made of.
#[derive(Clone)]
pub(crate) struct Udf {
    pub(crate) series: ReadSeries,
    pub(crate) prepared: Arc<PreparedCandles>,
    /// For where memory has no answer.
    pub(crate) query: QueryCandles,
    pub(crate) assets: ListAssets,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) admission: Arc<Admission>,
    /// Knows the asset that all prices are in.
    pub(crate) no_answer: NoAnswer,
}

/// Why there is no answer.
#[derive(Debug)]
enum Refused {
    /// The question is wrong: which value, and what is allowed.
    Question(String),
    /// The service cannot answer.
    Service(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Service(problem)
    }
}

/// The parameters of a request.
struct Given(Vec<(String, String)>);

impl Given {
    /// The value of a parameter; none if it is missing or empty.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    fn need(&self, name: &str, allowed: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| Refused::Question(format!("{name} is missing: allowed are {allowed}")))
    }
}

/// What is said about a wrong value.
fn wrong(name: &str, given: &str, allowed: &str) -> Refused {
    Refused::Question(format!("{name} is \"{}\": allowed are {allowed}", shortened(given)))
}

impl Udf {
    /// The endpoints, to be nested at `/`.
    pub(crate) fn routes(self, routes: Route) -> Route {
        let at = |routes: Route, name: &'static str| {
            let udf = self.clone();
            routes.at(format!("{PATH}/{name}"), udf.endpoint(name))
        };
        ["config", "symbols", "search", "history", "time"].into_iter().fold(routes, at)
    }

    fn endpoint(self, name: &'static str) -> impl Endpoint<Output = Response> {
        let udf = Arc::new(self);
        make(move |request: Request| {
            let udf = Arc::clone(&udf);
            async move { udf.answer(name, &request).await.unwrap_or_else(Refused::into_response) }
        })
    }

    async fn answer(&self, name: &str, request: &Request) -> Result<Response, Refused> {
        let given = Given(request.params().unwrap_or_default());
        match name {
            "config" => Ok(json_response(&self.config())),
            "symbols" => self.symbols(&given).await,
            "search" => self.search(&given).await,
            "history" => self.history(&given).await,
            _ => Ok(seconds(self.clock.now()).to_string().into_response()),
        }
    }

    fn config(&self) -> Value {
        json!({
            "supported_resolutions": resolutions(self.series.interval()),
            "supports_search": true,
            "supports_group_request": false,
            "supports_marks": false,
            "supports_timescale_marks": false,
            "supports_time": true,
            "exchanges": [{"value": EXCHANGE, "name": EXCHANGE, "desc": EXCHANGE}],
            "symbols_types": [{"value": TYPE, "name": TYPE}],
        })
    }

    /// The asset that a symbol means: `BTC`, `BTCUSDT` and `BINANCE:BTCUSDT` are the same.
    async fn asset(&self, given: &Given) -> Result<Asset, Refused> {
        const ALLOWED: &str = "names such as BTC, BTCUSDT and BINANCE:BTCUSDT";
        let text = given.need("symbol", ALLOWED)?;
        let (exchange, name) = text.split_once(':').unwrap_or((EXCHANGE, text));
        let asset: Option<Asset> = name.parse().ok().filter(|_| exchange.eq_ignore_ascii_case(EXCHANGE));
        let asset = asset.ok_or_else(|| wrong("symbol", text, ALLOWED))?;
        let stem = asset.as_str().strip_suffix(self.no_answer.quote.as_str());
        for asset in [Some(asset), stem.and_then(|stem| stem.parse().ok())].into_iter().flatten() {
            match self.series.head(asset).await {
                Ok(_) => return Ok(asset),
                Err(QueryError::UnknownAsset { .. }) => {}
                Err(error) => return Err(self.refused(error)),
            }
        }
        Err(wrong("symbol", text, &format!("those that {PATH}/search finds")))
    }

    /// Every asset that is tracked or has data.
    async fn known(&self) -> Result<Vec<Asset>, Refused> {
        let _turn = self.admission.turn()?;
        let assets = self.assets.run().await.map_err(Problem::from)?;
        Ok(assets.into_iter().map(|asset| asset.asset).collect())
    }

    async fn search(&self, given: &Given) -> Result<Response, Refused> {
        let limit = match given.get("limit") {
            None => FOUND_DEFAULT,
            Some(text) => {
                let limit: usize = text
                    .parse()
                    .map_err(|_| wrong("limit", text, &format!("whole numbers up to {FOUND_MAX}")))?;
                limit.min(FOUND_MAX)
            }
        };
        let is =
            |name: &str, known: &str| given.get(name).is_none_or(|text| text.eq_ignore_ascii_case(known));
        if !is("exchange", EXCHANGE) || !is("type", TYPE) {
            return Ok(json_response(&json!([])));
        }
        let wanted = given.get("query").unwrap_or_default().to_ascii_uppercase();
        let quote = self.no_answer.quote;
        let mut found: Vec<(usize, Asset)> = self
            .known()
            .await?
            .into_iter()
            .filter_map(|asset| {
                // The exchange is no part of what is looked for, unless it is named.
                let full = symbol::full_name(asset, quote);
                let name = if wanted.contains(':') { full.as_str() } else { full.split_once(':')?.1 };
                Some((name.find(&wanted)?, asset))
            })
            .collect();
        // Names that begin so stand before those that only contain it.
        found.sort();
        let found: Vec<Value> =
            found.into_iter().take(limit).map(|(_, asset)| symbol::found(asset, quote)).collect();
        Ok(json_response(&found))
    }

    fn refused(&self, error: QueryError) -> Refused {
        match error {
            QueryError::Store(error) => Refused::Service(error.into()),
            error => Refused::Question(self.no_answer.problem(error).to_string()),
        }
    }
}

impl Refused {
    fn into_response(self) -> Response {
        let (errmsg, mut response) = match self {
            Self::Question(errmsg) => (errmsg, StatusCode::OK.into_response()),
            // With its status and what else the client is to know, such as when to come again.
            Self::Service(problem) => (problem.to_string(), problem.into_response()),
        };
        let body = json_response(&json!({"s": "error", "errmsg": errmsg}));
        let content_type = body.headers().get("content-type").cloned();
        if let Some(content_type) = content_type {
            response.headers_mut().insert("content-type", content_type);
        }
        response.set_body(body.into_body());
        response
    }
}

fn json_response(value: &impl Serialize) -> Response {
    // Holds: texts, numbers and lists of them always have a JSON form.
    let body = serde_json::to_vec(value).unwrap_or_default();
    Response::builder().content_type("application/json").body(body)
}

/// Whole seconds since 1970, which the protocol counts in.
const fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1_000)
}
