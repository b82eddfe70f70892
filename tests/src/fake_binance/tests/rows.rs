//! What a row says, and how rows change with time and at a test's word.

use super::*;

const OPEN: i64 = 1_730_419_200_000;

/// The first 12h candle of BTCUSDT and the 1h one that the halt of 2018-02-08 cut short, as they are.
const FIRST_ROW: &str = r#"[1502928000000,"4261.48000000","4485.39000000","4261.32000000","4427.30000000","145.70874700",1502971199999,"635695.49067993",582,"122.80136000","536701.47306474","0"]"#;
const CUT_ROW: &str = r#"[1518048000000,"7599.00000000","7844.00000000","7572.09000000","7784.02000000","1521.53731800",1518049694788,"11770168.04386595",12417,"844.25881300","6532638.63751892","0"]"#;

/// The candle that a row tells of.
fn parsed(row: &str) -> Candle {
    let row: Value = serde_json::from_str(row).unwrap();
    let text = |at: usize| row[at].as_str().unwrap();
    let [open, high, low, close] = [1, 2, 3, 4].map(|at| text(at).parse().unwrap());
    let open_time = Timestamp::from_millis(row[0].as_i64().unwrap()).unwrap();
    let details = TradeDetails {
        quote_volume: text(7).parse().unwrap(),
        trades: u32::try_from(row[8].as_u64().unwrap()).unwrap(),
        taker_buy_volume: text(9).parse().unwrap(),
        taker_buy_quote_volume: text(10).parse().unwrap(),
    };
    let volume = text(5).parse().unwrap();
    Candle::new(open_time, Ohlc { open, high, low, close }, volume).unwrap().with_details(details)
}

#[tokio::test]
async fn real_rows_come_out_to_the_byte() {
    let exchange =
        exchange_of(Interval::H12, vec![parsed(FIRST_ROW), parsed(CUT_ROW)], Options::default()).await;
    let cut_at = Timestamp::from_millis(1_518_049_694_788).unwrap();
    exchange.truncate_close("BTCUSDT", parsed(CUT_ROW).open_time(), cut_at);
    let answer = get(&exchange, "klines?symbol=BTCUSDT&interval=12h&startTime=0").await;
    assert_eq!(answer.body, format!("[{FIRST_ROW},{CUT_ROW}]"));
    assert_eq!(answer.header("content-type"), "application/json;charset=UTF-8");
}

#[tokio::test]
async fn a_candle_without_details_has_zeros_for_them() {
    let exchange = exchange().await;
    let expected = json!([
        OPEN - H12_MILLIS,
        "10.00000000",
        "12.50000000",
        "9.00000000",
        "11.00000000",
        "1499.00000000",
        OPEN - 1,
        "0.00000000",
        0,
        "0.00000000",
        "0.00000000",
        "0"
    ]);
    assert_eq!(rows(&exchange, &format!("&endTime={}&limit=1", OPEN - 1)).await, [expected]);
}

#[tokio::test]
async fn all_times_are_microseconds_if_the_header_says_so() {
    let exchange = exchange().await;
    let client = crate::http_client();
    let base = format!("{}/api/v3", exchange.url());
    let unit = "X-MBX-TIME-UNIT";
    let klines = format!("{base}/klines?symbol=BTCUSDT&interval=12h&limit=1");
    let rows = ask(client.get(&klines).header(unit, "MICROSECOND")).await.unwrap().json();
    assert_eq!(rows[0][0], OPEN * 1_000);
    assert_eq!(rows[0][6], (OPEN + H12_MILLIS) * 1_000 - 1);
    let time = ask(client.get(format!("{base}/time")).header(unit, "microsecond")).await.unwrap().json();
    assert_eq!(time["serverTime"], 1_730_440_800_000_000_i64);
    let same = ask(client.get(&klines).header(unit, "MILLISECOND")).await.unwrap().json();
    assert_eq!(same[0][0], OPEN);
    let refused = ask(client.get(&klines).header(unit, "SECOND")).await.unwrap();
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(-1194)));
}

