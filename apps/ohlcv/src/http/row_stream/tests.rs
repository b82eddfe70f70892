//! Long answers: in order, in bounded time and memory, and never cut short unseen.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use ohlcv_domain::{Asset, Candle, Grid, Head, Interval, TimeRange, Timestamp};
use ohlcv_ports::{MockCandleStore, MockCoverage, MockHistory, StoreError, Take};
use ohlcv_usecases::{CandleQuery, QueryCandles, ReadSeries};

use super::super::formats::{Format, Layout, Shape};
use super::*;

const ROWS_PER_PAGE: u32 = 10;
/// So many rows are stored.
const ROWS: i64 = 95;
const LIMITS: StreamLimits = StreamLimits {
    at_once: 1,
    page: Duration::from_secs(30),
    taking: Duration::from_secs(120),
    whole: Duration::from_secs(3600),
};

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn slot(number: i64) -> Timestamp {
    let first = "2024-11-01T00:00:00Z".parse().unwrap();
    Grid::new(Interval::H1).step(first, number)
}

fn candles(range: TimeRange, limit: u64) -> Vec<Candle> {
    let all = (0..ROWS).map(|number| Candle::flat(slot(number), "1.5".parse().unwrap()));
    let wanted = all.filter(|candle| range.contains(candle.open_time()));
    wanted.take(usize::try_from(limit).unwrap()).collect()
}

/// All rows of a store whose `page` is this.
fn rows<F>(page: F) -> VecDeque<RowPages>
where
    F: Fn(TimeRange, u64) -> Result<Vec<Candle>, StoreError> + Send + Sync + 'static,
{
    let mut store = MockCandleStore::new();
    store.expect_page().returning(move |_, range, take, limit| {
        assert_eq!(take, Take::Oldest);
        page(range, limit)
    });
    let mut coverage = MockCoverage::new();
    let head = Head {
        asset: btc(),
        seq: 1,
        changed: None,
        listing: Some(slot(0)),
        first: Some(slot(0)),
        last: Some(slot(ROWS - 1)),
        answered_until: Some(slot(ROWS)),
    };
    coverage.expect_heads().returning(move |_| Ok(vec![head]));
    let history = Arc::new(MockHistory::new());
    let series = ReadSeries::new(Arc::new(store), Arc::new(coverage), history, Interval::H1, vec![btc()]);
    let query = CandleQuery {
        asset: btc(),
        interval: None,
        start: None,
        end: None,
        limit: NonZeroU32::new(ROWS_PER_PAGE).unwrap(),
        fill: false,
        as_of: None,
    };
    VecDeque::from([RowPages::of(QueryCandles::new(series), query)])
}

fn streams(limits: StreamLimits, database_requests: usize) -> (RowStreams, Arc<Admission>) {
    let admission = Arc::new(Admission::new(database_requests));
    let no_answer = NoAnswer { quote: "USDT".parse().unwrap(), tracked: vec![btc()] };
    (RowStreams::new(Arc::clone(&admission), no_answer, limits), admission)
}

/// The body of an answer that has begun.
async fn begun(streams: &RowStreams, pages: VecDeque<RowPages>) -> Result<Body, Problem> {
    streams.begin(pages, csv()).await.map(|(body, _)| body)
}

fn csv() -> Encoder {
    Encoder::begin(
        Format::Csv,
        Layout::of_one(btc(), Interval::H1, Shape { all_fields: false, derived: false }),
    )
    .unwrap()
    .unwrap()
}

