//! What the real exchange sent once is stored and served to the digit.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::Duration;

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Asset, Candle, Interval};
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::{Fault, Options};
use ohlcv_tests::recorded;
use ohlcv_tests::service::Service;
use serde_json::Value;

use crate::market::{HALF_DAY, Market, asset, at, dumped};

ohlcv_tests::on_each_database!(
    recorded_half_days_are_stored_and_served_to_the_digit,
    recorded_revisions_are_taken_and_what_was_served_before_can_be_had_again,
    recorded_hours_are_stored_or_explained_since_the_listing,
    recorded_off_grid_rows_are_rejected_by_name,
);

const HALF_DAY_MILLIS: i64 = 43_200_000;

/// The recorded candles, moved so that the last one is the last closed one now.
fn ending_now(candles: &[Candle], closed_until: ohlcv_domain::Timestamp) -> Vec<Candle> {
    let shift = closed_until.millis() - HALF_DAY_MILLIS - candles.last().unwrap().open_time().millis();
    assert_eq!(shift % HALF_DAY_MILLIS, 0);
    candles.iter().map(|candle| recorded::shifted(candle, shift)).collect()
}

/// What the exchange itself revised: first as it was seen, then as it is now.
async fn recorded_revisions_are_taken_and_what_was_served_before_can_be_had_again(backend: Backend) {
    let kept = recorded::csv("special/revised_12h.csv");
    let of_btc: Vec<&Vec<String>> = kept.iter().filter(|row| row[0] == "BTCUSDT").collect();
    let read = |row: &&Vec<String>, from: usize| {
        let fields: Vec<String> =
            std::iter::once(row[1].clone()).chain(row[from..from + 5].iter().cloned()).collect();
        recorded::candle(&fields)
    };
    let old: Vec<Candle> = of_btc.iter().map(|row| read(row, 4)).collect();
    let new: Vec<Candle> = of_btc.iter().map(|row| read(row, 9)).collect();
    let contradicted = old.iter().zip(&new).filter(|(old, new)| new.contradicts(old)).count();
    assert!(contradicted > 10, "{contradicted}");

    let now = new.last().unwrap().open_time().saturating_add(Duration::from_secs(86_400));
    let market = Market::of(Interval::H12, vec![(asset("BTC"), old.clone())], now, Options::default()).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "4000")]).await;
    service.backfill().await;
    let before = market.local.now();
    market.clock.advance(Duration::from_secs(3_600));
    market.source.add(asset("BTC"), Interval::H12, new.clone());
    service.backfill_by_force().await;

    let served = |query: String| {
        let service = &service;
        async move {
            let path = format!("/api/v1/ohlcv/BTC?start=2000-01-01T00:00:00Z&limit=1000{query}");
            service.follow(&path, "next").await.concat()
        }
    };
    let volumes = |rows: &[Value]| {
        rows.iter().map(|row| row["volume"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of =
        |candles: &[Candle]| candles.iter().map(|candle| candle.volume().to_string()).collect::<Vec<_>>();
    assert_eq!(volumes(&served(String::new()).await), of(&new));
    assert_eq!(volumes(&served(format!("&as_of={before}")).await), of(&old));
    let journal = database.query("SELECT number FROM revision").await.len();
    assert_eq!(journal, contradicted);
}

/// What was fetched a moment ago, with all its holes, has nothing wrong with it.
async fn assert_verified(service: &Service) {
    for found in service.verify().await {
        assert!(found.is_clean() && found.compared > 0, "{found:?}");
    }
}

async fn recorded_half_days_are_stored_and_served_to_the_digit(backend: Backend) {
    let now = SystemClock.now();
    let closed_until = HALF_DAY.closed_until(now, Duration::from_secs(30));
    let series: Vec<(Asset, Vec<Candle>)> = ["BNB", "BTC", "ETH", "SOL"]
        .map(|name| {
            (
                asset(name),
                ending_now(&recorded::candles(&format!("candles/{name}USDT_12h.csv")), closed_until),
            )
        })
        .to_vec();
    let market = Market::of(Interval::H12, series.clone(), now, Options::default()).await;
    let database = TestDatabase::new(backend).await;
    let given = [("TRACKED_ASSETS", "BNB,BTC,ETH,SOL"), ("INITIAL_BACKFILL_DAYS", "4000")];
    let service = market.service(&database, &given).await;
    assert!(!service.backfill().await.has_failures());
    assert_verified(&service).await;

    let expected: Vec<String> = series.iter().flat_map(|(asset, candles)| dumped(*asset, candles)).collect();
    let stored = database.dump().await;
    assert_eq!(stored.len(), expected.len());
    assert_eq!(stored, expected);
    for (asset, candles) in &series {
        let path = format!("/api/v1/ohlcv/{asset}?start=2000-01-01T00:00:00Z&limit=1000");
        let rows = service.follow(&path, "next").await.concat();
        assert_eq!(rows.len(), candles.len());
        for (row, candle) in rows.iter().zip(candles) {
            assert_eq!(row["timestamp"], candle.open_time().to_string());
            let served =
                ["open", "high", "low", "close", "volume"].map(|name| row[name].as_str().unwrap().to_owned());
            let recorded =
                [candle.open(), candle.high(), candle.low(), candle.close()].map(|price| price.to_string());
            assert_eq!(served[..4], recorded);
            assert_eq!(served[4], candle.volume().to_string());
            assert_eq!(row["filled"], false);
        }
    }
}

async fn recorded_hours_are_stored_or_explained_since_the_listing(backend: Backend) {
    let now = at("2025-09-19T23:00:31Z");
    let series =
        ["BTC", "ETH"].map(|name| (asset(name), recorded::candles(&format!("candles/{name}USDT_1h.csv"))));
    let market = Market::of(Interval::H1, series.to_vec(), now, Options::default()).await;
    let database = TestDatabase::new(backend).await;
    let given = [("TRACKED_ASSETS", "BTC,ETH"), ("CANDLE_INTERVAL", "1h"), ("INITIAL_BACKFILL_DAYS", "3000")];
    let service = market.service(&database, &given).await;
    assert!(!service.backfill().await.has_failures());
    assert_verified(&service).await;

    let end = at("2025-09-19T23:00:00Z");
    let closed = |candles: &[Candle]| -> Vec<Candle> {
        candles.iter().copied().filter(|candle| candle.open_time() < end).collect()
    };
    let expected: Vec<String> =
        series.iter().flat_map(|(asset, candles)| dumped(*asset, &closed(candles))).collect();
    assert!(database.dump().await == expected, "every recorded candle is stored, and nothing else");

    let mut holes = vec![];
    for row in recorded::csv("holes.csv") {
        if row[1] == "1h" {
            let end = recorded::millis(&row[3]).millis() + 3_600_000;
            holes.push(format!("{} {} {end}", row[0].strip_suffix("USDT").unwrap(), row[2]));
        }
    }
    let told = "SELECT asset || ' ' || CAST(start_ms AS TEXT) || ' ' || CAST(end_ms AS TEXT) AS told
        FROM hole WHERE cause = 'source_empty' ORDER BY asset, start_ms";
    let stored: Vec<String> =
        database.query(told).await.iter().map(|row| row.try_get("", "told").unwrap()).collect();
    assert_eq!(stored, holes);
    let others = "SELECT asset || ' ' || cause || ' ' || CAST(end_ms AS TEXT) AS told FROM hole WHERE cause <> 'source_empty' ORDER BY asset";
    let others: Vec<String> =
        database.query(others).await.iter().map(|row| row.try_get("", "told").unwrap()).collect();
    assert_eq!(others, ["BTC before_listing 1502942400000", "ETH before_listing 1502942400000"]);
    let assets = service.get("/api/v1/assets").await.json()["assets"].clone();
    for row in assets.as_array().unwrap() {
        assert_eq!(row["backfill_completed"], true, "{row}");
    }
}

async fn recorded_off_grid_rows_are_rejected_by_name(backend: Backend) {
    let rows: Vec<Vec<String>> = recorded::csv("special/unaligned_open_times_1h_2018-02.csv")
        .into_iter()
        .filter(|row| row[0] == "BTCUSDT")
        .collect();
    assert!(rows.len() > 40);
    let now = at("2018-02-12T00:30:00Z");
    let series = recorded::candles("candles/BTCUSDT_1h.csv");
    let market = Market::of(Interval::H1, vec![(asset("BTC"), series)], now, Options::default()).await;
    let database = TestDatabase::new(backend).await;
    let given = [("CANDLE_INTERVAL", "1h"), ("INITIAL_BACKFILL_DAYS", "5"), ("MIN_BACKFILL_DAYS", "0")];
    let service = market.service(&database, &given).await;
    // As the exchange served those days then: off the grid, and nothing on it.
    let off_grid: Vec<serde_json::Value> = rows.iter().map(|row| kline(row)).collect();
    let open_time = |row: &serde_json::Value| row[0].as_i64().unwrap();
    let (first, last) = (open_time(&off_grid[0]), open_time(off_grid.last().unwrap()));
    let as_then = move |answer: &mut Vec<serde_json::Value>| {
        if answer.len() > 1 {
            answer.retain(|row| !(first - 3_600_000..=last).contains(&open_time(row)));
            answer.extend(off_grid.iter().cloned());
            answer.sort_by_key(open_time);
        }
    };
    market.exchange.inject(Fault::EditRows(Arc::new(as_then)), 10);
    let report = service.backfill().await;
    assert!(!report.has_failures(), "{report:?}");
    let told = database.query("SELECT detail FROM hole WHERE cause = 'rejected' ORDER BY start_ms").await;
    let told: Vec<String> = told.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
    assert_eq!(told.len(), rows.len());
    for (detail, row) in told.iter().zip(&rows) {
        assert!(detail.starts_with(&format!("off_grid: {}", row[2])), "{detail} is not about {row:?}");
    }
    assert!(database.dump().await.iter().all(|line| line.split(' ').nth(1).unwrap().ends_with("00000")));
}

/// A recorded row `symbol,open_time_ms,utc,open,high,low,close,volume` as the exchange sends it.
fn kline(row: &[String]) -> serde_json::Value {
    let open_time = recorded::millis(&row[1]).millis();
    // The recording went through floats, which left some numbers with a tail of digits.
    let number = |text: &String| {
        let places = text.split_once('.').map_or(0, |(_, places)| places.len().min(8));
        let whole = text.split('.').next().unwrap().len();
        text[..whole + usize::from(places > 0) + places].parse::<ohlcv_domain::Volume>().unwrap().to_string()
    };
    serde_json::json!([
        open_time,
        number(&row[3]),
        number(&row[4]),
        number(&row[5]),
        number(&row[6]),
        number(&row[7]),
        open_time + 3_599_999,
        "0.00000000",
        0,
        "0.00000000",
        "0.00000000",
        "0"
    ])
}
