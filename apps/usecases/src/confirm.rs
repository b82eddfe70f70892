//! Candles that came from elsewhere are asked for again.

use std::sync::Arc;

use ohlcv_domain::{SlotRange, TimeRange, disagreement};

use crate::fetch::{AssetRun, Break};
use crate::fill_gaps::Failures;

/// How many marks are read at a time; few in tests, which have to cross it.
const MARKS_PER_READ: u64 = if cfg!(test) { 3 } else { 500 };

impl AssetRun<'_> {
    /// Asks about the unverified ones of `slots`, holes among them included. Every answer takes its
    /// slots off the marks as it is stored, so that a run that ends early is continued by the next.
    ///
    /// A row that the exchange has nothing for stays as it is, for nothing is ever deleted; its slot
    /// was answered about, and the log names it. A page that cannot be asked about is passed over.
    pub(crate) async fn confirm(&mut self, slots: SlotRange) -> Result<Failures, Break> {
        let marks = self.unverified(slots.time()).await?;
        let marked = marks.iter().map(|mark| slots.from(mark.start()).before(mark.end()));
        let wanted: Vec<SlotRange> = marked.filter(|marked| !marked.is_empty()).collect();
        let mut failures = Failures::default();
        if wanted.is_empty() {
            return Ok(failures);
        }
        self.expect(wanted.iter().map(|marked| marked.len()).sum());
        let mut asks = self.asks(wanted.into_iter().map(|marked| (marked, Arc::clone(&self.context.source))));
        while let Some(asked) = asks.next().await {
            let mut lacking = Vec::new();
            let page = asked.page;
            let stored = self.ingest(asked, &mut lacking).await;
            self.name_kept_rows(page, &lacking).await?;
            match stored {
                Ok(()) => failures.answered(),
                Err(unanswered) => failures.add(unanswered.cause),
            }
            if failures.are_hopeless() {
                break;
            }
        }
        Ok(failures)
    }

    /// Logs where the exchange has nothing, but a row is stored: no hole covers it.
    async fn name_kept_rows(&self, page: SlotRange, lacking: &[TimeRange]) -> Result<(), Break> {
        if lacking.is_empty() {
            return Ok(());
        }
        let holes: Vec<_> = self.holes(page.time()).await?.iter().map(|hole| hole.range).collect();
        for range in disagreement(page.time(), lacking, &holes).unexplained {
            tracing::warn!(
                asset = %self.asset,
                "the exchange has no candles of {} in {range}: what moved in there stays as it is",
                self.asset
            );
        }
        Ok(())
    }

    /// Every mark that overlaps a range.
    async fn unverified(&self, range: TimeRange) -> Result<Vec<TimeRange>, Break> {
        let mut marks: Vec<TimeRange> = Vec::new();
        let mut left = Some(range);
        // Ends: every read but the last moves the start of what is left behind another mark.
        while let Some(range) = left {
            let read = self.context.coverage.unverified(self.asset, range, MARKS_PER_READ).await?;
            let more = read.len() as u64 == MARKS_PER_READ;
            let read_until = read.last().map(|mark| mark.end());
            marks.extend(read);
            left = read_until.filter(|_| more).and_then(|from| TimeRange::new(from, range.end()).ok());
        }
        Ok(marks)
    }
}
