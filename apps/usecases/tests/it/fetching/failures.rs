//! What fails is noted exactly, and costs nothing else.

use std::sync::Arc;

use ohlcv_domain::Cause;
use ohlcv_ports::testing::Call;
use ohlcv_ports::{MockCandleStore, SourceError, StoreError};
use ohlcv_usecases::{AssetError, Backfill, CatchUp, Outcome, RunReport};

use crate::world::{
    CLOSED, HOUR, TEN_DAYS_AGO, World, asset, at, away, btc, candles, goal, half_days, range,
};

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_becomes_a_failed_hole_and_what_was_not_asked_before_stays_pending() {
    let world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    world.fail_page(2);
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Failed(AssetError::Source(SourceError::Unavailable { .. }))));
    // The third page was on its way together with the second one.
    assert_eq!((report.gains.pages, report.gains.stored.new), (2, 10));
    let stored = [half_days(TEN_DAYS_AGO, "2024-10-30"), half_days("2024-11-01T12:00", "2024-11-04")];
    assert_eq!(world.rows("BTC").await, stored.map(candles).concat());
    let failed = (range("2024-10-30", "2024-11-01T12:00"), Cause::Failed);
    let pending = (range("2024-11-04", CLOSED), Cause::Pending);
    assert_eq!(world.ledger().await, [failed, pending]);
    assert!(world.holes().await[0].detail.contains("connection reset"));
    assert!(report.behind);
}

#[tokio::test(start_paused = true)]
async fn the_run_after_a_failure_asks_only_for_what_is_missing() {
    let world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    world.fail_page(2);
    world.backfill(10).await;
    world.calls();
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    let missing = [half_days("2024-11-04", CLOSED), half_days("2024-10-30", "2024-11-01T12:00")];
    let calls: Vec<Call> = missing.into_iter().map(|page| Call::Page(btc(), page)).collect();
    assert_eq!(world.calls(), [vec![Call::ServerTime], calls].concat());
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_after_a_part_of_it_was_answered_fails_only_for_the_rest() {
    let world = World::of_btc();
    world.loses(range("2024-10-29", "2024-10-30"));
    // The exchange answers shorter than it said it would, then not at all.
    let source = Arc::downgrade(&world.source);
    world.source.tamper(move |mut page| {
        page.rows.truncate(10);
        page.answered_until = at("2024-11-02T12:00");
        source.upgrade().unwrap().fail_next_pages(1, away);
        page
    });
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Failed(_)));
    let stored = [half_days(TEN_DAYS_AGO, "2024-10-29"), half_days("2024-10-30", "2024-11-02T12:00")];
    assert_eq!(world.rows("BTC").await, stored.map(candles).concat());
    let empty = (range("2024-10-29", "2024-10-30"), Cause::SourceEmpty);
    assert_eq!(world.ledger().await, [empty, (range("2024-11-02T12:00", CLOSED), Cause::Failed)]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_is_known_to_be_empty_stays_so_when_asking_again_fails() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    world.backfill(10).await;
    let known = world.holes().await;
    tokio::time::sleep(HOUR).await;
    for run in 1..=3 {
        world.calls();
        world.fail_page(1);
        let report = world.catch_up().await;
        assert!(matches!(report.outcome, Outcome::Failed(_)), "run {run}");
        assert_eq!(world.pages(), [half_days("2024-11-01", "2024-11-02")], "it stays due");
        assert_eq!(world.holes().await, known);
    }
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_the_exchange_does_not_know_fails_and_trying_soon_again_is_no_use() {
    let world = World::of_btc();
    let report = Backfill::new(world.context(), goal(10)).run(&[asset("NOPE")]).await.unwrap();
    let Outcome::Failed(AssetError::Source(SourceError::UnknownAsset { symbol })) = &report.assets[0].outcome
    else {
        panic!("{report:?}")
    };
    assert_eq!(symbol, "NOPE");
    assert!(report.has_failures() && !report.is_worth_repeating());
    assert_eq!(world.rows("NOPE").await, []);
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_was_delisted_keeps_what_is_stored() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.source.fail_asset(btc(), || SourceError::UnknownAsset { symbol: "BTCUSDT".to_owned() });
    world.clock.set(at("2024-11-07T00:01"));
    let report = world.run_catch_up().await;
    assert!(report.assets[0].behind && !report.is_worth_repeating());
    assert_eq!(world.rows("BTC").await.len(), 20);
    assert_eq!(world.ledger().await, [(range(CLOSED, "2024-11-07"), Cause::Failed)]);
}

#[tokio::test(start_paused = true)]
async fn one_asset_that_fails_stops_no_other_and_reports_keep_their_order() {
    let world = World::of_btc();
    world.lists("ETH", "2023-01-01", "2025-06-01");
    world.lists("SOL", "2023-01-01", "2025-06-01");
    world.source.fail_asset(asset("ETH"), away);
    let wanted = ["SOL", "NOPE", "ETH", "BTC"].map(asset);
    let ended = |report: &RunReport| -> Vec<(String, bool)> {
        let reports = report.assets.iter();
        reports.map(|report| (report.asset.to_string(), matches!(report.outcome, Outcome::Done))).collect()
    };
    let expected = [("SOL", true), ("NOPE", false), ("ETH", false), ("BTC", true)]
        .map(|(name, done)| (name.to_owned(), done));
    let first = Backfill::new(world.context(), goal(10)).run(&wanted).await.unwrap();
    assert_eq!(ended(&first), expected);
    let second = CatchUp::new(world.context(), goal(10)).run(&wanted).await.unwrap();
    assert_eq!(ended(&second), expected);
    assert_eq!(world.rows("SOL").await.len(), 20);
    assert_eq!(world.rows("BTC").await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn without_the_exchanges_time_nothing_is_asked_and_nothing_written() {
    let world = World::of_btc();
    world.source.fail_next(1, away);
    let ended = Backfill::new(world.context(), goal(10)).run(&[btc()]).await;
    assert!(matches!(ended, Err(AssetError::Source(SourceError::Unavailable { .. }))));
    assert_eq!(world.calls(), [Call::ServerTime]);
    assert_eq!(world.summary().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_ends_the_asset_before_more_is_asked() {
    let world = World::of_btc();
    let mut store = MockCandleStore::new();
    store
        .expect_apply()
        .once()
        .returning(|_| Err(StoreError::Unavailable { reason: "disk full".to_owned(), source: None }));
    let mut context = world.context();
    context.store = Arc::new(store);
    let report = Backfill::new(context, goal(10)).run(&[btc()]).await.unwrap();
    let Outcome::Failed(AssetError::Store(error)) = &report.assets[0].outcome else { panic!("{report:?}") };
    assert!(error.to_string().contains("disk full"));
    assert_eq!(world.pages(), []);
    assert!(report.is_worth_repeating());
}
