//! What is known about each series without reading its candles.

use std::fmt::Debug;

use async_trait::async_trait;
use ohlcv_domain::{Asset, BackfillState, Cause, Fence, Hole, Summary, TimeRange};

use crate::StoreError;

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

    /// At most `limit` holes that overlap a range, ascending, whole even where they reach beyond it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn holes(&self, asset: Asset, range: TimeRange, limit: u64) -> Result<Vec<Hole>, StoreError>;

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

    /// How many holes each asset has of each cause, sorted by name and cause; what has none is left
    /// out. MUST NOT cost more the more candles there are.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn hole_counts(&self) -> Result<Vec<(Asset, Cause, u64)>, StoreError>;

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
