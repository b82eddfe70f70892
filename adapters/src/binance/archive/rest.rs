//! An archive that fails again and again is left alone for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts failures in a row.
#[derive(Debug)]
pub(crate) struct Rest {
    failures_max: u32,
    lasts: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    until: Option<Instant>,
}

impl Rest {
    pub(crate) fn new(failures_max: u32, lasts: Duration) -> Self {
        Self { failures_max, lasts, state: Mutex::default() }
    }

    /// Whether nothing is to be asked now.
    pub(crate) fn is_on(&self) -> bool {
        self.state().until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes how the host answered.
    pub(crate) fn note(&self, failed: bool) {
        let mut state = self.state();
        if !failed {
            *state = State::default();
            return;
        }
        state.failures += 1;
        if state.failures >= self.failures_max {
            state.failures = 0;
            state.until = Some(Instant::now() + self.lasts);
            let (failures, seconds) = (self.failures_max, self.lasts.as_secs());
            tracing::warn!("the archive failed {failures} times in a row: it is left alone for {seconds} s");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_bring_a_rest_and_it_ends() {
        let rest = Rest::new(2, Duration::from_secs(300));
        for failed in [true, false, true] {
            rest.note(failed);
            assert!(!rest.is_on());
        }
        rest.note(true);
        assert!(rest.is_on());
        tokio::time::advance(Duration::from_secs(300)).await;
        assert!(!rest.is_on());
    }
}
