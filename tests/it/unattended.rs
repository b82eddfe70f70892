//! Jobs in real processes: killed, stopped, cancelled, triggered by the thousand, cut off from
//! their database.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Interval, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::Options;
use ohlcv_tests::http_client;
use ohlcv_tests::process::{Program, Running};
use serde_json::{Value, json};

use crate::market::{HALF_DAY, Market, asset, candles};

ohlcv_tests::on_each_database!(
    a_job_whose_worker_is_killed_is_finished_by_another_without_asking_twice,
    a_worker_that_is_stopped_in_mid_page_hands_its_job_over_and_exits_0,
    a_job_is_cancelled_while_it_runs_and_its_pages_stay,
    a_thousand_triggers_at_once_end_or_are_refused,
    a_backfill_in_a_shell_is_seen_as_a_job,
    a_backfill_in_a_shell_that_dies_is_finished_by_a_worker,
    who_guesses_keys_has_to_wait_and_who_has_one_does_not,
);

const KEY: &str = "a-key-of-the-tests-alone";
/// Eight years of half-days: six pages.
const CANDLES: usize = 5_800;
const WAIT_MAX: Duration = Duration::from_secs(60);

async fn market(assets: &[&str], latency: Duration) -> Market {
    let now = SystemClock.now();
    let first = now.saturating_sub(Duration::from_secs(2_950 * 86_400));
    let series = assets.iter().map(|name| (asset(name), candles(asset(name), HALF_DAY, first, now)));
    let options = Options { latency, ..Options::default() };
    Market::of(Interval::H12, series.collect(), now, options).await
}

/// How many pages of an asset may be on their way at once.
const PAGES_AT_ONCE: usize = 2;

fn program(database: &TestDatabase, market: &Market, assets: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", assets)
        .with("INITIAL_BACKFILL_DAYS", "2900")
        .with("BINANCE_MAX_CONCURRENT_REQUESTS", &PAGES_AT_ONCE.to_string())
        .with("LEASE_SECONDS", "3")
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
        .with("API_KEY", KEY)
}

