//! Everything that needs a socket, a database or the program itself, in one binary.

mod api;
mod backfill;
mod binance_client;
mod closing;
mod decimals;
mod docker;
mod healing;
mod interruption;
mod leases;
mod market;
mod program;
mod schedule;
mod store;
mod tidy;

ohlcv_tests::with_recorded_data! {
    mod real_input;
    mod recorded_responses;
}
