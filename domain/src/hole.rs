//! Why slots have no candle, and when to ask about them again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Asset, TimeRange, Timestamp};

/// Why a slot has no candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Not asked yet, or the answer may still come.
    Pending,
    /// Asked; the exchange has nothing there.
    SourceEmpty,
    /// The asset was not traded yet.
    BeforeListing,
    /// The source sent something impossible; the detail names the rule and shows the row.
    Rejected,
    /// Asking failed; the detail says how.
    Failed,
}

/// A text that names no cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a cause: allowed are pending source_empty before_listing rejected failed")]
pub struct CauseError {
    /// What was given.
    pub text: String,
}

impl Cause {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::SourceEmpty, Self::BeforeListing, Self::Rejected, Self::Failed];

    /// A short name for it that stays the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::SourceEmpty => "source_empty",
            Self::BeforeListing => "before_listing",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }

    /// Whether the slot is explained: the exchange answered, and there is no candle to be had.
    #[must_use]
    pub const fn explains(self) -> bool {
        match self {
            Self::SourceEmpty | Self::BeforeListing | Self::Rejected => true,
            Self::Pending | Self::Failed => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Cause {
    type Err = CauseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|cause| cause.as_str() == text)
            .ok_or_else(|| CauseError { text: text.to_owned() })
    }
}

/// What was found out about a run of slots without candles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The slots, as the time they cover; both bounds on the grid.
    pub range: TimeRange,
    /// Why there is no candle.
    pub cause: Cause,
    /// For people: the rule and the row, or the error. Empty where the cause says it all.
    pub detail: String,
}

/// A run of slots without candles, with its cause and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The slots, as the time they cover; both bounds on the grid.
    pub range: TimeRange,
    /// Why there is no candle.
    pub cause: Cause,
    /// For people: the rule and the row, or the error. Empty where the cause says it all.
    pub detail: String,
    /// Since when it has had this cause.
    pub since: Timestamp,
    /// How often the source was asked with this outcome.
    pub asked: u32,
    /// When all of it had last been asked for; none for what was never asked.
    pub last_asked: Option<Timestamp>,
}

/// How many holes of one cause and one length an asset has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoleCount {
    /// The asset.
    pub asset: Asset,
    /// Why there are no candles.
    pub cause: Cause,
    /// How long each of the holes is; [`Interval::slots_lasting`](crate::Interval::slots_lasting) turns
    /// it into slots.
    pub lasting: Duration,
    /// How many holes there are.
    pub holes: u64,
}

/// The first wait before a hole that the source left empty is asked for again.
pub const EMPTY_FIRST_WAIT: Duration = Duration::from_secs(60 * 60);
/// Each further wait is this many times the one before.
pub const EMPTY_WAIT_GROWTH: u32 = 4;
/// The longest wait: exchanges do repair their history, but seldom.
pub const EMPTY_WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The first wait after a failure.
pub const FAILED_FIRST_WAIT: Duration = Duration::from_secs(60);
/// Each further wait is this many times the one before.
pub const FAILED_WAIT_GROWTH: u32 = 2;
/// The longest wait after failures.
pub const FAILED_WAIT_MAX: Duration = Duration::from_secs(10 * 60);

impl Hole {
    /// When the source should be asked about it again; none for what was before the listing.
    ///
    /// A pending hole is due at once. The waits of the others grow with every time they were asked
    /// in vain.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ohlcv_domain::{Cause, Hole, TimeRange, Timestamp};
    ///
    /// let asked_at = Timestamp::EPOCH;
    /// let hole = Hole {
    ///     range: TimeRange::ALL,
    ///     cause: Cause::SourceEmpty,
    ///     detail: String::new(),
    ///     since: asked_at,
    ///     asked: 2,
    ///     last_asked: Some(asked_at),
    /// };
    /// assert_eq!(hole.due(), Some(asked_at.saturating_add(Duration::from_secs(4 * 3600))));
    /// ```
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let (first, growth, longest) = match self.cause {
            Cause::BeforeListing => return None,
            Cause::Pending => return Some(Timestamp::MIN),
            Cause::SourceEmpty | Cause::Rejected => (EMPTY_FIRST_WAIT, EMPTY_WAIT_GROWTH, EMPTY_WAIT_MAX),
            Cause::Failed => (FAILED_FIRST_WAIT, FAILED_WAIT_GROWTH, FAILED_WAIT_MAX),
        };
        let factor = growth.saturating_pow(self.asked.saturating_sub(1));
        let wait = first.saturating_mul(factor).min(longest);
        Some(self.last_asked.unwrap_or(self.since).saturating_add(wait))
    }

    /// Whether the source should be asked about it now. A hole that was last asked about in the
    /// future was asked by a clock that was wrong, and is due.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let asked_in_future = self.last_asked.is_some_and(|at| at > now);
        self.due().is_some_and(|due| due <= now || asked_in_future)
    }

    /// A hole that takes up where `finding` found one, at `at`.
    pub(crate) fn found(finding: &Finding, range: TimeRange, before: Option<&Self>, at: Timestamp) -> Self {
        let before = before.filter(|hole| hole.cause == finding.cause);
        let asked_now = !matches!(finding.cause, Cause::Pending);
        Self {
            range,
            cause: finding.cause,
            detail: finding.detail.clone(),
            since: before.map_or(at, |hole| hole.since),
            asked: before.map_or(0, |hole| hole.asked).saturating_add(u32::from(asked_now)),
            last_asked: if asked_now { Some(at) } else { None },
        }
    }

    /// One hole where two touch and nothing that matters is lost.
    pub(crate) fn joined(&self, next: &Self) -> Option<Self> {
        let touching = self.range.end() == next.range.start();
        // How often an empty hole was asked decides when it is asked again; for what is to be asked
        // anyway, one hole is worth more than an exact count.
        let alike = self.asked == next.asked || !self.cause.explains();
        if !touching || self.cause != next.cause || self.detail != next.detail || !alike {
            return None;
        }
        Some(Self {
            range: self.range.hull(next.range),
            cause: self.cause,
            detail: self.detail.clone(),
            since: self.since.min(next.since),
            asked: self.asked.max(next.asked),
            last_asked: self.last_asked.min(next.last_asked),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_of_an_empty_hole_grow_to_a_month() {
        let hours = |asked| {
            let hole = Hole {
                range: TimeRange::ALL,
                cause: Cause::SourceEmpty,
                detail: String::new(),
                since: Timestamp::EPOCH,
                asked,
                last_asked: Some(Timestamp::EPOCH),
            };
            let due = hole.due().unwrap();
            due.millis() / 3_600_000
        };
        assert_eq!([1, 2, 3, 4, 5, 6, 1_000].map(hours), [1, 4, 16, 64, 256, 720, 720]);
    }
}
