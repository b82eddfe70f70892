//! Candles of the real exchange, recorded by others, in the folder that `OHLCV_RECORDED_DATA` names.

use std::path::PathBuf;

use ohlcv_domain::{Candle, Ohlc, Timestamp};

/// A file of the folder with the recorded data.
///
/// # Panics
/// If `OHLCV_RECORDED_DATA` does not name a folder.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("OHLCV_RECORDED_DATA")
        .expect("OHLCV_RECORDED_DATA names the folder with the recorded data (an absolute path)");
    PathBuf::from(folder).join(name)
}

/// The text of a recorded file.
#[must_use]
pub fn text(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fields of a CSV file without its header. No field there holds a comma.
#[must_use]
pub fn csv(name: &str) -> Vec<Vec<String>> {
    let fields = |line: &str| line.split(',').map(str::to_owned).collect();
    text(name).lines().skip(1).map(fields).collect()
}

/// The candles of a file `open_time_ms,open,high,low,close,volume`.
#[must_use]
pub fn candles(name: &str) -> Vec<Candle> {
    csv(name).iter().map(|fields| candle(fields)).collect()
}

/// A candle from the six fields `open_time_ms,open,high,low,close,volume`.
#[must_use]
pub fn candle(fields: &[String]) -> Candle {
    let open_time = millis(&fields[0]);
    let price = |at: usize| fields[at].parse().expect("a recorded price");
    let prices = Ohlc { open: price(1), high: price(2), low: price(3), close: price(4) };
    Candle::new(open_time, prices, fields[5].parse().expect("a recorded volume")).expect("a recorded candle")
}

/// Milliseconds since 1970.
#[must_use]
pub fn millis(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse().expect("milliseconds")).expect("a time within bounds")
}

/// The candle that much later.
#[must_use]
pub fn shifted(candle: &Candle, by_millis: i64) -> Candle {
    let open_time =
        Timestamp::from_millis(candle.open_time().millis() + by_millis).expect("a time within bounds");
    Candle::new(open_time, candle.prices(), candle.volume()).expect("its prices are those of a candle")
}
