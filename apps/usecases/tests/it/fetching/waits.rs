//! Holes are asked about again on timers that grow.

use std::time::Duration;

use ohlcv_domain::{Cause, SlotRange, TimeRange};
use ohlcv_usecases::Outcome;

use crate::world::{CLOSED, HOUR, MINUTE, TEN_DAYS_AGO, World, at, away, candles, half_days, range};

const HOLE: &str = "2024-11-01";

/// Catches up once every `step` and tells after how many of them the hole was asked about.
async fn asked_after(world: &World, step: Duration, steps: u32) -> Vec<u32> {
    let mut asked = Vec::new();
    for passed in 1..=steps {
        tokio::time::sleep(step).await;
        world.calls();
        world.catch_up().await;
        if world.pages().iter().any(|page| page.time().contains(at(HOLE))) {
            asked.push(passed);
        }
    }
    asked
}

#[tokio::test(start_paused = true)]
async fn an_empty_hole_is_asked_about_after_1_then_4_16_64_256_hours_then_monthly() {
    let world = World::of_btc();
    world.loses(range(HOLE, "2024-11-01T12:00"));
    world.backfill(10).await;
    let asked = asked_after(&world, HOUR, 1_800).await;
    assert_eq!(asked, [1, 5, 21, 85, 341, 1_061, 1_781]);
    let hole = &world.holes().await[0];
    assert_eq!((hole.cause, hole.asked), (Cause::SourceEmpty, 8));
}

#[tokio::test(start_paused = true)]
async fn ten_catch_ups_over_an_empty_hole_ask_about_it_once() {
    let world = World::of_btc();
    world.loses(range(HOLE, "2024-11-01T12:00"));
    world.backfill(10).await;
    assert_eq!(asked_after(&world, HOUR / 4, 10).await, [4]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_hole_is_not_asked_about_a_minute_before_its_time() {
    let world = World::of_btc();
    world.loses(range(HOLE, "2024-11-01T12:00"));
    world.backfill(10).await;
    assert_eq!(asked_after(&world, MINUTE, 400).await, [60, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_leaves_an_empty_hole_to_its_timer() {
    let world = World::of_btc();
    world.loses(range(HOLE, "2024-11-01T12:00"));
    world.backfill(10).await;
    world.calls();
    tokio::time::sleep(59 * MINUTE).await;
    world.backfill(10).await;
    assert_eq!(world.pages(), []);
    tokio::time::sleep(MINUTE).await;
    world.backfill(10).await;
    assert_eq!(world.pages(), [half_days(HOLE, "2024-11-01T12:00")]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_hole_that_the_exchange_fills_is_healed_when_it_is_due() {
    let world = World::of_btc();
    world.loses(range(HOLE, "2024-11-01T12:00"));
    world.backfill(10).await;
    world.lists("BTC", HOLE, "2024-11-01T12:00");
    assert_eq!(asked_after(&world, HOUR, 10).await, [1]);
    assert_eq!(world.ledger().await, []);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn of_many_holes_every_one_is_asked_about_when_it_is_due() {
    let world = World::of_btc();
    let all = half_days("2023-03-25T12:00", CLOSED);
    for lost in all.iter().skip(1).step_by(2) {
        world.loses(TimeRange::new(lost, lost.saturating_add(HOUR)).unwrap());
    }
    world.backfill(592).await;
    let holes = world.holes().await;
    assert_eq!((all.len(), holes.len()), (1_184, 592));
    tokio::time::sleep(HOUR).await;
    world.calls();
    assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
    let asked: Vec<TimeRange> = world.pages().into_iter().map(SlotRange::time).collect();
    assert_eq!(asked, holes.into_iter().map(|hole| hole.range).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_failed_hole_is_asked_about_after_1_2_4_and_8_minutes_then_every_10() {
    let world = World::of_btc();
    world.source.fail_next_pages(usize::MAX, away);
    world.backfill(10).await;
    assert_eq!(world.ledger().await, [(range(TEN_DAYS_AGO, CLOSED), Cause::Failed)]);
    let asked = asked_after(&world, MINUTE, 60).await;
    assert_eq!(asked, [1, 3, 7, 15, 25, 35, 45, 55]);
}

#[tokio::test(start_paused = true)]
async fn until_a_failed_hole_is_due_a_catch_up_succeeds_but_is_worth_repeating() {
    let world = World::of_btc();
    world.fail_page(1);
    world.backfill(10).await;
    world.calls();
    let report = world.run_catch_up().await;
    assert_eq!(world.pages(), []);
    assert!(matches!(report.assets[0].outcome, Outcome::Done));
    assert!(report.is_worth_repeating());
}

#[tokio::test(start_paused = true)]
async fn a_backfill_asks_about_failed_holes_at_once() {
    let world = World::of_btc();
    world.source.fail_next_pages(10, away);
    for _ in 0..5 {
        world.calls();
        assert!(matches!(world.backfill(10).await.outcome, Outcome::Failed(_)));
        assert_eq!(world.pages(), [half_days(TEN_DAYS_AGO, CLOSED)]);
    }
    world.source.recover();
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert_eq!(world.ledger().await, []);
}
