//! Candles in memory, by the same rules as in a database.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{
    Applied, Asset, BackfillState, Breaks, Candle, Cause, Change, Commit, Fence, Finding, Hole, Summary,
    TimeRange, Timestamp, answered_until, changed_holes, settle_holes, slots_between, without_stored,
};

use super::candle_store_contract::MarkUnverified;
use crate::{CandleStore, Coverage, StoreError, Take};

/// A [`CandleStore`] and [`Coverage`] that keeps everything in memory and never fails.
///
/// What it does on [`CandleStore::apply`] is what every other store has to do.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ohlcv_domain::{Candle, Commit, Grid, Interval, TimeRange};
/// use ohlcv_ports::{CandleStore, Coverage, Take, testing::MemoryStore};
///
/// let day = TimeRange::new("2024-11-01T00:00:00Z".parse()?, "2024-11-02T00:00:00Z".parse()?)?;
/// let asked = Grid::new(Interval::H12).slots_in(day);
/// let candles = asked.iter().map(|open_time| Ok(Candle::flat(open_time, "1".parse()?)));
/// let candles = candles.collect::<Result<_, ohlcv_domain::DecimalError>>()?;
/// let btc = "BTC".parse()?;
///
/// let store = MemoryStore::new();
/// let applied = store.apply(Commit::new(btc, asked, candles, Vec::new(), day.end())?).await?;
/// assert_eq!(applied.new, 2);
/// assert_eq!(store.page(btc, day, Take::Newest, 10).await?.len(), 2);
/// assert_eq!(store.summary(btc).await?.map(|summary| summary.candles), Some(2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    series: Mutex<BTreeMap<Asset, Series>>,
}

#[derive(Debug)]
struct Series {
    rows: BTreeMap<Timestamp, Candle>,
    // Ascending and disjoint, all inside the summary's span.
    holes: Vec<Hole>,
    changes: Vec<Change>,
    // Ascending and disjoint.
    unverified: Vec<TimeRange>,
    summary: Summary,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the candles of a range vanish behind the store's back, as a hand in the database would:
    /// ledger, summary and change log know nothing of it.
    pub fn remove_rows(&self, asset: Asset, range: TimeRange) {
        if let Some(series) = self.series().get_mut(&asset) {
            series.rows.retain(|open_time, _| !range.contains(*open_time));
        }
    }

    /// Marks the slots of a range as unverified, as a move from another service would.
    pub fn mark_unverified(&self, asset: Asset, range: TimeRange) {
        let mut series = self.series();
        let marks = &mut series.entry(asset).or_insert_with(|| Series::new(asset)).unverified;
        *marks = marks.iter().flat_map(|mark| mark.without([range])).chain([range]).collect();
        marks.sort_by_key(|mark| mark.start());
    }

    /// Puts a candle in behind the store's back, or changes one.
    pub fn put_row(&self, asset: Asset, candle: Candle) {
        let mut series = self.series();
        let rows = &mut series.entry(asset).or_insert_with(|| Series::new(asset)).rows;
        rows.insert(candle.open_time(), candle);
    }

    /// Puts a hole on the ledger behind the store's back, whatever is there.
    pub fn put_hole(&self, asset: Asset, hole: Hole) {
        let mut series = self.series();
        let holes = &mut series.entry(asset).or_insert_with(|| Series::new(asset)).holes;
        holes.push(hole);
        holes.sort_by_key(|hole| hole.range.start());
    }

    /// Lets a summary say something else behind the store's back.
    pub fn put_summary(&self, summary: Summary) {
        let asset = summary.asset;
        self.series().entry(asset).or_insert_with(|| Series::new(asset)).summary = summary;
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<Asset, Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `read` makes of the asset's series, or nothing if there is none.
    fn read<T: Default>(&self, asset: Asset, read: impl FnOnce(&Series) -> T) -> T {
        self.series().get(&asset).map(read).unwrap_or_default()
    }
}

#[async_trait]
impl CandleStore for MemoryStore {
    async fn apply(&self, commit: Commit) -> Result<Applied, StoreError> {
        let mut series = self.series();
        let series = series.entry(commit.asset()).or_insert_with(|| Series::new(commit.asset()));
        Ok(series.apply(&commit))
    }

