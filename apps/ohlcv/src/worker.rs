//! The loop that takes jobs and has them worked on. What a job does stands in the use-cases.

use std::sync::Arc;

use ohlcv_ports::{ClaimedJob, StoreError};
use ohlcv_usecases::{ProgressSink, RunJob};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::run_log;
use crate::wiring::App;

/// How many jobs one process works on at once, so that a short one need not wait for a long one.
const JOBS_AT_ONCE_MAX: usize = 4;

/// Works on jobs until it is stopped, then gives those in hand back, each after the page it is at.
pub(crate) async fn run(app: &App, stop: &CancellationToken, progress: ProgressSink) {
    // Each asset is logged with its job.
    let jobs = app.run_job(stop.clone(), progress, Arc::new(|_| {}));
    let places = Arc::new(Semaphore::new(JOBS_AT_ONCE_MAX));
    let mut at_work = JoinSet::new();
    let mut told = false;
    while let Some(Ok(place)) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await {
        // Those that have ended are no longer of interest.
        while at_work.try_join_next().is_some() {}
        match jobs.claim().await {
            Ok(Some(claimed)) => {
                told = false;
                let jobs = jobs.clone();
                at_work.spawn(async move {
                    work(&jobs, claimed).await;
                    drop(place);
                });
                continue;
            }
            Ok(None) => told = false,
            // Said once, not every second.
            Err(error) if told => tracing::debug!("cannot look for jobs: {error}"),
            Err(error) => {
                tracing::error!("cannot look for jobs: {error}");
                told = true;
            }
        }
        drop(place);
        stop.run_until_cancelled(tokio::time::sleep(app.lease_terms().look_interval())).await;
    }
    while at_work.join_next().await.is_some() {}
}

async fn work(jobs: &RunJob, claimed: ClaimedJob) {
    let id = claimed.job.id;
    tracing::info!(job.id = %id, attempt = claimed.job.attempts, "working on job {id}");
    match jobs.work(claimed).await {
        Ok(worked) => run_log::log_job(&worked),
        Err(StoreError::LeaseLost { .. }) => {
            tracing::warn!(job.id = %id, "job {id} was lost to another worker");
        }
        Err(error) => {
            tracing::error!(job.id = %id, "job {id} is left to the next worker: {error}");
        }
    }
}
