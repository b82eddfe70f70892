//! `ohlcv verify`: stored against source.

mod document;
mod table;

use std::sync::Arc;

use ohlcv_domain::{TimeRange, Timestamp};
use ohlcv_usecases::{Outcome, Verification, VerificationSink};

use super::{End, complain, progress, say, watch};
use crate::cli::VerifyArgs;
use crate::console::Console;
use crate::lifecycle::Lifecycle;
use crate::lookalike;
use crate::settings::{Settings, check_against_quote};
use crate::wiring::{App, Outside, Refused};

pub(super) async fn execute(
    settings: Settings,
    outside: Outside,
    wanted: &VerifyArgs,
    lifecycle: Lifecycle,
    console: Console,
) -> anyhow::Result<End> {
    for asset in wanted.assets() {
        check_against_quote(asset, settings.quote_asset)
            .map_err(|allowed| Refused::because(format!("--asset {asset}: {allowed}")))?;
    }
    let range = range(wanted)?;
    let app = match lifecycle.one_shot(App::open(settings, outside)).await {
        Ok(opened) => opened?,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    let mut assets = wanted.assets();
    if assets.is_empty() {
        assets = app.settings.tracked_assets.clone();
    }
    console.begin(assets.len());
    let shown = console.clone();
    let ended: VerificationSink = Arc::new(move |found| shown.asset_finished(found.asset, &describe(found)));
    let verify = app.verify(range, wanted.repair, lifecycle.token(), progress(&console), ended);
    let watching = watch::begin(&app, &console);
    let done = lifecycle.one_shot(verify.run(&assets)).await;
    drop(watching);
    console.clear();
    lifecycle.within_stop_time(app.close()).await;
    let found = match done {
        Ok(found) => found,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    say(&match wanted.json {
        true => document::of(&app.settings, wanted, &found)?,
        false => table::of(wanted, &found),
    })?;
    for nothing in found.iter().filter(|found| found.stored == 0) {
        let known = &app.settings.tracked_assets;
        if let Some(meant) = lookalike::meant(nothing.asset, app.settings.quote_asset, known) {
            complain(&format!("nothing is stored of {}: is {meant} meant?", nothing.asset));
        }
    }
    Ok(if found.iter().all(Verification::is_clean) { End::Done } else { End::PartlyFailed })
}

/// What is looked at; without bounds everything.
fn range(wanted: &VerifyArgs) -> anyhow::Result<TimeRange> {
    let start = wanted.start.unwrap_or(Timestamp::MIN);
    let end = wanted.end.unwrap_or(Timestamp::MAX);
    match TimeRange::new(start, end) {
        Ok(range) if !range.is_empty() => Ok(range),
        _ => {
            Err(Refused::because(format!("--start {start} is not before --end {end}: nothing opens between")))
        }
    }
}

/// What was found out about an asset, in a sentence.
fn describe(found: &Verification) -> String {
    let faults = found.faults.total();
    let wrong = faults.found.saturating_add(found.summary.len() as u64);
    let mut told = format!("{} candles compared, {wrong} faults", found.compared);
    if wrong > 0 {
        let summary = found.summary.iter().filter(|fault| fault.mended).count();
        told.push_str(&format!(", {} mended", faults.mended.saturating_add(summary as u64)));
    }
    if let (outcome, Some(reason)) = told_outcome(&found.outcome) {
        told.push_str(&format!("; {outcome}: {reason}"));
    }
    told
}

/// A word for an outcome that stays the same, and why it is not simply done.
fn told_outcome(outcome: &Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Done => ("done", None),
        Outcome::Incomplete(reason) => ("incomplete", Some(reason.clone())),
        Outcome::Busy => ("busy", Some("another process works on it".to_owned())),
        Outcome::Stopped => ("stopped", Some("it was stopped before it was done".to_owned())),
        Outcome::Failed(error) => ("failed", Some(error.to_string())),
    }
}