    async fn page(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
    ) -> Result<Vec<Candle>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.read(asset, |series| {
            let rows = series.rows.range(range.start()..range.end()).map(|(_, candle)| *candle);
            match take {
                Take::Oldest => rows.take(limit).collect(),
                Take::Newest => {
                    let mut newest: Vec<Candle> = rows.rev().take(limit).collect();
                    newest.reverse();
                    newest
                }
            }
        }))
    }

    async fn breaks(
        &self,
        asset: Asset,
        range: TimeRange,
        longest_step: Duration,
    ) -> Result<Breaks, StoreError> {
        Ok(self.read(asset, |series| {
            let mut breaks = Breaks::default();
            for (&open_time, _) in series.rows.range(range.start()..range.end()) {
                if let Some(before) = breaks.last
                    && open_time.since(before) > longest_step
                {
                    breaks.steps.push((before, open_time));
                }
                breaks.rows += 1;
                breaks.first.get_or_insert(open_time);
                breaks.last = Some(open_time);
            }
            breaks
        }))
    }

    async fn changes(&self, asset: Asset, seq: u64, limit: u64) -> Result<Vec<Change>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.read(asset, |series| {
            let from = series.changes.partition_point(|change| change.seq <= seq);
            series.changes[from..].iter().take(limit).copied().collect()
        }))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl Coverage for MemoryStore {
    async fn summary(&self, asset: Asset) -> Result<Option<Summary>, StoreError> {
        Ok(self.read(asset, |series| Some(series.summary.clone())))
    }

    async fn summaries(&self) -> Result<Vec<Summary>, StoreError> {
        Ok(self.series().values().map(|series| series.summary.clone()).collect())
    }

    async fn holes(&self, asset: Asset, range: TimeRange, limit: u64) -> Result<Vec<Hole>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.read(asset, |series| {
            let overlapping = series.holes.iter().filter(|hole| hole.range.intersection(range).is_some());
            overlapping.take(limit).cloned().collect()
        }))
    }

    async fn unverified(
        &self,
        asset: Asset,
        range: TimeRange,
        limit: u64,
    ) -> Result<Vec<TimeRange>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.read(asset, |series| {
            let overlapping = series.unverified.iter().filter(|mark| mark.intersection(range).is_some());
            overlapping.take(limit).copied().collect()
        }))
    }

    async fn hole_counts(&self) -> Result<Vec<(Asset, Cause, u64)>, StoreError> {
        let mut counts: BTreeMap<(Asset, Cause), u64> = BTreeMap::new();
        for (&asset, series) in self.series().iter() {
            for hole in &series.holes {
                *counts.entry((asset, hole.cause)).or_default() += 1;
            }
        }
        Ok(counts.into_iter().map(|((asset, cause), holes)| (asset, cause, holes)).collect())
    }

    async fn record_backfill(
        &self,
        asset: Asset,
        state: BackfillState,
        _fence: Option<Fence>,
    ) -> Result<(), StoreError> {
        let mut series = self.series();
        series.entry(asset).or_insert_with(|| Series::new(asset)).summary.backfill = state;
        Ok(())
    }
}

#[async_trait]
impl MarkUnverified for MemoryStore {
    async fn mark_unverified(&self, asset: Asset, range: TimeRange) {
        Self::mark_unverified(self, asset, range);
    }
}

impl Series {
    fn new(asset: Asset) -> Self {
        let summary = Summary {
            asset,
            span: None,
            answered_until: None,
            listing: None,
            first: None,
            last: None,
            candles: 0,
            backfill: BackfillState::default(),
        };
        Self {
            rows: BTreeMap::new(),
            holes: Vec::new(),
            changes: Vec::new(),
            unverified: Vec::new(),
            summary,
        }
    }

    fn apply(&mut self, commit: &Commit) -> Applied {
        let (applied, changed_rows) = self.write_rows(commit);
        let changed_holes = if commit.asked().is_empty() { None } else { self.settle(commit) };
        let changed = match (changed_rows, changed_holes) {
            (Some(rows), Some(holes)) => Some(rows.hull(holes)),
            (rows, holes) => rows.or(holes),
        };
        if let Some(range) = changed {
            let seq = self.changes.last().map_or(0, |change| change.seq) + 1;
            self.changes.push(Change { seq, range, at: commit.observed_at() });
        }
        let answered = commit.answered();
        let left = self.unverified.iter().flat_map(|mark| mark.without(answered.iter().copied()));
        self.unverified = left.collect();
        self.summarise(commit, applied);
        applied
    }

    /// Stores the candles; also says from where to where that changed what was stored.
    fn write_rows(&mut self, commit: &Commit) -> (Applied, Option<TimeRange>) {
        let grid = commit.asked().grid();
        let mut applied = Applied::default();
        let mut changed = None;
        for candle in commit.candles() {
            let open_time = candle.open_time();
            match self.rows.get(&open_time) {
                None => applied.new += 1,
                Some(stored) if candle.confirms(stored) => {
                    applied.unchanged += 1;
                    continue;
                }
                Some(_) => applied.changed += 1,
            }
            self.rows.insert(open_time, *candle);
            widen(&mut changed, open_time, grid.next(open_time));
        }
        (applied, changed)
    }

