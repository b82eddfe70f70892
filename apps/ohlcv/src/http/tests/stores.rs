//! A store that does not work.

use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{Applied, BackfillState, Breaks, Change, Head, Hole, HoleCount, Summary, TimeRange};
use ohlcv_ports::{HoleQuery, StoreError, Take};

use super::*;

/// Every call of it fails in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokenStore {
    /// The database cannot be reached.
    Away,
    /// The database has another schema.
    Refusing,
    /// The database holds nonsense.
    Corrupt,
    /// No answer ever comes.
    Silent,
    /// A bug.
    Panicking,
}

/// What must not be seen outside.
pub(super) const SECRET: &str = "postgresql://user:secret@db.internal";

impl BrokenStore {
    async fn fail<T>(self) -> Result<T, StoreError> {
        let reason = SECRET.to_owned();
        match self {
            Self::Away => Err(StoreError::Unavailable { reason, source: None }),
            Self::Refusing => Err(StoreError::Refused { reason, source: None }),
            Self::Corrupt => Err(StoreError::Corrupt { reason }),
            Self::Silent => {
                tokio::time::sleep(Duration::from_secs(86_400)).await;
                Err(StoreError::Unavailable { reason, source: None })
            }
            Self::Panicking => panic!("{SECRET}"),
        }
    }
}

#[async_trait]
impl CandleStore for BrokenStore {
    async fn apply(&self, _: Commit) -> Result<Applied, StoreError> {
        self.fail().await
    }

    async fn page(&self, _: Asset, _: TimeRange, _: Take, _: u64) -> Result<Vec<Candle>, StoreError> {
        self.fail().await
    }

    async fn breaks(&self, _: Asset, _: TimeRange, _: Duration) -> Result<Breaks, StoreError> {
        self.fail().await
    }

    async fn changes(&self, _: Asset, _: u64, _: u64) -> Result<Vec<Change>, StoreError> {
        self.fail().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.fail().await
    }
}

#[async_trait]
impl Coverage for BrokenStore {
    async fn summary(&self, _: Asset) -> Result<Option<Summary>, StoreError> {
        self.fail().await
    }

    async fn summaries(&self) -> Result<Vec<Summary>, StoreError> {
        self.fail().await
    }

    async fn heads(&self, _: &[Asset]) -> Result<Vec<Head>, StoreError> {
        self.fail().await
    }

    async fn holes(&self, _: Asset, _: HoleQuery) -> Result<Vec<Hole>, StoreError> {
        self.fail().await
    }

    async fn unverified(&self, _: Asset, _: TimeRange, _: u64) -> Result<Vec<TimeRange>, StoreError> {
        self.fail().await
    }

    async fn hole_counts(&self) -> Result<Vec<HoleCount>, StoreError> {
        self.fail().await
    }

    async fn record_backfill(
        &self,
        _: Asset,
        _: BackfillState,
        _: Option<ohlcv_domain::Fence>,
    ) -> Result<(), StoreError> {
        self.fail().await
    }
}
