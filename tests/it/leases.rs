//! Several processes on one database: one works, the others wait, and a dead one keeps nothing.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ohlcv_adapters::SystemClock;
use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::{BackfillState, Cause, Commit, Fence, Interval, TimeRange, Timestamp};
use ohlcv_ports::{CandleStore, Clock, Coverage, Leases, StoreError};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::Options;
use ohlcv_tests::process::{Program, Running};

use crate::market::{HALF_DAY, Market, asset, candles};

ohlcv_tests::on_each_database!(
    of_many_who_want_a_lease_one_gets_it,
    a_lease_that_ran_out_is_given_to_another_with_a_greater_token,
    a_lease_that_is_prolonged_stays_and_one_given_back_is_free_at_once,
    a_write_under_a_lost_lease_is_refused_whole,
    two_schedulers_started_together_ask_for_each_page_once,
    a_killed_leader_is_replaced_and_its_work_is_continued,
    a_leader_that_is_stopped_hands_over_at_once,
    a_backfill_waits_for_the_asset_that_a_scheduler_works_on,
);

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

async fn store(backend: Backend) -> (SqlStore, TestDatabase) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    (SqlStore::new(db, ohlcv_migration::newest()), database)
}

async fn of_many_who_want_a_lease_one_gets_it(backend: Backend) {
    let (store, _database) = store(backend).await;
    let store = Arc::new(store);
    let mut wanting = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&store);
        wanting
            .spawn(async move { store.acquire("a lease", &format!("number {number}"), LONG).await.unwrap() });
    }
    let given: Vec<Fence> = wanting.join_all().await.into_iter().flatten().collect();
    assert_eq!(given, [Fence { lease: "a lease".to_owned(), token: 1 }]);
    assert!(store.acquire("another lease", "somebody", LONG).await.unwrap().is_some());
}

async fn a_lease_that_ran_out_is_given_to_another_with_a_greater_token(backend: Backend) {
    let (store, _database) = store(backend).await;
    let first = store.acquire("a lease", "first", SHORT).await.unwrap().unwrap();
    assert_eq!(store.acquire("a lease", "second", LONG).await.unwrap(), None);
    tokio::time::sleep(SHORT * 2).await;
    let second = store.acquire("a lease", "second", LONG).await.unwrap().unwrap();
    assert!(second.token > first.token);
    assert!(!store.renew(&first, LONG).await.unwrap(), "it is lost");
    store.release(&first).await.unwrap();
    assert!(store.renew(&second, LONG).await.unwrap(), "only its holder can give it back");
}

async fn a_lease_that_is_prolonged_stays_and_one_given_back_is_free_at_once(backend: Backend) {
    let (store, _database) = store(backend).await;
    let first = store.acquire("a lease", "first", SHORT).await.unwrap().unwrap();
    assert!(store.renew(&first, LONG).await.unwrap());
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(store.acquire("a lease", "second", LONG).await.unwrap(), None);
    store.release(&first).await.unwrap();
    let second = store.acquire("a lease", "second", LONG).await.unwrap().unwrap();
    assert_eq!(second.token, first.token + 1);
}

async fn a_write_under_a_lost_lease_is_refused_whole(backend: Backend) {
    let (store, database) = store(backend).await;
    let btc = asset("BTC");
    let commit = |fence: &Fence| {
        let two = candles(btc, HALF_DAY, at_day(10), at_day(10).saturating_add(Duration::from_secs(43_200)));
        let slots = HALF_DAY.slots_in(TimeRange::new(at_day(10), at_day(11)).unwrap());
        Commit::new(btc, slots, two, Vec::new(), at_day(20)).unwrap().with_fence(Some(fence.clone()))
    };
    let lost = store.acquire("asset BTC", "first", SHORT).await.unwrap().unwrap();
    tokio::time::sleep(SHORT * 2).await;
    // It ran out, though nobody has taken it: that is enough.
    for _ in 0..2 {
        let refused = store.apply(commit(&lost)).await;
        assert!(
            matches!(refused, Err(StoreError::LeaseLost { ref lease }) if lease == "asset BTC"),
            "{refused:?}"
        );
        let state = BackfillState { completed: true, reason: String::new() };
        let refused = store.record_backfill(btc, state, Some(lost.clone())).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost { .. })));
        // And now somebody has.
        store.acquire("asset BTC", "second", LONG).await.unwrap();
    }
    assert_eq!(database.dump().await, Vec::<String>::new());
    assert_eq!(store.summary(btc).await.unwrap(), None, "not even an empty series is left behind");
    let never = Fence { lease: "nobody has it".to_owned(), token: 1 };
    assert!(matches!(store.apply(commit(&never)).await, Err(StoreError::LeaseLost { .. })));
    let pending = Commit::of_finding(btc, HALF_DAY.slots_in(TimeRange::ALL), Cause::Pending, "", at_day(20));
    assert!(matches!(store.apply(pending.with_fence(Some(lost))).await, Err(StoreError::LeaseLost { .. })));
}

