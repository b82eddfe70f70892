//! Assets are worked on side by side; none waits for another, and each tells how far it is.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Interval};
use ohlcv_ports::CandleSource;
use ohlcv_ports::testing::Call;
use ohlcv_usecases::{Backfill, CatchUp, Outcome, Progress};

use crate::sources::SlowSource;
use crate::world::{CLOSED, TEN_DAYS_AGO, World, asset, at, btc, candles, goal, half_days, range};

const NAMES: [&str; 5] = ["BTC", "ETH", "SOL", "BNB", "XRP"];

fn world_of_five() -> World {
    let world = World::new(Interval::H12);
    for name in NAMES {
        world.lists(name, "2023-01-01", "2025-06-01");
    }
    world
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_hangs_does_not_keep_the_others_from_finishing() {
    let world = world_of_five();
    let source =
        SlowSource::new(&world.source, Duration::from_secs(1)).hanging(asset("ETH"), at(TEN_DAYS_AGO));
    let backfill = Backfill::new(world.context_with(Arc::new(source)), goal(10));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        for name in ["BTC", "SOL", "BNB", "XRP"] {
            assert_eq!(world.rows(name).await, candles(half_days(TEN_DAYS_AGO, CLOSED)), "{name}");
        }
        world.stop.cancel();
    };
    let assets = NAMES.map(asset);
    let (report, ()) = tokio::join!(backfill.run(&assets), stop);
    let ended = report.unwrap().assets.into_iter().map(|report| {
        let outcome = match report.outcome {
            Outcome::Done => "done",
            Outcome::Stopped => "stopped",
            other => panic!("{}: {other:?}", report.asset),
        };
        (report.asset, outcome)
    });
    let expected = ["done", "stopped", "done", "done", "done"];
    let expected: Vec<_> = assets.into_iter().zip(expected).collect();
    assert_eq!(ended.collect::<Vec<_>>(), expected, "in the order they were given");
}

#[tokio::test(start_paused = true)]
async fn as_many_assets_are_worked_on_at_once_as_the_policy_says() {
    for (at_once, waiting_most) in [(0, 1), (1, 1), (2, 2), (5, 5), (9, 5)] {
        let world = world_of_five();
        let source = Arc::new(SlowSource::new(&world.source, Duration::from_secs(1)));
        let mut context = world.context_with(Arc::clone(&source) as Arc<dyn CandleSource>);
        context.policy.assets_at_once = at_once;
        let report = Backfill::new(context, goal(10)).run(&NAMES.map(asset)).await.unwrap();
        assert_eq!(source.waiting_most(), waiting_most, "{at_once} at once");
        let order: Vec<Asset> = report.assets.iter().map(|report| report.asset).collect();
        assert_eq!(order, NAMES.map(asset));
    }
}

#[tokio::test(start_paused = true)]
async fn the_exchanges_time_is_asked_for_once_for_all_assets() {
    let world = world_of_five();
    Backfill::new(world.context(), goal(10)).run(&NAMES.map(asset)).await.unwrap();
    let times = world.calls().into_iter().filter(|call| *call == Call::ServerTime);
    assert_eq!(times.count(), 1);
}

/// What was told of one asset, if it never went backwards nor beyond what was expected.
fn steady(told: &[Progress], of: Asset) -> Vec<(u64, u64)> {
    let told: Vec<(u64, u64)> =
        told.iter().filter(|told| told.asset == of).map(|told| (told.done, told.expected)).collect();
    assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1), "{told:?}");
    assert!(told.iter().all(|(done, expected)| done <= expected), "{told:?}");
    told
}

#[tokio::test(start_paused = true)]
async fn progress_of_every_asset_grows_and_ends_where_all_is_done() {
    let world = world_of_five();
    world.source.set_page_slots_max(6.try_into().unwrap());
    Backfill::new(world.context(), goal(10)).run(&NAMES.map(asset)).await.unwrap();
    let told = world.progress();
    for name in NAMES {
        let expected = [(0, 0), (0, 20), (6, 20), (12, 20), (18, 20), (20, 20)];
        assert_eq!(steady(&told, asset(name)), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_of_a_forced_run_and_of_a_catch_up_ends_where_all_is_done() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-02"));
    world.backfill(10).await;
    world.clock.set(at("2024-11-09T00:01"));
    world.catch_up().await;
    world.forced_backfill(12).await;
    let told = world.progress();
    // Each run counts anew.
    let runs: Vec<_> = told.chunk_by(|one, next| next.done >= one.done).collect();
    assert!(runs.len() >= 3, "{told:?}");
    for run in runs {
        let (done, expected) = *steady(run, btc()).last().unwrap();
        assert_eq!(done, expected, "{run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_of_a_run_that_fails_stays_short_of_the_end() {
    let world = World::of_btc();
    world.source.set_page_slots_max(6.try_into().unwrap());
    world.fail_page(3);
    world.backfill(10).await;
    assert_eq!(steady(&world.progress(), btc()), [(0, 0), (0, 20), (6, 20), (12, 20), (14, 20)]);
}

#[tokio::test(start_paused = true)]
async fn a_run_with_nothing_to_ask_expects_nothing() {
    let world = World::of_btc();
    world.backfill(10).await;
    let told = world.progress().len();
    CatchUp::new(world.context(), goal(10)).run(&[btc()]).await.unwrap();
    assert!(world.progress()[told..].iter().all(|told| (told.done, told.expected) == (0, 0)));
}
