//! Answers out of memory are those of the store, whatever happened since they were kept.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;

use ohlcv_domain::{
    Candle, Cause, Commit, Finding, Grid, Ohlc, SlotRange, Timestamp, TradeDetails, Volume, gaps,
};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, MockCandleStore, MockHistory};
use ohlcv_usecases::{CandlePage, QueryCandles};
use proptest::prelude::*;

use super::super::candle_bytes::{candle_bytes, framed};
use super::*;

const SLOTS: i64 = 80;
/// What half-days make; the stored interval named is the stored one.
const DERIVED: [Interval; 5] = [Interval::H12, Interval::D1, Interval::D3, Interval::W1, Interval::Mo1];

fn asset() -> Asset {
    "BTC".parse().unwrap()
}

/// Slot 0 lies in the middle of a chunk.
fn at(slot: i64) -> Timestamp {
    Grid::new(Interval::H12).step(Timestamp::from_millis(1_600_000_000_000).unwrap(), slot)
}

/// Of some prices flat, of some without the rest of the kline.
fn candle(slot: i64, price: u32) -> Candle {
    let volume = if price.is_multiple_of(7) { Volume::ZERO } else { "1".parse().unwrap() };
    let details = TradeDetails { trades: price, quote_volume: volume, ..TradeDetails::default() };
    let at_price = format!("{price}.5").parse().unwrap();
    let prices = Ohlc { open: at_price, high: at_price, low: at_price, close: at_price };
    let candle = Candle::new(at(slot), prices, volume).unwrap();
    if price.is_multiple_of(5) { candle } else { candle.with_details(details) }
}

/// Something that happens to a series, or is asked of it.
#[derive(Clone, Debug)]
enum Step {
    /// A page is committed: the slots from the first on, each with a price or with nothing.
    Commit {
        first: i64,
        prices: Vec<Option<u32>>,
        cause: Cause,
        /// The listing is found out to have been then.
        listing: Option<i64>,
    },
    Ask(Ask),
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    interval: Option<Interval>,
    start: Option<i64>,
    end: Option<i64>,
    limit: u32,
    fill: bool,
    all_fields: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let prices = proptest::collection::vec(proptest::option::weighted(0.7, 1_u32..40), 1..24);
    let cause = prop_oneof![Just(Cause::SourceEmpty), Just(Cause::Pending), Just(Cause::Failed)];
    let listing = proptest::option::weighted(0.2, 0..SLOTS);
    let commit = (0..SLOTS, prices, cause, listing);
    let commit =
        commit.prop_map(|(first, prices, cause, listing)| Step::Commit { first, prices, cause, listing });
    let interval = proptest::option::weighted(0.6, proptest::sample::select(DERIVED.to_vec()));
    let bound = || proptest::option::of(-3..SLOTS + 25);
    let limit = prop_oneof![1_u32..60, 1_u32..6];
    let ask = (interval, bound(), bound(), limit, any::<bool>(), any::<bool>());
    let ask = ask.prop_map(|(interval, start, end, limit, fill, all_fields)| {
        Step::Ask(Ask { interval, start, end, limit, fill, all_fields })
    });
    prop_oneof![1 => commit, 3 => ask]
}

async fn commit(store: &dyn CandleStore, first: i64, prices: &[Option<u32>], cause: Cause) {
    commit_with(store, first, prices, cause, None).await;
}

async fn commit_with(
    store: &dyn CandleStore,
    first: i64,
    prices: &[Option<u32>],
    cause: Cause,
    listing: Option<i64>,
) {
    let slots = first..first + i64::try_from(prices.len()).unwrap();
    let asked = SlotRange::new(Grid::new(Interval::H12), at(slots.start), at(slots.end)).unwrap();
    let candles: Vec<Candle> =
        slots.zip(prices).filter_map(|(slot, price)| price.map(|price| candle(slot, price))).collect();
    let holes = gaps(asked, candles.iter().map(Candle::open_time));
    let findings = holes.map(|hole| Finding { range: hole.time(), cause, detail: String::new() }).collect();
    let mut commit = Commit::new(asset(), asked, candles, findings, at(500)).unwrap();
    if let Some(listing) = listing {
        commit = commit.with_listing(at(listing));
    }
    store.apply(commit).await.unwrap();
}

