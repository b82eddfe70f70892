//! Cases of the change log.

use super::*;

/// A change MUST cover what changed, and should not cover much more.
fn covers(change: TimeRange, changed: TimeRange) -> bool {
    change.hull(changed) == change
}

pub async fn every_write_that_changes_something_is_logged_in_order(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    store.apply(commit(10, 20, candles(10..19), moment(1))).await;
    store.apply(commit(4, 6, vec![candle(4), priced(5, "44")], moment(2))).await;
    let changes = store.changes().await;
    assert_eq!(changes[..2], [time(0, 10), time(10, 20)]);
    assert!(covers(changes[2], time(5, 6)) && covers(time(4, 6), changes[2]), "{:?}", changes[2]);
    assert_eq!(changes.len(), 3);
}

pub async fn a_write_that_changes_nothing_is_not_logged(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    store.apply(commit(0, 10, candles(0..10), moment(1))).await;
    store.apply(commit(3, 5, candles(3..5), moment(2)).with_listing(slot(0)).with_recount()).await;
    store.apply(said(2, 8, Cause::Failed, "timed out", moment(3))).await;
    assert_eq!(store.changes().await, [time(0, 10)]);
}

pub async fn a_write_that_only_asked_again_is_not_logged(store: &StoreUnderTest) {
    for n in 0..3 {
        store.apply(commit(0, 10, candles([0, 1, 5, 9]), moment(n))).await;
    }
    assert_eq!(store.changes().await, [time(0, 10)]);
    assert!(store.holes().await.iter().all(|hole| hole.asked == 3));
}

pub async fn asking_again_about_a_part_of_a_hole_is_not_logged(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles([0, 9]), moment(0))).await;
    store.apply(said(3, 5, Cause::SourceEmpty, "", moment(1))).await;
    // Two lots of asking, one run of slots without candles for whoever reads.
    let asked: Vec<_> = store.holes().await.iter().map(|hole| (hole.range, hole.asked)).collect();
    assert_eq!(asked, [(time(1, 3), 1), (time(3, 5), 2), (time(5, 9), 1)]);
    assert_eq!(store.changes().await.len(), 1);
}

pub async fn a_change_of_holes_alone_is_logged(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles([0, 9]), moment(0))).await;
    store.apply(said(3, 5, Cause::Rejected, "negative", moment(1))).await;
    store.apply(said(3, 5, Cause::Rejected, "off_grid", moment(2))).await;
    let changes = store.changes().await;
    assert_eq!(changes.len(), 3);
    for change in &changes[1..] {
        assert!(covers(*change, time(3, 5)) && covers(time(1, 9), *change), "{change:?}");
    }
}

pub async fn a_change_of_what_lies_between_is_logged(store: &StoreUnderTest) {
    store.apply(commit(0, 2, candles(0..2), moment(0))).await;
    store.apply(commit(6, 8, candles(6..8), moment(1))).await;
    let changes = store.changes().await;
    assert_eq!(changes.len(), 2);
    assert!(covers(changes[1], time(2, 8)), "{:?}", changes[1]);
}

pub async fn the_log_is_read_after_a_number_up_to_a_limit(store: &StoreUnderTest) {
    for n in 0..5 {
        store.apply(commit(n, n + 1, candles([n]), moment(n.unsigned_abs()))).await;
    }
    let numbers = |seq, limit| async move {
        let changes = store.candles.changes(btc(), seq, limit).await.unwrap();
        changes.into_iter().map(|change| (change.seq, change.range)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(0, 2).await, [(1, time(0, 1)), (2, time(1, 2))]);
    assert_eq!(numbers(3, NO_LIMIT).await, [(4, time(3, 4)), (5, time(4, 5))]);
    assert_eq!(numbers(5, NO_LIMIT).await, []);
    assert_eq!(numbers(0, 0).await, []);
    assert_eq!(numbers(u64::from(u32::MAX), NO_LIMIT).await, []);
}

pub async fn the_changes_of_each_asset_are_counted_by_themselves(store: &StoreUnderTest) {
    store.apply(commit(0, 2, candles(0..2), moment(0))).await;
    store.apply(commit_of(eth(), slots(5, 7), candles(5..7), moment(1))).await;
    store.apply(commit(2, 4, candles(2..4), moment(2))).await;
    assert_eq!(store.changes().await, [time(0, 2), time(2, 4)]);
    let of_eth = store.candles.changes(eth(), 0, NO_LIMIT).await.unwrap();
    assert_eq!(of_eth.iter().map(|change| (change.seq, change.range)).collect::<Vec<_>>(), [(1, time(5, 7))]);
}
