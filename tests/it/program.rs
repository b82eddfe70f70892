//! The program as an operator starts it: settings, exit statuses, signals.

use std::time::{Duration, Instant};

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::FakeBinance;
use ohlcv_tests::http_client;
use ohlcv_tests::process::{Program, said};
use ohlcv_tests::service::get;
use sea_orm::{SqliteTransactionMode, TransactionOptions, TransactionTrait};

use crate::market::{HALF_DAY, Market};

/// An address of this machine at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:9";

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv")).with("LISTEN_ADDRESS", "127.0.0.1:0")
}

fn talking_to(exchange: &FakeBinance) -> Program {
    program().with("BINANCE_API_BASE_URL", &exchange.url()).with("BINANCE_REQUEST_DELAY_MS", "0")
}

async fn market(assets: &[&str], days: u32) -> Market {
    let now = ohlcv_ports::Clock::now(&ohlcv_adapters::SystemClock).to_string();
    Market::new(HALF_DAY, assets, &now, days).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_serves_seven_assets_of_two_years_within_ten_seconds() {
    let started = Instant::now();
    let program = program();
    let mut demo = program.start(&["demo"]);
    let url = demo.url();
    let client = http_client();
    loop {
        let assets = get(&client, &url, "/api/v1/assets").await.json()["assets"].clone();
        let complete = |row: &serde_json::Value| row["backfill_completed"] == true;
        let assets = assets.as_array().unwrap();
        if assets.len() == 7 && assets.iter().all(complete) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{assets:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let filled = get(&client, &url, "/api/v1/ohlcv/BTC?limit=10000&fill=true").await.rows();
    assert_eq!(filled.len(), 1460);
    assert!(filled.iter().any(|row| row["filled"] == true), "there is something to fill");
    demo.signal("TERM");
    assert_eq!(demo.wait(), Some(0));
    assert_eq!(std::fs::read_dir(program.folder()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_at_its_defaults_serves_seven_assets_of_two_years_within_ten_seconds() {
    let market = market(&["BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "LINK"], 800).await;
    let started = Instant::now();
    let program = program().with("BINANCE_API_BASE_URL", &market.exchange.url());
    let mut running = program.start(&[]);
    let url = running.url();
    let client = http_client();
    loop {
        let assets = get(&client, &url, "/api/v1/assets").await.json()["assets"].clone();
        if assets.as_array().unwrap().iter().all(|row| row["backfill_completed"] == true) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{assets}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&client, &url, "/api/v1/ohlcv/LINK?limit=10000").await.rows().len(), 1460);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_on_an_empty_database_backfills_and_serves_and_stops_in_time() {
    let market = market(&["BTC", "ETH"], 800).await;
    let program = talking_to(&market.exchange).with("TRACKED_ASSETS", "BTC,ETH");
    let mut running = program.start(&[]);
    let url = running.url();
    running.wait_for("ETH: 1460 new candles");
    let rows = get(&http_client(), &url, "/api/v1/ohlcv/ETH?limit=10000").await.rows();
    assert_eq!(rows.len(), 1460);
    assert!(program.folder().join("ohlcv.db").is_file(), "the embedded default");
    let asked = Instant::now();
    running.signal("INT");
    assert_eq!(running.wait(), Some(0), "{:?}", running.heard());
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_exchange_is_away_stops_in_time_all_the_same() {
    let program = program().with("BINANCE_API_BASE_URL", NOBODY);
    let mut running = program.start(&["run"]);
    let url = running.url();
    assert_eq!(get(&http_client(), &url, "/livez").await.status, 200);
    let asked = Instant::now();
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "requests and waits are abandoned: {:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_that_fails_is_exit_1_and_the_rest_is_done() {
    let market = market(&["BTC"], 200).await;
    let program = talking_to(&market.exchange).with("TRACKED_ASSETS", "NOPE,BTC");
    let output = program.run(&["backfill", "--days", "95"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("NOPEUSDT"), "{}", said(&output));
    assert!(said(&output).contains("BTC: 190 new candles"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_refuses_the_location_names_the_way_out() {
    let market = market(&["BTC"], 5).await;
    market.exchange.inject_on(
        ohlcv_tests::fake_binance::Target::Any,
        ohlcv_tests::fake_binance::Fault::Blocked,
        100,
    );
    let output = talking_to(&market.exchange).with("TRACKED_ASSETS", "BTC").run(&["backfill"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("https://data-api.binance.vision"), "{}", said(&output));
}

#[test]
fn a_wrong_setting_is_exit_2_and_says_what_was_wrong_and_what_is_allowed() {
    let cases = [
        ("DATABASE_URL", "mysql://root@localhost/x", "sqlite://"),
        ("DATABASE_URL", "", "DATABASE_URL"),
        ("DATABASE_URL", "sqlite://x.db?foo=bar", "unknown query parameter `foo`"),
        ("DATABASE_URL", "postgresql://h/db?sslmode=foo", "unknown value \"foo\" for `ssl_mode`"),
        ("BINANCE_API_BASE_URL", "api.binance.com", "http"),
        ("BINANCE_API_BASE_URL", "ftp://api.binance.com", "ftp"),
        ("BINANCE_API_BASE_URL", "https://xn--a", "the base address \"https://xn--a\""),
        ("BINANCE_RATE_LIMIT_REQUESTS_PER_MINUTE", "0", "6000"),
        ("BINANCE_RATE_LIMIT_REQUESTS_PER_MINUTE", "6001", "6000"),
        ("BINANCE_REQUEST_DELAY_MS", "-1", "-1"),
        ("BINANCE_REQUEST_DELAY_MS", "100ms", "100ms"),
        ("BINANCE_MAX_CONCURRENT_REQUESTS", "0", "1 to 100"),
        ("QUOTE_ASSET", "US-DT", "US-DT"),
        ("CANDLE_INTERVAL", "12H", "12h"),
        ("CANDLE_INTERVAL", "60m", "1h"),
        ("TRACKED_ASSETS", "BTC,BTC", "BTC"),
        ("TRACKED_ASSETS", "BTC;ETH", "BTC;ETH"),
        ("TRACKED_ASSETS", "", "TRACKED_ASSETS"),
        ("FETCH_INTERVAL_HOURS", "0", "FETCH_INTERVAL_HOURS"),
        ("FETCH_INTERVAL_HOURS", "often", "often"),
        ("FINALITY_GRACE_SECONDS", "3601", "3600"),
        ("INITIAL_BACKFILL_DAYS", "0", "1 to 36500"),
        ("MIN_BACKFILL_DAYS", "731", "INITIAL_BACKFILL_DAYS"),
        ("LISTEN_ADDRESS", "8000", "127.0.0.1:8000"),
        ("CORS_ALLOWED_ORIGINS", "example.org", "example.org"),
        ("LOG_LEVEL", "LOUD", "LOUD"),
        ("LOG_FORMAT", "xml", "json"),
        ("AUTO_MIGRATE", "maybe", "true"),
    ];
    for (name, value, told) in cases {
        let output = program().with(name, value).run(&["serve"]);
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {}", said(&output));
        let text = said(&output);
        assert!(text.contains(name) && text.contains(told), "{name}={value}: {text}");
    }
}

#[test]
fn all_wrong_settings_are_told_together_and_no_password_among_them() {
    let program = program()
        .with("LOG_LEVEL", "LOUD")
        .with("CANDLE_INTERVAL", "10m")
        .with("DATABASE_URL", "mysql://root:s3cret@localhost/x")
        .with("TRACKED_ASSETS", "B TC");
    let output = program.run(&["backfill"]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    for told in ["LOG_LEVEL", "CANDLE_INTERVAL", "DATABASE_URL", "TRACKED_ASSETS"] {
        assert!(text.contains(told), "{text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    for line in
        [&["fetch"][..], &["backfill", "--days", "0"], &["backfill", "--asset", "B/C"], &["run", "--force"]]
    {
        let output = program().run(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {}", said(&output));
    }
}

#[test]
fn a_setting_in_a_file_counts_below_the_environment_and_above_the_default() {
    let program = program().with("LOG_FORMAT", "xml");
    std::fs::write(program.folder().join("ohlcv.toml"), "log_format = \"yaml\"\nlog_level = \"LOUD\"\n")
        .unwrap();
    std::fs::write(program.folder().join(".env"), "LOG_LEVEL=SHRILL\n").unwrap();
    let text = said(&program.run(&["serve"]));
    assert!(text.contains("xml") && !text.contains("yaml"), "{text}");
    assert!(text.contains("SHRILL") && !text.contains("LOUD"), "{text}");
}

#[test]
fn the_openapi_document_is_printed_without_any_setting() {
    let output = program().with("DATABASE_URL", "nonsense").run(&["openapi"]);
    assert_eq!(output.status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["paths"]["/api/v1/ohlcv/{asset}"]["get"].is_object());
}

ohlcv_tests::on_each_database!(
    migrate_brings_the_schema_up_and_says_so,
    without_auto_migrate_a_start_on_an_old_schema_is_refused,
    a_database_of_another_interval_or_quote_is_refused,
);

async fn migrate_brings_the_schema_up_and_says_so(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let program = program().with("DATABASE_URL", database.url());
    let told = |arguments: &[&str]| {
        let output = program.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        said(&output)
    };
    let status = told(&["migrate", "status"]);
    assert!(status.contains("applied: none\npending: m2026"), "{status}");
    assert!(told(&["migrate"]).contains("applied: m2026"));
    assert!(told(&["migrate", "up"]).contains("is current"));
    let status = told(&["migrate", "status"]);
    assert!(status.contains("applied: m2026") && status.contains("pending: none"), "{status}");
}

async fn without_auto_migrate_a_start_on_an_old_schema_is_refused(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let program = program().with("DATABASE_URL", database.url()).with("AUTO_MIGRATE", "false");
    let output = program.run(&["serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("ohlcv migrate"), "{}", said(&output));
    assert_eq!(program.run(&["migrate"]).status.code(), Some(0));
    let mut running = program.start(&["serve"]);
    let url = running.url();
    assert_eq!(get(&http_client(), &url, "/readyz").await.status, 200);
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
}

async fn a_database_of_another_interval_or_quote_is_refused(backend: Backend) {
    let market = market(&["BTC"], 100).await;
    let database = TestDatabase::new(backend).await;
    let program =
        || talking_to(&market.exchange).with("DATABASE_URL", database.url()).with("TRACKED_ASSETS", "BTC");
    assert_eq!(program().run(&["backfill", "--days", "5"]).status.code(), Some(0));
    for (name, value) in [("CANDLE_INTERVAL", "1h"), ("QUOTE_ASSET", "EUR")] {
        for command in ["run", "serve", "schedule", "backfill"] {
            let output = program().with(name, value).run(&[command]);
            assert_eq!(output.status.code(), Some(2), "{command}: {}", said(&output));
            assert!(said(&output).contains(name), "{}", said(&output));
        }
    }
}

#[test]
fn a_database_that_is_not_there_is_exit_1_and_named_without_its_password() {
    let program = program().with("DATABASE_URL", "postgresql://me:s3cret@127.0.0.1:9/candles");
    let output = program.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("127.0.0.1:9/candles"), "{text}");
    assert!(text.contains("no connection came within 5 s: does the server run at 127.0.0.1:9?"), "{text}");
    assert_eq!(text.matches("no connection").count(), 1, "told once: {text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn looking_at_the_schema_makes_no_file() {
    let program = program().with("AUTO_MIGRATE", "false");
    assert_eq!(program.run(&["migrate", "status"]).status.code(), Some(0));
    let output = program.run(&["serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("no file ohlcv.db: run `ohlcv migrate`"), "{}", said(&output));
    assert_eq!(std::fs::read_dir(program.folder()).unwrap().count(), 0);
}

#[test]
fn assets_on_the_command_line_are_checked_as_those_in_the_settings() {
    for (asset, told) in [("USDT", "USDT is QUOTE_ASSET itself"), ("btcusdt", "write the asset alone, BTC")] {
        let program = program();
        let output = program.run(&["backfill", "--asset", asset]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(told), "{}", said(&output));
        assert_eq!(std::fs::read_dir(program.folder()).unwrap().count(), 0, "nothing was opened");
    }
}

#[test]
fn a_demo_in_a_database_of_somebodys_own_is_refused() {
    let output = program().run(&["demo", "--database-url", "sqlite://mine.db?mode=rwc"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("demo, which keeps nothing"), "{}", said(&output));
}

#[test]
fn a_mistyped_setting_in_the_env_file_is_warned_of() {
    let program = program().with("AUTO_MIGRATE", "false");
    std::fs::write(program.folder().join(".env"), "TRACKED_ASETS=BTC\n").unwrap();
    let text = said(&program.run(&["serve"]));
    assert!(text.contains("TRACKED_ASETS") && text.contains("TRACKED_ASSETS"), "{text}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let program = program();
    for command in ["migrate", "migrate status", "openapi"] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ohlcv"))
            .args(command.split(' '))
            .current_dir(program.folder())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_waits_for_the_database_can_be_stopped() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let other = database.connect().await;
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let lock = other.begin_with_options(immediate).await.unwrap();
    for (command, status) in [("serve", 0), ("backfill", 143)] {
        let program = program().with("DATABASE_URL", database.url());
        let mut running = program.start(&[command]);
        running.wait_for("opening the database");
        // Long enough that it waits for the lock; too short only means that it waits for less.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked = Instant::now();
        running.signal("TERM");
        assert_eq!(running.wait(), Some(status), "{command}: {:?}", running.heard());
        assert!(asked.elapsed() < Duration::from_secs(10), "{command}: {:?}", asked.elapsed());
    }
    lock.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_merges_the_write_ahead_log_into_the_file() {
    let market = market(&["BTC"], 100).await;
    let program = talking_to(&market.exchange).with("TRACKED_ASSETS", "BTC");
    let is_merged = |after: &str| {
        let log = std::fs::metadata(program.folder().join("ohlcv.db-wal"));
        assert_eq!(log.map_or(0, |log| log.len()), 0, "after {after}");
    };
    assert_eq!(program.run(&["migrate"]).status.code(), Some(0));
    is_merged("migrate");
    assert_eq!(program.run(&["backfill"]).status.code(), Some(0));
    is_merged("backfill");
    for command in ["serve", "run"] {
        let mut running = program.start(&[command]);
        let url = running.url();
        assert_eq!(get(&http_client(), &url, "/readyz").await.status, 200);
        running.signal("TERM");
        assert_eq!(running.wait(), Some(0));
        is_merged(command);
    }
}
