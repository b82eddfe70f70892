//! One request budget and one ban for all processes on a database, also after they were killed.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ohlcv_adapters::SystemClock;
use ohlcv_adapters::binance::{BinanceConfig, BinanceLimits, BinanceSource};
use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::Interval;
use ohlcv_ports::{CandleSource, Clock, Paused, RequestBudget, Reservation, SourceError};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::{Fault, Options, Request, Target};
use ohlcv_tests::process::{Program, said};
use tokio::task::JoinSet;

use crate::market::{HALF_DAY, Market, NOON, asset, candles};

ohlcv_tests::on_each_database!(
    processes_together_get_the_budget_and_no_more,
    a_pause_is_seen_by_all_and_never_shortened,
    nothing_is_reserved_while_a_pause_holds,
    what_the_databases_clock_makes_impossible_blocks_nobody,
    nobody_waits_in_a_queue_without_end,
    a_ban_is_obeyed_by_the_next_process_after_a_kill,
    two_processes_at_once_keep_to_one_budget,
    nothing_is_asked_while_the_database_is_away,
);

const EXCHANGE: &str = "api.example";
const SECOND: Duration = Duration::from_secs(1);

/// Two processes' ways to one database.
async fn two_stores(backend: Backend) -> ([Arc<SqlStore>; 2], TestDatabase) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    let store = |db| Arc::new(SqlStore::new(db, ohlcv_migration::newest()));
    ([store(db), store(database.connect().await)], database)
}

async fn processes_together_get_the_budget_and_no_more(backend: Backend) {
    let (stores, _database) = two_stores(backend).await;
    const PER_MINUTE: u32 = 1_200;
    let begun = Instant::now();
    let mut asking = JoinSet::new();
    for worker in 0..8 {
        let store = Arc::clone(&stores[worker % 2]);
        // Some want more than one may have, some less.
        let wanted = if worker < 4 { 2 } else { 1_000 };
        asking.spawn(async move {
            let mut opened = Vec::new();
            while begun.elapsed() < 4 * SECOND {
                match store.reserve(EXCHANGE, wanted, PER_MINUTE).await.unwrap() {
                    Reservation::Granted { weight, opens_in, closes_in } => {
                        assert!(weight <= 20 && closes_in <= opens_in + SECOND, "{weight} {closes_in:?}");
                        opened.push((Instant::now() + opens_in, weight));
                        tokio::time::sleep(opens_in).await;
                    }
                    other => panic!("{other:?}"),
                }
            }
            opened
        });
    }
    let mut opened: Vec<(Instant, u32)> = asking.join_all().await.into_iter().flatten().collect();
    opened.sort();
    let weight: u32 = opened.iter().map(|(_, weight)| weight).sum();
    // They open one after the other, so until the last one opens all the others are used up.
    let (last, last_weight) = *opened.last().unwrap();
    let span = last - opened[0].0;
    // Answers take a moment, so the span is not known to the millisecond.
    let allowed = |span: Duration| f64::from(PER_MINUTE) / 60.0 * span.as_secs_f64();
    let used = f64::from(weight - last_weight);
    assert!(used <= allowed(span + SECOND / 4), "{used} in {span:?}");
    assert!(used >= allowed(span) * 0.9, "{used} in {span:?}");
    let small = opened.iter().filter(|(_, weight)| *weight == 2).count();
    assert!((opened.len() * 2 / 5..=opened.len() * 3 / 5).contains(&small), "who wants little is served too");
}

async fn a_pause_is_seen_by_all_and_never_shortened(backend: Backend) {
    let ([one, other], _database) = two_stores(backend).await;
    assert_eq!(other.paused(EXCHANGE).await.unwrap(), None);
    one.pause(EXCHANGE, 60 * SECOND, "a minute").await.unwrap();
    one.pause(EXCHANGE, 2 * SECOND, "two seconds").await.unwrap();
    for _ in 0..2 {
        let Paused { left, reason } = other.paused(EXCHANGE).await.unwrap().unwrap();
        assert!(left > 50 * SECOND && left <= 60 * SECOND, "{left:?}");
        assert_eq!(reason, "a minute");
        assert_eq!(other.paused("another.example").await.unwrap(), None);
    }
    other.pause(EXCHANGE, 3_600 * SECOND, "an hour").await.unwrap();
    assert_eq!(one.paused(EXCHANGE).await.unwrap().unwrap().reason, "an hour");
    // Longer than anything that is believed.
    other.pause(EXCHANGE, Duration::MAX, "for ever").await.unwrap();
    let left = one.paused(EXCHANGE).await.unwrap().unwrap().left;
    assert!(left <= 3 * 24 * 3_600 * SECOND, "{left:?}");
}

