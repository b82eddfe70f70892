//! What is known about each series without reading its candles.

use std::fmt::Debug;

use async_trait::async_trait;
use ohlcv_domain::{Asset, BackfillState, Cause, Fence, Head, Hole, HoleCount, Summary, TimeRange};

use crate::{StoreError, Take};

/// The ledger of holes and the summary of each asset, as [`CandleStore::apply`] keeps them.
///
/// [`CandleStore::apply`]: crate::CandleStore::apply
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Coverage: Debug + Send + Sync {
    /// What is known of one asset; none before anything was written about it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn summary(&self, asset: Asset) -> Result<Option<Summary>, StoreError>;

    /// What is known of every asset, sorted by name. MUST NOT cost more the more candles there are.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn summaries(&self) -> Result<Vec<Summary>, StoreError>;

    /// Where the series of some assets stand, in any order; what nothing was written about is left out.
    /// MUST show all that was acknowledged before this was asked, by whatever process, and MUST NOT
    /// cost more the more candles there are: readers ask it before every answer. All that a head tells
    /// MUST be of one instant.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn heads(&self, assets: &[Asset]) -> Result<Vec<Head>, StoreError>;

    /// Holes of one asset, ascending, whole even where they reach beyond the range.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn holes(&self, asset: Asset, wanted: HoleQuery) -> Result<Vec<Hole>, StoreError>;

    /// At most `limit` runs of slots whose rows came from elsewhere and that the exchange has not been
    /// asked about since, of those that overlap a range; ascending, disjoint, whole even where they
    /// reach beyond it. [`CandleStore::apply`] takes off what a commit has an answer about.
    ///
    /// [`CandleStore::apply`]: crate::CandleStore::apply
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unverified(
        &self,
        asset: Asset,
        range: TimeRange,
        limit: u64,
    ) -> Result<Vec<TimeRange>, StoreError>;

    /// How many holes each asset has of each cause and length, sorted by name, cause and length; what
    /// has none is left out. MUST NOT cost more the more candles there are.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn hole_counts(&self) -> Result<Vec<HoleCount>, StoreError>;

    /// Notes how far the backfill of an asset is, also before its first commit.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::LeaseLost`] if there is a fence and it does not stand.
    async fn record_backfill(
        &self,
        asset: Asset,
        state: BackfillState,
        fence: Option<Fence>,
    ) -> Result<(), StoreError>;
}

/// Which holes of an asset are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoleQuery {
    /// Those that overlap it.
    pub range: TimeRange,
    /// Those of this cause alone; all if none.
    pub cause: Option<Cause>,
    /// Which end of the range to take them from, if not all fit.
    pub take: Take,
    /// How many at most.
    pub limit: u64,
}

impl HoleQuery {
    /// The first holes of a range, whatever their cause.
    #[must_use]
    pub const fn oldest(range: TimeRange, limit: u64) -> Self {
        Self { range, cause: None, take: Take::Oldest, limit }
    }

    /// Whether a hole is among those that are wanted, if there is room for it.
    #[must_use]
    pub fn wants(&self, hole: &Hole) -> bool {
        self.cause.is_none_or(|cause| hole.cause == cause) && hole.range.intersection(self.range).is_some()
    }
}
