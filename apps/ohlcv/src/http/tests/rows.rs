//! The range contract, and how rows look.

use super::*;

const WEEK: &str = "/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00Z&end=2024-11-08T00:00:00Z";

fn times(slots: impl IntoIterator<Item = usize>) -> Vec<String> {
    slots.into_iter().map(|number| slot(number).to_string()).collect()
}

#[tokio::test]
async fn an_answer_is_these_very_bytes() {
    let answer = get(&example_client().await, "/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00Z&limit=1").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.text,
        r#"{"asset":"BTC","interval":"12h","data":[{"timestamp":"2024-11-01T00:00:00Z","open":"100.50000000","high":"100.90000000","low":"100.00000000","close":"100.70000000","volume":"2.50000000","filled":false}],"count":1}"#
    );
}

#[tokio::test]
async fn the_start_is_inclusive_and_the_end_exclusive() {
    let client = example_client().await;
    let filled = get(&client, &format!("{WEEK}&fill=true")).await;
    assert_eq!(filled.times(), times(0..14));
    let stored = get(&client, WEEK).await;
    assert_eq!(stored.times(), times([0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 13]));
    let off_grid =
        get(&client, "/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00.001Z&end=2024-11-02T00:00:00.001Z").await;
    assert_eq!(off_grid.times(), times([1, 2]));
}

#[tokio::test]
async fn a_limit_keeps_the_oldest_rows_after_a_start_and_the_newest_before_an_end() {
    let client = example_client().await;
    let oldest = get(&client, "/api/v1/ohlcv/BTC?start=2024-11-02T00:00:00Z&limit=2").await;
    assert_eq!(oldest.times(), times([2, 3]));
    let both = get(&client, &format!("{WEEK}&limit=2")).await;
    assert_eq!(both.times(), times([0, 1]));
    let newest = get(&client, "/api/v1/ohlcv/BTC?end=2024-11-05T00:00:00Z&limit=2").await;
    assert_eq!(newest.times(), times([4, 7]));
    let neither = get(&client, "/api/v1/ohlcv/BTC?limit=3").await;
    assert_eq!(neither.times(), times([15, 16, 17]));
    let filled = get(&client, "/api/v1/ohlcv/BTC?end=2024-11-05T00:00:00Z&limit=2&fill=true").await;
    assert_eq!(filled.times(), times([6, 7]));
}

#[tokio::test]
async fn every_spelling_of_a_time_means_the_same_instant() {
    let client = example_client().await;
    let expected = get(&client, "/api/v1/ohlcv/BTC?start=2024-11-03T12:00:00Z").await.text;
    for start in [
        "2024-11-03T12:00:00.000Z",
        "2024-11-03t12:00:00z",
        "2024-11-03T14:00:00%2B02:00",
        "2024-11-03T14:00:00+02:00",
        "2024-11-03T14:00:00%2002:00",
        "2024-11-03T14:00:00.0+02:00",
        "2024-11-03T06:30:00-05:30",
        "1730635200000",
        "0001730635200000",
    ] {
        let answer = get(&client, &format!("/api/v1/ohlcv/BTC?start={start}")).await;
        assert_eq!(answer.text, expected, "{start}");
    }
    for start in ["0", "-100000000000", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"] {
        assert_eq!(
            get(&client, &format!("/api/v1/ohlcv/BTC?start={start}&limit=1")).await.times(),
            times([0])
        );
    }
}

#[tokio::test]
async fn the_case_of_an_asset_does_not_matter() {
    let client = example_client().await;
    let lower = get(&client, "/api/v1/ohlcv/btc").await;
    assert_eq!(lower.json()["asset"], "BTC");
    assert_eq!(lower.text, get(&client, "/api/v1/ohlcv/BTC").await.text);
}

