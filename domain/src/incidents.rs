//! Outages of the exchange: the known ones, and those that show in many ledgers at once.

use crate::{Grid, TimeRange, Timestamp};

/// A time at which the exchange had no candles of most markets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// When.
    pub range: TimeRange,
    /// What happened, for people.
    pub detail: &'static str,
    /// How that is known.
    pub source: &'static str,
}

/// What one series has to say about outages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// When it was listed and watched.
    pub watched: TimeRange,
    /// Where the exchange has nothing, ascending and disjoint.
    pub empty: Vec<TimeRange>,
}

/// With fewer series that have nothing at the same time it is no incident.
pub const WITNESSES_MIN: usize = 3;

const CLOSED: &str = "the exchange's spot market was closed: no market had candles";
const REPORTED: &str = "missing minute candles of several markets, and reports in \
     github.com/binance/binance-public-data: issues 114, 169, 312, 365 and 368";
const SHARED: &str = "most tracked assets that were listed then have no candles";
const LEDGER: &str = "the holes of the tracked assets";

/// The outages of Binance's spot market that are known, ascending: from the first missing minute to
/// the end of the last one. None is known of 2022, 2024 and 2025.
const KNOWN: [TimeRange; 34] = [
    outage([2017, 9, 6, 16, 0, 0], [2017, 9, 6, 23, 0, 0]),
    outage([2017, 12, 4, 6, 0, 0], [2017, 12, 4, 6, 50, 0]),
    outage([2017, 12, 18, 10, 0, 0], [2017, 12, 18, 10, 15, 0]),
    outage([2017, 12, 18, 12, 29, 0], [2017, 12, 18, 13, 35, 0]),
    outage([2018, 1, 4, 3, 0, 0], [2018, 1, 4, 5, 7, 0]),
    outage([2018, 2, 8, 0, 28, 14], [2018, 2, 9, 9, 59, 0]),
    outage([2018, 2, 10, 6, 0, 0], [2018, 2, 10, 6, 16, 0]),
    outage([2018, 2, 11, 4, 0, 0], [2018, 2, 11, 4, 36, 0]),
    outage([2018, 6, 26, 2, 0, 0], [2018, 6, 26, 12, 0, 0]),
    outage([2018, 6, 27, 13, 0, 0], [2018, 6, 27, 14, 45, 0]),
    outage([2018, 7, 4, 0, 22, 25], [2018, 7, 4, 8, 0, 0]),
    outage([2018, 10, 19, 6, 0, 0], [2018, 10, 19, 9, 30, 0]),
    outage([2018, 11, 14, 2, 0, 0], [2018, 11, 14, 9, 0, 0]),
    outage([2019, 3, 12, 2, 0, 0], [2019, 3, 12, 8, 0, 0]),
    outage([2019, 5, 15, 3, 0, 0], [2019, 5, 15, 13, 0, 0]),
    outage([2019, 6, 7, 21, 13, 0], [2019, 6, 7, 22, 15, 0]),
    outage([2019, 8, 15, 2, 0, 0], [2019, 8, 15, 10, 0, 0]),
    outage([2019, 11, 13, 2, 0, 0], [2019, 11, 13, 4, 0, 0]),
    outage([2019, 11, 25, 2, 0, 0], [2019, 11, 25, 4, 0, 0]),
    outage([2020, 2, 9, 2, 0, 0], [2020, 2, 9, 3, 0, 0]),
    outage([2020, 2, 19, 11, 35, 33], [2020, 2, 19, 17, 30, 0]),
    outage([2020, 3, 4, 9, 22, 0], [2020, 3, 4, 11, 30, 0]),
    outage([2020, 4, 25, 2, 0, 0], [2020, 4, 25, 4, 30, 0]),
    outage([2020, 6, 28, 2, 0, 0], [2020, 6, 28, 5, 30, 0]),
    outage([2020, 11, 30, 6, 0, 0], [2020, 11, 30, 7, 0, 0]),
    outage([2020, 12, 21, 13, 48, 0], [2020, 12, 21, 18, 0, 0]),
    outage([2020, 12, 25, 2, 0, 0], [2020, 12, 25, 3, 0, 0]),
    outage([2021, 2, 11, 3, 41, 0], [2021, 2, 11, 5, 0, 0]),
    outage([2021, 3, 6, 2, 0, 0], [2021, 3, 6, 3, 30, 0]),
    outage([2021, 4, 20, 2, 0, 0], [2021, 4, 20, 4, 30, 0]),
    outage([2021, 4, 25, 4, 1, 0], [2021, 4, 25, 8, 45, 0]),
    outage([2021, 8, 13, 2, 0, 0], [2021, 8, 13, 6, 30, 0]),
    outage([2021, 9, 29, 7, 0, 0], [2021, 9, 29, 9, 0, 0]),
    outage([2023, 3, 24, 12, 40, 0], [2023, 3, 24, 14, 0, 0]),
];

