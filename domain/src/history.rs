//! What a series held earlier: when candles arrived, and what stood where another one stands now.

use crate::{Candle, Grid, JobId, TimeRange, Timestamp};

/// A candle that was stored and then replaced, because the exchange sent other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Counts up by one from revision to revision of the same asset, from 1.
    pub number: u64,
    /// The candle as it was.
    pub candle: Candle,
    /// Since when it was stored, by the local clock; none if it was there before that was written down.
    pub since: Option<Timestamp>,
    /// When it was replaced, by the local clock.
    pub until: Timestamp,
    /// The job that replaced it; none if it was a scheduled run, or an import.
    pub job: Option<JobId>,
}

/// The candle of a slot as it stood at an instant; none if it had not arrived.
///
/// `current` is what is stored now, `arrived` when the slot got its first candle (none if that was
/// before it was written down), `revisions` what stood there before, the earliest first.
///
/// ```
/// use ohlcv_domain::{candle_at, Candle, Revision, Timestamp};
///
/// let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000).unwrap();
/// let candle = |price: &str| Candle::flat(at(0), price.parse().unwrap());
/// let before = Revision { number: 1, candle: candle("1"), since: Some(at(10)), until: at(20), job: None };
/// let stood = |seconds| candle_at(candle("2"), Some(at(10)), &[before], at(seconds));
/// assert_eq!([stood(9), stood(10), stood(19), stood(20)], [None, Some(candle("1")), Some(candle("1")), Some(candle("2"))]);
/// ```
#[must_use]
pub fn candle_at(
    current: Candle,
    arrived: Option<Timestamp>,
    revisions: &[Revision],
    at: Timestamp,
) -> Option<Candle> {
    let (candle, since) = match revisions.iter().find(|revision| revision.until > at) {
        Some(stood) => (stood.candle, stood.since),
        None => (current, revisions.last().map_or(arrived, |last| Some(last.until))),
    };
    since.is_none_or(|since| since <= at).then_some(candle)
}

/// The runs of neighbouring slots among ascending open times, as the time they cover.
#[must_use]
pub fn slot_runs(grid: Grid, open_times: impl IntoIterator<Item = Timestamp>) -> Vec<TimeRange> {
    let mut runs: Vec<TimeRange> = Vec::new();
    for open_time in open_times {
        let Ok(slot) = TimeRange::new(open_time, grid.next(open_time)) else { continue };
        match runs.last_mut().filter(|run| run.end() == open_time) {
            Some(run) => *run = run.hull(slot),
            None => runs.push(slot),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interval;

    #[test]
    fn neighbours_make_a_run() {
        let grid = Grid::new(Interval::S1);
        let at = |second: i64| Timestamp::from_millis(second * 1_000).unwrap();
        let range = |start, end| TimeRange::new(at(start), at(end)).unwrap();
        assert_eq!(slot_runs(grid, [0, 1, 2, 5, 7, 8].map(at)), [range(0, 3), range(5, 6), range(7, 9)]);
        assert_eq!(slot_runs(grid, []), []);
    }

    #[test]
    fn of_two_revisions_the_one_that_stood_then_is_seen() {
        let at = |second: i64| Timestamp::from_millis(second * 1_000).unwrap();
        let candle = |price: &str| Candle::flat(at(0), price.parse().unwrap());
        let revision = |number, price, since, until| Revision {
            number,
            candle: candle(price),
            since,
            until: at(until),
            job: None,
        };
        let two = [revision(1, "1", None, 20), revision(2, "2", Some(at(20)), 30)];
        let stood = |second| candle_at(candle("3"), None, &two, at(second));
        assert_eq!(
            [stood(0), stood(20), stood(29), stood(30)],
            ["1", "2", "2", "3"].map(|p| Some(candle(p)))
        );
        assert_eq!(candle_at(candle("3"), None, &[], at(0)), Some(candle("3")), "it was always there");
        assert_eq!(candle_at(candle("3"), Some(at(5)), &[], at(4)), None, "it came later");
    }
}
