//! What the client counts, for whoever has installed a recorder.

use std::time::Duration;

use ::metrics::{counter, gauge};

use super::error::{Failure, NoAnswer};
use super::query::Request;
use super::retry::{Verdict, verdict};

/// A request came to its end, one way or another.
pub(crate) fn request_ended<T>(request: &Request, outcome: &Result<T, Failure>) {
    let outcome = outcome.as_ref().map_or_else(name, |_| "ok");
    counter!("ohlcv_exchange_requests_total", "endpoint" => request.endpoint(), "outcome" => outcome)
        .increment(1);
}

/// The exchange told how much weight was used in its current minute.
pub(crate) fn weight_used(weight: u32) {
    gauge!("ohlcv_exchange_used_weight").set(weight);
}

/// The exchange's clock shows that much more than the local one.
pub(crate) fn clock_offset(millis: i64) {
    let size = Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
    gauge!("ohlcv_exchange_clock_offset_seconds").set(if millis < 0 { -size } else { size });
}

/// A file of the archive was used, or why not.
pub(crate) fn archive_file(outcome: &'static str) {
    counter!("ohlcv_archive_files_total", "outcome" => outcome).increment(1);
}

fn name(failure: &Failure) -> &'static str {
    match (failure, verdict(failure)) {
        (Failure::NoAnswer { kind: NoAnswer::Timeout, .. }, _) => "timeout",
        (_, Verdict::Pause) => "rate_limited",
        (Failure::Status { .. }, Verdict::GiveUp) => "refused",
        _ => "unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_by_what_the_operator_can_do() {
        let status =
            |status: u16| Failure::Status { status, code: None, said: String::new(), retry_after: None };
        let no_answer = |kind| Failure::NoAnswer { kind, cause: String::new() };
        assert_eq!([429, 418, 403].map(|code| name(&status(code))), ["rate_limited"; 3]);
        assert_eq!([400, 404, 451].map(|code| name(&status(code))), ["refused"; 3]);
        assert_eq!([500, 503].map(|code| name(&status(code))), ["unavailable"; 2]);
        assert_eq!(name(&no_answer(NoAnswer::Timeout)), "timeout");
        assert_eq!(name(&no_answer(NoAnswer::Connect)), "unavailable");
    }
}
