//! Work that is stopped ends soon, keeps what was committed, and goes on from there later.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::Cause;
use ohlcv_usecases::{Backfill, Outcome, RunReport};
use tokio_util::sync::CancellationToken;

use crate::sources::SlowSource;
use crate::world::{CLOSED, TEN_DAYS_AGO, World, at, btc, candles, goal, half_days, range};

/// A backfill that is stopped after ten seconds, when it hangs in a request.
async fn stopped_while_hanging(world: &World, source: SlowSource) -> RunReport {
    let backfill = Backfill::new(world.context_with(Arc::new(source)), goal(10));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.stop.cancel();
    };
    let assets = [btc()];
    let (report, ()) = tokio::join!(backfill.run(&assets), stop);
    report.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_before_it_begins_asks_for_no_candles() {
    let world = World::of_btc();
    world.stop.cancel();
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Stopped), "{report:?}");
    assert_eq!(world.pages(), []);
    assert_eq!(world.rows("BTC").await, []);
}

#[tokio::test(start_paused = true)]
async fn a_known_asset_is_not_asked_about_either_once_the_work_is_stopped() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.clock.set(at("2024-11-08T00:01"));
    world.calls();
    world.stop.cancel();
    assert!(matches!(world.catch_up().await.outcome, Outcome::Stopped));
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Stopped));
    assert_eq!(world.pages(), []);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_is_abandoned_and_nothing_is_marked_failed() {
    let world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    let source = SlowSource::new(&world.source, Duration::ZERO).hanging(btc(), at("2024-10-30"));
    let report = stopped_while_hanging(&world, source).await;
    assert!(matches!(report.assets[0].outcome, Outcome::Stopped), "{report:?}");
    assert!(!report.has_failures());
    assert_eq!(report.assets[0].gains.stored.new, 5);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, "2024-10-30")));
    assert_eq!(world.ledger().await, [(range("2024-10-30", CLOSED), Cause::Pending)]);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_does_not_come_is_abandoned_as_well() {
    let world = World::of_btc();
    let source = SlowSource::new(&world.source, Duration::ZERO).with_hanging_listings();
    let report = stopped_while_hanging(&world, source).await;
    assert!(matches!(report.assets[0].outcome, Outcome::Stopped), "{report:?}");
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_is_stored_and_the_next_one_is_not_asked_for() {
    let world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    let stop = world.stop.clone();
    world.on_page(2, move |_| stop.cancel());
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Stopped), "{report:?}");
    assert_eq!(world.pages().len(), 2);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, "2024-11-01T12:00")));
    assert_eq!(world.ledger().await, [(range("2024-11-01T12:00", CLOSED), Cause::Pending)]);
}

#[tokio::test(start_paused = true)]
async fn the_run_after_a_stop_goes_on_where_it_was() {
    let mut world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    let stop = world.stop.clone();
    world.on_page(2, move |_| stop.cancel());
    world.backfill(10).await;
    world.stop = CancellationToken::new();
    world.calls();
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Done));
    assert_eq!(world.pages(), [half_days("2024-11-01T12:00", "2024-11-04"), half_days("2024-11-04", CLOSED)]);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}
