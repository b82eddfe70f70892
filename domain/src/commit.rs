//! What goes into a store and comes out of it, as values.

use crate::{Asset, Candle, CheckedPage, Finding, JobId, SlotRange, TimeRange, Timestamp, gaps};

/// One write: everything that is known of a run of slots after asking about it.
///
/// By construction every slot of `asked` is either a candle or lies in a finding, so a store that
/// applies commits always has a cause for every hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    asset: Asset,
    asked: SlotRange,
    candles: Vec<Candle>,
    findings: Vec<Finding>,
    observed_at: Timestamp,
    listing: Option<Timestamp>,
    recount: bool,
    source_asked: bool,
    fence: Option<Fence>,
    job: Option<JobId>,
}

/// Proof that whoever writes still holds the lease under which it works. Each time a lease changes
/// hands its token grows, so a writer that slept through the end of its lease is told apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The name of the lease.
    pub lease: String,
    /// The token that the holder was given with it.
    pub token: u64,
}

/// Why candles and findings make no commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A candle is out of order, repeated, off the grid or outside the range.
    #[error("the candle of {open_time} is out of order or no slot of {asked}")]
    StrayCandle {
        /// The candle's open time.
        open_time: Timestamp,
        /// What was asked.
        asked: SlotRange,
    },
    /// The findings are not exactly the slots without candles.
    #[error("the holes found are not exactly the slots of {asked} without candles")]
    Uncovered {
        /// What was asked.
        asked: SlotRange,
    },
}

impl Commit {
    /// A commit of what was found out about `asked`, at `observed_at` by the local clock.
    ///
    /// # Errors
    /// [`CommitError`] unless the candles ascend strictly on the slots of `asked` and the findings,
    /// ascending and disjoint, cover exactly the other slots.
    pub fn new(
        asset: Asset,
        asked: SlotRange,
        candles: Vec<Candle>,
        findings: Vec<Finding>,
        observed_at: Timestamp,
    ) -> Result<Self, CommitError> {
        let mut earlier = None;
        for candle in &candles {
            let open_time = candle.open_time();
            let in_place = asked.time().contains(open_time) && asked.grid().contains(open_time);
            if !in_place || earlier.is_some_and(|earlier| earlier >= open_time) {
                return Err(CommitError::StrayCandle { open_time, asked });
            }
            earlier = Some(open_time);
        }
        let missing = gaps(asked, candles.iter().map(Candle::open_time)).map(SlotRange::time);
        if !missing.eq(joined(&findings)) {
            return Err(CommitError::Uncovered { asked });
        }
        Ok(Self {
            asset,
            asked,
            candles,
            findings,
            observed_at,
            listing: None,
            recount: false,
            source_asked: true,
            fence: None,
            job: None,
        })
    }

    /// A commit of a page that passed the door.
    ///
    /// # Errors
    /// [`CommitError`] if the page was not checked against `asked`.
    pub fn of_page(
        asset: Asset,
        asked: SlotRange,
        page: CheckedPage,
        observed_at: Timestamp,
    ) -> Result<Self, CommitError> {
        Self::new(asset, asked, page.candles, page.findings, observed_at)
    }

    /// A commit that says one thing about all of `asked`, except where candles are stored.
    #[must_use]
    pub fn of_finding(
        asset: Asset,
        asked: SlotRange,
        cause: crate::Cause,
        detail: &str,
        observed_at: Timestamp,
    ) -> Self {
        let finding = Finding { range: asked.time(), cause, detail: detail.to_owned() };
        let findings = if asked.is_empty() { Vec::new() } else { vec![finding] };
        Self {
            asset,
            asked,
            candles: Vec::new(),
            findings,
            observed_at,
            listing: None,
            recount: false,
            source_asked: true,
            fence: None,
            job: None,
        }
    }

    /// The same commit, which also notes when the asset's first candle opened.
    #[must_use]
    pub fn with_listing(mut self, listing: Timestamp) -> Self {
        self.listing = Some(listing);
        self
    }

    /// The same commit, which also counts the asset's stored rows anew.
    #[must_use]
    pub fn with_recount(mut self) -> Self {
        self.recount = true;
        self
    }

    /// The same commit, of candles that come from elsewhere: the source was not asked, so it has
    /// answered about nothing, and slots that wait to be confirmed go on waiting.
    #[must_use]
    pub fn without_source(mut self) -> Self {
        self.source_asked = false;
        self
    }

    /// The same commit, to be refused unless its writer still holds this lease.
    #[must_use]
    pub fn with_fence(mut self, fence: Option<Fence>) -> Self {
        self.fence = fence;
        self
    }

    /// The same commit, written for a job.
    #[must_use]
    pub fn with_job(mut self, job: Option<JobId>) -> Self {
        self.job = job;
        self
    }

