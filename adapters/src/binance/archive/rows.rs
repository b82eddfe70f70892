//! Lines of an archive's table to candles: pure, exact, one bad line never spoils the others.

use ohlcv_domain::{Candle, Rejection, Rule, Timestamp};

use super::super::parse::{KlineTexts, ROW_ELEMENTS_MIN, candle_of};

/// Times above this count microseconds, as files since 2025 do; in milliseconds it is the year 5138.
const MILLIS_MAX: i64 = 100_000_000_000_000;
const MICROS_PER_MILLI: i64 = 1_000;

/// Whether the first line of a table is a header and no row.
pub(crate) fn is_header(line: &[u8]) -> bool {
    !line.first().is_some_and(u8::is_ascii_digit)
}

/// One line of an archive's table, without its end: a candle, or why it is none. Whether it counts
/// milliseconds or microseconds is its own affair, for files have been seen that were late to change.
///
/// # Errors
/// The [`Rejection`] of a line that is no candle, by the rules that hold for the API's rows.
pub fn archive_row(line: &str) -> Result<Candle, Rejection> {
    let mut fields = [""; ROW_ELEMENTS_MIN];
    let mut count = 0;
    for (field, text) in fields.iter_mut().zip(line.split(',')) {
        *field = text;
        count += 1;
    }
    let open_time = fields[0].parse().ok().and_then(open_time);
    candle(open_time, &fields[..count])
        .map_err(|rule| Rejection::new(open_time.map(|(at, _)| at), rule, line))
}

fn candle(open_time: Option<(Timestamp, bool)>, fields: &[&str]) -> Result<Candle, Rule> {
    let &[
        _,
        open,
        high,
        low,
        close,
        volume,
        _,
        quote_volume,
        trades,
        taker_buy_volume,
        taker_buy_quote_volume,
    ] = fields
    else {
        return Err(Rule::Malformed);
    };
    let (open_time, is_exact) = open_time.ok_or(Rule::Malformed)?;
    if !is_exact {
        return Err(Rule::OffGrid);
    }
    // The close time is not checked, as it is not in answers of the API.
    let prices = [open, high, low, close];
    candle_of(
        open_time,
        &KlineTexts { prices, volume, quote_volume, trades, taker_buy_volume, taker_buy_quote_volume },
    )
}

/// The open time, and whether it is one to the millisecond.
fn open_time(told: i64) -> Option<(Timestamp, bool)> {
    let (millis, is_exact) = if told > MILLIS_MAX {
        (told / MICROS_PER_MILLI, told % MICROS_PER_MILLI == 0)
    } else {
        (told, true)
    };
    Timestamp::from_millis(millis).ok().map(|at| (at, is_exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: &str = "1733011200000,96407.99000000,96672.49000000,96260.00000000,96340.60000000,532.95388000,1733014799999,51410648.79613400,154693,246.27919000,23756467.10209110,0";
    const MICROS: &str = "1735689600000000,93576.00000000,94509.42000000,93489.03000000,94401.14000000,755.99010000,1735693199999999,71068810.55946380,93525,421.08319000,39596777.77992590,0";

    #[test]
    fn milliseconds_and_microseconds_are_told_apart_line_by_line() {
        let open_time = |line| archive_row(line).unwrap().open_time().to_string();
        assert_eq!(open_time(MILLIS), "2024-12-01T00:00:00Z");
        assert_eq!(open_time(MICROS), "2025-01-01T00:00:00Z");
    }

    #[test]
    fn every_number_is_kept_to_the_digit() {
        let candle = archive_row(MICROS).unwrap();
        let details = candle.details().unwrap();
        assert_eq!(candle.high().to_string(), "94509.42000000");
        assert_eq!(details.quote_volume.to_string(), "71068810.55946380");
        assert_eq!(
            (details.trades, details.taker_buy_volume.to_string()),
            (93_525, "421.08319000".to_owned())
        );
        assert_eq!(details.taker_buy_quote_volume.to_string(), "39596777.77992590");
    }

    #[test]
    fn a_bad_line_is_rejected_by_the_same_rules_as_a_row_of_the_api() {
        let rule = |line: &str| archive_row(line).unwrap_err().rule;
        assert_eq!(rule(""), Rule::Malformed);
        assert_eq!(rule("1733011200000,1,1,1,1,1,0,1,1,1"), Rule::Malformed);
        assert_eq!(rule(&MILLIS.replace("532.95388000", "1e5")), Rule::Malformed);
        assert_eq!(rule(&MILLIS.replace("532.95388000", "-1")), Rule::Negative);
        assert_eq!(rule(&MILLIS.replace("96260.00000000", "99999")), Rule::LowNotLowest);
        assert_eq!(rule(&MILLIS.replace("96407.99000000", "0.000000001")), Rule::TooManyPlaces);
        assert_eq!(rule(&MICROS.replace("1735689600000000", "1735689600000001")), Rule::OffGrid);
    }

    #[test]
    fn a_header_is_what_does_not_begin_with_a_digit() {
        assert!(is_header(b"open_time,open,high"));
        assert!(is_header(b""));
        assert!(!is_header(MILLIS.as_bytes()));
    }
}
