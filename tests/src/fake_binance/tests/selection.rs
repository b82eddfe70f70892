//! Which rows a request selects, and which requests are refused.

use super::*;

/// 2024-11-01T00:00:00Z, where the open candle opens.
const OPEN: i64 = 1_730_419_200_000;
const FIRST: i64 = OPEN - 1_499 * H12_MILLIS;

fn ladder(first: i64, last: i64) -> Vec<i64> {
    (0..=(last - first) / H12_MILLIS).map(|slot| first + slot * H12_MILLIS).collect()
}

#[tokio::test]
async fn the_bounds_select_as_the_exchange_documents() {
    let exchange = exchange().await;
    let cases = [
        // Neither: the newest, the open one last. 500 by default.
        (String::new(), ladder(OPEN - 499 * H12_MILLIS, OPEN)),
        ("&limit=3".to_owned(), ladder(OPEN - 2 * H12_MILLIS, OPEN)),
        // Start alone: the oldest from there.
        (format!("&startTime={FIRST}"), ladder(FIRST, FIRST + 499 * H12_MILLIS)),
        (format!("&startTime={}&limit=2", FIRST + 1), ladder(FIRST + H12_MILLIS, FIRST + 2 * H12_MILLIS)),
        // End alone: the newest up to there.
        (format!("&endTime={}&limit=2", OPEN - 1), ladder(OPEN - 2 * H12_MILLIS, OPEN - H12_MILLIS)),
        (format!("&endTime={}&limit=1000", FIRST + H12_MILLIS), ladder(FIRST, FIRST + H12_MILLIS)),
        // Both: the oldest from the start, up to the end.
        (
            format!("&startTime={FIRST}&endTime={}", FIRST + 2 * H12_MILLIS),
            ladder(FIRST, FIRST + 2 * H12_MILLIS),
        ),
        (format!("&startTime={FIRST}&endTime={OPEN}&limit=2"), ladder(FIRST, FIRST + H12_MILLIS)),
    ];
    for (query, expected) in cases {
        assert_eq!(opens(&exchange, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn both_bounds_are_inclusive_and_test_the_open_time() {
    let exchange = exchange().await;
    let one = FIRST + 10 * H12_MILLIS;
    assert_eq!(opens(&exchange, &format!("&startTime={one}&endTime={one}")).await, [one]);
    // Asking for [one, next) with the exclusive end gives one candle too many.
    let next = one + H12_MILLIS;
    assert_eq!(opens(&exchange, &format!("&startTime={one}&endTime={next}")).await, [one, next]);
    let between = format!("&startTime={}&endTime={}", one + 1, next - 1);
    assert!(opens(&exchange, &between).await.is_empty());
}

#[tokio::test]
async fn limits_beyond_a_thousand_are_cut_to_it_without_a_word() {
    let exchange = exchange().await;
    for limit in ["1001", "1500", "99999999999999"] {
        assert_eq!(opens(&exchange, &format!("&limit={limit}")).await.len(), 1_000, "{limit}");
    }
}

#[tokio::test]
async fn a_reversed_range_and_one_before_the_listing_are_empty() {
    let exchange = exchange().await;
    assert!(opens(&exchange, &format!("&startTime={OPEN}&endTime={FIRST}")).await.is_empty());
    assert!(opens(&exchange, &format!("&endTime={}", FIRST - 1)).await.is_empty());
    assert!(opens(&exchange, "&startTime=0&endTime=1500000000000").await.is_empty());
}

#[tokio::test]
async fn times_out_of_range_are_moved_into_it() {
    let exchange = exchange().await;
    assert_eq!(opens(&exchange, "&startTime=0&limit=1").await, [FIRST]);
    let far = "&startTime=1730419200000&endTime=99999999999999";
    assert_eq!(opens(&exchange, far).await, [OPEN]);
    assert!(opens(&exchange, "&startTime=99999999999999").await.is_empty());
}

#[tokio::test]
async fn times_may_be_microseconds() {
    let exchange = exchange().await;
    let one = FIRST + 10 * H12_MILLIS;
    assert_eq!(opens(&exchange, &format!("&startTime={one}000&endTime={one}999")).await, [one]);
    assert!(opens(&exchange, &format!("&startTime={one}001&endTime={one}999")).await.is_empty());
}

#[tokio::test]
async fn holes_give_no_rows_and_do_not_shorten_a_page() {
    let mut series = candles(Interval::H12, at("2024-11-01T00:00:00Z"), 1_500);
    let hole = FIRST + 3 * H12_MILLIS..FIRST + 1_203 * H12_MILLIS;
    series.retain(|candle| !hole.contains(&candle.open_time().millis()));
    let exchange = exchange_of(Interval::H12, series, Options::default()).await;

    let mut expected = ladder(FIRST, hole.start - 1);
    expected.push(hole.end);
    assert_eq!(opens(&exchange, &format!("&startTime={FIRST}&limit=4")).await, expected);
    let newest = opens(&exchange, &format!("&endTime={}&limit=2", hole.end)).await;
    assert_eq!(newest, [hole.start - H12_MILLIS, hole.end]);
    // A start inside the hole finds the first candle after it; a range inside it finds nothing.
    assert_eq!(opens(&exchange, &format!("&startTime={}&limit=1", hole.start)).await, [hole.end]);
    let inside = format!("&startTime={}&endTime={}", hole.start, hole.end - 1);
    assert!(opens(&exchange, &inside).await.is_empty());
}

#[tokio::test]
async fn a_client_that_pages_gets_every_candle_once() {
    let mut series = candles(Interval::H12, at("2024-11-01T00:00:00Z"), 1_500);
    series.retain(|candle| candle.open_time().millis() % 7 != 3);
    let expected: Vec<i64> = series.iter().map(|candle| candle.open_time().millis()).collect();
    let exchange = exchange_of(Interval::H12, series, Options::default()).await;
    let mut seen = Vec::new();
    for _page in 0..20 {
        let next = seen.last().map_or(0, |last| last + 1);
        let page = opens(&exchange, &format!("&startTime={next}&limit=100")).await;
        seen.extend(page);
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn days_weeks_and_months_open_on_their_own_grids() {
    let cases = [
        // Three days count from the market's own first candle, here two days off BTC's.
        (Interval::D3, "3d", "2024-10-28T00:00:00Z", "2024-10-31T00:00:00Z"),
        (Interval::W1, "1w", "2024-10-21T00:00:00Z", "2024-10-28T00:00:00Z"),
        (Interval::Mo1, "1M", "2024-10-01T00:00:00Z", "2024-11-01T00:00:00Z"),
    ];
    for (interval, name, closed, open) in cases {
        let series = vec![candle(at(closed), 1), candle(at(open), 2)];
        let exchange = exchange_of(interval, series, Options::default()).await;
        let answer = get(&exchange, &format!("klines?symbol=BTCUSDT&interval={name}")).await.json();
        assert_eq!(answer[0][0], at(closed).millis(), "{name}");
        assert_eq!(answer[0][6], at(open).millis() - 1, "{name}");
        assert_eq!(answer[1][0], at(open).millis(), "{name}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused_in_the_exchanges_words() {
    let exchange = exchange().await;
    let symbol_range = r"legal range is '^[\w\-._&&[^a-z]]{1,50}$'.";
    let mandatory =
        |name| format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
    let illegal =
        |name| format!("Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.");
    let cases = [
        ("interval=12h", -1102, mandatory("symbol")),
        ("symbol=BTCUSDT", -1102, mandatory("interval")),
        ("symbol=BTCUSDT&interval=12h&limit=0", -1102, mandatory("limit")),
        ("symbol=&interval=12h", -1105, "Parameter 'symbol' was empty.".to_owned()),
        ("symbol=BTCUSDT&interval=", -1105, "Parameter 'interval' was empty.".to_owned()),
        (
            "symbol=btcusdt&interval=12h",
            -1100,
            format!("Illegal characters found in parameter 'symbol'; {symbol_range}"),
        ),
        ("symbol=BTCUSDT&interval=12h&limit=-1", -1100, illegal("limit")),
        ("symbol=BTCUSDT&interval=12h&limit=abc", -1100, illegal("limit")),
        ("symbol=BTCUSDT&interval=12h&startTime=2018-03-31+00:00:00", -1100, illegal("startTime")),
        ("symbol=BTCUSDT&interval=12h&endTime=1.5", -1100, illegal("endTime")),
        (
            "symbol=BTCUSDT&interval=12h&endTime=99999999999999999999",
            -1108,
            "Parameter 'endTime' overflowed.".to_owned(),
        ),
        ("symbol=BTCUSDT&interval=1D", -1120, "Invalid interval.".to_owned()),
        ("symbol=BTCUSDT&interval=1mo", -1120, "Invalid interval.".to_owned()),
        ("symbol=DOGEUSDT&interval=12h", -1121, "Invalid symbol.".to_owned()),
        ("symbol=BTCEUR&interval=12h", -1121, "Invalid symbol.".to_owned()),
        (
            "symbol=BTCUSDT&symbol=BTCUSDT&interval=12h",
            -1101,
            "Duplicate values for a parameter detected.".to_owned(),
        ),
        (
            "symbol=BTCUSDT&interval=12h&star_time=1&end_time=2",
            -1104,
            "Not all sent parameters were read; read '2' parameter(s) but was sent '4'.".to_owned(),
        ),
    ];
    for (query, code, message) in cases {
        let refused = get(&exchange, &format!("klines?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.json(), json!({ "code": code, "msg": message }), "{query}");
        assert_eq!(refused.header("content-type"), "application/json;charset=UTF-8");
    }
}