    /// The asset whose series it writes.
    #[must_use]
    pub const fn asset(&self) -> Asset {
        self.asset
    }

    /// The slots it speaks of.
    #[must_use]
    pub const fn asked(&self) -> SlotRange {
        self.asked
    }

    /// The candles, ascending.
    #[must_use]
    pub fn candles(&self) -> &[Candle] {
        &self.candles
    }

    /// The slots without candles and why, ascending.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The parts of what was asked that the source has answered about, ascending: all but the
    /// findings that were not asked about yet, or that asking failed for. None if it was not asked at all.
    #[must_use]
    pub fn answered(&self) -> Vec<TimeRange> {
        if !self.source_asked {
            return Vec::new();
        }
        let unanswered = self.findings.iter().filter(|finding| !finding.cause.explains());
        self.asked.time().without(unanswered.map(|finding| finding.range))
    }

    /// When the source was asked, by the local clock.
    #[must_use]
    pub const fn observed_at(&self) -> Timestamp {
        self.observed_at
    }

    /// When the asset's first candle opened, if that was found out.
    #[must_use]
    pub const fn listing(&self) -> Option<Timestamp> {
        self.listing
    }

    /// The lease that its writer has to hold, if any.
    #[must_use]
    pub const fn fence(&self) -> Option<&Fence> {
        self.fence.as_ref()
    }

    /// The job that it is written for, if it is one.
    #[must_use]
    pub const fn job(&self) -> Option<JobId> {
        self.job
    }

    /// Whether the stored rows are to be counted anew.
    #[must_use]
    pub const fn recount(&self) -> bool {
        self.recount
    }
}

/// The ranges of findings, touching ones as one.
fn joined(findings: &[Finding]) -> impl Iterator<Item = TimeRange> {
    findings
        .chunk_by(|one, next| one.range.end() == next.range.start())
        .filter_map(|run| Some(run.first()?.range.hull(run.last()?.range)))
}

/// What a write changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Candles that were not stored before.
    pub new: u64,
    /// Candles that were stored with other numbers.
    pub changed: u64,
    /// Candles that were stored just so.
    pub unchanged: u64,
}

/// What a store knows of one asset without reading its candles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The asset.
    pub asset: Asset,
    /// The part of its series that the ledger speaks of; none before anything was asked.
    pub span: Option<TimeRange>,
    /// Up to where the exchange has answered, exclusive: nothing beyond it may be filled. None
    /// before anything was asked.
    pub answered_until: Option<Timestamp>,
    /// When its first candle on the exchange opened, if that was asked.
    pub listing: Option<Timestamp>,
    /// Open time of the oldest stored candle.
    pub first: Option<Timestamp>,
    /// Open time of the newest stored candle.
    pub last: Option<Timestamp>,
    /// How many candles are stored.
    pub candles: u64,
    /// The backfill of this asset.
    pub backfill: BackfillState,
}

/// Where a series stands, by what decides how it reads: while its head stays the same, so do its rows
/// and the bounds within which it can be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The asset.
    pub asset: Asset,
    /// The number of the last entry in its change log; 0 if there is none.
    pub seq: u64,
    /// The part of the series that this very entry is about; none where that is not known for sure.
    pub changed: Option<TimeRange>,
    /// As in [`Summary::answered_until`].
    pub answered_until: Option<Timestamp>,
    /// As in [`Summary::listing`].
    pub listing: Option<Timestamp>,
    /// As in [`Summary::first`].
    pub first: Option<Timestamp>,
    /// As in [`Summary::last`].
    pub last: Option<Timestamp>,
}

impl Head {
    /// The head of a series that has this summary and whose change log ends with `newest`.
    #[must_use]
    pub fn of(summary: &Summary, newest: Option<&Change>) -> Self {
        let Summary { asset, answered_until, listing, first, last, .. } = *summary;
        let (seq, changed) = (newest.map_or(0, |change| change.seq), newest.map(|change| change.range));
        Self { asset, seq, changed, answered_until, listing, first, last }
    }
}

/// How far the backfill of an asset is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackfillState {
    /// Whether every slot of the wanted span is stored or explained, and there are enough of them.
    pub completed: bool,
    /// Why it is not completed; empty if it is, or was never tried.
    pub reason: String,
}

/// A part of a series that one write changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Counts up by one from write to write of the same asset.
    pub seq: u64,
    /// The slots that changed, candles or holes, as the time they cover.
    pub range: TimeRange,
    /// When it was written, by the local clock.
    pub at: Timestamp,
}

/// Where the stored rows of a range break off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaks {
    /// How many rows there are.
    pub rows: u64,
    /// Open time of the first row.
    pub first: Option<Timestamp>,
    /// Open time of the last row.
    pub last: Option<Timestamp>,
    /// Neighbouring rows that lie further apart than was asked, ascending.
    pub steps: Vec<(Timestamp, Timestamp)>,
}
