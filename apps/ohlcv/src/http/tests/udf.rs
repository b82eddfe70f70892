//! The data feed for charts: what it says of itself, of symbols, and of questions that it cannot answer.

use super::stores::BrokenStore;
use super::*;

async fn asked(url: &str) -> Value {
    let answer = get(&example_client().await, url).await;
    assert_eq!(answer.status, StatusCode::OK, "{url}: {}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{url}");
    answer.json()
}

#[tokio::test]
async fn symbols_are_known_by_three_names() {
    for name in ["BTC", "btc", "BTCUSDT", "BINANCE:BTCUSDT", "binance:btc", "BINANCE%3ABTCUSDT"] {
        let symbol = asked(&format!("/udf/symbols?symbol={name}")).await;
        for (field, wanted) in [
            ("name", "BTCUSDT".into()),
            ("ticker", "BTCUSDT".into()),
            ("full_name", "BINANCE:BTCUSDT".into()),
            ("description", "BTC / USDT".into()),
            ("exchange", "BINANCE".into()),
            ("type", "crypto".into()),
            ("session", "24x7".into()),
            ("timezone", "Etc/UTC".into()),
            ("minmov", 1.into()),
            // The prices of the example have one decimal place, and so have its volumes.
            ("pricescale", 10.into()),
            ("volume_precision", 1.into()),
            ("has_intraday", true.into()),
            ("intraday_multipliers", serde_json::json!(["720"])),
            ("daily_multipliers", serde_json::json!(["1", "3"])),
            ("supported_resolutions", serde_json::json!(["720", "1D", "3D", "1W", "1M"])),
            ("currency_code", "USDT".into()),
        ] {
            assert_eq!(symbol[field], wanted, "{name} {field}");
        }
    }
    let without_data = asked("/udf/symbols?symbol=ETHUSDT").await;
    assert_eq!(without_data["pricescale"], 100_000_000, "nothing is known of its prices yet");
}

#[tokio::test]
async fn a_search_finds_names_that_begin_so_first() {
    let names = |found: Value| -> Vec<String> {
        let found = found.as_array().unwrap().iter();
        found.map(|symbol| symbol["symbol"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(asked("/udf/search").await), ["BTCUSDT", "DOGEUSDT", "ETHUSDT"]);
    assert_eq!(names(asked("/udf/search?query=eth&type=&exchange=&limit=30").await), ["ETHUSDT"]);
    assert_eq!(names(asked("/udf/search?query=E").await), ["ETHUSDT", "DOGEUSDT"]);
    assert_eq!(names(asked("/udf/search?query=BINANCE%3AD").await), ["DOGEUSDT"]);
    assert_eq!(names(asked("/udf/search?limit=1").await), ["BTCUSDT"]);
    for nothing in ["query=XRP", "type=stock", "exchange=NYSE"] {
        assert_eq!(asked(&format!("/udf/search?{nothing}")).await, serde_json::json!([]), "{nothing}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_words_of_the_protocol() {
    let history = "/udf/history?symbol=BTC&resolution=720";
    for (url, told) in [
        ("/udf/symbols".to_owned(), "symbol is missing: allowed are names such as BTC, BTCUSDT"),
        ("/udf/symbols?symbol=".to_owned(), "symbol is missing"),
        ("/udf/symbols?symbol=XRP".to_owned(), "symbol is \"XRP\": allowed are those that /udf/search finds"),
        ("/udf/symbols?symbol=NYSE:BTC".to_owned(), "symbol is \"NYSE:BTC\""),
        ("/udf/symbols?symbol=BTC-USD".to_owned(), "symbol is \"BTC-USD\""),
        ("/udf/symbols?symbol=USDT".to_owned(), "symbol is \"USDT\""),
        ("/udf/search?limit=many".to_owned(), "limit is \"many\": allowed are whole numbers up to 100"),
        (
            "/udf/history?symbol=BTC&from=0&to=1".to_owned(),
            "resolution is missing: allowed are 720, 1D, 3D, 1W, 1M",
        ),
        (
            "/udf/history?symbol=BTC&resolution=60&from=0&to=1".to_owned(),
            "resolution is \"60\": allowed are 720, 1D",
        ),
        ("/udf/history?symbol=BTC&resolution=12h&from=0&to=1".to_owned(), "resolution is \"12h\""),
        ("/udf/history?resolution=720&from=0&to=1".to_owned(), "symbol is missing"),
        (history.to_owned(), "to is missing: allowed are seconds since 1970"),
        (format!("{history}&to=1730419200"), "from is missing"),
        (format!("{history}&from=0&to=now"), "to is \"now\""),
        (
            format!("{history}&from=0&to=1730419200000"),
            "to is \"1730419200000\": allowed are seconds since 1970",
        ),
        (format!("{history}&from=1.5&to=5"), "from is \"1.5\""),
        (format!("{history}&from=5&to=5"), "from is 5, which is not before to, 5"),
        (
            format!("{history}&from=0&to=5&countback=-1"),
            "countback is \"-1\": allowed are whole numbers of bars",
        ),
    ] {
        let answer = asked(&url).await;
        assert_eq!(answer["s"], "error", "{url}");
        assert!(answer["errmsg"].as_str().unwrap().contains(told), "{url}: {answer}");
    }
}

#[tokio::test]
async fn parameters_that_nobody_knows_are_passed_over() {
    let url = "/udf/history?symbol=BTC&resolution=D&from=-99999999999999&to=1730678400&currencyCode=USDT&_=17304&_=2";
    let answer = asked(url).await;
    assert_eq!(
        (&answer["s"], &answer["t"]),
        (&"ok".into(), &serde_json::json!([1_730_419_200, 1_730_505_600, 1_730_592_000]))
    );
}

#[tokio::test]
async fn a_failing_store_is_an_error_with_its_status() {
    let client = client_of(Arc::new(BrokenStore::Away), CorsOrigins::Any);
    for url in
        ["/udf/symbols?symbol=BTC", "/udf/search", "/udf/history?symbol=BTC&resolution=720&from=0&to=5"]
    {
        let answer = send(&client, Method::GET, url, &[("origin", "https://charts.example")]).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{url}: {}", answer.text);
        assert!(answer.header("retry-after").is_some(), "{url}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{url}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{url}");
        assert_eq!(answer.json()["s"], "error", "{url}");
        assert!(answer.json()["errmsg"].as_str().unwrap().contains("database"), "{url}");
    }
    for url in ["/udf/config", "/udf/time"] {
        assert_eq!(get(&client, url).await.status, StatusCode::OK, "{url} needs no database");
    }
}
