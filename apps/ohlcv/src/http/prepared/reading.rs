//! One query on its way: whose rows, where the series stood when it came, which chunks it needs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use ohlcv_domain::{Candle, Head, Row, SlotRange, TimeRange};
use ohlcv_ports::{StoreError, Take};
use ohlcv_usecases::{CandleQuery, DerivedSeries, FilledPage, FilledRows};
use tokio::sync::SemaphorePermit;

use super::changes::RecentChanges;
use super::chunk::Chunk;
use super::cut::{Cut, ROWS_PER_LOAD_MAX};
use super::page::{Pick, Picks, PreparedPage};
use super::{ChunkKey, Effort, Kept, PreparedCandles, Series, Unanswered, Variant};

/// How often changes are read to catch up with a series that changes all the time; then its chunks are
/// read anew.
const CHANGE_READS_MAX: usize = 5;

/// How many slots are read with little effort, and how many rows where there may be some off the grid:
/// what a store answers without waiting for others. Few in tests, which have to cross them.
const SLOTS_WITH_LITTLE_MAX: u64 = if cfg!(test) { 4 } else { 32 };
const ROWS_WITH_LITTLE_MAX: u64 = 2 * SLOTS_WITH_LITTLE_MAX;

/// One query on its way.
pub(super) struct Reading<'a> {
    pub(super) prepared: &'a PreparedCandles,
    pub(super) variant: Variant,
    pub(super) head: Head,
    pub(super) effort: Effort,
    /// Where rows can be, if that is known beforehand: of all but stored rows as they are.
    pub(super) shown: Option<SlotRange>,
    /// How the rows are made, if they are not stored.
    pub(super) derived: Option<DerivedSeries>,
    pub(super) cut: Cut,
    pub(super) series: Arc<Series>,
}

