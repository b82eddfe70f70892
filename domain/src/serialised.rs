//! Values as text and objects, the way the API writes them: feature `serde`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Asset, Candle, Cause, Decimal, Interval, JobId, Ohlc, Price, Row, TimeRange, Timestamp, TradeDetails,
    Volume,
};

/// Reads a value out of text alone: a number may have passed through a float on its way here.
struct FromText<T>(PhantomData<T>);

impl<T> Visitor<'_> for FromText<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|error: T::Err| {
            let said = error.to_string();
            if said.contains(text) { E::custom(said) } else { E::custom(format_args!("{text:?}: {said}")) }
        })
    }
}

/// The value is its text, as `Display` writes and `FromStr` reads it.
macro_rules! is_text {
    ($([$($of:tt)*] $value:ty),+ $(,)?) => {$(
        impl<$($of)*> Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de, $($of)*> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(FromText(PhantomData))
            }
        }
    )+};
}

is_text!([] Asset, [] Cause, [const WHOLE: u32] Decimal<WHOLE>, [] Interval, [] JobId, [] Timestamp);

/// A range as an object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeForm {
    start: Timestamp,
    end: Timestamp,
}

impl Serialize for TimeRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RangeForm { start: self.start(), end: self.end() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RangeForm { start, end } = RangeForm::deserialize(deserializer)?;
        Self::new(start, end).map_err(D::Error::custom)
    }
}

/// A candle or a row as an object. What is not known is left out; `null` says the same.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    timestamp: Timestamp,
    open: Price,
    high: Price,
    low: Price,
    close: Price,
    volume: Volume,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quote_volume: Option<Volume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trades: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taker_buy_volume: Option<Volume>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taker_buy_quote_volume: Option<Volume>,
}

impl Form {
    fn of(candle: &Candle, filled: Option<bool>, complete: Option<bool>) -> Self {
        let Ohlc { open, high, low, close } = candle.prices();
        let details = candle.details();
        Self {
            timestamp: candle.open_time(),
            open,
            high,
            low,
            close,
            volume: candle.volume(),
            filled,
            complete,
            quote_volume: details.map(|details| details.quote_volume),
            trades: details.map(|details| details.trades),
            taker_buy_volume: details.map(|details| details.taker_buy_volume),
            taker_buy_quote_volume: details.map(|details| details.taker_buy_quote_volume),
        }
    }

    fn candle<E: Error>(&self) -> Result<Candle, E> {
        let Self { open, high, low, close, .. } = *self;
        let candle =
            Candle::new(self.timestamp, Ohlc { open, high, low, close }, self.volume).map_err(E::custom)?;
        match (self.quote_volume, self.trades, self.taker_buy_volume, self.taker_buy_quote_volume) {
            (None, None, None, None) => Ok(candle),
            (Some(quote_volume), Some(trades), Some(taker_buy_volume), Some(taker_buy_quote_volume)) => {
                Ok(candle.with_details(TradeDetails {
                    quote_volume,
                    trades,
                    taker_buy_volume,
                    taker_buy_quote_volume,
                }))
            }
            _ => Err(E::custom(
                "quote_volume, trades, taker_buy_volume and taker_buy_quote_volume are known together: give all \
                 four or none",
            )),
        }
    }
}

impl Serialize for Candle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::of(self, None, None).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Candle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        if form.filled.is_some() || form.complete.is_some() {
            return Err(D::Error::custom(
                "filled and complete are said of a row, not of a candle: read a Row",
            ));
        }
        form.candle()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::of(&self.candle, Some(self.filled), self.complete).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let filled = form.filled.ok_or_else(|| D::Error::missing_field("filled"))?;
        let candle: Candle = form.candle()?;
        if filled && !candle.is_flat() {
            return Err(D::Error::custom("a filled row has four equal prices and no volume"));
        }
        Ok(Self { candle, filled, complete: form.complete })
    }
}
