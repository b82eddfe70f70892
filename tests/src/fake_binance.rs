//! A Binance that tests own: its market data over HTTP, from any [`CandleSource`], by a clock that
//! tests move, with everything that goes wrong on the real one, on demand.
//!
//! It answers `/api/v3/ping`, `/time`, `/exchangeInfo` and `/klines`, and 404 to everything else.
//! What it shows of the source is what an exchange would show at its clock's time: nothing that
//! opens later, and the open candle last, with numbers that change from request to request and are
//! never the final ones. It differs from the real one in three things: no shifted grids
//! (`timeZone`), no compression, and the number of raw requests is not limited.

mod clock;
mod exchange;
mod fault;
mod info;
mod limits;
mod query;
mod reply;
mod series;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Timestamp, Volume};
use ohlcv_ports::{CandleSource, Clock};
use poem::Server;
use poem::listener::TcpAcceptor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use clock::FakeClock;
use exchange::{Door, Exchange};
pub use fault::{Fault, RowEdit, Target};

/// The path of the candles.
pub const KLINES: &str = "/api/v3/klines";
/// The path of the exchange's time.
pub const TIME: &str = "/api/v3/time";
const PING: &str = "/api/v3/ping";
const EXCHANGE_INFO: &str = "/api/v3/exchangeInfo";
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What kind of exchange it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The asset that prices are in: market `BTC` is symbol `BTCUSDT`.
    pub quote: Asset,
    /// The request weight that one address may use in a minute of the clock; 6,000 on the real one.
    pub weight_per_minute: u32,
    /// How many requests of one minute are refused with 429 before the address is banned.
    pub breaches_until_ban: u32,
    /// The only markets there are; if none are given, those that the source knows. `exchangeInfo`
    /// without a symbol lists these.
    pub markets: Option<Vec<Asset>>,
    /// How long a row is missing after its candle opened, and again after it closed.
    pub lag: Duration,
    /// How far rows are behind the clock: that long after its close a candle still looks unfinished.
    pub stale: Duration,
    /// How long every answer takes, in real time.
    pub latency: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quote: "USDT".parse().expect("USDT is an asset"),
            weight_per_minute: 6_000,
            breaches_until_ban: 10,
            markets: None,
            lag: Duration::ZERO,
            stale: Duration::ZERO,
            latency: Duration::ZERO,
        }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// When, by the exchange's clock.
    pub at: Timestamp,
    /// When, by tokio's.
    pub received: Instant,
    /// From where: weight is counted per address.
    pub client: IpAddr,
    /// The path.
    pub path: String,
    /// The parameters, decoded. Of one sent twice the last.
    pub query: BTreeMap<String, String>,
    /// What it weighs.
    pub weight: u32,
    /// The status sent; none if the connection was broken instead, or nothing is sent yet.
    pub status: Option<u16>,
}

impl Request {
    /// The parameter `symbol`.
    #[must_use]
    pub fn symbol(&self) -> Option<&str> {
        self.query.get("symbol").map(String::as_str)
    }

    /// The parameter `startTime`, in milliseconds.
    #[must_use]
    pub fn start(&self) -> Option<Timestamp> {
        self.time("startTime")
    }

    /// The parameter `endTime`, inclusive, in milliseconds.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        self.time("endTime")
    }

    /// The parameter `limit`.
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        self.query.get("limit")?.parse().ok()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        Timestamp::from_millis(self.query.get(name)?.parse().ok()?).ok()
    }
}

/// A running exchange on a port of its own; it is gone when this is dropped.
#[derive(Debug)]
pub struct FakeBinance {
    exchange: Arc<Exchange>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl FakeBinance {
    /// Starts an exchange with [`Options::default`].
    ///
    /// # Panics
    /// If no port of the loopback address is free.
    pub async fn start(source: Arc<dyn CandleSource>, clock: Arc<FakeClock>) -> Self {
        Self::start_with(source, clock, Options::default()).await
    }

    /// Starts an exchange.
    ///
    /// # Panics
    /// If no port of the loopback address is free.
    pub async fn start_with(source: Arc<dyn CandleSource>, clock: Arc<FakeClock>, options: Options) -> Self {
        let listener = TcpListener::bind((LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let acceptor = TcpAcceptor::from_tokio(listener).expect("a bound socket has an address");
        let exchange = Arc::new(Exchange::new(source, clock, options));
        let (stop, stopped) = oneshot::channel::<()>();
        let door = Door(Arc::clone(&exchange));
        let server = tokio::spawn(Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(
            door,
            // A dropped sender stops it as well.
            async move { drop(stopped.await) },
            Some(Duration::ZERO),
        ));
        Self { exchange, address, stop: Some(stop), server }
    }

    /// Stops it and waits until its port is closed: from then on connections are refused.
    pub async fn stop(mut self) {
        self.stop = None;
        // The server ends by itself; whether it ended well is nothing a client can see.
        drop((&mut self.server).await);
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<FakeClock> {
        &self.exchange.clock
    }

    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.exchange.state().log.iter().cloned().collect()
    }

    /// Every request for candles so far, in the order of arrival.
    #[must_use]
    pub fn klines_requests(&self) -> Vec<Request> {
        self.exchange.state().log.iter().filter(|request| request.path == KLINES).cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.exchange.state().clear_log();
    }

    /// The greatest number of requests that were being answered at once.
    #[must_use]
    pub fn in_flight_peak(&self) -> usize {
        self.exchange.state().in_flight_peak
    }

    /// Lets the next `times` requests for candles go wrong. Faults queue up in the order of injection.
    pub fn inject(&self, fault: Fault, times: usize) {
        self.inject_on(Target::Path(KLINES), fault, times);
    }

    /// Lets the next `times` requests of a kind go wrong.
    pub fn inject_on(&self, target: Target, fault: Fault, times: usize) {
        self.exchange.state().faults.push(target, fault, times);
    }

    /// How many requests will still go wrong.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.exchange.state().faults.left()
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.exchange.state().faults.clear();
    }

    /// As if others at the loopback address had used that much weight of the current minute.
    pub fn set_weight_used(&self, used: u32) {
        let now = self.exchange.clock.now();
        self.exchange.state().limits.set_used(LOCALHOST, used, now);
    }

    /// Changes what one address may use in a minute.
    pub fn set_weight_per_minute(&self, weight: u32) {
        self.exchange.state().limits.weight_per_minute = weight;
    }

    /// Revises a candle, as Binance has done with old ones: the same but for its volume from now on.
    pub fn revise(&self, symbol: &str, open_time: Timestamp, volume: Volume) {
        self.exchange.state().revisions.insert((symbol.to_owned(), open_time), volume);
    }

    /// Cuts the close time of a candle short, as halts of trading do: `close_time` is its last
    /// millisecond.
    pub fn truncate_close(&self, symbol: &str, open_time: Timestamp, close_time: Timestamp) {
        let end = close_time.saturating_add(Duration::from_millis(1));
        self.exchange.state().ends.insert((symbol.to_owned(), open_time), end);
    }

    /// Delists a market: no candle opens at `at` or later, the last one ends there, and
    /// `exchangeInfo` says `BREAK` from then on.
    pub fn delist(&self, symbol: &str, at: Timestamp) {
        self.exchange.state().delisted.insert(symbol.to_owned(), at);
    }
}
