//! What is stored of every asset.

use std::sync::Arc;

use ohlcv_domain::{Asset, BackfillState, Grid, Interval};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, Coverage, MockCoverage, StoreError};
use ohlcv_usecases::ListAssets;

use super::series::commit;
use crate::world::{asset, at};

/// Name, whether it is tracked, and how many candles are known of it.
type Line = (String, bool, Option<u64>);

async fn listed(store: &Arc<MemoryStore>, tracked: &[&str]) -> Vec<Line> {
    let tracked: Vec<Asset> = tracked.iter().map(|name| asset(name)).collect();
    let list = ListAssets::new(Arc::clone(store) as Arc<dyn Coverage>, tracked);
    let listed = list.run().await.unwrap().into_iter();
    listed
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
async fn the_list_is_made_of_summaries_alone() {
    let mut coverage = MockCoverage::new();
    coverage.expect_summaries().once().returning(|| Ok(Vec::new()));
    let list = ListAssets::new(Arc::new(coverage), vec![asset("BTC"), asset("ETH")]);
    assert_eq!(list.run().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_store_that_does_not_answer_makes_no_list() {
    let mut coverage = MockCoverage::new();
    coverage
        .expect_summaries()
        .returning(|| Err(StoreError::Unavailable { reason: "no connection".to_owned(), source: None }));
    let list = ListAssets::new(Arc::new(coverage), vec![asset("BTC")]);
    assert!(matches!(list.run().await, Err(StoreError::Unavailable { .. })));
}
