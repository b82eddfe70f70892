//! `ohlcv backfill`: one backfill from the shell.

use ohlcv_usecases::BackfillGoal;

use super::{End, progress};
use crate::cli::BackfillArgs;
use crate::console::Console;
use crate::lifecycle::Lifecycle;
use crate::run_log::describe;
use crate::settings::Settings;
use crate::wiring::{App, Outside};

pub(super) async fn execute(
    settings: Settings,
    outside: Outside,
    wanted: &BackfillArgs,
    lifecycle: Lifecycle,
    console: Console,
) -> anyhow::Result<End> {
    let app = App::open(settings, outside).await?;
    let goal = BackfillGoal { only_days: wanted.days, force: wanted.force, ..app.goal() };
    let mut assets = wanted.assets();
    if assets.is_empty() {
        assets = app.settings.tracked_assets.clone();
    }
    let backfill = app.backfill(goal, lifecycle.token(), progress(&console));
    let report = match lifecycle.one_shot(backfill.run(&assets)).await {
        Ok(report) => report?,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    for asset in &report.assets {
        console.asset_finished(asset.asset, &describe(asset));
    }
    Ok(if report.has_failures() { End::PartlyFailed } else { End::Done })
}
