//! Jobs as those see them who do the work.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{Fence, JobId};

use crate::{ClaimedJob, JobAsset, JobEnd, NewJob, StoreError};

/// Hands jobs to workers, each to one at a time.
///
/// A job is held under a lease that [`Leases`](crate::Leases) prolongs; whoever lets it run out has
/// lost the job to the next worker. Implementations MUST refuse what a worker writes whose lease is
/// lost, in the same transaction.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait JobQueue: Debug + Send + Sync {
    /// Takes the next job that waits, or whose worker died: those first for which somebody waits,
    /// of these the oldest. None if there is nothing to do. Of many that try at once no two get the
    /// same job.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(&self, holder: &str, lasts: Duration) -> Result<Option<ClaimedJob>, StoreError>;

    /// Makes a job that its maker works on itself, whatever the queue holds.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn start(&self, job: NewJob, holder: &str, lasts: Duration) -> Result<ClaimedJob, StoreError>;

    /// Notes how far the work on some assets is, from which on attempts are counted anew if it got on;
    /// true if somebody wishes that it be cancelled.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::LeaseLost`] if another worker has the job by now.
    async fn record(&self, id: JobId, fence: &Fence, assets: &[JobAsset]) -> Result<bool, StoreError>;

    /// Gives a job out of the worker's hands, with how the work on some assets stands. One that is to be
    /// taken up again ends all the same if somebody wishes that it be cancelled. The lease stays
    /// the worker's to give back. Ended jobs that nobody needs any more are forgotten.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::LeaseLost`] if another worker has the job by now.
    async fn finish(
        &self,
        id: JobId,
        fence: &Fence,
        end: JobEnd,
        assets: &[JobAsset],
    ) -> Result<(), StoreError>;
}
