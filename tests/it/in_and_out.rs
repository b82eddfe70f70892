//! Candles leave a database, and come into another one, to the digit.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod files;
mod foreign;
mod refused;

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Interval, TimeRange, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, said};
use ohlcv_tests::{http_client, service};
use serde_json::Value;

use crate::many_candles::with_candles;
use crate::market::{HALF_DAY, Market, NOON, asset};

ohlcv_tests::on_each_database!(
    a_series_moves_out_of_sqlite_to_the_digit,
    an_empty_database_is_seeded_without_the_exchange_and_only_the_rest_is_asked_for,
    an_import_that_is_killed_goes_on_when_it_is_run_again,
    an_import_waits_for_its_turn_with_an_asset,
);

/// Where nobody listens.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";
const PATIENCE: Duration = Duration::from_secs(60);
/// Rows of a long file.
const MANY: u64 = 500_000;
/// What a row takes in any format, at least.
const BYTES_PER_ROW_MIN: u64 = 90;
/// What a program may hold while so many rows pass through it, in KiB: as text they are 34 MiB.
const MEMORY_KIB_MAX: u64 = 96 * 1024;

/// The program on a database, with an exchange that is not there.
pub(crate) fn program(database: &TestDatabase) -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("DATABASE_URL", database.url())
        .with("BINANCE_API_BASE_URL", NOBODY)
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
        .with("TRACKED_ASSETS", "BTC,ETH")
}

/// The same on a database of its own, which is gone when it is dropped.
pub(crate) async fn fresh() -> (Program, TestDatabase) {
    let database = TestDatabase::new(Backend::Sqlite).await;
    (program(&database), database)
}

/// Runs a command that has to succeed; returns what it wrote to standard output.
pub(crate) fn done(program: &Program, arguments: &[&str]) -> Vec<u8> {
    let output = program.run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    output.stdout
}

/// Runs a command with something on its standard input.
pub(crate) fn fed(program: &Program, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = program.command(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The document of an import of these bytes, and its exit status.
pub(crate) fn imported(program: &Program, more: &[&str], input: &[u8]) -> (Option<i32>, Value) {
    let output = fed(program, &[&["import", "-", "--json"], more].concat(), input);
    let document =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    (output.status.code(), document)
}

/// A market of two assets up to now, with a hole, and where its closed part ends less two candles: those may
/// be too new for an import.
async fn market() -> (Market, Timestamp) {
    let now = SystemClock.now();
    let end = HALF_DAY.step(HALF_DAY.closed_until(now, Duration::from_secs(30)), -2);
    let market = Market::new(HALF_DAY, &["BTC", "ETH"], &now.to_string(), 100).await;
    let gone = TimeRange::new(HALF_DAY.step(end, -50), HALF_DAY.step(end, -46)).unwrap();
    market.source.remove(asset("BTC"), Interval::H12, gone);
    (market, end)
}

ohlcv_tests::on_postgres! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_series_moves_out_of_postgresql_to_the_digit() {
        a_series_moves(Backend::Postgres, Backend::Sqlite).await;
    }
}

async fn a_series_moves_out_of_sqlite_to_the_digit(to: Backend) {
    a_series_moves(Backend::Sqlite, to).await;
}

async fn a_series_moves(from: Backend, to: Backend) {
    let (market, end) = market().await;
    let databases = [TestDatabase::new(from).await, TestDatabase::new(to).await];
    let [from, to] = databases
        .each_ref()
        .map(|database| program(database).with("BINANCE_API_BASE_URL", &market.exchange.url()));
    done(&from, &["backfill", "--days", "95"]);
    let end = end.to_string();
    for (format, file) in [("csv", "all.csv"), ("arrow", "all.arrow")] {
        done(&from, &["export", "--end", &end, "--output", file]);
        let path = from.folder().join(file);
        market.exchange.clear_requests();
        let moved = done(&to, &["import", path.to_str().unwrap()]);
        assert!(String::from_utf8(moved).unwrap().contains("BTC"), "{format}");
        assert_eq!(market.exchange.klines_requests().len(), 0, "the exchange is not asked");
        let again = done(&to, &["export", "--end", &end, "--format", format]);
        assert!(again == fs::read(&path).unwrap(), "{format}: the exports differ");
    }
    // The hole is not known there, nor are the newest candles.
    done(&to, &["backfill", "--days", "95"]);
    let asked = market.pages_asked();
    assert!(asked.len() <= 4, "{asked:?}");
    for format in ["csv", "arrow"] {
        let [one, other] = [&from, &to].map(|program| done(program, &["export", "--format", format]));
        assert!(one.len() > 1_000 && one == other, "{format}: the exports differ");
    }
    let mut answers = Vec::new();
    for program in [&from, &to] {
        let mut running = program.start(&["serve"]);
        let url = running.url();
        let mut told = Vec::new();
        for path in ["/api/v1/ohlcv/BTC?fields=all", "/api/v1/ohlcv/ETH?fill=true&start=0&limit=10000"] {
            told.push(service::get(&http_client(), &url, path).await.text);
        }
        answers.push(told);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0][0].len() > 10_000, "{:?}", answers[0]);
    done(&to, &["verify"]);
}

