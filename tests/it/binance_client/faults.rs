//! What goes wrong on the way: what is asked again, how often, and what the port calls it.

use super::*;

async fn failing(fault: Fault, config: BinanceConfig) -> (usize, SourceError) {
    let (exchange, source) = exchange_of(candles(), Options::default(), config).await;
    exchange.inject(fault, usize::MAX);
    let error = ask(&*source, "BTC").await.unwrap_err();
    (exchange.requests().len(), error)
}

fn hasty() -> BinanceConfig {
    let limits = BinanceLimits { request_timeout: Duration::from_millis(500), ..config().limits };
    BinanceConfig { limits, ..config() }
}

#[tokio::test]
async fn what_passes_is_asked_again_until_it_has_passed() {
    let faults = [
        Fault::json(500),
        Fault::json(502),
        Fault::json(503),
        Fault::json(504),
        Fault::Json { status: 400, code: -1001, message: "Internal error; unable to process your request." },
        Fault::Html(500),
        Fault::Html(502),
        Fault::Html(503),
        Fault::Html(504),
        Fault::Reset,
        Fault::CutBody,
        Fault::TruncatedJson,
        Fault::WrongContentType,
        Fault::EmptyBody,
    ];
    for fault in faults {
        let (exchange, source) = exchange().await;
        exchange.inject(fault.clone(), 2);
        let rows = ask(&*source, "BTC").await;
        assert_eq!(rows.unwrap().len(), 1, "{fault:?}");
        assert_eq!(exchange.klines_requests().len(), 3, "{fault:?}");
        assert_eq!(exchange.faults_left(), 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_body_slower_than_the_timeout_is_asked_for_again() {
    let (exchange, source) = exchange_of(candles(), Options::default(), hasty()).await;
    exchange.inject(Fault::SlowBody(Duration::from_secs(60)), 1);
    assert_eq!(ask(&*source, "BTC").await.unwrap().len(), 1);
    assert_eq!(exchange.requests().len(), 2);
}

#[tokio::test]
async fn attempts_end_after_their_number_and_the_error_says_what_happened() {
    let limits = BinanceLimits { retries_max: 2, ..config().limits };
    for (fault, said) in [
        (Fault::json(503), "-1008"),
        (Fault::Html(502), "502 ERROR"),
        (Fault::Reset, "connection"),
        (Fault::TruncatedJson, "JSON"),
        (Fault::EmptyBody, "empty"),
        (Fault::WrongContentType, "text/html"),
    ] {
        let (requests, error) = failing(fault, BinanceConfig { limits, ..config() }).await;
        let text = error.to_string();
        assert!(matches!(error, SourceError::Unavailable { .. }), "{text}");
        assert_eq!(requests, 3, "{text}");
        assert!(text.contains(said) && text.contains("3 attempts"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[tokio::test]
async fn attempts_end_after_their_time_whatever_their_number() {
    let limits = BinanceLimits {
        retries_max: 1_000,
        retry_time_max: Duration::from_millis(300),
        backoff_first: Duration::from_millis(100),
        backoff_max: Duration::from_millis(100),
        ..config().limits
    };
    let begun = tokio::time::Instant::now();
    let (requests, error) = failing(Fault::json(500), BinanceConfig { limits, ..config() }).await;
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    assert!((2..=4).contains(&requests), "{requests}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_exchange_that_is_away_is_unavailable() {
    let (exchange, source) = exchange().await;
    exchange.stop().await;
    let error = ask(&*source, "BTC").await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("no connection"), "{error}");
}

#[tokio::test]
async fn a_blocked_place_is_asked_once_and_shown_the_way_out() {
    let (requests, error) = failing(Fault::Blocked, config()).await;
    let SourceError::Blocked { reason } = error else { panic!("{error}") };
    assert!(reason.contains("restricted location"), "{reason}");
    assert!(reason.contains("BINANCE_API_BASE_URL=https://data-api.binance.vision"), "{reason}");
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn an_unknown_market_is_asked_for_once_and_named() {
    let (exchange, source) = exchange().await;
    let error = ask(&*source, "DOGE").await.unwrap_err();
    let SourceError::UnknownAsset { symbol } = error else { panic!("{error}") };
    assert_eq!(symbol, "DOGEUSDT");
    assert_eq!(exchange.requests().len(), 1);
}

#[tokio::test]
async fn refusals_are_not_asked_again() {
    for fault in [
        Fault::Json { status: 400, code: -1102, message: "Mandatory parameter 'limit' was not sent." },
        Fault::Json { status: 400, code: -1120, message: "Invalid interval." },
        Fault::Json { status: 401, code: -2014, message: "API-key format invalid." },
        Fault::Html(404),
        Fault::Redirect("https://www.binance.com/"),
    ] {
        let (requests, error) = failing(fault.clone(), config()).await;
        assert!(matches!(error, SourceError::Refused { .. }), "{fault:?}: {error}");
        assert_eq!(requests, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_body_beyond_all_measure_is_not_read() {
    let limits = BinanceLimits { body_bytes_max: 10_000, ..config().limits };
    let (requests, error) = failing(Fault::Oversized(100_000), BinanceConfig { limits, ..config() }).await;
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("10000 bytes"), "{error}");
    assert_eq!(requests, 1);
}
