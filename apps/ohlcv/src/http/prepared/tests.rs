//! Answers out of memory are those of the store, whatever happened since they were kept.

use std::num::NonZeroU32;

use ohlcv_domain::{Candle, Cause, Commit, Finding, Grid, Ohlc, SlotRange, Timestamp, gaps};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, MockCandleStore, MockHistory};
use ohlcv_usecases::{CandlePage, QueryCandles};
use proptest::prelude::*;

use super::super::candle_bytes::{candle_bytes, framed};
use super::*;

const SLOTS: i64 = 80;

fn asset() -> Asset {
    "BTC".parse().unwrap()
}

/// Slot 0 lies in the middle of a chunk.
fn at(slot: i64) -> Timestamp {
    Grid::new(Interval::H12).step(Timestamp::from_millis(1_600_000_000_000).unwrap(), slot)
}

fn candle(slot: i64, price: u32) -> Candle {
    let price = format!("{price}.5").parse().unwrap();
    Candle::new(at(slot), Ohlc { open: price, high: price, low: price, close: price }, "1".parse().unwrap())
        .unwrap()
}

/// Something that happens to a series, or is asked of it.
#[derive(Clone, Debug)]
enum Step {
    /// A page is committed: the slots from the first on, each with a price or with nothing.
    Commit {
        first: i64,
        prices: Vec<Option<u32>>,
        cause: Cause,
    },
    Ask(Ask),
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    start: Option<i64>,
    end: Option<i64>,
    limit: u32,
    fill: bool,
    all_fields: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let prices = proptest::collection::vec(proptest::option::weighted(0.7, 1_u32..40), 1..24);
    let cause = prop_oneof![Just(Cause::SourceEmpty), Just(Cause::Pending), Just(Cause::Failed)];
    let commit =
        (0..SLOTS, prices, cause).prop_map(|(first, prices, cause)| Step::Commit { first, prices, cause });
    let bound = || proptest::option::of(-3..SLOTS + 25);
    let ask = (bound(), bound(), 1_u32..60, any::<bool>(), any::<bool>());
    let ask = ask.prop_map(|(start, end, limit, fill, all_fields)| {
        Step::Ask(Ask { start, end, limit, fill, all_fields })
    });
    prop_oneof![1 => commit, 3 => ask]
}

async fn commit(store: &dyn CandleStore, first: i64, prices: &[Option<u32>], cause: Cause) {
    let slots = first..first + i64::try_from(prices.len()).unwrap();
    let asked = SlotRange::new(Grid::new(Interval::H12), at(slots.start), at(slots.end)).unwrap();
    let candles: Vec<Candle> =
        slots.zip(prices).filter_map(|(slot, price)| price.map(|price| candle(slot, price))).collect();
    let holes = gaps(asked, candles.iter().map(Candle::open_time));
    let findings = holes.map(|hole| Finding { range: hole.time(), cause, detail: String::new() }).collect();
    let commit = Commit::new(asset(), asked, candles, findings, at(500)).unwrap();
    store.apply(commit).await.unwrap();
}

fn query(ask: Ask) -> CandleQuery {
    CandleQuery {
        asset: asset(),
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

fn bytes(page: &PreparedPage) -> Vec<u8> {
    framed(asset(), Interval::H12, page.rows.clone(), page.count).concat()
}

/// Asks both ways; the answers have to be the same to the byte.
async fn compare(prepared: &PreparedCandles, plain: &QueryCandles, ask: Ask) -> Result<(), TestCaseError> {
    let query = query(ask);
    let kept = prepared.page(&query, ask.all_fields).await;
    match plain.run(query).await {
        Ok(CandlePage { rows, next, prev }) => {
            let kept = kept.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            let expected = candle_bytes(asset(), Interval::H12, &rows, ask.all_fields);
            let (kept_bytes, expected) = (bytes(&kept), expected);
            prop_assert_eq!(
                String::from_utf8(kept_bytes).unwrap(),
                String::from_utf8(expected).unwrap(),
                "{:?}",
                ask
            );
            prop_assert_eq!((kept.next, kept.prev), (next, prev), "{:?}", ask);
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
                    Step::Commit { first, prices, cause } => commit(store.as_ref(), first, &prices, cause).await,
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

const YEAR: Ask = Ask { start: Some(0), end: Some(SLOTS), limit: 1_000, fill: true, all_fields: false };

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
