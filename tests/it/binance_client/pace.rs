//! How fast the client asks: its own pace, and the pauses that the exchange demands.

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;

/// How much earlier than it was allowed a request may seem to arrive: instants are taken at both
/// ends of a socket.
const JITTER: Duration = Duration::from_millis(20);

/// Asks for a candle in as many tasks at once, and returns how many were answered.
async fn ask_at_once(source: &Arc<dyn CandleSource>, tasks: usize) -> usize {
    let mut asking = JoinSet::new();
    for _ in 0..tasks {
        let source = Arc::clone(source);
        asking.spawn(async move { ask(&*source, "BTC").await.unwrap().len() });
    }
    asking.join_all().await.into_iter().sum()
}

fn arrivals(exchange: &FakeBinance) -> Vec<(Instant, Option<u16>)> {
    exchange.requests().iter().map(|request| (request.received, request.status)).collect()
}

#[tokio::test]
async fn all_tasks_obey_retry_after_together() {
    let (exchange, source) = exchange().await;
    exchange.inject(Fault::RateLimited { retry_after: Some(Duration::from_secs(1)) }, 1);
    // The first one alone is told to wait; those that come meanwhile wait with it.
    let first = tokio::spawn({
        let source = Arc::clone(&source);
        async move { ask(&*source, "BTC").await.unwrap().len() }
    });
    while exchange.requests().first().and_then(|request| request.status).is_none() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ask_at_once(&source, 6).await, 6);
    assert_eq!(first.await.unwrap(), 1);

    let requests = arrivals(&exchange);
    assert_eq!(requests.len(), 8);
    assert_eq!(requests[0].1, Some(429));
    for (received, status) in &requests[1..] {
        let waited = *received - requests[0].0;
        assert!(waited + JITTER >= Duration::from_secs(1), "{waited:?}");
        assert!(waited < Duration::from_secs(10), "{waited:?}");
        assert_eq!(*status, Some(200));
    }
}

#[tokio::test]
async fn a_bans_end_is_read_from_its_text_if_no_header_tells() {
    let (exchange, source) = exchange().await;
    exchange.inject(Fault::Banned { lasts: Duration::from_millis(1_500), with_header: false }, 1);
    assert_eq!(ask(&*source, "BTC").await.unwrap().len(), 1);
    let requests = arrivals(&exchange);
    let waited = requests[1].0 - requests[0].0;
    assert!(waited + JITTER >= Duration::from_millis(1_500), "{waited:?}");
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

#[tokio::test]
async fn a_ban_too_long_to_wait_for_is_told_at_once_to_everybody() {
    let (exchange, source) = exchange().await;
    let hour = Duration::from_secs(3_600);
    exchange.inject(Fault::Banned { lasts: hour, with_header: true }, 1);
    for _ in 0..3 {
        let error = ask(&*source, "BTC").await.unwrap_err();
        let SourceError::RateLimited { until, reason } = error else { panic!("{error}") };
        let left = until.since(exchange.clock().now());
        assert!(left > hour - Duration::from_secs(60) && left <= hour, "{left:?}");
        assert!(reason.contains("banned"), "{reason}");
    }
    assert_eq!(exchange.requests().len(), 1);
}

#[tokio::test]
async fn the_firewall_is_given_its_time() {
    let limits = BinanceLimits { firewall_pause: Duration::from_millis(400), ..config().limits };
    let (exchange, source) =
        exchange_of(candles(), Options::default(), BinanceConfig { limits, ..config() }).await;
    exchange.inject(Fault::Html(403), 1);
    assert_eq!(ask(&*source, "BTC").await.unwrap().len(), 1);
    let requests = arrivals(&exchange);
    assert!(requests[1].0 - requests[0].0 + JITTER >= limits.firewall_pause);
}

#[tokio::test]
async fn the_firewalls_usual_pause_is_longer_than_anybody_waits() {
    let (exchange, source) = exchange().await;
    exchange.inject(Fault::Html(403), 1);
    for _ in 0..2 {
        let error = ask(&*source, "BTC").await.unwrap_err();
        assert!(matches!(error, SourceError::RateLimited { .. }), "{error}");
    }
    assert_eq!(exchange.requests().len(), 1);
}

#[tokio::test]
async fn weight_that_others_have_used_holds_the_client_until_the_next_minute() {
    let (exchange, source) =
        exchange_of(candles(), Options::default(), BinanceConfig { weight_per_minute: 1_000, ..config() })
            .await;
    exchange.clock().set(at("2024-11-01T06:00:59Z"));
    exchange.set_weight_used(998);
    for _ in 0..2 {
        assert_eq!(ask(&*source, "BTC").await.unwrap().len(), 1);
    }
    let requests = exchange.requests();
    assert!(requests[0].at < at("2024-11-01T06:01:00Z"));
    assert!(requests[1].at >= at("2024-11-01T06:01:00Z"), "{}", requests[1].at);
    assert!(requests[1].at < at("2024-11-01T06:01:10Z"), "{}", requests[1].at);
}

/// Time is paused: minutes pass as fast as the requests are answered.
#[tokio::test(start_paused = true)]
async fn the_client_uses_its_budget_and_never_provokes_a_429() {
    let options = Options { weight_per_minute: 300, ..Options::default() };
    let (exchange, source) =
        exchange_of(candles(), options, BinanceConfig { weight_per_minute: 300, ..config() }).await;
    let begun = Instant::now();
    assert_eq!(ask_at_once(&source, 600).await, 600);
    let requests = exchange.requests();
    assert_eq!(requests.len(), 600);
    assert!(requests.iter().all(|request| request.status == Some(200)));
    // 1,200 weight at 300 a minute: four minutes, of which the budget may leave a tenth unused.
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    assert!((3.8..4.5).contains(&minutes), "{minutes}");
}

#[tokio::test]
async fn requests_start_no_closer_than_the_delay() {
    let delay = Duration::from_millis(60);
    let (exchange, source) =
        exchange_of(candles(), Options::default(), BinanceConfig { request_delay: delay, ..config() }).await;
    assert_eq!(ask_at_once(&source, 6).await, 6);
    let requests = arrivals(&exchange);
    assert!(requests[5].0 - requests[0].0 + JITTER >= delay * 5);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let options = Options { latency: Duration::from_millis(40), ..Options::default() };
    let concurrent_requests_max = NonZeroUsize::new(3).unwrap();
    let (exchange, source) =
        exchange_of(candles(), options, BinanceConfig { concurrent_requests_max, ..config() }).await;
    assert_eq!(ask_at_once(&source, 12).await, 12);
    assert!((2..=3).contains(&exchange.in_flight_peak()), "{}", exchange.in_flight_peak());
}
