//! Cases of writing candles.

use super::*;

pub async fn writing_the_same_again_changes_nothing(store: &StoreUnderTest) {
    let page = || commit(0, 10, candles((0..10).filter(|n| *n != 4)), moment(0));
    assert_eq!(store.apply(page()).await, counts(9, 0, 0));
    let (rows, holes, summary) = (store.rows(btc()).await, store.holes().await, store.summary().await);
    assert_eq!(store.apply(page()).await, counts(0, 0, 9));
    assert_eq!(store.rows(btc()).await, rows);
    assert_eq!(seen(&store.holes().await), seen(&holes));
    assert_eq!(store.summary().await, summary);
}

pub async fn a_candle_with_other_numbers_replaces_the_stored_one(store: &StoreUnderTest) {
    store.apply(commit(0, 4, candles(0..4), moment(0))).await;
    let more_trades = TradeDetails { trades: 8, ..candle(2).details().unwrap() };
    let revised = vec![priced(1, "43"), candle(2).with_details(more_trades), candle(3)];
    assert_eq!(store.apply(commit(1, 4, revised.clone(), moment(1))).await, counts(0, 2, 1));
    let rows = store.rows(btc()).await;
    assert_eq!((rows[0], &rows[1..]), (candle(0), &revised[..]));
    assert_eq!(store.summary().await.candles, 4);
}

pub async fn details_that_become_known_are_added_and_never_wiped_by_unknown_ones(store: &StoreUnderTest) {
    let unknown = || vec![plain(0, "42.5"), plain(1, "42.5")];
    store.apply(commit(0, 2, unknown(), moment(0))).await;
    assert_eq!(store.apply(commit(0, 2, candles(0..2), moment(1))).await, counts(0, 2, 0));
    assert_eq!(store.apply(commit(0, 2, unknown(), moment(2))).await, counts(0, 0, 2));
    assert_eq!(store.rows(btc()).await, candles(0..2));
    // Details of other prices say nothing about these.
    let repriced = vec![plain(0, "43"), candle(1)];
    assert_eq!(store.apply(commit(0, 2, repriced.clone(), moment(3))).await, counts(0, 1, 1));
    assert_eq!(store.rows(btc()).await, repriced);
}

pub async fn what_is_not_in_a_commit_is_not_deleted(store: &StoreUnderTest) {
    store.apply(commit(0, 4, candles(0..4), moment(0))).await;
    store.apply(commit(0, 4, candles([2]), moment(1))).await;
    assert_eq!(store.rows(btc()).await, candles(0..4));
    assert_eq!(store.holes().await, []);
}

pub async fn a_page_of_a_thousand_candles_is_stored_in_one_write(store: &StoreUnderTest) {
    assert_eq!(store.apply(commit(0, 1_000, candles(0..1_000), moment(0))).await, counts(1_000, 0, 0));
    assert_eq!(store.rows(btc()).await, candles(0..1_000));
    assert_eq!(store.changes().await, [time(0, 1_000)]);
    assert_eq!(store.apply(commit(0, 1_000, candles(0..1_000), moment(1))).await, counts(0, 0, 1_000));
}

pub async fn tasks_that_write_the_same_page_at_once_store_it_once(store: &StoreUnderTest) {
    let page = || commit(0, 100, candles((0..100).filter(|n| n % 10 != 3)), moment(0));
    let written =
        tokio::join!(store.apply(page()), store.apply(page()), store.apply(page()), store.apply(page()));
    let written = [written.0, written.1, written.2, written.3];
    assert_eq!(written.iter().map(|applied| applied.new).sum::<u64>(), 90);
    assert_eq!(written.iter().map(|applied| applied.unchanged).sum::<u64>(), 270);
    assert_eq!(store.summary().await.candles, 90);
    assert_eq!(store.rows(btc()).await.len(), 90);
    let holes = store.holes().await;
    assert_eq!((holes.len(), holes[0].asked), (10, 4));
    assert_eq!(store.changes().await.len(), 1);
}

pub async fn tasks_that_write_different_pages_at_once_lose_nothing(store: &StoreUnderTest) {
    let page = |n: i64| commit(n * 50, n * 50 + 50, candles(n * 50..n * 50 + 50), moment(0));
    // Not in the order of time, so that slots between are pending for a while.
    tokio::join!(store.apply(page(2)), store.apply(page(0)), store.apply(page(3)), store.apply(page(1)));
    assert_eq!(store.rows(btc()).await, candles(0..200));
    assert_eq!(store.holes().await, []);
    let summary = store.summary().await;
    assert_eq!((summary.candles, summary.span), (200, Some(time(0, 200))));
    assert_eq!((summary.first, summary.last), (Some(slot(0)), Some(slot(199))));
    assert_eq!(summary.answered_until, Some(slot(200)));
    assert_eq!(store.changes().await.len(), 4);
}
