//! Binance as a source of candles: assets to symbols, half-open ranges to inclusive bounds.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{Asset, Interval, SlotRange, Timestamp};
use ohlcv_ports::{CandleSource, Clock, RequestBudget, SourceError, SourcePage};

use super::budget::{Urgency, WEIGHT_PER_MINUTE_MIN};
use super::client::{Client, Pace};
use super::error::BinanceConfigError;
use super::model::KlineRow;
use super::query::{KLINES_ROWS_MAX, KlinesQuery};

/// Both bounds of the exchange are inclusive: the last instant of a range lies this much before its
/// end, and the next page begins this much after the last row.
const INSTANT: Duration = Duration::from_millis(1);

/// Where Binance is and how fast it may be asked.
#[derive(Clone, Debug)]
pub struct BinanceConfig {
    /// The host, `http` or `https`; may have a path, and a slash at its end.
    pub base_url: String,
    /// What candles are quoted in: with `USDT` the asset `BTC` is the symbol `BTCUSDT`.
    pub quote: Asset,
    /// Request weight that may be used in any minute, at least
    /// [`BinanceConfig::WEIGHT_PER_MINUTE_MIN`]. Binance bans addresses that use more than 6,000;
    /// `klines` weighs 2.
    pub weight_per_minute: u32,
    /// Least time between the starts of two requests; zero is allowed.
    pub request_delay: Duration,
    /// Requests under way at once.
    pub concurrent_requests_max: NonZeroUsize,
    /// What bounds each request.
    pub limits: BinanceLimits,
}

impl BinanceConfig {
    /// The smallest weight per minute that can be kept to.
    pub const WEIGHT_PER_MINUTE_MIN: u32 = WEIGHT_PER_MINUTE_MIN;
}

/// What bounds each request to Binance; the defaults are for production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinanceLimits {
    /// Time for a connection, TLS included. 5 s: a host that takes longer is away.
    pub connect_timeout: Duration,
    /// Time for a whole request, the body included. 15 s: Binance itself gives up after 10 s.
    pub request_timeout: Duration,
    /// Attempts after the first one. 5: with the backoff this outlasts a restart behind the
    /// exchange's load balancer.
    pub retries_max: u32,
    /// No further attempt starts this long after the first one did, pauses included. 3 min: long
    /// enough for five attempts that time out, and for one pause of [`BinanceLimits::wait_max`].
    pub retry_time_max: Duration,
    /// The first wait between two attempts, before jitter, which adds up to as much again. 500 ms.
    pub backoff_first: Duration,
    /// The longest such wait, before jitter; each is twice the one before. 20 s.
    pub backoff_max: Duration,
    /// The longest pause that a caller waits for; if a longer one is demanded, callers are told
    /// [`SourceError::RateLimited`] at once. 150 s: Binance's shortest ban, two minutes, is sat out,
    /// longer ones are the caller's to know of.
    pub wait_max: Duration,
    /// The pause after the firewall's HTTP 403. 5 min: how long it blocks an address.
    pub firewall_pause: Duration,
    /// The pause after an HTTP 429 or 418 that says nothing of how long. 2 min: the shortest ban.
    pub rate_limit_pause: Duration,
    /// The longest body that is read. 8 MiB: a full page of klines is about 0.2 MiB.
    pub body_bytes_max: usize,
}

impl Default for BinanceLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            retries_max: 5,
            retry_time_max: Duration::from_secs(180),
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(20),
            wait_max: Duration::from_secs(150),
            firewall_pause: Duration::from_secs(300),
            rate_limit_pause: Duration::from_secs(120),
            body_bytes_max: 8 * 1024 * 1024,
        }
    }
}

/// Binance's spot candles of one quote asset.
///
/// Share one of these, or clone it: its budget and the pauses that the exchange demands hold for all
/// who use it.
#[derive(Clone, Debug)]
pub struct BinanceSource {
    client: Arc<Client>,
    quote: Asset,
    urgency: Urgency,
}

