//! One candle.

use crate::{Price, Timestamp, Volume};

/// The four prices of a candle, as given; [`Candle::new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ohlc {
    /// Price of the first trade.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Price of the last trade.
    pub close: Price,
}

/// The rest of a kline: what the exchange tells beyond prices and volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TradeDetails {
    /// Traded amount in units of the quote asset.
    pub quote_volume: Volume,
    /// Number of trades.
    pub trades: u32,
    /// Part of the volume, in units of the base asset, in which the buyer was the taker.
    pub taker_buy_volume: Volume,
    /// Part of the quote volume in which the buyer was the taker.
    pub taker_buy_quote_volume: Volume,
}

/// A candle (the exchange calls it a kline) with `low <= open, close <= high`.
///
/// It is named by its open time alone. When it ends is the [`Grid`](crate::Grid)'s to say: an
/// exchange may report an earlier close time for a candle that a trading halt cut short.
///
/// ```
/// use ohlcv_domain::{Candle, Ohlc};
///
/// // The first 12h candle of BTCUSDT.
/// let candle = Candle::new(
///     "2017-08-17T00:00:00Z".parse()?,
///     Ohlc { open: "4261.48".parse()?, high: "4485.39".parse()?, low: "4261.32".parse()?, close: "4427.30".parse()? },
///     "145.708747".parse()?,
/// )?;
/// assert_eq!(candle.close().to_string(), "4427.30000000");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    open_time: Timestamp,
    prices: Ohlc,
    volume: Volume,
    details: Option<TradeDetails>,
}

/// Why four prices make no candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CandleError {
    /// The low is above the open, the close or the high.
    #[error("the low {low} is above another price")]
    LowNotLowest {
        /// The low that was given.
        low: Price,
    },
    /// The high is below the open or the close.
    #[error("the high {high} is below another price")]
    HighNotHighest {
        /// The high that was given.
        high: Price,
    },
}

impl Candle {
    /// A candle without the rest of the kline.
    ///
    /// # Errors
    /// [`CandleError`] unless `low <= open, close <= high`. Any size of step between candles is
    /// legal: first trading days have had lows of a third and highs of three times the open.
    pub fn new(open_time: Timestamp, prices: Ohlc, volume: Volume) -> Result<Self, CandleError> {
        let Ohlc { open, high, low, close } = prices;
        if low > open.min(close).min(high) {
            return Err(CandleError::LowNotLowest { low });
        }
        if high < open.max(close) {
            return Err(CandleError::HighNotHighest { high });
        }
        Ok(Self { open_time, prices, volume, details: None })
    }

    /// The same candle with the rest of the kline.
    #[must_use]
    pub const fn with_details(mut self, details: TradeDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// A candle in which nothing was traded: all prices equal, all amounts zero.
    #[must_use]
    pub const fn flat(open_time: Timestamp, price: Price) -> Self {
        Self {
            open_time,
            prices: Ohlc { open: price, high: price, low: price, close: price },
            volume: Volume::ZERO,
            details: Some(TradeDetails {
                quote_volume: Volume::ZERO,
                trades: 0,
                taker_buy_volume: Volume::ZERO,
                taker_buy_quote_volume: Volume::ZERO,
            }),
        }
    }

    /// A candle of prices that are in order already.
    pub(crate) const fn in_order(
        open_time: Timestamp,
        prices: Ohlc,
        volume: Volume,
        details: Option<TradeDetails>,
    ) -> Self {
        Self { open_time, prices, volume, details }
    }

    /// Whether nothing was traded in it: all prices equal, the volume zero. The exchange sends such
    /// candles during some outages, at the last price before; its own coarser candles pass over them.
    ///
    /// ```
    /// use ohlcv_domain::{Candle, Timestamp};
    /// assert!(Candle::flat(Timestamp::EPOCH, "28080".parse()?).is_flat());
    /// # Ok::<(), ohlcv_domain::DecimalError>(())
    /// ```
    #[must_use]
    pub fn is_flat(&self) -> bool {
        let Ohlc { open, high, low, close } = self.prices;
        self.volume == Volume::ZERO && low == high && open == close && open == low
    }

    /// Whether writing this candle over `stored` would change nothing. A source that does not tell
    /// the rest of the kline says nothing against what is known of it.
    #[must_use]
    pub fn confirms(&self, stored: &Self) -> bool {
        let details = self.details.is_none() || self.details == stored.details;
        self.prices == stored.prices && self.volume == stored.volume && details
    }

    /// Whether this candle says something else than `stored` about what both of them know. One that
    /// only adds the rest of the kline does not.
    #[must_use]
    pub fn contradicts(&self, stored: &Self) -> bool {
        let details = self.details.zip(stored.details).is_some_and(|(one, other)| one != other);
        self.prices != stored.prices || self.volume != stored.volume || details
    }

    /// When it opened, UTC: the name of the candle within its series.
    #[must_use]
    pub const fn open_time(&self) -> Timestamp {
        self.open_time
    }

    /// All four prices.
    #[must_use]
    pub const fn prices(&self) -> Ohlc {
        self.prices
    }

    /// Price of the first trade, in units of the quote asset.
    #[must_use]
    pub const fn open(&self) -> Price {
        self.prices.open
    }

    /// Highest price, in units of the quote asset.
    #[must_use]
    pub const fn high(&self) -> Price {
        self.prices.high
    }

    /// Lowest price, in units of the quote asset.
    #[must_use]
    pub const fn low(&self) -> Price {
        self.prices.low
    }

    /// Price of the last trade, in units of the quote asset.
    #[must_use]
    pub const fn close(&self) -> Price {
        self.prices.close
    }

    /// Traded amount, in units of the base asset.
    #[must_use]
    pub const fn volume(&self) -> Volume {
        self.volume
    }

    /// The rest of the kline, where it is known.
    #[must_use]
    pub const fn details(&self) -> Option<TradeDetails> {
        self.details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(open: &str, high: &str, low: &str, close: &str) -> Ohlc {
        let [open, high, low, close] = [open, high, low, close].map(|price| price.parse().unwrap());
        Ohlc { open, high, low, close }
    }

    #[test]
    fn impossible_prices_make_no_candle() {
        let make = |prices| Candle::new(Timestamp::EPOCH, prices, Volume::ZERO).map(|_| ());
        assert!(matches!(make(prices("2", "3", "2.1", "3")), Err(CandleError::LowNotLowest { .. })));
        assert!(matches!(make(prices("2", "3", "2", "1.9")), Err(CandleError::LowNotLowest { .. })));
        assert!(matches!(make(prices("2", "1", "2", "2")), Err(CandleError::LowNotLowest { .. })));
        assert!(matches!(make(prices("2", "2", "1", "2.5")), Err(CandleError::HighNotHighest { .. })));
    }

    #[test]
    fn first_day_extremes_are_legal() {
        // BNBUSDT 2017-11-06 and XRPUSDT 2018-05-04, as the exchange has them.
        for day in [prices("1.50", "1.799", "0.50", "1.6288"), prices("0.50", "1.50", "0.50", "0.91596")] {
            assert!(Candle::new(Timestamp::EPOCH, day, Volume::ZERO).is_ok());
        }
    }
}
