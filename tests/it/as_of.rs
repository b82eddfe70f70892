//! What was served earlier can be had again: candles that came late, candles that were revised.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::Duration;

use ohlcv_domain::{Interval, TimeRange, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::service::Service;
use serde_json::Value;

use crate::market::{HALF_DAY, Market, NOON, asset, at, candle};

ohlcv_tests::on_each_database!(
    a_candle_that_was_revised_twice_is_served_as_it_was_in_each_of_three_times,
    a_candle_that_arrived_late_is_not_there_before,
    earlier_pages_lead_to_each_other_as_those_of_now_do,
    an_earlier_fill_ends_at_the_last_candle_of_then,
);

const REVISED: &str = "2024-11-01T12:00:00Z";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A market, a service on it that has ten days of BTC, and the time by its clock.
async fn backfilled(backend: Backend) -> (Market, Service, TestDatabase) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "10")]).await;
    assert!(!service.backfill().await.has_failures());
    (market, service, database)
}

/// An hour passes by all clocks.
fn pass_an_hour(market: &Market) -> Timestamp {
    market.clock.advance(HOUR);
    market.local.now()
}

async fn volume(service: &Service, query: &str) -> Option<String> {
    let rows = service.get(&format!("/api/v1/ohlcv/BTC?start={REVISED}&limit=1{query}")).await.rows();
    rows.first()
        .filter(|row| row["timestamp"] == REVISED)
        .map(|row| row["volume"].as_str().unwrap().to_owned())
}

async fn a_candle_that_was_revised_twice_is_served_as_it_was_in_each_of_three_times(backend: Backend) {
    let (market, service, _database) = backfilled(backend).await;
    let first = candle(asset("BTC"), at(REVISED)).volume().to_string();
    let before_first = at(NOON).saturating_sub(HOUR);
    let before = market.local.now();
    let mut between = Vec::new();
    for volume in ["111.5", "222.5"] {
        pass_an_hour(&market);
        market.exchange.revise("BTCUSDT", at(REVISED), volume.parse().unwrap());
        service.backfill_by_force().await;
        between.push(pass_an_hour(&market));
    }
    let seen = |time: Timestamp| {
        let service = &service;
        async move { volume(service, &format!("&as_of={time}")).await }
    };
    assert_eq!(seen(before_first).await, None, "it had not been fetched");
    assert_eq!(seen(before).await, Some(first));
    assert_eq!(seen(between[0]).await.as_deref(), Some("111.50000000"));
    assert_eq!(seen(between[1]).await.as_deref(), Some("222.50000000"));
    assert_eq!(volume(&service, "").await.as_deref(), Some("222.50000000"));

    let pages = service.follow_of("/api/v1/assets/btc/revisions?limit=1", "next", "revisions").await;
    let told: Vec<_> =
        pages.concat().iter().map(|row| (row["number"].clone(), row["volume"].clone())).collect();
    let first = candle(asset("BTC"), at(REVISED)).volume().to_string();
    assert_eq!(told, [(1.into(), first.into()), (2.into(), "111.50000000".into())]);
    let last = &pages.concat()[1];
    assert!(last["job_id"].is_string() && last["since"] != last["until"], "{last}");
    let elsewhere = service.get("/api/v1/assets/BTC/revisions?end=2024-11-01T12:00:00Z").await.json();
    assert_eq!(elsewhere["count"], 0);
    assert_eq!(service.get("/api/v1/assets/BTCUSDT/revisions").await.status, 404);
    assert_eq!(service.get("/api/v1/assets/BTC/revisions?after=one").await.status, 400);
}

async fn a_candle_that_arrived_late_is_not_there_before(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let late = TimeRange::new(at(REVISED), HALF_DAY.next(at(REVISED))).unwrap();
    market.source.remove(asset("BTC"), Interval::H12, late);
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "10")]).await;
    service.backfill().await;
    let before = pass_an_hour(&market);
    pass_an_hour(&market);
    market.source.add(asset("BTC"), Interval::H12, [candle(asset("BTC"), at(REVISED))]);
    service.backfill().await;
    let after = market.local.now();
    assert_eq!(volume(&service, &format!("&as_of={before}")).await, None);
    assert_eq!(volume(&service, &format!("&as_of={after}")).await, volume(&service, "").await);
    assert!(volume(&service, "").await.is_some());
    let count = |time| {
        let service = &service;
        async move { service.get(&format!("/api/v1/ohlcv/BTC?as_of={time}")).await.json()["count"].clone() }
    };
    assert_eq!((count(before).await, count(after).await), (19.into(), 20.into()));
}

async fn earlier_pages_lead_to_each_other_as_those_of_now_do(backend: Backend) {
    let (market, service, _database) = backfilled(backend).await;
    let then = market.local.now();
    let whole: Vec<Value> = service.get("/api/v1/ohlcv/BTC?start=2024-01-01T00:00:00Z").await.rows();
    pass_an_hour(&market);
    for day in 0..10 {
        let open_time = at("2024-10-28T00:00:00Z").saturating_add(HOUR * 24 * day);
        market.exchange.revise("BTCUSDT", open_time, "7".parse().unwrap());
    }
    service.backfill_by_force().await;
    for limit in [1, 7, 19] {
        let from_start = format!("/api/v1/ohlcv/BTC?start=2024-01-01T00:00:00Z&limit={limit}&as_of={then}");
        assert_eq!(service.follow(&from_start, "next").await.concat(), whole, "limit {limit}");
        let newest = format!("/api/v1/ohlcv/BTC?limit={limit}&as_of={then}");
        let mut backwards = service.follow(&newest, "prev").await;
        backwards.reverse();
        assert_eq!(backwards.concat(), whole, "limit {limit}");
    }
}

async fn an_earlier_fill_ends_at_the_last_candle_of_then(backend: Backend) {
    let (market, service, _database) = backfilled(backend).await;
    let then = market.local.now();
    market.clock.advance(HOUR * 24);
    service.backfill().await;
    let last = |answer: Vec<Value>| answer.last().unwrap()["timestamp"].as_str().unwrap().to_owned();
    let filled = service.get(&format!("/api/v1/ohlcv/BTC?fill=true&as_of={then}")).await.rows();
    assert_eq!((filled.len(), last(filled)), (20, "2024-11-06T00:00:00Z".to_owned()));
    assert_eq!(last(service.get("/api/v1/ohlcv/BTC?fill=true").await.rows()), "2024-11-06T12:00:00Z");
    let none = service.get("/api/v1/ohlcv/BTC?fill=true&as_of=2020-01-01T00:00:00Z").await;
    assert_eq!(none.rows(), Vec::<Value>::new());
}
