//! Candles that moved in from elsewhere are asked for again, once.

use ohlcv_domain::{Cause, Commit, Finding, TimeRange, gaps};
use ohlcv_ports::{CandleStore, Coverage, SourceError};
use ohlcv_usecases::{Gains, Outcome};

use crate::world::{
    CLOSED, MINUTE, NOW, TEN_DAYS_AGO, World, at, btc, candle, candles, half_days, other_candle, range,
};

/// A world in which the ten days of BTC moved in: every third candle half-formed, four missing.
async fn moved_in() -> World {
    let world = World::of_btc();
    let slots = half_days(TEN_DAYS_AGO, CLOSED);
    let missing = range("2024-11-01", "2024-11-03");
    let stored = slots.iter().filter(|open_time| !missing.contains(*open_time));
    let stored = stored.enumerate().map(|(n, open_time)| match n % 3 {
        0 => other_candle(open_time),
        _ => candle(open_time),
    });
    let stored: Vec<_> = stored.collect();
    let pending = gaps(slots, stored.iter().map(|candle| candle.open_time()));
    let pending =
        pending.map(|gap| Finding { range: gap.time(), cause: Cause::Pending, detail: String::new() });
    let pending = pending.collect();
    let commit = Commit::new(btc(), slots, stored, pending, at(NOW)).unwrap();
    world.store.apply(commit).await.unwrap();
    world.store.mark_unverified(btc(), slots.time());
    world
}

async fn unverified(world: &World) -> Vec<TimeRange> {
    world.store.unverified(btc(), TimeRange::ALL, u64::MAX).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_backfill_asks_for_all_of_them_and_the_exchanges_numbers_win() {
    let world = moved_in().await;
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done), "{report:?}");
    assert_eq!(world.pages(), [half_days(TEN_DAYS_AGO, CLOSED)], "holes among them are asked for on the way");
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!((report.gains.stored.new, report.gains.stored.changed), (4, 6));
    assert_eq!((unverified(&world).await, world.ledger().await), (Vec::new(), Vec::new()));
    assert!(world.summary().await.unwrap().backfill.completed);
}

#[tokio::test(start_paused = true)]
async fn a_second_backfill_asks_for_none_of_them() {
    let world = moved_in().await;
    world.backfill(10).await;
    world.pages();
    assert_eq!(world.backfill(10).await.gains, Gains::default());
    assert_eq!(world.pages(), []);
}

#[tokio::test(start_paused = true)]
async fn more_days_than_moved_in_are_fetched_beside_them() {
    let world = moved_in().await;
    world.clock.set(at("2024-11-08T00:01"));
    assert!(matches!(world.backfill(30).await.outcome, Outcome::Done));
    assert_eq!(world.rows("BTC").await, candles(half_days("2024-10-09", "2024-11-08")));
    assert_eq!(unverified(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stops_is_continued_where_it_was() {
    let mut world = moved_in().await;
    world.source.set_page_slots_max(5.try_into().unwrap());
    let stop = world.stop.clone();
    world.on_page(2, move |_| stop.cancel());
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Stopped));
    let left = unverified(&world).await;
    let [left] = left[..] else { panic!("{left:?}") };
    assert!(left.start() > at(TEN_DAYS_AGO) && left.end() == at(CLOSED), "{left}");
    world.pages();
    world.stop = Default::default();
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert_eq!(world.pages()[0].start(), left.start());
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn what_the_exchange_does_not_have_stays_stored_and_counts_as_answered() {
    let world = moved_in().await;
    let before = world.rows("BTC").await;
    world.loses(range("2024-10-29", "2024-10-30"));
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    let kept = |rows: Vec<ohlcv_domain::Candle>| {
        let lost = range("2024-10-29", "2024-10-30");
        rows.into_iter().filter(|row| lost.contains(row.open_time())).collect::<Vec<_>>()
    };
    assert_eq!(kept(world.rows("BTC").await), kept(before));
    assert_eq!((unverified(&world).await, world.ledger().await), (Vec::new(), Vec::new()));
    assert!(world.summary().await.unwrap().backfill.completed);
}

#[tokio::test(start_paused = true)]
async fn while_some_are_left_the_history_is_not_complete_and_says_so() {
    let world = moved_in().await;
    world.source.set_page_slots_max(10.try_into().unwrap());
    world.fail_page(2);
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Failed(_)));
    let left = range("2024-11-03", CLOSED);
    assert_eq!(unverified(&world).await, [left]);
    assert!(!world.summary().await.unwrap().backfill.completed);
    // A catch-up fills holes; it does not verify.
    tokio::time::sleep(MINUTE).await;
    assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
    let noted = world.summary().await.unwrap().backfill;
    assert!(!noted.completed && noted.reason.ends_with("moved in and is still to be verified"), "{noted:?}");
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert!(world.summary().await.unwrap().backfill.completed);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_refused_keeps_neither_the_others_nor_new_candles_away() {
    let world = moved_in().await;
    world.source.set_page_slots_max(8.try_into().unwrap());
    world.clock.set(at("2024-11-08T00:01"));
    world.source.fail_next_pages(1, || SourceError::Refused { reason: "no".to_owned() });
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Failed(_)));
    assert_eq!(unverified(&world).await, [range(TEN_DAYS_AGO, "2024-10-31T12:00")]);
    let rows = world.rows("BTC").await;
    assert_eq!(rows[8..], candles(half_days("2024-10-31T12:00", "2024-11-08")));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_fails_is_not_asked_page_after_page() {
    let world = moved_in().await;
    world.source.set_page_slots_max(2.try_into().unwrap());
    world.source.fail_next_pages(100, crate::world::away);
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Failed(_)));
    assert_eq!(world.pages().len(), 2);
    assert_eq!(unverified(&world).await, [range(TEN_DAYS_AGO, CLOSED)]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_not_closed_by_the_exchanges_clock_waits_for_a_later_run() {
    let world = moved_in().await;
    world.clock.set(at("2024-11-06T12:00:10Z"));
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Incomplete(_)));
    assert_eq!(unverified(&world).await, [range("2024-11-06", CLOSED)]);
    world.clock.set(at("2024-11-06T12:00:31Z"));
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert_eq!(unverified(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_forced_run_asks_for_them_once() {
    let world = moved_in().await;
    assert!(matches!(world.forced_backfill(10).await.outcome, Outcome::Done));
    assert_eq!(world.pages(), [half_days(TEN_DAYS_AGO, CLOSED)]);
    assert_eq!(unverified(&world).await, []);
}
