//! What time it is at the exchange, and whether it can be believed.

use std::time::Duration;

use ohlcv_domain::Timestamp;
use ohlcv_ports::{CandleSource, Clock, SourceError};

/// How far the clocks of exchange and machine may differ before neither is trusted to say which
/// candle is closed.
pub const CLOCK_DISTANCE_MAX: Duration = Duration::from_secs(15 * 60);

/// How far they may differ before that is warned of: candles are still closed by the exchange's clock,
/// but are looked for too early or too late.
const CLOCK_DISTANCE_WARNED: Duration = Duration::from_secs(5);

/// Readings of both clocks, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeTime {
    /// The exchange's clock.
    pub exchange: Timestamp,
    /// The local clock.
    pub local: Timestamp,
}

impl ExchangeTime {
    /// Reads both clocks; the exchange's is the earlier reading, so it never runs ahead of what is
    /// asked afterwards.
    pub(crate) async fn read(source: &dyn CandleSource, clock: &dyn Clock) -> Result<Self, SourceError> {
        let exchange = source.server_time().await?;
        let time = Self { exchange, local: clock.now() };
        let apart = time.exchange.distance(time.local);
        if apart > CLOCK_DISTANCE_WARNED {
            let seconds = apart.as_secs();
            tracing::warn!(
                "the exchange's clock shows {exchange}, the local one {}: {seconds} s apart; set the local clock",
                time.local
            );
        }
        Ok(time)
    }

    /// Whether the clocks agree well enough to decide that a candle is closed.
    #[must_use]
    pub fn trusted(&self) -> bool {
        self.exchange.distance(self.local) <= CLOCK_DISTANCE_MAX
    }

    /// What the exchange's clock shows when the local one shows `local`.
    #[must_use]
    pub fn exchange_at(&self, local: Timestamp) -> Timestamp {
        let elapsed = local.since(self.local);
        let rewound = self.local.since(local);
        self.exchange.saturating_add(elapsed).saturating_sub(rewound)
    }
}
