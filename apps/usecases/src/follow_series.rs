//! What is new in a series since a reader was last told.

use std::num::NonZeroU32;

use ohlcv_domain::{Asset, Candle, Change, Grid, TimeRange, Timestamp};
use ohlcv_ports::{StoreError, Take};

use crate::list_gaps::{Gap, GapQuery, ListGaps};
use crate::look_up::QueryError;
use crate::read_series::ReadSeries;

/// How many changes are told together: each slot that they touch is told once.
const CHANGES_TOGETHER_MAX: u64 = 2_000;
/// How many candles a page of news has, and how many holes.
const NEWS_PER_PAGE_MAX: u32 = 500;
/// How often later changes are read before a page is told. What changes again further on is told
/// more than once.
const LATER_READS_MAX: usize = 4;

/// Where a follower of a series stands in its change log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// All changes up to the one of this number were told.
    pub seq: u64,
    /// Those behind it that are being told, if some are.
    pub telling: Option<Telling>,
}

/// Changes of which a part was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Telling {
    /// The number of the last of them.
    pub until: u64,
    /// What lies before it was told.
    pub from: Timestamp,
}

impl Told {
    /// The highest number of a change that it speaks of.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.telling.map_or(self.seq, |telling| telling.until.max(self.seq))
    }
}

/// Something that is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A candle that was stored, or now says something else.
    Candle(Candle),
    /// Slots that have no candle, or have none for another reason now.
    Gap(Gap),
}

/// News, in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewsPage {
    /// Each with where a follower stands who was told of it.
    pub news: Vec<(News, Told)>,
    /// Where a follower stands behind all of them.
    pub told: Told,
}

/// Tells followers of series what is new, from wherever they stand.
///
/// What they are told is read from the store as it is then, so a follower may stay away for any time, and
/// hears of each candle with the last change that touched it, not of every state that it went through.
#[derive(Clone, Debug)]
pub struct FollowSeries {
    series: ReadSeries,
    gaps: ListGaps,
}

/// A piece of news with the slots that it is about.
struct Found {
    range: TimeRange,
    news: News,
}

impl FollowSeries {
    /// Reads candles from `series` and holes from `gaps`, which have to be of the same store.
    #[must_use]
    pub const fn new(series: ReadSeries, gaps: ListGaps) -> Self {
        Self { series, gaps }
    }

    /// The number of the newest change of a series; 0 before the first one. All who ask at the same time
    /// share a question to the store.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn newest(&self, asset: Asset) -> Result<u64, QueryError> {
        Ok(self.series.head(asset).await?.map_or(0, |head| head.seq))
    }

    /// A page of what is new behind `told`, earliest slots first. Where there are changes it gets the
    /// follower on, also if it has no news.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn next(&self, asset: Asset, told: Told) -> Result<NewsPage, QueryError> {
        let mut changes = self.series.changes_upto(asset, told.seq, CHANGES_TOGETHER_MAX).await?;
        if let Some(telling) = told.telling {
            changes.retain(|change| change.seq <= telling.until);
        }
        let head = self.series.head(asset).await?;
        let grid = head.and_then(|head| self.series.grid(&head));
        let Some(until) = changes.last().map(|change| change.seq) else {
            return Ok(NewsPage { news: Vec::new(), told: Told { seq: told.newest(), telling: None } });
        };
        // Without a candle there are only holes, which need no grid.
        let grid = grid.unwrap_or(Grid::new(self.series.interval()));
        let from = told.telling.map_or(Timestamp::MIN, |telling| telling.from);
        let (mut found, end) = self.found(asset, grid, &touched(&changes), from).await?;
        // Read after the rows, so that whatever changed them meanwhile is among these. What such a change
        // covers wholly is told with it; of a hole that it covers in part, the rest is told by nobody else.
        let later = self.later(asset, until).await?;
        let told_later =
            |found: &Found| later.iter().any(|later| later.intersection(found.range) == Some(found.range));
        found.retain(|found| !told_later(found));
        let behind = |from| Told { telling: Some(Telling { until, from }), ..told };
        let told = end.map_or(Told { seq: until, telling: None }, behind);
        let last = found.len().saturating_sub(1);
        let news = found.into_iter().enumerate().map(|(number, found)| {
            (found.news, if number == last { told } else { behind(found.range.end()) })
        });
        Ok(NewsPage { news: news.collect(), told })
    }

    /// What there is in the first of `ranges` from `from` on, as much as a page has room for; and where to
    /// go on, if there is more.
    async fn found(
        &self,
        asset: Asset,
        grid: Grid,
        ranges: &[TimeRange],
        from: Timestamp,
    ) -> Result<(Vec<Found>, Option<Timestamp>), QueryError> {
        let mut found: Vec<Found> = Vec::new();
        let room = NEWS_PER_PAGE_MAX as usize;
        // A hole may reach over several of the ranges. It is told in the first one.
        let mut passed: Option<Timestamp> = None;
        for range in ranges {
            let left = TimeRange::new(from.max(range.start()), range.end());
            let Some(left) = left.ok().filter(|left| !left.is_empty()) else {
                passed = Some(range.end());
                continue;
            };
            if found.len() >= room {
                return Ok((found, Some(left.start())));
            }
            let candles = self.series.stored(asset, left, Take::Oldest, room as u64, None).await?;
            let full = candles.last().filter(|_| candles.len() == room);
            let mut end = full.map_or(left.end(), |last| grid.next(last.open_time())).min(left.end());
            let query = GapQuery {
                asset,
                start: Some(left.start()),
                end: Some(end),
                cause: None,
                limit: NonZeroU32::new(NEWS_PER_PAGE_MAX).unwrap_or(NonZeroU32::MIN),
            };
            let holes = self.gaps.run(query).await?;
            end = holes.next.map_or(end, |next| next.min(end));
            let candles = candles.into_iter().filter(|candle| candle.open_time() < end);
            found.extend(candles.filter_map(|candle| {
                let range = TimeRange::new(candle.open_time(), grid.next(candle.open_time())).ok()?;
                Some(Found { range, news: News::Candle(candle) })
            }));
            let told = |gap: &Gap| passed.is_some_and(|passed| gap.hole.range.start() < passed);
            found.extend(
                holes
                    .gaps
                    .into_iter()
                    .filter(|gap| !told(gap))
                    .map(|gap| Found { range: gap.hole.range, news: News::Gap(gap) }),
            );
            found.sort_by_key(|found| found.range.start());
            if end < left.end() {
                return Ok((found, Some(end)));
            }
            passed = Some(range.end());
        }
        Ok((found, None))
    }

    /// What changed after the change `seq`.
    async fn later(&self, asset: Asset, mut seq: u64) -> Result<Vec<TimeRange>, StoreError> {
        let mut ranges = Vec::new();
        for _ in 0..LATER_READS_MAX {
            let changes = self.series.changes_upto(asset, seq, CHANGES_TOGETHER_MAX).await?;
            let Some(last) = changes.last() else { break };
            seq = last.seq;
            ranges.extend(touched(&changes));
            if (changes.len() as u64) < CHANGES_TOGETHER_MAX {
                break;
            }
        }
        Ok(ranges)
    }
}

/// What some changes touched: ascending ranges that lie apart.
fn touched(changes: &[Change]) -> Vec<TimeRange> {
    let mut ranges: Vec<TimeRange> = changes.iter().map(|change| change.range).collect();
    ranges.sort_by_key(|range| range.start());
    let mut apart: Vec<TimeRange> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start() <= last.end() => *last = last.hull(range),
            _ => apart.push(range),
        }
    }
    apart
}
