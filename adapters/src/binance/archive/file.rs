//! Which file of the archive holds which candles.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use ohlcv_domain::{Asset, Grid, Interval, SlotRange, TimeRange, Timestamp};

/// How many slots a file may have: it has to replace five requests, and to fit into memory.
const FILE_SLOTS: RangeInclusive<u64> = 5_000..=100_000;
/// How long after the end of a month its file is looked for. It comes within 12 days, half of them within 3.4.
const MONTH_PUBLISHED_AFTER: Duration = Duration::from_secs(3 * 86_400);
/// How long after the end of a day its file is looked for. Nine of ten come within 3 hours.
const DAY_PUBLISHED_AFTER: Duration = Duration::from_secs(12 * 3_600);

/// The stretches of time that the archive has files of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Month,
    Day,
}

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveFile {
    symbol: String,
    period: Period,
    /// What it should hold.
    pub(crate) slots: SlotRange,
}

impl Period {
    const ALL: [Self; 2] = [Self::Month, Self::Day];

    const fn grid(self) -> Grid {
        Grid::new(match self {
            Self::Month => Interval::Mo1,
            Self::Day => Interval::D1,
        })
    }

    /// The slots of the period that an instant falls into.
    fn slots(self, grid: Grid, at: Timestamp) -> Option<SlotRange> {
        let (start, end) = (self.grid().floor(at), self.grid().next(at));
        TimeRange::new(start, end).ok().map(|time| grid.slots_in(time))
    }

    const fn published_after(self) -> Duration {
        match self {
            Self::Month => MONTH_PUBLISHED_AFTER,
            Self::Day => DAY_PUBLISHED_AFTER,
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Month => "monthly",
            Self::Day => "daily",
        }
    }

    /// How the period is written: `2024-12` or `2024-12-31`.
    fn stamp(self, start: Timestamp) -> String {
        let date = start.to_datetime().date_naive();
        match self {
            Self::Month => date.format("%Y-%m").to_string(),
            Self::Day => date.format("%Y-%m-%d").to_string(),
        }
    }
}

/// The longest period around an instant whose file pays, and its slots.
fn paying(grid: Grid, at: Timestamp) -> Option<(Period, SlotRange)> {
    Period::ALL.into_iter().find_map(|period| {
        let slots = period.slots(grid, at)?;
        FILE_SLOTS.contains(&slots.len()).then_some((period, slots))
    })
}

/// The slots of the file that begins with the first slot of `asked` and has none beyond it, if it pays
/// and should be published by `now`.
fn file_at_start_of(asked: SlotRange, now: Timestamp) -> Option<(Period, SlotRange)> {
    let (period, slots) = paying(asked.grid(), asked.start())?;
    let inside = slots.start() == asked.start() && slots.end() <= asked.end();
    let published = slots.end().saturating_add(period.published_after()) <= now;
    (inside && published).then_some((period, slots))
}

/// The part of `asked` from its start on that one file holds, or else the part before the next file.
pub(crate) fn first_part(asked: SlotRange, now: Timestamp) -> Part {
    match file_at_start_of(asked, now) {
        Some((_, slots)) => Part::File(slots),
        None => {
            let until = paying(asked.grid(), asked.start()).map(|(_, period)| period.end());
            Part::BeforeFile(until.map_or(asked, |until| asked.before(until)))
        }
    }
}

/// Slots, by where they may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All that a file holds.
    File(SlotRange),
    /// What no file is for, up to where one may begin.
    BeforeFile(SlotRange),
}

impl ArchiveFile {
    /// The file that begins with the first slot of `asked` and has no slot beyond it, if it pays and
    /// should be published by `now`.
    pub(crate) fn at_start_of(asset: Asset, quote: Asset, asked: SlotRange, now: Timestamp) -> Option<Self> {
        let (period, slots) = file_at_start_of(asked, now)?;
        Some(Self { symbol: format!("{asset}{quote}"), period, slots })
    }

    /// Its name without an ending, which is also that of the table in it.
    pub(crate) fn name(&self) -> String {
        let interval = interval_name(self.slots.grid().interval());
        format!("{}-{interval}-{}", self.symbol, self.period.stamp(self.slots.start()))
    }

    /// Where it lies, relative to the base address.
    pub(crate) fn path(&self) -> String {
        let interval = interval_name(self.slots.grid().interval());
        let (folder, symbol) = (self.period.folder(), &self.symbol);
        format!("data/spot/{folder}/klines/{symbol}/{interval}/{}.zip", self.name())
    }

    /// Which of the periods since 1970 it is.
    pub(crate) fn number(&self) -> u64 {
        let since = TimeRange::new(Timestamp::EPOCH, self.slots.start());
        since.map_or(0, |since| self.period.grid().slots_in(since).len())
    }
}

impl fmt::Display for ArchiveFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.zip", self.name())
    }
}

/// The archive's name of an interval: the API's, but for the month.
const fn interval_name(interval: Interval) -> &'static str {
    match interval {
        Interval::Mo1 => "1mo",
        _ => interval.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2025-03-04T00:00:00Z";

    fn file(interval: Interval, start: &str, end: &str) -> Option<ArchiveFile> {
        let asked =
            SlotRange::new(Grid::new(interval), start.parse().unwrap(), end.parse().unwrap()).unwrap();
        let [asset, quote] = ["BTC", "USDT"].map(|name| name.parse().unwrap());
        ArchiveFile::at_start_of(asset, quote, asked, NOW.parse().unwrap())
    }

    #[test]
    fn minutes_come_by_the_month_and_seconds_by_the_day() {
        let month = file(Interval::M1, "2024-02-01T00:00:00Z", "2024-06-01T00:00:00Z").unwrap();
        assert_eq!(month.path(), "data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-02.zip");
        assert_eq!(month.slots.len(), 29 * 1_440);
        let day = file(Interval::S1, "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z").unwrap();
        assert_eq!(day.path(), "data/spot/daily/klines/BTCUSDT/1s/BTCUSDT-1s-2024-02-29.zip");
    }

    #[test]
    fn only_files_that_pay_are_read() {
        for interval in Interval::ALL {
            let at = "2024-01-01T00:00:00Z".parse().unwrap();
            let pays = matches!(interval, Interval::S1 | Interval::M1 | Interval::M3 | Interval::M5);
            assert_eq!(paying(Grid::new(interval), at).is_some(), pays, "{interval}");
        }
        assert_eq!(interval_name(Interval::Mo1), "1mo");
    }

    #[test]
    fn a_period_must_lie_inside_what_is_asked_and_be_over_for_days() {
        assert_eq!(file(Interval::M1, "2024-02-01T00:01:00Z", "2024-06-01T00:00:00Z"), None);
        assert_eq!(file(Interval::M1, "2024-02-01T00:00:00Z", "2024-02-29T23:59:00Z"), None);
        assert!(file(Interval::M1, "2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z").is_some());
        assert!(file(Interval::S1, "2025-03-02T00:00:00Z", "2025-03-04T00:00:00Z").is_some());
        assert_eq!(file(Interval::S1, "2025-03-03T00:00:00Z", "2025-03-04T00:00:00Z"), None);
    }
}
