//! The door: what a source answered is checked here, row by row, before anything is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::{Candle, CandleError, Cause, DecimalError, Finding, SlotRange, TimeRange, Timestamp, gaps};

/// The rule that a row from a source broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The row is not of the shape of a kline, or holds something that is not a number.
    Malformed,
    /// A price or an amount is below zero.
    Negative,
    /// A number has more digits than the column holds.
    TooLarge,
    /// A number has more than eight decimal places, so storing it would round.
    TooManyPlaces,
    /// The low is above another price.
    LowNotLowest,
    /// The high is below another price.
    HighNotHighest,
    /// No candle of the interval opens at its open time.
    OffGrid,
    /// Its open time lies outside what was asked.
    NotAsked,
    /// It was not closed when it was asked for.
    NotClosed,
    /// It came after a row with a later open time.
    OutOfOrder,
    /// Another row with the same open time says something else.
    Conflicting,
}

impl Rule {
    /// All eleven.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::Negative,
        Self::TooLarge,
        Self::TooManyPlaces,
        Self::LowNotLowest,
        Self::HighNotHighest,
        Self::OffGrid,
        Self::NotAsked,
        Self::NotClosed,
        Self::OutOfOrder,
        Self::Conflicting,
    ];

    /// A short name for it that stays the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Negative => "negative",
            Self::TooLarge => "too_large",
            Self::TooManyPlaces => "too_many_places",
            Self::LowNotLowest => "low_not_lowest",
            Self::HighNotHighest => "high_not_highest",
            Self::OffGrid => "off_grid",
            Self::NotAsked => "not_asked",
            Self::NotClosed => "not_closed",
            Self::OutOfOrder => "out_of_order",
            Self::Conflicting => "conflicting",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<DecimalError> for Rule {
    fn from(error: DecimalError) -> Self {
        match error {
            DecimalError::Syntax => Self::Malformed,
            DecimalError::Negative => Self::Negative,
            DecimalError::TooLarge => Self::TooLarge,
            DecimalError::TooManyPlaces => Self::TooManyPlaces,
        }
    }
}

impl From<CandleError> for Rule {
    fn from(error: CandleError) -> Self {
        match error {
            CandleError::LowNotLowest { .. } => Self::LowNotLowest,
            CandleError::HighNotHighest { .. } => Self::HighNotHighest,
        }
    }
}

/// A row that is not stored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The open time that the row claims, where it can be read.
    pub open_time: Option<Timestamp>,
    /// The rule it broke.
    pub rule: Rule,
    /// The row as it came, or the part of it that tells.
    pub evidence: String,
}

impl Rejection {
    /// How much of a row is kept as evidence, in characters.
    pub const EVIDENCE_CHARS_MAX: usize = 300;

    /// A rejection with its evidence cut to [`Rejection::EVIDENCE_CHARS_MAX`].
    #[must_use]
    pub fn new(open_time: Option<Timestamp>, rule: Rule, evidence: &str) -> Self {
        let evidence = evidence.chars().take(Self::EVIDENCE_CHARS_MAX).collect();
        Self { open_time, rule, evidence }
    }

    fn of(candle: &Candle, rule: Rule) -> Self {
        let evidence = format!(
            "{} open {} high {} low {} close {} volume {}",
            candle.open_time(),
            candle.open(),
            candle.high(),
            candle.low(),
            candle.close(),
            candle.volume()
        );
        Self::new(Some(candle.open_time()), rule, &evidence)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.evidence)
    }
}

/// What the exchange's clock said before a page was asked for, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The exchange's time, read before the page was asked for.
    pub exchange_now: Timestamp,
    /// How long after its end a candle counts as closed.
    pub grace: Duration,
    /// How long after its end a missing newest candle may still be on its way.
    pub settling: Duration,
}

/// A page that passed the door: every slot that was asked about is a candle or a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPage {
    /// The good candles: on the grid, inside what was asked, closed, ascending, unique.
    pub candles: Vec<Candle>,
    /// Every slot without a good candle, with the cause; ascending, disjoint.
    pub findings: Vec<Finding>,
    /// Every row that was turned away, in the order they came.
    pub rejected: Vec<Rejection>,
}

