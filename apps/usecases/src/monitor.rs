//! What there is to watch about the stored series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Cause, Grid, Interval, Summary, Timestamp};
use ohlcv_ports::{Clock, Coverage, JobState, Jobs, RequestBudget, StoreError};

use crate::backfill::DAY;

/// What the series are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorPolicy {
    /// The one interval that is stored.
    pub interval: Interval,
    /// How long after its end a candle counts as closed.
    pub grace: Duration,
    /// How many days of history are wanted; an asset that was never fetched lacks them all.
    pub days: u32,
}

/// What is seen of the stored series at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// For each tracked asset, in the order of the setting, how many closed slots the exchange has
    /// not answered about at the series' end; none while a market that has stopped is left alone.
    pub lags: Vec<(Asset, u64)>,
    /// How many holes the ledger has of each cause; all causes are there.
    pub holes: BTreeMap<Cause, u64>,
    /// How many jobs are in each state; all states are there, if jobs are watched.
    pub jobs: BTreeMap<JobState, u64>,
    /// How long the exchange wants no requests; zero if it takes them, or is not watched.
    pub ban: Duration,
}

/// Tells how the stored series stand. Reads summaries and counts holes; its cost does not grow with
/// the candles. Closed is decided by the local clock, so that the exchange need not be asked.
#[derive(Clone, Debug)]
pub struct Monitor {
    coverage: Arc<dyn Coverage>,
    clock: Arc<dyn Clock>,
    tracked: Vec<Asset>,
    policy: MonitorPolicy,
    jobs: Option<Arc<dyn Jobs>>,
    budget: Option<(Arc<dyn RequestBudget>, String)>,
}

impl MonitorPolicy {
    /// The grid of a series.
    pub(crate) fn grid(&self, summary: Option<&Summary>) -> Grid {
        let first = summary.and_then(|known| known.listing.or(known.first));
        first.map_or(Grid::new(self.interval), |first| Grid::from_first(self.interval, first))
    }

    /// How many closed slots the exchange has not answered about at the series' end, by the local
    /// clock; see [`Summary::lag`].
    pub(crate) fn lag(&self, summary: Option<&Summary>, now: Timestamp) -> u64 {
        let grid = self.grid(summary);
        let closed_until = grid.closed_until(now, self.grace);
        let since = grid.floor(closed_until.saturating_sub(DAY * self.days));
        match summary {
            Some(summary) => summary.lag(grid, since, closed_until),
            None => grid.slots_behind(since, closed_until),
        }
    }
}

impl Monitor {
    /// Watches the `tracked` assets in `coverage`.
    #[must_use]
    pub fn new(
        coverage: Arc<dyn Coverage>,
        clock: Arc<dyn Clock>,
        tracked: Vec<Asset>,
        policy: MonitorPolicy,
    ) -> Self {
        Self { coverage, clock, tracked, policy, jobs: None, budget: None }
    }

    /// The same, which also watches jobs.
    #[must_use]
    pub fn with_jobs(self, jobs: Arc<dyn Jobs>) -> Self {
        Self { jobs: Some(jobs), ..self }
    }

    /// The same, which also watches whether `exchange` wants no requests.
    #[must_use]
    pub fn with_budget(self, budget: Arc<dyn RequestBudget>, exchange: String) -> Self {
        Self { budget: Some((budget, exchange)), ..self }
    }

    /// How the series stand now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run(&self) -> Result<Observed, StoreError> {
        let summaries = self.coverage.summaries().await?;
        let now = self.clock.now();
        let lag = |&asset: &Asset| {
            let summary = summaries.iter().find(|summary| summary.asset == asset);
            (asset, self.policy.lag(summary, now))
        };
        let lags = self.tracked.iter().map(lag).collect();
        let mut holes: BTreeMap<Cause, u64> = Cause::ALL.into_iter().map(|cause| (cause, 0)).collect();
        for count in self.coverage.hole_counts().await? {
            *holes.entry(count.cause).or_default() += count.holes;
        }
        Ok(Observed { lags, holes, jobs: self.job_counts().await?, ban: self.ban().await? })
    }

    async fn job_counts(&self) -> Result<BTreeMap<JobState, u64>, StoreError> {
        let Some(jobs) = &self.jobs else { return Ok(BTreeMap::new()) };
        let mut counts: BTreeMap<JobState, u64> = JobState::ALL.into_iter().map(|state| (state, 0)).collect();
        counts.extend(jobs.counts().await?);
        Ok(counts)
    }

    async fn ban(&self) -> Result<Duration, StoreError> {
        let Some((budget, exchange)) = &self.budget else { return Ok(Duration::ZERO) };
        Ok(budget.paused(exchange).await?.map_or(Duration::ZERO, |paused| paused.left))
    }
}
