//! What holds for every answer, and what happens when something beneath fails.

use std::time::Duration;

use tokio::time::Instant;

use super::stores::{BrokenStore, SECRET};
use super::*;

const PATHS: [&str; 8] = [
    "/",
    "/docs",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/api/v1/health",
    "/api/v1/assets",
    "/api/v1/ohlcv/BTC",
];
const READING: [&str; 2] = ["/api/v1/assets", "/api/v1/ohlcv/BTC"];
const PAGE: &str = "https://example.org";

fn broken(store: BrokenStore) -> Client {
    client_of(Arc::new(store), CorsOrigins::None)
}

#[tokio::test]
async fn the_root_leads_everywhere() {
    let client = example_client().await;
    let root = get(&client, "/").await.json();
    assert_eq!(root["name"], "ohlcv");
    assert_eq!(root["version"], env!("CARGO_PKG_VERSION"));
    for link in root["links"].as_object().unwrap().values() {
        let url = link.as_str().unwrap().replace("{asset}", "BTC");
        assert_eq!(get(&client, &url).await.status, StatusCode::OK, "{url}");
    }
}

#[tokio::test]
async fn a_working_service_is_healthy_alive_and_ready() {
    let client = example_client().await;
    assert_eq!(
        get(&client, "/api/v1/health").await.text,
        r#"{"status":"healthy","database":"connected","timestamp":"2024-11-08T12:00:00Z"}"#
    );
    assert_eq!(get(&client, "/livez").await.text, r#"{"status":"alive"}"#);
    assert_eq!(get(&client, "/readyz").await.text, r#"{"status":"ready"}"#);
}

#[tokio::test(start_paused = true)]
async fn without_its_database_a_service_is_alive_but_neither_healthy_nor_ready() {
    for store in [BrokenStore::Away, BrokenStore::Refusing, BrokenStore::Silent] {
        let client = broken(store);
        assert_eq!(get(&client, "/livez").await.status, StatusCode::OK);
        let started = Instant::now();
        let health = get(&client, "/api/v1/health").await;
        assert!(started.elapsed() <= Duration::from_secs(3), "{:?}", started.elapsed());
        assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health.header("content-type"), Some("application/json"));
        let json = health.json();
        assert_eq!((&json["status"], &json["database"]), (&"unhealthy".into(), &"disconnected".into()));
        let ready = get(&client, "/readyz").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.problem().0, "unavailable");
        assert!(!ready.text.contains("secret"));
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_says_when_to_try_again() {
    let client = broken(BrokenStore::Away);
    for url in READING {
        let answer = get(&client, url).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{url}");
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.problem().0, "unavailable");
        assert!(!answer.text.contains("secret"));
    }
}

#[tokio::test]
async fn other_failures_are_a_500_that_tells_nothing_of_the_inside() {
    for store in [BrokenStore::Refusing, BrokenStore::Corrupt, BrokenStore::Panicking] {
        let client = broken(store);
        for url in READING {
            let answer = get(&client, url).await;
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{url}");
            assert_eq!(answer.problem().0, "internal");
            assert!(!answer.text.contains(SECRET), "{}", answer.text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let client = broken(BrokenStore::Silent);
    for url in READING {
        let started = Instant::now();
        let answer = get(&client, url).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.problem().0, "unavailable");
        assert!(started.elapsed() <= Duration::from_secs(31), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let client = example_client().await;
    for url in PATHS.into_iter().chain(["/nowhere", "/api/v1/ohlcv/BTC?limit=0", "/api/v1/ohlcv/BTC?limit=2"])
    {
        let whole = get(&client, url).await;
        let head = send(&client, Method::HEAD, url, &[]).await;
        assert_eq!((head.status, head.text.as_str()), (whole.status, ""), "{url}");
        assert_eq!(head.header("content-length"), Some(whole.text.len().to_string().as_str()), "{url}");
        for name in ["content-type", "link"] {
            assert_eq!(head.header(name), whole.header(name), "{url}");
        }
    }
}

#[tokio::test]
async fn no_answer_is_guessed_to_be_of_another_type() {
    let client = example_client().await;
    for url in PATHS.into_iter().chain(["/nowhere"]) {
        assert_eq!(get(&client, url).await.header("x-content-type-options"), Some("nosniff"), "{url}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_told_nothing_unless_allowed() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let answer = send(&client, Method::GET, "/api/v1/assets", &[("origin", PAGE)]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{answer:?}");
    assert_eq!(answer.header("vary"), None);

    let client = client_of(store, CorsOrigins::List(vec![PAGE.to_owned()]));
    for origin in ["https://example.com", "http://example.org", "https://example.org:8443", "null"] {
        let answer = send(&client, Method::GET, "/api/v1/assets", &[("origin", origin)]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_answers_errors_and_links() {
    let store = example_store().await;
    let listed = CorsOrigins::List(vec!["https://other.example".to_owned(), PAGE.to_owned()]);
    for (cors, allowed) in [(listed, PAGE), (CorsOrigins::Any, "*")] {
        let client = client_of(Arc::clone(&store), cors);
        for url in ["/api/v1/ohlcv/BTC?limit=1", "/api/v1/ohlcv/BTC?limit=0", "/nowhere"] {
            let answer = send(&client, Method::GET, url, &[("origin", PAGE)]).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some(allowed), "{url}");
            assert!(answer.header("access-control-expose-headers").unwrap().contains("Link"));
        }
        let asks = [("origin", PAGE), ("access-control-request-method", "GET")];
        let preflight = send(&client, Method::OPTIONS, "/api/v1/assets", &asks).await;
        assert_eq!(preflight.status, StatusCode::NO_CONTENT);
        assert_eq!(preflight.header("access-control-allow-origin"), Some(allowed));
        assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD, POST, DELETE"));
    }
}

#[tokio::test]
async fn a_preflight_of_another_origin_is_not_answered() {
    let client = client_of(example_store().await, CorsOrigins::List(vec![PAGE.to_owned()]));
    let asks = [("origin", "https://example.com"), ("access-control-request-method", "GET")];
    let answer = send(&client, Method::OPTIONS, "/api/v1/assets", &asks).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
