//! Several assets in one answer, and what they were worth at an instant.

use super::formats::{batches, bytes_of, of_batches, of_lines};
use super::*;

const BOTH: &str = "/api/v1/ohlcv?assets=BTC,DOGE";

fn one<'a>(json: &'a Value, at: usize, name: &str) -> &'a Value {
    let one = &json["assets"][at];
    assert_eq!(one["asset"], name);
    assert_eq!(one["count"], one["data"].as_array().unwrap().len());
    one
}

#[tokio::test]
async fn each_asset_has_the_rows_that_it_has_alone() {
    let client = example_client().await;
    for options in [
        "",
        "&fill=true",
        "&fields=all&start=0&limit=4",
        "&end=2024-11-05T00:00:00Z&limit=3",
        "&interval=1d&fill=true&start=0&limit=4",
    ] {
        let interval = if options.contains("interval") { "1d" } else { "12h" };
        let json = get(&client, &format!("/api/v1/ohlcv?assets=doge,btc,ETH{options}")).await.json();
        assert_eq!(json["interval"], interval);
        let mut count = 0;
        for (at, name) in ["DOGE", "BTC", "ETH"].into_iter().enumerate() {
            let options = options.replacen('&', "?", 1);
            let alone = get(&client, &format!("/api/v1/ohlcv/{name}{options}")).await;
            let together = one(&json, at, name);
            assert_eq!(together["data"], alone.json()["data"], "{name} {options}");
            assert_eq!(together["next"].is_null(), alone.link("next").is_none(), "{name} {options}");
            assert_eq!(together["prev"].is_null(), alone.link("prev").is_none(), "{name} {options}");
            count += alone.rows().len();
        }
        assert_eq!(json["count"], count);
    }
}

#[tokio::test]
async fn an_answer_about_several_is_these_very_bytes() {
    let client = example_client().await;
    let answer = get(&client, "/api/v1/ohlcv?assets=BTC,ETH&start=2024-11-01T00:00:00Z&limit=1").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("link"), None);
    assert_eq!(
        answer.text,
        r#"{"interval":"12h","assets":[{"asset":"BTC","data":[{"timestamp":"2024-11-01T00:00:00Z","open":"100.50000000","high":"100.90000000","low":"100.00000000","close":"100.70000000","volume":"2.50000000","filled":false}],"count":1,"next":"2024-11-01T12:00:00Z","prev":null},{"asset":"ETH","data":[],"count":0,"next":null,"prev":null}],"count":1}"#
    );
}

#[tokio::test]
async fn each_asset_goes_on_at_its_own_next() {
    let client = example_client().await;
    let whole = get(&client, "/api/v1/ohlcv/BTC?start=0").await.rows();
    let mut rows = Vec::new();
    let mut start = Some("0".to_owned());
    while let Some(from) = start {
        let json = get(&client, &format!("{BOTH}&start={from}&limit=4")).await.json();
        let btc = one(&json, 0, "BTC");
        rows.extend(btc["data"].as_array().unwrap().clone());
        start = btc["next"].as_str().map(str::to_owned);
    }
    assert_eq!(rows, whole);
}

