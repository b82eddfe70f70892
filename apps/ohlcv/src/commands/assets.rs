//! `ohlcv assets`: what is stored of every asset.

use anstyle::{AnsiColor, Style};
use ohlcv_domain::{Cause, Timestamp};
use ohlcv_usecases::AssetCoverage;

use super::table::Columns;
use super::{End, say};
use crate::cli::AssetsArgs;
use crate::colours;
use crate::http::AssetsBody;
use crate::settings::Settings;
use crate::wiring::{App, Outside};

const TITLES: [&str; 7] = ["asset", "candles", "earliest", "latest", "lag", "status", "holes"];
/// Where in a row the status stands.
const STATUS: usize = 5;

pub(super) async fn execute(settings: Settings, wanted: &AssetsArgs) -> anyhow::Result<End> {
    let outside = Outside::real(&settings)?;
    let app = App::open_to_look(settings, outside).await?;
    let listed = app.list_assets().run().await;
    app.close().await;
    let listed = listed?;
    say(&match wanted.json {
        true => serde_json::to_string(&AssetsBody::of(listed))?,
        false => table(&listed, colours::on_stdout()),
    })?;
    Ok(End::Done)
}

/// A row for each asset, then why histories are not complete.
fn table(listed: &[AssetCoverage], colours: bool) -> String {
    let rows: Vec<[String; 7]> = listed.iter().map(row).collect();
    let style = |row: &[String; 7], column| match colours && column == STATUS {
        true => style(&row[STATUS]),
        false => Style::new(),
    };
    let mut text = Columns::titled(TITLES).styled(&rows, style);
    let reasons = listed.iter().filter_map(|known| {
        known.why_incomplete().map(|reason| format!("\n{} is not complete: {reason}", known.asset))
    });
    text.extend(reasons);
    text.trim_end().to_owned()
}

fn row(known: &AssetCoverage) -> [String; 7] {
    let summary = known.summary.as_ref();
    let told = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    [
        known.asset.to_string(),
        summary.map_or(0, |summary| summary.candles).to_string(),
        told(summary.and_then(|summary| summary.first)),
        told(summary.and_then(|summary| summary.last)),
        known.lag.to_string(),
        known.status.as_str().to_owned(),
        holes(known),
    ]
}

/// How many candles are missing, by cause.
pub(super) fn holes(known: &AssetCoverage) -> String {
    let of = |cause: Cause| known.gaps.get(&cause).filter(|slots| **slots > 0).map(|slots| (slots, cause));
    let told = Cause::ALL.into_iter().filter_map(of).map(|(slots, cause)| format!("{slots} {cause}"));
    let told = told.collect::<Vec<_>>().join(", ");
    if told.is_empty() { "none".to_owned() } else { told }
}

/// How the word for a status is shown.
fn style(status: &str) -> Style {
    let colour = match status {
        "complete" => AnsiColor::Green,
        "behind" | "incomplete" => AnsiColor::Yellow,
        "empty" => AnsiColor::Red,
        _ => return Style::new().dimmed(),
    };
    Style::new().fg_color(Some(colour.into()))
}
