//! What every [`CandleStore`] with its [`Coverage`] has to do, as cases that anybody can run.
//!
//! An implementation is held to all of them with one line in a test:
//!
//! ```no_run
//! use std::sync::Arc;
//! use ohlcv_ports::testing::{MemoryStore, candle_store_contract::StoreUnderTest};
//!
//! /// An empty store of 12h candles, and who marks slots in it; that lives as long as the test.
//! async fn memory() -> StoreUnderTest {
//!     let store = Arc::new(MemoryStore::new());
//!     let shared = || Arc::<MemoryStore>::clone(&store);
//!     StoreUnderTest { candles: shared(), coverage: shared(), history: shared(), marks: store }
//! }
//!
//! ohlcv_ports::candle_store_contract!(memory);
//! # fn main() {}
//! ```

#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]
#![expect(missing_docs, reason = "the name of a case says what it holds")]

mod changes;
mod history;
mod ledger;
mod reading;
mod summaries;
mod unverified;
mod writing;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{
    Applied, Asset, Candle, Cause, Commit, Finding, Grid, Head, Hole, HoleCount, Interval, Ohlc, SlotRange,
    Summary, TimeRange, Timestamp, TradeDetails, gaps,
};

pub use changes::*;
pub use history::*;
pub use ledger::*;
pub use reading::*;
pub use summaries::*;
pub use unverified::*;
pub use writing::*;

use crate::{CandleStore, Coverage, History, HoleQuery, Take};

/// A fresh, empty store of 12h candles.
#[derive(Clone, Debug)]
pub struct StoreUnderTest {
    /// Its candles.
    pub candles: Arc<dyn CandleStore>,
    /// Its ledger and summaries.
    pub coverage: Arc<dyn Coverage>,
    /// What its candles were earlier.
    pub history: Arc<dyn History>,
    /// Who marks slots in it.
    pub marks: Arc<dyn MarkUnverified>,
}

/// Marks slots of a store as unverified, which no port does: only a migration that moves rows in.
#[async_trait]
pub trait MarkUnverified: Debug + Send + Sync {
    /// Marks the slots of a range, which are not marked yet.
    async fn mark_unverified(&self, asset: Asset, range: TimeRange);
}

