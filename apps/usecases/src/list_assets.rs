//! What is stored of every asset.

use std::collections::BTreeSet;
use std::sync::Arc;

use ohlcv_domain::{Asset, Summary};
use ohlcv_ports::{Coverage, StoreError};

/// Lists the tracked assets and those that were tracked once and have candles.
#[derive(Clone, Debug)]
pub struct ListAssets {
    coverage: Arc<dyn Coverage>,
    tracked: Vec<Asset>,
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
}

impl ListAssets {
    /// Lists from `coverage`; `tracked` comes first, in its own order.
    #[must_use]
    pub fn new(coverage: Arc<dyn Coverage>, tracked: Vec<Asset>) -> Self {
        Self { coverage, tracked }
    }

    /// Every tracked asset in the order of the setting, then the others that have candles, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run(&self) -> Result<Vec<AssetCoverage>, StoreError> {
        let mut summaries = self.coverage.summaries().await?;
        let tracked: BTreeSet<Asset> = self.tracked.iter().copied().collect();
        let mut listed: Vec<AssetCoverage> = Vec::with_capacity(summaries.len().max(tracked.len()));
        for &asset in &self.tracked {
            let at = summaries.iter().position(|summary| summary.asset == asset);
            let summary = at.map(|at| summaries.remove(at));
            listed.push(AssetCoverage { asset, tracked: true, summary });
        }
        let others = summaries.into_iter().filter(|summary| summary.candles > 0);
        listed.extend(others.map(|summary| AssetCoverage {
            asset: summary.asset,
            tracked: false,
            summary: Some(summary),
        }));
        Ok(listed)
    }
}
