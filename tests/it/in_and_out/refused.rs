//! What an import refuses: rows one by one, and files as a whole.

use std::fs;

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, said};
use serde_json::json;

use super::{done, fed, fresh, imported, program};

ohlcv_tests::on_each_database!(
    every_row_that_cannot_be_stored_is_told_with_its_line_its_value_and_its_rule,
    a_stored_candle_is_replaced_only_when_told_to_and_kept_as_a_revision,
);

const NAMES: &str =
    "timestamp,open,high,low,close,volume,quote_volume,trades,taker_buy_volume,taker_buy_quote_volume";

async fn every_row_that_cannot_be_stored_is_told_with_its_line_its_value_and_its_rule(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let program = program(&database);
    let good = "2,3,1,2,7,14,5,3,6";
    let rows: [(&str, &str); 18] = [
        ("2024-01-01T00:00:00Z,2,3,1,2,7,14,5,3,6", ""),
        ("2024-01-01T12:00:00Z,2,3,1,2,7", "malformed: 6 fields, not 10"),
        ("yesterday,2,3,1,2,7,14,5,3,6", "malformed: timestamp is \"yesterday\""),
        ("2024-01-02 00:00:00,2,3,1,2,7,14,5,3,6", "it names no offset, such as Z or +00:00"),
        ("2024-01-02T00:00:00Z,\"2,5\",3,1,2,7,14,5,3,6", "malformed: open is \"2,5\""),
        ("2024-01-02T00:00:00Z,2,3,1,2,-7,14,5,3,6", "negative: volume is \"-7\""),
        ("2024-01-02T00:00:00Z,2,1000000000000,1,2,7,14,5,3,6", "too_large: high is \"1000000000000\""),
        ("2024-01-02T00:00:00Z,2,3,0.123456789,2,7,14,5,3,6", "too_many_places: low is \"0.123456789\""),
        ("2024-01-02T00:00:00Z,2,3,2.5,2,7,14,5,3,6", "low_not_lowest: the low 2.50000000 is above"),
        ("2024-01-02T00:00:00Z,2,2,1,2.5,7,14,5,3,6", "high_not_highest: the high 2.00000000 is below"),
        ("2024-01-02T00:00:00Z,2,3,1,2,7,14,,3,6", "malformed: trades is empty"),
        ("2024-01-02T00:00:00Z,2,3,1,2,7,14,4294967296,3,6", "malformed: trades is \"4294967296\""),
        ("2024-01-02T03:00:00Z,2,3,1,2,7,14,5,3,6", "off_grid: 2024-01-02T03:00:00Z open 2.00000000"),
        ("2099-01-01T00:00:00Z,2,3,1,2,7,14,5,3,6", "not_closed: 2099-01-01T00:00:00Z"),
        ("2024-01-03T00:00:00Z,2,3,1,2,7,14,5,3,6", ""),
        ("2024-01-02T12:00:00Z,2,3,1,2,7,14,5,3,6", "out_of_order: 2024-01-02T12:00:00Z"),
        ("2024-01-04T00:00:00Z,2,3,1,2,7,,,,", ""),
        ("2024-01-04T12:00:00Z,2,3,1,2,7,14,5,3,6", ""),
    ];
    assert!(rows[0].0.ends_with(good));
    let lines: Vec<&str> = rows.iter().map(|(line, _)| *line).collect();
    let table = format!("{NAMES}\n{}\n", lines.join("\n"));
    fs::write(program.folder().join("rows.csv"), &table).unwrap();
    let output = program.run(&["import", "rows.csv", "--asset", "BTC"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    for (line, (row, rule)) in (2..).zip(rows) {
        let place = format!("rows.csv line {line}:");
        let found = told.lines().find(|told| told.starts_with(&place));
        match rule {
            "" => assert_eq!(found, None, "{row}"),
            rule => assert!(found.is_some_and(|found| found.contains(rule)), "{row}: {found:?}\n{told}"),
        }
    }
    assert!(told.contains("sort the file by asset and timestamp"), "{told}");
    assert!(told.contains("BTC      18    4        0          0         0       14"), "{told}");
    assert_eq!(database.dump().await.len(), 4);
    // The same again changes nothing, and refuses the same.
    let (status, again) = imported(&program, &["--asset", "BTC"], table.as_bytes());
    assert_eq!((status, &again["assets"][0]["unchanged"]), (Some(1), &json!(4)), "{again}");
    assert_eq!((&again["refused"], &again["counts"]["malformed"]), (&json!(14), &json!(6)), "{again}");
    assert_eq!(again["refusals"][1]["row"], 4, "{again}");
    assert_eq!(
        again["refusals"][1]["detail"],
        "timestamp is \"yesterday\": it names no offset, such as Z or +00:00"
    );
    // What the rows left out between them nobody was asked about.
    let holes =
        done(&program, &["export", "--start", "2024-01-01T12:00:00Z", "--end", "2024-01-02T00:00:00Z"]);
    assert_eq!(holes.iter().filter(|byte| **byte == b'\n').count(), 1);
    let causes = database.query("SELECT cause FROM hole").await;
    assert_eq!(causes.len(), 2);
    assert!(causes.iter().all(|hole| hole.try_get::<String>("", "cause").unwrap() == "pending"));
}

async fn a_stored_candle_is_replaced_only_when_told_to_and_kept_as_a_revision(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let program = program(&database);
    let table = |close: &str| format!("{NAMES}\n2024-01-01T00:00:00Z,2,3,1,{close},7,14,5,3,6\n");
    let first = imported(&program, &["--asset", "BTC"], table("2").as_bytes());
    assert_eq!(first.0, Some(0), "{}", first.1);
    let before = database.dump().await;
    let output = fed(&program, &["import", "-", "--asset", "BTC"], table("2.5").as_bytes());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for told in ["differs: close 2.50000000, stored 2.00000000", "--replace replaces it"] {
        assert!(said(&output).contains(told), "{}", said(&output));
    }
    assert_eq!(database.dump().await, before);
    let (status, told) =
        imported(&program, &["--asset", "BTC", "--replace", "--dry-run"], table("2.5").as_bytes());
    assert_eq!((status, &told["assets"][0]["changed"]), (Some(0), &json!(1)), "{told}");
    assert_eq!(database.dump().await, before);
    let (status, told) = imported(&program, &["--asset", "BTC", "--replace"], table("2.5").as_bytes());
    assert_eq!((status, &told["assets"][0]["changed"]), (Some(0), &json!(1)), "{told}");
    assert_ne!(database.dump().await, before);
    let revisions = database.query("SELECT CAST(close AS TEXT) AS close FROM revision").await;
    let closes: Vec<String> = revisions.iter().map(|row| row.try_get("", "close").unwrap()).collect();
    assert_eq!(closes, ["2.00000000"]);
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_before_anything_is_opened() {
    let head = "open,high,low,close,volume";
    let row = "2024-01-01T00:00:00Z,2,3,1,2,7";
    let cases: [(&str, &[&str], &str); 15] = [
        (&format!("timestamp,{head}\n{row}\n"), &[], "name them with --asset"),
        (&format!("timestamp,{head}\n{row}\n"), &["--asset", "BTCUSDT"], "write the asset alone, BTC"),
        (
            &format!("timestamp,{head},filled,complete\n"),
            &["--asset", "BTC"],
            "derived from candles of another",
        ),
        (&format!("{head}\n"), &["--asset", "BTC"], "there is no column timestamp"),
        (
            &format!("timestamp,{head},mood\n"),
            &["--asset", "BTC"],
            "a column \"mood\", which is none of asset,",
        ),
        (&format!("timestamp,open_time,{head}\n"), &["--asset", "BTC"], "two columns for timestamp"),
        (
            &format!("timestamp,{head},trades\n"),
            &["--asset", "BTC"],
            "there is no column quote_volume: of the four",
        ),
        (
            &format!("interval,timestamp,{head}\n1h,{row}\n"),
            &["--asset", "BTC"],
            "interval is \"1h\", not 12h",
        ),
        (&format!("quote,timestamp,{head}\nBTC,{row}\n"), &["--asset", "ETH"], "quote is \"BTC\", not USDT"),
        ("", &["--asset", "BTC"], "it is empty"),
        (&format!("timestamp;{}\n", head.replace(',', ";")), &["--asset", "BTC"], "timestamp;open;high"),
        ("ARROW1\0\0nothing of the kind", &[], "in Arrow's file format"),
        ("\u{1}\u{2}", &["--format", "arrow"], "no Arrow stream"),
        (
            &format!("timestamp,{head}\n\"{}", "7".repeat(200_000)),
            &["--asset", "BTC"],
            "a line of more than 65536 bytes",
        ),
        (
            &format!("timestamp,{head}\n{row}\n"),
            &["--asset", "BTC", "missing.csv"],
            "missing.csv: No such file",
        ),
    ];
    for (text, more, told) in cases {
        let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"));
        fs::write(program.folder().join("rows.csv"), text).unwrap();
        let output = program.run(&[&["import", "rows.csv"], more].concat());
        assert_eq!(output.status.code(), Some(2), "{told}: {}", said(&output));
        assert!(said(&output).contains(told), "{told}: {}", said(&output));
        assert_eq!(fs::read_dir(program.folder()).unwrap().count(), 1, "nothing was opened");
    }
}

#[test]
fn a_dry_run_makes_no_database() {
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"));
    let table = format!("{NAMES}\n2024-01-01T00:00:00Z,2,3,1,2,7,14,5,3,6\n");
    fs::write(program.folder().join("rows.csv"), table).unwrap();
    let arguments = ["import", "rows.csv", "--asset", "BTC", "--dry-run"];
    let output = program.run(&arguments);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("there is no file"), "{}", said(&output));
    assert_eq!(fs::read_dir(program.folder()).unwrap().count(), 1, "nothing is made");
    done(&program, &["migrate"]);
    let told = String::from_utf8(done(&program, &arguments)).unwrap();
    assert!(told.contains("Nothing was changed"), "{told}");
    let table = String::from_utf8(done(&program, &["export"])).unwrap();
    assert_eq!(table.lines().count(), 1, "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_another_interval_or_quote_is_refused_by_name() {
    let (from, _database) = fresh().await;
    let table = format!("{NAMES}\n2024-01-01T00:00:00Z,2,3,1,2,7,14,5,3,6\n");
    assert_eq!(imported(&from, &["--asset", "BTC"], table.as_bytes()).0, Some(0));
    for format in ["csv", "arrow"] {
        let exported = done(&from, &["export", "--format", format]);
        for (name, value, told) in
            [("CANDLE_INTERVAL", "1h", ["12h", "1h"]), ("QUOTE_ASSET", "EUR", ["USDT", "EUR"])]
        {
            let to = Program::new(env!("CARGO_BIN_EXE_ohlcv")).with(name, value);
            let output = fed(&to, &["import", "-"], &exported);
            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            for told in told.iter().chain(&[name]) {
                assert!(said(&output).contains(told), "{told}: {}", said(&output));
            }
        }
        // An asset that is not tracked is served all the same, and named otherwise it is refused.
        let (other, _other) = fresh().await;
        let other = other.with("TRACKED_ASSETS", "SOL");
        let output = fed(&other, &["import", "-", "--asset", "ETH"], &exported);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("other_asset: asset is BTC, --asset ETH"), "{}", said(&output));
        assert_eq!(fed(&other, &["import", "-"], &exported).status.code(), Some(0));
        assert_eq!(done(&other, &["export", "--format", format]), exported);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_breaks_off_is_told_and_what_came_before_is_kept() {
    let (program, _database) = fresh().await;
    let rows = "2024-01-01T00:00:00Z,2,3,1,2,7,14,5,3,6\n2024-01-01T12:00:00Z,2,3,1,2,7,14,5,3,6\n";
    let table = format!("{NAMES}\n{rows}\"{}", "7".repeat(200_000));
    let (status, told) = imported(&program, &["--asset", "BTC"], table.as_bytes());
    assert_eq!(
        (status, &told["assets"][0]["new"], &told["clean"]),
        (Some(1), &json!(2), &json!(false)),
        "{told}"
    );
    assert!(told["unread"][0].as_str().unwrap().contains("a line of more than"), "{told}");
    let whole = done(&program, &["export", "--format", "arrow"]);
    let (other, _other) = fresh().await;
    let output = fed(&other, &["import", "-"], &whole[..whole.len() - 400]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("it was cut short"), "{}", said(&output));
    // Between two messages, too: behind the rows the end mark alone is gone.
    let (third, _third) = fresh().await;
    let (status, told) = imported(&third, &[], &whole[..whole.len() - 8]);
    assert_eq!(
        (status, &told["assets"][0]["new"], &told["clean"]),
        (Some(1), &json!(2), &json!(false)),
        "{told}"
    );
    assert!(told["unread"][0].as_str().unwrap().contains("its end mark is missing"), "{told}");
    // Half a number is a number, too: 14.5 may have been 14.57.
    let cut = format!("{NAMES}\n{}", rows.trim_end());
    let (status, told) = imported(&other, &["--asset", "BTC"], cut.as_bytes());
    assert_eq!(
        (status, &told["assets"][0]["new"], &told["refused"]),
        (Some(1), &json!(1), &json!(1)),
        "{told}"
    );
    assert!(told["refusals"][0]["detail"].as_str().unwrap().contains("was the file cut short?"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impossible_row_in_the_way_is_told_with_what_to_do_about_it() {
    let (program, database) = fresh().await;
    let row = |time: &str| format!("{NAMES}\n{time},2,3,1,2,7,14,5,3,6\n").into_bytes();
    let arguments = ["import", "-", "--asset", "BTC"];
    assert_eq!(fed(&program, &arguments, &row("2024-01-01T00:00:00Z")).status.code(), Some(0));
    database.execute("UPDATE spot_ohlcv SET low = '9.00000000'").await;
    let output = fed(&program, &arguments, &row("2023-12-01T00:00:00Z"));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("spot_ohlcv row of 2024-01-01T00:00:00Z"), "{told}");
    assert!(told.contains("`ohlcv verify` lists what is impossible"), "{told}");
    assert_eq!(database.dump().await.len(), 1);
}
