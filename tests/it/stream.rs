//! Clients that follow: they hear of all that is new, whoever wrote it, however often they are cut off.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ohlcv_adapters::SystemClock;
use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::{Asset, Candle, Commit, Ohlc, SlotRange, Timestamp, Volume};
use ohlcv_ports::{CandleStore, Clock, JobAsset, JobEnd, JobQueue, JobState, Jobs, NewJob, Submitted, Work};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, said};
use ohlcv_tests::service::{Service, get};
use ohlcv_tests::{http_client, stalled_reader};
use serde_json::{Value, json};

use self::client::{Event, Follower, PATIENCE, asked};
use crate::many_candles::with_candles;
use crate::market::{HALF_DAY, Market, NOON, asset, at};

ohlcv_tests::on_each_database!(
    a_follower_hears_of_what_another_process_fetches_later,
    a_follower_that_is_cut_off_again_and_again_misses_nothing_and_hears_nothing_twice,
    a_follower_with_a_key_hears_how_jobs_get_on,
    what_no_follower_can_stand_behind_is_refused,
);

const KEY: &str = "a-key-of-the-tests-alone";
/// Clients that follow at once, as ARCHITECTURE.md tells it.
const FOLLOWERS_MAX: usize = 100;
/// Longer than it takes a service to look whether there is something new.
const QUIET: Duration = Duration::from_millis(2_500);

async fn service(backend: Backend, assets: &str) -> (Service, SqlStore, TestDatabase) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(backend).await;
    let given = [("TRACKED_ASSETS", assets), ("API_KEY", KEY), ("LOG_LEVEL", "WARN")];
    let service = market.service(&database, &given).await;
    // Connections of its own, as another process has.
    let store = SqlStore::new(database.connect().await, ohlcv_migration::newest());
    (service, store, database)
}

/// The candles that events tell of, as the API answers with them.
fn candles_of(events: &[Event], name: &str) -> Vec<Value> {
    let candles = events.iter().filter(|event| event.kind == "candle" && event.data["asset"] == name);
    candles
        .map(|event| {
            let mut row = event.data.clone();
            row.as_object_mut().unwrap().remove("asset");
            row
        })
        .collect()
}

async fn a_follower_hears_of_what_another_process_fetches_later(backend: Backend) {
    // The other process goes by the machine's clock.
    let now = SystemClock.now().to_string();
    let market = Market::new(HALF_DAY, &["BTC", "ETH"], &now, 20).await;
    let hole = ohlcv_domain::TimeRange::new(
        HALF_DAY.step(HALF_DAY.floor(at(&now)), -6),
        HALF_DAY.step(HALF_DAY.floor(at(&now)), -4),
    );
    market.source.remove(asset("BTC"), ohlcv_domain::Interval::H12, hole.unwrap());
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("TRACKED_ASSETS", "BTC,ETH")]).await;
    let mut all = Follower::begin(service.url(), "", &[]).await;
    let mut of_eth = Follower::begin(service.url(), "?assets=eth", &[]).await;
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC,ETH");
    let ended = tokio::task::block_in_place(|| program.run(&["backfill", "--days", "5"]));
    assert!(ended.status.success(), "{}", said(&ended));
    let heard = all.until_quiet(QUIET).await;
    for name in ["BTC", "ETH"] {
        let stored = service.get(&format!("/api/v1/ohlcv/{name}")).await.rows();
        assert_eq!(stored.len(), if name == "BTC" { 8 } else { 10 });
        assert_eq!(candles_of(&heard, name), stored, "{name}");
    }
    assert_eq!(candles_of(&of_eth.until_quiet(QUIET).await, "ETH").len(), 10);
    // A hole is told as it is listed.
    let gaps = service.get("/api/v1/assets/BTC/gaps").await.json()["gaps"].as_array().unwrap().clone();
    let empty: Vec<&Value> = gaps.iter().filter(|gap| gap["cause"] == "source_empty").collect();
    let told: Vec<Value> =
        heard.iter().filter(|event| event.kind == "gap").map(|event| event.data.clone()).collect();
    assert_eq!(empty.len(), 1, "{gaps:?}");
    for gap in empty {
        let mut wanted = gap.clone();
        wanted.as_object_mut().unwrap().insert("asset".to_owned(), json!("BTC"));
        assert!(told.contains(&wanted), "{told:?} lacks {wanted}");
    }
}

