//! What is stored of every asset.

use std::collections::BTreeMap;
use std::sync::Arc;

use ohlcv_domain::{Asset, BackfillState, Cause, Grid, Interval};
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Coverage, MockCoverage, StoreError};
use ohlcv_usecases::{AssetCoverage, AssetStatus, ListAssets, MonitorPolicy};

use super::series::commit;
use crate::world::{GRACE, asset, at};

/// Name, whether it is tracked, and how many candles are known of it.
type Line = (String, bool, Option<u64>);

const NOW: &str = "2024-11-03T00:30";

fn list(coverage: Arc<dyn Coverage>, tracked: Vec<Asset>, now: &str) -> ListAssets {
    let policy = MonitorPolicy { interval: Interval::H12, grace: GRACE, days: 10 };
    ListAssets::new(coverage, Arc::new(PausedClock::new(at(now))), tracked, policy)
}

/// BTC with these slots from 1 November on, seen at `now`; its backfill completed or not.
async fn seen(slots: &str, completed: bool, now: &str) -> AssetCoverage {
    let store = store_with(&[("BTC", slots)]).await;
    store
        .record_backfill(asset("BTC"), BackfillState { completed, reason: String::new() }, None)
        .await
        .unwrap();
    list(store, vec![asset("BTC")], now).run().await.unwrap().remove(0)
}

async fn listed(store: &Arc<MemoryStore>, tracked: &[&str]) -> Vec<Line> {
    let tracked: Vec<Asset> = tracked.iter().map(|name| asset(name)).collect();
    let listed = list(Arc::clone(store) as Arc<dyn Coverage>, tracked, NOW).run().await.unwrap();
    listed
        .into_iter()
        .map(|listed| {
            let candles = listed.summary.map(|summary| {
                assert_eq!(summary.asset, listed.asset);
                summary.candles
            });
            (listed.asset.to_string(), listed.tracked, candles)
        })
        .collect()
}

async fn store_with(series: &[(&str, &str)]) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    for (name, slots) in series {
        let commit = commit(asset(name), Grid::new(Interval::H12), at("2024-11-01"), slots);
        store.apply(commit).await.unwrap();
    }
    store
}

fn line(name: &str, tracked: bool, candles: Option<u64>) -> Line {
    (name.to_owned(), tracked, candles)
}

#[tokio::test]
async fn tracked_assets_come_first_in_the_order_of_the_setting() {
    let store = store_with(&[("BTC", "CCC"), ("ETH", "CC"), ("SOL", "C")]).await;
    let expected = [line("SOL", true, Some(1)), line("BTC", true, Some(3)), line("ETH", true, Some(2))];
    assert_eq!(listed(&store, &["SOL", "BTC", "ETH"]).await, expected);
}

#[tokio::test]
async fn assets_that_are_tracked_no_more_follow_by_name_if_they_have_candles() {
    let store = store_with(&[("XRP", "C"), ("ADA", "CC"), ("BTC", "CCC"), ("NEW", "bbpp")]).await;
    let expected = [line("BTC", true, Some(3)), line("ADA", false, Some(2)), line("XRP", false, Some(1))];
    assert_eq!(listed(&store, &["BTC"]).await, expected);
}

#[tokio::test]
async fn a_tracked_asset_is_listed_before_anything_is_known_of_it() {
    let store = store_with(&[]).await;
    assert_eq!(listed(&store, &["BTC"]).await, [line("BTC", true, None)]);
    let state = BackfillState { completed: false, reason: "the exchange is away".to_owned() };
    store.record_backfill(asset("BTC"), state, None).await.unwrap();
    assert_eq!(listed(&store, &["BTC"]).await, [line("BTC", true, Some(0))]);
}

