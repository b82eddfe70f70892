//! The pace of requests: weight, spacing, concurrency, precedence, and pauses that hold for everybody.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leaky_bucket::RateLimiter;
use ohlcv_ports::{Paused, StoreError};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::share::{Held, Share};

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

/// A pause shorter than this is no news either: what a shared budget still knows of one that is over
/// here.
const PAUSE_NEWS_MIN: Duration = Duration::from_millis(500);

/// So many urgent requests may start while a patient one waits; then it has its turn.
const URGENT_IN_A_ROW_MAX: u32 = 9;

/// How often the bucket is refilled at most, per minute.
const REFILLS_PER_MINUTE_MAX: u32 = 240;

/// Lets requests start, one at a time.
#[derive(Debug)]
pub(crate) struct Budget {
    bucket: RateLimiter,
    in_flight: Semaphore,
    // Whoever holds it is the next to start. It hands itself on in the order of asking.
    turnstile: Mutex<Turn>,
    // Of the patient ones one at a time stands at the turnstile, also in the order of asking.
    patient: Mutex<()>,
    // How many urgent ones wait: no patient one starts before them.
    urgent: watch::Sender<usize>,
    // How many urgent ones have started, to give a patient one its turn now and then.
    urgent_starts: AtomicU32,
    pause: watch::Sender<Option<Pause>>,
    delay: Duration,
    share: Option<Share>,
}

/// What the next to start has to know.
#[derive(Debug, Default)]
struct Turn {
    latest_start: Option<Instant>,
    held: Option<Held>,
}

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Starts when no urgent request waits.
    Patient,
    /// Somebody waits for the answer.
    Urgent,
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

/// Why a request may not start.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Nothing may be asked for so long that waiting is the caller's decision.
    Paused(Paused),
    /// It is not known whether anything may be asked.
    Unreserved(StoreError),
}

/// One urgent request that waits, for as long as this lives.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(urgent: &'a watch::Sender<usize>) -> Self {
        urgent.send_modify(|waiting| *waiting += 1);
        Self(urgent)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

impl Budget {
    /// At most `weight_per_minute` in any 60 s ([`WEIGHT_PER_MINUTE_MIN`] is taken if it is less),
    /// `delay` between two starts, `in_flight_max` requests under way; what others have used of the
    /// `share` counts.
    pub(crate) fn new(
        weight_per_minute: u32,
        delay: Duration,
        in_flight_max: NonZeroUsize,
        share: Option<Share>,
    ) -> Self {
        Self {
            bucket: bucket(weight_per_minute),
            in_flight: Semaphore::new(in_flight_max.get().min(Semaphore::MAX_PERMITS)),
            turnstile: Mutex::default(),
            patient: Mutex::default(),
            urgent: watch::Sender::new(0),
            urgent_starts: AtomicU32::new(0),
            pause: watch::Sender::new(None),
            delay,
            share,
        }
    }

    /// Waits until a request of that weight may start, which it then has to do at once.
    ///
    /// Waits for the pace as long as it takes, but for no pause that has more than `pause_max`
    /// left, also if it begins while this waits.
    pub(crate) async fn acquire(
        &self,
        weight: u32,
        urgency: Urgency,
        pause_max: Duration,
    ) -> Result<Pass<'_>, Halt> {
        tokio::select! {
            // The pause first: nobody starts into one that began at the same instant.
            biased;
            paused = self.paused_beyond(pause_max) => Err(Halt::Paused(paused)),
            pass = self.queue(weight, urgency) => pass.map_err(Halt::Unreserved),
        }
    }

    /// [`Budget::pause`], also for the processes that share the budget; they have been told when this
    /// returns.
    pub(crate) async fn pause_all(&self, length: Duration, reason: &str) {
        self.pause(length, reason);
        let Some(share) = &self.share else { return };
        if let Err(error) = share.pause(length.min(PAUSE_MAX), reason).await {
            warn!("other processes were not told that the exchange must not be asked: {error}");
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
            let news_min = if held_until == now { PAUSE_NEWS_MIN } else { LONGER_PAUSE_NEWS_MIN };
            news = until - held_until >= news_min;
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

    /// Urgent requests first, and among equals in the order of asking.
    async fn queue(&self, weight: u32, urgency: Urgency) -> Result<Pass<'_>, StoreError> {
        if urgency == Urgency::Urgent {
            let _waiting = Waiting::begin(&self.urgent);
            let pass = self.turn(weight).await;
            self.urgent_starts.fetch_add(1, Ordering::Relaxed);
            return pass;
        }
        let _first_in_line = self.patient.lock().await;
        let passed_by = self.urgent_starts.load(Ordering::Relaxed);
        loop {
            if self.urgent_starts.load(Ordering::Relaxed).wrapping_sub(passed_by) >= URGENT_IN_A_ROW_MAX {
                return self.turn(weight).await;
            }
            self.nobody_urgent_or_long_enough(passed_by).await;
            tokio::select! {
                biased;
                // It steps back from the turnstile, however long it has stood there.
                () = self.urgent_waits(true) => {}
                pass = self.turn(weight) => return pass,
            }
        }
    }

    /// Waits until no urgent request waits, or so many have started that a patient one has its turn.
    async fn nobody_urgent_or_long_enough(&self, passed_by: u32) {
        let enough = |waiting: &usize| {
            let passed = self.urgent_starts.load(Ordering::Relaxed).wrapping_sub(passed_by);
            *waiting == 0 || passed >= URGENT_IN_A_ROW_MAX
        };
        // Cannot fail: the sender is a field of this. It tells of each urgent one that starts.
        drop(self.urgent.subscribe().wait_for(enough).await);
    }

    /// Waits until somebody urgent waits, or nobody does.
    async fn urgent_waits(&self, any: bool) {
        // Cannot fail: the sender is a field of this.
        drop(self.urgent.subscribe().wait_for(|waiting| (*waiting > 0) == any).await);
    }

    async fn turn(&self, weight: u32) -> Result<Pass<'_>, StoreError> {
        // Never closed, so there always is a permit.
        let permit = self.in_flight.acquire().await.ok();
        let mut turn = self.turnstile.lock().await;
        // Before the tokens, that they are not hoarded over a pause.
        self.pause_over().await;
        if let Some(latest_start) = turn.latest_start {
            tokio::time::sleep(self.delay.saturating_sub(latest_start.elapsed())).await;
        }
        // Holds on every target: a weight is WEIGHT_MAX at most.
        self.bucket.acquire(weight as usize).await;
        // And after them: somebody may have been told to wait meanwhile.
        self.pause_over().await;
        if let Some(share) = &self.share {
            self.draw(share, &mut turn.held, weight).await?;
        }
        turn.latest_start = Some(Instant::now());
        Ok(Pass { _permit: permit })
    }

    /// Takes the weight from what is reserved, as the last step before the start: nothing is waited
    /// for afterwards.
    async fn draw(&self, share: &Share, held: &mut Option<Held>, weight: u32) -> Result<(), StoreError> {
        loop {
            match share.ready(held, weight).await? {
                Some(paused) => self.pause(paused.left, &paused.reason),
                None if self.paused().is_none() => break,
                None => {}
            }
            self.pause_over().await;
        }
        if let Some(held) = held {
            held.take(weight);
        }
        Ok(())
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