impl CheckedPage {
    /// What of it speaks of `slots`, which must be some of those that were asked about. The rows that
    /// were turned away are left out.
    #[must_use]
    pub fn within(&self, slots: SlotRange) -> Self {
        let inside = |candle: &&Candle| slots.time().contains(candle.open_time());
        let cut = |finding: &Finding| {
            let range = finding.range.intersection(slots.time())?;
            Some(Finding { range, ..finding.clone() })
        };
        Self {
            candles: self.candles.iter().filter(inside).copied().collect(),
            findings: self.findings.iter().filter_map(cut).collect(),
            rejected: Vec::new(),
        }
    }
}

/// Checks the rows that a source sent for `asked`.
///
/// A row that breaks a [`Rule`] is turned away and its slot becomes a `rejected` finding that
/// carries the rule and the row; the good rows around it are kept. A slot for which nothing came
/// is `source_empty`, except at the tail: while the newest slots ended less than
/// `closing.settling` ago and nothing later came, they are `pending`, for exchanges lag.
/// What is not closed yet is `pending`, whatever came for it. A candle that is repeated to the digit
/// is kept once; candles of the same open time that differ are all turned away.
///
/// ```
/// use std::time::Duration;
/// use ohlcv_domain::{check_page, Candle, Cause, Closing, Grid, Interval, SlotRange, Timestamp};
///
/// let day = |day: i64| Timestamp::from_millis(day * 86_400_000).unwrap();
/// let closing = Closing { exchange_now: day(100), grace: Duration::from_secs(30), settling: Duration::from_secs(900) };
/// let asked = SlotRange::new(Grid::new(Interval::D1), day(0), day(3))?;
/// let off_grid = Timestamp::from_millis(86_400_001)?;
/// let rows = [Candle::flat(day(0), "1".parse()?), Candle::flat(off_grid, "1".parse()?)];
///
/// let page = check_page(asked, closing, rows.map(Ok));
/// assert_eq!(page.candles.len(), 1);
/// assert_eq!(page.findings[0].cause, Cause::Rejected);
/// assert!(page.findings[0].detail.starts_with("off_grid: 1970-01-02T00:00:00.001Z"));
/// assert_eq!(page.findings[1].cause, Cause::SourceEmpty);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn check_page(
    asked: SlotRange,
    closing: Closing,
    rows: impl IntoIterator<Item = Result<Candle, Rejection>>,
) -> CheckedPage {
    let mut door = Door::new(asked, closing);
    for row in rows {
        match row {
            Ok(candle) => door.admit(candle),
            Err(rejection) => door.turn_away(rejection),
        }
    }
    door.close()
}

struct Door {
    asked: SlotRange,
    closing: Closing,
    good: BTreeMap<Timestamp, Candle>,
    conflicting: BTreeSet<Timestamp>,
    // Slots that a row was turned away from, with what is said about them.
    suspect: BTreeMap<Timestamp, String>,
    // Rows whose open time cannot be read: the newest good open time before each, and its text.
    unplaced: Vec<(Option<Timestamp>, String)>,
    newest: Option<Timestamp>,
    rejected: Vec<Rejection>,
}

impl Door {
    fn new(asked: SlotRange, closing: Closing) -> Self {
        Self {
            asked,
            closing,
            good: BTreeMap::new(),
            conflicting: BTreeSet::new(),
            suspect: BTreeMap::new(),
            unplaced: Vec::new(),
            newest: None,
            rejected: Vec::new(),
        }
    }

