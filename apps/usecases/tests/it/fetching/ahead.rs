//! Pages are asked for while earlier ones are stored, and stored in the order of asking.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Cause, Interval, SlotRange};
use ohlcv_ports::testing::{Call, ScriptedSource};
use ohlcv_ports::{CandleSource, CandleStore, Clock};
use ohlcv_usecases::{Backfill, BackfillGoal, CatchUp, FetchContext, Outcome};
use tokio::time::Instant;

use crate::sources::{DailySource, SlowSource, SlowStore};
use crate::world::{
    CLOSED, HOUR, PAGES_AT_ONCE, TEN_DAYS_AGO, World, at, btc, candles, goal, half_days, range,
};

const SECOND: Duration = Duration::from_secs(1);

/// A backfill of ten days, and how many seconds it took.
async fn timed(context: FetchContext) -> (Outcome, u64) {
    let begun = Instant::now();
    let report = Backfill::new(context, goal(10)).run(&[btc()]).await.unwrap().assets.remove(0);
    (report.outcome, begun.elapsed().as_secs())
}

async fn assert_stored_in_order(world: &World) {
    let changes = world.store.changes(btc(), 0, u64::MAX).await.unwrap();
    assert!(changes.is_sorted_by_key(|change| change.range.start()), "{changes:?}");
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn pages_of_one_asset_are_on_their_way_together_and_stored_in_order() {
    let world = World::of_btc();
    world.source.set_page_slots_max(1.try_into().unwrap());
    let slow = Arc::new(SlowSource::new(&world.source, SECOND));
    let (outcome, took) = timed(world.context_with(Arc::clone(&slow) as Arc<dyn CandleSource>)).await;
    assert!(matches!(outcome, Outcome::Done));
    // One, two, then four at once: twenty pages.
    assert_eq!((took, slow.waiting_most()), (7, PAGES_AT_ONCE));
    assert_stored_in_order(&world).await;
    // The first word is that the work begins.
    let progress: Vec<u64> = world.progress().iter().skip(1).map(|told| told.done).collect();
    assert_eq!(progress, (0..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn while_a_page_is_stored_the_next_ones_are_fetched() {
    let world = World::of_btc();
    world.source.set_page_slots_max(1.try_into().unwrap());
    let slow: Arc<dyn CandleSource> = Arc::new(SlowSource::new(&world.source, SECOND * 2));
    let store = Arc::new(SlowStore { inner: Arc::clone(&world.store), write_time: SECOND });
    let (outcome, took) = timed(FetchContext { store, ..world.context_with(slow) }).await;
    assert!(matches!(outcome, Outcome::Done));
    // Twenty writes and the one of the new slots take that long alone; besides, the first answers.
    assert!((21..=26).contains(&took), "{took}");
    assert_stored_in_order(&world).await;
}

#[tokio::test(start_paused = true)]
async fn holes_far_apart_are_asked_about_together() {
    let world = World::of_btc();
    let days = ["2024-10-29", "2024-10-31", "2024-11-02", "2024-11-04"];
    let holes = days.map(|day| half_days(day, &format!("{day}T12:00")));
    for hole in holes {
        world.loses(hole.time());
    }
    world.backfill(10).await;
    tokio::time::sleep(HOUR).await;
    world.calls();
    let slow: Arc<dyn CandleSource> = Arc::new(SlowSource::new(&world.source, SECOND));
    let begun = Instant::now();
    CatchUp::new(world.context_with(slow), goal(10)).run(&[btc()]).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 3, "one, two, one");
    assert_eq!(world.pages(), holes);
}

#[tokio::test(start_paused = true)]
async fn a_stop_keeps_what_is_stored_and_the_next_run_asks_for_the_rest_alone() {
    let world = World::of_btc();
    world.source.set_page_slots_max(1.try_into().unwrap());
    let slow: Arc<dyn CandleSource> = Arc::new(SlowSource::new(&world.source, SECOND));
    let context = world.context_with(slow);
    let stop = async {
        tokio::time::sleep(SECOND * 7 / 2).await;
        world.stop.cancel();
    };
    let ((outcome, took), ()) = tokio::join!(timed(context), stop);
    assert!(matches!(outcome, Outcome::Stopped) && took == 3, "{outcome:?} after {took} s");
    let stored = half_days(TEN_DAYS_AGO, "2024-10-31");
    assert_eq!(world.rows("BTC").await, candles(stored));
    assert_eq!(world.ledger().await, [(range("2024-10-31", CLOSED), Cause::Pending)]);
    assert_eq!(world.pages().len(), 7);
    let context = FetchContext { stop: Default::default(), ..world.context() };
    assert!(matches!(timed(context).await.0, Outcome::Done));
    assert_eq!(world.pages(), half_days("2024-10-31", CLOSED).iter().map(slot).collect::<Vec<_>>());
    assert_stored_in_order(&world).await;
}

fn slot(open_time: ohlcv_domain::Timestamp) -> SlotRange {
    half_days(TEN_DAYS_AGO, CLOSED).from(open_time).before(open_time.saturating_add(SECOND))
}

#[tokio::test(start_paused = true)]
async fn only_what_was_never_asked_is_asked_of_the_source_of_large_pages() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    let bulk = Arc::new(ScriptedSource::new(Arc::clone(&world.clock) as Arc<dyn Clock>));
    let lacking = half_days("2023-01-01", "2025-06-01").iter();
    let lacking = lacking.filter(|open_time| !range("2024-11-01", "2024-11-02").contains(*open_time));
    bulk.add(btc(), Interval::H12, lacking.map(crate::world::candle));
    world.source.set_page_slots_max(5.try_into().unwrap());
    let context =
        || FetchContext { bulk: Some(Arc::clone(&bulk) as Arc<dyn CandleSource>), ..world.context() };
    Backfill::new(context(), goal(10)).run(&[btc()]).await.unwrap();
    assert_eq!(bulk.calls(), [Call::Page(btc(), half_days(TEN_DAYS_AGO, CLOSED))]);
    assert_eq!(world.pages(), []);
    bulk.clear_calls();

    // A hole that is due, new candles at a catch-up, and everything again.
    world.clock.set(at("2024-11-07T00:01"));
    CatchUp::new(context(), goal(10)).run(&[btc()]).await.unwrap();
    let forced = BackfillGoal { force: true, ..goal(10) };
    Backfill::new(context(), forced).run(&[btc()]).await.unwrap();
    assert_eq!(bulk.calls(), []);
    let asked = world.pages();
    assert_eq!(asked[..2], [half_days("2024-11-06", "2024-11-07"), half_days("2024-11-01", "2024-11-02")]);
    assert!(asked.len() > 5);
}

#[tokio::test(start_paused = true)]
async fn pages_end_where_the_source_says_and_the_newest_candle_costs_none_of_its_own() {
    let world = World::of_btc();
    let daily: Arc<dyn CandleSource> = Arc::new(DailySource(Arc::clone(&world.source)));
    timed(world.context_with(Arc::clone(&daily))).await;
    let pages = world.pages();
    assert_eq!(pages.len(), 11);
    assert!(pages[1..10].iter().all(|page| page.len() == 2));
    // The newest stored candle is of the day before, then of the same day.
    for (now, asked) in [
        ("2024-11-07T00:01", half_days("2024-11-06", "2024-11-07")),
        ("2024-11-07T12:01", half_days("2024-11-07", "2024-11-07T12:00")),
    ] {
        world.clock.set(at(now));
        CatchUp::new(world.context_with(Arc::clone(&daily)), goal(10)).run(&[btc()]).await.unwrap();
        assert_eq!(world.pages(), [asked], "at {now}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_is_unknown_costs_one_request() {
    let world = World::of_btc();
    world.backfill(1).await;
    world.source.set_page_slots_max(1.try_into().unwrap());
    world
        .source
        .fail_asset(btc(), || ohlcv_ports::SourceError::UnknownAsset { symbol: "BTCUSDT".to_owned() });
    world.calls();
    world.backfill(10).await;
    assert_eq!(world.pages().len(), 1);
}
