//! Feature `serde`: values are written as the API writes them, and nothing is read that no value can be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;

use ohlcv_domain::{
    Asset, Candle, Cause, Interval, JobId, Ohlc, Price, Row, TimeRange, Timestamp, TradeDetails, Volume,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row as `GET /api/v1/ohlcv/BTC?fields=all` has it.
const ROW: &str = concat!(
    r#"{"timestamp":"2026-08-10T12:00:00Z","open":"75427.19000000","high":"75681.05000000","#,
    r#""low":"74508.37000000","close":"74508.37000000","volume":"9720.00000000","filled":false,"#,
    r#""quote_volume":"729563817.12000000","trades":4294967295,"taker_buy_volume":"1.00000000","#,
    r#""taker_buy_quote_volume":"75000.00000001"}"#,
);
const CANDLE: &str = concat!(
    r#"{"timestamp":"2026-08-10T12:00:00Z","open":"2.00000000","high":"3.00000000","low":"1.00000000","#,
    r#""close":"2.50000000","volume":"9.00000000"}"#,
);
const FILLED: &str = concat!(
    r#"{"timestamp":"2026-08-11T00:00:00Z","open":"2.00000000","high":"2.00000000","low":"2.00000000","#,
    r#""close":"2.00000000","volume":"0.00000000","filled":true,"complete":false}"#,
);

fn is_written_and_read<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, json: &str) {
    assert_eq!(serde_json::to_string(&value).unwrap(), json);
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), value);
}

fn refusal<T: DeserializeOwned + Debug>(json: &str) -> String {
    serde_json::from_str::<T>(json).unwrap_err().to_string()
}

