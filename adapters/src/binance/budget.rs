//! The pace of requests: weight, spacing, concurrency, and pauses that hold for everybody.

use std::num::NonZeroUsize;
use std::time::Duration;

use leaky_bucket::RateLimiter;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

/// The smallest budget that is taken: a handful of requests a minute. With less, the burst that one
/// request needs would leave next to nothing to flow.
pub(crate) const WEIGHT_PER_MINUTE_MIN: u32 = 10;

/// The largest weight of one request.
pub(crate) const WEIGHT_MAX: u32 = 2;

/// The longest pause that is believed: Binance's longest ban is three days.
const PAUSE_MAX: Duration = Duration::from_secs(3 * 24 * 3600);

/// A pause made longer by less than this is no news: requests under way are told the same thing
/// one after the other.
const LONGER_PAUSE_NEWS_MIN: Duration = Duration::from_secs(20);

/// How often the bucket is refilled at most, per minute.
const REFILLS_PER_MINUTE_MAX: u32 = 240;

/// Lets requests start, one at a time.
#[derive(Debug)]
pub(crate) struct Budget {
    bucket: RateLimiter,
    in_flight: Semaphore,
    // Whoever holds it is the next to start; it keeps when the latest request started. It hands
    // itself on in the order of asking, so nobody starves.
    turnstile: Mutex<Option<Instant>>,
    pause: watch::Sender<Option<Pause>>,
    delay: Duration,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    reason: String,
}

/// The right to one request; it counts as being under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

/// Nothing may be asked for so long that waiting is the caller's decision.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Paused {
    pub(crate) left: Duration,
    pub(crate) reason: String,
}

impl Budget {
    /// At most `weight_per_minute` in any 60 s ([`WEIGHT_PER_MINUTE_MIN`] is taken if it is less),
    /// `delay` between two starts, `in_flight_max` requests under way.
    pub(crate) fn new(weight_per_minute: u32, delay: Duration, in_flight_max: NonZeroUsize) -> Self {
        Self {
            bucket: bucket(weight_per_minute),
            in_flight: Semaphore::new(in_flight_max.get().min(Semaphore::MAX_PERMITS)),
            turnstile: Mutex::new(None),
            pause: watch::Sender::new(None),
            delay,
        }
    }

    /// Waits until a request of that weight may start, which it then has to do at once.
    ///
    /// Waits for the pace as long as it takes, but for no pause that has more than `pause_max`
    /// left, also if it begins while this waits.
    pub(crate) async fn acquire(&self, weight: u32, pause_max: Duration) -> Result<Pass<'_>, Paused> {
        tokio::select! {
            // The pause first: nobody starts into one that began at the same instant.
            biased;
            paused = self.paused_beyond(pause_max) => Err(paused),
            pass = self.queue(weight) => Ok(pass),
        }
    }

    /// Nothing starts for that long, counted from now, unless a longer pause holds already.
    pub(crate) fn pause(&self, length: Duration, reason: &str) {
        let now = Instant::now();
        let until = now + length.min(PAUSE_MAX);
        let mut news = false;
        let longer = self.pause.send_if_modified(|pause| {
            let held_until = pause.as_ref().map_or(now, |pause| pause.until.max(now));
            if until <= held_until {
                return false;
            }
            news = held_until == now || until - held_until >= LONGER_PAUSE_NEWS_MIN;
            *pause = Some(Pause { until, reason: reason.to_owned() });
            true
        });
        let pause_s = length.as_secs_f64();
        if news {
            warn!(pause_s, "all requests to Binance wait for {pause_s:.1} s: {reason}");
        } else {
            debug!(pause_s, longer, "told to wait once more: {reason}");
        }
    }

    /// The pause that holds now, if there is one.
    pub(crate) fn paused(&self) -> Option<Paused> {
        let pause = self.pause.borrow();
        let pause = pause.as_ref()?;
        let left = pause.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| Paused { left, reason: pause.reason.clone() })
    }

    async fn paused_beyond(&self, pause_max: Duration) -> Paused {
        let mut changes = self.pause.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(paused) = self.paused().filter(|paused| paused.left > pause_max) {
                return paused;
            }
            // Cannot fail: the sender is a field of this.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn queue(&self, weight: u32) -> Pass<'_> {
        // Never closed, so there always is a permit.
        let permit = self.in_flight.acquire().await.ok();
        let mut latest_start = self.turnstile.lock().await;
        // Before the tokens, that they are not hoarded over a pause.
        self.pause_over().await;
        if let Some(latest_start) = *latest_start {
            tokio::time::sleep(self.delay.saturating_sub(latest_start.elapsed())).await;
        }
        // Holds on every target: a weight is WEIGHT_MAX at most.
        self.bucket.acquire(weight as usize).await;
        // And after them: somebody may have been told to wait meanwhile.
        self.pause_over().await;
        *latest_start = Some(Instant::now());
        Pass { _permit: permit }
    }

    /// Ends: a pause is only made longer by requests under way, and none starts.
    async fn pause_over(&self) {
        loop {
            let until = self.pause.borrow().as_ref().map(|pause| pause.until);
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }
}

/// A bucket that lets at most `weight_per_minute` through in any 60 s.
///
/// A bucket is no window: what it holds comes on top of what flows in. With a burst `b`, a refill
/// `r` every `d`, and one request that may have taken its tokens before the 60 s began, at most
/// `b + WEIGHT_MAX + r * (60 s / d + 1)` pass. A small burst leaves nearly all of the budget to
/// the steady flow.
fn bucket(weight_per_minute: u32) -> RateLimiter {
    let budget = weight_per_minute.max(WEIGHT_PER_MINUTE_MIN);
    let burst = (budget / 50).max(WEIGHT_MAX);
    let flow = budget - burst - WEIGHT_MAX;
    let refill = flow.div_ceil(REFILLS_PER_MINUTE_MAX);
    let refills_per_minute = flow / refill;
    // One millisecond more than an even share, so that both ends of a minute see no extra one.
    let interval = Duration::from_millis(u64::from(60_000 / refills_per_minute) + 1);
    RateLimiter::builder()
        .max(burst as usize)
        .initial(burst as usize)
        .refill(refill as usize)
        .interval(interval)
        .fair(true)
        .build()
}

#[cfg(test)]
mod tests;
