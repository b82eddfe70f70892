//! What all fetching use-cases work with, and how they go through assets side by side.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use ohlcv_domain::{Applied, Asset, Closing, Commit, Fence, Grid, Interval, JobId, Summary, Timestamp};
use ohlcv_ports::{CandleSource, CandleStore, Clock, Coverage, StoreError};
use tokio_util::sync::CancellationToken;

use crate::lease_terms::lease_of;
use crate::report::{AssetError, AssetReport, Gains, Outcome, Progress, ProgressSink, ReportSink};
use crate::{ExchangeTime, Kept, LeaseTerms, PageRoom, RunReport};

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
    /// How many pages of one asset are asked for at once, or wait to be stored; at least one.
    pub pages_at_once: usize,
}

/// The ports that fetching needs.
#[derive(Clone)]
pub struct FetchContext {
    /// The exchange.
    pub source: Arc<dyn CandleSource>,
    /// The same exchange's candles in larger pages, for holes that it was never asked about, except at
    /// a catch-up; none: those are asked of `source`, too.
    pub bulk: Option<Arc<dyn CandleSource>>,
    /// Room for the pages that are asked for ahead, shared with the other runs of this process.
    pub room: PageRoom,
    /// Where candles go.
    pub store: Arc<dyn CandleStore>,
    /// The ledger of holes.
    pub coverage: Arc<dyn Coverage>,
    /// The local clock.
    pub clock: Arc<dyn Clock>,
    /// What is fetched, and how.
    pub policy: FetchPolicy,
    /// On what terms the lease of each asset is taken; without, nobody else works here.
    pub terms: Option<LeaseTerms>,
    /// How long to wait for an asset that another process works on; none: as long as that takes.
    pub patience: Option<Duration>,
    /// The job that is worked on; none for a scheduled run.
    pub job: Option<JobId>,
    /// Cancelled when the work has to stop. A write in hand is finished, a request is abandoned.
    pub stop: CancellationToken,
    /// Where progress goes.
    pub progress: ProgressSink,
    /// Told of each asset as soon as the work on it has ended.
    pub ended: ReportSink,
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
    pub(crate) fence: Option<Fence>,
    /// The newest stored candle before the run: the page that begins behind it reads it once more, for
    /// exchanges adjust candles shortly after their close.
    pub(crate) settled: Option<Timestamp>,
    /// Who is asked about holes that were never asked about.
    pub(crate) bulk: &'a Arc<dyn CandleSource>,
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
        let reports =
            self.side_by_side(assets, time, work, AssetReport::empty, |report| (self.ended)(report)).await;
        Ok(RunReport { time, assets: reports })
    }

    /// Works on all assets, some at once, each under its lease; `undone` is what comes of one that
    /// cannot be worked on, `ended` hears of each as soon as the work on it has ended.
    pub(crate) async fn side_by_side<'a, T, F>(
        &'a self,
        assets: &[Asset],
        time: ExchangeTime,
        work: impl Fn(AssetRun<'a>) -> F,
        undone: impl Fn(Asset, Outcome) -> T,
        ended: impl Fn(&T),
    ) -> Vec<T>
    where
        F: Future<Output = T>,
    {
        let mut runs = Vec::with_capacity(assets.len());
        for (position, &asset) in assets.iter().enumerate() {
            let progress = Progress { asset, done: 0, expected: 0 };
            let run = AssetRun {
                context: self,
                asset,
                time,
                gains: Gains::default(),
                progress,
                fence: None,
                settled: None,
                bulk: self.bulk.as_ref().unwrap_or(&self.source),
            };
            let reported = self.under_lease(run, &work, &undone);
            let ended = &ended;
            runs.push(async move {
                let report = reported.await;
                ended(&report);
                (position, report)
            });
        }
        let at_once = self.policy.assets_at_once.max(1);
        let mut reports: Vec<(usize, T)> =
            futures::stream::iter(runs).buffer_unordered(at_once).collect().await;
        reports.sort_by_key(|(position, _)| *position);
        reports.into_iter().map(|(_, report)| report).collect()
    }
}

impl FetchContext {
    /// Works on an asset while nobody else does.
    async fn under_lease<'a, T, F>(
        &'a self,
        mut run: AssetRun<'a>,
        work: impl Fn(AssetRun<'a>) -> F,
        undone: impl Fn(Asset, Outcome) -> T,
    ) -> T
    where
        F: Future<Output = T>,
    {
        let asset = run.asset;
        if self.stop.is_cancelled() {
            return undone(asset, Outcome::Stopped);
        }
        let Some(terms) = &self.terms else {
            (self.progress)(run.progress);
            return work(run).await;
        };
        let lease = lease_of(asset);
        let taken = terms.wait_for(&lease, self.patience, &self.stop).await;
        let fence = match taken {
            Ok(Some(fence)) => fence,
            Ok(None) if self.stop.is_cancelled() => return undone(asset, Outcome::Stopped),
            Ok(None) => return undone(asset, Outcome::Busy),
            Err(error) => return undone(asset, Outcome::Failed(error.into())),
        };
        run.fence = Some(fence.clone());
        (self.progress)(run.progress);
        match terms.keep(&fence, work(run)).await {
            Kept::Done(report) => report,
            Kept::Lost => {
                let lost = StoreError::LeaseLost { lease: fence.lease };
                undone(asset, Outcome::Failed(lost.into()))
            }
        }
    }
}

impl AssetRun<'_> {
    /// Writes, as long as the lease of this run stands.
    pub(crate) async fn apply(&self, commit: Commit) -> Result<Applied, StoreError> {
        self.context.store.apply(commit.with_fence(self.fence.clone()).with_job(self.context.job)).await
    }

    /// When a candle counts as closed, as known before any page of this run is asked for.
    pub(crate) fn closing(&self) -> Closing {
        Closing { exchange_now: self.time.exchange, grace: self.context.policy.grace, settling: SETTLING }
    }

    /// Where the closed part of the series ends, if the clocks can be trusted to say so.
    pub(crate) fn closed_until(&self, grid: Grid) -> Result<Timestamp, AssetError> {
        self.trust_clocks()?;
        Ok(grid.closed_until(self.time.exchange, self.context.policy.grace))
    }

    /// Fails while the clocks cannot be trusted.
    pub(crate) fn trust_clocks(&self) -> Result<(), AssetError> {
        if self.time.trusted() {
            return Ok(());
        }
        let ExchangeTime { exchange, local } = self.time;
        Err(AssetError::Clocks { exchange, local })
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