/// A candle whose volume is the number of the commit that wrote it.
fn numbered(open_time: Timestamp, commit: u64) -> Candle {
    let price = "42.00000001".parse().unwrap();
    let prices = Ohlc { open: price, high: price, low: price, close: price };
    let volume = Volume::from_units(u128::from(commit) * 100_000_000).unwrap();
    Candle::new(open_time, prices, volume).unwrap()
}

fn slot(number: i64) -> Timestamp {
    HALF_DAY.step(at("2010-01-01T00:00:00Z"), number)
}

fn commit_of(asset: Asset, from: i64, candles: Vec<Candle>) -> Commit {
    let until = from + i64::try_from(candles.len()).unwrap();
    let slots = SlotRange::new(HALF_DAY, slot(from), slot(until)).unwrap();
    Commit::new(asset, slots, candles, Vec::new(), at(NOON)).unwrap()
}

/// Numbers that look like chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Writes in turn a run of new candles, one that revises a stored one, and one of the other asset.
async fn write(store: SqlStore, commits: u64) {
    let (mut chance, mut next) = (Chance(7), BTreeMap::from([("BTC", 0), ("ETH", 0)]));
    for number in 1..=commits {
        let name = if chance.below(3) == 0 { "ETH" } else { "BTC" };
        let stored = next[name];
        let revises = stored > 0 && chance.below(3) == 0;
        let (from, count) = match revises {
            true => (i64::try_from(chance.below(u64::try_from(stored).unwrap())).unwrap(), 1),
            false => (stored, i64::try_from(1 + chance.below(40)).unwrap()),
        };
        let candles = (from..from + count).map(|slot_number| numbered(slot(slot_number), number)).collect();
        store.apply(commit_of(asset(name), from, candles)).await.unwrap();
        if !revises {
            *next.get_mut(name).unwrap() += count;
        }
        tokio::time::sleep(Duration::from_millis(chance.below(60))).await;
    }
}

async fn a_follower_that_is_cut_off_again_and_again_misses_nothing_and_hears_nothing_twice(backend: Backend) {
    const COMMITS: u64 = 150;
    const CUTS_MIN: usize = 10;
    let (service, store, _database) = service(backend, "BTC,ETH").await;
    let mut follower = Follower::begin(service.url(), "", &[]).await;
    let writer = tokio::spawn(write(store, COMMITS));
    let (mut chance, mut heard, mut cuts) = (Chance(3), Vec::<Event>::new(), 0);
    // Ends: the writer does, and a stream in which nothing is new is quiet.
    loop {
        let wanted = usize::try_from(chance.below(90)).unwrap();
        let mut got = 0;
        while got < wanted {
            match tokio::time::timeout(QUIET, follower.next()).await {
                Ok(event) => heard.push(event.unwrap()),
                Err(_) => break,
            }
            got += 1;
        }
        if got < wanted && writer.is_finished() {
            break;
        }
        // Cut: what was sent meanwhile is lost. It goes on from the last event that was read.
        let id = follower.last_id.clone();
        drop(follower);
        tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
        follower = Follower::resume(service.url(), "", &id).await;
        assert_eq!(follower.last_id, id, "it stands where it stood");
        cuts += 1;
    }
    writer.await.unwrap();
    assert!(cuts >= CUTS_MIN, "{cuts}");
    let ids: BTreeSet<&str> = heard.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), heard.len(), "every id is of one event");
    all_is_told(&service, &heard).await;
    // Once more from the beginning.
    let mut anew = Follower::begin(service.url(), "?after=BTC_0.ETH_0", &[]).await;
    all_is_told(&service, &anew.until_quiet(QUIET).await).await;
}