#[tokio::test]
async fn no_data_is_an_empty_answer_and_an_unknown_asset_is_none() {
    let client = example_client().await;
    for url in [
        "/api/v1/ohlcv/BTC?start=2030-01-01T00:00:00Z",
        "/api/v1/ohlcv/BTC?end=2024-11-01T00:00:00Z",
        "/api/v1/ohlcv/BTC?end=2024-11-01T00:00:00Z&fill=true",
        "/api/v1/ohlcv/BTC?start=2024-11-03T12:00:00Z&end=2024-11-04T12:00:00Z",
        "/api/v1/ohlcv/ETH",
        "/api/v1/ohlcv/ETH?fill=true",
    ] {
        let answer = get(&client, url).await;
        assert_eq!((answer.status, answer.rows().len()), (StatusCode::OK, 0), "{url}");
        assert_eq!(answer.header("link"), None, "{url}");
    }
    assert_eq!(get(&client, "/api/v1/ohlcv/DOGE").await.rows().len(), 1);
    assert_eq!(get(&client, "/api/v1/ohlcv/SOL").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn filled_rows_carry_the_last_real_close_even_from_before_the_start() {
    let client = example_client().await;
    let answer =
        get(&client, &format!("/api/v1/ohlcv/BTC?start={}&limit=2&fill=true&fields=all", slot(6))).await;
    let rows = answer.rows();
    assert_eq!(
        rows[0],
        serde_json::json!({
            "timestamp": "2024-11-04T00:00:00Z",
            "open": "104.70000000", "high": "104.70000000", "low": "104.70000000", "close": "104.70000000",
            "volume": "0.00000000", "filled": true,
            "quote_volume": "0.00000000", "trades": 0,
            "taker_buy_volume": "0.00000000", "taker_buy_quote_volume": "0.00000000",
        })
    );
    assert_eq!(rows[1]["filled"], false);
}

#[tokio::test]
async fn nothing_is_filled_before_the_first_candle_or_over_a_pending_tail() {
    let client = example_client().await;
    let all = "/api/v1/ohlcv/BTC?start=2020-01-01T00:00:00Z&end=2030-01-01T00:00:00Z&fill=true";
    assert_eq!(get(&client, all).await.times(), times(0..18));
    assert_eq!(get(&client, "/api/v1/ohlcv/BTC?fill=true").await.times(), times(0..18));
}

#[tokio::test]
async fn all_fields_are_there_when_asked_for_and_null_where_unknown() {
    let client = example_client().await;
    let rows = get(&client, "/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00Z&limit=2&fields=all").await.rows();
    assert_eq!(rows[0]["quote_volume"], "250.25000000");
    assert_eq!(rows[0]["trades"], 42);
    assert_eq!(rows[0]["taker_buy_volume"], "1.50000000");
    assert_eq!(rows[0]["taker_buy_quote_volume"], "150.12500000");
    for field in ["quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"] {
        assert!(rows[1].as_object().unwrap()[field].is_null(), "{field}");
    }
    let basic = get(&client, "/api/v1/ohlcv/BTC?limit=1").await.rows();
    assert_eq!(basic[0].as_object().unwrap().len(), 7);
}

#[tokio::test]
async fn the_extremes_of_numbers_pass_unchanged() {
    let store = MemoryStore::new();
    let largest = ["0.00000001", "999999999999.99999999", "0.00000001", "999999999999.99999999"];
    let volume = "1234567890123456789012.12345678";
    let extreme = candle(at(FIRST), [largest[0], largest[1], largest[2], largest[3], volume]).with_details(
        TradeDetails {
            quote_volume: volume.parse().unwrap(),
            trades: u32::MAX,
            taker_buy_volume: "0".parse().unwrap(),
            taker_buy_quote_volume: volume.parse().unwrap(),
        },
    );
    write(&store, "BTC", vec![extreme], slot(1)).await;
    let client = client_of(Arc::new(store), CorsOrigins::None);
    let row = &get(&client, "/api/v1/ohlcv/BTC?fields=all").await.rows()[0];
    assert_eq!([&row["open"], &row["high"], &row["low"], &row["close"]], largest.each_ref());
    assert_eq!([&row["volume"], &row["quote_volume"], &row["taker_buy_quote_volume"]], [volume; 3]);
    assert_eq!(row["taker_buy_volume"], "0.00000000");
    assert_eq!(row["trades"], u32::MAX);
}

#[tokio::test]
async fn assets_are_listed_with_what_is_stored_of_them() {
    let answer = get(&example_client().await, "/api/v1/assets").await;
    assert_eq!(answer.status, StatusCode::OK);
    let row = |name: &str, first: Value, last: Value, candles: u64, tracked: bool, more: Value| {
        let mut row = serde_json::json!({
            "asset": name, "earliest_timestamp": first, "latest_timestamp": last, "total_candles": candles,
            "backfill_completed": false, "backfill_reason": null, "tracked": tracked,
        });
        if tracked {
            row["backfill_reason"] = "no backfill of it has come to its end yet".into();
        }
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let stands = |status: &str, lag: u64, pending: u64, empty: u64| {
        let gaps = serde_json::json!({
            "pending": pending, "source_empty": empty, "before_listing": 0, "rejected": 0, "failed": 0,
        });
        serde_json::json!({"status": status, "lag": lag, "gaps": gaps})
    };
    // It is noon of the 8th: fifteen half-days have closed since the 1st, and ten days are wanted.
    let expected = serde_json::json!({"assets": [
        row("BTC", FIRST.into(), slot(17).to_string().into(), 15, true, stands("incomplete", 0, 2, 3)),
        row("ETH", Value::Null, Value::Null, 0, true, stands("empty", 20, 0, 0)),
        row("DOGE", FIRST.into(), FIRST.into(), 1, false, stands("untracked", 14, 0, 0)),
    ]});
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn an_asset_says_why_its_backfill_is_not_complete() {
    let store = example_store().await;
    let state = ohlcv_domain::BackfillState { completed: false, reason: "only 9 of 90 days".to_owned() };
    store.record_backfill(asset("ETH"), state, None).await.unwrap();
    let done = ohlcv_domain::BackfillState { completed: true, reason: String::new() };
    store.record_backfill(asset("BTC"), done, None).await.unwrap();
    let json = get(&client_of(store, CorsOrigins::None), "/api/v1/assets").await.json();
    assert_eq!(json["assets"][0]["backfill_completed"], true);
    assert!(json["assets"][0]["backfill_reason"].is_null());
    assert_eq!(json["assets"][1]["backfill_reason"], "only 9 of 90 days");
}
