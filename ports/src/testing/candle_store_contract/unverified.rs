//! Cases of unverified slots.

use super::*;

pub async fn marked_slots_are_listed_whole_and_in_order_up_to_the_limit(store: &StoreUnderTest) {
    assert_eq!(store.unverified().await, []);
    store.apply(commit(0, 20, candles(0..20), moment(0))).await;
    for (from, to) in [(12, 15), (2, 5), (8, 10)] {
        store.mark(from, to).await;
    }
    let all = [time(2, 5), time(8, 10), time(12, 15)];
    assert_eq!(store.unverified().await, all);
    let listed = |range, limit| async move { store.coverage.unverified(btc(), range, limit).await.unwrap() };
    assert_eq!(listed(TimeRange::ALL, 2).await, all[..2]);
    assert_eq!(listed(TimeRange::ALL, 0).await, []);
    assert_eq!(listed(time(4, 9), NO_LIMIT).await, all[..2]);
    // Touching is not overlapping.
    assert_eq!(listed(time(5, 8), NO_LIMIT).await, []);
    assert_eq!(listed(time(9, 9), NO_LIMIT).await, []);
}

pub async fn an_answer_takes_the_mark_off_what_was_asked_about(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    store.mark(0, 10).await;
    store.apply(commit(0, 4, candles(0..4), moment(1))).await;
    assert_eq!(store.unverified().await, [time(4, 10)]);
    store.apply(commit(4, 12, candles(4..12), moment(2))).await;
    assert_eq!(store.unverified().await, []);
}

pub async fn an_answer_in_the_middle_leaves_the_mark_on_both_sides(store: &StoreUnderTest) {
    store.apply(commit(0, 20, candles(0..20), moment(0))).await;
    store.mark(0, 8).await;
    store.mark(10, 20).await;
    store.apply(commit(6, 14, candles(6..14), moment(1))).await;
    assert_eq!(store.unverified().await, [time(0, 6), time(14, 20)]);
    store.apply(commit(2, 3, vec![priced(2, "43")], moment(2))).await;
    assert_eq!(store.unverified().await, [time(0, 2), time(3, 6), time(14, 20)]);
}

pub async fn an_answer_that_there_is_nothing_takes_the_mark_off_and_no_row_away(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    store.mark(0, 10).await;
    store.apply(said(0, 3, Cause::SourceEmpty, "", moment(1))).await;
    store.apply(said(7, 8, Cause::Rejected, "negative", moment(2))).await;
    assert_eq!(store.unverified().await, [time(3, 7), time(8, 10)]);
    assert_eq!(store.rows(btc()).await, candles(0..10));
    assert_eq!(store.holes().await, []);
}

pub async fn slots_without_an_answer_keep_their_mark(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    store.mark(0, 10).await;
    store.apply(said(0, 10, Cause::Failed, "timed out", moment(1))).await;
    store.apply(said(0, 10, Cause::Pending, "", moment(2))).await;
    store.apply(commit(4, 4, Vec::new(), moment(3)).with_recount()).await;
    assert_eq!(store.unverified().await, [time(0, 10)]);
    let findings = vec![finding(1, 2, Cause::Pending, ""), finding(3, 4, Cause::Failed, "timed out")];
    let mixed = Commit::new(btc(), slots(0, 5), candles([0, 2, 4]), findings, moment(4)).unwrap();
    store.apply(mixed).await;
    assert_eq!(store.unverified().await, [time(1, 2), time(3, 4), time(5, 10)]);
}

pub async fn candles_that_did_not_come_from_the_source_leave_the_mark(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    store.mark(0, 10).await;
    let brought = commit(0, 12, candles(0..12), moment(1)).without_source();
    assert_eq!(store.apply(brought).await, counts(2, 0, 10));
    let replaced = commit(3, 4, vec![priced(3, "43")], moment(2)).without_source();
    assert_eq!(store.apply(replaced).await, counts(0, 1, 0));
    assert_eq!(store.unverified().await, [time(0, 10)]);
    store.apply(commit(3, 4, vec![priced(3, "43")], moment(3))).await;
    assert_eq!(store.unverified().await, [time(0, 3), time(4, 10)]);
}

pub async fn an_answer_that_only_verifies_is_not_logged_as_a_change(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    store.mark(0, 10).await;
    let (summary, changes) = (store.summary().await, store.changes().await);
    assert_eq!(store.apply(commit(0, 10, candles(0..10), moment(1))).await, counts(0, 0, 10));
    assert_eq!(store.unverified().await, []);
    assert_eq!((store.summary().await, store.changes().await), (summary, changes));
}

pub async fn the_marks_of_each_asset_are_taken_off_by_themselves(store: &StoreUnderTest) {
    for asset in [btc(), eth()] {
        store.apply(commit_of(asset, slots(0, 4), candles(0..4), moment(0))).await;
        store.marks.mark_unverified(asset, time(0, 4)).await;
    }
    store.apply(commit_of(eth(), slots(0, 4), candles(0..4), moment(1))).await;
    assert_eq!(store.unverified().await, [time(0, 4)]);
    assert_eq!(store.coverage.unverified(eth(), TimeRange::ALL, NO_LIMIT).await.unwrap(), []);
}
