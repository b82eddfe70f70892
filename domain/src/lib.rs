//! Candles of an exchange as values: assets, intervals and their grids, exact prices, gaps,
//! the ledger of holes, forward-fill, coarser candles out of finer ones.
//!
//! Pure arithmetic: no I/O, no async, no clock. Decimals never pass through floats, times are UTC
//! milliseconds, ranges are half-open, and every type holds its invariants by construction.
//!
//! # The words
//!
//! An [`Asset`] has a series of candles of one [`Interval`]. A [`Grid`] says where they open, a
//! [`TimeRange`] or [`SlotRange`] which of them are meant. A [`Candle`] is named by its open time and
//! holds exact decimals: [`Price`]s in units of the quote asset, [`Volume`]s in units of the base asset.
//! A slot has a candle or lies in a [`Hole`], whose [`Cause`] says why.
//!
//! | to | take |
//! | --- | --- |
//! | find what is missing | [`gaps`] |
//! | have a row for every slot | [`forward_fill`] |
//! | make coarser candles | [`resample`], with [`fill_derived`] for a row for every slot |
//! | ask an exchange page by page | [`pages`], and [`check_page`] for what it answers |
//! | keep the reasons of holes | [`settle_holes`], [`answered_until`], [`check_ledger`] |
//! | write into a store | [`Commit`], [`Applied`] |
//! | compare two copies | [`differences`], [`canonical_line`] |
//!
//! # A series in twenty lines
//!
//! ```
//! use ohlcv_domain::{forward_fill, gaps, Candle, Grid, Interval, Ohlc, TimeRange, Timestamp};
//!
//! // Twelve-hour candles open at 00:00 and 12:00 UTC.
//! let grid = Grid::new(Interval::H12);
//! let range = TimeRange::new("2018-02-08T00:00:00Z".parse()?, "2018-02-09T12:00:00Z".parse()?)?;
//! let slots = grid.slots_in(range);
//!
//! // BTCUSDT around the one 12h candle that the exchange never had.
//! let candle = |open_time: &str, [open, high, low, close, volume]: [&str; 5]| -> Result<Candle, Box<dyn std::error::Error>> {
//!     let prices = Ohlc { open: open.parse()?, high: high.parse()?, low: low.parse()?, close: close.parse()? };
//!     Ok(Candle::new(open_time.parse()?, prices, volume.parse()?)?)
//! };
//! let candles = [
//!     candle("2018-02-08T00:00:00Z", ["7599.00", "7844.00", "7572.09", "7784.02", "1521.537318"])?,
//!     candle("2018-02-09T00:00:00Z", ["7789.90", "8395.00", "7789.90", "8280.11", "3483.805239"])?,
//! ];
//!
//! let missing: Vec<_> = gaps(slots, candles.iter().map(Candle::open_time)).collect();
//! assert_eq!(missing[0].start().to_string(), "2018-02-08T12:00:00Z");
//! assert_eq!(missing[0].len(), 1);
//!
//! let rows: Vec<_> = forward_fill(slots, None, candles).collect();
//! assert!(rows[1].filled);
//! assert_eq!(rows[1].candle.close().to_string(), "7784.02000000");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Exactness
//!
//! Nothing is rounded and nothing wraps: a number that a decimal cannot hold is refused with a
//! [`DecimalError`], a sum that no candle can hold with a [`SumError`]. For arithmetic convert to
//! [`BigDecimal`] and back:
//!
//! ```
//! use ohlcv_domain::{DecimalError, Price, Volume};
//!
//! let (amount, price): (Volume, Price) = ("0.12345678".parse()?, "68500.5".parse()?);
//! let worth = amount.to_big_decimal() * price.to_big_decimal();
//! assert_eq!(worth.to_string(), "8456.8511583900000000"); // sixteen places: eight and eight
//! assert_eq!("0.000000001".parse::<Price>(), Err(DecimalError::TooManyPlaces));
//! # Ok::<(), DecimalError>(())
//! ```
//!
//! # Serde
//!
//! With feature `serde` values are written and read the way the service's API writes them: names,
//! decimals and times as text (`"68500.50000000"`, `"2024-11-01T00:00:00Z"`), a [`Candle`] or [`Row`]
//! as the object that the API has for it. Reading holds to the same bounds as the constructors do,
//! takes no number for a decimal, and refuses fields that it does not know.

mod asset;
mod candle;
mod canonical;
mod commit;
mod compare;
mod coverage;
mod decimal;
mod forward_fill;
mod gaps;
mod grid;
mod history;
mod hole;
mod incidents;
mod intake;
mod interval;
mod job_id;
mod ledger_check;
mod life;
mod pages;
mod range;
mod resample;
mod schedule;
#[cfg(feature = "serde")]
mod serialised;
mod timestamp;

/// What [`Price`] and [`Volume`] convert into for arithmetic.
pub use bigdecimal::BigDecimal;

pub use asset::{Asset, AssetError};
pub use candle::{Candle, CandleError, Ohlc, TradeDetails};
pub use canonical::canonical_line;
pub use commit::{Applied, BackfillState, Breaks, Change, Commit, CommitError, Fence, Head, Summary};
pub use compare::{Difference, differences};
pub use coverage::{
    Disagreement, answered_until, changed_holes, disagreement, missing_slots, settle_holes, slots_between,
    without_stored,
};
pub use decimal::{Decimal, DecimalError, Price, Volume};
pub use forward_fill::{ForwardFill, Row, forward_fill};
pub use gaps::{Gaps, gaps};
pub use grid::Grid;
pub use history::{Revision, candle_at, slot_runs};
pub use hole::{
    Cause, CauseError, EMPTY_FIRST_WAIT, EMPTY_WAIT_GROWTH, EMPTY_WAIT_MAX, FAILED_FIRST_WAIT,
    FAILED_WAIT_GROWTH, FAILED_WAIT_MAX, Finding, Hole, HoleCount,
};
pub use incidents::{Incident, WITNESSES_MIN, Witness, known_incident, shared_holes, shared_incident};
pub use intake::{CheckedPage, Closing, Rejection, Rule, check_page};
pub use interval::{Interval, IntervalError};
pub use job_id::{JobId, JobIdError};
pub use ledger_check::{LedgerFaults, check_ledger};
pub use life::{HALTED_AFTER, HALTED_PAUSE};
pub use pages::{Pages, pages};
pub use range::{RangeError, SlotRange, TimeRange};
pub use resample::{
    DerivedCandle, IndivisibleError, Resample, Resampler, Resampling, SumError, fill_derived, resample,
};
pub use schedule::next_look;
pub use timestamp::{Timestamp, TimestampError};

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
