//! A clock that tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ohlcv_domain::Timestamp;
use ohlcv_ports::Clock;
use tokio::time::Instant;

/// A clock that stands still, runs, or follows another one, and that a test can move either way.
///
/// One made to follow another stays at the same distance from it: that is how a service's clock is
/// made ten minutes wrong beside the exchange's.
#[derive(Debug)]
pub struct FakeClock {
    base: Base,
    shift_millis: AtomicI64,
}

#[derive(Debug)]
enum Base {
    Still(Timestamp),
    Running { origin: Timestamp, started: Instant },
    Following(Arc<dyn Clock>),
}

impl FakeClock {
    /// A clock that shows what `other` shows until it is moved.
    #[must_use]
    pub fn new(other: Arc<dyn Clock>) -> Self {
        Self::of(Base::Following(other))
    }

    /// A clock that stands still.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self::of(Base::Still(now))
    }

    /// A clock that runs on from `now`, with tokio's time: paused where that is paused.
    #[must_use]
    pub fn running_from(now: Timestamp) -> Self {
        Self::of(Base::Running { origin: now, started: Instant::now() })
    }

    fn of(base: Base) -> Self {
        Self { base, shift_millis: AtomicI64::new(0) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.shift_millis.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Moves the clock back.
    pub fn rewind(&self, by: Duration) {
        self.shift_millis.fetch_sub(millis(by), Ordering::SeqCst);
    }

    /// Makes the clock show `now`; from there it stands, runs or follows as before.
    pub fn set(&self, now: Timestamp) {
        self.shift_millis.store(now.millis() - self.unshifted().millis(), Ordering::SeqCst);
    }

    fn unshifted(&self) -> Timestamp {
        match &self.base {
            Base::Still(now) => *now,
            Base::Running { origin, started } => origin.saturating_add(started.elapsed()),
            Base::Following(other) => other.now(),
        }
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let shift = self.shift_millis.load(Ordering::SeqCst);
        let size = Duration::from_millis(shift.unsigned_abs());
        let base = self.unshifted();
        if shift < 0 { base.saturating_sub(size) } else { base.saturating_add(size) }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
