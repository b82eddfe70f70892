//! A catch-up asks for what closed since, and costs the same whatever is stored.

use ohlcv_domain::{Cause, Interval};
use ohlcv_ports::testing::Call;
use ohlcv_usecases::{AssetError, Outcome};

use crate::world::{
    CLOSED, HOUR, MINUTE, TEN_DAYS_AGO, World, at, btc, candle, candles, half_days, other_candle, range,
};

/// The newest candle before [`CLOSED`]: a page of new ones reads it once more.
const NEWEST: &str = "2024-11-06T00:00";
/// Where the slot that opens at [`CLOSED`] ends.
const MIDNIGHT: &str = "2024-11-07";

/// A world whose BTC is complete up to [`CLOSED`], with nothing asked yet.
async fn backfilled() -> World {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    world
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_was_never_fetched_is_backfilled() {
    let world = World::of_btc();
    let report = world.catch_up().await;
    assert!(matches!(report.outcome, Outcome::Done));
    let page = Call::Page(btc(), half_days(TEN_DAYS_AGO, CLOSED));
    assert_eq!(world.calls(), [Call::ServerTime, Call::Listing(btc()), page]);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert!(world.summary().await.unwrap().backfill.completed);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_new_only_the_time_is_asked_for() {
    let world = backfilled().await;
    let report = world.run_catch_up().await;
    assert_eq!(world.calls(), [Call::ServerTime]);
    assert!(matches!(report.assets[0].outcome, Outcome::Done) && !report.is_worth_repeating());
}

#[tokio::test(start_paused = true)]
async fn a_new_close_costs_one_page_of_its_slot_and_the_one_before() {
    let world = backfilled().await;
    world.clock.set(at("2024-11-07T00:00:30Z"));
    let report = world.catch_up().await;
    assert_eq!(world.calls(), [Call::ServerTime, Call::Page(btc(), half_days(NEWEST, MIDNIGHT))]);
    assert_eq!((report.gains.pages, report.gains.stored.new), (1, 1));
    assert_eq!(world.rows("BTC").await.last(), Some(&candle(at(CLOSED))));
}

#[tokio::test(start_paused = true)]
async fn a_candle_is_not_asked_for_before_its_end_plus_the_grace() {
    let world = backfilled().await;
    world.clock.set(at("2024-11-07T00:00:29.999Z"));
    assert!(!world.run_catch_up().await.is_worth_repeating());
    assert_eq!(world.pages(), []);
}

#[tokio::test(start_paused = true)]
async fn the_exchanges_clock_decides_what_is_closed_not_the_local_one() {
    let world = backfilled().await;
    world.source.set_offset_millis(-600_000); // the local clock is ten minutes fast
    world.clock.set(at("2024-11-07T00:10:29Z"));
    world.catch_up().await;
    assert_eq!(world.pages(), []);
    world.source.set_offset_millis(600_000); // ten minutes slow
    world.clock.set(at("2024-11-06T23:50:31Z"));
    world.catch_up().await;
    assert_eq!(world.pages(), [half_days(NEWEST, MIDNIGHT)]);
}

#[tokio::test(start_paused = true)]
async fn a_newest_candle_that_is_late_is_awaited_for_a_quarter_of_an_hour() {
    let world = backfilled().await;
    world.loses(range(CLOSED, MIDNIGHT));
    for late in ["2024-11-07T00:01", "2024-11-07T00:05", "2024-11-07T00:14:59.999Z"] {
        world.clock.set(at(late));
        let report = world.run_catch_up().await;
        assert_eq!(world.pages(), [half_days(NEWEST, MIDNIGHT)], "at {late}");
        assert_eq!(world.ledger().await, [(range(CLOSED, MIDNIGHT), Cause::Pending)], "at {late}");
        assert!(report.is_worth_repeating() && !report.has_failures(), "at {late}");
    }
    world.clock.set(at("2024-11-07T00:15"));
    let report = world.run_catch_up().await;
    assert_eq!(world.ledger().await, [(range(CLOSED, MIDNIGHT), Cause::SourceEmpty)]);
    assert!(!report.is_worth_repeating());
    assert_eq!(world.summary().await.unwrap().answered_until, Some(at(MIDNIGHT)));
}

#[tokio::test(start_paused = true)]
async fn a_newest_candle_that_is_late_is_stored_when_it_comes() {
    let world = backfilled().await;
    world.loses(range(CLOSED, MIDNIGHT));
    world.clock.set(at("2024-11-07T00:01"));
    world.catch_up().await;
    world.source.add(btc(), Interval::H12, [candle(at(CLOSED))]);
    world.clock.set(at("2024-11-07T00:02"));
    let report = world.run_catch_up().await;
    assert!(!report.is_worth_repeating());
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, MIDNIGHT)));
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn the_newest_candles_come_before_the_holes_that_are_due() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    world.backfill(10).await;
    world.calls();
    world.clock.set(at("2024-11-07T00:01"));
    world.catch_up().await;
    assert_eq!(world.pages(), [half_days(NEWEST, MIDNIGHT), half_days("2024-11-01", "2024-11-02")]);
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_cannot_be_asked_about_does_not_keep_the_newest_candle_away() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    world.backfill(10).await;
    world.clock.set(at("2024-11-07T00:01"));
    world.fail_page(2);
    let report = world.catch_up().await;
    assert!(matches!(report.outcome, Outcome::Failed(_)), "{report:?}");
    assert_eq!(world.rows("BTC").await.last(), Some(&candle(at(CLOSED))));
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_was_interrupted_is_gone_on_with() {
    let world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    world.fail_page(2);
    world.backfill(10).await;
    tokio::time::sleep(MINUTE).await;
    world.calls();
    assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
    // What was never asked comes before what failed.
    assert_eq!(world.pages(), [half_days("2024-11-04", CLOSED), half_days("2024-10-30", "2024-11-01T12:00")]);
    assert!(world.summary().await.unwrap().backfill.completed, "a catch-up completes what a backfill began");
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn clocks_further_apart_than_a_quarter_of_an_hour_add_nothing_and_say_why() {
    for offset_millis in [-901_000, 901_000] {
        let world = backfilled().await;
        world.clock.set(at("2024-11-08T00:20"));
        world.source.set_offset_millis(offset_millis);
        for report in [world.run_catch_up().await, world.run_backfill(20).await] {
            let Outcome::Failed(AssetError::Clocks { exchange, local }) = report.assets[0].outcome else {
                panic!("{report:?}")
            };
            assert_eq!(local, at("2024-11-08T00:20"));
            assert_eq!(exchange.millis() - local.millis(), offset_millis);
            assert!(report.is_worth_repeating(), "a clock can be set right any minute");
        }
        assert_eq!(world.pages(), []);
        assert_eq!(world.summary().await.unwrap().span, Some(range(TEN_DAYS_AGO, CLOSED)));
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_a_quarter_of_an_hour_apart_are_believed() {
    for offset_millis in [-900_000, 900_000] {
        let world = backfilled().await;
        world.clock.set(at("2024-11-07T00:20"));
        world.source.set_offset_millis(offset_millis);
        assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
        assert_eq!(world.pages(), [half_days(NEWEST, MIDNIGHT)]);
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_too_far_apart_store_nothing_of_a_new_asset() {
    let world = World::of_btc();
    world.source.set_offset_millis(3_600_000);
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Failed(AssetError::Clocks { .. })));
    let summary = world.summary().await.unwrap();
    assert_eq!((summary.span, summary.candles), (None, 0));
    assert!(summary.backfill.reason.contains("more than 15 minutes apart"), "{summary:?}");
    assert_eq!(world.pages(), []);
}

#[tokio::test(start_paused = true)]
async fn clocks_too_far_apart_stop_all_asking_until_they_agree() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    world.backfill(10).await;
    world.lists("BTC", "2024-11-01", "2024-11-02");
    tokio::time::sleep(HOUR).await;
    world.source.set_offset_millis(3_600_000);
    world.calls();
    assert!(matches!(world.catch_up().await.outcome, Outcome::Failed(AssetError::Clocks { .. })));
    assert_eq!(world.pages(), []);
    world.source.set_offset_millis(0);
    world.catch_up().await;
    assert_eq!(world.ledger().await, []);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn a_candle_that_the_exchange_adjusted_after_its_close_is_taken_as_it_settled() {
    let world = World::of_btc();
    world.source.remove(btc(), Interval::H12, range(NEWEST, CLOSED));
    world.source.add(btc(), Interval::H12, [other_candle(at(NEWEST))]);
    world.backfill(10).await;
    assert_eq!(world.rows("BTC").await.last(), Some(&other_candle(at(NEWEST))));
    world.source.add(btc(), Interval::H12, [candle(at(NEWEST))]);
    world.clock.set(at("2024-11-07T00:01"));
    let report = world.catch_up().await;
    assert_eq!((report.gains.stored.new, report.gains.stored.changed), (1, 1));
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, MIDNIGHT)));
    // Once: by the next close it is not read any more.
    world.calls();
    world.clock.set(at("2024-11-07T12:01"));
    world.catch_up().await;
    assert_eq!(world.pages(), [half_days(CLOSED, "2024-11-07T12:00")]);
}