/// Expands to one test per case of the contract. Takes the path of an
/// `async fn() -> StoreUnderTest` that makes an empty store of 12h candles. The calling crate needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! candle_store_contract {
    ($fresh:path) => {
        $crate::candle_store_contract! { @cases $fresh;
            // reading
            what_was_written_is_read_back_to_the_digit,
            what_is_not_known_beyond_prices_and_volume_stays_unknown,
            the_earliest_and_the_latest_times_are_kept,
            a_range_includes_its_start_and_excludes_its_end,
            the_oldest_or_the_newest_rows_are_taken_and_ascend_either_way,
            an_empty_range_or_a_limit_of_zero_has_no_rows,
            an_unknown_asset_has_nothing,
            assets_do_not_see_each_other,
            breaks_count_the_rows_and_tell_where_they_stand_apart,
            breaks_of_a_part_see_only_that_part,
            breaks_of_nothing_are_nothing,
            a_store_that_works_is_ready,
            // writing
            writing_the_same_again_changes_nothing,
            a_candle_with_other_numbers_replaces_the_stored_one,
            details_that_become_known_are_added_and_never_wiped_by_unknown_ones,
            what_is_not_in_a_commit_is_not_deleted,
            a_page_of_a_thousand_candles_is_stored_in_one_write,
            tasks_that_write_the_same_page_at_once_store_it_once,
            tasks_that_write_different_pages_at_once_lose_nothing,
            // ledger
            holes_carry_their_cause_and_detail,
            a_hole_never_covers_a_stored_candle,
            asking_again_in_vain_is_counted_and_keeps_the_beginning,
            another_cause_begins_anew,
            a_hole_that_heals_in_part_is_split,
            a_hole_that_heals_is_gone,
            what_was_not_asked_about_stays_as_it_was,
            a_commit_apart_from_the_span_leaves_pending_slots_between,
            the_span_grows_both_ways,
            holes_of_neighbouring_commits_become_one,
            holes_are_listed_whole_and_in_order_up_to_the_limit,
            holes_of_one_cause_are_listed_alone,
            the_newest_holes_are_taken_and_ascend_all_the_same,
            holes_are_counted_by_asset_cause_and_length,
            // summaries
            the_answered_part_ends_before_a_tail_that_was_not_answered,
            a_summary_counts_the_rows_and_knows_the_first_and_the_last,
            the_listing_is_kept_until_another_one_is_given,
            a_commit_about_no_slot_leaves_the_span_alone,
            counting_a_sound_series_anew_changes_nothing,
            summaries_are_sorted_by_name,
            heads_say_where_series_stand_and_move_with_every_change,
            the_backfill_is_noted_before_and_after_the_first_commit,
            // unverified
            marked_slots_are_listed_whole_and_in_order_up_to_the_limit,
            an_answer_takes_the_mark_off_what_was_asked_about,
            an_answer_in_the_middle_leaves_the_mark_on_both_sides,
            an_answer_that_there_is_nothing_takes_the_mark_off_and_no_row_away,
            slots_without_an_answer_keep_their_mark,
            candles_that_did_not_come_from_the_source_leave_the_mark,
            an_answer_that_only_verifies_is_not_logged_as_a_change,
            the_marks_of_each_asset_are_taken_off_by_themselves,
            // history
            a_candle_is_there_from_its_arrival_on,
            each_value_of_a_candle_that_was_replaced_stood_in_its_time,
            what_is_only_added_to_a_candle_revises_nothing,
            earlier_rows_are_taken_from_either_end_like_those_of_now,
            revisions_are_read_after_a_number_within_a_range_up_to_a_limit,
            // changes
            every_write_that_changes_something_is_logged_in_order,
            a_write_that_changes_nothing_is_not_logged,
            a_write_that_only_asked_again_is_not_logged,
            asking_again_about_a_part_of_a_hole_is_not_logged,
            a_change_of_holes_alone_is_logged,
            a_change_of_what_lies_between_is_logged,
            the_log_is_read_after_a_number_up_to_a_limit,
            the_changes_of_each_asset_are_counted_by_themselves,
        }
    };
    (@cases $fresh:path; $($case:ident),+ $(,)?) => {
        $(
            #[::tokio::test]
            async fn $case() {
                let store = $fresh().await;
                $crate::testing::candle_store_contract::$case(&store).await;
            }
        )+
    };
}

/// Where slot 0 of the cases opens.
const ORIGIN_MILLIS: i64 = 1_704_067_200_000;
/// How long a slot of the cases lasts.
const HALF_DAY: Duration = Duration::from_secs(12 * 60 * 60);
const NO_LIMIT: u64 = 100_000;

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn eth() -> Asset {
    "ETH".parse().unwrap()
}

fn grid() -> Grid {
    Grid::new(Interval::H12)
}

/// The open time of the `n`th slot.
fn slot(n: i64) -> Timestamp {
    grid().step(Timestamp::from_millis(ORIGIN_MILLIS).unwrap(), n)
}

fn time(from: i64, to: i64) -> TimeRange {
    TimeRange::new(slot(from), slot(to)).unwrap()
}

fn slots(from: i64, to: i64) -> SlotRange {
    grid().slots_in(time(from, to))
}

/// When the `n`th commit of a case is made: long after all of its slots.
fn moment(n: u64) -> Timestamp {
    slot(10_000).saturating_add(Duration::from_secs(n))
}

/// A candle with all there is to know.
fn candle(n: i64) -> Candle {
    priced(n, "42.5")
}

