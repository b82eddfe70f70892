//! Help that teaches, and what is said to those who mistype.

use clap::Parser;
use ohlcv::cli::{Cli, command};
use ohlcv_tests::process::said;

use super::{has_colours, program};

/// Every command there is.
fn commands() -> Vec<String> {
    let command = command();
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let names: Vec<String> = names.filter(|name| name != "help").collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// The command lines among the examples of a help text.
fn examples(help: &str) -> Vec<&str> {
    let (_, examples) = help.split_once("Examples:\n").unwrap_or_default();
    let lines = examples.lines().take_while(|line| line.starts_with("  "));
    lines.filter(|line| !line.starts_with("   ")).map(str::trim).collect()
}

/// Fails unless a command line as somebody types it can be read: settings before it, redirections
/// behind it.
fn read(line: &str) {
    let words = line.split(" > ").next().unwrap().split_whitespace();
    let words: Vec<&str> = words.skip_while(|word| *word != "ohlcv").collect();
    assert!(!words.is_empty(), "{line} calls something else");
    if let Err(error) = Cli::try_parse_from(&words) {
        panic!("{line}: {error}");
    }
}

fn help(arguments: &[&str]) -> String {
    let output = program().run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    assert!(output.stderr.is_empty(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_teaches_by_examples_and_tells_its_exit_statuses() {
    for name in commands() {
        for arguments in [&[name.as_str(), "--help"][..], &[&name, "-h"], &["help", &name]] {
            let help = help(arguments);
            let examples = examples(&help);
            assert!(!examples.is_empty(), "{arguments:?}: give it an `after_help` with Examples:\n{help}");
            let of_it = examples.iter().any(|line| line.contains(&format!("ohlcv {name}")));
            assert!(of_it, "{arguments:?}: {examples:?}");
            examples.into_iter().for_each(read);
            assert!(help.contains("\nExit status:\n  0 "), "{arguments:?}: {help}");
            assert!(!has_colours(&help), "{arguments:?}");
        }
        let short = help(&[&name, "-h"]);
        assert!(!short.contains("Settings:"), "{name}: {short}");
        let long = help(&[&name, "--help"]);
        let at = |text: &str| long.find(text).unwrap_or_else(|| panic!("{name}: no {text} in {long}"));
        assert!(at("Examples:") < at("\nOptions:") && at("\nOptions:") < at("\nSettings:"), "{name}: {long}");
    }
}

#[test]
fn the_short_help_is_an_overview_on_one_screen() {
    let help = help(&["-h"]);
    assert!(help.lines().count() <= 50, "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    for name in commands() {
        let line = help.lines().find(|line| line.trim_start().split(' ').next() == Some(&name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in the overview: {help}"));
        assert!(line.starts_with("  ") && line.len() > name.len() + 15, "a line about it: {line:?}");
    }
    assert_eq!(examples(&help).len(), 3, "{help}");
    examples(&help).into_iter().for_each(read);
    assert!(help.find("Start here:").unwrap() < help.find("Fetch and check:").unwrap());
    assert!(help.contains("Usage: ohlcv [OPTIONS] [COMMAND]"), "{help}");
    assert!(!help.contains("Settings:") && !help.contains("--database-url"), "{help}");
}

#[test]
fn the_long_help_has_the_settings_behind_everything_else() {
    let help = help(&["--help"]);
    let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("no {text} in {help}"));
    let order = ["Usage:", "Start here:", "Examples:", "Exit status:", "\nOptions:", "\nSettings:"];
    assert!(order.map(at).is_sorted(), "{help}");
    assert!(at("--database-url") > at("\nSettings:"));
}

/// `[--asset BTC]... [--days N] [up\|status]` as somebody would type it: everything that is optional,
/// or nothing of it.
fn typed(usage: &str, with_options: bool) -> String {
    let usage = usage.replace("...", "").replace("\\|", "|");
    let mut line = String::new();
    for (at, part) in usage.split(['[', ']']).enumerate() {
        if at % 2 == 0 || with_options {
            line.push_str(part.split('|').next().unwrap());
        }
    }
    let words = line.split_whitespace().map(|word| match word {
        "N" => "7",
        "T" => "2024-11-01T00:00:00Z",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_readme_lists_every_command_as_it_is() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `ohlcv ")?.split('`').next());
    let usages: Vec<String> = rows.map(|row| format!("ohlcv {row}")).collect();
    for usage in &usages {
        read(&typed(usage, false));
        read(&typed(usage, true));
    }
    for name in commands() {
        let is_listed = usages.iter().any(|usage| usage.split(' ').nth(1) == Some(&name));
        assert!(is_listed, "README, \"Commands\", has no row for `ohlcv {name}`");
    }
}

#[test]
fn who_mistypes_a_command_or_a_flag_is_told_what_was_meant() {
    for (line, meant) in [
        ("backfil", "'backfill'"),
        ("candels BTC", "'candles'"),
        ("verfiy", "'verify'"),
        ("candles BTC --sinec 7d", "'--since'"),
        ("backfill --asset BTC --forse", "'--force'"),
        ("--databse-url sqlite://x.db", "'--database-url'"),
    ] {
        let output = program().run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{line}: {}", said(&output));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(meant), "{line}: {told}");
    }
}
