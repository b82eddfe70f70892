//! What is really stored decides: rows that vanish behind the service's back come back.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::Duration;

use ohlcv::scheduler;
use ohlcv_tests::database::{Backend, TestDatabase};
use tokio_util::sync::CancellationToken;

use crate::market::{HALF_DAY, Market, NOON};

ohlcv_tests::on_each_database!(
    rows_deleted_by_hand_are_back_after_a_backfill,
    rows_deleted_by_hand_are_back_after_a_scheduler_starts,
    rows_put_in_by_hand_close_their_holes,
    a_scheduled_run_does_not_read_what_is_stored,
    a_row_that_cannot_be_read_spoils_only_the_answers_that_hold_it,
);

/// Deletes rows here and there: the first, the last, one, and a run of them.
async fn delete_some(database: &TestDatabase) {
    let deleted = database
        .execute(
            "DELETE FROM spot_ohlcv WHERE id IN (
                SELECT id FROM (
                    SELECT id, ROW_NUMBER() OVER (ORDER BY timestamp) AS place, COUNT(*) OVER () AS places FROM spot_ohlcv
                ) AS numbered WHERE place IN (1, 2, 50) OR place BETWEEN 70 AND 90 OR place = places
            )",
        )
        .await;
    assert_eq!(deleted, 25);
}

async fn rows_deleted_by_hand_are_back_after_a_backfill(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    service.backfill().await;
    let before = database.dump().await;
    delete_some(&database).await;
    market.exchange.clear_requests();
    assert!(!service.backfill().await.has_failures());
    assert_eq!(database.dump().await, before);
    assert_eq!(market.exchange.klines_requests().len(), 4, "one request for each run of lost rows");
    let row = service.get("/api/v1/assets").await.json()["assets"][0].clone();
    assert_eq!(row["total_candles"], 190);
    assert_eq!(row["latest_timestamp"], "2024-11-06T00:00:00Z");
}

async fn rows_deleted_by_hand_are_back_after_a_scheduler_starts(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    service.backfill().await;
    let before = database.dump().await;
    delete_some(&database).await;

    let stop = CancellationToken::new();
    let ran = stop.clone();
    let app = service.app.clone();
    let first_run = async move { scheduler::run(&app, &stop, Arc::new(|_| {}), || ran.cancel()).await };
    tokio::time::timeout(Duration::from_secs(30), first_run).await.unwrap();
    assert_eq!(database.dump().await, before);
}

async fn rows_put_in_by_hand_close_their_holes(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let gone = ohlcv_domain::TimeRange::new(
        "2024-10-01T00:00:00Z".parse().unwrap(),
        "2024-10-03T00:00:00Z".parse().unwrap(),
    )
    .unwrap();
    market.source.remove("BTC".parse().unwrap(), ohlcv_domain::Interval::H12, gone);
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    service.backfill().await;
    assert_eq!(crate::backfill::holes(&database).await, ["source_empty 1727740800000 1727913600000"]);
    let half_a_day = match backend {
        Backend::Sqlite => "43200000",
        Backend::Postgres => "interval '12 hours'",
    };
    let inserted = database
        .execute(&format!(
            "INSERT INTO spot_ohlcv (asset, timestamp, open, high, low, close, volume)
            SELECT asset, timestamp + {half_a_day}, open, high, low, close, volume FROM spot_ohlcv AS before
            WHERE NOT EXISTS (SELECT 1 FROM spot_ohlcv AS next WHERE next.timestamp = before.timestamp + {half_a_day})
            AND timestamp < (SELECT MAX(timestamp) FROM spot_ohlcv)"
        ))
        .await;
    assert_eq!(inserted, 1);
    service.backfill().await;
    assert_eq!(crate::backfill::holes(&database).await, ["source_empty 1727784000000 1727913600000"]);
    assert_eq!(service.get("/api/v1/assets").await.json()["assets"][0]["total_candles"], 190 - 4 + 1);
}

async fn a_scheduled_run_does_not_read_what_is_stored(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    service.backfill().await;
    delete_some(&database).await;
    market.exchange.clear_requests();
    service.catch_up().await;
    assert_eq!(market.exchange.klines_requests().len(), 0, "catching up relies on the ledger");
}

async fn a_row_that_cannot_be_read_spoils_only_the_answers_that_hold_it(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    service.backfill().await;
    // Neither is a number: text on the one, NaN on the other.
    let (nonsense, time) = match backend {
        Backend::Sqlite => ("lots", "1729555200000"),
        Backend::Postgres => ("NaN", "TIMESTAMPTZ '2024-10-22T00:00:00Z'"),
    };
    let spoil = format!("UPDATE spot_ohlcv SET close = '{nonsense}' WHERE timestamp = {time}");
    assert_eq!(database.execute(&spoil).await, 1);
    // What is kept in memory is read in larger pieces than these.
    for (range, rows) in [
        ("start=2024-10-20T00:00:00Z&end=2024-10-22T00:00:00Z", 4),
        ("start=2024-10-22T12:00:00Z&end=2024-10-24T00:00:00Z&fill=true", 3),
        ("assets=BTC&start=2024-10-22T12:00:00Z&end=2024-10-24T00:00:00Z", 3),
    ] {
        let path = if range.starts_with("assets") { "/api/v1/ohlcv" } else { "/api/v1/ohlcv/BTC" };
        let answer = service.get(&format!("{path}?{range}")).await;
        assert_eq!(answer.status, 200, "{range}: {}", answer.text);
        assert_eq!(answer.text.matches("\"timestamp\"").count(), rows, "{range}: {}", answer.text);
    }
    let answer = service.get("/api/v1/ohlcv/BTC?start=2024-10-22T00:00:00Z&end=2024-10-23T00:00:00Z").await;
    assert_eq!(answer.status, 500, "{}", answer.text);
}
