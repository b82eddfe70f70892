//! PostgreSQL is stopped and started while the service reads, writes and works on a job.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use ohlcv_adapters::store::{PoolConnections, SqlStore, connect};
use ohlcv_domain::{BackfillState, Interval, TimeRange};
use ohlcv_ports::{Clock, Coverage};
use ohlcv_tests::fake_binance::Options;
use ohlcv_tests::http_client;
use ohlcv_tests::postgres::OwnServer;
use ohlcv_tests::process::{Program, said};
use ohlcv_tests::service::{Answer, get};
use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::market::{HALF_DAY, Market, asset, candles};

const KEY: &str = "a-key-of-the-tests-alone";
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Waits until the answer to a GET is of this status.
async fn answered(url: &str, path: &str, status: u16) -> Answer {
    let waiting = Instant::now();
    loop {
        let answer = get(&http_client(), url, path).await;
        if answer.status == status {
            return answer;
        }
        assert!(waiting.elapsed() < WAIT_MAX, "{path}: {} {}", answer.status, answer.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn job(url: &str, id: &str) -> Value {
    let request = http_client().get(format!("{url}/api/v1/jobs/{id}")).header("x-api-key", KEY);
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_away_costs_nothing_but_the_time() {
    let mut server = OwnServer::start().await;
    let now = ohlcv_adapters::SystemClock.now();
    let first = now.saturating_sub(Duration::from_secs(2_950 * 86_400));
    let series = vec![(asset("BTC"), candles(asset("BTC"), HALF_DAY, first, now))];
    let options = Options { latency: Duration::from_millis(300), ..Options::default() };
    let market = Market::of(Interval::H12, series, now, options).await;
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", &server.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC")
        .with("INITIAL_BACKFILL_DAYS", "100")
        .with("LEASE_SECONDS", "3")
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
        .with("API_KEY", KEY);
    let mut running = program.start(&["run"]);
    let url = running.url();
    running.wait_for("BTC: 200 new candles");
    let week = "/api/v1/ohlcv/BTC?limit=14";
    let before = answered(&url, week, 200).await.text;

    let body = r#"{"start_date":"2019-01-01T00:00:00Z","end_date":"2199-01-01T00:00:00Z"}"#;
    let trigger = http_client().post(format!("{url}/api/v1/fetch/trigger")).header("x-api-key", KEY);
    let accepted: Value =
        serde_json::from_str(&trigger.body(body).send().await.unwrap().text().await.unwrap()).unwrap();
    let id = accepted["job_id"].as_str().unwrap().to_owned();
    let pages = market.pages_asked().len();
    while market.pages_asked().len() < pages + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    server.stop().await;
    let stopped = Instant::now();
    let health = answered(&url, "/api/v1/health", 503).await;
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    assert_eq!(health.json()["database"], "disconnected");
    assert_eq!(answered(&url, week, 503).await.json()["code"], "unavailable");
    answered(&url, "/livez", 200).await;
    // Longer than the leases last.
    tokio::time::sleep(Duration::from_secs(4)).await;

    server.start_again().await;
    assert_eq!(answered(&url, "/api/v1/health", 200).await.json()["status"], "healthy");
    assert_eq!(answered(&url, week, 200).await.text, before);
    let waiting = Instant::now();
    let ended = loop {
        let seen = job(&url, &id).await;
        if seen["finished_at"].is_string() {
            break seen;
        }
        assert!(waiting.elapsed() < WAIT_MAX * 2, "{seen:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    let assets = answered(&url, "/api/v1/assets", 200).await.json();
    let closed_until = HALF_DAY.closed_until(now, Duration::from_secs(30));
    let since = TimeRange::new("2019-01-01T00:00:00Z".parse().unwrap(), closed_until).unwrap();
    assert_eq!(assets["assets"][0]["total_candles"], HALF_DAY.slots_in(since).len(), "{assets}");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lets_nobody_in_for_a_while_is_away_and_nothing_worse() {
    let server = OwnServer::start().await;
    let operator = connect(&server.url()).await.unwrap();
    for make in
        ["CREATE DATABASE candles", "CREATE ROLE guest LOGIN IN ROLE pg_read_all_data, pg_write_all_data"]
    {
        operator.execute_unprepared(make).await.unwrap();
    }
    let mut url = reqwest::Url::parse(&server.url()).unwrap();
    url.set_path("candles");
    let owner = connect(url.as_str()).await.unwrap();
    ohlcv_migration::up(&owner).await.unwrap();
    owner.close().await.unwrap();
    url.set_username("guest").unwrap();
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", url.as_str())
        // It may make no tables.
        .with("AUTO_MIGRATE", "false")
        .with("TRACKED_ASSETS", "BTC")
        .with("LISTEN_ADDRESS", "127.0.0.1:0");
    let mut running = program.start(&["serve"]);
    let url = running.url();
    let candles = "/api/v1/ohlcv/BTC";
    let paths = [candles, &format!("{candles}?format=csv"), "/api/v1/assets", "/api/v1/prices?assets=BTC"];
    for (lock, key, told) in [
        ("ALTER ROLE guest NOLOGIN", "ALTER ROLE guest LOGIN", "not permitted to log in"),
        (
            "ALTER DATABASE candles ALLOW_CONNECTIONS false",
            "ALTER DATABASE candles ALLOW_CONNECTIONS true",
            "not currently accepting connections",
        ),
    ] {
        for path in paths {
            answered(&url, path, 200).await;
        }
        operator.execute_unprepared(lock).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'guest'";
        operator.execute_unprepared(end).await.unwrap();
        for path in paths {
            let away = get(&http_client(), &url, path).await;
            let problem = (away.status, away.json()["code"].clone(), away.json()["parameter"].clone());
            assert_eq!(problem, (503, "unavailable".into(), Value::Null), "{lock}: {path}: {}", away.text);
        }
        // Who starts now is told why, and waits for nothing.
        let refused = program.run(&["assets"]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains(told), "{lock}: {}", said(&refused));
        operator.execute_unprepared(key).await.unwrap();
    }
    for path in paths {
        answered(&url, path, 200).await;
    }
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
}

#[tokio::test]
async fn where_a_series_stands_is_told_right_after_the_database_has_ended_all_connections() {
    let server = OwnServer::start().await;
    let [db, operator] = [connect(&server.url()).await.unwrap(), connect(&server.url()).await.unwrap()];
    ohlcv_migration::up(&db).await.unwrap();
    let store = SqlStore::new(db, ohlcv_migration::newest());
    store.record_backfill(asset("BTC"), BackfillState::default(), None).await.unwrap();
    let heads = async || store.heads(&[asset("BTC")]).await.unwrap();
    // At once: each has a connection, and one is kept.
    let (first, second, third) = tokio::join!(heads(), heads(), heads());
    assert_eq!((first.len(), &second, &third), (1, &first, &first));
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    operator.execute_unprepared(end).await.unwrap();
    assert_eq!(heads().await, first);
}

#[tokio::test]
async fn a_connection_that_is_kept_for_the_question_is_closed_when_nobody_asks() {
    let server = OwnServer::start().await;
    let db = connect(&server.url()).await.unwrap();
    ohlcv_migration::up(&db).await.unwrap();
    let store = SqlStore::new(db, ohlcv_migration::newest());
    let until_kept = async |kept: u32| {
        let waiting = Instant::now();
        while store.connections().kept != kept {
            assert!(waiting.elapsed() < WAIT_MAX, "{:?}", store.connections());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    for _ in 0..3 {
        store.heads(&[asset("BTC")]).await.unwrap();
        assert_eq!(store.connections().kept, 1);
    }
    // Nobody but the task that looks after it waits for anything.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(250)).await;
    assert_eq!(store.connections().kept, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    tokio::time::resume();
    until_kept(0).await;
}

#[tokio::test]
async fn each_runtime_that_asks_where_a_series_stands_has_a_connection_of_its_own() {
    let server = OwnServer::start().await;
    let db = connect(&server.url()).await.unwrap();
    ohlcv_migration::up(&db).await.unwrap();
    let store = Arc::new(SqlStore::new(db, ohlcv_migration::newest()));
    store.record_backfill(asset("BTC"), BackfillState::default(), None).await.unwrap();
    let first = store.heads(&[asset("BTC")]).await.unwrap();
    let elsewhere = std::thread::spawn({
        let store = Arc::clone(&store);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { (store.heads(&[asset("BTC")]).await, store.connections().kept) })
        }
    });
    let (heads, kept) = tokio::task::spawn_blocking(|| elsewhere.join().unwrap()).await.unwrap();
    assert_eq!(heads.unwrap(), first);
    assert_eq!(kept, 2);
    // Its runtime is gone by now.
    tokio::time::timeout(WAIT_MAX, store.close()).await.unwrap();
    assert_eq!(store.connections().kept, 0);
}

#[tokio::test]
async fn where_a_series_stands_is_told_also_when_the_database_gives_no_further_connection() {
    let server = OwnServer::start().await;
    let owner = connect(&server.url()).await.unwrap();
    ohlcv_migration::up(&owner).await.unwrap();
    for statement in
        ["CREATE ROLE few LOGIN CONNECTION LIMIT 1", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO few"]
    {
        owner.execute_unprepared(statement).await.unwrap();
    }
    let mut url = reqwest::Url::parse(&server.url()).unwrap();
    url.set_username("few").unwrap();
    // Its pool has the only one.
    let store = SqlStore::new(connect(url.as_str()).await.unwrap(), ohlcv_migration::newest());
    let writer = SqlStore::new(owner, ohlcv_migration::newest());
    writer.record_backfill(asset("BTC"), BackfillState::default(), None).await.unwrap();
    for _ in 0..3 {
        let heads = store.heads(&[asset("BTC")]).await.unwrap();
        assert_eq!(heads.len(), 1);
        let waiting = Instant::now();
        // It goes back to the pool.
        while store.connections() != (PoolConnections { idle: 1, used: 0, kept: 0 }) {
            assert!(waiting.elapsed() < WAIT_MAX, "{:?}", store.connections());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
