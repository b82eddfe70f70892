//! From the newest stored candle to the last closed one.

use ohlcv_domain::{Asset, Grid, TimeRange};

use crate::BackfillGoal;
use crate::backfill::backfill_asset;
use crate::fetch::{AssetRun, Break, FetchContext};
use crate::fill_gaps::Which;
use crate::report::{AssetError, AssetReport, Outcome, RunReport};
use crate::standing::conclude;

/// Brings assets up to date: the newest closed candles, then the holes whose time has come. Never
/// an open candle; with nothing to do it asks for no candles. Its cost does not grow with what is
/// stored. An asset that was never fetched is backfilled. The end of one whose market has stopped is
/// asked about once a day.
#[derive(Clone, Debug)]
pub struct CatchUp {
    context: FetchContext,
    goal: BackfillGoal,
}

impl CatchUp {
    /// A catch-up that backfills new assets towards `goal`.
    #[must_use]
    pub fn new(context: FetchContext, goal: BackfillGoal) -> Self {
        Self { context, goal }
    }

    /// Works on all assets; what fails for one is in its report and stops no other.
    ///
    /// # Errors
    /// [`AssetError`] if the exchange does not even tell its time: then nothing was done.
    pub async fn run(&self, assets: &[Asset]) -> Result<RunReport, AssetError> {
        self.context.for_each_asset(assets, |run| self.asset(run)).await
    }

    async fn asset(&self, mut run: AssetRun<'_>) -> AssetReport {
        match catch_up(&mut run).await {
            Ok(Some(())) => conclude(run, self.goal, Ok(Outcome::Done)).await.without_lack(),
            Ok(None) => backfill_asset(run, self.goal).await,
            Err(ended) => conclude(run, self.goal, Err(ended)).await,
        }
    }
}

/// None if there is nothing yet to catch up from.
async fn catch_up(run: &mut AssetRun<'_>) -> Result<Option<()>, Break> {
    let Some(summary) = run.summary().await? else { return Ok(None) };
    let Some((span, listing)) = summary.span.zip(summary.listing) else { return Ok(None) };
    // New candles are not to wait for what is slow to begin with.
    run.bulk = &run.context.source;
    let grid = Grid::from_first(run.context.policy.interval, listing);
    let closed_until = run.closed_until(grid)?;
    let answered_until = summary.answered_until.unwrap_or(span.start());
    if let Some(rests_from) = summary.rests_from(grid, closed_until) {
        let slots = grid.slots_in(span).before(rests_from);
        run.fill_gaps(slots, answered_until, Which::Due).await?;
        return Ok(Some(()));
    }
    let wanted = TimeRange::new(span.start(), span.end().max(closed_until)).unwrap_or(span);
    let slots = grid.slots_in(wanted);
    run.extend(slots, listing).await?;
    run.settled = summary.last;
    run.fill_gaps(slots.before(closed_until), answered_until, Which::Due).await?;
    Ok(Some(()))
}
