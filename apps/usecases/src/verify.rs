//! Stored against source, candle by candle.

mod against_source;
mod digest;
mod itself;
mod report;
mod stored_rows;
mod summary;

use std::sync::Arc;

use ohlcv_domain::{Asset, Breaks, Grid, SlotRange, TimeRange, Timestamp};

pub use report::{
    FAULTS_KEPT_MAX, Fault, FaultCount, FaultKind, Faults, MonthDigest, SummaryFault, Verification,
};

use crate::fetch::{AssetRun, Break, FetchContext};
use crate::{ExchangeTime, Outcome};

/// Where the verification of each asset goes as soon as there is one. Must not block.
pub type VerificationSink = Arc<dyn Fn(&Verification) + Send + Sync>;

/// Compares what is stored with itself and with the source: every candle, the ledger, the summary.
///
/// It changes nothing, unless it is told to repair. Then what the source has wins, through the same
/// write as a fetch; nothing is ever deleted, so rows that the source does not have stay. What another
/// process writes meanwhile is no fault: where something is wrong it is looked at a second time.
#[derive(Clone)]
pub struct Verify {
    context: FetchContext,
    range: TimeRange,
    repair: bool,
    ended: VerificationSink,
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify")
            .field("range", &self.range)
            .field("repair", &self.repair)
            .finish_non_exhaustive()
    }
}

/// What of one asset is looked at.
struct Scope {
    /// The slots of its span that are, on its grid.
    slots: SlotRange,
    /// All of the span.
    span: Option<TimeRange>,
    /// What was asked for.
    range: TimeRange,
    /// The stored rows, counted before anything else was looked at.
    rows: Breaks,
    /// Where its first candle opened, as far as is known here.
    listing: Option<Timestamp>,
    /// Whether what is wrong is to be mended.
    repair: bool,
}

impl Verify {
    /// A verification of the part of each series that lies in `range`, of which `ended` hears asset by
    /// asset. To `repair`, the context must have the terms on which leases are taken.
    #[must_use]
    pub fn new(context: FetchContext, range: TimeRange, repair: bool, ended: VerificationSink) -> Self {
        Self { context, range, repair, ended }
    }

    /// Works on all assets; what fails for one is in its report and stops no other.
    pub async fn run(&self, assets: &[Asset]) -> Vec<Verification> {
        let now = self.context.clock.now();
        // Each asset reads the exchange's clock anew: the work on all of them may take hours.
        let unread = ExchangeTime { exchange: now, local: now };
        let work = |run| self.asset(run);
        let ended = |found: &Verification| (self.ended)(found);
        self.context.side_by_side(assets, unread, work, Verification::empty, ended).await
    }

    async fn asset(&self, mut run: AssetRun<'_>) -> Verification {
        let mut found = Verification::empty(run.asset, Outcome::Done);
        let ended = self.check(&mut run, &mut found).await;
        found.written = run.gains.stored;
        found.outcome = match ended {
            Ok(outcome) => outcome,
            Err(Break::Stopped) => Outcome::Stopped,
            Err(Break::Failed(error)) => Outcome::Failed(error),
        };
        found
    }

    async fn check(&self, run: &mut AssetRun<'_>, found: &mut Verification) -> Result<Outcome, Break> {
        let scope = self.scope(run).await?;
        // After the rows were counted: those that were must have been closed by then.
        let closed_until = match run.read_clock().await {
            Ok(()) => run.closed_until(scope.slots.grid()).map_err(Break::from),
            Err(Break::Stopped) => return Err(Break::Stopped),
            Err(failed) => Err(failed),
        };
        found.stored = scope.rows.rows;
        let suspect = run.check_itself(&scope, closed_until.as_ref().ok().copied(), found).await?;
        found.summary = run.check_summary().await?;
        let compared = match closed_until {
            Ok(closed_until) => run.compare(&scope, closed_until, &suspect, found).await,
            Err(failed) => Err(failed),
        };
        if self.repair {
            run.mend_summary(&scope, found).await?;
        }
        compared?;
        Ok(match scope.span {
            None if scope.rows.rows == 0 => Outcome::Incomplete("nothing is stored of it".to_owned()),
            _ => Outcome::Done,
        })
    }

    async fn scope(&self, run: &AssetRun<'_>) -> Result<Scope, Break> {
        let rows = run.count_rows().await?;
        // After the rows were counted: spans only grow, so each of them has to lie in it.
        let summary = run.summary().await?;
        let span = summary.as_ref().and_then(|known| known.span);
        let listing = summary.as_ref().and_then(|known| known.listing);
        let first = summary.as_ref().and_then(|known| known.first).or(rows.first);
        let first = listing.or(first).or(span.map(TimeRange::start)).unwrap_or(self.range.start());
        let grid = Grid::from_first(run.context.policy.interval, first);
        let wanted = span.and_then(|span| span.intersection(self.range));
        let slots = grid.slots_in(wanted.unwrap_or(TimeRange::ALL));
        let slots = if wanted.is_some() { slots } else { slots.before(slots.start()) };
        Ok(Scope { slots, span, range: self.range, rows, listing, repair: self.repair })
    }
}

impl AssetRun<'_> {
    /// Reads both clocks for the rest of this run.
    async fn read_clock(&mut self) -> Result<(), Break> {
        let time = ExchangeTime::read(self.context.source.as_ref(), self.context.clock.as_ref());
        match self.context.stop.run_until_cancelled(time).await {
            Some(time) => self.time = time?,
            None => return Err(Break::Stopped),
        }
        Ok(())
    }
}
