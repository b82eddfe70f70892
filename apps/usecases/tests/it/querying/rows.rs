//! The range contract: half-open, compared with open times, ascending.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Grid, Interval, TimeRange, Timestamp};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, MockCandleStore, MockCoverage, StoreError, Take};
use ohlcv_usecases::{CandlePage, QueryCandles, QueryError, ReadSeries};

use super::series::{Series, ask, commit, now_alone, query, shown};
use crate::world::{asset, at, btc};

#[tokio::test]
async fn with_a_start_the_oldest_rows_from_there_are_meant() {
    let series = Series::new("CCCCCCCC").await;
    assert_eq!(series.stored(Some(2), None, 3).await, shown("2 3 4", Some(2), Some(5)));
}

#[tokio::test]
async fn without_a_start_the_newest_rows_before_the_end_are_meant() {
    let series = Series::new("CCCCCCCC").await;
    assert_eq!(series.stored(None, None, 3).await, shown("5 6 7", Some(5), None));
    assert_eq!(series.stored(None, Some(6), 3).await, shown("3 4 5", Some(3), None));
}

#[tokio::test]
async fn the_start_belongs_to_the_range_and_the_end_does_not() {
    let series = Series::new("CCCCCCCC").await;
    assert_eq!(series.stored(Some(2), Some(5), 100).await, shown("2 3 4", Some(2), None));
    assert_eq!(series.stored(Some(2), Some(3), 100).await, shown("2", Some(2), None));
}

#[tokio::test]
async fn bounds_off_the_grid_are_compared_with_open_times() {
    let series = Series::new("CCCCCCCC").await;
    let later = |slot| Some(series.at(slot).saturating_add(Duration::from_millis(1)));
    for fill in [false, true] {
        let shown_rows = series.show_query(ask(btc(), later(2), later(5), 100, fill)).await;
        assert_eq!(shown_rows, shown("3 4 5", Some(3), None), "fill {fill}");
    }
}

#[tokio::test]
async fn a_page_that_holds_the_range_to_its_end_has_no_next() {
    let series = Series::new("CCCCCCCC").await;
    assert_eq!(series.stored(Some(2), Some(5), 3).await.next, None);
    assert_eq!(series.stored(Some(2), Some(6), 3).await.next, Some(5));
    assert_eq!(series.stored(Some(0), None, 8).await, shown("0 1 2 3 4 5 6 7", None, None));
}

#[tokio::test]
async fn next_is_the_row_behind_the_page_also_across_a_gap() {
    let series = Series::new("CCeeCCCC").await;
    assert_eq!(series.stored(Some(0), None, 2).await, shown("0 1", None, Some(4)));
    assert_eq!(series.stored(Some(4), None, 2).await, shown("4 5", Some(4), Some(6)));
}

#[tokio::test]
async fn prev_ends_a_query_for_the_rows_just_before_also_beyond_the_range() {
    let series = Series::new("CCeeCCCC").await;
    let page = series.stored(Some(3), Some(6), 100).await;
    assert_eq!(page, shown("4 5", Some(4), None));
    assert_eq!(series.stored(None, page.prev, 1).await, shown("1", Some(1), None));
    assert_eq!(series.stored(None, Some(1), 1).await, shown("0", None, None));
}

#[tokio::test]
async fn a_range_without_data_is_empty_and_leads_nowhere() {
    let series = Series::new("bCCeeCCp").await;
    for (start, end) in [(Some(3), Some(5)), (Some(-9), Some(0)), (Some(8), None), (None, Some(-3))] {
        assert_eq!(series.stored(start, end, 10).await, shown("", None, None), "{start:?} {end:?}");
    }
    for (start, end) in [(Some(-9), Some(1)), (Some(7), None), (Some(20), Some(30)), (None, Some(1))] {
        assert_eq!(series.filled(start, end, 10).await, shown("", None, None), "{start:?} {end:?}");
    }
}

#[tokio::test]
async fn a_tracked_asset_without_data_is_empty() {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, Interval::H12, vec![btc()]);
    for fill in [false, true] {
        let page = query.run(ask(btc(), None, None, 10, fill)).await.unwrap();
        assert_eq!(page, CandlePage::default());
    }
    // All that is known is that there is nothing yet.
    store.apply(commit(btc(), Grid::new(Interval::H12), at("2024-11-01"), "bbpp")).await.unwrap();
    for fill in [false, true] {
        let page = query.run(ask(btc(), None, None, 10, fill)).await.unwrap();
        assert_eq!(page, CandlePage::default());
    }
}

#[tokio::test]
async fn an_asset_that_is_neither_tracked_nor_stored_is_unknown() {
    let series = Series::new("CC").await;
    let eth = asset("ETH");
    for _ in 0..2 {
        let answer = series.run(ask(eth, None, None, 10, false)).await;
        assert!(matches!(answer, Err(QueryError::UnknownAsset { asset }) if asset == eth));
        // Holes are no data.
        let holes = commit(eth, Grid::new(Interval::H12), at("2024-11-01"), "bbpp");
        series.store.apply(holes).await.unwrap();
    }
}

#[tokio::test]
async fn an_asset_that_is_tracked_no_more_is_answered_from_what_is_stored() {
    let series = Series::new("CC").await;
    let query = query(&series.store, Interval::H12, vec![asset("ETH")]);
    let page = query.run(ask(btc(), None, None, 10, false)).await.unwrap();
    assert_eq!(page.rows.len(), 2);
}

#[tokio::test]
async fn a_range_that_ends_where_it_begins_or_before_is_refused() {
    let series = Series::new("CCCC").await;
    for (start, end) in [(2, 2), (3, 1)] {
        let (start, end) = (series.at(start), series.at(end));
        for asset in [btc(), asset("NOPE")] {
            let answer = series.run(ask(asset, Some(start), Some(end), 10, false)).await;
            let Err(QueryError::EmptyRange { start: said_start, end: said_end }) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!((said_start, said_end), (start, end));
        }
    }
    let answer = series.run(ask(btc(), None, Some(Timestamp::MIN), 10, false)).await;
    assert!(matches!(answer, Err(QueryError::EmptyRange { .. })));
}

#[tokio::test]
async fn a_page_costs_one_row_more_than_it_holds() {
    let series = Series::new("CCCCCCCC").await;
    let candles = series.candles().await;
    let whole = TimeRange::new(series.at(1), Timestamp::MAX).unwrap();
    let mut store = MockCandleStore::new();
    store
        .expect_page()
        .withf(move |asset, range, take, limit| {
            (*asset, *range, *take, *limit) == (btc(), whole, Take::Oldest, 4)
        })
        .once()
        .returning(move |_, _, _, _| Ok(candles[1..5].to_vec()));
    let ledger = Arc::clone(&series.store);
    let query =
        QueryCandles::new(ReadSeries::new(Arc::new(store), ledger, now_alone(), Interval::H12, vec![btc()]));
    let page = query.run(ask(btc(), Some(series.at(1)), None, 3, false)).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (3, Some(series.at(4))));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_apart_from_no_data() {
    let mut ledger = MockCoverage::new();
    ledger
        .expect_heads()
        .returning(|_| Err(StoreError::Unavailable { reason: "no connection".to_owned(), source: None }));
    let store: Arc<dyn CandleStore> = Arc::new(MockCandleStore::new());
    let query =
        QueryCandles::new(ReadSeries::new(store, Arc::new(ledger), now_alone(), Interval::H12, vec![btc()]));
    let answer = query.run(ask(btc(), None, None, 10, false)).await;
    assert!(matches!(answer, Err(QueryError::Store(StoreError::Unavailable { .. }))));
}
