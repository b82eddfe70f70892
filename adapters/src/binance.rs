//! Candles over Binance's REST API.
//!
//! A raw client with methods named as the endpoints, and [`BinanceSource`], which translates it to
//! the port. One `BinanceSource` is meant for one process: its budget of request weight, and any
//! pause that the exchange demands, hold for all tasks that share it.

mod budget;
mod client;
mod error;
mod model;
mod parse;
mod query;
mod retry;
mod source;

pub use error::BinanceConfigError;
pub use source::{BinanceConfig, BinanceLimits, BinanceSource};
