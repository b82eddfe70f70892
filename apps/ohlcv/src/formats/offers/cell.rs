//! A value of a row as it came, and what it may mean; never through a float.

use std::fmt;

use ohlcv_domain::{Decimal, DecimalError, Timestamp, Volume};

/// Decimals have so many places here.
const PLACES: i32 = 8;
/// How many 10⁻⁸ are one.
const UNITS_PER_ONE: u128 = 100_000_000;
/// Milliseconds of a second.
const MILLIS: i64 = 1_000;
/// March 1973, before there was anything to trade here: fewer milliseconds since 1970 are another unit.
const MILLIS_MIN: i64 = 100_000_000_000;
/// The places of a second that an open time may have.
const SECOND_PLACES_MAX: usize = 3;

/// A value of a row as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    /// Nothing stands there.
    Missing,
    Text(&'a str),
    /// So many times 10 to the power of minus `scale`.
    Decimal {
        units: i128,
        scale: i8,
    },
    Whole(i128),
    /// So many parts of a second since 1970, UTC.
    Time {
        count: i64,
        per_second: i64,
    },
    Flag(bool),
}

impl<'a> Cell<'a> {
    pub(super) const fn text(self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Yes or no, as programs write it.
    pub(super) fn flag(self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(flag),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// A whole number; `7.0` is one, for there are programs that know no other ones.
    pub(super) fn count(self) -> Option<u32> {
        let number: Volume = self.decimal().ok()?;
        let is_whole = number.units().is_multiple_of(UNITS_PER_ONE);
        is_whole.then(|| u32::try_from(number.units() / UNITS_PER_ONE).ok()).flatten()
    }

    /// A number, exactly.
    pub(super) fn decimal<const WHOLE: u32>(self) -> Result<Decimal<WHOLE>, DecimalError> {
        match self {
            Self::Text(text) => text.parse(),
            Self::Whole(units) => scaled(units, 0),
            Self::Decimal { units, scale } => scaled(units, i32::from(scale)),
            Self::Missing | Self::Time { .. } | Self::Flag(_) => Err(DecimalError::Syntax),
        }
    }

    /// An instant, or why it is none.
    pub(super) fn time(self) -> Result<Timestamp, String> {
        let millis = match self {
            Self::Text(text) => return time_of(text),
            Self::Whole(millis) => {
                return of_millis(i64::try_from(millis).map_err(|_| "beyond the year 9999")?);
            }
            Self::Time { count, per_second } if per_second <= MILLIS => {
                count.checked_mul(MILLIS / per_second)
            }
            Self::Time { count, per_second } => {
                let parts = per_second / MILLIS;
                if count.rem_euclid(parts) != 0 {
                    return Err("finer than a millisecond".to_owned());
                }
                Some(count.div_euclid(parts))
            }
            Self::Missing | Self::Decimal { .. } | Self::Flag(_) => return Err("no time".to_owned()),
        };
        let millis = millis.ok_or("beyond the year 9999")?;
        Timestamp::from_millis(millis).map_err(|error| error.to_string())
    }
}

/// As it came, for people.
impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("empty"),
            Self::Text(text) => fmt::Debug::fmt(text, f),
            Self::Decimal { units, scale } => write!(f, "{units} * 10^-{scale}"),
            Self::Whole(number) => fmt::Display::fmt(number, f),
            Self::Time { count, per_second } => write!(f, "{count} / {per_second} s since 1970"),
            Self::Flag(flag) => fmt::Display::fmt(flag, f),
        }
    }
}

fn scaled<const WHOLE: u32>(units: i128, scale: i32) -> Result<Decimal<WHOLE>, DecimalError> {
    let units = u128::try_from(units).map_err(|_| DecimalError::Negative)?;
    if units == 0 {
        return Decimal::from_units(0);
    }
    let places = PLACES.saturating_sub(scale);
    let power = 10_u128.checked_pow(places.unsigned_abs());
    if places >= 0 {
        let units = power.and_then(|power| units.checked_mul(power)).ok_or(DecimalError::TooLarge)?;
        return Decimal::from_units(units);
    }
    match power {
        Some(power) if units.is_multiple_of(power) => Decimal::from_units(units / power),
        _ => Err(DecimalError::TooManyPlaces),
    }
}

/// An instant by a number that says nothing about its unit.
fn of_millis(millis: i64) -> Result<Timestamp, String> {
    if millis < MILLIS_MIN {
        return Err("before March 1973, as milliseconds since 1970: are these seconds?".to_owned());
    }
    Timestamp::from_millis(millis).map_err(|error| error.to_string())
}

