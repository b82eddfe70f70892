//! Forward-fill: a row for every slot that was asked about, and no invented price.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Candle, Grid, Interval, TimeRange, Timestamp};
use ohlcv_ports::{MockCandleStore, Take};
use ohlcv_usecases::{QueryCandles, ReadSeries};

use super::series::{Series, ask, now_alone, query, shown};
use crate::world::{at, btc};

#[tokio::test]
async fn gaps_carry_the_last_real_close() {
    let series = Series::new("CCeeCrC").await;
    assert_eq!(series.filled(Some(0), None, 100).await, shown("0 1 2=1 3=1 4 5=4 6", None, None));
}

#[tokio::test]
async fn the_close_that_is_carried_may_lie_before_the_start() {
    let series = Series::new("CCeeeeC").await;
    assert_eq!(series.filled(Some(3), Some(6), 100).await, shown("3=1 4=1 5=1", Some(3), None));
    assert_eq!(series.filled(None, Some(5), 2).await, shown("3=1 4=1", Some(3), None));
}

#[tokio::test]
async fn nothing_is_filled_before_the_first_candle() {
    let series = Series::new("bbeeCeC").await;
    assert_eq!(series.filled(Some(-5), None, 100).await, shown("4 5=4 6", None, None));
    assert_eq!(series.filled(None, None, 100).await, shown("4 5=4 6", None, None));
    assert_eq!(series.filled(Some(-5), None, 2).await, shown("4 5=4", None, Some(6)));
}

#[tokio::test]
async fn a_tail_that_was_not_answered_is_not_filled() {
    for tail in ["p", "f", "pp", "fp", "fffpp"] {
        let series = Series::new(&format!("CCeC{tail}")).await;
        assert_eq!(series.filled(Some(0), None, 100).await, shown("0 1 2=1 3", None, None), "{tail}");
        assert_eq!(series.filled(None, None, 2).await, shown("2=1 3", Some(2), None), "{tail}");
    }
}

#[tokio::test]
async fn a_tail_that_the_exchange_left_empty_is_filled() {
    let series = Series::new("CCerpp").await;
    assert_eq!(series.filled(Some(0), None, 100).await, shown("0 1 2=1 3=1", None, None));
}

#[tokio::test]
async fn a_gap_that_was_not_answered_is_filled_when_later_candles_are_stored() {
    let series = Series::new("CpfCp").await;
    assert_eq!(series.filled(Some(0), None, 100).await, shown("0 1=0 2=0 3", None, None));
}

#[tokio::test]
async fn the_end_of_the_span_ends_the_fill_whatever_end_is_asked_for() {
    let series = Series::new("CCee").await;
    assert_eq!(series.filled(Some(0), Some(400), 100).await, shown("0 1 2=1 3=1", None, None));
}

#[tokio::test]
async fn the_limit_counts_filled_rows() {
    let series = Series::new("CeeeCeC").await;
    assert_eq!(series.filled(Some(0), None, 3).await, shown("0 1=0 2=0", None, Some(3)));
    assert_eq!(series.filled(Some(3), None, 3).await, shown("3=0 4 5=4", Some(3), Some(6)));
    assert_eq!(series.filled(None, None, 3).await, shown("4 5=4 6", Some(4), None));
}

#[tokio::test]
async fn filled_rows_are_not_stored() {
    let series = Series::new("CeeeCeC").await;
    let before = series.candles().await;
    series.filled(None, None, 100).await;
    assert_eq!(series.candles().await, before);
    assert_eq!(series.stored(None, None, 100).await, shown("0 4 6", None, None));
}

#[tokio::test]
async fn a_series_of_holes_alone_has_no_row() {
    for slots in ["eeee", "bbpp", "bbbb", "rf"] {
        assert_eq!(Series::new(slots).await.filled(None, None, 10).await, shown("", None, None), "{slots}");
    }
}

#[tokio::test]
async fn months_and_three_days_are_filled_on_their_own_grids() {
    let months = Series::on(Grid::new(Interval::Mo1), at("2023-12-01"), "CeCee").await;
    assert_eq!(months.at(3), at("2024-03-01"));
    assert_eq!(months.filled(None, None, 4).await, shown("1=0 2 3=2 4=2", Some(1), None));
    assert_eq!(months.filled(Some(1), Some(4), 2).await, shown("1=0 2", Some(1), Some(3)));

    let listed = at("2024-09-01");
    let three_days = Grid::from_first(Interval::D3, listed);
    assert_ne!(three_days, Grid::new(Interval::D3));
    let series = Series::on(three_days, listed, "CeeCe").await;
    assert_eq!(series.filled(Some(0), None, 100).await, shown("0 1=0 2=0 3 4=3", None, None));
    assert_eq!(series.filled(Some(1), None, 2).await, shown("1=0 2=0", Some(1), Some(3)));
}

#[tokio::test]
async fn three_days_keep_their_grid_when_the_series_begins_behind_the_listing() {
    let listed = at("2024-09-01");
    let three_days = Grid::from_first(Interval::D3, listed);
    let series = Series::on(three_days, listed, "eeCeC").await;
    assert_eq!(series.filled(None, None, 100).await, shown("2 3=2 4", None, None));
}

#[tokio::test]
async fn a_filled_page_costs_its_own_slots_and_one_row_before() {
    let series = Series::new("CeeeeeeeCCCC").await;
    let carried = series.candles().await[0];
    let (page, before) = (
        TimeRange::new(series.at(3), series.at(6)).unwrap(),
        TimeRange::new(Timestamp::MIN, series.at(3)).unwrap(),
    );
    let mut store = MockCandleStore::new();
    store
        .expect_page()
        .withf(move |_, range, _, limit| (*range, *limit) == (page, 3))
        .once()
        .returning(|_, _, _, _| Ok(Vec::new()));
    store
        .expect_page()
        .withf(move |_, range, take, limit| (*range, *take, *limit) == (before, Take::Newest, 1))
        .once()
        .returning(move |_, _, _, _| Ok(vec![carried]));
    let ledger = Arc::clone(&series.store);
    let query =
        QueryCandles::new(ReadSeries::new(Arc::new(store), ledger, now_alone(), Interval::H12, vec![btc()]));
    let rows = query.run(ask(btc(), Some(series.at(3)), None, 3, true)).await.unwrap().rows;
    assert!(rows.iter().all(|row| row.filled && row.candle.close() == carried.close()));
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn a_filled_page_that_begins_with_a_candle_costs_its_own_slots_alone() {
    let series = Series::new("CeCee").await;
    let candles = series.candles().await;
    let mut store = MockCandleStore::new();
    store.expect_page().once().returning(move |_, _, _, _| Ok(vec![candles[1]]));
    let ledger = Arc::clone(&series.store);
    let query =
        QueryCandles::new(ReadSeries::new(Arc::new(store), ledger, now_alone(), Interval::H12, vec![btc()]));
    let rows = query.run(ask(btc(), Some(series.at(2)), None, 3, true)).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.filled).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test]
async fn a_row_off_the_grid_pushes_no_candle_out_of_a_filled_page() {
    let series = Series::new("CCCCCC").await;
    let stray = series.candles().await[1].open_time().saturating_add(Duration::from_secs(60));
    series.store.put_row(btc(), Candle::flat(stray, "7".parse().unwrap()));
    let query = query(&series.store, Interval::H12, vec![btc()]);
    let page = query.run(ask(btc(), Some(series.at(0)), None, 6, true)).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.filled).collect::<Vec<_>>(), [false; 6]);
}
