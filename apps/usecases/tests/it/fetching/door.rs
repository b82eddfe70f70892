//! What a source sends is believed only as far as it can be true.

use std::sync::Arc;

use ohlcv_domain::{Candle, Cause, Interval, Rejection, Rule, Timestamp};
use ohlcv_ports::SourcePage;
use ohlcv_usecases::{AssetError, Outcome};

use crate::world::{
    CLOSED, HOUR, TEN_DAYS_AGO, World, at, btc, candle, candles, half_days, other_candle, range,
};

type Rows = Vec<Result<Candle, Rejection>>;

/// A world whose exchange changes the rows of every page.
fn world_that_sends(change: impl Fn(&mut Rows) + Send + Sync + 'static) -> World {
    let world = World::of_btc();
    world.source.tamper(move |mut page: SourcePage| {
        change(&mut page.rows);
        page
    });
    world
}

fn place(rows: &Rows, open_time: Timestamp) -> usize {
    rows.iter().position(|row| row.as_ref().is_ok_and(|candle| candle.open_time() == open_time)).unwrap()
}

/// Everything is stored but one slot, which is a hole that names the rule.
async fn assert_only_rejected(world: &World, slot: &str, rule: Rule) {
    let without: Vec<Candle> = candles(half_days(TEN_DAYS_AGO, CLOSED))
        .into_iter()
        .filter(|candle| candle.open_time() != at(slot))
        .collect();
    assert_eq!(world.rows("BTC").await, without);
    let holes = world.holes().await;
    assert_eq!(holes.len(), 1, "{holes:?}");
    assert_eq!((holes[0].range.start(), holes[0].cause), (at(slot), Cause::Rejected));
    assert!(holes[0].detail.starts_with(rule.as_str()), "{}", holes[0].detail);
}