async fn an_empty_database_is_seeded_without_the_exchange_and_only_the_rest_is_asked_for(backend: Backend) {
    let (market, end) = market().await;
    let source = TestDatabase::new(Backend::Sqlite).await;
    let from = program(&source).with("BINANCE_API_BASE_URL", &market.exchange.url());
    done(&from, &["backfill", "--days", "95", "--asset", "BTC"]);
    // All but twenty candles in the middle and the newest ones.
    let seed = done(&from, &["export", "--asset", "BTC", "--end", &end.to_string()]);
    let lines: Vec<&str> = str::from_utf8(&seed).unwrap().lines().collect();
    let seed = [&lines[..60], &lines[80..]].concat().join("\n") + "\n";
    let database = TestDatabase::new(backend).await;
    let (status, told) = imported(&program(&database), &[], seed.as_bytes());
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(told["assets"][0]["new"], lines.len() - 21, "{told}");

    let to = program(&database).with("BINANCE_API_BASE_URL", &market.exchange.url());
    market.exchange.clear_requests();
    done(&to, &["backfill", "--days", "95", "--asset", "BTC"]);
    let asked: Vec<String> = market.pages_asked().into_iter().map(|(_, from)| from.to_string()).collect();
    let time_of = |line: &str| line.split(',').nth(3).unwrap().to_owned();
    let hole = HALF_DAY.step(end, -50);
    // The one before the newest ones is read once more with them.
    let mut wanted = vec![time_of(lines[60]), hole.to_string(), HALF_DAY.step(end, -1).to_string()];
    wanted.sort();
    let mut asked_sorted = asked.clone();
    asked_sorted.sort();
    assert_eq!(asked_sorted, wanted, "{asked:?}");
    assert!(done(&to, &["export", "--asset", "BTC"]) == done(&from, &["export", "--asset", "BTC"]));
    done(&to, &["verify", "--asset", "BTC"]);
}

/// Minutes of BTC from January 2024 on, as a table; all different.
fn minutes(count: u64) -> String {
    let mut table = String::from("open_time_ms,open,high,low,close,volume\n");
    for number in 0..count {
        let time = 1_704_067_200_000 + number * 60_000;
        let price = 1_000 + number % 977;
        table.push_str(&format!("{time},{price}.5,{price}.75,{price}.25,{price}.5,{number}.00000001\n"));
    }
    table
}

