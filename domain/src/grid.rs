//! Where the candles of an interval open.

use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveTime};

use crate::interval::{DAY, Step};
use crate::{Interval, SlotRange, TimeRange, Timestamp};

/// The open times of an interval: every instant at which a candle of it opens.
///
/// All grids are UTC. Seconds to days count from 1970-01-01, weeks open on Monday, months on the
/// first. Three days count from an anchor: BTCUSDT's candles open where the day number since 1970
/// is 1 modulo 3 (2017-08-17, 2024-01-01), other symbols may differ, so a grid can take the anchor
/// from the first candle with [`Grid::from_first`].
///
/// A *slot* is one place on the grid, named by its open time; it ends where the next one opens.
///
/// ```
/// use ohlcv_domain::{Grid, Interval, Timestamp};
///
/// let weeks = Grid::new(Interval::W1);
/// let wednesday: Timestamp = "2024-11-06T09:30:00Z".parse()?;
/// assert_eq!(weeks.floor(wednesday).to_string(), "2024-11-04T00:00:00Z");
///
/// let months = Grid::new(Interval::Mo1);
/// assert_eq!(months.ceil(wednesday).to_string(), "2024-12-01T00:00:00Z");
/// # Ok::<(), ohlcv_domain::TimestampError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grid {
    interval: Interval,
    // An open time near 1970; the others are whole steps away. Unused by calendar months.
    anchor_millis: i64,
}

impl Grid {
    /// The grid of an interval; three-day candles are anchored as BTCUSDT's.
    #[must_use]
    pub const fn new(interval: Interval) -> Self {
        let anchor_millis = match interval {
            Interval::D3 => DAY,
            // 1970-01-05, the first Monday: the epoch was a Thursday.
            Interval::W1 => 4 * DAY,
            _ => 0,
        };
        Self { interval, anchor_millis }
    }

    /// The grid of a series whose first candle opened then. Only three-day candles take their
    /// anchor from it, floored to its day; every other grid is the same for all series.
    #[must_use]
    pub fn from_first(interval: Interval, first: Timestamp) -> Self {
        match interval {
            Interval::D3 => {
                let day = first.millis().div_euclid(DAY).rem_euclid(3);
                Self { interval, anchor_millis: day * DAY }
            }
            _ => Self::new(interval),
        }
    }

    /// The interval of this grid.
    #[must_use]
    pub const fn interval(self) -> Interval {
        self.interval
    }

    /// The number of the slot that an instant falls into: counts up by one from slot to slot.
    fn index(self, at: Timestamp) -> i64 {
        match self.interval.step() {
            Step::Millis(step) => (at.millis() - self.anchor_millis).div_euclid(step),
            Step::CalendarMonth => {
                let date = at.to_datetime().date_naive();
                i64::from(date.year()) * 12 + i64::from(date.month0())
            }
        }
    }

    fn open_at(self, index: i64) -> Timestamp {
        match self.interval.step() {
            // Cannot wrap: an index comes from an instant by division by the same step, and steps
            // away from it are bounded by the span between two instants.
            Step::Millis(step) => Timestamp::from_grid_millis(self.anchor_millis + index * step),
            Step::CalendarMonth => {
                let year = i32::try_from(index.div_euclid(12)).unwrap_or(i32::MAX);
                // Holds: the remainder by 12 is 0 to 11.
                let month = index.rem_euclid(12) as u32 + 1;
                NaiveDate::from_ymd_opt(year, month, 1).map_or(Timestamp::MAX, |first| {
                    let midnight = first.and_time(NaiveTime::MIN).and_utc();
                    Timestamp::from_grid_millis(midnight.timestamp_millis())
                })
            }
        }
    }

    /// The open time of the slot that an instant falls into: the latest one not after it.
    #[must_use]
    pub fn floor(self, at: Timestamp) -> Timestamp {
        self.open_at(self.index(at))
    }

    /// The earliest open time not before an instant.
    #[must_use]
    pub fn ceil(self, at: Timestamp) -> Timestamp {
        let floor = self.floor(at);
        if floor == at { at } else { self.next(floor) }
    }

