//! Half-open ranges of time and of slots.

use std::fmt;
use std::time::Duration;

use crate::{Grid, Timestamp};

/// A half-open range of time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    start: Timestamp,
    end: Timestamp,
}

/// A half-open run of slots of one grid; both bounds are open times. May be empty.
///
/// ```
/// use ohlcv_domain::{Grid, Interval, SlotRange};
///
/// let grid = Grid::new(Interval::H12);
/// let day = SlotRange::new(grid, "2024-11-01T00:00:00Z".parse()?, "2024-11-02T00:00:00Z".parse()?)?;
/// assert_eq!(day.len(), 2);
/// assert_eq!(day.iter().last(), Some("2024-11-01T12:00:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotRange {
    grid: Grid,
    start: Timestamp,
    end: Timestamp,
}

/// Why two instants are not the bounds of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The end lies before the start.
    #[error("the range ends at {end}, before its start {start}")]
    Reversed {
        /// The start that was given.
        start: Timestamp,
        /// The end that was given.
        end: Timestamp,
    },
    /// No candle of the interval opens at a bound.
    #[error("no {interval} candle opens at {at}")]
    OffGrid {
        /// The bound that is off the grid.
        at: Timestamp,
        /// The interval of the grid.
        interval: crate::Interval,
    },
}

impl TimeRange {
    /// Every instant there is.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// From `start` (inclusive) to `end` (exclusive). Equal bounds make the empty range.
    ///
    /// # Errors
    /// [`RangeError::Reversed`] if `end` lies before `start`.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, RangeError> {
        if end < start {
            return Err(RangeError::Reversed { start, end });
        }
        Ok(Self { start, end })
    }

    /// For bounds that are known to be in order.
    pub(crate) const fn between(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// How long it is.
    #[must_use]
    pub fn lasts(self) -> Duration {
        self.end.since(self.start)
    }

    /// The first instant of the range.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// The first instant after the range.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        self.end
    }

    /// Whether no instant lies in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether an instant lies in it.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// What lies in both, if anything does.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let common = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (!common.is_empty()).then_some(common)
    }

    /// The smallest range that holds both, and what lies between them.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The part of it that lies after an instant, if there is any.
    #[must_use]
    pub fn after(self, at: Timestamp) -> Option<Self> {
        let start = self.start.max(Timestamp::from_grid_millis(at.millis() + 1));
        (start < self.end).then_some(Self { start, end: self.end })
    }

    /// Its two halves; none if it is a single millisecond, or empty.
    ///
    /// ```
    /// use ohlcv_domain::{TimeRange, Timestamp};
    ///
    /// let range = |start, end| {
    ///     TimeRange::new(Timestamp::from_millis(start).unwrap(), Timestamp::from_millis(end).unwrap()).unwrap()
    /// };
    /// assert_eq!(range(0, 5).halves(), Some([range(0, 2), range(2, 5)]));
    /// assert_eq!(range(0, 1).halves(), None);
    /// ```
    #[must_use]
    pub fn halves(self) -> Option<[Self; 2]> {
        let middle = Timestamp::from_grid_millis(self.start.millis().midpoint(self.end.millis()));
        let apart = self.start < middle && middle < self.end;
        apart.then_some([Self { start: self.start, end: middle }, Self { start: middle, end: self.end }])
    }

    /// What is left of it when `cuts` are taken out, ascending. The cuts must be ascending.
    ///
    /// ```
    /// use ohlcv_domain::{TimeRange, Timestamp};
    ///
    /// let range = |start, end| {
    ///     TimeRange::new(Timestamp::from_millis(start).unwrap(), Timestamp::from_millis(end).unwrap()).unwrap()
    /// };
    /// assert_eq!(range(0, 100).without([range(10, 30), range(60, 80)]), [range(0, 10), range(30, 60), range(80, 100)]);
    /// ```
    #[must_use]
    pub fn without(self, cuts: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut left = Vec::new();
        let mut from = self.start;
        for cut in cuts {
            if cut.start >= self.end {
                break;
            }
            if cut.start > from {
                left.push(Self { start: from, end: cut.start });
            }
            from = from.max(cut.end);
        }
        if from < self.end {
            left.push(Self { start: from, end: self.end });
        }
        left
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

impl fmt::Debug for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SlotRange {
    /// The slots from `start` (inclusive) to `end` (exclusive).
    ///
    /// # Errors
    /// [`RangeError`] if a bound is no open time of the grid or `end` lies before `start`.
    pub fn new(grid: Grid, start: Timestamp, end: Timestamp) -> Result<Self, RangeError> {
        for at in [start, end] {
            if !grid.contains(at) {
                return Err(RangeError::OffGrid { at, interval: grid.interval() });
            }
        }
        TimeRange::new(start, end)?;
        Ok(Self { grid, start, end })
    }

    /// Both bounds are on the grid already; a reversed pair makes the empty range at `start`.
    pub(crate) fn between(grid: Grid, start: Timestamp, end: Timestamp) -> Self {
        Self { grid, start, end: end.max(start) }
    }

    /// The grid that the slots lie on.
    #[must_use]
    pub const fn grid(self) -> Grid {
        self.grid
    }

    /// The open time of the first slot.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// The open time of the first slot after the range.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        self.end
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(self) -> u64 {
        self.grid.count(self.start, self.end)
    }

    /// Whether there is no slot in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The time that the slots cover.
    #[must_use]
    pub const fn time(self) -> TimeRange {
        TimeRange { start: self.start, end: self.end }
    }

    /// The open times, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Timestamp> {
        // Holds: a range of slots is shorter than the milliseconds between its bounds.
        let len = i64::try_from(self.len()).unwrap_or(i64::MAX);
        (0..len).map(move |slot| self.grid.step_within(self.start, slot, self.end))
    }

    /// The same slots, and the one before them.
    #[must_use]
    pub fn with_one_before(self) -> Self {
        Self { start: self.grid.step(self.start, -1), ..self }
    }

    /// The slots of this range that open before `at`.
    #[must_use]
    pub fn before(self, at: Timestamp) -> Self {
        Self::between(self.grid, self.start, self.grid.ceil(at).min(self.end))
    }

    /// The slots of this range that open at `at` or later.
    #[must_use]
    pub fn from(self, at: Timestamp) -> Self {
        Self::between(self.grid, self.grid.ceil(at).max(self.start).min(self.end), self.end)
    }
}

impl fmt::Display for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}, {})", self.grid.interval(), self.start, self.end)
    }
}

impl fmt::Debug for SlotRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
