//! Fetches, stores and serves Binance spot candles.

use std::process::ExitCode;

use clap::Parser;
use ohlcv::cli::Cli;
use ohlcv::commands;

#[tokio::main]
async fn main() -> ExitCode {
    commands::execute(Cli::parse()).await
}
