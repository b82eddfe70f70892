//! Fetches, stores and serves Binance spot candles: the program's parts, for its tests.

pub mod cli;
pub mod commands;
mod console;
mod formats;
pub mod http;
mod lifecycle;
pub mod monitoring;
mod run_log;
pub mod scheduler;
pub mod settings;
mod telemetry;
pub mod wiring;
mod worker;
