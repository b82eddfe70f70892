//! Ranges of candles out of memory, never staler than the last commit.
//!
//! A series is kept in *chunks*: rows in JSON, ready to be sent, with an index. Any range is slices of
//! them, without copying. A chunk is true as of a change; a reader who has learnt of later ones looks
//! whether they touch it, and if so reads anew just what they touch.
//!
//! Derived candles are kept the same way, as series of their own: a change of a stored candle is to
//! them one of the derived slot that it lies in.

mod changes;
mod chunk;
mod cut;
mod page;
mod reading;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use ohlcv_domain::{Asset, Head, Interval, Timestamp};
use ohlcv_ports::StoreError;
use ohlcv_usecases::{CandleQuery, DerivedSeries, QueryError, ReadSeries};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use self::changes::RecentChanges;
use self::chunk::Chunk;
pub(crate) use self::cut::CHUNK_BYTES_TYPICAL;
use self::cut::Cut;
pub(crate) use self::page::{PreparedPage, folded, hash};
use self::reading::Reading;
use super::admission::Admission;
use super::problem::Problem;

/// Which rows, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Variant {
    asset: Asset,
    // Of the derived ones; none for those that are stored.
    interval: Option<Interval>,
    // Which derived rows are complete rests on it, and there is no change when it becomes known.
    listing: Option<Timestamp>,
    fill: bool,
    all_fields: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ChunkKey {
    variant: Variant,
    number: i64,
}

#[derive(Clone, Debug)]
struct ChunkBytes;

impl Weighter<ChunkKey, Arc<Kept>> for ChunkBytes {
    fn weight(&self, _: &ChunkKey, kept: &Arc<Kept>) -> u64 {
        kept.chunk.weight()
    }
}

/// A chunk, and the last change of which it is known to be true.
#[derive(Debug)]
struct Kept {
    chunk: Chunk,
    seq: AtomicU64,
}

/// Whose series, and of what interval if it is derived.
type SeriesKey = (Asset, Option<Interval>);

/// What is known of the changes of one series, stored or derived.
#[derive(Debug)]
struct Series {
    recent: RwLock<RecentChanges>,
    // One reader at a time reads what changed; the others find it done.
    loading: tokio::sync::Mutex<()>,
}

/// How much may be read for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// All that it takes.
    Any,
    /// A few rows.
    Little,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Query(QueryError),
    /// Too many wait for the database.
    Full(Problem),
    /// Only the database can tell. More is read than was asked for, and something is wrong there that may be
    /// no part of the answer; or it would take more than a little effort.
    Elsewhere,
}

impl From<QueryError> for Unanswered {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(StoreError::Corrupt { .. }) | QueryError::Sum(_) => Self::Elsewhere,
            error => Self::Query(error),
        }
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        QueryError::from(error).into()
    }
}

/// Answers queries about the present out of memory.
pub(crate) struct PreparedCandles {
    source: ReadSeries,
    chunks: Cache<ChunkKey, Arc<Kept>, ChunkBytes>,
    // One for each asset that anything was ever written about, and for each interval that was derived.
    series: RwLock<HashMap<SeriesKey, Arc<Series>>>,
    admission: Arc<Admission>,
}

impl PreparedCandles {
    /// Keeps at most `bytes_max` of what it reads from `source`; who has to wait for the database takes
    /// a turn of `admission`.
    pub(crate) fn new(source: ReadSeries, bytes_max: u64, admission: Arc<Admission>) -> Self {
        let items = usize::try_from(bytes_max / CHUNK_BYTES_TYPICAL).unwrap_or(usize::MAX);
        let chunks = Cache::with_weighter(items, bytes_max, ChunkBytes);
        Self { source, chunks, series: RwLock::default(), admission }
    }

    /// The interval of every stored candle.
    pub(crate) const fn interval(&self) -> Interval {
        self.source.interval()
    }

    /// The interval of the rows that a query asks for.
    pub(crate) fn interval_of(&self, query: &CandleQuery) -> Interval {
        self.source.interval_of(query)
    }

    /// The page that a query of the present is answered with.
    pub(crate) async fn page(
        &self,
        query: &CandleQuery,
        all_fields: bool,
    ) -> Result<PreparedPage, Unanswered> {
        self.page_of(query, all_fields, None).await
    }

    /// The same. Where the series stands is not asked if it was `learnt` after the query came.
    pub(crate) async fn page_of(
        &self,
        query: &CandleQuery,
        all_fields: bool,
        learnt: Option<Head>,
    ) -> Result<PreparedPage, Unanswered> {
        self.page_with(query, all_fields, learnt, Effort::Any).await
    }

    /// The same, if no more than a few stored rows have to be read for it; none also if it fails.
    pub(crate) async fn page_at_once(
        &self,
        query: &CandleQuery,
        all_fields: bool,
        learnt: Head,
    ) -> Option<PreparedPage> {
        self.page_with(query, all_fields, Some(learnt), Effort::Little).await.ok()
    }

    async fn page_with(
        &self,
        query: &CandleQuery,
        all_fields: bool,
        learnt: Option<Head>,
        effort: Effort,
    ) -> Result<PreparedPage, Unanswered> {
        let range = query.range()?;
        let resampling = self.source.resampling(query.interval)?;
        let query = &resampling.map_or(*query, |resampling| query.bounded(resampling));
        let head = match learnt.filter(|head| head.asset == query.asset) {
            Some(head) => Some(head),
            None => self.source.head(query.asset).await?,
        };
        let Some(head) = head else { return Ok(PreparedPage::default()) };
        let shown = match resampling {
            Some(resampling) => self.source.closed(&head, resampling, None).await?,
            None if query.fill => self.source.fillable(&head, None).await?,
            None => None,
        };
        let interval = resampling.map(|resampling| resampling.grid().interval());
        let reading = Reading {
            prepared: self,
            variant: Variant {
                asset: query.asset,
                interval,
                listing: head.listing.filter(|_| interval.is_some()),
                fill: query.fill,
                all_fields,
            },
            head,
            effort,
            shown,
            derived: resampling.map(|resampling| DerivedSeries::of(&head, resampling, None)),
            cut: resampling.map_or_else(|| Cut::stored(self.interval()), Cut::derived),
            series: self.series(&head, interval),
        };
        let page = match shown {
            Some(shown) if query.fill => match query.filled_page(range, shown) {
                Some(page) => reading.filled(page).await?,
                None => PreparedPage::default(),
            },
            // Without an end or a beginning there is nothing to fill, and nothing to derive.
            None if query.fill || resampling.is_some() => PreparedPage::default(),
            _ => reading.stored(query, range).await?,
        };
        Ok(PreparedPage { head: Some(head), ..page })
    }

    fn series(&self, head: &Head, interval: Option<Interval>) -> Arc<Series> {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&(head.asset, interval)) {
            return Arc::clone(series);
        }
        drop(known);
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let series = known.entry((head.asset, interval)).or_insert_with(|| {
            let recent = RwLock::new(RecentChanges::since(head.seq));
            Arc::new(Series { recent, loading: tokio::sync::Mutex::default() })
        });
        Arc::clone(series)
    }
}

#[cfg(test)]
mod tests;
