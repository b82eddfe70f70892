//! What assets were worth at an instant.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use ohlcv_domain::{Asset, Interval, Price, TimeRange, Timestamp};
use ohlcv_ports::Take;

use crate::ReadSeries;
use crate::look_up::QueryError;

/// How many assets are looked up side by side.
const AT_ONCE_MAX: usize = 8;

/// Tells the last close of assets at an instant.
#[derive(Clone, Debug)]
pub struct LastPrices {
    series: ReadSeries,
}

/// The last close of an asset at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPrice {
    /// Whose.
    pub asset: Asset,
    /// The candle whose close it is; none if no candle had closed by then.
    pub candle: Option<ClosedCandle>,
}

/// When a candle was, and what it closed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedCandle {
    /// The close, in units of the quote asset.
    pub close: Price,
    /// When the candle opened.
    pub open_time: Timestamp,
    /// When it had closed: where the next one opens.
    pub close_time: Timestamp,
    /// How long ago that was.
    pub age: Duration,
}

impl LastPrices {
    /// Answers from `series`.
    #[must_use]
    pub const fn new(series: ReadSeries) -> Self {
        Self { series }
    }

    /// The interval of the candles whose closes are told.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.series.interval()
    }

    /// The last close of each asset at `at`, in the order of `assets`, as is stored now. A candle counts
    /// once it has closed: if its open time and its interval are `at` together, or earlier. Filled
    /// candles are none.
    ///
    /// # Errors
    /// [`QueryError`]: of the first asset that is unknown.
    pub async fn at(&self, assets: &[Asset], at: Timestamp) -> Result<Vec<LastPrice>, QueryError> {
        let looked_up = assets.iter().copied().map(|asset| self.one(asset, at));
        stream::iter(looked_up).buffered(AT_ONCE_MAX).try_collect().await
    }

    async fn one(&self, asset: Asset, at: Timestamp) -> Result<LastPrice, QueryError> {
        let none = LastPrice { asset, candle: None };
        let Some(head) = self.series.head(asset).await? else { return Ok(none) };
        let Some(grid) = self.series.grid(&head) else { return Ok(none) };
        // The slot that `at` falls into is open then; every slot before it has closed.
        let Ok(closed) = TimeRange::new(Timestamp::MIN, grid.floor(at)) else { return Ok(none) };
        let last = self.series.stored(asset, closed, Take::Newest, 1, None).await?;
        let candle = last.first().map(|candle| {
            let close_time = grid.next(candle.open_time());
            ClosedCandle {
                close: candle.close(),
                open_time: candle.open_time(),
                close_time,
                age: at.since(close_time),
            }
        });
        Ok(LastPrice { asset, candle })
    }
}