async fn nothing_is_reserved_while_a_pause_holds(backend: Backend) {
    let ([one, other], database) = two_stores(backend).await;
    assert!(matches!(one.reserve(EXCHANGE, 2, 600).await.unwrap(), Reservation::Granted { weight: 2, .. }));
    one.pause(EXCHANGE, 3 * SECOND, "banned").await.unwrap();
    let row = "SELECT CAST(reserved_until_ms AS TEXT) AS until FROM request_budget";
    let reserved_until = async || database.query(row).await[0].try_get::<String>("", "until").unwrap();
    let before = reserved_until().await;
    let Reservation::Paused(Paused { left, reason }) = other.reserve(EXCHANGE, 2, 600).await.unwrap() else {
        panic!("a ban holds")
    };
    assert_eq!(reason, "banned");
    assert_eq!(reserved_until().await, before);
    tokio::time::sleep(left).await;
    assert!(matches!(other.reserve(EXCHANGE, 2, 600).await.unwrap(), Reservation::Granted { .. }));
}

async fn what_the_databases_clock_makes_impossible_blocks_nobody(backend: Backend) {
    let ([one, other], database) = two_stores(backend).await;
    one.reserve(EXCHANGE, 2, 600).await.unwrap();
    // As it looks after the clock was set back by a month.
    let month_ms = 30_i64 * 86_400_000;
    let ahead = format!(
        "UPDATE request_budget SET reserved_until_ms = reserved_until_ms + {month_ms},
        banned_until_ms = reserved_until_ms + {month_ms}"
    );
    assert_eq!(database.execute(&ahead).await, 1);
    assert_eq!(other.paused(EXCHANGE).await.unwrap(), None);
    let reservation = other.reserve(EXCHANGE, 2, 600).await.unwrap();
    assert!(matches!(reservation, Reservation::Granted { opens_in: Duration::ZERO, .. }), "{reservation:?}");
    one.pause(EXCHANGE, 60 * SECOND, "banned").await.unwrap();
    assert_eq!(other.paused(EXCHANGE).await.unwrap().unwrap().reason, "banned");
}

async fn nobody_waits_in_a_queue_without_end(backend: Backend) {
    let ([one, other], _database) = two_stores(backend).await;
    // The smallest budget: a request takes a quarter of a minute.
    let mut opens = Duration::ZERO;
    for granted in 0..6 {
        match one.reserve(EXCHANGE, 2, 10).await.unwrap() {
            Reservation::Granted { opens_in, .. } => {
                assert!(opens_in >= opens && opens_in <= 60 * SECOND, "{opens_in:?}");
                opens = opens_in;
            }
            Reservation::Wait(left) => {
                assert!(granted >= 4 && left < 16 * SECOND, "{left:?} after {granted}");
                assert!(matches!(other.reserve(EXCHANGE, 2, 10).await.unwrap(), Reservation::Wait(_)));
                return;
            }
            Reservation::Paused(paused) => panic!("{paused:?}"),
        }
    }
    panic!("the queue has no end");
}

/// Eight years of candles in six pages for each of two assets, at the real time.
async fn market() -> Market {
    let now = SystemClock.now();
    let first = now.saturating_sub(Duration::from_secs(2_950 * 86_400));
    let series = ["BTC", "ETH"].map(|name| (asset(name), candles(asset(name), HALF_DAY, first, now)));
    Market::of(Interval::H12, series.to_vec(), now, Options::default()).await
}

fn program(database: &TestDatabase, market: &Market) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC,ETH")
        .with("INITIAL_BACKFILL_DAYS", "2900")
}

