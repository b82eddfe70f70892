//! Ranges of candles out of memory, never staler than the last commit.
//!
//! A series is kept in *chunks*: rows in JSON, ready to be sent, with an index. Any range is slices of
//! them, without copying. A chunk is true as of a change; a reader who has learnt of later ones looks
//! whether they touch it, and if so reads anew just what they touch.

mod changes;
mod chunk;
mod page;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ohlcv_domain::{Asset, Head, Interval, Row, SlotRange, TimeRange};
use ohlcv_ports::{StoreError, Take};
use ohlcv_usecases::{CandleQuery, FilledPage, FilledRows, QueryError, ReadSeries};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use self::changes::RecentChanges;
pub(crate) use self::chunk::BYTES_TYPICAL as CHUNK_BYTES_TYPICAL;
use self::chunk::{CHUNK_SLOTS, Chunk};
use self::page::{Pick, Picks};
pub(crate) use self::page::{PreparedPage, folded};
use super::admission::Admission;
use super::problem::Problem;

/// How many chunks one question to the store covers at most.
const CHUNKS_PER_LOAD_MAX: i64 = if cfg!(test) { 3 } else { 10 };
/// How many rows it brings at most: as many as those chunks hold, and what lies off the grid.
const ROWS_PER_LOAD_MAX: u64 = 2 * CHUNKS_PER_LOAD_MAX as u64 * CHUNK_SLOTS as u64;
/// How often changes are read to catch up with a series that changes all the time; then its chunks are
/// read anew.
const CHANGE_READS_MAX: usize = 5;

/// Which rows, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Variant {
    asset: Asset,
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

/// What is known of the changes of one series.
#[derive(Debug)]
struct Series {
    recent: RwLock<RecentChanges>,
    // One reader at a time reads what changed; the others find it done.
    loading: tokio::sync::Mutex<()>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Query(QueryError),
    /// Too many wait for the database.
    Full(Problem),
}

impl From<QueryError> for Unanswered {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Query(error.into())
    }
}

/// Answers queries about the present out of memory.
pub(crate) struct PreparedCandles {
    source: ReadSeries,
    chunks: Cache<ChunkKey, Arc<Kept>, ChunkBytes>,
    // One for each asset that anything was ever written about.
    series: RwLock<HashMap<Asset, Arc<Series>>>,
    admission: Arc<Admission>,
}

/// One query on its way: whose series, where it stood when the query came.
struct Reading<'a> {
    prepared: &'a PreparedCandles,
    variant: Variant,
    head: Head,
    fillable: Option<SlotRange>,
    series: Arc<Series>,
}

impl PreparedCandles {
    /// Keeps at most `bytes_max` of what it reads from `source`; who has to wait for the database takes
    /// a turn of `admission`.
    pub(crate) fn new(source: ReadSeries, bytes_max: u64, admission: Arc<Admission>) -> Self {
        let chunk_bytes = chunk::BYTES_TYPICAL;
        let items = usize::try_from(bytes_max / chunk_bytes).unwrap_or(usize::MAX);
        let chunks = Cache::with_weighter(items, bytes_max, ChunkBytes);
        Self { source, chunks, series: RwLock::default(), admission }
    }

    /// The interval of every candle.
    pub(crate) const fn interval(&self) -> Interval {
        self.source.interval()
    }

    /// The page that a query of the present is answered with.
    pub(crate) async fn page(
        &self,
        query: &CandleQuery,
        all_fields: bool,
    ) -> Result<PreparedPage, Unanswered> {
        let range = query.range()?;
        let variant = Variant { asset: query.asset, fill: query.fill, all_fields };
        let Some(head) = self.source.head(query.asset).await? else {
            return Ok(PreparedPage::default());
        };
        let fillable = if query.fill { self.source.fillable(&head, None).await? } else { None };
        let series = self.series(&head);
        let reading = Reading { prepared: self, variant, head, fillable, series };
        let page = match reading.fillable {
            Some(fillable) => match query.filled_page(range, fillable) {
                Some(page) => reading.filled(page).await?,
                None => PreparedPage::default(),
            },
            None if query.fill => PreparedPage::default(),
            None => reading.stored(query, range).await?,
        };
        Ok(PreparedPage { head: Some(head), ..page })
    }

