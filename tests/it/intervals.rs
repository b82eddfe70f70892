//! Coarser candles than the stored ones: derived when they are asked for, as fresh as those.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::Duration;

use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::{Candle, Cause, Commit, Finding, Grid, Interval, Ohlc, SlotRange, TimeRange, Timestamp};
use ohlcv_ports::{CandleStore, Clock};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::service::Service;
use serde_json::Value;

use crate::market::{Market, asset, at};

ohlcv_tests::on_each_database!(
    a_day_of_hours_appears_when_its_last_hour_was_fetched,
    derived_rows_show_every_commit_of_another_process,
    months_of_minutes_are_served_page_by_page,
);

const HOUR: Grid = Grid::new(Interval::H1);
const BTC: &str = "/api/v1/ohlcv/BTC";

/// The derived rows of an answer out of memory, which have to be those that the database yields.
async fn rows(service: &Service, query: &str) -> Vec<Value> {
    let kept = service.get(&format!("{BTC}?{query}")).await.rows();
    let afresh = service.get(&format!("{BTC}?{query}&as_of=2100-01-01T00:00:00Z")).await.rows();
    assert_eq!(kept, afresh, "{query}");
    kept
}

async fn a_day_of_hours_appears_when_its_last_hour_was_fetched(backend: Backend) {
    let market = Market::new(HOUR, &["BTC"], "2024-11-06T21:01:00Z", 40).await;
    let database = TestDatabase::new(backend).await;
    let given = [("CANDLE_INTERVAL", "1h"), ("INITIAL_BACKFILL_DAYS", "20"), ("MIN_BACKFILL_DAYS", "1")];
    let service = market.service(&database, &given).await;
    assert!(!service.backfill().await.has_failures());
    let days = async || {
        let rows = rows(&service, "interval=1d&fill=true").await;
        let last = rows.last().unwrap();
        (rows.len(), last["timestamp"].as_str().unwrap()[..10].to_owned(), last["complete"] == true)
    };
    let (before, last, complete) = days().await;
    assert_eq!((last.as_str(), complete), ("2024-11-05", true));
    for hour in 22..25 {
        market.clock.advance(Duration::from_secs(3_600));
        let first = market.local.now();
        let open_times: Vec<Candle> = crate::market::candles(
            asset("BTC"),
            HOUR,
            first.saturating_sub(Duration::from_secs(7_200)),
            first,
        );
        market.source.add(asset("BTC"), Interval::H1, open_times);
        assert!(!service.catch_up().await.has_failures());
        let expected = if hour < 24 { (before, "2024-11-05") } else { (before + 1, "2024-11-06") };
        let (count, last, complete) = days().await;
        assert_eq!(((count, last.as_str()), complete), (expected, true), "{hour}:00");
    }
    // A new day is there with all that the exchange has told of each of its hours.
    let day = &rows(&service, "interval=1d&fields=all&limit=1").await[0];
    let hours = service
        .get(&format!("{BTC}?start=2024-11-06T00:00:00Z&end=2024-11-07T00:00:00Z&fields=all"))
        .await
        .rows();
    assert_eq!(hours.len(), 24);
    assert_eq!((&day["open"], &day["close"]), (&hours[0]["open"], &hours[23]["close"]));
    let trades: u64 = hours.iter().map(|hour| hour["trades"].as_u64().unwrap()).sum();
    assert_eq!(day["trades"], trades);
}

/// A candle at a price, with a volume of one.
fn priced(open_time: Timestamp, price: u64) -> Candle {
    let price = price.to_string().parse().unwrap();
    let prices = Ohlc { open: price, high: price, low: price, close: price };
    Candle::new(open_time, prices, "1".parse().unwrap()).unwrap()
}