async fn a_ban_is_obeyed_by_the_next_process_after_a_kill(backend: Backend) {
    let market = market().await;
    let database = TestDatabase::new(backend).await;
    let program = program(&database, &market);
    let ban = 8 * SECOND;
    market.exchange.inject_on(Target::Any, Fault::Banned { lasts: ban, with_header: true }, 1);
    let mut banned = program.start(&["backfill", "--asset", "BTC"]);
    let waiting = Instant::now();
    let row = "SELECT reason FROM request_budget WHERE banned_until_ms > 0";
    banned.wait_for("all requests to Binance wait");
    while database.query(row).await.is_empty() {
        assert!(waiting.elapsed() < 5 * SECOND, "the ban is in no row");
    }
    banned.signal("KILL");
    assert_eq!(banned.wait(), None);
    let reason: String = database.query(row).await[0].try_get("", "reason").unwrap();
    assert!(reason.contains("HTTP 418"), "{reason}");
    let told = market.exchange.requests().last().unwrap().clone();
    assert_eq!((market.exchange.requests().len(), told.status), (1, Some(418)));

    // Both the killed one's successor and somebody who never saw the ban.
    let mut next = program.start(&["backfill", "--asset", "BTC"]);
    let output = program.run(&["backfill", "--asset", "ETH"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(next.wait(), Some(0), "{:#?}", next.heard());
    let requests = market.exchange.requests();
    assert!(requests.len() > 12, "they went on: {}", requests.len());
    for request in &requests[1..] {
        let after = request.received - told.received;
        assert!(after >= ban, "{} was asked {after:?} after the ban began", request.path);
    }
}

async fn two_processes_at_once_keep_to_one_budget(backend: Backend) {
    let market = market().await;
    let database = TestDatabase::new(backend).await;
    // Migrated before, so that both begin to ask at the same time.
    assert_eq!(program(&database, &market).run(&["migrate"]).status.code(), Some(0));
    let program = program(&database, &market).with("BINANCE_RATE_LIMIT_REQUESTS_PER_MINUTE", "120");
    let mut btc = program.start(&["backfill", "--asset", "BTC"]);
    let mut eth = program.start(&["backfill", "--asset", "ETH"]);
    assert_eq!([btc.wait(), eth.wait()], [Some(0); 2], "{:#?} {:#?}", btc.heard(), eth.heard());
    let requests = market.exchange.requests();
    let weight: u32 = requests.iter().map(|request| request.weight).sum();
    assert!(weight >= 24, "{weight}");
    // In a minute 120; in so many seconds what flows in them and in the second that a reservation
    // lasts, besides one more, and one that a busy machine has delayed.
    let window = 8 * SECOND;
    let most = requests.iter().map(|first| weight_within(&requests, first, window)).max().unwrap();
    assert!(most <= 2 * (8 + 1) + 2 + 2, "{most} within {window:?}");
    // Each of them alone could have been as fast.
    let took = requests.last().unwrap().received - requests[0].received;
    assert!(took > SECOND * (weight / 2 - 4), "{took:?} for {weight}");
}

async fn nothing_is_asked_while_the_database_is_away(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 5).await;
    let ([store, other], _database) = two_stores(backend).await;
    let config = BinanceConfig {
        base_url: market.exchange.url(),
        quote: asset("USDT"),
        weight_per_minute: 6_000,
        request_delay: Duration::ZERO,
        concurrent_requests_max: NonZeroUsize::MIN,
        limits: BinanceLimits::default(),
    };
    let local = Arc::clone(&market.local);
    let source = BinanceSource::new(config, local).unwrap().sharing(Arc::<SqlStore>::clone(&store));
    source.server_time().await.unwrap();
    // A pause is in the row before the answer that demands it is given back.
    market.exchange.inject_on(Target::Any, Fault::Banned { lasts: 3_600 * SECOND, with_header: true }, 1);
    assert!(matches!(source.server_time().await, Err(SourceError::RateLimited { .. })));
    assert!(other.paused(&source.exchange()).await.unwrap().is_some());
    market.exchange.clear_requests();
    store.close().await;
    let fresh = source.sharing(store);
    let error = fresh.server_time().await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("the request budget in the database cannot be used"), "{error}");
    assert_eq!(market.exchange.requests().len(), 0);
}

fn weight_within(requests: &[Request], first: &Request, window: Duration) -> u32 {
    let inside = |request: &&Request| {
        request.received >= first.received && request.received <= first.received + window
    };
    requests.iter().filter(inside).map(|request| request.weight).sum()
}
