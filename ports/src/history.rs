//! What a store held earlier.

use std::fmt::Debug;

use async_trait::async_trait;
use ohlcv_domain::{Asset, Candle, Revision, TimeRange, Timestamp};

use crate::{StoreError, Take};

/// Earlier states of the stored candles, as [`CandleStore::apply`](crate::CandleStore::apply) left
/// them. It MUST have written down when each candle arrived and, of a candle that was replaced by one
/// that says something else, the old one, from when to when it stood, and the job.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait History: Debug + Send + Sync {
    /// [`CandleStore::page`](crate::CandleStore::page) as it would have answered at an instant, by
    /// the local clock of those who wrote: see [`ohlcv_domain::candle_at`].
    ///
    /// # Errors
    /// [`StoreError`].
    async fn page_at(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
        at: Timestamp,
    ) -> Result<Vec<Candle>, StoreError>;

    /// At most `limit` revisions of candles that open in a range, of those with a number greater than
    /// `after`, ascending by number: in the order in which they happened.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn revisions(
        &self,
        asset: Asset,
        range: TimeRange,
        after: u64,
        limit: u64,
    ) -> Result<Vec<Revision>, StoreError>;
}
