//! The exchange behind the socket: endpoints, their weights, and what tests have told it to do.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ohlcv_domain::{Asset, Candle, Grid, Interval, Timestamp, Volume};
use ohlcv_ports::{CandleSource, Clock, SourceError};
use poem::Endpoint;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fault::{self, Faults};
use super::limits::{Limits, Verdict};
use super::query::{KlinesQuery, Parameters, Refusal, TimeUnit};
use super::reply::Reply;
use super::series::{Lag, Series};
use super::{EXCHANGE_INFO, FakeClock, KLINES, Options, PING, Request, TIME, info};

/// How many requests are remembered; older ones are forgotten.
const LOG_MAX: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Exchange {
    source: Arc<dyn CandleSource>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) options: Options,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) log: VecDeque<Request>,
    /// How many requests have left the front of the log.
    forgotten: usize,
    pub(crate) faults: Faults,
    pub(crate) limits: Limits,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_peak: usize,
    pub(crate) revisions: BTreeMap<(String, Timestamp), Volume>,
    /// Where candles that a halt cut short end, exclusive.
    pub(crate) ends: BTreeMap<(String, Timestamp), Timestamp>,
    /// From when on a market has no candles any more.
    pub(crate) delisted: BTreeMap<String, Timestamp>,
    tick: u64,
}

/// What is known of a request when it arrives.
struct Arrival {
    path: String,
    parameters: Vec<(String, String)>,
    time_unit: Option<String>,
    client: IpAddr,
    now: Timestamp,
}

impl Exchange {
    pub(crate) fn new(source: Arc<dyn CandleSource>, clock: Arc<FakeClock>, options: Options) -> Self {
        let state = State {
            log: VecDeque::new(),
            forgotten: 0,
            faults: Faults::default(),
            limits: Limits::new(options.weight_per_minute, options.breaches_until_ban),
            in_flight: 0,
            in_flight_peak: 0,
            revisions: BTreeMap::new(),
            ends: BTreeMap::new(),
            delisted: BTreeMap::new(),
            tick: 0,
        };
        Self { source, clock, options, state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, arrival: Arrival) -> Reply {
        let weight = weight(&arrival.path);
        let (id, verdict, fault, per_minute, tick) = {
            let mut state = self.state();
            let id = state.remember(&arrival, weight);
            let verdict = state.limits.admit(arrival.client, weight, arrival.now);
            let symbol = arrival.parameters.iter().find(|(name, _)| name == "symbol");
            let fault = matches!(verdict, Verdict::Served { .. })
                .then(|| state.faults.take(&arrival.path, symbol.map(|(_, value)| value.as_str())))
                .flatten();
            state.tick += 1;
            (id, verdict, fault, state.limits.weight_per_minute, state.tick)
        };
        let _in_flight = InFlight::enter(self);
        if !self.options.latency.is_zero() {
            tokio::time::sleep(self.options.latency).await;
        }
        let weighed = !fault.as_ref().is_some_and(fault::Fault::is_from_the_edge);
        let reply = match (verdict, fault) {
            (Verdict::OverLimit { retry_after_seconds, .. }, _) => {
                fault::rate_limited(per_minute, Some(retry_after_seconds))
            }
            (Verdict::Banned { until, retry_after_seconds, .. }, _) => {
                fault::banned(until, Some(retry_after_seconds))
            }
            (Verdict::Served { .. }, None) => self.serve(&arrival, tick).await,
            (Verdict::Served { .. }, Some(fault)) => {
                fault.spoil(self.serve(&arrival, tick).await, arrival.now, per_minute)
            }
        };
        self.state().note_status(id, reply.seen_status());
        if !weighed {
            return reply;
        }
        reply
            .with_header("x-mbx-uuid", format_args!("00000000-0000-4000-8000-{id:012x}"))
            .with_header("x-mbx-used-weight", verdict.used())
            .with_header("x-mbx-used-weight-1m", verdict.used())
    }

    async fn serve(&self, arrival: &Arrival, tick: u64) -> Reply {
        let parameters = Parameters(&arrival.parameters);
        let served = match arrival.path.as_str() {
            PING => Ok(Reply::json(200, &json!({}))),
            TIME => TimeUnit::read(arrival.time_unit.as_deref())
                .map(|unit| Reply::json(200, &json!({ "serverTime": unit.of(arrival.now) }))),
            EXCHANGE_INFO => self.exchange_info(arrival, parameters).await,
            KLINES => self.klines(arrival, parameters, tick).await,
            _ => Ok(Reply::json(404, &json!({ "status": 404, "error": "Not Found" }))),
        };
        served.unwrap_or_else(Refusal::into_reply)
    }

    async fn klines(
        &self,
        arrival: &Arrival,
        parameters: Parameters<'_>,
        tick: u64,
    ) -> Result<Reply, Refusal> {
        let unit = TimeUnit::read(arrival.time_unit.as_deref())?;
        let query = KlinesQuery::read(parameters)?;
        let asset = self.asset_of(&query.symbol).ok_or_else(Refusal::unknown_symbol)?;
        let lag = Lag { missing: self.options.lag, stale: self.options.stale };
        let delisted = self.state().delisted.get(&query.symbol).copied();
        let opened = Series::open(&*self.source, asset, &query, (arrival.now, lag), delisted, tick).await;
        let rows = match opened {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(series)) => {
                let selected = series.select(&query, arrival.now).await;
                selected.map(|candles| self.rows(&query.symbol, series.grid(), unit, candles))
            }
            Err(error) => Err(error),
        };
        match rows {
            Ok(rows) => Ok(Reply::json(200, &Value::Array(rows))),
            Err(SourceError::UnknownAsset { .. }) => Err(Refusal::unknown_symbol()),
            Err(error) => Ok(Reply::error(503, -1008, error)),
        }
    }

