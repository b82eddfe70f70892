//! A range that somebody named: what of it is missing, and nothing else before it.

use ohlcv_domain::{Cause, TimeRange};
use ohlcv_usecases::{FetchRange, Outcome, RunReport};

use crate::world::{CLOSED, TEN_DAYS_AGO, World, at, btc, candles, goal, half_days, range};

async fn fetch(world: &World, wanted: TimeRange) -> RunReport {
    FetchRange::new(world.context(), goal(10), wanted).run(&[btc()]).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_range_alone_is_asked_for_with_bounds_that_widen_to_the_grid() {
    let world = World::of_btc();
    let report = fetch(&world, range("2024-10-01T03:00", "2024-10-03T00:30")).await;
    assert!(matches!(report.assets[0].outcome, Outcome::Done), "{report:?}");
    assert_eq!(world.pages(), [half_days("2024-10-01", "2024-10-03T12:00")]);
    assert_eq!(world.rows("BTC").await, candles(half_days("2024-10-01", "2024-10-03T12:00")));
}

#[tokio::test(start_paused = true)]
async fn an_end_in_the_future_is_cut_at_the_last_closed_candle_and_a_start_at_the_listing() {
    let world = World::of_btc();
    fetch(&world, range("2010-01-01", "2030-01-01")).await;
    let all = half_days("2023-01-01", CLOSED);
    assert_eq!(world.rows("BTC").await, candles(all));
    assert_eq!(world.summary().await.unwrap().span, Some(all.time()));
    let report = fetch(&world, range("2011-01-01", "2012-01-01")).await;
    let Outcome::Incomplete(why) = &report.assets[0].outcome else { panic!("{report:?}") };
    assert!(why.contains("the first one opened 2023-01-01"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_lies_between_the_range_and_the_stored_span_is_healed_last() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    fetch(&world, range("2024-09-01", "2024-09-02")).await;
    assert_eq!(world.pages(), [half_days("2024-09-01", "2024-09-02"), half_days("2024-09-02", TEN_DAYS_AGO)]);
    assert_eq!(world.rows("BTC").await, candles(half_days("2024-09-01", CLOSED)));
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_lies_between_stays_pending_if_the_work_ends_before() {
    let world = World::of_btc();
    world.backfill(10).await;
    let stop = world.stop.clone();
    world.on_page(1, move |_| stop.cancel());
    fetch(&world, range("2024-09-01", "2024-09-02")).await;
    assert_eq!(world.ledger().await, [(range("2024-09-02", TEN_DAYS_AGO), Cause::Pending)]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_vanished_in_the_range_come_back_and_the_count_is_right_again() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.store.remove_rows(btc(), range("2024-10-30", "2024-10-31"));
    world.store.remove_rows(btc(), range("2024-11-03", "2024-11-04"));
    world.calls();
    fetch(&world, range("2024-10-29", "2024-11-01")).await;
    assert_eq!(world.pages(), [half_days("2024-10-30", "2024-10-31")], "the other rows were not looked at");
    let summary = world.summary().await.unwrap();
    assert_eq!((summary.candles, summary.last), (18, Some(at("2024-11-06"))));
}

#[tokio::test(start_paused = true)]
async fn the_same_range_again_asks_for_nothing() {
    let world = World::of_btc();
    fetch(&world, range("2024-10-01", "2024-10-05")).await;
    world.calls();
    fetch(&world, range("2024-10-01", "2024-10-05")).await;
    assert_eq!(world.pages(), []);
}
