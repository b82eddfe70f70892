//! Fetches, stores and serves Binance spot candles: the program's parts, for its tests.

pub mod cli;
pub mod commands;
pub mod console;
pub mod http;
pub mod lifecycle;
mod run_log;
pub mod scheduler;
pub mod settings;
pub mod telemetry;
pub mod wiring;
