//! A backfill asks for the span that is wanted, once.

use ohlcv_domain::{BackfillState, Cause, Interval};
use ohlcv_ports::testing::Call;
use ohlcv_usecases::{Backfill, BackfillGoal, Gains, Outcome};

use crate::world::{
    CLOSED, MINUTE, TEN_DAYS_AGO, World, at, btc, candle, candles, goal, half_days, other_candle, range,
};

#[tokio::test(start_paused = true)]
async fn an_empty_store_ends_with_exactly_the_closed_candles_of_the_wanted_days() {
    let world = World::of_btc();
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done), "{report:?}");
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!(world.ledger().await, []);
    assert_eq!((report.gains.pages, report.gains.stored.new, report.gains.rejected), (1, 20, 0));
    assert!(!report.behind);
    let summary = world.summary().await.unwrap();
    assert_eq!(summary.span, Some(range(TEN_DAYS_AGO, CLOSED)));
    assert_eq!((summary.candles, summary.answered_until), (20, Some(at(CLOSED))));
    assert_eq!(summary.backfill, BackfillState { completed: true, reason: String::new() });
}

#[tokio::test(start_paused = true)]
async fn a_first_run_asks_for_the_time_then_the_listing_then_the_pages() {
    let world = World::of_btc();
    world.source.set_page_slots_max(8.try_into().unwrap());
    world.backfill(10).await;
    let pages = [
        half_days(TEN_DAYS_AGO, "2024-10-31T12:00"),
        half_days("2024-10-31T12:00", "2024-11-04T12:00"),
        half_days("2024-11-04T12:00", CLOSED),
    ];
    let mut calls = vec![Call::ServerTime, Call::Listing(btc())];
    calls.extend(pages.map(|page| Call::Page(btc(), page)));
    assert_eq!(world.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_second_run_asks_for_the_time_alone() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(world.calls(), [Call::ServerTime]);
    assert_eq!(report.gains, Gains::default());
}

#[tokio::test(start_paused = true)]
async fn a_run_after_a_pause_asks_for_what_closed_meanwhile_and_the_candle_before() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    world.clock.set(at("2024-11-08T00:01"));
    world.backfill(10).await;
    assert_eq!(world.pages(), [half_days("2024-11-06", "2024-11-08")]);
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, "2024-11-08")));
}

#[tokio::test(start_paused = true)]
async fn more_days_than_before_extend_the_series_backwards() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    let report = world.backfill(30).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(world.pages(), [half_days("2024-10-07T12:00", TEN_DAYS_AGO)]);
    assert_eq!(world.rows("BTC").await, candles(half_days("2024-10-07T12:00", CLOSED)));
}

#[tokio::test(start_paused = true)]
async fn fewer_days_than_before_take_nothing_away() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    assert!(matches!(world.backfill(2).await.outcome, Outcome::Done));
    assert_eq!(world.pages(), []);
    assert_eq!(world.rows("BTC").await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_absence_what_lies_between_is_fetched_as_well() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.clock.set(at("2025-03-01T00:01"));
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, "2025-03-01")));
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_forced_run_asks_for_everything_again_and_the_newer_numbers_win() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.calls();
    let corrected = other_candle(at("2024-11-01"));
    world.source.add(btc(), Interval::H12, [corrected]);
    assert_eq!(world.backfill(10).await.gains.pages, 0);
    assert!(!world.rows("BTC").await.contains(&corrected));
    world.calls();

    let report = world.forced_backfill(10).await;
    let page = Call::Page(btc(), half_days(TEN_DAYS_AGO, CLOSED));
    assert_eq!(world.calls(), [Call::ServerTime, Call::Listing(btc()), page]);
    let stored = report.gains.stored;
    assert_eq!((stored.new, stored.changed, stored.unchanged), (0, 1, 19));
    let rows = world.rows("BTC").await;
    assert!(rows.contains(&corrected) && !rows.contains(&candle(at("2024-11-01"))));
}

#[tokio::test(start_paused = true)]
async fn a_forced_run_takes_nothing_away_that_the_exchange_has_lost() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.loses(range("2024-11-01", "2024-11-03"));
    let report = world.forced_backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(world.rows("BTC").await, candles(half_days(TEN_DAYS_AGO, CLOSED)));
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn slots_that_the_exchange_lacks_are_explained_and_do_not_keep_a_backfill_open() {
    let world = World::of_btc();
    world.loses(range("2024-11-01", "2024-11-03"));
    let report = world.backfill(10).await;
    assert!(matches!(report.outcome, Outcome::Done));
    assert_eq!(world.ledger().await, [(range("2024-11-01", "2024-11-03"), Cause::SourceEmpty)]);
    assert!(world.summary().await.unwrap().backfill.completed);
}

#[tokio::test(start_paused = true)]
async fn too_short_a_history_is_served_but_stays_incomplete_with_the_reason() {
    let world = World::new(Interval::H12);
    world.lists("BTC", "2024-10-30T12:00", "2024-12-01");
    let goal = BackfillGoal { days_min: 90, only_days: None, ..goal(100) };
    let report = Backfill::new(world.context(), goal).run(&[btc()]).await.unwrap();
    let Outcome::Incomplete(reason) = &report.assets[0].outcome else { panic!("{report:?}") };
    assert_eq!(reason, "its history since 2024-10-30T12:00:00Z is 7 days long, 90 are needed");
    assert_eq!(world.rows("BTC").await, candles(half_days("2024-10-30T12:00", CLOSED)));
    let noted = BackfillState { completed: false, reason: reason.clone() };
    assert_eq!(world.summary().await.unwrap().backfill, noted);
    assert!(!report.is_worth_repeating() && !report.has_failures());
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_was_completed_stays_so_when_a_later_one_fails() {
    let world = World::of_btc();
    world.backfill(10).await;
    world.clock.set(at("2024-11-07T00:01"));
    world.fail_page(1);
    assert!(matches!(world.backfill(10).await.outcome, Outcome::Failed(_)));
    let completed = BackfillState { completed: true, reason: String::new() };
    assert_eq!(world.summary().await.unwrap().backfill, completed);
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_failed_notes_why_until_one_succeeds() {
    let world = World::of_btc();
    world.fail_page(1);
    world.backfill(10).await;
    let noted = world.summary().await.unwrap().backfill;
    assert!(!noted.completed && noted.reason.contains("connection reset"), "{noted:?}");
    tokio::time::sleep(MINUTE).await;
    world.backfill(10).await;
    let noted = world.summary().await.unwrap().backfill;
    assert_eq!(noted, BackfillState { completed: true, reason: String::new() });
}

#[tokio::test(start_paused = true)]
async fn a_series_longer_than_a_page_is_asked_for_in_pages_that_touch() {
    let world = World::of_btc();
    for slots_max in [1, 7, 19, 20, 1_000] {
        world.source.set_page_slots_max(slots_max.try_into().unwrap());
        world.forced_backfill(10).await;
        let pages = world.pages();
        assert!(pages.iter().all(|page| (1..=u64::from(slots_max)).contains(&page.len())), "{pages:?}");
        assert!(pages.windows(2).all(|pair| pair[0].end() == pair[1].start()), "{pages:?}");
        let [first, .., last] = &pages[..] else {
            assert_eq!(pages, [half_days(TEN_DAYS_AGO, CLOSED)]);
            continue;
        };
        assert_eq!((first.start(), last.end()), (at(TEN_DAYS_AGO), at(CLOSED)));
    }
}
