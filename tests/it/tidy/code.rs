//! What code may say, and where.

use super::repository::{File, code_that, hold, lines_that, names, rust_files};

const FILE_LINES_MAX: usize = 450;
const MAIN_LINES_MAX: usize = 40;
const TRAIT_METHODS_MAX: usize = 7;

/// Where adapters are named, and all that may be named there; the empty text stands for anything.
const ADAPTERS_NAMED_IN: [(&str, &str); 3] = [
    // Data sets go through the real store, and the exchange's clock is the machine's.
    ("apps/ohlcv/benches", ""),
    ("apps/ohlcv/src/wiring.rs", ""),
    // It opens the database before there is anything to wire.
    ("apps/ohlcv/src/commands/migrate.rs", "use ohlcv_adapters::store::connect;"),
];
/// The one reading of the machine's clock.
const CLOCK: &str = "adapters/src/system_clock.rs";
/// Where prices pass.
const EXACT: [&str; 3] = ["domain/src", "adapters/src/binance", "adapters/src/store"];
/// What speaks on standard output.
const COMMANDS: &str = "apps/ohlcv/src/commands";
/// Crates whose types no port names.
const NOT_IN_PORTS: [&str; 11] = [
    "anyhow",
    "bigdecimal",
    "chrono",
    "poem",
    "poem_openapi",
    "reqwest",
    "sea_orm",
    "serde",
    "serde_json",
    "sqlx",
    "uuid",
];
/// Every port.
const PORTS: [&str; 9] = [
    "CandleSource",
    "CandleStore",
    "Clock",
    "Coverage",
    "History",
    "JobQueue",
    "Jobs",
    "Leases",
    "RequestBudget",
];

#[test]
fn adapters_are_named_where_the_program_is_wired_and_nowhere_else() {
    let program = rust_files("apps");
    let named = |line: &str| names(line, "ohlcv_adapters");
    let mut broken = code_that(&outside_of(&program, &ADAPTERS_NAMED_IN.map(|(path, _)| path)), named);
    for (path, allowed) in ADAPTERS_NAMED_IN {
        let file = rust_files(path);
        assert!(!code_that(&file, named).is_empty(), "{path} names no adapter: take it off the list");
        broken.extend(code_that(&file, |line| named(line) && !allowed.is_empty() && line != allowed));
    }
    hold("adapters are constructed in wiring.rs; hand the port to who needs it", &broken);
}

#[test]
fn the_machines_clock_is_read_in_one_place() {
    let reads = |line: &str| ["Utc::now", "Local::now", "SystemTime::now"].iter().any(|now| names(line, now));
    assert_eq!(code_that(&rust_files(CLOCK), reads).len(), 1, "{CLOCK} is the one reading");
    let broken = code_that(&outside_of(&rust_files(""), &[CLOCK]), reads);
    hold("time comes from the Clock port", &broken);
}

#[test]
fn no_float_comes_near_a_price() {
    let is_float = |line: &str| names(line, "f32") || names(line, "f64");
    let broken: Vec<String> =
        EXACT.iter().flat_map(|folder| code_that(&rust_files(folder), is_float)).collect();
    hold("prices and volumes are exact: use the domain's types", &broken);
}

#[test]
fn use_cases_leave_the_arithmetic_of_time_to_the_domain() {
    let broken = code_that(&rust_files("apps/usecases/src"), |line| {
        let by_hand = [" + ", " - ", " * ", " += ", " -= "].iter().any(|operator| line.contains(operator));
        line.contains(".millis()")
            || line.contains("from_millis(")
            || (by_hand && ["interval", "step"].iter().any(|word| names(line, word)))
    });
    hold("grids know where slots begin: ask the domain", &broken);
}

#[test]
fn nothing_is_left_for_later() {
    let in_code = |line: &str| ["todo!", "unimplemented!", "dbg!"].iter().any(|left| names(line, left));
    // In halves, or the words would be found here.
    let in_words = |line: &str| {
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")].iter().any(|left| names(line, left))
    };
    let mut broken = code_that(&rust_files(""), in_code);
    broken.extend(rust_files("").iter().flat_map(|file| lines_that(&file.path, &file.text, in_words)));
    hold("do it now, or leave no trace of it", &broken);
}

#[test]
fn no_test_is_ignored_and_no_lint_silenced_without_a_reason() {
    let broken = code_that(&rust_files(""), |line| {
        ["#[ignore", "#[allow(", "#![allow("].iter().any(|attribute| line.contains(attribute))
    });
    hold("mend it, or write #[expect(…, reason = \"…\")]", &broken);
}