fn query(ask: Ask) -> CandleQuery {
    CandleQuery {
        asset: asset(),
        interval: ask.interval,
        start: ask.start.map(at),
        end: ask.end.map(at),
        limit: NonZeroU32::new(ask.limit).unwrap(),
        fill: ask.fill,
        as_of: None,
    }
}

fn source(store: Arc<dyn CandleStore>, ledger: &Arc<MemoryStore>) -> ReadSeries {
    let history = Arc::new(MockHistory::new());
    ReadSeries::new(store, Arc::<MemoryStore>::clone(ledger), history, Interval::H12, vec![asset()])
}

fn prepared(source: ReadSeries, bytes_max: u64) -> PreparedCandles {
    PreparedCandles::new(source, bytes_max, Arc::new(Admission::new(8)))
}

fn bytes(page: &PreparedPage, interval: Interval) -> Vec<u8> {
    framed(asset(), interval, page.rows.clone(), page.count).concat()
}

/// Asks both ways; the answers have to be the same to the byte.
async fn compare(prepared: &PreparedCandles, plain: &QueryCandles, ask: Ask) -> Result<(), TestCaseError> {
    let query = query(ask);
    // While nothing of what has changed is read yet.
    let at_once = match prepared.source.head(asset()).await {
        Ok(Some(head)) => prepared.page_at_once(&query, ask.all_fields, head).await,
        _ => None,
    };
    let kept = prepared.page(&query, ask.all_fields).await;
    match plain.run(query).await {
        Ok(CandlePage { rows, next, prev }) => {
            let kept = kept.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            let interval = plain.interval(&query);
            let expected = candle_bytes(asset(), interval, &rows, ask.all_fields);
            let kept_bytes = bytes(&kept, interval);
            prop_assert_eq!(
                String::from_utf8(kept_bytes).unwrap(),
                String::from_utf8(expected).unwrap(),
                "{:?}",
                ask
            );
            prop_assert_eq!((kept.next, kept.prev), (next, prev), "{:?}", ask);
            if let Some(at_once) = at_once {
                prop_assert_eq!(bytes(&at_once, interval), bytes(&kept, interval), "{:?}", ask);
                let around = (at_once.next, at_once.prev, at_once.digest);
                prop_assert_eq!(around, (next, prev, kept.digest), "{:?}", ask);
            }
        }
        Err(QueryError::EmptyRange { .. }) => {
            let refused = matches!(kept, Err(Unanswered::Query(QueryError::EmptyRange { .. })));
            prop_assert!(refused, "{:?}", ask);
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    }
    Ok(())
}

fn blocking<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_answers_as_the_store_does_after_any_change(
        steps in proptest::collection::vec(step(), 1..40),
        bytes_max in prop_oneof![Just(0_u64), Just(6_000), Just(10_000_000)],
    ) {
        blocking(async {
            let store = Arc::new(MemoryStore::new());
            let source = source(Arc::<MemoryStore>::clone(&store), &store);
            let (kept, plain) = (prepared(source.clone(), bytes_max), QueryCandles::new(source));
            for step in steps {
                match step {
                    Step::Commit { first, prices, cause, listing } => {
                        commit_with(store.as_ref(), first, &prices, cause, listing).await;
                    }
                    Step::Ask(ask) => compare(&kept, &plain, ask).await?,
                }
            }
            Ok::<(), TestCaseError>(())
        })?;
    }
}

/// The real pages of a store, and how many rows were asked for.
fn counted(store: &Arc<MemoryStore>, rows: &Arc<AtomicU64>) -> MockCandleStore {
    let mut mock = MockCandleStore::new();
    let (pages, rows) = (Arc::clone(store), Arc::clone(rows));
    mock.expect_page().returning_st(move |asset, range, take, limit| {
        let page = futures::executor::block_on(pages.page(asset, range, take, limit));
        rows.fetch_add(page.as_ref().unwrap().len() as u64, Ordering::Relaxed);
        page
    });
    let changes = Arc::clone(store);
    mock.expect_changes().returning_st(move |asset, seq, limit| {
        futures::executor::block_on(changes.changes(asset, seq, limit))
    });
    mock
}

