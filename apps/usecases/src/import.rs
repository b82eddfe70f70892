//! Candles that somebody brings along, through the ordinary door into the store.

mod offered;
mod queue;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{
    Additions, Asset, Candle, Closing, Commit, Fence, Grid, Interval, Rejection, Rule, SlotRange, TimeRange,
    Timestamp, additions, check_page,
};
use ohlcv_ports::{CandleStore, Clock, Coverage, StoreError, Take};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use offered::{ImportRule, OfferedRow, OfferedRows, Place, Unfit};
pub use report::{AssetImport, ImportReport, REFUSALS_KEPT_MAX, Refusal};

use self::queue::{Next, Queue};
use crate::exchange_time::CLOCK_DISTANCE_MAX;
use crate::fetch::Break;
use crate::holes::holes_in;
use crate::lease_terms::lease_of;
use crate::report::{Outcome, Progress, ProgressSink};
use crate::{Kept, LeaseTerms};

/// From the first to the last candle of one commit there are at most so many slots; few in tests, which have
/// to cross it.
const SLOTS_PER_COMMIT: i64 = if cfg!(test) { 8 } else { 5_000 };
/// So many rows are held at a time: each slot may come twice before they are looked at.
const ROWS_HELD_MAX: usize = if cfg!(test) { 16 } else { 10_000 };
/// After so many rows progress is told.
const ROWS_PER_PROGRESS: u64 = 1_000;
/// Assets of one import.
const ASSETS_MAX: usize = 1_000;
/// After so many changes from asset to asset it is said that sorted rows would be faster.
const CHANGES_OF_ASSET_WARNED: u64 = 10_000;

/// What an import needs.
#[derive(Clone)]
pub struct ImportContext {
    /// Where candles go.
    pub store: Arc<dyn CandleStore>,
    /// The ledger of holes.
    pub coverage: Arc<dyn Coverage>,
    /// The local clock: the exchange is not asked, not even for its time.
    pub clock: Arc<dyn Clock>,
    /// The one interval that is stored.
    pub interval: Interval,
    /// How long after its end a candle counts as closed, besides what clocks may differ by.
    pub grace: Duration,
    /// On what terms the lease of each asset is taken; without, nobody else works here.
    pub terms: Option<LeaseTerms>,
    /// Cancelled when the work has to stop. A write in hand is finished.
    pub stop: CancellationToken,
    /// Where progress goes.
    pub progress: ProgressSink,
}

impl std::fmt::Debug for ImportContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportContext").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// What is done about stored candles, and whether anything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Candles that contradict stored ones replace them, which become revisions.
    pub replace: bool,
    /// Nothing is written; the report says what would be.
    pub dry_run: bool,
}

/// Stores candles that come from elsewhere than the exchange: the good ones, each refused one by name.
///
/// They pass the same door as an answer of the exchange and take the same write, under the lease of
/// their asset. Without the exchange's clock a candle counts as closed only when its end lies so far
/// back that the local clock may be wrong by all that is ever tolerated. Nothing that is stored is
/// replaced unless told to. What the rows leave out between them is `pending`, and what the exchange
/// has said about a hole stays, as do marks of slots that it has to confirm. Run again, it finds everything unchanged.
#[derive(Clone, Debug)]
pub struct Import {
    context: ImportContext,
    options: ImportOptions,
}

/// How far the rows of each asset have come within one file.
type Reached = BTreeMap<Asset, Timestamp>;

/// The rows of one asset that lie together, on their way.
struct Series<'a> {
    context: &'a ImportContext,
    options: ImportOptions,
    asset: Asset,
    fence: Option<Fence>,
    closing: Closing,
    listing: Option<Timestamp>,
    /// Known as soon as anything tells where candles open.
    grid: Option<Grid>,
    /// Everything that opens before was looked at.
    reached: Option<Timestamp>,
    page: Option<Page>,
}

/// Rows that are looked at together.
struct Page {
    slots: SlotRange,
    rows: Vec<(Place, Candle)>,
}

impl Import {
    /// An import that works as `options` say.
    #[must_use]
    pub const fn new(context: ImportContext, options: ImportOptions) -> Self {
        Self { context, options }
    }

    /// Takes rows until there are no more. Of each asset in each file they have to ascend; rows of one
    /// asset that lie together are written together.
    pub async fn run(&self, rows: mpsc::Receiver<OfferedRows>) -> ImportReport {
        let mut report = ImportReport::default();
        let mut queue = Queue::of(rows);
        let ended = self.all(&mut queue, &mut report).await;
        report.outcome = match ended {
            Ok(()) => Outcome::Done,
            Err(Break::Stopped) => Outcome::Stopped,
            Err(Break::Failed(error)) => Outcome::Failed(error),
        };
        report
    }

