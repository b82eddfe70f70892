//! The fakes keep the contracts of what they stand for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ohlcv_domain::{Candle, Grid, Interval, Ohlc, Timestamp};
use ohlcv_ports::testing::candle_source_contract::SourceFixture;
use ohlcv_ports::testing::candle_store_contract::StoreUnderTest;
use ohlcv_ports::testing::{MemoryStore, PausedClock, ScriptedSource};

mod memory_store {
    use super::*;

    async fn fresh() -> StoreUnderTest {
        let store = Arc::new(MemoryStore::new());
        let shared = || Arc::<MemoryStore>::clone(&store);
        StoreUnderTest { candles: shared(), coverage: shared(), history: shared(), marks: store }
    }

    ohlcv_ports::candle_store_contract!(fresh);
}

mod scripted_source {
    use super::*;

    async fn full_answers() -> (SourceFixture, impl Sized) {
        (fixture(Interval::H12, 1_000), ())
    }

    ohlcv_ports::candle_source_contract!(full_answers);
}

mod scripted_source_with_short_answers {
    use super::*;

    async fn short_answers() -> (SourceFixture, impl Sized) {
        (fixture(Interval::M5, 4), ())
    }

    ohlcv_ports::candle_source_contract!(short_answers);
}

/// Forty slots, of which the last is open and two in the middle have no candle.
fn fixture(interval: Interval, page_slots_max: u32) -> SourceFixture {
    let grid = Grid::new(interval);
    let first = grid.floor("2024-11-01T00:00:00Z".parse().unwrap());
    let candles: Vec<Candle> =
        (0..40).filter(|n| !matches!(n, 17 | 18)).map(|n| candle(grid.step(first, n), n)).collect();
    let now = grid.step(first, 39).saturating_add(interval.longest() / 2);
    let asset = "BTC".parse().unwrap();
    let source = ScriptedSource::new(Arc::new(PausedClock::new(now)));
    source.add(asset, interval, candles.iter().copied());
    source.set_page_slots_max(page_slots_max.try_into().unwrap());
    SourceFixture {
        source: Arc::new(source),
        now,
        asset,
        unknown: "NOPE".parse().unwrap(),
        interval,
        candles,
    }
}

fn candle(open_time: Timestamp, n: i64) -> Candle {
    let price = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100).parse().unwrap();
    let prices = Ohlc { open: price(500 + n), high: price(600 + n), low: price(400), close: price(501 + n) };
    Candle::new(open_time, prices, "3.5".parse().unwrap()).unwrap()
}

/// A case that was written but not listed would never run.
#[test]
fn every_case_of_a_contract_is_listed() {
    let store = [
        include_str!("../src/testing/candle_store_contract/changes.rs"),
        include_str!("../src/testing/candle_store_contract/history.rs"),
        include_str!("../src/testing/candle_store_contract/ledger.rs"),
        include_str!("../src/testing/candle_store_contract/reading.rs"),
        include_str!("../src/testing/candle_store_contract/summaries.rs"),
        include_str!("../src/testing/candle_store_contract/unverified.rs"),
        include_str!("../src/testing/candle_store_contract/writing.rs"),
    ];
    let store_list = include_str!("../src/testing/candle_store_contract.rs");
    let source = include_str!("../src/testing/candle_source_contract.rs");
    for (cases, list) in [(store.concat().as_str(), store_list), (source, source)] {
        let names: Vec<&str> = cases
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('(').map(|(name, _)| name))
            .collect();
        let listed: Vec<&str> = list
            .lines()
            .filter_map(|line| line.strip_prefix("            ")?.strip_suffix(','))
            .filter(|name| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()))
            .collect();
        assert!(names.len() >= 15, "only {} cases were found", names.len());
        for name in &names {
            assert!(listed.contains(name), "{name} is not listed");
        }
        assert_eq!(listed.len(), names.len());
    }
}
