//! The places that settings come from, one over the other.
//!
//! Every value travels as text: figment orders the layers and remembers where a value came from,
//! but never gets to guess that `007` is a number.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{Sources, VARIABLES, Variable, quoted};

/// The file of settings, looked for in the working directory alone.
const TOML_FILE: &str = "ohlcv.toml";
/// The file of environment variables, looked for in the working directory alone.
const DOTENV_FILE: &str = ".env";
/// A file of settings is a page or two; anything larger was put there by mistake.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// A secret is a line or two.
const SECRET_BYTES_MAX: u64 = 16 * 1024;
/// Names that differ from a setting's by more are taken for somebody else's.
const SLIPS_MAX: usize = 2;
/// Stands for `$` while a `.env` is read, so that dotenvy substitutes nothing: it would turn
/// `pa$word` into `pa` without a sound. A noncharacter, so no text has it.
const DOLLAR: char = '\u{FDD0}';

/// The texts of one place, by variable.
struct Layer {
    place: &'static str,
    texts: BTreeMap<&'static str, String>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let texts = self.texts.iter().map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())));
        Ok(Profile::Default.collect(texts.collect::<Dict>()))
    }
}

/// The text that counts for a variable, and where it came from.
pub(super) struct Found {
    pub(super) text: String,
    pub(super) place: String,
    pub(super) is_default: bool,
}

const DEFAULTS: &str = "the built-in default";

/// All layers in rising order. What cannot be read is added to `problems`; the rest is there.
pub(super) fn merge(sources: &Sources, problems: &mut Vec<String>) -> Figment {
    let defaults = VARIABLES.iter().map(|variable| (variable.name, variable.default.to_owned())).collect();
    Figment::new()
        .merge(Layer { place: DEFAULTS, texts: defaults })
        .merge(Layer { place: TOML_FILE, texts: toml(&sources.dir, problems) })
        .merge(Layer { place: DOTENV_FILE, texts: dotenv(&sources.dir, problems) })
        .merge(Layer { place: "the environment", texts: known(&sources.env) })
        .merge(Layer { place: "the command line", texts: known(&sources.flags) })
}

/// What the layers say of a variable; none only for a name that is not in the list.
pub(super) fn find(figment: &Figment, name: &str) -> Option<Found> {
    let value = figment.find_value(name).ok()?;
    let place = figment.get_metadata(value.tag()).map(|metadata| metadata.name.to_string())?;
    let text = value.as_str()?.trim().to_owned();
    Some(Found { text, is_default: place == DEFAULTS, place })
}

/// The environment holds much that is not ours.
fn known(all: &BTreeMap<String, String>) -> BTreeMap<&'static str, String> {
    VARIABLES.iter().filter_map(|variable| Some((variable.name, all.get(variable.name)?.clone()))).collect()
}

fn toml(dir: &Path, problems: &mut Vec<String>) -> BTreeMap<&'static str, String> {
    let mut texts = BTreeMap::new();
    let Some(content) = read(dir, TOML_FILE, problems) else { return texts };
    let tables = match Toml::string(&content).data() {
        Ok(tables) => tables,
        Err(error) => {
            problems.push(format!("{TOML_FILE}: {}", without_excerpt(&error.to_string())));
            return texts;
        }
    };
    for (key, value) in tables.into_values().flatten() {
        match VARIABLES.iter().find(|variable| variable.name.to_ascii_lowercase() == key) {
            Some(variable) => match text_of(&value) {
                Some(text) => {
                    texts.insert(variable.name, text);
                }
                None => problems.push(format!(
                    "{} ({TOML_FILE}): must be a text, a number, true or false, or a list of these",
                    variable.name
                )),
            },
            None => problems.push(unknown_key(&key)),
        }
    }
    texts
}

fn unknown_key(key: &str) -> String {
    let keys: Vec<String> = VARIABLES.iter().map(|Variable { name, .. }| name.to_ascii_lowercase()).collect();
    let meant = keys.iter().find(|allowed| allowed.eq_ignore_ascii_case(&key.replace('-', "_")));
    let hint = meant.map_or_else(String::new, |meant| format!(", write {meant}"));
    format!("{TOML_FILE}: there is no setting {}{hint}; allowed are {}", quoted(key), keys.join(", "))
}