#[tokio::test]
async fn in_other_formats_each_row_says_whose_it_is() {
    let client = example_client().await;
    let json = get(&client, &format!("{BOTH}&start=0")).await.json();
    let mut expected = Vec::new();
    for at in [0, 1] {
        for row in json["assets"][at]["data"].as_array().unwrap() {
            let mut row = row.clone();
            row["asset"] = json["assets"][at]["asset"].clone();
            expected.push(row.to_string());
        }
    }
    let expected = of_lines(&(expected.join("\n") + "\n"));
    assert_eq!(expected.len(), 16);
    assert_eq!(of_lines(&get(&client, &format!("{BOTH}&format=ndjson")).await.text), expected);
    let (headers, arrow) = bytes_of(&client, &format!("{BOTH}&format=arrow"), None).await;
    assert_eq!(headers["content-disposition"], "attachment; filename=\"candles-12h.arrows\"");
    let arrow = batches(&arrow);
    assert_eq!(of_batches(&arrow), expected);
    assert_eq!(arrow[0].schema().metadata().get("assets").map(String::as_str), Some("BTC,DOGE"));
    let table = get(&client, &format!("{BOTH}&format=csv&limit=1")).await.text;
    assert_eq!(
        table,
        "asset,timestamp,open,high,low,close,volume,filled\n\
         BTC,2024-11-09T12:00:00Z,117.50000000,117.90000000,117.00000000,117.70000000,2.50000000,false\n\
         DOGE,2024-11-01T00:00:00Z,100.50000000,100.90000000,100.00000000,100.70000000,2.50000000,false\n"
    );
    let columns = get(&client, &format!("{BOTH}&format=columns&start=0")).await.json();
    assert_eq!(columns["count"], 16);
    assert_eq!(columns["assets"][1]["data"]["close"], serde_json::json!(["100.70000000"]));
    assert_eq!(columns["assets"][0]["data"]["close"].as_array().unwrap().len(), 15);
    // A list of one is a list.
    let one = get(&client, "/api/v1/ohlcv?assets=DOGE&format=csv").await.text;
    assert!(one.starts_with("asset,timestamp,"), "{one}");
}

#[tokio::test]
async fn the_tag_of_several_changes_with_any_of_them() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let tag = get(&client, BOTH).await.header("etag").unwrap().to_owned();
    let again = async || send(&client, Method::GET, BOTH, &[("if-none-match", &tag)]).await.status;
    assert_eq!(again().await, StatusCode::NOT_MODIFIED);
    write(&store, "ETH", vec![example(0)], slot(1)).await;
    assert_eq!(again().await, StatusCode::NOT_MODIFIED);
    write(&store, "DOGE", vec![candle(slot(0), ["1", "1", "1", "1", "1"])], slot(1)).await;
    assert_eq!(again().await, StatusCode::OK);
}

#[tokio::test]
async fn careless_lists_are_told_what_is_allowed() {
    let client = example_client().await;
    let many: Vec<String> = (0..51).map(|number| format!("A{number}")).collect();
    let many = many.join(",");
    const LIST: &str = "1 to 50 different names";
    for path in ["/api/v1/ohlcv", "/api/v1/prices", "/api/v1/stream"] {
        for (query, status, code, told) in [
            ("", 400, "bad_parameter", LIST),
            ("?assets=", 400, "bad_parameter", LIST),
            ("?assets=BTC,", 400, "bad_parameter", LIST),
            ("?assets=BTC,btc", 400, "bad_parameter", LIST),
            ("?assets=BTC-USD", 400, "bad_parameter", LIST),
            (&format!("?assets={many}"), 400, "bad_parameter", LIST),
            ("?assets=BTC,SOL", 404, "unknown_asset", "SOL is not tracked"),
            ("?assets=BTC,ETHUSDT", 404, "unknown_asset", "the asset is ETH"),
        ] {
            if (path, query) == ("/api/v1/stream", "") {
                // That one has all tracked ones then.
                continue;
            }
            let answer = get(&client, &format!("{path}{query}")).await;
            let (given, detail) = answer.problem();
            assert_eq!((answer.status.as_u16(), given.as_str()), (status, code), "{path}{query}: {detail}");
            assert!(detail.contains(told), "{path}{query}: {detail}");
            assert_eq!(answer.json()["parameter"], "assets", "{path}{query}");
        }
    }
    for format in ["ndjson", "csv", "arrow", "columns"] {
        let answer = get(&client, &format!("/api/v1/ohlcv?assets=BTC,SOL&format={format}")).await;
        assert_eq!(answer.problem().0, "unknown_asset", "{format}");
        assert_eq!(answer.json()["parameter"], "assets");
    }
    assert_eq!(get(&client, "/api/v1/prices?assets=BTC&at=now").await.json()["parameter"], "at");
    assert_eq!(get(&client, "/api/v1/prices?assets=BTC&limit=1").await.problem().0, "unknown_parameter");
}

