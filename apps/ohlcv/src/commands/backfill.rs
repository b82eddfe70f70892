//! `ohlcv backfill`: one backfill from the shell.

use std::sync::Arc;

use anyhow::anyhow;
use ohlcv_ports::{JobEnd, JobState};
use ohlcv_usecases::{ReportSink, Worked};

use super::{End, progress};
use crate::cli::BackfillArgs;
use crate::console::Console;
use crate::lifecycle::Lifecycle;
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
    let shown = console.clone();
    let ended: ReportSink = Arc::new(move |report| shown.asset_finished(report.asset, &describe(report)));
    let jobs = app.run_job(lifecycle.token(), progress(&console), ended);
    let done = lifecycle.one_shot(jobs.backfill(assets, wanted.days, wanted.force)).await;
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