    /// Brings the ledger up to what was found out; also says from where to where its holes differ
    /// from before in more than how often they were asked for.
    fn settle(&mut self, commit: &Commit) -> Option<TimeRange> {
        let asked = commit.asked().time();
        let span = self.summary.span.unwrap_or(asked);
        // A commit apart from the span leaves slots between that nobody asked about.
        let between = slots_between(span, asked);
        let settled = between.map_or(asked, |between| asked.hull(between));
        let unasked = between.map(|range| Finding { range, cause: Cause::Pending, detail: String::new() });
        let mut findings: Vec<Finding> = commit.findings().iter().cloned().chain(unasked).collect();
        findings.sort_by_key(|finding| finding.range.start());
        let stored: Vec<Timestamp> =
            self.rows.range(settled.start()..settled.end()).map(|(open_time, _)| *open_time).collect();
        let findings = without_stored(&findings, commit.asked().grid(), &stored);

        let from = self.holes.partition_point(|hole| hole.range.end() < settled.start());
        let to = self.holes.partition_point(|hole| hole.range.start() <= settled.end());
        let after = settle_holes(&self.holes[from..to], settled, &findings, commit.observed_at());
        let changed = changed_holes(&self.holes[from..to], &after);
        self.holes.splice(from..to, after);
        self.summary.span = Some(span.hull(asked));
        changed
    }

    fn summarise(&mut self, commit: &Commit, applied: Applied) {
        let summary = &mut self.summary;
        summary.listing = commit.listing().or(summary.listing);
        let newest_first = self.holes.iter().rev().cloned();
        summary.answered_until = summary.span.map(|span| answered_until(span.end(), newest_first));
        if commit.recount() {
            summary.candles = self.rows.len() as u64;
            summary.first = self.rows.first_key_value().map(|(open_time, _)| *open_time);
            summary.last = self.rows.last_key_value().map(|(open_time, _)| *open_time);
            return;
        }
        summary.candles += applied.new;
        if let (Some(oldest), Some(newest)) = (commit.candles().first(), commit.candles().last()) {
            let first = summary.first.unwrap_or(oldest.open_time());
            summary.first = Some(first.min(oldest.open_time()));
            summary.last = summary.last.max(Some(newest.open_time()));
        }
    }
}

fn widen(range: &mut Option<TimeRange>, start: Timestamp, end: Timestamp) {
    if let Ok(piece) = TimeRange::new(start, end) {
        *range = Some(range.map_or(piece, |range| range.hull(piece)));
    }
}

#[cfg(test)]
mod tests {
    use ohlcv_domain::{Grid, Interval, SlotRange};

    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_millis(day * 86_400_000).unwrap()
    }

    fn time(from: i64, to: i64) -> TimeRange {
        TimeRange::new(day(from), day(to)).unwrap()
    }

    fn days(from: i64, to: i64) -> SlotRange {
        Grid::new(Interval::D1).slots_in(time(from, to))
    }

    fn full(from: i64, to: i64) -> Commit {
        let candles = days(from, to).iter().map(|open_time| Candle::flat(open_time, "1".parse().unwrap()));
        Commit::new("BTC".parse().unwrap(), days(from, to), candles.collect(), Vec::new(), day(100)).unwrap()
    }

    #[tokio::test]
    async fn rows_that_vanish_are_missed_only_when_they_are_counted_anew() {
        let (store, btc) = (MemoryStore::new(), "BTC".parse().unwrap());
        store.apply(full(0, 10)).await.unwrap();
        store.remove_rows(btc, time(8, 10));
        assert_eq!(store.page(btc, TimeRange::ALL, Take::Oldest, 100).await.unwrap().len(), 8);
        assert_eq!(store.holes(btc, TimeRange::ALL, 100).await.unwrap(), []);
        assert_eq!(store.summary(btc).await.unwrap().unwrap().candles, 10);
        let recount = Commit::of_finding(btc, days(8, 10), Cause::Pending, "", day(100)).with_recount();
        store.apply(recount).await.unwrap();
        let summary = store.summary(btc).await.unwrap().unwrap();
        assert_eq!((summary.candles, summary.last, summary.answered_until), (8, Some(day(7)), Some(day(8))));
        assert_eq!(store.changes(btc, 1, 100).await.unwrap()[0].range, time(8, 10));
    }
}
