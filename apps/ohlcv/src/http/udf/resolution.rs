//! Intervals as the protocol writes them.

use ohlcv_domain::Interval;

/// The codes of the intervals that there are candles of: the stored one, and those that it divides.
pub(super) fn resolutions(stored: Interval) -> Vec<&'static str> {
    stored.multiples().map(code).collect()
}

/// The interval behind a code. `D`, `W` and `M` mean one of them.
pub(super) fn interval(text: &str) -> Option<Interval> {
    let text = match text {
        "D" => "1D",
        "W" => "1W",
        "M" => "1M",
        "S" => "1S",
        text => text,
    };
    Interval::ALL.into_iter().find(|interval| code(*interval) == text)
}

/// Minutes are bare numbers, and `M` is a month.
const fn code(interval: Interval) -> &'static str {
    match interval {
        Interval::S1 => "1S",
        Interval::M1 => "1",
        Interval::M3 => "3",
        Interval::M5 => "5",
        Interval::M15 => "15",
        Interval::M30 => "30",
        Interval::H1 => "60",
        Interval::H2 => "120",
        Interval::H4 => "240",
        Interval::H6 => "360",
        Interval::H8 => "480",
        Interval::H12 => "720",
        Interval::D1 => "1D",
        Interval::D3 => "3D",
        Interval::W1 => "1W",
        Interval::Mo1 => "1M",
    }
}

/// The numbers before a unit of the codes, such as the minutes: `""`, `S`, `D`, `W`, `M`.
pub(super) fn multipliers(stored: Interval, unit: &str) -> Vec<&'static str> {
    let codes = resolutions(stored).into_iter();
    codes
        .filter_map(|code| {
            let digits = code.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            (&code[digits.len()..] == unit).then_some(digits)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interval_has_a_code_that_means_it() {
        for wanted in Interval::ALL {
            assert_eq!(interval(code(wanted)), Some(wanted));
        }
        assert_eq!(interval("D"), Some(Interval::D1));
        assert_eq!(interval("M"), Some(Interval::Mo1));
        for wrong in ["", "0", "2", "1m", "12h", "1d", "1H", "-1", "01"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn there_are_candles_of_what_the_stored_interval_divides() {
        assert_eq!(resolutions(Interval::H12), ["720", "1D", "3D", "1W", "1M"]);
        assert_eq!(multipliers(Interval::H12, ""), ["720"]);
        assert_eq!(multipliers(Interval::H12, "D"), ["1", "3"]);
        assert_eq!(multipliers(Interval::S1, "S"), ["1"]);
        assert_eq!(multipliers(Interval::D1, ""), Vec::<&str>::new());
    }
}
