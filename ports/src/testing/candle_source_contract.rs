//! What every [`CandleSource`] has to do, as cases that anybody can run.
//!
//! An implementation is held to all of them with one line in a test, see
//! [`candle_source_contract!`](crate::candle_source_contract).

#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]
#![expect(missing_docs, reason = "the name of a case says what it holds")]

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Grid, Interval, SlotRange, TimeRange, Timestamp, gaps};

use crate::{CandleSource, SourceError, SourcePage};

/// How far the exchange's time may be from [`SourceFixture::now`]: what a slow machine needs.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);
/// How many answers a whole series may take.
const PAGES_MAX: usize = 1_000;

/// A source, and what it is known to have.
#[derive(Clone, Debug)]
pub struct SourceFixture {
    /// The source under test.
    pub source: Arc<dyn CandleSource>,
    /// The exchange's time; it may run on from here for as long as a test takes.
    pub now: Timestamp,
    /// An asset it has candles of.
    pub asset: Asset,
    /// An asset it has no market for.
    pub unknown: Asset,
    /// The interval of the candles.
    pub interval: Interval,
    /// Every candle it has of the asset, ascending, all on the grid. The last one MUST be open at
    /// `now`, at least one slot before MUST be a hole, and there SHOULD be more of them than fit
    /// into one answer.
    pub candles: Vec<Candle>,
}

/// Expands to one test per case of the contract. Takes the path of an
/// `async fn() -> (SourceFixture, impl Sized)` that makes a source and what has to outlive the
/// test. The calling crate needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! candle_source_contract {
    ($fixture:path) => {
        $crate::candle_source_contract! { @cases $fixture;
            the_fixture_can_tell_right_from_wrong,
            the_time_is_the_exchanges,
            the_listing_is_the_open_time_of_the_first_candle,
            a_range_includes_its_start_and_excludes_its_end,
            one_slot_can_be_asked_for,
            a_series_is_read_whole_by_going_on_where_an_answer_ends,
            an_answer_that_does_not_hold_everything_holds_the_oldest_rows,
            what_fits_into_one_answer_comes_in_one,
            pages_cover_what_is_wanted_and_each_fits_into_one_answer,
            before_the_listing_there_is_nothing_and_that_is_an_answer,
            after_the_newest_candle_there_is_nothing_and_that_is_an_answer,
            a_range_across_the_listing_begins_there,
            a_hole_has_no_rows_and_that_is_an_answer,
            the_open_candle_is_a_row,
            an_unknown_asset_is_told_from_one_without_candles,
            tasks_that_ask_at_once_get_what_each_asked_for,
        }
    };
    (@cases $fixture:path; $($case:ident),+ $(,)?) => {
        $(
            #[::tokio::test]
            async fn $case() {
                let (fixture, _guard) = $fixture().await;
                $crate::testing::candle_source_contract::$case(&fixture).await;
            }
        )+
    };
}

impl SourceFixture {
    fn first(&self) -> Timestamp {
        self.candles.first().unwrap().open_time()
    }

    fn last(&self) -> Timestamp {
        self.candles.last().unwrap().open_time()
    }

    fn grid(&self) -> Grid {
        Grid::from_first(self.interval, self.first())
    }

    /// The slots between two instants, which need not be on the grid.
    fn slots(&self, start: Timestamp, end: Timestamp) -> SlotRange {
        self.grid().slots_in(TimeRange::new(start, end).unwrap())
    }

    /// From the first candle to the open one, exclusive: what does not change any more.
    fn closed(&self) -> SlotRange {
        self.slots(self.first(), self.last())
    }

    /// At most `count` slots from `start` on.
    fn run(&self, start: Timestamp, count: i64) -> SlotRange {
        self.slots(start, self.grid().step(start, count))
    }

    /// The known candles of a range.
    fn known(&self, range: SlotRange) -> Vec<Candle> {
        let inside = self.candles.iter().filter(|candle| range.time().contains(candle.open_time()));
        inside.copied().collect()
    }

