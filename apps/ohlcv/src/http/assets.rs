//! `GET /api/v1/assets`: what is stored of every asset.

use ohlcv_usecases::{AssetCoverage, ListAssets};
use poem_openapi::{Object, OpenApi};
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
    /// Why the backfill is not complete; null if it is, or was not tried yet.
    #[oai(nullable)]
    backfill_reason: Option<String>,
    /// Whether it is among the tracked assets, and so gets new candles.
    tracked: bool,
}

impl From<AssetCoverage> for AssetRow {
    fn from(known: AssetCoverage) -> Self {
        let summary = known.summary.as_ref();
        let backfill = summary.map(|summary| summary.backfill.clone()).unwrap_or_default();
        Self {
            asset: known.asset.to_string(),
            earliest_timestamp: summary.and_then(|summary| summary.first).map(Time),
            latest_timestamp: summary.and_then(|summary| summary.last).map(Time),
            total_candles: summary.map_or(0, |summary| summary.candles),
            backfill_completed: backfill.completed,
            backfill_reason: (!backfill.reason.is_empty()).then_some(backfill.reason),
            tracked: known.tracked,
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
        let known = self.assets.run().await?;
        Ok(Prepared::of(&AssetsBody { assets: known.into_iter().map(AssetRow::from).collect() }))
    }
}
