//! Series whose candles open in three days, a week, a month.

use ohlcv_domain::{Candle, Cause, Grid, Interval, Timestamp};
use ohlcv_usecases::Outcome;

use crate::world::{MINUTE, World, at, btc, candle, range};

fn open_times(rows: &[Candle]) -> Vec<Timestamp> {
    rows.iter().map(Candle::open_time).collect()
}

fn slots(grid: Grid, start: &str, end: &str) -> Vec<Timestamp> {
    grid.slots_in(range(start, end)).iter().collect()
}

#[tokio::test(start_paused = true)]
async fn weeks_open_on_monday_and_are_caught_up_when_they_close() {
    let world = World::new(Interval::W1);
    world.lists("BTC", "2017-08-14", "2025-06-01");
    let grid = Grid::new(Interval::W1);
    assert!(matches!(world.backfill(70).await.outcome, Outcome::Done));
    assert_eq!(open_times(&world.rows("BTC").await), slots(grid, "2024-08-26", "2024-11-04"));
    world.calls();
    world.clock.set(at("2024-11-11T00:01"));
    world.catch_up().await;
    assert_eq!(world.pages(), [grid.slots_in(range("2024-10-28", "2024-11-11"))]);
    assert_eq!(open_times(&world.rows("BTC").await), slots(grid, "2024-08-26", "2024-11-11"));
}

#[tokio::test(start_paused = true)]
async fn months_are_calendar_months_over_a_year_with_a_leap_day() {
    let world = World::new(Interval::Mo1);
    world.lists("BTC", "2017-08-01", "2025-06-01");
    world.loses(range("2024-02-01", "2024-03-01"));
    let grid = Grid::new(Interval::Mo1);
    let report = world.backfill(365).await;
    assert!(matches!(report.outcome, Outcome::Done), "{report:?}");
    let mut expected = slots(grid, "2023-11-01", "2024-11-01");
    assert_eq!(expected.len(), 12);
    expected.remove(3);
    assert_eq!(open_times(&world.rows("BTC").await), expected);
    assert_eq!(world.ledger().await, [(range("2024-02-01", "2024-03-01"), Cause::SourceEmpty)]);

    world.calls();
    world.clock.set(at("2024-12-01T00:00:29Z"));
    world.catch_up().await;
    assert!(world.pages().iter().all(|page| page.end() <= at("2024-11-01")));
    world.clock.set(at("2024-12-01T00:00:30Z"));
    world.catch_up().await;
    assert!(world.pages().contains(&grid.slots_in(range("2024-10-01", "2024-12-01"))));
    assert_eq!(world.rows("BTC").await.last(), Some(&candle(at("2024-11-01"))));
}

#[tokio::test(start_paused = true)]
async fn months_that_vanish_come_back() {
    let world = World::new(Interval::Mo1);
    world.lists("BTC", "2017-08-01", "2025-06-01");
    world.backfill(365).await;
    let before = world.rows("BTC").await;
    world.calls();
    for lost in [range("2024-02-01", "2024-03-01"), range("2024-05-01", "2024-07-01")] {
        world.store.remove_rows(btc(), lost);
    }
    world.backfill(365).await;
    assert_eq!(world.pages().len(), 2);
    assert_eq!(world.rows("BTC").await, before);
}

/// A series of three days that opens a day later than BTC's own would.
const LISTED: &str = "2024-09-01";

fn anchored() -> Grid {
    let grid = Grid::from_first(Interval::D3, at(LISTED));
    assert_ne!(grid, Grid::new(Interval::D3), "the anchor has to tell");
    grid
}

#[tokio::test(start_paused = true)]
async fn three_days_count_from_the_first_candle_of_the_asset() {
    let world = World::new(Interval::D3);
    world.lists("BTC", LISTED, "2025-06-01");
    let report = world.backfill(30).await;
    assert!(matches!(report.outcome, Outcome::Done), "{report:?}");
    assert_eq!(report.gains.rejected, 0);
    let rows = open_times(&world.rows("BTC").await);
    assert_eq!(rows, slots(anchored(), "2024-10-07", "2024-11-06"));
    world.calls();
    let next = anchored().next(at("2024-11-06"));
    world.clock.set(next.saturating_add(MINUTE));
    assert_eq!(world.catch_up().await.gains.stored.new, 1);
    assert_eq!(world.pages().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn three_days_reach_back_to_the_listing_and_no_further() {
    let world = World::new(Interval::D3);
    world.lists("BTC", LISTED, "2025-06-01");
    assert!(matches!(world.backfill(365).await.outcome, Outcome::Done));
    assert_eq!(open_times(&world.rows("BTC").await), slots(anchored(), LISTED, "2024-11-05"));
    let ledger = world.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!((ledger[0].0.end(), ledger[0].1), (at(LISTED), Cause::BeforeListing));
}

#[tokio::test(start_paused = true)]
async fn a_stored_series_keeps_its_anchor_whatever_the_exchange_says_later() {
    let world = World::new(Interval::D3);
    world.lists("BTC", LISTED, "2025-06-01");
    world.backfill(30).await;
    let before = world.rows("BTC").await;
    world.source.add(btc(), Interval::D3, [candle(at("2024-08-30"))]);
    for _ in 0..2 {
        world.forced_backfill(30).await;
        world.backfill(30).await;
        world.catch_up().await;
        assert_eq!(world.rows("BTC").await, before);
    }
    let span = world.summary().await.unwrap().span.unwrap();
    assert!(anchored().contains(span.start()) && anchored().contains(span.end()));
}