async fn api(method: reqwest::Method, url: &str, path: &str, body: Value) -> (u16, Value) {
    let request = http_client().request(method, format!("{url}{path}")).header("x-api-key", KEY);
    let response = request.body(body.to_string()).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn trigger(url: &str, body: Value) -> String {
    let (status, accepted) = api(reqwest::Method::POST, url, "/api/v1/fetch/trigger", body).await;
    assert_eq!(status, 202, "{accepted}");
    accepted["job_id"].as_str().unwrap().to_owned()
}

async fn job(url: &str, id: &str) -> Value {
    api(reqwest::Method::GET, url, &format!("/api/v1/jobs/{id}"), Value::Null).await.1
}

/// Waits until a job satisfies `is`.
async fn job_that(url: &str, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    let waiting = Instant::now();
    loop {
        let seen = job(url, id).await;
        if is(&seen) {
            return seen;
        }
        assert!(waiting.elapsed() < WAIT_MAX, "{seen:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn has_ended(job: &Value) -> bool {
    !["queued", "running"].contains(&job["state"].as_str().unwrap())
}

/// The pages that were asked for more than once, by symbol and first open time.
fn repeated(market: &Market) -> Vec<(String, Timestamp)> {
    let mut asked: BTreeMap<_, usize> = BTreeMap::new();
    for page in market.pages_asked() {
        *asked.entry(page).or_default() += 1;
    }
    asked.into_iter().filter(|(_, times)| *times > 1).map(|(page, _)| page).collect()
}

/// Symbol and open time of every stored candle.
async fn open_times(database: &TestDatabase) -> BTreeSet<(String, Timestamp)> {
    let open_time = |line: &String| {
        let mut words = line.split(' ');
        let symbol = format!("{}USDT", words.next()?);
        Some((symbol, Timestamp::from_millis(words.next()?.parse().ok()?).ok()?))
    };
    database.dump().await.iter().filter_map(open_time).collect()
}

async fn asked_for(market: &Market, pages: usize) {
    let waiting = Instant::now();
    while market.pages_asked().len() < pages {
        assert!(waiting.elapsed() < WAIT_MAX, "{} pages were asked for", market.pages_asked().len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A process that takes jobs and leads no schedule: another one that does nothing else has the lead.
async fn served(database: &TestDatabase, market: &Market, assets: &str) -> (Running, String, Running) {
    let program = program(database, market, assets);
    let mut api = program.start(&["serve"]);
    let url = api.url();
    // Nobody may lead: a scheduled run would do the work of the job.
    database
        .execute(
            "INSERT INTO lease (name, holder, token, expires_ms)
            VALUES ('scheduler', 'the test', 1, 9000000000000)",
        )
        .await;
    let worker = program.start(&["schedule"]);
    (api, url, worker)
}

fn years() -> Value {
    json!({"start_date": "2019-01-01T00:00:00Z", "end_date": "2199-01-01T00:00:00Z"})
}

async fn a_job_whose_worker_is_killed_is_finished_by_another_without_asking_twice(backend: Backend) {
    let market = market(&["BTC", "ETH"], Duration::from_millis(60)).await;
    let database = TestDatabase::new(backend).await;
    let (_api, url, worker) = served(&database, &market, "BTC,ETH").await;
    let id = trigger(&url, years()).await;
    asked_for(&market, 5).await;
    worker.signal("KILL");
    let killed = Instant::now();
    let stored_at_kill = open_times(&database).await;
    let mut next = program(&database, &market, "BTC,ETH").start(&["schedule"]);
    next.wait_for(&format!("working on job {id}"));
    assert!(killed.elapsed() < Duration::from_secs(30), "{:?}", killed.elapsed());
    let ended = job_that(&url, &id, has_ended).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert_eq!(ended["progress"]["percent"], 100, "{ended:#}");
    let stored = database.dump().await.len();
    assert!(stored > CANDLES, "{stored}");
    assert!(
        repeated(&market).iter().all(|page| !stored_at_kill.contains(page)),
        "no stored page is asked for again"
    );
}

async fn a_worker_that_is_stopped_in_mid_page_hands_its_job_over_and_exits_0(backend: Backend) {
    let market = market(&["BTC"], Duration::from_millis(200)).await;
    let database = TestDatabase::new(backend).await;
    let (_api, url, mut worker) = served(&database, &market, "BTC").await;
    let id = trigger(&url, years()).await;
    asked_for(&market, 3).await;
    worker.signal("TERM");
    let told = Instant::now();
    assert_eq!(worker.wait(), Some(0), "{:#?}", worker.heard());
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    let given_back = job(&url, &id).await;
    assert_eq!((given_back["state"].as_str(), given_back["finished_at"].as_str()), (Some("queued"), None));
    let rows: i64 = database.query("SELECT candles FROM series").await[0].try_get("", "candles").unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), database.dump().await.len(), "summary and rows agree");
    let _next = program(&database, &market, "BTC").start(&["schedule"]);
    assert_eq!(job_that(&url, &id, has_ended).await["state"], "succeeded");
    assert!(repeated(&market).len() <= PAGES_AT_ONCE, "only what was in flight: {:?}", repeated(&market));
}

async fn a_job_is_cancelled_while_it_runs_and_its_pages_stay(backend: Backend) {
    // Longer than a worker goes without hearing whether its job was cancelled, so that pages are left.
    let market = market(&["BTC"], Duration::from_millis(1_500)).await;
    let database = TestDatabase::new(backend).await;
    let (_api, url, _worker) = served(&database, &market, "BTC").await;
    let id = trigger(&url, years()).await;
    job_that(&url, &id, |job| job["progress"]["done"].as_u64() > Some(0)).await;
    let path = format!("/api/v1/jobs/{id}");
    let (status, cancelled) = api(reqwest::Method::DELETE, &url, &path, Value::Null).await;
    assert_eq!(status, 200, "{cancelled}");
    let ended = job_that(&url, &id, has_ended).await;
    assert_eq!(
        (ended["state"].as_str(), ended["assets"][0]["state"].as_str()),
        (Some("cancelled"), Some("cancelled"))
    );
    let stored = database.dump().await.len();
    assert!(stored > 0 && stored < 5_000, "{stored}");
    assert_eq!(api(reqwest::Method::DELETE, &url, &path, Value::Null).await.0, 409);
}

async fn a_thousand_triggers_at_once_end_or_are_refused(backend: Backend) {
    const TRIGGERS: usize = 1_000;
    const CONNECTIONS: usize = 50;
    /// The most memory that a process may ever have held, in KiB.
    const MEMORY_KIB_MAX: u64 = 200 * 1024;
    let market = market(&["BTC"], Duration::ZERO).await;
    let database = TestDatabase::new(backend).await;
    let program =
        program(&database, &market, "BTC").with("INITIAL_BACKFILL_DAYS", "100").with("LEASE_SECONDS", "20");
    let mut running = program.start(&["run"]);
    let url = running.url();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let url = url.clone();
        connections.push(tokio::spawn(async move {
            let client = http_client();
            let mut answers = Vec::new();
            for _ in 0..TRIGGERS / CONNECTIONS {
                let request = client.post(format!("{url}/api/v1/fetch/trigger")).header("x-api-key", KEY);
                let response = request.send().await.unwrap();
                let (status, retry) =
                    (response.status().as_u16(), response.headers().contains_key("retry-after"));
                let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
                answers.push((status, retry, body));
            }
            answers
        }));
    }
    let mut accepted = Vec::new();
    let mut refused = 0;
    for connection in connections {
        for (status, retry, body) in connection.await.unwrap() {
            match status {
                202 => accepted.push(body["job_id"].as_str().unwrap().to_owned()),
                429 if retry && body["code"] == "queue_full" => refused += 1,
                _ => panic!("{status} {body}"),
            }
        }
    }
    assert_eq!(accepted.len() + refused, TRIGGERS);
    assert!(accepted.len() >= 100 && refused > 0, "{} accepted, {refused} refused", accepted.len());
    for id in &accepted {
        assert_eq!(job_that(&url, id, has_ended).await["state"], "succeeded");
    }
    let peak = running.memory_peak_kib();
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
}

async fn a_backfill_in_a_shell_is_seen_as_a_job(backend: Backend) {
    let market = market(&["BTC"], Duration::from_millis(700)).await;
    let database = TestDatabase::new(backend).await;
    let program = program(&database, &market, "BTC").with("LEASE_SECONDS", "20");
    let mut api = program.start(&["serve"]);
    let url = api.url();
    let mut backfill = program.start(&["backfill", "--days", "2000"]);
    let waiting = Instant::now();
    let seen = loop {
        let jobs = self::api(reqwest::Method::GET, &url, "/api/v1/jobs", Value::Null).await.1;
        match jobs["jobs"].as_array().unwrap().first() {
            Some(job) if job["progress"]["done"].as_u64() > Some(0) => break job.clone(),
            _ => assert!(waiting.elapsed() < WAIT_MAX, "{jobs:#}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((seen["kind"].as_str(), seen["state"].as_str()), (Some("backfill"), Some("running")));
    assert_eq!(backfill.wait(), Some(0));
    let ended = job(&url, seen["job_id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert!(ended["assets"][0]["error"].as_str().unwrap().contains("are wanted"), "{ended:#}");
}

async fn a_backfill_in_a_shell_that_dies_is_finished_by_a_worker(backend: Backend) {
    let market = market(&["BTC"], Duration::from_millis(150)).await;
    let database = TestDatabase::new(backend).await;
    let (_api, url, _worker) = served(&database, &market, "BTC").await;
    let backfill = program(&database, &market, "BTC").start(&["backfill"]);
    asked_for(&market, 3).await;
    backfill.signal("KILL");
    let jobs = api(reqwest::Method::GET, &url, "/api/v1/jobs", Value::Null).await.1;
    let id = jobs["jobs"][0]["job_id"].as_str().unwrap().to_owned();
    let ended = job_that(&url, &id, has_ended).await;
    assert_eq!((ended["kind"].as_str(), ended["state"].as_str()), (Some("backfill"), Some("succeeded")));
    assert_eq!(database.dump().await.len(), CANDLES);
}

async fn who_guesses_keys_has_to_wait_and_who_has_one_does_not(backend: Backend) {
    let market = market(&["BTC"], Duration::ZERO).await;
    let database = TestDatabase::new(backend).await;
    let mut serve = program(&database, &market, "BTC").start(&["serve"]);
    let url = serve.url();
    let guess = || async {
        let request =
            http_client().get(format!("{url}/api/v1/jobs")).header("x-api-key", "a-wrong-key-of-the-tests");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().contains_key("retry-after"))
    };
    for _ in 0..10 {
        assert_eq!(guess().await, (401, false));
    }
    assert_eq!(guess().await, (429, true));
    assert_eq!(api(reqwest::Method::GET, &url, "/api/v1/jobs", Value::Null).await.0, 200);
    let said = serve.heard().join("\n");
    assert!(
        said.contains("a wrong X-API-KEY came from 127.0.0.1") && !said.contains("of-the-tests"),
        "{said}"
    );
}

ohlcv_tests::on_postgres! {
    // A process that is stopped while it writes to SQLite keeps the file locked, whatever others do.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_that_slept_through_its_lease_writes_nothing() {
        let market = market(&["BTC"], Duration::from_millis(150)).await;
        let database = TestDatabase::new(Backend::Postgres).await;
        let (_api, url, mut sleeper) = served(&database, &market, "BTC").await;
        let id = trigger(&url, years()).await;
        asked_for(&market, 3).await;
        sleeper.signal("STOP");
        let mut next = program(&database, &market, "BTC").start(&["schedule"]);
        next.wait_for(&format!("working on job {id}"));
        assert_eq!(job_that(&url, &id, has_ended).await["state"], "succeeded");
        next.signal("KILL");
        next.wait();
        // Whatever the sleeper still holds in its hands, it must not write: not even what is right.
        database.execute("DELETE FROM spot_ohlcv").await;
        let before = job(&url, &id).await;
        sleeper.signal("CONT");
        sleeper.wait_for("was lost to another worker");
        assert_eq!(database.dump().await.len(), 0);
        assert_eq!(job(&url, &id).await, before);
    }
}
