//! What goes through pipes: plain, as much as is wanted, and never more than fits into memory.

use std::io::{BufRead, BufReader, Read};

use ohlcv_domain::{Grid, Interval};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::said;

use super::{has_colours, market, program, talking_to};
use crate::market::{HALF_DAY, Market, NOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let market = market(HALF_DAY, &["BTC"], 800).await;
    let program = talking_to(&market, "BTC");
    assert_eq!(program.run(&["backfill"]).status.code(), Some(0));
    for line in
        ["candles BTC --csv", "candles BTC --json", "candles BTC --since 700d", "assets", "completions bash"]
    {
        let mut child = program.start_piped(&line.split(' ').collect::<Vec<_>>());
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
        assert!(output.stderr.is_empty(), "{line}: {}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_into_a_pipe_or_a_file_is_plain() {
    let market = market(HALF_DAY, &["BTC", "ETH"], 200).await;
    let program = talking_to(&market, "BTC,ETH");
    let lines =
        ["backfill --days 95", "verify --asset BTC", "assets", "candles BTC --since 7d --fill", "--help"];
    for line in lines {
        let output = program.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
        let told = said(&output);
        assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{line}: {told:?}");
    }
    // Unless somebody insists.
    let program = program.with("CLICOLOR_FORCE", "1");
    for line in ["assets", "--help", "backfill --days 95"] {
        let output = program.run(&line.split(' ').collect::<Vec<_>>());
        assert!(has_colours(&said(&output)), "{line}: {}", said(&output));
    }
    let program = program.with("NO_COLOR", "1");
    assert!(!has_colours(&said(&program.run(&["assets"]))), "NO_COLOR wins");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_prints_its_summary_on_standard_output_and_the_rest_elsewhere() {
    let market = market(HALF_DAY, &["BTC", "ETH"], 200).await;
    let program = talking_to(&market, "BTC,NOPE,ETH").with("INITIAL_BACKFILL_DAYS", "95");
    let output = program.run(&["backfill"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let titles =
        ["asset", "new", "changed", "unchanged", "holes", "earliest", "latest", "seconds", "outcome"];
    assert_eq!(rows[0], titles, "{table}");
    assert_eq!(rows[1][..5], ["BTC", "190", "0", "0", "none"], "{table}");
    assert_eq!(rows[1][8], "complete", "{table}");
    assert!(rows[1][7].parse::<f64>().unwrap() < 30.0, "{table}");
    assert_eq!(rows[2][..7], ["NOPE", "0", "0", "0", "none", "-", "-"], "{table}");
    assert!(rows[2][8] == "failed:" && table.contains("NOPEUSDT"), "{table}");
    assert_eq!(rows[3][0], "ETH");
    let elsewhere = String::from_utf8(output.stderr).unwrap();
    assert!(elsewhere.contains("BTC: 190 new candles"), "{elsewhere}");
}

/// The most memory a program has held when it has printed nearly all of so many minutes.
async fn peak_kib(candles: u64) -> u64 {
    let market = Market::new(Grid::new(Interval::M1), &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(Backend::Sqlite).await;
    let (service, _) = crate::many_candles::minutes_until(&market, &database, Backend::Sqlite, candles).await;
    service.app.close().await;
    let program = program().with("DATABASE_URL", database.url()).with("CANDLE_INTERVAL", "1m");
    let mut child = program.start_piped(&["candles", "BTC", "--csv"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // What is left does not fit into the pipe, so it waits there.
    let read = usize::try_from(candles).unwrap() - 5_000;
    assert!(lines.by_ref().take(read).all(|line| line.is_ok()));
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let left = lines.count();
    assert_eq!(left, 5_001, "the titles and all the rows came");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    peak
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_series_takes_no_more_memory_than_a_short_one() {
    // From run to run it differs by some 20 MiB; all rows and their text would take 80.
    let (short, long) = (peak_kib(20_000).await, peak_kib(300_000).await);
    assert!(long < short + 40 * 1_024, "{short} KiB, {long} KiB");
}
