//! Reading candles, forward-filled if asked.

use std::num::NonZeroU32;

use ohlcv_domain::{Asset, Candle, Head, Interval, Resampling, Row, SlotRange, TimeRange, Timestamp};
use ohlcv_ports::Take;

use crate::ReadSeries;
use crate::derive::{DerivedSeries, rows_max};
use crate::look_up::QueryError;

/// Answers ranges of candles, page by page.
#[derive(Clone, Debug)]
pub struct QueryCandles {
    series: ReadSeries,
}

/// A range of candles that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandleQuery {
    /// Whose candles.
    pub asset: Asset,
    /// Of what interval; none, or the stored one itself, for the candles as they are stored. Of another
    /// one they are derived, and every row says whether it is complete.
    pub interval: Option<Interval>,
    /// Earliest open time, inclusive. Without it the newest rows before `end` are meant.
    pub start: Option<Timestamp>,
    /// Latest open time, exclusive. Without it there is no end.
    pub end: Option<Timestamp>,
    /// How many rows at most, filled ones included. A page of derived rows may have fewer although more
    /// follow: see [`BASE_SLOTS_PER_PAGE_MAX`](crate::BASE_SLOTS_PER_PAGE_MAX).
    pub limit: NonZeroU32,
    /// Whether gaps are filled with the last real close.
    pub fill: bool,
    /// As the store would have answered at this instant; without it, as it is now.
    pub as_of: Option<Timestamp>,
}

/// One page of rows, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandlePage {
    /// The rows.
    pub rows: Vec<Row>,
    /// If more rows of the range follow: the `start` of a query that goes on exactly behind these.
    pub next: Option<Timestamp>,
    /// If the series has rows before these: the `end` of a query for the ones just before.
    pub prev: Option<Timestamp>,
}

/// The slots of a page of filled rows, each of which has one, and the pages around it as in
/// [`CandlePage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilledPage {
    /// The slots, at least one.
    pub slots: SlotRange,
    /// As [`CandlePage::next`].
    pub next: Option<Timestamp>,
    /// As [`CandlePage::prev`].
    pub prev: Option<Timestamp>,
}

impl CandleQuery {
    /// The range that is meant where a bound is left out.
    ///
    /// # Errors
    /// [`QueryError::EmptyRange`].
    pub fn range(&self) -> Result<TimeRange, QueryError> {
        let start = self.start.unwrap_or(Timestamp::MIN);
        let end = self.end.unwrap_or(Timestamp::MAX);
        let range = TimeRange::new(start, end).ok().filter(|range| !range.is_empty());
        range.ok_or(QueryError::EmptyRange { start, end })
    }

    /// Which end of the range the rows are taken from.
    #[must_use]
    pub const fn take(&self) -> Take {
        if self.start.is_some() { Take::Oldest } else { Take::Newest }
    }

    /// The same query for as many rows as one page may have, if they are derived so.
    #[must_use]
    pub fn bounded(&self, resampling: Resampling) -> Self {
        Self { limit: self.limit.min(rows_max(resampling)), ..*self }
    }

    /// The page that is meant of a series that can be filled over `fillable`; none if it has no slot.
    #[must_use]
    pub fn filled_page(&self, range: TimeRange, fillable: SlotRange) -> Option<FilledPage> {
        let wanted = fillable.from(range.start()).before(range.end());
        let limit = i64::from(self.limit.get());
        let grid = wanted.grid();
        let slots = match self.take() {
            Take::Oldest => wanted.before(grid.step(wanted.start(), limit)),
            Take::Newest => wanted.from(grid.step(wanted.end(), -limit)),
        };
        let next = (slots.end() < wanted.end()).then_some(slots.end());
        let prev = (slots.start() > fillable.start()).then_some(slots.start());
        (!slots.is_empty()).then_some(FilledPage { slots, next, prev })
    }
}

impl QueryCandles {
    /// Answers from `series`.
    #[must_use]
    pub const fn new(series: ReadSeries) -> Self {
        Self { series }
    }

