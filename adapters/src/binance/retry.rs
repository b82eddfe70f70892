//! Which failures are worth another attempt, and when.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use ohlcv_domain::Timestamp;
use tokio::time::Instant;

use super::error::Failure;
use super::parse::banned_until;
use super::source::BinanceLimits;

/// The shortest pause after a 429 or 418, whatever it asks for: its clock counts whole seconds.
const RATE_LIMIT_PAUSE_MIN: Duration = Duration::from_secs(1);

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another attempt after a backoff.
    Retry,
    /// Everybody waits, then another attempt.
    Pause,
    /// Asking again will not help.
    GiveUp,
}

/// The one table of what is asked again.
pub(crate) fn verdict(failure: &Failure) -> Verdict {
    use super::error::NoAnswer::{Broken, Connect, Timeout, Unsendable};
    match failure {
        Failure::NoAnswer { kind: Timeout | Connect | Broken, .. } | Failure::Unusable { .. } => {
            Verdict::Retry
        }
        Failure::NoAnswer { kind: Unsendable, .. } | Failure::TooLong { .. } => Verdict::GiveUp,
        Failure::Status { status, code, .. } => match (*status, *code) {
            (451, _) => Verdict::GiveUp,
            // -1003 is "too many requests", under whatever status.
            (418 | 429, _) | (_, Some(-1003)) => Verdict::Pause,
            // The firewall speaks HTML; a 403 with a code is a refusal by the exchange itself.
            (403, None) => Verdict::Pause,
            (500..=599, _) => Verdict::Retry,
            // Unknown, disconnected, unexpected answer, timeout, busy: all of them inside Binance.
            (_, Some(-1000 | -1001 | -1006 | -1007 | -1008)) => Verdict::Retry,
            _ => Verdict::GiveUp,
        },
    }
}

/// How long everybody waits after a failure whose verdict is [`Verdict::Pause`].
pub(crate) fn pause_after(failure: &Failure, limits: &BinanceLimits, exchange_now: Timestamp) -> Duration {
    let Failure::Status { status, said, retry_after, .. } = failure else { return limits.rate_limit_pause };
    if *status == 403 {
        return retry_after.unwrap_or(limits.firewall_pause);
    }
    let ban_left =
        || banned_until(said).map(|until| until.since(exchange_now)).filter(|left| !left.is_zero());
    retry_after.or_else(ban_left).unwrap_or(limits.rate_limit_pause).max(RATE_LIMIT_PAUSE_MIN)
}

/// The attempts of one call: bounded in number and in time.
#[derive(Debug)]
pub(crate) struct Retries {
    delays: ExponentialBackoff,
    begun: Instant,
    time_max: Duration,
    attempts: u32,
}

impl Retries {
    /// The first attempt starts now.
    pub(crate) fn begin(limits: &BinanceLimits) -> Self {
        let delays = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(limits.backoff_first)
            .with_max_delay(limits.backoff_max)
            // Holds on every target that tokio runs on.
            .with_max_times(usize::try_from(limits.retries_max).unwrap_or(usize::MAX))
            .build();
        Self { delays, begun: Instant::now(), time_max: limits.retry_time_max, attempts: 1 }
    }

    /// How long to wait before the next attempt; none if there is to be no other.
    pub(crate) fn next_delay(&mut self) -> Option<Duration> {
        let delay = self.delays.next().filter(|delay| *delay <= self.time_left())?;
        self.attempts += 1;
        Some(delay)
    }