    fn rows(&self, symbol: &str, grid: Grid, unit: TimeUnit, candles: Vec<Candle>) -> Vec<Value> {
        let state = self.state();
        let delisted = state.delisted.get(symbol).copied();
        let mut rows = Vec::with_capacity(candles.len());
        for candle in candles {
            let key = (symbol.to_owned(), candle.open_time());
            let volume = state.revisions.get(&key).copied().unwrap_or(candle.volume());
            let whole = grid.next(candle.open_time());
            let end = state.ends.get(&key).copied().or(delisted).unwrap_or(whole).min(whole);
            rows.push(row(&candle, volume, unit, end));
        }
        rows
    }

    async fn exchange_info(&self, arrival: &Arrival, parameters: Parameters<'_>) -> Result<Reply, Refusal> {
        let unit = TimeUnit::read(arrival.time_unit.as_deref())?;
        let asked = info::asked_symbols(parameters)?;
        let mut markets = Vec::new();
        match asked {
            Some(symbols) => {
                for symbol in symbols {
                    let asset = self.asset_of(&symbol).ok_or_else(Refusal::unknown_symbol)?;
                    if !self.is_listed(asset).await {
                        return Err(Refusal::unknown_symbol());
                    }
                    markets.push(asset);
                }
            }
            None => markets.extend(self.options.markets.iter().flatten()),
        }
        let status = parameters.get("symbolStatus")?;
        let state = self.state();
        let mut symbols = Vec::new();
        for asset in markets {
            let name = format!("{asset}{}", self.options.quote);
            let gone = state.delisted.get(&name).is_some_and(|end| *end <= arrival.now);
            if status.is_none_or(|status| status == info::status(gone)) {
                symbols.push(info::symbol(&name, asset, self.options.quote, gone));
            }
        }
        let per_minute = state.limits.weight_per_minute;
        Ok(Reply::json(200, &info::document(unit.of(arrival.now), per_minute, symbols)))
    }

    /// The base asset of a symbol, unless no market of that name can be known.
    fn asset_of(&self, symbol: &str) -> Option<Asset> {
        let asset = symbol.strip_suffix(self.options.quote.as_str())?.parse().ok()?;
        let known = self.options.markets.as_ref().is_none_or(|markets| markets.contains(&asset));
        known.then_some(asset)
    }

    /// Whether the source has the market: in any interval, for it may have been given only one.
    async fn is_listed(&self, asset: Asset) -> bool {
        for interval in Interval::ALL {
            if self.source.listing(asset, interval).await.is_ok() {
                return true;
            }
        }
        false
    }
}

impl State {
    /// Enters a request into the log and returns its number.
    fn remember(&mut self, arrival: &Arrival, weight: u32) -> usize {
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
            self.forgotten += 1;
        }
        self.log.push_back(Request {
            at: arrival.now,
            received: Instant::now(),
            client: arrival.client,
            path: arrival.path.clone(),
            query: arrival.parameters.iter().cloned().collect(),
            weight,
            status: None,
        });
        self.forgotten + self.log.len() - 1
    }

    fn note_status(&mut self, id: usize, status: Option<u16>) {
        let at = id.checked_sub(self.forgotten);
        if let Some(request) = at.and_then(|at| self.log.get_mut(at)) {
            request.status = status;
        }
    }

    pub(crate) fn clear_log(&mut self) {
        self.forgotten += self.log.len();
        self.log.clear();
    }
}

/// A request being answered, also while its client gives up on it.
struct InFlight<'a>(&'a Exchange);

impl<'a> InFlight<'a> {
    fn enter(exchange: &'a Exchange) -> Self {
        let mut state = exchange.state();
        state.in_flight += 1;
        state.in_flight_peak = state.in_flight_peak.max(state.in_flight);
        drop(state);
        Self(exchange)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}

/// The exchange as an HTTP endpoint.
pub(crate) struct Door(pub(crate) Arc<Exchange>);

impl Endpoint for Door {
    type Output = poem::Response;

    async fn call(&self, request: poem::Request) -> poem::Result<poem::Response> {
        let client = request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip);
        let arrival = Arrival {
            path: request.uri().path().to_owned(),
            parameters: request.params()?,
            time_unit: request.header("x-mbx-time-unit").map(str::to_owned),
            client: client.unwrap_or(super::LOCALHOST),
            now: self.0.clock.now(),
        };
        Ok(self.0.answer(arrival).await.into_response())
    }
}

fn weight(path: &str) -> u32 {
    match path {
        KLINES => 2,
        EXCHANGE_INFO => 20,
        _ => 1,
    }
}

/// The twelve elements of a kline; `end` is where it ends, exclusive.
fn row(candle: &Candle, volume: Volume, unit: TimeUnit, end: Timestamp) -> Value {
    let details = candle.details().unwrap_or_default();
    json!([
        unit.of(candle.open_time()),
        candle.open().to_string(),
        candle.high().to_string(),
        candle.low().to_string(),
        candle.close().to_string(),
        volume.to_string(),
        unit.last_before(end),
        details.quote_volume.to_string(),
        details.trades,
        details.taker_buy_volume.to_string(),
        details.taker_buy_quote_volume.to_string(),
        "0",
    ])
}
