//! Which crate may depend on which.

use std::collections::BTreeMap;

use figment::providers::{Format, Toml};
use serde_json::Value;

use super::repository::{hold, text};

/// Where dependencies stand in a manifest.
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Each crate's folder, and the crates of the workspace it may depend on, in tests too.
const MAY_KNOW: [(&str, &[&str]); 8] = [
    // These two know themselves, with all features, for their own tests.
    ("domain", &["ohlcv-domain"]),
    ("ports", &["ohlcv-domain", "ohlcv-ports"]),
    ("adapters", &["ohlcv-domain", "ohlcv-ports"]),
    ("apps/usecases", &["ohlcv-domain", "ohlcv-ports"]),
    (
        "apps/ohlcv",
        &[
            "ohlcv-adapters",
            "ohlcv-client",
            "ohlcv-domain",
            "ohlcv-migration",
            "ohlcv-ports",
            "ohlcv-tests",
            "ohlcv-usecases",
        ],
    ),
    ("migration", &[]),
    (
        "tests",
        &["ohlcv", "ohlcv-adapters", "ohlcv-domain", "ohlcv-migration", "ohlcv-ports", "ohlcv-usecases"],
    ),
    ("tests/client", &[]),
];

/// All that the domain stands on: nothing async, nothing that does I/O.
const DOMAIN_STANDS_ON: [&str; 4] = ["bigdecimal", "chrono", "serde", "thiserror"];
/// All that the ports stand on without any feature.
const PORTS_STAND_ON: [&str; 3] = ["async-trait", "ohlcv-domain", "thiserror"];
/// What the ports' features `mock` and `testing` add.
const PORTS_FEATURES_ADD: [&str; 2] = ["mockall", "tokio"];
/// What touches the outside, or speaks to those outside.
const EDGES: [&str; 7] =
    ["leaky-bucket", "poem", "poem-openapi", "reqwest", "sea-orm", "sea-orm-migration", "sqlx"];
/// What only adapters use to touch the outside.
const ADAPTERS_ALONE: [&str; 5] = ["backon", "leaky-bucket", "reqwest", "sea-orm", "sqlx"];

/// A dependency as a manifest states it.
#[derive(Debug)]
struct Dependency {
    /// One of [`SECTIONS`].
    section: &'static str,
    /// The name of the package.
    package: String,
    /// What is said of it.
    stated: Value,
    /// `path:line` of the manifest.
    place: String,
}

