//! What a run did, as log lines: one for each asset that has something to tell.

use ohlcv_domain::Applied;
use ohlcv_ports::{JobEnd, JobState};
use ohlcv_usecases::{AssetError, AssetReport, Gains, Outcome, RunReport, Worked};

/// Logs a run. Failures are logged here and nowhere else.
pub(crate) fn log(report: &Result<RunReport, AssetError>) {
    match report {
        Ok(report) => report.assets.iter().for_each(log_asset),
        Err(error) => tracing::error!("nothing was fetched: {error}"),
    }
}

fn log_asset(report: &AssetReport) {
    let AssetReport { asset, outcome, .. } = report;
    let told = format!("{asset}: {}", describe(report));
    match outcome {
        Outcome::Failed(_) => tracing::error!(%asset, "{told}"),
        Outcome::Incomplete(_) => tracing::warn!(%asset, "{told}"),
        // A run that found nothing to do is no news.
        Outcome::Done if report.gains == Gains::default() => tracing::debug!(%asset, "{told}"),
        Outcome::Done | Outcome::Busy | Outcome::Stopped => tracing::info!(%asset, "{told}"),
    }
}

/// What happened to an asset, in a sentence.
#[must_use]
pub(crate) fn describe(report: &AssetReport) -> String {
    let Applied { new, changed, .. } = report.gains.stored;
    let mut told = format!("{new} new candles");
    for (count, what) in [(changed, "changed"), (report.gains.rejected, "rejected")] {
        if count > 0 {
            told.push_str(&format!(", {count} {what}"));
        }
    }
    match &report.outcome {
        Outcome::Done => {}
        Outcome::Incomplete(reason) => told.push_str(&format!("; not complete: {reason}")),
        Outcome::Busy => told.push_str("; another process works on it"),
        Outcome::Stopped => told.push_str("; stopped before it was done"),
        Outcome::Failed(error) => told.push_str(&format!("; failed: {error}")),
    }
    told
}

/// Logs what became of a job.
pub(crate) fn log_job(worked: &Worked) {
    let id = worked.job.id;
    if let Some(report) = &worked.report {
        log(report);
    }
    match worked.end {
        Some(JobEnd::Final(state @ (JobState::Failed | JobState::PartlyFailed))) => {
            tracing::error!(job.id = %id, "job {id} ended: {state}");
        }
        Some(JobEnd::Final(state)) => tracing::info!(job.id = %id, "job {id} ended: {state}"),
        Some(JobEnd::Again { after, counts: true }) => {
            let seconds = after.as_secs();
            tracing::warn!(job.id = %id, "job {id} is tried again in {seconds} s");
        }
        Some(JobEnd::Again { counts: false, .. }) => {
            tracing::info!(job.id = %id, "job {id} is given back to the queue");
        }
        None => tracing::warn!(job.id = %id, "job {id} was lost to another worker"),
    }
}
