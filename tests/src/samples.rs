//! Metrics as a Prometheus server would read them.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of one fetch.
#[derive(Debug)]
pub struct Samples(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Samples {
    /// Reads the text format; fails the test where a server would refuse it, and where a metric is
    /// not explained.
    #[must_use]
    pub fn of(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends: {text:?}");
        let (mut explained, mut kinds) = (BTreeSet::new(), BTreeMap::new());
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                assert!(!words.is_empty() && explained.insert(name.to_owned()), "explained once: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("{line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "told once: {line}");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let (name, labels) = series_of(series).unwrap_or_else(|| panic!("{line}"));
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
                    name.strip_suffix(part)
                        .filter(|family| kinds.get(*family).is_some_and(|kind| kind == "histogram"))
                });
                let family = family.unwrap_or(&name);
                assert!(kinds.contains_key(family), "without a type: {line}");
                assert!(explained.contains(family), "not explained: {line}");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(samples.insert((name, labels), value).is_none(), "told once: {line}");
            }
        }
        Self(samples)
    }

    /// The names of all samples.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(name, _)| name.as_str()).collect()
    }

    /// The sum of all samples of that name which have these labels; none if there is no such one.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |(known, has): &(String, BTreeMap<String, String>)| {
            known == name
                && labels.iter().all(|(label, value)| has.get(*label).is_some_and(|has| has == value))
        };
        let values: Vec<f64> =
            self.0.iter().filter(|(series, _)| fits(series)).map(|(_, value)| *value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

/// `name` or `name{label="value",…}`.
fn series_of(text: &str) -> Option<(String, BTreeMap<String, String>)> {
    let (name, list) = match text.split_once('{') {
        Some((name, list)) => (name, list.strip_suffix('}')?),
        None => (text, ""),
    };
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let mut labels = BTreeMap::new();
    for label in list.split("\",").filter(|label| !label.is_empty()) {
        let (label, value) = label.split_once("=\"")?;
        let new = labels.insert(label.to_owned(), value.trim_end_matches('"').to_owned()).is_none();
        if !is_name(label) || !new {
            return None;
        }
    }
    is_name(name).then(|| (name.to_owned(), labels))
}
