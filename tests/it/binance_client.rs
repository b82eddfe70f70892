//! The client of Binance against the fake exchange, over a socket.

#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod faults;
mod pace;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_adapters::binance::{BinanceConfig, BinanceLimits, BinanceSource};
use ohlcv_domain::{Asset, Candle, Grid, Interval, Ohlc, Rule, SlotRange, Timestamp, TradeDetails, Volume};
use ohlcv_ports::testing::ScriptedSource;
use ohlcv_ports::testing::candle_source_contract::SourceFixture;
use ohlcv_ports::{CandleSource, Clock, SourceError};
use ohlcv_tests::fake_binance::{FakeBinance, FakeClock, Fault, Options};
use serde_json::json;

/// The candle of 2024-11-01T00:00:00Z is open.
const NOW: &str = "2024-11-01T06:00:00Z";
const OPEN: &str = "2024-11-01T00:00:00Z";
/// More than fit into one answer.
const CANDLES: i64 = 2_400;

ohlcv_ports::candle_source_contract!(fixture);

async fn fixture() -> (SourceFixture, FakeBinance) {
    let mut candles = candles();
    candles.drain(7..10);
    let (exchange, source) = exchange_of(candles.clone(), Options::default(), config()).await;
    let fixture = SourceFixture {
        source,
        now: at(NOW),
        asset: asset("BTC"),
        unknown: asset("DOGE"),
        interval: Interval::H12,
        candles,
    };
    (fixture, exchange)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

fn grid() -> Grid {
    Grid::new(Interval::H12)
}

/// `count` slots that end with the last closed one.
fn newest_slots(count: i64) -> SlotRange {
    SlotRange::new(grid(), grid().step(at(OPEN), -count), at(OPEN)).unwrap()
}

/// Candles without holes up to the open one, all different, with all that a kline has.
fn candles() -> Vec<Candle> {
    let units = |count: i64| Volume::from_units(u128::try_from(count).unwrap()).unwrap();
    let candle = |n: i64| {
        let [open, high, low, close] = ["10", "12.5", "0.00000001", "11"].map(|price| price.parse().unwrap());
        let details = TradeDetails {
            quote_volume: units(10 * n),
            trades: u32::try_from(n).unwrap(),
            taker_buy_volume: units(n / 2),
            taker_buy_quote_volume: units(5 * n),
        };
        let open_time = grid().step(at(OPEN), n - CANDLES);
        Candle::new(open_time, Ohlc { open, high, low, close }, units(n)).unwrap().with_details(details)
    };
    (1..=CANDLES).map(candle).collect()
}

/// Production's settings, but in a hurry.
fn config() -> BinanceConfig {
    BinanceConfig {
        base_url: String::new(),
        quote: asset("USDT"),
        weight_per_minute: 5_000,
        request_delay: Duration::ZERO,
        concurrent_requests_max: NonZeroUsize::new(10).unwrap(),
        limits: BinanceLimits {
            backoff_first: Duration::from_millis(1),
            backoff_max: Duration::from_millis(4),
            ..BinanceLimits::default()
        },
    }
}

/// An exchange whose clock runs, and a client that shares it.
async fn exchange_of(
    candles: Vec<Candle>,
    options: Options,
    config: BinanceConfig,
) -> (FakeBinance, Arc<dyn CandleSource>) {
    let clock = Arc::new(FakeClock::running_from(at(NOW)));
    let local: Arc<dyn Clock> = Arc::<FakeClock>::clone(&clock);
    let market = ScriptedSource::new(Arc::clone(&local)).with_candles(asset("BTC"), Interval::H12, candles);
    let exchange = FakeBinance::start_with(Arc::new(market), clock, options).await;
    let config = BinanceConfig { base_url: exchange.url(), ..config };
    let source = BinanceSource::new(config, local).unwrap();
    (exchange, Arc::new(source))
}

async fn exchange() -> (FakeBinance, Arc<dyn CandleSource>) {
    exchange_of(candles(), Options::default(), config()).await
}

/// Asks for the newest closed candle of an asset.
async fn ask(source: &dyn CandleSource, name: &str) -> Result<Vec<Candle>, SourceError> {
    let page = source.page(asset(name), newest_slots(1)).await?;
    Ok(page.rows.into_iter().map(Result::unwrap).collect())
}

#[tokio::test]
async fn exactly_the_slots_that_are_asked_for_come_back() {
    let (exchange, source) = exchange().await;
    let asked = newest_slots(5);
    let page = source.page(asset("BTC"), asked).await.unwrap();
    let opens: Vec<Timestamp> = page.rows.iter().map(|row| row.as_ref().unwrap().open_time()).collect();
    assert_eq!(opens, asked.iter().collect::<Vec<_>>());
    assert_eq!(page.answered_until, asked.end());

    let requests = exchange.requests();
    let [request] = &requests[..] else { panic!("one request, not {requests:?}") };
    assert_eq!((request.symbol(), request.limit()), (Some("BTCUSDT"), Some(1_000)));
    assert_eq!(request.start(), Some(asked.start()));
    // Binance's bounds are inclusive.
    assert_eq!(request.end(), Some(asked.end().saturating_sub(Duration::from_millis(1))));
}

#[tokio::test]
async fn the_listing_costs_one_request_however_long_ago_it_was() {
    let (exchange, source) = exchange().await;
    let listing = source.listing(asset("BTC"), Interval::H12).await.unwrap();
    assert_eq!(listing, Some(candles()[0].open_time()));
    assert_eq!(exchange.requests().len(), 1);
    assert_eq!(source.listing(asset("BTC"), Interval::D1).await.unwrap(), None);
}

#[tokio::test]
async fn the_time_is_the_exchanges_own() {
    let (exchange, source) = exchange().await;
    exchange.clock().set(at("2031-01-01T00:00:00Z"));
    let told = source.server_time().await.unwrap();
    assert!(told.distance(at("2031-01-01T00:00:00Z")) < Duration::from_secs(5), "{told}");
}

#[tokio::test]
async fn rows_that_are_no_candles_are_turned_away_one_by_one() {
    let (exchange, source) = exchange().await;
    exchange.inject(
        Fault::edit_rows(|rows| {
            rows[0][3] = json!("-1.00000000");
            rows[1][2] = json!("1.00000000");
            rows[2][5] = json!("0.123456789");
            rows[3][4] = json!("1000000000000.00000000");
            rows[4] = json!([rows[4][0], "1"]);
            rows[5] = json!("no row");
            // A close time that a halt cut short is nothing wrong, nor is an element more.
            rows[6][6] = json!(rows[6][0].as_i64().unwrap() + 7);
            rows[7].as_array_mut().unwrap().push(json!("new"));
        }),
        1,
    );
    let page = source.page(asset("BTC"), newest_slots(9)).await.unwrap();
    let rules: Vec<Option<Rule>> =
        page.rows.iter().map(|row| row.as_ref().err().map(|rejection| rejection.rule)).collect();
    let rejected = [
        Rule::Negative,
        Rule::HighNotHighest,
        Rule::TooManyPlaces,
        Rule::TooLarge,
        Rule::Malformed,
        Rule::Malformed,
    ];
    assert_eq!(rules[..6], rejected.map(Some));
    assert_eq!(rules[6..], [None, None, None]);
    assert_eq!(page.answered_until, at(OPEN));
}
