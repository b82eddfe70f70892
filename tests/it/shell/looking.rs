//! `ohlcv assets` and `ohlcv candles`: what the API answers, without a service.

use std::time::Duration;

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Interval, TimeRange};
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::http_client;
use ohlcv_tests::process::{Program, said};
use ohlcv_tests::service::get;
use serde_json::Value;

use super::{market, program, talking_to};
use crate::market::{HALF_DAY, Market, asset};

ohlcv_tests::on_each_database!(
    what_is_shown_is_what_the_api_answers_digit_for_digit,
    tables_show_every_row_and_mark_those_that_are_filled,
    a_range_is_named_by_how_long_ago_or_by_times,
    an_unknown_asset_is_exit_1_and_what_was_meant_is_said,
    a_database_of_other_settings_is_refused_and_left_alone,
    an_empty_database_stays_empty,
);

/// A market that lacks four half-days, and a program that has fetched it.
async fn stored(backend: Backend) -> (Market, TestDatabase, Program) {
    let market = market(HALF_DAY, &["BTC", "ETH"], 120).await;
    let closed = HALF_DAY.closed_until(SystemClock.now(), Duration::from_secs(30));
    let gone = TimeRange::new(HALF_DAY.step(closed, -9), HALF_DAY.step(closed, -5)).unwrap();
    market.source.remove(asset("BTC"), Interval::H12, gone);
    let database = TestDatabase::new(backend).await;
    let program = talking_to(&market, "BTC,ETH")
        .with("DATABASE_URL", database.url())
        .with("INITIAL_BACKFILL_DAYS", "100");
    let output = program.run(&["backfill"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    (market, database, program)
}

/// What a command prints; nothing else is said.
fn printed(program: &Program, line: &str) -> String {
    let output = program.run(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
    assert!(output.stderr.is_empty(), "{line}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

async fn what_is_shown_is_what_the_api_answers_digit_for_digit(backend: Backend) {
    let (_market, _database, program) = stored(backend).await;
    let mut service = program.start(&["serve"]);
    let url = service.url();
    let client = http_client();
    for (line, path) in [
        ("assets --json", "assets"),
        ("candles BTC --json", "ohlcv/BTC?start=0&limit=10000"),
        ("candles btc --json --fill", "ohlcv/BTC?start=0&limit=10000&fill=true"),
        ("candles BTC --json --limit 7", "ohlcv/BTC?limit=7"),
        ("candles BTC --json --limit 7 --fill", "ohlcv/BTC?limit=7&fill=true"),
        ("candles BTC --json --start 2020-01-01 --limit 3", "ohlcv/BTC?start=2020-01-01T00:00:00Z&limit=3"),
        ("candles BTC --json --interval 12h", "ohlcv/BTC?start=0&limit=10000"),
        ("candles BTC --json --interval 1d --fill", "ohlcv/BTC?start=0&limit=10000&interval=1d&fill=true"),
        ("candles ETH --json --interval 1w --limit 3", "ohlcv/ETH?interval=1w&limit=3"),
        ("candles ETH --json --end 2020-01-01", "ohlcv/ETH?end=2020-01-01T00:00:00Z"),
        ("candles BTC --csv", "ohlcv/BTC?format=csv"),
        ("candles BTC --csv --fill", "ohlcv/BTC?format=csv&fill=true"),
        ("candles BTC --csv --interval 1d", "ohlcv/BTC?format=csv&interval=1d"),
        ("candles BTC --csv --limit 5", "ohlcv/BTC?format=csv&limit=5"),
    ] {
        let answer = get(&client, &url, &format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let output = program.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.trim_end(), answer.text.trim_end(), "{line} and {path}");
    }
}

async fn tables_show_every_row_and_mark_those_that_are_filled(backend: Backend) {
    let (_market, _database, program) = stored(backend).await;
    let json: Value =
        serde_json::from_str(&printed(&program, "candles BTC --json --fill --since 30d")).unwrap();
    let rows = json["data"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|row| row["filled"] == true).count(), 4);
    let table = printed(&program, "candles BTC --fill --since 30d");
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["timestamp", "open", "high", "low", "close", "volume"]
    );
    assert_eq!(lines.clone().count(), rows.len());
    for (line, row) in lines.zip(rows) {
        let mut cells = line.split_whitespace();
        for name in ["timestamp", "open", "high", "low", "close", "volume"] {
            assert_eq!(cells.next(), row[name].as_str(), "{line}");
        }
        assert_eq!(cells.next(), (row["filled"] == true).then_some("filled"), "{line}");
    }
    // Points stand below each other.
    let columns = |line: &str| line.match_indices('.').map(|(at, _)| at).collect::<Vec<_>>();
    let points: Vec<Vec<usize>> = table.lines().skip(1).map(columns).collect();
    assert!(points.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
    // Four half-days begin before the newest period of three days, and are never all of a period.
    let json: Value =
        serde_json::from_str(&printed(&program, "candles BTC --json --interval 3d --since 30d")).unwrap();
    let rows = json["data"].as_array().unwrap();
    let incomplete = rows.iter().filter(|row| row["complete"] == false).count();
    assert!(incomplete > 0, "{json}");
    let derived = printed(&program, "candles BTC --interval 3d --since 30d");
    let told = derived.lines().filter(|line| line.ends_with("incomplete")).count();
    assert_eq!(told, incomplete, "{derived}");
    let assets = printed(&program, "assets");
    let row = assets.lines().find(|line| line.starts_with("BTC")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    let json: Value = serde_json::from_str(&printed(&program, "assets --json")).unwrap();
    let btc = &json["assets"][0];
    assert_eq!(cells[1], btc["total_candles"].to_string());
    assert_eq!(
        (cells[2], cells[3]),
        (btc["earliest_timestamp"].as_str().unwrap(), btc["latest_timestamp"].as_str().unwrap())
    );
    assert_eq!(cells[4..].join(" "), "0 complete 4 source_empty", "{assets}");
}

async fn a_range_is_named_by_how_long_ago_or_by_times(backend: Backend) {
    let (_market, _database, program) = stored(backend).await;
    let closed = HALF_DAY.closed_until(SystemClock.now(), Duration::from_secs(30));
    let count = |line: &str| {
        let csv = printed(&program, &format!("candles ETH --csv {line}"));
        csv.lines().count() - 1
    };
    // Between two closes as many candles open as there are half-days, or one less.
    for (line, half_days) in
        [("--since 7d", 14), ("--since 2w", 28), ("--since 240h", 20), ("--since 2880m", 4)]
    {
        let candles = count(line);
        assert!((half_days - 1..=half_days).contains(&candles), "{line}: {candles}");
    }
    let day = &HALF_DAY.step(closed, -20).to_string()[..10];
    let next = &HALF_DAY.step(closed, -18).to_string()[..10];
    assert_eq!(count(&format!("--since {day} --end {next}")), 2);
    assert_eq!(count(&format!("--start {day}T12:00:00+12:00 --end {next}T00:00:00Z")), 2);
    assert_eq!(count("--since 36500d"), 200);
    // Without a range a table shows the newest, and says that there are others.
    let output = program.run(&["candles", "ETH"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 21, "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--since"), "{}", said(&output));
    let output = program.run(&["candles", "ETH", "--start", "2019-01-01", "--end", "2020-01-01"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains("no candle of ETH opens there"), "{}", said(&output));
    for (line, told) in [
        ("candles ETH --start 2024-01-02 --end 2024-01-01", "is not before"),
        ("candles ETH --interval 8h", "1d"),
    ] {
        let output = program.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{line}: {}", said(&output));
        assert!(said(&output).contains(told), "{line}: {}", said(&output));
    }
}

async fn an_unknown_asset_is_exit_1_and_what_was_meant_is_said(backend: Backend) {
    let (_market, _database, program) = stored(backend).await;
    for (name, told) in [
        ("BCT", "is BTC meant?"),
        ("eht", "is ETH meant?"),
        ("BTCUSDT", "is BTC meant?"),
        ("DOGE", "there is BTC, ETH"),
    ] {
        let output = program.run(&["candles", name]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
        assert!(output.stdout.is_empty() && said(&output).contains(told), "{name}: {}", said(&output));
    }
    let output = program.run(&["candles", "BTC/USDT"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("is BTC meant?"), "{}", said(&output));
    // Whoever fetches a market that is not there learns it from the exchange, and what was meant from us.
    let output = program.run(&["backfill", "--asset", "BCT"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("is BTC meant?"), "{}", said(&output));
}

async fn a_database_of_other_settings_is_refused_and_left_alone(backend: Backend) {
    let (_market, database, _) = stored(backend).await;
    let before = database.dump().await;
    for (name, value) in [("CANDLE_INTERVAL", "1h"), ("QUOTE_ASSET", "EUR")] {
        for line in [&["assets"][..], &["candles", "BTC"]] {
            let output = program().with("DATABASE_URL", database.url()).with(name, value).run(line);
            assert_eq!(output.status.code(), Some(2), "{line:?}: {}", said(&output));
            assert!(said(&output).contains(name), "{}", said(&output));
        }
    }
    assert_eq!(database.dump().await, before);
}

async fn an_empty_database_stays_empty(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    if backend == Backend::Sqlite {
        // A file that is there, of nobody's.
        database.execute("CREATE TABLE others (x)").await;
    }
    for line in [&["assets"][..], &["candles", "BTC"]] {
        let output = program().with("DATABASE_URL", database.url()).run(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {}", said(&output));
        assert!(said(&output).contains("ohlcv migrate"), "{}", said(&output));
    }
    let tables = match backend {
        Backend::Sqlite => "SELECT name FROM sqlite_master WHERE name <> 'others'",
        Backend::Postgres => {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        }
    };
    assert_eq!(database.query(tables).await.len(), 0);
}

#[test]
fn where_no_database_is_none_is_made_and_the_address_is_told() {
    for line in
        [&["assets"][..], &["candles", "BTC"], &["assets", "--database-url", "sqlite://x/y.db?mode=rwc"]]
    {
        let program = program();
        let output = program.run(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}: {}", said(&output));
        let file = line.get(2).map_or("DATABASE_URL=sqlite://ohlcv.db", |_| "DATABASE_URL=sqlite://x/y.db");
        assert!(said(&output).contains(file), "{}", said(&output));
        assert_eq!(std::fs::read_dir(program.folder()).unwrap().count(), 0, "nothing is made");
    }
}
