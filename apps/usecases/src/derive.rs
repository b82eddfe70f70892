//! Candles of coarser intervals, made of the stored ones when somebody asks for them.

use std::num::NonZeroU32;
use std::sync::Arc;

use ohlcv_domain::{
    Asset, Candle, DerivedCandle, Head, Interval, Price, Resampler, Resampling, Row, SlotRange, TimeRange,
    Timestamp, fill_derived,
};
use ohlcv_ports::{StoreError, Take};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::look_up::QueryError;
use crate::read_series::{FilledRows, ReadSeries};

/// How many slots of the stored interval one page of derived rows is made of at most, a single row's
/// apart: where that would be more, the page has fewer rows than were asked for. It bounds the work of one
/// answer, which is seconds the first time: 1,388 days out of minutes, 44 months.
pub const BASE_SLOTS_PER_PAGE_MAX: u64 = 2_000_000;

/// How many stored candles are held at a time while they are folded.
const BASE_ROWS_PER_READ: u64 = 10_000;

/// How many read at once what candles are derived from; the others wait their turn. It is far more work
/// than a read of what is stored, which must not wait for it.
const DERIVING_AT_ONCE_MAX: usize = 3;

/// Turns to read what candles are derived from.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(DERIVING_AT_ONCE_MAX)))
    }
}

impl Turns {
    /// A turn; it ends when this is dropped.
    async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // Holds: nobody closes it.
        self.0.acquire().await.ok()
    }
}

/// The most rows that a page has if they are derived so; at least one.
pub(crate) fn rows_max(resampling: Resampling) -> NonZeroU32 {
    let rows = BASE_SLOTS_PER_PAGE_MAX / resampling.slots_per_candle();
    NonZeroU32::new(u32::try_from(rows).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

/// A series of candles that are not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivedSeries {
    /// Whose candles.
    pub asset: Asset,
    /// Of what interval, and of which they are made.
    pub resampling: Resampling,
    /// When the asset's first candle opened, if that is known: what lies before is missed by nobody.
    pub listing: Option<Timestamp>,
    /// As the stored candles were at this instant; without it, as they are.
    pub as_of: Option<Timestamp>,
}

impl DerivedSeries {
    /// The candles that are derived of a series that stands there.
    #[must_use]
    pub const fn of(head: &Head, resampling: Resampling, as_of: Option<Timestamp>) -> Self {
        Self { asset: head.asset, resampling, listing: head.listing, as_of }
    }
}

impl ReadSeries {
    /// How candles of an interval are made; none if they are the stored ones.
    ///
    /// # Errors
    /// [`QueryError::Indivisible`].
    pub fn resampling(&self, wanted: Option<Interval>) -> Result<Option<Resampling>, QueryError> {
        match wanted {
            Some(wanted) if wanted != self.interval() => Ok(Some(Resampling::new(self.interval(), wanted)?)),
            _ => Ok(None),
        }
    }

    /// The derived slots that have a row, or, filled, could have one: from that of the first candle ever
    /// stored to the last one whose whole period the exchange has answered about. A newer candle is an
    /// answer about all before it. How far it had answered earlier is not known, so there the last
    /// candle is the end.
    ///
    /// So a row comes with the write that settles the last slot of its period, never with time alone.
    ///
    /// # Errors
    /// [`StoreError`], never without an instant.
    pub async fn closed(
        &self,
        head: &Head,
        resampling: Resampling,
        as_of: Option<Timestamp>,
    ) -> Result<Option<SlotRange>, StoreError> {
        let first = self.outermost(head, Take::Oldest, as_of).await?;
        let last = self.outermost(head, Take::Newest, as_of).await?;
        let behind_last = last.map(|last| resampling.base().next(last));
        let answered = head.answered_until.filter(|_| as_of.is_none());
        let closed = first.zip(behind_last.max(answered));
        let closed = closed.map(|(first, until)| resampling.closed(first, until));
        Ok(closed.filter(|closed| !closed.is_empty()))
    }

    /// The rows of derived slots, which have to be closed: one for each that has a stored candle or, if
    /// they are filled, for each.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn derived(
        &self,
        series: &DerivedSeries,
        slots: SlotRange,
        fill: bool,
    ) -> Result<FilledRows, QueryError> {
        let (made, _) = self.derive(series, slots, Take::Oldest, usize::MAX).await?;
        if !fill {
            return Ok(FilledRows { rows: made.into_iter().map(Row::from).collect(), carried_from: None });
        }
        let carried = match made.first() {
            Some(first) if first.candle.open_time() == slots.start() => None,
            _ => self.close_before(series, slots.start()).await?,
        };
        let mut rows = Vec::with_capacity(usize::try_from(slots.len()).unwrap_or(0));
        rows.extend(fill_derived(slots, carried.map(|(_, close)| close), &made));
        Ok(FilledRows { rows, carried_from: carried.map(|(open_time, _)| open_time) })
    }

    /// At most `limit` derived candles of `slots`, which have to be closed, ascending: the oldest or the
    /// newest ones; and the open time of the next one in that direction, if there is one.
    ///
    /// Stored candles are read piece by piece, and no more of them than are needed, but for a piece.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn derive(
        &self,
        series: &DerivedSeries,
        slots: SlotRange,
        take: Take,
        limit: usize,
    ) -> Result<(Vec<DerivedCandle>, Option<Timestamp>), QueryError> {
        let _turn = self.deriving().take().await;
        let mut resampler = Resampler::new(series.resampling, series.listing);
        let mut made = Vec::new();
        let mut beyond = None;
        let mut left = (!slots.is_empty() && limit > 0).then_some(slots.time());
        // Ends: every read but the last goes on behind the last row of the one before.
        'reading: while let Some(range) = left {
            let mut piece = self.stored(series.asset, range, take, BASE_ROWS_PER_READ, series.as_of).await?;
            let more = piece.len() as u64 == BASE_ROWS_PER_READ;
            if take == Take::Newest {
                piece.reverse();
            }
            for candle in &piece {
                let Some(candle_made) = resampler.push(candle)? else { continue };
                made.push(candle_made);
                if made.len() == limit {
                    beyond = Some(series.resampling.grid().floor(candle.open_time()));
                    break 'reading;
                }
            }
            let last = piece.last().map(Candle::open_time).filter(|_| more);
            left = last.and_then(|last| match take {
                Take::Oldest => range.after(last),
                Take::Newest => TimeRange::new(range.start(), last).ok().filter(|left| !left.is_empty()),
            });
        }
        if beyond.is_none() {
            made.extend(resampler.finish());
        }
        if take == Take::Newest {
            made.reverse();
        }
        Ok((made, beyond))
    }

    /// The close of the last derived candle that opens before a derived slot, and when that one opens.
    /// Rows off the grid are passed over.
    async fn close_before(
        &self,
        series: &DerivedSeries,
        slot: Timestamp,
    ) -> Result<Option<(Timestamp, Price)>, StoreError> {
        let DerivedSeries { asset, resampling, as_of, .. } = *series;
        let mut end = slot;
        // Ends: every read ends before the first row of the one before.
        loop {
            let Ok(before) = TimeRange::new(Timestamp::MIN, end) else { return Ok(None) };
            let read = self.stored(asset, before, Take::Newest, 1, as_of).await?;
            let Some(last) = read.last() else { return Ok(None) };
            if resampling.base().contains(last.open_time()) {
                return Ok(Some((resampling.grid().floor(last.open_time()), last.close())));
            }
            end = last.open_time();
        }
    }
}
