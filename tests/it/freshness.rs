//! Who reads after a write was acknowledged sees it, whoever wrote it, while many read.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::{Asset, Candle, Commit, Ohlc, SlotRange, Timestamp, Volume};
use ohlcv_ports::{CandleStore, Clock};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, said};
use ohlcv_tests::service::Service;
use tokio_util::sync::CancellationToken;

use crate::market::{HALF_DAY, Market, NOON, asset, at};

ohlcv_tests::on_each_database!(
    every_read_that_starts_after_a_commit_sees_it,
    a_read_after_a_backfill_in_another_process_sees_what_it_fetched,
);

const READS: u64 = 10_000;
const READERS: u64 = 32;
/// Candles before the writer begins. All that the writer touches lies among the last of them or behind.
const STORED: i64 = 30;
/// A writer that never rested would leave a debug build no time to read.
const BETWEEN_COMMITS: Duration = Duration::from_millis(5);
/// How many commits a writer makes at most: there are half-days for so many.
const COMMITS_MAX: u64 = 10_000;

fn first() -> Timestamp {
    at("2010-01-01T00:00:00Z")
}

fn slot(number: i64) -> Timestamp {
    HALF_DAY.step(first(), number)
}

/// A candle whose volume is the number of the commit that wrote it.
fn numbered(open_time: Timestamp, commit: u64) -> Candle {
    let price = "42".parse().unwrap();
    let prices = Ohlc { open: price, high: price, low: price, close: price };
    let volume = Volume::from_units(u128::from(commit) * 100_000_000).unwrap();
    Candle::new(open_time, prices, volume).unwrap()
}

fn commit_of(asset: Asset, from: i64, candles: Vec<Candle>) -> Commit {
    let until = from + i64::try_from(candles.len()).unwrap();
    let slots = SlotRange::new(HALF_DAY, slot(from), slot(until)).unwrap();
    Commit::new(asset, slots, candles, Vec::new(), at(NOON)).unwrap()
}

/// Writes commits 1, 2, 3… and says after each that it is there: the uneven ones revise an old candle,
/// the even ones bring the next. Returns how many there were.
async fn write(store: SqlStore, acknowledged: Arc<AtomicU64>, stop: CancellationToken) -> u64 {
    let (revised, mut next) = (STORED - 10, STORED);
    for number in 1.. {
        if stop.is_cancelled() || number > COMMITS_MAX {
            return number - 1;
        }
        let from = if number % 2 == 1 { revised } else { next };
        let commit = commit_of(asset("BTC"), from, vec![numbered(slot(from), number)]);
        let applied = store.apply(commit).await.unwrap();
        assert_eq!(applied.new + applied.changed, 1, "commit {number} writes something");
        next += i64::from(from == next);
        acknowledged.store(number, Ordering::SeqCst);
        tokio::time::sleep(BETWEEN_COMMITS).await;
    }
    unreachable!("the numbers do not end")
}

/// What the newest commit is that an answer shows.
fn newest_in(text: &str) -> u64 {
    let numbers = text.split("\"volume\":\"").skip(1);
    let number = |rest: &str| rest.split('.').next().unwrap().parse::<u64>().unwrap();
    numbers.map(number).max().unwrap_or(0)
}

async fn every_read_that_starts_after_a_commit_sees_it(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(backend).await;
    let service = Arc::new(market.service(&database, &[("LOG_LEVEL", "WARN")]).await);
    // Connections of its own, as another process has.
    let store = SqlStore::new(database.connect().await, ohlcv_migration::newest());
    let stored = (0..STORED).map(|number| numbered(slot(number), 0)).collect();
    store.apply(commit_of(asset("BTC"), 0, stored).with_listing(first())).await.unwrap();

    let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let writer = tokio::spawn(write(store, Arc::clone(&acknowledged), stop.clone()));
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..READERS {
        let (service, acknowledged) = (Arc::clone(&service), Arc::clone(&acknowledged));
        readers.spawn(async move { read(&service, &acknowledged, reader).await });
    }
    let mut reads = 0;
    while let Some(read) = readers.join_next().await {
        reads += read.unwrap();
    }
    stop.cancel();
    let commits = writer.await.unwrap();
    assert!(reads >= READS && commits > 20, "{reads} reads during {commits} commits");
}

/// Asks for the revised candle, for it among others, and for the newest ones, raw and filled. Returns how
/// often.
async fn read(service: &Service, acknowledged: &AtomicU64, reader: u64) -> u64 {
    let (revised, behind) = (slot(STORED - 10), slot(STORED - 9));
    let fill = if reader.is_multiple_of(2) { "&fill=true" } else { "" };
    let reads = READS.div_ceil(READERS);
    for turn in 0..reads {
        let before = acknowledged.load(Ordering::SeqCst);
        // The newest commit up to that one which revised the candle, or brought one.
        let (last_revision, last_new) = (before.saturating_sub((before + 1) % 2), before - before % 2);
        let (range, seen) = match (turn + reader) % 4 {
            0 => (format!("start={revised}&end={behind}"), last_revision),
            1 => (format!("start={}&limit=40", slot(STORED - 20)), last_revision),
            _ => ("limit=3".to_owned(), last_new),
        };
        let answer = service.get(&format!("/api/v1/ohlcv/BTC?{range}{fill}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let newest = newest_in(&answer.text);
        assert!(
            newest >= seen,
            "{range}{fill}: commit {seen} was acknowledged before the read began, and {newest} is shown"
        );
    }
    reads
}

async fn a_read_after_a_backfill_in_another_process_sees_what_it_fetched(backend: Backend) {
    // The other process goes by the machine's clock.
    let now = ohlcv_adapters::SystemClock.now().to_string();
    let market = Market::new(HALF_DAY, &["BTC"], &now, 20).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[]).await;
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &market.exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC");
    for (days, rows) in [("5", 10), ("10", 20), ("15", 30)] {
        let ended = tokio::task::block_in_place(|| program.run(&["backfill", "--days", days]));
        assert!(ended.status.success(), "{}", said(&ended));
        for path in ["/api/v1/ohlcv/BTC", "/api/v1/ohlcv/BTC?fill=true"] {
            assert_eq!(service.get(path).await.rows().len(), rows, "{path} after {days} days");
        }
    }
}
