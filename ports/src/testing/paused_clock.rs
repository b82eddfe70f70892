//! A clock that goes with tokio's time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ohlcv_domain::Timestamp;
use tokio::time::Instant;

use crate::Clock;

/// Shows the time it was set to, plus what has passed on tokio's clock since.
///
/// In a test with `start_paused = true` the clock and all sleeps move together, and only when
/// everything waits. Make it inside the runtime: outside of one tokio's time is the machine's, and
/// a clock made there does not stand still.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ohlcv_domain::TimestampError> {
/// use ohlcv_ports::{Clock, testing::PausedClock};
///
/// let clock = PausedClock::new("2024-11-06T12:00:00Z".parse()?);
/// clock.set("2024-11-06T12:10:00Z".parse()?); // ten minutes fast
/// assert!(clock.now() >= "2024-11-06T12:10:00Z".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PausedClock {
    origin: Mutex<Origin>,
}

#[derive(Clone, Copy, Debug)]
struct Origin {
    shown: Timestamp,
    at: Instant,
}

impl PausedClock {
    /// A clock that shows `origin` now.
    #[must_use]
    pub fn new(origin: Timestamp) -> Self {
        Self { origin: Mutex::new(Origin { shown: origin, at: Instant::now() }) }
    }

    /// Makes it show another time, earlier or later; from there it goes on with tokio's.
    pub fn set(&self, shown: Timestamp) {
        *self.origin() = Origin { shown, at: Instant::now() };
    }

    /// Puts it forward without any sleep ending sooner.
    pub fn advance(&self, by: Duration) {
        let mut origin = self.origin();
        origin.shown = origin.shown.saturating_add(by);
    }

    fn origin(&self) -> MutexGuard<'_, Origin> {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let origin = *self.origin();
        origin.shown.saturating_add(origin.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_and_the_sleeps_move_together() {
        let clock = PausedClock::new(at("2024-11-06T12:00:00Z"));
        assert_eq!(clock.now(), at("2024-11-06T12:00:00Z"));
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), at("2024-11-06T12:01:30Z"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_goes_on_from_there() {
        let clock = PausedClock::new(at("2024-11-06T12:00:00Z"));
        tokio::time::sleep(Duration::from_secs(90)).await;
        clock.set(at("2024-11-06T11:50:00Z"));
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), at("2024-11-06T11:50:02Z"));
    }
}
