//! What a run says of an asset in the end: whether its history is complete, when to look again.

use std::sync::Arc;

use futures::FutureExt;
use ohlcv_domain::{BackfillState, Interval, TimeRange};
use ohlcv_ports::{CandleStore, MockCandleStore, SourceError, StoreError};
use ohlcv_usecases::{AssetReport, Backfill, BackfillGoal, CatchUp, Outcome, RunReport};

use crate::world::{
    CLOSED, HOUR, MINUTE, TEN_DAYS_AGO, World, asset, at, away, btc, candles, goal, half_days, range,
};

const COMPLETED: BackfillState = BackfillState { completed: true, reason: String::new() };

async fn noted(world: &World) -> BackfillState {
    world.summary().await.unwrap().backfill
}

async fn backfill_towards(world: &World, goal: BackfillGoal) -> AssetReport {
    Backfill::new(world.context(), goal).run(&[btc()]).await.unwrap().assets.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_back_fewer_days_than_wanted_leaves_the_history_incomplete() {
    let world = World::of_btc();
    let report = backfill_towards(&world, BackfillGoal { only_days: Some(10), ..goal(30) }).await;
    let Outcome::Incomplete(reason) = report.outcome else { panic!("{report:?}") };
    assert_eq!(reason, "its history since 2024-10-27T12:00:00Z is 10 days long, 30 are wanted");
    assert_eq!(noted(&world).await, BackfillState { completed: false, reason });
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert!(matches!(backfill_towards(&world, goal(30)).await.outcome, Outcome::Done));
    assert_eq!(noted(&world).await, COMPLETED);
}

#[tokio::test(start_paused = true)]
async fn a_newest_candle_that_is_awaited_does_not_keep_a_history_incomplete() {
    let world = World::of_btc();
    world.loses(range(CLOSED, "2024-11-07"));
    world.clock.set(at("2024-11-07T00:01"));
    let report = world.run_backfill(10).await;
    assert!(matches!(report.assets[0].outcome, Outcome::Done), "{report:?}");
    assert_eq!(noted(&world).await, COMPLETED);
    assert!(report.is_worth_repeating());
    assert_eq!(report.next_due(), None, "it is awaited, not timed");
}

#[tokio::test(start_paused = true)]
async fn a_complete_history_that_loses_rows_for_good_is_complete_no_more() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.store.remove_rows(btc(), range("2024-11-01", "2024-11-02"));
    world.fail_page(1);
    world.backfill(10).await;
    let noted = noted(&world).await;
    assert!(!noted.completed && noted.reason.contains("connection reset"), "{noted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_that_finishes_a_backfill_completes_the_history() {
    let world = World::of_btc();
    world.fail_page(1);
    world.backfill(10).await;
    tokio::time::sleep(MINUTE).await;
    assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
    assert_eq!(noted(&world).await, COMPLETED);
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_of_a_short_history_is_done_although_the_history_stays_incomplete() {
    let world = World::new(Interval::H12);
    world.lists("BTC", "2024-10-30T12:00", "2024-12-01");
    let goal = BackfillGoal { days_min: 90, ..goal(100) };
    let report = backfill_towards(&world, goal).await;
    assert!(matches!(report.outcome, Outcome::Incomplete(_)), "{report:?}");
    let report = CatchUp::new(world.context(), goal).run(&[btc()]).await.unwrap();
    assert!(matches!(report.assets[0].outcome, Outcome::Done), "{report:?}");
    assert!(!noted(&world).await.completed);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_says_nothing_new_about_the_history() {
    let world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    let stop = world.stop.clone();
    world.on_page(2, move |_| stop.cancel());
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Stopped));
    assert_eq!(noted(&world).await, BackfillState::default());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_in_the_middle_leaves_the_history_incomplete_with_the_reason() {
    let world = World::of_btc();
    let (plan, rows) = (Arc::clone(&world.store), Arc::clone(&world.store));
    let mut store = MockCandleStore::new();
    // The slots are planned, then the first page of candles cannot be written.
    store.expect_apply().once().returning(move |commit| plan.apply(commit).now_or_never().unwrap());
    store
        .expect_apply()
        .once()
        .returning(|_| Err(StoreError::Unavailable { reason: "disk full".to_owned(), source: None }));
    store
        .expect_breaks()
        .returning(move |asset, range, longest| rows.breaks(asset, range, longest).now_or_never().unwrap());
    let mut context = world.context();
    context.store = Arc::new(store);
    let report = Backfill::new(context, goal(10)).run(&[btc()]).await.unwrap();
    assert!(matches!(report.assets[0].outcome, Outcome::Failed(_)), "{report:?}");
    let noted = noted(&world).await;
    assert!(!noted.completed && noted.reason.contains("disk full"), "{noted:?}");
}

#[tokio::test(start_paused = true)]
async fn old_slots_that_were_not_come_to_are_worth_another_look_soon() {
    let world = World::of_btc();
    world.backfill(10).await;
    for day in ["2024-10-29", "2024-10-31", "2024-11-02"] {
        let lost = at(day);
        let end = lost.saturating_add(HOUR);
        world.store.remove_rows(btc(), TimeRange::new(lost, end).unwrap());
    }
    world.source.fail_next_pages(2, away);
    let report = world.run_backfill(10).await;
    assert_eq!(world.summary().await.unwrap().answered_until, Some(at(CLOSED)));
    assert!(report.assets[0].behind && report.is_worth_repeating(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_without_candles_of_an_asset_is_not_asked_again_soon() {
    let world = World::new(Interval::H12);
    world.source.add(btc(), Interval::H12, []);
    assert!(!world.run_backfill(10).await.is_worth_repeating());
}

#[tokio::test(start_paused = true)]
async fn the_next_hole_of_any_asset_is_when_to_look_again() {
    let world = World::of_btc();
    world.lists("ETH", "2023-01-01", "2025-06-01");
    assert_eq!(world.run_backfill(10).await.next_due(), None);
    world.loses(range("2024-10-18", "2024-10-18T12:00"));
    world.source.remove(asset("ETH"), Interval::H12, range("2024-11-01", "2024-11-02"));
    let both = |days| Backfill::new(world.context(), goal(days));

    let first = both(20).run(&[btc()]).await.unwrap();
    assert_eq!(first.next_due(), Some(at("2024-11-06T14:00")));
    tokio::time::sleep(20 * MINUTE).await;
    world.loses(range("2024-10-08", "2024-10-08T12:00"));
    let second: RunReport = both(30).run(&[asset("ETH"), btc()]).await.unwrap();
    let due: Vec<_> = second.assets.iter().map(|report| report.due).collect();
    assert_eq!(due, [Some(at("2024-11-06T14:20")), Some(at("2024-11-06T14:00"))]);
    assert_eq!(second.next_due(), Some(at("2024-11-06T14:00")));
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_is_overdue_is_due_now() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    world.backfill(10).await;
    tokio::time::sleep(2 * HOUR).await;
    world.fail_page(1);
    assert_eq!(world.run_catch_up().await.next_due(), Some(at("2024-11-06T15:00")));
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_was_asked_about_by_a_clock_since_set_back_is_due() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    world.clock.set(at("2024-11-06T13:14"));
    world.source.set_offset_millis(-14 * 60_000);
    world.backfill(10).await;
    world.clock.set(at("2024-11-06T13:01"));
    world.source.set_offset_millis(0);
    world.calls();
    world.catch_up().await;
    assert_eq!(world.pages(), [half_days("2024-11-01", "2024-11-02")]);
}

#[tokio::test(start_paused = true)]
async fn failures_that_can_pass_are_told_from_those_that_cannot() {
    let world = World::of_btc();
    world.source.fail_asset(btc(), away);
    assert!(world.run_backfill(10).await.is_unfinished());
    world.source.fail_asset(btc(), || SourceError::UnknownAsset { symbol: "BTCUSDT".to_owned() });
    let report = world.run_backfill(10).await;
    assert!(report.has_failures() && !report.is_unfinished());
}

#[tokio::test(start_paused = true)]
async fn no_run_asks_for_a_slot_that_only_an_earlier_reading_called_closed() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.loses(range(CLOSED, "2024-11-07"));
    world.clock.set(at("2024-11-07T00:01"));
    world.catch_up().await;
    world.clock.set(at("2024-11-06T23:59"));
    world.calls();
    world.catch_up().await;
    world.backfill(10).await;
    world.forced_backfill(10).await;
    assert!(world.pages().iter().all(|page| page.end() <= at(CLOSED)));
}
