//! The candles of one asset that were replaced, because the exchange revised its history.

use std::num::NonZeroU32;
use std::sync::Arc;

use ohlcv_domain::{Asset, Interval, Revision, TimeRange, Timestamp};
use ohlcv_ports::{Coverage, History};

use crate::QueryError;
use crate::look_up::look_up;

/// Lists revisions in the order in which they happened, page by page.
#[derive(Clone, Debug)]
pub struct ListRevisions {
    history: Arc<dyn History>,
    coverage: Arc<dyn Coverage>,
    interval: Interval,
    tracked: Vec<Asset>,
}

/// The revisions that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisionQuery {
    /// Whose candles.
    pub asset: Asset,
    /// Earliest open time of the candle, inclusive; without it there is no earliest.
    pub start: Option<Timestamp>,
    /// Latest open time of the candle, exclusive; without it there is no latest.
    pub end: Option<Timestamp>,
    /// Only revisions with a greater number.
    pub after: u64,
    /// How many at most.
    pub limit: NonZeroU32,
}

/// One page of revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevisionPage {
    /// The revisions, ascending by number.
    pub revisions: Vec<Revision>,
    /// If more follow: the `after` of a query that goes on exactly behind these.
    pub next_after: Option<u64>,
}

impl ListRevisions {
    /// Lists what `history` kept of candles of `interval`. An asset of `tracked` without data has no
    /// revisions, any other one is unknown.
    #[must_use]
    pub fn new(
        history: Arc<dyn History>,
        coverage: Arc<dyn Coverage>,
        interval: Interval,
        tracked: Vec<Asset>,
    ) -> Self {
        Self { history, coverage, interval, tracked }
    }

    /// The interval of the candles.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The revisions of a query.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn run(&self, query: RevisionQuery) -> Result<RevisionPage, QueryError> {
        let RevisionQuery { asset, start, end, after, limit } = query;
        let known = look_up(self.coverage.as_ref(), &self.tracked, asset, start, end).await?;
        let Some((_, range)) = known else { return Ok(RevisionPage::default()) };
        self.page(asset, range, after, limit).await
    }

    async fn page(
        &self,
        asset: Asset,
        range: TimeRange,
        after: u64,
        limit: NonZeroU32,
    ) -> Result<RevisionPage, QueryError> {
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        // One more than wanted tells whether any follow.
        let mut revisions = self.history.revisions(asset, range, after, limit as u64 + 1).await?;
        let more = revisions.len() > limit;
        revisions.truncate(limit);
        let next_after = revisions.last().map(|last| last.number).filter(|_| more);
        Ok(RevisionPage { revisions, next_after })
    }
}