/// toml's messages quote the line, which may hold a password.
fn without_excerpt(message: &str) -> String {
    let told = message.lines().filter(|line| {
        let behind_number = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        !line.is_empty() && !behind_number.starts_with('|')
    });
    told.collect::<Vec<_>>().join(": ")
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, character) => Some(character.to_string()),
        Value::Bool(_, truth) => Some(truth.to_string()),
        Value::Num(_, Num::F64(number)) => Some(number.to_string()),
        Value::Num(_, number) => {
            number.to_i128().map(|n| n.to_string()).or_else(|| number.to_u128().map(|n| n.to_string()))
        }
        Value::Array(_, items) => {
            let items: Option<Vec<String>> = items
                .iter()
                .map(|item| if matches!(item, Value::Array(..)) { None } else { text_of(item) })
                .collect();
            Some(items?.join(","))
        }
        Value::Dict(..) | Value::Empty(..) => None,
    }
}

fn dotenv(dir: &Path, problems: &mut Vec<String>) -> BTreeMap<&'static str, String> {
    let Some(content) = read(dir, DOTENV_FILE, problems) else { return BTreeMap::new() };
    let content = content.replace('$', &DOLLAR.to_string());
    let lines_read = Cell::new(0);
    let reader = LineByLine { rest: content.as_bytes(), lines_read: &lines_read };
    let mut all = BTreeMap::new();
    let mut lines_done = 0;
    for entry in dotenvy::from_read_iter(reader) {
        let Ok((name, text)) = entry else {
            // dotenvy's message quotes the line, which may hold a password, and does not count it.
            let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
            let skipped = content.lines().skip(lines_done).take_while(|line| blank(line)).count();
            problems.push(format!(
                "{DOTENV_FILE}, line {}: is not NAME=value; a value with blanks, quotes or backslashes \
                 must stand in single quotes, and a quote must be closed",
                lines_done + skipped + 1
            ));
            break;
        };
        lines_done = lines_read.get();
        all.insert(name, text.replace(DOLLAR, "$"));
    }
    let texts = known(&all);
    for (name, _) in texts.iter().filter(|(_, text)| text.contains("${")) {
        problems.push(format!(
            "{name} ({DOTENV_FILE}): holds \"${{\", but nothing is substituted here: write the value out"
        ));
    }
    texts
}

/// Names in `.env` that look like a setting mistyped, each with the setting it looks like.
pub(crate) fn mistyped_in_dotenv(dir: &Path) -> Vec<(String, &'static str)> {
    let entries = dotenvy::from_path_iter(dir.join(DOTENV_FILE)).into_iter().flatten();
    let names = entries.map_while(Result::ok).map(|(name, _)| name);
    names.filter_map(|name| lookalike(&name).map(|known| (name, known))).collect()
}

/// The setting that a name was meant to be: another case, or up to two slips of the finger.
fn lookalike(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    let is_close = |known: &str| {
        known.len().abs_diff(upper.len()) <= 1 && strsim::osa_distance(&upper, known) <= SLIPS_MAX
    };
    let mut known = VARIABLES.iter().map(|variable| variable.name);
    if known.clone().any(|known| known == name) { None } else { known.find(|known| is_close(known)) }
}

/// Hands out one line at a time, to know how far a reader with a buffer has come.
struct LineByLine<'a> {
    rest: &'a [u8],
    lines_read: &'a Cell<usize>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |end| end + 1);
        let (handed, rest) = self.rest.split_at(line.min(buffer.len()));
        buffer[..handed.len()].copy_from_slice(handed);
        self.rest = rest;
        if handed.ends_with(b"\n") {
            self.lines_read.set(self.lines_read.get() + 1);
        }
        Ok(handed.len())
    }
}

/// The content of a file that holds a secret.
pub(super) fn secret(path: &Path) -> Result<String, String> {
    let opened = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let mut text = String::new();
    let read = opened.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("is larger than {} KiB", SECRET_BYTES_MAX / 1024));
    }
    Ok(text)
}

/// The content of a file, if it is there.
fn read(dir: &Path, file: &str, problems: &mut Vec<String>) -> Option<String> {
    let mut problem = |what: String| {
        problems.push(format!("{file}: {what}"));
        None
    };
    let opened = match File::open(dir.join(file)) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return problem(format!("cannot be opened: {error}")),
    };
    let mut bytes = Vec::new();
    if let Err(error) = opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes) {
        return problem(format!("cannot be read: {error}"));
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return problem(format!("is larger than {} KiB", FILE_BYTES_MAX / 1024));
    }
    match String::from_utf8(bytes) {
        Ok(content) => Some(content.trim_start_matches('\u{FEFF}').to_owned()),
        Err(_) => problem("is not UTF-8 text".to_owned()),
    }
}
