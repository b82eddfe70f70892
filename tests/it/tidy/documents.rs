//! What the documents say against what is so.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ohlcv::settings::{VARIABLES, Variable};

use super::repository::{files, hold, lines_that, root, text};

/// What a newcomer looks for, where they look for it.
const EXPECTED: [&str; 21] = [
    ".env.example",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "adapters/src/lib.rs",
    "apps/usecases/src/lib.rs",
    "clippy.toml",
    "deny.toml",
    "docker/Dockerfile",
    "docker/compose.yaml",
    "domain/src/lib.rs",
    "migration/src/lib.rs",
    "ports/src/lib.rs",
    "rustfmt.toml",
];
/// What is run by its name.
const EXECUTABLE: [&str; 2] = [".ci/run", "tests/run"];
/// How paths of single machines begin; in halves, or they would be found here.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// What a document says of one setting.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    default: String,
    meaning: String,
}

/// What a document says of every setting, with the lines where it does.
type Settings = BTreeMap<String, Vec<(usize, Told)>>;

#[test]
fn everything_is_where_a_newcomer_looks_for_it() {
    let missing = EXPECTED.iter().chain(&EXECUTABLE).filter(|path| !root().join(path).exists());
    hold("the repository has this", &missing.map(|path| (*path).to_owned()).collect::<Vec<_>>());
    let is_executable = |path: &str| root().join(path).metadata().unwrap().permissions().mode() & 0o111 != 0;
    let broken = EXECUTABLE.iter().filter(|path| !is_executable(path));
    hold("chmod +x this", &broken.map(|path| (*path).to_owned()).collect::<Vec<_>>());
}

#[test]
fn the_readme_tells_every_setting_as_it_is() {
    let is_name = |cell: &str| cell.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let mut told = Settings::new();
    for (line, row) in (1..).zip(text("README.md").lines()) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        if let [name, default, meaning] = cells[..]
            && let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'))
            && is_name(name)
        {
            let told_here = Told { default: default.to_owned(), meaning: meaning.to_owned() };
            told.entry(name.to_owned()).or_default().push((line, told_here));
        }
    }
    compare("README.md", told, |variable| match variable.default_note {
        Some(note) => note.to_owned(),
        None => format!("`{}`", variable.default),
    });
}

#[test]
fn the_example_of_an_environment_tells_every_setting_as_it_is() {
    let path = ".env.example";
    let mut told = Settings::new();
    let mut meaning = "";
    for (line, entry) in (1..).zip(text(path).lines()) {
        if let Some(remark) = entry.strip_prefix("# ") {
            meaning = remark;
        } else if let Some((name, default)) = entry.strip_prefix('#').and_then(|entry| entry.split_once('='))
        {
            let told_here = Told { default: default.to_owned(), meaning: meaning.to_owned() };
            told.entry(name.to_owned()).or_default().push((line, told_here));
        }
    }
    compare(path, told, |variable| variable.default.to_owned());
}

/// Fails unless the document tells all settings, and nothing else, as the program has them.
fn compare(path: &str, mut told: Settings, default: impl Fn(&Variable) -> String) {
    let mut broken = Vec::new();
    for variable in &VARIABLES {
        let real = Told { default: default(variable), meaning: variable.meaning.to_owned() };
        match told.remove(variable.name).unwrap_or_default().as_slice() {
            [] => broken.push(format!("{path}: {} is missing; it is {real:?}", variable.name)),
            [(_, told)] if *told == real => {}
            [(line, told)] => {
                broken.push(format!("{path}:{line}: {} is {real:?}, not {told:?}", variable.name))
            }
            [_, (line, _), ..] => broken.push(format!("{path}:{line}: {} is told again", variable.name)),
        }
    }
    broken.extend(told.into_iter().map(|(name, places)| {
        let line = places.first().map_or(1, |(line, _)| *line);
        format!("{path}:{line}: {name} is no setting of the program")
    }));
    hold("a document tells the settings as ohlcv::settings::VARIABLES does", &broken);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut links = 0;
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.path.ends_with(".md")) {
        let folder = Path::new(&file.path).parent().unwrap();
        for (line, said) in (1..).zip(file.text.lines()) {
            let targets = said.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
            for target in targets.filter(|target| !target.is_empty() && !target.contains(':')) {
                links += 1;
                if !root().join(folder).join(target).exists() {
                    broken.push(format!("{}:{line}: {target}", file.path));
                }
            }
        }
    }
    assert!(links > 0, "the documents do not lead to each other");
    hold("a link leads to a file of the repository", &broken);
}

#[test]
fn no_file_speaks_of_the_machine_it_was_written_on() {
    // Within an address it is a path of somebody's server.
    let begins = |before: Option<char>| before.is_none_or(|c| !c.is_alphanumeric() && !"._-}".contains(c));
    let is_wrong = |line: &str| {
        let mut found = MACHINE_PATHS.iter().flat_map(|path| line.match_indices(path));
        found.any(|(at, _)| begins(line[..at].chars().next_back()))
    };
    let broken: Vec<String> =
        files().iter().flat_map(|file| lines_that(&file.path, &file.text, is_wrong)).collect();
    hold("paths are relative to the repository, or asked for in a setting", &broken);
}