fn priced(n: i64, close: &str) -> Candle {
    plain(n, close).with_details(TradeDetails {
        quote_volume: "17.25".parse().unwrap(),
        trades: 7,
        taker_buy_volume: "0.5".parse().unwrap(),
        taker_buy_quote_volume: "8.125".parse().unwrap(),
    })
}

/// A candle without the rest of the kline.
fn plain(n: i64, close: &str) -> Candle {
    let prices = Ohlc {
        open: "40".parse().unwrap(),
        high: "50.00000001".parse().unwrap(),
        low: "39.99999999".parse().unwrap(),
        close: close.parse().unwrap(),
    };
    Candle::new(slot(n), prices, "1.5".parse().unwrap()).unwrap()
}

fn candles(numbers: impl IntoIterator<Item = i64>) -> Vec<Candle> {
    numbers.into_iter().map(candle).collect()
}

fn finding(from: i64, to: i64, cause: Cause, detail: &str) -> Finding {
    Finding { range: time(from, to), cause, detail: detail.to_owned() }
}

/// A commit about slots `from` to `to` of BTC; where there is no candle, the source was empty.
fn commit(from: i64, to: i64, candles: Vec<Candle>, at: Timestamp) -> Commit {
    commit_of(btc(), slots(from, to), candles, at)
}

fn commit_of(asset: Asset, asked: SlotRange, candles: Vec<Candle>, at: Timestamp) -> Commit {
    let missing = gaps(asked, candles.iter().map(Candle::open_time));
    let findings =
        missing.map(|gap| Finding { range: gap.time(), cause: Cause::SourceEmpty, detail: String::new() });
    let findings = findings.collect();
    Commit::new(asset, asked, candles, findings, at).unwrap()
}

/// A commit that says one thing about slots `from` to `to` of BTC.
fn said(from: i64, to: i64, cause: Cause, detail: &str, at: Timestamp) -> Commit {
    Commit::of_finding(btc(), slots(from, to), cause, detail, at)
}

fn counts(new: u64, changed: u64, unchanged: u64) -> Applied {
    Applied { new, changed, unchanged }
}

/// What a reader sees of holes: where, why, what about it.
fn seen(holes: &[Hole]) -> Vec<(TimeRange, Cause, &str)> {
    holes.iter().map(|hole| (hole.range, hole.cause, hole.detail.as_str())).collect()
}

impl StoreUnderTest {
    async fn apply(&self, commit: Commit) -> Applied {
        self.candles.apply(commit).await.unwrap()
    }

    /// All rows of an asset.
    async fn rows(&self, asset: Asset) -> Vec<Candle> {
        self.candles.page(asset, TimeRange::ALL, Take::Oldest, NO_LIMIT).await.unwrap()
    }

    /// All holes of BTC.
    async fn holes(&self) -> Vec<Hole> {
        self.coverage.holes(btc(), HoleQuery::oldest(TimeRange::ALL, NO_LIMIT)).await.unwrap()
    }

    /// Marks slots `from` to `to` of BTC as unverified.
    async fn mark(&self, from: i64, to: i64) {
        self.marks.mark_unverified(btc(), time(from, to)).await;
    }

    /// All unverified slots of BTC.
    async fn unverified(&self) -> Vec<TimeRange> {
        self.coverage.unverified(btc(), TimeRange::ALL, NO_LIMIT).await.unwrap()
    }

    /// The summary of BTC, which something was written about.
    async fn summary(&self) -> Summary {
        self.coverage.summary(btc()).await.unwrap().unwrap()
    }

    /// The ranges of all changes of BTC, which MUST be numbered from one.
    async fn changes(&self) -> Vec<TimeRange> {
        let changes = self.candles.changes(btc(), 0, NO_LIMIT).await.unwrap();
        let numbers: Vec<u64> = changes.iter().map(|change| change.seq).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        changes.into_iter().map(|change| change.range).collect()
    }
}
