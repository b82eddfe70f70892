//! The candles of one range, because somebody asked for them.

use ohlcv_domain::{Asset, TimeRange};

use crate::BackfillGoal;
use crate::fetch::{AssetRun, Break, FetchContext};
use crate::fill_gaps::Which;
use crate::report::{AssetError, AssetReport, Outcome, RunReport};
use crate::standing::conclude;

/// Fetches what is missing of a range, whose bounds widen to the grid; its end is cut at the last
/// closed candle, its start at the listing. A range beside the stored span extends the span: what
/// lies between is healed last.
#[derive(Clone, Debug)]
pub struct FetchRange {
    context: FetchContext,
    goal: BackfillGoal,
    range: TimeRange,
}

impl FetchRange {
    /// A fetch of `range`; whether the whole history is complete afterwards is judged by `goal`.
    #[must_use]
    pub fn new(context: FetchContext, goal: BackfillGoal, range: TimeRange) -> Self {
        Self { context, goal, range }
    }

    /// Works on all assets; what fails for one is in its report and stops no other.
    ///
    /// # Errors
    /// [`AssetError`] if the exchange does not even tell its time: then nothing was done.
    pub async fn run(&self, assets: &[Asset]) -> Result<RunReport, AssetError> {
        self.context.for_each_asset(assets, |run| self.asset(run)).await
    }

    async fn asset(&self, mut run: AssetRun<'_>) -> AssetReport {
        match fetch_range(&mut run, self.range).await {
            Ok(outcome) => {
                let report = conclude(run, self.goal, Ok(Outcome::Done)).await.without_lack();
                // What the range lacks is no word about the history.
                if matches!(report.outcome, Outcome::Done) {
                    AssetReport { outcome, ..report }
                } else {
                    report
                }
            }
            ended => conclude(run, self.goal, ended).await,
        }
    }
}

async fn fetch_range(run: &mut AssetRun<'_>, range: TimeRange) -> Result<Outcome, Break> {
    run.trust_clocks()?;
    let Some((grid, listing)) = run.grid(false).await? else {
        return Ok(Outcome::Incomplete("the exchange has no candles of it yet".to_owned()));
    };
    let closed_until = run.closed_until(grid)?;
    let start = grid.floor(range.start()).max(grid.floor(listing));
    let end = grid.ceil(range.end()).min(closed_until);
    let wanted = TimeRange::new(start, end).ok().filter(|wanted| !wanted.is_empty());
    let Some(wanted) = wanted else {
        return Ok(Outcome::Incomplete(format!(
            "no candle of it in {range}: the first one opened {listing}, the last closed one ended {closed_until}"
        )));
    };
    let wanted = grid.slots_in(wanted);
    run.extend(wanted, listing).await?;
    run.audit(wanted).await?;
    let summary = run.summary().await?;
    if let Some((span, answered_until)) = summary.and_then(|known| known.span.zip(known.answered_until)) {
        run.fill_gaps(wanted, answered_until, Which::DueOrFailed).await?;
        run.fill_gaps(grid.slots_in(span).before(closed_until), answered_until, Which::Due).await?;
    }
    Ok(Outcome::Done)
}
