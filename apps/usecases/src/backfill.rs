//! A historic span, page by page.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Grid, SlotRange, TimeRange, Timestamp};

use crate::fetch::{AssetRun, Break, FetchContext};
use crate::fill_gaps::Which;
use crate::report::{AssetError, AssetReport, Outcome, RunReport};
use crate::standing::conclude;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How much history is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillGoal {
    /// How many days back from the last closed candle are wanted.
    pub days: u32,
    /// How many days back this one run goes, where that is not as far as wanted.
    pub only_days: Option<u32>,
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
    conclude(run, goal, ended).await
}

async fn backfill(run: &mut AssetRun<'_>, goal: BackfillGoal) -> Result<Outcome, Break> {
    run.trust_clocks()?;
    let Some((grid, listing)) = run.grid(goal.force).await? else {
        return Ok(Outcome::Incomplete("the exchange has no candles of it yet".to_owned()));
    };
    let closed_until = run.closed_until(grid)?;
    run.settled = run.summary().await?.and_then(|known| known.last);
    let days = goal.only_days.unwrap_or(goal.days);
    let aim = grid.floor(closed_until.saturating_sub(DAY * days));
    if let Ok(wanted) = TimeRange::new(aim, closed_until) {
        run.extend(grid.slots_in(wanted), listing).await?;
    }
    let summary = run.summary().await?;
    if let Some((span, answered_until)) = summary.and_then(|known| known.span.zip(known.answered_until)) {
        let slots = grid.slots_in(span);
        run.audit(slots).await?;
        if goal.force {
            let asked_again = slots.from(aim.max(grid.floor(listing))).before(closed_until);
            ask_again(run, asked_again).await?;
        }
        let closed = slots.before(closed_until);
        // Before the holes: a page about what moved in answers for the holes within it as well.
        let unverified = run.confirm(closed).await?;
        if unverified.are_hopeless() {
            unverified.into_result()?;
        } else {
            let filled = run.fill_gaps(closed, answered_until, Which::DueOrFailed).await;
            unverified.into_result().and(filled)?;
        }
    }
    Ok(Outcome::Done)
}

/// Asks for every slot, stored or not.
async fn ask_again(run: &mut AssetRun<'_>, slots: SlotRange) -> Result<(), Break> {
    run.expect(slots.len());
    let mut asks = run.asks([(slots, Arc::clone(&run.context.source))]);
    while let Some(asked) = asks.next().await {
        run.ingest(asked, &mut Vec::new()).await.map_err(|unanswered| unanswered.cause)?;
    }
    Ok(())
}

impl AssetRun<'_> {
    /// The grid of the series and the open time of its first candle on the exchange, which is asked
    /// if that is not known yet, or `anew`; none if it has had no candle yet.
    pub(crate) async fn grid(&self, anew: bool) -> Result<Option<(Grid, Timestamp)>, Break> {
        let interval = self.context.policy.interval;
        let known = self.summary().await?.and_then(|known| known.listing);
        let listing = match known.filter(|_| !anew) {
            Some(listing) => listing,
            None => match self.listing().await? {
                Some(listing) => listing,
                None => return Ok(None),
            },
        };
        // A stored series keeps its grid, whatever the exchange says later.
        let grid = Grid::from_first(interval, known.unwrap_or(listing));
        let listing = known.filter(|_| Grid::from_first(interval, listing) != grid).unwrap_or(listing);
        Ok(Some((grid, listing)))
    }

    /// The open time of its first candle on the exchange, which is asked; none if it has had none yet.
    pub(crate) async fn listing(&self) -> Result<Option<Timestamp>, Break> {
        let listing = self.context.source.listing(self.asset, self.context.policy.interval);
        match self.context.stop.run_until_cancelled(listing).await {
            Some(listing) => Ok(listing?),
            None => Err(Break::Stopped),
        }
    }
}
