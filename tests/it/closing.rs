//! The open candle is never stored, whatever the clocks say.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Candle, Grid, Interval};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::{Fault, Options};
use ohlcv_usecases::{AssetError, Outcome};

use crate::market::{HALF_DAY, Market, NOON, asset, at, candles, dumped};

ohlcv_tests::on_each_database!(
    a_local_clock_ten_minutes_off_stores_exactly_what_is_closed,
    clocks_too_far_apart_store_nothing_new_and_say_why,
    a_candle_is_stored_only_after_the_grace,
    a_run_that_crosses_a_candle_boundary_stores_what_was_closed_when_it_began,
    a_lagging_exchange_is_asked_again_and_never_believed_to_be_empty,
    a_candle_that_was_shown_unfinished_is_never_kept,
);

/// What is stored of BTC must be the final candles before `end`, to the digit.
async fn assert_final(database: &TestDatabase, first: &str, end: &str) {
    let mut wanted = candles(asset("BTC"), HALF_DAY, at(first), at(end));
    wanted.pop();
    assert_eq!(database.dump().await, dumped(asset("BTC"), &wanted));
}

const DAYS: [(&str, &str); 1] = [("INITIAL_BACKFILL_DAYS", "95")];
const FIRST: &str = "2024-08-03T12:00:00Z";

async fn a_local_clock_ten_minutes_off_stores_exactly_what_is_closed(backend: Backend) {
    for (now, end) in
        [("2024-11-06T12:05:00Z", "2024-11-06T12:00:00Z"), ("2024-11-06T11:55:00Z", "2024-11-06T00:00:00Z")]
    {
        for fast in [true, false] {
            let market = Market::new(HALF_DAY, &["BTC"], now, 200).await;
            let ten_minutes = Duration::from_secs(600);
            if fast {
                market.local.advance(ten_minutes)
            } else {
                market.local.rewind(ten_minutes)
            }
            let database = TestDatabase::new(backend).await;
            let service = market.service(&database, &DAYS).await;
            assert!(!service.backfill().await.has_failures());
            let first = HALF_DAY.step(at(end), -190);
            assert_final(&database, &first.to_string(), end).await;
        }
    }
}

async fn clocks_too_far_apart_store_nothing_new_and_say_why(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], "2024-11-20T00:10:00Z", 200).await;
    market.clock.set(at(NOON));
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &DAYS).await;
    service.backfill().await;
    market.clock.set(at("2024-11-08T00:10:00Z"));
    market.local.rewind(Duration::from_secs(16 * 60));
    for report in [service.catch_up().await, service.backfill().await] {
        let Outcome::Failed(AssetError::Clocks { .. }) = &report.assets[0].outcome else {
            panic!("{report:?}")
        };
    }
    assert_final(&database, FIRST, "2024-11-06T12:00:00Z").await;
    market.local.advance(Duration::from_secs(60));
    assert!(!service.catch_up().await.has_failures());
    assert_final(&database, FIRST, "2024-11-08T00:00:00Z").await;
}

async fn a_candle_is_stored_only_after_the_grace(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], "2024-11-20T00:10:00Z", 200).await;
    market.clock.set(at("2024-11-06T12:00:29Z"));
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &DAYS).await;
    service.backfill().await;
    let first = "2024-08-03T00:00:00Z";
    assert_final(&database, first, "2024-11-06T00:00:00Z").await;
    market.clock.advance(Duration::from_secs(1));
    service.catch_up().await;
    assert_final(&database, first, "2024-11-06T12:00:00Z").await;
}

async fn a_run_that_crosses_a_candle_boundary_stores_what_was_closed_when_it_began(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], "2024-11-20T00:10:00Z", 200).await;
    market.clock.set(at("2024-11-06T11:59:50Z"));
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &DAYS).await;
    // Between the look at the clock and the answer a candle closes.
    let clock = Arc::clone(&market.clock);
    let cross = move |_: &mut Vec<serde_json::Value>| clock.set(at("2024-11-06T12:05:00Z"));
    market.exchange.inject(Fault::EditRows(Arc::new(cross)), 1);
    service.backfill().await;
    let first = "2024-08-03T00:00:00Z";
    assert_final(&database, first, "2024-11-06T00:00:00Z").await;
    service.catch_up().await;
    assert_final(&database, first, "2024-11-06T12:00:00Z").await;
}

async fn a_lagging_exchange_is_asked_again_and_never_believed_to_be_empty(backend: Backend) {
    let options = Options { lag: Duration::from_secs(120), ..Options::default() };
    let btc = asset("BTC");
    let series = candles(btc, HALF_DAY, at("2024-05-01T00:00:00Z"), at("2024-11-20T00:10:00Z"));
    let market = Market::of(Interval::H12, vec![(btc, series)], at("2024-11-06T12:00:40Z"), options).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &DAYS).await;
    assert!(service.backfill().await.is_worth_repeating());
    assert_final(&database, FIRST, "2024-11-06T00:00:00Z").await;
    // What may still come is not filled over either.
    let last = service.get("/api/v1/ohlcv/BTC?fill=true&limit=1").await.rows()[0].clone();
    assert_eq!(
        (last["timestamp"].as_str(), last["filled"].as_bool()),
        (Some("2024-11-05T12:00:00Z"), Some(false))
    );
    market.clock.set(at("2024-11-06T12:02:30Z"));
    assert!(!service.catch_up().await.is_worth_repeating());
    assert_final(&database, FIRST, "2024-11-06T12:00:00Z").await;
}

async fn a_candle_that_was_shown_unfinished_is_never_kept(backend: Backend) {
    // One-minute candles, looked at every ten seconds around their closes.
    let btc = asset("BTC");
    let minutes = Grid::new(Interval::M1);
    let start = at("2024-11-06T12:00:00Z");
    let series: Vec<Candle> = candles(btc, minutes, start, at("2024-11-06T13:00:00Z"));
    let market =
        Market::of(Interval::M1, vec![(btc, series.clone())], at("2024-11-06T12:10:07Z"), Options::default())
            .await;
    let database = TestDatabase::new(backend).await;
    let given = [
        ("CANDLE_INTERVAL", "1m"),
        ("INITIAL_BACKFILL_DAYS", "1"),
        ("MIN_BACKFILL_DAYS", "0"),
        ("FINALITY_GRACE_SECONDS", "0"),
    ];
    let service = market.service(&database, &given).await;
    service.backfill().await;
    for _ in 0..40 {
        market.clock.advance(Duration::from_secs(10));
        service.catch_up().await;
    }
    let until = at("2024-11-06T12:16:00Z");
    let closed: Vec<Candle> = series.into_iter().filter(|candle| candle.open_time() < until).collect();
    assert_eq!(database.dump().await, dumped(btc, &closed));
}