    /// How much of the time for retries is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.time_max.saturating_sub(self.begun.elapsed())
    }

    /// Attempts so far, the running one included.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Time since the first attempt started.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::NoAnswer;
    use super::*;

    fn status(status: u16, code: Option<i64>) -> Failure {
        Failure::Status { status, code, said: String::new(), retry_after: None }
    }

    fn no_answer(kind: NoAnswer) -> Failure {
        Failure::NoAnswer { kind, cause: String::new() }
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let table = [
            (no_answer(NoAnswer::Timeout), Verdict::Retry),
            (no_answer(NoAnswer::Connect), Verdict::Retry),
            (no_answer(NoAnswer::Broken), Verdict::Retry),
            (no_answer(NoAnswer::Unsendable), Verdict::GiveUp),
            (Failure::Unusable { status: 200, reason: String::new() }, Verdict::Retry),
            (Failure::TooLong { bytes_max: 1 }, Verdict::GiveUp),
            (status(500, None), Verdict::Retry),
            (status(502, None), Verdict::Retry),
            (status(503, Some(-1008)), Verdict::Retry),
            (status(504, Some(-1007)), Verdict::Retry),
            (status(400, Some(-1000)), Verdict::Retry),
            (status(400, Some(-1001)), Verdict::Retry),
            (status(400, Some(-1006)), Verdict::Retry),
            (status(429, Some(-1003)), Verdict::Pause),
            (status(429, None), Verdict::Pause),
            (status(418, Some(-1003)), Verdict::Pause),
            (status(400, Some(-1003)), Verdict::Pause),
            (status(403, None), Verdict::Pause),
            (status(403, Some(-1002)), Verdict::GiveUp),
            (status(451, Some(0)), Verdict::GiveUp),
            (status(451, None), Verdict::GiveUp),
            (status(302, None), Verdict::GiveUp),
            (status(400, None), Verdict::GiveUp),
            (status(401, Some(-2014)), Verdict::GiveUp),
            (status(404, None), Verdict::GiveUp),
            (status(400, Some(-1100)), Verdict::GiveUp),
            (status(400, Some(-1102)), Verdict::GiveUp),
            (status(400, Some(-1120)), Verdict::GiveUp),
            (status(400, Some(-1121)), Verdict::GiveUp),
        ];
        for (failure, wanted) in table {
            assert_eq!(verdict(&failure), wanted, "{failure}");
        }
    }

    #[test]
    fn a_pause_is_as_long_as_the_exchange_says() {
        let limits = BinanceLimits::default();
        let now = Timestamp::from_millis(1_660_090_400_000).unwrap();
        let pause = |status: u16, said: &str, retry_after: Option<u64>| {
            let retry_after = retry_after.map(Duration::from_secs);
            pause_after(
                &Failure::Status { status, code: None, said: said.to_owned(), retry_after },
                &limits,
                now,
            )
        };
        let banned = "IP banned until 1660090423228. Please";
        assert_eq!(pause(429, "", Some(30)), Duration::from_secs(30));
        assert_eq!(pause(418, banned, Some(112)), Duration::from_secs(112));
        assert_eq!(pause(418, banned, None), Duration::from_millis(23_228));
        assert_eq!(pause(418, "IP banned until 1. Please", None), limits.rate_limit_pause);
        assert_eq!(pause(429, "", None), limits.rate_limit_pause);
        assert_eq!(pause(429, "", Some(0)), RATE_LIMIT_PAUSE_MIN);
        assert_eq!(pause(403, "<html>", None), limits.firewall_pause);
    }

    #[test]
    fn delays_grow_with_jitter_up_to_a_number() {
        let limits = BinanceLimits { retries_max: 4, ..BinanceLimits::default() };
        let mut retries = Retries::begin(&limits);
        let delays: Vec<Duration> = std::iter::from_fn(|| retries.next_delay()).collect();
        assert_eq!(delays.len(), 4);
        for (delay, least) in delays.iter().zip([1, 2, 4, 8].map(|factor| limits.backoff_first * factor)) {
            assert!(*delay >= least && *delay <= least * 2, "{delay:?}");
        }
        assert_eq!(retries.attempts(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_starts_after_the_time_for_retries() {
        let limits = BinanceLimits { retry_time_max: Duration::from_secs(10), ..BinanceLimits::default() };
        let mut retries = Retries::begin(&limits);
        assert!(retries.next_delay().is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(retries.next_delay(), None);
        assert_eq!(retries.time_left(), Duration::ZERO);
    }
}
