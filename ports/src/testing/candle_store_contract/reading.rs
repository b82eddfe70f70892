//! Cases of reading candles.

use ohlcv_domain::{Candle, Ohlc, Price, TimeRange, Timestamp, TradeDetails, Volume};

use super::*;
use crate::Take;

pub async fn what_was_written_is_read_back_to_the_digit(store: &StoreUnderTest) {
    let tiny: Price = "0.00000001".parse().unwrap();
    let huge: Price = "999999999999.99999999".parse().unwrap();
    let volume: Volume = "1234567890123456789012.12345678".parse().unwrap();
    let prices = Ohlc { open: tiny, high: huge, low: tiny, close: huge };
    let details = TradeDetails {
        quote_volume: Volume::MAX,
        trades: u32::MAX,
        taker_buy_volume: volume,
        taker_buy_quote_volume: "0.00000001".parse().unwrap(),
    };
    let written = vec![
        Candle::new(slot(0), prices, volume).unwrap().with_details(details),
        Candle::new(slot(1), prices, Volume::MAX).unwrap(),
        Candle::flat(slot(2), Price::ZERO),
        candle(3),
    ];
    store.apply(commit(0, 4, written.clone(), moment(0))).await;
    assert_eq!(store.rows(btc()).await, written);
}

pub async fn what_is_not_known_beyond_prices_and_volume_stays_unknown(store: &StoreUnderTest) {
    let nothing_traded = plain(1, "42").with_details(TradeDetails::default());
    store.apply(commit(0, 2, vec![plain(0, "42"), nothing_traded], moment(0))).await;
    let details: Vec<_> = store.rows(btc()).await.iter().map(Candle::details).collect();
    assert_eq!(details, [None, Some(TradeDetails::default())]);
}

pub async fn the_earliest_and_the_latest_times_are_kept(store: &StoreUnderTest) {
    let price = "1".parse().unwrap();
    let last = grid().floor(Timestamp::MAX);
    let before_1970: Timestamp = "1969-12-31T12:00:00Z".parse().unwrap();
    let times = [Timestamp::MIN, before_1970, grid().step(last, -1)];
    for (n, open_time) in (0..).zip(times) {
        let range = TimeRange::new(open_time, grid().next(open_time)).unwrap();
        let written = vec![Candle::flat(open_time, price)];
        let written = commit_of(btc(), grid().slots_in(range), written, moment(n));
        store.apply(written.with_listing(open_time)).await;
        assert_eq!(store.summary().await.listing, Some(open_time));
    }
    let read: Vec<Timestamp> = store.rows(btc()).await.iter().map(Candle::open_time).collect();
    assert_eq!(read, times);
    let summary = store.summary().await;
    assert_eq!((summary.first, summary.last), (Some(times[0]), Some(times[2])));
    assert_eq!(summary.span, TimeRange::new(Timestamp::MIN, last).ok());
}

pub async fn a_range_includes_its_start_and_excludes_its_end(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles(0..10), moment(0))).await;
    let read = store.candles.page(btc(), time(3, 6), Take::Oldest, NO_LIMIT).await.unwrap();
    assert_eq!(read, candles(3..6));
    let step = Duration::from_millis(1);
    let off_grid = TimeRange::new(slot(3).saturating_add(step), slot(6).saturating_add(step)).unwrap();
    let read = store.candles.page(btc(), off_grid, Take::Oldest, NO_LIMIT).await.unwrap();
    assert_eq!(read, candles(4..7));
}

pub async fn the_oldest_or_the_newest_rows_are_taken_and_ascend_either_way(store: &StoreUnderTest) {
    store.apply(commit(0, 10, candles((0..10).filter(|n| *n != 4)), moment(0))).await;
    let read = |take, limit| store.candles.page(btc(), time(2, 9), take, limit);
    assert_eq!(read(Take::Oldest, 3).await.unwrap(), candles([2, 3, 5]));
    assert_eq!(read(Take::Newest, 3).await.unwrap(), candles([6, 7, 8]));
    let all = candles([2, 3, 5, 6, 7, 8]);
    for limit in [6, 7, u64::from(u32::MAX)] {
        assert_eq!(read(Take::Oldest, limit).await.unwrap(), all);
        assert_eq!(read(Take::Newest, limit).await.unwrap(), all);
    }
}

