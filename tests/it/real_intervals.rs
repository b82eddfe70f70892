//! Half-days made of what the exchange sent as hours are those that it sent itself.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::collections::{BTreeMap, BTreeSet};

use ohlcv_domain::{Candle, Interval, Timestamp};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::Options;
use ohlcv_tests::recorded;
use ohlcv_tests::service::Service;
use serde_json::Value;

use crate::market::{Market, asset, at};

ohlcv_tests::on_each_database!(half_days_of_recorded_hours_are_those_of_the_exchange);

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
const HALF_DAY_MILLIS: i64 = 12 * HOUR_MILLIS;
/// Up to where hours of BTC were recorded.
const END: &str = "2025-09-19T23:00:00Z";
/// Windows of each asset that the exchange's own half-days were recorded of.
const NATIVE_WINDOWS: usize = 3_651;

type ByTime = BTreeMap<i64, Value>;

fn open_millis(row: &Value) -> i64 {
    row["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap().millis()
}

fn by_time(rows: Vec<Value>) -> ByTime {
    rows.into_iter().map(|row| (open_millis(&row), row)).collect()
}

fn numbers(row: &Value) -> [String; 5] {
    ["open", "high", "low", "close", "volume"].map(|name| row[name].as_str().unwrap().to_owned())
}

fn recorded_numbers(candle: &Candle) -> [String; 5] {
    let prices = candle.prices();
    let [open, high, low, close] =
        [prices.open, prices.high, prices.low, prices.close].map(|price| price.to_string());
    [open, high, low, close, candle.volume().to_string()]
}

async fn half_days_of_recorded_hours_are_those_of_the_exchange(backend: Backend) {
    let now = at("2025-09-19T23:00:31Z");
    let names = ["BTC", "ETH"];
    let hours = names.map(|name| {
        let all = recorded::candles(&format!("candles/{name}USDT_1h.csv"));
        all.into_iter().filter(|hour| hour.open_time() < at(END)).collect::<Vec<_>>()
    });
    let series = names.map(asset).into_iter().zip(hours.clone()).collect();
    let market = Market::of(Interval::H1, series, now, Options::default()).await;
    let database = TestDatabase::new(backend).await;
    let given = [
        ("TRACKED_ASSETS", "BTC,ETH"),
        ("CANDLE_INTERVAL", "1h"),
        ("INITIAL_BACKFILL_DAYS", "3000"),
        ("LOG_LEVEL", "WARN"),
    ];
    let service = market.service(&database, &given).await;
    assert!(!service.backfill().await.has_failures());
    for (name, hours) in names.into_iter().zip(&hours) {
        let path = format!("/api/v1/ohlcv/{name}?start=0&limit=10000&interval=12h");
        let rows = service.get(&path).await.rows();
        assert_eq!(service.get(&path).await.rows(), rows, "out of memory");
        assert_eq!(
            service.get(&format!("{path}&as_of=2100-01-01T00:00:00Z")).await.rows(),
            rows,
            "out of the database"
        );
        let half_days = by_time(rows.clone());
        as_the_exchange_sent_them(name, &half_days);
        complete_but_for_the_known_outages(name, &half_days, hours);
        pages_are_the_whole(&service, name, &rows).await;
        weeks_and_months_follow_the_calendar(&service, name, hours).await;
    }
}

fn as_the_exchange_sent_them(name: &str, half_days: &ByTime) {
    let native = recorded::candles(&format!("native12h/{name}USDT_12h.csv"));
    assert_eq!(native.len(), NATIVE_WINDOWS);
    for candle in &native {
        let derived = &half_days[&candle.open_time().millis()];
        assert_eq!(numbers(derived), recorded_numbers(candle), "{name} {}", candle.open_time());
    }
    // The hour of noon was flat: it opens with the first trade after it.
    let halted = &half_days[&at("2023-03-24T12:00:00Z").millis()];
    let open = if name == "BTC" { "28079.99000000" } else { "1789.51000000" };
    assert_eq!((&halted["open"], &halted["complete"]), (&open.into(), &false.into()));
}

/// A half-day is there unless an outage took all of it, and complete unless one took a part.
fn complete_but_for_the_known_outages(name: &str, half_days: &ByTime, hours: &[Candle]) {
    let mut missing = BTreeSet::new();
    for hole in
        recorded::csv("holes.csv").iter().filter(|hole| hole[0] == format!("{name}USDT") && hole[1] == "1h")
    {
        let (first, last) = (recorded::millis(&hole[2]).millis(), recorded::millis(&hole[3]).millis());
        missing.extend((first..=last).step_by(HOUR_MILLIS as usize));
    }
    let touched: BTreeSet<i64> = missing.iter().map(|hour| hour - hour.rem_euclid(HALF_DAY_MILLIS)).collect();
    let first = hours[0].open_time().millis();
    let first = first - first.rem_euclid(HALF_DAY_MILLIS);
    // The last one would need the hour of 23:00.
    let windows = (first..at(END).millis() - 11 * HOUR_MILLIS).step_by(HALF_DAY_MILLIS as usize);
    let mut lost = Vec::new();
    for window in windows {
        let Some(row) = half_days.get(&window) else {
            lost.push(Timestamp::from_millis(window).unwrap().to_string());
            continue;
        };
        assert_eq!(row["complete"], !touched.contains(&window), "{name} {row}");
        assert_eq!(row["filled"], false);
    }
    assert_eq!(lost, ["2018-02-08T12:00:00Z"], "{name}");
    assert!(half_days.keys().all(|open| open + HALF_DAY_MILLIS <= at(END).millis()), "one had not ended");
}

async fn pages_are_the_whole(service: &Service, name: &str, rows: &[Value]) {
    let path = format!("/api/v1/ohlcv/{name}?interval=12h");
    let forwards = service.follow(&format!("{path}&start=0&limit=777"), "next").await;
    assert!(forwards.len() > 7);
    assert_eq!(forwards.concat(), rows, "{name}");
    let mut backwards = service.follow(&format!("{path}&limit=1000"), "prev").await;
    backwards.reverse();
    assert_eq!(backwards.concat(), rows, "{name}");
    let filled = service.follow(&format!("{path}&start=0&limit=999&fill=true"), "next").await.concat();
    assert_eq!(filled.len(), rows.len() + 1, "the one half-day that is lost");
    let made: Vec<&Value> = filled.iter().filter(|row| row["filled"] == true).collect();
    assert_eq!((made.len(), &made[0]["complete"]), (1, &false.into()));
    let real: Vec<Value> = filled.iter().filter(|row| row["filled"] == false).cloned().collect();
    assert_eq!(real, rows, "{name}");
}

/// Told apart by the text of a date and by the number of a Monday, not by the program's own grids.
async fn weeks_and_months_follow_the_calendar(service: &Service, name: &str, hours: &[Candle]) {
    let month = |at: Timestamp| format!("{}-01T00:00:00Z", &at.to_string()[..7]);
    let monday = |at: Timestamp| {
        let day = at.millis().div_euclid(DAY_MILLIS);
        // 1970-01-05 was the first Monday.
        let monday = day - (day - 4).rem_euclid(7);
        Timestamp::from_millis(monday * DAY_MILLIS).unwrap().to_string()
    };
    let names: [(&str, &dyn Fn(Timestamp) -> String); 2] = [("1M", &month), ("1w", &monday)];
    for (interval, opens) in names {
        let mut expected: Vec<(String, Vec<&Candle>)> = Vec::new();
        for hour in hours.iter().filter(|hour| !(hour.is_flat())) {
            let open = opens(hour.open_time());
            match expected.last_mut() {
                Some((last, all)) if *last == open => all.push(hour),
                _ => expected.push((open, vec![hour])),
            }
        }
        // The last one has not ended.
        expected.pop();
        let path = format!("/api/v1/ohlcv/{name}?start=0&limit=10000&interval={interval}");
        let rows = service.get(&path).await.rows();
        assert_eq!(rows.len(), expected.len(), "{name} {interval}");
        for (row, (open_time, all)) in rows.iter().zip(&expected) {
            let volume: u128 = all.iter().map(|hour| hour.volume().units()).sum();
            let told = [
                all[0].open().to_string(),
                all.iter().map(|hour| hour.high()).max().unwrap().to_string(),
                all.iter().map(|hour| hour.low()).min().unwrap().to_string(),
                all[all.len() - 1].close().to_string(),
                ohlcv_domain::Volume::from_units(volume).unwrap().to_string(),
            ];
            assert_eq!(
                (&row["timestamp"], numbers(row)),
                (&Value::from(open_time.as_str()), told),
                "{name} {interval}"
            );
        }
    }
}
