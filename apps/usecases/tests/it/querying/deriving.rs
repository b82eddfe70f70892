//! Rows of coarser intervals: when there is one, what it is made of, how many a page has.

use std::num::NonZeroU32;
use std::sync::Arc;

use futures::FutureExt;
use ohlcv_domain::{
    Candle, Cause, Commit, Finding, Grid, Interval, Resampling, Row, SlotRange, Timestamp, Volume, gaps,
    resample,
};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, MockCandleStore, Take};
use ohlcv_usecases::{
    BASE_SLOTS_PER_PAGE_MAX, CandlePage, CandleQuery, QueryCandles, QueryError, ReadSeries,
};
use proptest::prelude::*;

use super::series::{Series, ask, now_alone, query};
use crate::world::{at, btc, candle};

const ALL: u32 = 10_000;

fn derived(interval: Interval, query: CandleQuery) -> CandleQuery {
    CandleQuery { interval: Some(interval), ..query }
}

fn everything(interval: Interval, fill: bool) -> CandleQuery {
    derived(interval, ask(btc(), Some(at("2000-01-01")), None, ALL, fill))
}

/// `01` for a complete row of the first of the month, `01-` for one that is not, `01=` for a filled one.
fn shown(rows: &[Row]) -> String {
    let show = |row: &Row| {
        let day = row.candle.open_time().to_string()[8..10].to_owned();
        match (row.filled, row.complete) {
            (false, Some(true)) => day,
            (false, Some(false)) => day + "-",
            (true, Some(false)) => day + "=",
            other => panic!("{other:?}"),
        }
    };
    rows.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// The days of half-days that begin on 1 November, as they are and filled.
async fn days(slots: &str) -> [String; 2] {
    let series = Series::new(slots).await;
    let rows = async |fill| shown(&series.run(everything(Interval::D1, fill)).await.unwrap().rows);
    [rows(false).await, rows(true).await]
}

#[tokio::test]
async fn a_row_is_there_once_the_exchange_has_answered_about_all_of_its_period() {
    for (slots, plain, filled) in [
        ("C", "", ""),
        ("CC", "01", "01"),
        ("CCC", "01", "01"),
        // The second half of the second day: outstanding, failed, known to be empty, known to be bad.
        ("CCCp", "01", "01"),
        ("CCCf", "01", "01"),
        ("CCCe", "01 02-", "01 02-"),
        ("CCCr", "01 02-", "01 02-"),
        ("CCeC", "01 02-", "01 02-"),
        // A newer candle answers for all before it.
        ("CCCpC", "01 02-", "01 02-"),
        ("CCppC", "01", "01 02="),
        ("CCpppp", "01", "01"),
        ("CCeepp", "01", "01 02="),
        ("CCeeee", "01", "01 02= 03="),
        ("CCeeCC", "01 03", "01 02= 03"),
        ("eeCC", "02", "02"),
        ("eCCC", "01- 02", "01- 02"),
        // What lies before the listing is missed by nobody.
        ("bCCC", "01 02", "01 02"),
        ("bbbCCC", "02 03", "02 03"),
        ("eeee", "", ""),
        ("bbpp", "", ""),
    ] {
        assert_eq!(days(slots).await, [plain, filled], "{slots}");
    }
}

#[tokio::test]
async fn a_filled_row_carries_the_close_of_the_derived_one_before_it() {
    let series = Series::new("CCeeeeCCee").await;
    let days = Grid::new(Interval::D1);
    let close = candle(series.at(1)).close();
    let query =
        |start: i64| derived(Interval::D1, ask(btc(), Some(days.step(series.at(0), start)), None, ALL, true));
    for start in 1..3 {
        let page = series.run(query(start)).await.unwrap();
        let carried = page.rows.iter().take_while(|row| row.filled);
        let expected = (start..3).map(|day| Candle::flat(days.step(series.at(0), day), close));
        assert_eq!(carried.map(|row| row.candle).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn bounds_are_compared_with_when_the_derived_candle_opens() {
    let series = Series::new(&"C".repeat(60)).await;
    let open_times = async |start: &str, end: &str| {
        let asked = derived(Interval::W1, ask(btc(), Some(at(start)), Some(at(end)), ALL, false));
        let rows = series.run(asked).await.unwrap().rows;
        rows.iter()
            .map(|row| row.candle.open_time().to_string()[5..10].to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    // Friday 1 November lies in the week of Monday, 28 October; the 18th is a Monday.
    assert_eq!(open_times("2024-10-01", "2024-11-20").await, "10-28 11-04 11-11 11-18");
    assert_eq!(open_times("2024-11-01", "2024-11-18").await, "11-04 11-11");
    assert_eq!(open_times("2024-11-04", "2024-11-18T00:00:00.001Z").await, "11-04 11-11 11-18");
    let months = series.run(everything(Interval::Mo1, false)).await.unwrap().rows;
    assert_eq!(months.len(), 1, "30 days of November");
    assert_eq!(months[0].complete, Some(true));
}

#[tokio::test]
async fn the_stored_interval_is_answered_as_if_it_had_not_been_named() {
    let series = Series::new("CCeCp").await;
    for fill in [false, true] {
        let plain = ask(btc(), None, None, ALL, fill);
        let page = series.run(plain).await.unwrap();
        assert!(page.rows.iter().all(|row| row.complete.is_none()));
        assert_eq!(series.run(derived(Interval::H12, plain)).await.unwrap(), page);
    }
}

#[tokio::test]
async fn an_interval_that_the_stored_one_does_not_divide_is_refused() {
    let series = Series::new("CC").await;
    for wanted in [Interval::S1, Interval::H8, Interval::H6] {
        let error = series.run(everything(wanted, false)).await.unwrap_err();
        let told = "12h candles do not make ".to_owned() + wanted.as_str();
        assert!(matches!(error, QueryError::Indivisible(_)), "{error:?}");
        assert!(error.to_string().starts_with(&told), "{error}");
    }
}

#[tokio::test]
async fn more_candles_than_are_read_at_a_time_make_the_same_rows() {
    // Two weeks and a bit of minutes, with holes of minutes and of days.
    let mut letters: Vec<char> = (0..25_000).map(|n| if n % 17 == 5 { 'e' } else { 'C' }).collect();
    letters[9_000..13_000].fill('e');
    let series =
        Series::on(Grid::new(Interval::M1), at("2024-11-01"), &letters.iter().collect::<String>()).await;
    let candles = series.candles().await;
    for interval in [Interval::H1, Interval::D1, Interval::W1] {
        let resampling = Resampling::new(Interval::M1, interval).unwrap();
        let until = series.at(25_000);
        let closed = resampling.grid().slots_in(resampling.closed(series.at(0), until).time()).time();
        let listing = Some(series.at(0));
        let made = resample(resampling, listing, &candles).map(|made| Row::from(made.unwrap()));
        let expected: Vec<Row> = made.filter(|row| closed.contains(row.candle.open_time())).collect();
        assert!(!expected.is_empty());
        let oldest = series.run(everything(interval, false)).await.unwrap();
        assert_eq!(oldest.rows, expected, "{interval}");
        let newest = series.run(derived(interval, ask(btc(), None, None, ALL, false))).await.unwrap();
        assert_eq!(newest.rows, expected, "{interval}");
    }
}

#[tokio::test]
async fn a_page_has_no_more_rows_than_a_bounded_number_of_candles_makes() {
    let limit = |base, interval| {
        let asked = everything(interval, false);
        asked.bounded(Resampling::new(base, interval).unwrap()).limit.get()
    };
    assert_eq!(limit(Interval::H12, Interval::D1), ALL, "two candles a row");
    assert_eq!(u64::from(limit(Interval::M1, Interval::D1)), BASE_SLOTS_PER_PAGE_MAX / 1_440);
    assert_eq!(u64::from(limit(Interval::M1, Interval::Mo1)), BASE_SLOTS_PER_PAGE_MAX / 44_640);
    assert_eq!(limit(Interval::S1, Interval::Mo1), 1, "one row at least");

    // A candle a day, of seconds: far fewer rows fit than are asked for.
    let grid = Grid::new(Interval::S1);
    let (days, origin) = (40, at("2024-11-01"));
    let asked = SlotRange::new(grid, origin, grid.step(origin, days * 86_400)).unwrap();
    let candles: Vec<Candle> = (0..days).map(|day| candle(grid.step(origin, day * 86_400 + 77))).collect();
    let holes = gaps(asked, candles.iter().map(Candle::open_time));
    let findings = holes
        .map(|hole| Finding { range: hole.time(), cause: Cause::SourceEmpty, detail: String::new() })
        .collect();
    let store = Arc::new(MemoryStore::new());
    store.apply(Commit::new(btc(), asked, candles, findings, asked.end()).unwrap()).await.unwrap();
    let series = query(&store, Interval::S1, vec![btc()]);
    for fill in [false, true] {
        let mut rows = Vec::new();
        let mut from = Some(origin);
        while let Some(start) = from {
            let page =
                series.run(derived(Interval::D1, ask(btc(), Some(start), None, ALL, fill))).await.unwrap();
            assert!(page.rows.len() as u64 <= BASE_SLOTS_PER_PAGE_MAX / 86_400);
            rows.extend(page.rows);
            from = page.next;
        }
        assert_eq!(rows.len(), 40);
    }
}

#[tokio::test]
async fn amounts_that_do_not_fit_are_an_error_of_their_row_alone() {
    let store = Arc::new(MemoryStore::new());
    let grid = Grid::new(Interval::H12);
    let origin = at("2024-11-01");
    let asked = SlotRange::new(grid, origin, grid.step(origin, 4)).unwrap();
    let most = |open_time: Timestamp| {
        let prices = candle(open_time).prices();
        let volume = if open_time < grid.step(origin, 2) { "1".parse().unwrap() } else { Volume::MAX };
        Candle::new(open_time, prices, volume).unwrap()
    };
    let candles = asked.iter().map(most).collect();
    store.apply(Commit::new(btc(), asked, candles, Vec::new(), asked.end()).unwrap()).await.unwrap();
    let series = query(&store, Interval::H12, vec![btc()]);
    let error = series.run(everything(Interval::D1, false)).await.unwrap_err();
    assert!(matches!(error, QueryError::Sum(sum) if sum.open_time == at("2024-11-02")), "{error:?}");
    let before = derived(Interval::D1, ask(btc(), None, Some(at("2024-11-02")), ALL, true));
    assert_eq!(series.run(before).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn rows_off_the_grid_have_no_part_in_any_candle() {
    let origin = at("2024-11-01");
    let grid = Grid::new(Interval::H12);
    let memory = Arc::new(MemoryStore::new());
    memory.apply(super::series::commit(btc(), grid, origin, "CCeeCC")).await.unwrap();
    let mut store = MockCandleStore::new();
    let pages = Arc::clone(&memory);
    // A hand has left two rows where no candle opens, one of them in an empty day.
    let strays = [at("2024-11-01T17:00:00Z"), at("2024-11-02T05:00:00Z")];
    store.expect_page().returning_st(move |asset, range, take, limit| {
        let all = pages.page(asset, range, Take::Oldest, u64::MAX).now_or_never().unwrap().unwrap();
        let mut all: Vec<Candle> =
            all.into_iter().chain(strays.into_iter().filter(|at| range.contains(*at)).map(candle)).collect();
        all.sort_by_key(Candle::open_time);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(all.len());
        Ok(match take {
            Take::Oldest => all[..limit].to_vec(),
            Take::Newest => all[all.len() - limit..].to_vec(),
        })
    });
    let series =
        QueryCandles::new(ReadSeries::new(Arc::new(store), memory, now_alone(), Interval::H12, vec![btc()]));
    let untouched = Series::new("CCeeCC").await;
    for fill in [false, true] {
        for start in [None, Some(at("2024-11-02")), Some(at("2024-11-01"))] {
            let asked = derived(Interval::D1, ask(btc(), start, None, ALL, fill));
            assert_eq!(
                series.run(asked).await.unwrap(),
                untouched.run(asked).await.unwrap(),
                "{start:?} {fill}"
            );
        }
    }
}

#[tokio::test]
async fn earlier_days_are_made_of_the_candles_of_then() {
    let store = Arc::new(MemoryStore::new());
    let grid = Grid::new(Interval::H12);
    let origin = at("2024-11-01");
    let write = async |slots: std::ops::Range<i64>, price: &str, observed: &str| {
        let asked =
            SlotRange::new(grid, grid.step(origin, slots.start), grid.step(origin, slots.end)).unwrap();
        let candles = asked.iter().map(|open_time| Candle::flat(open_time, price.parse().unwrap())).collect();
        let commit = Commit::new(btc(), asked, candles, Vec::new(), at(observed)).unwrap();
        store.apply(commit.with_listing(origin)).await.unwrap();
    };
    write(0..3, "10", "2024-11-03").await;
    write(1..2, "11", "2024-11-04").await;
    write(3..6, "12", "2024-11-05").await;
    let series = query(&store, Interval::H12, vec![btc()]);
    let closes = async |as_of: &str| {
        let asked = CandleQuery { as_of: Some(at(as_of)), ..everything(Interval::D1, true) };
        let rows = series.run(asked).await.unwrap().rows;
        rows.iter().map(|row| row.candle.close().to_string()[..2].to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(closes("2024-11-02").await, "");
    assert_eq!(closes("2024-11-03T12:00:00Z").await, "10", "the second day was half there");
    assert_eq!(closes("2024-11-04T12:00:00Z").await, "11");
    assert_eq!(closes("2024-11-05T12:00:00Z").await, "11 12 12");
}

/// All rows of an interval, page by page.
async fn paged(series: &Series, interval: Interval, limit: u32, fill: bool, take: Take) -> Vec<Row> {
    let mut pages: Vec<Vec<Row>> = Vec::new();
    let mut asked = everything(interval, fill);
    asked.limit = NonZeroU32::new(limit).unwrap();
    if take == Take::Newest {
        asked.start = None;
    }
    loop {
        assert!(pages.len() < 100, "the pages have no end");
        let CandlePage { rows, next, prev } = series.run(asked).await.unwrap();
        assert!(rows.len() <= limit as usize);
        pages.push(rows);
        match take {
            Take::Oldest => asked.start = next,
            Take::Newest => asked.end = prev,
        }
        if asked.start.is_none() && asked.end.is_none() {
            break;
        }
    }
    if take == Take::Newest {
        pages.reverse();
    }
    pages.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_any_size_have_the_same_rows_in_both_directions(
        slots in "[Ceeprf]{0,4}[Ce]{1,60}[pf]{0,3}",
        limit in 1_u32..9,
        fill in any::<bool>(),
        interval in proptest::sample::select(vec![Interval::D1, Interval::D3, Interval::W1, Interval::Mo1]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let series = Series::new(&slots).await;
            let whole = series.run(everything(interval, fill)).await.unwrap().rows;
            for take in [Take::Oldest, Take::Newest] {
                prop_assert_eq!(&paged(&series, interval, limit, fill, take).await, &whole, "{} {:?}", slots, take);
            }
            Ok(())
        })?;
    }
}
