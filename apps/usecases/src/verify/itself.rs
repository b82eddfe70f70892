//! What is stored, looked at for itself: rows, ledger, digests.

use std::num::NonZeroU32;

use ohlcv_domain::{
    Candle, Cause, Commit, LedgerFaults, SlotRange, TimeRange, Timestamp, check_ledger, pages,
};
use ohlcv_ports::{HoleQuery, StoreError};

use super::digest::Months;
use super::stored_rows::{Rows, Stored, StoredRows};
use super::{Fault, FaultKind, Scope, Verification};
use crate::fetch::{AssetRun, Break};

/// How many slots are looked at at a time.
const WINDOW_SLOTS: NonZeroU32 = match NonZeroU32::new(1_000) {
    Some(slots) => slots,
    None => NonZeroU32::MIN,
};
/// How many holes outside of a span are told.
const HOLES_OUTSIDE_MAX: u64 = 1_000;

/// Faults of the ledger within one window.
type Found = Vec<(FaultKind, TimeRange, String)>;

impl AssetRun<'_> {
    /// Looks at every row and hole, and has the ledger mended if that is wanted. Returns where it was
    /// wrong: what stands there now has to be asked about.
    pub(super) async fn check_itself(
        &self,
        scope: &Scope,
        closed_until: Option<Timestamp>,
        found: &mut Verification,
    ) -> Result<Vec<TimeRange>, Break> {
        let mut months = Months::default();
        let mut suspect = Vec::new();
        for window in pages(scope.slots, WINDOW_SLOTS) {
            let off_grid = |row: Candle| found.faults.add(of_row(FaultKind::OffGrid, scope, row));
            let stored = self.stored(window, off_grid).await?;
            for candle in &stored.candles {
                months.add(candle);
                if is_open(scope, closed_until, candle.open_time()) {
                    found.faults.add(of_row(FaultKind::NotClosed, scope, *candle));
                }
            }
            for row in &stored.impossible {
                let range = slot_from(scope, row.open_time);
                let detail = row.reason.clone();
                found.faults.add(Fault { detail, ..Fault::new(FaultKind::Impossible, range) });
            }
            suspect.extend(self.check_holes(scope, window, &stored, found).await?);
        }
        found.digests = months.finish();
        self.check_rows_outside(scope, closed_until, found).await?;
        self.check_holes_outside(scope, found).await?;
        Ok(suspect)
    }

    /// Looks at the holes of a window, a second time if something is wrong. Returns where it is.
    async fn check_holes(
        &self,
        scope: &Scope,
        window: SlotRange,
        stored: &Stored,
        found: &mut Verification,
    ) -> Result<Option<TimeRange>, Break> {
        let mut faults = self.holes_against(window, stored).await?;
        if !faults.is_empty() {
            let stored = self.stored(window, |_| ()).await?;
            let again = self.holes_against(window, &stored).await?;
            faults.retain(|fault| again.contains(fault));
        }
        let mut suspect: Option<TimeRange> = None;
        for (kind, range, detail) in faults {
            let mended = scope.repair && self.mend_holes(scope, range).await?;
            found.faults.add(Fault { detail, mended, ..Fault::new(kind, range) });
            suspect = Some(suspect.map_or(range, |suspect| suspect.hull(range)));
        }
        Ok(suspect)
    }

    async fn holes_against(&self, window: SlotRange, stored: &Stored) -> Result<Found, Break> {
        // A ledger as it should be has no more holes there than slots.
        let holes_max = window.len().saturating_add(1);
        let holes = self.context.coverage.holes(self.asset, HoleQuery::oldest(window.time(), holes_max));
        let holes = match self.unless_stopped(holes).await? {
            Ok(holes) => holes,
            Err(StoreError::Corrupt { reason }) => {
                return Ok(vec![(FaultKind::HolesUnreadable, window.time(), reason)]);
            }
            Err(error) => return Err(error.into()),
        };
        // A row that is no candle fills its slot all the same.
        let rows = stored.candles.iter().map(Candle::open_time);
        let mut rows: Vec<Timestamp> =
            rows.chain(stored.impossible.iter().map(|row| row.open_time)).collect();
        rows.sort_unstable();
        let holes: Vec<TimeRange> = holes.into_iter().map(|hole| hole.range).collect();
        let LedgerFaults { misplaced, overlaps, over_candles, unexplained } =
            check_ledger(window, &rows, &holes);
        let told = [
            (FaultKind::HoleMisplaced, misplaced),
            (FaultKind::HolesOverlap, overlaps),
            (FaultKind::HoleOverCandle, over_candles),
            (FaultKind::Unexplained, unexplained),
        ];
        let each = |(kind, ranges): (FaultKind, Vec<TimeRange>)| {
            ranges.into_iter().map(move |range| (kind, range, String::new()))
        };
        Ok(told.into_iter().flat_map(each).collect())
    }

    /// Has the ledger say that nothing is known of the slots of `range` without rows. False if that
    /// cannot be, because of holes that cannot be read.
    async fn mend_holes(&self, scope: &Scope, range: TimeRange) -> Result<bool, Break> {
        let grid = scope.slots.grid();
        let widened = TimeRange::new(grid.floor(range.start()), grid.ceil(range.end())).unwrap_or(range);
        let wrong = widened.hull(slot_from(scope, grid.floor(range.start())));
        let Some(wrong) = scope.span.and_then(|span| span.intersection(wrong)) else { return Ok(false) };
        let wrong = grid.slots_in(wrong);
        let listed = scope.listing.map_or(wrong.start(), |listing| grid.floor(listing));
        let now = self.context.clock.now();
        for (slots, cause) in
            [(wrong.before(listed), Cause::BeforeListing), (wrong.from(listed), Cause::Pending)]
        {
            if slots.is_empty() {
                continue;
            }
            match self.apply(Commit::of_finding(self.asset, slots, cause, "", now)).await {
                Ok(_) => {}
                Err(StoreError::Corrupt { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Finds rows outside of the span, of those that were there when the rows were counted.
    async fn check_rows_outside(
        &self,
        scope: &Scope,
        closed_until: Option<Timestamp>,
        found: &mut Verification,
    ) -> Result<(), Break> {
        let grid = scope.slots.grid();
        let (Some(first), Some(last)) = (scope.rows.first, scope.rows.last) else { return Ok(()) };
        let Ok(all) = TimeRange::new(first, grid.next(last)) else { return Ok(()) };
        let Some(all) = all.intersection(scope.range) else { return Ok(()) };
        for part in all.without(scope.span) {
            let mut rows = StoredRows::of(part);
            while let Some(read) = rows.next(self).await? {
                match read {
                    Rows::Candles(candles) => {
                        for row in candles.into_iter().filter(|row| row.open_time() <= last) {
                            let kind = match row.open_time() {
                                at if !grid.contains(at) => FaultKind::OffGrid,
                                at if is_open(scope, closed_until, at) => FaultKind::NotClosed,
                                _ => FaultKind::OutsideSpan,
                            };
                            found.faults.add(of_row(kind, scope, row));
                        }
                    }
                    Rows::Impossible(row) => {
                        let range = slot_from(scope, row.open_time);
                        let fault = Fault::new(FaultKind::Impossible, range);
                        found.faults.add(Fault { detail: row.reason, ..fault });
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds holes outside of the span, of those that are there after the span was read again.
    async fn check_holes_outside(&self, scope: &Scope, found: &mut Verification) -> Result<(), Break> {
        for part in scope.range.without(scope.span) {
            let holes = self.context.coverage.holes(self.asset, HoleQuery::oldest(part, HOLES_OUTSIDE_MAX));
            let holes = match self.unless_stopped(holes).await? {
                Ok(holes) if holes.is_empty() => continue,
                Ok(holes) => holes,
                Err(StoreError::Corrupt { reason }) => {
                    let fault = Fault::new(FaultKind::HolesUnreadable, part);
                    found.faults.add(Fault { detail: reason, ..fault });
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let span = self.summary().await?.and_then(|known| known.span);
            for hole in holes {
                let outside = hole.range.intersection(part).map(|range| range.without(span));
                for range in outside.into_iter().flatten() {
                    found.faults.add(Fault::new(FaultKind::HoleOutsideSpan, range));
                }
            }
        }
        Ok(())
    }
}

/// From an open time to where its slot ends.
fn slot_from(scope: &Scope, open_time: Timestamp) -> TimeRange {
    let end = scope.slots.grid().next(open_time);
    TimeRange::new(open_time, end).unwrap_or(scope.range)
}

fn of_row(kind: FaultKind, scope: &Scope, row: Candle) -> Fault {
    Fault { stored: Some(row), ..Fault::new(kind, slot_from(scope, row.open_time())) }
}

/// Whether a candle that was stored when the rows were counted was open when the clock was read.
fn is_open(scope: &Scope, closed_until: Option<Timestamp>, open_time: Timestamp) -> bool {
    let was_there = scope.rows.last.is_some_and(|last| open_time <= last);
    was_there && closed_until.is_some_and(|closed_until| open_time >= closed_until)
}
