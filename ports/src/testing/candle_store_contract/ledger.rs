//! Cases of the ledger of holes.

use super::*;

const NONE: &str = "";

pub async fn holes_carry_their_cause_and_detail(store: &StoreUnderTest) {
    let detail = "off_grid: [1704067200001,\"1.0\",'x'] \u{2014} \u{1F4C8}";
    let findings = vec![
        finding(0, 2, Cause::BeforeListing, NONE),
        finding(3, 4, Cause::SourceEmpty, NONE),
        finding(4, 5, Cause::Rejected, detail),
        finding(6, 7, Cause::Failed, "timed out"),
        finding(7, 9, Cause::Pending, NONE),
    ];
    let asked = Commit::new(btc(), slots(0, 9), candles([2, 5]), findings.clone(), moment(7)).unwrap();
    store.apply(asked).await;
    let holes = store.holes().await;
    let expected: Vec<_> =
        findings.iter().map(|found| (found.range, found.cause, found.detail.as_str())).collect();
    assert_eq!(seen(&holes), expected);
    assert!(holes.iter().all(|hole| hole.since == moment(7)));
    let asked: Vec<_> = holes.iter().map(|hole| (hole.asked, hole.last_asked)).collect();
    let once = (1, Some(moment(7)));
    assert_eq!(asked, [once, once, once, once, (0, None)]);
}

pub async fn a_hole_never_covers_a_stored_candle(store: &StoreUnderTest) {
    store.apply(commit(2, 4, candles(2..4), moment(0))).await;
    store.apply(said(0, 6, Cause::Failed, "timed out", moment(1))).await;
    let failed = |from, to| (time(from, to), Cause::Failed, "timed out");
    assert_eq!(seen(&store.holes().await), [failed(0, 2), failed(4, 6)]);
    assert_eq!(store.rows(btc()).await, candles(2..4));
}

pub async fn asking_again_in_vain_is_counted_and_keeps_the_beginning(store: &StoreUnderTest) {
    for n in 0..3 {
        store.apply(commit(0, 4, candles([0, 3]), moment(n))).await;
    }
    let holes = store.holes().await;
    assert_eq!(seen(&holes), [(time(1, 3), Cause::SourceEmpty, NONE)]);
    assert_eq!((holes[0].since, holes[0].asked, holes[0].last_asked), (moment(0), 3, Some(moment(2))));
}

pub async fn another_cause_begins_anew(store: &StoreUnderTest) {
    store.apply(said(0, 4, Cause::Failed, "timed out", moment(0))).await;
    store.apply(said(0, 4, Cause::Failed, "reset", moment(1))).await;
    let holes = store.holes().await;
    assert_eq!((holes[0].since, holes[0].asked, holes[0].detail.as_str()), (moment(0), 2, "reset"));
    store.apply(said(0, 4, Cause::SourceEmpty, NONE, moment(2))).await;
    let holes = store.holes().await;
    assert_eq!(seen(&holes), [(time(0, 4), Cause::SourceEmpty, NONE)]);
    assert_eq!((holes[0].since, holes[0].asked, holes[0].last_asked), (moment(2), 1, Some(moment(2))));
}

pub async fn a_hole_that_heals_in_part_is_split(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles([0, 9]), moment(0))).await;
    assert_eq!(store.apply(commit(4, 6, candles(4..6), moment(1))).await, counts(2, 0, 0));
    let holes = store.holes().await;
    let empty = |from, to| (time(from, to), Cause::SourceEmpty, NONE);
    assert_eq!(seen(&holes), [empty(1, 4), empty(6, 9)]);
    assert!(holes.iter().all(|hole| (hole.since, hole.asked) == (moment(0), 1)));
}

pub async fn a_hole_that_heals_is_gone(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles([0, 9]), moment(0))).await;
    store.apply(commit(1, 9, candles(1..9), moment(1))).await;
    assert_eq!(store.holes().await, []);
    assert_eq!(store.rows(btc()).await, candles(0..10));
}

