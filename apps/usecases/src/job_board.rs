//! How the assets of a job stand while a worker has it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ohlcv_domain::Asset;
use ohlcv_ports::{Job, JobAsset, JobState};

use crate::report::{AssetReport, Outcome, Progress};

/// Written by those who fetch, read by who writes it down. Nobody waits on it for long.
#[derive(Debug)]
pub(crate) struct JobBoard {
    assets: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    asset: JobAsset,
    /// What earlier attempts did.
    done_before: u64,
    /// Whether the store does not know it yet.
    is_news: bool,
}

impl JobBoard {
    pub(crate) fn new(job: &Job) -> Self {
        let entry =
            |asset: &JobAsset| Entry { done_before: asset.done, is_news: false, asset: asset.clone() };
        Self { assets: Mutex::new(job.assets.iter().map(entry).collect()) }
    }

    /// The assets that are still to be worked on.
    pub(crate) fn left(&self) -> Vec<Asset> {
        let entries = self.entries();
        let left = entries.iter().filter(|entry| !entry.asset.state.is_final());
        left.map(|entry| entry.asset.asset).collect()
    }

    /// How all assets stand.
    pub(crate) fn all(&self) -> Vec<JobAsset> {
        self.entries().iter().map(|entry| entry.asset.clone()).collect()
    }

    /// How those assets stand that have changed since this was last asked.
    pub(crate) fn news(&self) -> Vec<JobAsset> {
        let mut entries = self.entries();
        let tell = |entry: &mut Entry| std::mem::take(&mut entry.is_news).then(|| entry.asset.clone());
        entries.iter_mut().filter_map(tell).collect()
    }

    /// What `news` said could not be written down.
    pub(crate) fn not_told(&self, news: &[JobAsset]) {
        for asset in news {
            self.change(asset.asset, |_| {});
        }
    }

    pub(crate) fn advanced(&self, Progress { asset, done, expected }: Progress) {
        self.change(asset, |entry| {
            entry.asset.state = JobState::Running;
            entry.asset.done = entry.done_before.saturating_add(done);
            entry.asset.expected = entry.done_before.saturating_add(expected);
        });
    }

    pub(crate) fn ended(&self, report: &AssetReport) {
        let (state, error) = match &report.outcome {
            Outcome::Done => (JobState::Succeeded, None),
            Outcome::Incomplete(reason) => (JobState::Succeeded, Some(format!("not complete: {reason}"))),
            Outcome::Failed(error) => (JobState::Failed, Some(error.to_string())),
            // It goes on elsewhere, or later.
            Outcome::Busy | Outcome::Stopped => (JobState::Queued, None),
        };
        self.change(report.asset, |entry| (entry.asset.state, entry.asset.error) = (state, error));
    }

    /// What has not ended yet has failed, all for one reason; returns what that was.
    pub(crate) fn fail_rest(&self, reason: &str) -> Vec<Asset> {
        let mut entries = self.entries();
        let rest = entries.iter_mut().filter(|entry| !entry.asset.state.is_final());
        let fail = |entry: &mut Entry| {
            entry.asset.state = JobState::Failed;
            entry.asset.error = Some(reason.to_owned());
            entry.asset.asset
        };
        rest.map(fail).collect()
    }

    /// Some assets are to be worked on again. What went wrong stays to be seen.
    pub(crate) fn queue_again(&self, named: &[Asset]) {
        for entry in self.entries().iter_mut().filter(|entry| named.contains(&entry.asset.asset)) {
            entry.asset.state = JobState::Queued;
        }
    }

    /// A job that ends leaves no asset waiting.
    pub(crate) fn close(&self, state: JobState) {
        for entry in self.entries().iter_mut().filter(|entry| !entry.asset.state.is_final()) {
            entry.asset.state = if state == JobState::Cancelled { state } else { JobState::Failed };
        }
    }

    /// How the job ended, from how its assets did.
    pub(crate) fn verdict(&self) -> JobState {
        let entries = self.entries();
        let succeeded = entries.iter().filter(|entry| entry.asset.state == JobState::Succeeded).count();
        match succeeded {
            all if all == entries.len() => JobState::Succeeded,
            0 => JobState::Failed,
            _ => JobState::PartlyFailed,
        }
    }

    fn change(&self, asset: Asset, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.asset.asset == asset) {
            change(entry);
            entry.is_news = true;
        }
    }

    /// A board stays readable when a thread panicked while writing on it.
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.assets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