#[tokio::test(start_paused = true)]
async fn candles_outside_of_what_was_asked_are_not_stored() {
    let world = world_that_sends(|rows| {
        rows.insert(0, Ok(candle(at("2024-10-01"))));
        rows.push(Ok(candle(at("2023-01-01"))));
    });
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(report.gains.rejected, 2);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_open_candle_is_not_stored_and_its_slot_is_asked_for_when_it_has_closed() {
    let world = world_that_sends(|rows| rows.push(Ok(other_candle(at(CLOSED)))));
    let report = world.backfill(10).await;
    assert_eq!(report.gains.rejected, 1);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    world.source.recover();
    world.clock.set(at("2024-11-07T00:01"));
    world.catch_up().await;
    assert_eq!(world.rows("BTC").await.last(), Some(&candle(at(CLOSED))));
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_closed_by_an_earlier_reading_is_not_stored_half_formed() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.loses(range(CLOSED, "2024-11-07"));
    world.clock.set(at("2024-11-07T00:01"));
    world.catch_up().await;
    // The next reading comes from a part of the exchange whose clock is behind.
    world.source.add(btc(), Interval::H12, [other_candle(at(CLOSED))]);
    world.clock.set(at("2024-11-06T23:59"));
    let report = world.catch_up().await;
    assert_eq!(
        (report.gains.pages, report.gains.stored.new),
        (0, 0),
        "it is not closed, so it is not asked for"
    );
    assert_eq!(world.ledger().await, [(range(CLOSED, "2024-11-07"), Cause::Pending)]);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn a_candle_that_closes_while_a_run_goes_on_is_left_to_the_next_run() {
    let world = World::of_btc();
    world.clock.set(at("2024-11-06T23:59"));
    world.source.set_page_slots_max(5.try_into().unwrap());
    let clock = Arc::clone(&world.clock);
    world.source.tamper(move |mut page| {
        clock.advance(HOUR);
        page.rows.push(Ok(candle(at(CLOSED))));
        page
    });
    world.backfill(10).await;
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn rows_that_contradict_each_other_are_both_turned_away() {
    let world = world_that_sends(|rows| {
        let place = place(rows, at("2024-11-01"));
        rows.insert(place, Ok(other_candle(at("2024-11-01"))));
    });
    assert_eq!(world.backfill(10).await.gains.rejected, 2);
    assert_only_rejected(&world, "2024-11-01", Rule::Conflicting).await;
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_repeated_to_the_digit_is_stored_once() {
    let world = world_that_sends(|rows| {
        let place = place(rows, at("2024-11-01"));
        rows.insert(place, Ok(candle(at("2024-11-01"))));
    });
    let report = world.backfill(10).await;
    assert_eq!((report.gains.rejected, report.gains.stored.new), (0, 20));
}

#[tokio::test(start_paused = true)]
async fn a_row_off_the_grid_is_turned_away_and_healed_an_hour_later() {
    let world = world_that_sends(|rows| {
        let place = place(rows, at("2024-11-01"));
        rows[place] = Ok(candle(at("2024-11-01T09:28:14.789Z")));
    });
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done), "a rejected slot is explained");
    assert_only_rejected(&world, "2024-11-01", Rule::OffGrid).await;
    world.source.recover();
    world.calls();
    tokio::time::sleep(HOUR).await;
    world.catch_up().await;
    assert_eq!(world.pages(), [half_days("2024-11-01", "2024-11-01T12:00")]);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_no_candle_leaves_its_neighbours_alone() {
    let world = world_that_sends(|rows| {
        let place = place(rows, at("2024-11-01"));
        rows[place] = Err(Rejection::new(Some(at("2024-11-01")), Rule::LowNotLowest, "low 9 close 7"));
    });
    assert_eq!(world.backfill(10).await.gains.rejected, 1);
    assert_only_rejected(&world, "2024-11-01", Rule::LowNotLowest).await;
}

#[tokio::test(start_paused = true)]
async fn a_row_out_of_order_is_turned_away() {
    let world = world_that_sends(|rows| {
        let place = place(rows, at("2024-11-01"));
        rows.swap(place, place + 1);
    });
    assert_eq!(world.backfill(10).await.gains.rejected, 1);
    assert_only_rejected(&world, "2024-11-01", Rule::OutOfOrder).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_answers_in_parts_loses_nothing() {
    let world = World::of_btc();
    world.source.tamper(|mut page| {
        if let Some(Ok(third)) = page.rows.get(2) {
            page.answered_until = third.open_time();
            page.rows.truncate(2);
        }
        page
    });
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(report.gains.pages, 10);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!(world.ledger().await, []);
    let progress = world.progress();
    assert_eq!(progress.last().map(|told| (told.done, told.expected)), Some((20, 20)));
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_pages_shrink_while_they_are_asked_for_loses_nothing() {
    let world = World::of_btc();
    world.source.set_page_slots_max(8.try_into().unwrap());
    world.on_page(1, |source| source.set_page_slots_max(3.try_into().unwrap()));
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_nothing_is_an_error_and_no_endless_loop() {
    for answered_until in [at(TEN_DAYS_AGO), Timestamp::MIN] {
        let world = World::of_btc();
        world.source.tamper(move |mut page| {
            page.answered_until = answered_until;
            page
        });
        let report = world.backfill(10).await;
        assert!(matches!(report.outcome, Outcome::Failed(AssetError::Source(_))), "{report:?}");
        assert_eq!(world.pages().len(), 1);
        assert_eq!(world.rows("BTC").await, []);
        assert_eq!(world.ledger().await, [(range(TEN_DAYS_AGO, CLOSED), Cause::Failed)]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_claims_more_than_was_asked_counts_for_what_was_asked() {
    let world = World::new(Interval::H12);
    world.lists("BTC", "2023-01-01", "2025-06-01");
    world.source.tamper(|mut page| {
        page.answered_until = Timestamp::MAX;
        page
    });
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert_eq!(world.summary().await.unwrap().answered_until, Some(at(CLOSED)));
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}
