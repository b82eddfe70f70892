//! A hole that cannot be asked about keeps no other one from being asked about.

use std::sync::atomic::{AtomicUsize, Ordering};

use ohlcv_domain::SlotRange;
use ohlcv_ports::SourceError;
use ohlcv_usecases::{AssetError, Outcome};

use crate::world::{HOUR, World, at, away, btc, half_days, range};

/// A world with four empty holes of one slot, all of them due.
async fn with_four_due_holes() -> (World, [SlotRange; 4]) {
    let world = World::of_btc();
    let holes = [
        half_days("2024-10-29", "2024-10-29T12:00"),
        half_days("2024-10-31", "2024-10-31T12:00"),
        half_days("2024-11-02", "2024-11-02T12:00"),
        half_days("2024-11-04", "2024-11-04T12:00"),
    ];
    for hole in holes {
        world.loses(hole.time());
    }
    world.backfill(10).await;
    tokio::time::sleep(HOUR).await;
    world.calls();
    (world, holes)
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_fails_is_passed_over_and_the_run_has_failed() {
    let (world, holes) = with_four_due_holes().await;
    world.fail_page(1);
    let report = world.catch_up().await;
    assert!(matches!(report.outcome, Outcome::Failed(AssetError::Source(_))), "{report:?}");
    assert_eq!(world.pages(), holes);
    let asked: Vec<u32> = world.holes().await.iter().map(|hole| hole.asked).collect();
    assert_eq!(asked, [1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn after_two_failures_in_a_row_the_exchange_is_left_alone() {
    let (world, holes) = with_four_due_holes().await;
    world.source.fail_next_pages(10, away);
    world.catch_up().await;
    assert_eq!(world.pages(), holes[..2]);
}

#[tokio::test(start_paused = true)]
async fn failures_with_an_answer_between_them_are_not_in_a_row() {
    let (world, holes) = with_four_due_holes().await;
    world.source.fail_next_pages(1, away);
    world.on_page(1, |source| source.fail_next_pages(1, away));
    world.catch_up().await;
    assert_eq!(world.pages(), holes);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_concerns_everything_ends_the_run_at_once() {
    type Failure = fn() -> SourceError;
    let failures: [Failure; 3] = [
        || SourceError::RateLimited { until: at("2024-11-06T15:00"), reason: "429".to_owned() },
        || SourceError::Blocked { reason: "451".to_owned() },
        || SourceError::UnknownAsset { symbol: "BTCUSDT".to_owned() },
    ];
    for failure in failures {
        let (world, holes) = with_four_due_holes().await;
        world.source.fail_next_pages(1, failure);
        world.catch_up().await;
        assert_eq!(world.pages(), holes[..1], "{}", failure());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_is_the_one_that_is_told() {
    let (world, _) = with_four_due_holes().await;
    let failures = AtomicUsize::new(0);
    world.source.fail_next_pages(2, move || {
        let number = failures.fetch_add(1, Ordering::Relaxed) + 1;
        SourceError::Unavailable { reason: format!("failure {number}"), source: None }
    });
    let report = world.catch_up().await;
    let Outcome::Failed(error) = report.outcome else { panic!("{report:?}") };
    assert!(error.to_string().ends_with("failure 1"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_tail_comes_before_older_slots_that_were_never_asked() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.clock.set(at("2024-11-07T00:01"));
    world.fail_page(1);
    world.catch_up().await;
    world.store.remove_rows(btc(), range("2024-11-01", "2024-11-02"));
    world.calls();
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    // The tail with the candle before it, which may have been adjusted since.
    assert_eq!(world.pages(), [half_days("2024-11-06", "2024-11-07"), half_days("2024-11-01", "2024-11-02")]);
}

#[tokio::test(start_paused = true)]
async fn old_slots_that_were_never_asked_come_before_those_that_were_empty() {
    let (world, holes) = with_four_due_holes().await;
    let vanished = half_days("2024-11-05", "2024-11-05T12:00");
    world.store.remove_rows(btc(), vanished.time());
    world.backfill(10).await;
    assert_eq!(world.pages(), [&[vanished], &holes[..]].concat());
}