/// The next part, or that the answer was broken off.
async fn part(body: &mut BoxBody<Bytes, io::Error>) -> Option<io::Result<Bytes>> {
    let frame = http_body_util::BodyExt::frame(body).await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

/// How many lines come, and whether the answer ends well.
async fn taken(body: Body) -> (usize, bool) {
    let mut body: BoxBody<Bytes, io::Error> = body.into();
    let mut lines = 0;
    while let Some(next) = part(&mut body).await {
        match next {
            Ok(part) => lines += part.iter().filter(|byte| **byte == b'\n').count(),
            Err(_) => return (lines, false),
        }
    }
    (lines, true)
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { reason: "gone".to_owned(), source: None }
}

#[tokio::test]
async fn all_pages_come_one_after_the_other_and_then_the_end() {
    let (streams, _) = streams(LIMITS, 1);
    let body = begun(&streams, rows(|range, limit| Ok(candles(range, limit)))).await.unwrap();
    assert_eq!(taken(body).await, (ROWS as usize + 1, true));
}

#[tokio::test]
async fn no_more_pages_are_read_than_are_about_to_be_taken() {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let pages = rows(move |range, limit| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(candles(range, limit))
    });
    let (streams, _) = streams(LIMITS, 1);
    let mut body: BoxBody<Bytes, io::Error> = begun(&streams, pages).await.unwrap().into();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = read.load(Ordering::Relaxed);
    // One waits to be taken, one to wait.
    assert!(before <= PARTS_AHEAD_MAX + 1, "{before}");
    part(&mut body).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(read.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn a_failure_in_the_middle_breaks_the_answer_off() {
    let (streams, _) = streams(LIMITS, 1);
    let pages = rows(|range, limit| match range.start() < slot(30) {
        true => Ok(candles(range, limit)),
        false => Err(unavailable()),
    });
    let body = begun(&streams, pages).await.unwrap();
    assert_eq!(taken(body).await, (1 + 30, false));
}

#[tokio::test]
async fn a_failure_at_the_beginning_is_a_problem() {
    let (streams, _) = streams(LIMITS, 1);
    let problem = begun(&streams, rows(|_, _| Err(unavailable()))).await.unwrap_err();
    assert_eq!(status(&problem), 503);
    let (full, _) = self::streams(LIMITS, 0);
    let problem = begun(&full, rows(|range, limit| Ok(candles(range, limit)))).await.unwrap_err();
    assert_eq!(status(&problem), 503);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_loses_the_answer_and_its_place() {
    let (streams, _) = streams(LIMITS, 1);
    let all = || rows(|range, limit| Ok(candles(range, limit)));
    let stalled = begun(&streams, all()).await.unwrap();
    let refused = begun(&streams, all()).await.unwrap_err();
    assert_eq!(status(&refused), 503, "there is room for one");
    tokio::time::sleep(LIMITS.taking + Duration::from_secs(1)).await;
    let other = begun(&streams, all()).await.unwrap();
    assert_eq!(taken(other).await, (ROWS as usize + 1, true));
    let (lines, whole) = taken(stalled).await;
    assert!(lines <= 31 && !whole, "{lines} lines");
}

#[tokio::test(start_paused = true)]
async fn who_takes_slowly_gets_all_within_the_time_for_the_whole() {
    for (pause, expected) in [(Duration::from_secs(100), true), (Duration::from_secs(119), true)] {
        let (streams, _) = streams(LIMITS, 1);
        let body = begun(&streams, rows(|range, limit| Ok(candles(range, limit)))).await.unwrap();
        assert_eq!(slowly(body, pause).await, expected, "{pause:?}");
    }
    let (streams, _) = streams(StreamLimits { whole: Duration::from_secs(500), ..LIMITS }, 1);
    let body = begun(&streams, rows(|range, limit| Ok(candles(range, limit)))).await.unwrap();
    assert!(!slowly(body, Duration::from_secs(100)).await, "that takes longer");
}

/// Whether an answer ends well whose parts are taken with a pause before each.
async fn slowly(body: Body, pause: Duration) -> bool {
    let mut body: BoxBody<Bytes, io::Error> = body.into();
    loop {
        tokio::time::sleep(pause).await;
        match part(&mut body).await {
            Some(Ok(_)) => {}
            Some(Err(_)) => return false,
            None => return true,
        }
    }
}

#[tokio::test]
async fn who_goes_away_leaves_the_place_to_others() {
    let (streams, _) = streams(LIMITS, 1);
    let all = || rows(|range, limit| Ok(candles(range, limit)));
    drop(begun(&streams, all()).await.unwrap());
    // The task that made it learns of it when it runs next.
    let mut again = begun(&streams, all()).await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        again = begun(&streams, all()).await;
    }
    assert_eq!(taken(again.unwrap()).await, (ROWS as usize + 1, true));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_waits_for_its_turn_at_the_database_but_not_for_ever() {
    for (busy, expected) in [(LIMITS.page / 2, true), (LIMITS.page * 2, false)] {
        let (streams, admission) = streams(LIMITS, 1);
        let body = begun(&streams, rows(|range, limit| Ok(candles(range, limit)))).await.unwrap();
        let turn = admission.turn().unwrap();
        let other = async {
            tokio::time::sleep(busy).await;
            drop(turn);
        };
        let ((_, whole), ()) = tokio::join!(taken(body), other);
        assert_eq!(whole, expected, "{busy:?}");
    }
}

fn status(problem: &Problem) -> u16 {
    poem::error::ResponseError::status(problem).as_u16()
}
