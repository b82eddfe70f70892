//! What an import did, as plain values.

use std::collections::BTreeMap;

use ohlcv_domain::{Asset, Timestamp};

use super::{ImportRule, Place, Unfit};
use crate::report::Outcome;

/// So many refused rows are told one by one; all are counted.
pub const REFUSALS_KEPT_MAX: usize = 100;

/// What an import did.
#[derive(Debug)]
pub struct ImportReport {
    /// What became of the rows of each asset, in the order in which the assets came first.
    pub assets: Vec<AssetImport>,
    /// The first refused rows, in the order in which they were refused.
    pub refusals: Vec<Refusal>,
    /// How many rows broke each rule.
    pub counts: BTreeMap<ImportRule, u64>,
    /// How it ended. If it was stopped or failed, what was stored before stays.
    pub outcome: Outcome,
}

/// What became of the rows of one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetImport {
    /// The asset.
    pub asset: Asset,
    /// How many rows there were.
    pub rows: u64,
    /// Candles that were not stored before.
    pub new: u64,
    /// Stored candles that were replaced, or of which the rest of the kline was not known.
    pub changed: u64,
    /// Candles that were stored just so.
    pub unchanged: u64,
    /// Rows that say what the row before them said.
    pub repeated: u64,
    /// Rows that were refused.
    pub refused: u64,
}

/// A row that was not stored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it stands.
    pub place: Place,
    /// Whose it is, where that can be read.
    pub asset: Option<Asset>,
    /// The open time that it claims, where that can be read.
    pub open_time: Option<Timestamp>,
    /// The rule it broke.
    pub rule: ImportRule,
    /// The part of it that tells.
    pub evidence: String,
}

impl Default for ImportReport {
    fn default() -> Self {
        Self { assets: Vec::new(), refusals: Vec::new(), counts: BTreeMap::new(), outcome: Outcome::Done }
    }
}

impl ImportReport {
    /// How many rows were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether all rows are stored now, or would be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty() && matches!(self.outcome, Outcome::Done)
    }

    pub(super) fn knows(&self, asset: Asset) -> bool {
        self.assets.iter().any(|known| known.asset == asset)
    }

    /// What is told of an asset. The last one is nearly always meant.
    pub(super) fn asset(&mut self, asset: Asset) -> &mut AssetImport {
        let at = self.assets.iter().rposition(|known| known.asset == asset).unwrap_or_else(|| {
            self.assets.push(AssetImport {
                asset,
                rows: 0,
                new: 0,
                changed: 0,
                unchanged: 0,
                repeated: 0,
                refused: 0,
            });
            self.assets.len().saturating_sub(1)
        });
        &mut self.assets[at]
    }

    pub(super) fn refuse(&mut self, place: Place, asset: Option<Asset>, unfit: Unfit) {
        let Unfit { rule, open_time, evidence } = unfit;
        *self.counts.entry(rule).or_default() += 1;
        if let Some(asset) = asset.filter(|asset| self.knows(*asset)) {
            self.asset(asset).refused += 1;
        }
        if self.refusals.len() < REFUSALS_KEPT_MAX {
            self.refusals.push(Refusal { place, asset, open_time, rule, evidence });
        }
    }
}
