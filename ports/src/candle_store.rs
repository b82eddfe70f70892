//! Where candles are kept.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{Applied, Asset, Breaks, Candle, Change, Commit, TimeRange};

/// The stored candles of all assets, of one interval.
///
/// Implementations MUST be usable by many tasks and processes at once, and MUST return every
/// number and time exactly as it was written. `testing::candle_store_contract` holds them to what
/// is written here.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CandleStore: Debug + Send + Sync {
    /// The one write: the candles, the ledger of holes, the asset's summary and the change log,
    /// all of it or nothing.
    ///
    /// Candles are inserted, or replace what is stored under the same open time; nothing is ever
    /// deleted. Inside what was asked the commit's findings replace the ledger's holes (see
    /// [`ohlcv_domain::settle_holes`]), but never cover a stored candle. A commit beyond the
    /// ledger's span extends it; what lies between becomes pending. A commit whose fence is not the
    /// current token of its lease, or whose lease has run out, MUST be refused. What a commit has an
    /// answer about ([`Commit::answered`]) is unverified no longer. A write that changes nothing
    /// but how often a hole was asked for leaves no entry in the change log.
    ///
    /// When this returns, readers see all of it, in every process.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was written, except that a commit whose acknowledgement was lost
    /// may have been. Applying it again is safe.
    async fn apply(&self, commit: Commit) -> Result<Applied, StoreError>;

    /// At most `limit` candles of a range, ascending: its oldest or its newest ones.
    ///
    /// # Errors
    /// [`StoreError`]. An unknown asset has no candles.
    async fn page(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
    ) -> Result<Vec<Candle>, StoreError>;

    /// Compares the stored open times of a range with each other, inside the store: how many there
    /// are, the first, the last, and neighbours further apart than `longest_step`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn breaks(
        &self,
        asset: Asset,
        range: TimeRange,
        longest_step: Duration,
    ) -> Result<Breaks, StoreError>;

    /// At most `limit` entries of the asset's change log after `seq`, ascending.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn changes(&self, asset: Asset, seq: u64, limit: u64) -> Result<Vec<Change>, StoreError>;

    /// Whether the store can be used now: reachable, with the schema this program needs.
    ///
    /// # Errors
    /// [`StoreError`] saying what is wrong.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// Which end of a range to take candles from, if not all fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The candles with the earliest open times.
    Oldest,
    /// The candles with the latest open times.
    Newest,
}

/// Why a store did not do what it was asked, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, lets nobody in for a while, or is too busy; later it may work.
    #[error("the database cannot be used now: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// The failure beneath.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The writer no longer holds the lease it works under; somebody else may.
    #[error("the lease {lease} is lost: another process works there now")]
    LeaseLost {
        /// The name of the lease.
        lease: String,
    },
    /// Something stored is not what this program writes.
    #[error("the database holds something impossible: {reason}")]
    Corrupt {
        /// Where, what, and why that cannot be.
        reason: String,
    },
    /// The database refused: a bug here, missing rights, or a schema of another version.
    #[error("the database refused: {reason}")]
    Refused {
        /// What it said.
        reason: String,
        /// The failure beneath.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}
