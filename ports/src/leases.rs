//! Who works on what, among processes that share nothing but the database.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::Fence;

use crate::StoreError;

/// Leases with an expiry and a growing token, timed by the database's own clock.
///
/// Implementations MUST let at most one holder have a lease at any time, whatever the clocks of
/// their machines show, and MUST give every new holder a greater token than any holder before.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Leases: Debug + Send + Sync {
    /// Takes a lease for `lasts` from now, if nobody holds it or the holder's time has run out.
    /// None if somebody else holds it; whoever holds it already gets none either.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn acquire(&self, lease: &str, holder: &str, lasts: Duration) -> Result<Option<Fence>, StoreError>;

    /// Prolongs a lease to `lasts` from now. False if it is lost: it ran out, or somebody else
    /// has it.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is known.
    async fn renew(&self, fence: &Fence, lasts: Duration) -> Result<bool, StoreError>;

    /// Gives a lease back, so that others need not wait for its end. One that is lost already stays
    /// as it is.
    ///
    /// # Errors
    /// [`StoreError`]; then it ends by itself.
    async fn release(&self, fence: &Fence) -> Result<(), StoreError>;
}
