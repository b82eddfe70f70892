//! `ohlcv backfill`: one backfill from the shell.

use ohlcv_usecases::BackfillGoal;

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
    let goal = BackfillGoal { only_days: wanted.days, force: wanted.force, ..app.goal() };
    let mut assets = wanted.assets();
    if assets.is_empty() {
        assets = app.settings.tracked_assets.clone();
    }
    let backfill = app.backfill(goal, lifecycle.token(), progress(&console));
    let done = lifecycle.one_shot(backfill.run(&assets)).await;
    lifecycle.within_stop_time(app.close()).await;
    let report = match done {
        Ok(report) => report?,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    for asset in &report.assets {
        console.asset_finished(asset.asset, &describe(asset));
    }
    Ok(if report.has_failures() { End::PartlyFailed } else { End::Done })
}
