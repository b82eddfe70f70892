//! Whether a market has stopped, as far as the ledger tells.

use std::time::Duration;

use crate::{Grid, Summary, TimeRange, Timestamp};

/// A market that has had no candle for this long has stopped. Twice the longest outage of the exchange
/// that is known (33 hours), so that an outage is not taken for the end of a market.
pub const HALTED_AFTER: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Fewer candles in a row than this may just be late, however long they last.
const HALTED_CANDLES: u32 = 3;
/// How long a market that has stopped is left alone before it is looked at again: it may come back.
pub const HALTED_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

impl Summary {
    /// The end of the series, from its last candle up to where the exchange has answered, if the
    /// exchange has had nothing there that could be stored for [`HALTED_AFTER`] or longer, and for no
    /// fewer than three candles of the longest kind: one that is late ends no market.
    ///
    /// Where no candle is stored at all it begins with the span, but not before the listing.
    #[must_use]
    pub fn halt(&self, grid: Grid) -> Option<TimeRange> {
        let listed = self.listing.map_or(Timestamp::MIN, |listing| grid.floor(listing));
        let since = match self.last {
            Some(last) => grid.next(last),
            None => self.span?.start().max(listed),
        };
        let halt = TimeRange::new(since, self.answered_until?).ok()?;
        let after = HALTED_AFTER.max(grid.interval().longest() * HALTED_CANDLES);
        (halt.lasts() >= after).then_some(halt)
    }

    /// Where the part begins that need not be looked at yet: the market has stopped, and less than
    /// [`HALTED_PAUSE`] has closed since the exchange last answered. `closed_until` as
    /// [`Grid::closed_until`] tells it.
    #[must_use]
    pub fn rests_from(&self, grid: Grid, closed_until: Timestamp) -> Option<Timestamp> {
        let halt = self.halt(grid)?;
        (closed_until.since(halt.end()) < HALTED_PAUSE).then_some(halt.start())
    }

    /// How many closed slots the exchange has not answered about at the end of the series; none
    /// while it [rests](Summary::rests_from). `since` is where an answer is wanted from if there was none.
    #[must_use]
    pub fn lag(&self, grid: Grid, since: Timestamp, closed_until: Timestamp) -> u64 {
        if self.rests_from(grid, closed_until).is_some() {
            return 0;
        }
        grid.slots_behind(self.answered_until.unwrap_or(since), closed_until)
    }
}

#[cfg(test)]
mod tests {
    use crate::{BackfillState, Interval};

    use super::*;

    const GRID: Grid = Grid::new(Interval::H12);

    fn day(day: i64) -> Timestamp {
        Timestamp::from_millis(day * 86_400_000).unwrap()
    }

    /// A series from day 0 with candles before day `candles_until`, answered up to `answered_until`.
    fn series(candles_until: Option<i64>, answered_until: i64) -> Summary {
        Summary {
            asset: "LUNA".parse().unwrap(),
            span: TimeRange::new(day(0), day(answered_until)).ok(),
            answered_until: Some(day(answered_until)),
            listing: Some(day(1)),
            first: candles_until.map(|_| day(1)),
            last: candles_until.map(|until| GRID.step(day(until), -1)),
            candles: 1,
            backfill: BackfillState::default(),
        }
    }

    #[test]
    fn a_market_has_stopped_after_three_days_without_a_candle() {
        assert_eq!(series(Some(10), 12).halt(GRID), None);
        let halt = series(Some(10), 13).halt(GRID);
        assert_eq!(halt, TimeRange::new(day(10), day(13)).ok());
        assert_eq!(series(Some(10), 10).halt(GRID), None);
    }

    #[test]
    fn no_market_has_stopped_because_one_weekly_candle_is_late() {
        let weekly = Grid::new(Interval::W1);
        let monday = weekly.ceil(day(100));
        let after = |weeks: i64| Summary {
            last: Some(weekly.step(monday, -1)),
            answered_until: Some(weekly.step(monday, weeks)),
            ..series(None, 0)
        };
        assert_eq!(after(1).halt(weekly), None);
        assert_eq!(after(2).halt(weekly), None);
        assert_eq!(after(3).halt(weekly), TimeRange::new(monday, weekly.step(monday, 3)).ok());
    }

    #[test]
    fn a_market_without_any_candle_has_stopped_three_days_after_its_listing() {
        assert_eq!(series(None, 3).halt(GRID), None);
        assert_eq!(series(None, 4).halt(GRID), TimeRange::new(day(1), day(4)).ok());
    }

    #[test]
    fn a_market_that_has_stopped_rests_for_a_day_and_does_not_lag_meanwhile() {
        let stopped = series(Some(10), 13);
        let noon = GRID.next(day(13));
        assert_eq!(stopped.rests_from(GRID, noon), Some(day(10)));
        assert_eq!((stopped.lag(GRID, day(0), noon), stopped.lag(GRID, day(0), day(14))), (0, 2));
        assert_eq!(stopped.rests_from(GRID, day(14)), None);
        let alive = series(Some(13), 13);
        assert_eq!((alive.rests_from(GRID, noon), alive.lag(GRID, day(0), noon)), (None, 1));
    }
}
