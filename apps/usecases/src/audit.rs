//! What is really stored decides: the ledger is compared with the stored open times themselves.

use std::num::NonZeroU32;

use ohlcv_domain::{Cause, Commit, SlotRange, TimeRange, disagreement, missing_slots, pages};

use crate::fetch::{AssetRun, Break};

/// How many slots are compared at a time; bounds what one comparison can return. Few in tests, which
/// have to cross it.
const WINDOW_SLOTS: NonZeroU32 = match NonZeroU32::new(if cfg!(test) { 5 } else { 1_000_000 }) {
    Some(slots) => slots,
    None => NonZeroU32::MIN,
};

impl AssetRun<'_> {
    /// Compares rows and ledger of `slots`, and mends the latter: slots whose row vanished become
    /// pending, holes whose row appeared close. The rows of the summary are counted anew if that found
    /// something, or `slots` is the whole span and has others.
    pub(crate) async fn audit(&self, slots: SlotRange) -> Result<(), Break> {
        let mut rows = 0;
        let mut first = None;
        let mut last = None;
        let mut wrong: Vec<TimeRange> = Vec::new();
        for window in pages(slots, WINDOW_SLOTS) {
            let longest = window.grid().interval().longest();
            let breaks = self.context.store.breaks(self.asset, window.time(), longest);
            let Some(breaks) = self.context.stop.run_until_cancelled(breaks).await else {
                return Err(Break::Stopped);
            };
            let breaks = breaks?;
            rows += breaks.rows;
            first = first.or(breaks.first);
            last = breaks.last.or(last);
            let missing: Vec<_> = missing_slots(window, &breaks).into_iter().map(SlotRange::time).collect();
            let holes = self.holes(window.time()).await?;
            let holes: Vec<_> =
                holes.iter().filter_map(|hole| hole.range.intersection(window.time())).collect();
            let found = disagreement(window.time(), &missing, &holes);
            wrong.extend(found.unexplained);
            wrong.extend(found.stored_holes);
        }
        let now = self.context.clock.now();
        for range in &wrong {
            tracing::warn!(asset = %self.asset, "rows and ledger of {} disagree in {range}: mended", self.asset);
            let range = slots.grid().slots_in(*range);
            let pending = Commit::of_finding(self.asset, range, Cause::Pending, "", now);
            self.apply(pending).await?;
        }
        let summary = self.summary().await?;
        let whole = summary.as_ref().is_none_or(|known| known.span == Some(slots.time()));
        let counted = match &summary {
            Some(known) if whole => (known.candles, known.first, known.last) == (rows, first, last),
            Some(_) => wrong.is_empty(),
            None => false,
        };
        if !counted {
            self.recount(slots).await?;
        }
        Ok(())
    }

    /// Has the rows of the summary counted anew, and the end of the answered part read from the ledger.
    /// Of `slots` only the grid matters.
    pub(crate) async fn recount(&self, slots: SlotRange) -> Result<(), Break> {
        let nothing = slots.before(slots.start());
        let now = self.context.clock.now();
        let recount = Commit::of_finding(self.asset, nothing, Cause::Pending, "", now).with_recount();
        self.apply(recount).await?;
        Ok(())
    }
}