    /// The first run of slots without candles.
    fn hole(&self) -> SlotRange {
        gaps(self.closed(), self.candles.iter().map(Candle::open_time)).next().unwrap()
    }

    async fn page(&self, asked: SlotRange) -> SourcePage {
        let page = self.source.page(self.asset, asked).await.unwrap();
        assert!(page.answered_until > asked.start(), "an answer goes on");
        assert!(page.answered_until <= asked.end(), "an answer says nothing beyond what was asked");
        page
    }

    /// The candles of an answer that MUST be whole.
    async fn whole(&self, asked: SlotRange) -> Vec<Candle> {
        let page = self.page(asked).await;
        assert_eq!(page.answered_until, asked.end(), "{asked} fits into one answer");
        candles(page)
    }

    fn slots_max(&self) -> i64 {
        i64::from(self.source.page_slots_max().get())
    }
}

fn candles(page: SourcePage) -> Vec<Candle> {
    page.rows.into_iter().map(Result::unwrap).collect()
}

pub async fn the_fixture_can_tell_right_from_wrong(fixture: &SourceFixture) {
    let grid = fixture.grid();
    assert!(fixture.candles.is_sorted_by(|one, next| one.open_time() < next.open_time()));
    assert!(fixture.candles.iter().all(|candle| grid.contains(candle.open_time())));
    assert_eq!(grid.floor(fixture.now), fixture.last(), "the last candle is open");
    assert!(!fixture.hole().is_empty());
    assert!(fixture.candles.len() > 4);
}

pub async fn the_time_is_the_exchanges(fixture: &SourceFixture) {
    let told = fixture.source.server_time().await.unwrap();
    assert!(told.distance(fixture.now) < CLOCK_TOLERANCE, "{told} is not near {}", fixture.now);
}

pub async fn the_listing_is_the_open_time_of_the_first_candle(fixture: &SourceFixture) {
    let listing = fixture.source.listing(fixture.asset, fixture.interval).await.unwrap();
    assert_eq!(listing, Some(fixture.first()));
}

pub async fn a_range_includes_its_start_and_excludes_its_end(fixture: &SourceFixture) {
    let asked = fixture.slots(fixture.candles[1].open_time(), fixture.candles[3].open_time());
    let rows = fixture.whole(asked).await;
    assert_eq!(rows, fixture.candles[1..3]);
}

pub async fn one_slot_can_be_asked_for(fixture: &SourceFixture) {
    let candle = fixture.candles[2];
    assert_eq!(fixture.whole(fixture.run(candle.open_time(), 1)).await, [candle]);
}

pub async fn a_series_is_read_whole_by_going_on_where_an_answer_ends(fixture: &SourceFixture) {
    let mut left = fixture.closed();
    let mut read = Vec::new();
    for _ in 0..PAGES_MAX {
        if left.is_empty() {
            break;
        }
        let asked = fixture.run(left.start(), fixture.slots_max()).before(left.end());
        let page = fixture.page(asked).await;
        left = left.from(page.answered_until);
        read.extend(candles(page));
    }
    assert_eq!(read, fixture.known(fixture.closed()));
}

pub async fn an_answer_that_does_not_hold_everything_holds_the_oldest_rows(fixture: &SourceFixture) {
    let page = fixture.page(fixture.closed()).await;
    let answered = fixture.closed().before(page.answered_until);
    assert_eq!(candles(page), fixture.known(answered));
}

pub async fn what_fits_into_one_answer_comes_in_one(fixture: &SourceFixture) {
    let asked = fixture.run(fixture.first(), fixture.slots_max()).before(fixture.last());
    let page = fixture.page(asked).await;
    // A full answer may leave open whether more follows; it then ends behind its last row.
    let known = fixture.known(asked);
    assert!(page.answered_until > known.last().unwrap().open_time());
    assert_eq!(candles(page), known);
}