#[test]
fn texts_are_written_as_the_api_writes_them() {
    is_written_and_read("BTC".parse::<Asset>().unwrap(), r#""BTC""#);
    is_written_and_read(Interval::Mo1, r#""1M""#);
    is_written_and_read(Cause::SourceEmpty, r#""source_empty""#);
    is_written_and_read(
        "2024-11-01T02:00:00+02:00".parse::<Timestamp>().unwrap(),
        r#""2024-11-01T00:00:00Z""#,
    );
    is_written_and_read("0.1".parse::<Price>().unwrap(), r#""0.10000000""#);
    is_written_and_read(Price::MAX, r#""999999999999.99999999""#);
    is_written_and_read(Volume::MAX, r#""9999999999999999999999.99999999""#);
    let id = "550e8400-e29b-41d4-a716-446655440000";
    is_written_and_read(id.parse::<JobId>().unwrap(), &format!("{id:?}"));
    let day =
        TimeRange::new("2024-11-01T00:00:00Z".parse().unwrap(), "2024-11-02T00:00:00Z".parse().unwrap());
    is_written_and_read(day.unwrap(), r#"{"start":"2024-11-01T00:00:00Z","end":"2024-11-02T00:00:00Z"}"#);
}

#[test]
fn candles_and_rows_are_written_as_the_api_writes_them() {
    let row: Row = serde_json::from_str(ROW).unwrap();
    let details = TradeDetails {
        quote_volume: "729563817.12".parse().unwrap(),
        trades: u32::MAX,
        taker_buy_volume: "1".parse().unwrap(),
        taker_buy_quote_volume: "75000.00000001".parse().unwrap(),
    };
    assert_eq!((row.candle.details(), row.filled, row.complete), (Some(details), false, None));
    is_written_and_read(row, ROW);
    let [open, high, low, close] = ["2", "3", "1", "2.5"].map(|price| price.parse().unwrap());
    let opened = "2026-08-10T12:00:00Z".parse().unwrap();
    let candle = Candle::new(opened, Ohlc { open, high, low, close }, "9".parse().unwrap()).unwrap();
    is_written_and_read(candle, CANDLE);
    let row: Row = serde_json::from_str(FILLED).unwrap();
    assert_eq!((row.filled, row.complete), (true, Some(false)));
    is_written_and_read(row, FILLED);
}

#[test]
fn what_is_null_is_not_known() {
    let nulls =
        r#","quote_volume":null,"trades":null,"taker_buy_volume":null,"taker_buy_quote_volume":null}"#;
    let candle: Candle = serde_json::from_str(&CANDLE.replace('}', nulls)).unwrap();
    assert_eq!(candle.details(), None);
}

#[test]
fn a_price_is_read_from_text_alone() {
    for number in ["68500.5", "1", "1e3"] {
        let refusal = refusal::<Price>(number);
        assert!(refusal.contains("expected a text"), "{refusal}");
    }
}

#[test]
fn what_no_value_can_be_is_refused_by_name() {
    let refused = [
        (refusal::<Price>(r#""0.000000001""#), "\"0.000000001\": more than eight decimal places"),
        (refusal::<Price>(r#""-1""#), "\"-1\": negative"),
        (refusal::<Volume>(r#""NaN""#), "\"NaN\": not a plain decimal number"),
        (refusal::<Asset>(r#""BTC-USD""#), "\"BTC-USD\" is not an asset name"),
        (refusal::<Interval>(r#""24h""#), "24h"),
        (refusal::<Cause>(r#""unknown""#), "\"unknown\" is not a cause"),
        (refusal::<JobId>(r#""42""#), "\"42\" is no name of a job"),
        (refusal::<Timestamp>(r#""2024-11-01""#), "\"2024-11-01\" is not an RFC 3339 time"),
        (refusal::<Timestamp>("1730419200000"), "expected a text"),
        (
            refusal::<TimeRange>(r#"{"start":"2024-11-02T00:00:00Z","end":"2024-11-01T00:00:00Z"}"#),
            "the range ends at 2024-11-01T00:00:00Z, before its start",
        ),
        (refusal::<Candle>(&CANDLE.replace("1.0", "2.1")), "the low 2.10000000 is above another price"),
        (refusal::<Candle>(&CANDLE.replace("3.0", "2.0")), "the high 2.00000000 is below another price"),
        (refusal::<Candle>(&CANDLE.replace('}', r#","trades":3}"#)), "give all four or none"),
        (refusal::<Candle>(FILLED), "read a Row"),
        (refusal::<Row>(CANDLE), "missing field `filled`"),
        (
            refusal::<Row>(&ROW.replace("\"filled\":false", "\"filled\":true")),
            "a filled row has four equal prices",
        ),
    ];
    for (refusal, reason) in refused {
        assert!(refusal.contains(reason), "{refusal:?} does not say {reason:?}");
    }
}

#[test]
fn fields_that_are_not_known_are_refused() {
    for (json, name) in
        [(CANDLE.replace('}', r#","vwap":"2"}"#), "vwap"), (CANDLE.replace("open", "Open"), "Open")]
    {
        let refusal = refusal::<Candle>(&json);
        assert!(refusal.contains(&format!("unknown field `{name}`")), "{refusal}");
    }
    assert!(
        refusal::<TimeRange>(r#"{"start":"2024-11-02T00:00:00Z","stop":0}"#).contains("unknown field `stop`")
    );
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(
        units in prop::array::uniform4(0..=Price::MAX.units()),
        volume in 0..=Volume::MAX.units(),
        millis in Timestamp::MIN.millis()..=Timestamp::MAX.millis(),
        trades in proptest::option::of(any::<u32>()),
    ) {
        let mut units = units;
        units.sort_unstable();
        let [low, open, close, high] = units.map(|units| Price::from_units(units).unwrap());
        let (open_time, volume) = (Timestamp::from_millis(millis).unwrap(), Volume::from_units(volume).unwrap());
        let mut candle = Candle::new(open_time, Ohlc { open, high, low, close }, volume).unwrap();
        if let Some(trades) = trades {
            candle = candle.with_details(TradeDetails { trades, quote_volume: volume, ..TradeDetails::default() });
        }
        let json = serde_json::to_string(&candle).unwrap();
        prop_assert_eq!(serde_json::from_str::<Candle>(&json).unwrap(), candle);
    }
}
