//! What others see, pinned in files.
//!
//! If a change is meant: `INSTA_UPDATE=always cargo test -p ohlcv --test it pinned`, then read the
//! difference and write it into the CHANGELOG.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ohlcv::http::{CorsOrigins, DATABASE_REQUESTS_MAX, HttpParts, endpoint, openapi_document};
use ohlcv::monitoring::Metrics;
use ohlcv::settings::VARIABLES;
use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::Interval;
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Clock, Coverage};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_usecases::{ListAssets, Monitor, MonitorPolicy, QueryCandles};
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem::test::TestClient;
use serde_json::Value;

use crate::market::{asset, at};

/// At least one request for every problem that a client can cause: method, URL, length of its body.
const WRONG: [(Method, &str, u32); 15] = [
    (Method::GET, "/api/v1/ohlcv/BTC?limit=0", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?start=yesterday", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?fill=maybe", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?fields=open", 0),
    (Method::GET, "/api/v1/ohlcv/BTC-USD", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?limt=5", 0),
    (Method::GET, "/api/v1/assets?asset=BTC", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?limit=1&limit=2", 0),
    (Method::GET, "/api/v1/ohlcv/BTC%2", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?start=2024-11-02T00:00:00Z&end=2024-11-01T00:00:00Z", 0),
    (Method::GET, "/api/v1/ohlcv/DOGE", 0),
    (Method::GET, "/api/v1/ohlcv/BTCUSDT", 0),
    (Method::GET, "/api/v2/assets", 0),
    (Method::DELETE, "/api/v1/assets", 0),
    (Method::GET, "/api/v1/assets", 1_000_000),
];
/// What is asked of a service whose database is of no use to it.
const READING: [&str; 2] = ["/readyz", "/api/v1/assets"];
/// The code for what the framework may refuse one day; nothing that it refuses today has it.
const UNSEEN: &str = "bad_request";

/// Compares a text with the file of that name.
fn pinned(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(
        "If the change is meant: INSTA_UPDATE=always cargo test -p ohlcv --test it pinned; CHANGELOG",
    );
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn client(candles: Arc<dyn CandleStore>, coverage: Arc<dyn Coverage>) -> TestClient<BoxEndpoint<'static>> {
    client_with_room(DATABASE_REQUESTS_MAX, candles, coverage)
}

/// A client of a service that lets so many requests use the database at once.
fn client_with_room(
    database_requests_max: usize,
    candles: Arc<dyn CandleStore>,
    coverage: Arc<dyn Coverage>,
) -> TestClient<BoxEndpoint<'static>> {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new(at("2024-11-08T12:00:00Z")));
    let policy = MonitorPolicy { interval: Interval::H12, grace: Duration::ZERO, days: 730 };
    let tracked = vec![asset("BTC"), asset("ETH")];
    let query =
        QueryCandles::new(Arc::clone(&candles), Arc::clone(&coverage), Interval::H12, tracked.clone());
    let monitor = Monitor::new(Arc::clone(&coverage), Arc::clone(&clock), tracked.clone(), policy);
    TestClient::new(endpoint(HttpParts {
        query,
        assets: ListAssets::new(coverage, tracked.clone()),
        store: candles,
        clock,
        quote: asset("USDT"),
        tracked,
        cors: CorsOrigins::None,
        metrics: Metrics::new(monitor),
        database_requests_max,
    }))
}

/// Writes down a request and what a client sees of the answer; returns the answer's code.
async fn write_down(
    told: &mut String,
    client: &TestClient<BoxEndpoint<'static>>,
    method: Method,
    url: &str,
    body_bytes: u32,
) -> String {
    writeln!(told, "{method} {url}").unwrap();
    let mut request = client.request(method, url);
    if body_bytes > 0 {
        writeln!(told, "content-length: {body_bytes}").unwrap();
        request = request.header("content-length", body_bytes);
    }
    let (head, body) = request.send().await.0.into_parts();
    writeln!(told, "-> {}", head.status).unwrap();
    for name in ["content-type", "allow", "retry-after"] {
        if let Some(value) = head.headers.get(name) {
            writeln!(told, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    let body = body.into_string().await.unwrap();
    writeln!(told, "{body}\n").unwrap();
    let problem: Value = serde_json::from_str(&body).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

#[test]
fn the_openapi_document_is_the_pinned_one() {
    pinned("openapi", &openapi_document());
}

#[test]
fn the_settings_are_the_pinned_ones() {
    let mut told = String::new();
    for variable in &VARIABLES {
        let note = variable.default_note.map(|note| format!(" ({note})")).unwrap_or_default();
        writeln!(told, "{} --{} = {:?}{note}", variable.name, variable.flag, variable.default).unwrap();
    }
    pinned("settings", &told);
}

#[tokio::test]
async fn every_kind_of_problem_looks_like_the_pinned_one() {
    let mut told = String::new();
    let mut codes = BTreeSet::from([UNSEEN.to_owned()]);

    let store = Arc::new(MemoryStore::new());
    let working =
        client(Arc::<MemoryStore>::clone(&store), Arc::<MemoryStore>::clone(&store) as Arc<dyn Coverage>);
    for (method, url, body_bytes) in WRONG {
        codes.insert(write_down(&mut told, &working, method, url, body_bytes).await);
    }

    let database = TestDatabase::new(Backend::Sqlite).await;
    let without_schema = Arc::new(SqlStore::new(database.connect().await, ohlcv_migration::newest()));
    let failing = client(Arc::<SqlStore>::clone(&without_schema), without_schema);
    writeln!(told, "With a database that lacks its schema:\n").unwrap();
    for url in READING {
        codes.insert(write_down(&mut told, &failing, Method::GET, url, 0).await);
    }
    let full = client_with_room(0, Arc::<MemoryStore>::clone(&store), store);
    writeln!(told, "With no room for another request:\n").unwrap();
    codes.insert(write_down(&mut told, &full, Method::GET, "/api/v1/assets", 0).await);
    pinned("problems", &told);

    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    let documented = &document["components"]["schemas"]["ProblemCode"]["enum"];
    let documented: BTreeSet<String> = serde_json::from_value(documented.clone()).unwrap();
    assert_eq!(codes, documented, "pin a request for each code that the document lists, and list all");
}
