//! Everything that goes wrong, as a client sees it.

use super::*;

const QUERY: &str = "klines?symbol=BTCUSDT&interval=12h&limit=2";

async fn spoiled(fault: Fault) -> Answer {
    let exchange = exchange().await;
    exchange.inject(fault, 1);
    let answer = get(&exchange, QUERY).await;
    assert_eq!(rows(&exchange, "&limit=2").await.len(), 2, "the next request is served");
    answer
}

/// The failure of the transport that a fault makes of a request, or of its body.
async fn broken(fault: Fault) -> reqwest::Error {
    let exchange = exchange().await;
    exchange.inject(fault, 1);
    let url = format!("{}/api/v3/{QUERY}", exchange.url());
    ask(crate::http_client().get(url)).await.err().expect("the transport fails")
}

#[tokio::test]
async fn server_errors_come_as_json_and_as_web_pages() {
    for (status, code) in [(500, -1001), (502, -1006), (503, -1008), (504, -1007)] {
        let answer = spoiled(Fault::json(status)).await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)));
        assert!(answer.headers.contains_key("x-mbx-used-weight-1m"));
    }
    for status in [403, 500, 502, 503, 504] {
        let answer = spoiled(Fault::Html(status)).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "text/html"));
        assert!(answer.body.starts_with("<!DOCTYPE HTML"));
        assert!(!answer.headers.contains_key("x-mbx-used-weight-1m"));
    }
}

#[tokio::test]
async fn a_blocked_place_is_told_so_with_code_zero() {
    let answer = spoiled(Fault::Blocked).await;
    assert_eq!((answer.status, &answer.json()["code"]), (451, &json!(0)));
    let text = "Service unavailable from a restricted location according to 'b. Eligibility'";
    assert!(answer.json()["msg"].as_str().unwrap().starts_with(text));
}

#[tokio::test]
async fn waits_are_told_by_header_or_by_text_alone() {
    let limited = spoiled(Fault::RateLimited { retry_after: Some(Duration::from_secs(1)) }).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "1"));
    let silent = spoiled(Fault::RateLimited { retry_after: None }).await;
    assert_eq!((silent.status, silent.headers.get("retry-after")), (429, None));

    let lasts = Duration::from_secs(120);
    let until = at(NOON_IS_SIX_HOURS_AWAY).saturating_add(lasts).millis();
    for with_header in [true, false] {
        let banned = spoiled(Fault::Banned { lasts, with_header }).await;
        assert_eq!((banned.status, banned.headers.contains_key("retry-after")), (418, with_header));
        assert!(banned.json()["msg"].as_str().unwrap().contains(&format!("IP banned until {until}.")));
    }
}

#[tokio::test]
async fn bodies_are_truncated_empty_too_long_or_of_another_kind() {
    assert!(serde_json::from_str::<Value>(&spoiled(Fault::TruncatedJson).await.body).is_err());
    let empty = spoiled(Fault::EmptyBody).await;
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    assert!(spoiled(Fault::Oversized(100_000)).await.body.len() > 100_000);
    let page = spoiled(Fault::WrongContentType).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
}

#[tokio::test]
async fn a_broken_connection_is_a_failure_of_the_transport() {
    let reset = broken(Fault::Reset).await;
    assert!(reset.is_request(), "nothing was answered: {reset:?}");
    let cut = broken(Fault::CutBody).await;
    assert!(cut.is_body() || cut.is_decode(), "an answer was begun: {cut:?}");
}

#[tokio::test]
async fn a_slow_body_is_right_for_who_waits_and_a_timeout_for_who_does_not() {
    let exchange = exchange().await;
    exchange.inject(Fault::SlowBody(Duration::from_millis(300)), 2);
    let url = format!("{}/api/v3/{QUERY}", exchange.url());
    let hasty = crate::http_client_builder().timeout(Duration::from_millis(50)).build().unwrap();
    assert!(ask(hasty.get(&url)).await.err().expect("a timeout").is_timeout());
    assert_eq!(get(&exchange, QUERY).await.json().as_array().unwrap().len(), 2);
    assert_eq!(exchange.faults_left(), 0);
}

#[tokio::test]
async fn redirects_and_recorded_answers_are_sent_as_given() {
    let exchange = exchange().await;
    exchange.inject(Fault::Redirect("https://example.com/"), 1);
    let still = crate::http_client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("{}/api/v3/{QUERY}", exchange.url());
    let moved = ask(still.get(url)).await.unwrap();
    assert_eq!((moved.status, moved.header("location")), (302, "https://example.com/"));

    let recorded = spoiled(Fault::Answer {
        status: 418,
        headers: vec![("Retry-After".to_owned(), "112".to_owned())],
        content_type: "application/json;charset=UTF-8".to_owned(),
        body: b"{}".to_vec(),
    })
    .await;
    assert_eq!((recorded.status, recorded.header("retry-after"), &*recorded.body), (418, "112", "{}"));
}

#[tokio::test]
async fn rows_can_be_tampered_with() {
    let answer = spoiled(Fault::edit_rows(|rows| {
        rows[0][3] = json!("-1.00000000");
        rows.push(json!("no row"));
    }))
    .await;
    assert_eq!(answer.json()[0][3], "-1.00000000");
    assert_eq!(answer.json()[2], "no row");
}

#[tokio::test]
async fn faults_hit_what_they_are_meant_for_in_order() {
    let exchange = exchange().await;
    exchange.inject_on(Target::Path(TIME), Fault::Html(502), 1);
    exchange.inject_on(Target::Symbol("ETHUSDT".to_owned()), Fault::Blocked, 1);
    exchange.inject(Fault::json(500), 2);
    exchange.inject(Fault::EmptyBody, 1);
    for status in [500, 500] {
        assert_eq!(get(&exchange, QUERY).await.status, status);
    }
    assert_eq!(get(&exchange, QUERY).await.body, "");
    assert_eq!(get(&exchange, QUERY).await.status, 200);
    assert_eq!(get(&exchange, "time").await.status, 502);
    assert_eq!(get(&exchange, "klines?symbol=ETHUSDT&interval=12h").await.status, 451);
    assert_eq!(exchange.faults_left(), 0);

    exchange.inject_on(Target::Any, Fault::Reset, usize::MAX);
    assert_eq!(exchange.faults_left(), usize::MAX);
    exchange.clear_faults();
    assert_eq!(get(&exchange, "ping").await.status, 200);
}

#[tokio::test]
async fn a_source_in_trouble_is_an_overloaded_exchange() {
    let clock = Arc::new(FakeClock::at(at(NOON_IS_SIX_HOURS_AWAY)));
    let market: Arc<dyn Clock> = Arc::<FakeClock>::clone(&clock);
    let series = candles(Interval::H12, at("2024-11-01T00:00:00Z"), 3);
    let source = Arc::new(ScriptedSource::new(market).with_candles(asset("BTC"), Interval::H12, series));
    let exchange = FakeBinance::start(Arc::<ScriptedSource>::clone(&source), clock).await;
    source.fail_next(1, || ohlcv_ports::SourceError::Unavailable { reason: "down".to_owned(), source: None });
    let answer = get(&exchange, QUERY).await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!(-1008)));
}

#[tokio::test]
async fn it_counts_how_many_requests_are_answered_at_once() {
    let exchange = exchange_with(Options { latency: Duration::from_millis(100), ..Options::default() }).await;
    futures::future::join_all((0..5).map(|_| get(&exchange, "ping"))).await;
    assert_eq!(exchange.in_flight_peak(), 5);
}
