//! What all fetching use-cases work with, and how they go through assets side by side.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use ohlcv_domain::{Asset, Closing, Grid, Interval, Summary, Timestamp};
use ohlcv_ports::{CandleSource, CandleStore, Clock, Coverage};
use tokio_util::sync::CancellationToken;

use crate::report::{AssetError, AssetReport, Gains, Outcome, Progress, ProgressSink};
use crate::{ExchangeTime, RunReport};

/// How long after its end a newest candle that is missing may still be on its way.
const SETTLING: Duration = Duration::from_secs(15 * 60);

/// What is fetched, and how.
#[derive(Clone, Copy, Debug)]
pub struct FetchPolicy {
    /// The one interval that is stored.
    pub interval: Interval,
    /// How long after its end a candle counts as closed.
    pub grace: Duration,
    /// How many assets are worked on at once; at least one.
    pub assets_at_once: usize,
}

/// The ports that fetching needs.
#[derive(Clone)]
pub struct FetchContext {
    /// The exchange.
    pub source: Arc<dyn CandleSource>,
    /// Where candles go.
    pub store: Arc<dyn CandleStore>,
    /// The ledger of holes.
    pub coverage: Arc<dyn Coverage>,
    /// The local clock.
    pub clock: Arc<dyn Clock>,
    /// What is fetched, and how.
    pub policy: FetchPolicy,
    /// Cancelled when the work has to stop. A write in hand is finished, a request is abandoned.
    pub stop: CancellationToken,
    /// Where progress goes.
    pub progress: ProgressSink,
}

impl std::fmt::Debug for FetchContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchContext").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The work on one asset within one run.
pub(crate) struct AssetRun<'a> {
    pub(crate) context: &'a FetchContext,
    pub(crate) asset: Asset,
    pub(crate) time: ExchangeTime,
    pub(crate) gains: Gains,
    pub(crate) progress: Progress,
}

/// Why the work on an asset ends early.
pub(crate) enum Break {
    Stopped,
    Failed(AssetError),
}

impl<E: Into<AssetError>> From<E> for Break {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl FetchContext {
    /// Reads the exchange's clock, then works on all assets, some at once; none waits for another.
    pub(crate) async fn for_each_asset<'a, F>(
        &'a self,
        assets: &[Asset],
        work: impl Fn(AssetRun<'a>) -> F,
    ) -> Result<RunReport, AssetError>
    where
        F: Future<Output = AssetReport>,
    {
        let time = ExchangeTime::read(self.source.as_ref(), self.clock.as_ref());
        let Some(time) = self.stop.run_until_cancelled(time).await else {
            return Ok(RunReport::stopped(assets, self.clock.now()));
        };
        let time = time?;
        let mut runs = Vec::with_capacity(assets.len());
        for (position, &asset) in assets.iter().enumerate() {
            let progress = Progress { asset, done: 0, expected: 0 };
            let run = AssetRun { context: self, asset, time, gains: Gains::default(), progress };
            let reported = work(run);
            runs.push(async move { (position, reported.await) });
        }
        let at_once = self.policy.assets_at_once.max(1);
        let mut reports: Vec<(usize, AssetReport)> =
            futures::stream::iter(runs).buffer_unordered(at_once).collect().await;
        reports.sort_by_key(|(position, _)| *position);
        Ok(RunReport { time, assets: reports.into_iter().map(|(_, report)| report).collect() })
    }
}

impl AssetRun<'_> {
    /// When a candle counts as closed, as known before any page of this run is asked for.
    pub(crate) fn closing(&self) -> Closing {
        Closing { exchange_now: self.time.exchange, grace: self.context.policy.grace, settling: SETTLING }
    }

    /// Where the closed part of the series ends, if the clocks can be trusted to say so.
    pub(crate) fn closed_until(&self, grid: Grid) -> Result<Timestamp, AssetError> {
        if !self.time.trusted() {
            let ExchangeTime { exchange, local } = self.time;
            return Err(AssetError::Clocks { exchange, local });
        }
        Ok(grid.closed_until(self.time.exchange, self.context.policy.grace))
    }

    pub(crate) async fn summary(&self) -> Result<Option<Summary>, AssetError> {
        Ok(self.context.coverage.summary(self.asset).await?)
    }

    pub(crate) fn expect(&mut self, slots: u64) {
        self.progress.expected += slots;
        (self.context.progress)(self.progress);
    }

    pub(crate) fn advance(&mut self, slots: u64) {
        self.progress.done += slots;
        (self.context.progress)(self.progress);
    }

    pub(crate) fn report(
        &self,
        behind: bool,
        due: Option<Timestamp>,
        ended: Result<Outcome, Break>,
    ) -> AssetReport {
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(Break::Stopped) => Outcome::Stopped,
            Err(Break::Failed(error)) => Outcome::Failed(error),
        };
        AssetReport { asset: self.asset, gains: self.gains, behind, due, outcome }
    }
}
