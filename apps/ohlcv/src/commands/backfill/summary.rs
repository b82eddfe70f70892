//! What a backfill came to, as a table.

use std::collections::BTreeMap;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use ohlcv_domain::{Applied, Asset, Timestamp};
use ohlcv_usecases::{AssetCoverage, AssetReport, Outcome};

use crate::commands::assets::holes;
use crate::commands::table::Columns;

const TITLES: [&str; 9] =
    ["asset", "new", "changed", "unchanged", "holes", "earliest", "latest", "seconds", "outcome"];
/// Where in a row the outcome stands.
const OUTCOME: usize = 8;

/// A row for each asset: what came in, what is stored now, how long it took, and how it ended.
/// `hints` are added to the outcomes of those that failed.
pub(super) fn table(
    reports: &[AssetReport],
    stored: &[AssetCoverage],
    took: &BTreeMap<Asset, Duration>,
    hints: &BTreeMap<Asset, String>,
    colours: bool,
) -> String {
    let rows: Vec<[String; 9]> = reports
        .iter()
        .map(|report| {
            let known = stored.iter().find(|known| known.asset == report.asset);
            let took = took.get(&report.asset).copied().unwrap_or_default();
            row(report, known, took, hints.get(&report.asset))
        })
        .collect();
    let style = |row: &[String; 9], column| match colours && column == OUTCOME {
        true => style(&row[OUTCOME]),
        false => Style::new(),
    };
    Columns::titled(TITLES).styled(&rows, style).trim_end().to_owned()
}

fn row(
    report: &AssetReport,
    known: Option<&AssetCoverage>,
    took: Duration,
    hint: Option<&String>,
) -> [String; 9] {
    let Applied { new, changed, unchanged } = report.gains.stored;
    let summary = known.and_then(|known| known.summary.as_ref());
    let told = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let mut outcome = match &report.outcome {
        Outcome::Done => "complete".to_owned(),
        Outcome::Incomplete(reason) => format!("not complete: {reason}"),
        Outcome::Busy => "another process works on it".to_owned(),
        Outcome::Stopped => "stopped before it was done".to_owned(),
        Outcome::Failed(error) => format!("failed: {error}"),
    };
    if report.gains.rejected > 0 {
        outcome.push_str(&format!("; {} rows rejected", report.gains.rejected));
    }
    outcome.extend(hint.map(|hint| format!("; {hint}")));
    [
        report.asset.to_string(),
        new.to_string(),
        changed.to_string(),
        unchanged.to_string(),
        known.map_or_else(|| "-".to_owned(), holes),
        told(summary.and_then(|summary| summary.first)),
        told(summary.and_then(|summary| summary.last)),
        format!("{}.{}", took.as_secs(), took.subsec_millis() / 100),
        outcome,
    ]
}

/// How the words for an outcome are shown.
fn style(outcome: &str) -> Style {
    let colour = match outcome {
        "complete" => AnsiColor::Green,
        failed if failed.starts_with("failed") => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    Style::new().fg_color(Some(colour.into()))
}
