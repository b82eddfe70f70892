//! The ledger is worked off: every hole that is to be asked about is asked about.

use std::cmp::Reverse;
use std::sync::Arc;

use ohlcv_domain::{Cause, Commit, Hole, SlotRange, TimeRange, Timestamp};
use ohlcv_ports::{CandleSource, SourceError};

use crate::asks::Unanswered;
use crate::fetch::{AssetRun, Break};
use crate::holes::holes_in;
use crate::report::AssetError;

/// After so many failures in a row it is the exchange that fails, not a hole of its own.
const FAILURES_IN_A_ROW_MAX: u32 = 2;

/// Which holes are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those whose time has come.
    Due,
    /// Those whose time has come, and every failed one: somebody is waiting for the result.
    DueOrFailed,
}

/// What could not be asked about in one go through many slots.
#[derive(Default)]
pub(crate) struct Failures {
    first: Option<Break>,
    in_a_row: u32,
    hopeless: bool,
}

impl Failures {
    pub(crate) fn answered(&mut self) {
        self.in_a_row = 0;
    }

    pub(crate) fn add(&mut self, failure: Break) {
        self.in_a_row += 1;
        self.hopeless = self.in_a_row == FAILURES_IN_A_ROW_MAX || !concerns_one_hole(&failure);
        self.first.get_or_insert(failure);
    }

    /// Whether asking about other slots would be in vain, too.
    pub(crate) fn are_hopeless(&self) -> bool {
        self.hopeless
    }

    /// The first failure, if there was one.
    pub(crate) fn into_result(self) -> Result<(), Break> {
        self.first.map_or(Ok(()), Err)
    }
}

impl AssetRun<'_> {
    /// Asks about the holes among `slots`, and only about them. What lies behind `answered_until`
    /// comes first, so that nothing old keeps the newest candles away; of the rest first what was
    /// never asked, then what failed, then what the exchange did not have.
    ///
    /// A hole that the exchange turns out not to have anything for stays on the ledger with that
    /// cause. A page that cannot be had is noted, and the rest of its hole is passed over, but for what
    /// was asked for before that was known; the first such failure is returned in the end.
    pub(crate) async fn fill_gaps(
        &mut self,
        slots: SlotRange,
        answered_until: Timestamp,
        which: Which,
    ) -> Result<(), Break> {
        let mut wanted = self.wanted(slots, which).await?;
        wanted.sort_by_key(|(slots, cause)| (Reverse(slots.start() >= answered_until), urgency(*cause)));
        for (slots, cause) in &mut wanted {
            *slots = self.to_be_asked(*slots, *cause);
        }
        self.expect(wanted.iter().map(|(slots, _)| slots.len()).sum());
        let mut asks =
            self.asks(wanted.iter().map(|(slots, cause)| (*slots, Arc::clone(self.source_for(*cause)))));
        let mut failures = Failures::default();
        while let Some(asked) = asks.next().await {
            let run = asked.run;
            match self.ingest(asked, &mut Vec::new()).await {
                Ok(()) => failures.answered(),
                Err(unanswered) => {
                    asks.leave(run);
                    failures.add(self.note_failure(unanswered, wanted[run].1).await?);
                }
            }
            if failures.are_hopeless() {
                break;
            }
        }
        failures.into_result()
    }

    /// The slots of a hole, with the newest stored candle if that is to be read once more before new
    /// ones, and costs no request of its own.
    fn to_be_asked(&self, slots: SlotRange, cause: Cause) -> SlotRange {
        let and_before = slots.with_one_before();
        let is_new = matches!(cause, Cause::Pending | Cause::Failed);
        let follows = is_new && self.settled == Some(and_before.start());
        let source = self.source_for(cause).as_ref();
        if follows && pages_of(source, and_before) == pages_of(source, slots) { and_before } else { slots }
    }

    /// Who is asked about a hole.
    fn source_for(&self, cause: Cause) -> &Arc<dyn CandleSource> {
        if cause == Cause::Pending { self.bulk } else { &self.context.source }
    }

    /// The slots that are to be asked about, and why each run of them is missing; ascending.
    async fn wanted(&self, slots: SlotRange, which: Which) -> Result<Vec<(SlotRange, Cause)>, Break> {
        let now = self.context.clock.now();
        let wanted =
            |hole: &Hole| hole.is_due(now) || (which == Which::DueOrFailed && hole.cause == Cause::Failed);
        let holes = self.holes(slots.time()).await?.into_iter().filter(wanted);
        let inside = holes.map(|hole| (slots.from(hole.range.start()).before(hole.range.end()), hole.cause));
        Ok(inside.filter(|(slots, _)| !slots.is_empty()).collect())
    }

    /// Every hole that overlaps a range.
    pub(crate) async fn holes(&self, range: TimeRange) -> Result<Vec<Hole>, Break> {
        Ok(holes_in(self.context.coverage.as_ref(), self.asset, range, None).await?)
    }

    /// Notes a failure on the ledger, unless it is known already that the exchange has nothing;
    /// returns why it was no answer.
    async fn note_failure(&self, unanswered: Unanswered, cause: Cause) -> Result<Break, Break> {
        let Unanswered { slots, cause: ended } = unanswered;
        if let Break::Failed(AssetError::Source(error)) = &ended
            && !cause.explains()
        {
            let now = self.context.clock.now();
            let failed = Commit::of_finding(self.asset, slots, Cause::Failed, &error.to_string(), now);
            self.apply(failed).await?;
        }
        Ok(ended)
    }
}

/// How many pages of a source slots come in.
fn pages_of(source: &dyn CandleSource, slots: SlotRange) -> usize {
    let mut pages = 0;
    let mut left = slots;
    // Ends: every page takes at least one slot off what is left, or the source names none.
    while !left.is_empty() {
        let page = source.page_within(left);
        left = if page.is_empty() { page } else { left.from(page.end()) };
        pages += 1;
    }
    pages
}

fn urgency(cause: Cause) -> u8 {
    match cause {
        Cause::Pending => 0,
        Cause::Failed => 1,
        Cause::SourceEmpty | Cause::BeforeListing | Cause::Rejected => 2,
    }
}

/// Whether asking about other slots may still work.
fn concerns_one_hole(failure: &Break) -> bool {
    matches!(
        failure,
        Break::Failed(AssetError::Source(SourceError::Refused { .. } | SourceError::Unavailable { .. }))
    )
}