    async fn all(&self, queue: &mut Queue, report: &mut ImportReport) -> Result<(), Break> {
        let mut file = None;
        let mut reached = Reached::new();
        let mut changes: u64 = 0;
        while let Some(Next { place, asset }) = self.unless_stopped(queue.next()).await? {
            if file != Some(place.file) {
                file = Some(place.file);
                reached.clear();
            }
            let known = asset.filter(|asset| report.knows(*asset) || report.assets.len() < ASSETS_MAX);
            let Some(asset) = known else {
                let told = format!("more than {ASSETS_MAX} assets");
                let unfit = queue.take().and_then(|row| row.candle.err());
                let unfit = unfit.unwrap_or_else(|| Unfit::of(ImportRule::TooManyAssets, None, &told));
                report.refuse(place, asset, unfit);
                continue;
            };
            let before = reached.get(&asset).copied();
            let done = self.under_lease(asset, place.file, before, queue, report).await?;
            reached.extend(done.map(|done| (asset, done)));
            changes = changes.saturating_add(1);
            if changes == CHANGES_OF_ASSET_WARNED {
                tracing::warn!(
                    "rows of several assets lie between each other: sorted by asset they go faster"
                );
            }
        }
        Ok(())
    }

    /// Takes the rows of an asset that come next, while nobody else works on it; returns how far they went.
    async fn under_lease(
        &self,
        asset: Asset,
        file: usize,
        reached: Option<Timestamp>,
        queue: &mut Queue,
        report: &mut ImportReport,
    ) -> Result<Option<Timestamp>, Break> {
        let ImportContext { terms, stop, .. } = &self.context;
        let Some(terms) = terms.as_ref().filter(|_| !self.options.dry_run) else {
            return self.series(asset, None, reached).await?.take_all(file, queue, report).await;
        };
        let fence = terms.wait_for(&lease_of(asset), None, stop).await?.ok_or(Break::Stopped)?;
        let work = async {
            let series = self.series(asset, Some(fence.clone()), reached).await?;
            series.take_all(file, queue, report).await
        };
        match terms.keep(&fence, work).await {
            Kept::Done(done) => done,
            Kept::Lost => Err(StoreError::LeaseLost { lease: fence.lease }.into()),
        }
    }

    async fn series(
        &self,
        asset: Asset,
        fence: Option<Fence>,
        reached: Option<Timestamp>,
    ) -> Result<Series<'_>, Break> {
        let context = &self.context;
        let known = context.coverage.summary(asset).await?;
        let listing = known.as_ref().and_then(|known| known.listing);
        let first = listing.or(known.as_ref().and_then(|known| known.first));
        let first = first.or(known.and_then(|known| known.span).map(TimeRange::start));
        Ok(Series {
            context,
            options: self.options,
            asset,
            fence,
            closing: Closing {
                exchange_now: context.clock.now().saturating_sub(CLOCK_DISTANCE_MAX),
                grace: context.grace,
                settling: Duration::ZERO,
            },
            listing,
            grid: first.map(|first| Grid::from_first(context.interval, first)),
            reached,
            page: None,
        })
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Break> {
        self.context.stop.run_until_cancelled(work).await.ok_or(Break::Stopped)
    }
}

