//! What a reader's question is about: a known asset, and a range with something in it.

use ohlcv_domain::{Asset, IndivisibleError, SumError, Summary, TimeRange, Timestamp};
use ohlcv_ports::{Coverage, StoreError};

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The asset is not tracked and nothing is stored of it.
    #[error("{asset} is not tracked and has no data")]
    UnknownAsset {
        /// What was asked for.
        asset: Asset,
    },
    /// The range ends where it begins, or before.
    #[error("start {start} is not before end {end}")]
    EmptyRange {
        /// The start that was asked for.
        start: Timestamp,
        /// The end that was asked for.
        end: Timestamp,
    },
    /// The candles that are stored do not make those that are wanted.
    #[error(transparent)]
    Indivisible(#[from] IndivisibleError),
    /// A derived candle's amounts do not fit into one.
    #[error(transparent)]
    Sum(#[from] SumError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of an asset, and the range that is meant where a bound is left out; none if it is
/// tracked, but nothing is known of it yet.
pub(crate) async fn look_up(
    coverage: &dyn Coverage,
    tracked: &[Asset],
    asset: Asset,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
) -> Result<Option<(Summary, TimeRange)>, QueryError> {
    let start = start.unwrap_or(Timestamp::MIN);
    let end = end.unwrap_or(Timestamp::MAX);
    let range = TimeRange::new(start, end).ok().filter(|range| !range.is_empty());
    let Some(range) = range else { return Err(QueryError::EmptyRange { start, end }) };
    let summary = coverage.summary(asset).await?;
    let known = tracked.contains(&asset) || summary.as_ref().is_some_and(|known| known.candles > 0);
    if !known {
        return Err(QueryError::UnknownAsset { asset });
    }
    Ok(summary.map(|summary| (summary, range)))
}
