//! A job is worked on: under its lease, with its progress written down, to its end or the next
//! attempt.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ohlcv_domain::{Asset, Fence};
use ohlcv_ports::{CandleSource, ClaimedJob, Job, JobEnd, JobQueue, JobState, SourceError, StoreError, Work};
use tokio_util::sync::CancellationToken;

use crate::job_board::JobBoard;
use crate::report::{AssetError, AssetReport, Outcome, RunReport};
use crate::{Backfill, BackfillGoal, FetchContext, FetchRange, Kept, LeaseTerms};

/// A job is begun with at most this often, workers that died included.
const ATTEMPTS_MAX: u32 = 5;
/// The wait before the second attempt; each further wait is twice as long.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// The longest such wait. A ban that lasts longer is waited for.
const RETRY_MAX: Duration = Duration::from_secs(10 * 60);
/// How long a job waits in the queue while another process works on its assets.
const BUSY_PAUSE: Duration = Duration::from_secs(5);
/// How often progress is written down, and a wish to cancel noticed.
const RECORD_INTERVAL: Duration = Duration::from_secs(1);

/// Works on jobs, one at a time each; clones work side by side.
#[derive(Clone, Debug)]
pub struct RunJob {
    queue: Arc<dyn JobQueue>,
    terms: LeaseTerms,
    context: FetchContext,
    interactive: Arc<dyn CandleSource>,
    goal: BackfillGoal,
}

/// What became of a job in the hands of this worker.
#[derive(Debug)]
pub struct Worked {
    /// The job as it was claimed.
    pub job: Job,
    /// How it was given out of hands; none if it was lost to another worker.
    pub end: Option<JobEnd>,
    /// What was done with its assets; none if nothing was.
    pub report: Option<Result<RunReport, AssetError>>,
}

impl RunJob {
    /// Takes jobs from `queue` under `terms` and fetches as `context` says, through `interactive`
    /// where somebody waits. The history of assets is judged by `goal`.
    #[must_use]
    pub fn new(
        queue: Arc<dyn JobQueue>,
        terms: LeaseTerms,
        context: FetchContext,
        interactive: Arc<dyn CandleSource>,
        goal: BackfillGoal,
    ) -> Self {
        Self { queue, terms, context, interactive, goal }
    }

