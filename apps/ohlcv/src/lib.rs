//! Fetches, stores and serves Binance spot candles: the program's parts, for its tests.

pub mod cli;
mod colours;
pub mod commands;
mod console;
mod formats;
pub mod http;
mod lifecycle;
mod lookalike;
pub mod monitoring;
mod run_log;
pub mod scheduler;
pub mod settings;
mod telemetry;
pub mod wiring;
mod worker;
