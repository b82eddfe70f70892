//! Killed at any moment and run again, a backfill ends with the same rows as an undisturbed one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ohlcv_adapters::SystemClock;
use ohlcv_domain::Interval;
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::{FakeBinance, Options};
use ohlcv_tests::process::{Program, said};

use crate::market::{HALF_DAY, Market, asset, candles};

ohlcv_tests::on_each_database!(
    a_backfill_killed_again_and_again_ends_as_an_undisturbed_one,
    a_backfill_that_is_asked_to_stop_says_so_and_goes_on_later,
);

/// How often a backfill is killed before it may end.
const KILLS: usize = 6;
/// How many pages of an asset may be on their way at once.
const PAGES_AT_ONCE: usize = 3;

/// Eight years of candles in six pages for each of three assets, answered slowly, at the real time.
async fn market(latency: Duration) -> Market {
    let now = SystemClock.now();
    let first = now.saturating_sub(Duration::from_secs(2_950 * 86_400));
    let series = ["BTC", "ETH", "SOL"].map(|name| (asset(name), candles(asset(name), HALF_DAY, first, now)));
    let options = Options { latency, ..Options::default() };
    Market::of(Interval::H12, series.to_vec(), now, options).await
}

fn program(database: &TestDatabase, exchange: &FakeBinance) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", &exchange.url())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("TRACKED_ASSETS", "BTC,ETH,SOL")
        .with("INITIAL_BACKFILL_DAYS", "2900")
        .with("BINANCE_MAX_CONCURRENT_REQUESTS", &PAGES_AT_ONCE.to_string())
        .with("LEASE_SECONDS", "1")
}

async fn a_backfill_killed_again_and_again_ends_as_an_undisturbed_one(backend: Backend) {
    let market = market(Duration::from_millis(40)).await;
    let undisturbed = TestDatabase::new(backend).await;
    let output = program(&undisturbed, &market.exchange).run(&["backfill"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let expected = undisturbed.dump().await;
    assert_eq!(expected.len(), 3 * 5_800);
    let pages_needed: BTreeSet<_> = market.pages_asked().into_iter().collect();
    market.exchange.clear_requests();

    let killed = TestDatabase::new(backend).await;
    let program = program(&killed, &market.exchange);
    for kill in 0..KILLS {
        let before = market.pages_asked().len();
        let mut running = program.start(&["backfill"]);
        // A moment that differs from kill to kill, in the middle of the work.
        while market.pages_asked().len() < before + 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(9 * kill as u64)).await;
        running.signal("KILL");
        assert_eq!(running.wait(), None);
    }
    let output = program.run(&["backfill"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(killed.dump().await, expected);

    // What was in flight when it was killed was never stored, so only that is asked for again: of each
    // asset the page that was being stored, and those asked for ahead of it. Who goes on behind stored
    // candles reads the newest of them once more: with each kill pages may begin a slot earlier.
    let mut asked: BTreeMap<_, usize> = BTreeMap::new();
    for (symbol, start) in market.pages_asked() {
        let undisturbed = (0..=KILLS as u64)
            .map(|slots| (symbol.clone(), start.saturating_add(Duration::from_secs(slots * 43_200))))
            .find(|page| pages_needed.contains(page));
        let page = undisturbed
            .unwrap_or_else(|| panic!("{symbol} from {start} is no page of an undisturbed backfill"));
        *asked.entry(page).or_default() += 1;
    }
    assert_eq!(asked.len(), pages_needed.len(), "every page, and no other");
    let again: usize = asked.values().map(|times| times - 1).sum();
    assert!(again <= 3 * KILLS * (1 + PAGES_AT_ONCE), "{again} pages were asked for again");
    market.exchange.clear_requests();
    assert_eq!(program.run(&["backfill"]).status.code(), Some(0));
    assert_eq!(market.exchange.klines_requests().len(), 0);
}

async fn a_backfill_that_is_asked_to_stop_says_so_and_goes_on_later(backend: Backend) {
    let market = market(Duration::from_millis(150)).await;
    let database = TestDatabase::new(backend).await;
    let program = program(&database, &market.exchange);
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let before = market.pages_asked().len();
        let mut running = program.start(&["backfill"]);
        while market.pages_asked().len() < before + 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.signal(signal);
        assert_eq!(running.wait(), Some(status), "{:?}", running.heard());
        running.wait_for("run it again to go on");
    }
    let holes = crate::backfill::holes(&database).await;
    assert!(!holes.is_empty() && holes.iter().all(|hole| hole.starts_with("pending ")), "{holes:?}");
    assert_eq!(program.run(&["backfill"]).status.code(), Some(0));
    assert_eq!(database.dump().await.len(), 3 * 5_800);
}
