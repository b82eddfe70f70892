//! A series by the piece, and where it stands.

use std::sync::Arc;

use ohlcv_domain::{
    Asset, Candle, Change, Grid, Head, Interval, Row, SlotRange, TimeRange, Timestamp, forward_fill,
};
use ohlcv_ports::{CandleStore, Coverage, History, StoreError, Take};

use crate::derive::Turns;
use crate::look_up::QueryError;
use crate::query_candles::CandleQuery;
use crate::shared_heads::SharedHeads;

/// How many changes are read at a time.
const CHANGES_PER_READ: u64 = 200;

/// Reads series by the piece: for who answers queries, and for who keeps what was read and has to know
/// when it is no longer true.
#[derive(Clone, Debug)]
pub struct ReadSeries {
    store: Arc<dyn CandleStore>,
    history: Arc<dyn History>,
    heads: SharedHeads,
    interval: Interval,
    tracked: Vec<Asset>,
    deriving: Turns,
}

/// Rows of a run of slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilledRows {
    /// The rows, ascending.
    pub rows: Vec<Row>,
    /// Open time of the candle before the range whose close the first rows carry, if they do.
    pub carried_from: Option<Timestamp>,
}

impl ReadSeries {
    /// Reads `store`, whose candles are of `interval`, stand where `coverage` tells and were earlier as
    /// `history` tells. An asset of `tracked` without data is empty, any other one unknown.
    #[must_use]
    pub fn new(
        store: Arc<dyn CandleStore>,
        coverage: Arc<dyn Coverage>,
        history: Arc<dyn History>,
        interval: Interval,
        tracked: Vec<Asset>,
    ) -> Self {
        let heads = SharedHeads::of(coverage);
        Self { store, history, heads, interval, tracked, deriving: Turns::default() }
    }

    /// The same for readers on a runtime of their own, who then wait for no other thread.
    #[must_use]
    pub fn for_runtime(&self) -> Self {
        Self { heads: self.heads.apart(), ..self.clone() }
    }

    /// The interval of every stored candle.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The interval of the rows that a query asks for.
    #[must_use]
    pub fn interval_of(&self, query: &CandleQuery) -> Interval {
        query.interval.unwrap_or(self.interval)
    }

    /// Where the series of an asset stands, after every write that was acknowledged before this was
    /// asked; none if it is tracked, but nothing is known of it yet.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn head(&self, asset: Asset) -> Result<Option<Head>, QueryError> {
        let head = self.heads.head(asset).await?;
        let known = head.is_some_and(|head| head.first.is_some()) || self.tracked.contains(&asset);
        if known { Ok(head) } else { Err(QueryError::UnknownAsset { asset }) }
    }

    /// A turn to read what candles are derived from.
    pub(crate) const fn deriving(&self) -> &Turns {
        &self.deriving
    }

    /// The next changes of a series after `seq`, ascending: a bounded number, all there are if fewer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes(&self, asset: Asset, seq: u64) -> Result<Vec<Change>, StoreError> {
        self.changes_upto(asset, seq, CHANGES_PER_READ).await
    }

    /// The next `limit` changes of a series after `seq`, ascending.
    pub(crate) async fn changes_upto(
        &self,
        asset: Asset,
        seq: u64,
        limit: u64,
    ) -> Result<Vec<Change>, StoreError> {
        self.store.changes(asset, seq, limit).await
    }

    /// Candles of a range, as they are or, at an instant, were: see [`CandleStore::page`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stored(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<Candle>, StoreError> {
        match as_of {
            None => self.store.page(asset, range, take, limit).await,
            Some(at) => self.history.page_at(asset, range, take, limit, at).await,
        }
    }

    /// A row for each of `slots`, which have to be fillable.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn filled(
        &self,
        asset: Asset,
        slots: SlotRange,
        as_of: Option<Timestamp>,
    ) -> Result<FilledRows, StoreError> {
        let candles = self.on_the_grid(asset, slots, as_of).await?;
        let carried = match candles.first() {
            Some(first) if first.open_time() == slots.start() => None,
            _ => {
                let before = TimeRange::new(Timestamp::MIN, slots.start()).unwrap_or(TimeRange::ALL);
                self.stored(asset, before, Take::Newest, 1, as_of).await?.first().copied()
            }
        };
        let carried_from = carried.map(|candle| candle.open_time());
        let mut rows = Vec::with_capacity(usize::try_from(slots.len()).unwrap_or(0).min(candles.len() * 2));
        rows.extend(forward_fill(slots, carried.map(|candle| candle.close()), candles));
        Ok(FilledRows { rows, carried_from })
    }

    /// The candles of `slots`. Rows off the grid, which only a hand in the database leaves, are passed
    /// over and push none of the others out.
    async fn on_the_grid(
        &self,
        asset: Asset,
        slots: SlotRange,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<Candle>, StoreError> {
        let mut candles: Vec<Candle> = Vec::new();
        let mut left = Some(slots.time());
        // Ends: every read but the last begins behind the last row of the one before.
        while let Some(range) = left {
            let read = self.stored(asset, range, Take::Oldest, slots.len(), as_of).await?;
            let more = read.len() as u64 == slots.len();
            let last = read.last().map(Candle::open_time).filter(|_| more);
            candles.extend(read.into_iter().filter(|candle| slots.grid().contains(candle.open_time())));
            let complete = candles.len() as u64 == slots.len();
            left = last.filter(|_| !complete).and_then(|last| range.after(last));
        }
        Ok(candles)
    }

    /// What may be filled: from the first candle ever stored to the last slot that the exchange
    /// answered about. How far it had answered earlier is not known, so there the last candle is the
    /// end.
    ///
    /// # Errors
    /// [`StoreError`], never without an instant.
    pub async fn fillable(
        &self,
        head: &Head,
        as_of: Option<Timestamp>,
    ) -> Result<Option<SlotRange>, StoreError> {
        let Some(grid) = self.grid(head) else { return Ok(None) };
        let (first, end) = match as_of {
            None => (head.first, head.answered_until),
            Some(_) => {
                let first = self.outermost(head, Take::Oldest, as_of).await?;
                let last = self.outermost(head, Take::Newest, as_of).await?;
                (first, last.map(|last| grid.next(last)))
            }
        };
        let bounds = first.zip(end).and_then(|(first, end)| TimeRange::new(first, end).ok());
        Ok(bounds.map(|all| grid.slots_in(all)))
    }

    /// Open time of the candle at one end of the series, as it is or was.
    ///
    /// # Errors
    /// [`StoreError`], never without an instant.
    pub async fn outermost(
        &self,
        head: &Head,
        take: Take,
        as_of: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, StoreError> {
        if as_of.is_none() {
            return Ok(match take {
                Take::Oldest => head.first,
                Take::Newest => head.last,
            });
        }
        let found = self.stored(head.asset, TimeRange::ALL, take, 1, as_of).await?;
        Ok(found.first().map(Candle::open_time))
    }

    /// Where the candles of a series open; none if it has none.
    pub(crate) fn grid(&self, head: &Head) -> Option<Grid> {
        let first = head.listing.or(head.first)?;
        Some(Grid::from_first(self.interval, first))
    }
}
