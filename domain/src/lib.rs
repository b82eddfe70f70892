//! Candles of an exchange as values: assets, intervals and their grids, exact prices, gaps,
//! the ledger of holes, forward-fill, coarser candles out of finer ones.
//!
//! Pure arithmetic: no I/O, no async, no clock. Decimals never pass through floats, times are UTC
//! milliseconds, ranges are half-open, and every type holds its invariants by construction.
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

mod additions;
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
mod timestamp;

pub use additions::{AddedRun, Additions, additions};
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
