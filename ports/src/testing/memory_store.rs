//! Candles in memory, by the same rules as in a database.

mod series;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{
    Applied, Asset, BackfillState, Breaks, Candle, Cause, Change, Commit, Fence, Head, Hole, HoleCount,
    Revision, Summary, TimeRange, Timestamp, candle_at,
};

use self::series::Series;
use super::candle_store_contract::MarkUnverified;
use crate::{CandleStore, Coverage, History, HoleQuery, StoreError, Take};

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

    async fn heads(&self, assets: &[Asset]) -> Result<Vec<Head>, StoreError> {
        let series = self.series();
        Ok(assets.iter().filter_map(|asset| series.get(asset)).map(Series::head).collect())
    }

    async fn holes(&self, asset: Asset, wanted: HoleQuery) -> Result<Vec<Hole>, StoreError> {
        let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
        Ok(self.read(asset, |series| {
            let holes = series.holes.iter().filter(|hole| wanted.wants(hole));
            match wanted.take {
                Take::Oldest => holes.take(limit).cloned().collect(),
                Take::Newest => {
                    let mut newest: Vec<Hole> = holes.rev().take(limit).cloned().collect();
                    newest.reverse();
                    newest
                }
            }
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

    async fn hole_counts(&self) -> Result<Vec<HoleCount>, StoreError> {
        let mut counts: BTreeMap<(Asset, Cause, Duration), u64> = BTreeMap::new();
        for (&asset, series) in self.series().iter() {
            for hole in &series.holes {
                *counts.entry((asset, hole.cause, hole.range.lasts())).or_default() += 1;
            }
        }
        let counts = counts.into_iter();
        Ok(counts
            .map(|((asset, cause, lasting), holes)| HoleCount { asset, cause, lasting, holes })
            .collect())
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
impl History for MemoryStore {
    async fn page_at(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
        at: Timestamp,
    ) -> Result<Vec<Candle>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.read(asset, |series| {
            let stood = |(open_time, current): (&Timestamp, &Candle)| {
                let of_slot = |earlier: &&Revision| earlier.candle.open_time() == *open_time;
                let revisions: Vec<Revision> = series.revisions.iter().filter(of_slot).copied().collect();
                candle_at(*current, series.arrived(*open_time), &revisions, at)
            };
            let mut rows: Vec<Candle> =
                series.rows.range(range.start()..range.end()).filter_map(stood).collect();
            match take {
                Take::Oldest => rows.truncate(limit),
                Take::Newest => drop(rows.drain(..rows.len().saturating_sub(limit))),
            }
            rows
        }))
    }

    async fn revisions(
        &self,
        asset: Asset,
        range: TimeRange,
        after: u64,
        limit: u64,
    ) -> Result<Vec<Revision>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let wanted =
            |revision: &&Revision| revision.number > after && range.contains(revision.candle.open_time());
        Ok(self.read(asset, |series| series.revisions.iter().filter(wanted).take(limit).copied().collect()))
    }
}

#[async_trait]
impl MarkUnverified for MemoryStore {
    async fn mark_unverified(&self, asset: Asset, range: TimeRange) {
        Self::mark_unverified(self, asset, range);
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
        assert_eq!(store.holes(btc, HoleQuery::oldest(TimeRange::ALL, 100)).await.unwrap(), []);
        assert_eq!(store.summary(btc).await.unwrap().unwrap().candles, 10);
        let recount = Commit::of_finding(btc, days(8, 10), Cause::Pending, "", day(100)).with_recount();
        store.apply(recount).await.unwrap();
        let summary = store.summary(btc).await.unwrap().unwrap();
        assert_eq!((summary.candles, summary.last, summary.answered_until), (8, Some(day(7)), Some(day(8))));
        assert_eq!(store.changes(btc, 1, 100).await.unwrap()[0].range, time(8, 10));
    }
}