async fn an_import_that_is_killed_goes_on_when_it_is_run_again(backend: Backend) {
    const ROWS: u64 = 50_000;
    let database = TestDatabase::new(backend).await;
    let program = program(&database).with("CANDLE_INTERVAL", "1m");
    fs::write(program.folder().join("minutes.csv"), minutes(ROWS)).unwrap();
    done(&program, &["migrate"]);
    let arguments = ["import", "minutes.csv", "--asset", "BTC", "--json"];
    let mut running = program.start(&arguments);
    let stored = async || -> i64 {
        database.query("SELECT CAST(COUNT(*) AS BIGINT) AS n FROM spot_ohlcv").await[0]
            .try_get("", "n")
            .unwrap()
    };
    let deadline = Instant::now() + PATIENCE;
    while stored().await == 0 {
        assert!(Instant::now() < deadline, "nothing is stored: {:?}", running.heard());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    running.signal("KILL");
    assert_eq!(running.wait(), None);
    let kept = u64::try_from(stored().await).unwrap();
    assert!(kept > 0 && kept < ROWS, "{kept}");
    // As if the lease of the dead process had run out.
    assert_eq!(database.execute("UPDATE lease SET expires_ms = 0").await, 1);
    let told: Value = serde_json::from_slice(&done(&program, &arguments)).unwrap();
    let row = &told["assets"][0];
    assert_eq!((row["unchanged"].as_u64(), row["new"].as_u64()), (Some(kept), Some(ROWS - kept)), "{told}");
    assert_eq!(database.query("SELECT 1 AS one FROM hole").await.len(), 0);
}

async fn an_import_waits_for_its_turn_with_an_asset(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let program = program(&database).with("CANDLE_INTERVAL", "1m");
    done(&program, &["migrate"]);
    fs::write(program.folder().join("minutes.csv"), minutes(10)).unwrap();
    let taken =
        "INSERT INTO lease (name, holder, token, expires_ms) VALUES ('asset BTC', 'x', 1, 9999999999999)";
    assert_eq!(database.execute(taken).await, 1);
    let mut running = program.start(&["import", "minutes.csv", "--asset", "BTC"]);
    running.wait_for("another process works under the lease asset BTC");
    assert_eq!(database.dump().await.len(), 0);
    assert_eq!(database.execute("UPDATE lease SET expires_ms = 0").await, 1);
    assert_eq!(running.wait(), Some(0), "{:?}", running.heard());
    assert_eq!(database.dump().await.len(), 10);
}

#[test]
fn an_import_whose_input_does_not_begin_ends_when_it_is_asked_to() {
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"));
    let mut command = program.command(&["import", "-", "--asset", "BTC"]);
    let mut importing =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let input = importing.stdin.take().unwrap();
    let threads = format!("/proc/{}/task", importing.id());
    let waits = || {
        let mut names = fs::read_dir(&threads)
            .unwrap()
            .map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap_or_default());
        names.any(|name| name.trim() == "opening")
    };
    let deadline = Instant::now() + PATIENCE;
    while !waits() {
        assert!(Instant::now() < deadline, "it does not open its input");
        std::thread::sleep(Duration::from_millis(2));
    }
    let asked = Instant::now();
    let signalled = Command::new("kill").args(["-TERM", &importing.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let output = importing.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    drop(input);
    assert_eq!(output.status.code(), Some(143), "{}", said(&output));
    assert_eq!(fs::read_dir(program.folder()).unwrap().count(), 0, "no database was made");
}

fn memory_peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_million_rows_go_in_and_out_in_little_memory() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let program = program(&database).with("CANDLE_INTERVAL", "1m");
    let table = minutes(MANY);
    let mut importing = program
        .command(&["import", "-", "--asset", "BTC"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = importing.stdin.take().unwrap();
    let begun = Instant::now();
    input.write_all(table.as_bytes()).unwrap();
    let peak = memory_peak_kib(importing.id());
    drop(input);
    assert!(importing.wait().unwrap().success());
    println!("import of {MANY} rows: {:?}, peak {peak} KiB", begun.elapsed());
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");

    for format in ["csv", "arrow"] {
        let begun = Instant::now();
        let mut command = program.command(&["export", "--format", format]);
        let mut exporting = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = exporting.stdout.take().unwrap();
        let most = MANY * BYTES_PER_ROW_MIN;
        let taken = std::io::copy(&mut output.by_ref().take(most), &mut std::io::sink()).unwrap();
        assert_eq!(taken, most);
        let peak = memory_peak_kib(exporting.id());
        std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        assert!(exporting.wait().unwrap().success());
        println!("export of {MANY} rows as {format}: {:?}, peak {peak} KiB", begun.elapsed());
        assert!(peak < MEMORY_KIB_MAX, "{format}: {peak} KiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_the_api_are_imported_if_they_are_stored_candles() {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(Backend::Sqlite).await;
    let service = with_candles(&market, &database, Backend::Sqlite, 5_000).await;
    let expected = done(&program(&database).with("CANDLE_INTERVAL", "1m"), &["export"]);
    for (query, more) in
        [("format=csv&fields=all", &["--asset", "BTC"][..]), ("format=arrow&fields=all", &[])]
    {
        let answer =
            http_client().get(format!("{}/api/v1/ohlcv/BTC?{query}", service.url())).send().await.unwrap();
        let answer = answer.bytes().await.unwrap();
        let (to, _other) = fresh().await;
        let to = to.with("CANDLE_INTERVAL", "1m");
        let (status, told) = imported(&to, more, &answer);
        assert_eq!((status, told["assets"][0]["new"].as_u64()), (Some(0), Some(5_000)), "{query}: {told}");
        assert!(done(&to, &["export"]) == expected, "{query}");
    }
    // What is made of the candles is not stored.
    let range = "start=2024-11-05T00:00:00Z&end=2024-11-05T01:00:00Z";
    let gone = "DELETE FROM spot_ohlcv WHERE timestamp = 1730764860000";
    assert_eq!(database.execute(gone).await, 1);
    let service = market.service(&database, &[("CANDLE_INTERVAL", "1m")]).await;
    let (to, _other) = fresh().await;
    let to = to.with("CANDLE_INTERVAL", "1m");
    // A dry run makes no database.
    done(&to, &["migrate"]);
    for format in ["csv", "arrow"] {
        let url = format!("{}/api/v1/ohlcv/BTC?{range}&format={format}", service.url());
        let ask = async |more: &str| {
            http_client().get(format!("{url}{more}")).send().await.unwrap().bytes().await.unwrap()
        };
        let (status, told) = imported(&to, &["--asset", "BTC", "--dry-run"], &ask("&fill=true").await);
        assert_eq!((status, &told["counts"]["filled"]), (Some(1), &1.into()), "{told}");
        assert_eq!(told["assets"][0]["new"], 59, "{told}");
        let output = fed(&to, &["import", "-", "--asset", "BTC"], &ask("&interval=5m").await);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("5m") || said(&output).contains("derived"), "{}", said(&output));
    }
}
