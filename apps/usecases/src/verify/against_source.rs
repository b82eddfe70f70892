//! What is stored, against what the source has.

use ohlcv_domain::{
    Candle, Cause, CheckedPage, Difference, Finding, SlotRange, TimeRange, Timestamp, differences, pages,
};
use ohlcv_ports::StoreError;

use super::stored_rows::{Rows, Stored, StoredRows};
use super::{Fault, FaultKind, Scope, Verification};
use crate::fetch::{AssetRun, Break};
use crate::fill_gaps::Failures;
use crate::report::AssetError;

impl AssetRun<'_> {
    /// Asks the source about all slots that are closed and compares. A page that cannot be asked about
    /// is passed over; the first such failure is returned in the end. `suspect` is where the ledger was
    /// wrong.
    pub(super) async fn compare(
        &mut self,
        scope: &Scope,
        closed_until: Timestamp,
        suspect: &[TimeRange],
        found: &mut Verification,
    ) -> Result<(), Break> {
        let slots = scope.slots.before(closed_until);
        if slots.is_empty() {
            return Ok(());
        }
        let listing = self.listing().await?;
        Self::check_listing(scope, listing, found);
        // Before its first candle it has none: nobody needs to ask.
        let listed = listing.map_or(slots.start(), |listing| slots.grid().floor(listing));
        self.check_before_listing(slots.before(listed), found).await?;
        let asked = slots.from(listed);
        self.expect(asked.len());
        let mut failures = Failures::default();
        for page in pages(asked, self.context.source.page_slots_max()) {
            match self.compare_page(scope, page, suspect, found).await {
                Ok(()) => failures.answered(),
                Err(failed) => failures.add(failed),
            }
            if failures.are_hopeless() {
                break;
            }
        }
        failures.into_result()
    }

    async fn check_before_listing(&self, slots: SlotRange, found: &mut Verification) -> Result<(), Break> {
        let mut rows = StoredRows::of(slots.time());
        while let Some(read) = rows.next(self).await? {
            let Rows::Candles(candles) = read else { continue };
            for stored in candles.into_iter().filter(|row| slots.grid().contains(row.open_time())) {
                let fault = of(slots, Difference::MissingAtSource { stored });
                let detail = "before its first candle at the source".to_owned();
                found.faults.add(Fault { detail, ..fault });
            }
        }
        Ok(())
    }

    /// Asks for a page until it is answered to its end, and compares each answer.
    async fn compare_page(
        &mut self,
        scope: &Scope,
        page: SlotRange,
        suspect: &[TimeRange],
        found: &mut Verification,
    ) -> Result<(), Break> {
        let asker = self.asker();
        let mut left = page;
        // Ends: every answer takes at least one slot off what is left, or is an error.
        while !left.is_empty() {
            let (answered, checked) = asker.ask(self.context.source.as_ref(), left).await?;
            found.compared += checked.candles.len() as u64;
            let stored = self.stored(answered, |_| ()).await?;
            let mut differing = differing(answered, &stored, &checked);
            if !differing.is_empty() {
                let again = self.stored(answered, |_| ()).await?;
                let again = self::differing(answered, &again, &checked);
                differing.retain(|difference| again.contains(difference));
            }
            let wrong = suspect.iter().any(|range| range.intersection(answered.time()).is_some());
            let wanted = wrong || differing.iter().any(can_be_written);
            let written = match scope.repair && wanted {
                true => self.write(answered, &stored, &checked).await?,
                false => Vec::new(),
            };
            for difference in differing {
                let at = difference.open_time();
                let mended = can_be_written(&difference) && written.iter().any(|part| part.contains(at));
                let detail = detail(&checked.findings, &difference);
                found.faults.add(Fault { mended, detail, ..of(answered, difference) });
            }
            self.advance(answered.len());
            left = left.from(answered.end());
        }
        Ok(())
    }

    /// Commits an answer, but for the slots with rows that cannot be read: a write reads what it
    /// replaces. Returns what was written.
    async fn write(
        &mut self,
        answered: SlotRange,
        stored: &Stored,
        checked: &CheckedPage,
    ) -> Result<Vec<TimeRange>, Break> {
        let unreadable = stored.impossible.iter().map(|row| slot(answered, row.open_time));
        let mut written = Vec::new();
        for part in answered.time().without(unreadable) {
            let slots = answered.grid().slots_in(part);
            match self.commit_page(slots, checked.within(slots)).await {
                Ok(_) => written.push(part),
                // A row that became so just now, or a hole that cannot be read.
                Err(Break::Failed(AssetError::Store(StoreError::Corrupt { .. }))) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(written)
    }
}

/// Where an answer differs from what is stored, but for slots whose answer may still come, and those
/// with rows that are no candles, which are told already.
fn differing(answered: SlotRange, stored: &Stored, checked: &CheckedPage) -> Vec<Difference> {
    let pending = checked.findings.iter().filter(|finding| finding.cause == Cause::Pending);
    let pending = pending.map(|finding| finding.range);
    let unreadable = stored.impossible.iter().map(|row| slot(answered, row.open_time));
    let left_out: Vec<TimeRange> = pending.chain(unreadable).collect();
    let mut found = differences(&stored.candles, &checked.candles);
    found.retain(|difference| !left_out.iter().any(|range| range.contains(difference.open_time())));
    found
}

/// Nothing is ever deleted, so what the source does not have stays.
fn can_be_written(difference: &Difference) -> bool {
    match difference {
        Difference::MissingInStore { .. } | Difference::Differs { .. } => true,
        Difference::MissingAtSource { .. } => false,
    }
}

/// The slot that an instant falls into, as the time it covers.
fn slot(slots: SlotRange, at: Timestamp) -> TimeRange {
    let grid = slots.grid();
    TimeRange::new(grid.floor(at), grid.next(at)).unwrap_or(slots.time())
}

fn of(slots: SlotRange, difference: Difference) -> Fault {
    let (kind, stored, source): (_, Option<Candle>, Option<Candle>) = match difference {
        Difference::MissingInStore { source } => (FaultKind::MissingInStore, None, Some(source)),
        Difference::MissingAtSource { stored } => (FaultKind::MissingAtSource, Some(stored), None),
        Difference::Differs { stored, source } => (FaultKind::Differs, Some(stored), Some(source)),
    };
    Fault { stored, source, ..Fault::new(kind, slot(slots, difference.open_time())) }
}

/// What the source sent instead of a candle, if it sent something.
fn detail(findings: &[Finding], difference: &Difference) -> String {
    let rejected = findings
        .iter()
        .find(|finding| finding.cause == Cause::Rejected && finding.range.contains(difference.open_time()));
    rejected.map_or_else(String::new, |finding| format!("its row was turned away, {}", finding.detail))
}
