//! The ledger is worked off: every hole that is to be asked about is asked about.

use std::cmp::Reverse;

use ohlcv_domain::{Cause, Commit, Hole, SlotRange, TimeRange, Timestamp, pages};
use ohlcv_ports::SourceError;

use crate::fetch::{AssetRun, Break};
use crate::holes::holes_in;
use crate::ingest::Unanswered;
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
    /// cause. One that cannot be asked about is noted and passed over; the first such failure is
    /// returned in the end.
    pub(crate) async fn fill_gaps(
        &mut self,
        slots: SlotRange,
        answered_until: Timestamp,
        which: Which,
    ) -> Result<(), Break> {
        let mut wanted = self.wanted(slots, which).await?;
        wanted.sort_by_key(|(slots, cause)| (Reverse(slots.start() >= answered_until), urgency(*cause)));
        self.expect(wanted.iter().map(|(slots, cause)| self.to_be_asked(*slots, *cause).len()).sum());
        let mut failures = Failures::default();
        for (slots, cause) in wanted {
            match self.ask_about(self.to_be_asked(slots, cause)).await {
                Ok(()) => failures.answered(),
                Err(unanswered) => failures.add(self.note_failure(unanswered, cause).await?),
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
        let has_room = !slots.len().is_multiple_of(self.context.source.page_slots_max().get().into());
        if follows && has_room { and_before } else { slots }
    }

    async fn ask_about(&mut self, slots: SlotRange) -> Result<(), Unanswered> {
        for page in pages(slots, self.context.source.page_slots_max()) {
            self.ingest(page, &mut Vec::new()).await?;
        }
        Ok(())
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
