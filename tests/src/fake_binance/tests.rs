//! The fake against what is known of the real exchange, over a socket, with a plain HTTP client.

mod faults;
mod limits;
mod rows;
mod selection;

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Grid, Interval, Ohlc, Timestamp, TradeDetails};
use ohlcv_ports::testing::ScriptedSource;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::*;

/// 2024-11-01T06:00:00Z: the candle of 00:00 is open.
const NOON_IS_SIX_HOURS_AWAY: &str = "2024-11-01T06:00:00Z";
const H12_MILLIS: i64 = 12 * 3_600_000;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

/// `count` candles whose last one opens at `last`, the n-th of them with volume n + 1.
fn candles(interval: Interval, last: Timestamp, count: i64) -> Vec<Candle> {
    let grid = Grid::new(interval);
    (0..count).map(|n| candle(grid.step(last, n + 1 - count), n + 1)).collect()
}

fn candle(open_time: Timestamp, volume: i64) -> Candle {
    let [open, high, low, close] = ["10", "12.5", "9", "11"].map(|price| price.parse().unwrap());
    Candle::new(open_time, Ohlc { open, high, low, close }, volume.to_string().parse().unwrap()).unwrap()
}

/// An exchange at [`NOON_IS_SIX_HOURS_AWAY`] with 1,500 12h candles of BTC, the last of them open.
async fn exchange() -> FakeBinance {
    exchange_with(Options::default()).await
}

async fn exchange_with(options: Options) -> FakeBinance {
    let series = candles(Interval::H12, at("2024-11-01T00:00:00Z"), 1_500);
    exchange_of(Interval::H12, series, options).await
}

async fn exchange_of(interval: Interval, series: Vec<Candle>, options: Options) -> FakeBinance {
    let clock = Arc::new(FakeClock::at(at(NOON_IS_SIX_HOURS_AWAY)));
    let market: Arc<dyn Clock> = Arc::<FakeClock>::clone(&clock);
    let source = ScriptedSource::new(market).with_candles(asset("BTC"), interval, series);
    FakeBinance::start_with(Arc::new(source), clock, options).await
}

/// An answer as the client sees it.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

async fn get(exchange: &FakeBinance, path_and_query: &str) -> Answer {
    ask(crate::http_client().get(format!("{}/api/v3/{path_and_query}", exchange.url()))).await.unwrap()
}

async fn ask(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, body: response.text().await? })
}

/// The rows of BTCUSDT 12h that a request selects.
async fn rows(exchange: &FakeBinance, more: &str) -> Vec<Value> {
    let answer = get(exchange, &format!("klines?symbol=BTCUSDT&interval=12h{more}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json().as_array().unwrap().clone()
}

/// Their open times.
async fn opens(exchange: &FakeBinance, more: &str) -> Vec<i64> {
    rows(exchange, more).await.iter().map(|row| row[0].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn ping_time_and_nothing_else_are_where_the_exchange_has_them() {
    let exchange = exchange().await;
    assert_eq!(get(&exchange, "ping").await.json(), json!({}));
    assert_eq!(get(&exchange, "time").await.json(), json!({ "serverTime": 1_730_440_800_000_i64 }));
    for path in ["uiKlines?symbol=BTCUSDT&interval=12h", "ticker", "", "../v1/klines"] {
        assert_eq!(get(&exchange, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn exchange_info_tells_limits_and_the_markets_that_are_asked_for() {
    let options = Options { markets: Some(vec![asset("BTC"), asset("ETH")]), ..Options::default() };
    let exchange = exchange_with(options).await;
    let all = get(&exchange, "exchangeInfo").await;
    assert_eq!(all.header("x-mbx-used-weight-1m"), "20");
    assert_eq!(all.json()["symbols"].as_array().unwrap().len(), 2);
    assert_eq!(
        all.json()["rateLimits"][0],
        json!({ "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000 })
    );

    let one = get(&exchange, "exchangeInfo?symbol=BTCUSDT").await.json();
    let market = &one["symbols"][0];
    assert_eq!(one["symbols"].as_array().unwrap().len(), 1);
    assert_eq!((&market["baseAsset"], &market["quoteAsset"]), (&json!("BTC"), &json!("USDT")));
    assert_eq!((&market["permissions"], &market["status"]), (&json!([]), &json!("TRADING")));
    assert_eq!(market["permissionSets"][0][0], "SPOT");

    for (query, code) in [
        ("symbol=DOGEUSDT", -1121),
        ("symbols=[\"BTCUSDT\",\"DOGEUSDT\"]", -1121),
        ("symbols=[\"BTCUSDT\",\"BTCUSDT\"]", -1151),
        ("symbols=BTCUSDT", -1135),
        ("symbol=BTCUSDT&symbolStatus=TRADING", -1128),
    ] {
        let refused = get(&exchange, &format!("exchangeInfo?{query}")).await;
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(code)), "{query}");
    }
}

#[tokio::test]
async fn every_request_is_remembered_with_what_became_of_it() {
    let exchange = exchange().await;
    get(&exchange, "time").await;
    rows(&exchange, "&startTime=1730419200000&endTime=1730419200000&limit=7").await;
    get(&exchange, "klines?symbol=DOGEUSDT&interval=12h").await;

    let all = exchange.requests();
    let seen: Vec<_> = all.iter().map(|one| (one.path.as_str(), one.weight, one.status)).collect();
    assert_eq!(seen, [(TIME, 1, Some(200)), (KLINES, 2, Some(200)), (KLINES, 2, Some(400))]);
    let klines = &exchange.klines_requests()[0];
    assert_eq!(klines.symbol(), Some("BTCUSDT"));
    assert_eq!((klines.start(), klines.end()), (Some(at("2024-11-01T00:00:00Z")), klines.start()));
    assert_eq!((klines.limit(), klines.at), (Some(7), at(NOON_IS_SIX_HOURS_AWAY)));

    exchange.clear_requests();
    assert!(exchange.requests().is_empty());
}

#[tokio::test]
async fn a_stopped_exchange_refuses_connections_and_closes_those_it_had() {
    let exchange = exchange().await;
    let client = crate::http_client();
    let url = format!("{}/api/v3/ping", exchange.url());
    assert!(client.get(&url).send().await.is_ok());
    exchange.stop().await;
    assert!(client.get(&url).send().await.unwrap_err().is_connect());
}

#[tokio::test(start_paused = true)]
async fn clocks_stand_run_or_follow_and_are_moved_either_way() {
    let start = at(NOON_IS_SIX_HOURS_AWAY);
    let minute = Duration::from_secs(60);
    let still = FakeClock::at(start);
    let running = Arc::new(FakeClock::running_from(start));
    let leader: Arc<dyn Clock> = Arc::<FakeClock>::clone(&running);
    let following = FakeClock::new(leader);
    following.rewind(10 * minute);

    tokio::time::advance(minute).await;
    assert_eq!(still.now(), start);
    assert_eq!(running.now(), start.saturating_add(minute));
    assert_eq!(following.now(), running.now().saturating_sub(10 * minute));

    still.advance(minute);
    assert_eq!(still.now(), start.saturating_add(minute));
    running.set(start);
    assert_eq!(running.now(), start);
    assert_eq!(following.now(), start.saturating_sub(10 * minute));
}
