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
use ohlcv::settings::{ApiKeys, Sources, VARIABLES};
use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::Interval;
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Clock, Coverage, Jobs};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_usecases::{ListAssets, ListGaps, ListRevisions, Monitor, MonitorPolicy, ReadSeries, SubmitJob};
use poem::EndpointExt;
use poem::endpoint::BoxEndpoint;
use poem::http::Method;
use poem::test::TestClient;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::market::{asset, at};

/// At least one request for every problem that a client can cause: method, URL, length of its body.
const WRONG: [(Method, &str, u32); 17] = [
    (Method::GET, "/api/v1/ohlcv/BTC?limit=0", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?start=yesterday", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?fill=maybe", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?fields=open", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?interval=24h", 0),
    (Method::GET, "/api/v1/ohlcv/BTC?interval=8h", 0),
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
/// The same of requests that need a key, sent with one: method, URL, body.
const WRONG_WITH_KEY: [(Method, &str, &str); 14] = [
    (Method::POST, TRIGGER, "BTC"),
    (Method::POST, TRIGGER, "[\"BTC\"]"),
    (Method::POST, TRIGGER, "{\"asset\":\"BTC\"}"),
    (Method::POST, TRIGGER, "{\"assets\":\"BTC\"}"),
    (Method::POST, TRIGGER, "{\"assets\":[]}"),
    (Method::POST, TRIGGER, "{\"assets\":[\"BTC-USD\"]}"),
    (Method::POST, TRIGGER, "{\"assets\":[\"BTCUSDT\",\"DOGE\"]}"),
    (Method::POST, TRIGGER, "{\"start_date\":\"yesterday\"}"),
    (Method::POST, TRIGGER, "{\"start_date\":\"2024-11-01T00:00:00Z\"}"),
    (
        Method::POST,
        TRIGGER,
        "{\"start_date\":\"2024-11-02T00:00:00Z\",\"end_date\":\"2024-11-01T00:00:00Z\"}",
    ),
    (
        Method::POST,
        TRIGGER,
        "{\"start_date\":\"2025-11-01T00:00:00Z\",\"end_date\":\"2025-11-02T00:00:00Z\"}",
    ),
    (Method::GET, "/api/v1/jobs/1", ""),
    (Method::GET, "/api/v1/jobs/550e8400-e29b-41d4-a716-446655440000", ""),
    (Method::GET, "/api/v1/jobs?limit=0", ""),
];
const TRIGGER: &str = "/api/v1/fetch/trigger";
const KEY: &str = "a-key-of-the-tests-alone";
/// What is asked of a service whose database is of no use to it.
const READING: [&str; 2] = ["/readyz", "/api/v1/assets"];
/// Codes that take too much to be pinned here, requests or candles; other tests see them.
const UNSEEN: [&str; 3] = ["queue_full", "sum_too_large", "too_many_failures"];

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

/// What a service is made of that works on these stores.
fn parts(
    candles: Arc<dyn CandleStore>,
    coverage: Arc<dyn Coverage>,
    jobs: Arc<dyn Jobs>,
    api_keys: ApiKeys,
) -> HttpParts {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new(at("2024-11-08T12:00:00Z")));
    let policy = MonitorPolicy { interval: Interval::H12, grace: Duration::ZERO, days: 730 };
    let tracked = vec![asset("BTC"), asset("ETH")];
    let history = Arc::new(MemoryStore::new());
    let series = ReadSeries::new(
        Arc::clone(&candles),
        Arc::clone(&coverage),
        Arc::<MemoryStore>::clone(&history),
        Interval::H12,
        tracked.clone(),
    );
    let monitor = Monitor::new(Arc::clone(&coverage), Arc::clone(&clock), tracked.clone(), policy);
    HttpParts {
        series,
        submit: SubmitJob::new(Arc::clone(&jobs), Arc::clone(&clock), tracked.clone()),
        jobs,
        assets: ListAssets::new(Arc::clone(&coverage), Arc::clone(&clock), tracked.clone(), policy),
        revisions: ListRevisions::new(history, Arc::clone(&coverage), Interval::H12, tracked.clone()),
        gaps: ListGaps::new(coverage, Interval::H12, tracked.clone()),
        store: candles,
        clock,
        quote: asset("USDT"),
        tracked,
        cors: CorsOrigins::None,
        api_keys,
        metrics: Metrics::new(monitor),
        database_requests_max: DATABASE_REQUESTS_MAX,
        read_cache_bytes: 1 << 20,
        stop: CancellationToken::new(),
    }
}

type Client = TestClient<BoxEndpoint<'static>>;

fn serving(parts: HttpParts) -> Client {
    TestClient::new(endpoint(parts).boxed())
}