/// Year, month, day, hour, minute and second of both ends, UTC.
const fn outage(start: [i64; 6], end: [i64; 6]) -> TimeRange {
    TimeRange::between(utc(start), utc(end))
}

const fn utc([year, month, day, hour, minute, second]: [i64; 6]) -> Timestamp {
    // Days of years that begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Timestamp::from_grid_millis((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000)
}

/// The known outage that most of a hole comes from, if there is one. An outage accounts for the slots that
/// lie in it as a whole, for a slot with a minute of trade has a candle; and not for a hole that has more
/// other slots than those, which must have a cause of its own.
///
/// ```
/// use ohlcv_domain::{Grid, Interval, TimeRange, known_incident};
///
/// // The one 12h candle of BTCUSDT that the exchange never had.
/// let hole = TimeRange::new("2018-02-08T12:00:00Z".parse()?, "2018-02-09T00:00:00Z".parse()?)?;
/// let incident = known_incident(Grid::new(Interval::H12), hole);
/// assert_eq!(incident.map(|incident| incident.range.to_string()).as_deref(),
///     Some("[2018-02-08T00:28:14Z, 2018-02-09T09:59:00Z)"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn known_incident(grid: Grid, hole: TimeRange) -> Option<Incident> {
    let range = KNOWN.into_iter().find(|range| accounts_for(grid, *range, hole))?;
    Some(Incident { range, detail: CLOSED, source: REPORTED })
}

/// The incident among `shared`, as [`shared_holes`] finds them, that most of a hole comes from.
#[must_use]
pub fn shared_incident(grid: Grid, shared: &[TimeRange], hole: TimeRange) -> Option<Incident> {
    let range = shared.iter().copied().find(|range| accounts_for(grid, *range, hole))?;
    Some(Incident { range, detail: SHARED, source: LEDGER })
}

fn accounts_for(grid: Grid, incident: TimeRange, hole: TimeRange) -> bool {
    let slots = grid.slots_in(incident).before(grid.floor(incident.end())).time();
    slots.intersection(hole).is_some_and(|common| common.lasts() * 2 >= hole.lasts())
}

