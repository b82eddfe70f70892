//! What a monitor sees of the program.

use std::time::{Duration, Instant};

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::http_client;
use ohlcv_tests::process::Program;
use ohlcv_tests::service::get;
use ohlcv_tests::{Samples, fake_binance::Fault};

use crate::market::{HALF_DAY, Market};

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(30);
/// Every metric that a service which fetches and serves has by itself.
const ALWAYS: [&str; 15] = [
    "ohlcv_asset_lag_candles",
    "ohlcv_build_info",
    "ohlcv_candles_rejected_total",
    "ohlcv_candles_written_total",
    "ohlcv_database_connections",
    "ohlcv_database_size_bytes",
    "ohlcv_database_up",
    "ohlcv_http_request_duration_seconds_bucket",
    "ohlcv_http_request_duration_seconds_count",
    "ohlcv_http_request_duration_seconds_sum",
    "ohlcv_http_requests_in_flight",
    "ohlcv_http_requests_shed_total",
    "ohlcv_http_requests_total",
    "ohlcv_open_holes",
    "ohlcv_scheduler_leader",
];

ohlcv_tests::on_each_database!(a_backfill_is_seen_in_the_metrics, a_scheduler_alone_shows_metrics_and_probes);

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv")).with("LISTEN_ADDRESS", "127.0.0.1:0")
}

