//! Instants in whole milliseconds of UTC, as exchanges count them.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};

/// An instant in whole milliseconds since 1970-01-01T00:00:00Z, always UTC.
///
/// A candle's open time, an exchange's clock reading and the bounds of a range are all instants.
/// Whether an instant lies on a grid is the [`Grid`](crate::Grid)'s to say.
///
/// Bounds: [`Timestamp::MIN`] (year 1) to [`Timestamp::MAX`] (end of year 9999), both inclusive.
///
/// ```
/// use ohlcv_domain::Timestamp;
///
/// let listed: Timestamp = "2017-08-17T00:00:00Z".parse()?;
/// assert_eq!(listed.millis(), 1_502_928_000_000);
/// assert_eq!(listed.to_string(), "2017-08-17T00:00:00Z");
///
/// let same: Timestamp = "2017-08-17T02:00:00+02:00".parse()?;
/// assert_eq!(same, listed);
/// # Ok::<(), ohlcv_domain::TimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a value is not an instant that this crate can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The instant lies outside the years 1 to 9999.
    #[error("{millis} ms since 1970 lies outside the years 1 to 9999")]
    OutOfBounds {
        /// What was given, in milliseconds since 1970.
        millis: i64,
    },
    /// The text is not an RFC 3339 instant.
    #[error("\"{text}\" is not an RFC 3339 time such as 2024-11-01T00:00:00Z")]
    NotRfc3339 {
        /// What was given.
        text: String,
    },
}

impl Timestamp {
    /// The earliest instant: 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The latest instant: 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The instant that many milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`TimestampError::OutOfBounds`] outside [`Timestamp::MIN`]`..=`[`Timestamp::MAX`].
    ///
    /// ```
    /// use ohlcv_domain::Timestamp;
    /// assert!(Timestamp::from_millis(1_502_928_000_000).is_ok());
    /// assert!(Timestamp::from_millis(i64::MAX).is_err());
    /// ```
    pub const fn from_millis(millis: i64) -> Result<Self, TimestampError> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 {
            return Err(TimestampError::OutOfBounds { millis });
        }
        Ok(Self(millis))
    }

    /// Grid arithmetic: one step beyond a bound is at most a month, far inside `i64` and chrono.
    pub(crate) const fn from_grid_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z; negative before.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This instant as chrono's type.
    ///
    /// ```
    /// use ohlcv_domain::Timestamp;
    /// assert_eq!(Timestamp::EPOCH.to_datetime().to_rfc3339(), "1970-01-01T00:00:00+00:00");
    /// ```
    #[must_use]
    pub fn to_datetime(self) -> DateTime<Utc> {
        // Holds: chrono reaches 262,000 years either way, this type about 10,000.
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The instant that much later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// The instant that much earlier, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis).max(Self::MIN.0))
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0 - earlier.0).map_or(Duration::ZERO, Duration::from_millis)
    }

    /// The distance between two instants, whichever is first.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

/// The length of `2024-11-01T00:00:00Z`.
const SECONDS_LEN: usize = 20;

impl fmt::Display for Timestamp {
    /// RFC 3339 with `Z`; milliseconds only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written for every row of every answer: by hand it takes a fraction of the time.
        let (at, millis) = (self.to_datetime(), self.0.rem_euclid(1_000));
        let seconds_only = millis == 0;
        if !(0..=9_999).contains(&at.year()) {
            // The end of the last slot of time.
            let format = if seconds_only { SecondsFormat::Secs } else { SecondsFormat::Millis };
            return f.write_str(&at.to_rfc3339_opts(format, true));
        }
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |from: usize, digits: usize, mut number: u32| {
            for place in (from..from + digits).rev() {
                text[place] = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0, 4, at.year().unsigned_abs());
        put(5, 2, at.month());
        put(8, 2, at.day());
        put(11, 2, at.hour());
        put(14, 2, at.minute());
        put(17, 2, at.second());
        // Holds: a remainder by 1,000.
        put(20, 3, millis as u32);
        let len = if seconds_only { SECONDS_LEN } else { text.len() };
        text[len - 1] = b'Z';
        // Holds: all of it is ASCII.
        f.write_str(std::str::from_utf8(&text[..len]).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339 with any offset. What is finer than a millisecond is cut off.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = DateTime::parse_from_rfc3339(text)
            .map_err(|_| TimestampError::NotRfc3339 { text: text.to_owned() })?;
        Self::from_millis(parsed.timestamp_millis())
    }
}

impl TryFrom<DateTime<Utc>> for Timestamp {
    type Error = TimestampError;

    /// What is finer than a millisecond is cut off.
    fn try_from(at: DateTime<Utc>) -> Result<Self, Self::Error> {
        Self::from_millis(at.timestamp_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_shown_only_where_there_are_any() {
        let at = Timestamp::from_millis(1_518_168_494_789).unwrap();
        assert_eq!(at.to_string(), "2018-02-09T09:28:14.789Z");
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_not_an_instant_is_refused_by_name() {
        for text in ["", "2024", "2024-11-01", "2024-11-01T00:00:00", "2024-13-01T00:00:00Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError::NotRfc3339 { text: text.to_owned() }));
        }
    }

    #[test]
    fn arithmetic_stops_at_the_bounds() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_sub(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
    }
}
