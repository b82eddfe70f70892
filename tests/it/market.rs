//! A small market that tests set up in a line: candles, a fake exchange, clocks.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Grid, Interval, Ohlc, Price, Timestamp, TradeDetails};
use ohlcv_ports::testing::ScriptedSource;
use ohlcv_ports::{CandleSource, Clock};
use ohlcv_tests::database::TestDatabase;
use ohlcv_tests::fake_binance::{FakeBinance, FakeClock, Options};
use ohlcv_tests::service::Service;

/// A Wednesday: the 12h candle of 12:00 is open.
pub(crate) const NOON: &str = "2024-11-06T12:10:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

pub(crate) const HALF_DAY: Grid = Grid::new(Interval::H12);

/// A plausible candle that differs from slot to slot and from asset to asset.
pub(crate) fn candle(asset: Asset, open_time: Timestamp) -> Candle {
    let seed = u128::from(asset.as_str().bytes().map(u64::from).sum::<u64>());
    let slot = u128::from(open_time.millis().unsigned_abs() / 1_000);
    let base = 1_000_000_000 + (slot * 7_919 + seed * 104_729) % 900_000_007;
    let price = |offset: u128| Price::from_units(base + offset).unwrap();
    let prices = Ohlc { open: price(10), high: price(40), low: price(0), close: price(20) };
    let volume = |units: u128| ohlcv_domain::Volume::from_units(units).unwrap();
    Candle::new(open_time, prices, volume(base * 3)).unwrap().with_details(TradeDetails {
        quote_volume: volume(base * 30),
        trades: u32::try_from(slot % 10_000).unwrap(),
        taker_buy_volume: volume(base),
        taker_buy_quote_volume: volume(base * 10),
    })
}

/// The candles of every slot from `first` up to and including the one that is open at `now`.
pub(crate) fn candles(asset: Asset, grid: Grid, first: Timestamp, now: Timestamp) -> Vec<Candle> {
    let mut open_times = vec![grid.floor(first)];
    while *open_times.last().unwrap() < grid.floor(now) {
        open_times.push(grid.next(*open_times.last().unwrap()));
    }
    open_times.into_iter().map(|open_time| candle(asset, open_time)).collect()
}

/// A fake exchange over candles that tests can change, and the clocks of both sides.
pub(crate) struct Market {
    pub(crate) source: Arc<ScriptedSource>,
    pub(crate) exchange: FakeBinance,
    /// The exchange's clock; it stands still.
    pub(crate) clock: Arc<FakeClock>,
    /// The service's clock; it follows the exchange's until it is moved.
    pub(crate) local: Arc<FakeClock>,
}

impl Market {
    /// Markets of these assets with a candle in every slot for `days` days before `now`.
    pub(crate) async fn new(grid: Grid, assets: &[&str], now: &str, days: u32) -> Self {
        let first = at(now).saturating_sub(Duration::from_secs(86_400) * days);
        let series = assets.iter().map(|name| {
            let asset = asset(name);
            (asset, candles(asset, grid, first, at(now)))
        });
        Self::of(grid.interval(), series.collect(), at(now), Options::default()).await
    }

    /// Markets with exactly these candles.
    pub(crate) async fn of(
        interval: Interval,
        series: Vec<(Asset, Vec<Candle>)>,
        now: Timestamp,
        options: Options,
    ) -> Self {
        let clock = Arc::new(FakeClock::at(now));
        let source = Arc::new(ScriptedSource::new(Arc::clone(&clock) as Arc<dyn Clock>));
        for (asset, candles) in series {
            source.add(asset, interval, candles);
        }
        let shown = Arc::clone(&source) as Arc<dyn CandleSource>;
        let exchange = FakeBinance::start_with(shown, Arc::clone(&clock), options).await;
        let local = Arc::new(FakeClock::new(Arc::clone(&clock) as Arc<dyn Clock>));
        Self { source, exchange, clock, local }
    }

    /// The program on a database, talking to this exchange.
    pub(crate) async fn service(&self, database: &TestDatabase, given: &[(&str, &str)]) -> Service {
        Service::start(database, &self.exchange, Arc::clone(&self.local) as Arc<dyn Clock>, given).await
    }

    /// How often candles of each open time were asked for since the requests were last forgotten.
    pub(crate) fn pages_asked(&self) -> Vec<(String, Timestamp)> {
        let pages = self.exchange.klines_requests();
        // The listing is asked for from the beginning of time; it is no page.
        let pages = pages.iter().filter(|request| request.start() != Some(Timestamp::EPOCH));
        pages.map(|page| (page.symbol().unwrap().to_owned(), page.start().unwrap())).collect()
    }
}

/// What `TestDatabase::dump` shows of candles.
pub(crate) fn dumped(asset: Asset, candles: &[Candle]) -> Vec<String> {
    let line = |candle: &Candle| {
        let Ohlc { open, high, low, close } = candle.prices();
        let open_time = candle.open_time().millis();
        format!("{asset} {open_time} {open} {high} {low} {close} {}", candle.volume())
    };
    candles.iter().map(line).collect()
}
