//! The clock of the machine.

use ohlcv_domain::Timestamp;
use ohlcv_ports::Clock;

/// The machine's own clock, UTC, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place where the real time is read")]
        let now = chrono::Utc::now();
        // A machine set beyond the year 9999 has no usable time at all.
        Timestamp::try_from(now).unwrap_or(Timestamp::MAX)
    }
}
