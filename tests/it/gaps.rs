//! Holes over a socket on both databases. Their details are tested beside their code.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use ohlcv_domain::{Interval, TimeRange};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::service::{Answer, Service};
use serde_json::Value;

use crate::market::{HALF_DAY, Market, NOON, asset, at};

ohlcv_tests::on_each_database!(
    holes_are_listed_with_their_cause_and_the_outage_they_come_from,
    following_links_gives_every_hole_once_whatever_the_page_size,
    candles_and_holes_are_the_whole_span,
    a_market_that_was_taken_off_is_kept_and_said_to_be_halted,
);

const GAPS: &str = "/api/v1/assets/BTC/gaps";

/// Three assets without candles on 1 September, BTC also without some of its own.
async fn with_holes(backend: Backend) -> (Market, Service, TestDatabase) {
    let market = Market::new(HALF_DAY, &["BTC", "ETH", "SOL"], NOON, 200).await;
    let gone = |name: &str, start: &str, end: &str| {
        market.source.remove(asset(name), Interval::H12, TimeRange::new(at(start), at(end)).unwrap());
    };
    for name in ["BTC", "ETH", "SOL"] {
        gone(name, "2024-09-01T00:00:00Z", "2024-09-02T00:00:00Z");
    }
    gone("BTC", "2024-10-10T12:00:00Z", "2024-10-12T00:00:00Z");
    gone("BTC", "2024-10-30T12:00:00Z", "2024-10-31T00:00:00Z");
    let database = TestDatabase::new(backend).await;
    let given = [("INITIAL_BACKFILL_DAYS", "95"), ("TRACKED_ASSETS", "BTC,ETH,SOL")];
    let service = market.service(&database, &given).await;
    assert!(!service.backfill().await.has_failures());
    (market, service, database)
}

fn gaps(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["gaps"].as_array().unwrap().clone()
}

fn starts(answer: &Answer) -> Vec<String> {
    gaps(answer).iter().map(|gap| gap["start"].as_str().unwrap().to_owned()).collect()
}

async fn holes_are_listed_with_their_cause_and_the_outage_they_come_from(backend: Backend) {
    let (_market, service, _database) = with_holes(backend).await;
    let answer = service.get(GAPS).await;
    assert_eq!(answer.content_type, "application/json");
    let body = answer.json();
    assert_eq!((body["asset"].as_str(), body["interval"].as_str()), (Some("BTC"), Some("12h")));
    let gaps = gaps(&answer);
    let told: Vec<_> =
        gaps.iter().map(|gap| (gap["slots"].as_u64().unwrap(), gap["asked"].as_u64())).collect();
    assert_eq!(told, [(2, Some(1)), (3, Some(1)), (1, Some(1))]);
    for gap in &gaps {
        assert_eq!(gap["cause"], "source_empty");
        assert_eq!((&gap["since"], &gap["last_asked"]), (&NOON.into(), &NOON.into()));
    }
    assert_eq!(gaps[0]["incident"]["start"], "2024-09-01T00:00:00Z");
    assert_eq!(gaps[0]["incident"]["end"], "2024-09-02T00:00:00Z");
    assert!(gaps[1]["incident"].is_null() && gaps[2]["incident"].is_null());
    assert_eq!(service.get(&format!("{GAPS}?cause=before_listing")).await.json()["count"], 0);
    assert_eq!(service.get("/api/v1/assets/DOGE/gaps").await.status, 404);
}

async fn following_links_gives_every_hole_once_whatever_the_page_size(backend: Backend) {
    let (_market, service, _database) = with_holes(backend).await;
    for options in ["", "&cause=source_empty"] {
        let whole = gaps(&service.get(&format!("{GAPS}?start=0{options}")).await);
        assert_eq!(whole.len(), 3);
        for limit in 1..=3 {
            for (first, rel) in [("start=0&", "next"), ("", "prev")] {
                let mut pages = Vec::new();
                let mut url = Some(format!("{GAPS}?{first}limit={limit}{options}"));
                while let Some(page) = url {
                    let answer = service.get(&page).await;
                    pages.push(gaps(&answer));
                    assert!(pages.len() <= whole.len(), "{rel} goes on for ever");
                    url = answer.links.get(rel).cloned();
                }
                if rel == "prev" {
                    pages.reverse();
                }
                assert_eq!(pages.concat(), whole, "{rel}, limit {limit}{options}");
            }
        }
    }
}

async fn candles_and_holes_are_the_whole_span(backend: Backend) {
    let (_market, service, _database) = with_holes(backend).await;
    let rows = service.get("/api/v1/assets").await.json()["assets"].clone();
    for (row, empty) in rows.as_array().unwrap().iter().zip([6, 2, 2]) {
        assert_eq!((&row["status"], &row["lag"]), (&"complete".into(), &0.into()), "{row}");
        assert_eq!(row["gaps"]["source_empty"], empty, "{row}");
        let missing: u64 =
            row["gaps"].as_object().unwrap().values().map(|slots| slots.as_u64().unwrap()).sum();
        assert_eq!(missing + row["total_candles"].as_u64().unwrap(), 2 * 95, "{row}");
        let name = row["asset"].as_str().unwrap();
        let listed = gaps(&service.get(&format!("/api/v1/assets/{name}/gaps")).await);
        assert_eq!(listed.iter().map(|gap| gap["slots"].as_u64().unwrap()).sum::<u64>(), missing, "{name}");
    }
}

async fn a_market_that_was_taken_off_is_kept_and_said_to_be_halted(backend: Backend) {
    let (market, service, _database) = with_holes(backend).await;
    let now = at("2024-11-10T12:10:00Z");
    for name in ["ETH", "SOL"] {
        let candles = crate::market::candles(asset(name), HALF_DAY, at(NOON), now);
        market.source.add(asset(name), Interval::H12, candles);
    }
    // The last candle of BTC is that of midnight: the one that is open at noon never ends.
    let rest = TimeRange::new(at("2024-11-06T12:00:00Z"), now).unwrap();
    market.source.remove(asset("BTC"), Interval::H12, rest);
    market.clock.set(now);
    assert!(!service.catch_up().await.has_failures());
    let rows = service.get("/api/v1/assets").await.json()["assets"].clone();
    assert_eq!((&rows[0]["status"], &rows[0]["tracked"]), (&"halted".into(), &true.into()));
    assert_eq!(rows[0]["latest_timestamp"], "2024-11-06T00:00:00Z");
    assert_eq!(rows[1]["status"], "complete");
    assert_eq!(
        starts(&service.get(&format!("{GAPS}?start=2024-11-01T00:00:00Z&limit=1")).await),
        ["2024-11-06T12:00:00Z"]
    );
    // From now on it is asked for once a day.
    market.exchange.clear_requests();
    market.clock.set(at("2024-11-10T12:40:00Z"));
    assert!(!service.catch_up().await.has_failures());
    assert_eq!(market.pages_asked(), []);
    market.clock.set(at("2024-11-11T00:10:00Z"));
    assert!(!service.catch_up().await.has_failures());
    let asked = market.pages_asked();
    assert!(asked.contains(&("BTCUSDT".to_owned(), at("2024-11-10T00:00:00Z"))), "{asked:?}");
}
