//! The loop that keeps the candles up to date. What a run does stands in the use-cases.

use std::time::Duration;

use ohlcv_domain::{Grid, Timestamp, next_look};
use ohlcv_ports::Clock;
use ohlcv_usecases::{AssetError, ExchangeTime, Kept, ProgressSink, RunReport};
use tokio_util::sync::CancellationToken;

use crate::run_log;
use crate::wiring::App;

/// How soon to look again while the newest candles are missing or the exchange is away.
const RETRY_FIRST: Duration = Duration::from_secs(30);
/// The longest wait before looking again, doubling up to it.
const RETRY_MAX: Duration = Duration::from_secs(600);
/// How often the stored rows themselves are compared with the ledger.
const AUDIT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest nap: a clock that was set, or a machine that slept, is noticed this soon.
const NAP_MAX: Duration = Duration::from_secs(20);

/// The lease of the one scheduler that leads.
const LEADER: &str = "scheduler";

/// Leads whenever no other process does, and keeps the candles up to date as long as it leads. Ends
/// when it is stopped; the others need not wait for its lease to run out then.
///
/// `after_run` is called when a run has ended, before its outcome is logged.
pub async fn run(app: &App, stop: &CancellationToken, progress: ProgressSink, after_run: impl Fn()) {
    let terms = app.lease_terms();
    let mut standing_by = false;
    while !stop.is_cancelled() {
        match terms.try_take(LEADER).await {
            Ok(Some(fence)) => {
                tracing::info!("this scheduler leads");
                standing_by = false;
                let leading = Leading::begin();
                let work = keep_up(app, stop, ProgressSink::clone(&progress), &after_run);
                let kept = terms.keep(&fence, work).await;
                drop(leading);
                if kept == Kept::Lost {
                    after_run();
                    tracing::warn!("this scheduler no longer leads: its lease ran out");
                }
                continue;
            }
            Ok(None) if standing_by => {}
            Ok(None) => {
                tracing::info!("another scheduler leads; this one stands by");
                standing_by = true;
            }
            Err(error) => tracing::error!("cannot tell who leads: {error}"),
        }
        let pause = tokio::time::sleep(terms.look_interval());
        stop.run_until_cancelled(pause).await;
    }
}

/// Shows in the metrics that this process leads, as long as it lives.
struct Leading;

impl Leading {
    fn begin() -> Self {
        metrics::gauge!("ohlcv_scheduler_leader").set(1);
        Self
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        metrics::gauge!("ohlcv_scheduler_leader").set(0);
    }
}

/// Backfills, then catches up at candle closes until it is stopped. Never gives up: what fails is
/// logged and tried again.
async fn keep_up(app: &App, stop: &CancellationToken, progress: ProgressSink, after_run: &impl Fn()) {
    let assets = app.settings.tracked_assets.clone();
    let clock = app.clock();
    let mut pace = Pace::new(app);
    let mut audited: Option<Timestamp> = None;
    while !stop.is_cancelled() {
        let now = clock.now();
        let audit = audited.is_none_or(|at| now.since(at) >= AUDIT_EVERY);
        let report = if audit {
            app.scheduled_backfill(stop.clone(), ProgressSink::clone(&progress)).run(&assets).await
        } else {
            app.catch_up(stop.clone(), ProgressSink::clone(&progress)).run(&assets).await
        };
        after_run();
        run_log::log(&report);
        // What failed may not have come as far as the comparison.
        if audit && report.as_ref().is_ok_and(|report| !report.is_unfinished()) {
            audited = Some(now);
        }
        let wake = pace.after(&report, clock.now());
        tracing::debug!("looking again at {wake} by the exchange's clock");
        sleep_until(&pace, wake, clock.as_ref(), stop).await;
    }
}

/// When to look again.
struct Pace {
    grid: Grid,
    every: Duration,
    grace: Duration,
    retry: Duration,
    time: Option<ExchangeTime>,
}

impl Pace {
    fn new(app: &App) -> Self {
        Self {
            grid: Grid::new(app.settings.candle_interval),
            every: app.settings.fetch_interval,
            grace: app.settings.finality_grace,
            retry: RETRY_FIRST,
            time: None,
        }
    }

    /// The exchange's time, as far as it is known.
    fn exchange_at(&self, local: Timestamp) -> Timestamp {
        self.time.map_or(local, |time| time.exchange_at(local))
    }

    /// The time, by the exchange's clock, of the look after a run that ended at `local`: the next
    /// close, an earlier hole whose time comes, or a repetition if more may come any time.
    fn after(&mut self, report: &Result<RunReport, AssetError>, local: Timestamp) -> Timestamp {
        let (again, due) = match report {
            Ok(report) => {
                self.time = Some(report.time);
                (report.is_worth_repeating(), report.next_due())
            }
            Err(_) => (true, None),
        };
        let now = self.exchange_at(local);
        // Counted from the start of the run: a candle that closed meanwhile is not passed over. The
        // grace belongs to every look, for a candle counts as closed only behind it.
        let from = report.as_ref().map_or(now, |report| report.time.exchange);
        let look =
            next_look(self.grid, self.every, from.saturating_sub(self.grace)).saturating_add(self.grace);
        // What is due is not asked about more often than what failed.
        let soonest = now.saturating_add(self.retry);
        let look = due.map_or(look, |due| look.min(self.exchange_at(due).max(soonest)));
        let failed = report.as_ref().map_or(true, RunReport::has_failures);
        self.retry = if again || failed { (self.retry * 2).min(RETRY_MAX) } else { RETRY_FIRST };
        if again { look.min(soonest) } else { look }
    }
}

/// Sleeps until the exchange's clock shows `wake`, in short naps.
async fn sleep_until(pace: &Pace, wake: Timestamp, clock: &dyn Clock, stop: &CancellationToken) {
    loop {
        let left = wake.since(pace.exchange_at(clock.now()));
        if left.is_zero() {
            return;
        }
        let nap = tokio::time::sleep(left.min(NAP_MAX));
        if stop.run_until_cancelled(nap).await.is_none() {
            return;
        }
    }
}