#[tokio::test]
async fn the_open_candle_changes_from_request_to_request_and_is_never_the_final_one() {
    let exchange = exchange().await;
    let one = rows(&exchange, "&limit=1").await;
    let two = rows(&exchange, "&limit=1").await;
    assert_eq!((&one[0][0], &one[0][6]), (&json!(OPEN), &json!(OPEN + H12_MILLIS - 1)));
    assert_ne!(one[0][5], two[0][5]);
    assert_ne!(two[0][5], "1500.00000000");

    exchange.clock().advance(Duration::from_secs(6 * 3_600));
    let closed = rows(&exchange, &format!("&startTime={OPEN}")).await;
    assert_eq!(closed[0][5], "1500.00000000");
}

#[tokio::test]
async fn an_open_candle_that_the_source_does_not_have_starts_at_the_last_close() {
    let exchange = exchange().await;
    exchange.clock().advance(Duration::from_secs(6 * 3_600));
    let [one, two] = [rows(&exchange, "&limit=1").await, rows(&exchange, "&limit=1").await];
    assert_eq!(one[0][0], OPEN + H12_MILLIS);
    assert_eq!((&one[0][1], &one[0][4]), (&json!("11.00000000"), &json!("11.00000000")));
    assert_ne!(one[0][5], two[0][5]);

    // Nobody knows of a market that has had no candle for a while.
    exchange.clock().advance(Duration::from_secs(12 * 3_600));
    assert_eq!(opens(&exchange, "&limit=1").await, [OPEN]);
}

#[tokio::test]
async fn what_opens_after_the_clocks_time_is_not_there_yet() {
    let exchange = exchange().await;
    exchange.clock().set(at("2024-10-25T11:59:59.999Z"));
    let last = at("2024-10-25T00:00:00Z").millis();
    assert_eq!(opens(&exchange, "&limit=1").await, [last]);
    assert_eq!(opens(&exchange, &format!("&startTime={last}&endTime={OPEN}")).await, [last]);
    exchange.clock().advance(Duration::from_millis(1));
    assert_eq!(opens(&exchange, "&limit=1").await, [last + H12_MILLIS]);
}

#[tokio::test]
async fn with_a_lag_rows_are_missing_for_a_while_after_open_and_close() {
    let exchange = exchange_with(Options { lag: Duration::from_secs(20), ..Options::default() }).await;
    for (now, last) in [
        ("2024-10-25T12:00:19.999Z", "2024-10-24T12:00:00Z"),
        ("2024-10-25T12:00:20Z", "2024-10-25T12:00:00Z"),
    ] {
        exchange.clock().set(at(now));
        assert_eq!(opens(&exchange, "&limit=1").await, [at(last).millis()], "{now}");
    }
}

#[tokio::test]
async fn stale_rows_look_unfinished_for_a_while_after_their_close() {
    let exchange = exchange_with(Options { stale: Duration::from_secs(20), ..Options::default() }).await;
    exchange.clock().set(at("2024-11-01T12:00:19.999Z"));
    let last = rows(&exchange, "&limit=1").await;
    assert_eq!(last[0][0], OPEN);
    assert_ne!(last[0][5], "1500.00000000");
    exchange.clock().advance(Duration::from_millis(1));
    assert_eq!(rows(&exchange, &format!("&startTime={OPEN}&limit=1")).await[0][5], "1500.00000000");
}

#[tokio::test]
async fn a_revision_changes_the_volume_alone() {
    let exchange = exchange().await;
    let query = format!("&startTime={}&limit=2", OPEN - 3 * H12_MILLIS);
    let before = rows(&exchange, &query).await;
    exchange.revise("BTCUSDT", at("2024-10-30T12:00:00Z"), "1600.5".parse().unwrap());
    let mut expected = before;
    expected[0][5] = json!("1600.50000000");
    assert_eq!(rows(&exchange, &query).await, expected);
}

#[tokio::test]
async fn a_delisted_market_stays_listed_with_its_old_candles_and_no_new_ones() {
    let exchange = exchange().await;
    exchange.delist("BTCUSDT", at("2024-10-30T03:00:00Z"));
    let last = rows(&exchange, "&limit=1").await;
    assert_eq!(last[0][0], at("2024-10-30T00:00:00Z").millis());
    assert_eq!(last[0][6], at("2024-10-30T03:00:00Z").millis() - 1);
    assert!(opens(&exchange, &format!("&startTime={OPEN}")).await.is_empty());
    let info = get(&exchange, "exchangeInfo?symbol=BTCUSDT").await.json();
    assert_eq!(info["symbols"][0]["status"], "BREAK");
}
