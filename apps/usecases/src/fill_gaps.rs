//! The ledger is worked off: every hole that is to be asked about is asked about.

use ohlcv_domain::{Cause, Commit, Hole, SlotRange, TimeRange, pages};

use crate::fetch::{AssetRun, Break};
use crate::ingest::Unanswered;

/// How many holes are read at a time.
const HOLES_PER_READ: u64 = 500;

/// Which holes are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those whose time has come.
    Due,
    /// Those whose time has come, and every failed one: somebody is waiting for the result.
    DueOrFailed,
}

impl AssetRun<'_> {
    /// Asks about the holes among `slots`, oldest first, and only about them.
    ///
    /// A hole that the exchange turns out not to have anything for stays on the ledger with that
    /// cause; one that cannot be asked about ends the work on this asset.
    pub(crate) async fn fill_gaps(&mut self, slots: SlotRange, which: Which) -> Result<(), Break> {
        let expected = self.each_hole(slots, which).await?;
        self.expect(expected.iter().map(|(slots, _)| slots.len()).sum());
        for (slots, cause) in expected {
            for page in pages(slots, self.context.source.page_slots_max()) {
                if let Err(unanswered) = self.ingest(page).await {
                    return self.give_up(unanswered, cause).await;
                }
            }
        }
        Ok(())
    }

    /// The slots that are to be asked about, and why each run of them is missing.
    async fn each_hole(&self, slots: SlotRange, which: Which) -> Result<Vec<(SlotRange, Cause)>, Break> {
        let now = self.context.clock.now();
        let wanted = |hole: &Hole| {
            let due = hole.due().is_some_and(|due| due <= now);
            due || (which == Which::DueOrFailed && hole.cause == Cause::Failed)
        };
        let holes = self.holes(slots.time()).await?.into_iter().filter(wanted);
        let inside = holes.map(|hole| (slots.from(hole.range.start()).before(hole.range.end()), hole.cause));
        Ok(inside.filter(|(slots, _)| !slots.is_empty()).collect())
    }

    /// Every hole that overlaps a range.
    pub(crate) async fn holes(&self, range: TimeRange) -> Result<Vec<Hole>, Break> {
        let mut holes: Vec<Hole> = Vec::new();
        let mut left = Some(range);
        // Ends: every read but the last moves the start of what is left behind another hole.
        while let Some(range) = left {
            let read = self.context.coverage.holes(self.asset, range, HOLES_PER_READ).await?;
            let more = read.len() as u64 == HOLES_PER_READ;
            let read_until = read.last().map(|hole| hole.range.end());
            holes.extend(read);
            left = read_until.filter(|_| more).and_then(|from| TimeRange::new(from, range.end()).ok());
        }
        Ok(holes)
    }

    /// Notes a failure on the ledger, unless it is known already that the exchange has nothing.
    async fn give_up(&self, unanswered: Unanswered, cause: Cause) -> Result<(), Break> {
        let Unanswered { slots, cause: ended } = unanswered;
        if let Break::Failed(crate::AssetError::Source(error)) = &ended
            && !cause.explains()
        {
            let now = self.context.clock.now();
            let failed = Commit::of_finding(self.asset, slots, Cause::Failed, &error.to_string(), now);
            self.context.store.apply(failed).await?;
        }
        Err(ended)
    }
}
