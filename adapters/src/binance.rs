//! Candles over Binance's REST API.
//!
//! [`BulkSource`] adds the bulk archives that Binance publishes beside it.
//!
//! A raw client with methods named as the endpoints, and [`BinanceSource`], which translates it to
//! the port. One `BinanceSource` and its clones are meant for one process: its budget of request
//! weight, and any pause that the exchange demands, hold for all tasks that share it. Processes that
//! share a `RequestBudget` share those too.

mod archive;
mod budget;
mod bulk;
mod client;
mod error;
mod metrics;
mod model;
mod parse;
mod query;
mod retry;
mod share;
mod source;

pub use archive::{Archive, ArchiveLimits, archive_row};
pub use bulk::BulkSource;
pub use error::BinanceConfigError;
pub use source::{BinanceConfig, BinanceLimits, BinanceSource};
