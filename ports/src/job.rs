//! A job: fetching that somebody asked for, and what has become of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ohlcv_domain::{Asset, Fence, JobId, TimeRange, Timestamp};

/// A text that is no word for a part of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no {what}")]
pub struct JobWordError {
    what: &'static str,
    text: String,
}

/// What a job is to do with each of its assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Everything up to the last closed candle, and every hole that is due.
    CatchUp,
    /// The candles that open in a range. Bounds off the grid widen to it.
    Range(TimeRange),
    /// The history, as a command in a shell asked for it.
    Backfill {
        /// How many days back this one goes, where that is not as far as the settings say.
        days: Option<u32>,
        /// Ask for everything again, also for what is stored.
        force: bool,
    },
}

impl Work {
    /// A short name for it that stays the same.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::CatchUp => "catch_up",
            Self::Range(_) => "range",
            Self::Backfill { .. } => "backfill",
        }
    }

    /// Whether somebody waits for it who is not to wait behind years of history.
    #[must_use]
    pub const fn is_interactive(self) -> bool {
        !matches!(self, Self::Backfill { .. })
    }
}

/// How a job stands, or the work on one of its assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// Accepted; it waits for a worker, at first or again.
    Queued,
    /// A worker has it.
    Running,
    /// All of it was done.
    Succeeded,
    /// Some assets were done, others failed. Of a job alone.
    PartlyFailed,
    /// It failed, after as many attempts as a job has.
    Failed,
    /// It was cancelled before it was done.
    Cancelled,
}

impl JobState {
    /// All six.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::PartlyFailed, Self::Failed, Self::Cancelled];

    /// A short name for it that stays the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::PartlyFailed => "partly_failed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = JobWordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| JobWordError { what: "state of a job", text: text.to_owned() })
    }
}

/// What is wanted of a new job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// What is to be done with each asset.
    pub work: Work,
    /// The assets, each once; at least one.
    pub assets: Vec<Asset>,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What is done with each asset.
    pub work: Work,
    /// How it stands. A job whose worker died counts as queued.
    pub state: JobState,
    /// How many workers in a row have begun with it and got nowhere, the one at work included.
    pub attempts: u32,
    /// When it was accepted, by the store's clock.
    pub created_at: Timestamp,
    /// When a worker first began with it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Its assets, in the order in which they were named.
    pub assets: Vec<JobAsset>,
}

/// How the work on one asset of a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobAsset {
    /// The asset.
    pub asset: Asset,
    /// How it stands.
    pub state: JobState,
    /// Slots that were answered about.
    pub done: u64,
    /// Slots that are to be asked about, as far as that is known.
    pub expected: u64,
    /// What went wrong, or what its history lacks, for people.
    pub error: Option<String>,
}

impl JobAsset {
    /// An asset that waits for its turn.
    #[must_use]
    pub const fn queued(asset: Asset) -> Self {
        Self { asset, state: JobState::Queued, done: 0, expected: 0, error: None }
    }
}

impl Job {
    /// Slots that were answered about, of all assets.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.assets.iter().map(|asset| asset.done).sum()
    }

    /// Slots that are to be asked about, of all assets, as far as that is known.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.assets.iter().map(|asset| asset.expected).sum()
    }

    /// How long it will still take if it goes on as it has gone since it was started; none where
    /// nothing can be said.
    #[must_use]
    pub fn eta(&self, now: Timestamp) -> Option<Duration> {
        let done = u32::try_from(self.done()).ok().filter(|done| *done > 0)?;
        let left = u32::try_from(self.expected().saturating_sub(self.done())).ok()?;
        let elapsed = now.since(self.started_at.filter(|_| self.state == JobState::Running)?);
        Some((elapsed / done).saturating_mul(left))
    }
}

/// A job that a worker has, as long as its lease stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedJob {
    /// The job; its attempts count this one.
    pub job: Job,
    /// Proof that nobody else has it.
    pub fence: Fence,
}

/// What becomes of a job that a worker gives out of its hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It has ended, so.
    Final(JobState),
    /// A worker is to take it up again, not before this much time has passed.
    Again {
        /// How long from now, by the store's clock.
        after: Duration,
        /// Whether this attempt counts; one that was stopped from outside does not.
        counts: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, done: u64, expected: u64) -> Job {
        let asset = JobAsset { done, expected, state, ..JobAsset::queued("BTC".parse().unwrap()) };
        let started_at = Some(Timestamp::EPOCH);
        let (id, work) = (JobId::from_u128(1), Work::CatchUp);
        let assets = vec![asset.clone(), asset];
        Job {
            id,
            work,
            state,
            attempts: 1,
            created_at: Timestamp::EPOCH,
            started_at,
            finished_at: None,
            assets,
        }
    }

    #[test]
    fn a_running_job_tells_how_long_it_will_take() {
        let now = Timestamp::EPOCH.saturating_add(Duration::from_secs(10));
        assert_eq!(job(JobState::Running, 50, 200).eta(now), Some(Duration::from_secs(30)));
        assert_eq!(job(JobState::Running, 200, 200).eta(now), Some(Duration::ZERO));
        assert_eq!(job(JobState::Running, 0, 200).eta(now), None, "nothing is known yet");
        assert_eq!(job(JobState::Succeeded, 50, 200).eta(now), None, "it has ended");
    }

    #[test]
    fn words_of_jobs_are_read_as_they_are_written() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("done".parse::<JobState>().unwrap_err().to_string(), "\"done\" is no state of a job");
    }
}
