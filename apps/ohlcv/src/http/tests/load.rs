//! What happens when clients ask for too much, or too slowly.

use poem::Body;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::stores::BrokenStore;
use super::*;

/// Endpoints that answer whatever else there is to do.
const FREE: [&str; 10] = [
    "/",
    "/dashboard",
    "/docs",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/health",
    "/udf/config",
    "/udf/time",
];
/// The largest body that is read.
const BODY_BYTES_MAX: u64 = 65_536;

fn with_room<S: CandleStore + Coverage + 'static>(requests: usize, store: Arc<S>) -> Client {
    let parts = parts_of(store, CorsOrigins::None);
    serving(HttpParts { database_requests_max: requests, ..parts })
}

#[tokio::test]
async fn whoever_finds_no_room_is_told_to_come_again_at_once() {
    let client = with_room(0, example_store().await);
    for url in ["/api/v1/assets", "/api/v1/ohlcv/BTC"] {
        let answer = get(&client, url).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.problem().0, "overloaded");
    }
    for url in [
        "/udf/search",
        "/udf/symbols?symbol=BTC",
        "/udf/history?symbol=BTC&resolution=D&from=0&to=1730678400",
    ] {
        let answer = get(&client, url).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (StatusCode::SERVICE_UNAVAILABLE, Some("1"))
        );
        assert_eq!(answer.json()["s"], "error", "{url}");
    }
    // What is wrong is told all the same.
    assert_eq!(get(&client, "/nowhere").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&client, "/api/v1/assets?x=1").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn probes_and_pages_answer_also_when_there_is_no_room() {
    let client = with_room(0, example_store().await);
    for url in FREE {
        assert_eq!(get(&client, url).await.status, StatusCode::OK, "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_room_again_when_those_before_are_done() {
    let client = with_room(2, Arc::new(BrokenStore::Silent));
    let ask = || async { get(&client, "/api/v1/assets").await.problem().0 };
    for _ in 0..2 {
        let codes = tokio::join!(ask(), ask(), ask());
        assert_eq!((codes.0.as_str(), codes.1.as_str()), ("unavailable", "unavailable"), "they were let in");
        assert_eq!(codes.2, "overloaded");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_client_went_away_leaves_its_room() {
    let client = with_room(1, Arc::new(BrokenStore::Silent));
    let gone = tokio::time::timeout(Duration::from_millis(1), get(&client, "/api/v1/assets")).await;
    assert!(gone.is_err());
    assert_eq!(get(&client, "/api/v1/assets").await.problem().0, "unavailable");
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_for_the_health_at_once_cost_one_look_at_a_time() {
    let client = with_room(1, Arc::new(BrokenStore::Silent));
    let started = Instant::now();
    let all = [(); 50].map(|()| get(&client, "/readyz"));
    for answer in futures_of(all).await {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

/// All of them, side by side.
async fn futures_of<F: Future<Output = Answer>>(all: impl IntoIterator<Item = F>) -> Vec<Answer> {
    let mut pending: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut answers = Vec::new();
    std::future::poll_fn(|context| {
        pending.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers
}

/// GET with a body whose length nobody tells beforehand.
async fn with_body(client: &Client, bytes: u64) -> Answer {
    let body = Body::from_async_read(tokio::io::repeat(b'x').take(bytes));
    let response = client.request(Method::GET, "/api/v1/assets").body(body).send().await.0;
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, text: body.into_string().await.unwrap() }
}

#[tokio::test]
async fn a_body_that_does_not_tell_its_length_may_not_be_larger_either() {
    let client = example_client().await;
    assert_eq!(with_body(&client, BODY_BYTES_MAX).await.status, StatusCode::OK);
    let endless = with_body(&client, u64::MAX).await;
    assert_eq!(endless.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(endless.problem().0, "body_too_large");
    assert_eq!(with_body(&client, BODY_BYTES_MAX + 1).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_takes_no_room_from_others() {
    let client = with_room(1, example_store().await);
    let (_sender, receiver) = tokio::io::duplex(16);
    let slow = client.request(Method::GET, "/api/v1/assets").body(Body::from_async_read(receiver));
    let started = Instant::now();
    let (slow, other) = tokio::join!(slow.send(), get(&client, "/api/v1/assets"));
    assert_eq!(other.status, StatusCode::OK);
    assert_eq!(slow.0.status(), StatusCode::REQUEST_TIMEOUT);
    assert!(started.elapsed() <= Duration::from_secs(11), "{:?}", started.elapsed());
}