pub async fn pages_cover_what_is_wanted_and_each_fits_into_one_answer(fixture: &SourceFixture) {
    let mut left = fixture.closed();
    let mut read = Vec::new();
    for _ in 0..PAGES_MAX {
        if left.is_empty() {
            break;
        }
        let asked = fixture.source.page_within(left);
        assert_eq!(asked.start(), left.start());
        assert!(!asked.is_empty() && asked.end() <= left.end(), "{asked} is a part of {left}");
        let page = fixture.page(asked).await;
        // As above, a full answer may leave open whether more follows.
        assert!(fixture.known(asked.from(page.answered_until)).is_empty(), "{asked} fits into one answer");
        left = left.from(asked.end());
        read.extend(candles(page));
    }
    assert_eq!(read, fixture.known(fixture.closed()));
    let empty = fixture.closed().before(fixture.first());
    assert_eq!(fixture.source.page_within(empty), empty);
}

pub async fn before_the_listing_there_is_nothing_and_that_is_an_answer(fixture: &SourceFixture) {
    let long_before = fixture.grid().step(fixture.first(), -3);
    assert_eq!(fixture.whole(fixture.slots(long_before, fixture.first())).await, []);
}

pub async fn after_the_newest_candle_there_is_nothing_and_that_is_an_answer(fixture: &SourceFixture) {
    // Far enough that no candle opens there while the test runs.
    let later = fixture.grid().next(fixture.last().saturating_add(CLOCK_TOLERANCE * 2));
    assert_eq!(fixture.whole(fixture.run(fixture.grid().next(later), 3)).await, []);
}

pub async fn a_range_across_the_listing_begins_there(fixture: &SourceFixture) {
    let before = fixture.grid().step(fixture.first(), -2);
    let rows = fixture.whole(fixture.run(before, 4)).await;
    assert_eq!(rows, fixture.known(fixture.run(before, 4)));
    assert_eq!(rows[0].open_time(), fixture.first());
}

pub async fn a_hole_has_no_rows_and_that_is_an_answer(fixture: &SourceFixture) {
    let hole = fixture.hole();
    let inside = hole.before(fixture.grid().step(hole.start(), fixture.slots_max()));
    assert_eq!(fixture.whole(inside).await, []);
    let before = fixture.grid().step(hole.start(), -1);
    let around = fixture.run(before, fixture.slots_max()).before(fixture.grid().next(hole.end()));
    assert_eq!(fixture.whole(around).await, fixture.known(around));
}

pub async fn the_open_candle_is_a_row(fixture: &SourceFixture) {
    let rows = fixture.whole(fixture.run(fixture.last(), 1)).await;
    assert_eq!(rows.iter().map(Candle::open_time).collect::<Vec<_>>(), [fixture.last()]);
}

pub async fn an_unknown_asset_is_told_from_one_without_candles(fixture: &SourceFixture) {
    let asked = fixture.run(fixture.first(), 3);
    let page = fixture.source.page(fixture.unknown, asked).await;
    assert!(matches!(page, Err(SourceError::UnknownAsset { .. })), "{page:?}");
    let listing = fixture.source.listing(fixture.unknown, fixture.interval).await;
    assert!(matches!(listing, Err(SourceError::UnknownAsset { .. })), "{listing:?}");
}

pub async fn tasks_that_ask_at_once_get_what_each_asked_for(fixture: &SourceFixture) {
    let ask = |n: usize| {
        let asked = fixture.run(fixture.candles[n].open_time(), 2).before(fixture.last());
        async move { (fixture.whole(asked).await, fixture.known(asked)) }
    };
    let told = tokio::join!(ask(0), ask(1), ask(2), ask(3), ask(1), ask(0));
    for (rows, known) in [told.0, told.1, told.2, told.3, told.4, told.5] {
        assert_eq!(rows, known);
    }
}
