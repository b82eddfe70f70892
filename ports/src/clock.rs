//! What time it is here.

use std::fmt::Debug;

use ohlcv_domain::Timestamp;

/// The local clock.
///
/// It may be wrong: whether a candle is closed is decided by the exchange's time, see
/// [`CandleSource::server_time`](crate::CandleSource::server_time).
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Clock: Debug + Send + Sync {
    /// The current time, UTC. May jump either way between calls.
    fn now(&self) -> Timestamp;
}