/// Whoever heard this knows all candles as they now are, and was told no state of one twice.
async fn all_is_told(service: &Service, heard: &[Event]) {
    for name in ["BTC", "ETH"] {
        let stored = service.get(&format!("/api/v1/ohlcv/{name}?limit=10000")).await.rows();
        let told = candles_of(heard, name);
        let states: BTreeSet<String> = told.iter().map(Value::to_string).collect();
        assert_eq!(states.len(), told.len(), "{name}: a state is told twice");
        let known: BTreeMap<&str, &Value> =
            told.iter().map(|row| (row["timestamp"].as_str().unwrap(), row)).collect();
        let missed = stored.iter().filter(|row| known.get(row["timestamp"].as_str().unwrap()) != Some(row));
        assert_eq!(missed.collect::<Vec<_>>(), Vec::<&Value>::new(), "{name}");
        assert_eq!(known.len(), stored.len(), "{name}");
    }
}

async fn a_follower_with_a_key_hears_how_jobs_get_on(backend: Backend) {
    let (service, store, _database) = service(backend, "BTC,ETH").await;
    let keyed = [("x-api-key", KEY)];
    let mut follower = Follower::begin(service.url(), "", &keyed).await;
    let mut of_eth = Follower::begin(service.url(), "?assets=ETH", &keyed).await;
    let mut without = Follower::begin(service.url(), "", &[]).await;
    assert!(follower.last_id.contains("jobs_"), "{}", follower.last_id);
    let new = NewJob { work: Work::CatchUp, assets: vec![asset("BTC")] };
    let Submitted::Accepted(job) = store.submit(new, None, 10).await.unwrap() else { panic!("accepted") };
    let queued = follower.next().await.unwrap();
    assert_eq!((queued.kind.as_str(), &queued.data["state"]), ("job", &json!("queued")));
    assert_eq!(queued.data["job_id"], job.id.to_string());
    let claimed = store.claim("a worker", Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(follower.next().await.unwrap().data["state"], "running");
    let half = JobAsset { state: JobState::Running, done: 3, expected: 6, ..JobAsset::queued(asset("BTC")) };
    assert!(!store.record(job.id, &claimed.fence, &[half]).await.unwrap());
    let running = follower.next().await.unwrap();
    assert_eq!(running.data["progress"]["percent"], 50);
    drop(follower);
    // While nobody follows.
    let whole =
        JobAsset { state: JobState::Succeeded, done: 6, expected: 6, ..JobAsset::queued(asset("BTC")) };
    store.finish(job.id, &claimed.fence, JobEnd::Final(JobState::Succeeded), &[whole]).await.unwrap();
    let again = [("x-api-key", KEY), ("Last-Event-ID", running.id.as_str())];
    let mut follower = Follower::begin(service.url(), "", &again).await;
    let ended = follower.next().await.unwrap();
    assert_eq!(
        (&ended.data["state"], &ended.data["progress"]["percent"]),
        (&json!("succeeded"), &json!(100))
    );
    let client = http_client().get(format!("{}/api/v1/jobs/{}", service.url(), job.id));
    let listed: Value =
        serde_json::from_str(&client.header("x-api-key", KEY).send().await.unwrap().text().await.unwrap())
            .unwrap();
    assert_eq!(ended.data, listed, "as it is listed");
    assert_eq!(follower.until_quiet(QUIET).await, [], "what was told is not told again");
    assert_eq!(of_eth.until_quiet(QUIET).await, [], "a job of other assets");
    assert_eq!(without.until_quiet(QUIET).await, [], "jobs are for those who have a key");
}

/// A query, headers, and the status and a word of the answer.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

async fn what_no_follower_can_stand_behind_is_refused(backend: Backend) {
    let (service, store, _database) = service(backend, "BTC,ETH").await;
    store.apply(commit_of(asset("BTC"), 0, vec![numbered(slot(0), 1)])).await.unwrap();
    let cases: [Refused; 11] = [
        ("", &[("Last-Event-ID", "yesterday")], 400, "yesterday"),
        ("", &[("Last-Event-ID", "BTC_x")], 400, "Last-Event-ID"),
        ("?after=BTC_1.", &[], 400, "BTC_12.ETH_7"),
        ("?after=", &[], 400, "after"),
        ("?after=BTC_1_0_5", &[], 400, "after"),
        ("?after=BTC_2", &[], 400, "ahead of this database, which has 1 changes of BTC, not 2"),
        ("?after=BTC_0_9_0", &[], 400, "ahead"),
        ("?after=jobs_1", &[("x-api-key", KEY)], 400, "jobs"),
        ("?assets=DOGE", &[], 404, "DOGE"),
        ("?from=BTC_1", &[], 400, "from"),
        ("", &[("x-api-key", "a-key-that-is-wrong")], 401, "X-API-KEY"),
    ];
    for (query, headers, status, told) in cases {
        let answer = asked(service.url(), query, headers).await;
        assert_eq!(answer.status(), status, "{query} {headers:?}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{query}");
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(told), "{query} {headers:?}: {problem}");
    }
    // The header counts, for a browser sends the same URL again when it was cut off.
    let mut follower = Follower::resume(service.url(), "?after=BTC_0.ETH_0", "BTC_1.ETH_0").await;
    assert_eq!(follower.until_quiet(QUIET).await, []);
    let mut follower = Follower::begin(service.url(), "?after=BTC_0.ETH_0", &[]).await;
    assert_eq!(follower.take(1).await[0].id, "BTC_1.ETH_0");
}