    /// Whether a candle opens exactly then.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.floor(at) == at
    }

    /// The open time after the slot that an instant falls into: where that slot ends, exclusive.
    #[must_use]
    pub fn next(self, at: Timestamp) -> Timestamp {
        self.open_at(self.index(at) + 1)
    }

    /// [`Grid::next`] of an open time of this grid, whose `step` is at hand: an addition.
    pub(crate) fn after(self, step: Step, open_time: Timestamp) -> Timestamp {
        match step {
            // Cannot wrap: both are within the ends of time, but for one slot.
            Step::Millis(step) => Timestamp::from_grid_millis(open_time.millis() + step),
            Step::CalendarMonth => self.next(open_time),
        }
    }

    /// The open time `slots` slots after (or, negative, before) the slot that an instant falls
    /// into, at least the first and at most the last
    /// open time between [`Timestamp::MIN`] and [`Timestamp::MAX`].
    #[must_use]
    pub fn step(self, at: Timestamp, slots: i64) -> Timestamp {
        let lowest = self.index(self.ceil(Timestamp::MIN));
        let highest = self.index(Timestamp::MAX);
        self.open_at(self.index(at).saturating_add(slots).clamp(lowest, highest))
    }

    /// As [`Grid::step`], for steps within a range whose bounds are open times: those may lie one
    /// slot beyond the ends of time.
    pub(crate) fn step_within(self, at: Timestamp, slots: i64, end: Timestamp) -> Timestamp {
        self.open_at(self.index(at).saturating_add(slots).min(self.index(end)))
    }

    /// How many slots open in `[start, end)`, both on the grid.
    pub(crate) fn count(self, start: Timestamp, end: Timestamp) -> u64 {
        u64::try_from(self.index(end) - self.index(start)).unwrap_or(0)
    }

    /// The slots whose open time lies in a range, bounds half-open as the range's.
    ///
    /// ```
    /// use ohlcv_domain::{Grid, Interval, TimeRange};
    ///
    /// let week = TimeRange::new("2024-11-01T00:00:00Z".parse()?, "2024-11-08T00:00:00Z".parse()?)?;
    /// assert_eq!(Grid::new(Interval::H12).slots_in(week).len(), 14);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn slots_in(self, range: TimeRange) -> SlotRange {
        SlotRange::between(self, self.ceil(range.start()), self.ceil(range.end()))
    }

    /// Where the closed part of a series ends, exclusive: every slot that opens before this instant
    /// had ended at least `grace` before `exchange_now`.
    ///
    /// Exchanges serve the open candle as if it were one of the others, and may still touch one
    /// shortly after its end; so closed is decided by the exchange's own clock, less a grace.
    #[must_use]
    pub fn closed_until(self, exchange_now: Timestamp, grace: Duration) -> Timestamp {
        self.floor(exchange_now.saturating_sub(grace))
    }

    /// How many closed slots open at `since` or later: how far a series that was answered up to
    /// there is behind. `closed_until` as [`Grid::closed_until`] tells it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ohlcv_domain::{Grid, Interval};
    ///
    /// let grid = Grid::new(Interval::H12);
    /// let closed_until = grid.closed_until("2024-11-06T12:10:00Z".parse()?, Duration::from_secs(30));
    /// assert_eq!(grid.slots_behind("2024-11-05T00:00:00Z".parse()?, closed_until), 3);
    /// # Ok::<(), ohlcv_domain::TimestampError>(())
    /// ```
    #[must_use]
    pub fn slots_behind(self, since: Timestamp, closed_until: Timestamp) -> u64 {
        SlotRange::between(self, self.ceil(since), self.floor(closed_until)).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn every_interval_opens_where_the_exchange_opens_it() {
        let cases = [
            (Interval::S1, "2024-11-06T09:31:47Z", "2024-11-06T09:31:48Z"),
            (Interval::M3, "2024-11-06T09:30:00Z", "2024-11-06T09:33:00Z"),
            (Interval::H4, "2024-11-06T08:00:00Z", "2024-11-06T12:00:00Z"),
            (Interval::H12, "2024-11-06T00:00:00Z", "2024-11-06T12:00:00Z"),
            (Interval::D1, "2024-11-06T00:00:00Z", "2024-11-07T00:00:00Z"),
            (Interval::D3, "2024-11-05T00:00:00Z", "2024-11-08T00:00:00Z"),
            (Interval::W1, "2024-11-04T00:00:00Z", "2024-11-11T00:00:00Z"),
            (Interval::Mo1, "2024-11-01T00:00:00Z", "2024-12-01T00:00:00Z"),
        ];
        for (interval, floor, next) in cases {
            let grid = Grid::new(interval);
            let now = at("2024-11-06T09:31:47.250Z");
            assert_eq!(grid.floor(now), at(floor), "{interval}");
            assert_eq!(grid.next(now), at(next), "{interval}");
            assert_eq!(grid.ceil(now), at(next), "{interval}");
            assert_eq!(grid.ceil(at(floor)), at(floor), "{interval}");
        }
    }

    #[test]
    fn three_day_candles_of_btc_open_where_they_were_seen_to() {
        let grid = Grid::new(Interval::D3);
        for seen in ["2017-08-17T00:00:00Z", "2024-01-01T00:00:00Z", "2026-07-13T00:00:00Z"] {
            assert!(grid.contains(at(seen)), "{seen}");
        }
    }

    #[test]
    fn a_three_day_series_takes_its_anchor_from_its_first_candle() {
        let first = at("2018-05-04T00:00:00Z");
        let grid = Grid::from_first(Interval::D3, first);
        assert!(grid.contains(first));
        assert!(!Grid::new(Interval::D3).contains(first));
        assert_eq!(Grid::from_first(Interval::H12, first), Grid::new(Interval::H12));
    }

    #[test]
    fn months_are_calendar_months_across_leap_years_and_before_1970() {
        let grid = Grid::new(Interval::Mo1);
        assert_eq!(grid.next(at("2024-02-29T23:59:59Z")), at("2024-03-01T00:00:00Z"));
        assert_eq!(grid.floor(at("1969-12-31T23:00:00Z")), at("1969-12-01T00:00:00Z"));
        assert_eq!(grid.step(at("2024-01-15T00:00:00Z"), -13), at("2022-12-01T00:00:00Z"));
    }

    #[test]
    fn steps_stop_at_the_ends_of_time() {
        for interval in Interval::ALL {
            let grid = Grid::new(interval);
            assert!(grid.step(Timestamp::MAX, i64::MAX) <= Timestamp::MAX, "{interval}");
            assert!(grid.step(Timestamp::MIN, i64::MIN) >= Timestamp::MIN, "{interval}");
            assert!(grid.next(Timestamp::MAX) > Timestamp::MAX, "{interval}");
        }
    }

    #[test]
    fn a_series_is_behind_by_the_closed_slots_that_were_not_answered() {
        let grid = Grid::new(Interval::H12);
        let closed_until = at("2024-11-06T12:00:00Z");
        let behind = |since| grid.slots_behind(at(since), closed_until);
        assert_eq!(behind("2024-11-06T12:00:00Z"), 0);
        assert_eq!(behind("2024-11-06T00:00:00Z"), 1);
        // Answered further than this clock says is closed: not behind.
        assert_eq!(behind("2024-11-08T00:00:00Z"), 0);
        assert_eq!(
            Grid::new(Interval::Mo1).slots_behind(at("2024-08-01T00:00:00Z"), at("2024-11-01T00:00:00Z")),
            3
        );
    }

    #[test]
    fn a_candle_is_closed_only_when_its_end_plus_the_grace_has_passed() {
        let grid = Grid::new(Interval::H12);
        let grace = Duration::from_secs(30);
        assert_eq!(grid.closed_until(at("2024-11-06T12:00:29.999Z"), grace), at("2024-11-06T00:00:00Z"));
        assert_eq!(grid.closed_until(at("2024-11-06T12:00:30Z"), grace), at("2024-11-06T12:00:00Z"));
    }
}