    fn admit(&mut self, candle: Candle) {
        let open_time = candle.open_time();
        let grid = self.asked.grid();
        let closed_until = grid.closed_until(self.closing.exchange_now, self.closing.grace);
        let slot = grid.floor(open_time);
        if slot >= closed_until {
            return self.turn_away(Rejection::of(&candle, Rule::NotClosed));
        }
        if !self.asked.time().contains(open_time) {
            return self.turn_away(Rejection::of(&candle, Rule::NotAsked));
        }
        if slot != open_time {
            return self.turn_away(Rejection::of(&candle, Rule::OffGrid));
        }
        match self.good.get(&open_time).copied() {
            Some(first) if first == candle => return,
            Some(first) => {
                self.good.remove(&open_time);
                self.conflicting.insert(open_time);
                self.turn_away(Rejection::of(&first, Rule::Conflicting));
                return self.turn_away(Rejection::of(&candle, Rule::Conflicting));
            }
            None => {}
        }
        if self.conflicting.contains(&open_time) {
            return self.turn_away(Rejection::of(&candle, Rule::Conflicting));
        }
        if self.newest.is_some_and(|newest| open_time < newest) {
            return self.turn_away(Rejection::of(&candle, Rule::OutOfOrder));
        }
        self.newest = Some(open_time);
        self.good.insert(open_time, candle);
    }

    fn turn_away(&mut self, rejection: Rejection) {
        match rejection.open_time {
            // It may yet come right: its slot stays pending.
            Some(_) if rejection.rule == Rule::NotClosed => {}
            Some(open_time) if self.asked.time().contains(open_time) => {
                let slot = self.asked.grid().floor(open_time);
                self.suspect.entry(slot).or_insert_with(|| rejection.to_string());
            }
            Some(_) => {}
            None => self.unplaced.push((self.newest, rejection.to_string())),
        }
        self.rejected.push(rejection);
    }

    fn close(self) -> CheckedPage {
        let grid = self.asked.grid();
        let closed_until = grid.closed_until(self.closing.exchange_now, self.closing.grace);
        // A slot that opens at or after this one ended less than `settling` ago.
        let settled = self.closing.exchange_now.saturating_sub(self.closing.settling);
        let unsettled_from = grid.floor(settled);
        let tail_from = match self.good.last_key_value() {
            Some((newest, _)) => grid.next(*newest),
            None => self.asked.start(),
        };
        let may_still_come =
            |slot: Timestamp| slot >= closed_until || (slot >= tail_from && slot >= unsettled_from);
        let mut findings: Vec<Finding> = Vec::new();
        for gap in gaps(self.asked, self.good.keys().copied()) {
            // A row without a readable open time may stand for any slot of the gap it came in.
            let unplaced = self.unplaced.iter().find(|(after, _)| {
                let behind = after.map_or(self.asked.start(), |newest| grid.next(newest));
                gap.time().contains(behind)
            });
            let unplaced = unplaced.map(|(_, said)| said.as_str());
            let mut cuts: Vec<(TimeRange, Cause, &str)> = Vec::new();
            let mut from = gap.start();
            for (slot, said) in self.suspect.range(gap.start()..gap.end()) {
                push_unanswered(&mut cuts, gap.from(from).before(*slot), unplaced, &may_still_come);
                from = grid.next(*slot);
                cuts.push((gap.from(*slot).before(from).time(), Cause::Rejected, said));
            }
            push_unanswered(&mut cuts, gap.from(from), unplaced, &may_still_come);
            findings.extend(cuts.into_iter().map(|(range, cause, detail)| Finding {
                range,
                cause,
                detail: detail.to_owned(),
            }));
        }
        CheckedPage { candles: self.good.into_values().collect(), findings, rejected: self.rejected }
    }
}

/// A run without rows: pending as far as it may still come; before that rejected, if a row came that
/// may stand for it, else empty.
fn push_unanswered<'a>(
    cuts: &mut Vec<(TimeRange, Cause, &'a str)>,
    run: SlotRange,
    unplaced: Option<&'a str>,
    may_still_come: &impl Fn(Timestamp) -> bool,
) {
    let pending_from = run.iter().rev().take_while(|slot| may_still_come(*slot)).last();
    let split = pending_from.unwrap_or(run.end());
    let (cause, said) = match unplaced {
        Some(said) => (Cause::Rejected, said),
        None => (Cause::SourceEmpty, ""),
    };
    for (part, cause, said) in [(run.before(split), cause, said), (run.from(split), Cause::Pending, "")] {
        if !part.is_empty() {
            cuts.push((part.time(), cause, said));
        }
    }
}