/// The program, serving so many candles of BTC.
async fn serving(candles: u64) -> (Program, ohlcv_tests::process::Running, String, TestDatabase) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(Backend::Sqlite).await;
    drop(with_candles(&market, &database, Backend::Sqlite, candles).await);
    // As if one write had brought them.
    let (start, end) = (at(NOON).saturating_sub(Duration::from_secs(60 * (candles + 60))), at(NOON));
    let (start, end) = (start.millis(), end.millis());
    database.execute("DELETE FROM change_log").await;
    database.execute(&format!("INSERT INTO change_log VALUES ('BTC', 1, {start}, {end}, {end})")).await;
    database.execute("UPDATE series SET change_seq = 1 WHERE asset = 'BTC'").await;
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
        .with("DATABASE_URL", database.url())
        .with("CANDLE_INTERVAL", "1m");
    let mut running = program.start(&["serve"]);
    let url = running.url();
    (program, running, url, database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_clients_follow_and_the_next_one_is_told_to_come_again() {
    let (_program, _running, url, _database) = serving(10).await;
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        followers.push(Follower::begin(&url, "", &[]).await);
    }
    let refused = asked(&url, "", &[]).await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    assert!(refused.text().await.unwrap().contains(&FOLLOWERS_MAX.to_string()));
    assert_eq!(get(&http_client(), &url, "/api/v1/ohlcv/BTC").await.rows().len(), 10, "others are served");
    followers.pop();
    let deadline = Instant::now() + PATIENCE;
    while asked(&url, "", &[]).await.status() != 200 {
        assert!(Instant::now() < deadline, "whoever goes away makes room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_that_take_nothing_cost_little_and_hold_nobody_up() {
    const MANY: u64 = 100_000;
    const STALLED: usize = 40;
    let (_program, running, url, _database) = serving(MANY).await;
    let taken = |count: u64| Follower::taking(&url, usize::try_from(count).unwrap());
    // Caches fill.
    taken(MANY / 4).await;
    let before = running.memory_kib();
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(stalled_reader(&url, "/api/v1/stream?after=BTC_0").await);
    }
    // One that takes all gets all, each once.
    let begun = Instant::now();
    let events = taken(MANY).await;
    let times: BTreeSet<&str> = events.iter().filter_map(|event| event.data["timestamp"].as_str()).collect();
    assert_eq!(times.len(), events.len());
    println!("{MANY} events in {:?} beside {STALLED} that take nothing", begun.elapsed());
    let grown = running.memory_kib().saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 64 * 1024, "{grown} KiB");
    assert_eq!(get(&http_client(), &url, "/api/v1/ohlcv/BTC").await.rows().len(), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_the_streams_of_all_who_follow_and_does_not_wait_for_those_who_take_nothing() {
    let (_program, mut running, url, _database) = serving(50_000).await;
    let mut quiet = Vec::new();
    for _ in 0..5 {
        quiet.push(Follower::begin(&url, "", &[]).await);
    }
    let _stalled = stalled_reader(&url, "/api/v1/stream?after=BTC_0").await;
    let asked = Instant::now();
    running.signal("TERM");
    for mut follower in quiet {
        assert_eq!(follower.next().await, None, "it ends, and does not break off");
    }
    assert!(asked.elapsed() < Duration::from_secs(4), "at once: {:?}", asked.elapsed());
    assert_eq!(running.wait(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
}
