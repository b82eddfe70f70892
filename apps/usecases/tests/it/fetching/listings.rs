//! Where an asset's history begins is found out by one request, never by walking towards it.

use std::sync::Arc;

use ohlcv_domain::{BackfillState, Cause, Interval};
use ohlcv_ports::testing::Call;
use ohlcv_ports::{CandleSource, MockCandleSource};
use ohlcv_usecases::{AssetError, Backfill, Outcome};

use crate::world::{CLOSED, NOW, TEN_DAYS_AGO, World, at, away, btc, candles, goal, half_days, range};

#[tokio::test(start_paused = true)]
async fn an_asset_without_candles_yet_is_incomplete_and_costs_no_page() {
    let world = World::new(Interval::H12);
    world.source.add(btc(), Interval::H12, []);
    let report = world.run_backfill(10).await;
    let Outcome::Incomplete(reason) = &report.assets[0].outcome else { panic!("{report:?}") };
    assert_eq!(world.calls(), [Call::ServerTime, Call::Listing(btc())]);
    let summary = world.summary().await.unwrap();
    assert_eq!(summary.backfill, BackfillState { completed: false, reason: reason.clone() });
    assert_eq!((summary.span, summary.candles), (None, 0));
    assert!(!report.has_failures());
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_is_listed_later_is_fetched_as_soon_as_it_is() {
    let world = World::new(Interval::H12);
    world.source.add(btc(), Interval::H12, []);
    world.backfill(10).await;
    world.lists("BTC", "2024-11-07T12:00", "2024-12-01");
    world.clock.set(at("2024-11-08T12:01"));
    assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
    assert_eq!(world.rows("BTC").await, candles(half_days("2024-11-07T12:00", "2024-11-08T12:00")));
}

#[tokio::test(start_paused = true)]
async fn a_listing_behind_the_aim_is_where_asking_begins() {
    let world = World::new(Interval::H12);
    world.lists("BTC", "2024-10-30T12:00", "2024-12-01");
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(world.pages(), [half_days("2024-10-30T12:00", CLOSED)]);
    assert_eq!(world.ledger().await, [(range(TEN_DAYS_AGO, "2024-10-30T12:00"), Cause::BeforeListing)]);
    assert_eq!(world.summary().await.unwrap().listing, Some(at("2024-10-30T12:00")));
}

#[tokio::test(start_paused = true)]
async fn what_was_before_the_listing_is_never_asked_for_also_not_by_force() {
    let world = World::new(Interval::H12);
    world.lists("BTC", "2024-10-30T12:00", "2024-12-01");
    world.backfill(10).await;
    world.calls();
    world.forced_backfill(10).await;
    assert_eq!(world.pages(), [half_days("2024-10-30T12:00", CLOSED)]);
    world.backfill(700).await;
    assert_eq!(world.pages(), []);
    let before = range("2022-12-07T12:00", "2024-10-30T12:00");
    assert_eq!(world.ledger().await, [(before, Cause::BeforeListing)]);
}

#[tokio::test(start_paused = true)]
async fn a_forced_run_finds_out_that_the_exchange_goes_back_further_than_before() {
    let world = World::new(Interval::H12);
    world.lists("BTC", "2024-10-30T12:00", "2024-12-01");
    world.backfill(10).await;
    world.lists("BTC", "2024-10-29", "2024-10-30T12:00");
    world.backfill(10).await;
    assert_eq!(world.summary().await.unwrap().first, Some(at("2024-10-30T12:00")));
    world.forced_backfill(10).await;
    let summary = world.summary().await.unwrap();
    assert_eq!((summary.listing, summary.first), (Some(at("2024-10-29")), Some(at("2024-10-29"))));
    assert_eq!(world.ledger().await, [(range(TEN_DAYS_AGO, "2024-10-29"), Cause::BeforeListing)]);
}

#[tokio::test(start_paused = true)]
async fn an_asset_whose_first_candle_is_still_open_has_nothing_to_fetch_yet() {
    let world = World::new(Interval::H12);
    world.lists("BTC", CLOSED, "2024-12-01");
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done), "all of nothing is stored: {report:?}");
    assert_eq!(world.pages(), []);
    assert_eq!(world.ledger().await, [(range(TEN_DAYS_AGO, CLOSED), Cause::BeforeListing)]);
    assert!(!report.behind);

    world.clock.set(at("2024-11-07T00:01"));
    assert!(matches!(world.catch_up().await.outcome, Outcome::Done));
    assert_eq!(world.rows("BTC").await, candles(half_days(CLOSED, "2024-11-07")));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_cannot_be_had_fails_the_asset_and_leaves_the_ledger_alone() {
    let world = World::of_btc();
    world.source.fail_asset(btc(), away);
    let report = world.run_backfill(10).await;
    assert!(matches!(report.assets[0].outcome, Outcome::Failed(AssetError::Source(_))));
    assert!(report.is_worth_repeating());
    assert_eq!(world.ledger().await, []);
    assert_eq!(world.summary().await.unwrap().span, None);
}

#[tokio::test(start_paused = true)]
async fn the_listing_is_asked_for_in_the_interval_that_is_stored() {
    let world = World::new(Interval::H4);
    let mut source = MockCandleSource::new();
    source.expect_server_time().once().returning(|| Ok(at(NOW)));
    source
        .expect_listing()
        .withf(|asset, interval| (*asset, *interval) == (btc(), Interval::H4))
        .once()
        .returning(|_, _| Ok(None));
    let context = world.context_with(Arc::new(source) as Arc<dyn CandleSource>);
    let report = Backfill::new(context, goal(10)).run(&[btc()]).await.unwrap();
    assert!(matches!(report.assets[0].outcome, Outcome::Incomplete(_)));
}
