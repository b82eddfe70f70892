//! Rows as JSON with an array for each field.

use std::fmt::Write;

use ohlcv_domain::{Asset, Interval, Row};
use poem_openapi::Object;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::formats::{Shape, Value, fields};
use crate::http::dto::Time;

// The shape as documented; the bytes are written by `columns_bytes`.
/// Candles of one asset, field by field.
#[derive(Object)]
#[oai(rename = "CandleColumns")]
pub(crate) struct ColumnsBody {
    /// The asset, in upper case.
    asset: String,
    /// How long each candle lasts, as Binance writes it: `12h`, `1d`, `1M`.
    interval: String,
    /// The fields: arrays of the same length, earliest row first.
    data: ColumnsRows,
    /// How many rows there are.
    count: u32,
}

/// The values of each field, of all rows. All decimals are strings with exactly eight places.
#[derive(Object)]
#[oai(rename = "Columns")]
pub(crate) struct ColumnsRows {
    /// When each candle opened, UTC.
    timestamp: Vec<Time>,
    /// Prices of the first trades.
    open: Vec<String>,
    /// Highest prices.
    high: Vec<String>,
    /// Lowest prices.
    low: Vec<String>,
    /// Prices of the last trades.
    close: Vec<String>,
    /// Traded amounts in units of the asset.
    volume: Vec<String>,
    /// Whether the exchange has no such candle, and this one carries the last real close.
    filled: Vec<bool>,
    /// Whether every stored candle that a row is made of is there, since the asset was listed; false for a
    /// filled row. With an `interval` other than the stored one only.
    #[oai(skip_serializing_if_is_none)]
    complete: Option<Vec<bool>>,
    /// Traded amounts in units of the quote asset. With `fields=all` only; null where unknown.
    #[oai(skip_serializing_if_is_none)]
    quote_volume: Option<Vec<Option<String>>>,
    /// Numbers of trades. With `fields=all` only; null where unknown.
    #[oai(skip_serializing_if_is_none)]
    trades: Option<Vec<Option<u32>>>,
    /// Parts of the volume in which the buyer was the taker. With `fields=all` only; null where unknown.
    #[oai(skip_serializing_if_is_none)]
    taker_buy_volume: Option<Vec<Option<String>>>,
    /// Parts of the quote volume in which the buyer was the taker. With `fields=all` only; null where unknown.
    #[oai(skip_serializing_if_is_none)]
    taker_buy_quote_volume: Option<Vec<Option<String>>>,
}

/// The answer about one asset, ready to be sent. None of the texts needs escaping.
pub(crate) fn columns_bytes(
    asset: Asset,
    interval: Interval,
    rows: &[Row],
    shape: Shape,
) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::new();
    json.extend(format!(r#"{{"asset":"{asset}","interval":"{interval}","data":"#).as_bytes());
    push_columns(&mut json, rows, shape)?;
    let mut end = String::new();
    // Writing to a string cannot fail.
    let _ = write!(end, r#","count":{}}}"#, rows.len());
    json.extend(end.as_bytes());
    Ok(json)
}

/// The fields alone.
pub(crate) fn push_columns(json: &mut Vec<u8>, rows: &[Row], shape: Shape) -> serde_json::Result<()> {
    serde_json::to_writer(json, &Columns { rows, shape })
}

struct Columns<'a> {
    rows: &'a [Row],
    shape: Shape,
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for field in fields(self.shape) {
            // No memory for all values at once: they are written as they are read.
            object.serialize_entry(field.name, &Column { rows: self.rows, of: field.of })?;
        }
        object.end()
    }
}

struct Column<'a> {
    rows: &'a [Row],
    of: fn(&Row) -> Value,
}

impl Serialize for Column<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(self.of))
    }
}
