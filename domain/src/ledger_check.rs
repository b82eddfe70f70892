//! What is wrong with a ledger of holes.

use crate::{SlotRange, TimeRange, Timestamp, disagreement, gaps};

/// Where a ledger breaks its rules: every slot has either a stored candle or lies in one hole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFaults {
    /// Holes that hold nothing, or whose bounds are no open times.
    pub misplaced: Vec<TimeRange>,
    /// Slots in more than one hole.
    pub overlaps: Vec<TimeRange>,
    /// Slots in a hole at which a candle is stored.
    pub over_candles: Vec<TimeRange>,
    /// Slots with neither a hole nor a candle.
    pub unexplained: Vec<TimeRange>,
}

/// Checks the holes that overlap `slots`, as far as they lie in it.
///
/// `stored` are the open times of the candles stored there, `holes` the holes by their start; both
/// must ascend. A misplaced hole explains nothing.
///
/// ```
/// use ohlcv_domain::{Grid, Interval, SlotRange, TimeRange, Timestamp, check_ledger};
///
/// let day = |day: i64| Timestamp::from_millis(day * 86_400_000).unwrap();
/// let days = |from, to| TimeRange::new(day(from), day(to)).unwrap();
/// let slots = SlotRange::new(Grid::new(Interval::D1), day(0), day(5))?;
///
/// let faults = check_ledger(slots, &[day(0)], &[days(1, 3), days(2, 4)]);
/// assert_eq!((faults.overlaps, faults.unexplained), (vec![days(2, 3)], vec![days(4, 5)]));
/// # Ok::<(), ohlcv_domain::RangeError>(())
/// ```
#[must_use]
pub fn check_ledger(slots: SlotRange, stored: &[Timestamp], holes: &[TimeRange]) -> LedgerFaults {
    let grid = slots.grid();
    let mut faults = LedgerFaults::default();
    // The holes without what lies in an earlier one, and where they end.
    let mut apart: Vec<TimeRange> = Vec::with_capacity(holes.len());
    let mut until = slots.start();
    for hole in holes {
        if hole.is_empty() || !grid.contains(hole.start()) || !grid.contains(hole.end()) {
            faults.misplaced.push(*hole);
            continue;
        }
        let Some(hole) = hole.intersection(slots.time()) else { continue };
        let seen = TimeRange::new(hole.start(), until.min(hole.end()));
        faults.overlaps.extend(seen.ok().filter(|seen| !seen.is_empty()));
        apart.extend(hole.without(seen));
        until = until.max(hole.end());
    }
    let missing: Vec<_> = gaps(slots, stored.iter().copied()).map(SlotRange::time).collect();
    let found = disagreement(slots.time(), &missing, &apart);
    faults.over_candles = found.stored_holes;
    faults.unexplained = found.unexplained;
    faults
}
