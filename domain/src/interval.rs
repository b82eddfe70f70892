//! The sixteen candle intervals of Binance.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a candle lasts: one of Binance's sixteen intervals.
///
/// Text is case-sensitive as on the exchange: `1m` is a minute, `1M` a month.
/// Source: Binance spot API, "Kline/Candlestick chart intervals".
///
/// ```
/// use ohlcv_domain::Interval;
///
/// let half_day: Interval = "12h".parse()?;
/// assert_eq!(half_day, Interval::H12);
/// assert_ne!("1m".parse::<Interval>()?, "1M".parse()?);
/// assert!("1D".parse::<Interval>().is_err());
/// # Ok::<(), ohlcv_domain::IntervalError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    /// One second.
    S1,
    /// One minute.
    M1,
    /// Three minutes.
    M3,
    /// Five minutes.
    M5,
    /// A quarter of an hour.
    M15,
    /// Half an hour.
    M30,
    /// One hour.
    H1,
    /// Two hours.
    H2,
    /// Four hours.
    H4,
    /// Six hours.
    H6,
    /// Eight hours.
    H8,
    /// Half a day.
    H12,
    /// One day.
    D1,
    /// Three days, counted from an anchor: see [`Grid`](crate::Grid).
    D3,
    /// One week, opening on Monday.
    W1,
    /// One calendar month.
    Mo1,
}

/// A text that names no interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not a candle interval: allowed are 1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M"
)]
pub struct IntervalError {
    /// What was given.
    pub text: String,
}

/// What separates an open time from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Millis(i64),
    CalendarMonth,
}

/// The 4,800 months of 400 years have 146,097 days.
const MONTH_MILLIS_MEAN: u64 = 146_097 * 86_400_000 / 4_800;
const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

impl Interval {
    /// All sixteen, shortest first.
    pub const ALL: [Self; 16] = [
        Self::S1,
        Self::M1,
        Self::M3,
        Self::M5,
        Self::M15,
        Self::M30,
        Self::H1,
        Self::H2,
        Self::H4,
        Self::H6,
        Self::H8,
        Self::H12,
        Self::D1,
        Self::D3,
        Self::W1,
        Self::Mo1,
    ];

    /// The exchange's name for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S1 => "1s",
            Self::M1 => "1m",
            Self::M3 => "3m",
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::M30 => "30m",
            Self::H1 => "1h",
            Self::H2 => "2h",
            Self::H4 => "4h",
            Self::H6 => "6h",
            Self::H8 => "8h",
            Self::H12 => "12h",
            Self::D1 => "1d",
            Self::D3 => "3d",
            Self::W1 => "1w",
            Self::Mo1 => "1M",
        }
    }

    pub(crate) const fn step(self) -> Step {
        Step::Millis(match self {
            Self::S1 => SECOND,
            Self::M1 => MINUTE,
            Self::M3 => 3 * MINUTE,
            Self::M5 => 5 * MINUTE,
            Self::M15 => 15 * MINUTE,
            Self::M30 => 30 * MINUTE,
            Self::H1 => HOUR,
            Self::H2 => 2 * HOUR,
            Self::H4 => 4 * HOUR,
            Self::H6 => 6 * HOUR,
            Self::H8 => 8 * HOUR,
            Self::H12 => 12 * HOUR,
            Self::D1 => DAY,
            Self::D3 => 3 * DAY,
            Self::W1 => 7 * DAY,
            Self::Mo1 => return Step::CalendarMonth,
        })
    }

    /// How many slots in a row last that long altogether. Exact for every run of slots, of months too:
    /// a run of so many months differs from as many average ones by a few days only.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ohlcv_domain::Interval;
    ///
    /// let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    /// assert_eq!(Interval::H12.slots_lasting(days(7)), 14);
    /// assert_eq!(Interval::Mo1.slots_lasting(days(31 + 28)), 2);
    /// ```
    #[must_use]
    pub fn slots_lasting(self, lasting: Duration) -> u64 {
        let lasting = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
        match self.step() {
            // Holds: steps are positive.
            Step::Millis(step) => lasting / step.unsigned_abs(),
            Step::CalendarMonth => lasting.saturating_add(MONTH_MILLIS_MEAN / 2) / MONTH_MILLIS_MEAN,
        }
    }

    /// Whether every candle of `coarser` lasts exactly as long as some candles of this interval
    /// together, wherever it opens; so also if both are the same.
    ///
    /// ```
    /// use ohlcv_domain::Interval;
    ///
    /// assert!(Interval::H4.divides(Interval::H12) && Interval::H4.divides(Interval::Mo1));
    /// assert!(!Interval::H8.divides(Interval::H12), "half-days are no whole number of eight hours");
    /// assert!(!Interval::D3.divides(Interval::W1) && !Interval::W1.divides(Interval::Mo1));
    /// ```
    #[must_use]
    pub const fn divides(self, coarser: Self) -> bool {
        match (self.step(), coarser.step()) {
            // All that last a day or less divide a day, at which every coarser one opens.
            (Step::Millis(step), Step::Millis(other)) => other % step == 0,
            (Step::Millis(step), Step::CalendarMonth) => DAY % step == 0,
            (Step::CalendarMonth, Step::CalendarMonth) => true,
            (Step::CalendarMonth, Step::Millis(_)) => false,
        }
    }

    /// The intervals that this one divides, itself first, shortest first.
    ///
    /// ```
    /// use ohlcv_domain::Interval;
    ///
    /// let made_of_half_days: Vec<_> = Interval::H12.multiples().map(Interval::as_str).collect();
    /// assert_eq!(made_of_half_days, ["12h", "1d", "3d", "1w", "1M"]);
    /// ```
    pub fn multiples(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |coarser| self.divides(*coarser))
    }

    /// The longest a candle of this interval can last: 31 days for a month.
    #[must_use]
    pub const fn longest(self) -> Duration {
        let millis = match self.step() {
            Step::Millis(millis) => millis,
            Step::CalendarMonth => 31 * DAY,
        };
        Duration::from_millis(millis.unsigned_abs())
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|interval| interval.as_str() == text)
            .ok_or_else(|| IntervalError { text: text.to_owned() })
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