#[tokio::test]
async fn after_one_change_the_log_is_not_read_and_after_more_it_is() {
    let store = Arc::new(MemoryStore::new());
    commit(store.as_ref(), 0, &[Some(1); 40], Cause::SourceEmpty).await;
    let looks = Arc::new(AtomicU64::new(0));
    let mut mock = MockCandleStore::new();
    let pages = Arc::clone(&store);
    mock.expect_page().returning_st(move |asset, range, take, limit| {
        futures::executor::block_on(pages.page(asset, range, take, limit))
    });
    let (changes, seen) = (Arc::clone(&store), Arc::clone(&looks));
    mock.expect_changes().returning_st(move |asset, seq, limit| {
        seen.fetch_add(1, Ordering::Relaxed);
        futures::executor::block_on(changes.changes(asset, seq, limit))
    });
    let kept = prepared(source(Arc::new(mock), &store), 1 << 20);
    let read = async || {
        looks.store(0, Ordering::Relaxed);
        let page = kept.page(&query(YEAR), false).await.unwrap();
        (page.count, looks.load(Ordering::Relaxed))
    };
    assert_eq!(read().await, (40, 0));
    commit(store.as_ref(), 40, &[Some(99)], Cause::Pending).await;
    assert_eq!(read().await, (41, 0));
    commit(store.as_ref(), 41, &[Some(98)], Cause::Pending).await;
    commit(store.as_ref(), 42, &[Some(97)], Cause::Pending).await;
    assert_eq!(read().await, (43, 1));
}

const YEAR: Ask =
    Ask { interval: None, start: Some(0), end: Some(SLOTS), limit: 1_000, fill: true, all_fields: false };

#[tokio::test]
async fn a_repeated_read_touches_no_rows_and_a_change_only_its_own() {
    let store = Arc::new(MemoryStore::new());
    let all: Vec<Option<u32>> = (0..40).map(|slot| (slot % 7 != 3).then_some(slot + 1)).collect();
    commit(store.as_ref(), 0, &all, Cause::SourceEmpty).await;
    let rows = Arc::new(AtomicU64::new(0));
    let kept = prepared(source(Arc::new(counted(&store, &rows)), &store), 1 << 20);
    let read = async || {
        rows.store(0, Ordering::Relaxed);
        let page = kept.page(&query(YEAR), false).await.unwrap();
        (page.count, rows.load(Ordering::Relaxed), page.digest)
    };
    let (count, _, digest) = read().await;
    assert_eq!(count, 40);
    assert_eq!(read().await, (40, 0, digest), "nothing has changed");
    commit(store.as_ref(), 40, &[Some(99)], Cause::Pending).await;
    let (count, read_rows, _) = read().await;
    assert_eq!((count, read_rows), (41, 1), "one new candle");
    commit(store.as_ref(), 9, &[Some(77)], Cause::Pending).await;
    let (_, read_rows, _) = read().await;
    assert_eq!(read_rows, 1, "a candle in the middle, and the hole behind it carries its close");
    assert_eq!(read().await.1, 0);
}

#[tokio::test]
async fn of_derived_rows_a_change_touches_its_own_row_alone() {
    let store = Arc::new(MemoryStore::new());
    let all: Vec<Option<u32>> = (0..60).map(|slot| Some(slot + 1)).collect();
    commit(store.as_ref(), 0, &all, Cause::SourceEmpty).await;
    let rows = Arc::new(AtomicU64::new(0));
    let kept = prepared(source(Arc::new(counted(&store, &rows)), &store), 1 << 20);
    for fill in [false, true] {
        let read = async || {
            rows.store(0, Ordering::Relaxed);
            let days = Ask { interval: Some(Interval::D1), fill, ..YEAR };
            let page = kept.page(&query(days), false).await.unwrap();
            (page.count, rows.load(Ordering::Relaxed))
        };
        let (count, _) = read().await;
        assert_eq!(read().await, (count, 0), "nothing has changed");
        commit(store.as_ref(), 21, &[Some(70 + u32::from(fill))], Cause::Pending).await;
        assert_eq!(read().await, (count, 2), "both halves of one day");
        // The second half of a day, then the first of the next one.
        let next = if fill { 62 } else { 60 };
        commit(store.as_ref(), next, &[Some(99)], Cause::Pending).await;
        assert_eq!(read().await, (count + 1, 2), "a day that has closed is read");
        commit(store.as_ref(), next + 1, &[Some(98)], Cause::Pending).await;
        assert_eq!(read().await, (count + 1, 0), "an open one is not");
    }
}

