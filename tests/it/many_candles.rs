//! What costs the same however many candles are stored.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::{Duration, Instant};

use ohlcv_domain::{Grid, Interval, Timestamp};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::service::Service;

use crate::market::{HALF_DAY, Market, NOON, at};

ohlcv_tests::on_each_database!(
    the_list_of_assets_reads_no_candles,
    what_is_asked_for_often_takes_as_long_with_many_candles_as_with_few,
);

const ASSETS: &str = "/api/v1/assets";
const FEW: u64 = 5_000;
/// How many are many; `OHLCV_MANY_CANDLES` says otherwise.
const MANY: u64 = 500_000;
/// How often each is done; what the fastest tenth takes is compared.
const ROUNDS: usize = 300;
/// How often all of that is done if one is slower than the other.
const SERIES_MAX: usize = 3;

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
pub(crate) async fn with_candles(
    market: &Market,
    database: &TestDatabase,
    backend: Backend,
    candles: u64,
) -> Service {
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

/// The same, and up to where they go.
pub(crate) async fn minutes_until(
    market: &Market,
    database: &TestDatabase,
    backend: Backend,
    candles: u64,
) -> (Service, Timestamp) {
    (with_candles(market, database, backend, candles).await, Grid::new(Interval::M1).floor(at(NOON)))
}

/// What is timed of a service over so many candles.
#[derive(Clone, Copy, Debug)]
enum Timed {
    ListOfAssets,
    CatchUpWithNothingNew,
    CandlesAsOfNow,
}

async fn took(timed: Timed, service: &Service, candles: u64) -> Duration {
    let started = Instant::now();
    match timed {
        Timed::ListOfAssets => {
            let answer = service.get(ASSETS).await;
            assert_eq!(answer.json()["assets"][0]["total_candles"], candles);
        }
        Timed::CatchUpWithNothingNew => {
            let report = service.catch_up().await;
            assert!(!report.has_failures() && report.assets.iter().all(|asset| asset.gains.stored.new == 0));
        }
        Timed::CandlesAsOfNow => {
            let answer = service.get(&format!("/api/v1/ohlcv/BTC?as_of={NOON}&limit=10")).await;
            assert_eq!(answer.json()["count"], 10);
        }
    }
    started.elapsed()
}

/// What the fastest tenth of these takes at most: what else the machine does is not in it.
fn usual(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 10]
}

async fn what_is_asked_for_often_takes_as_long_with_many_candles_as_with_few(backend: Backend) {
    let many = std::env::var("OHLCV_MANY_CANDLES").map_or(MANY, |many| many.parse().unwrap());
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let databases = [TestDatabase::new(backend).await, TestDatabase::new(backend).await];
    let few = with_candles(&market, &databases[0], backend, FEW).await;
    let lots = with_candles(&market, &databases[1], backend, many).await;
    for timed in [Timed::ListOfAssets, Timed::CatchUpWithNothingNew, Timed::CandlesAsOfNow] {
        let mut measured = Vec::new();
        // What else the machine does comes and goes; what grows with the candles shows each time.
        while measured.len() < SERIES_MAX {
            let (mut of_few, mut of_lots) = (Vec::new(), Vec::new());
            // In turn, so that both meet the same machine.
            for _ in 0..ROUNDS {
                of_few.push(took(timed, &few, FEW).await);
                of_lots.push(took(timed, &lots, many).await);
            }
            let (few, lots) = (usual(of_few), usual(of_lots));
            println!("{timed:?}: {FEW} candles: {few:?}; {many} candles: {lots:?}");
            measured.push((few, lots));
            if lots <= few.mul_f64(1.2) {
                break;
            }
        }
        let as_fast = measured.iter().any(|(few, lots)| *lots <= few.mul_f64(1.2));
        assert!(as_fast, "{timed:?}: with {FEW} and with {many} candles: {measured:?}");
    }
}
