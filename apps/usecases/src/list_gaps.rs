//! Reading the ledger: every hole of a series, and the outages of the exchange among them.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use ohlcv_domain::{
    Asset, Cause, Grid, Hole, Incident, Interval, Summary, TimeRange, Timestamp, WITNESSES_MIN, Witness,
    known_incident, shared_holes, shared_incident,
};
use ohlcv_ports::{Coverage, HoleQuery, StoreError, Take};

use crate::holes::holes_in;
use crate::look_up::{QueryError, look_up};

/// Answers which holes a series has, page by page.
#[derive(Clone, Debug)]
pub struct ListGaps {
    coverage: Arc<dyn Coverage>,
    interval: Interval,
    tracked: Vec<Asset>,
}

/// Holes that somebody wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapQuery {
    /// Whose holes.
    pub asset: Asset,
    /// Holes that end after it. Without it the newest holes before `end` are meant.
    pub start: Option<Timestamp>,
    /// Holes that begin before it. Without it there is no end.
    pub end: Option<Timestamp>,
    /// Holes of this cause alone; all if none.
    pub cause: Option<Cause>,
    /// How many at most.
    pub limit: NonZeroU32,
}

/// One hole, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What the ledger says.
    pub hole: Hole,
    /// How many slots of the grid it has.
    pub slots: u64,
    /// The outage of the exchange that it comes from, if there is one.
    pub incident: Option<Incident>,
}

/// One page of holes, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GapPage {
    /// The holes, whole also where they reach beyond the range.
    pub gaps: Vec<Gap>,
    /// If more holes of the range follow: the `start` of a query that goes on exactly behind these.
    pub next: Option<Timestamp>,
    /// If the series has such holes before these: the `end` of a query for the ones just before.
    pub prev: Option<Timestamp>,
}

impl ListGaps {
    /// Answers from `coverage`, whose series are of `interval`. An asset of `tracked` of which nothing
    /// is known yet has no holes, any other one is unknown.
    #[must_use]
    pub fn new(coverage: Arc<dyn Coverage>, interval: Interval, tracked: Vec<Asset>) -> Self {
        Self { coverage, interval, tracked }
    }

    /// The interval of the series.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The holes of a query. The same holes whatever the page size.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn run(&self, query: GapQuery) -> Result<GapPage, QueryError> {
        let GapQuery { asset, start, end, cause, limit } = query;
        let found = look_up(self.coverage.as_ref(), &self.tracked, asset, start, end).await?;
        let Some((summary, range)) = found else { return Ok(GapPage::default()) };
        let take = if start.is_some() { Take::Oldest } else { Take::Newest };
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        // One more than wanted tells whether holes follow.
        let wanted = HoleQuery { range, cause, take, limit: limit as u64 + 1 };
        let mut holes = self.coverage.holes(asset, wanted).await?;
        let more = holes.len() > limit;
        if more && take == Take::Newest {
            holes.remove(0);
        }
        holes.truncate(limit);
        let next = holes.last().map(|last| last.range.end()).filter(|_| more && take == Take::Oldest);
        let first = holes.first().map(|first| first.range.start());
        let prev = match first {
            Some(first) if take == Take::Oldest => self.any_before(asset, first, cause).await?,
            first => first.filter(|_| more),
        };
        let gaps = self.explained(&summary, holes).await?;
        Ok(GapPage { gaps, next, prev })
    }

    /// The instant itself, if a hole lies before it.
    async fn any_before(
        &self,
        asset: Asset,
        end: Timestamp,
        cause: Option<Cause>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let Ok(range) = TimeRange::new(Timestamp::MIN, end) else { return Ok(None) };
        let wanted = HoleQuery { range, cause, take: Take::Newest, limit: 1 };
        Ok(self.coverage.holes(asset, wanted).await?.first().map(|_| end))
    }

    /// The holes with their slots, and the incidents that they come from. Only where the exchange has
    /// nothing can an incident be the reason.
    async fn explained(&self, summary: &Summary, holes: Vec<Hole>) -> Result<Vec<Gap>, StoreError> {
        let grid = self.grid(summary);
        let mut gaps: Vec<Gap> = Vec::with_capacity(holes.len());
        let mut unexplained: Option<TimeRange> = None;
        for hole in holes {
            let range = hole.range;
            let is_empty = hole.cause == Cause::SourceEmpty;
            let incident = if is_empty { known_incident(grid, range) } else { None };
            if is_empty && incident.is_none() {
                unexplained = Some(unexplained.map_or(range, |all| all.hull(range)));
            }
            gaps.push(Gap { hole, slots: grid.slots_in(range).len(), incident });
        }
        let Some(unexplained) = unexplained else { return Ok(gaps) };
        let shared = shared_holes(&self.witnesses(unexplained).await?);
        for gap in gaps.iter_mut().filter(|gap| gap.hole.cause == Cause::SourceEmpty) {
            let found = || shared_incident(grid, &shared, gap.hole.range);
            gap.incident = gap.incident.clone().or_else(found);
        }
        Ok(gaps)
    }

    /// What the tracked series have to say about a range; nothing if too few lack anything anywhere. Only
    /// ledgers with such holes are read.
    async fn witnesses(&self, range: TimeRange) -> Result<Vec<Witness>, StoreError> {
        let counts = self.coverage.hole_counts().await?;
        let lacking =
            counts.iter().filter(|count| count.cause == Cause::SourceEmpty).map(|count| count.asset);
        let lacking: BTreeSet<Asset> = lacking.filter(|asset| self.tracked.contains(asset)).collect();
        let mut witnesses = Vec::new();
        if lacking.len() < WITNESSES_MIN {
            return Ok(witnesses);
        }
        for summary in self.coverage.summaries().await? {
            let listed = summary.span.zip(summary.listing).filter(|_| self.tracked.contains(&summary.asset));
            let Some((span, listing)) = listed else { continue };
            let grid = self.grid(&summary);
            let since = span.start().max(grid.floor(listing));
            // A market that has stopped says nothing about what the others lack since.
            let until = summary.halt(grid).map_or(span.end(), TimeRange::start);
            let Ok(watched) = TimeRange::new(since, until) else { continue };
            let Some(overlap) = watched.intersection(range) else { continue };
            let empty = match lacking.contains(&summary.asset) {
                true => {
                    holes_in(self.coverage.as_ref(), summary.asset, overlap, Some(Cause::SourceEmpty)).await?
                }
                false => Vec::new(),
            };
            witnesses.push(Witness { watched, empty: empty.into_iter().map(|hole| hole.range).collect() });
        }
        Ok(witnesses)
    }

    fn grid(&self, summary: &Summary) -> Grid {
        let first = summary.listing.or(summary.first).or(summary.span.map(TimeRange::start));
        first.map_or(Grid::new(self.interval), |first| Grid::from_first(self.interval, first))
    }
}