impl Series<'_> {
    /// Takes rows from the queue as long as they are of this asset and of this file.
    async fn take_all(
        mut self,
        file: usize,
        queue: &mut Queue,
        report: &mut ImportReport,
    ) -> Result<Option<Timestamp>, Break> {
        loop {
            let row = self.context.stop.run_until_cancelled(queue.next_of(self.asset, file)).await;
            let Some(row) = row.ok_or(Break::Stopped)? else { break };
            let OfferedRow { place, candle, .. } = row;
            let rows = &mut report.asset(self.asset).rows;
            *rows += 1;
            let tell = rows.is_multiple_of(ROWS_PER_PROGRESS);
            match candle {
                Ok(candle) => self.offer(place, candle, report).await?,
                Err(unfit) => report.refuse(place, Some(self.asset), unfit),
            }
            if tell {
                self.tell_progress(queue, report);
            }
        }
        self.look(report).await?;
        self.tell_progress(queue, report);
        Ok(self.reached)
    }

    fn tell_progress(&self, queue: &Queue, report: &mut ImportReport) {
        let done = report.asset(self.asset).rows;
        let expected = queue.expected().max(done);
        (self.context.progress)(Progress { asset: self.asset, done, expected });
    }

    /// Keeps a row until the page is full, unless it can be told at once that it is not to be stored.
    async fn offer(&mut self, place: Place, candle: Candle, report: &mut ImportReport) -> Result<(), Break> {
        let open_time = candle.open_time();
        let interval = self.context.interval;
        let grid = *self.grid.get_or_insert_with(|| Grid::from_first(interval, open_time));
        let closed_until = grid.closed_until(self.closing.exchange_now, self.closing.grace);
        let too_early = |rule: ImportRule| Unfit::of_candle(rule, &candle);
        if grid.floor(open_time) >= closed_until {
            report.refuse(place, Some(self.asset), too_early(Rule::NotClosed.into()));
            return Ok(());
        }
        if self.listing.is_some_and(|listing| open_time < grid.floor(listing)) {
            report.refuse(place, Some(self.asset), too_early(ImportRule::BeforeListing));
            return Ok(());
        }
        let full = |page: &Page| page.rows.len() == ROWS_HELD_MAX || open_time >= page.slots.end();
        if self.page.as_ref().is_some_and(full) {
            self.look(report).await?;
        }
        let begun = self.page.as_ref().map(|page| page.slots.start()).or(self.reached);
        if begun.is_some_and(|begun| open_time < begun) {
            report.refuse(place, Some(self.asset), too_early(Rule::OutOfOrder.into()));
            return Ok(());
        }
        let page = self.page.get_or_insert_with(|| Page { slots: window(grid, open_time), rows: Vec::new() });
        if page.rows.last().is_some_and(|(_, last)| *last == candle) {
            report.asset(self.asset).repeated += 1;
            return Ok(());
        }
        page.rows.push((place, candle));
        Ok(())
    }

    /// Looks at the rows that were kept, and writes what is to be written of them.
    async fn look(&mut self, report: &mut ImportReport) -> Result<(), Break> {
        let Some(Page { slots, rows }) = self.page.take() else { return Ok(()) };
        if self.context.stop.is_cancelled() {
            return Err(Break::Stopped);
        }
        let mut places: BTreeMap<Timestamp, Vec<Place>> = BTreeMap::new();
        for (place, candle) in rows.iter().rev() {
            places.entry(candle.open_time()).or_default().push(*place);
        }
        let last = rows.iter().map(|(_, candle)| candle.open_time()).max();
        let kept = rows.len() as u64;
        let checked = check_page(slots, self.closing, rows.into_iter().map(|(_, candle)| Ok(candle)));
        // The door turns rows away in the order in which they came.
        let mut place_of = |open_time: Timestamp| places.get_mut(&open_time).and_then(Vec::pop);
        for Rejection { open_time, rule, evidence } in &checked.rejected {
            let Some(place) = open_time.and_then(&mut place_of) else { continue };
            report.refuse(place, Some(self.asset), Unfit::of((*rule).into(), *open_time, evidence));
        }
        let turned_away = checked.rejected.len() as u64;
        report.asset(self.asset).repeated +=
            kept.saturating_sub(turned_away).saturating_sub(checked.candles.len() as u64);

        let stored = self.stored(slots).await?;
        let holes = holes_in(self.context.coverage.as_ref(), self.asset, slots.time(), None).await?;
        let found = additions(slots, &checked.candles, &stored, &holes, self.options.replace);
        if !self.options.replace {
            for (stored, offered) in &found.contradicting {
                let Some(place) = place_of(offered.open_time()) else { continue };
                report.refuse(place, Some(self.asset), Unfit::contradiction(stored, offered));
            }
        }
        self.write(found, &stored, report).await?;
        // What is behind the last row of a page may still come.
        self.reached = last.map(|last| slots.grid().next(last)).max(self.reached);
        Ok(())
    }

    async fn write(
        &self,
        found: Additions,
        stored: &[Candle],
        report: &mut ImportReport,
    ) -> Result<(), Break> {
        report.asset(self.asset).unchanged += found.unchanged;
        for run in found.runs {
            if self.options.dry_run {
                let is_stored = |candle: &&Candle| {
                    stored.binary_search_by_key(&candle.open_time(), Candle::open_time).is_ok()
                };
                let changed = run.candles.iter().filter(is_stored).count() as u64;
                report.asset(self.asset).changed += changed;
                report.asset(self.asset).new += (run.candles.len() as u64).saturating_sub(changed);
                continue;
            }
            let now = self.context.clock.now();
            let commit = Commit::new(self.asset, run.slots, run.candles, run.findings, now);
            // Cannot happen: candles and gaps of a run cover it; the domain's tests.
            let commit =
                commit.map_err(|error| StoreError::Refused { reason: error.to_string(), source: None })?;
            let commit = commit.without_source().with_fence(self.fence.clone());
            let applied = self.context.store.apply(commit).await?;
            report.asset(self.asset).new += applied.new;
            report.asset(self.asset).changed += applied.changed;
        }
        Ok(())
    }

    /// The stored candles of some slots. Rows off the grid, which only a hand in the database leaves, are
    /// passed over.
    async fn stored(&self, slots: SlotRange) -> Result<Vec<Candle>, StoreError> {
        let mut candles: Vec<Candle> = Vec::new();
        let mut left = Some(slots.time());
        // Ends: every read but the last begins behind the last row of the one before.
        while let Some(range) = left {
            let read = self.context.store.page(self.asset, range, Take::Oldest, slots.len()).await?;
            let more = read.len() as u64 == slots.len();
            let last = read.last().map(Candle::open_time).filter(|_| more);
            candles.extend(read.into_iter().filter(|candle| slots.grid().contains(candle.open_time())));
            left = last.and_then(|last| range.after(last));
        }
        Ok(candles)
    }
}

/// The slots of the page that begins with this row.
fn window(grid: Grid, from: Timestamp) -> SlotRange {
    let start = grid.floor(from);
    // Holds: a step forward is no step back.
    let range = TimeRange::new(start, grid.step(start, SLOTS_PER_COMMIT)).unwrap_or(TimeRange::ALL);
    grid.slots_in(range)
}
