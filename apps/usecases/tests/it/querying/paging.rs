//! The same rows whatever the page size, in both directions.

use ohlcv_domain::{Grid, Interval, Row, Timestamp};
use proptest::prelude::*;

use super::series::{Series, ask};
use crate::world::{at, btc};

/// A limit that holds every series here whole.
const ALL: u32 = 1_000;
/// More pages than any series here has rows.
const PAGES_MAX: usize = 100;

/// All rows from `start` on, page by page.
async fn forwards(
    series: &Series,
    start: Timestamp,
    end: Option<Timestamp>,
    limit: u32,
    fill: bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut from = Some(start);
    for _ in 0..PAGES_MAX {
        let Some(start) = from else { return rows };
        let page = series.run(ask(btc(), Some(start), end, limit, fill)).await.unwrap();
        assert!(page.rows.len() <= limit as usize);
        assert!(page.next.is_none() || page.rows.len() == limit as usize, "only the last page is short");
        rows.extend(page.rows);
        from = page.next;
    }
    panic!("the pages have no end");
}

/// All rows before `end`, page by page, put in ascending order.
async fn backwards(series: &Series, end: Option<Timestamp>, limit: u32, fill: bool) -> Vec<Row> {
    let mut pages = Vec::new();
    let mut until = end;
    for _ in 0..PAGES_MAX {
        let page = series.run(ask(btc(), None, until, limit, fill)).await.unwrap();
        assert!(page.rows.len() <= limit as usize);
        pages.push(page.rows);
        until = page.prev;
        if until.is_none() {
            return pages.into_iter().rev().flatten().collect();
        }
    }
    panic!("the pages have no end");
}

/// Whether pages of any size, followed in either direction, hold what one page holds.
async fn hold_the_same(series: Series, slots: i64, start: i64, len: i64) -> Result<(), TestCaseError> {
    let (start, end) = (series.at(start), series.at(start + len));
    for fill in [false, true] {
        let within = series.run(ask(btc(), Some(start), Some(end), ALL, fill)).await.unwrap();
        prop_assert_eq!(within.next, None);
        prop_assert!(
            within.rows.windows(2).all(|pair| pair[0].candle.open_time() < pair[1].candle.open_time())
        );
        let before_end = series.run(ask(btc(), None, Some(end), ALL, fill)).await.unwrap();
        prop_assert_eq!(before_end.prev, None);
        let all = series.run(ask(btc(), None, None, ALL, fill)).await.unwrap();
        for limit in 1..=u32::try_from(slots).unwrap() + 1 {
            prop_assert_eq!(&forwards(&series, start, Some(end), limit, fill).await, &within.rows);
            prop_assert_eq!(&backwards(&series, Some(end), limit, fill).await, &before_end.rows);
            prop_assert_eq!(&backwards(&series, None, limit, fill).await, &all.rows);
            prop_assert_eq!(&forwards(&series, Timestamp::MIN, None, limit, fill).await, &all.rows);
        }
    }
    Ok(())
}

/// Series as they come about: nothing before the listing, any slots after it, a tail that may not
/// be answered.
fn slots() -> impl Strategy<Value = String> {
    ("b{0,3}", "[CCCCerpf]{0,20}", "[fp]{0,3}").prop_map(|(before, middle, tail)| before + &middle + &tail)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_any_size_hold_the_same_rows_in_both_directions(
        slots in slots(),
        start in -3_i64..25,
        len in 1_i64..30,
        interval in prop::sample::select(vec![Interval::M1, Interval::H12, Interval::D3, Interval::W1, Interval::Mo1]),
    ) {
        prop_assume!(!slots.is_empty());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let grid = Grid::from_first(interval, at("2024-09-01"));
        runtime.block_on(async {
            let series = Series::on(grid, grid.floor(at("2024-09-01")), &slots).await;
            hold_the_same(series, slots.len() as i64, start, len).await
        })?;
    }
}
