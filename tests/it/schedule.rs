//! The scheduler looks when candles close, not some hours later.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ohlcv::scheduler;
use ohlcv_domain::Interval;
use ohlcv_ports::testing::ScriptedSource;
use ohlcv_ports::{CandleSource, Clock};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::{FakeBinance, FakeClock, Fault, Options};
use ohlcv_tests::service::Service;
use tokio_util::sync::CancellationToken;

use crate::market::{HALF_DAY, asset, at, candles};

/// How long a test waits for what should take two or three seconds.
const WAIT_MAX: Duration = Duration::from_secs(55);

/// Starts a scheduler two seconds before a 12h candle closes, with a grace of one second and the
/// local clock off by so much; returns how long after the close the candle was served.
async fn served_after_close(local_off_by_millis: i64, lag: Duration) -> Duration {
    let start = at("2024-11-06T11:59:58Z");
    let clock = Arc::new(FakeClock::running_from(start));
    let source = Arc::new(ScriptedSource::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let btc = asset("BTC");
    source.add(
        btc,
        Interval::H12,
        candles(btc, HALF_DAY, at("2024-07-01T00:00:00Z"), at("2024-11-20T00:00:00Z")),
    );
    let shown = Arc::clone(&source) as Arc<dyn CandleSource>;
    let options = Options { lag, ..Options::default() };
    let exchange = FakeBinance::start_with(shown, Arc::clone(&clock), options).await;
    let local = Arc::new(FakeClock::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let off_by = Duration::from_millis(local_off_by_millis.unsigned_abs());
    if local_off_by_millis < 0 {
        local.rewind(off_by)
    } else {
        local.advance(off_by)
    }

    let database = TestDatabase::new(Backend::Sqlite).await;
    let given = [("INITIAL_BACKFILL_DAYS", "95"), ("FINALITY_GRACE_SECONDS", "1")];
    let service = Service::start(&database, &exchange, local, &given).await;
    let stop = CancellationToken::new();
    let (app, token) = (service.app.clone(), stop.clone());
    let running = tokio::spawn(async move { scheduler::run(&app, &token, Arc::new(|_| {}), || {}).await });

    let waiting = Instant::now();
    loop {
        let newest = service.get("/api/v1/ohlcv/BTC?limit=1").await.rows();
        if newest.first().is_some_and(|row| row["timestamp"] == "2024-11-06T00:00:00Z") {
            break;
        }
        assert!(waiting.elapsed() < WAIT_MAX, "not served: {newest:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let served = clock.now().since(at("2024-11-06T12:00:00Z"));
    stop.cancel();
    running.await.unwrap();
    served
}

#[tokio::test]
async fn a_closed_candle_is_served_right_after_its_grace() {
    let served = served_after_close(0, Duration::ZERO).await;
    assert!((Duration::from_secs(1)..Duration::from_secs(12)).contains(&served), "{served:?}");
}

#[tokio::test]
async fn a_local_clock_that_is_off_makes_no_difference() {
    let (fast, slow) = tokio::join!(
        served_after_close(600_000, Duration::ZERO),
        served_after_close(-600_000, Duration::ZERO)
    );
    for served in [fast, slow] {
        assert!((Duration::from_secs(1)..Duration::from_secs(12)).contains(&served), "{served:?}");
    }
}

#[tokio::test]
async fn a_candle_that_the_exchange_shows_late_is_served_when_it_comes() {
    // It comes ten seconds after the close; the look after the grace was in vain.
    let late = Duration::from_secs(10);
    let served = served_after_close(0, late).await;
    assert!((late..Duration::from_secs(50)).contains(&served), "{served:?}");
}

#[tokio::test]
async fn a_candle_that_closes_during_a_slow_run_is_not_left_to_the_next_close() {
    let start = at("2024-11-06T11:59:59Z");
    let clock = Arc::new(FakeClock::running_from(start));
    let source = Arc::new(ScriptedSource::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let btc = asset("BTC");
    let series = candles(btc, HALF_DAY, at("2024-07-01T00:00:00Z"), at("2024-11-20T00:00:00Z"));
    source.add(btc, Interval::H12, series);
    let shown = Arc::clone(&source) as Arc<dyn CandleSource>;
    let options = Options { latency: Duration::from_millis(1_500), ..Options::default() };
    let exchange = FakeBinance::start_with(shown, Arc::clone(&clock), options).await;
    let database = TestDatabase::new(Backend::Sqlite).await;
    let given = [("INITIAL_BACKFILL_DAYS", "95"), ("FINALITY_GRACE_SECONDS", "1")];
    let service = Service::start(&database, &exchange, Arc::clone(&clock) as Arc<dyn Clock>, &given).await;
    keep_up_until(&service, "2024-11-06T00:00:00Z").await;
    assert!(clock.now().since(at("2024-11-06T12:00:00Z")) < Duration::from_secs(25));
}

/// Runs a scheduler until the newest candle served is the wanted one.
async fn keep_up_until(service: &Service, newest: &str) {
    let stop = CancellationToken::new();
    let (app, token) = (service.app.clone(), stop.clone());
    let running = tokio::spawn(async move { scheduler::run(&app, &token, Arc::new(|_| {}), || {}).await });
    let waiting = Instant::now();
    loop {
        let rows = service.get("/api/v1/ohlcv/BTC?limit=1").await.rows();
        if rows.first().is_some_and(|row| row["timestamp"] == newest) {
            break;
        }
        assert!(waiting.elapsed() < WAIT_MAX, "not served: {rows:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_page_that_failed_is_fetched_long_before_the_next_close_and_completes_the_history() {
    let clock = Arc::new(FakeClock::running_from(at("2024-11-06T13:00:00Z")));
    let source = Arc::new(ScriptedSource::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let btc = asset("BTC");
    let series = candles(btc, HALF_DAY, at("2020-01-01T00:00:00Z"), at("2024-11-20T00:00:00Z"));
    source.add(btc, Interval::H12, series);
    let shown = Arc::clone(&source) as Arc<dyn CandleSource>;
    let exchange = FakeBinance::start(shown, Arc::clone(&clock)).await;
    let database = TestDatabase::new(Backend::Sqlite).await;
    let service = Service::start(&database, &exchange, Arc::clone(&clock) as Arc<dyn Clock>, &[]).await;
    // The listing is answered, the first page of the history is refused.
    exchange.inject(Fault::edit_rows(|_| {}), 1);
    exchange.inject(
        Fault::Json { status: 400, code: -1130, message: "Data sent for parameter 'x' is not valid." },
        1,
    );
    let stop = CancellationToken::new();
    let (app, token) = (service.app.clone(), stop.clone());
    let running = tokio::spawn(async move { scheduler::run(&app, &token, Arc::new(|_| {}), || {}).await });
    let complete =
        || async { service.get("/api/v1/assets").await.json()["assets"][0]["backfill_completed"] == true };
    let waiting = Instant::now();
    while !complete().await {
        // Hours pass within seconds, but none of them is a close.
        if clock.now() < at("2024-11-06T20:00:00Z") {
            clock.advance(Duration::from_secs(30));
        }
        assert!(waiting.elapsed() < Duration::from_secs(60), "{}", service.get("/api/v1/assets").await.text);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(database.dump().await.len(), 1460);
}
