//! The API over a socket on both databases. Its details are tested beside its code.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::{Duration, Instant};

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::service::Service;
use serde_json::Value;

use crate::market::{HALF_DAY, Market, NOON, asset, at};

ohlcv_tests::on_each_database!(
    a_week_has_fourteen_half_days,
    following_links_gives_every_row_once_whatever_the_page_size,
    filled_rows_are_marked_and_carry_the_last_real_close,
    careless_requests_get_the_right_status_and_say_what_was_wrong,
    assets_without_data_are_listed_and_untracked_ones_with_data_stay,
);

async fn with_holes(backend: Backend) -> (Service, TestDatabase) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    for (start, end) in
        [("2024-09-01T00:00:00Z", "2024-09-03T12:00:00Z"), ("2024-10-30T12:00:00Z", "2024-10-31T00:00:00Z")]
    {
        let gone = ohlcv_domain::TimeRange::new(at(start), at(end)).unwrap();
        market.source.remove(asset("BTC"), ohlcv_domain::Interval::H12, gone);
    }
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    assert!(!service.backfill().await.has_failures());
    (service, database)
}

async fn a_week_has_fourteen_half_days(backend: Backend) {
    let (service, _database) = with_holes(backend).await;
    let week = "/api/v1/ohlcv/BTC?start=2024-09-08T00:00:00Z&end=2024-09-15T00:00:00Z";
    let answer = service.get(week).await;
    let body = answer.json();
    assert_eq!((body["asset"].as_str(), body["interval"].as_str()), (Some("BTC"), Some("12h")));
    assert_eq!(body["count"], 14);
    assert_eq!(answer.content_type, "application/json");
    let same = "/api/v1/ohlcv/btc?start=1725753600000&end=2024-09-15T02:00:00%2B02:00";
    assert_eq!(service.get(same).await.text, answer.text);
}

async fn following_links_gives_every_row_once_whatever_the_page_size(backend: Backend) {
    let (service, _database) = with_holes(backend).await;
    for fill in [false, true] {
        let whole = service
            .get(&format!("/api/v1/ohlcv/BTC?start=2024-08-01T00:00:00Z&limit=10000&fill={fill}"))
            .await;
        let whole: Vec<Value> = whole.rows();
        assert_eq!(whole.len(), if fill { 190 } else { 184 });
        for limit in [1, 7, 100, 189] {
            let first = format!("/api/v1/ohlcv/BTC?start=2024-08-01T00:00:00Z&limit={limit}&fill={fill}");
            let forwards: Vec<Value> = service.follow(&first, "next").await.concat();
            assert_eq!(forwards, whole, "limit {limit}, fill {fill}");
            let newest = format!("/api/v1/ohlcv/BTC?limit={limit}&fill={fill}");
            let mut backwards = service.follow(&newest, "prev").await;
            backwards.reverse();
            assert_eq!(backwards.concat(), whole, "backwards, limit {limit}, fill {fill}");
        }
    }
}

async fn filled_rows_are_marked_and_carry_the_last_real_close(backend: Backend) {
    let (service, _database) = with_holes(backend).await;
    let real = service.get("/api/v1/ohlcv/BTC?end=2024-09-01T00:00:00Z&limit=1").await.rows()[0].clone();
    // The range begins inside the hole: the close comes from before it.
    let hole = "/api/v1/ohlcv/BTC?start=2024-09-02T00:00:00Z&end=2024-09-04T00:00:00Z&fill=true&fields=all";
    let rows = service.get(hole).await.rows();
    assert_eq!(rows.len(), 4);
    for row in &rows[..3] {
        assert_eq!(row["filled"], true);
        for price in ["open", "high", "low", "close"] {
            assert_eq!(row[price], real["close"]);
        }
        assert_eq!(row["volume"], "0.00000000");
    }
    assert_eq!(rows[3]["filled"], false);
    // Nothing is made up before the first candle, nor for the candle that is still open.
    let all = service
        .get("/api/v1/ohlcv/BTC?start=2020-01-01T00:00:00Z&end=2030-01-01T00:00:00Z&fill=true")
        .await
        .rows();
    assert_eq!(all.first().unwrap()["timestamp"], "2024-08-03T12:00:00Z");
    assert_eq!(all.last().unwrap()["timestamp"], "2024-11-06T00:00:00Z");
}

