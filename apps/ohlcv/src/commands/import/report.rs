//! What an import did, for people and for machines.

use std::collections::BTreeMap;

use ohlcv_domain::Rule;
use ohlcv_ports::StoreError;
use ohlcv_usecases::{AssetError, AssetImport, ImportRule, Outcome, Place, Refusal};
use serde::Serialize;

use super::Found;
use crate::commands::table::Columns;
use crate::settings::Settings;

/// What to do about rows that were refused.
const ADVICE: [(ImportRule, &str); 6] = [
    (
        ImportRule::Differs,
        "another candle is stored and stays; --replace replaces it, and keeps it as a revision",
    ),
    (
        ImportRule::Row(Rule::OutOfOrder),
        "rows of an asset have to ascend by time: sort the file by asset and timestamp, and import it again",
    ),
    (
        ImportRule::Row(Rule::NotClosed),
        "without the exchange's clock a candle counts as closed a quarter of an hour after its end; \
         the exchange will be asked about it",
    ),
    (
        ImportRule::Row(Rule::TooManyPlaces),
        "numbers have at most eight places, and are never rounded: they may have passed through a float",
    ),
    (ImportRule::Filled, "filled rows are no candles and are never stored"),
    (ImportRule::BeforeListing, "it opens before the first candle of the asset on the exchange"),
];

/// What became of the rows of an asset, in a sentence.
pub(super) fn describe(asset: &AssetImport) -> String {
    let AssetImport { rows, new, changed, unchanged, refused, .. } = asset;
    format!("{rows} rows: {new} new, {changed} changed, {unchanged} unchanged, {refused} refused")
}

/// The refused rows one by one, what to do about them, then the sums.
pub(super) fn table(found: &Found<'_>) -> String {
    let mut text = String::new();
    for refusal in &in_order(found) {
        text.push_str(&line(found, refusal));
        text.push('\n');
    }
    for (rule, all) in &found.report.counts {
        let kept = found.report.refusals.iter().filter(|refusal| refusal.rule == *rule).count() as u64;
        if *all > kept {
            text.push_str(&format!("… and {} more: {rule}\n", all.saturating_sub(kept)));
        }
    }
    for (rule, advice) in ADVICE.iter().filter(|(rule, _)| found.report.counts.contains_key(rule)) {
        text.push_str(&format!("{rule}: {advice}\n"));
    }
    for unread in &found.unread {
        text.push_str(&format!("{unread}\n"));
    }
    if let (_, Some(reason)) = told_outcome(&found.report.outcome) {
        let advice = match &found.report.outcome {
            Outcome::Failed(AssetError::Store(StoreError::Corrupt { .. })) => {
                "`ohlcv verify` lists what is impossible (100 rows of an asset at most): delete it by hand, then"
            }
            _ => "what was stored before stays,",
        };
        text.push_str(&format!("{reason}; {advice} run it again to go on\n"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let titles = ["asset", "rows", "new", "changed", "unchanged", "repeated", "refused"];
    let rows = found.report.assets.iter().map(|asset| {
        let AssetImport { asset, rows, new, changed, unchanged, repeated, refused } = asset;
        let counts = [rows, new, changed, unchanged, repeated, refused].map(u64::to_string);
        let [rows, new, changed, unchanged, repeated, refused] = counts;
        [asset.to_string(), rows, new, changed, unchanged, repeated, refused]
    });
    text.push_str(&Columns::titled(titles).lines(&rows.collect::<Vec<_>>()));
    if found.wanted.dry_run {
        text.push_str("\nNothing was changed: this is what would be done.\n");
    }
    text.trim_end().to_owned()
}

fn in_order(found: &Found<'_>) -> Vec<Refusal> {
    let mut refusals = found.report.refusals.clone();
    refusals.sort_by_key(|refusal| refusal.place);
    refusals
}

fn line(found: &Found<'_>, refusal: &Refusal) -> String {
    let Refusal { place, asset, open_time, rule, evidence } = refusal;
    let mut told = place_told(found, *place);
    told.push(':');
    for part in
        [asset.map(|asset| asset.to_string()), open_time.map(|at| at.to_string())].into_iter().flatten()
    {
        told.push(' ');
        told.push_str(&part);
    }
    format!("{told} {rule}: {evidence}")
}

fn place_told(found: &Found<'_>, place: Place) -> String {
    let (name, word) =
        found.inputs.get(place.file).map_or(("", "row"), |(name, word)| (name.as_str(), *word));
    format!("{name} {word} {}", place.row)
}

#[derive(Serialize)]
struct Document {
    interval: String,
    quote_asset: String,
    dry_run: bool,
    replace: bool,
    clean: bool,
    outcome: &'static str,
    reason: Option<String>,
    assets: Vec<Asset>,
    refused: u64,
    counts: BTreeMap<&'static str, u64>,
    /// The first ones; `counts` counts all.
    refusals: Vec<Refused>,
    unread: Vec<String>,
}

#[derive(Serialize)]
struct Asset {
    asset: String,
    rows: u64,
    new: u64,
    changed: u64,
    unchanged: u64,
    repeated: u64,
    refused: u64,
}

#[derive(Serialize)]
struct Refused {
    file: String,
    row: u64,
    asset: Option<String>,
    timestamp: Option<String>,
    rule: &'static str,
    detail: String,
}

/// One JSON document with the same.
pub(super) fn document(settings: &Settings, found: &Found<'_>) -> anyhow::Result<String> {
    let report = &found.report;
    let (outcome, reason) = told_outcome(&report.outcome);
    let refusals = in_order(found).into_iter().map(|refusal| Refused {
        file: found.inputs.get(refusal.place.file).map(|(name, _)| name.clone()).unwrap_or_default(),
        row: refusal.place.row,
        asset: refusal.asset.map(|asset| asset.to_string()),
        timestamp: refusal.open_time.map(|at| at.to_string()),
        rule: refusal.rule.as_str(),
        detail: refusal.evidence,
    });
    let assets = report.assets.iter().map(|asset| Asset {
        asset: asset.asset.to_string(),
        rows: asset.rows,
        new: asset.new,
        changed: asset.changed,
        unchanged: asset.unchanged,
        repeated: asset.repeated,
        refused: asset.refused,
    });
    let document = Document {
        interval: settings.candle_interval.to_string(),
        quote_asset: settings.quote_asset.to_string(),
        dry_run: found.wanted.dry_run,
        replace: found.wanted.replace,
        clean: report.is_clean() && found.unread.is_empty(),
        outcome,
        reason,
        assets: assets.collect(),
        refused: report.refused(),
        counts: report.counts.iter().map(|(rule, count)| (rule.as_str(), *count)).collect(),
        refusals: refusals.collect(),
        unread: found.unread.clone(),
    };
    Ok(serde_json::to_string_pretty(&document)?)
}

fn told_outcome(outcome: &Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Failed(error) => ("failed", Some(error.to_string())),
        Outcome::Stopped => ("stopped", Some("it was stopped before it was done".to_owned())),
        _ => ("done", None),
    }
}
