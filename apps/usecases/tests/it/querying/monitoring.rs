//! How far behind each asset is, and how many holes there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use ohlcv_domain::{Asset, Cause, Grid, Interval};
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Clock, Coverage, MockCoverage, StoreError};
use ohlcv_usecases::{Monitor, MonitorPolicy, Observed};

use super::series::commit;
use crate::world::{GRACE, asset, at};

/// What is seen at `now` of series that begin on 1 November.
async fn observed(grid: Grid, series: &[(&str, &str)], tracked: &[&str], now: &str) -> Observed {
    let store = MemoryStore::new();
    for (name, slots) in series {
        store.apply(commit(asset(name), grid, at("2024-11-01"), slots)).await.unwrap();
    }
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new(at(now)));
    let policy = MonitorPolicy { interval: grid.interval(), grace: GRACE, days: 10 };
    let tracked: Vec<Asset> = tracked.iter().map(|name| asset(name)).collect();
    let coverage: Arc<dyn Coverage> = Arc::new(store);
    Monitor::new(coverage, clock, tracked, policy).run().await.unwrap()
}

async fn lag(slots: &str, now: &str) -> u64 {
    let seen = observed(Grid::new(Interval::H12), &[("BTC", slots)], &["BTC"], now).await;
    seen.lags[0].1
}

#[tokio::test]
async fn an_asset_lags_by_the_closed_candles_that_were_not_answered_about() {
    assert_eq!(lag("CCCC", "2024-11-03T00:00:30Z").await, 0);
    assert_eq!(lag("CCCC", "2024-11-03T12:00:29Z").await, 0, "the next one closes with the grace");
    assert_eq!(lag("CCCC", "2024-11-03T12:00:30Z").await, 1);
    assert_eq!(lag("CCCC", "2024-11-05T12:30:00Z").await, 5);
}

#[tokio::test]
async fn what_the_exchange_does_not_have_is_no_lag_and_what_it_may_still_send_is() {
    assert_eq!(lag("CCer", "2024-11-03T00:30:00Z").await, 0);
    assert_eq!(lag("CCCp", "2024-11-03T00:30:00Z").await, 1);
    assert_eq!(lag("CCff", "2024-11-03T00:30:00Z").await, 2);
    // A hole further back is counted as a hole.
    assert_eq!(lag("CfCC", "2024-11-03T00:30:00Z").await, 0);
}

#[tokio::test]
async fn an_asset_that_was_never_fetched_lags_by_the_whole_history_that_is_wanted() {
    let seen = observed(Grid::new(Interval::H12), &[], &["BTC"], "2024-11-03T00:30").await;
    assert_eq!(seen.lags, [(asset("BTC"), 20)]);
    let seen = observed(Grid::new(Interval::D1), &[], &["BTC"], "2024-11-03T23:30:00Z").await;
    assert_eq!(seen.lags, [(asset("BTC"), 10)]);
}

#[tokio::test]
async fn a_clock_that_is_slow_makes_no_lag() {
    assert_eq!(lag("CCCC", "2024-11-01T00:00:00Z").await, 0);
}

#[tokio::test]
async fn all_tracked_assets_are_watched_and_no_others_but_every_hole_counts() {
    let series = [("BTC", "CeCffC"), ("ETH", "bbCC"), ("DOGE", "CeCrCp")];
    let seen = observed(Grid::new(Interval::H12), &series, &["ETH", "BTC", "SOL"], "2024-11-03T00:30").await;
    assert_eq!(seen.lags, [(asset("ETH"), 0), (asset("BTC"), 0), (asset("SOL"), 20)]);
    let expected = [
        (Cause::Pending, 1),
        (Cause::SourceEmpty, 2),
        (Cause::BeforeListing, 1),
        (Cause::Rejected, 1),
        (Cause::Failed, 1),
    ];
    assert_eq!(seen.holes, BTreeMap::from(expected));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told() {
    let mut coverage = MockCoverage::new();
    coverage
        .expect_summaries()
        .returning(|| Err(StoreError::Unavailable { reason: "no connection".to_owned(), source: None }));
    let policy = MonitorPolicy { interval: Interval::H12, grace: GRACE, days: 10 };
    let clock = Arc::new(PausedClock::new(at("2024-11-03")));
    let monitor = Monitor::new(Arc::new(coverage), clock, vec![asset("BTC")], policy);
    assert!(matches!(monitor.run().await, Err(StoreError::Unavailable { .. })));
}
