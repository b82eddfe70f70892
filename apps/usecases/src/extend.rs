//! New slots of a series are put on the ledger before anything is asked about them.

use ohlcv_domain::{Cause, Commit, SlotRange, Timestamp};

use crate::fetch::{AssetRun, Break};

impl AssetRun<'_> {
    /// Puts those of `wanted` that the ledger does not know yet on it: pending, or before the
    /// listing. Extending to what is known already writes nothing.
    pub(crate) async fn extend(&self, wanted: SlotRange, listing: Timestamp) -> Result<(), Break> {
        let summary = self.summary().await?;
        let span = summary.as_ref().and_then(|known| known.span);
        let grid = wanted.grid();
        let listed = grid.floor(listing);
        let now = self.context.clock.now();
        let mut note_listing = summary.is_none_or(|known| known.listing != Some(listing));
        for part in wanted.time().without(span) {
            let part = grid.slots_in(part);
            for (slots, cause) in
                [(part.before(listed), Cause::BeforeListing), (part.from(listed), Cause::Pending)]
            {
                if slots.is_empty() {
                    continue;
                }
                let commit = Commit::of_finding(self.asset, slots, cause, "", now);
                self.apply(commit.with_listing(listing)).await?;
                note_listing = false;
            }
        }
        if note_listing {
            let nothing = wanted.before(wanted.start());
            let commit = Commit::of_finding(self.asset, nothing, Cause::Pending, "", now);
            self.apply(commit.with_listing(listing)).await?;
        }
        Ok(())
    }
}
