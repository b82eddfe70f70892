//! Candles that somebody brings along, beside what is stored.

use crate::{Candle, Cause, Difference, Finding, Hole, SlotRange, TimeRange, differences, gaps};

/// What of the candles that somebody brings along is to be written, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// What is to be written, ascending, no two of the same slot.
    pub runs: Vec<AddedRun>,
    /// How many of the candles are stored just so.
    pub unchanged: u64,
    /// Candles that say something else than what is stored: the stored one, and the one brought along.
    pub contradicting: Vec<(Candle, Candle)>,
}

/// Candles that can be written at once: with `findings` they cover `slots` exactly, as a
/// [`Commit`](crate::Commit) has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedRun {
    /// From the first to the last of the candles.
    pub slots: SlotRange,
    /// The candles, ascending.
    pub candles: Vec<Candle>,
    /// The slots between them, as `pending`: nobody was asked about them.
    pub findings: Vec<Finding>,
}

/// Parts the candles that somebody brings along for `slots` by what is stored there.
///
/// `offered` must have passed the door, `stored` and `holes` be what a store has of these slots; all
/// ascend. Candles that are not stored are added, and so is the rest of a kline of which only the prices
/// were known. One that contradicts a stored candle is left out, unless it is to `replace` it.
///
/// What the source has said stays: a hole with another cause than `pending` is in no run, except
/// where a candle of it is brought along.
///
/// ```
/// use ohlcv_domain::{additions, Candle, Grid, Interval, SlotRange, Timestamp};
///
/// let day = |day: i64| Timestamp::from_millis(day * 86_400_000).unwrap();
/// let slots = SlotRange::new(Grid::new(Interval::D1), day(0), day(10))?;
/// let candle = |at: i64, price: &str| Candle::flat(day(at), price.parse().unwrap());
///
/// let stored = [candle(1, "1"), candle(2, "1")];
/// let found = additions(slots, &[candle(1, "1"), candle(2, "7"), candle(4, "1")], &stored, &[], false);
/// assert_eq!(found.unchanged, 1);
/// assert_eq!(found.contradicting, [(candle(2, "1"), candle(2, "7"))]);
/// assert_eq!(found.runs[0].candles, [candle(4, "1")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn additions(
    slots: SlotRange,
    offered: &[Candle],
    stored: &[Candle],
    holes: &[Hole],
    replace: bool,
) -> Additions {
    let mut wanted = Vec::new();
    let mut contradicting = Vec::new();
    let mut different: u64 = 0;
    for difference in differences(stored, offered) {
        let (before, brought) = match difference {
            Difference::MissingAtSource { .. } => continue,
            Difference::MissingInStore { source } => (None, source),
            Difference::Differs { stored, source } => (Some(stored), source),
        };
        different += 1;
        let contradicted = before.filter(|before| brought.contradicts(before));
        contradicting.extend(contradicted.map(|before| (before, brought)));
        if contradicted.is_none() || replace {
            wanted.push(brought);
        }
    }
    let unchanged = (offered.len() as u64).saturating_sub(different);
    Additions { runs: runs(slots, &wanted, holes), unchanged, contradicting }
}

fn runs(slots: SlotRange, wanted: &[Candle], holes: &[Hole]) -> Vec<AddedRun> {
    let grid = slots.grid();
    let mut runs = Vec::new();
    let mut left = wanted;
    for part in slots.time().without(explained(slots, wanted, holes)) {
        let (inside, behind) = left.split_at(left.partition_point(|candle| candle.open_time() < part.end()));
        left = behind;
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else { continue };
        let slots = slots.from(first.open_time()).before(grid.next(last.open_time()));
        let pending =
            |gap: SlotRange| Finding { range: gap.time(), cause: Cause::Pending, detail: String::new() };
        let findings = gaps(slots, inside.iter().map(Candle::open_time)).map(pending).collect();
        runs.push(AddedRun { slots, candles: inside.to_vec(), findings });
    }
    runs
}