async fn derived_rows_show_every_commit_of_another_process(backend: Backend) {
    let first = at("2024-10-01T00:00:00Z");
    let slot = |number: i64| HOUR.step(first, number);
    let market = Market::new(HOUR, &["BTC"], "2024-11-06T21:01:00Z", 1).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("CANDLE_INTERVAL", "1h"), ("LOG_LEVEL", "WARN")]).await;
    let store = SqlStore::new(database.connect().await, ohlcv_migration::newest());
    let write = async |slots: std::ops::Range<i64>, price: u64| {
        let asked = SlotRange::new(HOUR, slot(slots.start), slot(slots.end)).unwrap();
        let candles = asked.iter().map(|open_time| priced(open_time, price)).collect();
        let commit =
            Commit::new(asset("BTC"), asked, candles, Vec::new(), at("2024-11-06T21:01:00Z")).unwrap();
        store.apply(commit.with_listing(first)).await.unwrap();
    };
    write(0..240, 10).await;
    for round in 0..30_u64 {
        // An hour of the fifth day is revised, and four new hours come.
        let (revised, new) =
            (4 * 24 + i64::try_from(round % 24).unwrap(), 240 + i64::try_from(round).unwrap() * 4);
        write(revised..revised + 1, 1_000 + round).await;
        write(new..new + 4, 20 + round).await;
        for fill in ["", "&fill=true"] {
            let days = service.get(&format!("{BTC}?interval=1d&start=0{fill}")).await.rows();
            let expected = usize::try_from((new + 4) / 24).unwrap();
            assert_eq!(days.len(), expected, "round {round}{fill}");
            assert_eq!(days[4]["high"], format!("{}.00000000", 1_000 + round), "round {round}{fill}");
            assert!(days.iter().all(|day| day["complete"] == true && day["volume"] == "24.00000000"));
        }
    }
    // A day that is lost is filled, and the one that carries on from it says so.
    let lost = TimeRange::new(slot(480), slot(504)).unwrap();
    let asked = SlotRange::new(HOUR, slot(480), slot(505)).unwrap();
    let finding = Finding { range: lost, cause: Cause::SourceEmpty, detail: String::new() };
    let commit = Commit::new(
        asset("BTC"),
        asked,
        vec![priced(slot(504), 7)],
        vec![finding],
        at("2024-11-06T21:01:00Z"),
    );
    store.apply(commit.unwrap()).await.unwrap();
    let days = rows(&service, "interval=1d&start=0&fill=true").await;
    let lost = days.iter().find(|day| day["timestamp"] == slot(480).to_string()).unwrap();
    assert_eq!((&lost["filled"], &lost["complete"]), (&true.into(), &false.into()));
}

/// A hundred days of minutes: more than are read at a time, and than a chunk is made of.
async fn months_of_minutes_are_served_page_by_page(backend: Backend) {
    let market = Market::new(Grid::new(Interval::M1), &["BTC"], "2024-11-06T21:01:00Z", 1).await;
    let database = TestDatabase::new(backend).await;
    let (service, end) = crate::many_candles::minutes_until(&market, &database, backend, 150_000).await;
    for (interval, limit) in [("1d", 7), ("1w", 2), ("1M", 1)] {
        let whole = rows(&service, &format!("interval={interval}&start=0&limit=10000&fill=true")).await;
        assert!(whole.len() >= 3, "{interval}: {}", whole.len());
        let pages = service.follow(&format!("{BTC}?interval={interval}&start=0&limit={limit}"), "next").await;
        assert_eq!(pages.concat(), whole, "{interval}");
        let mut pages = service.follow(&format!("{BTC}?interval={interval}&limit={limit}"), "prev").await;
        pages.reverse();
        assert_eq!(pages.concat(), whole, "{interval}");
        let (first, rest) = whole.split_first().unwrap();
        assert!(
            rest.iter().all(|row| row["complete"] == true) && first["open"] == "1.00000000",
            "{interval}"
        );
        let closed = Grid::new(interval.parse().unwrap()).floor(end).to_string();
        assert!(whole.iter().all(|row| row["timestamp"].as_str().unwrap() < closed.as_str()), "{interval}");
    }
}
