//! Where candles come from.

use std::error::Error;
use std::fmt::Debug;
use std::num::NonZeroU32;

use async_trait::async_trait;
use ohlcv_domain::{Asset, Candle, Interval, Rejection, SlotRange, Timestamp, pages};

/// An exchange, or what stands for one: the candles of one quote asset.
///
/// Implementations MUST do their own pacing and retrying and give up within a bound; MUST be
/// usable by many tasks at once; MUST NOT change a value that the exchange sent.
/// `testing::candle_source_contract` holds them to what is written here.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CandleSource: Debug + Send + Sync {
    /// The exchange's time now.
    ///
    /// # Errors
    /// [`SourceError`], never `UnknownAsset`.
    async fn server_time(&self) -> Result<Timestamp, SourceError>;

    /// The open time of the asset's first candle, or none if it has had none yet. MUST cost one
    /// request, however long ago that was.
    ///
    /// # Errors
    /// [`SourceError::UnknownAsset`] if the exchange has no such market.
    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError>;

    /// What the exchange has for `asked`, in the order it sent it.
    ///
    /// The range is half-open as all ranges are, whatever the exchange's own bounds mean.
    /// `asked` SHOULD be what [`CandleSource::page_within`] says; if not everything fits into one answer, the oldest rows are returned and [`SourcePage::answered_until`] says how far
    /// they reach. A row that is no possible candle MUST be returned as a rejection, not dropped.
    /// The candle that is still open is a row as any other: keeping it out is the caller's concern.
    ///
    /// # Errors
    /// [`SourceError`]. A range without candles is no error.
    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError>;

    /// How many slots one answer can hold, wherever they begin.
    fn page_slots_max(&self) -> NonZeroU32;

    /// The first part of `slots` that makes a good request: its answer can be whole, and what is left
    /// begins where the next request does. MUST begin where `slots` does, and have a slot if that has
    /// one; may be more than [`CandleSource::page_slots_max`] where one answer can hold them. Costs no request.
    ///
    /// A source whose answers end elsewhere than after so many slots, such as at the end of a month,
    /// says so here: those who ask ahead need to know where the next request begins.
    fn page_within(&self, slots: SlotRange) -> SlotRange {
        pages(slots, self.page_slots_max()).next().unwrap_or(slots)
    }
}

/// One answer of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePage {
    /// Candles, and rows that are none, in the order they were sent.
    pub rows: Vec<Result<Candle, Rejection>>,
    /// Every candle of what was asked that opens before this instant is among the rows. Equal to
    /// the end of what was asked if the answer is whole; later than its start in any case.
    pub answered_until: Timestamp,
}

/// Why a source gave no answer, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The exchange has no such market; asking again will not help.
    #[error("the exchange has no market {symbol}: check the name of the asset")]
    UnknownAsset {
        /// The exchange's name for the market.
        symbol: String,
    },
    /// The exchange, or what guards it, told everybody at this address to wait.
    #[error("the exchange asks to wait until {until}: {reason}")]
    RateLimited {
        /// Nothing may be asked before, by the local clock.
        until: Timestamp,
        /// What it said.
        reason: String,
    },
    /// The exchange does not serve this place; asking again will not help.
    #[error("the exchange refuses this location: {reason}")]
    Blocked {
        /// What it said, and the way out.
        reason: String,
    },
    /// The exchange could not be reached, or answered with nothing usable, after all retries.
    #[error("the exchange gave no usable answer: {reason}")]
    Unavailable {
        /// What happened last.
        reason: String,
        /// The failure beneath, if there was one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The exchange refused the request as wrong; asking again will not help.
    #[error("the exchange refused the request: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}
