//! A market that has stopped is kept, and looked at once a day instead of at every close.

use std::time::Duration;

use ohlcv_domain::{Cause, Interval};
use ohlcv_ports::testing::Call;
use ohlcv_usecases::Outcome;

use crate::world::{HOUR, MINUTE, World, asset, at, btc, candles, half_days, range};

/// The last candle of BTC closes then.
const STOPPED: &str = "2024-11-07";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A world whose BTC was taken off the exchange, `days` days later, with nothing asked since.
async fn stopped_for(days: u32) -> World {
    let world = World::of_btc();
    world.loses(range(STOPPED, "2025-06-01"));
    world.backfill(10).await;
    world.clock.set(at(STOPPED).saturating_add(DAY * days + HOUR));
    world.catch_up().await;
    world.calls();
    world
}

#[tokio::test(start_paused = true)]
async fn a_market_without_candles_for_less_than_three_days_is_asked_for_at_every_close() {
    let world = stopped_for(2).await;
    world.clock.set(at("2024-11-09T12:01"));
    let report = world.catch_up().await;
    assert!(world.pages().contains(&half_days("2024-11-09", "2024-11-09T12:00")));
    // It may still come.
    assert!(report.behind);
}

#[tokio::test(start_paused = true)]
async fn a_market_that_has_stopped_is_not_asked_for_at_every_close() {
    let world = stopped_for(3).await;
    for now in ["2024-11-10T02:00", "2024-11-10T12:01", "2024-11-10T12:20", "2024-11-10T23:59"] {
        world.clock.set(at(now));
        let report = world.run_catch_up().await;
        assert_eq!(world.calls(), [Call::ServerTime], "at {now}");
        assert!(!report.is_worth_repeating() && !report.has_failures(), "at {now}");
        assert_eq!(report.next_due(), None, "at {now}");
    }
    assert_eq!(world.rows("BTC").await, candles(half_days("2024-10-27T12:00", STOPPED)));
}

#[tokio::test(start_paused = true)]
async fn a_market_that_has_stopped_is_looked_at_once_a_day() {
    let world = stopped_for(3).await;
    let mut days_asked = 0;
    for half_hour in 1..=(10 * 48) {
        world.clock.set(at("2024-11-10T01:00").saturating_add(MINUTE * 30 * half_hour));
        let report = world.catch_up().await;
        assert!(matches!(report.outcome, Outcome::Done));
        let asked = world.pages();
        let newest = asked.iter().filter(|page| page.len() == 2 && page.end() > at("2024-11-10")).count();
        days_asked += usize::from(newest > 0);
    }
    assert_eq!(days_asked, 10);
    let ledger = world.ledger().await;
    assert!(ledger.iter().all(|(_, cause)| *cause == Cause::SourceEmpty), "{ledger:?}");
    assert_eq!(ledger.first().unwrap().0.start(), at(STOPPED));
    assert_eq!(ledger.last().unwrap().0.end(), at("2024-11-20"));
}

#[tokio::test(start_paused = true)]
async fn a_market_that_comes_back_is_found_within_a_day_and_the_time_between_is_a_hole() {
    let world = stopped_for(3).await;
    // The same name, another coin: candles from the 12th on.
    world.source.add(btc(), Interval::H12, candles(half_days("2024-11-12", "2025-01-01")));
    world.clock.set(at("2024-11-13T00:01"));
    world.catch_up().await;
    let known = [half_days("2024-10-27T12:00", STOPPED), half_days("2024-11-12", "2024-11-13")];
    assert_eq!(world.rows("BTC").await, known.map(candles).concat());
    let holes = world.ledger().await;
    assert_eq!(
        holes.iter().map(|(hole, _)| *hole).reduce(|one, next| one.hull(next)),
        Some(range(STOPPED, "2024-11-12"))
    );
    // It is polled at closes again, as ever with the candle before.
    world.calls();
    world.clock.set(at("2024-11-13T12:01"));
    world.catch_up().await;
    assert_eq!(world.pages()[0], half_days("2024-11-12T12:00", "2024-11-13T12:00"));
}

#[tokio::test(start_paused = true)]
async fn a_backfill_asks_for_a_market_that_has_stopped_all_the_same() {
    let world = stopped_for(3).await;
    world.clock.set(at("2024-11-10T13:00"));
    let report = world.backfill(10).await;
    assert!(world.pages().contains(&half_days("2024-11-10", "2024-11-10T12:00")));
    assert!(matches!(report.outcome, Outcome::Done) && !report.behind);
    assert!(world.summary().await.unwrap().backfill.completed, "what is missing is explained");
}

#[tokio::test(start_paused = true)]
async fn holes_before_the_end_of_a_market_are_asked_for_when_they_are_due() {
    let world = World::of_btc();
    world.loses(range(STOPPED, "2025-06-01"));
    world.loses(range("2024-11-01", "2024-11-02"));
    world.clock.set(at("2024-11-10T01:00"));
    world.backfill(20).await;
    world.calls();
    world.clock.set(at("2024-11-10T02:00"));
    let report = world.catch_up().await;
    assert_eq!(world.pages(), [half_days("2024-11-01", "2024-11-02")]);
    assert_eq!(report.due, Some(at("2024-11-10T06:00")));
}

#[tokio::test(start_paused = true)]
async fn other_assets_are_asked_for_as_ever() {
    let world = stopped_for(3).await;
    world.lists("ETH", "2024-11-01", "2025-01-01");
    let assets = [btc(), asset("ETH")];
    let catch_up = ohlcv_usecases::CatchUp::new(world.context(), crate::world::goal(10));
    catch_up.run(&assets).await.unwrap();
    world.calls();
    world.clock.set(at("2024-11-10T12:01"));
    catch_up.run(&assets).await.unwrap();
    let page = Call::Page(asset("ETH"), half_days("2024-11-09T12:00", "2024-11-10T12:00"));
    assert_eq!(world.calls(), [Call::ServerTime, page]);
}
