//! Reading candles, forward-filled if asked.

use std::num::NonZeroU32;
use std::sync::Arc;

use ohlcv_domain::{
    Asset, Candle, Grid, Interval, Row, SlotRange, Summary, TimeRange, Timestamp, forward_fill,
};
use ohlcv_ports::{CandleStore, Coverage, History, StoreError, Take};

use crate::look_up::{QueryError, look_up};

/// Answers ranges of candles, page by page.
#[derive(Clone, Debug)]
pub struct QueryCandles {
    store: Arc<dyn CandleStore>,
    coverage: Arc<dyn Coverage>,
    history: Arc<dyn History>,
    interval: Interval,
    tracked: Vec<Asset>,
}

/// A range of candles that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandleQuery {
    /// Whose candles.
    pub asset: Asset,
    /// Earliest open time, inclusive. Without it the newest rows before `end` are meant.
    pub start: Option<Timestamp>,
    /// Latest open time, exclusive. Without it there is no end.
    pub end: Option<Timestamp>,
    /// How many rows at most, filled ones included.
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

impl QueryCandles {
    /// Answers from `store`, whose candles are of `interval` and were earlier as `history` tells. An asset of `tracked` without data is
    /// empty, any other one unknown.
    #[must_use]
    pub fn new(
        store: Arc<dyn CandleStore>,
        coverage: Arc<dyn Coverage>,
        history: Arc<dyn History>,
        interval: Interval,
        tracked: Vec<Asset>,
    ) -> Self {
        Self { store, coverage, history, interval, tracked }
    }

    /// The interval of every candle this answers with.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The rows of a query. The same rows whatever the page size; a range without data is empty.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn run(&self, query: CandleQuery) -> Result<CandlePage, QueryError> {
        let CandleQuery { asset, start, end, .. } = query;
        let found = look_up(self.coverage.as_ref(), &self.tracked, asset, start, end).await?;
        let Some((summary, range)) = found else { return Ok(CandlePage::default()) };
        let take = if query.start.is_some() { Take::Oldest } else { Take::Newest };
        if query.fill {
            self.filled(&summary, range, take, &query).await
        } else {
            self.stored(&summary, range, take, &query).await
        }
    }

    /// Candles of the asset, as they are or were.
    async fn page(
        &self,
        query: &CandleQuery,
        range: TimeRange,
        take: Take,
        limit: u64,
    ) -> Result<Vec<Candle>, StoreError> {
        match query.as_of {
            None => self.store.page(query.asset, range, take, limit).await,
            Some(at) => self.history.page_at(query.asset, range, take, limit, at).await,
        }
    }

    /// Open time of the candle at one end of the series, as it is or was.
    async fn outermost(
        &self,
        query: &CandleQuery,
        summary: &Summary,
        take: Take,
    ) -> Result<Option<Timestamp>, StoreError> {
        if query.as_of.is_none() {
            return Ok(match take {
                Take::Oldest => summary.first,
                Take::Newest => summary.last,
            });
        }
        let found = self.page(query, TimeRange::ALL, take, 1).await?;
        Ok(found.first().map(Candle::open_time))
    }

    async fn stored(
        &self,
        summary: &Summary,
        range: TimeRange,
        take: Take,
        query: &CandleQuery,
    ) -> Result<CandlePage, QueryError> {
        let limit = usize::try_from(query.limit.get()).unwrap_or(usize::MAX);
        // One more than wanted tells whether rows follow.
        let wanted = limit as u64 + 1;
        let mut candles = self.page(query, range, take, wanted).await?;
        let mut next = None;
        if candles.len() > limit {
            match take {
                Take::Oldest => next = candles.pop().map(|candle| candle.open_time()),
                Take::Newest => drop(candles.remove(0)),
            }
        }
        let series_first = self.outermost(query, summary, Take::Oldest).await?;
        let prev = candles.first().map(Candle::open_time);
        let prev = prev.filter(|oldest| series_first.is_some_and(|first| first < *oldest));
        let rows = candles.into_iter().map(|candle| Row { candle, filled: false }).collect();
        Ok(CandlePage { rows, next, prev })
    }

    async fn filled(
        &self,
        summary: &Summary,
        range: TimeRange,
        take: Take,
        query: &CandleQuery,
    ) -> Result<CandlePage, QueryError> {
        let Some(fillable) = self.fillable(query, summary).await? else { return Ok(CandlePage::default()) };
        let wanted = fillable.from(range.start()).before(range.end());
        let limit = i64::from(query.limit.get());
        let grid = wanted.grid();
        let page = match take {
            Take::Oldest => wanted.before(grid.step(wanted.start(), limit)),
            Take::Newest => wanted.from(grid.step(wanted.end(), -limit)),
        };
        if page.is_empty() {
            return Ok(CandlePage::default());
        }
        let candles = self.page(query, page.time(), Take::Oldest, page.len()).await?;
        let carried = match candles.first() {
            Some(first) if first.open_time() == page.start() => None,
            _ => {
                let before = TimeRange::new(Timestamp::MIN, page.start()).unwrap_or(TimeRange::ALL);
                self.page(query, before, Take::Newest, 1).await?.first().map(Candle::close)
            }
        };
        let rows = forward_fill(page, carried, candles).collect();
        let next = (page.end() < wanted.end()).then_some(page.end());
        let prev = (page.start() > fillable.start()).then_some(page.start());
        Ok(CandlePage { rows, next, prev })
    }

    /// What may be filled: from the first candle ever stored to the last slot that the exchange
    /// answered about. How far it had answered earlier is not known, so there the last candle is the
    /// end.
    async fn fillable(
        &self,
        query: &CandleQuery,
        summary: &Summary,
    ) -> Result<Option<SlotRange>, StoreError> {
        let Some(known_first) = summary.listing.or(summary.first) else { return Ok(None) };
        let grid = Grid::from_first(self.interval, known_first);
        let first = self.outermost(query, summary, Take::Oldest).await?;
        let end = match query.as_of {
            None => summary.answered_until,
            Some(_) => self.outermost(query, summary, Take::Newest).await?.map(|last| grid.next(last)),
        };
        let bounds = first.zip(end).and_then(|(first, end)| TimeRange::new(first, end).ok());
        Ok(bounds.map(|all| grid.slots_in(all)))
    }
}
