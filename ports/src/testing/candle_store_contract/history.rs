//! Cases of what candles were earlier.

use ohlcv_domain::{JobId, Revision};

use super::*;

/// The rows as they stood at the `n`th moment.
async fn stood(store: &StoreUnderTest, n: u64) -> Vec<Candle> {
    store.history.page_at(btc(), TimeRange::ALL, Take::Oldest, NO_LIMIT, moment(n)).await.unwrap()
}

async fn revisions(store: &StoreUnderTest) -> Vec<Revision> {
    store.history.revisions(btc(), TimeRange::ALL, 0, NO_LIMIT).await.unwrap()
}

pub async fn a_candle_is_there_from_its_arrival_on(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles([0, 1, 2, 9]), moment(10))).await;
    store.apply(commit(4, 6, candles([4, 5]), moment(20))).await;
    assert_eq!(stood(store, 9).await, []);
    assert_eq!(stood(store, 10).await, candles([0, 1, 2, 9]));
    assert_eq!(stood(store, 19).await, candles([0, 1, 2, 9]), "the late ones had not come");
    assert_eq!(stood(store, 20).await, candles([0, 1, 2, 4, 5, 9]));
    assert_eq!(stood(store, 99).await, store.rows(btc()).await);
    assert_eq!(revisions(store).await, []);
}

pub async fn each_value_of_a_candle_that_was_replaced_stood_in_its_time(store: &StoreUnderTest) {
    let job = Some(JobId::from_u128(7));
    store.apply(commit(0, 3, candles(0..3), moment(10))).await;
    store.apply(commit(1, 2, vec![priced(1, "43")], moment(20)).with_job(job)).await;
    store.apply(commit(0, 2, vec![candle(0), priced(1, "44")], moment(30))).await;
    let closes = |price: &str| vec![candle(0), priced(1, price), candle(2)];
    assert_eq!(stood(store, 9).await, []);
    assert_eq!(stood(store, 19).await, candles(0..3));
    assert_eq!(stood(store, 20).await, closes("43"));
    assert_eq!(stood(store, 29).await, closes("43"));
    assert_eq!(stood(store, 30).await, closes("44"));
    let first = Revision { number: 1, candle: candle(1), since: Some(moment(10)), until: moment(20), job };
    let second = Revision {
        number: 2,
        candle: priced(1, "43"),
        since: Some(moment(20)),
        until: moment(30),
        job: None,
    };
    assert_eq!(revisions(store).await, [first, second]);
}

pub async fn what_is_only_added_to_a_candle_revises_nothing(store: &StoreUnderTest) {
    store.apply(commit(0, 1, vec![plain(0, "42.5")], moment(10))).await;
    store.apply(commit(0, 1, vec![candle(0)], moment(20))).await;
    store.apply(commit(0, 1, vec![candle(0)], moment(30))).await;
    assert_eq!(revisions(store).await, []);
}

pub async fn earlier_rows_are_taken_from_either_end_like_those_of_now(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(10))).await;
    store.apply(commit(0, 10, (0..10).map(|n| priced(n, "43")).collect(), moment(20))).await;
    store.apply(commit(10, 12, candles(10..12), moment(30))).await;
    for (at, close) in [(15, "42.5"), (25, "43")] {
        let page = |range, take, limit| store.history.page_at(btc(), range, take, limit, moment(at));
        let wanted = |numbers: std::ops::Range<i64>| numbers.map(|n| priced(n, close)).collect::<Vec<_>>();
        assert_eq!(page(time(2, 8), Take::Oldest, 3).await.unwrap(), wanted(2..5));
        assert_eq!(page(time(2, 8), Take::Newest, 3).await.unwrap(), wanted(5..8));
        assert_eq!(page(TimeRange::ALL, Take::Newest, 2).await.unwrap(), wanted(8..10));
        assert_eq!(page(time(2, 8), Take::Oldest, 0).await.unwrap(), []);
    }
    assert_eq!(store.history.page_at(eth(), TimeRange::ALL, Take::Oldest, 9, moment(99)).await.unwrap(), []);
}

pub async fn revisions_are_read_after_a_number_within_a_range_up_to_a_limit(store: &StoreUnderTest) {
    store.apply(commit(0, 6, candles(0..6), moment(10))).await;
    for (at, n) in [(20, 4), (30, 1), (40, 4), (50, 5)] {
        store.apply(commit(n, n + 1, vec![priced(n, &format!("4{}", at / 10))], moment(at))).await;
    }
    store.apply(commit_of(eth(), slots(0, 1), vec![candle(0)], moment(60))).await;
    store.apply(commit_of(eth(), slots(0, 1), vec![priced(0, "41")], moment(70))).await;
    let numbers = |asset, range, after, limit| async move {
        let read = store.history.revisions(asset, range, after, limit).await.unwrap();
        read.iter().map(|revision| revision.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(btc(), TimeRange::ALL, 0, NO_LIMIT).await, [1, 2, 3, 4]);
    assert_eq!(numbers(btc(), TimeRange::ALL, 1, 2).await, [2, 3]);
    assert_eq!(numbers(btc(), time(4, 5), 0, NO_LIMIT).await, [1, 3]);
    assert_eq!(numbers(eth(), TimeRange::ALL, 0, NO_LIMIT).await, [1]);
}
