//! `/metrics`, as far as it does not depend on what else this process does.

use ohlcv_tests::Samples;

use super::super::monitoring_endpoint;
use super::stores::BrokenStore;
use super::*;

#[tokio::test]
async fn requests_are_counted_by_endpoint_however_many_paths_there_are() {
    let client = example_client().await;
    for url in ["/api/v1/ohlcv/BTC", "/api/v1/ohlcv/ETH", "/api/v1/ohlcv/DOGE?limit=0", "/a", "/b", "/c/d"] {
        get(&client, url).await;
    }
    send(&client, Method::from_bytes(b"BREW").unwrap(), "/livez", &[]).await;
    let answer = get(&client, "/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let samples = Samples::of(&answer.text);
    let counted = |labels: &[(&str, &str)]| samples.sum("ohlcv_http_requests_total", labels);
    let candles = ("route", "/api/v1/ohlcv/{asset}");
    assert!(counted(&[candles, ("method", "GET"), ("status", "200")]) >= Some(2.0));
    assert!(counted(&[candles, ("status", "400")]) >= Some(1.0));
    assert!(counted(&[("route", "unmatched"), ("status", "404")]) >= Some(3.0));
    assert!(counted(&[("route", "/livez"), ("method", "other"), ("status", "405")]) >= Some(1.0));
    for path in ["/a", "/c/d", "/api/v1/ohlcv/BTC", "BREW"] {
        assert!(!answer.text.contains(&format!("\"{path}\"")), "{path}");
    }
    let timed = samples.sum("ohlcv_http_request_duration_seconds_count", &[candles]);
    assert!(timed >= Some(3.0), "{timed:?}");
    assert!(samples.sum("ohlcv_http_requests_in_flight", &[]) >= Some(1.0), "this one");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_leaves_what_is_known_without_it() {
    for store in [BrokenStore::Away, BrokenStore::Silent, BrokenStore::Corrupt] {
        let client = client_of(Arc::new(store), CorsOrigins::None);
        let started = tokio::time::Instant::now();
        let answer = get(&client, "/metrics").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(started.elapsed() <= Duration::from_secs(2), "{:?}", started.elapsed());
        let samples = Samples::of(&answer.text);
        assert_eq!(samples.sum("ohlcv_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    }
}

#[tokio::test]
async fn a_scheduler_alone_has_metrics_and_probes_and_nothing_else() {
    let parts = parts_of(example_store().await, CorsOrigins::None);
    let client = TestClient::new(monitoring_endpoint(parts.store, parts.metrics).boxed());
    for url in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(get(&client, url).await.status, StatusCode::OK, "{url}");
    }
    for url in ["/", "/docs", "/openapi.json", "/api/v1/assets", "/api/v1/health"] {
        let answer = get(&client, url).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{url}");
        assert!(answer.problem().1.ends_with("there is /metrics, /livez, /readyz"), "{}", answer.text);
    }
}
