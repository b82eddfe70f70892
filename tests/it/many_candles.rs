//! What costs the same however many candles are stored.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::{Duration, Instant};

use ohlcv_domain::{Grid, Interval};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::service::Service;

use crate::market::{HALF_DAY, Market, NOON, at};

ohlcv_tests::on_each_database!(
    the_list_of_assets_reads_no_candles,
    the_list_of_assets_takes_as_long_with_many_candles_as_with_few,
);

const ASSETS: &str = "/api/v1/assets";
const FEW: u64 = 5_000;
/// How many are many; `OHLCV_MANY_CANDLES` says otherwise.
const MANY: u64 = 500_000;
/// How often each list is asked for; what the fastest tenth takes is compared.
const REQUESTS: usize = 400;

/// Takes the table of candles away, so that whoever reads it fails.
async fn the_list_of_assets_reads_no_candles(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    assert!(!service.backfill().await.has_failures());
    let before = service.get(ASSETS).await;
    assert_eq!((before.status, &before.json()["assets"][0]["total_candles"]), (200, &190.into()));
    database.execute("ALTER TABLE spot_ohlcv RENAME TO away").await;
    assert_eq!(service.get("/api/v1/ohlcv/BTC").await.status, 500);
    assert_eq!(service.get(ASSETS).await.text, before.text);
    assert_eq!(service.get("/api/v1/assets/BTC/gaps").await.status, 200);
    assert!(!service.catch_up().await.has_failures());
}

/// A service over so many one-minute candles of BTC, written by the database itself.
async fn with_candles(market: &Market, database: &TestDatabase, backend: Backend, candles: u64) -> Service {
    let given = [("CANDLE_INTERVAL", "1m"), ("LOG_LEVEL", "WARN")];
    let service = market.service(database, &given).await;
    let end = Grid::new(Interval::M1).floor(at(NOON)).millis();
    let start = end - i64::try_from(candles).unwrap() * 60_000;
    let (numbers, time) = match backend {
        Backend::Sqlite => (
            format!(
                "WITH RECURSIVE minute(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM minute WHERE n < {candles} - 1)"
            ),
            format!("{start} + n * 60000"),
        ),
        Backend::Postgres => (
            format!("WITH minute AS (SELECT n FROM generate_series(CAST(0 AS BIGINT), {candles} - 1) AS n)"),
            format!("TO_TIMESTAMP(({start} + n * 60000) / 1000)"),
        ),
    };
    let price = match backend {
        Backend::Sqlite => "'1.00000000'",
        Backend::Postgres => "1",
    };
    let written = database
        .execute(&format!(
            "{numbers} INSERT INTO spot_ohlcv (asset, timestamp, open, high, low, close, volume)
            SELECT 'BTC', {time}, {price}, {price}, {price}, {price}, {price} FROM minute"
        ))
        .await;
    assert_eq!(written, candles);
    let last = end - 60_000;
    database
        .execute(&format!(
            "INSERT INTO series (asset, span_start_ms, span_end_ms, answered_until_ms, listing_ms, first_ms, last_ms,
                candles, change_seq, backfill_reason)
            VALUES ('BTC', {start}, {end}, {end}, {start}, {start}, {last}, {candles}, 0, '')"
        ))
        .await;
    service
}

async fn took(service: &Service, candles: u64) -> Duration {
    let started = Instant::now();
    let answer = service.get(ASSETS).await;
    let took = started.elapsed();
    assert_eq!(answer.json()["assets"][0]["total_candles"], candles);
    took
}

/// What the fastest tenth of these takes at most: what else the machine does is not in it.
fn usual(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 10]
}

async fn the_list_of_assets_takes_as_long_with_many_candles_as_with_few(backend: Backend) {
    let many = std::env::var("OHLCV_MANY_CANDLES").map_or(MANY, |many| many.parse().unwrap());
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let databases = [TestDatabase::new(backend).await, TestDatabase::new(backend).await];
    let few = with_candles(&market, &databases[0], backend, FEW).await;
    let lots = with_candles(&market, &databases[1], backend, many).await;
    let (mut of_few, mut of_lots) = (Vec::new(), Vec::new());
    // In turn, so that both meet the same machine.
    for _ in 0..REQUESTS {
        of_few.push(took(&few, FEW).await);
        of_lots.push(took(&lots, many).await);
    }
    let (few, lots) = (usual(of_few), usual(of_lots));
    println!("{FEW} candles: {few:?}; {many} candles: {lots:?}");
    assert!(lots <= few.mul_f64(1.2), "{lots:?} with {many} candles, {few:?} with {FEW}");
}
