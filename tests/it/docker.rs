//! What runs the program in containers and what watches it, checked without an engine.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod compose;
mod healthcheck;
mod image;
mod metrics;
mod monitoring;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ohlcv::settings::{self, Settings, Sources, VARIABLES};
use ohlcv_tests::process::Program;
use yaml_serde::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository.
fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file of the repository, with what it merges in.
fn yaml(path: &str) -> Value {
    let parsed = yaml_serde::from_str(&text(path)).and_then(|mut value: Value| {
        value.apply_merge()?;
        Ok(value)
    });
    parsed.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names and values of a mapping; none if there is none.
fn entries(value: &Value) -> Vec<(String, Value)> {
    let mapping = value.as_mapping().into_iter().flatten();
    mapping.map(|(name, value)| (name.as_str().unwrap().to_owned(), value.clone())).collect()
}

/// The texts of a sequence, or of a single one; none if there is none.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Sequence(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn is_setting(name: &str) -> bool {
    VARIABLES.iter().any(|variable| variable.name == name)
}

/// The settings of a container, which have to be such as the program accepts.
fn settings_in(env: BTreeMap<String, String>) -> Settings {
    let elsewhere = tempfile::tempdir().unwrap();
    let sources = Sources { dir: elsewhere.path().to_owned(), env, flags: BTreeMap::new() };
    settings::load(sources).unwrap()
}

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ohlcv")).with("LISTEN_ADDRESS", "127.0.0.1:0")
}