fn at_day(day: i64) -> Timestamp {
    Timestamp::from_millis(day * 86_400_000).unwrap()
}

/// Eight years of candles in six pages for each of three assets, answered slowly, at the real time.
async fn market(latency: Duration) -> Market {
    let now = SystemClock.now();
    let first = now.saturating_sub(Duration::from_secs(2_950 * 86_400));
    let series = ["BTC", "ETH", "SOL"].map(|name| (asset(name), candles(asset(name), HALF_DAY, first, now)));
    let options = Options { latency, ..Options::default() };
    Market::of(Interval::H12, series.to_vec(), now, options).await
}

const CANDLES: usize = 3 * 5_800;

/// How many pages of an asset may be on their way at once.
const PAGES_AT_ONCE: usize = 2;

fn program(database: &TestDatabase, market: &Market, lease_seconds: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC,ETH,SOL")
        .with("INITIAL_BACKFILL_DAYS", "2900")
        .with("BINANCE_MAX_CONCURRENT_REQUESTS", &PAGES_AT_ONCE.to_string())
        .with("LEASE_SECONDS", lease_seconds)
}

/// Waits until all candles are stored.
async fn all_stored(database: &TestDatabase) {
    let waiting = Instant::now();
    while database.dump().await.len() < CANDLES {
        assert!(waiting.elapsed() < Duration::from_secs(60), "{} of {CANDLES}", database.dump().await.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn asked_for(market: &Market, pages: usize) {
    let waiting = Instant::now();
    while market.pages_asked().len() < pages {
        assert!(
            waiting.elapsed() < Duration::from_secs(60),
            "{} pages were asked for",
            market.pages_asked().len()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many pages were asked for more than once.
fn asked_again(market: &Market) -> usize {
    let mut asked: BTreeMap<_, usize> = BTreeMap::new();
    for page in market.pages_asked() {
        *asked.entry(page).or_default() += 1;
    }
    asked.values().map(|times| times - 1).sum()
}

async fn two_schedulers_started_together_ask_for_each_page_once(backend: Backend) {
    let market = market(Duration::from_millis(30)).await;
    let database = TestDatabase::new(backend).await;
    let program = program(&database, &market, "2");
    let mut one = program.start(&["schedule"]);
    let mut other = program.start(&["schedule"]);
    asked_for(&market, 1).await;
    all_stored(&database).await;
    assert_eq!(asked_again(&market), 0);
    let leads =
        |running: &mut Running| running.heard().iter().any(|line| line.contains("this scheduler leads"));
    assert_eq!([leads(&mut one), leads(&mut other)].iter().filter(|leads| **leads).count(), 1);
    for running in [&mut one, &mut other] {
        running.signal("TERM");
        assert_eq!(running.wait(), Some(0), "{:#?}", running.heard());
    }
}

async fn a_killed_leader_is_replaced_and_its_work_is_continued(backend: Backend) {
    let market = market(Duration::from_millis(60)).await;
    let database = TestDatabase::new(backend).await;
    let program = program(&database, &market, "2");
    let mut leader = program.start(&["schedule"]);
    leader.wait_for("this scheduler leads");
    let mut standby = program.start(&["schedule"]);
    standby.wait_for("stands by");
    asked_for(&market, 5).await;
    leader.signal("KILL");
    let killed = Instant::now();
    standby.wait_for("this scheduler leads");
    assert!(killed.elapsed() < Duration::from_secs(8), "{:?}", killed.elapsed());
    let asked = market.pages_asked().len();
    asked_for(&market, asked + 1).await;
    assert!(killed.elapsed() < Duration::from_secs(20), "its work goes on: {:?}", killed.elapsed());
    all_stored(&database).await;
    // Of each asset the page that was being stored, and those asked for ahead of it.
    let in_flight_max = 3 * (1 + PAGES_AT_ONCE);
    assert!(asked_again(&market) <= in_flight_max, "only what was in flight: {}", asked_again(&market));
}

async fn a_leader_that_is_stopped_hands_over_at_once(backend: Backend) {
    let market = market(Duration::from_millis(60)).await;
    let database = TestDatabase::new(backend).await;
    // A lease that nobody would want to wait for.
    let program = program(&database, &market, "20");
    let mut leader = program.start(&["schedule"]);
    leader.wait_for("this scheduler leads");
    let mut standby = program.start(&["schedule"]);
    standby.wait_for("stands by");
    asked_for(&market, 3).await;
    leader.signal("TERM");
    let stopped = Instant::now();
    assert_eq!(leader.wait(), Some(0));
    standby.wait_for("this scheduler leads");
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    all_stored(&database).await;
}

async fn a_backfill_waits_for_the_asset_that_a_scheduler_works_on(backend: Backend) {
    let market = market(Duration::from_millis(40)).await;
    let database = TestDatabase::new(backend).await;
    let program = program(&database, &market, "2");
    let mut scheduler = program.start(&["schedule"]);
    scheduler.wait_for("this scheduler leads");
    asked_for(&market, 3).await;
    let output = program.run(&["backfill"]);
    assert_eq!(output.status.code(), Some(0), "{}", ohlcv_tests::process::said(&output));
    assert_eq!(database.dump().await.len(), CANDLES);
    assert_eq!(asked_again(&market), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_default_a_killed_leader_is_replaced_within_thirty_seconds() {
    let market = market(Duration::from_millis(60)).await;
    let database = TestDatabase::new(Backend::Sqlite).await;
    let default =
        ohlcv::settings::VARIABLES.iter().find(|variable| variable.name == "LEASE_SECONDS").unwrap().default;
    let program = program(&database, &market, default);
    let mut leader = program.start(&["schedule"]);
    leader.wait_for("this scheduler leads");
    let mut standby = program.start(&["schedule"]);
    standby.wait_for("stands by");
    leader.signal("KILL");
    let killed = Instant::now();
    standby.wait_for("this scheduler leads");
    assert!(killed.elapsed() < Duration::from_secs(30), "{:?}", killed.elapsed());
}

ohlcv_tests::on_postgres! {
    // A process that is stopped while it writes to SQLite keeps the file locked, whatever others do.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_leader_that_slept_through_its_lease_writes_nothing() {
        let market = market(Duration::from_millis(60)).await;
        let database = TestDatabase::new(Backend::Postgres).await;
        let program = program(&database, &market, "1");
        let mut sleeper = program.start(&["schedule"]);
        sleeper.wait_for("this scheduler leads");
        asked_for(&market, 5).await;
        sleeper.signal("STOP");
        let mut next = program.start(&["schedule"]);
        next.wait_for("this scheduler leads");
        all_stored(&database).await;
        next.signal("KILL");
        next.wait();
        // Whatever the sleeper still holds in its hands, it must not write: not even what is right.
        database.execute("DELETE FROM spot_ohlcv WHERE asset = 'BTC'").await;
        database.execute("UPDATE lease SET token = token + 1, expires_ms = expires_ms + 1000000000000").await;
        sleeper.signal("CONT");
        sleeper.wait_for("no longer leads");
        sleeper.wait_for("stands by");
        assert_eq!(database.dump().await.len(), CANDLES - CANDLES / 3);
    }
}
