//! When to look for new candles.

use std::time::Duration;

use crate::{Grid, Timestamp};

/// The next time after `now` to look for new candles, looking every `every`, counted from the
/// times at which candles close.
///
/// Looking more often than candles close starts anew at each close; looking less often takes the
/// first close at or after each whole multiple of `every` since 1970. Always after `now`.
///
/// ```
/// use std::time::Duration;
/// use ohlcv_domain::{next_look, Grid, Interval, Timestamp};
///
/// let half_days = Grid::new(Interval::H12);
/// let hours = |hours: u64| Duration::from_secs(hours * 3600);
/// let now: Timestamp = "2024-11-06T09:30:00Z".parse()?;
/// assert_eq!(next_look(half_days, hours(12), now).to_string(), "2024-11-06T12:00:00Z");
/// assert_eq!(next_look(half_days, hours(5), now).to_string(), "2024-11-06T10:00:00Z");
/// assert_eq!(next_look(half_days, hours(24), now).to_string(), "2024-11-07T00:00:00Z");
/// # Ok::<(), ohlcv_domain::TimestampError>(())
/// ```
#[must_use]
pub fn next_look(grid: Grid, every: Duration, now: Timestamp) -> Timestamp {
    let step = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
    let after = |from: Timestamp| {
        // How many whole steps have passed since `from`, and one more.
        let passed = (now.millis() - from.millis()).div_euclid(step);
        let offset = step.saturating_mul(passed.saturating_add(1));
        Timestamp::from_millis(from.millis().saturating_add(offset)).unwrap_or(Timestamp::MAX)
    };
    let next_close = grid.next(now);
    if every < grid.interval().longest() {
        after(grid.floor(now)).min(next_close)
    } else {
        grid.ceil(after(Timestamp::EPOCH))
    }
}
