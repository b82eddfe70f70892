//! Rows of candles as bytes of JSON.

use std::fmt::Write;

use bytes::Bytes;
use ohlcv_domain::{Asset, Interval, Row};

/// The length of a row with small numbers; what is longer makes the buffer grow.
const ROW_BYTES: usize = 192;
/// The same with all fields.
const ROW_BYTES_ALL_FIELDS: usize = 320;
/// What stands around the rows.
const FRAME_BYTES: usize = 96;

/// The room that is made for a row.
pub(crate) const fn row_bytes(all_fields: bool) -> usize {
    if all_fields { ROW_BYTES_ALL_FIELDS } else { ROW_BYTES }
}

/// The answer in JSON, ready to be sent.
///
/// None of the texts needs escaping: they are names of assets and intervals, digits and times.
pub(crate) fn candle_bytes(asset: Asset, interval: Interval, rows: &[Row], all_fields: bool) -> Vec<u8> {
    let mut json = String::with_capacity(FRAME_BYTES + rows.len() * row_bytes(all_fields));
    // Writing to a string cannot fail.
    let _ = write!(json, r#"{{"asset":"{asset}","interval":"{interval}","data":["#);
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        push_row(&mut json, row, all_fields);
    }
    let _ = write!(json, r#"],"count":{}}}"#, rows.len());
    json.into_bytes()
}

/// The answer in JSON, in pieces: around rows that are written already, each with a comma behind it.
pub(crate) fn framed(asset: Asset, interval: Interval, rows: Vec<Bytes>, count: usize) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(rows.len() + 2);
    pieces.push(format!(r#"{{"asset":"{asset}","interval":"{interval}","data":["#).into());
    pieces.extend(rows);
    if count > 0
        && let Some(last) = pieces.last_mut()
    {
        last.truncate(last.len() - 1);
    }
    pieces.push(format!(r#"],"count":{count}}}"#).into());
    pieces
}

/// One row.
pub(crate) fn push_row(json: &mut String, row: &Row, all_fields: bool) {
    json.push('{');
    push_prices(json, row);
    if all_fields {
        push_details(json, row);
    }
    json.push('}');
}

fn push_prices(json: &mut String, row: &Row) {
    let Row { candle, filled, complete } = row;
    let _ = write!(
        json,
        r#""timestamp":"{}","open":"{}","high":"{}","low":"{}","close":"{}","volume":"{}","filled":{filled}"#,
        candle.open_time(),
        candle.open(),
        candle.high(),
        candle.low(),
        candle.close(),
        candle.volume(),
    );
    if let Some(complete) = complete {
        let _ = write!(json, r#","complete":{complete}"#);
    }
}

fn push_details(json: &mut String, row: &Row) {
    let _ = match row.candle.details() {
        Some(details) => write!(
            json,
            r#","quote_volume":"{}","trades":{},"taker_buy_volume":"{}","taker_buy_quote_volume":"{}""#,
            details.quote_volume, details.trades, details.taker_buy_volume, details.taker_buy_quote_volume,
        ),
        None => write!(
            json,
            r#","quote_volume":null,"trades":null,"taker_buy_volume":null,"taker_buy_quote_volume":null"#
        ),
    };
}
