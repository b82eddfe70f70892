//! A historic span, page by page.

use std::time::Duration;

use ohlcv_domain::{Asset, BackfillState, Grid, SlotRange, TimeRange, Timestamp, pages};

use crate::fetch::{AssetRun, Break, FetchContext};
use crate::fill_gaps::Which;
use crate::report::{AssetError, AssetReport, Outcome, RunReport};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How much history is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillGoal {
    /// How many days back from the last closed candle.
    pub days: u32,
    /// With fewer days than this on the exchange the backfill does not count as completed.
    pub days_min: u32,
    /// Ask for everything again, also for what is stored.
    pub force: bool,
}

/// Fetches the history of assets. Stopped after any page it can be run again and asks only for
/// what is missing.
#[derive(Clone, Debug)]
pub struct Backfill {
    context: FetchContext,
    goal: BackfillGoal,
}

impl Backfill {
    /// A backfill towards `goal`.
    #[must_use]
    pub fn new(context: FetchContext, goal: BackfillGoal) -> Self {
        Self { context, goal }
    }

    /// Works on all assets; what fails for one is in its report and stops no other.
    ///
    /// # Errors
    /// [`AssetError`] if the exchange does not even tell its time: then nothing was done.
    pub async fn run(&self, assets: &[Asset]) -> Result<RunReport, AssetError> {
        self.context.for_each_asset(assets, |run| backfill_asset(run, self.goal)).await
    }
}

/// The backfill of one asset.
pub(crate) async fn backfill_asset(mut run: AssetRun<'_>, goal: BackfillGoal) -> AssetReport {
    let ended = backfill(&mut run, goal).await;
    let reason = match &ended {
        Ok(Outcome::Incomplete(reason)) => Some(reason.clone()),
        Err(Break::Failed(error)) => Some(error.to_string()),
        _ => None,
    };
    let noted = match reason {
        Some(reason) => note_incomplete(&run, reason).await,
        None => Ok(()),
    };
    let behind = run.is_behind().await.unwrap_or(true);
    run.report(behind, ended.and_then(|outcome| noted.map(|()| outcome)))
}

async fn backfill(run: &mut AssetRun<'_>, goal: BackfillGoal) -> Result<Outcome, Break> {
    let summary = run.summary().await?;
    let interval = run.context.policy.interval;
    let known = summary.as_ref().and_then(|known| known.listing);
    let listing = match known.filter(|_| !goal.force) {
        Some(listing) => listing,
        None => match run.listing().await? {
            Some(listing) => listing,
            None => return Ok(Outcome::Incomplete("the exchange has no candles of it yet".to_owned())),
        },
    };
    // A stored series keeps its grid, whatever the exchange says later.
    let grid = Grid::from_first(interval, known.unwrap_or(listing));
    let listing = known.filter(|_| Grid::from_first(interval, listing) != grid).unwrap_or(listing);

    let closed = run.closed_until(grid);
    if let Ok(closed_until) = closed {
        let aim = grid.floor(closed_until.saturating_sub(DAY * goal.days));
        let wanted = TimeRange::new(aim, closed_until).map(|wanted| grid.slots_in(wanted));
        if let Ok(wanted) = wanted {
            run.extend(wanted, listing).await?;
        }
    }
    if let Some(slots) = run.span(grid).await? {
        run.audit(slots).await?;
        if goal.force {
            ask_again(run, slots.from(grid.floor(listing))).await?;
        }
        run.fill_gaps(slots, Which::DueOrFailed).await?;
    }
    closed?;
    judge(run, grid, listing, goal).await
}

/// Asks for every slot, stored or not.
async fn ask_again(run: &mut AssetRun<'_>, slots: SlotRange) -> Result<(), Break> {
    run.expect(slots.len());
    for page in pages(slots, run.context.source.page_slots_max()) {
        run.ingest(page).await.map_err(|unanswered| unanswered.cause)?;
    }
    Ok(())
}

/// Decides whether the backfill is completed, and notes it.
async fn judge(
    run: &AssetRun<'_>,
    grid: Grid,
    listing: Timestamp,
    goal: BackfillGoal,
) -> Result<Outcome, Break> {
    let summary = run.summary().await?;
    let Some((span, answered_until)) = summary.and_then(|known| known.span.zip(known.answered_until)) else {
        return Ok(Outcome::Done);
    };
    let answered = TimeRange::new(span.start(), answered_until).unwrap_or(span);
    let open = run.holes(answered).await?.into_iter().find(|hole| !hole.cause.explains());
    let since = answered.start().max(grid.floor(listing));
    let days = answered_until.since(since).as_secs() / DAY.as_secs();
    let reason = match open {
        Some(hole) => format!("{} is {}: {}", hole.range, hole.cause, hole.detail),
        None if days < u64::from(goal.days_min) => {
            format!("its history since {since} is {days} days long, {} are needed", goal.days_min)
        }
        None => {
            let completed = BackfillState { completed: true, reason: String::new() };
            run.context.coverage.record_backfill(run.asset, completed).await?;
            return Ok(Outcome::Done);
        }
    };
    Ok(Outcome::Incomplete(reason))
}

/// Notes why the backfill is not completed. One that was completed stays so: what fails today
/// takes nothing away from what is stored.
async fn note_incomplete(run: &AssetRun<'_>, reason: String) -> Result<(), Break> {
    let completed = run.summary().await?.is_some_and(|known| known.backfill.completed);
    if !completed {
        let state = BackfillState { completed, reason };
        run.context.coverage.record_backfill(run.asset, state).await?;
    }
    Ok(())
}

impl AssetRun<'_> {
    async fn listing(&self) -> Result<Option<Timestamp>, Break> {
        let listing = self.context.source.listing(self.asset, self.context.policy.interval);
        match self.context.stop.run_until_cancelled(listing).await {
            Some(listing) => Ok(listing?),
            None => Err(Break::Stopped),
        }
    }

    /// The slots that the ledger speaks of.
    pub(crate) async fn span(&self, grid: Grid) -> Result<Option<SlotRange>, AssetError> {
        let span = self.summary().await?.and_then(|known| known.span);
        Ok(span.map(|span| grid.slots_in(span)))
    }

    /// Whether closed candles at the end of the series are still missing.
    pub(crate) async fn is_behind(&self) -> Result<bool, AssetError> {
        let Some(summary) = self.summary().await? else { return Ok(true) };
        let Some((span, answered_until)) = summary.span.zip(summary.answered_until) else { return Ok(true) };
        let first = summary.listing.or(summary.first).unwrap_or(span.start());
        let grid = Grid::from_first(self.context.policy.interval, first);
        // With clocks that cannot be trusted nobody knows, so it is looked at again.
        Ok(self.closed_until(grid).map_or(true, |closed_until| answered_until < closed_until))
    }
}
