//! What is really stored decides: rows that vanish come back with the next backfill.

use ohlcv_domain::{Cause, TimeRange};
use ohlcv_usecases::Outcome;

use crate::world::{CLOSED, TEN_DAYS_AGO, World, at, btc, candles, half_days, range};

/// A world whose BTC is complete and then loses its first row, one in the middle, and its last two.
async fn bereft() -> World {
    let world = World::of_btc();
    world.backfill(10).await;
    for lost in [
        range(TEN_DAYS_AGO, "2024-10-28"),
        range("2024-11-01", "2024-11-01T12:00"),
        range("2024-11-05T12:00", CLOSED),
    ] {
        world.store.remove_rows(btc(), lost);
    }
    world.calls();
    world
}

#[tokio::test(start_paused = true)]
async fn a_backfill_asks_for_exactly_the_rows_that_vanished() {
    let world = bereft().await;
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    let lost = [
        half_days(TEN_DAYS_AGO, "2024-10-28"),
        half_days("2024-11-01", "2024-11-01T12:00"),
        half_days("2024-11-05T12:00", CLOSED),
    ];
    assert_eq!(world.pages(), lost);
    assert_eq!(report.gains.stored.new, 4);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!(world.ledger().await, []);
    let summary = world.summary().await.unwrap();
    assert_eq!(
        (summary.candles, summary.first, summary.last),
        (20, Some(at(TEN_DAYS_AGO)), Some(at("2024-11-06")))
    );
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_does_not_look_at_what_is_stored() {
    let world = bereft().await;
    assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
    assert_eq!(world.pages(), []);
    assert_eq!(world.rows("BTC").await.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_had_again_are_counted_no_more() {
    let world = bereft().await;
    world.loses(range(TEN_DAYS_AGO, CLOSED));
    assert_eq!(world.summary().await.unwrap().candles, 20);
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    let summary = world.summary().await.unwrap();
    assert_eq!(
        (summary.candles, summary.first, summary.last),
        (16, Some(at("2024-10-28")), Some(at("2024-11-05")))
    );
    let lost = [
        range(TEN_DAYS_AGO, "2024-10-28"),
        range("2024-11-01", "2024-11-01T12:00"),
        range("2024-11-05T12:00", CLOSED),
    ];
    assert_eq!(world.ledger().await, lost.map(|lost| (lost, Cause::SourceEmpty)));
}

#[tokio::test(start_paused = true)]
async fn a_series_that_vanished_whole_is_fetched_again() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.store.remove_rows(btc(), TimeRange::ALL);
    world.calls();
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert_eq!(world.pages(), [half_days(TEN_DAYS_AGO, CLOSED)]);
    assert_eq!(world.rows("BTC").await.len(), 20);
    assert_eq!(world.summary().await.unwrap().candles, 20);
}

#[tokio::test(start_paused = true)]
async fn rows_that_vanish_are_asked_for_although_the_exchange_fails_at_first() {
    let world = bereft().await;
    world.fail_page(1);
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Failed(_)));
    let ledger = world.ledger().await;
    assert_eq!(ledger[0], (range(TEN_DAYS_AGO, "2024-10-28"), Cause::Failed));
    assert!(ledger[1..].iter().all(|(_, cause)| *cause == Cause::Pending), "{ledger:?}");
    world.backfill(10).await;
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}
