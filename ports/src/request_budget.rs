//! How much an exchange may be asked, by all processes together.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::StoreError;

/// One budget of request weight for each exchange, and the pause that it demands.
///
/// Implementations MUST let the processes that share them use no more than `per_minute` weight in
/// any 60 s, what was reserved and is used as late as it may be included; MUST remember pauses when
/// all processes have ended; MUST NOT trust the clocks of the machines. Who wants different budgets
/// of one exchange gets each a fair part of its own.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RequestBudget: Debug + Send + Sync {
    /// Reserves up to `weight` of an exchange that may be asked for `per_minute` weight a minute,
    /// at least 10. Who asks first is served first.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing may be asked.
    async fn reserve(&self, exchange: &str, weight: u32, per_minute: u32) -> Result<Reservation, StoreError>;

    /// Nobody may ask the exchange for that long from now, at most 3 days. A pause that holds longer
    /// stays as it is.
    ///
    /// # Errors
    /// [`StoreError`]; then the others are not told.
    async fn pause(&self, exchange: &str, length: Duration, reason: &str) -> Result<(), StoreError>;

    /// The pause that holds now, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn paused(&self, exchange: &str) -> Result<Option<Paused>, StoreError>;
}

/// What came of reserving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// Requests of that weight may start in a span of time. It passes unused if none do.
    Granted {
        /// As much as was wanted, or what one may have at a time if that is less: about a second's
        /// share, and never less than 2.
        weight: u32,
        /// When the span begins, from now.
        opens_in: Duration,
        /// When it ends, from now: a second after it begins, or less. Zero if the answer took so
        /// long that it is over.
        closes_in: Duration,
    },
    /// Nothing is reserved: so many others wait that it makes no sense before that long from now.
    Wait(Duration),
    /// Nothing is reserved: the exchange must not be asked.
    Paused(Paused),
}

/// A pause that the exchange demanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// How long it still holds, from now; not zero.
    pub left: Duration,
    /// Why, in the words of the exchange.
    pub reason: String,
}
