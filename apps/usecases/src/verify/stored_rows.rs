//! What is stored, read also where rows are no candles.

use std::time::Duration;

use ohlcv_domain::{Breaks, Candle, SlotRange, TimeRange, Timestamp};
use ohlcv_ports::{StoreError, Take};

use crate::fetch::{AssetRun, Break};

/// How many rows are read at a time.
const ROWS_PER_READ: u64 = 1_000;
/// How many rows of one window may be no candles; each takes some twenty reads to find.
const IMPOSSIBLE_ROWS_MAX: usize = 1_000;

/// What one read found.
pub(super) enum Rows {
    /// Candles, ascending; not necessarily on the grid.
    Candles(Vec<Candle>),
    /// A row that is no candle.
    Impossible(Impossible),
}

/// A row that is no candle.
pub(super) struct Impossible {
    /// Its open time.
    pub(super) open_time: Timestamp,
    /// Why it is none.
    pub(super) reason: String,
}

/// Reads a range from its start to its end, a bounded number of rows at a time.
pub(super) struct StoredRows {
    // The next part last. Halved at most as often as a range has halves.
    left: Vec<TimeRange>,
}

impl StoredRows {
    pub(super) fn of(range: TimeRange) -> Self {
        Self { left: vec![range] }
    }

    /// The next rows; none at the end.
    ///
    /// A store refuses a whole read in which one row cannot be a candle. Then the range is halved until
    /// that row is alone.
    pub(super) async fn next(&mut self, run: &AssetRun<'_>) -> Result<Option<Rows>, Break> {
        // Ends: each read takes rows off the range, or halves it between its first and last row.
        while let Some(range) = self.left.pop() {
            let read = run.context.store.page(run.asset, range, Take::Oldest, ROWS_PER_READ);
            match run.unless_stopped(read).await? {
                Ok(rows) => {
                    let full = rows.len() as u64 == ROWS_PER_READ;
                    let last = rows.last().filter(|_| full);
                    self.left.extend(last.and_then(|last| range.after(last.open_time())));
                    return Ok(Some(Rows::Candles(rows)));
                }
                Err(StoreError::Corrupt { reason }) => {
                    if let Some(impossible) = self.narrow(run, range, reason).await? {
                        return Ok(Some(Rows::Impossible(impossible)));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The one row of a range, if there is but one; else the range is read in two halves.
    async fn narrow(
        &mut self,
        run: &AssetRun<'_>,
        range: TimeRange,
        reason: String,
    ) -> Result<Option<Impossible>, Break> {
        let rows = run.rows_of(range).await?;
        let (Some(first), Some(last)) = (rows.first, rows.last) else { return Ok(None) };
        if first == last {
            return Ok(Some(Impossible { open_time: first, reason }));
        }
        let from_first = TimeRange::new(first, range.end()).unwrap_or(range);
        // All but what lies behind the last row, and that row itself.
        let rest = from_first
            .after(last)
            .map_or(from_first, |behind| from_first.without([behind]).first().copied().unwrap_or(from_first));
        let halves = rest.halves().map_or(vec![rest], |[one, other]| vec![other, one]);
        self.left.extend(halves);
        Ok(None)
    }
}

/// The rows of a window of slots.
#[derive(Default)]
pub(super) struct Stored {
    /// The candles on the grid, ascending.
    pub(super) candles: Vec<Candle>,
    /// The rows that are no candles, ascending.
    pub(super) impossible: Vec<Impossible>,
}

impl AssetRun<'_> {
    /// What is stored in `slots`; rows off the grid go to `off_grid` one by one.
    pub(super) async fn stored(
        &self,
        slots: SlotRange,
        mut off_grid: impl FnMut(Candle),
    ) -> Result<Stored, Break> {
        let mut stored = Stored::default();
        let mut rows = StoredRows::of(slots.time());
        while let Some(read) = rows.next(self).await? {
            match read {
                Rows::Candles(candles) => {
                    for candle in candles {
                        match slots.grid().contains(candle.open_time()) {
                            true => stored.candles.push(candle),
                            false => off_grid(candle),
                        }
                    }
                }
                Rows::Impossible(row) if stored.impossible.len() == IMPOSSIBLE_ROWS_MAX => {
                    let reason = format!(
                        "more than {IMPOSSIBLE_ROWS_MAX} rows of {slots}, the last one {}",
                        row.reason
                    );
                    return Err(StoreError::Corrupt { reason }.into());
                }
                Rows::Impossible(row) => stored.impossible.push(row),
            }
        }
        Ok(stored)
    }

    /// How many rows of the asset are stored, the first, and the last.
    pub(super) async fn count_rows(&self) -> Result<Breaks, Break> {
        self.rows_of(TimeRange::ALL).await
    }

    async fn rows_of(&self, range: TimeRange) -> Result<Breaks, Break> {
        // No two rows are further apart than this.
        let ever: Duration = Timestamp::MAX.since(Timestamp::MIN);
        let rows = self.context.store.breaks(self.asset, range, ever);
        Ok(self.unless_stopped(rows).await??)
    }

    /// Waits for something, unless the work is to stop.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Break> {
        self.context.stop.run_until_cancelled(work).await.ok_or(Break::Stopped)
    }
}