pub async fn an_empty_range_or_a_limit_of_zero_has_no_rows(store: &StoreUnderTest) {
    store.apply(commit(0, 4, candles(0..4), moment(0))).await;
    for take in [Take::Oldest, Take::Newest] {
        for (range, limit) in [(time(2, 2), NO_LIMIT), (time(4, 9), NO_LIMIT), (TimeRange::ALL, 0)] {
            assert_eq!(store.candles.page(btc(), range, take, limit).await.unwrap(), []);
        }
    }
}

pub async fn an_unknown_asset_has_nothing(store: &StoreUnderTest) {
    store.apply(commit(0, 4, candles([0]), moment(0))).await;
    assert_eq!(store.rows(eth()).await, []);
    assert_eq!(store.coverage.summary(eth()).await.unwrap(), None);
    assert_eq!(store.coverage.holes(eth(), HoleQuery::oldest(TimeRange::ALL, NO_LIMIT)).await.unwrap(), []);
    assert_eq!(store.candles.changes(eth(), 0, NO_LIMIT).await.unwrap(), []);
}

pub async fn assets_do_not_see_each_other(store: &StoreUnderTest) {
    // One name begins with the other, and both have the same slots.
    let btcs = "BTCS".parse().unwrap();
    store.apply(commit(0, 3, candles([0, 1, 2]), moment(0))).await;
    store.apply(commit_of(btcs, slots(0, 3), vec![priced(1, "41")], moment(1))).await;
    assert_eq!(store.rows(btc()).await, candles([0, 1, 2]));
    assert_eq!(store.rows(btcs).await, [priced(1, "41")]);
    assert_eq!(store.holes().await, []);
    assert_eq!(
        store.coverage.holes(btcs, HoleQuery::oldest(TimeRange::ALL, NO_LIMIT)).await.unwrap().len(),
        2
    );
    assert_eq!(store.summary().await.candles, 3);
}

pub async fn breaks_count_the_rows_and_tell_where_they_stand_apart(store: &StoreUnderTest) {
    store.apply(commit(0, 20, candles([1, 2, 3, 7, 8, 10, 15]), moment(0))).await;
    let step = Interval::H12.longest();
    let breaks = store.candles.breaks(btc(), time(0, 20), step).await.unwrap();
    assert_eq!((breaks.rows, breaks.first, breaks.last), (7, Some(slot(1)), Some(slot(15))));
    assert_eq!(breaks.steps, [(slot(3), slot(7)), (slot(8), slot(10)), (slot(10), slot(15))]);
    let wider = store.candles.breaks(btc(), time(0, 20), step * 2).await.unwrap();
    assert_eq!(wider.steps, [(slot(3), slot(7)), (slot(10), slot(15))]);
}

pub async fn breaks_of_a_part_see_only_that_part(store: &StoreUnderTest) {
    store.apply(commit(0, 20, candles([1, 2, 3, 7, 8, 10, 15]), moment(0))).await;
    let breaks = store.candles.breaks(btc(), time(3, 10), Interval::H12.longest()).await.unwrap();
    assert_eq!((breaks.rows, breaks.first, breaks.last), (3, Some(slot(3)), Some(slot(8))));
    assert_eq!(breaks.steps, [(slot(3), slot(7))]);
}

pub async fn breaks_of_nothing_are_nothing(store: &StoreUnderTest) {
    store.apply(commit(0, 20, candles([1, 10]), moment(0))).await;
    let step = Interval::H12.longest();
    for (asset, range) in [(btc(), time(2, 10)), (btc(), time(1, 1)), (eth(), TimeRange::ALL)] {
        assert_eq!(store.candles.breaks(asset, range, step).await.unwrap(), ohlcv_domain::Breaks::default());
    }
}

pub async fn a_store_that_works_is_ready(store: &StoreUnderTest) {
    store.candles.ready().await.unwrap();
}