pub async fn what_was_not_asked_about_stays_as_it_was(store: &StoreUnderTest) {
    store.apply(said(0, 20, Cause::Pending, NONE, moment(0))).await;
    store.apply(said(5, 7, Cause::Rejected, "negative", moment(1))).await;
    store.apply(commit(10, 15, candles(10..14), moment(2))).await;
    let holes = store.holes().await;
    let expected = [
        (time(0, 5), Cause::Pending, NONE),
        (time(5, 7), Cause::Rejected, "negative"),
        (time(7, 10), Cause::Pending, NONE),
        (time(14, 15), Cause::SourceEmpty, NONE),
        (time(15, 20), Cause::Pending, NONE),
    ];
    assert_eq!(seen(&holes), expected);
    assert_eq!((holes[1].since, holes[1].last_asked), (moment(1), Some(moment(1))));
    assert_eq!(holes[4].since, moment(0));
}

pub async fn a_commit_apart_from_the_span_leaves_pending_slots_between(store: &StoreUnderTest) {
    store.apply(commit(10, 12, candles(10..12), moment(0))).await;
    store.apply(commit(20, 22, candles(20..22), moment(1))).await;
    store.apply(commit(0, 2, candles([0]), moment(2))).await;
    let holes = store.holes().await;
    let expected = [
        (time(1, 2), Cause::SourceEmpty, NONE),
        (time(2, 10), Cause::Pending, NONE),
        (time(12, 20), Cause::Pending, NONE),
    ];
    assert_eq!(seen(&holes), expected);
    assert_eq!((holes[1].since, holes[1].asked, holes[1].last_asked), (moment(2), 0, None));
    assert_eq!(store.summary().await.span, Some(time(0, 22)));
}

pub async fn the_span_grows_both_ways(store: &StoreUnderTest) {
    for (n, (from, to), span) in
        [(0, (10, 12), (10, 12)), (1, (12, 14), (10, 14)), (2, (6, 11), (6, 14)), (3, (7, 9), (6, 14))]
    {
        store.apply(commit(from, to, candles(from..to), moment(n))).await;
        assert_eq!(store.summary().await.span, Some(time(span.0, span.1)));
    }
    assert_eq!(store.holes().await, []);
}

pub async fn holes_of_neighbouring_commits_become_one(store: &StoreUnderTest) {
    store.apply(commit(0, 5, candles(0..4), moment(0))).await;
    store.apply(commit(5, 10, candles(7..10), moment(1))).await;
    let holes = store.holes().await;
    assert_eq!(seen(&holes), [(time(4, 7), Cause::SourceEmpty, NONE)]);
    assert_eq!(holes[0].since, moment(0));
    // What says something else stays apart, even where it touches.
    store.apply(said(10, 12, Cause::Rejected, "negative", moment(2))).await;
    store.apply(said(12, 14, Cause::Rejected, "off_grid", moment(3))).await;
    assert_eq!(store.holes().await.len(), 3);
}

pub async fn holes_are_listed_whole_and_in_order_up_to_the_limit(store: &StoreUnderTest) {
    store.apply(commit(0, 20, candles([0, 4, 5, 9, 10, 14, 19]), moment(0))).await;
    let ranges = |range, limit| async move {
        let holes = store.coverage.holes(btc(), HoleQuery::oldest(range, limit)).await.unwrap();
        holes.into_iter().map(|hole| hole.range).collect::<Vec<_>>()
    };
    let all = [time(1, 4), time(6, 9), time(11, 14), time(15, 19)];
    assert_eq!(ranges(TimeRange::ALL, NO_LIMIT).await, all);
    assert_eq!(ranges(TimeRange::ALL, 2).await, all[..2]);
    assert_eq!(ranges(TimeRange::ALL, 0).await, []);
    assert_eq!(ranges(time(8, 12), NO_LIMIT).await, all[1..3]);
    assert_eq!(ranges(time(7, 8), NO_LIMIT).await, all[1..2]);
    // Touching is not overlapping.
    assert_eq!(ranges(time(9, 11), NO_LIMIT).await, []);
    assert_eq!(ranges(time(7, 7), NO_LIMIT).await, []);
}

