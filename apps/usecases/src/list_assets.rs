//! What is stored of every asset.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ohlcv_domain::{Asset, Cause, Summary, Timestamp};
use ohlcv_ports::{Clock, Coverage, StoreError};

use crate::MonitorPolicy;

/// Lists the tracked assets and those that were tracked once and have candles. Reads summaries and
/// counts holes; its cost does not grow with the candles.
#[derive(Clone, Debug)]
pub struct ListAssets {
    coverage: Arc<dyn Coverage>,
    clock: Arc<dyn Clock>,
    tracked: Vec<Asset>,
    policy: MonitorPolicy,
}

/// What is known of one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetCoverage {
    /// The asset.
    pub asset: Asset,
    /// Whether it is among the tracked ones.
    pub tracked: bool,
    /// What the store knows of it; none before anything was asked about it.
    pub summary: Option<Summary>,
    /// How many slots its holes of each cause have; all causes are there.
    pub gaps: BTreeMap<Cause, u64>,
    /// How many closed slots the exchange has not answered about at its end, by the local clock; none
    /// while its market has stopped and is left alone.
    pub lag: u64,
    /// How it stands.
    pub status: AssetStatus,
}

/// How an asset stands, judged from what is stored. The first one that holds is its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetStatus {
    /// It is not among the tracked assets: what is stored stays as it is.
    Untracked,
    /// The exchange answers, but has had no candle of it for three days (and three candles) or longer: the market was
    /// stopped or taken off, or has not got candles in the wanted span. It is looked at once a day.
    Halted,
    /// No candle is stored.
    Empty,
    /// The wanted history is not complete; its backfill says why.
    Incomplete,
    /// The wanted history is complete, but closed candles at its end were not answered about yet.
    Behind,
    /// Every closed slot of the wanted history is stored or explained.
    Complete,
}

/// Why a history is not complete of which nothing more is known.
const NOT_FETCHED: &str = "no backfill of it has come to its end yet";

impl AssetCoverage {
    /// Why the wanted history is not complete; none if it is. Of an asset that is not tracked, only what was
    /// found out while it was.
    #[must_use]
    pub fn why_incomplete(&self) -> Option<&str> {
        let backfill = self.summary.as_ref().map(|summary| &summary.backfill);
        match backfill {
            Some(backfill) if backfill.completed => None,
            Some(backfill) if !backfill.reason.is_empty() => Some(&backfill.reason),
            _ => self.tracked.then_some(NOT_FETCHED),
        }
    }
}

impl AssetStatus {
    /// A short name for it that stays the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untracked => "untracked",
            Self::Halted => "halted",
            Self::Empty => "empty",
            Self::Incomplete => "incomplete",
            Self::Behind => "behind",
            Self::Complete => "complete",
        }
    }
}

impl ListAssets {
    /// Lists from `coverage`; `tracked` comes first, in its own order.
    #[must_use]
    pub fn new(
        coverage: Arc<dyn Coverage>,
        clock: Arc<dyn Clock>,
        tracked: Vec<Asset>,
        policy: MonitorPolicy,
    ) -> Self {
        Self { coverage, clock, tracked, policy }
    }

    /// Every tracked asset in the order of the setting, then the others that have candles, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run(&self) -> Result<Vec<AssetCoverage>, StoreError> {
        let mut summaries = self.coverage.summaries().await?;
        let gaps = self.gaps().await?;
        let now = self.clock.now();
        let known = |asset, tracked, summary| {
            let gaps = Cause::ALL.map(|cause| (cause, gaps.get(&(asset, cause)).copied().unwrap_or(0)));
            self.judge(asset, tracked, summary, BTreeMap::from(gaps), now)
        };
        let tracked: BTreeSet<Asset> = self.tracked.iter().copied().collect();
        let mut listed: Vec<AssetCoverage> = Vec::with_capacity(summaries.len().max(tracked.len()));
        for &asset in &self.tracked {
            let at = summaries.iter().position(|summary| summary.asset == asset);
            let summary = at.map(|at| summaries.remove(at));
            listed.push(known(asset, true, summary));
        }
        let others = summaries.into_iter().filter(|summary| summary.candles > 0);
        listed.extend(others.map(|summary| known(summary.asset, false, Some(summary))));
        Ok(listed)
    }

    /// How many slots the holes have, by asset and cause.
    async fn gaps(&self) -> Result<BTreeMap<(Asset, Cause), u64>, StoreError> {
        let mut gaps: BTreeMap<(Asset, Cause), u64> = BTreeMap::new();
        for count in self.coverage.hole_counts().await? {
            let slots = self.policy.interval.slots_lasting(count.lasting);
            *gaps.entry((count.asset, count.cause)).or_default() += slots * count.holes;
        }
        Ok(gaps)
    }

    fn judge(
        &self,
        asset: Asset,
        tracked: bool,
        summary: Option<Summary>,
        gaps: BTreeMap<Cause, u64>,
        now: Timestamp,
    ) -> AssetCoverage {
        let lag = self.policy.lag(summary.as_ref(), now);
        let halted = |known: &Summary| known.halt(self.policy.grid(Some(known))).is_some();
        let status = match &summary {
            _ if !tracked => AssetStatus::Untracked,
            Some(known) if halted(known) => AssetStatus::Halted,
            Some(known) if known.candles > 0 => match known.backfill.completed {
                false => AssetStatus::Incomplete,
                true if lag > 0 => AssetStatus::Behind,
                true => AssetStatus::Complete,
            },
            _ => AssetStatus::Empty,
        };
        AssetCoverage { asset, tracked, summary, gaps, lag, status }
    }
}
