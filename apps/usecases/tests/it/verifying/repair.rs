//! What a repair mends, and what it leaves.

use ohlcv_domain::{Candle, Cause};
use ohlcv_ports::CandleStore;
use ohlcv_usecases::FaultKind;

use super::planted::hole;
use super::{counts, repair, verify};
use crate::world::{CLOSED, TEN_DAYS_AGO, World, at, btc, candle, candles, half_days, other_candle, range};

#[tokio::test(start_paused = true)]
async fn what_the_source_has_wins_and_a_second_look_is_clean() {
    let world = World::of_btc();
    world.loses(range("2024-10-30", "2024-11-01"));
    world.backfill(10).await;
    let whole = (world.rows("BTC").await, world.summary().await);
    let digests = verify(&world).await.digests;

    world.store.remove_rows(btc(), range("2024-11-02", "2024-11-03"));
    world.store.put_row(btc(), other_candle(at("2024-10-28")));
    world.store.put_hole(btc(), hole("2024-10-31", "2024-11-02", Cause::Failed));
    let mut summary = world.summary().await.unwrap();
    summary.candles = 3;
    summary.last = None;
    summary.listing = None;
    world.store.put_summary(summary);

    let found = repair(&world).await;
    let all = found.faults.total();
    assert_eq!((all.found, all.mended), (6, 6), "{:?}", found.faults);
    assert!(found.summary.iter().all(|fault| fault.mended), "{:?}", found.summary);
    assert_eq!((found.written.new, found.written.changed), (2, 1));
    assert!(!found.is_clean(), "something was wrong");
    let second = verify(&world).await;
    assert!(second.is_clean(), "{second:?}");
    assert_eq!(second.digests, digests);
    assert_eq!((world.rows("BTC").await, world.summary().await), whole);
    // Two, because they were asked about a different number of times.
    let empty = |start, end| (range(start, end), Cause::SourceEmpty);
    assert_eq!(world.ledger().await, [empty("2024-10-30", "2024-10-31"), empty("2024-10-31", "2024-11-01")]);
}

#[tokio::test(start_paused = true)]
async fn the_change_log_tells_of_what_was_mended() {
    let world = World::of_btc();
    world.backfill(10).await;
    let seen = world.store.changes(btc(), 0, 1_000).await.unwrap().last().unwrap().seq;
    world.store.put_row(btc(), other_candle(at("2024-10-28")));
    repair(&world).await;
    let changes = world.store.changes(btc(), seen, 1_000).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].range, range("2024-10-28", "2024-10-28T12:00"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_where_nothing_is_wrong() {
    let world = World::of_btc();
    world.loses(range("2024-10-30", "2024-11-01"));
    world.backfill(10).await;
    let before = (world.holes().await, world.store.changes(btc(), 0, 1_000).await.unwrap());
    assert!(repair(&world).await.is_clean());
    assert_eq!((world.holes().await, world.store.changes(btc(), 0, 1_000).await.unwrap()), before);
}

#[tokio::test(start_paused = true)]
async fn what_the_source_does_not_have_stays_and_is_said_to() {
    let world = World::of_btc();
    world.loses(range("2024-10-30", "2024-11-01"));
    world.backfill(10).await;
    let fake = Candle::flat(at("2024-10-31"), "1".parse().unwrap());
    let off_grid = candle(at("2024-11-02T06:00"));
    world.store.put_row(btc(), fake);
    world.store.put_row(btc(), off_grid);
    let found = repair(&world).await;
    for kind in [FaultKind::MissingAtSource, FaultKind::OffGrid] {
        let count = found.faults.of(kind);
        assert_eq!((count.found, count.mended), (1, 0), "{kind}");
    }
    assert_eq!(found.faults.of(FaultKind::HoleOverCandle).mended, 1);
    let rows = world.rows("BTC").await;
    assert!(rows.contains(&fake) && rows.contains(&off_grid));
    let second = verify(&world).await;
    assert_eq!(counts(&second), [(FaultKind::MissingAtSource, 1), (FaultKind::OffGrid, 1)]);
    assert_eq!(second.summary, []);
}

#[tokio::test(start_paused = true)]
async fn a_repair_of_a_range_leaves_the_rest_alone() {
    let world = World::of_btc();
    world.backfill(10).await;
    for open_time in ["2024-10-28", "2024-11-02"] {
        world.store.put_row(btc(), other_candle(at(open_time)));
    }
    super::verify_within(world.context(), range("2024-11-01", CLOSED), true).await;
    let mut expected = candles(half_days(TEN_DAYS_AGO, CLOSED));
    expected[1] = other_candle(at("2024-10-28"));
    assert_eq!(world.rows("BTC").await, expected);
}