    /// Takes the next job, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self) -> Result<Option<ClaimedJob>, StoreError> {
        self.queue.claim(&self.terms.holder, self.terms.lasts).await
    }

    /// Works on a job until it ends, is stopped, or has to be tried again later.
    ///
    /// # Errors
    /// [`StoreError`] if its end could not be written down: another worker takes it up when the
    /// lease has run out.
    pub async fn work(&self, claimed: ClaimedJob) -> Result<Worked, StoreError> {
        self.under_lease(claimed, true).await
    }

    /// Makes a backfill that this process works on itself, at once and once: what fails is not
    /// tried again. If the process dies, a worker takes the job up.
    ///
    /// # Errors
    /// As [`RunJob::work`].
    pub async fn backfill(
        &self,
        assets: Vec<Asset>,
        days: Option<u32>,
        force: bool,
    ) -> Result<Worked, StoreError> {
        let job = ohlcv_ports::NewJob { work: Work::Backfill { days, force }, assets };
        let claimed = self.queue.start(job, &self.terms.holder, self.terms.lasts).await?;
        // Somebody waits for this process alone, so it waits for assets as long as that takes.
        let context = FetchContext { patience: None, ..self.context.clone() };
        Self { context, ..self.clone() }.under_lease(claimed, false).await
    }

    async fn under_lease(&self, claimed: ClaimedJob, may_repeat: bool) -> Result<Worked, StoreError> {
        let ClaimedJob { job, fence } = claimed;
        let work = async {
            let board = Arc::new(JobBoard::new(&job));
            let (report, cancelled) = self.fetch_minded(&job, &board, &fence).await;
            let end = match cancelled {
                Minded::Lost => return Ok((None, report)),
                Minded::Cancelled => JobEnd::Final(JobState::Cancelled),
                Minded::Undisturbed => self.end(&job, &board, report.as_ref(), may_repeat),
            };
            if let JobEnd::Final(state) = end {
                board.close(state);
            }
            self.queue.finish(job.id, &fence, end, &board.all()).await?;
            if let JobEnd::Final(state) = end {
                metrics::counter!("ohlcv_jobs_ended_total", "state" => state.as_str()).increment(1);
            }
            Ok((Some(end), report))
        };
        let (end, report) = match self.terms.keep(&fence, work).await {
            Kept::Done(done) => done?,
            Kept::Lost => (None, None),
        };
        Ok(Worked { job, end, report })
    }

    /// Fetches, and meanwhile writes the progress down and listens for a wish to cancel.
    async fn fetch_minded(
        &self,
        job: &Job,
        board: &Arc<JobBoard>,
        fence: &Fence,
    ) -> (Option<Result<RunReport, AssetError>>, Minded) {
        if job.attempts > ATTEMPTS_MAX {
            board.fail_rest(&format!(
                "given up: {ATTEMPTS_MAX} workers began with it and none came to its end"
            ));
            return (None, Minded::Undisturbed);
        }
        let stop = self.context.stop.child_token();
        let minded = OnceLock::new();
        // Side by side: what is fetched may hold the very lock that writing the progress down waits for.
        let report = tokio::select! {
            biased;
            report = self.fetch(job, board, &stop) => report,
            never = self.mind(job, board, fence, &stop, &minded) => match never {},
        };
        (Some(report), minded.into_inner().unwrap_or(Minded::Undisturbed))
    }

    /// Writes progress down from time to time. Stops the fetching, once, if somebody wishes so or
    /// another worker has the job; it ends with the fetching.
    async fn mind(
        &self,
        job: &Job,
        board: &JobBoard,
        fence: &Fence,
        stop: &CancellationToken,
        minded: &OnceLock<Minded>,
    ) -> Infallible {
        loop {
            tokio::time::sleep(RECORD_INTERVAL).await;
            let news = board.news();
            let reason = match self.queue.record(job.id, fence, &news).await {
                Ok(false) => continue,
                Ok(true) => Minded::Cancelled,
                Err(StoreError::LeaseLost { .. }) => Minded::Lost,
                Err(error) => {
                    board.not_told(&news);
                    tracing::debug!("the progress of job {} could not be written down: {error}", job.id);
                    continue;
                }
            };
            // The first reason counts.
            let _ = minded.set(reason);
            stop.cancel();
        }
    }

    async fn fetch(
        &self,
        job: &Job,
        board: &Arc<JobBoard>,
        stop: &CancellationToken,
    ) -> Result<RunReport, AssetError> {
        let (shown, told) = (self.context.clone(), self.context.clone());
        let (on_progress, on_end) = (Arc::clone(board), Arc::clone(board));
        let work = job.work;
        // Large pages are of the patient kind.
        let (source, bulk) = match work.is_interactive() {
            true => (&self.interactive, None),
            false => (&self.context.source, self.context.bulk.clone()),
        };
        let context = FetchContext {
            source: Arc::clone(source),
            bulk,
            job: Some(job.id),
            stop: stop.clone(),
            progress: Arc::new(move |progress| {
                on_progress.advanced(progress);
                (shown.progress)(progress);
            }),
            ended: Arc::new(move |report: &AssetReport| {
                on_end.ended(report);
                (told.ended)(report);
            }),
            ..self.context.clone()
        };
        let assets = board.left();
        match work {
            Work::CatchUp => Backfill::new(context, self.goal).run(&assets).await,
            Work::Range(range) => FetchRange::new(context, self.goal, range).run(&assets).await,
            Work::Backfill { days, force } => {
                let goal = BackfillGoal { only_days: days, force, ..self.goal };
                Backfill::new(context, goal).run(&assets).await
            }
        }
    }

    /// What becomes of a job whose run has ended by itself or was stopped with the process.
    fn end(
        &self,
        job: &Job,
        board: &JobBoard,
        report: Option<&Result<RunReport, AssetError>>,
        may_repeat: bool,
    ) -> JobEnd {
        let failed_together = match report {
            Some(Err(error)) => board.fail_rest(&error.to_string()),
            _ => Vec::new(),
        };
        if self.context.stop.is_cancelled() && !board.left().is_empty() {
            return if may_repeat {
                JobEnd::Again { after: Duration::ZERO, counts: false }
            } else {
                JobEnd::Final(JobState::Cancelled)
            };
        }
        let failures = report.map_or_else(Vec::new, passing_failures);
        if may_repeat && job.attempts < ATTEMPTS_MAX && !failures.is_empty() {
            let alone = failures.iter().filter_map(|(asset, _)| *asset);
            board.queue_again(&alone.chain(failed_together).collect::<Vec<_>>());
            let after = failures.iter().map(|(_, error)| self.wait(job.attempts, error)).max();
            return JobEnd::Again { after: after.unwrap_or(RETRY_FIRST), counts: true };
        }
        if may_repeat && !board.left().is_empty() {
            // Another process works on what is left: a place here is better used by another job.
            return JobEnd::Again { after: BUSY_PAUSE, counts: false };
        }
        JobEnd::Final(board.verdict())
    }

    /// How long to wait after a failed attempt: longer each time, and not into a ban.
    fn wait(&self, attempts: u32, error: &AssetError) -> Duration {
        let factor = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let wait = RETRY_FIRST.saturating_mul(factor).min(RETRY_MAX);
        match error {
            AssetError::Source(SourceError::RateLimited { until, .. }) => {
                wait.max(until.since(self.context.clock.now()))
            }
            _ => wait,
        }
    }
}

/// What happened to a job while it was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Minded {
    Undisturbed,
    Cancelled,
    Lost,
}

/// The failures that may not happen again, with their asset; none stands for all assets.
fn passing_failures(report: &Result<RunReport, AssetError>) -> Vec<(Option<Asset>, &AssetError)> {
    let failed = |report| match report {
        report @ &AssetReport { asset, outcome: Outcome::Failed(ref error), .. } if report.can_pass() => {
            Some((Some(asset), error))
        }
        _ => None,
    };
    match report {
        Ok(report) => report.assets.iter().filter_map(failed).collect(),
        Err(error) if error.can_pass() => vec![(None, error)],
        Err(_) => Vec::new(),
    }
}