fn manifest(folder: &str) -> (String, Value) {
    let path = if folder.is_empty() { "Cargo.toml".to_owned() } else { format!("{folder}/Cargo.toml") };
    let parsed = Toml::from_str(text(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    (path, parsed)
}

/// The folders of the workspace's crates.
fn members() -> Vec<String> {
    serde_json::from_value(manifest("").1["workspace"]["members"].clone()).unwrap()
}

/// The name of the package in a folder.
fn package_in(folder: &str) -> String {
    manifest(folder).1["package"]["name"].as_str().unwrap().to_owned()
}

/// Every dependency of a crate, those of single platforms too.
fn dependencies(folder: &str) -> Vec<Dependency> {
    let (path, manifest) = manifest(folder);
    let no_targets = serde_json::Map::new();
    let targets = manifest.get("target").and_then(Value::as_object).unwrap_or(&no_targets).values();
    let mut found = Vec::new();
    for (table, section) in
        std::iter::once(&manifest).chain(targets).flat_map(|table| SECTIONS.map(|section| (table, section)))
    {
        for (name, stated) in table.get(section).and_then(Value::as_object).into_iter().flatten() {
            found.push(Dependency {
                section,
                package: renamed(name, stated).unwrap_or_else(|| name.clone()),
                stated: stated.clone(),
                place: format!("{path}:{}", line_of(text(&path), section, name)),
            });
        }
    }
    found
}

/// The package behind a name that the manifest or the workspace chose for it.
fn renamed(name: &str, stated: &Value) -> Option<String> {
    let workspace = manifest("").1;
    let stated = [stated, &workspace["workspace"]["dependencies"][name]];
    stated.into_iter().find_map(|stated| Some(stated.get("package")?.as_str()?.to_owned()))
}

/// The line that states a dependency, `name = …`, `name.workspace = …` or `[section.name]`; 1 if
/// it is written in another way.
fn line_of(text: &str, section: &str, name: &str) -> usize {
    let mut header = "";
    let at = text.lines().position(|line| {
        if line.starts_with('[') {
            header = line.trim_matches(['[', ']']);
        }
        let key = line.split(['.', '=']).next().unwrap_or_default().trim();
        (header.ends_with(section) && key == name) || header.ends_with(&format!("{section}.{name}"))
    });
    at.unwrap_or_default() + 1
}

/// A line for each dependency that is wrong.
fn places<'a>(wrong: impl IntoIterator<Item = &'a Dependency>) -> Vec<String> {
    wrong.into_iter().map(|found| format!("{}: {}", found.place, found.package)).collect()
}

fn is_one_of(found: &Dependency, names: &[&str]) -> bool {
    names.contains(&found.package.as_str())
}

#[test]
fn crates_know_only_those_crates_of_the_workspace_that_stand_beneath_them() {
    let may_know: BTreeMap<&str, &[&str]> = MAY_KNOW.into_iter().collect();
    let members = members();
    let own: Vec<String> = members.iter().map(|folder| package_in(folder)).collect();
    assert!(own.contains(&"ohlcv-domain".to_owned()), "{own:?}");
    let mut broken = Vec::new();
    for folder in &members {
        let Some(allowed) = may_know.get(folder.as_str()) else {
            panic!("Cargo.toml: say in MAY_KNOW which crates the new member {folder} may depend on");
        };
        let found = dependencies(folder);
        let known = found.iter().filter(|found| own.contains(&found.package));
        broken.extend(places(known.filter(|found| !is_one_of(found, allowed))));
    }
    hold("a crate depends only on crates beneath it, see MAY_KNOW", &broken);
}

#[test]
fn the_domain_depends_on_nothing_async_and_on_nothing_that_does_io() {
    let found = dependencies("domain");
    let real = found.iter().filter(|found| found.section != "dev-dependencies");
    let broken = places(real.filter(|found| !is_one_of(found, &DOMAIN_STANDS_ON)));
    hold("the domain is values and arithmetic, see DOMAIN_STANDS_ON", &broken);
}

#[test]
fn ports_stand_on_the_domain_and_on_what_makes_traits_async() {
    let found = dependencies("ports");
    let real = found.iter().filter(|found| found.section != "dev-dependencies");
    let broken = places(real.filter(|found| {
        let is_optional = found.stated["optional"] == true;
        let by_feature = is_optional && is_one_of(found, &PORTS_FEATURES_ADD);
        !by_feature && !is_one_of(found, &PORTS_STAND_ON)
    }));
    hold("ports stand on PORTS_STAND_ON; what PORTS_FEATURES_ADD is optional", &broken);
}

#[test]
fn use_cases_know_neither_databases_nor_http_not_even_in_their_tests() {
    let found = dependencies("apps/usecases");
    let broken = places(found.iter().filter(|found| is_one_of(found, &EDGES)));
    hold("use-cases reach the outside through ports alone, see EDGES", &broken);
}

#[test]
fn the_program_reaches_the_outside_through_adapters_alone() {
    let found = dependencies("apps/ohlcv");
    let real = found.iter().filter(|found| found.section == "dependencies");
    let broken = places(real.filter(|found| is_one_of(found, &ADAPTERS_ALONE)));
    hold("only adapters depend on ADAPTERS_ALONE; the program may in its tests", &broken);
}

#[test]
fn errors_without_a_type_stay_in_the_program() {
    let members = members();
    let others = members.iter().filter(|folder| *folder != "apps/ohlcv");
    let found: Vec<Dependency> = others.flat_map(|folder| dependencies(folder)).collect();
    let broken = places(found.iter().filter(|found| is_one_of(found, &["anyhow"])));
    hold("libraries name their errors: anyhow is for apps/ohlcv alone", &broken);
}

#[test]
fn every_version_stands_in_the_workspace_manifest_once() {
    let found: Vec<Dependency> = members().iter().flat_map(|folder| dependencies(folder)).collect();
    assert!(found.len() > MAY_KNOW.len(), "{found:?}");
    // A package leaves out what it knows without a version: itself.
    let is_itself = |found: &Dependency| found.stated["path"] == "." && found.stated["version"].is_null();
    let stated = found.iter().filter(|found| !is_itself(found));
    let broken = places(stated.filter(|found| found.stated["workspace"] != true));
    hold("a member says `workspace = true`; the version stands in Cargo.toml", &broken);
}

#[test]
fn every_crate_is_held_to_the_lints_of_the_workspace() {
    let members = members();
    let free = members.iter().filter(|folder| manifest(folder).1["lints"]["workspace"] != true);
    let broken: Vec<String> = free.map(|folder| format!("{folder}/Cargo.toml:1")).collect();
    hold("a member has `[lints] workspace = true`", &broken);
}
