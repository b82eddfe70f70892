//! `ohlcv backfill`: one backfill from the shell.

mod summary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use ohlcv_domain::Asset;
use ohlcv_ports::{JobEnd, JobState, SourceError};
use ohlcv_usecases::{
    AssetError, AssetReport, Outcome, Progress, ProgressSink, ReportSink, RunReport, Worked,
};
use tokio::time::Instant;

use super::{End, progress, say, watch};
use crate::cli::BackfillArgs;
use crate::colours;
use crate::console::Console;
use crate::lifecycle::Lifecycle;
use crate::lookalike;
use crate::run_log::describe;
use crate::settings::{Settings, check_against_quote};
use crate::wiring::{App, Outside, Refused};

pub(super) async fn execute(
    settings: Settings,
    outside: Outside,
    wanted: &BackfillArgs,
    lifecycle: Lifecycle,
    console: Console,
) -> anyhow::Result<End> {
    for asset in wanted.assets() {
        check_against_quote(asset, settings.quote_asset)
            .map_err(|allowed| Refused::because(format!("--asset {asset}: {allowed}")))?;
    }
    let app = match lifecycle.one_shot(App::open(settings, outside)).await {
        Ok(opened) => opened?,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    let mut assets = wanted.assets();
    if assets.is_empty() {
        assets = app.settings.tracked_assets.clone();
    }
    console.begin(assets.len());
    let times = Times::default();
    let jobs = app.run_job(lifecycle.token(), times.watching(progress(&console)), times.noting(&console));
    let watching = watch::begin(&app, &console);
    let done = lifecycle.one_shot(jobs.backfill(assets, wanted.days, wanted.force)).await;
    drop(watching);
    console.clear();
    if let Ok(Ok(Worked { report: Some(Ok(report)), .. })) = &done {
        summarise(&app, report, &times).await?;
    }
    lifecycle.within_stop_time(app.close()).await;
    let Worked { job, end, report } = match done {
        Ok(worked) => worked?,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    let id = job.id;
    match (end, report) {
        (None, _) => Err(anyhow!(
            "job {id} slipped from this process, which could not reach the database in time; it is left in the queue"
        )),
        (_, Some(Err(error))) => Err(error.into()),
        (Some(JobEnd::Final(JobState::Cancelled)), _) => Err(anyhow!("job {id} was cancelled over the API")),
        (_, Some(Ok(report))) if report.has_failures() => Ok(End::PartlyFailed),
        (_, Some(Ok(_)) | None) => Ok(End::Done),
    }
}

/// Prints what came of it.
async fn summarise(app: &App, report: &RunReport, times: &Times) -> anyhow::Result<()> {
    // What came in is told also if the database has gone away meanwhile.
    let stored = app.list_assets().run().await.unwrap_or_default();
    let hint = |report: &AssetReport| {
        let error =
            matches!(&report.outcome, Outcome::Failed(AssetError::Source(SourceError::UnknownAsset { .. })));
        let known: Vec<Asset> = stored.iter().map(|known| known.asset).collect();
        let meant = lookalike::meant(report.asset, app.settings.quote_asset, &known).filter(|_| error)?;
        Some((report.asset, format!("is {meant} meant?")))
    };
    let hints = report.assets.iter().filter_map(hint).collect();
    Ok(say(&summary::table(&report.assets, &stored, &times.took(), &hints, colours::on_stdout()))?)
}

/// When work on an asset began, and how long it took if it has ended.
type Timing = (Instant, Option<Duration>);

/// How long each asset was worked on.
#[derive(Clone, Debug, Default)]
struct Times(Arc<Mutex<BTreeMap<Asset, Timing>>>);

impl Times {
    /// Notes when work on each asset begins.
    fn watching(&self, shown: ProgressSink) -> ProgressSink {
        let times = self.clone();
        Arc::new(move |progress: Progress| {
            times.change(|times| {
                times.entry(progress.asset).or_insert_with(|| (Instant::now(), None));
            });
            shown(progress);
        })
    }

    /// Notes when it ends, and says how.
    fn noting(&self, console: &Console) -> ReportSink {
        let (times, console) = (self.clone(), console.clone());
        Arc::new(move |report| {
            times.change(|times| {
                let (began, took) = times.entry(report.asset).or_insert_with(|| (Instant::now(), None));
                *took = Some(began.elapsed());
            });
            console.asset_finished(report.asset, &describe(report));
        })
    }

    fn took(&self) -> BTreeMap<Asset, Duration> {
        let mut took = BTreeMap::new();
        self.change(|times| {
            took = times.iter().filter_map(|(asset, (_, took))| Some((*asset, (*took)?))).collect();
        });
        took
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Asset, Timing>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
