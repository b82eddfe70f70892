//! `GET /api/v1/assets`: what is stored of every asset.

use std::collections::BTreeMap;

use ohlcv_domain::Cause;
use ohlcv_usecases::{AssetCoverage, AssetStatus, ListAssets};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;

use super::Tag;
use super::dto::{Prepared, Time};
use super::problem::Problem;

/// What is stored of every asset.
#[derive(Object, Serialize)]
#[oai(rename = "Assets")]
pub(crate) struct AssetsBody {
    /// The tracked assets in the order of the setting, then those that have data all the same.
    assets: Vec<AssetRow>,
}

/// What is stored of one asset.
#[derive(Object, Serialize)]
#[oai(rename = "Asset")]
pub(crate) struct AssetRow {
    /// Its name.
    asset: String,
    /// Open time of its oldest candle; null while it has none.
    #[oai(nullable)]
    earliest_timestamp: Option<Time>,
    /// Open time of its newest candle; null while it has none.
    #[oai(nullable)]
    latest_timestamp: Option<Time>,
    /// How many candles it has.
    total_candles: u64,
    /// Whether every slot of the wanted span is stored or explained.
    backfill_completed: bool,
    /// Why the backfill is not complete; null if it is, and of an asset that is not tracked if nothing is known.
    #[oai(nullable)]
    backfill_reason: Option<String>,
    /// Whether it is among the tracked assets, and so gets new candles.
    tracked: bool,
    /// How it stands.
    status: StatusWord,
    /// How many closed candles at its end the exchange has not answered about yet; 0 while its market
    /// has stopped and is left alone.
    lag: u64,
    /// How many candles are missing, by cause: slots, not holes.
    gaps: GapSlots,
}

/// How an asset stands. The first one that holds is its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "AssetStatus", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusWord {
    /// It is not among the tracked assets; what is stored stays as it is.
    Untracked,
    /// The exchange answers, but has had no candle of it for three days (and three candles) or longer. It is looked at once
    /// a day.
    Halted,
    /// No candle is stored.
    Empty,
    /// The wanted history is not complete; `backfill_reason` says why.
    Incomplete,
    /// The wanted history is complete, but closed candles at its end were not answered about yet.
    Behind,
    /// Every closed candle of the wanted history is stored, or it is known why there is none.
    Complete,
}

/// Missing candles by cause.
#[derive(Object, Serialize)]
#[oai(rename = "GapSlots")]
pub(crate) struct GapSlots {
    /// Not asked yet, or the answer may still come.
    pending: u64,
    /// Asked; the exchange has nothing there.
    source_empty: u64,
    /// The asset was not traded yet.
    before_listing: u64,
    /// The exchange sent something impossible.
    rejected: u64,
    /// Asking failed.
    failed: u64,
}

impl AssetsBody {
    /// What is known of assets, as it is answered.
    pub(crate) fn of(known: Vec<AssetCoverage>) -> Self {
        Self { assets: known.into_iter().map(AssetRow::from).collect() }
    }
}

impl From<&BTreeMap<Cause, u64>> for GapSlots {
    fn from(slots: &BTreeMap<Cause, u64>) -> Self {
        let of = |cause| slots.get(&cause).copied().unwrap_or(0);
        Self {
            pending: of(Cause::Pending),
            source_empty: of(Cause::SourceEmpty),
            before_listing: of(Cause::BeforeListing),
            rejected: of(Cause::Rejected),
            failed: of(Cause::Failed),
        }
    }
}

impl From<AssetStatus> for StatusWord {
    fn from(status: AssetStatus) -> Self {
        match status {
            AssetStatus::Untracked => Self::Untracked,
            AssetStatus::Halted => Self::Halted,
            AssetStatus::Empty => Self::Empty,
            AssetStatus::Incomplete => Self::Incomplete,
            AssetStatus::Behind => Self::Behind,
            AssetStatus::Complete => Self::Complete,
        }
    }
}

impl From<AssetCoverage> for AssetRow {
    fn from(known: AssetCoverage) -> Self {
        let summary = known.summary.as_ref();
        Self {
            asset: known.asset.to_string(),
            earliest_timestamp: summary.and_then(|summary| summary.first).map(Time),
            latest_timestamp: summary.and_then(|summary| summary.last).map(Time),
            total_candles: summary.map_or(0, |summary| summary.candles),
            backfill_completed: summary.is_some_and(|summary| summary.backfill.completed),
            backfill_reason: known.why_incomplete().map(str::to_owned),
            tracked: known.tracked,
            status: known.status.into(),
            lag: known.lag,
            gaps: (&known.gaps).into(),
        }
    }
}

/// The operations on assets.
pub(crate) struct AssetsApi {
    pub(crate) assets: ListAssets,
}

#[OpenApi]
impl AssetsApi {
    /// What is stored
    ///
    /// Every tracked asset, also while it has no data, and every other asset that has data.
    #[oai(path = "/api/v1/assets", method = "get", operation_id = "list_assets", tag = "Tag::Candles")]
    async fn assets(&self) -> Result<Prepared<AssetsBody>, Problem> {
        Ok(Prepared::of(&AssetsBody::of(self.assets.run().await?)))
    }
}
