//! Cases of the summaries.

use ohlcv_domain::BackfillState;

use super::*;

pub async fn the_answered_part_ends_before_a_tail_that_was_not_answered(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..9), moment(0))).await;
    assert_eq!(store.summary().await.answered_until, Some(slot(10)), "an empty slot is an answer");
    store.apply(said(10, 15, Cause::Pending, "", moment(1))).await;
    assert_eq!(store.summary().await.answered_until, Some(slot(10)));
    store.apply(said(10, 12, Cause::Failed, "timed out", moment(2))).await;
    assert_eq!(store.summary().await.answered_until, Some(slot(10)), "failed, then pending");
    store.apply(commit(12, 15, candles(12..15), moment(3))).await;
    assert_eq!(store.summary().await.answered_until, Some(slot(15)), "only a tail counts");
    store.apply(said(15, 16, Cause::Rejected, "negative", moment(4))).await;
    assert_eq!(store.summary().await.answered_until, Some(slot(16)));
    store.apply(said(30, 31, Cause::Failed, "timed out", moment(5))).await;
    assert_eq!(store.summary().await.answered_until, Some(slot(16)), "what lies between is pending");
}

pub async fn a_summary_counts_the_rows_and_knows_the_first_and_the_last(store: &StoreUnderTest) {
    store.apply(said(8, 20, Cause::Pending, "", moment(0))).await;
    let summary = store.summary().await;
    assert_eq!((summary.candles, summary.first, summary.last), (0, None, None));
    for (n, (from, to), known) in [
        (1, (10, 12), (2, 10, 11)),
        (2, (14, 17), (5, 10, 16)),
        (3, (9, 15), (8, 9, 16)),
        (4, (2, 3), (9, 2, 16)),
    ] {
        store.apply(commit(from, to, candles(from..to), moment(n))).await;
        let summary = store.summary().await;
        let (candles, first, last) = known;
        assert_eq!(
            (summary.candles, summary.first, summary.last),
            (candles, Some(slot(first)), Some(slot(last)))
        );
    }
}

pub async fn the_listing_is_kept_until_another_one_is_given(store: &StoreUnderTest) {
    store.apply(commit(0, 2, candles(0..2), moment(0))).await;
    assert_eq!(store.summary().await.listing, None);
    store.apply(commit(2, 4, candles(2..4), moment(1)).with_listing(slot(-7))).await;
    assert_eq!(store.summary().await.listing, Some(slot(-7)));
    store.apply(commit(4, 6, candles(4..6), moment(2))).await;
    assert_eq!(store.summary().await.listing, Some(slot(-7)));
    store.apply(commit(4, 6, candles(4..6), moment(3)).with_listing(slot(-9))).await;
    assert_eq!(store.summary().await.listing, Some(slot(-9)));
}

pub async fn a_commit_about_no_slot_leaves_the_span_alone(store: &StoreUnderTest) {
    let about_nothing = |n| commit(n, n, Vec::new(), moment(0)).with_listing(slot(3));
    store.apply(about_nothing(50)).await;
    let summary = store.summary().await;
    assert_eq!((summary.listing, summary.span, summary.answered_until), (Some(slot(3)), None, None));
    assert_eq!((summary.candles, summary.first, summary.last), (0, None, None));
    store.apply(commit(3, 5, candles(3..5), moment(1))).await;
    store.apply(about_nothing(50)).await;
    let summary = store.summary().await;
    assert_eq!((summary.span, summary.answered_until), (Some(time(3, 5)), Some(slot(5))));
    assert_eq!(store.holes().await, []);
    assert_eq!(store.changes().await.len(), 1);
}

pub async fn counting_a_sound_series_anew_changes_nothing(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles([1, 2, 5, 8]), moment(0)).with_listing(slot(1))).await;
    let (summary, changes) = (store.summary().await, store.changes().await);
    store.apply(commit(4, 4, Vec::new(), moment(1)).with_recount()).await;
    assert_eq!(store.summary().await, summary);
    assert_eq!(store.changes().await, changes);
    // Together with candles, those are counted as well.
    store.apply(commit(9, 12, candles(9..12), moment(2)).with_recount()).await;
    let summary = store.summary().await;
    assert_eq!((summary.candles, summary.first, summary.last), (7, Some(slot(1)), Some(slot(11))));
}

pub async fn summaries_are_sorted_by_name(store: &StoreUnderTest) {
    assert_eq!(store.coverage.summaries().await.unwrap(), []);
    for name in ["ETH", "BTC", "1INCH", "BTCS", "B"] {
        store.apply(commit_of(name.parse().unwrap(), slots(0, 2), candles([0]), moment(0))).await;
    }
    let summaries = store.coverage.summaries().await.unwrap();
    let names: Vec<&str> = summaries.iter().map(|summary| summary.asset.as_str()).collect();
    assert_eq!(names, ["1INCH", "B", "BTC", "BTCS", "ETH"]);
    for summary in summaries {
        assert_eq!(store.coverage.summary(summary.asset).await.unwrap(), Some(summary));
    }
}

pub async fn heads_say_where_series_stand_and_move_with_every_change(store: &StoreUnderTest) {
    let eth: Asset = "ETH".parse().unwrap();
    let heads = async || {
        let mut heads = store.coverage.heads(&[btc(), eth, "SOL".parse().unwrap()]).await.unwrap();
        heads.sort_by_key(|head| head.asset);
        heads
    };
    assert_eq!(heads().await, []);
    assert_eq!(store.coverage.heads(&[]).await.unwrap(), []);
    store.apply(commit(0, 4, candles([1, 2]), moment(0)).with_listing(slot(1))).await;
    store.apply(commit_of(eth, slots(3, 5), candles([3, 4]), moment(0))).await;
    let before = heads().await;
    for head in &before {
        let summary = store.coverage.summary(head.asset).await.unwrap().unwrap();
        let changes = store.candles.changes(head.asset, 0, NO_LIMIT).await.unwrap();
        assert_eq!(*head, Head::of(&summary, changes.last()));
        assert_eq!(head.seq, 1);
    }
    assert_eq!(before.iter().map(|head| head.asset).collect::<Vec<_>>(), [btc(), eth]);
    store.apply(commit(4, 6, candles([4]), moment(1))).await;
    let after = heads().await;
    assert_eq!((after[0].seq, after[0].last, after[0].answered_until), (2, Some(slot(4)), Some(slot(6))));
    assert_eq!(after[0].changed, store.changes().await.last().copied());
    assert_eq!(after[1], before[1], "another series stays where it was");
}

pub async fn the_backfill_is_noted_before_and_after_the_first_commit(store: &StoreUnderTest) {
    let failed = BackfillState { completed: false, reason: "the exchange has no market BTCUSDT".to_owned() };
    store.coverage.record_backfill(btc(), failed.clone(), None).await.unwrap();
    let summary = store.summary().await;
    assert_eq!((summary.backfill, summary.span, summary.candles), (failed.clone(), None, 0));
    store.apply(commit(0, 4, candles(0..4), moment(0))).await;
    let summary = store.summary().await;
    assert_eq!((summary.backfill, summary.candles), (failed, 4), "a commit leaves it alone");
    let done = BackfillState { completed: true, reason: String::new() };
    store.coverage.record_backfill(btc(), done.clone(), None).await.unwrap();
    let summary = store.summary().await;
    assert_eq!((summary.backfill, summary.candles, summary.span), (done, 4, Some(time(0, 4))));
}
