//! The source against canned answers on a socket.

use ohlcv_domain::{Candle, Grid, Rejection, Rule};
use ohlcv_ports::testing::PausedClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

/// 2024-11-06T09:30:59.900Z.
const NOW: i64 = 1_730_885_459_900;
const KLINE: &str = r#"[1502928000000,"4261.48000000","4485.39000000","4261.32000000","4427.30000000","145.70874700",1502971199999,"635695.49067993",582,"122.80136000","536701.47306474","0"]"#;

fn json(status: &str, headers: &str, body: &str) -> String {
    answer(status, &format!("Content-Type: application/json;charset=UTF-8\r\n{headers}"), body)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A host that gives these answers, one per connection; then says what it was asked.
async fn exchange(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/prefix/", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            asked.push(head.lines().next().unwrap_or_default().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (address, asked)
}

fn source(base_url: String, limits: BinanceLimits) -> BinanceSource {
    let config = BinanceConfig {
        base_url,
        quote: "USDT".parse().unwrap(),
        weight_per_minute: 5_000,
        request_delay: Duration::ZERO,
        concurrent_requests_max: NonZeroUsize::new(10).unwrap(),
        limits,
    };
    BinanceSource::new(config, Arc::new(PausedClock::new(Timestamp::from_millis(NOW).unwrap()))).unwrap()
}

fn quick() -> BinanceLimits {
    BinanceLimits { backoff_first: Duration::from_millis(1), retries_max: 2, ..BinanceLimits::default() }
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn first_day() -> SlotRange {
    let start = Timestamp::from_millis(1_502_928_000_000).unwrap();
    SlotRange::new(Grid::new(Interval::H12), start, start.saturating_add(Duration::from_secs(86_400)))
        .unwrap()
}

/// The error of one page, after these answers.
async fn page_error(limits: BinanceLimits, answers: Vec<String>) -> SourceError {
    let (address, asked) = exchange(answers).await;
    let error = source(address, limits).page(btc(), first_day()).await.unwrap_err();
    asked.await.unwrap();
    error
}

#[tokio::test]
async fn a_half_open_range_is_asked_with_inclusive_bounds() {
    let (address, asked) = exchange(vec![json("200 OK", "", &format!("[{KLINE}]"))]).await;
    let page = source(address, quick()).page(btc(), first_day()).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.answered_until, first_day().end());
    assert_eq!(
        asked.await.unwrap(),
        [
            "GET /prefix/api/v3/klines?symbol=BTCUSDT&interval=12h&startTime=1502928000000&endTime=1503014399999&limit=1000 HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn the_listing_is_one_request_for_one_row() {
    let (address, asked) =
        exchange(vec![json("200 OK", "", &format!("[{KLINE}]")), json("200 OK", "", "[]")]).await;
    let source = source(address, quick());
    let listing = source.listing(btc(), Interval::H12).await.unwrap();
    assert_eq!(listing, Some(first_day().start()));
    assert_eq!(source.listing(btc(), Interval::H12).await.unwrap(), None);
    assert!(asked.await.unwrap()[0].contains("?symbol=BTCUSDT&interval=12h&startTime=0&limit=1 "));
}

#[tokio::test]
async fn what_may_pass_is_asked_again_until_it_does() {
    let html = "<html>\n<h1>502 Bad Gateway</h1></html>";
    let answers = vec![
        answer("502 Bad Gateway", "Content-Type: text/html\r\n", html),
        json("200 OK", "", "[[15029280000"),
        json("200 OK", "", r#"{"serverTime":1730885459900}"#),
    ];
    let (address, asked) = exchange(answers).await;
    let time = source(address, quick()).server_time().await.unwrap();
    assert_eq!(time.millis(), NOW);
    assert_eq!(asked.await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_last_failure_is_told_with_the_number_of_attempts() {
    let html = answer("200 OK", "Content-Type: text/html\r\n", "<html>\n maintenance</html>");
    let error = page_error(quick(), vec![html.clone(), html.clone(), html]).await;
    let SourceError::Unavailable { reason, .. } = error else { panic!("{error}") };
    assert!(
        reason.starts_with(
            "HTTP 200 with content of type text/html: <html> maintenance</html>; gave up after 3 attempts in "
        ),
        "{reason}"
    );
}

#[tokio::test]
async fn a_silent_or_absent_host_is_unavailable_within_the_limits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let address = format!("http://{host}");
    let limits = BinanceLimits { request_timeout: Duration::from_millis(50), retries_max: 1, ..quick() };
    let error = source(address.clone(), limits).server_time().await.unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
    drop(listener);
    let error = source(address, limits).server_time().await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { source: None, .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains(&format!("no connection (host {host}): ")), "{told}");
    assert!(told.contains("after 2 attempts"), "{told}");
    assert!(told.contains("check BINANCE_API_BASE_URL"), "{told}");
    assert_eq!(told.matches("refused").count(), 1, "the cause once: {told}");
}

#[tokio::test]
async fn refusals_are_typed_and_not_asked_again() {
    let unknown = json("400 Bad Request", "", r#"{"code":-1121,"msg":"Invalid symbol."}"#);
    let error = page_error(quick(), vec![unknown]).await;
    assert!(matches!(&error, SourceError::UnknownAsset { symbol } if symbol == "BTCUSDT"), "{error}");

    let interval = json("400 Bad Request", "", r#"{"msg":"Invalid interval.","code":-1120}"#);
    let error = page_error(quick(), vec![interval]).await;
    assert!(
        matches!(&error, SourceError::Refused { reason } if reason == "HTTP 400, code -1120: Invalid interval.")
    );

    let restricted =
        json("451 Unavailable", "", r#"{"code":0,"msg":"Service unavailable from a restricted location"}"#);
    let error = page_error(quick(), vec![restricted]).await;
    assert!(matches!(error, SourceError::Blocked { .. }), "{error}");
    assert!(error.to_string().contains("BINANCE_API_BASE_URL=https://data-api.binance.vision"), "{error}");

    let moved = answer("302 Found", "Location: http://elsewhere/\r\n", "");
    let error = page_error(quick(), vec![moved]).await;
    assert!(matches!(error, SourceError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("a redirect to http://elsewhere/"), "{error}");
}

#[tokio::test]
async fn a_refusal_after_a_retry_is_a_refusal() {
    let interval = json("400 Bad Request", "", r#"{"code":-1120,"msg":"Invalid interval."}"#);
    let error = page_error(quick(), vec![answer("500 Oops", "", ""), interval]).await;
    assert!(matches!(error, SourceError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read() {
    let limits = BinanceLimits { body_bytes_max: 100, ..quick() };
    let error = page_error(limits, vec![json("200 OK", "", &format!("[{KLINE}]"))]).await;
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("longer than the 100 bytes"), "{error}");
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let slow_down = r#"{"code":-1003,"msg":"Too much request weight used"}"#;
    let answers =
        vec![json("429 Too Many Requests", "Retry-After: 1\r\n", slow_down), json("200 OK", "", "[]")];
    let (address, asked) = exchange(answers).await;
    let began = Instant::now();
    source(address, quick()).page(btc(), first_day()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_long_ban_is_told_at_once_and_nothing_more_is_asked() {
    let banned =
        r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1730889059900. Please"}"#;
    let (address, asked) = exchange(vec![json("418 I'm a teapot", "", banned)]).await;
    let source = source(address, quick());
    for _ in 0..2 {
        let error = source.page(btc(), first_day()).await.unwrap_err();
        let SourceError::RateLimited { until, reason } = error else { panic!("{error}") };
        assert!(
            until.distance(Timestamp::from_millis(NOW + 3_600_000).unwrap()) < Duration::from_secs(5),
            "{until}"
        );
        assert!(reason.starts_with("HTTP 418, code -1003: Way too much"), "{reason}");
    }
    assert_eq!(asked.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_used_up_minute_is_waited_out_by_the_exchanges_clock() {
    // The exchange's minute ends in 100 ms; its end is waited for with a margin of half a second.
    let answers = vec![
        json("200 OK", "x-mbx-used-weight-1m: 5000\r\n", r#"{"serverTime":1730885459900}"#),
        json("200 OK", "x-mbx-used-weight-1m: 2\r\n", "[]"),
    ];
    let (address, asked) = exchange(answers).await;
    let source = source(address, quick());
    source.server_time().await.unwrap();
    let began = Instant::now();
    source.page(btc(), first_day()).await.unwrap();
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(300) && waited < Duration::from_secs(10), "{waited:?}");
    asked.await.unwrap();
}

#[test]
fn a_budget_too_small_to_keep_is_refused_by_name() {
    let config = BinanceConfig {
        base_url: "http://localhost".to_owned(),
        quote: "USDT".parse().unwrap(),
        weight_per_minute: 9,
        request_delay: Duration::ZERO,
        concurrent_requests_max: NonZeroUsize::MIN,
        limits: BinanceLimits::default(),
    };
    let clock = Arc::new(PausedClock::new(Timestamp::from_millis(NOW).unwrap()));
    let error = BinanceSource::new(config, clock).unwrap_err();
    assert!(matches!(error, BinanceConfigError::WeightPerMinute { value: 9, min: 10 }));
}

fn candles(count: i64, first: Timestamp) -> Vec<KlineRow> {
    let grid = Grid::new(Interval::H1);
    (0..count).map(|slot| Ok(Candle::flat(grid.step(first, slot), "1".parse().unwrap()))).collect()
}

#[test]
fn a_full_page_reaches_as_far_as_its_last_row() {
    let grid = Grid::new(Interval::H1);
    let start = first_day().start();
    let asked = |slots: i64| SlotRange::new(grid, start, grid.step(start, slots)).unwrap();
    let full = candles(1_000, start);
    let after_last = grid.step(start, 999).saturating_add(INSTANT);
    assert_eq!(answered_until(asked(2_000), &full), Some(after_last));
    // Whole, although full.
    assert_eq!(answered_until(asked(1_000), &full), Some(asked(1_000).end()));
    assert_eq!(answered_until(asked(2_000), &full[1..]), Some(asked(2_000).end()));

    // The last row cannot be read, or claims a time that was not asked for.
    for open_time in [None, Some(Timestamp::MAX)] {
        let mut rows = full.clone();
        rows[999] = Err(Rejection::new(open_time, Rule::Malformed, "[]"));
        assert_eq!(answered_until(asked(2_000), &rows), Some(grid.step(start, 998).saturating_add(INSTANT)));
    }
    let elsewhere = candles(1_000, grid.step(start, 5_000));
    assert_eq!(answered_until(asked(2_000), &elsewhere), None);
}