/// Reads milliseconds since 1970, and times with an offset as RFC 3339, pandas and polars write them.
fn time_of(text: &str) -> Result<Timestamp, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return of_millis(text.parse::<i64>().map_err(|_| "beyond the year 9999")?);
    }
    let (at, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(at) => (at, "Z".to_owned()),
        None => {
            let begins = text.rfind(['+', '-']).filter(|begins| text[..*begins].contains(':'));
            let (at, offset) = text.split_at(begins.ok_or("it names no offset, such as Z or +00:00")?);
            match offset.len() {
                // +0000
                5 if offset.is_ascii() => (at, format!("{}:{}", &offset[..3], &offset[3..])),
                _ => (at, offset.to_owned()),
            }
        }
    };
    if let Some((_, fraction)) = at.split_once('.')
        && fraction.bytes().skip(SECOND_PLACES_MAX).any(|digit| digit != b'0')
    {
        return Err("finer than a millisecond".to_owned());
    }
    let text = format!("{}{offset}", at.replacen(' ', "T", 1));
    text.parse().map_err(|error: ohlcv_domain::TimestampError| error.to_string())
}

#[cfg(test)]
mod tests {
    use ohlcv_domain::Price;

    use super::*;

    #[test]
    fn times_are_read_as_programs_write_them() {
        for text in [
            "2024-11-01T00:00:00Z",
            "2024-11-01T02:00:00+02:00",
            "2024-11-01 00:00:00+00:00",
            "2024-11-01T00:00:00.000000+0000",
            "2024-10-31T19:00:00.000-0500",
            "1730419200000",
        ] {
            assert_eq!(Cell::Text(text).time().unwrap().to_string(), "2024-11-01T00:00:00Z", "{text}");
        }
        for (text, told) in [
            ("2024-11-01 00:00:00", "no offset"),
            ("2024-11-01", "no offset"),
            ("2024-11-01T00:00:00.000500Z", "finer"),
            ("1730419200000000", "1 to 9999"),
            ("99999999999999999999", "beyond"),
            ("1730419200", "are these seconds?"),
            ("99999999999", "are these seconds?"),
            ("soon", "no offset"),
            ("2024-11-01T00:00:00+é1", "RFC 3339"),
        ] {
            let refused = Cell::Text(text).time().unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
        assert_eq!(Cell::Text("100000000000").time().unwrap().to_string(), "1973-03-03T09:46:40Z");
        assert_eq!(Cell::Whole(1_730_419_200_000).time().unwrap().to_string(), "2024-11-01T00:00:00Z");
        for seconds in [-1, 0, 1_730_419_200] {
            let refused = Cell::Whole(seconds).time().unwrap_err();
            assert!(refused.contains("are these seconds?"), "{seconds}: {refused}");
        }
        assert!(Cell::Whole(i128::MAX).time().is_err());
        let time = |count, per_second| Cell::Time { count, per_second }.time();
        assert_eq!(time(-1, 1).unwrap().to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(
            time(1_730_419_200_000_000_000, 1_000_000_000).unwrap().to_string(),
            "2024-11-01T00:00:00Z"
        );
        assert!(time(1_730_419_200_000_001, 1_000_000).is_err());
        assert!(time(i64::MAX, 1).is_err());
    }

    #[test]
    fn numbers_of_any_scale_are_exact_or_refused() {
        let of = |units, scale| Cell::Decimal { units, scale }.decimal::<12>();
        let price = |text: &str| text.parse::<Price>();
        assert_eq!(of(426_148, 2), price("4261.48"));
        assert_eq!(of(1_000, 11), price("0.00000001"));
        assert_eq!(of(1_001, 11), Err(DecimalError::TooManyPlaces));
        assert_eq!(of(7, -3), price("7000"));
        assert_eq!(of(7, -128), Err(DecimalError::TooLarge));
        assert_eq!(of(7, 127), Err(DecimalError::TooManyPlaces));
        assert_eq!(of(0, 127), price("0"));
        assert_eq!(of(-1, 8), Err(DecimalError::Negative));
        assert_eq!(Cell::Whole(7).decimal::<12>(), price("7"));
        assert_eq!(Cell::Text("1e-5").decimal::<12>(), Err(DecimalError::Syntax));
        assert_eq!((Cell::Text("7.0").count(), Cell::Text("7.5").count()), (Some(7), None));
        assert_eq!(Cell::Text("4294967296").count(), None);
    }
}
