//! Clients that are generated out of the OpenAPI document, against the program as an operator starts it.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use ohlcv::http::openapi_document;
use ohlcv_client::types::{FetchRequest, ProblemCode};
use ohlcv_client::{Client, Error, Used};
use ohlcv_domain::TimeRange;
use ohlcv_ports::Clock;
use ohlcv_tests::http_client_builder;
use ohlcv_tests::process::{Program, Running};
use serde_json::Value;

use crate::market::{HALF_DAY, Market, asset};

const KEY: &str = "a-key-for-generated-clients";
/// How long the first event may take to come.
const EVENT_TIME_MAX: Duration = Duration::from_secs(30);

/// A running service that has ten days of BTC and ETH, with a hole and a revision in BTC.
struct Served {
    url: String,
    _running: Running,
    _program: Program,
    _market: Market,
}

impl Served {
    async fn start() -> Self {
        let now = ohlcv_adapters::SystemClock.now();
        let market = Market::new(HALF_DAY, &["BTC", "ETH"], &now.to_string(), 200).await;
        let day = |days: u32| HALF_DAY.floor(now.saturating_sub(Duration::from_secs(86_400) * days));
        let hole = TimeRange::new(day(6), day(5)).unwrap();
        market.source.remove(asset("BTC"), HALF_DAY.interval(), hole);
        let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
            .with("BINANCE_API_BASE_URL", &market.exchange.url())
            .with("BINANCE_REQUEST_DELAY_MS", "0")
            .with("LISTEN_ADDRESS", "127.0.0.1:0")
            .with("TRACKED_ASSETS", "BTC,ETH")
            .with("INITIAL_BACKFILL_DAYS", "10")
            .with("MIN_BACKFILL_DAYS", "5")
            .with("API_KEY", KEY);
        let (program, ended) = run_to_its_end(program, &["backfill"]).await;
        assert_eq!(ended, Some(0));
        market.exchange.revise("BTCUSDT", day(3), "1234.5".parse().unwrap());
        let (program, ended) = run_to_its_end(program, &["backfill", "--force"]).await;
        assert_eq!(ended, Some(0));
        let mut running = program.start(&["run"]);
        let url = tokio::task::block_in_place(|| running.url());
        Self { url, _running: running, _program: program, _market: market }
    }
}

/// The exchange is in this process and has to be able to answer meanwhile.
async fn run_to_its_end(program: Program, arguments: &'static [&'static str]) -> (Program, Option<i32>) {
    let run = move || {
        let output = program.run(arguments);
        (program, output.status.code())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The names of all operations of the document.
fn documented() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

/// A call for every operation, in the order in which they make sense. Its name is noted by the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_progenitor_generates_can_call_every_operation() {
    let served = Served::start().await;
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("X-API-KEY", KEY.parse().unwrap());
    let http = http_client_builder().default_headers(headers).build().unwrap();
    let used = Used::default();
    let client = Client::new_with_client(&served.url, http, used.clone());

    assert_eq!(client.get_service().send().await.unwrap().name, "ohlcv");
    assert_eq!(client.get_health().send().await.unwrap().status, "healthy");
    assert_eq!(client.get_livez().send().await.unwrap().status, "alive");
    assert_eq!(client.get_readyz().send().await.unwrap().status, "ready");
    let assets = client.list_assets().send().await.unwrap();
    assert_eq!(assets.assets.iter().map(|row| row.asset.as_str()).collect::<Vec<_>>(), ["BTC", "ETH"]);
    let gaps = client.list_gaps().asset("BTC").send().await.unwrap();
    assert_eq!((gaps.count, gaps.gaps[0].slots), (1, 2));
    let revisions = client.list_revisions().asset("BTC").send().await.unwrap();
    assert_eq!(revisions.revisions[0].number, 1);
    let candles = client.get_candles().asset("BTC").fill(true).limit(15_u32).send().await.unwrap();
    assert_eq!((candles.count, candles.data.iter().filter(|row| row.filled).count()), (15, 2));
    let several = client.get_candles_of_several().assets("BTC,ETH").limit(1_u32).send().await.unwrap();
    assert_eq!(several.count, 2);
    let prices = client.get_prices().assets("ETH").send().await.unwrap();
    assert!(prices.prices[0].price.is_some());
    let wish = FetchRequest::builder().assets(vec!["ETH".to_owned()]);
    let accepted = client.trigger_fetch().idempotency_key("once").body(wish).send().await.unwrap();
    let job_id = accepted.job_id.as_str();
    let jobs = client.list_jobs().send().await.unwrap();
    assert!(jobs.jobs.iter().any(|job| job.job_id == job_id));
    assert_eq!(client.get_job().job_id(job_id).send().await.unwrap().job_id, job_id);
    match client.cancel_job().job_id(job_id).send().await {
        Ok(job) => assert_eq!(job.job_id, job_id),
        Err(Error::ErrorResponse(problem)) => assert_eq!(problem.code, ProblemCode::JobEnded),
        Err(error) => panic!("{error}"),
    }

    // An answer that never ends: its first event is enough.
    let mut events = client.follow().assets("BTC").after("BTC_0").send().await.unwrap().into_inner();
    let mut told = String::new();
    while !told.contains("event: candle") {
        let piece = tokio::time::timeout(EVENT_TIME_MAX, events.next()).await.unwrap();
        told += &String::from_utf8_lossy(&piece.unwrap().unwrap());
    }
    drop(events);

    // Errors are typed, too.
    match client.get_candles().asset("DOGE").send().await {
        Err(Error::ErrorResponse(problem)) => assert_eq!(problem.code, ProblemCode::UnknownAsset),
        other => panic!("DOGE is not tracked: {other:?}"),
    }

    let used: BTreeSet<String> = used.operations().into_iter().map(str::to_owned).collect();
    assert_eq!(used, documented(), "add a call for each operation");
}

ohlcv_tests::with_python! {
    mod python {
        use std::path::Path;

        use ohlcv_tests::python::{run_python, run_python_file};

        use super::{KEY, Served, documented};

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_client_that_openapi_python_client_generates_can_call_every_operation() {
            let served = Served::start().await;
            let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
            let arguments = [&served.url, KEY, readme.to_str().unwrap()];
            let called = tokio::task::block_in_place(|| run_python("clients.py", &arguments));
            assert_eq!(called.trim(), format!("{} operations called", documented().len()));
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn the_examples_of_the_program_run_against_it() {
            let served = Served::start().await;
            let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
            let run = |name: &str, arguments: &[&str]| {
                tokio::task::block_in_place(|| run_python_file(&examples.join(name), arguments))
            };
            let candles = run("candles.py", &["BTC", &served.url]);
            assert!(candles.starts_with("BTC: 20 rows up to ") && candles.contains(", 2 of them filled, "), "{candles}");
            let frames = run("frames.py", &[&served.url]);
            for word in ["BTC", "ETH", "complete", "volatility of a year", "1.0"] {
                assert!(frames.contains(word), "{word} is missing: {frames}");
            }
        }
    }
}
