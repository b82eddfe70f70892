//! A candle as one line of text that is the same wherever it is stored.

use crate::{Candle, Ohlc};

/// The candle as text, without a line break: its open time in milliseconds since 1970, open, high,
/// low, close, volume, quote volume, number of trades, taker's buy volume, taker's buy quote volume,
/// parted by single blanks. Prices and amounts have eight decimals; where the rest of the kline is not
/// known, each of its four numbers is `-`.
///
/// Two series are equal if and only if these lines are, so digests of them can be compared.
///
/// ```
/// use ohlcv_domain::{Candle, Timestamp, canonical_line};
///
/// let candle = Candle::flat(Timestamp::EPOCH, "1.5".parse()?);
/// assert_eq!(
///     canonical_line(&candle),
///     "0 1.50000000 1.50000000 1.50000000 1.50000000 0.00000000 0.00000000 0 0.00000000 0.00000000"
/// );
/// # Ok::<(), ohlcv_domain::DecimalError>(())
/// ```
#[must_use]
pub fn canonical_line(candle: &Candle) -> String {
    let Ohlc { open, high, low, close } = candle.prices();
    let details = match candle.details() {
        Some(known) => format!(
            "{} {} {} {}",
            known.quote_volume, known.trades, known.taker_buy_volume, known.taker_buy_quote_volume
        ),
        None => "- - - -".to_owned(),
    };
    format!("{} {open} {high} {low} {close} {} {details}", candle.open_time().millis(), candle.volume())
}
