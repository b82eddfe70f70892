//! `GET /api/v1/prices`: what assets were worth at an instant.

use std::sync::Arc;

use ohlcv_domain::{Asset, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_usecases::{LastPrice, LastPrices};
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Tag;
use super::dto::{Prepared, Time};
use super::no_answer::{NoAnswer, QueryProblem};
use super::query::{AssetList, Param};

/// What assets were worth at an instant.
#[derive(Object, Serialize)]
#[oai(rename = "Prices")]
pub(crate) struct PricesBody {
    /// The instant, UTC.
    at: Time,
    /// The asset that all prices are in.
    quote: String,
    /// How long each candle lasts, as Binance writes it: no price is known more finely.
    interval: String,
    /// The assets, in the order in which they were asked for.
    prices: Vec<PriceRow>,
    /// How many there are.
    count: usize,
}

/// What an asset was worth. All but its name is null if no candle of it had closed by then.
#[derive(Object, Serialize)]
#[oai(rename = "Price")]
struct PriceRow {
    /// The asset, in upper case.
    asset: String,
    /// The close of its last candle by then, exactly as the exchange sent it.
    #[oai(nullable, validator(pattern = r"^[0-9]{1,12}\.[0-9]{8}$"))]
    price: Option<String>,
    /// When that candle opened, UTC.
    #[oai(nullable)]
    open_time: Option<Time>,
    /// When it had closed, UTC: its open time and the interval together.
    #[oai(nullable)]
    close_time: Option<Time>,
    /// How long before the instant that was, in whole seconds, rounded down.
    #[oai(nullable)]
    age_seconds: Option<u64>,
}

/// The operation on prices.
pub(crate) struct PricesApi {
    pub(crate) prices: LastPrices,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) no_answer: NoAnswer,
    /// The asset that all prices are in.
    pub(crate) quote: Asset,
}

#[OpenApi]
impl PricesApi {
    /// Prices of assets at an instant
    ///
    /// Of each asset the close of its last stored candle that had closed by then: whose open time and
    /// interval together are the instant, or earlier. So nothing is told that was not known then. Gaps are
    /// not filled: what is old says so by its age.
    #[oai(path = "/api/v1/prices", method = "get", operation_id = "get_prices", tag = "Tag::Candles")]
    async fn prices(
        &self,
        /// The names of the assets, separated by commas: 1 to 50 different ones, in either case.
        assets: Query<Param<AssetList>>,
        /// The instant: RFC 3339 or milliseconds since 1970; without it now. In the future it tells what is
        /// known now. A `+` is best written `%2B`.
        at: Query<Option<Param<Timestamp>>>,
    ) -> Result<Prepared<PricesBody>, QueryProblem> {
        let AssetList(assets) = assets.0.named("assets")?;
        let at = at.0.map(|at| at.named("at")).transpose()?.unwrap_or_else(|| self.clock.now());
        let prices = self.prices.at(&assets, at).await;
        let prices = prices.map_err(|error| self.no_answer.problem_of_one(error))?;
        Ok(Prepared::of(&PricesBody {
            at: Time(at),
            quote: self.quote.to_string(),
            interval: self.prices.interval().to_string(),
            count: prices.len(),
            prices: prices.into_iter().map(PriceRow::from).collect(),
        }))
    }
}

impl From<LastPrice> for PriceRow {
    fn from(LastPrice { asset, candle }: LastPrice) -> Self {
        Self {
            asset: asset.to_string(),
            price: candle.map(|candle| candle.close.to_string()),
            open_time: candle.map(|candle| Time(candle.open_time)),
            close_time: candle.map(|candle| Time(candle.close_time)),
            age_seconds: candle.map(|candle| candle.age.as_secs()),
        }
    }
}
