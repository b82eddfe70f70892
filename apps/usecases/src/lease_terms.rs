//! Working under a lease: taken before, kept alive meanwhile, given back afterwards.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Fence};
use ohlcv_ports::{Leases, StoreError};
use tokio_util::sync::CancellationToken;

/// A lease is prolonged this many times within the time it lasts, so that one failure loses nothing.
const RENEWALS_PER_TERM: u32 = 4;
/// The longest time between two looks whether a lease is free: what a hand-over may cost.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// On what terms leases are taken.
#[derive(Clone, Debug)]
pub struct LeaseTerms {
    /// Who gives them out.
    pub leases: Arc<dyn Leases>,
    /// Who this is, for people who look at the table.
    pub holder: String,
    /// How long a lease lasts if it is not prolonged: the longest that others wait for the work of
    /// a process that died.
    pub lasts: Duration,
}

/// How work under a lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<T> {
    /// It came to its end.
    Done(T),
    /// The lease was lost in the middle, and the work was dropped there.
    Lost,
}

/// The name of the lease under which one process at a time works on an asset.
pub(crate) fn lease_of(asset: Asset) -> String {
    format!("asset {asset}")
}

impl LeaseTerms {
    /// Takes a lease, or waits until it can, no longer than `patience`; none if it could not, or was
    /// stopped first. A store that is away is waited for like a lease that is taken.
    ///
    /// # Errors
    /// [`StoreError`] if waiting will not help.
    pub async fn wait_for(
        &self,
        lease: &str,
        patience: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<Option<Fence>, StoreError> {
        let began = tokio::time::Instant::now();
        let mut told = false;
        loop {
            let taken = self.try_take(lease).await;
            let impatient = patience.is_some_and(|patience| began.elapsed() >= patience);
            match taken {
                Ok(Some(fence)) => return Ok(Some(fence)),
                Ok(None) if impatient => return Ok(None),
                Ok(None) if told => {}
                Ok(None) => {
                    tracing::info!("waiting: another process works under the lease {lease}");
                    told = true;
                }
                Err(error @ StoreError::Unavailable { .. }) if !impatient => {
                    tracing::warn!("cannot take the lease {lease} yet: {error}");
                }
                Err(error) => return Err(error),
            }
            let pause = tokio::time::sleep(self.look_interval());
            if stop.run_until_cancelled(pause).await.is_none() {
                return Ok(None);
            }
        }
    }

    /// How long to wait before looking again whether a lease is free.
    #[must_use]
    pub fn look_interval(&self) -> Duration {
        (self.lasts / RENEWALS_PER_TERM).min(LOOK_INTERVAL_MAX)
    }

    /// Takes a lease if nobody else holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn try_take(&self, lease: &str) -> Result<Option<Fence>, StoreError> {
        self.leases.acquire(lease, &self.holder, self.lasts).await
    }

    /// Does `work` while the lease is kept alive, then gives it back.
    ///
    /// A store that does not answer costs nothing at first: the lease goes on until its time is
    /// over, and a write after that is refused by the store itself.
    pub async fn keep<T>(&self, fence: &Fence, work: impl Future<Output = T>) -> Kept<T> {
        let kept = tokio::select! {
            biased;
            done = work => Kept::Done(done),
            () = self.until_lost(fence) => Kept::Lost,
        };
        // If this fails the lease ends by itself.
        if let Err(error) = self.leases.release(fence).await {
            tracing::debug!("cannot give the lease {} back: {error}", fence.lease);
        }
        kept
    }

    async fn until_lost(&self, fence: &Fence) {
        let step = self.lasts / RENEWALS_PER_TERM;
        let mut pause = step;
        loop {
            tokio::time::sleep(pause).await;
            let renewed = tokio::time::timeout(step, self.leases.renew(fence, self.lasts)).await;
            pause = match renewed {
                Ok(Ok(true)) => step,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::warn!("cannot prolong the lease {}: {error}", fence.lease);
                    step / RENEWALS_PER_TERM
                }
                Err(_) => {
                    tracing::warn!("cannot prolong the lease {}: no answer in time", fence.lease);
                    step / RENEWALS_PER_TERM
                }
            };
        }
    }
}
