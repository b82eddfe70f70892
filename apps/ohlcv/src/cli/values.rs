//! How values on the command line are read, and what is said about those that cannot be.

use std::time::Duration;

use ohlcv_domain::{Asset, Interval, Timestamp};

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;
/// What a letter behind a number stands for, in seconds.
const UNITS: [(char, u64); 4] = [('m', MINUTE_S), ('h', HOUR_S), ('d', DAY_S), ('w', 7 * DAY_S)];

/// Where a range begins, as somebody says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl Since {
    /// Which instant is meant now.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.saturating_sub(ago),
            Self::At(at) => at,
        }
    }
}

/// Reads `90m`, `24h`, `7d`, `4w`, and what [`time`] reads.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Some((unit, unit_s)) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit)) {
        let number = text.trim_end_matches(unit);
        if !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && text.len() == number.len() + 1
        {
            // What overflows lies before all candles anyway.
            let seconds = number.parse().unwrap_or(u64::MAX).saturating_mul(unit_s);
            return Ok(Since::Ago(Duration::from_secs(
                seconds.min(Timestamp::MAX.millis().unsigned_abs() / 1_000),
            )));
        }
    }
    time(text).map(Since::At).map_err(|error| format!("{error}; or how long ago, such as 90m, 24h, 7d or 4w"))
}

/// Reads what the API reads, and dates, which mean midnight.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    const DATE_LEN: usize = "2024-11-01".len();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let millis = text.parse().ok().filter(|_| is_number).map(Timestamp::from_millis);
    let time = millis.unwrap_or_else(|| match text.len() {
        DATE_LEN => format!("{text}T00:00:00Z").parse(),
        _ => text.parse(),
    });
    time.map_err(|error| {
        format!(
            "{error}; allowed are RFC 3339 times such as 2024-11-01T00:00:00Z, dates such as 2024-11-01, and \
             milliseconds since 1970"
        )
    })
}

/// Reads the name of an asset; to one with something behind it, as in `BTC/USDT`, it says what is meant.
pub(super) fn asset(text: &str) -> Result<Asset, String> {
    text.parse().map_err(|error| {
        let name: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
        match name.parse::<Asset>() {
            Ok(meant) if meant.as_str().len() < text.len() => format!("{error}; is {meant} meant?"),
            _ => format!("{error}"),
        }
    })
}

/// Reads an interval as Binance writes it.
pub(super) fn interval(text: &str) -> Result<Interval, String> {
    let allowed = || Interval::ALL.map(Interval::as_str).join(", ");
    text.parse().map_err(|_| format!("\"{text}\" is no interval: allowed are {}", allowed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn since_is_how_long_ago_or_a_time() {
        let now = at("2024-11-08T12:30:00Z");
        for (text, expected) in [
            ("90m", "2024-11-08T11:00:00Z"),
            ("24h", "2024-11-07T12:30:00Z"),
            ("7d", "2024-11-01T12:30:00Z"),
            ("4w", "2024-10-11T12:30:00Z"),
            ("0d", "2024-11-08T12:30:00Z"),
            ("2024-11-01", "2024-11-01T00:00:00Z"),
            ("2024-11-01T02:00:00+02:00", "2024-11-01T00:00:00Z"),
            ("1730419200000", "2024-11-01T00:00:00Z"),
        ] {
            assert_eq!(since(text).unwrap().at(now), at(expected), "{text}");
        }
        assert_eq!(since("99999999999999999999w").unwrap().at(now), Timestamp::MIN);
    }

    #[test]
    fn what_is_no_time_is_told_what_is_allowed() {
        for text in ["", "d", "7", "7D", "7dd", "-7d", "1.5d", "7 d", "yesterday", "2024-13-01", "2024-11-1"]
        {
            match since(text) {
                Err(told) => assert!(told.contains("90m") && told.contains("2024-11-01"), "{told}"),
                // Milliseconds, few as they are.
                Ok(read) => assert_eq!((text, read), ("7", Since::At(Timestamp::from_millis(7).unwrap()))),
            }
        }
        assert!(time("7d").unwrap_err().contains("dates such as 2024-11-01"));
    }

    #[test]
    fn a_pair_is_told_which_asset_is_meant() {
        assert_eq!(asset("btc").unwrap().as_str(), "BTC");
        for text in ["BTC/USDT", "btc-usd", "BTC "] {
            match asset(text) {
                Ok(read) => assert_eq!(read.as_str(), "BTC"),
                Err(told) => assert!(told.ends_with("is BTC meant?"), "{told}"),
            }
        }
        for text in ["", "/", "Ä"] {
            assert!(!asset(text).unwrap_err().contains("meant"), "{text}");
        }
    }
}
