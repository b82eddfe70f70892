//! The row that sums an asset up, against what it sums up.

use ohlcv_domain::{Breaks, SlotRange, Summary, Timestamp, answered_until};
use ohlcv_ports::StoreError;

use super::{Scope, SummaryFault, Verification};
use crate::fetch::{AssetRun, Break};
use crate::report::AssetError;

impl AssetRun<'_> {
    /// Counts what the summary sums up, a second time if it differs.
    pub(super) async fn check_summary(&self) -> Result<Vec<SummaryFault>, Break> {
        let mut faults = self.summary_faults().await?;
        if !faults.is_empty() {
            let again = self.summary_faults().await?;
            faults.retain(|fault| again.contains(fault));
        }
        Ok(faults)
    }

    async fn summary_faults(&self) -> Result<Vec<SummaryFault>, Break> {
        let rows = self.count_rows().await?;
        let Some(known) = self.summary().await? else {
            let counted = rows.rows.to_string();
            let fault = SummaryFault { field: "candles", stored: String::new(), counted, mended: false };
            return Ok(if rows.rows == 0 { Vec::new() } else { vec![fault] });
        };
        let Breaks { rows, first, last, .. } = rows;
        let mut compared = vec![
            ("candles", known.candles.to_string(), rows.to_string()),
            ("first", told(known.first), told(first)),
            ("last", told(known.last), told(last)),
        ];
        if let Some(answered) = self.answered(&known).await? {
            compared.push(("answered_until", told(known.answered_until), told(Some(answered))));
        }
        let fault = |(field, stored, counted)| SummaryFault { field, stored, counted, mended: false };
        Ok(compared.into_iter().filter(|(_, stored, counted)| stored != counted).map(fault).collect())
    }

    /// Up to where the source has answered, by the ledger; none if that says nothing, or nothing that
    /// can be read.
    async fn answered(&self, known: &Summary) -> Result<Option<Timestamp>, Break> {
        let Some(span) = known.span else { return Ok(None) };
        match self.holes(span).await {
            Ok(holes) => Ok(Some(answered_until(span.end(), holes.into_iter().rev()))),
            Err(Break::Failed(AssetError::Store(StoreError::Corrupt { .. }))) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// Compares what the summary says of the listing with what the source does.
    pub(super) fn check_listing(scope: &Scope, listing: Option<Timestamp>, found: &mut Verification) {
        if let Some(listing) = listing
            && scope.listing != Some(listing)
        {
            found.summary.push(SummaryFault {
                field: "listing",
                stored: told(scope.listing),
                counted: listing.to_string(),
                mended: false,
            });
        }
    }

    /// Has the summary say what is so, if it does not or something was mended.
    pub(super) async fn mend_summary(&self, scope: &Scope, found: &mut Verification) -> Result<(), Break> {
        let written = self.gains.stored.new > 0 || self.gains.stored.changed > 0;
        if !written && found.faults.total().mended == 0 && found.summary.is_empty() {
            return Ok(());
        }
        self.recount(scope.slots).await?;
        let listing = found.summary.iter().find(|fault| fault.field == "listing");
        if let Some(Ok(listing)) = listing.map(|fault| fault.counted.parse::<Timestamp>())
            && let Some(span) = scope.span
        {
            let whole: SlotRange = scope.slots.grid().slots_in(span);
            self.extend(whole, listing).await?;
        }
        let left = self.summary_faults().await?;
        for fault in &mut found.summary {
            fault.mended = !left.iter().any(|left| left.field == fault.field);
        }
        Ok(())
    }
}

fn told(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| at.to_string())
}
