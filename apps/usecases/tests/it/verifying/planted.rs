//! Whatever is wrong is found, and named.

use ohlcv_domain::{Candle, Cause, Hole, TimeRange};
use ohlcv_usecases::{FAULTS_KEPT_MAX, FaultKind};

use super::{counts, fields, verify};
use crate::world::{World, at, btc, candle, half_days, other_candle, range};

/// Ten days of BTC, of which the exchange does not have two.
async fn filled() -> World {
    let world = World::of_btc();
    world.loses(range("2024-10-30", "2024-11-01"));
    world.backfill(10).await;
    world
}

pub(super) fn hole(start: &str, end: &str, cause: Cause) -> Hole {
    Hole {
        range: range(start, end),
        cause,
        detail: String::new(),
        since: at(start),
        asked: 0,
        last_asked: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_candle_that_vanished() {
    let world = filled().await;
    world.store.remove_rows(btc(), range("2024-11-02", "2024-11-02T12:00"));
    let found = verify(&world).await;
    assert_eq!(counts(&found), [(FaultKind::MissingInStore, 1), (FaultKind::Unexplained, 1)]);
    assert_eq!(fields(&found), ["candles"]);
    let missing = &found.faults.kept()[1];
    assert_eq!(missing.range, range("2024-11-02", "2024-11-02T12:00"));
    assert_eq!((missing.source, missing.stored), (Some(candle(at("2024-11-02"))), None));
    assert_eq!(world.rows("BTC").await.len(), 15, "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_changed() {
    let world = filled().await;
    world.store.put_row(btc(), other_candle(at("2024-11-02")));
    let found = verify(&world).await;
    assert_eq!(counts(&found), [(FaultKind::Differs, 1)]);
    assert_eq!(fields(&found), Vec::<&str>::new());
    let differs = &found.faults.kept()[0];
    assert_eq!(differs.stored, Some(other_candle(at("2024-11-02"))));
    assert_eq!(differs.source, Some(candle(at("2024-11-02"))));
}

#[tokio::test(start_paused = true)]
async fn a_flat_candle_in_a_slot_that_the_source_does_not_have() {
    let world = filled().await;
    world.store.put_row(btc(), Candle::flat(at("2024-10-31"), "1".parse().unwrap()));
    let found = verify(&world).await;
    assert_eq!(counts(&found), [(FaultKind::MissingAtSource, 1), (FaultKind::HoleOverCandle, 1)]);
    assert_eq!(fields(&found), ["candles"]);
}

#[tokio::test(start_paused = true)]
async fn a_candle_that_the_source_has_had_repaired() {
    let world = filled().await;
    world.source.add(btc(), world.interval, [candle(at("2024-10-31"))]);
    let found = verify(&world).await;
    assert_eq!(counts(&found), [(FaultKind::MissingInStore, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_row_off_the_grid() {
    let world = filled().await;
    world.store.put_row(btc(), candle(at("2024-11-02T06:00")));
    let found = verify(&world).await;
    assert_eq!(counts(&found), [(FaultKind::OffGrid, 1)]);
    assert_eq!(found.faults.kept()[0].range.start(), at("2024-11-02T06:00"));
    assert_eq!(fields(&found), ["candles"]);
}

#[tokio::test(start_paused = true)]
async fn rows_outside_of_the_span_and_open_ones() {
    let world = filled().await;
    for open_time in ["2024-10-01", "2024-11-06T12:00"] {
        world.store.put_row(btc(), candle(at(open_time)));
    }
    let found = verify(&world).await;
    assert_eq!(counts(&found), [(FaultKind::NotClosed, 1), (FaultKind::OutsideSpan, 1)]);
    assert_eq!(fields(&found), ["candles", "first", "last"]);
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_says_something_else() {
    let world = filled().await;
    let mut summary = world.summary().await.unwrap();
    summary.candles += 1;
    summary.first = None;
    summary.answered_until = Some(at("2024-11-01"));
    summary.listing = Some(at("2022-01-01"));
    world.store.put_summary(summary);
    let found = verify(&world).await;
    assert_eq!(fields(&found), ["candles", "first", "answered_until", "listing"]);
    assert_eq!((found.summary[0].stored.as_str(), found.summary[0].counted.as_str()), ("17", "16"));
    assert_eq!(counts(&found), []);
}

#[tokio::test(start_paused = true)]
async fn holes_that_overlap_or_lie_over_candles_or_outside() {
    let world = filled().await;
    world.store.put_hole(btc(), hole("2024-10-31", "2024-11-02", Cause::Failed));
    world.store.put_hole(btc(), hole("2024-09-01", "2024-09-02", Cause::SourceEmpty));
    let found = verify(&world).await;
    assert_eq!(
        counts(&found),
        [(FaultKind::HolesOverlap, 1), (FaultKind::HoleOverCandle, 1), (FaultKind::HoleOutsideSpan, 1)]
    );
    let told: Vec<TimeRange> = found.faults.kept().iter().map(|fault| fault.range).collect();
    assert_eq!(
        told,
        [
            range("2024-10-31", "2024-11-01"),
            range("2024-11-01", "2024-11-02"),
            range("2024-09-01", "2024-09-02")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn all_faults_are_counted_and_the_first_ones_kept() {
    let world = World::of_btc();
    world.backfill(100).await;
    for open_time in half_days("2024-08-01", "2024-11-01").iter() {
        world.store.put_row(btc(), other_candle(open_time));
    }
    let found = verify(&world).await;
    assert_eq!(counts(&found), [(FaultKind::Differs, 184)]);
    assert_eq!(found.faults.kept().len(), FAULTS_KEPT_MAX);
}

#[tokio::test(start_paused = true)]
async fn one_digit_changes_the_digest_of_its_month_alone() {
    let world = filled().await;
    let before = verify(&world).await.digests;
    world.store.put_row(btc(), other_candle(at("2024-11-02")));
    let after = verify(&world).await.digests;
    assert_eq!((before.len(), &before[0]), (2, &after[0]));
    assert_ne!(before[1], after[1]);
}