async fn samples(url: &str) -> Samples {
    let answer = get(&http_client(), url, "/metrics").await;
    assert_eq!(
        (answer.status, answer.content_type.as_str()),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    Samples::of(&answer.text)
}

/// The samples as soon as they are as wanted.
async fn samples_when(url: &str, wanted: impl Fn(&Samples) -> bool) -> Samples {
    let started = Instant::now();
    loop {
        let seen = samples(url).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "{seen:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn lag(samples: &Samples) -> Option<f64> {
    samples.sum("ohlcv_asset_lag_candles", &[])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_shows_every_metric() {
    let program = program();
    let mut demo = program.start(&["demo"]);
    let url = demo.url();
    get(&http_client(), &url, "/api/v1/assets").await;
    let seen = samples_when(&url, |seen| lag(seen) == Some(0.0)).await;
    for name in ALWAYS {
        assert!(seen.names().contains(name), "{name}: {:?}", seen.names());
    }
    let value = |name: &str, labels: &[(&str, &str)]| seen.sum(name, labels).unwrap_or(-1.0);
    assert_eq!(value("ohlcv_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(value("ohlcv_database_up", &[]), 1.0);
    assert_eq!(value("ohlcv_scheduler_leader", &[]), 1.0);
    assert_eq!(value("ohlcv_http_requests_shed_total", &[]), 0.0);
    assert_eq!(value("ohlcv_http_requests_in_flight", &[]), 1.0, "the one that asks");
    assert!(value("ohlcv_candles_written_total", &[("change", "new")]) > 7.0 * 1_400.0);
    assert_eq!(value("ohlcv_candles_written_total", &[("change", "changed")]), 0.0);
    assert!(value("ohlcv_open_holes", &[("cause", "source_empty")]) >= 7.0, "the maintenance");
    assert_eq!(value("ohlcv_open_holes", &[("cause", "failed")]), 0.0);
    assert!(value("ohlcv_database_size_bytes", &[]) > 500_000.0);
    let connections = value("ohlcv_database_connections", &[]);
    assert!((1.0..=27.0).contains(&connections), "{connections}");
    let route = ("route", "/api/v1/assets");
    assert_eq!(value("ohlcv_http_requests_total", &[route, ("method", "GET"), ("status", "200")]), 1.0);
    assert_eq!(value("ohlcv_http_request_duration_seconds_bucket", &[route, ("le", "+Inf")]), 1.0);
    for asset in ["BTC", "LINK"] {
        assert_eq!(value("ohlcv_asset_lag_candles", &[("asset", asset)]), 0.0);
    }
}

async fn a_backfill_is_seen_in_the_metrics(backend: Backend) {
    let now = ohlcv_ports::Clock::now(&ohlcv_adapters::SystemClock).to_string();
    let market = Market::new(HALF_DAY, &["BTC", "ETH"], &now, 800).await;
    let database = TestDatabase::new(backend).await;
    let program = program()
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("BINANCE_MAX_CONCURRENT_REQUESTS", "1")
        .with("TRACKED_ASSETS", "BTC,ETH");
    // A serving process sees what others do, and that nobody has begun yet.
    let mut serving = program.start(&["serve"]);
    let served = serving.url();
    let before = samples(&served).await;
    assert_eq!(before.sum("ohlcv_asset_lag_candles", &[("asset", "ETH")]), Some(1_460.0));
    assert_eq!(before.sum("ohlcv_scheduler_leader", &[]), Some(0.0));
    // The listing is answered, the first row of the first page is impossible.
    market.exchange.inject(Fault::edit_rows(|_| {}), 1);
    market.exchange.inject(
        Fault::edit_rows(|rows| {
            if let Some(row) = rows.first_mut() {
                row[2] = "-1".into();
            }
        }),
        1,
    );
    let mut running = program.start(&["run"]);
    let url = running.url();
    let seen = samples_when(&url, |seen| lag(seen) == Some(0.0)).await;
    let written = seen.sum("ohlcv_candles_written_total", &[("change", "new")]);
    assert_eq!(written, Some(2.0 * 1_460.0 - 1.0));
    assert_eq!(seen.sum("ohlcv_candles_rejected_total", &[]), Some(1.0));
    assert_eq!(seen.sum("ohlcv_open_holes", &[("cause", "rejected")]), Some(1.0));
    assert_eq!(seen.sum("ohlcv_scheduler_leader", &[]), Some(1.0));
    let after = samples_when(&served, |seen| lag(seen) == Some(0.0)).await;
    assert_eq!(after.sum("ohlcv_candles_written_total", &[]), Some(0.0), "another process wrote them");
    assert_eq!(after.sum("ohlcv_scheduler_leader", &[]), Some(0.0));
}

async fn a_scheduler_alone_shows_metrics_and_probes(backend: Backend) {
    let now = ohlcv_ports::Clock::now(&ohlcv_adapters::SystemClock).to_string();
    let market = Market::new(HALF_DAY, &["BTC"], &now, 100).await;
    let database = TestDatabase::new(backend).await;
    let program = program()
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC")
        .with("METRICS_LISTEN_ADDRESS", "127.0.0.1:0");
    let mut leader = program.start(&["schedule"]);
    let leading = leader.metrics_url();
    samples_when(&leading, |seen| seen.sum("ohlcv_scheduler_leader", &[]) == Some(1.0)).await;
    let mut other = program.start(&["schedule"]);
    let standing_by = other.metrics_url();
    other.wait_for("stands by");
    assert_eq!(samples(&standing_by).await.sum("ohlcv_scheduler_leader", &[]), Some(0.0));
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(&http_client(), &standing_by, path).await.status, 200, "{path}");
    }
    assert_eq!(get(&http_client(), &standing_by, "/api/v1/assets").await.status, 404);
    let seen = samples_when(&leading, |seen| lag(seen) == Some(0.0)).await;
    assert!(seen.sum("ohlcv_candles_written_total", &[("change", "new")]) > Some(190.0));
    leader.signal("TERM");
    assert_eq!(leader.wait(), Some(0));
    samples_when(&standing_by, |seen| seen.sum("ohlcv_scheduler_leader", &[]) == Some(1.0)).await;
    other.signal("TERM");
    assert_eq!(other.wait(), Some(0));
}

#[test]
fn a_scheduler_whose_address_is_taken_says_which_setting_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program().with("METRICS_LISTEN_ADDRESS", &address).run(&["schedule"]);
    assert_eq!(output.status.code(), Some(1));
    let text = ohlcv_tests::process::said(&output);
    assert!(text.contains(&format!("METRICS_LISTEN_ADDRESS={address}")), "{text}");
}

ohlcv_tests::on_postgres! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_its_database_a_service_still_shows_what_it_knows() {
        let mut database = TestDatabase::new(Backend::Postgres).await;
        let wire = crate::wire::Wire::before(&mut database).await;
        let program = program().with("DATABASE_URL", database.url());
        let mut running = program.start(&["serve"]);
        let url = running.url();
        assert_eq!(samples(&url).await.sum("ohlcv_database_up", &[]), Some(1.0));
        wire.cut();
        let asked = Instant::now();
        let away = samples_when(&url, |seen| seen.sum("ohlcv_database_up", &[]) == Some(0.0)).await;
        assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
        for name in ["ohlcv_build_info", "ohlcv_http_requests_total", "ohlcv_database_connections"] {
            assert!(away.names().contains(name), "{name}");
        }
    }
}