#[tokio::test]
async fn the_list_is_made_of_summaries_and_counts_alone() {
    let mut coverage = MockCoverage::new();
    coverage.expect_summaries().once().returning(|| Ok(Vec::new()));
    coverage.expect_hole_counts().once().returning(|| Ok(Vec::new()));
    let list = list(Arc::new(coverage), vec![asset("BTC"), asset("ETH")], NOW);
    assert_eq!(list.run().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_that_does_not_answer_makes_no_list() {
    let mut coverage = MockCoverage::new();
    coverage
        .expect_summaries()
        .returning(|| Err(StoreError::Unavailable { reason: "no connection".to_owned(), source: None }));
    let list = list(Arc::new(coverage), vec![asset("BTC")], NOW);
    assert!(matches!(list.run().await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn the_slots_of_the_holes_are_counted_by_cause() {
    let seen = seen("bbbCeeCrCeCffpp", false, NOW).await;
    let expected = [
        (Cause::Pending, 2),
        (Cause::SourceEmpty, 3),
        (Cause::BeforeListing, 3),
        (Cause::Rejected, 1),
        (Cause::Failed, 2),
    ];
    assert_eq!(seen.gaps, BTreeMap::from(expected));
    // Together with the candles they are the span.
    assert_eq!(seen.gaps.values().sum::<u64>() + seen.summary.unwrap().candles, 15);
}

#[tokio::test]
async fn an_asset_without_holes_has_none_of_any_cause() {
    let store = store_with(&[("ETH", "CeC")]).await;
    let listed = list(store, vec![asset("BTC"), asset("ETH")], NOW).run().await.unwrap();
    assert_eq!(listed[0].gaps, BTreeMap::from(Cause::ALL.map(|cause| (cause, 0))));
    assert_eq!(listed[1].gaps[&Cause::SourceEmpty], 1);
}

#[tokio::test]
async fn an_asset_is_complete_or_behind_by_what_has_closed_since() {
    let complete = seen("CCCC", true, "2024-11-03T12:00:29Z").await;
    assert_eq!((complete.status, complete.lag), (AssetStatus::Complete, 0));
    let behind = seen("CCCC", true, "2024-11-03T12:00:30Z").await;
    assert_eq!((behind.status, behind.lag), (AssetStatus::Behind, 1));
    let pending = seen("CCCp", true, NOW).await;
    assert_eq!((pending.status, pending.lag), (AssetStatus::Behind, 1));
}

#[tokio::test]
async fn an_asset_whose_backfill_is_not_complete_says_so_whether_it_lags_or_not() {
    assert_eq!(seen("CpCC", false, NOW).await.status, AssetStatus::Incomplete);
    let lagging = seen("CpCC", false, "2024-11-04T00:30").await;
    assert_eq!((lagging.status, lagging.lag), (AssetStatus::Incomplete, 2));
}

#[tokio::test]
async fn an_asset_without_a_candle_is_empty() {
    assert_eq!(seen("bbpp", false, NOW).await.status, AssetStatus::Empty);
    let store = store_with(&[]).await;
    let listed = list(store, vec![asset("BTC")], NOW).run().await.unwrap();
    assert_eq!((listed[0].status, listed[0].lag), (AssetStatus::Empty, 20));
}

#[tokio::test]
async fn a_market_that_has_stopped_is_halted_and_does_not_lag_for_a_day() {
    let stopped = seen("CCeeeeee", true, "2024-11-05T23:30").await;
    assert_eq!((stopped.status, stopped.lag), (AssetStatus::Halted, 0));
    let forgotten = seen("CCeeeeee", true, "2024-11-06T00:30").await;
    assert_eq!((forgotten.status, forgotten.lag), (AssetStatus::Halted, 2));
    // Two days and a half are too short, and so is what was not answered about.
    assert_eq!(seen("CCeeeee", true, "2024-11-04T12:30").await.status, AssetStatus::Complete);
    assert_eq!(seen("CCpppppp", true, "2024-11-05T12:30").await.status, AssetStatus::Behind);
    assert_eq!(seen("bbeeeeee", false, "2024-11-05T12:30").await.status, AssetStatus::Halted);
}

#[tokio::test]
async fn an_asset_that_is_not_tracked_is_neither_behind_nor_halted() {
    let store = store_with(&[("DOGE", "CeCCC"), ("LUNA", "CCeeeeee")]).await;
    let listed = list(store, Vec::new(), "2024-12-01").run().await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.status).collect::<Vec<_>>(), [AssetStatus::Untracked; 2]);
}

#[tokio::test]
async fn what_is_not_complete_says_why_as_far_as_that_is_known() {
    let store = store_with(&[("BTC", "C"), ("ETH", "C"), ("SOL", "C"), ("ADA", "C")]).await;
    for (name, completed, reason) in
        [("BTC", true, ""), ("ETH", false, "9 of 10 days"), ("ADA", false, "gone")]
    {
        let state = BackfillState { completed, reason: reason.to_owned() };
        store.record_backfill(asset(name), state, None).await.unwrap();
    }
    let tracked = ["BTC", "ETH", "SOL", "NEW"].map(asset).to_vec();
    let listed = list(store, tracked, NOW).run().await.unwrap();
    let reasons: Vec<Option<&str>> = listed.iter().map(AssetCoverage::why_incomplete).collect();
    let unknown = Some("no backfill of it has come to its end yet");
    // The last one is no longer tracked.
    assert_eq!(reasons, [None, Some("9 of 10 days"), unknown, unknown, Some("gone")]);
}