    /// The interval of the stored candles.
    #[must_use]
    pub const fn stored_interval(&self) -> Interval {
        self.series.interval()
    }

    /// The interval of the candles that this answers a query with.
    #[must_use]
    pub fn interval(&self, query: &CandleQuery) -> Interval {
        self.series.interval_of(query)
    }

    /// Whether a query has an answer, without reading rows.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn check(&self, query: &CandleQuery) -> Result<(), QueryError> {
        query.range()?;
        self.series.resampling(query.interval)?;
        self.series.head(query.asset).await.map(drop)
    }

    /// The rows of a query. The same rows whatever the page size; a range without data is empty.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn run(&self, query: CandleQuery) -> Result<CandlePage, QueryError> {
        let range = query.range()?;
        let resampling = self.series.resampling(query.interval)?;
        let Some(head) = self.series.head(query.asset).await? else { return Ok(CandlePage::default()) };
        if let Some(resampling) = resampling {
            self.derived(&head, range, &query.bounded(resampling), resampling).await
        } else if query.fill {
            self.filled(&head, range, &query).await
        } else {
            self.stored(&head, range, &query).await
        }
    }

    async fn stored(
        &self,
        head: &Head,
        range: TimeRange,
        query: &CandleQuery,
    ) -> Result<CandlePage, QueryError> {
        let take = query.take();
        let limit = usize::try_from(query.limit.get()).unwrap_or(usize::MAX);
        // One more than wanted tells whether rows follow.
        let wanted = limit as u64 + 1;
        let mut candles = self.series.stored(query.asset, range, take, wanted, query.as_of).await?;
        let mut next = None;
        if candles.len() > limit {
            match take {
                Take::Oldest => next = candles.pop().map(|candle| candle.open_time()),
                Take::Newest => drop(candles.remove(0)),
            }
        }
        let series_first = self.series.outermost(head, Take::Oldest, query.as_of).await?;
        let prev = candles.first().map(Candle::open_time);
        let prev = prev.filter(|oldest| series_first.is_some_and(|first| first < *oldest));
        let rows = candles.into_iter().map(Row::stored).collect();
        Ok(CandlePage { rows, next, prev })
    }

    async fn filled(
        &self,
        head: &Head,
        range: TimeRange,
        query: &CandleQuery,
    ) -> Result<CandlePage, QueryError> {
        let fillable = self.series.fillable(head, query.as_of).await?;
        let page = fillable.and_then(|fillable| query.filled_page(range, fillable));
        let Some(FilledPage { slots, next, prev }) = page else { return Ok(CandlePage::default()) };
        let rows = self.series.filled(query.asset, slots, query.as_of).await?.rows;
        Ok(CandlePage { rows, next, prev })
    }

    /// Derived first, then filled.
    async fn derived(
        &self,
        head: &Head,
        range: TimeRange,
        query: &CandleQuery,
        resampling: Resampling,
    ) -> Result<CandlePage, QueryError> {
        let Some(closed) = self.series.closed(head, resampling, query.as_of).await? else {
            return Ok(CandlePage::default());
        };
        let series = DerivedSeries::of(head, resampling, query.as_of);
        if query.fill {
            let Some(FilledPage { slots, next, prev }) = query.filled_page(range, closed) else {
                return Ok(CandlePage::default());
            };
            let rows = self.series.derived(&series, slots, true).await?.rows;
            return Ok(CandlePage { rows, next, prev });
        }
        let wanted = closed.from(range.start()).before(range.end());
        let limit = usize::try_from(query.limit.get()).unwrap_or(usize::MAX);
        let (made, beyond) = self.series.derive(&series, wanted, query.take(), limit).await?;
        let prev = made.first().map(|oldest| oldest.candle.open_time());
        Ok(CandlePage {
            rows: made.into_iter().map(Row::from).collect(),
            next: beyond.filter(|_| query.take() == Take::Oldest),
            prev: prev.filter(|oldest| closed.start() < *oldest),
        })
    }
}
