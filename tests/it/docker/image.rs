//! The Dockerfile, as far as it can be followed without an engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Parser;
use ohlcv::cli::Cli;

use super::{is_setting, root, settings_in, text};

const DOCKERFILE: &str = "docker/Dockerfile";
const IGNORED: &str = "docker/Dockerfile.dockerignore";

/// Every instruction with its arguments, in order; lines that go on are joined.
fn instructions() -> Vec<(String, String)> {
    let lines = text(DOCKERFILE);
    let lines = lines.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let filled = joined.lines().map(str::trim).filter(|line| !line.is_empty());
    filled
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{DOCKERFILE}: {line}"));
            (name.to_owned(), rest.trim().to_owned())
        })
        .collect()
}

/// The arguments of every instruction of a kind.
fn all(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == name).map(|(_, rest)| rest).collect()
}

/// The arguments of the only instruction of a kind.
fn only(name: &str) -> String {
    let found = all(name);
    assert_eq!(found.len(), 1, "{DOCKERFILE}: {name} stands there once");
    found.into_iter().next().unwrap()
}

/// A command in brackets, as words.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{DOCKERFILE}: {json}: {error}"))
}

/// What is copied out of the repository: sources and where they go.
fn copies() -> Vec<(Vec<String>, String)> {
    let from_outside = all("COPY").into_iter().filter(|rest| !rest.starts_with("--from="));
    from_outside
        .map(|rest| {
            let mut paths: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            let to = paths.pop().unwrap();
            (paths, to)
        })
        .collect()
}

/// Whether the file of ignored paths lets a path in; of its patterns the last that fits decides.
fn is_let_in(path: &str) -> bool {
    let fits = |pattern: &str| match pattern.strip_prefix("**/") {
        Some(name) => path.split('/').any(|part| match name.strip_prefix('*') {
            Some(ending) => part.ends_with(ending),
            None => part == name,
        }),
        None => pattern == "*" || Path::new(path).starts_with(pattern),
    };
    let mut is_in = true;
    for pattern in text(IGNORED).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern) => is_in = true,
            None if fits(pattern) => is_in = false,
            _ => {}
        }
    }
    is_in
}

/// Setting by setting, what the image sets.
pub(super) fn env() -> BTreeMap<String, String> {
    let pairs = all("ENV").into_iter().flat_map(|rest| {
        rest.split_whitespace().map(|pair| pair.split_once('=').unwrap()).map(owned).collect::<Vec<_>>()
    });
    pairs.collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_image_is_built_with_the_version_of_rust_that_the_workspace_asks_for() {
    let manifest = text("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let version = version.trim_matches('"');
    let builders: Vec<String> = all("FROM").into_iter().filter(|from| from.starts_with("rust:")).collect();
    assert_eq!(builders, [format!("rust:{version}-slim-bookworm AS build")]);
}

#[test]
fn everything_that_is_copied_exists_and_is_let_in() {
    for (sources, _) in copies() {
        for source in sources.iter().filter(|source| *source != ".") {
            assert!(root().join(source).exists(), "{DOCKERFILE}: COPY {source}: it is not there");
            assert!(is_let_in(source), "{IGNORED}: {source} is copied but ignored");
        }
    }
    for pattern in text(IGNORED).lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(root().join(pattern).exists(), "{IGNORED}: !{pattern}: it is not there");
    }
    for path in ["apps/ohlcv/src/main.rs", "migration/src/lib.rs", "tests/Cargo.toml"] {
        assert!(is_let_in(path), "{IGNORED}: {path} is needed");
    }
    for path in [".env", ".git/HEAD", "target/release/ohlcv", "docker/secrets/api_key", "apps/ohlcv/ohlcv.db"]
    {
        assert!(!is_let_in(path), "{IGNORED}: {path} has no place in an image");
    }
}

#[test]
fn the_layer_of_libraries_has_all_that_cargo_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut was_asked = false;
    for (name, rest) in instructions() {
        match name.as_str() {
            "COPY" => {
                let paths: Vec<&str> = rest.split_whitespace().collect();
                let (to, sources) = paths.split_last().unwrap();
                let to = folder.path().join(to);
                fs::create_dir_all(&to).unwrap();
                for source in sources {
                    let own_name = Path::new(source).file_name().unwrap();
                    fs::copy(root().join(source), to.join(own_name)).unwrap();
                }
            }
            "RUN" if rest.contains("cargo build") => {
                was_asked = true;
                break;
            }
            "RUN" => {
                let done = Command::new("sh").args(["-c", &rest]).current_dir(folder.path()).status();
                assert!(done.unwrap().success(), "{rest}");
            }
            _ => {}
        }
    }
    assert!(was_asked, "{DOCKERFILE} builds with cargo");
    // It reads every manifest of the workspace and looks for the files that they name.
    let read = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    let targets = read["packages"].as_array().unwrap().iter().flat_map(|p| p["targets"].as_array().unwrap());
    let programs: Vec<_> = targets.filter(|target| target["kind"][0] == "bin").collect();
    assert_eq!(programs.len(), 1, "{programs:?}");
    assert_eq!(programs[0]["name"], "ohlcv");
}

#[test]
fn both_builds_are_the_same_so_that_the_second_uses_what_the_first_made() {
    let built = |rest: &String| {
        let from = rest.find("cargo build")?;
        rest[from..].split(';').next().map(|command| command.trim().to_owned())
    };
    let builds: Vec<String> = all("RUN").iter().filter_map(built).collect();
    assert_eq!(builds.len(), 2, "{builds:?}");
    assert_eq!(builds[0], builds[1]);
}

#[test]
fn the_image_runs_the_program_as_nobody_in_particular() {
    let (user, group) = only("USER").split_once(':').map(owned).unwrap();
    for id in [user, group] {
        assert!(id.parse::<u32>().unwrap() >= 10_000, "{id}: a number that no system has given away");
    }
    assert_eq!(only("STOPSIGNAL"), "SIGTERM");
    assert_eq!(only("VOLUME"), all("WORKDIR").pop().unwrap(), "the folder that it writes to is kept");
}

#[test]
fn the_image_names_commands_that_the_program_has() {
    let entry = words(&only("ENTRYPOINT"));
    let line = [entry.clone(), words(&only("CMD"))].concat();
    Cli::try_parse_from(line).unwrap();
    let check = only("HEALTHCHECK");
    let (_, check) = check.split_once("CMD ").unwrap();
    let check = words(check);
    assert_eq!(check, ["ohlcv", "healthcheck"]);
    Cli::try_parse_from(check).unwrap();
    let copied = format!("/usr/local/bin/{}", entry[0]);
    assert!(all("COPY").iter().any(|rest| rest.ends_with(&copied)), "{copied} is on the path");
}

#[test]
fn the_image_sets_what_the_program_knows_and_exposes_where_it_listens() {
    for name in env().keys() {
        assert!(is_setting(name), "{DOCKERFILE}: ENV {name} is no setting of the program");
    }
    let settings = settings_in(env());
    assert!(settings.listen_address.ip().is_unspecified(), "others than the container itself reach it");
    assert_eq!(only("EXPOSE"), settings.listen_address.port().to_string());
}