/// Twenty slots whose holes are, in this order: empty, pending, empty, rejected, empty.
async fn of_many_causes(store: &StoreUnderTest) -> [TimeRange; 5] {
    store.apply(commit(0, 20, candles([0, 4, 5, 9, 10, 14, 18]), moment(0))).await;
    store.apply(said(6, 9, Cause::Pending, NONE, moment(1))).await;
    store.apply(said(15, 18, Cause::Rejected, "negative", moment(1))).await;
    [time(1, 4), time(6, 9), time(11, 14), time(15, 18), time(19, 20)]
}

pub async fn holes_of_one_cause_are_listed_alone(store: &StoreUnderTest) {
    let all = of_many_causes(store).await;
    let ranges = |cause, range, limit| async move {
        let wanted = HoleQuery { cause: Some(cause), ..HoleQuery::oldest(range, limit) };
        let holes = store.coverage.holes(btc(), wanted).await.unwrap();
        holes.into_iter().map(|hole| hole.range).collect::<Vec<_>>()
    };
    assert_eq!(ranges(Cause::SourceEmpty, TimeRange::ALL, NO_LIMIT).await, [all[0], all[2], all[4]]);
    assert_eq!(ranges(Cause::SourceEmpty, TimeRange::ALL, 2).await, [all[0], all[2]]);
    assert_eq!(ranges(Cause::SourceEmpty, time(5, 15), NO_LIMIT).await, [all[2]]);
    assert_eq!(ranges(Cause::Pending, TimeRange::ALL, NO_LIMIT).await, [all[1]]);
    assert_eq!(ranges(Cause::Failed, TimeRange::ALL, NO_LIMIT).await, []);
}

pub async fn the_newest_holes_are_taken_and_ascend_all_the_same(store: &StoreUnderTest) {
    let all = of_many_causes(store).await;
    let ranges = |cause, range, limit| async move {
        let wanted = HoleQuery { range, cause, take: Take::Newest, limit };
        let holes = store.coverage.holes(btc(), wanted).await.unwrap();
        holes.into_iter().map(|hole| hole.range).collect::<Vec<_>>()
    };
    assert_eq!(ranges(None, TimeRange::ALL, NO_LIMIT).await, all);
    assert_eq!(ranges(None, TimeRange::ALL, 2).await, all[3..]);
    assert_eq!(ranges(None, time(0, 16), 2).await, all[2..4], "whole, also beyond the range");
    assert_eq!(ranges(Some(Cause::SourceEmpty), TimeRange::ALL, 2).await, [all[2], all[4]]);
    assert_eq!(ranges(None, TimeRange::ALL, 0).await, []);
}

pub async fn holes_are_counted_by_asset_cause_and_length(store: &StoreUnderTest) {
    assert_eq!(store.coverage.hole_counts().await.unwrap(), []);
    store.apply(commit_of(eth(), slots(0, 4), candles([0, 3]), moment(0))).await;
    store.apply(said(0, 20, Cause::Pending, NONE, moment(0))).await;
    store.apply(said(5, 7, Cause::Rejected, "negative", moment(1))).await;
    store.apply(said(9, 10, Cause::Rejected, "off_grid", moment(2))).await;
    store.apply(commit(12, 16, candles([12, 15]), moment(3))).await;
    // A series without a hole is left out.
    store.apply(commit_of("SOL".parse().unwrap(), slots(0, 2), candles([0, 1]), moment(0))).await;
    let count = |asset, cause, slots, holes| HoleCount { asset, cause, lasting: HALF_DAY * slots, holes };
    let expected = [
        count(btc(), Cause::Pending, 2, 2),
        count(btc(), Cause::Pending, 4, 1),
        count(btc(), Cause::Pending, 5, 1),
        count(btc(), Cause::SourceEmpty, 2, 1),
        count(btc(), Cause::Rejected, 1, 1),
        count(btc(), Cause::Rejected, 2, 1),
        count(eth(), Cause::SourceEmpty, 2, 1),
    ];
    assert_eq!(store.coverage.hole_counts().await.unwrap(), expected);
}