#[tokio::test]
async fn the_rows_of_all_assets_together_are_bounded() {
    let tracked: Vec<Asset> = (0..6).map(|number| asset(&format!("A{number}"))).collect();
    let store = example_store().await;
    for tracked in &tracked {
        write(&store, tracked.as_str(), vec![example(0)], slot(1)).await;
    }
    let client = client_of(store, CorsOrigins::None);
    let names: Vec<&str> = tracked.iter().map(Asset::as_str).collect();
    let all = names.join(",");
    for (query, status) in [
        (format!("assets={all}"), 200),
        (format!("assets={all}&limit=8333"), 200),
        (format!("assets={all}&limit=8334"), 400),
        (format!("assets={all}&limit=8334&format=columns"), 400),
        (format!("assets={all}&limit=8334&format=csv"), 400),
        (format!("assets={all}&format=csv"), 200),
        (format!("assets={}&limit=10000", names[..5].join(",")), 200),
    ] {
        let answer = get(&client, &format!("/api/v1/ohlcv?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        if status == 400 {
            let (code, detail) = answer.problem();
            assert_eq!((code.as_str(), &answer.json()["parameter"]), ("bad_parameter", &"limit".into()));
            assert!(detail.contains("from 1 to 8333"), "{detail}");
        }
    }
}

/// Asset, price, open time, close time and age of each price.
async fn prices(client: &Client, query: &str) -> Vec<Value> {
    let answer = get(client, &format!("/api/v1/prices?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let json = answer.json();
    let prices = json["prices"].as_array().unwrap().clone();
    assert_eq!(json["count"], prices.len());
    assert_eq!((&json["quote"], &json["interval"]), (&"USDT".into(), &"12h".into()));
    prices
}

#[tokio::test]
async fn a_candle_counts_from_the_instant_at_which_it_has_closed() {
    let client = example_client().await;
    for (at, price, open_time, age) in [
        // The fourth candle opens at noon of the 2nd.
        ("2024-11-03T00:00:00Z", "103.70000000", "2024-11-02T12:00:00Z", 0),
        ("2024-11-02T23:59:59.999Z", "102.70000000", "2024-11-02T00:00:00Z", 43_199),
        ("2024-11-03T00:00:00.999Z", "103.70000000", "2024-11-02T12:00:00Z", 0),
        ("2024-11-03T11:59:59Z", "103.70000000", "2024-11-02T12:00:00Z", 43_199),
        // Slots 5 and 6 are missing: what is told is old.
        ("2024-11-04T12:00:00Z", "104.70000000", "2024-11-03T00:00:00Z", 86_400),
        // The last one that there is.
        ("2030-01-01T00:00:00Z", "117.70000000", "2024-11-09T12:00:00Z", 162_259_200),
    ] {
        let found = &prices(&client, &format!("assets=BTC&at={at}")).await[0];
        assert_eq!((&found["price"], &found["open_time"]), (&price.into(), &open_time.into()), "{at}");
        assert_eq!(found["age_seconds"], age, "{at}");
    }
}

#[tokio::test]
async fn prices_are_those_of_now_unless_said_and_null_where_there_is_none() {
    let client = example_client().await;
    let now = prices(&client, "assets=eth,BTC,DOGE").await;
    let nothing = |name: &str| {
        serde_json::json!({
            "asset": name, "price": null, "open_time": null, "close_time": null, "age_seconds": null,
        })
    };
    assert_eq!(now[0], nothing("ETH"));
    // The service's clock shows 2024-11-08T12:00:00.789: the candle of midnight has closed.
    assert_eq!(
        now[1],
        serde_json::json!({
            "asset": "BTC", "price": "114.70000000", "open_time": "2024-11-08T00:00:00Z",
            "close_time": "2024-11-08T12:00:00Z", "age_seconds": 0,
        })
    );
    assert_eq!((&now[2]["asset"], &now[2]["price"]), (&"DOGE".into(), &"100.70000000".into()));
    let before = prices(&client, "assets=BTC,ETH&at=2024-11-01T11:59:59Z").await;
    assert_eq!(before, [nothing("BTC"), nothing("ETH")]);
    let json = get(&client, "/api/v1/prices?assets=BTC&at=1730635200000").await.json();
    assert_eq!(json["at"], "2024-11-03T12:00:00Z");
    assert_eq!(prices(&client, "assets=BTC&at=0001-01-01T00:00:00Z").await, [nothing("BTC")]);
}
