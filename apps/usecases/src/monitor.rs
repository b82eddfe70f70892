//! What there is to watch about the stored series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Cause, Grid, Interval, Summary, Timestamp};
use ohlcv_ports::{Clock, Coverage, StoreError};

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
    /// not answered about at the series' end.
    pub lags: Vec<(Asset, u64)>,
    /// How many holes the ledger has of each cause; all causes are there.
    pub holes: BTreeMap<Cause, u64>,
}

/// Tells how the stored series stand. Reads summaries and counts holes; its cost does not grow with
/// the candles. Closed is decided by the local clock, so that the exchange need not be asked.
#[derive(Clone, Debug)]
pub struct Monitor {
    coverage: Arc<dyn Coverage>,
    clock: Arc<dyn Clock>,
    tracked: Vec<Asset>,
    policy: MonitorPolicy,
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
        Self { coverage, clock, tracked, policy }
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
            (asset, self.lag(summary, now))
        };
        let lags = self.tracked.iter().map(lag).collect();
        let mut holes: BTreeMap<Cause, u64> = Cause::ALL.into_iter().map(|cause| (cause, 0)).collect();
        for (_, cause, count) in self.coverage.hole_counts().await? {
            *holes.entry(cause).or_default() += count;
        }
        Ok(Observed { lags, holes })
    }

    fn lag(&self, summary: Option<&Summary>, now: Timestamp) -> u64 {
        let first = summary.and_then(|known| known.listing.or(known.first));
        let grid = first
            .map_or(Grid::new(self.policy.interval), |first| Grid::from_first(self.policy.interval, first));
        let closed_until = grid.closed_until(now, self.policy.grace);
        let answered_until = summary.and_then(|known| known.answered_until);
        let wanted_since = || grid.floor(closed_until.saturating_sub(DAY * self.policy.days));
        grid.slots_behind(answered_until.unwrap_or_else(wanted_since), closed_until)
    }
}