async fn careless_requests_get_the_right_status_and_say_what_was_wrong(backend: Backend) {
    let (service, _database) = with_holes(backend).await;
    let cases: [(&str, u16, &str); 40] = [
        ("/api/v1/ohlcv/BTC?limit=0", 400, "0"),
        ("/api/v1/ohlcv/BTC?limit=10001", 400, "10000"),
        ("/api/v1/ohlcv/BTC?limit=-1", 400, "-1"),
        ("/api/v1/ohlcv/BTC?limit=ten", 400, "ten"),
        ("/api/v1/ohlcv/BTC?limit=", 400, "limit"),
        ("/api/v1/ohlcv/BTC?limit=1.5", 400, "1.5"),
        ("/api/v1/ohlcv/BTC?limit=1&limit=2", 400, "limit"),
        ("/api/v1/ohlcv/BTC?start=yesterday", 400, "yesterday"),
        ("/api/v1/ohlcv/BTC?start=2024-11-01", 400, "2024-11-01"),
        ("/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00", 400, "2024-11-01T00:00:00"),
        ("/api/v1/ohlcv/BTC?start=2024-13-01T00:00:00Z", 400, "2024-13-01"),
        ("/api/v1/ohlcv/BTC?start=2024-02-30T00:00:00Z", 400, "2024-02-30"),
        ("/api/v1/ohlcv/BTC?start=99999999999999999999", 400, "99999999999999999999"),
        ("/api/v1/ohlcv/BTC?end=now", 400, "now"),
        ("/api/v1/ohlcv/BTC?end=", 400, "end"),
        ("/api/v1/ohlcv/BTC?start=2024-11-02T00:00:00Z&end=2024-11-01T00:00:00Z", 422, "2024-11-02"),
        ("/api/v1/ohlcv/BTC?start=2024-11-02T00:00:00Z&end=2024-11-02T00:00:00Z", 422, "2024-11-02"),
        ("/api/v1/ohlcv/BTC?fill=yes", 400, "yes"),
        ("/api/v1/ohlcv/BTC?fill=1", 400, "true"),
        ("/api/v1/ohlcv/BTC?fill=TRUE", 400, "TRUE"),
        ("/api/v1/ohlcv/BTC?fields=everything", 400, "everything"),
        ("/api/v1/ohlcv/BTC?from=2024-11-01T00:00:00Z", 400, "from"),
        ("/api/v1/ohlcv/BTC?Limit=5", 400, "Limit"),
        ("/api/v1/ohlcv/BTC?interval=24h", 400, "24h"),
        ("/api/v1/ohlcv/BTC?interval=1h", 422, "allowed are 12h, 1d, 3d, 1w, 1M"),
        ("/api/v1/ohlcv/BTC?symbol=BTCUSDT", 400, "symbol"),
        ("/api/v1/ohlcv/BTCUSDT", 404, "BTC"),
        ("/api/v1/ohlcv/DOGE", 404, "DOGE"),
        ("/api/v1/ohlcv/BTC-USD", 400, "BTC-USD"),
        ("/api/v1/ohlcv/B%C3%84R", 400, "letters"),
        ("/api/v1/ohlcv/ABCDEFGHIJKLMNOPQRSTU", 400, "20"),
        ("/api/v1/ohlcv/", 404, "/api/v1/ohlcv/"),
        ("/api/v1/ohlcv", 400, "assets"),
        ("/api/v1/ohlcv/BTC?format=parquet", 400, "arrow"),
        ("/api/v2/ohlcv/BTC", 404, "/api/v2/ohlcv/BTC"),
        ("/api/v1/candles/BTC", 404, "/api/v1/candles/BTC"),
        ("/api/v1/assets?limit=3", 400, "limit"),
        ("/api/v1/health?verbose=1", 400, "verbose"),
        ("/livez?x", 400, "x"),
        ("/api/v1/jobs", 403, "API_KEY"),
    ];
    for (path, status, told) in cases {
        let answer = service.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(answer.content_type, "application/problem+json", "{path}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{path}");
        assert!(problem["code"].is_string() && problem["title"].is_string(), "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{path}: {problem}");
    }
}

async fn assets_without_data_are_listed_and_untracked_ones_with_data_stay(backend: Backend) {
    let (_service, database) = with_holes(backend).await;
    let market = Market::new(HALF_DAY, &["ETH"], NOON, 5).await;
    let later = market.service(&database, &[("TRACKED_ASSETS", "ETH")]).await;
    let assets = later.get("/api/v1/assets").await.json()["assets"].clone();
    assert_eq!(assets[0]["asset"], "ETH");
    assert_eq!(assets[0]["earliest_timestamp"], Value::Null);
    assert_eq!((assets[0]["tracked"].as_bool(), assets[0]["total_candles"].as_u64()), (Some(true), Some(0)));
    assert_eq!((assets[1]["asset"].as_str(), assets[1]["tracked"].as_bool()), (Some("BTC"), Some(false)));
    assert_eq!(later.get("/api/v1/ohlcv/BTC").await.rows().len(), 184);
    assert_eq!(later.get("/api/v1/ohlcv/ETH").await.rows().len(), 0);
}

ohlcv_tests::on_postgres! {
    use crate::wire::Wire;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn health_is_503_soon_when_the_database_is_away() {
        let market = Market::new(HALF_DAY, &["BTC"], NOON, 5).await;
        let mut database = TestDatabase::new(Backend::Postgres).await;
        let wire = Wire::before(&mut database).await;
        let service = market.service(&database, &[]).await;
        let healthy = service.get("/api/v1/health").await;
        assert_eq!(healthy.status, 200);
        assert_eq!((healthy.json()["status"].as_str(), healthy.json()["database"].as_str()), (Some("healthy"), Some("connected")));
        assert_eq!(service.get("/readyz").await.status, 200);

        wire.cut();
        let asked = Instant::now();
        let away = service.get("/api/v1/health").await;
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        assert_eq!(away.status, 503);
        assert_eq!((away.json()["status"].as_str(), away.json()["database"].as_str()), (Some("unhealthy"), Some("disconnected")));
        assert_eq!(service.get("/readyz").await.status, 503);
        assert_eq!(service.get("/livez").await.status, 200);
        let read = service.get("/api/v1/ohlcv/BTC").await;
        assert_eq!((read.status, read.content_type.as_str()), (503, "application/problem+json"));
    }
}
