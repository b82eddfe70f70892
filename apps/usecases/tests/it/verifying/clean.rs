//! Where nothing is wrong nothing is found, and nothing changes.

use std::time::Duration;

use ohlcv_domain::{Cause, Interval, TimeRange};
use ohlcv_ports::{Coverage, HoleQuery, SourceError};
use ohlcv_usecases::{AssetError, Outcome};

use super::{counts, fields, verify, verify_within};
use crate::sources::SlowSource;
use crate::world::{CLOSED, TEN_DAYS_AGO, World, asset, at, away, btc, half_days, range};

#[tokio::test(start_paused = true)]
async fn a_store_that_was_filled_from_its_source_is_clean() {
    let world = World::of_btc();
    world.loses(range("2024-10-30", "2024-11-01"));
    world.backfill(10).await;
    let (rows, ledger, summary) = (world.rows("BTC").await, world.holes().await, world.summary().await);
    world.calls();
    let found = verify(&world).await;
    assert!(found.is_clean(), "{found:?}");
    assert_eq!((found.stored, found.compared), (16, 16));
    assert_eq!(world.pages(), [half_days(TEN_DAYS_AGO, CLOSED)]);
    assert_eq!(
        (rows, ledger, summary),
        (world.rows("BTC").await, world.holes().await, world.summary().await)
    );
    assert_eq!(world.progress().last().map(|told| (told.done, told.expected)), Some((20, 20)));
}

#[tokio::test(start_paused = true)]
async fn what_was_before_the_listing_is_not_asked_about() {
    let world = World::new(Interval::H12);
    world.lists("BTC", "2024-11-01", "2024-12-01");
    world.backfill(30).await;
    world.calls();
    assert!(verify(&world).await.is_clean());
    assert_eq!(world.pages(), [half_days("2024-11-01", CLOSED)]);
}

#[tokio::test(start_paused = true)]
async fn every_interval_is_clean_after_a_backfill() {
    for interval in Interval::ALL {
        let world = World::new(interval);
        let (days, first) = match interval {
            Interval::S1 => (1, "2024-11-05"),
            Interval::Mo1 => (400, "2023-10-01"),
            _ => (40, "2024-10-05"),
        };
        world.lists("BTC", first, "2024-11-07");
        world.backfill(days).await;
        let found = verify(&world).await;
        assert!(found.is_clean(), "{interval}: {:?} {:?} {:?}", counts(&found), found.summary, found.outcome);
        assert!(found.compared > 0, "{interval}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_slots_of_a_range_are_asked_about_and_digested() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    let found = verify_within(world.context(), range("2024-10-30", "2024-11-02"), false).await;
    assert!(found.is_clean(), "{found:?}");
    assert_eq!(world.pages(), [half_days("2024-10-30", "2024-11-02")]);
    let months: Vec<_> = found.digests.iter().map(|month| (month.month, month.candles)).collect();
    assert_eq!(months, [(at("2024-10-01"), 4), (at("2024-11-01"), 2)]);
    let whole = verify(&world).await;
    assert_ne!(whole.digests[1].sha256, found.digests[1].sha256);
}

#[tokio::test(start_paused = true)]
async fn an_asset_of_which_nothing_is_stored_is_not_asked_about() {
    let world = World::of_btc();
    let found = verify(&world).await;
    assert!(matches!(found.outcome, Outcome::Incomplete(_)) && found.is_clean(), "{found:?}");
    assert_eq!(world.pages(), []);
}

#[tokio::test(start_paused = true)]
async fn a_candle_that_closed_and_was_stored_while_the_work_went_on_is_no_fault() {
    let world = World::of_btc();
    world.source.set_page_slots_max(5.try_into().unwrap());
    world.backfill(10).await;
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        world.clock.set(at("2024-11-07T00:01"));
        world.catch_up().await;
    };
    let source = SlowSource::new(&world.source, Duration::from_secs(60));
    let context = world.context_with(std::sync::Arc::new(source));
    let (found, ()) = tokio::join!(verify_within(context, TimeRange::ALL, false), meanwhile);
    assert!(found.is_clean(), "{found:?}");
    assert_eq!(world.rows("BTC").await.len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_away_fails_and_what_can_be_seen_without_it_is_told() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.store.remove_rows(btc(), range("2024-11-01", "2024-11-02"));
    world.source.fail_next(100, away);
    let found = verify(&world).await;
    assert!(
        matches!(&found.outcome, Outcome::Failed(AssetError::Source(SourceError::Unavailable { .. }))),
        "{found:?}"
    );
    assert_eq!(fields(&found), ["candles"]);
    assert_eq!(counts(&found).len(), 1, "the slots are unexplained");
    assert_eq!((found.digests.len(), found.compared), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn one_page_that_cannot_be_had_stops_no_other() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.source.set_page_slots_max(5.try_into().unwrap());
    world.fail_page(2);
    let found = verify(&world).await;
    assert!(matches!(found.outcome, Outcome::Failed(_)), "{found:?}");
    assert_eq!(found.compared, 15);
    assert!(!found.is_clean());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_asset_fails_alone() {
    let world = World::of_btc();
    world.backfill(10).await;
    let mut summary = world.summary().await.unwrap();
    summary.asset = asset("GONE");
    summary.candles = 0;
    (summary.first, summary.last) = (None, None);
    world.store.put_summary(summary);
    let found =
        ohlcv_usecases::Verify::new(world.context(), TimeRange::ALL, false, std::sync::Arc::new(|_| {}));
    let found = found.run(&[asset("GONE"), btc()]).await;
    assert!(matches!(found[0].outcome, Outcome::Failed(_)), "{found:?}");
    assert!(found[1].is_clean());
    assert_eq!(world.store.holes(asset("GONE"), HoleQuery::oldest(TimeRange::ALL, 10)).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_verification_that_is_stopped_says_so() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.source.set_page_slots_max(5.try_into().unwrap());
    let stop = world.stop.clone();
    world.on_page(2, move |_| stop.cancel());
    let found = verify(&world).await;
    assert!(matches!(found.outcome, Outcome::Stopped) && !found.is_clean(), "{found:?}");
    assert!(found.compared <= 10);
    assert_eq!(world.ledger().await, Vec::<(TimeRange, Cause)>::new());
}
