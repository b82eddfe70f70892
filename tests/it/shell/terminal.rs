//! What a terminal shows: bars, how long the exchange wants no requests, colours.

use std::num::NonZeroU16;
use std::time::Duration;

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Grid, Interval, TimeRange};
use ohlcv_ports::Clock;
use ohlcv_tests::fake_binance::{Fault, Target};
use ohlcv_tests::process::Program;

use super::{has_colours, market, shown, talking_to};
use crate::market::{HALF_DAY, Market, asset};

/// A year of hours of two assets, asked for so slowly that one can watch.
async fn slow() -> (Market, Program) {
    let market = market(Grid::new(Interval::H1), &["BTC", "ETH"], 365).await;
    let program = talking_to(&market, "BTC,ETH")
        .with("CANDLE_INTERVAL", "1h")
        .with("INITIAL_BACKFILL_DAYS", "360")
        .with("BINANCE_REQUEST_DELAY_MS", "120");
    (market, program)
}

/// What the terminal shows, time and again while it is sent a text: the lines that are not empty.
fn screens(sent: &str) -> Vec<Vec<String>> {
    let [rows, columns] = [40, 120].map(|size| NonZeroU16::new(size).unwrap());
    let mut terminal = vt100::Parser::new(rows, columns, 0);
    let mut screens = Vec::new();
    for part in sent.split_inclusive('\r') {
        terminal.process(part.as_bytes());
        let lines = terminal.screen().rows(0, 120).filter(|line| !line.trim().is_empty());
        screens.push(lines.collect());
    }
    screens
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_shows_bars_and_ends_with_a_table() {
    let (_market, program) = slow().await;
    let (sent, status) = program.run_on_terminal(&["backfill"]);
    let seen = shown(&sent);
    assert_eq!(status, Some(0), "{seen}");
    for part in ["BTC [=", "ETH [=", "total [=", "/8,640 candles, ", "/17,280 candles, ", "/s, ", " left"] {
        assert!(seen.contains(part), "no {part:?} in {seen}");
    }
    assert!(seen.contains("of 2 assets done"), "{seen}");
    assert!(sent.contains("\u{1b}[36m"), "bars have a colour: {sent:?}");
    let bars =
        screens(&sent).iter().map(|lines| lines.iter().filter(|line| line.contains("/s")).count()).max();
    assert_eq!(bars, Some(3), "one for each asset and one for both: {seen}");
    let (_, table) = seen.rsplit_once("outcome").unwrap();
    assert!(table.contains("complete") && !table.contains("[="), "the bars are gone: {table}");
    assert!(sent.contains("\u{1b}[32mcomplete"), "{sent:?}");
    let last = screens(&sent).pop().unwrap();
    for line in &last {
        let kinds = [" INFO ", ": 8640 new candles", "complete", "outcome"];
        let is_whole = kinds.iter().filter(|kind| line.contains(**kind)).count() == 1;
        assert!(is_whole && !line.contains("[="), "torn: {line:?} in {last:#?}");
    }
    let (sent, status) = program.run_on_terminal(&["verify"]);
    let seen = shown(&sent);
    assert_eq!(status, Some(0), "{seen}");
    assert!(seen.contains("BTC [=") && seen.contains("total [=") && seen.contains("clean"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_exchange_wants_no_requests_it_is_told_for_how_long() {
    let market = market(HALF_DAY, &["BTC"], 200).await;
    let banned = Fault::Banned { lasts: Duration::from_secs(4), with_header: true };
    for (fault, on_a_terminal) in [
        (Fault::RateLimited { retry_after: Some(Duration::from_secs(4)) }, true),
        (banned.clone(), true),
        (banned, false),
    ] {
        let program = talking_to(&market, "BTC");
        market.exchange.inject_on(Target::Symbol("BTCUSDT".to_owned()), fault, 1);
        let line = ["backfill", "--days", "95"];
        let seen = if on_a_terminal {
            let (sent, status) = program.run_on_terminal(&line);
            assert_eq!(status, Some(0), "{sent}");
            assert!(sent.contains("\u{1b}[33mthe exchange wants no requests"), "{sent:?}");
            let seen = shown(&sent);
            let told = |seconds| seen.contains(&format!("the exchange wants no requests for {seconds} s: "));
            assert!((1..=4).filter(|seconds| told(*seconds)).count() >= 3, "it counts down: {seen}");
            seen
        } else {
            let output = program.run(&line);
            assert_eq!(output.status.code(), Some(0));
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(told.matches("the exchange wants no requests for ").count(), 1, "{told}");
            told
        };
        assert!(seen.contains("BTC: 190 new candles"), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_no_colours_sees_bars_without_and_a_dumb_terminal_is_sent_lines() {
    let (_market, program) = slow().await;
    let program = program.with("NO_COLOR", "1");
    let (sent, status) = program.run_on_terminal(&["backfill"]);
    assert_eq!(status, Some(0), "{sent}");
    assert!(shown(&sent).contains("total [="), "{sent}");
    assert!(!has_colours(&sent), "{sent:?}");
    let (_market, program) = slow().await;
    let program = program.with("TERM", "dumb");
    for line in [&["backfill"][..], &["assets"], &["--help"], &["bakfill"]] {
        let (sent, _) = program.run_on_terminal(line);
        assert!(!sent.contains('\u{1b}') && !sent.contains("[="), "{line:?}: {sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_log_lines_and_help_have_colours_on_a_terminal_alone() {
    let market = market(HALF_DAY, &["BTC"], 200).await;
    let program = talking_to(&market, "BTC").with("INITIAL_BACKFILL_DAYS", "95");
    let open = HALF_DAY.floor(SystemClock.now());
    let gone = TimeRange::new(HALF_DAY.step(open, -9), HALF_DAY.step(open, -5));
    market.source.remove(asset("BTC"), Interval::H12, gone.unwrap());
    assert_eq!(program.run(&["backfill"]).status.code(), Some(0));
    for (line, part) in [
        ("assets", "\u{1b}[32mcomplete"),
        ("candles BTC --since 30d --fill", "\u{1b}[2mfilled"),
        ("--help", "\u{1b}[1m\u{1b}[4mExamples:"),
        ("backfill --help", "\u{1b}[1m\u{1b}[4mExit status:"),
        ("verify", "\u{1b}[32m INFO"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (sent, _) = program.run_on_terminal(&words);
        assert!(sent.contains(part), "{line}: no {part:?} in {sent:?}");
        let piped = program.run(&words);
        assert!(!piped.stdout.contains(&0x1b) && !piped.stderr.contains(&0x1b), "{line}");
    }
}
