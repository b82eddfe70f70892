//! Responses of the real exchange, replayed over a socket, mean what they should.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_adapters::binance::{BinanceConfig, BinanceLimits, BinanceSource};
use ohlcv_domain::{Grid, Interval, SlotRange};
use ohlcv_ports::{CandleSource, SourceError};
use ohlcv_tests::fake_binance::{Fault, Target};
use ohlcv_tests::recorded;
use serde_json::Value;

use crate::market::{HALF_DAY, Market, NOON, asset};

/// A source whose every request is answered as recorded; it gives up after the first attempt.
async fn answered_by(status: u16, headers: Vec<(String, String)>, body: &str) -> (BinanceSource, Market) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 5).await;
    let content_type = if body.starts_with('<') { "text/html" } else { "application/json;charset=UTF-8" };
    let recorded = Fault::Answer {
        status,
        headers,
        content_type: content_type.to_owned(),
        body: body.as_bytes().to_vec(),
    };
    market.exchange.inject_on(Target::Any, recorded, 1_000);
    let limits = BinanceLimits { retries_max: 0, wait_max: Duration::ZERO, ..BinanceLimits::default() };
    let config = BinanceConfig {
        base_url: market.exchange.url(),
        quote: asset("USDT"),
        weight_per_minute: 6_000,
        request_delay: Duration::ZERO,
        concurrent_requests_max: NonZeroUsize::MIN,
        limits,
    };
    let clock = Arc::clone(&market.local);
    (BinanceSource::new(config, clock).unwrap(), market)
}

fn headers(response: &Value) -> Vec<(String, String)> {
    let Some(headers) = response["headers"].as_object() else { return Vec::new() };
    // Lengths and encodings are those of the recorded connection.
    let own = ["content-length", "content-type", "content-encoding", "connection", "date"];
    headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.to_lowercase().as_str()))
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn every_recorded_page_of_candles_parses_to_the_digit() {
    let index: Value = serde_json::from_str(&recorded::text("responses/index.json")).unwrap();
    let mut seen = 0;
    for entry in index.as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        let recorded_text = recorded::text(&format!("responses/{file}"));
        let response: Value = serde_json::from_str(&recorded_text).unwrap();
        let (body, sent) = match &response {
            Value::Array(rows) if file.starts_with("klines_") => (recorded_text.clone(), rows.clone()),
            _ if file == "klines_200_with_headers_2023-01-10.json" => {
                let body = response["body"].as_str().unwrap().to_owned();
                let rows = serde_json::from_str::<Value>(&body).unwrap().as_array().unwrap().clone();
                (body, rows)
            }
            _ => continue,
        };
        let interval: Interval = file_interval(entry["request"].as_str().unwrap());
        let (source, _market) = answered_by(200, headers(&response), &body).await;
        let page = source.page(asset("BTC"), whole(interval, &sent)).await.unwrap();
        assert_eq!(page.rows.len(), sent.len(), "{file}");
        for (row, sent) in page.rows.iter().zip(&sent) {
            let candle = row.as_ref().unwrap_or_else(|rejection| panic!("{file}: {rejection}"));
            let details = candle.details().unwrap();
            assert_eq!(candle.open_time().millis(), sent[0].as_i64().unwrap());
            let numbers = [
                candle.open().to_string(),
                candle.high().to_string(),
                candle.low().to_string(),
                candle.close().to_string(),
                candle.volume().to_string(),
                details.quote_volume.to_string(),
                details.taker_buy_volume.to_string(),
                details.taker_buy_quote_volume.to_string(),
            ];
            for (number, at) in numbers.iter().zip([1, 2, 3, 4, 5, 7, 9, 10]) {
                assert_eq!(number, sent[at].as_str().unwrap(), "{file}");
            }
            assert_eq!(u64::from(details.trades), sent[8].as_u64().unwrap(), "{file}");
            assert!(Grid::new(interval).contains(candle.open_time()), "{file}");
        }
        seen += 1;
    }
    assert_eq!(seen, 14, "every recorded page of candles was looked at");
}

fn file_interval(request: &str) -> Interval {
    let (_, from) = request.split_once("interval=").unwrap();
    from.split('&').next().unwrap().parse().unwrap()
}

/// The slots from the first to the last row.
fn whole(interval: Interval, rows: &[Value]) -> SlotRange {
    let grid = Grid::new(interval);
    let open_time = |row: &Value| recorded::millis(&row[0].to_string());
    SlotRange::new(grid, grid.floor(open_time(&rows[0])), grid.next(open_time(rows.last().unwrap()))).unwrap()
}

#[tokio::test]
async fn every_recorded_error_is_the_right_one() {
    let errors: Value = serde_json::from_str(&recorded::text("responses/errors.json")).unwrap();
    let mut seen = 0;
    for error in errors.as_array().unwrap() {
        let (status, body) = (error["status"].as_u64().unwrap(), error["body"].as_str().unwrap());
        let (source, _market) = answered_by(u16::try_from(status).unwrap(), headers(error), body).await;
        let told = source.listing(asset("BTC"), Interval::H12).await.unwrap_err();
        let right = match status {
            400 if body.contains("-1121") => {
                matches!(&told, SourceError::UnknownAsset { symbol } if symbol == "BTCUSDT")
            }
            400 | 401 => matches!(told, SourceError::Refused { .. }),
            403 | 418 | 429 => matches!(told, SourceError::RateLimited { .. }),
            451 => {
                matches!(&told, SourceError::Blocked { reason } if reason.contains("https://data-api.binance.vision"))
            }
            _ => matches!(told, SourceError::Unavailable { .. }),
        };
        assert!(right, "{status} {body}: {told:?}");
        seen += 1;
    }
    assert_eq!(seen, 13, "every recorded error was looked at");
}

#[tokio::test]
async fn the_recorded_ban_and_the_recorded_time_are_understood() {
    let ban: Value =
        serde_json::from_str(&recorded::text("responses/klines_418_ip_banned_2023-05-15.json")).unwrap();
    let (source, market) = answered_by(418, headers(&ban), ban["body"].as_str().unwrap()).await;
    let SourceError::RateLimited { until, .. } =
        source.listing(asset("BTC"), Interval::H12).await.unwrap_err()
    else {
        panic!("a ban is a limit");
    };
    let now = ohlcv_ports::Clock::now(market.local.as_ref());
    assert_eq!(until.since(now).as_secs().div_ceil(2) * 2, 112, "Retry-After: 112");

    let time: Value =
        serde_json::from_str(&recorded::text("responses/time_200_with_headers_2022-11-28.json")).unwrap();
    let (source, _market) = answered_by(200, headers(&time), time["body"].as_str().unwrap()).await;
    assert_eq!(source.server_time().await.unwrap().millis(), 1_669_675_351_630);
}