/// Writes down a request and what a client sees of the answer; returns the answer's code.
async fn write_down(
    told: &mut String,
    client: &Client,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    writeln!(told, "{method} {url}").unwrap();
    let mut request = client.request(method, url);
    for (name, value) in headers {
        writeln!(told, "{name}: {value}").unwrap();
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        writeln!(told, "{body}").unwrap();
        request = request.body(body.to_owned());
    }
    let (head, body) = request.send().await.0.into_parts();
    writeln!(told, "-> {}", head.status).unwrap();
    for name in ["content-type", "allow", "retry-after"] {
        if let Some(value) = head.headers.get(name) {
            writeln!(told, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    let body = body.into_string().await.unwrap();
    writeln!(told, "{}\n", without_names_of_jobs(&body)).unwrap();
    let problem: Value = serde_json::from_str(&body).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

/// A text in which the name of every job is `{job}`: they differ from run to run.
fn without_names_of_jobs(text: &str) -> String {
    let is_name = |word: &&str| word.parse::<ohlcv_domain::JobId>().is_ok() && !word.starts_with("550e8400");
    let words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    words.filter(is_name).fold(text.to_owned(), |text, name| text.replace(name, "{job}"))
}

/// The keys of a service that is told of one.
fn keys() -> ApiKeys {
    let dir = tempfile::tempdir().unwrap();
    let env = [("API_KEY".to_owned(), KEY.to_owned())].into();
    let sources = Sources { dir: dir.path().to_owned(), env, ..Sources::default() };
    ohlcv::settings::load(sources).unwrap().api_keys
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
    let mut codes: BTreeSet<String> = UNSEEN.map(str::to_owned).into();

    let store = Arc::new(MemoryStore::new());
    let database = TestDatabase::new(Backend::Sqlite).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    let jobs = Arc::new(SqlStore::new(db, ohlcv_migration::newest()));
    let of = |keys| {
        let candles = Arc::<MemoryStore>::clone(&store);
        let coverage = Arc::<MemoryStore>::clone(&store);
        parts(candles, coverage, Arc::<SqlStore>::clone(&jobs), keys)
    };
    let working = serving(of(keys()));
    for (method, url, body_bytes) in WRONG {
        let length = body_bytes.to_string();
        let headers: &[_] = if body_bytes > 0 { &[("content-length", length.as_str())] } else { &[] };
        codes.insert(write_down(&mut told, &working, method, url, headers, "").await);
    }
    let keyless = serving(of(ApiKeys::default()));
    writeln!(told, "Without a key, and with a wrong one; then where none is configured:\n").unwrap();
    codes.insert(write_down(&mut told, &working, Method::GET, "/api/v1/jobs", &[], "").await);
    let wrong_key = [("x-api-key", "not-a-key-that-is-right")];
    codes.insert(write_down(&mut told, &working, Method::POST, TRIGGER, &wrong_key, "BTC").await);
    codes.insert(write_down(&mut told, &keyless, Method::POST, TRIGGER, &wrong_key, "").await);
    let keyed = [("x-api-key", KEY)];
    for (method, url, body) in WRONG_WITH_KEY {
        codes.insert(write_down(&mut told, &working, method, url, &keyed, body).await);
    }
    writeln!(told, "With a key that was used before, then of a job that has ended:\n").unwrap();
    let repeated = [("x-api-key", KEY), ("idempotency-key", "once")];
    let accepted =
        working.post(TRIGGER).header("x-api-key", KEY).header("idempotency-key", "once").send().await;
    accepted.assert_status(poem::http::StatusCode::ACCEPTED);
    let other = "{\"assets\":[\"BTC\"]}";
    codes.insert(write_down(&mut told, &working, Method::POST, TRIGGER, &repeated, other).await);
    let id = jobs.list(1).await.unwrap()[0].id;
    jobs.cancel(id).await.unwrap();
    let job = format!("/api/v1/jobs/{id}");
    let mut ended = String::new();
    codes.insert(write_down(&mut ended, &working, Method::DELETE, &job, &keyed, "").await);
    told.push_str(&without_names_of_jobs(&ended));

    let database = TestDatabase::new(Backend::Sqlite).await;
    let without_schema = Arc::new(SqlStore::new(database.connect().await, ohlcv_migration::newest()));
    let shared = || Arc::<SqlStore>::clone(&without_schema);
    let failing = serving(parts(shared(), shared(), shared(), keys()));
    writeln!(told, "With a database that lacks its schema:\n").unwrap();
    for url in READING {
        codes.insert(write_down(&mut told, &failing, Method::GET, url, &[], "").await);
    }
    let full = serving(HttpParts { database_requests_max: 0, ..of(keys()) });
    writeln!(told, "With no room for another request:\n").unwrap();
    codes.insert(write_down(&mut told, &full, Method::GET, "/api/v1/assets", &[], "").await);
    pinned("problems", &told);

    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    let documented = &document["components"]["schemas"]["ProblemCode"]["enum"];
    let documented: BTreeSet<String> = serde_json::from_value(documented.clone()).unwrap();
    assert_eq!(codes, documented, "pin a request for each code that the document lists, and list all");
}