    fn series(&self, head: &Head) -> Arc<Series> {
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&head.asset) {
            return Arc::clone(series);
        }
        drop(known);
        let mut known = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let series = known.entry(head.asset).or_insert_with(|| {
            let recent = RwLock::new(RecentChanges::since(head.seq));
            Arc::new(Series { recent, loading: tokio::sync::Mutex::default() })
        });
        Arc::clone(series)
    }
}

impl Reading<'_> {
    /// A page of filled rows: every slot has one, so its chunks are known beforehand.
    async fn filled(&self, page: FilledPage) -> Result<PreparedPage, Unanswered> {
        let interval = self.prepared.interval();
        let wanted = page.slots.time();
        let last = chunk::number_before(interval, wanted.end());
        let mut picks = Picks::default();
        for number in chunk::number_of(interval, wanted.start())..=last {
            let kept = self.kept(number, last).await?;
            let rows = kept.chunk.rows_in(wanted);
            picks.push_back(Pick { kept, rows });
        }
        Ok(picks.page(page.next, page.prev))
    }

    /// A page of stored rows. Their number in each chunk turns out when it is looked at.
    async fn stored(&self, query: &CandleQuery, range: TimeRange) -> Result<PreparedPage, Unanswered> {
        let (Some(first), Some(last)) = (self.head.first, self.head.last) else {
            return Ok(PreparedPage::default());
        };
        let interval = self.prepared.interval();
        let limit = usize::try_from(query.limit.get()).unwrap_or(usize::MAX);
        let oldest = chunk::number_of(interval, range.start().max(first));
        let newest = chunk::number_before(interval, range.end()).min(chunk::number_of(interval, last));
        let take = query.take();
        let mut picks = Picks::default();
        let mut next = None;
        let mut number = match take {
            Take::Oldest => oldest,
            Take::Newest => newest,
        };
        // Ends: each round goes on by a chunk at least, towards the other end.
        while (oldest..=newest).contains(&number) {
            let room = limit - picks.len();
            let kept = self.kept(number, self.last_needed(number, room, take, oldest, newest)).await?;
            let mut rows = kept.chunk.rows_in(range);
            let empty = kept.chunk.is_empty();
            match take {
                Take::Oldest if rows.len() > room => {
                    next = kept.chunk.open_time(rows.start + room);
                    rows.end = rows.start + room;
                }
                Take::Newest if rows.len() > room => rows.start = rows.end - room,
                _ => {}
            }
            let full = match take {
                // Where the page is full at the end of a chunk, the next row tells whether there is one.
                Take::Oldest => next.is_some(),
                Take::Newest => picks.len() + rows.len() == limit,
            };
            match take {
                Take::Oldest => picks.push_back(Pick { kept, rows }),
                Take::Newest => picks.push_front(Pick { kept, rows }),
            }
            if full {
                break;
            }
            let beyond = if empty { Box::pin(self.beyond(number, take, range)).await? } else { Some(number) };
            match (beyond, take) {
                (None, _) => break,
                (Some(at), Take::Oldest) => number = (number + 1).max(at),
                (Some(at), Take::Newest) => number = (number - 1).min(at),
            }
        }
        let prev = picks.first_open_time().filter(|oldest| first < *oldest);
        Ok(picks.page(next, prev))
    }

    /// The chunk up to which rows are likely to be needed from `number` on, for `room` more of them.
    fn last_needed(&self, number: i64, room: usize, take: Take, oldest: i64, newest: i64) -> i64 {
        let chunks = i64::try_from(room / CHUNK_SLOTS).unwrap_or(CHUNKS_PER_LOAD_MAX);
        match take {
            Take::Oldest => number.saturating_add(chunks).min(newest),
            Take::Newest => number.saturating_sub(chunks).max(oldest),
        }
    }

    /// The chunk of the next stored row beyond an empty chunk; none if the range has no more. Long
    /// holes are passed over with one question.
    async fn beyond(&self, number: i64, take: Take, range: TimeRange) -> Result<Option<i64>, Unanswered> {
        let interval = self.prepared.interval();
        let here = chunk::time_of(interval, number);
        let rest = match take {
            Take::Oldest => TimeRange::new(here.end().max(range.start()), range.end()),
            Take::Newest => TimeRange::new(range.start(), here.start().min(range.end())),
        };
        let Ok(rest) = rest else { return Ok(None) };
        let _turn = self.prepared.admission.turn().map_err(Unanswered::Full)?;
        let found = self.prepared.source.stored(self.variant.asset, rest, take, 1, None).await?;
        Ok(found.first().map(|candle| chunk::number_of(interval, candle.open_time())))
    }

    /// A chunk that is true now. If it has to be read, those up to `until` that are missing as well
    /// are read with it.
    async fn kept(&self, number: i64, until: i64) -> Result<Arc<Kept>, Unanswered> {
        match self.ready(number) {
            Some(kept) => Ok(kept),
            // In a box, so that the usual answer does not carry the room for this along.
            None => Box::pin(self.renew(number, until)).await,
        }
    }

    /// Mends a chunk, or reads it.
    async fn renew(&self, number: i64, until: i64) -> Result<Arc<Kept>, Unanswered> {
        // One reader at a time uses the database for a series; the others most likely find it done.
        let _loading = self.series.loading.lock().await;
        if let Some(kept) = self.ready(number) {
            return Ok(kept);
        }
        let _turn = self.prepared.admission.turn().map_err(Unanswered::Full)?;
        self.learn_changes().await?;
        if let Some(kept) = self.ready(number) {
            return Ok(kept);
        }
        if let Some(old) = self.prepared.chunks.get(&self.key(number)) {
            return Ok(self.mend(number, &old.chunk, old.seq.load(Ordering::Acquire)).await?);
        }
        Ok(self.load(number, until).await?)
    }

    /// What is kept of a chunk, if nothing has touched it since.
    fn ready(&self, number: i64) -> Option<Arc<Kept>> {
        let kept = self.prepared.chunks.get(&self.key(number))?;
        if kept.chunk.bounds() != self.bounds(number) {
            return None;
        }
        let seq = kept.seq.load(Ordering::Acquire);
        if seq < self.head.seq {
            let recent = self.series.recent.read().unwrap_or_else(PoisonError::into_inner);
            if !recent.leave_alone(kept.chunk.depends_on(), seq, self.head.seq) {
                return None;
            }
            kept.seq.fetch_max(self.head.seq, Ordering::AcqRel);
        }
        Some(kept)
    }

    fn key(&self, number: i64) -> ChunkKey {
        ChunkKey { variant: self.variant, number }
    }

    /// The part of the series that a chunk holds.
    fn bounds(&self, number: i64) -> TimeRange {
        let time = chunk::time_of(self.prepared.interval(), number);
        match self.fillable {
            Some(fillable) => fillable.from(time.start()).before(time.end()).time(),
            None => time,
        }
    }

    /// Catches up with the change log.
    async fn learn_changes(&self) -> Result<(), StoreError> {
        for _ in 0..CHANGE_READS_MAX {
            let known = self.series.recent.read().unwrap_or_else(PoisonError::into_inner).until();
            if known >= self.head.seq {
                return Ok(());
            }
            let changes = self.prepared.source.changes(self.variant.asset, known).await?;
            let mut recent = self.series.recent.write().unwrap_or_else(PoisonError::into_inner);
            match changes.is_empty() {
                // Cannot be, unless somebody cut the log.
                true => *recent = RecentChanges::since(self.head.seq),
                false => changes.iter().for_each(|change| recent.add(change)),
            }
        }
        let mut recent = self.series.recent.write().unwrap_or_else(PoisonError::into_inner);
        if recent.until() < self.head.seq {
            *recent = RecentChanges::since(self.head.seq);
        }
        Ok(())
    }

    /// Reads anew what has changed of a chunk.
    async fn mend(&self, number: i64, old: &Chunk, seq: u64) -> Result<Arc<Kept>, StoreError> {
        let bounds = self.bounds(number);
        let touched = {
            let recent = self.series.recent.read().unwrap_or_else(PoisonError::into_inner);
            recent.touching(old.depends_on(), seq)
        };
        let stale = touched.map_or(bounds, |touched| old.stale(bounds, &touched));
        let read = self.read(stale).await?;
        Ok(self.keep(number, old.mended(bounds, stale, &read, self.variant.all_fields)))
    }

    /// Reads chunks that are not there.
    async fn load(&self, number: i64, until: i64) -> Result<Arc<Kept>, StoreError> {
        let towards = if until < number { -1 } else { 1 };
        let mut last = number;
        let missing = |number: i64| !self.prepared.chunks.contains_key(&self.key(number));
        while last != until && (last - number).abs() + 1 < CHUNKS_PER_LOAD_MAX && missing(last + towards) {
            last += towards;
        }
        let numbers = number.min(last)..=number.max(last);
        let all = self.bounds(*numbers.start()).hull(self.bounds(*numbers.end()));
        let read = self.read(all).await?;
        let mut wanted = None;
        for at in numbers {
            let bounds = self.bounds(at);
            let kept = self.keep(at, Chunk::of(bounds, &part(&read, bounds), self.variant.all_fields));
            if at == number {
                wanted = Some(kept);
            }
        }
        // Holds: the numbers begin or end with the one that is wanted.
        wanted
            .ok_or_else(|| StoreError::Corrupt { reason: format!("chunk {number} is not among those read") })
    }

    /// The rows of a range, from the database.
    async fn read(&self, range: TimeRange) -> Result<FilledRows, StoreError> {
        if range.is_empty() {
            return Ok(FilledRows::default());
        }
        let asset = self.variant.asset;
        if let Some(fillable) = self.fillable {
            return self.prepared.source.filled(asset, fillable.grid().slots_in(range), None).await;
        }
        let source = &self.prepared.source;
        let candles = source.stored(asset, range, Take::Oldest, ROWS_PER_LOAD_MAX, None).await?;
        if candles.len() as u64 == ROWS_PER_LOAD_MAX {
            let reason =
                format!("{asset} has {ROWS_PER_LOAD_MAX} rows or more in {range}: far more than slots");
            return Err(StoreError::Corrupt { reason });
        }
        let rows = candles.into_iter().map(|candle| Row { candle, filled: false }).collect();
        Ok(FilledRows { rows, carried_from: None })
    }

    /// Keeps a chunk that was read after the reader had learnt where the series stands.
    fn keep(&self, number: i64, chunk: Chunk) -> Arc<Kept> {
        let kept = Arc::new(Kept { chunk, seq: AtomicU64::new(self.head.seq) });
        self.prepared.chunks.insert(self.key(number), Arc::clone(&kept));
        kept
    }
}

/// The part of what was read that one chunk holds.
fn part(read: &FilledRows, bounds: TimeRange) -> FilledRows {
    let first = read.rows.partition_point(|row| row.candle.open_time() < bounds.start());
    let behind = read.rows.partition_point(|row| row.candle.open_time() < bounds.end());
    let rows = read.rows[first..behind.max(first)].to_vec();
    let before = read.rows[..first].iter().rev().find(|row| !row.filled);
    let carried = rows.first().is_some_and(|row| row.filled);
    let carried_from = before.map(|row| row.candle.open_time()).or(read.carried_from).filter(|_| carried);
    FilledRows { rows, carried_from }
}

#[cfg(test)]
mod tests;
