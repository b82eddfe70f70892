//! One page on its way through the door into the store.

use ohlcv_domain::{Applied, CheckedPage, Commit, Rejection, SlotRange, TimeRange};
use ohlcv_ports::SourceError;

use crate::asks::{Asked, Unanswered};
use crate::fetch::{AssetRun, Break};

impl AssetRun<'_> {
    /// Commits every answer to a page as it was given. Adds to `lacking` where the exchange said that
    /// it has nothing, or nothing that can be stored.
    pub(crate) async fn ingest(
        &mut self,
        asked: Asked,
        lacking: &mut Vec<TimeRange>,
    ) -> Result<(), Unanswered> {
        let mut left = asked.page;
        for (answered, checked) in asked.answers {
            let explained = checked.findings.iter().filter(|finding| finding.cause.explains());
            let explained: Vec<TimeRange> = explained.map(|finding| finding.range).collect();
            let committed = self.commit_page(answered, checked).await;
            committed.map_err(|cause| Unanswered { slots: left, cause })?;
            lacking.extend(explained);
            self.advance(answered.len());
            left = left.from(answered.end());
        }
        asked.unanswered.map_or(Ok(()), Err)
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
