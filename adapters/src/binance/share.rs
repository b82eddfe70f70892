//! What this process holds of a budget that it shares: about a second of weight at a time.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_ports::{Paused, RequestBudget, Reservation, StoreError};
use tokio::time::{Instant, sleep, sleep_until};

use super::budget::WEIGHT_MAX;

/// How many reservations may turn out useless, one after the other, before the database is held to
/// be too slow: each can be used for a second only.
const USELESS_MAX: u32 = 5;

/// The longest nap before asking again; a pause may have begun meanwhile.
const NAP_MAX: Duration = Duration::from_secs(1);

/// The way to the shared budget of one exchange.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<dyn RequestBudget>,
    exchange: String,
    per_minute: u32,
    // What can be used in a second: more would pass unused while others wait for it.
    usable_max: u32,
}

/// A reservation, as it is being used.
#[derive(Debug)]
pub(crate) struct Held {
    opens: Instant,
    closes: Instant,
    granted: u32,
    left: u32,
}

impl Held {
    /// Takes what [`Share::ready`] has found to be there.
    pub(crate) fn take(&mut self, weight: u32) {
        self.left = self.left.saturating_sub(weight);
    }
}

impl Share {
    /// The part of a process whose requests start `delay` apart at least.
    pub(crate) fn new(
        budget: Arc<dyn RequestBudget>,
        exchange: String,
        per_minute: u32,
        delay: Duration,
    ) -> Self {
        let starts = 1_000_u128.checked_div(delay.as_millis());
        let usable = starts.and_then(|starts| u32::try_from(starts).ok()).unwrap_or(u32::MAX);
        let usable_max = usable.saturating_mul(WEIGHT_MAX).max(WEIGHT_MAX);
        Self { budget, exchange, per_minute, usable_max }
    }

    /// Waits until a request of that weight may start. It has to start at once, and take the weight.
    ///
    /// Ends early if there is a pause, which has to be sat out before asking again.
    pub(crate) async fn ready(
        &self,
        held: &mut Option<Held>,
        weight: u32,
    ) -> Result<Option<Paused>, StoreError> {
        let mut reserved = 0;
        loop {
            let now = Instant::now();
            match held.as_ref().filter(|held| held.left >= weight && held.closes > now) {
                Some(held) if held.opens <= now => return Ok(None),
                Some(held) => {
                    sleep_until(held.opens).await;
                    // Another process may have been told to wait meanwhile.
                    if let Some(paused) = self.budget.paused(&self.exchange).await? {
                        return Ok(Some(paused));
                    }
                }
                None if reserved == USELESS_MAX => return Err(too_slow()),
                None => {
                    let wanted = self.wanted(held.as_ref(), now).max(weight);
                    match self.budget.reserve(&self.exchange, wanted, self.per_minute).await? {
                        Reservation::Granted { weight: granted, opens_in, closes_in } => {
                            let now = Instant::now();
                            let (opens, closes) = (now + opens_in, now + closes_in);
                            *held = Some(Held { opens, closes, granted, left: granted });
                            reserved += 1;
                        }
                        Reservation::Wait(left) => sleep(left.min(NAP_MAX)).await,
                        Reservation::Paused(paused) => return Ok(Some(paused)),
                    }
                }
            }
        }
    }

    /// Tells all who share the budget that nobody may ask for that long.
    pub(crate) async fn pause(&self, length: Duration, reason: &str) -> Result<(), StoreError> {
        self.budget.pause(&self.exchange, length, reason).await
    }

    /// How much to reserve next. What passes unused is lost to everybody, so a process begins with
    /// one request, wants twice as much whenever that was not enough for a second, and what it has
    /// used where it was too much.
    fn wanted(&self, held: Option<&Held>, now: Instant) -> u32 {
        let Some(held) = held else { return WEIGHT_MAX };
        let wanted = if held.closes > now {
            held.granted.saturating_mul(2)
        } else {
            (held.granted - held.left).next_multiple_of(WEIGHT_MAX)
        };
        wanted.clamp(WEIGHT_MAX, self.usable_max)
    }
}

fn too_slow() -> StoreError {
    let reason = format!("{USELESS_MAX} reservations of request weight came too late to be used");
    StoreError::Unavailable { reason, source: None }
}

#[cfg(test)]
mod tests;