#[test]
fn modules_stand_beside_their_folders() {
    let files = rust_files("");
    let broken: Vec<String> = files
        .iter()
        .filter(|file| file.path.rsplit('/').next() == Some("mod.rs"))
        .map(|file| format!("{}:1", file.path))
        .collect();
    hold("foo.rs stands beside foo/: no mod.rs", &broken);
}

#[test]
fn files_are_short_enough_to_be_read() {
    let files = rust_files("");
    let too_long = files.iter().filter_map(|file| {
        let is_main = file.path.ends_with("src/main.rs");
        let lines_max = if is_main { MAIN_LINES_MAX } else { FILE_LINES_MAX };
        let lines = file.text.lines().count();
        (lines > lines_max).then(|| format!("{}:{lines}: allowed are {lines_max}", file.path))
    });
    hold("a file has one responsibility: part it", &too_long.collect::<Vec<_>>());
}

#[test]
fn every_file_begins_with_its_caption() {
    let files = rust_files("");
    let bare = files.iter().filter(|file| !file.text.starts_with("//! "));
    let broken: Vec<String> = bare.map(|file| format!("{}:1", file.path)).collect();
    hold("the first line of a file is `//! ` and what it is for", &broken);
}

#[test]
fn libraries_print_nothing() {
    let sources: Vec<&File> = rust_files("").into_iter().filter(|file| file.path.contains("src/")).collect();
    let broken = code_that(&outside_of(&sources, &[COMMANDS, "apps/ohlcv/src/commands.rs"]), |line| {
        ["print!", "println!", "eprint!", "eprintln!"].iter().any(|print| names(line, print))
    });
    hold("commands alone print; use tracing", &broken);
}

#[test]
fn ports_are_small_and_stand_in_files_of_their_own() {
    let mut found = Vec::new();
    let mut broken = Vec::new();
    for file in ports() {
        let traits = traits_of(file);
        for (name, line, methods) in &traits {
            let place = format!("{}:{line}: {name}", file.path);
            if *methods > TRAIT_METHODS_MAX {
                broken.push(format!("{place} has {methods} methods: allowed are {TRAIT_METHODS_MAX}"));
            }
            if traits.len() > 1 {
                broken.push(format!("{place} is not alone in its file"));
            }
        }
        found.extend(traits.into_iter().map(|(name, ..)| name));
    }
    found.sort();
    assert_eq!(found, PORTS, "the ports as found in ports/src, and as listed here");
    hold("a port is a small trait", &broken);
}

#[test]
fn ports_speak_in_the_domains_words() {
    let files: Vec<&File> = rust_files("ports/src");
    let broken = code_that(&files, |line| NOT_IN_PORTS.iter().any(|name| names(line, name)));
    hold("no type of a database, of HTTP or of a format crosses a port", &broken);
    let broken = code_that(&ports(), |line| names(line, "tokio") || names(line, "futures"));
    hold("ports need no runtime; what does is for ports/src/testing", &broken);
}

/// The files that declare ports.
fn ports() -> Vec<&'static File> {
    let files = rust_files("ports/src").into_iter();
    files.filter(|file| !file.path.starts_with("ports/src/testing")).collect()
}

/// Those files that are neither one of `paths` nor below it.
fn outside_of(files: &[&'static File], paths: &[&str]) -> Vec<&'static File> {
    let is_below = |file: &File, path: &str| std::path::Path::new(&file.path).starts_with(path);
    files.iter().copied().filter(|file| !paths.iter().any(|path| is_below(file, path))).collect()
}

/// Name, line and number of methods of every trait in a file.
fn traits_of(file: &File) -> Vec<(String, usize, usize)> {
    let code = &file.code;
    let begins = code
        .match_indices("trait ")
        .filter(|(at, _)| code[..*at].chars().next_back().is_none_or(|before| before.is_whitespace()));
    begins
        .map(|(at, keyword)| {
            let after = &code[at + keyword.len()..];
            let name = after.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            let methods = block(after)
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .filter(|word| *word == "fn")
                .count();
            (name.to_owned(), code[..at].matches('\n').count() + 1, methods)
        })
        .collect()
}

/// What stands between the first brace and its counterpart.
fn block(code: &str) -> &str {
    let start = code.find('{').unwrap_or(code.len());
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &code[start..start + at];
        }
    }
    &code[start..]
}
