//! Which holes a reader sees, page by page.

use std::num::NonZeroU32;
use std::sync::Arc;

use ohlcv_domain::{Asset, Cause, Grid, Interval, TimeRange, Timestamp};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, Coverage, MockCoverage, StoreError};
use ohlcv_usecases::{GapPage, GapQuery, ListGaps, QueryError};
use proptest::prelude::*;

use super::series::commit;
use crate::world::{asset, at, btc};

/// More pages than any series here has holes.
const PAGES_MAX: usize = 100;
const ORIGIN: &str = "2024-09-01";

/// BTC's series, its slots numbered from 0.
struct Ledger {
    grid: Grid,
    list: ListGaps,
}

impl Ledger {
    async fn of(interval: Interval, slots: &str) -> Self {
        let grid = Grid::from_first(interval, at(ORIGIN));
        let store = MemoryStore::new();
        store.apply(commit(btc(), grid, grid.floor(at(ORIGIN)), slots)).await.unwrap();
        Self { grid, list: ListGaps::new(Arc::new(store), interval, vec![btc()]) }
    }

    fn at(&self, slot: i64) -> Timestamp {
        self.grid.step(at(ORIGIN), slot)
    }

    async fn ask(&self, start: Option<Timestamp>, end: Option<Timestamp>, limit: u32) -> GapPage {
        self.list.run(query(btc(), start, end, None, limit)).await.unwrap()
    }

    /// Every hole as where it begins, its cause, and how many slots it has.
    fn show(&self, page: &GapPage) -> Vec<(i64, Cause, u64)> {
        let slot = |at: Timestamp| (0..100).find(|slot| self.at(*slot) == at).unwrap();
        let gaps = page.gaps.iter();
        gaps.map(|gap| (slot(gap.hole.range.start()), gap.hole.cause, gap.slots)).collect()
    }

    /// All holes from `start` on, page by page.
    async fn forwards(&self, start: Timestamp, end: Option<Timestamp>, limit: u32) -> GapPage {
        let mut all = GapPage::default();
        let mut from = Some(start);
        for _ in 0..PAGES_MAX {
            let Some(start) = from else { return all };
            let page = self.ask(Some(start), end, limit).await;
            assert!(page.next.is_none() || page.gaps.len() == limit as usize, "only the last page is short");
            all.gaps.extend(page.gaps);
            from = page.next;
        }
        panic!("the pages have no end");
    }

    /// All holes before `end`, page by page, put in ascending order.
    async fn backwards(&self, end: Option<Timestamp>, limit: u32) -> GapPage {
        let mut pages = Vec::new();
        let mut until = end;
        for _ in 0..PAGES_MAX {
            let page = self.ask(None, until, limit).await;
            assert!(page.gaps.len() <= limit as usize);
            until = page.prev;
            pages.push(page.gaps);
            if until.is_none() {
                let gaps = pages.into_iter().rev().flatten().collect();
                return GapPage { gaps, ..GapPage::default() };
            }
        }
        panic!("the pages have no end");
    }
}

fn query(
    asset: Asset,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    cause: Option<Cause>,
    limit: u32,
) -> GapQuery {
    GapQuery { asset, start, end, cause, limit: NonZeroU32::new(limit).unwrap() }
}

#[tokio::test]
async fn every_hole_is_listed_with_its_cause_and_how_many_slots_it_has() {
    let ledger = Ledger::of(Interval::H12, "bbCeeCrCfpp").await;
    let expected = [
        (0, Cause::BeforeListing, 2),
        (3, Cause::SourceEmpty, 2),
        (6, Cause::Rejected, 1),
        (8, Cause::Failed, 1),
        (9, Cause::Pending, 2),
    ];
    assert_eq!(ledger.show(&ledger.ask(None, None, 100).await), expected);
    // Months differ in length, slots do not.
    let months = Ledger::of(Interval::Mo1, "CeeeCCee").await;
    let expected = [(1, Cause::SourceEmpty, 3), (6, Cause::SourceEmpty, 2)];
    assert_eq!(months.show(&months.ask(None, None, 100).await), expected);
}

#[tokio::test]
async fn holes_that_overlap_the_range_are_listed_whole() {
    let ledger = Ledger::of(Interval::H12, "CeeeCrrCff").await;
    let [inside, touching, later] = [ledger.at(2), ledger.at(4), ledger.at(6)];
    let overlapping = ledger.ask(Some(inside), Some(later), 100).await;
    assert_eq!(ledger.show(&overlapping), [(1, Cause::SourceEmpty, 3), (5, Cause::Rejected, 2)]);
    assert_eq!(ledger.show(&ledger.ask(Some(touching), Some(ledger.at(5)), 100).await), []);
}

