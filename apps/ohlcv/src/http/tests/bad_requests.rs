//! Requests as careless users write them, and what they are told.

use super::*;

/// URL, status, code, and what the message must hold: the value as given, and what is allowed.
type Case = (&'static str, u16, &'static str, [&'static str; 2]);

const LIMITS: &str = "whole numbers from 1 to 10000";
const TIMES: &str = "RFC 3339 times such as 2024-11-01T00:00:00Z";
const SECONDS: &str = "milliseconds since 1970, not seconds";
const NAMES: &str = "names of 1 to 20 letters A-Z and digits";
const ALL: &str = "allowed are interval, start, end, limit, fill, fields, as_of, format";
const INTERVALS: &str = "allowed are 1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 3d, 1w, 1M";
const DERIVED: &str = "allowed are 12h, 1d, 3d, 1w, 1M";
const HEX: &str = "% only before two hexadecimal digits";

const CASES: &[Case] = &[
    ("/api/v1/ohlcv/BTC?limit=0", 400, "bad_parameter", ["limit is \"0\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit=-1", 400, "bad_parameter", ["limit is \"-1\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit=10001", 400, "bad_parameter", ["limit is \"10001\"", LIMITS]),
    (
        "/api/v1/ohlcv/BTC?limit=99999999999999999999",
        400,
        "bad_parameter",
        ["\"99999999999999999999\"", LIMITS],
    ),
    ("/api/v1/ohlcv/BTC?limit=ten", 400, "bad_parameter", ["limit is \"ten\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit=1.5", 400, "bad_parameter", ["limit is \"1.5\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit=1e3", 400, "bad_parameter", ["limit is \"1e3\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit=%2B5", 400, "bad_parameter", ["limit is \"+5\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit=", 400, "bad_parameter", ["limit is \"\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit", 400, "bad_parameter", ["limit is \"\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?limit=1,000", 400, "bad_parameter", ["limit is \"1,000\"", LIMITS]),
    ("/api/v1/ohlcv/BTC?start=yesterday", 400, "bad_parameter", ["start is \"yesterday\"", TIMES]),
    ("/api/v1/ohlcv/BTC?start=2024-11-01", 400, "bad_parameter", ["start is \"2024-11-01\"", TIMES]),
    ("/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00", 400, "bad_parameter", ["\"2024-11-01T00:00:00\"", TIMES]),
    (
        "/api/v1/ohlcv/BTC?start=2024-13-01T00:00:00Z",
        400,
        "bad_parameter",
        ["\"2024-13-01T00:00:00Z\"", TIMES],
    ),
    (
        "/api/v1/ohlcv/BTC?start=2024-02-30T00:00:00Z",
        400,
        "bad_parameter",
        ["\"2024-02-30T00:00:00Z\"", TIMES],
    ),
    ("/api/v1/ohlcv/BTC?start=01/11/2024", 400, "bad_parameter", ["start is \"01/11/2024\"", TIMES]),
    ("/api/v1/ohlcv/BTC?start=1730419200.5", 400, "bad_parameter", ["start is \"1730419200.5\"", TIMES]),
    ("/api/v1/ohlcv/BTC?start=1730419200", 400, "bad_parameter", ["start is \"1730419200\"", SECONDS]),
    ("/api/v1/ohlcv/BTC?end=1", 400, "bad_parameter", ["end is \"1\"", SECONDS]),
    ("/api/v1/ohlcv/BTC?end=-99999999999", 400, "bad_parameter", ["end is \"-99999999999\"", SECONDS]),
    ("/api/v1/ohlcv/BTC?start=", 400, "bad_parameter", ["start is \"\"", TIMES]),
    ("/api/v1/ohlcv/BTC?end=-", 400, "bad_parameter", ["end is \"-\"", TIMES]),
    ("/api/v1/ohlcv/BTC?end=now", 400, "bad_parameter", ["end is \"now\"", TIMES]),
    ("/api/v1/ohlcv/BTC?end=null", 400, "bad_parameter", ["end is \"null\"", TIMES]),
    (
        "/api/v1/ohlcv/BTC?end=999999999999999",
        400,
        "bad_parameter",
        ["\"999999999999999\"", "years 1 to 9999"],
    ),
    (
        "/api/v1/ohlcv/BTC?end=99999999999999999999",
        400,
        "bad_parameter",
        ["99999999999999", "years 1 to 9999"],
    ),
    ("/api/v1/ohlcv/BTC?end=-99999999999999999999", 400, "bad_parameter", ["-9999999999", "years 1 to 9999"]),
    ("/api/v1/ohlcv/BTC?fill=yes", 400, "bad_parameter", ["fill is \"yes\"", "true and false"]),
    ("/api/v1/ohlcv/BTC?fill=True", 400, "bad_parameter", ["fill is \"True\"", "true and false"]),
    ("/api/v1/ohlcv/BTC?fill=1", 400, "bad_parameter", ["fill is \"1\"", "true and false"]),
    ("/api/v1/ohlcv/BTC?fill=", 400, "bad_parameter", ["fill is \"\"", "true and false"]),
    (
        "/api/v1/ohlcv/BTC?fields=open,close",
        400,
        "bad_parameter",
        ["fields is \"open,close\"", "allowed are all"],
    ),
    ("/api/v1/ohlcv/BTC?fields=ALL", 400, "bad_parameter", ["fields is \"ALL\"", "allowed are all"]),
    ("/api/v1/ohlcv/BTC?fields=", 400, "bad_parameter", ["fields is \"\"", "allowed are all"]),
    (
        "/api/v1/ohlcv/BTC?format=xml",
        400,
        "bad_parameter",
        ["format is \"xml\"", "allowed are json, columns, ndjson, csv, arrow"],
    ),
    (
        "/api/v1/ohlcv/BTC?format=CSV",
        400,
        "bad_parameter",
        ["format is \"CSV\"", "allowed are json, columns"],
    ),
    ("/api/v1/ohlcv/BTC?format=", 400, "bad_parameter", ["format is \"\"", "allowed are json, columns"]),
    ("/api/v1/ohlcv/BTC?interval=1D", 400, "bad_parameter", ["interval is \"1D\"", INTERVALS]),
    ("/api/v1/ohlcv/BTC?interval=24h", 400, "bad_parameter", ["interval is \"24h\"", INTERVALS]),
    ("/api/v1/ohlcv/BTC?interval=", 400, "bad_parameter", ["interval is \"\"", INTERVALS]),
    ("/api/v1/ohlcv/BTC?interval=1h", 422, "indivisible_interval", ["interval is \"1h\"", DERIVED]),
    ("/api/v1/ohlcv/BTC?interval=8h", 422, "indivisible_interval", ["interval is \"8h\"", DERIVED]),
    ("/api/v1/ohlcv/BTC-USD", 400, "bad_parameter", ["asset is \"BTC-USD\"", NAMES]),
    ("/api/v1/ohlcv/BTC%2FUSDT", 400, "bad_parameter", ["asset is \"BTC/USDT\"", NAMES]),
    ("/api/v1/ohlcv/A23456789012345678901", 400, "bad_parameter", ["\"A23456789012345678901\"", NAMES]),
    ("/api/v1/ohlcv/B%C3%84R", 400, "bad_parameter", ["asset is \"BÄR\"", NAMES]),
    ("/api/v1/ohlcv/%20", 400, "bad_parameter", ["asset is \" \"", NAMES]),
    ("/api/v1/ohlcv/%FF", 400, "malformed_url", ["%FF", "allowed is UTF-8"]),
    ("/api/v1/ohlcv/BTC%2", 400, "malformed_url", ["BTC%2", HEX]),
    ("/api/v1/ohlcv/BTC?limit=%zz", 400, "malformed_url", ["limit=%zz", HEX]),
    ("/api/v1/ohlcv/BTC?start=%E2%28", 400, "malformed_url", ["start=%E2%28", "allowed is UTF-8"]),
    ("/api/v1/ohlcv/BTC?limt=5", 400, "unknown_parameter", ["\"limt\"", ALL]),
    ("/api/v1/ohlcv/BTC?Limit=5", 400, "unknown_parameter", ["\"Limit\"", ALL]),
    ("/api/v1/ohlcv/BTC?Interval=1d", 400, "unknown_parameter", ["\"Interval\"", ALL]),
    ("/api/v1/ohlcv/BTC?from=2024-11-01T00:00:00Z", 400, "unknown_parameter", ["\"from\"", ALL]),
    ("/api/v1/ohlcv/BTC?limit=5&asset=ETH", 400, "unknown_parameter", ["\"asset\"", ALL]),
    ("/api/v1/ohlcv/BTC?=5", 400, "unknown_parameter", ["\"\"", ALL]),
    ("/api/v1/ohlcv/BTC?limit=1&limit=2", 400, "repeated_parameter", ["again as \"2\"", "allowed is once"]),
    (
        "/api/v1/ohlcv/BTC?fill=true&%66ill=true",
        400,
        "repeated_parameter",
        ["fill is given", "allowed is once"],
    ),
    ("/api/v1/assets?asset=BTC", 400, "unknown_parameter", ["\"asset\"", "this endpoint takes none"]),
    (
        "/api/v1/ohlcv/BTC?start=2024-11-02T00:00:00Z&end=2024-11-01T00:00:00Z",
        422,
        "empty_range",
        ["start 2024-11-02T00:00:00Z is not before end 2024-11-01T00:00:00Z", "allowed are later ones"],
    ),
    (
        "/api/v1/ohlcv/BTC?start=1730419200000&end=2024-11-01T00:00:00Z",
        422,
        "empty_range",
        ["start 2024-11-01T00:00:00Z", "allowed are later ones"],
    ),
    ("/api/v1/ohlcv/SOL", 404, "unknown_asset", ["SOL is not tracked", "GET /api/v1/assets"]),
    ("/api/v1/ohlcv/BTCUSDT", 404, "unknown_asset", ["BTCUSDT is the name of a market", "the asset is BTC,"]),
    ("/api/v1/ohlcv/ethusdt", 404, "unknown_asset", ["ETHUSDT is the name of a market", "the asset is ETH,"]),
    ("/api/v1/ohlcv/SOLUSDT", 404, "unknown_asset", ["SOLUSDT is not tracked", "GET /api/v1/assets"]),
    ("/api/v1/ohlcv/USDT", 404, "unknown_asset", ["USDT is not tracked", "GET /api/v1/assets"]),
    ("/api/v1/ohlcv", 400, "bad_parameter", ["assets is \"\"", "1 to 50 different names"]),
    ("/api/v1/ohlcv/", 404, "not_found", ["nothing at /api/v1/ohlcv/:", "GET / lists"]),
    ("/api/v1/ohlcv/BTC/", 404, "not_found", ["nothing at /api/v1/ohlcv/BTC/:", "GET / lists"]),
    ("/api/v1/ohlcv/BTC/USDT", 404, "not_found", ["nothing at /api/v1/ohlcv/BTC/USDT:", "GET / lists"]),
    ("/api/v1/klines", 404, "not_found", ["nothing at /api/v1/klines:", "GET / lists"]),
    ("/api/v2/assets", 404, "not_found", ["nothing at /api/v2/assets:", "GET / lists"]),
    ("/metric", 404, "not_found", ["nothing at /metric:", "GET / lists"]),
    ("//", 404, "not_found", ["nothing at //:", "GET / lists"]),
];

#[tokio::test]
async fn a_bad_request_is_told_which_value_was_wrong_and_what_is_allowed() {
    let client = example_client().await;
    for &(url, status, code, parts) in CASES {
        let answer = get(&client, url).await;
        assert_eq!(answer.status.as_u16(), status, "{url}: {}", answer.text);
        let (given, detail) = answer.problem();
        assert_eq!(given, code, "{url}: {detail}");
        for part in parts {
            assert!(detail.contains(part), "{url}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_problem_names_the_parameter_it_lies_in() {
    let client = example_client().await;
    for (url, parameter) in [
        ("/api/v1/ohlcv/BTC?limit=0", "limit"),
        ("/api/v1/ohlcv/BTC?start=now", "start"),
        ("/api/v1/ohlcv/BTC?limt=0", "limt"),
        ("/api/v1/ohlcv/BTC?fill=true&fill=true", "fill"),
        ("/api/v1/ohlcv/BTC-USD", "asset"),
        ("/api/v1/ohlcv/SOL", "asset"),
        ("/api/v1/ohlcv/BTC?start=200000000000&end=100000000000", "end"),
    ] {
        assert_eq!(get(&client, url).await.json()["parameter"], parameter, "{url}");
    }
    assert!(get(&client, "/nowhere").await.json().get("parameter").is_none());
}

#[tokio::test]
async fn a_problem_is_these_very_bytes() {
    assert_eq!(
        get(&example_client().await, "/api/v1/ohlcv/BTC?fill=maybe").await.text,
        r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"bad_parameter","detail":"fill is \"maybe\": allowed are true and false","parameter":"fill"}"#
    );
}

#[tokio::test]
async fn a_value_of_any_length_is_quoted_in_part() {
    let client = example_client().await;
    let long = "ä".repeat(3_000).replace('ä', "%C3%A4");
    for url in [
        format!("/api/v1/ohlcv/BTC?limit={long}"),
        format!("/api/v1/ohlcv/BTC?{long}=1"),
        format!("/api/v1/ohlcv/{long}"),
        format!("/{long}"),
    ] {
        let answer = get(&client, &url).await;
        assert!(answer.status.is_client_error());
        assert!(answer.problem().1.contains('…'));
        assert!(answer.text.len() < 1_000, "{}", answer.text);
    }
}

#[tokio::test]
async fn other_methods_are_told_the_allowed_ones() {
    let client = example_client().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        for url in ["/", "/docs", "/openapi.json", "/api/v1/assets", "/api/v1/ohlcv/BTC"] {
            let answer = send(&client, method.clone(), url, &[]).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
            let (code, detail) = answer.problem();
            assert_eq!(code, "method_not_allowed");
            assert!(detail.contains(method.as_str()) && detail.contains("allowed are GET, HEAD"), "{detail}");
        }
    }
    let unknown = send(&client, Method::POST, "/nowhere", &[]).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let client = example_client().await;
    let answer = send(&client, Method::GET, "/api/v1/assets", &[("content-length", "65537")]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let (code, detail) = answer.problem();
    assert_eq!(code, "body_too_large");
    assert_eq!(detail, "the body has 65537 bytes: allowed are 65536");
    let small = send(&client, Method::GET, "/api/v1/assets", &[("content-length", "65536")]).await;
    assert_eq!(small.status, StatusCode::OK);
}