/// When more than half of the series that are watched, and at least [`WITNESSES_MIN`] of them, have
/// nothing at the same time; ascending and disjoint.
///
/// ```
/// use ohlcv_domain::{TimeRange, Timestamp, Witness, shared_holes};
///
/// let range = |start, end| {
///     TimeRange::new(Timestamp::from_millis(start).unwrap(), Timestamp::from_millis(end).unwrap()).unwrap()
/// };
/// let witness = |empty| Witness { watched: range(0, 100), empty };
/// let series = [
///     witness(vec![range(10, 20)]),
///     witness(vec![range(10, 15), range(60, 70)]),
///     witness(vec![range(5, 18), range(60, 70)]),
///     witness(vec![]),
/// ];
/// assert_eq!(shared_holes(&series), [range(10, 15)]);
/// ```
#[must_use]
pub fn shared_holes(series: &[Witness]) -> Vec<TimeRange> {
    // How many series are watched, and have nothing, from each instant on.
    let mut steps: Vec<(Timestamp, i64, i64)> = Vec::new();
    for witness in series {
        steps.extend([(witness.watched.start(), 1, 0), (witness.watched.end(), -1, 0)]);
        for empty in witness.empty.iter().filter_map(|empty| empty.intersection(witness.watched)) {
            steps.extend([(empty.start(), 0, 1), (empty.end(), 0, -1)]);
        }
    }
    steps.sort_unstable_by_key(|(at, ..)| *at);
    let (mut watched, mut empty, mut since) = (0, 0, None);
    let mut shared = Vec::new();
    for at_once in steps.chunk_by(|one, next| one.0 == next.0) {
        watched += at_once.iter().map(|step| step.1).sum::<i64>();
        empty += at_once.iter().map(|step| step.2).sum::<i64>();
        let is_shared = empty * 2 > watched && empty >= WITNESSES_MIN as i64;
        match since {
            None if is_shared => since = Some(at_once[0].0),
            Some(start) if !is_shared => {
                shared.push(TimeRange::between(start, at_once[0].0));
                since = None;
            }
            _ => {}
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use crate::Interval;

    use super::*;

    fn range(start: &str, end: &str) -> TimeRange {
        TimeRange::new(start.parse().unwrap(), end.parse().unwrap()).unwrap()
    }

    fn hours(start: i64, end: i64) -> TimeRange {
        let at = |hour: i64| Timestamp::from_millis(hour * 3_600_000).unwrap();
        TimeRange::new(at(start), at(end)).unwrap()
    }

    fn witness(watched: TimeRange, empty: &[TimeRange]) -> Witness {
        Witness { watched, empty: empty.to_vec() }
    }

    #[test]
    fn the_known_outages_ascend_and_stand_where_they_were_written() {
        assert!(KNOWN.iter().all(|range| !range.is_empty()));
        assert!(KNOWN.windows(2).all(|pair| pair[0].end() < pair[1].start()));
        assert_eq!(KNOWN[0], range("2017-09-06T16:00:00Z", "2017-09-06T23:00:00Z"));
        assert_eq!(KNOWN[20], range("2020-02-19T11:35:33Z", "2020-02-19T17:30:00Z"));
        assert_eq!(KNOWN[33], range("2023-03-24T12:40:00Z", "2023-03-24T14:00:00Z"));
        assert_eq!(utc([2024, 2, 29, 23, 59, 59]), "2024-02-29T23:59:59Z".parse().unwrap());
        assert_eq!(utc([2000, 1, 1, 0, 0, 0]), "2000-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn an_outage_accounts_for_the_slots_that_lie_in_it() {
        let grid = Grid::new(Interval::H4);
        let hole = range("2018-02-08T04:00:00Z", "2018-02-09T08:00:00Z");
        assert!(known_incident(grid, hole).is_some());
        // There was trade in these.
        for at_its_edge in ["2018-02-08T00:00:00Z", "2018-02-09T08:00:00Z"] {
            let start = at_its_edge.parse().unwrap();
            assert_eq!(known_incident(grid, TimeRange::between(start, grid.next(start))), None, "{start}");
        }
    }

    #[test]
    fn an_outage_does_not_account_for_a_hole_that_only_covers_it() {
        // FTT was halted for months; the outage of an hour in between is not why.
        let halted = range("2022-11-15T00:00:00Z", "2023-09-22T00:00:00Z");
        assert_eq!(known_incident(Grid::new(Interval::H12), halted), None);
    }

    #[test]
    fn two_of_two_are_too_few_and_three_of_six_no_majority() {
        let all = hours(0, 100);
        let empty = witness(all, &[hours(10, 20)]);
        let full = witness(all, &[]);
        assert_eq!(shared_holes(&[empty.clone(), empty.clone()]), []);
        let three = vec![empty.clone(); 3];
        assert_eq!(shared_holes(&[three.clone(), vec![full.clone(); 2]].concat()), [hours(10, 20)]);
        assert_eq!(shared_holes(&[three, vec![full; 3]].concat()), []);
    }

    #[test]
    fn series_that_were_not_watched_then_have_no_say() {
        let empty = witness(hours(0, 100), &[hours(10, 20)]);
        let later = witness(hours(15, 100), &[]);
        let series = [vec![empty; 3], vec![later; 3]].concat();
        assert_eq!(shared_holes(&series), [hours(10, 15)]);
        assert_eq!(shared_holes(&[]), []);
    }
}