#[tokio::test]
async fn one_cause_can_be_asked_for_alone_also_over_pages() {
    let ledger = Ledger::of(Interval::H12, "CeCrCeCfCeCrC").await;
    let ask = |start, limit| {
        let wanted = query(btc(), start, None, Some(Cause::SourceEmpty), limit);
        ledger.list.run(wanted)
    };
    let first = ask(Some(Timestamp::MIN), 2).await.unwrap();
    assert_eq!(ledger.show(&first), [(1, Cause::SourceEmpty, 1), (5, Cause::SourceEmpty, 1)]);
    assert_eq!((first.next, first.prev), (Some(ledger.at(6)), None));
    let second = ask(first.next, 2).await.unwrap();
    assert_eq!(ledger.show(&second), [(9, Cause::SourceEmpty, 1)]);
    // The rejected slot before them is none of them.
    assert_eq!((second.next, second.prev), (None, Some(ledger.at(9))));
    let newest = ask(None, 2).await.unwrap();
    assert_eq!(ledger.show(&newest), [(5, Cause::SourceEmpty, 1), (9, Cause::SourceEmpty, 1)]);
    assert_eq!((newest.next, newest.prev), (None, Some(ledger.at(5))));
}

#[tokio::test]
async fn a_tracked_asset_of_which_nothing_is_known_has_no_holes_and_another_one_is_unknown() {
    let list = ListGaps::new(Arc::new(MemoryStore::new()), Interval::H12, vec![btc()]);
    assert_eq!(list.run(query(btc(), None, None, None, 1)).await.unwrap(), GapPage::default());
    let unknown = list.run(query(asset("DOGE"), None, None, None, 1)).await;
    assert!(matches!(unknown, Err(QueryError::UnknownAsset { .. })), "{unknown:?}");
    let empty = list.run(query(btc(), Some(at(ORIGIN)), Some(at(ORIGIN)), None, 1)).await;
    assert!(matches!(empty, Err(QueryError::EmptyRange { .. })), "{empty:?}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told() {
    let mut coverage = MockCoverage::new();
    coverage
        .expect_summary()
        .returning(|_| Err(StoreError::Unavailable { reason: "no connection".to_owned(), source: None }));
    let list = ListGaps::new(Arc::new(coverage) as Arc<dyn Coverage>, Interval::H12, vec![btc()]);
    let told = list.run(query(btc(), None, None, None, 1)).await;
    assert!(matches!(told, Err(QueryError::Store(_))), "{told:?}");
}

/// Whether pages of any size, followed in either direction, hold what one page holds, and whether
/// the holes are exactly the slots without a candle.
async fn hold_the_same(interval: Interval, slots: &str, start: i64, len: i64) -> Result<(), TestCaseError> {
    let ledger = Ledger::of(interval, slots).await;
    let (start, end) = (ledger.grid.step(at(ORIGIN), start), ledger.grid.step(at(ORIGIN), start + len));
    let all = ledger.ask(None, None, 1_000).await.gaps;
    let missing: u64 = all.iter().map(|gap| gap.slots).sum();
    prop_assert_eq!(missing as usize, slots.chars().filter(|slot| *slot != 'C').count());
    prop_assert!(all.windows(2).all(|pair| pair[0].hole.range.end() <= pair[1].hole.range.start()));
    let range = TimeRange::new(start, end).unwrap();
    let within: Vec<_> =
        all.iter().filter(|gap| gap.hole.range.intersection(range).is_some()).cloned().collect();
    let before: Vec<_> = all.iter().filter(|gap| gap.hole.range.start() < end).cloned().collect();
    for limit in 1..=slots.len() as u32 + 1 {
        prop_assert_eq!(&ledger.forwards(start, Some(end), limit).await.gaps, &within);
        prop_assert_eq!(&ledger.forwards(Timestamp::MIN, None, limit).await.gaps, &all);
        prop_assert_eq!(&ledger.backwards(Some(end), limit).await.gaps, &before);
        prop_assert_eq!(&ledger.backwards(None, limit).await.gaps, &all);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_any_size_hold_the_same_holes_in_both_directions_and_none_is_missing(
        slots in "b{0,3}[CCCeerpf]{1,20}",
        start in -3_i64..25,
        len in 1_i64..30,
        interval in prop::sample::select(vec![Interval::M1, Interval::H12, Interval::D3, Interval::W1, Interval::Mo1]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(hold_the_same(interval, &slots, start, len))?;
    }
}
