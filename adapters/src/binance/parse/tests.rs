//! Bodies as the exchange sends them, and worse ones.

use super::*;

const FIRST: &str = r#"[1502928000000,"4261.48000000","4485.39000000","4261.32000000","4427.30000000","145.70874700",1502971199999,"635695.49067993",582,"122.80136000","536701.47306474","0"]"#;
const CUT_SHORT: &str = r#"[1518048000000,"7599.00000000","7844.00000000","7572.09000000","7784.02000000","1521.53731800",1518049694788,"11770168.04386595",12417,"844.25881300","6532638.63751892","0"]"#;

fn only(row: &str) -> KlineRow {
    let mut rows = klines(format!("[{row}]").as_bytes()).unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

/// The first row with one element replaced, refused for `rule` with its open time and its text.
#[track_caller]
fn check_refused(from: &str, to: &str, rule: Rule) {
    assert!(FIRST.contains(from), "{from}");
    let row = FIRST.replacen(from, to, 1);
    let open_time = Timestamp::from_millis(1_502_928_000_000).unwrap();
    assert_eq!(only(&row), Err(Rejection::new(Some(open_time), rule, &row)));
}

#[test]
fn a_recorded_row_is_read_to_the_digit() {
    let candle = only(FIRST).unwrap();
    assert_eq!(candle.open_time().millis(), 1_502_928_000_000);
    let prices = [candle.open(), candle.high(), candle.low(), candle.close()].map(|price| price.to_string());
    assert_eq!(prices, ["4261.48000000", "4485.39000000", "4261.32000000", "4427.30000000"]);
    assert_eq!(candle.volume().to_string(), "145.70874700");
    let details = candle.details().unwrap();
    assert_eq!(details.quote_volume.to_string(), "635695.49067993");
    assert_eq!(details.trades, 582);
    assert_eq!(details.taker_buy_volume.to_string(), "122.80136000");
    assert_eq!(details.taker_buy_quote_volume.to_string(), "536701.47306474");
}

#[test]
fn a_close_time_that_a_halt_cut_short_is_no_fault() {
    assert_eq!(only(CUT_SHORT).unwrap().close().to_string(), "7784.02000000");
}

#[test]
fn rows_keep_their_order_and_a_bad_one_spoils_no_other() {
    let rows = klines(format!("[{FIRST}, null, [], {{}}, {CUT_SHORT}]").as_bytes()).unwrap();
    assert_eq!(rows.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false, true]);
    assert_eq!(rows[1], Err(Rejection::new(None, Rule::Malformed, "null")));
}

#[test]
fn no_rows_are_an_answer() {
    assert_eq!(klines(b" [] ").unwrap(), []);
}

#[test]
fn the_largest_and_the_smallest_numbers_survive() {
    let row = r#"[0,"0.00000001","999999999999.99999999","0.00000001",1.5,"1234567890123456789012.12345678",0,"0",4294967295,"0.0","0"]"#;
    let candle = only(row).unwrap();
    assert_eq!(candle.low().to_string(), "0.00000001");
    assert_eq!(candle.high().to_string(), "999999999999.99999999");
    assert_eq!(candle.close().to_string(), "1.50000000");
    assert_eq!(candle.volume().to_string(), "1234567890123456789012.12345678");
    assert_eq!(candle.details().unwrap().trades, u32::MAX);
}

#[test]
fn a_row_of_another_shape_is_malformed() {
    check_refused(r#","122.80136000","536701.47306474","0""#, "", Rule::Malformed);
    check_refused(r#""4261.48000000""#, r#""4261,48""#, Rule::Malformed);
    check_refused(r#""4261.48000000""#, r#""""#, Rule::Malformed);
    check_refused(r#""4261.48000000""#, "null", Rule::Malformed);
    check_refused(r#""4261.48000000""#, "4.26e3", Rule::Malformed);
    check_refused(r#""4261.48000000""#, r#""NaN""#, Rule::Malformed);
    check_refused("582", "58.2", Rule::Malformed);
    check_refused("582", r#""582""#, Rule::Malformed);
    let stray = FIRST.replacen("1502928000000", "\"soon\"", 1);
    assert_eq!(only(&stray), Err(Rejection::new(None, Rule::Malformed, &stray)));
    let microseconds = FIRST.replacen("1502928000000", "1502928000000000", 1);
    assert_eq!(only(&microseconds).unwrap_err().open_time, None);
}

#[test]
fn numbers_that_no_column_holds_are_refused_by_rule() {
    check_refused("4261.32000000", "-4261.32", Rule::Negative);
    check_refused("145.70874700", "-0.00000001", Rule::Negative);
    check_refused("582", "-1", Rule::Negative);
    check_refused("4485.39000000", "1000000000000", Rule::TooLarge);
    check_refused("635695.49067993", "12345678901234567890123", Rule::TooLarge);
    check_refused("582", "4294967296", Rule::TooLarge);
    check_refused("582", "99999999999999999999999", Rule::TooLarge);
    check_refused("4261.48000000", "4261.480000001", Rule::TooManyPlaces);
}

#[test]
fn impossible_prices_are_refused_by_rule() {
    check_refused("4261.32000000", "4261.49", Rule::LowNotLowest);
    check_refused("4485.39000000", "4427.29", Rule::HighNotHighest);
}

#[test]
fn a_body_that_is_no_array_of_rows_is_an_error() {
    for body in ["", "  ", "{}", "[[1,", "<html>", "[1,2]", r#"{"code":-1000,"msg":""}"#, "null"] {
        assert!(klines(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn the_servers_time_is_read() {
    assert_eq!(server_time(br#"{"serverTime":1669633000000}"#).unwrap().millis(), 1_669_633_000_000);
    for body in ["", "{}", r#"{"serverTime":"1"}"#, r#"{"serverTime":9223372036854775807}"#] {
        assert!(server_time(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn the_end_of_a_ban_is_read_from_its_text() {
    let text = "Way too much request weight used; IP banned until 1660090423228. Please use the websocket.";
    assert_eq!(banned_until(text).map(Timestamp::millis), Some(1_660_090_423_228));
    assert_eq!(banned_until("IP banned until further notice"), None);
    assert_eq!(banned_until("Too many requests queued."), None);
}

#[test]
fn an_excerpt_is_one_short_line() {
    assert_eq!(excerpt(b"<HTML>\n\n <H1>403\tERROR</H1>\0"), "<HTML> <H1>403 ERROR</H1>");
    assert_eq!(excerpt("ä".repeat(5_000).as_bytes()).chars().count(), EXCERPT_CHARS_MAX);
}