#[tokio::test]
async fn a_page_is_made_at_once_where_only_a_few_rows_have_to_be_read() {
    for ask in [YEAR, Ask { fill: false, ..YEAR }, Ask { fill: false, start: None, ..YEAR }] {
        let store = Arc::new(MemoryStore::new());
        commit(store.as_ref(), 0, &[Some(1); 40], Cause::SourceEmpty).await;
        let rows = Arc::new(AtomicU64::new(0));
        let kept = prepared(source(Arc::new(counted(&store, &rows)), &store), 1 << 20);
        let at_once = async |ask: Ask| {
            rows.store(0, Ordering::Relaxed);
            let head = kept.source.head(asset()).await.unwrap().unwrap();
            let page = kept.page_at_once(&query(ask), false, head).await;
            (page.map(|page| page.count), rows.load(Ordering::Relaxed))
        };
        let count = plain(&store, ask).await;
        assert_eq!(at_once(ask).await, (None, 0), "nothing is kept");
        kept.page(&query(ask), false).await.unwrap();
        assert_eq!(at_once(ask).await, (Some(count), 0), "nothing has changed");
        let next = i64::try_from(count).unwrap();
        commit(store.as_ref(), next, &[Some(99)], Cause::Pending).await;
        assert_eq!(at_once(ask).await, (Some(count + 1), 1), "one new candle");
        commit(store.as_ref(), next + 1, &[Some(98)], Cause::Pending).await;
        commit(store.as_ref(), next + 2, &[Some(97)], Cause::Pending).await;
        assert_eq!(at_once(ask).await, (None, 0), "the log has to be read");
        kept.page(&query(ask), false).await.unwrap();
        commit(store.as_ref(), next + 3, &[Some(96); 10], Cause::Pending).await;
        assert_eq!(at_once(ask).await, (None, 0), "a chunk is missing");
        kept.page(&query(ask), false).await.unwrap();
        commit(store.as_ref(), 8, &[Some(5); 4], Cause::Pending).await;
        assert_eq!(at_once(ask).await, (Some(count + 13), 4), "a few candles");
        commit(store.as_ref(), 8, &[Some(6); 8], Cause::Pending).await;
        assert_eq!(at_once(ask).await.0, None, "more than a few");
        kept.page(&query(ask), false).await.unwrap();
        let days = Ask { interval: Some(Interval::D1), ..ask };
        kept.page(&query(days), false).await.unwrap();
        commit(store.as_ref(), 3, &[Some(5)], Cause::Pending).await;
        assert_eq!(at_once(days).await, (None, 0), "a derived row is made of several");
        kept.page(&query(ask), false).await.unwrap();
    }
}

/// How many rows the store itself has for a question.
async fn plain(store: &Arc<MemoryStore>, ask: Ask) -> usize {
    let source = source(Arc::<MemoryStore>::clone(store), store);
    QueryCandles::new(source).run(query(ask)).await.unwrap().rows.len()
}

#[tokio::test]
async fn a_page_is_not_made_at_once_where_there_is_no_turn() {
    let store = Arc::new(MemoryStore::new());
    commit(store.as_ref(), 0, &[Some(1); 5], Cause::SourceEmpty).await;
    let admission = Arc::new(Admission::new(1));
    let source = source(Arc::<MemoryStore>::clone(&store), &store);
    let kept = PreparedCandles::new(source, 1 << 20, Arc::clone(&admission));
    kept.page(&query(YEAR), false).await.unwrap();
    commit(store.as_ref(), 5, &[Some(2)], Cause::Pending).await;
    let head = kept.source.head(asset()).await.unwrap().unwrap();
    let turn = admission.turn().unwrap();
    assert!(kept.page_at_once(&query(YEAR), false, head).await.is_none());
    drop(turn);
    assert_eq!(kept.page_at_once(&query(YEAR), false, head).await.unwrap().count, 6);
}
