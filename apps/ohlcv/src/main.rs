//! Fetches, stores and serves Binance spot candles.

use std::process::ExitCode;

use ohlcv::{cli, commands};

/// Answers are made of many small pieces of memory, which the system's allocator is slow to give out.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    commands::execute(cli::parse()).await
}