/// The slots of which the ledger says more than that they are pending, and for which no candle is wanted.
fn explained(slots: SlotRange, wanted: &[Candle], holes: &[Hole]) -> Vec<TimeRange> {
    let mut explained = Vec::new();
    let mut holes = holes.iter().filter(|hole| hole.cause != Cause::Pending).peekable();
    for gap in gaps(slots, wanted.iter().map(Candle::open_time)) {
        while let Some(hole) = holes.peek() {
            explained.extend(hole.range.intersection(gap.time()));
            // It may go on in the next gap.
            if hole.range.end() > gap.end() {
                break;
            }
            holes.next();
        }
    }
    explained
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Asset, Commit, Grid, Interval, Timestamp, TradeDetails, Volume};

    fn day(day: i64) -> Timestamp {
        Timestamp::from_millis(day * 86_400_000).unwrap()
    }

    fn days(from: i64, to: i64) -> SlotRange {
        SlotRange::new(Grid::new(Interval::D1), day(from), day(to)).unwrap()
    }

    fn candle(at: i64) -> Candle {
        Candle::flat(day(at), "1".parse().unwrap())
    }

    fn hole(from: i64, to: i64, cause: Cause) -> Hole {
        let range = days(from, to).time();
        Hole { range, cause, detail: String::new(), since: day(0), asked: 1, last_asked: Some(day(0)) }
    }

    /// The days of each run, and that it is a commit.
    fn told(found: &Additions) -> Vec<(i64, i64, usize)> {
        let btc: Asset = "BTC".parse().unwrap();
        let told = found.runs.iter().map(|run| {
            let commit =
                Commit::new(btc, run.slots, run.candles.clone(), run.findings.clone(), day(99)).unwrap();
            assert!(commit.findings().iter().all(|finding| finding.cause == Cause::Pending));
            let number = |at: Timestamp| at.millis() / 86_400_000;
            (number(run.slots.start()), number(run.slots.end()), run.candles.len())
        });
        told.collect()
    }

    #[test]
    fn what_the_source_said_is_left_alone_and_what_nobody_asked_is_not() {
        let offered = [1, 3, 9, 12].map(candle);
        let holes = [
            hole(2, 3, Cause::Pending),
            hole(4, 6, Cause::SourceEmpty),
            hole(7, 8, Cause::Rejected),
            hole(8, 14, Cause::SourceEmpty),
        ];
        let found = additions(days(0, 20), &offered, &[], &holes, false);
        // The hole of days 8 to 14 has candles in it now; the rest of it is no part of any run.
        assert_eq!(told(&found), [(1, 4, 2), (9, 10, 1), (12, 13, 1)]);
    }

    #[test]
    fn slots_that_the_ledger_does_not_know_are_in_the_run() {
        let found = additions(days(0, 20), &[1, 5].map(candle), &[], &[], false);
        assert_eq!(told(&found), [(1, 6, 2)]);
        assert_eq!(found.runs[0].findings[0].range, days(2, 5).time());
    }

    #[test]
    fn the_rest_of_a_kline_is_added_and_never_taken_away() {
        let whole = candle(1);
        let bare = Candle::new(whole.open_time(), whole.prices(), whole.volume()).unwrap();
        let found = additions(days(0, 20), &[whole], &[bare], &[], false);
        assert_eq!((told(&found), found.unchanged), (vec![(1, 2, 1)], 0));
        let found = additions(days(0, 20), &[bare], &[whole], &[], false);
        assert_eq!((told(&found), found.unchanged), (vec![], 1));
    }

    #[test]
    fn a_contradiction_is_written_only_to_replace() {
        let other = candle(1).with_details(TradeDetails {
            quote_volume: Volume::ZERO,
            trades: 7,
            taker_buy_volume: Volume::ZERO,
            taker_buy_quote_volume: Volume::ZERO,
        });
        for (replace, runs) in [(false, vec![]), (true, vec![(1, 2, 1)])] {
            let found = additions(days(0, 20), &[other], &[candle(1)], &[], replace);
            assert_eq!((told(&found), found.unchanged), (runs, 0));
            assert_eq!(found.contradicting, [(candle(1), other)]);
        }
    }
}
