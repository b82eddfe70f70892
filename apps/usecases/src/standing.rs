//! How an asset stands when the work on it has ended: judged from the ledger alone.

use ohlcv_domain::{BackfillState, Cause, Grid, Hole, Summary, TimeRange, Timestamp};

use crate::BackfillGoal;
use crate::backfill::DAY;
use crate::fetch::{AssetRun, Break};
use crate::report::{AssetReport, Outcome};

/// What the ledger says of an asset.
struct Standing {
    /// Why the wanted history is not complete; none if it is.
    lacking: Option<String>,
    /// Whether candles are missing whose answer may come any time.
    behind: bool,
    /// When the next hole should be asked about, by the local clock.
    due: Option<Timestamp>,
}

/// Judges an asset, notes whether its backfill is completed, and reports.
pub(crate) async fn conclude(
    run: AssetRun<'_>,
    goal: BackfillGoal,
    ended: Result<Outcome, Break>,
) -> AssetReport {
    if matches!(ended, Err(Break::Stopped)) {
        return run.report(true, None, ended);
    }
    match note(&run, goal, &ended).await {
        Ok(standing) => {
            let ended = ended.map(|outcome| match (outcome, standing.lacking) {
                (Outcome::Done, Some(lacking)) => Outcome::Incomplete(lacking),
                (outcome, _) => outcome,
            });
            run.report(standing.behind, standing.due, ended)
        }
        // What failed first tells more than that it could not be noted.
        Err(error) => run.report(true, None, ended.and(Err(error))),
    }
}

async fn note(
    run: &AssetRun<'_>,
    goal: BackfillGoal,
    ended: &Result<Outcome, Break>,
) -> Result<Standing, Break> {
    let summary = run.summary().await?;
    let standing = match &summary {
        Some(summary) => judge(run, goal, summary, ended.is_ok()).await?,
        None => Standing { lacking: Some(String::new()), behind: true, due: None },
    };
    let reason = match (&standing.lacking, ended) {
        (None, _) => None,
        (Some(_), Err(Break::Failed(error))) => Some(error.to_string()),
        (Some(_), Ok(Outcome::Incomplete(reason))) => Some(reason.clone()),
        (Some(lacking), _) => Some(lacking.clone()),
    };
    let state = BackfillState { completed: reason.is_none(), reason: reason.unwrap_or_default() };
    run.context.coverage.record_backfill(run.asset, state, run.fence.clone()).await?;
    // An exchange without candles of it is looked at again when candles close, not sooner.
    let behind = standing.behind && !matches!(ended, Ok(Outcome::Incomplete(_)));
    Ok(Standing { behind, ..standing })
}

async fn judge(
    run: &AssetRun<'_>,
    goal: BackfillGoal,
    summary: &Summary,
    all_asked: bool,
) -> Result<Standing, Break> {
    let Some((span, answered_until)) = summary.span.zip(summary.answered_until) else {
        return Ok(Standing { lacking: Some(String::new()), behind: true, due: None });
    };
    let listing = summary.listing.or(summary.first).unwrap_or(span.start());
    let grid = Grid::from_first(run.context.policy.interval, listing);
    let holes = run.holes(span).await?;
    let unverified = run.context.coverage.unverified(run.asset, span, 1).await?;
    let now = run.context.clock.now();
    // With clocks that cannot be trusted nobody knows, so it is looked at again.
    let closed_until = run.closed_until(grid).ok();
    // The end of a series whose market has stopped is looked at once a day, whatever is due there.
    let rests_from = closed_until.and_then(|closed_until| summary.rests_from(grid, closed_until));
    let looked_at = |hole: &&Hole| rests_from.is_none_or(|from| hole.range.start() < from);
    let unanswered = holes.iter().filter(looked_at).any(|hole| hole.cause == Cause::Pending);
    let behind =
        closed_until.is_none_or(|closed_until| answered_until < closed_until && rests_from.is_none());
    let due = |hole: &Hole| if hole.is_due(now) { Some(now) } else { hole.due() };
    Ok(Standing {
        lacking: lacking(goal, grid, summary, span, answered_until, all_asked, &holes).or_else(|| {
            unverified.first().map(|range| format!("{range} moved in and is still to be verified"))
        }),
        behind: behind || unanswered,
        due: holes.iter().filter(looked_at).filter(|hole| hole.cause != Cause::Pending).filter_map(due).min(),
    })
}

/// What the history lacks: every wanted slot since the listing has to be stored or explained, and
/// there have to be enough of them. Newest slots whose answer may still come lack only until it does,
/// so they do not count, nor does anything newer than a history that was complete.
fn lacking(
    goal: BackfillGoal,
    grid: Grid,
    summary: &Summary,
    span: TimeRange,
    answered_until: Timestamp,
    all_asked: bool,
    holes: &[Hole],
) -> Option<String> {
    let counts = |hole: &&Hole| {
        let awaited = all_asked && hole.cause == Cause::Pending;
        let newer = hole.range.start() >= answered_until;
        !hole.cause.explains() && !(newer && (awaited || summary.backfill.completed))
    };
    let unexplained = holes.iter().find(counts);
    if let Some(Hole { range, cause, detail, .. }) = unexplained {
        return Some(format!("{range} is {cause}{}{detail}", if detail.is_empty() { "" } else { ": " }));
    }
    let listed = summary.listing.map_or(span.start(), |listing| grid.floor(listing));
    let since = span.start().max(listed);
    let days = answered_until.since(since).as_secs() / DAY.as_secs();
    let aim = grid.floor(span.end().saturating_sub(DAY * goal.days));
    if since > aim.max(listed) {
        return Some(format!("its history since {since} is {days} days long, {} are wanted", goal.days));
    }
    if days < u64::from(goal.days_min) {
        return Some(format!("its history since {since} is {days} days long, {} are needed", goal.days_min));
    }
    None
}