impl BinanceSource {
    /// A source that asks nothing yet. `clock` is the local one.
    ///
    /// # Errors
    /// [`BinanceConfigError`] names the value that cannot be used.
    pub fn new(config: BinanceConfig, clock: Arc<dyn Clock>) -> Result<Self, BinanceConfigError> {
        let BinanceConfig {
            base_url,
            quote,
            weight_per_minute,
            request_delay,
            concurrent_requests_max,
            limits,
        } = config;
        if weight_per_minute < WEIGHT_PER_MINUTE_MIN {
            let min = WEIGHT_PER_MINUTE_MIN;
            return Err(BinanceConfigError::WeightPerMinute { value: weight_per_minute, min });
        }
        let pace = Pace { weight_per_minute, request_delay, concurrent_requests_max };
        let client = Arc::new(Client::new(&base_url, pace, limits, clock)?);
        Ok(Self { client, quote, urgency: Urgency::Patient })
    }

    /// A source of the same exchange whose budget and pauses are those of all processes that share
    /// `budget`. Use it in place of this one, whose own would come on top.
    #[must_use]
    pub fn sharing(&self, budget: Arc<dyn RequestBudget>) -> Self {
        Self { client: Arc::new(self.client.sharing(budget)), ..*self }
    }

    /// The same source, for requests that somebody waits for: they start before those of this one,
    /// within the same budget.
    #[must_use]
    pub fn urgent(&self) -> Self {
        Self { urgency: Urgency::Urgent, ..self.clone() }
    }

    /// What a shared budget knows the exchange by: its host, and its port if that is not the usual one.
    #[must_use]
    pub fn exchange(&self) -> String {
        self.client.host()
    }

    fn symbol(&self, asset: Asset) -> String {
        format!("{asset}{}", self.quote)
    }

    async fn klines(&self, query: KlinesQuery) -> Result<Vec<KlineRow>, SourceError> {
        self.client
            .klines(&query, self.urgency)
            .await
            .map_err(|error| error.into_source_error(Some(&query.symbol)))
    }
}

#[async_trait]
impl CandleSource for BinanceSource {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        self.client.time(self.urgency).await.map_err(|error| error.into_source_error(None))
    }

    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        let symbol = self.symbol(asset);
        let query = KlinesQuery { symbol, interval, start_time: Timestamp::EPOCH, end_time: None, limit: 1 };
        match self.klines(query).await?.first() {
            None => Ok(None),
            Some(first) => match open_time(first) {
                Some(open_time) => Ok(Some(open_time)),
                None => Err(unavailable(format!("the first candle of {asset} has no readable open time"))),
            },
        }
    }

    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        if asked.is_empty() {
            return Ok(SourcePage { rows: Vec::new(), answered_until: asked.end() });
        }
        let query = KlinesQuery {
            symbol: self.symbol(asset),
            interval: asked.grid().interval(),
            start_time: asked.start(),
            end_time: Some(asked.end().saturating_sub(INSTANT)),
            limit: KLINES_ROWS_MAX,
        };
        let rows = self.klines(query).await?;
        let answered_until = answered_until(asked, &rows).ok_or_else(|| {
            unavailable(format!("no progress: a full page for {asset} {asked} has no row inside it"))
        })?;
        Ok(SourcePage { rows, answered_until })
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        const ROWS_MAX: NonZeroU32 = NonZeroU32::new(KLINES_ROWS_MAX).unwrap();
        ROWS_MAX
    }
}

/// How far an answer reaches; none if a full page shows no progress.
fn answered_until(asked: SlotRange, rows: &[KlineRow]) -> Option<Timestamp> {
    if rows.len() < KLINES_ROWS_MAX as usize {
        // The exchange had room for more: there is none.
        return Some(asked.end());
    }
    // A row from elsewhere tells nothing of how far the page reaches.
    let mut inside = rows.iter().filter_map(open_time).filter(|open_time| asked.time().contains(*open_time));
    let until = inside.next_back()?.saturating_add(INSTANT);
    let no_slot_left = asked.grid().ceil(until) >= asked.end();
    Some(if no_slot_left { asked.end() } else { until })
}

fn open_time(row: &KlineRow) -> Option<Timestamp> {
    match row {
        Ok(candle) => Some(candle.open_time()),
        Err(rejection) => rejection.open_time,
    }
}

fn unavailable(reason: String) -> SourceError {
    SourceError::Unavailable { reason, source: None }
}

#[cfg(test)]
mod tests;
