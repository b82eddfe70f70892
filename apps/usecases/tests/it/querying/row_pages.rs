//! Every row of a range by the page, while somebody writes.

use ohlcv_domain::{Grid, Interval};
use ohlcv_ports::CandleStore;
use ohlcv_usecases::{QueryError, RowPages};

use super::series::{Series, ask, commit, query};
use crate::world::{asset, at, btc};

fn pages(series: &Series, limit: u32, fill: bool) -> RowPages {
    let query = query(&series.store, Interval::H12, vec![btc()]);
    RowPages::of(query, ask(btc(), None, None, limit, fill))
}

/// The slots of the next page; a filled one is marked.
async fn next(series: &Series, pages: &mut RowPages) -> Option<Vec<String>> {
    let rows = pages.next().await.unwrap()?;
    let shown = rows.iter().map(|row| {
        let slot = series.slot(row.candle.open_time());
        if row.filled { format!("{slot}=") } else { slot.to_string() }
    });
    Some(shown.collect())
}

/// Writes what these letters say of the slots from `first` on.
async fn write(series: &Series, first: i64, slots: &str) {
    let grid = Grid::new(Interval::H12);
    let listing = commit(btc(), grid, series.at(first), slots);
    series.store.apply(listing).await.unwrap();
}

#[tokio::test]
async fn all_rows_come_from_the_earliest_on_and_then_none() {
    let series = Series::new("CCeCCCpp").await;
    for (fill, expected) in [
        (false, vec![vec!["0", "1"], vec!["3", "4"], vec!["5"]]),
        (true, vec![vec!["0", "1"], vec!["2=", "3"], vec!["4", "5"]]),
    ] {
        let mut pages = pages(&series, 2, fill);
        assert_eq!(pages.asset(), btc());
        for page in expected {
            assert_eq!(next(&series, &mut pages).await.unwrap(), page);
        }
        assert_eq!(next(&series, &mut pages).await, None);
        assert_eq!(next(&series, &mut pages).await, None);
    }
}

#[tokio::test]
async fn what_is_written_between_two_pages_doubles_no_row_and_loses_none() {
    for (fill, first, others) in [
        // The first page reached to the fourth slot: what comes before it now was not there then.
        (false, vec!["0", "2"], vec![vec!["4", "5"]]),
        (true, vec!["0", "1="], vec![vec!["2", "3"], vec!["4", "5"]]),
    ] {
        let series = Series::new("CeCeC").await;
        let mut pages = pages(&series, 2, fill);
        assert_eq!(next(&series, &mut pages).await.unwrap(), first);
        // A hole closes before the next page and one in it, and a candle comes at the end.
        write(&series, 1, "CCCCC").await;
        for page in others {
            assert_eq!(next(&series, &mut pages).await.unwrap(), page, "fill {fill}");
        }
        assert_eq!(next(&series, &mut pages).await, None, "fill {fill}");
    }
}

#[tokio::test]
async fn a_range_without_rows_is_an_empty_page_and_an_unknown_asset_is_an_error() {
    let series = Series::new("CC").await;
    let candles = query(&series.store, Interval::H12, vec![btc()]);
    let later = ask(btc(), Some(at("2030-01-01")), None, 2, false);
    let mut pages = RowPages::of(candles.clone(), later);
    assert_eq!(pages.next().await.unwrap(), Some(Vec::new()));
    assert_eq!(pages.next().await.unwrap(), None);
    let mut unknown = RowPages::of(candles, ask(asset("DOGE"), None, None, 2, false));
    for _ in 0..2 {
        assert!(matches!(unknown.next().await, Err(QueryError::UnknownAsset { .. })));
    }
}
