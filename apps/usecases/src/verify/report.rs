//! What verifying found, as plain values.

use std::collections::BTreeMap;
use std::fmt;

use ohlcv_domain::{Applied, Asset, Candle, TimeRange, Timestamp};

use crate::Outcome;

/// How many faults of an asset are kept one by one; the others are counted.
pub const FAULTS_KEPT_MAX: usize = 100;

/// What can be wrong with what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// The source has a candle that is not stored.
    MissingInStore,
    /// A candle is stored that the source does not have.
    MissingAtSource,
    /// A candle is stored with other numbers than the source's.
    Differs,
    /// A row is stored where no candle of the interval opens.
    OffGrid,
    /// A row is stored that is no candle at all, such as one whose low is above its high.
    Impossible,
    /// A row is stored of a candle that is still open.
    NotClosed,
    /// A row is stored outside of the span that the ledger speaks of.
    OutsideSpan,
    /// Slots lie in more than one hole.
    HolesOverlap,
    /// A hole lies over a stored candle.
    HoleOverCandle,
    /// Slots have neither a candle nor a hole.
    Unexplained,
    /// A hole lies outside of the span.
    HoleOutsideSpan,
    /// A hole holds nothing, or its bounds are no open times.
    HoleMisplaced,
    /// The holes of a range cannot be read.
    HolesUnreadable,
}

impl FaultKind {
    /// All thirteen.
    pub const ALL: [Self; 13] = [
        Self::MissingInStore,
        Self::MissingAtSource,
        Self::Differs,
        Self::OffGrid,
        Self::Impossible,
        Self::NotClosed,
        Self::OutsideSpan,
        Self::HolesOverlap,
        Self::HoleOverCandle,
        Self::Unexplained,
        Self::HoleOutsideSpan,
        Self::HoleMisplaced,
        Self::HolesUnreadable,
    ];

    /// A short name for it that stays the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingInStore => "missing_in_store",
            Self::MissingAtSource => "missing_at_source",
            Self::Differs => "differs",
            Self::OffGrid => "off_grid",
            Self::Impossible => "impossible",
            Self::NotClosed => "not_closed",
            Self::OutsideSpan => "outside_span",
            Self::HolesOverlap => "holes_overlap",
            Self::HoleOverCandle => "hole_over_candle",
            Self::Unexplained => "unexplained",
            Self::HoleOutsideSpan => "hole_outside_span",
            Self::HoleMisplaced => "hole_misplaced",
            Self::HolesUnreadable => "holes_unreadable",
        }
    }

    /// Whether it concerns the ledger; otherwise it concerns rows.
    #[must_use]
    pub const fn is_of_ledger(self) -> bool {
        match self {
            Self::MissingInStore
            | Self::MissingAtSource
            | Self::Differs
            | Self::OffGrid
            | Self::Impossible
            | Self::NotClosed
            | Self::OutsideSpan => false,
            Self::HolesOverlap
            | Self::HoleOverCandle
            | Self::Unexplained
            | Self::HoleOutsideSpan
            | Self::HoleMisplaced
            | Self::HolesUnreadable => true,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Where: the slots as the time they cover; for a row off the grid from its open time on.
    pub range: TimeRange,
    /// What is stored, where that is a candle.
    pub stored: Option<Candle>,
    /// What the source has, where that was asked and is a candle.
    pub source: Option<Candle>,
    /// For people; empty where the rest says it all.
    pub detail: String,
    /// Whether it was mended.
    pub mended: bool,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, range: TimeRange) -> Self {
        Self { kind, range, stored: None, source: None, detail: String::new(), mended: false }
    }
}

/// How many faults of a kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCount {
    /// Found.
    pub found: u64,
    /// Of these, mended.
    pub mended: u64,
}

/// Faults: the first [`FAULTS_KEPT_MAX`] one by one, all of them counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    counts: BTreeMap<FaultKind, FaultCount>,
    kept: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        let count = self.counts.entry(fault.kind).or_default();
        count.found += 1;
        count.mended += u64::from(fault.mended);
        if self.kept.len() < FAULTS_KEPT_MAX {
            self.kept.push(fault);
        }
    }

    /// How many there are of each kind; kinds without any are left out.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<FaultKind, FaultCount> {
        &self.counts
    }

    /// The first ones, in the order they were found.
    #[must_use]
    pub fn kept(&self) -> &[Fault] {
        &self.kept
    }

    /// How many there are of one kind.
    #[must_use]
    pub fn of(&self, kind: FaultKind) -> FaultCount {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// How many there are of all kinds.
    #[must_use]
    pub fn total(&self) -> FaultCount {
        let sum = |total: FaultCount, count: &FaultCount| FaultCount {
            found: total.found.saturating_add(count.found),
            mended: total.mended.saturating_add(count.mended),
        };
        self.counts.values().fold(FaultCount::default(), sum)
    }
}

/// A field of a summary that does not say what is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryFault {
    /// Which: `candles`, `first`, `last`, `answered_until` or `listing`.
    pub field: &'static str,
    /// What it says; empty where it says nothing.
    pub stored: String,
    /// What was counted, or for `listing` what the source says.
    pub counted: String,
    /// Whether it was mended.
    pub mended: bool,
}

/// The stored candles of a month as one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthDigest {
    /// Where the month begins, UTC.
    pub month: Timestamp,
    /// How many candles open in it.
    pub candles: u64,
    /// SHA-256, in hexadecimal digits, of their canonical lines
    /// (see [`ohlcv_domain::canonical_line`]), ascending, each ended by a line feed.
    pub sha256: String,
}

/// What was found out about one asset.
#[derive(Debug)]
pub struct Verification {
    /// The asset.
    pub asset: Asset,
    /// How many rows of it are stored.
    pub stored: u64,
    /// How many candles of the source were compared with the store.
    pub compared: u64,
    /// What is wrong with rows and ledger.
    pub faults: Faults,
    /// What is wrong with the summary.
    pub summary: Vec<SummaryFault>,
    /// The candles on the grid, month by month, before anything was repaired.
    pub digests: Vec<MonthDigest>,
    /// What was written to repair.
    pub written: Applied,
    /// How it ended.
    pub outcome: Outcome,
}

impl Verification {
    /// Nothing was found out.
    pub(crate) fn empty(asset: Asset, outcome: Outcome) -> Self {
        Self {
            asset,
            stored: 0,
            compared: 0,
            faults: Faults::default(),
            summary: Vec::new(),
            digests: Vec::new(),
            written: Applied::default(),
            outcome,
        }
    }

    /// Whether everything was looked at and nothing is wrong, or was before it was mended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let whole = matches!(self.outcome, Outcome::Done | Outcome::Incomplete(_));
        whole && self.faults.counts.is_empty() && self.summary.is_empty()
    }
}