impl Reading<'_> {
    /// A page of filled rows: every slot has one, so its chunks are known beforehand.
    pub(super) async fn filled(&self, page: FilledPage) -> Result<PreparedPage, Unanswered> {
        let wanted = page.slots.time();
        let last = self.cut.number_before(wanted.end());
        let mut picks = Picks::default();
        for number in self.cut.number_of(wanted.start())..=last {
            let kept = self.kept(number, last).await?;
            let rows = kept.chunk.rows_in(wanted);
            picks.push_back(Pick { kept, rows });
        }
        Ok(picks.page(page.next, page.prev))
    }

    /// A page of rows as they are, stored or derived. Their number in each chunk turns out when it is
    /// looked at.
    pub(super) async fn stored(
        &self,
        query: &CandleQuery,
        range: TimeRange,
    ) -> Result<PreparedPage, Unanswered> {
        let cut = self.cut;
        let ends = match self.shown {
            Some(shown) => Some((shown.start(), cut.number_before(shown.end()))),
            None => self.head.first.zip(self.head.last.map(|last| cut.number_of(last))),
        };
        let Some((first, newest)) = ends else { return Ok(PreparedPage::default()) };
        let limit = usize::try_from(query.limit.get()).unwrap_or(usize::MAX);
        let oldest = cut.number_of(range.start().max(first));
        let newest = cut.number_before(range.end()).min(newest);
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
        let chunks = self.cut.chunks_with(room);
        match take {
            Take::Oldest => number.saturating_add(chunks).min(newest),
            Take::Newest => number.saturating_sub(chunks).max(oldest),
        }
    }

    /// The chunk of the next stored row beyond an empty chunk; none if the range has no more. Long
    /// holes are passed over with one question.
    async fn beyond(&self, number: i64, take: Take, range: TimeRange) -> Result<Option<i64>, Unanswered> {
        if self.effort == Effort::Little {
            return Err(Unanswered::Elsewhere);
        }
        let here = self.cut.time_of(number);
        let rest = match take {
            Take::Oldest => TimeRange::new(here.end().max(range.start()), range.end()),
            Take::Newest => TimeRange::new(range.start(), here.start().min(range.end())),
        };
        let Ok(mut rest) = rest else { return Ok(None) };
        let grid = self.derived.map(|derived| derived.resampling.grid());
        if let Some(grid) = grid {
            rest = grid.slots_in(rest).time();
        }
        let _turn = self.turn()?;
        let found = self.prepared.source.stored(self.variant.asset, rest, take, 1, None).await?;
        let row = found.first().map(Candle::open_time).map(|at| grid.map_or(at, |grid| grid.floor(at)));
        Ok(row.map(|open_time| self.cut.number_of(open_time)))
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

    /// A turn to use the database.
    fn turn(&self) -> Result<SemaphorePermit<'_>, Unanswered> {
        let admission = &self.prepared.admission;
        match self.effort {
            Effort::Any => admission.turn().map_err(Unanswered::Full),
            Effort::Little => admission.free_turn().ok_or(Unanswered::Elsewhere),
        }
    }

    /// Mends a chunk, or reads it.
    async fn renew(&self, number: i64, until: i64) -> Result<Arc<Kept>, Unanswered> {
        // One reader at a time uses the database for a series; the others most likely find it done.
        let _loading = self.series.loading.lock().await;
        if let Some(kept) = self.ready(number) {
            return Ok(kept);
        }
        let _turn = self.turn()?;
        self.learn_changes().await?;
        if let Some(kept) = self.ready(number) {
            return Ok(kept);
        }
        if let Some(old) = self.prepared.chunks.get(&self.key(number)) {
            return self.mend(number, &old.chunk, old.seq.load(Ordering::Acquire)).await;
        }
        self.load(number, until).await
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
        let time = self.cut.time_of(number);
        match self.shown {
            Some(shown) => shown.from(time.start()).before(time.end()).time(),
            None => time,
        }
    }

    /// Catches up with the change log.
    async fn learn_changes(&self) -> Result<(), Unanswered> {
        for _ in 0..CHANGE_READS_MAX {
            let known = self.series.recent.read().unwrap_or_else(PoisonError::into_inner).until();
            if known >= self.head.seq {
                return Ok(());
            }
            if let Some(range) = self.head.changed.filter(|_| known + 1 == self.head.seq) {
                // The usual case: nothing else has changed since somebody looked.
                let mut recent = self.series.recent.write().unwrap_or_else(PoisonError::into_inner);
                recent.add(self.head.seq, self.seen(range));
                return Ok(());
            }
            if self.effort == Effort::Little {
                return Err(Unanswered::Elsewhere);
            }
            let changes = self.prepared.source.changes(self.variant.asset, known).await?;
            let mut recent = self.series.recent.write().unwrap_or_else(PoisonError::into_inner);
            match changes.is_empty() {
                // Cannot be, unless somebody cut the log.
                true => *recent = RecentChanges::since(self.head.seq),
                false => changes.iter().for_each(|change| recent.add(change.seq, self.seen(change.range))),
            }
        }
        let mut recent = self.series.recent.write().unwrap_or_else(PoisonError::into_inner);
        if recent.until() < self.head.seq {
            *recent = RecentChanges::since(self.head.seq);
        }
        Ok(())
    }

    /// What has changed, as it is seen in this series: a stored candle is a part of a derived slot.
    fn seen(&self, changed: TimeRange) -> TimeRange {
        self.derived.map_or(changed, |derived| derived.resampling.touched_by(changed).time())
    }

    /// Reads anew what has changed of a chunk.
    async fn mend(&self, number: i64, old: &Chunk, seq: u64) -> Result<Arc<Kept>, Unanswered> {
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
    async fn load(&self, number: i64, until: i64) -> Result<Arc<Kept>, Unanswered> {
        if self.effort == Effort::Little {
            return Err(Unanswered::Elsewhere);
        }
        let towards = if until < number { -1 } else { 1 };
        let mut last = number;
        let missing = |number: i64| !self.prepared.chunks.contains_key(&self.key(number));
        while last != until
            && (last - number).abs() + 1 < self.cut.chunks_per_load()
            && missing(last + towards)
        {
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
        wanted.ok_or_else(|| {
            let reason = format!("chunk {number} is not among those read");
            StoreError::Corrupt { reason }.into()
        })
    }

    /// The rows of a range, from the database.
    async fn read(&self, range: TimeRange) -> Result<FilledRows, Unanswered> {
        if range.is_empty() {
            return Ok(FilledRows::default());
        }
        let many = self.derived.is_some() || self.cut.slots_in(range) > SLOTS_WITH_LITTLE_MAX;
        if self.effort == Effort::Little && many {
            return Err(Unanswered::Elsewhere);
        }
        let (asset, source) = (self.variant.asset, &self.prepared.source);
        if let Some(derived) = self.derived {
            let slots = derived.resampling.grid().slots_in(range);
            return Ok(source.derived(&derived, slots, self.variant.fill).await?);
        }
        if let Some(shown) = self.shown {
            return Ok(source.filled(asset, shown.grid().slots_in(range), None).await?);
        }
        let rows_max = match self.effort {
            Effort::Any => ROWS_PER_LOAD_MAX,
            Effort::Little => ROWS_WITH_LITTLE_MAX,
        };
        let candles = source.stored(asset, range, Take::Oldest, rows_max, None).await?;
        if candles.len() as u64 == rows_max {
            let reason = format!("{asset} has {rows_max} rows or more in {range}: far more than slots");
            return Err(StoreError::Corrupt { reason }.into());
        }
        let rows = candles.into_iter().map(Row::stored).collect();
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
