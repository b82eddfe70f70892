//! Rows of candles as bytes of JSON.

use std::fmt::Write;

use ohlcv_domain::{Asset, Interval, Row};

/// The length of a row with small numbers; what is longer makes the buffer grow.
const ROW_BYTES: usize = 192;
/// The same with all fields.
const ROW_BYTES_ALL_FIELDS: usize = 320;
/// What stands around the rows.
const FRAME_BYTES: usize = 96;

/// The answer in JSON, ready to be sent.
///
/// None of the texts needs escaping: they are names of assets and intervals, digits and times.
pub(crate) fn candle_bytes(asset: Asset, interval: Interval, rows: &[Row], all_fields: bool) -> Vec<u8> {
    let row_bytes = if all_fields { ROW_BYTES_ALL_FIELDS } else { ROW_BYTES };
    let mut json = String::with_capacity(FRAME_BYTES + rows.len() * row_bytes);
    // Writing to a string cannot fail.
    let _ = write!(json, r#"{{"asset":"{asset}","interval":"{interval}","data":["#);
    for (at, row) in rows.iter().enumerate() {
        json.push_str(if at == 0 { "{" } else { ",{" });
        push_row(&mut json, row);
        if all_fields {
            push_details(&mut json, row);
        }
        json.push('}');
    }
    let _ = write!(json, r#"],"count":{}}}"#, rows.len());
    json.into_bytes()
}

fn push_row(json: &mut String, row: &Row) {
    let Row { candle, filled } = row;
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
