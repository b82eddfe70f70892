//! One page on its way from the source through the door into the store.

use ohlcv_domain::{Applied, CheckedPage, Commit, Rejection, SlotRange, TimeRange, check_page};
use ohlcv_ports::{SourceError, SourcePage};

use crate::fetch::{AssetRun, Break};

/// What was asked for in vain, and why.
pub(crate) struct Unanswered {
    /// The slots that no answer came for.
    pub(crate) slots: SlotRange,
    /// Why none came.
    pub(crate) cause: Break,
}

impl AssetRun<'_> {
    /// Asks for `slots`, at most one page of them, and commits every answer as it comes. Adds to
    /// `lacking` where the exchange said that it has nothing, or nothing that can be stored.
    pub(crate) async fn ingest(
        &mut self,
        slots: SlotRange,
        lacking: &mut Vec<TimeRange>,
    ) -> Result<(), Unanswered> {
        let mut left = slots;
        // Ends: every answer takes at least one slot off what is left, or is an error.
        while !left.is_empty() {
            let answered = self.ingest_answer(left, lacking).await;
            let answered = answered.map_err(|cause| Unanswered { slots: left, cause })?;
            self.advance(answered.len());
            left = left.from(answered.end());
        }
        Ok(())
    }

    /// Asks once and commits the answer; returns the slots that it was about.
    async fn ingest_answer(
        &mut self,
        asked: SlotRange,
        lacking: &mut Vec<TimeRange>,
    ) -> Result<SlotRange, Break> {
        let (answered, checked) = self.ask_checked(asked).await?;
        let explained = checked.findings.iter().filter(|finding| finding.cause.explains());
        let explained: Vec<TimeRange> = explained.map(|finding| finding.range).collect();
        self.commit_page(answered, checked).await?;
        lacking.extend(explained);
        Ok(answered)
    }

    /// Asks once; returns the slots that the answer is about, and what of it passed the door.
    pub(crate) async fn ask_checked(&self, asked: SlotRange) -> Result<(SlotRange, CheckedPage), Break> {
        let page = self.ask(asked).await?;
        let answered = asked.before(page.answered_until);
        if answered.is_empty() {
            let reason = format!("an answer for {asked} that says nothing about its first slot");
            return Err(SourceError::Unavailable { reason, source: None }.into());
        }
        let checked = check_page(answered, self.closing(), page.rows);
        if let Some(first) = checked.rejected.first() {
            let count = checked.rejected.len();
            tracing::warn!(asset = %self.asset, count, "rejected {count} rows of {}, the first as {first}", self.asset);
        }
        Ok((answered, checked))
    }

    /// Commits what passed the door of an answer about `answered`.
    pub(crate) async fn commit_page(
        &mut self,
        answered: SlotRange,
        checked: CheckedPage,
    ) -> Result<Applied, Break> {
        let rejected = checked.rejected.clone();
        let observed_at = self.context.clock.now();
        let commit = Commit::of_page(self.asset, answered, checked, observed_at).map_err(|error| {
            // Cannot happen: the door accounts for every slot it was given; its property test.
            SourceError::Refused { reason: error.to_string() }
        })?;
        let applied = self.apply(commit).await?;
        count(applied, &rejected);
        self.gains.add_page(applied, &rejected);
        Ok(applied)
    }

    async fn ask(&self, asked: SlotRange) -> Result<SourcePage, Break> {
        let page = self.context.source.page(self.asset, asked);
        match self.context.stop.run_until_cancelled(page).await {
            Some(page) => Ok(page?),
            None => Err(Break::Stopped),
        }
    }
}

/// Adds a committed page to the metrics of the process.
fn count(applied: Applied, rejected: &[Rejection]) {
    for (change, candles) in [("new", applied.new), ("changed", applied.changed)] {
        metrics::counter!("ohlcv_candles_written_total", "change" => change).increment(candles);
    }
    for rejection in rejected {
        metrics::counter!("ohlcv_candles_rejected_total", "rule" => rejection.rule.as_str()).increment(1);
    }
}
